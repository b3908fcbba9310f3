"""Predictions as text: rows of CSV, and JSON lines.

Printed into deployed programs, so it uses only NumPy and the standard library.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any


def number_columns(values: Any) -> list[list[str]]:
    """The columns of an array of numbers as texts, in the shortest digits of the dtype."""
    return [list(map(str, column)) for column in values.T]


def csv_text(head: Sequence[str], columns: Sequence[Sequence[str]]) -> str:
    """Rows of CSV, below the names of the columns if there are any."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([head] if head else [])
    writer.writerows(zip(*columns, strict=True))
    return text.getvalue()


def json_text(
    names: Sequence[str],
    labels: Sequence[Sequence[str]],
    numbers: Sequence[Sequence[str]],
    form: str,
    what: str,
    texts: bool,
) -> str:
    """JSON lines with the columns of labels, texts or else 0 and 1, and of numbers; ``names`` are those of numbers.

    The form is "label", or "labels" of the same names, both with ``what`` the numbers are, such as "probabilities"; or
    "values", a label among them.
    """
    pairs = [json.dumps(name, ensure_ascii=False).replace("%", "%%") + ": %s" for name in names]
    each = f"{{{', '.join(pairs)}}}"
    first = {"label": "%s", "labels": each}.get(form)
    template = each if first is None else f'{{"{form}": {first}, "{what}": {each}}}'
    if first is None and labels:
        template = f'{{"label": %s, {each[1:]}'
    known = {text: json.dumps(text, ensure_ascii=False) if texts else text for text in set().union(*labels)}
    cells = [[known[text] for text in column] for column in labels]
    for column in numbers:  # 0.0001 for 1e-04, NaN for nan
        cells.append([json.dumps(float(text)) if "e" in text or "n" in text else text for text in column])
    return "".join(map((template + "\n").__mod__, zip(*cells, strict=True)))
