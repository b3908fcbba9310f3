"""The base of metrics, and the preparation of predictions, targets and weights."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple, TypeVar

import numpy as np

from funcnet import ops
from funcnet.errors import DataError, NotDefined, ShapeError
from funcnet.key import Array
from funcnet.losses.base import column_of, filled, one_array, real_terms, spread
from funcnet.losses.classes import check_labels, check_probabilities
from funcnet.shapes import for_outputs
from funcnet.spec.base import Spec
from funcnet.spec.class_fields import fields
from funcnet.spec.fields import frozen

OTHERWISE = "for other values use RMSE, MAE or R2"


Score = TypeVar("Score", bound=Callable[..., float])


def figure(call: Score) -> Score:
    """A method that scores: inside a compiled function it is recorded as one call, checks and branches included."""

    @functools.wraps(call)
    def score(self: Any, prediction: Any, target: Any, weight: Any = None) -> float:
        given = (prediction, target) if weight is None else (prediction, target, weight)
        if ops.recorder(*given) is None:
            with ops.quiet():
                return call(self, prediction, target, weight)
        return ops.scalar(functools.partial(call, self), *given)

    return score  # type: ignore[return-value]


@frozen
class Metric(Spec):
    """Base of every metric: ``metric(prediction, target, weight=None) -> float``.

    Prediction and target may be padded sequences ``(values, mask)``, whose masks become weights as in the losses.
    """

    kind: ClassVar[str] = "metric"
    higher_is_better: ClassVar[bool] = True
    """False for errors, which callbacks that watch the metric minimise"""

    @property
    def name(self) -> str:
        """The name of its score: the tag and the values of fields that are not at their defaults, ``f1_micro``."""
        set_ = [getattr(self, field.name) for field in fields(type(self)) if getattr(self, field.name) != field.default]
        values = [value for one in set_ for value in (one if isinstance(one, tuple) else (one,))]
        return "_".join([self.tag or type(self).__name__, *map(str, values)])

    def __call__(self, prediction: Array, target: Array, weight: Array | None = None) -> float:
        """The score of a whole split."""
        raise NotDefined(f"{type(self).__name__} does not define __call__(prediction, target, weight)")

    @figure
    def multilabel(self, prediction: Array, target: Array, weight: Array | None = None) -> float:
        """The score where each output is a separate label (``loss.independent``); by default the same score.

        prediction   probabilities (…, labels)
        target       0 and 1, in the same shape
        weight       one for each row or sample, or for each label of each row
        """
        return self(prediction, target, weight)

    @property
    def by_blocks(self) -> bool:
        """Whether the score of a split follows from tallies of its blocks."""
        return False


@frozen
class Tallied(Metric):
    """Base of metrics whose score of a split follows from tallies of its blocks, so that no split need be whole.

    The score is ``result`` of the tallies of all blocks, joined.
    """

    @property
    def by_blocks(self) -> bool:
        own = type(self)  # a subclass may score in another way
        return own.__call__ is Tallied.__call__ and own.multilabel is Tallied.multilabel

    def tally(
        self, prediction: Array, target: Array, weight: Array | None = None, multilabel: bool = False
    ) -> tuple[Any, ...]:
        """What some rows contribute to the score."""
        raise NotDefined(f"{type(self).__name__} does not define tally(prediction, target, weight, multilabel)")

    def joined(self, a: tuple[Any, ...], b: tuple[Any, ...]) -> tuple[Any, ...]:
        """The tally of the rows of two tallies: sums are added, and lists of what is kept of each block are joined."""
        return tuple(x + y for x, y in zip(a, b, strict=True))

    def result(self, tally: tuple[Any, ...]) -> float:
        """The score of the rows of a tally."""
        raise NotDefined(f"{type(self).__name__} does not define result(tally)")

    @figure
    def __call__(self, prediction: Array, target: Array, weight: Array | None = None) -> float:
        return self.result(self.tally(prediction, target, weight))

    @figure
    def multilabel(self, prediction: Array, target: Array, weight: Array | None = None) -> float:
        return self.result(self.tally(prediction, target, weight, True))


@frozen
class InUnits(Tallied):
    """A metric of scaled predictions and targets, computed in their original units, ``value · factor + shift``."""

    metric: Metric
    shift: tuple[float, ...]
    factor: tuple[float, ...]

    @property
    def name(self) -> str:
        return self.metric.name

    @property
    def by_blocks(self) -> bool:
        return self.metric.by_blocks

    def tally(
        self, prediction: Array, target: Array, weight: Array | None = None, multilabel: bool = False
    ) -> tuple[Any, ...]:
        prediction, target, weight, _ = real_terms(prediction, target, weight)
        given = self._restored(prediction), self._restored(target), weight
        return self.metric.tally(*given, multilabel) if isinstance(self.metric, Tallied) else given

    def joined(self, a: tuple[Any, ...], b: tuple[Any, ...]) -> tuple[Any, ...]:
        return self.metric.joined(a, b)  # type: ignore[attr-defined]

    def result(self, tally: tuple[Any, ...]) -> float:
        return self.metric.result(tally) if isinstance(self.metric, Tallied) else self.metric(*tally)

    def _restored(self, values: Array) -> Array:
        shift, factor = (for_outputs(np.array(part), values.shape[1:]) for part in (self.shift, self.factor))
        return values.astype(np.float64) * factor + shift


# ----- shapes and weights ------------------------------------------------------------------------------


def pair(
    metric: Metric, prediction: Array, target: Array, weight: Array | None, terms: tuple[int, ...] | None = None
) -> tuple[Array, Array]:
    """Both in float64 and one shape, with 0 in terms of weight 0; ``(n,)`` and ``(n, 1)`` count as equal.

    ``terms`` is the shape of the terms, by default the prediction's.
    Raises   ShapeError for any other difference, DataError for no rows
    """
    prediction = one_array(prediction, "output", metric).astype(np.float64)
    if not prediction.size:
        raise DataError(f"expected at least one row, got shape {prediction.shape}", layer=type(metric).__name__)
    target = column_of(prediction, target, metric)
    return present(metric, prediction, target, weight, prediction.shape if terms is None else terms)


def present(
    metric: Metric, prediction: Array, target: Array, weight: Array | None, terms: tuple[int, ...]
) -> tuple[Array, Array]:
    """The prediction and target with 0 in terms of weight 0, whose values count for nothing."""
    if weight is None:
        return prediction, target
    whole = spread(np.asarray(weight), terms, np.float64, metric)
    return filled(prediction, whole, len(terms)), filled(target, whole, len(terms))


def classified(metric: Metric, prediction: Array, target: Array, weight: Array | None) -> tuple[Array, Array, bool]:
    """The prediction, its target, and whether the target is labels; both are 0 in rows of weight 0.

    For rows of classes, which keep their dtype, targets are labels ``(…)`` or one-hot rows ``(…, classes)``;
    for one probability per row, ``(n,)`` or ``(…, 1)``, they are 0 and 1.
    Raises   ShapeError for other shapes, DataError for labels that are not integers or not classes,
             and for targets outside [0, 1]
    """
    name, shape = type(metric).__name__, one_array(prediction, "output", metric).shape
    if len(shape) < 2 or shape[-1] == 1 or one_array(target, "target", metric).shape == shape:
        p, t = pair(metric, prediction, target, weight, shape if is_column(prediction) else shape[:-1])
        check_probabilities(t, "targets", metric, OTHERWISE)
        return p, t, False
    if target.shape != shape[:-1]:
        raise ShapeError(
            f"expected labels of shape {shape[:-1]} or one-hot rows of shape {shape}, got {target.shape}; "
            "reshape the target, or change the last layer's units",
            layer=name,
        )
    if target.dtype.kind not in "iub":
        raise DataError(
            f"expected integer labels, got {target.dtype}; give whole numbers of an integer type", layer=name
        )
    if not target.size:
        raise DataError(f"expected at least one row, got shape {shape}", layer=name)
    prediction, target = present(metric, prediction, target, weight, target.shape)
    check_labels(target, shape[-1], metric, "weight=(target != {})")
    return prediction, target.astype(np.int64), True


def is_column(prediction: Array) -> bool:
    """Whether a row is one probability, the positive class's."""
    return prediction.ndim < 2 or prediction.shape[-1] == 1


