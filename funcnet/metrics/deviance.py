"""The deviance of predicted means of counts or amounts."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from attrs import field

from funcnet.key import Array
from funcnet.losses.base import check_targets, real_terms
from funcnet.metrics.base import Mean, pair, sums, weights
from funcnet.spec.base import register
from funcnet.spec.fields import Range, frozen


@register("deviance")
@frozen
class Deviance(Mean):
    """Mean deviance of means μ from targets t of a Tweedie distribution, whose variance grows as ``μ^power``.

    ``power=1`` is Poisson, ``2 (t log(t / μ) - t + μ)``; ``power=2`` is Gamma, ``2 (log(μ / t) + t / μ - 1)``; between
    them ``2 (t^(2-p) / ((1-p) (2-p)) - t μ^(1-p) / (1-p) + μ^(2-p) / (2-p))``. It is 0 where μ = t, and infinite where
    the mean is 0 and the target is not.
    Raises   DataError for predictions or targets below 0, and for a target of 0 with ``power=2``
    Source   mean_tweedie_deviance in scikit-learn, which refuses means of 0

    >>> round(fn.metrics.Deviance()(np.array([1.0, 2.0]), np.array([0.0, 2.0])), 6)
    1.0
    """

    higher_is_better: ClassVar[bool] = False

    power: float = field(
        default=1.0, validator=Range("at least 1 and at most 2", lambda p: 1 <= p <= 2, minimum=1, maximum=2)
    )

    def tally(
        self, prediction: Array, target: Array, weight: Array | None = None, multilabel: bool = False
    ) -> tuple[Any, ...]:
        prediction, target, weight, _ = real_terms(prediction, target, weight)
        mean, t = pair(self, prediction, target, weight)
        if weight is not None:
            counts = weights(self, weight, mean.shape) > 0.0
            mean, t = np.where(counts, mean, 1.0), np.where(counts, t, 1.0)
        advice = "for other values use RMSE, MAE or R2"
        check_targets(mean, lambda v: v >= 0.0, "predicted means of 0 or more", self, advice)
        if self.power == 2.0:
            check_targets(t, lambda v: v > 0.0, "targets above 0", self, "if some are 0 use a power below 2")
        else:
            check_targets(t, lambda v: v >= 0.0, "targets of 0 or more", self, advice)
        return sums(self, 2.0 * self.terms(mean, t), weight)

    def terms(self, mean: Array, t: Array) -> Array:
        """Half the deviance of each element."""
        p = self.power
        zero = t == 0.0
        if p == 1.0:
            return np.where(np.isinf(mean), mean, np.where(zero, 0.0, t * np.log(t / mean)) - t + mean)
        if p == 2.0:
            ratio = t / mean
            return np.where(np.isinf(ratio), ratio, ratio - np.log(ratio) - 1.0)
        fall = np.where(zero, 0.0, t * mean ** (1.0 - p))
        return t ** (2.0 - p) / ((1.0 - p) * (2.0 - p)) - fall / (1.0 - p) + mean ** (2.0 - p) / (2.0 - p)
