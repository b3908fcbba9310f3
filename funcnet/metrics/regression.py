"""Metrics for regression: predictions are numbers in the target's shape."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import numpy as np

from funcnet.errors import NotDefined
from funcnet.key import Array
from funcnet.losses.base import real_terms
from funcnet.metrics.base import Mean, Tallied, pair, sums, weights
from funcnet.spec.base import register
from funcnet.spec.fields import frozen


@frozen
class OfErrors(Mean):
    """Base of metrics of the mean of a function of the errors."""

    higher_is_better: ClassVar[bool] = False

    def tally(
        self, prediction: Array, target: Array, weight: Array | None = None, multilabel: bool = False
    ) -> tuple[Any, ...]:
        prediction, target, weight, _ = real_terms(prediction, target, weight)
        p, t = pair(self, prediction, target, weight)
        return sums(self, self.term(p - t), weight)

    def term(self, error: Array) -> Array:
        """The term of each element."""
        raise NotDefined(f"{type(self).__name__} does not define term(error)")


@register("rmse")
@frozen
class RMSE(OfErrors):
    """Root of the mean squared error, in the target's units."""

    def term(self, error: Array) -> Array:
        return error**2

    def result(self, tally: tuple[Any, ...]) -> float:
        return super().result(tally) ** 0.5


@register("mae")
@frozen
class MAE(OfErrors):
    """Mean absolute error, in the target's units."""

    def term(self, error: Array) -> Array:
        return np.abs(error)


class Spread(NamedTuple):
    """The values of each column, summed up; they are added by the formulas of Chan, Golub and LeVeque (1979)."""

    weight: Array
    mean: Array
    squares: Array
    """Σ w (value - mean)²"""
    raw: Array
    """Σ w value²"""
    low: Array
    high: Array

    @staticmethod
    def of(values: Array, w: Array) -> Spread:
        """That of values (rows, columns) with weights in their shape; exactly 0 for a constant column."""
        counts = w > 0.0
        low, high = np.min(values, 0, where=counts, initial=np.inf), np.max(values, 0, where=counts, initial=-np.inf)
        weight = np.sum(w, axis=0)
        mean = np.sum(w * values, axis=0) / np.where(weight > 0.0, weight, 1.0)
        centred = np.where(low == high, 0.0, values - mean)
        return Spread(weight, mean, np.sum(w * centred**2, axis=0), np.sum(w * values**2, axis=0), low, high)

    def __add__(self, other: Any) -> Spread:
        weight = self.weight + other.weight
        share = other.weight / np.where(weight > 0.0, weight, 1.0)
        low, high = np.minimum(self.low, other.low), np.maximum(self.high, other.high)
        apart = other.mean - self.mean
        squares = self.squares + other.squares + apart**2 * self.weight * share
        squares = np.where(low == high, 0.0, squares)  # of a constant column the means may differ by rounding
        return Spread(weight, self.mean + apart * share, squares, self.raw + other.raw, low, high)


@frozen
class OfVariance(Tallied):
    """Base of metrics of errors beside the variance of the target, averaged over output columns.

    The tally has the ``Spread`` of the target and of the errors in each column.
    """

    def tally(
        self, prediction: Array, target: Array, weight: Array | None = None, multilabel: bool = False
    ) -> tuple[Any, ...]:
        prediction, target, weight, _ = real_terms(prediction, target, weight)
        p, t = pair(self, prediction, target, weight)
        w = weights(self, weight, t.shape)
        p, t, w = (value.reshape(len(value), -1) for value in (p, t, w))
        return Spread.of(t, w), Spread.of(t - p, w)

    def result(self, tally: tuple[Any, ...]) -> float:
        target, error = tally
        known = target.weight > 0.0  # a column of weight 0 has no score
        total, residual = target.squares[known], self.residual(error)[known]
        constant = total == 0.0
        return float(np.mean(np.where(constant, residual == 0.0, 1.0 - residual / np.where(constant, 1.0, total))))

    def residual(self, error: Spread) -> Array:
        """What is left of the variance of each column."""
        raise NotDefined(f"{type(self).__name__} does not define residual(error)")


@register("r2")
@frozen
class R2(OfVariance):
    """Coefficient of determination, ``1 - Σ (t - p)² / Σ (t - mean t)²``, averaged over output columns.

    A constant target scores 1 if it is predicted exactly, else 0, as in scikit-learn.
    """

    def residual(self, error: Spread) -> Array:
        return error.raw


@register("explained_variance")
@frozen
class ExplainedVariance(OfVariance):
    """``1 - Var(t - p) / Var(t)``, averaged over output columns: R2 that ignores a constant error.

    A constant target scores 1 if the error is constant, else 0, as in scikit-learn.
    """

    def residual(self, error: Spread) -> Array:
        return error.squares