def weights(metric: Metric, weight: Array | None, shape: tuple[int, ...]) -> Array:
    """A weight for each term; all terms of a sample have its weight.

    Raises   ShapeError for a weight of another shape, DataError for negative weights, and if all are 0
    """
    if weight is None:
        return np.ones(shape)
    whole = np.broadcast_to(spread(np.asarray(weight), shape, np.float64, metric), shape)
    if np.any(whole < 0.0):
        raise DataError(f"expected weights of 0 or more, got {whole.min()}", layer=type(metric).__name__)
    if not whole.sum() > 0.0:
        raise DataError("expected weights with a sum above 0; give some row a weight", layer=type(metric).__name__)
    return whole


@frozen
class Mean(Tallied):
    """Base of metrics that are, or follow from, the mean of a term for each element or row: ``Σ w · term / Σ w``."""

    def result(self, tally: tuple[Any, ...]) -> float:
        total, weight = tally
        return float(total / weight)


def sums(metric: Metric, terms: Array, weight: Array | None) -> tuple[Any, ...]:
    """``Σ w · term`` and ``Σ w``; terms of weight 0 are ignored, even if infinite or NaN."""
    if weight is None:
        return np.sum(terms, dtype=np.float64), float(terms.size)
    whole = weights(metric, weight, terms.shape)
    counts = whole > 0.0
    return np.sum(terms[counts] * whole[counts]), np.sum(whole[counts])


# ----- rows of classes -----------------------------------------------------------------------------------


