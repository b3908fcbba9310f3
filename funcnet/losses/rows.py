"""The base of losses with a term for each row, and losses of rows: Kullback-Leibler divergence, cosine distance."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from funcnet import ops
from funcnet.errors import DataError, NotDefined, ShapeError
from funcnet.key import Array
from funcnet.losses.base import (
    Form,
    Loss,
    cotangent,
    float_terms,
    on_values,
    one_array,
    present,
    real_terms,
    share,
    total_weight,
)
from funcnet.spec.base import Spec, register
from funcnet.spec.fields import frozen


@frozen
class RowLoss(Loss):
    """Base of losses with a term for each row, the numbers of the last axis: ``Σ w · term(p, t) / Σ w``.

    Shapes   prediction and target (batch, …, n); weight (batch,) or (batch, …)
    VJP      dp = dy · w / Σ w · slope
    """

    additive: ClassVar[bool] = True

    def rows(self, target: Array) -> tuple[int, ...]:
        """The shape of the terms: one for each row of the target."""
        return target.shape[:-1]

    def paired(self, prediction: Array, target: Array) -> tuple[Array, Array]:
        """The prediction (…, n) and the target as the terms compare them.

        Raises   ShapeError, DataError for a target that does not fit the prediction
        """
        shape = one_array(prediction, "output", self).shape
        if len(shape) < 2 or target.shape != shape:
            raise ShapeError(
                f"expected a prediction (batch, …, n) and a target of its shape, got {shape} and {target.shape}; "
                "reshape one of them, or change the last layer's units",
                layer=type(self).__name__,
            )
        return prediction, target.astype(prediction.dtype, copy=False)

    def check(self, target: Array, weight: Array | None) -> None:
        """Raise DataError for a target that the terms cannot take, in a row of a weight above 0."""

    def terms(self, prediction: Array, target: Array) -> tuple[Array, tuple[Any, ...]]:
        """The loss of each row, and the arguments of ``slopes``."""
        raise NotDefined(f"{type(self).__name__} does not define terms(prediction, target)")

    def slopes(self, *saved: Any) -> Array:
        """The derivative of each row's term by its prediction (…, n)."""
        raise NotDefined(f"{type(self).__name__} does not define slopes(*saved)")

    def divisor(self, target: Any, weight: Array | None = None) -> float:
        _, target, weight, _ = real_terms(None, target, weight)
        target = one_array(target, "target", self)
        return total_weight(self.rows(target), self.counted(target, weight))

    def apply(
        self, prediction: Any, target: Any, weight: Array | None = None, divisor: float | None = None
    ) -> tuple[Any, Any]:
        prediction, target, weight, masks = float_terms(prediction, target, weight)
        divisor = self.divisor(target, weight) if divisor is None else divisor
        p, t = self.paired(prediction, one_array(target, "target", self))
        weight = self.counted(t, weight)
        if weight is not None:
            weight, p, t = present(weight, p.shape[:-1], p, t, self, self.fill)
        self.check(t, weight)
        terms, saved = self.terms(p, t)
        terms = terms if weight is None else weight * terms
        return np.sum(terms) * share(divisor), (*saved, weight, divisor, masks)

    def vjp(self, residuals: Any, dy: Any = 1.0) -> Any:
        *saved, weight, divisor, masks = residuals
        slope = self.slopes(*saved) * (dy * share(divisor))
        return cotangent(ops.flush(slope if weight is None else weight[..., None] * slope), masks)


def check_distributions(target: Array, owner: Spec) -> None:
    """Raise DataError unless every row has numbers from 0 that add up to 1, within 0.001."""

    def wrong(target: Array) -> Array:
        sums = np.sum(target, axis=-1)
        return np.any(target < 0.0, axis=-1) | (np.abs(sums - 1.0) > 1e-3)

    def error(target: Array) -> DataError:
        where = tuple(int(i) for i in np.argwhere(wrong(target))[0])
        row = target[where].tolist()
        listed = ", ".join(f"{number:g}" for number in row[:8]) + (", …" if len(row) > 8 else "")
        return DataError(
            f"expected probabilities that add up to 1 in each row, got [{listed}] at row {where[0]}; divide a row by "
            "its sum, or for several labels of a row use SigmoidCrossEntropy",
            layer=type(owner).__name__,
        )

    ops.check(~wrong(target), error, target)


