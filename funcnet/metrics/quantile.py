"""Metrics of predicted quantiles: the pinball loss, and how many targets lie in the predicted interval."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
from attrs import field

from funcnet.errors import DataError, NotDefined, Problem, ShapeError
from funcnet.key import Array
from funcnet.losses.base import one_array, real_terms
from funcnet.losses.quantile import Quantile, by_level, check_levels, levels_of
from funcnet.metrics.base import Mean, present, sums
from funcnet.spec.base import register
from funcnet.spec.fields import frozen


@frozen
class OfQuantiles(Mean):
    """Base of metrics of several predictions for each target, in ascending order."""

    def tally(
        self, prediction: Array, target: Array, weight: Array | None = None, multilabel: bool = False
    ) -> tuple[Any, ...]:
        prediction, target, weight, _ = real_terms(prediction, target, weight)
        prediction = one_array(prediction, "output", self).astype(np.float64)
        target = one_array(target, "target", self)
        if not target.size:
            raise DataError(f"expected at least one row, got shape {target.shape}", layer=type(self).__name__)
        p, t = by_level(prediction, target, self.count(prediction, target), self)
        p, t = present(self, p, t, weight, t.shape)
        return sums(self, self.terms(p, t), weight)

    def count(self, prediction: Array, target: Array) -> int:
        """The number of predictions for each target."""
        raise NotDefined(f"{type(self).__name__} does not define count(prediction, target)")

    def terms(self, prediction: Array, target: Array) -> Array:
        """The term of each target (…), for predictions (…, levels)."""
        raise NotDefined(f"{type(self).__name__} does not define terms(prediction, target)")


@register("pinball")
@frozen
class Pinball(OfQuantiles):
    """Mean pinball loss of predicted quantiles, over targets and ``levels``: ``max(a e, (a - 1) e)``, ``e = t - p``.

    Predictions and levels are as in the loss ``Quantile``, in the target's units. The level 0.5 gives half of ``MAE``.
    Raises   ShapeError for another number of predictions
    Source   mean_pinball_loss in scikit-learn, averaged over the levels

    >>> fn.metrics.Pinball((0.1, 0.9))(np.array([[1.0, 5.0]]), np.array([3.0]))
    0.2
    """

    higher_is_better: ClassVar[bool] = False

    levels: tuple[float, ...] = field(default=(0.5,), converter=levels_of)

    def validate(self) -> Iterator[Problem]:
        yield from check_levels(self.levels)

    def count(self, prediction: Array, target: Array) -> int:
        return len(self.levels)

    def terms(self, prediction: Array, target: Array) -> Array:
        return Quantile(self.levels).terms(prediction, target)[0]


@register("coverage")
@frozen
class Coverage(OfQuantiles):
    """The fraction of targets from the lowest to the highest predicted quantile, bounds included.

    For the levels 0.05 and 0.95 it should be near 0.9.
    Raises   ShapeError for a single prediction for each target

    >>> fn.metrics.Coverage()(np.array([[1.0, 5.0], [1.0, 5.0]]), np.array([3.0, 6.0]))
    0.5
    """

    def count(self, prediction: Array, target: Array) -> int:
        count = prediction.size // target.size
        if count < 2:
            raise ShapeError(
                f"expected two or more quantiles for each target, got predictions {prediction.shape} for targets "
                f"{target.shape}; train with Quantile and two levels, such as (0.05, 0.95)",
                layer=type(self).__name__,
            )
        return count

    def terms(self, prediction: Array, target: Array) -> Array:
        inside: Array = (target >= np.min(prediction, axis=-1)) & (target <= np.max(prediction, axis=-1))
        return np.where(np.any(np.isnan(prediction), axis=-1) | np.isnan(target), np.nan, inside)
