"""Pooling, channels last: the maximum or mean over windows, over all positions, or over a given number of parts."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, ClassVar, Literal

import numpy as np

from funcnet import ops
from funcnet.errors import NotDefined, Problem, ShapeError
from funcnet.key import Array
from funcnet.layers.base import Context, Layer, Params, State
from funcnet.layers.convolution import image_shape
from funcnet.layers.limits import check_made
from funcnet.layers.windows import Padding, Sizes, Window, axes_of, each, padding_problems, size_problems
from funcnet.ranges import Range, Ranges, joined, kept
from funcnet.shapes import Shape, Value, array_shape, floating
from funcnet.spec.base import register
from funcnet.spec.fields import frozen

Axes = tuple[tuple[int, ...], ...]
"""For each spatial axis ``(size, stride, dilation, before, windows)``"""

MAX_TAPS = 2**20
"""Entries of a window, which the kernels visit one by one"""


# ----- kernels: a loop over the taps of the windows, each a strided slice of the input -------------------------


def tap_slices(axes: Axes) -> list[tuple[slice, ...]]:
    """For each tap of the windows, in row-major order, its slices of the padded input."""
    return [
        (
            slice(None),
            *(slice(k * a[2], k * a[2] + (a[4] - 1) * a[1] + 1, a[1]) for k, a in zip(tap, axes, strict=True)),
        )
        for tap in np.ndindex(*(a[0] for a in axes))
    ]


def padded_input(x: Array, axes: Axes, value: float) -> Array:
    """x padded with a value, as far as the windows reach."""
    reach = [(a[4] - 1) * a[1] + (a[0] - 1) * a[2] + 1 for a in axes]
    lengths = [max(far, n + a[3]) for far, n, a in zip(reach, x.shape[1:], axes, strict=False)]
    if all(a[3] == 0 and n == x.shape[i + 1] for i, (n, a) in enumerate(zip(lengths, axes, strict=True))):
        return x
    whole = np.full((x.shape[0], *lengths, x.shape[-1]), value, x.dtype)
    whole[(slice(None), *(slice(a[3], a[3] + n) for n, a in zip(x.shape[1:], axes, strict=False)))] = x
    return whole


def input_part(dx: Array, lengths: tuple[int, ...], axes: Axes) -> Array:
    """The part of the padded input's cotangent that belongs to the input."""
    return dx[(slice(None), *(slice(a[3], a[3] + n) for n, a in zip(lengths, axes, strict=True)))]


