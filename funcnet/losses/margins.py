"""Losses of margins: hinges, where scores decide between classes, and triplets, where distances do."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from attrs import field

from funcnet.errors import ShapeError
from funcnet.key import Array
from funcnet.losses.base import (
    ElementwiseLoss,
    Form,
    Loss,
    check_targets,
    filled,
    float_terms,
    one_array,
    plain,
    share,
    spread,
    total_weight,
)
from funcnet.losses.classes import ClassLoss
from funcnet.losses.rows import directions
from funcnet.shapes import shape_of
from funcnet.spec.base import register
from funcnet.spec.fields import frozen, positive


@register("hinge")
@frozen
class Hinge(ElementwiseLoss):
    """On scores z of two classes: the mean of ``max(0, 1 - s z)``, with s = 1 for the target 1 and -1 for 0.

    Scores from 0 up mean the second class. Scores are not probabilities, so ``link`` returns them unchanged.
    With ``squared`` a term is ``max(0, 1 - s z)²``.
    Several outputs are several labels, each 0 or 1. Elements whose target is ``ignore_label`` have weight 0.
    The derivative is -s where s z < 1, else 0; squared ``-2 s max(0, 1 - s z)``.
    Raises   DataError for targets other than 0 and 1
    Source   Cortes and Vapnik (1995), as hinge_loss in scikit-learn, where the targets are -1 and 1

    >>> loss = fn.losses.Hinge()
    >>> value, residuals = loss.apply(np.array([[0.5], [2.0]]), np.array([[1.0], [0.0]]))
    >>> float(value), loss.vjp(residuals).tolist()
    (1.75, [[-0.5], [0.5]])
    """

    expects: ClassVar[Form | None] = "score"

    scores: ClassVar[bool] = True
    independent: ClassVar[bool] = True
    threshold: ClassVar[float] = 0.0

    squared: bool = False
    ignore_label: int | None = None  # type: ignore[misc]

    def term(self, prediction: Array, target: Array) -> Array:
        short = np.maximum(0.0, 1.0 - self._sign(target) * prediction)
        return short * short if self.squared else short

    def slope(self, prediction: Array, target: Array) -> Array:
        sign = self._sign(target)
        short = 1.0 - sign * prediction
        return -2.0 * sign * np.maximum(0.0, short) if self.squared else -sign * (short > 0.0)

    def _sign(self, target: Array) -> Array:
        """1 for the target 1, -1 for 0."""
        advice = "for labels of more classes use CategoricalHinge"
        check_targets(target, lambda t: (t == 0.0) | (t == 1.0), "targets 0 and 1", self, advice)
        return 2.0 * target - 1.0


@register("categorical_hinge")
@frozen
class CategoricalHinge(ClassLoss):
    """On scores z of classes: the mean over rows of ``max(0, 1 + max_{k ≠ y} z_k - z_y)``, with y the target's label.

    The highest score decides. Scores are not probabilities, so ``link`` returns them unchanged.
    With ``squared`` a term is the square of that. For a target of probabilities q a term is
    ``max_k (z_k + 1 - q_k) - Σ_k q_k z_k``. Rows with the label ``ignore_label`` have weight 0.

    Shapes   scores (batch, …, classes), target labels (batch, …), or probabilities in the scores' shape
    VJP      dz = dy · w / Σ w · (e - q), where e is 1 at the k of the maximum, and shared by equal ones
    Raises   as SoftmaxCrossEntropy
    Source   Crammer and Singer (2001), as hinge_loss in scikit-learn

    >>> loss = fn.losses.CategoricalHinge()
    >>> value, residuals = loss.apply(np.array([[2.0, 1.5, 0.0]]), np.array([0]))
    >>> float(value), loss.vjp(residuals).tolist()
    (0.5, [[-1.0, 1.0, 0.0]])
    """

    expects: ClassVar[Form | None] = "class scores"

    additive: ClassVar[bool] = True

    scores: ClassVar[bool] = True

    squared: bool = False
    ignore_label: int | None = None  # type: ignore[misc]

    def terms(self, prediction: Array, target: Array) -> tuple[Array, tuple[Any, ...]]:
        q = self.distribution(prediction, target)
        raised = prediction + (1.0 - q)
        most = np.max(raised, axis=-1, keepdims=True)
        short = most[..., 0] - np.sum(q * prediction, axis=-1)
        return short * short if self.squared else short, (raised == most, q, short)

    def slopes(self, chosen: Array, q: Array, short: Array) -> Array:
        slope = chosen / np.sum(chosen, axis=-1, keepdims=True, dtype=q.dtype) - q
        return 2.0 * short[..., None] * slope if self.squared else slope


@register("triplet")
@frozen
class Triplet(Loss):
    """Embeddings of which two belong together: the mean of ``max(0, |a - p| - |a - n| + margin)``.

    The anchor a is to be nearer to the positive p than to the negative n, by the margin. The prediction is the three
    embeddings of each sample, (batch, 3, …) in this order, as a network of rows (batch, 3, features) gives, or a tuple
    of three outputs (batch, …). The target counts the samples, and its values are not used.

    Shapes   prediction (batch, 3, …), or three (batch, …); target (batch, …); weight (batch,)
    VJP      da = dy · w / Σ w · (u - v), dp = -u, dn = v, where the margin is not kept, else 0; u and v are the
             directions of a - p and a - n, 0 for a distance of 0
    Raises   ShapeError for a prediction of other parts
    Source   Schroff, Kalenichenko and Philbin (2015), with the distances of TripletMarginLoss in PyTorch, not squared

    >>> loss = fn.losses.Triplet()
    >>> value, residuals = loss.apply(np.array([[[0.0], [2.0], [-1.5]]]), np.zeros(1))
    >>> float(value), loss.vjp(residuals).tolist()
    (1.5, [[[-2.0], [1.0], [1.0]]])
    """

    additive: ClassVar[bool] = True

    margin: float = field(default=1.0, validator=positive)

    def divisor(self, target: Any, weight: Array | None = None) -> float:
        return total_weight(one_array(plain(target), "target", self).shape[:1], plain(weight))

    def apply(
        self, prediction: Any, target: Any, weight: Array | None = None, divisor: float | None = None
    ) -> tuple[Any, Any]:
        weight, target = plain(weight), plain(target)
        divisor = self.divisor(target, weight) if divisor is None else divisor
        three = self._three(plain(prediction), target)
        shape, several = three[0].shape, isinstance(prediction, tuple)
        anchor, near, far = (float_terms(part.reshape(shape[0], -1), None, None)[0] for part in three)
        if weight is not None:
            weight = spread(weight, shape[:1], anchor.dtype, self)
            anchor, near, far = (filled(part, weight, 1) for part in (anchor, near, far))
        u, to_near = directions(anchor - near)
        v, to_far = directions(anchor - far)
        short = (to_near - to_far)[:, 0] + self.margin
        terms = np.maximum(0.0, short)
        terms = terms if weight is None else weight * terms
        return np.sum(terms) * share(divisor), (u, v, short > 0.0, weight, divisor, shape, several)

    def vjp(self, residuals: Any, dy: Any = 1.0) -> Any:
        u, v, counts, weight, divisor, shape, several = residuals
        factor = counts * (dy * share(divisor))
        factor = (factor if weight is None else weight * factor)[:, None].astype(u.dtype, copy=False)
        slopes = [(factor * part).reshape(shape) for part in (u - v, -u, v)]
        return tuple(slopes) if several else np.stack(slopes, axis=1)

    def _three(self, prediction: Any, target: Array) -> tuple[Array, Array, Array]:
        """Anchor, positive and negative.

        Raises   ShapeError for other parts, or another number of targets
        """
        parts = prediction if isinstance(prediction, tuple) else ()
        if hasattr(prediction, "shape") and prediction.shape[1:2] == (3,):
            parts = tuple(prediction[:, i] for i in range(3))
        arrays = len(parts) == 3 and all(hasattr(part, "shape") for part in parts)
        if not arrays or {part.shape for part in parts} != {target.shape[:1] + parts[0].shape[1:]}:
            raise ShapeError(
                "expected the embeddings of an anchor, a positive and a negative for each of "
                f"{target.shape[0]} targets: an output (batch, 3, …), or three outputs of one shape; "
                f"got {shape_of(prediction)}",
                layer=type(self).__name__,
            )
        return parts
