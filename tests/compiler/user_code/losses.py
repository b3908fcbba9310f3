"""Losses of users."""

from __future__ import annotations

import types

import attrs
import numpy as np

from funcnet.losses.base import ElementwiseLoss, Loss
from tests.compiler.user_code import hidden_in_layers as settings
from tests.compiler.user_code.layers import HardRelu
from tests.compiler.user_code.rows import EITHER, FALLS_BACK, NO_LINE, RECORDED
from tests.compiler.user_code.trained import Setup, trained


@attrs.frozen
class LogCosh(ElementwiseLoss):
    """``log cosh (p - t)``"""

    def term(self, prediction, target):
        return np.log(np.cosh(prediction - target))

    def slope(self, prediction, target):
        return np.tanh(prediction - target)


@attrs.frozen
class Pinball(ElementwiseLoss):
    """The loss of a quantile."""

    q: float = 0.9

    def term(self, prediction, target):
        e = target - prediction
        return np.maximum(self.q * e, (self.q - 1.0) * e)

    def slope(self, prediction, target):
        return np.where(target > prediction, -self.q, 1.0 - self.q).astype(prediction.dtype)


class Whole(Loss):
    """Base of losses of a whole batch."""

    def divisor(self, target, weight=None):
        return float(target.size)


@attrs.frozen
class PlainMean(Whole):
    """A mean of squares."""

    def apply(self, prediction, target, weight=None, divisor=None):
        e = prediction - target.reshape(prediction.shape)
        return np.mean(e * e), e

    def vjp(self, e, dy=1.0):
        return 2.0 * e * (dy / e.size)


@attrs.frozen
class Branching(Whole):
    """Squares, and absolute values where the mean is large."""

    def apply(self, prediction, target, weight=None, divisor=None):
        e = prediction - target
        if np.mean(e * e) > 1.0:
            return np.mean(np.abs(e)), (e, True)
        return np.mean(e * e), (e, False)

    def vjp(self, residuals, dy=1.0):
        e, large = residuals
        return (np.sign(e) if large else 2.0 * e) * (dy / e.size)


@attrs.frozen
class FloatValue(Whole):
    """A mean of squares as a Python number."""

    def apply(self, prediction, target, weight=None, divisor=None):
        e = prediction - target
        return float(np.mean(e * e)), e

    def vjp(self, e, dy=1.0):
        return 2.0 * e * (dy / e.size)


@attrs.frozen
class InPlace(Whole):
    """A trimmed mean of squares, in place."""

    def apply(self, prediction, target, weight=None, divisor=None):
        e = prediction - target
        e[np.abs(e) > 2.0] = 0.0
        return np.mean(e * e), e

    def vjp(self, e, dy=1.0):
        return 2.0 * e * (dy / e.size)


@attrs.frozen
class VjpBranching(Whole):
    """A mean of squares whose cotangent is clipped."""

    def apply(self, prediction, target, weight=None, divisor=None):
        e = prediction - target
        return np.mean(e * e), e

    def vjp(self, e, dy=1.0):
        d = 2.0 * e * (dy / e.size)
        return d / np.abs(d).max() if np.abs(d).max() > 0.2 else d


@attrs.frozen
class KeepsPrediction(Whole):
    """A loss that keeps what it was given, in an object."""

    def apply(self, prediction, target, weight=None, divisor=None):
        return np.mean((prediction - target) ** 2), types.SimpleNamespace(p=prediction, t=target)

    def vjp(self, kept, dy=1.0):
        return 2.0 * (kept.p - kept.t) * (dy / kept.p.size)


@attrs.frozen
class MinedRows(Whole):
    """The mean of the larger half of the squares."""

    def apply(self, prediction, target, weight=None, divisor=None):
        e = (prediction - target)[:, 0]
        worst = np.argsort(-(e * e))[: len(e) // 2]
        mask = np.zeros(len(e), prediction.dtype)
        mask[worst] = 1.0
        return np.sum(e * e * mask) / mask.sum(), (e, mask)

    def vjp(self, residuals, dy=1.0):
        e, mask = residuals
        return (2.0 * e * mask / mask.sum() * dy)[:, None]


@attrs.frozen
class Contrastive(Whole):
    """Softmax of all pairs of a batch."""

    def apply(self, prediction, target, weight=None, divisor=None):
        logits = prediction @ target.T
        p = np.exp(logits - logits.max(axis=1, keepdims=True))
        p = p / p.sum(axis=1, keepdims=True)
        return -np.mean(np.log(np.diagonal(p) + 1e-6)), (p, target)

    def vjp(self, residuals, dy=1.0):
        p, target = residuals
        return (p - np.eye(len(p), dtype=p.dtype)) @ target * (dy / len(p))


@attrs.frozen
class Doubles(Whole):
    """A mean of squares, and its cotangent, in double precision."""

    def apply(self, prediction, target, weight=None, divisor=None):
        e = prediction.astype(np.float64) - target
        return np.mean(e * e), e

    def vjp(self, e, dy=1.0):
        return 2.0 * e * (dy / e.size)


@attrs.frozen
class GlobalWeight(Whole):
    """A mean of squares times a global number."""

    def apply(self, prediction, target, weight=None, divisor=None):
        e = prediction - target
        return settings.ALPHA * np.mean(e * e), e

    def vjp(self, e, dy=1.0):
        return settings.ALPHA * 2.0 * e * (dy / e.size)


@trained(RECORDED)
def loss_log_cosh():
    return LogCosh()


@trained(RECORDED)
def loss_log_cosh_weighted():
    return Setup(loss=LogCosh(), weighted=True, shards=2)


@trained(RECORDED)
def loss_pinball():
    return Pinball(0.8)


@trained(RECORDED)
def loss_plain_mean():
    return PlainMean()


@trained(EITHER)
def loss_contrastive():
    return Contrastive()


@trained(FALLS_BACK, "apply of Branching", NO_LINE)
def loss_branching():
    return Branching()


@trained(FALLS_BACK, "apply of FloatValue", NO_LINE)
def loss_float_value():
    return FloatValue()


@trained(FALLS_BACK, "apply of InPlace", NO_LINE)
def loss_in_place():
    return InPlace()


@trained(FALLS_BACK, "vjp of VjpBranching", NO_LINE)
def loss_vjp_branching():
    return VjpBranching()


@trained(EITHER)
def loss_keeps_an_object():
    return KeepsPrediction()


@trained(FALLS_BACK, "apply of MinedRows", NO_LINE)
def loss_hard_mining():
    return MinedRows()


@trained(EITHER)
def loss_doubles():
    return Doubles()


@trained(EITHER)
def loss_of_a_global():
    settings.set_alpha(1.0)
    return Setup(loss=GlobalWeight(), change=lambda i: settings.set_alpha(1.0 + i))


@trained(FALLS_BACK, None, NO_LINE)
def loss_and_layer_fall_back():
    return Setup(HardRelu(), loss=Branching(), shards=2)
