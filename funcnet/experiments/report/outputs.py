"""The outputs of a network that has several: how large the numbers of each are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from funcnet.experiments.report.answers import Answers
from funcnet.experiments.report.counted import plural
from funcnet.key import Array
from funcnet.shapes import shape_text
from funcnet.views import page
from funcnet.views.svg import short
from funcnet.views.table import Table

LEVELS = (0.0, 0.25, 0.5, 0.75, 1.0)
MOST_OUTPUTS = 24


def named(value: Any, path: str = "") -> Iterator[tuple[str, Array]]:
    """Each array of a tuple or dict with its path: numbers count from 0."""
    if isinstance(value, tuple | dict):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in pairs:
            yield from named(inner, f"{path}/{key}" if path else str(key))
    else:
        yield path, value


def ranges(found: Answers) -> str:
    """A table with the quantiles of each output, as the loss's link gives it, over the rows."""
    outputs, rows = dict(named(found.answer)), []
    for path, values in list(outputs.items())[:MOST_OUTPUTS]:
        finite = values[np.isfinite(values)]
        levels = np.quantile(finite, LEVELS).tolist() if finite.size else [float("nan")] * len(LEVELS)
        rows.append([path, shape_text(values.shape[1:]), *(short(level) for level in levels)])
    columns = ["output", "shape", "least", "lower quartile", "median", "upper quartile", "largest"]
    more = f"; the first {MOST_OUTPUTS} of {len(outputs):,}" if len(outputs) > MOST_OUTPUTS else ""
    caption = f"The {plural(len(outputs), 'output')} of the network{more}"
    return page.table(Table(columns, rows), caption)
