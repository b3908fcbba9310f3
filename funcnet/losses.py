"""Losses: a scalar from predictions and targets, and the cotangent of the predictions.

Every loss is a sum over terms divided by ``divisor``: for a mean the number of terms, or the sum of
their weights; for a sum 1. A term is an element of the prediction, or a row for softmax
cross-entropy. Passing the whole batch's divisor to the parts of a batch makes their losses and
gradients add up to the whole batch's.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
from attrs import field

from funcnet import ops
from funcnet.errors import DataError, Problem, ShapeError
from funcnet.key import Array
from funcnet.layer import shape_of
from funcnet.spec import Spec, fraction, frozen, positive, register


@frozen
class Loss(Spec):
    """Base of every loss."""

    kind: ClassVar[str] = "loss"
    additive: ClassVar[bool] = True
    """Whether the losses of a batch's parts, given the whole's divisor, add up to the whole's."""
    probabilities: ClassVar[bool] = False
    """Whether ``link`` gives probabilities: of each class, or of one"""

    def divisor(self, target: Any, weight: Array | None = None) -> float:
        """What the sum over terms is divided by."""
        raise TypeError(f"{type(self).__name__} does not define divisor(target, weight)")

    def apply(
        self, prediction: Any, target: Any, weight: Array | None = None, divisor: float | None = None
    ) -> tuple[Any, Any]:
        """``(value of shape (), residuals)``; ``divisor`` defaults to that of the targets given."""
        raise TypeError(f"{type(self).__name__} does not define apply(prediction, target, weight, divisor)")

    def vjp(self, residuals: Any, dy: Any = 1.0) -> Any:
        """The cotangent of the prediction, in its shape."""
        raise TypeError(f"{type(self).__name__} does not define vjp(residuals, dy)")

    def link(self, prediction: Any) -> Any:
        """Probabilities where the prediction is logits, else the prediction itself."""
        return prediction


def share(divisor: float) -> float:
    """``1 / divisor``; 0 for an empty batch or weights that are all 0, whose loss is 0."""
    return ops.scalar(reciprocal, divisor)


def reciprocal(number: float) -> float:
    """``1 / number``, and 0 for 0."""
    return 1.0 / number if number else 0.0


def one_array(value: Any, what: str, owner: Spec) -> Array:
    """The value itself, where it is one array.

    Raises   ShapeError for the several outputs of a network, or several targets
    """
    if isinstance(value, tuple | dict):
        raise ShapeError(
            f"expected one {what} to compare, got the shapes {shape_of(value)}; join outputs with Concat() or Sum()",
            layer=type(owner).__name__,
        )
    array: Array = value
    return array


def column_of(prediction: Array, target: Array, owner: Spec) -> Array:
    """The target in the prediction's shape and dtype; ``(n,)`` and ``(n, 1)`` count as one.

    Raises   ShapeError for any other difference, which NumPy might broadcast to (n, n)
    """
    shapes = {one_array(prediction, "output", owner).shape, one_array(target, "target", owner).shape}
    if len(shapes) > 1 and shapes != {prediction.shape[:1], (*prediction.shape[:1], 1)}:
        raise ShapeError(
            f"expected a target of the prediction's shape {prediction.shape}, got {target.shape}; "
            "reshape one of them, or change the last layer's units",
            layer=type(owner).__name__,
        )
    return target.reshape(prediction.shape).astype(prediction.dtype, copy=False)


def spread(weight: Array, shape: tuple[int, ...], dtype: Any, owner: Spec) -> Array:
    """A weight per sample, or per term, in a form that broadcasts over terms of the given shape.

    Raises   ShapeError for a weight of another shape
    """
    if weight.shape == shape:
        return weight.astype(dtype, copy=False)
    if weight.shape != shape[:1]:
        raise ShapeError(
            f"expected a weight of shape {shape[:1]} or {shape}, got {weight.shape}; "
            "give one weight per sample or term",
            layer=type(owner).__name__,
        )
    return weight.reshape(-1, *(1,) * (len(shape) - 1)).astype(dtype, copy=False)


