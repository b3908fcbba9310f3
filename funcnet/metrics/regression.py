"""Metrics for regression: predictions are numbers in the target's shape."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from funcnet.key import Array
from funcnet.losses.base import real_terms
from funcnet.metrics.base import Metric, figure, mean, pair, weights
from funcnet.spec.base import register
from funcnet.spec.fields import frozen


@register("rmse")
@frozen
class RMSE(Metric):
    """Root of the mean squared error, in the target's units."""

    higher_is_better: ClassVar[bool] = False

    @figure
    def __call__(self, prediction: Array, target: Array, weight: Array | None = None) -> float:
        prediction, target, weight, _ = real_terms(prediction, target, weight)
        p, t = pair(self, prediction, target, weight)
        return mean(self, (p - t) ** 2, weight) ** 0.5


@register("mae")
@frozen
class MAE(Metric):
    """Mean absolute error, in the target's units."""

    higher_is_better: ClassVar[bool] = False

    @figure
    def __call__(self, prediction: Array, target: Array, weight: Array | None = None) -> float:
        prediction, target, weight, _ = real_terms(prediction, target, weight)
        p, t = pair(self, prediction, target, weight)
        return mean(self, np.abs(p - t), weight)


def _columns(metric: Metric, prediction: Array, target: Array, weight: Array | None) -> tuple[Array, Array, Array]:
    """Prediction, target and weight as columns, without columns of weight 0, which have no score."""
    prediction, target, weight, _ = real_terms(prediction, target, weight)
    p, t = pair(metric, prediction, target, weight)
    w = weights(metric, weight, t.shape)
    p, t, w = (value.reshape(len(value), -1) for value in (p, t, w))
    weighed = np.sum(w, axis=0) > 0.0
    return p[:, weighed], t[:, weighed], w[:, weighed]


def _centred(values: Array, w: Array) -> Array:
    """Each column minus its mean; exactly 0 for a constant column, which the mean's rounding would hide."""
    counts = w > 0.0
    low, high = np.min(values, 0, where=counts, initial=np.inf), np.max(values, 0, where=counts, initial=-np.inf)
    return np.where(low == high, 0.0, values - np.sum(w * values, axis=0) / np.sum(w, axis=0))


def _determined(residual: Array, total: Array) -> float:
    """Mean over columns of ``1 - residual / total``; for a constant target 1 if the residual is 0, else 0."""
    constant = total == 0.0
    return float(np.mean(np.where(constant, residual == 0.0, 1.0 - residual / np.where(constant, 1.0, total))))


@register("r2")
@frozen
class R2(Metric):
    """Coefficient of determination, ``1 - Σ (t - p)² / Σ (t - mean t)²``, averaged over output columns.

    A constant target scores 1 if it is predicted exactly, else 0, as in scikit-learn.
    """

    @figure
    def __call__(self, prediction: Array, target: Array, weight: Array | None = None) -> float:
        p, t, w = _columns(self, prediction, target, weight)
        return _determined(np.sum(w * (t - p) ** 2, axis=0), np.sum(w * _centred(t, w) ** 2, axis=0))


@register("explained_variance")
@frozen
class ExplainedVariance(Metric):
    """``1 - Var(t - p) / Var(t)``, averaged over output columns: R2 that ignores a constant error.

    A constant target scores 1 if the error is constant, else 0, as in scikit-learn.
    """

    @figure
    def __call__(self, prediction: Array, target: Array, weight: Array | None = None) -> float:
        p, t, w = _columns(self, prediction, target, weight)
        return _determined(np.sum(w * _centred(t - p, w) ** 2, axis=0), np.sum(w * _centred(t, w) ** 2, axis=0))
