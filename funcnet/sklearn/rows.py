"""Checked rows of an estimator with their targets and weights."""

from __future__ import annotations

from typing import Any, Self

import attrs
import numpy as np
import numpy.typing as npt

from funcnet.data.preparation import Dataset
from funcnet.data.preprocess import Preprocess, transform
from funcnet.data.scaling import scale_targets
from funcnet.data.usable import check_size
from funcnet.key import Array
from funcnet.sklearn.inputs import readable, rows_of, take


@attrs.frozen(eq=False)
class Rows:
    """Inputs, targets, the weight of each row, and the factor of its class in the training loss alone."""

    x: Any
    y: Array
    weight: Array | None = None
    factor: Array | None = None

    def __len__(self) -> int:
        return rows_of(self.x)

    def take(self, at: Array) -> Self:
        """Some of the rows."""
        rest = (None if part is None else part[at] for part in (self.weight, self.factor))
        return type(self)(take(self.x, at), self.y[at], *rest)

    def weighing(self) -> Self:
        """The rows with a weight: one of weight 0 is as if it were not there."""
        if self.weight is None:
            return self
        kept = np.flatnonzero(self.weight > 0)
        rows = self if len(kept) == len(self.weight) else self.take(kept)
        return attrs.evolve(rows, weight=None) if np.all(rows.weight == 1) else rows

    def prepared(self, preprocess: Preprocess, dtype: npt.DTypeLike, name: str, *, training: bool) -> Dataset:
        """The rows as a network takes them."""
        y = self.y
        if y.dtype.kind == "f":
            check_size(y, dtype, name)
            y = scale_targets(preprocess, y).astype(dtype)
        weight = self.weight
        if training and self.factor is not None:
            weight = self.factor if weight is None else weight * self.factor
        return Dataset(transform(preprocess, readable(self.x), dtype, name), y, weight)