def total_weight(shape: tuple[int, ...], weight: Array | None) -> float:
    """The number of terms, or the sum of their weights; a sample's weight counts for each of its terms."""
    size = math.prod(shape)
    if weight is None:
        return float(size)
    total: float = ops.number(np.sum(weight, dtype=np.float64))
    return total * (size / weight.size) if weight.size else 0.0


# ----- one term an element ---------------------------------------------------------------------------


@frozen
class ElementwiseLoss(Loss):
    """Base of losses that are a mean over elements: ``Σ w · term(p, t) / Σ w``.

    Shapes   prediction and target equal, or (n,) and (n, 1); weight (batch,) or the prediction's
    VJP      dp = dy · w / Σ w · slope(p, t)
    """

    def term(self, prediction: Array, target: Array) -> Array:
        """The loss of one element."""
        raise TypeError(f"{type(self).__name__} does not define term(prediction, target)")

    def slope(self, prediction: Array, target: Array) -> Array:
        """∂term/∂prediction"""
        raise TypeError(f"{type(self).__name__} does not define slope(prediction, target)")

    def divisor(self, target: Any, weight: Array | None = None) -> float:
        return total_weight(one_array(target, "target", self).shape, weight)

    def apply(
        self, prediction: Any, target: Any, weight: Array | None = None, divisor: float | None = None
    ) -> tuple[Any, Any]:
        divisor = self.divisor(target, weight) if divisor is None else divisor
        target = column_of(prediction, target, self)
        terms = self.term(prediction, target)
        if weight is not None:
            weight = spread(weight, prediction.shape, prediction.dtype, self)
            terms = weight * terms
        return np.sum(terms) * share(divisor), (prediction, target, weight, divisor)

    def vjp(self, residuals: Any, dy: Any = 1.0) -> Any:
        prediction, target, weight, divisor = residuals
        slope = self.slope(prediction, target) * (dy * share(divisor))
        return slope if weight is None else weight * slope


@register("mean_squared_error")
@frozen
class MeanSquaredError(ElementwiseLoss):
    """``Σ w (p - t)² / Σ w``; its derivative is ``2 (p - t) w / Σ w``.

    >>> value, residuals = fn.losses.MeanSquaredError().apply(np.array([[3.0], [5.0]]), np.array([[1.0], [5.0]]))
    >>> float(value)
    2.0
    """

    def term(self, prediction: Array, target: Array) -> Array:
        error = prediction - target
        return error * error

    def slope(self, prediction: Array, target: Array) -> Array:
        return 2.0 * (prediction - target)


@register("half_mean_squared_error")
@frozen
class HalfMeanSquaredError(ElementwiseLoss):
    """``½ Σ w (p - t)² / Σ w``, so that the derivative is the error itself, ``(p - t) w / Σ w``."""

    def term(self, prediction: Array, target: Array) -> Array:
        error = prediction - target
        return 0.5 * (error * error)

    def slope(self, prediction: Array, target: Array) -> Array:
        return prediction - target


@register("sum_squared_error")
@frozen
class SumSquaredError(MeanSquaredError):
    """``Σ w (p - t)²``: a sum, so the gradient grows with the batch."""

    def divisor(self, target: Any, weight: Array | None = None) -> float:
        return 1.0


@register("half_sum_squared_error")
@frozen
class HalfSumSquaredError(HalfMeanSquaredError):
    """``½ Σ w (p - t)²``"""

    def divisor(self, target: Any, weight: Array | None = None) -> float:
        return 1.0


