"""Other lengths for the spatial axes, channels last: the mean over a given number of parts, and upsampling."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, ClassVar, Literal

import numpy as np

from funcnet.errors import NotDefined, Problem, ShapeError
from funcnet.key import Array
from funcnet.layers.base import Context, Layer, Params, State
from funcnet.layers.convolution import image_shape
from funcnet.layers.limits import check_made
from funcnet.layers.windows import Sizes, each, size_problems
from funcnet.ranges import kept
from funcnet.shapes import Shape, Value, array_shape, floating
from funcnet.spec.base import register
from funcnet.spec.fields import frozen


def resample(x: Array, matrices: tuple[Array, ...]) -> Array:
    """Every spatial axis multiplied by a matrix (new length, old length)."""
    for axis, matrix in enumerate(matrices, 1):
        before, n, after = x.shape[:axis], x.shape[axis], x.shape[axis + 1 :]
        flat = x.reshape(math.prod(before), n, math.prod(after))
        x = np.matmul(matrix, flat).reshape(*before, matrix.shape[0], *after)
    return x


@frozen
class Resampling(Layer):
    """Base of the layers that change the length of every spatial axis, by one matrix per axis."""

    def lengthened(self, old: Shape, new: Shape) -> Shape:
        """The output's shape, if the matrices between the two are small enough to hold."""
        for pair in zip(new[:-1], old[:-1], strict=True):
            check_made(self, pair, "a matrix")
        return new

    def matrix(self, length: int, i: int, axes: int) -> Array:
        """The matrix (new length, length) for axis i of ``axes``."""
        raise NotDefined(f"{type(self).__name__} does not define matrix(length, i, axes)")

    def matrices(self, x: Array) -> tuple[Array, ...]:
        """A matrix for each spatial axis, in x's dtype."""
        lengths = x.shape[1:-1]
        return tuple(self.matrix(n, i, len(lengths)).astype(x.dtype) for i, n in enumerate(lengths))

    def apply(self, params: Params, state: State, x: Value, ctx: Context) -> tuple[Value, State, Any]:
        matrices = self.matrices(floating(self, x))
        return resample(x, matrices), state, matrices

    def vjp(self, params: Params, residuals: Any, dy: Value) -> tuple[Params, Value]:
        return {}, resample(dy, tuple(np.ascontiguousarray(matrix.T) for matrix in residuals))


@frozen
class AdaptiveAveragePool(Resampling):
    """Base of the mean over a given number of parts."""

    out_range = kept

    axes: ClassVar[int] = 0

    out_size: Sizes

    def validate(self) -> Iterator[Problem]:
        yield from size_problems(".out_size", self.out_size, self.axes)

    def out_shape(self, in_shape: Shape) -> Shape:
        _, channels = image_shape(self, in_shape, self.axes, 1)
        return self.lengthened(in_shape, (*each(self.out_size, self.axes), channels))

    def matrix(self, length: int, i: int, axes: int) -> Array:
        parts = each(self.out_size, axes)[i]
        starts = np.arange(parts) * length // parts
        ends = -(-(np.arange(1, parts + 1) * length) // parts)
        at = np.arange(length)
        return ((at >= starts[:, None]) & (at < ends[:, None])) / (ends - starts)[:, None]


@register("adaptive_average_pool_1d")
@frozen
class AdaptiveAveragePool1D(AdaptiveAveragePool):
    """The mean over ``out_size`` parts of time, part i from ``⌊i n / m⌋`` up to ``⌈(i + 1) n / m⌉``, as in PyTorch.

    Input    (time, channels)
    Output   (*out_size, channels)
    VJP      dy / count at every entry of the part
    """

    axes: ClassVar[int] = 1


@register("adaptive_average_pool_2d")
@frozen
class AdaptiveAveragePool2D(AdaptiveAveragePool):
    """The mean over ``out_size`` parts along each of 2 axes, bounded as in ``AdaptiveAveragePool1D``.

    Input    (height, width, channels)
    Output   (*out_size, channels)
    VJP      dy / count at every entry of the part
    """

    axes: ClassVar[int] = 2


@register("adaptive_average_pool_3d")
@frozen
class AdaptiveAveragePool3D(AdaptiveAveragePool):
    """The mean over ``out_size`` parts along each of 3 axes, bounded as in ``AdaptiveAveragePool1D``.

    Input    (depth, height, width, channels)
    Output   (*out_size, channels)
    VJP      dy / count at every entry of the part
    """

    axes: ClassVar[int] = 3


@register("upsample")
@frozen
class Upsample(Resampling):
    """Every spatial axis ``scale`` times as long: each entry repeated, or "linear" between neighbours.

    On images "linear" is bilinear. The centre of output i is at ``(i + 1/2) / scale - 1/2`` of the input, clipped to
    its ends: PyTorch's ``align_corners=False``. ``scale`` is one number or one for each axis.

    Input    (…, n) with one spatial axis or more
    Output   (… · scale, n)
    VJP      dx = Mᵀ dy for the matrix M of each axis, whose rows are the weights of the neighbours
    """

    out_range = kept

    scale: Sizes
    mode: Literal["nearest", "linear"] = "nearest"

    def validate(self) -> Iterator[Problem]:
        yield from size_problems(".scale", self.scale, len(each(self.scale, 1)))

    def out_shape(self, in_shape: Shape) -> Shape:
        shape = array_shape(self, in_shape)
        axes = len(shape) - 1
        if axes < 1 or len(each(self.scale, axes)) != axes:
            raise ShapeError(
                f"expected an input of {'one' if isinstance(self.scale, int) else len(self.scale)} spatial axes "
                f"{'or more ' if isinstance(self.scale, int) else ''}and features, got shape {shape}",
                layer="Upsample",
            )
        lengths = (n * factor for n, factor in zip(shape, each(self.scale, axes), strict=False))
        return self.lengthened(shape, (*lengths, shape[-1]))

    def matrix(self, length: int, i: int, axes: int) -> Array:
        factor = each(self.scale, axes)[i]
        out, at = np.arange(length * factor), np.arange(length)
        if self.mode == "nearest":
            return (at == (out // factor)[:, None]) * 1.0
        centre = np.clip((out + 0.5) / factor - 0.5, 0.0, length - 1.0)
        return np.maximum(0.0, 1.0 - np.abs(centre[:, None] - at))
