"""Metrics in the units of the data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcnet.data.preprocess import shift_and_factor
from funcnet.metrics import InUnits, Metric


def in_units(metrics: Sequence[Metric], preprocess: dict[str, Any]) -> list[Metric]:
    """Metrics of scaled targets in the units of the data."""
    scaler = preprocess.get("targets")
    if scaler is None:
        return list(metrics)
    shift, factor = (tuple(np.atleast_1d(part).tolist()) for part in shift_and_factor(scaler))
    return [InUnits(metric, shift, factor) for metric in metrics]