@register("root_mean_squared_error")
@frozen
class RootMeanSquaredError(Loss):
    """``L = √(Σ w (p - t)² / Σ w)``; its derivative is ``w (p - t) / (L Σ w)``, and 0 where L = 0.

    The root of a sum is not a sum of roots, so a batch cannot be cut into shards.
    """

    additive: ClassVar[bool] = False

    def divisor(self, target: Any, weight: Array | None = None) -> float:
        return total_weight(one_array(target, "target", self).shape, weight)

    def apply(
        self, prediction: Any, target: Any, weight: Array | None = None, divisor: float | None = None
    ) -> tuple[Any, Any]:
        divisor = self.divisor(target, weight) if divisor is None else divisor
        error = prediction - column_of(prediction, target, self)
        weight = None if weight is None else spread(weight, prediction.shape, prediction.dtype, self)
        terms = error * error if weight is None else weight * (error * error)
        value = np.sqrt(np.sum(terms) * share(divisor))
        return value, (error, weight, divisor, value)

    def vjp(self, residuals: Any, dy: Any = 1.0) -> Any:
        error, weight, divisor, value = residuals
        zero = value == 0.0
        inverse = np.where(zero, 0.0, 1.0 / np.where(zero, np.ones_like(value), value))
        slope = error * (inverse * (dy * share(divisor)))
        return slope if weight is None else weight * slope


@register("mean_absolute_error")
@frozen
class MeanAbsoluteError(ElementwiseLoss):
    """``Σ w |p - t| / Σ w``; the derivative is the sign of the error, 0 at 0."""

    def term(self, prediction: Array, target: Array) -> Array:
        return np.abs(prediction - target)

    def slope(self, prediction: Array, target: Array) -> Array:
        return np.sign(prediction - target)


@register("huber")
@frozen
class Huber(ElementwiseLoss):
    """Mean of ``½ e²`` where |e| ≤ delta, else ``delta (|e| - ½ delta)``, with e = p - t.

    The derivative is e clipped to ±delta.
    Source   Huber (1964), as PyTorch's HuberLoss
    """

    delta: float = field(default=1.0, validator=positive)

    def term(self, prediction: Array, target: Array) -> Array:
        size = np.abs(prediction - target)
        inside = np.minimum(size, self.delta)
        return inside * (size - 0.5 * inside)

    def slope(self, prediction: Array, target: Array) -> Array:
        return np.clip(prediction - target, -self.delta, self.delta)


def check_probabilities(values: Array, name: str, owner: Spec, advice: str) -> None:
    """Raise DataError unless every value lies in [0, 1]."""

    def error(values: Array) -> DataError:
        bad = values[~((values >= 0.0) & (values <= 1.0))]
        return DataError(f"expected {name} between 0 and 1, got {bad.flat[0]}; {advice}", layer=type(owner).__name__)

    ops.check((values >= 0.0) & (values <= 1.0) | np.isnan(values), error, values)


def check_labels(labels: Array, classes: int, owner: Spec) -> None:
    """Raise DataError unless every label is one of the classes."""

    def error(labels: Array) -> DataError:
        where = tuple(int(i) for i in np.argwhere((labels < 0) | (labels >= classes))[0])
        return DataError(
            f"expected labels from 0 to {classes - 1}, got {labels[where]} at row {where[0]}; "
            "renumber the labels, or give the last layer one unit for each class",
            layer=type(owner).__name__,
        )

    ops.check((labels >= 0) & (labels < classes), error, labels)


@register("binary_cross_entropy")
@frozen
class BinaryCrossEntropy(ElementwiseLoss):
    """On probabilities: the mean of ``-(t log p + (1 - t) log(1 - p))``.

    At p = 0 and 1 it stays finite as PyTorch's does: the logarithms are clipped below at -100, and the
    derivative ``(p - t) / (p (1 - p))`` has its denominator clipped below at 1e-12.
    Raises   DataError for predictions or targets outside [0, 1]
    """

    probabilities: ClassVar[bool] = True

    def term(self, prediction: Array, target: Array) -> Array:
        check_probabilities(target, "targets", self, "give 0 and 1, or probabilities")
        check_probabilities(prediction, "probabilities", self, "for logits use SigmoidCrossEntropy()")
        zero, one = prediction == 0.0, prediction == 1.0
        log_p = np.maximum(np.log(np.where(zero, 1.0, prediction)), -100.0)
        log_q = np.maximum(np.log1p(-np.where(one, 0.0, prediction)), -100.0)
        return -(target * np.where(zero, -100.0, log_p) + (1.0 - target) * np.where(one, -100.0, log_q))

    def slope(self, prediction: Array, target: Array) -> Array:
        return (prediction - target) / np.maximum(prediction * (1.0 - prediction), 1e-12)