@register("kullback_leibler")
@frozen
class KullbackLeibler(RowLoss):
    """On logits z, for targets that are distributions q: the mean over rows of ``Σ_k q_k log(q_k / softmax(z)_k)``.

    It is ``SoftmaxCrossEntropy`` of these targets less their entropy ``-Σ_k q_k log q_k``, which does not depend on z:
    the gradients are equal, and the divergence is 0 where the prediction is the target. ``link`` gives probabilities.

    Shapes   logits and target (batch, …, classes); weight (batch,) or (batch, …)
    VJP      dz = dy · w / Σ w · (softmax(z) - q); negligible values are rounded to 0
    Raises   DataError for target rows that are not probabilities with the sum 1, ShapeError for shapes that differ
    Source   Kullback and Leibler (1951), as KLDivLoss in PyTorch with ``reduction="batchmean"``, on logits

    >>> loss = fn.losses.KullbackLeibler()
    >>> value, residuals = loss.apply(np.zeros((1, 2)), np.array([[0.75, 0.25]]))
    >>> round(float(value), 6), loss.vjp(residuals).tolist()
    (0.130812, [[-0.25, 0.25]])
    """

    expects: ClassVar[Form | None] = "class logits"

    additive: ClassVar[bool] = True

    probabilities: ClassVar[bool] = True

    def paired(self, prediction: Array, target: Array) -> tuple[Array, Array]:
        prediction, target = super().paired(prediction, target)
        if prediction.shape[-1] == 1:
            raise ShapeError(
                "expected a unit for each class, at least two, got one, whose probability is always 1; make the last "
                "layer wider, or use SigmoidCrossEntropy with one unit",
                layer=type(self).__name__,
            )
        return prediction, target

    def check(self, target: Array, weight: Array | None) -> None:
        absent = None if weight is None else (weight == 0.0)[..., None]
        check_distributions(target if absent is None else np.where(absent, 1.0 / target.shape[-1], target), self)

    def terms(self, prediction: Array, target: Array) -> tuple[Array, tuple[Any, ...]]:
        log_p = ops.log_softmax(prediction)
        zero = target == 0.0
        log_q = np.log(np.where(zero, 1.0, target))
        return np.sum(target * (log_q - np.where(zero, 0.0, log_p)), axis=-1), (log_p, target)

    def slopes(self, log_p: Array, q: Array) -> Array:
        return np.exp(log_p) * np.sum(q, axis=-1, keepdims=True) - q

    def link(self, prediction: Any) -> Any:
        return on_values(ops.softmax, prediction)


def directions(x: Array) -> tuple[Array, Array]:
    """The rows divided by their lengths, and the lengths (…, 1), without overflow; a row of length 0 stays 0."""
    size = np.max(np.abs(x), axis=-1, keepdims=True, initial=0.0)
    short = size < np.finfo(x.dtype).tiny
    scaled = np.where(short, 0.0, x / np.where(short, 1.0, size))
    length = np.sqrt(np.sum(scaled * scaled, axis=-1, keepdims=True))
    return scaled / np.where(short, 1.0, length), size * length


@register("cosine_distance")
@frozen
class CosineDistance(RowLoss):
    """The mean over rows of ``1 - cos(p, t)``, with ``cos(p, t) = p·t / (|p| |t|)``: only directions count.

    It is from 0, the same direction, to 2. A row of length 0 has no direction: its cosine is 0, and its gradient too.

    Shapes   prediction and target (batch, …, n); weight (batch,) or (batch, …)
    VJP      dp = dy · w / Σ w · (cos(p, t) p / |p| - t / |t|) / |p|; negligible values are rounded to 0
    Raises   ShapeError for shapes that differ
    Source   CosineEmbeddingLoss in PyTorch for pairs that are alike

    >>> loss = fn.losses.CosineDistance()
    >>> value, residuals = loss.apply(np.array([[2.0, 0.0]]), np.array([[3.0, 4.0]]))
    >>> round(float(value), 6), loss.vjp(residuals).tolist()
    (0.4, [[0.0, -0.4]])
    """

    additive: ClassVar[bool] = True

    def terms(self, prediction: Array, target: Array) -> tuple[Array, tuple[Any, ...]]:
        p, length = directions(prediction)
        t, _ = directions(target)
        cosine = np.sum(p * t, axis=-1, keepdims=True)
        return 1.0 - cosine[..., 0], (p, t, length, cosine)

    def slopes(self, p: Array, t: Array, length: Array, cosine: Array) -> Array:
        zero = length == 0.0
        return np.where(zero, 0.0, (cosine * p - t) / np.where(zero, 1.0, length))
