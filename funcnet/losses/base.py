"""Losses: a scalar from predictions and targets, and the cotangent of the predictions.

Every loss is a sum over terms divided by ``divisor``: for a mean the number of terms, or the sum of
their weights; for a sum 1. A term is an element of the prediction, or a row for softmax
cross-entropy. With the divisor of the whole batch, the losses and gradients of its parts add up to
those of the batch. A term of weight 0 is absent: ``present`` replaces it before anything is computed.

A prediction or target may be a padded sequence ``(values, mask)``. The mask becomes the weight of the terms, times the
given weight, so padded steps count in neither the sum nor the divisor, whatever they hold.

A label to ignore works the same way: ``counted`` gives the terms with that target the weight 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from funcnet import ops
from funcnet.errors import DataError, NotDefined, ShapeError
from funcnet.key import Array
from funcnet.layers.sequence import mask_of, real
from funcnet.shapes import Shape, batched, numeric, shape_of, zeros_of
from funcnet.spec.base import Spec, parts_of
from funcnet.spec.fields import frozen
from funcnet.spec.rules import declares


@frozen
class Loss(Spec):
    """Base of every loss."""

    kind: ClassVar[str] = "loss"
    additive: ClassVar[bool] = True
    """Whether the losses of a batch's parts, with the batch's divisor, add up to the batch's loss."""
    weighted: ClassVar[bool] = True
    """Whether it takes weights; if so, training gives it no masks, but weights of 0 for padded steps"""
    probabilities: ClassVar[bool] = False
    """Whether ``link`` gives probabilities: of each class, or of the positive class"""
    independent: ClassVar[bool] = False
    """Whether each number of ``link`` is a probability or score by itself, so that several outputs are several labels,
    each present or absent, rather than classes of which one is right"""
    scores: ClassVar[bool] = False
    """Whether ``link`` gives scores of the classes, not probabilities; the highest decides"""
    threshold: ClassVar[float] = 0.5
    """The least score, or probability, with which one number is the positive class, or a label is present"""

    expects: ClassVar[Any] = None
    """The ``Form`` of the predictions; a tuple for several outputs; None: not said"""
    fill: ClassVar[int] = 0
    """A prediction and target whose term is finite, which stand in for those of weight 0"""
    ignore_label: ClassVar[int | None] = None
    """The target whose terms have weight 0; a field of losses of labels"""

    def counted(self, target: Any, weight: Array | None = None) -> Array | None:
        """The weight of the terms, 0 where the target is the label to ignore; without a weight, a mask of the others.

        The given weight, or None, for a loss without a label to ignore.

        >>> loss = fn.losses.SoftmaxCrossEntropy(ignore_label=-100)
        >>> loss.counted(np.array([2, -100, 0])).tolist()
        [True, False, True]
        """
        target, weight = plain(target), plain(weight)
        if self.ignore_label is None:
            return weight
        counts = target != self.ignore_label
        if counts.ndim == 2 and counts.shape[1] == 1:  # predictions may be (n,) or (n, 1)
            counts = counts[:, 0]
        return counts if weight is None else weighted(weight, counts)

    def divisor(self, target: Any, weight: Array | None = None) -> float:
        """The divisor of the sum over terms."""
        raise NotDefined(f"{type(self).__name__} does not define divisor(target, weight)")

    def apply(
        self, prediction: Any, target: Any, weight: Array | None = None, divisor: float | None = None
    ) -> tuple[Any, Any]:
        """``(value of shape (), residuals)``; ``divisor`` defaults to that of the given targets."""
        raise NotDefined(f"{type(self).__name__} does not define apply(prediction, target, weight, divisor)")

    def vjp(self, residuals: Any, dy: Any = 1.0) -> Any:
        """The cotangent of the prediction, in its shape."""
        raise NotDefined(f"{type(self).__name__} does not define vjp(residuals, dy)")

    def link(self, prediction: Any) -> Any:
        """Probabilities if the prediction is logits, else the prediction itself."""
        return prediction

    def answer(self, prediction: Any) -> Any:
        """What metrics score and a trained network predicts: the link of one prediction, or the mean of several."""
        return self.link(prediction)

    def outputs(self, targets: Sequence[str]) -> list[str]:
        """The names of a network's outputs for targets of these names: the same, unless a target has several."""
        return list(targets)


