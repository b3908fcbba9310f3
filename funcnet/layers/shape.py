"""Layers that only rearrange."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from funcnet.errors import Problem, ShapeError
from funcnet.layer import Context, Layer, Params, Shape, State, Value, array_shape
from funcnet.spec import frozen, register


@register("flatten")
@frozen
class Flatten(Layer):
    """All axes but the batch axis into one: ``(batch, *shape)`` to ``(batch, n)``, row-major.

    VJP      dx is dy in the shape of x
    """

    def out_shape(self, in_shape: Shape) -> Shape:
        return (math.prod(array_shape(self, in_shape)),)

    def apply(self, params: Params, state: State, x: Value, ctx: Context) -> tuple[Value, State, Any]:
        return x.reshape(x.shape[0], math.prod(x.shape[1:])), state, x.shape

    def vjp(self, params: Params, residuals: Any, dy: Value) -> tuple[Params, Value]:
        return {}, dy.reshape(residuals)


@register("reshape")
@frozen
class Reshape(Layer):
    """The axes after the batch axis into ``shape``, row-major; one entry may be -1, what is left.

    VJP      dx is dy in the shape of x
    Raises   ShapeError when the sizes do not fit
    """

    shape: tuple[int, ...]

    def validate(self) -> Iterator[Problem]:
        if any(n < 1 and n != -1 for n in self.shape) or self.shape.count(-1) > 1:
            yield Problem(".shape", f"expected positive integers, one of them -1 at most, got {list(self.shape)}")

    def out_shape(self, in_shape: Shape) -> Shape:
        size = math.prod(array_shape(self, in_shape))
        known = math.prod(n for n in self.shape if n != -1)
        shape = tuple(size // known if n == -1 else n for n in self.shape)
        if math.prod(shape) != size:
            raise ShapeError(
                f"expected an input of {known if -1 not in self.shape else f'a multiple of {known}'} entries "
                f"for shape {self.shape}, got shape {in_shape} of {size}; change one of them",
                layer="Reshape",
            )
        return shape

    def apply(self, params: Params, state: State, x: Value, ctx: Context) -> tuple[Value, State, Any]:
        return x.reshape(x.shape[0], *self.out_shape(x.shape[1:])), state, x.shape

    def vjp(self, params: Params, residuals: Any, dy: Value) -> tuple[Params, Value]:
        return {}, dy.reshape(residuals)
