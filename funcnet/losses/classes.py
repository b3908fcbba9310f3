"""Targets of classes: their checks, and the base of losses with a term for each label."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from funcnet import ops
from funcnet.errors import DataError, ShapeError
from funcnet.key import Array
from funcnet.losses.base import Form, one_array, plain
from funcnet.losses.rows import RowLoss
from funcnet.spec.base import Spec
from funcnet.spec.fields import frozen


def check_probabilities(values: Array, name: str, owner: Spec, advice: str) -> None:
    """Raise DataError unless every value lies in [0, 1]."""

    def error(values: Array) -> DataError:
        bad = values[~((values >= 0.0) & (values <= 1.0))]
        return DataError(f"expected {name} between 0 and 1, got {bad.flat[0]}; {advice}", layer=type(owner).__name__)

    ops.check((values >= 0.0) & (values <= 1.0) | np.isnan(values), error, values)


def check_labels(labels: Array, classes: int, owner: Spec, ignore: str | None = None) -> None:
    """Raise DataError unless every label is one of the classes.

    ``ignore`` is the argument that ignores a label below 0, ``{}``.
    """

    def error(labels: Array) -> DataError:
        where = tuple(int(i) for i in np.argwhere((labels < 0) | (labels >= classes))[0])
        advice = "renumber the labels, or give the last layer one unit for each class"
        if ignore is not None and labels[where] < 0:
            advice = f"renumber the labels, or ignore this one with {ignore.format(labels[where])}"
        return DataError(
            f"expected labels from 0 to {classes - 1}, got {labels[where]} at row {where[0]}; {advice}",
            layer=type(owner).__name__,
        )

    ops.check((labels >= 0) & (labels < classes), error, labels)


@frozen
class ClassLoss(RowLoss):
    """Base of losses of rows of numbers for the classes, with a term for each label.

    Shapes   prediction (batch, …, classes), target integer labels (batch, …), or probabilities in the prediction's
             shape; weight (batch,) or (batch, …)
    """

    expects: ClassVar[Form | None] = "class logits"

    def counted(self, target: Any, weight: Array | None = None) -> Array | None:
        target = plain(target)
        return plain(weight) if target.dtype.kind == "f" else super().counted(target, weight)

    def rows(self, target: Array) -> tuple[int, ...]:
        """The shape of the terms: one per label, or one per row of probabilities."""
        return target.shape[:-1] if target.dtype.kind == "f" else target.shape

    def paired(self, prediction: Array, target: Array) -> tuple[Array, Array]:
        self.check_target(prediction, target)
        return prediction, target

    def check_target(self, prediction: Array, target: Array) -> None:
        """Raise ShapeError or DataError unless the target is labels or probabilities for the prediction's rows."""
        name, shape = type(self).__name__, one_array(prediction, "output", self).shape
        if len(shape) < 2 or target.shape not in (shape, shape[:-1]):
            raise ShapeError(
                f"expected labels of shape {shape[:-1]} or probabilities of shape {shape}, "
                f"got {target.shape}; {_shape_advice(shape, target.shape)}",
                layer=name,
            )
        if shape[-1] == 1:
            raise ShapeError(
                f"expected a unit for each class, at least two, got predictions of shape {shape}, whose only class "
                "always has probability 1; make the last layer wider, or use SigmoidCrossEntropy with one unit",
                layer=name,
            )
        if target.shape == shape and target.dtype.kind != "f":
            raise DataError(
                f"expected target probabilities as floats, got {target.dtype}; give one label for each row, a "
                "whole number, or these numbers as floats",
                layer=name,
            )
        if target.shape != shape and target.dtype.kind == "f":
            raise DataError(
                f"expected integer labels, got {target.dtype}; give whole numbers of an integer type, or for "
                "values use another loss, such as MeanSquaredError",
                layer=name,
            )

    def distribution(self, prediction: Array, target: Array) -> Array:
        """q, the target's probabilities in the prediction's shape and dtype."""
        shape = prediction.shape
        if target.shape == shape:
            check_probabilities(target, "target probabilities", self, "for class labels give integers")
            return target.astype(prediction.dtype, copy=False)
        check_labels(target, shape[-1], self, "ignore_label={}")
        return (target[..., None] == np.arange(shape[-1])).astype(prediction.dtype)


def _shape_advice(shape: tuple[int, ...], target: tuple[int, ...]) -> str:
    if target == (*shape[:-1], 1):
        return "leave out the last axis of the labels"
    if len(shape) > 2 and target == shape[:1]:
        return "for one label for each sample put a Flatten, a pooling or the last step before the last layer"
    return "reshape the target, or change the last layer's units"
