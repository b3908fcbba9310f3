"""Losses for regression: squared, absolute, Huber."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from attrs import field

from funcnet.key import Array
from funcnet.losses.base import (
    ElementwiseLoss,
    Form,
    Loss,
    cotangent,
    elements,
    one_array,
    real_terms,
    share,
    total_weight,
)
from funcnet.spec.base import register
from funcnet.spec.fields import frozen, positive


@register("mean_squared_error")
@frozen
class MeanSquaredError(ElementwiseLoss):
    """``Σ w (p - t)² / Σ w``; its derivative is ``2 (p - t) w / Σ w``.

    >>> value, residuals = fn.losses.MeanSquaredError().apply(np.array([[3.0], [5.0]]), np.array([[1.0], [5.0]]))
    >>> float(value)
    2.0
    """

    expects: ClassVar[Form | None] = "values"

    def term(self, prediction: Array, target: Array) -> Array:
        error = prediction - target
        return error * error

    def slope(self, prediction: Array, target: Array) -> Array:
        return 2.0 * (prediction - target)


@register("half_mean_squared_error")
@frozen
class HalfMeanSquaredError(ElementwiseLoss):
    """``½ Σ w (p - t)² / Σ w``, so that the derivative is the error itself, ``(p - t) w / Σ w``."""

    expects: ClassVar[Form | None] = "values"

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

    The root of a sum is not a sum of roots, so a batch cannot be split into shards.
    """

    expects: ClassVar[Form | None] = "values"

    additive: ClassVar[bool] = False

    def divisor(self, target: Any, weight: Array | None = None) -> float:
        _, target, weight, _ = real_terms(None, target, weight)
        return total_weight(one_array(target, "target", self).shape, weight)

    def apply(
        self, prediction: Any, target: Any, weight: Array | None = None, divisor: float | None = None
    ) -> tuple[Any, Any]:
        prediction, target, weight, divisor, masks = elements(self, prediction, target, weight, divisor)
        error = prediction - target
        terms = error * error if weight is None else weight * (error * error)
        value = np.sqrt(np.sum(terms) * share(divisor))
        return value, (error, weight, divisor, value, masks)

    def vjp(self, residuals: Any, dy: Any = 1.0) -> Any:
        error, weight, divisor, value, masks = residuals
        zero = value == 0.0
        inverse = np.where(zero, 0.0, 1.0 / np.where(zero, np.ones_like(value), value))
        slope = error * (inverse * (dy * share(divisor)))
        return cotangent(slope if weight is None else weight * slope, masks)


@register("mean_absolute_error")
@frozen
class MeanAbsoluteError(ElementwiseLoss):
    """``Σ w |p - t| / Σ w``; the derivative is the sign of the error, 0 at 0."""

    expects: ClassVar[Form | None] = "values"

    def term(self, prediction: Array, target: Array) -> Array:
        return np.abs(prediction - target)

    def slope(self, prediction: Array, target: Array) -> Array:
        return np.sign(prediction - target)


@register("huber")
@frozen
class Huber(ElementwiseLoss):
    """Mean of ``½ e²`` where |e| ≤ delta, else ``delta (|e| - ½ delta)``, with e = p - t.

    The derivative is e clipped to ±delta.
    Source   Huber (1964), as HuberLoss in PyTorch
    """

    expects: ClassVar[Form | None] = "values"

    delta: float = field(default=1.0, validator=positive)

    def term(self, prediction: Array, target: Array) -> Array:
        size = np.abs(prediction - target)
        inside = np.minimum(size, self.delta)
        return inside * (size - 0.5 * inside)

    def slope(self, prediction: Array, target: Array) -> Array:
        return np.clip(prediction - target, -self.delta, self.delta)