# ----- cross-entropy on logits --------------------------------------------------------------------------


@register("sigmoid_cross_entropy")
@frozen
class SigmoidCrossEntropy(ElementwiseLoss):
    """On logits z: the mean of ``-(t log σ(z) + (1 - t) log(1 - σ(z))) = max(z, 0) - z t + log(1 + exp(-|z|))``.

    The derivative is ``σ(z) - t``; where a confident prediction makes it too small to matter it is 0.
    Raises   DataError for targets outside [0, 1]
    """

    probabilities: ClassVar[bool] = True

    def term(self, prediction: Array, target: Array) -> Array:
        check_probabilities(target, "targets", self, "give 0 and 1, or probabilities")
        return np.maximum(prediction, 0.0) - prediction * target + np.log1p(np.exp(-np.abs(prediction)))

    def slope(self, prediction: Array, target: Array) -> Array:
        return ops.sigmoid(prediction) - target

    def vjp(self, residuals: Any, dy: Any = 1.0) -> Any:
        return ops.flush(super().vjp(residuals, dy))

    def link(self, prediction: Any) -> Any:
        return ops.sigmoid(prediction)


@register("softmax_cross_entropy")
@frozen
class SoftmaxCrossEntropy(Loss):
    """On logits: the mean over rows of ``-Σ_k q_k log softmax(z)_k``.

    The target is integer labels, ``(batch, …)`` beside logits ``(batch, …, classes)``, or probabilities
    q in the logits' shape. With smoothing s, ``q ← (1 - s) q + s / classes``.
    VJP      dz = dy · w / Σ w · (softmax(z) Σ_k q_k - q); values too small to matter are 0
    Raises   DataError for labels outside 0 … classes - 1 or not integers, ShapeError for shapes that differ
    Source   smoothing: Szegedy et al. (2016), as PyTorch's

    >>> loss = fn.losses.SoftmaxCrossEntropy()
    >>> logits, labels = np.zeros((2, 4)), np.array([0, 3])
    >>> value, residuals = loss.apply(logits, labels)
    >>> bool(np.isclose(value, np.log(4))), loss.vjp(residuals)[0].tolist()
    (True, [-0.375, 0.125, 0.125, 0.125])
    """

    probabilities: ClassVar[bool] = True

    label_smoothing: float = field(default=0.0, validator=fraction)

    def rows(self, target: Array) -> tuple[int, ...]:
        """The shape of the terms: labels are one each, probabilities one a row."""
        return target.shape[:-1] if target.dtype.kind == "f" else target.shape

    def divisor(self, target: Any, weight: Array | None = None) -> float:
        return total_weight(self.rows(one_array(target, "target", self)), weight)

    def apply(
        self, prediction: Any, target: Any, weight: Array | None = None, divisor: float | None = None
    ) -> tuple[Any, Any]:
        q, mass = self.distribution(prediction, target)
        divisor = self.divisor(target, weight) if divisor is None else divisor
        log_p = self.log_probabilities(prediction)
        terms = -np.sum(q * np.where(q == 0.0, 0.0, log_p), axis=-1)  # a masked class has log_p = -inf
        if weight is not None:
            weight = spread(weight, terms.shape, prediction.dtype, self)
            terms = weight * terms
        return np.sum(terms) * share(divisor), (log_p, q, mass, weight, divisor)

    def vjp(self, residuals: Any, dy: Any = 1.0) -> Any:
        log_p, q, mass, weight, divisor = residuals
        slope = self.slope(log_p, q, mass)
        slope = slope * (dy * share(divisor))
        return ops.flush(slope if weight is None else weight[..., None] * slope)

    def log_probabilities(self, prediction: Array) -> Array:
        """The logarithms of the probabilities that a prediction stands for."""
        return ops.log_softmax(prediction)

    def slope(self, log_p: Array, q: Array, mass: Any) -> Array:
        """The cotangent of a prediction, but for weights; mass is the sum of q."""
        return np.exp(log_p) * mass - q

    def link(self, prediction: Any) -> Any:
        return ops.softmax(prediction)

    def distribution(self, prediction: Array, target: Array) -> tuple[Array, Any]:
        """q, the target's probabilities in the prediction's shape and dtype, and their sum for each row"""
        one_array(prediction, "output", self)
        name, shape = type(self).__name__, prediction.shape
        if len(shape) < 2 or target.shape not in (shape, shape[:-1]):
            raise ShapeError(
                f"expected labels of shape {shape[:-1]} or probabilities of shape {shape}, "
                f"got {target.shape}; reshape the target, or change the last layer's units",
                layer=name,
            )
        if target.shape == shape:
            if target.dtype.kind != "f":
                message = f"expected target probabilities as floats, got {target.dtype}; convert them: y.astype(float)"
                raise DataError(message, layer=name)
            check_probabilities(target, "target probabilities", self, "for class labels give integers")
            q, labels = target.astype(prediction.dtype, copy=False), False
        else:
            if target.dtype.kind == "f":
                raise DataError(f"expected integer labels, got {target.dtype}; convert them: y.astype(int)", layer=name)
            check_labels(target, shape[-1], self)
            q, labels = (target[..., None] == np.arange(shape[-1])).astype(prediction.dtype), True
        classes = shape[-1]
        s = self.label_smoothing
        q = (1.0 - s) * q + s / classes if s else q
        return q, 1.0 if labels and not s else np.sum(q, axis=-1, keepdims=True)