Form = Literal[
    "values", "log mean", "probability", "logit", "score",
    "class logits", "class log-probabilities", "class scores", "logits",
]  # fmt: skip
"""Predictions of a loss: values like the targets, or the logarithm of their mean; one probability, logit or score per
element; a row over the classes, the last axis; "logits" of one or more classes"""


def expected(loss: Loss) -> Any:
    """What a loss expects. A class that computes something else than its base does not inherit it."""
    return loss.expects if declares(type(loss), "expects", "apply term terms log_probabilities") else None


def classifies(loss: Loss) -> bool:
    """Whether the targets are labels, and answers decide between them."""
    return loss.probabilities or loss.scores


def at_half(loss: Loss, answer: Any) -> Any:
    """An answer as metrics take it: with a threshold of 0.5, in the same order."""
    if loss.threshold == 0.5:
        return answer

    def moved(scores: Array) -> Array:
        half = scores.dtype.type(0.5)
        shifted = scores + (half - scores.dtype.type(loss.threshold))
        below = np.minimum(shifted, np.nextafter(half, -half))
        return np.where(scores >= loss.threshold, np.maximum(shifted, half), below)

    return on_values(moved, answer)


def by_blocks(loss: Loss) -> bool:
    """Whether the loss of a split is surely the sum of those of its blocks, with the divisor of the split.

    A class of yours that defines ``apply`` says so with ``additive = True``.
    """
    return (
        loss.additive
        and declares(type(loss), "additive", "apply")
        and all(by_blocks(part) for part in parts_of(loss) if isinstance(part, Loss))
    )


def share(divisor: float) -> float:
    """``1 / divisor``, or 0 for an empty batch or weights that are all 0, whose loss is 0."""
    return ops.scalar(reciprocal, divisor)


def reciprocal(number: float) -> float:
    """``1 / number``, or 0 if the number is 0."""
    return 1.0 / number if number else 0.0


def one_array(value: Any, what: str, owner: Spec) -> Array:
    """The value itself, which must be one array.

    Raises   ShapeError for several outputs of a network, or several targets
    """
    if isinstance(value, tuple | dict):
        raise ShapeError(
            f"expected one {what} to compare, got the shapes {shape_of(value)}; join outputs with Concat or Sum, "
            "or give each its loss with Multi",
            layer=type(owner).__name__,
        )
    array: Array = value
    return array


def column_of(prediction: Array, target: Array, owner: Spec) -> Array:
    """The target in the prediction's shape and dtype; ``(n,)`` and ``(n, 1)`` count as equal.

    Raises   ShapeError for any other difference, which NumPy might broadcast to (n, n)
    """
    shapes = {one_array(prediction, "output", owner).shape, one_array(target, "target", owner).shape}
    if len(shapes) > 1 and shapes != {prediction.shape[:1], (*prediction.shape[:1], 1)}:
        raise ShapeError(
            f"expected a target of the prediction's shape {prediction.shape}, got {target.shape}; "
            f"{_column_advice(prediction.shape, target.shape, owner)}",
            layer=type(owner).__name__,
        )
    return target.reshape(prediction.shape).astype(prediction.dtype, copy=False)


def _column_advice(prediction: tuple[int, ...], target: tuple[int, ...], owner: Spec) -> str:
    if owner.kind == "loss" and target == prediction[:-1]:
        return "give the last layer one unit for one value, or for labels of classes use SoftmaxCrossEntropy"
    return "reshape one of them, or change the last layer's units"


def spread(weight: Array, shape: tuple[int, ...], dtype: Any, owner: Spec) -> Array:
    """A weight per sample, step or term, in a shape that broadcasts over terms of the given shape.

    Raises   ShapeError for a weight of another shape
    """
    steps = 1 < weight.ndim < len(shape) and weight.shape == shape[: weight.ndim]
    if weight.shape == shape:
        return weight.astype(dtype, copy=False)
    if weight.shape != shape[:1] and not steps:
        allowed = " or ".join(map(str, dict.fromkeys((shape[:1], shape))))
        raise ShapeError(
            f"expected a weight of shape {allowed}, got {weight.shape}; give one weight per sample or term",
            layer=type(owner).__name__,
        )
    return weight.reshape(*weight.shape, *(1,) * (len(shape) - weight.ndim)).astype(dtype, copy=False)


