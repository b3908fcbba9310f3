"""Losses for targets that are counts or amounts: Poisson, Gamma, Tweedie, on the logarithm of the mean.

The network's output is ``z = log μ``, any number; ``link`` gives the mean ``μ = exp(z)``, at most the largest float.
Parts that do not depend on z are left out. A term beyond the largest float is infinite, which training refuses.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from attrs import field

from funcnet.key import Array
from funcnet.losses.base import ElementwiseLoss, Form, check_targets, on_values
from funcnet.spec.base import register
from funcnet.spec.fields import Range, frozen


@frozen
class LogMeanLoss(ElementwiseLoss):
    """Base of losses on the logarithm of a mean; ``link`` gives the mean."""

    expects: ClassVar[Form | None] = "log mean"

    def link(self, prediction: Any) -> Any:
        return on_values(_mean, prediction)


def _mean(z: Array) -> Array:
    """``exp(z)``, or nearly the largest float where it is larger."""
    most = np.log(np.finfo(z.dtype).max)
    return np.exp(np.minimum(z, np.nextafter(most, np.zeros_like(most))))


@register("poisson")
@frozen
class Poisson(LogMeanLoss):
    """For counts: the mean of ``exp(z) - t z``; the derivative is ``exp(z) - t``.

    Targets need not be whole numbers, so rates work as well, with the exposure as weight.
    Raises   DataError for targets below 0
    Source   half the Poisson deviance but for a constant, as PoissonNLLLoss in PyTorch and in scikit-learn

    >>> loss = fn.losses.Poisson()
    >>> value, residuals = loss.apply(np.zeros((2, 1)), np.array([[3.0], [0.0]]))
    >>> float(value), loss.vjp(residuals).tolist(), loss.link(np.zeros(1)).tolist()
    (1.0, [[-1.0], [0.5]], [1.0])
    """

    expects: ClassVar[Form | None] = "log mean"

    def term(self, prediction: Array, target: Array) -> Array:
        advice = "counts are not scaled; for other values use MeanSquaredError"
        check_targets(target, lambda t: t >= 0.0, "targets of 0 or more", self, advice)
        return np.exp(prediction) - target * prediction

    def slope(self, prediction: Array, target: Array) -> Array:
        return np.exp(prediction) - target


@register("gamma")
@frozen
class Gamma(LogMeanLoss):
    """For positive amounts: the mean of ``z + t exp(-z)``; the derivative is ``1 - t exp(-z)``.

    Raises   DataError for targets of 0 or below
    Source   half the Gamma deviance but for a constant, as in scikit-learn
    """

    expects: ClassVar[Form | None] = "log mean"

    fill: ClassVar[int] = 1

    def term(self, prediction: Array, target: Array) -> Array:
        advice = "amounts are not scaled; if some are 0 use Tweedie"
        check_targets(target, lambda t: t > 0.0, "targets above 0", self, advice)
        return prediction + target * np.exp(-prediction)

    def slope(self, prediction: Array, target: Array) -> Array:
        return 1.0 - target * np.exp(-prediction)


@register("tweedie")
@frozen
class Tweedie(LogMeanLoss):
    """For amounts of which many are 0: the mean of ``exp((2 - p) z) / (2 - p) + t exp((1 - p) z) / (p - 1)``.

    The power p lies between 1, which is Poisson, and 2, which is Gamma: the variance grows as ``μ^p``.
    The derivative is ``exp((2 - p) z) - t exp((1 - p) z)``.
    Raises   DataError for targets below 0
    Source   half the Tweedie deviance but for a constant, as in scikit-learn
    """

    expects: ClassVar[Form | None] = "log mean"

    power: float = field(
        default=1.5,
        validator=Range("above 1 and below 2", lambda p: 1 < p < 2, exclusiveMinimum=1, exclusiveMaximum=2),
    )

    def term(self, prediction: Array, target: Array) -> Array:
        advice = "amounts are not scaled; for other values use MeanSquaredError"
        check_targets(target, lambda t: t >= 0.0, "targets of 0 or more", self, advice)
        up, down = 2.0 - self.power, self.power - 1.0
        # without a product 0 · inf, where a target of 0 meets a mean close to 0
        fall = np.where(target == 0.0, 0.0, np.exp(-down * np.where(target == 0.0, 0.0, prediction)))
        return np.exp(up * prediction) / up + target * fall / down

    def slope(self, prediction: Array, target: Array) -> Array:
        up, down = 2.0 - self.power, self.power - 1.0
        fall = np.where(target == 0.0, 0.0, np.exp(-down * np.where(target == 0.0, 0.0, prediction)))
        return np.exp(up * prediction) - target * fall
