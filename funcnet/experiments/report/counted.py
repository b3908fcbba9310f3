"""What the scores of a part count: its rows, the steps of its rows, or their weights."""

from __future__ import annotations

import numpy as np
from attrs import frozen

from funcnet.data.preparation import Dataset
from funcnet.experiments.result import Run
from funcnet.key import Array
from funcnet.losses.base import answer_shape
from funcnet.shapes import Shape, is_shape


@frozen
class Counted:
    """The rows, steps and labels that a score is about."""

    rows: int
    """The rows that count: not those of weight 0, nor of a label that the loss ignores"""
    steps: int | None
    """The steps of these rows that count; None for one answer to a row"""
    weighted: bool
    """Whether some of them count more than others"""
    several: bool
    """Whether a row has several labels, each present or absent"""

    def words(self, part: str) -> str:
        """``1,280 steps of 20 test rows``"""
        rows = plural(self.rows, f"{part} row")
        return rows if self.steps is None else f"{plural(self.steps, 'step')} of {rows}"


def plural(count: int, noun: str) -> str:
    """``1 row``, ``1,200 rows``"""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def counted(run: Run, part: Dataset) -> Counted:
    """What the scores of a part count."""
    y, loss = part.y, run.loss
    out_shape = run.experiment.model.out_shape(part.x.shape[1:])
    stepwise = is_stepwise(y, answer_shape(run.experiment.loss, out_shape, run.experiment.dtype))
    weight = loss.counted(y, part.weight)
    present = np.ones(len(y), bool) if weight is None else weight != 0
    rows = int(np.count_nonzero(present.reshape(len(y), -1).any(axis=1)))
    steps = None
    if stepwise:
        each = present if present.ndim == 2 else present[:, None]
        steps = int(np.count_nonzero(np.broadcast_to(each, y.shape)))
    several = loss.independent and not run.classes and y.ndim == 2 and y.shape[1] > 1
    return Counted(rows, steps, is_uneven(weight), several)


def is_uneven(weight: Array | None) -> bool:
    """Whether some of the weights above 0 differ."""
    if weight is None or weight.dtype == bool:
        return False
    above = weight[weight != 0]
    return bool(above.size and above.min() != above.max())


def is_stepwise(y: Array, shape: Shape) -> bool:
    """Whether each row has a label at each of its steps, given the shape of an answer."""
    return y.dtype.kind in "iub" and y.ndim == 2 and is_shape(shape) and len(shape) == 2
