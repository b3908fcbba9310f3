"""Metrics of probabilities: how close they are to the targets.

Targets are labels ``(…)``, one-hot rows or probabilities ``(…, classes)``; for one probability per row,
``(n,)`` or ``(…, 1)``, they are numbers from 0 to 1.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from funcnet.errors import NotDefined
from funcnet.key import Array
from funcnet.losses.base import one_array, real_terms
from funcnet.losses.classes import check_probabilities
from funcnet.metrics.base import OTHERWISE, Mean, Metric, cells, classified, is_column, sums
from funcnet.spec.base import register
from funcnet.spec.fields import frozen


@frozen
class OfProbabilities(Mean):
    """Base of metrics of probabilities, which are errors; each label of a row is scored as one probability."""

    higher_is_better: ClassVar[bool] = False

    def tally(
        self, prediction: Array, target: Array, weight: Array | None = None, multilabel: bool = False
    ) -> tuple[Any, ...]:
        prediction, target, weight, _ = real_terms(prediction, target, weight)
        if multilabel and not is_column(one_array(prediction, "output", self)):
            dtype = prediction.dtype
            prediction, target, weight = (a.reshape(-1) for a in cells(self, prediction, target, weight))
            prediction = prediction.astype(dtype, copy=False)
        return sums(self, self.terms(prediction, target, weight), weight)

    def terms(self, prediction: Array, target: Array, weight: Array | None) -> Array:
        """The term of each row."""
        raise NotDefined(f"{type(self).__name__} does not define terms(prediction, target, weight)")


def surprises(metric: Metric, prediction: Array, target: Array, weight: Array | None, eps: float) -> Array:
    """``-Σ_k t_k log p_k`` of each row, with probabilities clipped to [eps, 1 - eps].

    Raises   DataError for probabilities or targets outside [0, 1]
    """
    p, t, is_labels = classified(metric, prediction, target, weight)
    check_probabilities(p, "probabilities", metric, OTHERWISE)
    if is_labels:
        p, t = np.take_along_axis(p, t[..., None], -1)[..., 0].astype(np.float64), np.ones(t.shape)
    p = np.clip(p, eps, 1.0 - eps)
    with np.errstate(divide="ignore"):  # log 0 is -∞
        if is_labels:
            return -np.log(p)
        yes = -np.where(t == 0.0, 0.0, t) * np.where(t == 0.0, 0.0, np.log(p))
        if not is_column(p):
            return np.sum(yes, axis=-1)
        return yes - (1.0 - t) * np.where(t == 1.0, 0.0, np.log1p(-p))


@register("log_loss")
@frozen
class LogLoss(OfProbabilities):
    """Mean negative log-probability of the right class.

    Probabilities are clipped to [ε, 1 - ε], where ε is the machine epsilon of their dtype, as in scikit-learn.
    """

    def terms(self, prediction: Array, target: Array, weight: Array | None) -> Array:
        dtype = getattr(prediction, "dtype", np.dtype(np.float64))
        eps = float(np.finfo(dtype if dtype.kind == "f" else np.float64).eps)
        return surprises(self, prediction, target, weight, eps)


@register("perplexity")
@frozen
class Perplexity(OfProbabilities):
    """``exp`` of the mean negative log-probability of the right class: the equivalent number of equal choices.

    It is the exponential of ``LogLoss`` without the clipping, so a right class of probability 0 makes it infinite.
    """

    def terms(self, prediction: Array, target: Array, weight: Array | None) -> Array:
        return surprises(self, prediction, target, weight, 0.0)

    def result(self, tally: tuple[Any, ...]) -> float:
        with np.errstate(over="ignore"):
            return float(np.exp(super().result(tally)))


@register("brier")
@frozen
class Brier(OfProbabilities):
    """Mean squared error of the probabilities, ``(p - t)²`` for one per row and ``Σ_k (p_k - t_k)²`` for classes.

    Two columns count half, so that they score like one probability. The score is between 0, the best, and 1, or 2
    for three or more classes, as in scikit-learn.
    Source   Brier (1950)
    """

    def terms(self, prediction: Array, target: Array, weight: Array | None) -> Array:
        p, t, is_labels = classified(self, prediction, target, weight)
        check_probabilities(p, "probabilities", self, OTHERWISE)
        if is_labels:
            t = (t[..., None] == np.arange(p.shape[-1])).astype(np.float64)
        errors = (p - t) ** 2
        if is_column(p):
            return errors
        return np.sum(errors, axis=-1) * (0.5 if p.shape[-1] == 2 else 1.0)