def _negative(weight: Array) -> DataError:
    return DataError(
        f"expected weights of 0 or more, got {float(np.min(weight)):g}: their sum, which the loss is divided by, would "
        "be no number of samples; weights of both signs, such as advantages, need a divisor of your own: divisor=len(x)"
    )


def present(
    weight: Array, shape: tuple[int, ...], prediction: Array, target: Array, owner: Spec, fill: int = 0
) -> tuple[Array, Array, Array]:
    """The weight, spread over terms of the given shape, and the prediction and target with ``fill`` where it is 0.

    So a term of weight 0 counts for nothing in the value and in the gradient, also if it is NaN or infinite, or if its
    target is none. ``fill`` is any prediction and target for which the term and its slope are finite.
    Raises   ShapeError for a weight of another shape
    """
    weight = spread(weight, shape, prediction.dtype, owner)
    return weight, filled(prediction, weight, len(shape), fill), filled(target, weight, len(shape), fill)


def filled(array: Array, weight: Array, axes: int, fill: int = 0) -> Array:
    """An array with ``fill`` where the weight is 0; ``axes`` is the number of axes of the terms."""
    absent = weight == 0.0
    return np.where(absent if array.ndim == axes else absent[..., None], fill, array)


def total_weight(shape: tuple[int, ...], weight: Array | None) -> float:
    """The number of terms, or the sum of their weights; a sample's weight counts for each of its terms."""
    size = math.prod(shape)
    if weight is None:
        return float(size)
    if weight.dtype.kind != "b":
        ops.check((weight >= 0.0) | ~np.isfinite(weight), _negative, weight)
    total: float = ops.number(np.sum(weight, dtype=np.float64))
    return total * (size / weight.size) if weight.size else 0.0


# ----- padded sequences ------------------------------------------------------------------------------


class Masks(NamedTuple):
    """The mask of the terms, and whether the prediction came with one."""

    mask: Any
    paired: bool


def plain(value: Any) -> Any:
    """A value whose arrays are plain: lists become arrays, and a matrix, whose ``*`` is another, an array.

    Raises   DataError for anything but an array of real numbers
    """
    if value is None or (type(value) is np.ndarray and value.dtype.kind in "fiub"):
        return value
    if type(value) is tuple:
        return tuple(map(plain, value))
    if type(value) is dict:
        return {name: plain(part) for name, part in value.items()}
    if ops.recorder(value) is not None or ops.vectorizer(value) is not None:
        return value
    return numeric(value)


def real_terms(prediction: Any, target: Any, weight: Any) -> tuple[Any, Any, Any, Masks]:
    """Prediction, target and weight without the masks of padded sequences, which become weights; and the masks.

    Padded entries become 0. Lists and other array-likes become plain arrays.
    Raises   DataError for anything but an array of real numbers
    """
    prediction, target, weight = plain(prediction), plain(target), plain(weight)
    mask, other = mask_of(prediction), mask_of(target)
    paired = mask is not None
    if mask is None and other is None:
        return prediction, target, weight, Masks(None, False)
    prediction, target = prediction[0] if paired else prediction, target if other is None else target[0]
    mask = other if mask is None else mask if other is None else mask & other
    given = [value for value in (prediction, target) if value is not None]
    if all(hasattr(value, "shape") and value.shape[: mask.ndim] == mask.shape for value in given):
        prediction, target = (value if value is None else real(value, mask) for value in (prediction, target))
        weight = mask if weight is None else weighted(weight, mask)
    return prediction, target, weight, Masks(mask, paired)


def float_terms(prediction: Any, target: Any, weight: Any) -> tuple[Any, Any, Any, Masks]:
    """``real_terms`` with the prediction in a float type for the terms and their sum.

    Integers become float64, since the target and the weight take the prediction's dtype; float16, whose sums overflow
    at 65504, becomes float32.
    """
    prediction, target, weight, masks = real_terms(prediction, target, weight)
    dtype = getattr(prediction, "dtype", np.dtype(np.float64))  # several outputs have none, and are refused later
    if dtype.kind != "f" or dtype.itemsize < 4:
        prediction = prediction.astype(np.float32 if dtype.kind == "f" else np.float64)
    return prediction, target, weight, masks


def compared(loss: Loss, prediction: Any, target: Any, weight: Any) -> tuple[Any, Any, Any, Masks]:
    """``real_terms`` for a loss that takes weights; any other gets the pairs."""
    return real_terms(prediction, target, weight) if loss.weighted else (prediction, target, weight, Masks(None, False))