@register("negative_log_likelihood")
@frozen
class NegativeLogLikelihood(SoftmaxCrossEntropy):
    """On log-probabilities, such as ``LogSoftmax`` gives: the mean over rows of ``-Σ_k q_k z_k``.

    Targets as in ``SoftmaxCrossEntropy``, which takes the two steps in one.
    VJP      dz = -dy · w / Σ w · q
    Raises   as SoftmaxCrossEntropy
    """

    def log_probabilities(self, prediction: Array) -> Array:
        return prediction

    def slope(self, log_p: Array, q: Array, mass: Any) -> Array:
        return -q

    def link(self, prediction: Any) -> Any:
        return np.exp(prediction)


# ----- losses of several outputs ----------------------------------------------------------------------------


@register("multi")
@frozen
class Multi(Loss):
    """The losses of several outputs, weighted and added up: ``Σ_i weights_i · loss_i(prediction_i, target_i)``.

    Shapes   predictions and targets are tuples in the order of the losses; weight is (batch,), for all of them
    VJP      dp_i = weights_i · dy · that of loss_i
    Raises   ShapeError for another number of outputs or targets
    """

    losses: tuple[Loss, ...]
    weights: tuple[float, ...] | None = None

    def validate(self) -> Iterator[Problem]:
        if not self.losses:
            yield Problem(".losses", "expected at least one loss")
        if self.weights is not None and len(self.weights) != len(self.losses):
            yield Problem(".weights", f"expected {len(self.losses)}, one for each loss, got {len(self.weights)}")
        for i, loss in enumerate(self.losses):
            if not loss.additive:
                yield Problem(f".losses[{i}]", f"{type(loss).__name__} of a batch is not a sum over its parts")

    def parts(self, value: Any, what: str) -> tuple[Any, ...]:
        """The outputs or targets, one for each loss."""
        if not isinstance(value, tuple) or len(value) != len(self.losses):
            raise ShapeError(
                f"expected a tuple of {len(self.losses)} {what}, one for each loss, got {shape_of(value)}",
                layer="Multi",
            )
        return value

    def divisor(self, target: Any, weight: Array | None = None) -> Any:
        """The divisors of the losses, a tuple of numbers."""
        return tuple(
            loss.divisor(part, weight) for loss, part in zip(self.losses, self.parts(target, "targets"), strict=True)
        )

    def apply(self, prediction: Any, target: Any, weight: Array | None = None, divisor: Any = None) -> tuple[Any, Any]:
        predictions, targets = self.parts(prediction, "outputs"), self.parts(target, "targets")
        divisors = (None,) * len(self.losses) if divisor is None else divisor
        total, residuals = None, []
        each = zip(self.losses, self.factors(), predictions, targets, divisors, strict=True)
        for loss, factor, p, t, d in each:
            value, saved = loss.apply(p, t, weight, d)
            total = value * factor if total is None else total + value * factor
            residuals.append(saved)
        return total, tuple(residuals)

    def factors(self) -> tuple[float, ...]:
        """The weight of each loss."""
        return (1.0,) * len(self.losses) if self.weights is None else self.weights

    def vjp(self, residuals: Any, dy: Any = 1.0) -> Any:
        return tuple(
            loss.vjp(saved, dy * factor)
            for loss, factor, saved in zip(self.losses, self.factors(), residuals, strict=True)
        )

    def link(self, prediction: Any) -> Any:
        return tuple(loss.link(p) for loss, p in zip(self.losses, self.parts(prediction, "outputs"), strict=True))


