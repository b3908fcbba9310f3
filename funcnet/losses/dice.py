"""The Dice loss of segmentation: how much the predicted areas and the true ones overlap."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from attrs import field

from funcnet import ops
from funcnet.errors import ShapeError
from funcnet.key import Array
from funcnet.losses.base import (
    Form,
    cotangent,
    filled,
    float_terms,
    on_values,
    one_array,
    real_terms,
    share,
    spread,
    total_weight,
)
from funcnet.losses.classes import ClassLoss
from funcnet.spec.base import register
from funcnet.spec.fields import frozen, positive


def probabilities_of(logits: Array) -> Array:
    """The softmax of the last axis, or the sigmoid of its only number."""
    return ops.sigmoid(logits) if logits.shape[-1] == 1 else ops.softmax(logits)


@register("dice")
@frozen
class Dice(ClassLoss):
    """On logits of the pixels: the mean over samples and classes of ``1 - (2 Σ p q + smooth) / (Σ p + Σ q + smooth)``.

    The sums are over the pixels of a sample, whatever their axes; p is the softmax of the logits, q the target. One
    unit gives the logit of the one class to find, for targets of 0 and 1. A class that is neither in the target nor
    predicted has the loss 0. The metric ``F1`` is the Dice coefficient of the decisions, over all pixels of a split.

    A weight for each pixel weighs it in the sums, relative to the heaviest of the sample, whose weight is that of the
    sample. Pixels with the label ``ignore_label`` have weight 0.

    Shapes   logits (batch, …, classes), target labels (batch, …), or probabilities in the logits' shape; one class:
             (batch, …, 1), and 0 and 1, or probabilities, (batch, …) or (batch, …, 1); weight (batch,) or (batch, …)
    VJP      dp = -dy · w / Σ w / classes · (2 q (Σ p + Σ q + smooth) - 2 Σ p q - smooth) / (Σ p + Σ q + smooth)²,
             then that of the softmax
    Raises   as SoftmaxCrossEntropy, and ShapeError for logits without axes of pixels
    Source   Milletari, Navab and Ahmadi (2016), with sums that are not squared, as DiceLoss in MONAI

    >>> loss = fn.losses.Dice()
    >>> value, _ = loss.apply(np.array([[[40.0], [40.0], [-40.0]]]), np.array([[1, 0, 0]]))
    >>> float(value)
    0.25
    """

    expects: ClassVar[Form | None] = "logits"

    additive: ClassVar[bool] = True

    probabilities: ClassVar[bool] = True

    smooth: float = field(default=1.0, validator=positive)
    ignore_label: int | None = None  # type: ignore[misc]

    def divisor(self, target: Any, weight: Array | None = None) -> float:
        _, target, weight, _ = real_terms(None, target, weight)
        rows = one_array(target, "target", self).shape[:1]
        weight = self.counted(target, weight)
        return total_weight(rows, None if weight is None else _heaviest(weight))

    def apply(
        self, prediction: Any, target: Any, weight: Array | None = None, divisor: float | None = None
    ) -> tuple[Any, Any]:
        prediction, target, weight, masks = float_terms(prediction, target, weight)
        divisor = self.divisor(target, weight) if divisor is None else divisor
        p, q, weight = self._pixels(prediction, target, weight)
        sample = None
        if weight is not None:
            sample = _heaviest(weight)
            weight = (weight / np.where(sample == 0.0, 1.0, sample)[:, None])[..., None]
        twice, total = _sum(2.0 * p * q, weight), _sum(p + q, weight) + self.smooth
        terms = np.mean(1.0 - (twice + self.smooth) / total, axis=-1)
        terms = terms if sample is None else sample * terms
        saved = p, q, weight, sample, twice, total, divisor, masks, prediction.shape
        return np.sum(terms) * share(divisor), saved

    def vjp(self, residuals: Any, dy: Any = 1.0) -> Any:
        p, q, weight, sample, twice, total, divisor, masks, shape = residuals
        ratio = ((twice + self.smooth) / total)[:, None]
        slope = (ratio - 2.0 * q) / total[:, None] * (dy * share(divisor) * (1.0 / p.shape[-1]))
        if weight is not None:
            slope = slope * weight * sample[:, None, None]
        inner = slope * p if p.shape[-1] == 1 else np.sum(slope * p, axis=-1, keepdims=True)
        dz = p * (slope - inner)
        return cotangent(ops.flush(dz).reshape(shape), masks)

    def _pixels(self, logits: Array, target: Any, weight: Array | None) -> tuple[Array, Array, Array | None]:
        """The probabilities and the target, (batch, pixels, classes), and the weight of each pixel, if it counts."""
        shape, target = one_array(logits, "output", self).shape, one_array(target, "target", self)
        if len(shape) < 3:
            raise ShapeError(
                f"expected logits of pixels (batch, …, classes), got {shape}; for one label of each row use "
                "SoftmaxCrossEntropy",
                layer=type(self).__name__,
            )
        if shape[-1] == 1 and target.shape == shape[:-1]:
            target = target[..., None]
        if shape[-1] > 1 or target.shape != shape:
            self.check_target(logits, target)
        weight = self.counted(target, weight)
        if weight is not None:
            weight = weight[..., 0] if weight.ndim == len(shape) and shape[-1] == 1 else weight
            weight = np.broadcast_to(spread(weight, shape[:-1], logits.dtype, self), shape[:-1])
            logits, target = filled(logits, weight, len(shape) - 1), filled(target, weight, len(shape) - 1)
            weight = weight.reshape(shape[0], -1)
        q = self.distribution(logits, target).reshape(shape[0], -1, shape[-1])
        return probabilities_of(logits).reshape(q.shape), q, weight

    def link(self, prediction: Any) -> Any:
        return on_values(probabilities_of, prediction)


def _heaviest(weight: Array) -> Array:
    """The weight of each sample: that of its heaviest pixel."""
    return np.max(weight.reshape(weight.shape[0], -1), axis=1)


def _sum(values: Array, weight: Array | None) -> Array:
    """The weighted sums over the pixels, (batch, classes)."""
    return np.sum(values if weight is None else weight * values, axis=1)
