"""Metrics: what a whole split scores. They take ``loss.link(prediction)``, so probabilities, not logits."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from funcnet.errors import DataError
from funcnet.key import Array
from funcnet.losses import check_labels, check_probabilities, column_of, spread
from funcnet.spec import Spec, frozen, register


@frozen
class Metric(Spec):
    """Base of every metric: ``metric(prediction, target, weight=None) -> float``."""

    kind: ClassVar[str] = "metric"

    @property
    def name(self) -> str:
        """What its score stands under."""
        return self.tag or type(self).__name__

    def __call__(self, prediction: Array, target: Array, weight: Array | None = None) -> float:
        """The score of a whole split."""
        raise TypeError(f"{type(self).__name__} does not define __call__(prediction, target, weight)")


@frozen
class InUnits(Metric):
    """A metric of scaled predictions and targets in the units that they had: ``value · factor + shift``."""

    metric: Metric
    shift: Array
    factor: Array

    @property
    def name(self) -> str:
        return self.metric.name

    def __call__(self, prediction: Array, target: Array, weight: Array | None = None) -> float:
        return self.metric(self._restored(prediction), self._restored(target), weight)

    def _restored(self, values: Array) -> Array:
        shift, factor = self.shift, self.factor
        if values.ndim == 1:
            shift, factor = shift.reshape(-1)[0], factor.reshape(-1)[0]
        return values.astype(np.float64) * factor + shift


OTHERWISE = "for other values use RMSE, MAE or R2"


def _pair(metric: Metric, prediction: Array, target: Array) -> tuple[Array, Array]:
    """Both in float64 and one shape; ``(n,)`` and ``(n, 1)`` count as one."""
    prediction = prediction.astype(np.float64)
    return prediction, column_of(prediction, target, metric)


def _weights(metric: Metric, weight: Array | None, shape: tuple[int, ...]) -> Array:
    """A weight for each term, a sample's for each of its terms."""
    if weight is None:
        return np.ones(shape)
    whole = np.broadcast_to(spread(np.asarray(weight), shape, np.float64, metric), shape)
    if not whole.sum() > 0.0:
        raise DataError("expected weights with a sum above 0; give some row a weight", layer=type(metric).__name__)
    return whole


def _mean(metric: Metric, terms: Array, weight: Array | None) -> float:
    """``Σ w · term / Σ w``"""
    return (
        float(np.mean(terms))
        if weight is None
        else float(np.average(terms, weights=_weights(metric, weight, terms.shape)))
    )


def _is_labels(prediction: Array, target: Array) -> bool:
    """Whether the target is class labels beside a row of probabilities each."""
    return target.dtype.kind in "iub" and prediction.shape[:-1] == target.shape and prediction.shape[-1] > 1


@register("accuracy")
@frozen
class Accuracy(Metric):
    """The fraction of right answers.

    For probabilities ``(…, classes)`` the answer is the likeliest class, the first of equals, beside
    labels or one-hot rows; for one probability a sample it is 1 from 0.5 up, beside 0 and 1.
    """

    def __call__(self, prediction: Array, target: Array, weight: Array | None = None) -> float:
        if _is_labels(prediction, target):
            right = np.argmax(prediction, axis=-1) == target
        else:
            p, t = _pair(self, prediction, target)
            check_probabilities(t, "targets", self, OTHERWISE)
            one = p.ndim == 1 or p.shape[-1] == 1
            right = (p >= 0.5) == (t >= 0.5) if one else np.argmax(p, axis=-1) == np.argmax(t, axis=-1)
        return _mean(self, right.astype(np.float64), weight)


@register("rmse")
@frozen
class RMSE(Metric):
    """Root of the mean squared error, in the target's units."""

    def __call__(self, prediction: Array, target: Array, weight: Array | None = None) -> float:
        p, t = _pair(self, prediction, target)
        return _mean(self, (p - t) ** 2, weight) ** 0.5


@register("mae")
@frozen
class MAE(Metric):
    """Mean absolute error, in the target's units."""

    def __call__(self, prediction: Array, target: Array, weight: Array | None = None) -> float:
        p, t = _pair(self, prediction, target)
        return _mean(self, np.abs(p - t), weight)


@register("r2")
@frozen
class R2(Metric):
    """Coefficient of determination, ``1 - Σ (t - p)² / Σ (t - mean t)²``, averaged over output columns.

    A constant target scores 1 where it is met exactly and 0 elsewhere, as in scikit-learn.
    """

    def __call__(self, prediction: Array, target: Array, weight: Array | None = None) -> float:
        p, t = _pair(self, prediction, target)
        w = _weights(self, weight, t.shape)
        p, t, w = (value.reshape(len(value), -1) for value in (p, t, w))
        weighed = np.sum(w, axis=0) > 0.0  # a column without weight has no score
        p, t, w = (value[:, weighed] for value in (p, t, w))
        mean = np.sum(w * t, axis=0) / np.sum(w, axis=0)
        residual, total = np.sum(w * (t - p) ** 2, axis=0), np.sum(w * (t - mean) ** 2, axis=0)
        constant = total == 0.0
        scores = np.where(constant, residual == 0.0, 1.0 - residual / np.where(constant, 1.0, total))
        return float(np.mean(scores))


@register("log_loss")
@frozen
class LogLoss(Metric):
    """Mean negative log-probability of the right class; probabilities are clipped to [ε, 1 - ε],
    ε the spacing of their dtype at 1, as in scikit-learn."""

    def __call__(self, prediction: Array, target: Array, weight: Array | None = None) -> float:
        eps = float(np.finfo(prediction.dtype if prediction.dtype.kind == "f" else np.float64).eps)
        check_probabilities(prediction, "probabilities", self, OTHERWISE)
        if _is_labels(prediction, target):
            check_labels(target, prediction.shape[-1], self)
            right = np.take_along_axis(prediction.astype(np.float64), target[..., None].astype(np.int64), -1)[..., 0]
            return _mean(self, -np.log(np.clip(right, eps, 1.0 - eps)), weight)
        p, t = _pair(self, prediction, target)
        check_probabilities(t, "targets", self, OTHERWISE)
        p = np.clip(p, eps, 1.0 - eps)
        if p.ndim == 1 or p.shape[-1] == 1:
            return _mean(self, -(t * np.log(p) + (1.0 - t) * np.log1p(-p)), weight)
        return _mean(self, -np.sum(t * np.log(p), axis=-1), weight)
