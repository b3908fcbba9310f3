"""Pooling, channels last: the maximum or mean over windows, or over all positions."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np

from funcnet.errors import Problem, ShapeError
from funcnet.key import Array
from funcnet.layers.base import Context, Layer, Params, State
from funcnet.layers.convolution import image_shape
from funcnet.layers.pooling_kernels import max_pool, max_pool_vjp, sum_pool, sum_pool_vjp
from funcnet.layers.windows import Padding, Sizes, Window, axes_of, each, padding_problems, plain, size_problems
from funcnet.ranges import Range, Ranges, joined, kept
from funcnet.shapes import Shape, Value, array_shape, floating
from funcnet.spec.base import register
from funcnet.spec.fields import frozen

MAX_TAPS = 2**20
"""Entries of a window, which the kernels visit one by one"""


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
        axes = plain(self.windows(lengths))
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
        windows = self.windows(lengths)
        axes, shares = plain(windows), self.shares(windows, lengths, x)
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