@register("each_member")
@frozen
class EachMember(Loss):
    """The losses of all members of an ensemble against one target, added up: ``Σ_m loss(prediction[:, m], target)``.

    So the gradient of each member is exactly that of training it alone.

    Shapes   prediction (batch, members, …), target as the loss takes it for (batch, …)
    VJP      dp[:, m] = that of the loss
    Raises   ShapeError for a prediction without members
    """

    loss: Loss

    def validate(self) -> Iterator[Problem]:
        if not self.loss.additive:
            yield Problem(".loss", f"{type(self.loss).__name__} of a batch is not a sum over its parts")

    def members(self, prediction: Any) -> int:
        """How many members there are."""
        array = one_array(prediction, "output", self)
        if array.ndim < 2:
            raise ShapeError(
                f"expected predictions (batch, members, …), got shape {array.shape}; end the network by an Ensemble",
                layer="EachMember",
            )
        return int(array.shape[1])

    def divisor(self, target: Any, weight: Array | None = None) -> float:
        return self.loss.divisor(target, weight)

    def apply(
        self, prediction: Any, target: Any, weight: Array | None = None, divisor: float | None = None
    ) -> tuple[Any, Any]:
        members = self.members(prediction)
        divisor = self.divisor(target, weight) if divisor is None else divisor

        def repeated(array: Array) -> Array:
            """A row for each member of each sample."""
            spread = np.broadcast_to(np.expand_dims(array, 1), (array.shape[0], members, *array.shape[1:]))
            return spread.reshape(array.shape[0] * members, *array.shape[1:])

        flat = prediction.reshape(prediction.shape[0] * members, *prediction.shape[2:])
        value, saved = self.loss.apply(flat, repeated(target), None if weight is None else repeated(weight), divisor)
        return value, (saved, prediction.shape)

    def vjp(self, residuals: Any, dy: Any = 1.0) -> Any:
        saved, shape = residuals
        return self.loss.vjp(saved, dy).reshape(shape)

    def link(self, prediction: Any) -> Any:
        members = self.members(prediction)
        flat = prediction.reshape(prediction.shape[0] * members, *prediction.shape[2:])
        return self.loss.link(flat).reshape(prediction.shape)