def pool_pieces(batch: int, size: int) -> list[slice]:
    """Slices of the batch that stay in cache."""
    step = max(2**16 // max(size, 1), 1)
    return [slice(start, start + step) for start in range(0, batch, step)]


@ops.primitive(
    needs=(tap_slices, padded_input, pool_pieces),
    flops=lambda x, axes: 2 * math.prod(x.shape) * math.prod(a[0] for a in axes) // math.prod(a[1] for a in axes),
)
def max_pool(x: Array, axes: Axes) -> tuple[Array, Array]:
    """The maximum of each window, and the index of the first tap that has it."""
    slices = tap_slices(axes)
    y = np.empty((x.shape[0], *(a[4] for a in axes), x.shape[-1]), x.dtype)
    tap = np.zeros(y.shape, np.uint8 if len(slices) < 256 else np.int32)
    for some in pool_pieces(x.shape[0], int(np.prod(x.shape[1:]))):
        whole, out, first = padded_input(x[some], axes, -np.inf), y[some], tap[some]
        out[...] = whole[slices[0]]
        for covered in slices[1:]:
            np.maximum(out, whole[covered], out=out)
        missed = np.ones(out.shape, np.bool_)
        for covered in slices[:-1]:  # the taps before the first that has the maximum
            np.logical_and(missed, whole[covered] != out, out=missed)
            np.add(first, missed, out=first)
    return y, tap


@ops.primitive(
    needs=(tap_slices, padded_input, input_part, pool_pieces),
    flops=lambda dy, tap, lengths, axes: math.prod(dy.shape) * math.prod(a[0] for a in axes),
)
def max_pool_vjp(dy: Array, tap: Array, lengths: tuple[int, ...], axes: Axes) -> Array:
    """The cotangent of each window at the tap that was its maximum."""
    slices = tap_slices(axes)
    dx = np.zeros((dy.shape[0], *lengths, dy.shape[-1]), dy.dtype)
    apart = all(a[1] >= (a[0] - 1) * a[2] + 1 for a in axes)  # no two windows share an entry
    for some in pool_pieces(dy.shape[0], int(np.prod(dx.shape[1:]))):
        part = dx[some]
        whole = padded_input(part, axes, 0.0)
        for number, covered in enumerate(slices):
            if apart:
                np.multiply(dy[some], tap[some] == number, out=whole[covered])
            else:
                whole[covered] += dy[some] * (tap[some] == number)
        if whole is not part:
            part[...] = input_part(whole, lengths, axes)
    return dx


@ops.primitive(
    needs=(tap_slices, padded_input),
    flops=lambda x, axes: math.prod(x.shape) * math.prod(a[0] for a in axes) // math.prod(a[1] for a in axes),
)
def sum_pool(x: Array, axes: Axes) -> Array:
    """The sum of each window."""
    whole, (first, *others) = padded_input(x, axes, 0.0), tap_slices(axes)
    y = whole[first].copy()
    for covered in others:
        y += whole[covered]
    return y


@ops.primitive(
    needs=(tap_slices, padded_input, input_part),
    flops=lambda dy, lengths, axes: math.prod(dy.shape) * math.prod(a[0] for a in axes),
)
def sum_pool_vjp(dy: Array, lengths: tuple[int, ...], axes: Axes) -> Array:
    """The cotangent of each window at all its taps."""
    whole = padded_input(np.zeros((dy.shape[0], *lengths, dy.shape[-1]), dy.dtype), axes, 0.0)
    for covered in tap_slices(axes):
        whole[covered] += dy
    return input_part(whole, lengths, axes).copy()


# ----- windows ---------------------------------------------------------------------------------------------


@frozen
class Pool(Layer):
    """Base of the pooling layers with windows, over ``axes`` spatial axes."""

    axes: ClassVar[int] = 0

    pool_size: Sizes
    strides: Sizes | None = None
    padding: Padding = "valid"
    dilation: Sizes = 1
    ceil_mode: bool = False

    def validate(self) -> Iterator[Problem]:
        for name in ("pool_size", "strides", "dilation"):
            if getattr(self, name) is not None:
                yield from size_problems(f".{name}", getattr(self, name), self.axes)
        yield from padding_problems(".padding", self.padding, self.axes, causal=self.axes == 1)

    def windows(self, lengths: tuple[int, ...]) -> tuple[Window, ...]:
        """The windows over an input of these lengths; each must contain an entry of it."""
        strides = self.pool_size if self.strides is None else self.strides
        taps = math.prod(each(self.pool_size, self.axes))
        if taps > MAX_TAPS:
            raise ShapeError(
                f"expected windows of up to {MAX_TAPS} entries, got pool_size {self.pool_size}, which has {taps}; "
                f"for all positions use Global{type(self).__name__[: -len('1D')]}()",
                layer=type(self).__name__,
            )
        axes = axes_of(self, lengths, self.pool_size, strides, self.padding, self.dilation, self.ceil_mode)
        for i, (axis, n) in enumerate(zip(axes, lengths, strict=True)):
            if not inside(axis, n).all():
                raise ShapeError(
                    f"expected every window to contain an entry of the input, got one all in the padding of axis {i}: "
                    f"padding {(axis.before, axis.after)}, window {axis.size}; pad less",
                    layer=type(self).__name__,
                )
        return axes

    def out_shape(self, in_shape: Shape) -> Shape:
        lengths, channels = image_shape(self, in_shape, self.axes, 1)
        return (*(axis.windows for axis in self.windows(lengths)), channels)

    def plain(self, lengths: tuple[int, ...]) -> tuple[tuple[Window, ...], Axes]:
        """The windows, and the same as plain tuples, for the kernels."""
        axes = self.windows(lengths)
        return axes, tuple((axis.size, axis.stride, axis.dilation, axis.before, axis.windows) for axis in axes)


def inside(axis: Window, length: int, before: int = 0, after: int = 0) -> Array:
    """For each window along an axis, how many of its taps are in the input or this many entries before or after it."""
    starts = np.arange(axis.windows) * axis.stride - axis.before

    def taps_before(end: int) -> Array:
        return np.clip(-((starts - end) // axis.dilation), 0, axis.size)

    return taps_before(length + after) - taps_before(-before)


@frozen
class MaxPool(Pool):
    """Base of the maximum over windows."""

    out_range = kept

    def apply(self, params: Params, state: State, x: Value, ctx: Context) -> tuple[Value, State, Any]:
        lengths = floating(self, x).shape[1:-1]
        _, axes = self.plain(lengths)
        y, tap = max_pool(x, axes)
        return y, state, (tap, lengths, axes)

    def vjp(self, params: Params, residuals: Any, dy: Value) -> tuple[Params, Value]:
        tap, lengths, axes = residuals
        return {}, max_pool_vjp(dy, tap, lengths, axes)


@frozen
class AveragePool(Pool):
    """Base of the mean over windows."""

    count_padding: bool = True

    def shares(self, axes: tuple[Window, ...], lengths: tuple[int, ...], x: Array) -> Array:
        """1 / count for each window, in x's dtype: (windows, …, 1)."""
        counts = np.ones(())
        for axis, n in zip(axes, lengths, strict=True):
            padding = (axis.before, axis.after) if self.count_padding else (0, 0)
            counts = counts[..., None] * inside(axis, n, *padding)
        return (1.0 / counts[..., None]).astype(x.dtype)

    def out_range(self, given: Ranges) -> Ranges:
        return joined(given, Range(0.0, 0.0))  # of the padding

    def apply(self, params: Params, state: State, x: Value, ctx: Context) -> tuple[Value, State, Any]:
        lengths = floating(self, x).shape[1:-1]
        windows, axes = self.plain(lengths)
        shares = self.shares(windows, lengths, x)
        return sum_pool(x, axes) * shares, state, (shares, lengths, axes)

    def vjp(self, params: Params, residuals: Any, dy: Value) -> tuple[Params, Value]:
        shares, lengths, axes = residuals
        return {}, sum_pool_vjp(dy * shares, lengths, axes)


@register("max_pool_1d")
@frozen
class MaxPool1D(MaxPool):
    """The maximum of windows over time: ``y[i] = max_k x[i · strides - before + k · dilation]``.

    ``strides`` are the pool size by default. ``padding`` is "valid", "same", "causal", a number, or pairs; padding
    is never the maximum. With ``ceil_mode`` a last window may extend beyond the end.

    Input    (time, channels)
    Output   (windows, channels)
    VJP      dy at the entry that was the maximum, the first of several
    Raises   ShapeError for a window longer than the padded input, or one all in the padding
    """

    axes: ClassVar[int] = 1


@register("max_pool_2d")
@frozen
class MaxPool2D(MaxPool):
    """The maximum of windows; as ``MaxPool1D`` over 2 axes. Ties go to the first entry in row-major order.

    Input    (height, width, channels)
    Output   (windows, windows, channels)
    VJP      dy at the entry that was the maximum, the first of several
    Raises   ShapeError for a window larger than the padded input, or one all in the padding
    """

    axes: ClassVar[int] = 2


@register("max_pool_3d")
@frozen
class MaxPool3D(MaxPool):
    """The maximum of windows; as ``MaxPool1D`` over 3 axes. Ties go to the first entry in row-major order.

    Input    (depth, height, width, channels)
    Output   (windows, windows, windows, channels)
    VJP      dy at the entry that was the maximum, the first of several
    Raises   ShapeError for a window larger than the padded input, or one all in the padding
    """

    axes: ClassVar[int] = 3


@register("average_pool_1d")
@frozen
class AveragePool1D(AveragePool):
    """The mean of windows over time: ``y[i] = Σ_k x[i · strides - before + k · dilation] / count``.

    ``count`` is the size of the window, or without ``count_padding`` its number of entries in the input. Entries of a
    last window of ``ceil_mode`` beyond the padding never count, as in PyTorch. Otherwise as ``MaxPool1D``.

    Input    (time, channels)
    Output   (windows, channels)
    VJP      dy / count at every entry of the window
    Raises   ShapeError for a window longer than the padded input, or one all in the padding
    """

    axes: ClassVar[int] = 1


@register("average_pool_2d")
@frozen
class AveragePool2D(AveragePool):
    """The mean of windows; as ``AveragePool1D`` over 2 axes.

    Input    (height, width, channels)
    Output   (windows, windows, channels)
    VJP      dy / count at every entry of the window
    Raises   ShapeError for a window larger than the padded input, or one all in the padding
    """

    axes: ClassVar[int] = 2


@register("average_pool_3d")
@frozen
class AveragePool3D(AveragePool):
    """The mean of windows; as ``AveragePool1D`` over 3 axes.

    Input    (depth, height, width, channels)
    Output   (windows, windows, windows, channels)
    VJP      dy / count at every entry of the window
    Raises   ShapeError for a window larger than the padded input, or one all in the padding
    """

    axes: ClassVar[int] = 3


# ----- global and adaptive pooling, upsampling -----------------------------------------------------------------


@frozen
class GlobalPool(Layer):
    """Base of the pooling over all positions, along any number of axes."""

    def out_shape(self, in_shape: Shape) -> Shape:
        shape = array_shape(self, in_shape, least_axes=1)
        if len(shape) == 1:
            raise ShapeError(
                f"expected positions to pool over before the features, got shape {shape}; leave the layer out",
                layer=type(self).__name__,
            )
        return shape[-1:]


def positions_as_one(x: Array) -> Array:
    """(batch, positions, channels)"""
    return x.reshape(x.shape[0], math.prod(x.shape[1:-1]), x.shape[-1])


@register("global_max_pool")
@frozen
class GlobalMaxPool(GlobalPool):
    """The maximum of each feature over all positions: (…, n) to (n,).

    VJP      dy at the first position that has the maximum, in row-major order
    """

    out_range = kept

    def apply(self, params: Params, state: State, x: Value, ctx: Context) -> tuple[Value, State, Any]:
        flat = positions_as_one(floating(self, x))
        first = np.expand_dims(np.argmax(flat, axis=1), 1)
        return np.max(flat, axis=1), state, (first, x.shape)

    def vjp(self, params: Params, residuals: Any, dy: Value) -> tuple[Params, Value]:
        first, shape = residuals
        positions = np.reshape(np.arange(math.prod(shape[1:-1])), (1, -1, 1))
        return {}, np.where(positions == first, np.expand_dims(dy, 1), 0.0).reshape(shape)


@register("global_average_pool")
@frozen
class GlobalAveragePool(GlobalPool):
    """The mean of each feature over all positions: (…, n) to (n,).

    VJP      dx = dy / positions at every position
    """

    out_range = kept

    def apply(self, params: Params, state: State, x: Value, ctx: Context) -> tuple[Value, State, Any]:
        return np.mean(positions_as_one(floating(self, x)), axis=1), state, x.shape

    def vjp(self, params: Params, residuals: Any, dy: Value) -> tuple[Params, Value]:
        shape = residuals
        positions = math.prod(shape[1:-1])
        share = np.expand_dims(dy * (1.0 / positions), 1)
        return {}, np.broadcast_to(share, (shape[0], positions, shape[-1])).reshape(shape)


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
