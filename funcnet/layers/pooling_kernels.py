"""Pooling over windows: a loop over the taps of the windows, each a strided slice of the input."""

from __future__ import annotations

import math

import numpy as np

from funcnet import ops
from funcnet.key import Array
from funcnet.layers.windows import Axes


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