class Rows(NamedTuple):
    """A split as rows that each belong to one class, without rows of weight 0."""

    scores: Array
    """(rows, classes), or (rows,) for the positive class only"""
    labels: Array
    """(rows,) integers"""
    weight: Array
    """(rows,)"""

    @property
    def classes(self) -> int:
        """The number of classes; 2 if there is one score per row."""
        return 2 if self.scores.ndim == 1 else int(self.scores.shape[1])

    @property
    def decisions(self) -> Array:
        """The likeliest class of each row, ties to the first; for one score per row 1 from 0.5 up."""
        one = self.scores.ndim == 1
        return (self.scores >= 0.5).astype(np.int64) if one else np.argmax(self.scores, axis=-1)


def rows(metric: Metric, prediction: Array, target: Array, weight: Array | None) -> Rows:
    """The rows of a split: sequences are concatenated, and one-hot rows become labels.

    Raises   as ``classified`` and ``weights``, and DataError for target rows that do not add up to 1
    """
    prediction, target, weight, _ = real_terms(prediction, target, weight)
    p, t, is_labels = classified(metric, prediction, target, weight)
    column = is_column(p)
    scores = p.reshape((-1,) if column else (-1, p.shape[-1]))
    labels = t if is_labels else (t >= 0.5).astype(np.int64) if column else np.argmax(t, axis=-1)
    whole = weights(metric, weight, labels.shape).reshape(-1)
    counts = whole > 0.0
    if not is_labels and not column:
        sums = t.sum(axis=-1).reshape(-1)
        wrong = np.flatnonzero(counts & (np.abs(sums - 1.0) > 1e-3))  # rounding of float16 probabilities is less
        if wrong.size:
            raise DataError(
                f"expected target rows that add up to 1, got {sums[wrong[0]]:.6g} in row {wrong[0]}; "
                "give integer labels or one-hot rows, one class per row; for several labels per row use "
                "multilabel(prediction, target), as training with SigmoidCrossEntropy() does",
                layer=type(metric).__name__,
            )
    labels = labels.reshape(-1)
    return Rows(scores, labels, whole) if counts.all() else Rows(scores[counts], labels[counts], whole[counts])


@frozen
class ClassMetric(Tallied):
    """Base of metrics for rows that each belong to one class; a NaN among the predictions makes the score NaN."""

    def tally(
        self, prediction: Array, target: Array, weight: Array | None = None, multilabel: bool = False
    ) -> tuple[Any, ...]:
        split = rows(self, prediction, target, weight)
        return np.count_nonzero(np.isnan(split.scores)), *self.of_rows(split)

    def result(self, tally: tuple[Any, ...]) -> float:
        nans, *parts = tally
        return math.nan if nans else float(self.score(*parts))

    def of_rows(self, split: Rows) -> tuple[Any, ...]:
        """What rows contribute to the score."""
        raise NotDefined(f"{type(self).__name__} does not define of_rows(split)")

    def score(self, *parts: Any) -> float:
        """The score of what all rows contributed."""
        raise NotDefined(f"{type(self).__name__} does not define score(…)")


# ----- several labels per row ------------------------------------------------------------------------------


class Labels(NamedTuple):
    """A split as rows that each have several labels; all arrays are (rows, labels), and 0 where the weight is 0."""

    scores: Array
    held: Array
    """Booleans: whether a row has a label; a target from 0.5 up counts as 1"""
    weight: Array

    @property
    def decisions(self) -> Array:
        """Booleans: a label is predicted from 0.5 up."""
        decided: Array = self.scores >= 0.5
        return decided


def cells(metric: Metric, prediction: Array, target: Array, weight: Array | None) -> tuple[Array, Array, Array]:
    """Prediction, target and weight as (rows, labels).

    Raises   ShapeError for shapes that differ, DataError for targets outside [0, 1], no rows, and as ``weights``
    """
    shape = one_array(prediction, "output", metric).shape
    rows = weight is not None and weight.shape in (shape[:1], shape[:-1])
    p, t = pair(metric, prediction, target, weight, shape[:-1] if rows else shape)
    check_probabilities(t, "targets", metric, OTHERWISE)
    whole = weights(metric, weight, shape[:-1])[..., None] if rows else weights(metric, weight, shape)
    p, t, w = (array.reshape(-1, shape[-1]) for array in (p, t, np.broadcast_to(whole, shape)))
    return p, t, w


@frozen
class LabelMetric(ClassMetric):
    """Base of metrics of rows that each belong to one class, or have several labels."""

    def tally(
        self, prediction: Array, target: Array, weight: Array | None = None, multilabel: bool = False
    ) -> tuple[Any, ...]:
        if not multilabel or is_column(one_array(prediction, "output", self)):
            return super().tally(prediction, target, weight)
        p, t, w = cells(self, prediction, target, weight)
        return np.count_nonzero(np.isnan(p)), *self.of_labels(Labels(p, t >= 0.5, w))

    def of_labels(self, split: Labels) -> tuple[Any, ...]:
        """What rows with several labels contribute to the score."""
        raise NotDefined(f"{type(self).__name__} does not define of_labels(split)")
