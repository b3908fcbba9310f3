"""Losses made of losses: a weighted sum over outputs, and the sum over the members of an ensemble."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
from attrs import field

from funcnet.errors import Problem, ShapeError
from funcnet.key import Array
from funcnet.losses.base import Loss, cotangent, expected, on_values, one_array, real_terms
from funcnet.losses.wrapped import Wrapped
from funcnet.shapes import shape_of
from funcnet.spec.base import register
from funcnet.spec.fields import frozen, positive


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

    def answer(self, prediction: Any) -> Any:
        return tuple(loss.answer(p) for loss, p in zip(self.losses, self.parts(prediction, "outputs"), strict=True))


@register("each_member")
@frozen
class EachMember(Wrapped):
    """The sum of the losses of all members of an ensemble for one target: ``Σ_m loss(prediction[:, m], target)``.

    So the gradient of each member is exactly that of training it alone.

    Shapes   prediction (batch, members, …), target as for the loss of a prediction (batch, …); with ``axis=2``, as for
             padded sequences, prediction (batch, time, members, …)
    VJP      dp[:, m] = the loss's dp for member m
    Raises   ShapeError for a prediction without members
    """

    additive: ClassVar[bool] = True

    axis: int = field(default=1, validator=positive)

    @property
    def expects(self) -> Any:
        """What the loss of one member expects."""
        return expected(self.loss)

    def validate(self) -> Iterator[Problem]:
        if not self.loss.additive:
            yield Problem(".loss", f"{type(self.loss).__name__} of a batch is not a sum over its parts")

    def flat(self, prediction: Any) -> tuple[Array, int]:
        """A row for each member of each sample, and the number of members."""
        array = one_array(prediction, "output", self)
        if array.ndim <= self.axis:
            form = ", ".join(["batch", "time", "…"][: self.axis]) + ", members, …"
            raise ShapeError(
                f"expected predictions ({form}), got shape {array.shape}; end the network with an Ensemble",
                layer="EachMember",
            )
        turned = np.moveaxis(array, self.axis, 1) if self.axis > 1 else array
        members = int(turned.shape[1])
        return turned.reshape(turned.shape[0] * members, *turned.shape[2:]), members

    def turned_back(self, flat: Array, shape: tuple[int, ...]) -> Array:
        """An array with a row for each member of each sample in the shape of the prediction."""
        rest = shape[1 : self.axis] + shape[self.axis + 1 :]
        turned = flat.reshape(shape[0], shape[self.axis], *rest)
        return np.moveaxis(turned, 1, self.axis) if self.axis > 1 else turned

    def apply(
        self, prediction: Any, target: Any, weight: Array | None = None, divisor: float | None = None
    ) -> tuple[Any, Any]:
        prediction, target, weight, masks = real_terms(prediction, target, weight)
        flat, members = self.flat(prediction)
        divisor = self.divisor(target, weight) if divisor is None else divisor

        def repeated(array: Array) -> Array:
            """One row per member of each sample."""
            spread = np.broadcast_to(np.expand_dims(array, 1), (array.shape[0], members, *array.shape[1:]))
            return spread.reshape(array.shape[0] * members, *array.shape[1:])

        value, saved = self.loss.apply(flat, repeated(target), None if weight is None else repeated(weight), divisor)
        return value, (saved, prediction.shape, masks)

    def vjp(self, residuals: Any, dy: Any = 1.0) -> Any:
        saved, shape, masks = residuals
        return cotangent(self.turned_back(self.loss.vjp(saved, dy), shape), masks)

    def link(self, prediction: Any) -> Any:
        def of_members(values: Array) -> Array:
            return self.turned_back(self.loss.link(self.flat(values)[0]), values.shape)

        return on_values(of_members, prediction)

    def answer(self, prediction: Any) -> Any:
        """The mean of the members' answers."""
        return on_values(lambda values: np.mean(values, axis=self.axis), self.link(prediction))