def weighted(weight: Array, mask: Array) -> Any:
    """A weight for each entry of the mask, or each term, that is 0 where the mask is false."""
    if weight.ndim and weight.shape == mask.shape[: weight.ndim]:
        weight = weight.reshape(*weight.shape, *(1,) * (mask.ndim - weight.ndim))
    elif weight.shape[: mask.ndim] != mask.shape:
        return weight
    return np.where(mask.reshape(*mask.shape, *(1,) * (weight.ndim - mask.ndim)), weight, np.zeros_like(weight))


def cotangent(slope: Array, masks: Masks) -> Any:
    """The cotangent of a prediction, 0 at padded steps, in a pair if the prediction was one."""
    slope = real(slope, masks.mask)
    return (slope, None) if masks.paired else slope


def on_values(f: Callable[[Array], Array], prediction: Any) -> Any:
    """A function of a prediction, or of the values of a padded one, which keeps its mask."""
    mask = mask_of(prediction)
    return f(prediction) if mask is None else (real(f(prediction[0]), mask), mask)


def answer_shape(loss: Loss, out_shape: Shape, dtype: npt.DTypeLike) -> Any:
    """The shape of the answer to a row, for outputs of a shape without the batch's axis."""
    return shape_of(loss.answer(zeros_of(batched(out_shape, 1), dtype)))


# ----- one term per element --------------------------------------------------------------------------


def elements(
    loss: Loss, prediction: Any, target: Any, weight: Array | None, divisor: float | None
) -> tuple[Array, Array, Array | None, float, Masks]:
    """The arguments of a loss of elements: floats of one shape, the weight of each term, and the divisor.

    Raises   ShapeError for shapes that differ
    """
    prediction, target, weight, masks = float_terms(prediction, target, weight)
    divisor = loss.divisor(target, weight) if divisor is None else divisor
    target = column_of(prediction, target, loss)
    weight = loss.counted(target, weight)
    if weight is not None:
        weight, prediction, target = present(weight, prediction.shape, prediction, target, loss, loss.fill)
    return prediction, target, weight, divisor, masks


def check_targets(target: Array, allowed: Callable[[Array], Any], expected: str, owner: Spec, advice: str) -> None:
    """Raise DataError unless every target is allowed; NaN is left to the check of finite losses."""

    def error(target: Array) -> DataError:
        where = tuple(int(i) for i in np.argwhere(~(allowed(target) | np.isnan(target)))[0])
        return DataError(
            f"expected {expected}, got {target[where]} at row {where[0]}; {advice}", layer=type(owner).__name__
        )

    ops.check(allowed(target) | np.isnan(target), error, target)


@frozen
class ElementwiseLoss(Loss):
    """Base of losses that are a mean over elements: ``Σ w · term(p, t) / Σ w``; the term at p = t = ``fill`` is finite.

    Shapes   prediction and target equal, or (n,) and (n, 1); weight (batch,) or the prediction's
    VJP      dp = dy · w / Σ w · slope(p, t)
    """

    additive: ClassVar[bool] = True

    def term(self, prediction: Array, target: Array) -> Array:
        """The loss of one element."""
        raise NotDefined(f"{type(self).__name__} does not define term(prediction, target)")

    def slope(self, prediction: Array, target: Array) -> Array:
        """∂term/∂prediction"""
        raise NotDefined(f"{type(self).__name__} does not define slope(prediction, target)")

    def divisor(self, target: Any, weight: Array | None = None) -> float:
        _, target, weight, _ = real_terms(None, target, weight)
        target = one_array(target, "target", self)
        return total_weight(target.shape, self.counted(target, weight))

    def apply(
        self, prediction: Any, target: Any, weight: Array | None = None, divisor: float | None = None
    ) -> tuple[Any, Any]:
        prediction, target, weight, divisor, masks = elements(self, prediction, target, weight, divisor)
        terms = self.term(prediction, target)
        terms = terms if weight is None else weight * terms
        return np.sum(terms) * share(divisor), (prediction, target, weight, divisor, masks)

    def vjp(self, residuals: Any, dy: Any = 1.0) -> Any:
        prediction, target, weight, divisor, masks = residuals
        slope = self.slope(prediction, target) * (dy * share(divisor))
        return cotangent(slope if weight is None else weight * slope, masks)
