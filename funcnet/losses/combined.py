"""Losses made of losses: a weighted sum over outputs, and the sum over the members of an ensemble."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np

from funcnet.errors import Problem, ShapeError
from funcnet.key import Array
from funcnet.losses.base import Loss, expected, one_array, plain
from funcnet.shapes import shape_of
from funcnet.spec.base import register
from funcnet.spec.fields import frozen


@register("multi")
@frozen
class Multi(Loss):
    """The weighted sum of the losses of several outputs: ``Σ_i weights_i · loss_i(prediction_i, target_i)``.

    Shapes   predictions and targets are tuples in the order of the losses; weight is (batch,), for all losses
    VJP      dp_i = weights_i · dy · ∂loss_i/∂prediction_i
    Raises   ShapeError for another number of outputs or targets
    """

    additive: ClassVar[bool] = True

    losses: tuple[Loss, ...]
    weights: tuple[float, ...] | None = None

    @property
    def expects(self) -> Any:
        """What each of the losses expects, a tuple."""
        return tuple(map(expected, self.losses))

    def validate(self) -> Iterator[Problem]:
        if not self.losses:
            yield Problem(".losses", "expected at least one loss")
        if self.weights is not None and len(self.weights) != len(self.losses):
            yield Problem(".weights", f"expected {len(self.losses)}, one for each loss, got {len(self.weights)}")
        for i, loss in enumerate(self.losses):
            if not loss.additive:
                yield Problem(f".losses[{i}]", f"{type(loss).__name__} of a batch is not a sum over its parts")

    def parts(self, value: Any, what: str) -> tuple[Any, ...]:
        """The outputs or targets, one for each loss."""
        if not isinstance(value, tuple) or len(value) != len(self.losses):
            raise ShapeError(
                f"expected a tuple of {len(self.losses)} {what}, one for each loss, got {shape_of(value)}",
                layer="Multi",
            )
        return value

    def divisor(self, target: Any, weight: Array | None = None) -> Any:
        """The divisors of the losses, a tuple of numbers."""
        return tuple(
            loss.divisor(part, weight) for loss, part in zip(self.losses, self.parts(target, "targets"), strict=True)
        )

    def apply(self, prediction: Any, target: Any, weight: Array | None = None, divisor: Any = None) -> tuple[Any, Any]:
        predictions, targets = self.parts(prediction, "outputs"), self.parts(target, "targets")
        divisors = (None,) * len(self.losses) if divisor is None else divisor
        if not isinstance(divisors, tuple) or len(divisors) != len(self.losses):
            raise ShapeError(
                f"expected a tuple of {len(self.losses)} divisors, one for each loss, got {divisor!r:.60}",
                layer="Multi",
            )
        total, residuals = None, []
        each = zip(self.losses, self.factors(), predictions, targets, divisors, strict=True)
        for loss, factor, p, t, d in each:
            value, saved = loss.apply(p, t, weight, d)
            total = value * factor if total is None else total + value * factor
            residuals.append(saved)
        return total, tuple(residuals)

    def factors(self) -> tuple[float, ...]:
        """The weight of each loss."""
        return (1.0,) * len(self.losses) if self.weights is None else self.weights

    def vjp(self, residuals: Any, dy: Any = 1.0) -> Any:
        return tuple(
            loss.vjp(saved, dy * factor)
            for loss, factor, saved in zip(self.losses, self.factors(), residuals, strict=True)
        )

    def link(self, prediction: Any) -> Any:
        return tuple(loss.link(p) for loss, p in zip(self.losses, self.parts(prediction, "outputs"), strict=True))


@register("each_member")
@frozen
class EachMember(Loss):
    """The sum of the losses of all members of an ensemble for one target: ``Σ_m loss(prediction[:, m], target)``.

    So the gradient of each member is exactly that of training it alone.

    Shapes   prediction (batch, members, …), target as for the loss of a prediction (batch, …)
    VJP      dp[:, m] = the loss's dp for member m
    Raises   ShapeError for a prediction without members
    """

    additive: ClassVar[bool] = True

    loss: Loss

    @property
    def expects(self) -> Any:
        """What the loss of one member expects."""
        return expected(self.loss)

    @property
    def independent(self) -> bool:  # type: ignore[override]
        """Whether the outputs of a member are several labels."""
        return self.loss.independent

    def validate(self) -> Iterator[Problem]:
        if not self.loss.additive:
            yield Problem(".loss", f"{type(self.loss).__name__} of a batch is not a sum over its parts")

    def members(self, prediction: Any) -> int:
        """The number of members."""
        array = one_array(prediction, "output", self)
        if array.ndim < 2:
            raise ShapeError(
                f"expected predictions (batch, members, …), got shape {array.shape}; end the network with an Ensemble",
                layer="EachMember",
            )
        return int(array.shape[1])

    def counted(self, target: Any, weight: Array | None = None) -> Array | None:
        return self.loss.counted(target, weight)

    def divisor(self, target: Any, weight: Array | None = None) -> float:
        return self.loss.divisor(target, weight)

    def apply(
        self, prediction: Any, target: Any, weight: Array | None = None, divisor: float | None = None
    ) -> tuple[Any, Any]:
        prediction, target, weight = plain(prediction), plain(target), plain(weight)
        members = self.members(prediction)
        divisor = self.divisor(target, weight) if divisor is None else divisor

        def repeated(array: Array) -> Array:
            """One row per member of each sample."""
            spread = np.broadcast_to(np.expand_dims(array, 1), (array.shape[0], members, *array.shape[1:]))
            return spread.reshape(array.shape[0] * members, *array.shape[1:])

        flat = prediction.reshape(prediction.shape[0] * members, *prediction.shape[2:])
        value, saved = self.loss.apply(flat, repeated(target), None if weight is None else repeated(weight), divisor)
        return value, (saved, prediction.shape)

    def vjp(self, residuals: Any, dy: Any = 1.0) -> Any:
        saved, shape = residuals
        return self.loss.vjp(saved, dy).reshape(shape)

    def link(self, prediction: Any) -> Any:
        members = self.members(prediction)
        flat = prediction.reshape(prediction.shape[0] * members, *prediction.shape[2:])
        return self.loss.link(flat).reshape(prediction.shape)
