"""A history as columns: two small arrays in place of a dict for each row, which grow with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcnet.errors import CheckpointError
from funcnet.key import Array

MISSING, INTEGER, NUMBER, NONE = range(4)
"""What a cell holds, whose value is a float64 in any case"""


class Columns:
    """The rows of a history that have been seen so far: ``names``, ``values`` and ``kinds``, (rows, names)."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.count = 0
        self._values, self._kinds = np.zeros((0, 0)), np.zeros((0, 0), np.uint8)

    def packed(self, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """The columns of a history that begins with the rows seen before, or is a part of them.

        Raises   CheckpointError for a figure that is not a number
        """
        for row in rows[self.count :]:
            self._add(row)
        shown = slice(len(rows)), slice(len(self.names))
        return {"names": list(self.names), "values": self._values[shown], "kinds": self._kinds[shown]}

    def _add(self, row: dict[str, Any]) -> None:
        self.names += [name for name in row if name not in self.names]
        if self.count == len(self._values) or len(self.names) > self._values.shape[1]:
            self._grow(max(64, 2 * self.count), len(self.names))
        for name, value in row.items():
            at = self.count, self.names.index(name)
            if value is None:
                self._kinds[at] = NONE
            elif isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool):
                self._values[at], self._kinds[at] = value, NUMBER if isinstance(value, float | np.floating) else INTEGER
            else:
                raise CheckpointError(f"history: {name}: expected a number, got a {type(value).__name__}")
        self.count += 1

    def _grow(self, rows: int, columns: int) -> None:
        values, kinds = np.zeros((rows, columns)), np.full((rows, columns), MISSING, np.uint8)
        old = tuple(map(slice, self._values.shape))
        values[old], kinds[old] = self._values, self._kinds
        self._values, self._kinds = values, kinds


def unpacked(names: list[str], values: Array, kinds: Array) -> list[dict[str, Any]]:
    """The rows that ``Columns.packed`` was given.

    Raises   ValueError for arrays that it would not have made
    """
    shape = (len(values), len(names))
    if not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
        raise ValueError("the history's columns have no distinct names")
    if values.shape != shape or kinds.shape != shape:
        raise ValueError(f"the history has {len(names)} names, {values.shape} values and {kinds.shape} kinds")
    if values.dtype != np.float64 or kinds.dtype != np.uint8 or (kinds > NONE).any():
        raise ValueError("the history is not of float64 values and known kinds")
    if not np.isfinite(values[kinds == INTEGER]).all():
        raise ValueError("the history has an integer that is not finite")
    read: dict[int, Callable[[float], Any]] = {INTEGER: int, NUMBER: float, NONE: lambda value: None}
    return [
        {name: read[kind](value) for name, value, kind in zip(names, *row, strict=True) if kind != MISSING}
        for row in zip(values.tolist(), kinds.tolist(), strict=True)
    ]
