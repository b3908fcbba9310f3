"""Layers that change only the shape: reshape, transpose, pad and crop."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from funcnet.errors import Problem, ShapeError
from funcnet.layers.base import EVAL, Context, Layer, Params, State
from funcnet.ranges import Range, Ranges, joined, kept
from funcnet.shapes import Shape, Value, array_shape, floating
from funcnet.spec.base import register
from funcnet.spec.fields import frozen


@register("flatten")
@frozen
class Flatten(Layer):
    """All axes but the batch axis flattened into one: ``(batch, *shape)`` to ``(batch, n)``, row-major.

    VJP      dx is dy in the shape of x
    """

    out_range = kept

    def out_shape(self, in_shape: Shape) -> Shape:
        return (math.prod(array_shape(self, in_shape)),)

    def apply(self, params: Params, state: State, x: Value, ctx: Context) -> tuple[Value, State, Any]:
        return x.reshape(x.shape[0], math.prod(x.shape[1:])), state, x.shape

    def vjp(self, params: Params, residuals: Any, dy: Value) -> tuple[Params, Value]:
        return {}, dy.reshape(residuals)


@register("reshape")
@frozen
class Reshape(Layer):
    """The axes after the batch axis reshaped to ``shape``, row-major; one entry may be -1, which is inferred.

    VJP      dx is dy in the shape of x
    Raises   ShapeError when the sizes do not fit
    """

    out_range = kept

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


@register("permute")
@frozen
class Permute(Layer):
    """The axes after the batch axis in another order: axis i of the output is axis ``axes[i]`` of the input.

    ``Permute((1, 0))`` transposes; axes count from 0, the first after the batch axis.
    VJP      dx is dy with the axes in the old order
    Raises   ShapeError when the number of axes differs
    """

    out_range = kept

    axes: tuple[int, ...]

    def validate(self) -> Iterator[Problem]:
        if sorted(self.axes) != list(range(len(self.axes))):
            yield Problem(".axes", f"expected each of 0 to {len(self.axes) - 1} once, got {list(self.axes)}")

    def out_shape(self, in_shape: Shape) -> Shape:
        shape = array_shape(self, in_shape)
        if len(shape) != len(self.axes):
            raise ShapeError(
                f"expected an input of {len(self.axes)} axes for axes={self.axes}, got shape {shape}; name every axis",
                layer="Permute",
            )
        return tuple(shape[axis] for axis in self.axes)

    def apply(self, params: Params, state: State, x: Value, ctx: Context) -> tuple[Value, State, Any]:
        return x.transpose(0, *(axis + 1 for axis in self.axes)), state, None

    def vjp(self, params: Params, residuals: Any, dy: Value) -> tuple[Params, Value]:
        return {}, dy.transpose(0, *(self.axes.index(i) + 1 for i in range(len(self.axes))))


Margins = int | tuple[int | tuple[int, int], ...]
"""One number for both ends of all spatial axes, or for each axis a number or the pair ``(before, after)``"""


def margins(layer: Layer, value: Margins, in_shape: Shape) -> tuple[tuple[int, int], ...]:
    """``(before, after)`` for each axis of an input; ``(0, 0)`` for the last axis, the features.

    Raises   ShapeError for an input with another number of axes, or with features only
    """
    shape = array_shape(layer, in_shape)
    if len(shape) < 2:
        raise ShapeError(
            f"expected an input of one or more axes and features, got shape {shape}; the last axis is never changed, "
            "so put a Reshape((…, 1)) before it to change a vector",
            layer=type(layer).__name__,
        )
    spatial = (value,) * (len(shape) - 1) if isinstance(value, int) else value
    if len(spatial) != len(shape) - 1:
        raise ShapeError(
            f"expected an input of {len(spatial)} axes and features, got shape {shape}; give one entry for each "
            "axis but the last",
            layer=type(layer).__name__,
        )
    return (*((n, n) if isinstance(n, int) else n for n in spatial), (0, 0))


def margin_problems(path: str, value: Margins) -> Iterator[Problem]:
    """The problems of margins: they must not be negative."""
    numbers = (value,) if isinstance(value, int) else value
    if any(n < 0 for item in numbers for n in ((item,) if isinstance(item, int) else item)):
        yield Problem(path, f"must be zero or more, got {value}")


@register("pad")
@frozen
class Pad(Layer):
    """Every axis but the batch axis and the last, the features, padded with ``value``.

    ``padding`` is one number, or for each axis a number or the pair ``(before, after)``.
    VJP      dx is dy without the padding
    """

    padding: Margins
    value: float = 0.0

    def validate(self) -> Iterator[Problem]:
        yield from margin_problems(".padding", self.padding)

    def out_range(self, given: Ranges) -> Ranges:
        return joined(given, Range(self.value, self.value))

    def out_shape(self, in_shape: Shape) -> Shape:
        return tuple(n + a + b for n, (a, b) in zip(in_shape, margins(self, self.padding, in_shape), strict=True))

    def apply(self, params: Params, state: State, x: Value, ctx: Context) -> tuple[Value, State, Any]:
        around = margins(self, self.padding, floating(self, x).shape[1:])
        for axis, (before, after) in enumerate(around, 1):
            sides = [np.full_like(first(x, axis), self.value)] if before + after else []
            parts = [np.broadcast_to(side, resized(x, axis, n)) for side in sides for n in (before, after)]
            x = np.concatenate([parts[0], x, parts[1]], axis=axis) if parts else x
        return x, state, around

    def vjp(self, params: Params, residuals: Any, dy: Value) -> tuple[Params, Value]:
        return {}, cut(dy, residuals)


def resized(x: Value, axis: int, n: int) -> tuple[int, ...]:
    """The shape of x with another length of one axis."""
    return (*x.shape[:axis], n, *x.shape[axis + 1 :])


def first(x: Value, axis: int) -> Value:
    """The first entry along an axis, with the axis kept."""
    return x[(slice(None),) * axis + (slice(0, 1),)]


def cut(x: Value, around: tuple[tuple[int, int], ...]) -> Value:
    """x without its margins."""
    inside = (slice(before, n - after) for n, (before, after) in zip(x.shape[1:], around, strict=True))
    return x[(slice(None), *inside)]


@register("crop")
@frozen
class Crop(Layer):
    """Every axis but the batch axis and the last cropped at both ends: the inverse of ``Pad``.

    VJP      dx is dy padded with zeros
    Raises   ShapeError when nothing is left
    """

    out_range = kept

    cropping: Margins

    def validate(self) -> Iterator[Problem]:
        yield from margin_problems(".cropping", self.cropping)

    def out_shape(self, in_shape: Shape) -> Shape:
        around = margins(self, self.cropping, in_shape)
        shape = tuple(n - a - b for n, (a, b) in zip(in_shape, around, strict=True))
        if min(shape) < 1:
            raise ShapeError(
                f"expected an input larger than the cropping, {around[:-1]}, got shape {in_shape}; crop less",
                layer="Crop",
            )
        return shape

    def apply(self, params: Params, state: State, x: Value, ctx: Context) -> tuple[Value, State, Any]:
        around = margins(self, self.cropping, floating(self, x).shape[1:])
        return cut(x, around), state, around

    def vjp(self, params: Params, residuals: Any, dy: Value) -> tuple[Params, Value]:
        return {}, Pad(residuals[:-1]).apply({}, {}, dy, EVAL)[0]
