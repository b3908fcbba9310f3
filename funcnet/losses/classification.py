"""Losses for classification: cross-entropies of probabilities, of logits, and of log-probabilities."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from attrs import field

from funcnet import ops
from funcnet.key import Array
from funcnet.losses.base import ElementwiseLoss, Form, check_targets, on_values
from funcnet.losses.classes import ClassLoss, check_probabilities
from funcnet.spec.base import register
from funcnet.spec.fields import fraction, frozen, non_negative


@register("binary_cross_entropy")
@frozen
class BinaryCrossEntropy(ElementwiseLoss):
    """On probabilities: the mean of ``-(t log p + (1 - t) log(1 - p))``.

    At p = 0 and 1 it stays finite as PyTorch's does: the logarithms are clipped below at -100, and the
    derivative ``(p - t) / (p (1 - p))`` has its denominator clipped below at 1e-12.
    Several outputs are several labels, each 0 or 1. Elements whose target is ``ignore_label`` have weight 0.
    Raises   DataError for predictions or targets outside [0, 1]
    """

    expects: ClassVar[Form | None] = "probability"

    probabilities: ClassVar[bool] = True
    independent: ClassVar[bool] = True

    ignore_label: int | None = None  # type: ignore[misc]

    def term(self, prediction: Array, target: Array) -> Array:
        check_probabilities(target, "targets", self, "give 0 and 1, or probabilities")
        check_probabilities(prediction, "probabilities", self, "for logits use SigmoidCrossEntropy")
        zero, one = prediction == 0.0, prediction == 1.0
        log_p = np.maximum(np.log(np.where(zero, 1.0, prediction)), -100.0)
        log_q = np.maximum(np.log1p(-np.where(one, 0.0, prediction)), -100.0)
        return -(target * np.where(zero, -100.0, log_p) + (1.0 - target) * np.where(one, -100.0, log_q))

    def slope(self, prediction: Array, target: Array) -> Array:
        return (prediction - target) / np.maximum(prediction * (1.0 - prediction), 1e-12)


@register("sigmoid_cross_entropy")
@frozen
class SigmoidCrossEntropy(ElementwiseLoss):
    """On logits z: the mean of ``-(t log σ(z) + (1 - t) log(1 - σ(z))) = max(z, 0) - z t + log(1 + exp(-|z|))``.

    The derivative is ``σ(z) - t``; negligible values, of confident predictions, are rounded to 0.
    Several outputs are several labels, each 0 or 1. Elements whose target is ``ignore_label`` have weight 0.
    Raises   DataError for targets outside [0, 1]
    """

    expects: ClassVar[Form | None] = "logit"

    probabilities: ClassVar[bool] = True
    independent: ClassVar[bool] = True

    ignore_label: int | None = None  # type: ignore[misc]

    def term(self, prediction: Array, target: Array) -> Array:
        check_probabilities(target, "targets", self, "give 0 and 1, or probabilities")
        return np.maximum(prediction, 0.0) - prediction * target + np.log1p(np.exp(-np.abs(prediction)))

    def slope(self, prediction: Array, target: Array) -> Array:
        return ops.sigmoid(prediction) - target

    def vjp(self, residuals: Any, dy: Any = 1.0) -> Any:
        slope = super().vjp(residuals, dy)
        return (ops.flush(slope[0]), None) if isinstance(slope, tuple) else ops.flush(slope)

    def link(self, prediction: Any) -> Any:
        return on_values(ops.sigmoid, prediction)


@register("focal")
@frozen
class Focal(SigmoidCrossEntropy):
    """On logits z of rare positives: the mean of ``-a (1 - q)^gamma log q``, where q is the probability of the target.

    ``q = σ(s)`` with s = z for the target 1 and -z for 0; a is ``alpha`` for 1 and ``1 - alpha`` for 0. A term that is
    already right counts for little. The derivative by s is ``a (1 - q)^gamma (gamma q log q - (1 - q))``.
    Raises   DataError for targets other than 0 and 1
    Source   Lin et al. (2017), as sigmoid_focal_loss in torchvision, averaged
    """

    expects: ClassVar[Form | None] = "logit"

    gamma: float = field(default=2.0, validator=non_negative)
    alpha: float = field(default=0.25, validator=fraction)

    def term(self, prediction: Array, target: Array) -> Array:
        sign, share = self._signs(target)
        wrong = ops.sigmoid(-sign * prediction)
        return share * wrong**self.gamma * _softplus(-sign * prediction)

    def slope(self, prediction: Array, target: Array) -> Array:
        sign, share = self._signs(target)
        signed = sign * prediction
        wrong = ops.sigmoid(-signed)
        inner = self.gamma * ops.sigmoid(signed) * _softplus(-signed) + wrong
        return -sign * share * wrong**self.gamma * inner

    def _signs(self, target: Array) -> tuple[Array, Array]:
        """1 and alpha for the target 1, -1 and 1 - alpha for 0."""
        check_targets(
            target,
            lambda t: (t == 0.0) | (t == 1.0),
            "targets 0 and 1",
            self,
            "for probabilities use SigmoidCrossEntropy",
        )
        return 2.0 * target - 1.0, (1.0 - self.alpha) + (2.0 * self.alpha - 1.0) * target


def _softplus(z: Array) -> Array:
    """``log(1 + exp(z))`` without overflow."""
    return np.maximum(z, 0.0) + np.log1p(np.exp(-np.abs(z)))


@register("softmax_cross_entropy")
@frozen
class SoftmaxCrossEntropy(ClassLoss):
    """On logits: the mean over rows of ``-Σ_k q_k log softmax(z)_k``.

    For logits ``(batch, …, classes)`` the target is integer labels ``(batch, …)``, or probabilities q in the
    logits' shape. With smoothing s, ``q ← (1 - s) q + s / classes``.

    Rows with the label ``ignore_label`` have weight 0: they count in neither the sum nor the divisor, and their
    gradient is 0. If all rows have it, the loss is 0, where PyTorch's is NaN. The metrics of ``fit`` and ``evaluate``
    ignore these rows too. Targets that are probabilities have no label to ignore.
    VJP      dz = dy · w / Σ w · (softmax(z) Σ_k q_k - q); negligible values are rounded to 0
    Raises   DataError for labels that are not integers from 0 to classes - 1, ShapeError for shapes that differ, or
             for one class
    Source   smoothing: Szegedy et al. (2016), as in PyTorch; ``ignore_label`` as PyTorch's ``ignore_index``

    >>> loss = fn.losses.SoftmaxCrossEntropy()
    >>> logits, labels = np.zeros((2, 4)), np.array([0, 3])
    >>> value, residuals = loss.apply(logits, labels)
    >>> bool(np.isclose(value, np.log(4))), loss.vjp(residuals)[0].tolist()
    (True, [-0.375, 0.125, 0.125, 0.125])
    """

    expects: ClassVar[Form | None] = "class logits"

    additive: ClassVar[bool] = True

    probabilities: ClassVar[bool] = True

    label_smoothing: float = field(default=0.0, validator=fraction)
    ignore_label: int | None = None  # type: ignore[misc]

    def terms(self, prediction: Array, target: Array) -> tuple[Array, tuple[Any, ...]]:
        q, smooth = self.distribution(prediction, target), self.label_smoothing
        q = (1.0 - smooth) * q + smooth / q.shape[-1] if smooth else q
        mass = 1.0 if target.shape != prediction.shape and not smooth else np.sum(q, axis=-1, keepdims=True)
        log_p = self.log_probabilities(prediction)
        # a masked class has log_p = -inf
        return -np.sum(q * np.where(q == 0.0, 0.0, log_p), axis=-1), (log_p, q, mass)

    def slopes(self, *saved: Any) -> Array:
        return self.slope(*saved)

    def log_probabilities(self, prediction: Array) -> Array:
        """The log-probabilities of a prediction."""
        return ops.log_softmax(prediction)

    def slope(self, log_p: Array, q: Array, mass: Any) -> Array:
        """The cotangent of a prediction, without weights; mass is the sum of q."""
        return np.exp(log_p) * mass - q

    def link(self, prediction: Any) -> Any:
        return on_values(ops.softmax, prediction)


@register("negative_log_likelihood")
@frozen
class NegativeLogLikelihood(SoftmaxCrossEntropy):
    """On log-probabilities, such as those of ``LogSoftmax``: the mean over rows of ``-Σ_k q_k z_k``.

    Targets as in ``SoftmaxCrossEntropy``, which combines the two steps.
    VJP      dz = -dy · w / Σ w · q
    Raises   as SoftmaxCrossEntropy
    """

    expects: ClassVar[Form | None] = "class log-probabilities"

    def log_probabilities(self, prediction: Array) -> Array:
        return prediction

    def slope(self, log_p: Array, q: Array, mass: Any) -> Array:
        return -q

    def link(self, prediction: Any) -> Any:
        return on_values(np.exp, prediction)
