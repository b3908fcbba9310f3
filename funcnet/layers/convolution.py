"""Convolutions, channels last, and their transposes.

As everywhere in deep learning, a convolution here is a correlation: the kernel is not flipped.
``convolution_kernels.py`` has the three products of a convolution and its backward pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

import numpy as np
from attrs import field

from funcnet.errors import Problem, ShapeError
from funcnet.initializers import GlorotUniform, Initializer, Zeros
from funcnet.layers.base import Context, Layer, Leaf, Params, State
from funcnet.layers.convolution_kernels import correlate, correlate_input, correlate_weight
from funcnet.layers.limits import check_made
from funcnet.layers.windows import Padding, Sizes, Window, axes_of, each, padding_problems, plain, size_problems
from funcnet.ranges import always
from funcnet.shapes import Shape, Value, array_shape, floating
from funcnet.spec.base import register
from funcnet.spec.fields import frozen, positive


@frozen
class Convolution(Layer):
    """Base of the convolutions, over ``axes`` spatial axes."""

    out_range = always()

    axes: ClassVar[int] = 0

    filters: int = field(validator=positive)
    kernel_size: Sizes
    strides: Sizes = 1
    padding: Padding = "same"
    dilation: Sizes = 1
    groups: int = field(default=1, validator=positive)
    use_bias: bool = True
    weight_init: Initializer = GlorotUniform()
    bias_init: Initializer = Zeros()

    def validate(self) -> Iterator[Problem]:
        for name in ("kernel_size", "strides", "dilation"):
            yield from size_problems(f".{name}", getattr(self, name), self.axes)
        yield from padding_problems(".padding", self.padding, self.axes, causal=self.axes == 1)
        if self.filters % self.groups:
            yield Problem(".groups", f"must divide the {self.filters} filters, got {self.groups}")

    def image_shape(self, in_shape: Shape) -> tuple[tuple[int, ...], int]:
        """The spatial lengths and the channels of an input."""
        return image_shape(self, in_shape, self.axes, self.groups)

    def windows(self, lengths: tuple[int, ...]) -> tuple[Window, ...]:
        """The windows over an input of these lengths."""
        return axes_of(self, lengths, self.kernel_size, self.strides, self.padding, self.dilation)

    def leaves(self, in_shape: Shape) -> dict[str, Any]:
        _, channels = self.image_shape(in_shape)
        shape = (*each(self.kernel_size, self.axes), channels // self.groups, self.filters)
        weight, bias = Leaf(shape, self.weight_init), Leaf((self.filters,), self.bias_init)
        return {"weight": weight, "bias": bias} if self.use_bias else {"weight": weight}

    def out_shape(self, in_shape: Shape) -> Shape:
        lengths, _ = self.image_shape(in_shape)
        return (*(axis.windows for axis in self.windows(lengths)), self.filters)

    def apply(self, params: Params, state: State, x: Value, ctx: Context) -> tuple[Value, State, Any]:
        axes = plain(self.windows(floating(self, x).shape[1:-1]))
        y = correlate(x, params["weight"], axes, self.groups)
        if self.use_bias:
            y = y + params["bias"]
        return y, state, (x, axes)

    def vjp(self, params: Params, residuals: Any, dy: Value) -> tuple[Params, Value]:
        x, axes = residuals
        weight = params["weight"]
        dparams = {"weight": correlate_weight(x, dy, weight.shape, axes, self.groups)}
        if self.use_bias:
            dparams["bias"] = np.sum(dy, axis=tuple(range(dy.ndim - 1)))
        return dparams, correlate_input(dy, weight, x.shape[1:-1], axes, self.groups)


def image_shape(layer: Layer, in_shape: Shape, axes: int, groups: int) -> tuple[tuple[int, ...], int]:
    """The spatial lengths and the channels of an input shape.

    Raises   ShapeError for another number of axes, or channels that the groups do not divide
    """
    shape = array_shape(layer, in_shape)
    name = type(layer).__name__
    if len(shape) != axes + 1:
        form = {1: "(time, features)", 2: "(height, width, channels)", 3: "(depth, height, width, channels)"}[axes]
        hint = f"; for one channel put a Reshape to {(*shape, 1)} before it" if len(shape) == axes else ""
        hint = "; put a Reshape to that form before it" if len(shape) == 1 < axes else hint
        raise ShapeError(f"expected inputs of shape {form}, got {shape}{hint}", layer=name)
    if shape[-1] % groups:
        raise ShapeError(
            f"expected channels divisible by {groups} groups, got {shape[-1]}; change groups or the channels",
            layer=name,
        )
    return shape[:-1], shape[-1]


@register("conv_1d")
@frozen
class Conv1D(Convolution):
    """Convolution over time: ``y[i] = Σ_k x[i · strides - before + k · dilation] @ weight[k] + bias``.

    ``padding`` is "same" (time / strides outputs), "valid" (none), "causal" (only before, so that no output sees
    a later input), a number for both ends, or ``((before, after),)``. ``groups`` splits the channels and the
    filters into groups; each group of filters sees only its own channels.

    Input    (time, channels)
    Output   (windows, filters)
    Params   weight (kernel_size, channels / groups, filters), bias (filters,)
    VJP      dweight[k] = Σ_i x[i · strides - before + k · dilation]ᵀ dy[i],   dbias = Σ dy,
             dx[i · strides - before + k · dilation] += dy[i] weight[k]ᵀ
    Raises   ShapeError for a kernel longer than the padded input, or channels that the groups do not divide
    """

    axes: ClassVar[int] = 1


@register("conv_2d")
@frozen
class Conv2D(Convolution):
    """Convolution over images: ``y[i, j] = Σ_kl x[i s - p + k d, j s - p + l d] @ weight[k, l] + bias``.

    s are the strides, d the dilation, p the padding before. ``padding`` is "same", "valid", a number for all four
    sides, or ``((top, bottom), (left, right))``. With "same", an odd entry of padding comes after, as in TensorFlow.
    With one group per channel the convolution is depthwise.

    Input    (height, width, channels)
    Output   (windows, windows, filters)
    Params   weight (*kernel_size, channels / groups, filters), bias (filters,)
    VJP      dweight[k, l] = Σ x[i s - p + k d, j s - p + l d]ᵀ dy[i, j],   dbias = Σ dy,
             dx[i s - p + k d, j s - p + l d] += dy[i, j] weight[k, l]ᵀ
    Raises   ShapeError for a kernel larger than the padded input, or channels that the groups do not divide
    Source   LeCun et al. (1989)

    >>> fn.Conv2D(16, 3, strides=2).out_shape((28, 28, 1))
    (14, 14, 16)
    >>> params, _ = fn.Conv2D(16, 3).init(fn.Key(0), (28, 28, 1))
    >>> params["weight"].shape
    (3, 3, 1, 16)
    """

    axes: ClassVar[int] = 2


@register("conv_3d")
@frozen
class Conv3D(Convolution):
    """Convolution over volumes; as ``Conv2D`` with one more axis.

    Input    (depth, height, width, channels)
    Output   (windows, windows, windows, filters)
    Params   weight (*kernel_size, channels / groups, filters), bias (filters,)
    VJP      that of Conv2D with one more axis
    Raises   ShapeError for a kernel larger than the padded input, or channels that the groups do not divide
    """

    axes: ClassVar[int] = 3


@frozen
class TransposedConvolution(Layer):
    """Base of the transposed convolutions, over ``axes`` spatial axes."""

    out_range = always()

    axes: ClassVar[int] = 0

    filters: int = field(validator=positive)
    kernel_size: Sizes
    strides: Sizes = 1
    padding: Literal["same", "valid"] | int | tuple[int | tuple[int, int], ...] = "same"
    output_padding: Sizes = 0
    dilation: Sizes = 1
    groups: int = field(default=1, validator=positive)
    use_bias: bool = True
    weight_init: Initializer = GlorotUniform()
    bias_init: Initializer = Zeros()

    def validate(self) -> Iterator[Problem]:
        for name in ("kernel_size", "strides", "dilation"):
            yield from size_problems(f".{name}", getattr(self, name), self.axes)
        yield from size_problems(".output_padding", self.output_padding, self.axes, least=0)
        yield from padding_problems(".padding", self.padding, self.axes)
        if self.filters % self.groups:
            yield Problem(".groups", f"must divide the {self.filters} filters, got {self.groups}")
        sizes = (each(getattr(self, name), self.axes) for name in ("output_padding", "strides", "dilation"))
        lengths = {len(size) for size in sizes}
        if lengths == {self.axes} and self.padding != "same":
            named = [each(getattr(self, name), self.axes) for name in ("output_padding", "strides", "dilation")]
            if any(extra >= max(stride, gap) for extra, stride, gap in zip(*named, strict=True)):
                yield Problem(
                    ".output_padding", f"must be smaller than the strides or the dilation, got {self.output_padding}"
                )
        if self.padding == "same" and any(each(self.output_padding, self.axes)):
            yield Problem(".output_padding", "is fixed by padding 'same'; leave it out, or give the padding as numbers")

    def windows(self, lengths: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[Window, ...]]:
        """The lengths of the output, and the windows of the transposed convolution over it."""
        out, axes = [], []
        named = (
            each(getattr(self, name), self.axes) for name in ("kernel_size", "strides", "output_padding", "dilation")
        )
        for i, (n, size, stride, extra, gap) in enumerate(zip(lengths, *named, strict=True)):
            extent = (size - 1) * gap + 1
            if self.padding == "same":
                whole = max(extent - stride, 0)
                before, after = whole // 2, whole - whole // 2
                extra = max(stride - extent, 0)
            elif self.padding == "valid":
                before, after = 0, 0
            else:
                pair = self.padding if isinstance(self.padding, int) else self.padding[i]
                before, after = (pair, pair) if isinstance(pair, int) else pair
            length = (n - 1) * stride + extent - before - after + extra
            if length < 1:
                raise ShapeError(
                    f"expected an output of length 1 or more, got {length} over axis {i} of length {n}: padding "
                    f"{(before, after)} removes all of it; pad less",
                    layer=type(self).__name__,
                )
            out.append(length)
            axes.append(Window(size, stride, gap, before, after, n))
        padded = (n + axis.before + axis.after for n, axis in zip(out, axes, strict=True))
        check_made(self, tuple(padded), "a padded output")
        return tuple(out), tuple(axes)

    def leaves(self, in_shape: Shape) -> dict[str, Any]:
        _, channels = image_shape(self, in_shape, self.axes, self.groups)
        shape = (*each(self.kernel_size, self.axes), channels, self.filters // self.groups)
        weight, bias = Leaf(shape, self.weight_init), Leaf((self.filters,), self.bias_init)
        return {"weight": weight, "bias": bias} if self.use_bias else {"weight": weight}

    def out_shape(self, in_shape: Shape) -> Shape:
        lengths, _ = image_shape(self, in_shape, self.axes, self.groups)
        return (*self.windows(lengths)[0], self.filters)

    def apply(self, params: Params, state: State, x: Value, ctx: Context) -> tuple[Value, State, Any]:
        lengths, windows = self.windows(floating(self, x).shape[1:-1])
        axes = plain(windows)
        y = correlate_input(x, params["weight"].swapaxes(-1, -2), lengths, axes, self.groups)
        if self.use_bias:
            y = y + params["bias"]
        return y, state, (x, axes)

    def vjp(self, params: Params, residuals: Any, dy: Value) -> tuple[Params, Value]:
        x, axes = residuals
        weight = params["weight"].swapaxes(-1, -2)  # the weight of the convolution that this layer transposes
        dparams = {"weight": correlate_weight(dy, x, weight.shape, axes, self.groups).swapaxes(-1, -2)}
        if self.use_bias:
            dparams["bias"] = np.sum(dy, axis=tuple(range(dy.ndim - 1)))
        return dparams, correlate(dy, weight, axes, self.groups)


@register("conv_transpose_1d")
@frozen
class ConvTranspose1D(TransposedConvolution):
    """The transpose of a convolution over time: ``y[i · strides - before + k · dilation] += x[i] @ weight[k]``.

    Its forward pass is the backward pass of ``Conv1D``, and vice versa. ``padding`` is the padding of that
    convolution, so it makes the output shorter; "same" gives ``strides`` outputs for each input. ``output_padding``
    adds entries at the end, to choose among the lengths that the convolution maps to the same length.

    Input    (time, channels)
    Output   ((time - 1) · strides + extent - before - after + output_padding, filters)
    Params   weight (kernel_size, channels, filters / groups), bias (filters,)
    VJP      dx[i] = Σ_k dy[i · strides - before + k · dilation] @ weight[k]ᵀ,   dbias = Σ dy,
             dweight[k] = Σ_i x[i]ᵀ dy[i · strides - before + k · dilation]
    Raises   ShapeError for padding that leaves nothing, or channels that the groups do not divide
    """

    axes: ClassVar[int] = 1


@register("conv_transpose_2d")
@frozen
class ConvTranspose2D(TransposedConvolution):
    """The transpose of a convolution over images; as ``ConvTranspose1D`` with one more axis.

    Input    (height, width, channels)
    Output   (height', width', filters)
    Params   weight (*kernel_size, channels, filters / groups), bias (filters,)
    VJP      that of ConvTranspose1D with one more axis
    Raises   ShapeError for padding that leaves nothing, or channels that the groups do not divide
    Source   Zeiler et al. (2010)
    """

    axes: ClassVar[int] = 2
