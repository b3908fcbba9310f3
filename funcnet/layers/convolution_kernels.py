"""The kernels of the convolutions: sliding windows times weights, and its two adjoints.

The windows of a block of images become the rows of a matrix that stays in cache, which is multiplied by the weights
in one product, without loops over pixels. ``axes`` has for each spatial axis the plain tuple ``(size, stride,
dilation, before, windows)``. Arrays are ``(batch, *lengths, channels)``, weights
``(*sizes, channels / groups, filters)``; group g of the channels feeds group g of the filters.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np

from funcnet import ops
from funcnet.key import Array
from funcnet.layers.windows import Axes

# A matrix of windows has ENTRIES entries, so that it stays in the second-level cache, but at least WINDOWS rows: with
# fewer, reading the weights and adding to their gradient takes as long as the product. Measured for 3 to 1024 channels.
ENTRIES, WINDOWS = 2**18, 256


def product(numbers: Iterable[int]) -> int:
    """The product of integers."""
    return int(np.prod(list(numbers), dtype=np.int64))


def blocks(batch: int, rows: int, windows: int, entries: int) -> Iterator[tuple[slice, slice]]:
    """Slices of the batch and of the first axis, for matrices of about ENTRIES entries or WINDOWS rows.

    Each of the ``rows`` along the first axis has ``windows`` windows of ``entries`` entries.
    """
    most, row_size = max(ENTRIES, WINDOWS * entries), windows * entries
    images = max(most // max(rows * row_size, 1), 1)
    step = rows if rows * row_size <= most else max(most // row_size, 1)
    for first in range(0, batch, images):
        for row in range(0, rows, step):
            yield slice(first, min(first + images, batch)), slice(row, min(row + step, rows))


def window_rows(x: Array, axes: Axes, groups: int, images: slice, rows: slice) -> Array:
    """The windows of some images and rows, a matrix per group: (groups, windows, taps * channels / groups)."""
    lengths, channels = x.shape[1:-1], x.shape[-1]
    size, stride, dilation, before, _ = axes[0]
    top = rows.start * stride - before  # the first entry of these windows along the first axis
    bottom = (rows.stop - 1) * stride - before + (size - 1) * dilation + 1
    spans = [(top, bottom), *((-a[3], (a[4] - 1) * a[1] - a[3] + (a[0] - 1) * a[2] + 1) for a in axes[1:])]
    inside = [slice(min(max(low, 0), n), min(max(high, 0), n)) for (low, high), n in zip(spans, lengths, strict=True)]
    part = x[(images, *inside)]
    if any(low < 0 or high > n for (low, high), n in zip(spans, lengths, strict=True)):
        padded = np.zeros((part.shape[0], *(high - low for low, high in spans), channels), x.dtype)
        place = [slice(s.start - low, s.stop - low) for s, (low, _) in zip(inside, spans, strict=True)]
        padded[(slice(None), *place)] = part
        part = padded
    counts = (rows.stop - rows.start, *(a[4] for a in axes[1:]))
    steps, one = part.strides[1:-1], part.strides[-1]
    windows = np.lib.stride_tricks.as_strided(
        part,
        (groups, part.shape[0], *counts, *(a[0] for a in axes), channels // groups),
        (
            one * (channels // groups),
            part.strides[0],
            *(step * a[1] for step, a in zip(steps, axes, strict=True)),
            *(step * a[2] for step, a in zip(steps, axes, strict=True)),
            one,
        ),
        writeable=False,
    )
    taps = product(a[0] for a in axes) * (channels // groups)
    return windows.reshape(groups, part.shape[0] * product(counts), taps)


def grouped(weight: Array, groups: int) -> Array:
    """The weights, a matrix per group: (groups, taps * channels / groups, filters / groups)."""
    filters = weight.shape[-1]
    return np.ascontiguousarray(weight.reshape(-1, groups, filters // groups).transpose(1, 0, 2))


@ops.primitive(
    needs=("ENTRIES", "WINDOWS", product, blocks, window_rows, grouped),
    flops=lambda x, weight, axes, groups: 2 * x.shape[0] * math.prod(a[4] for a in axes) * math.prod(weight.shape),
)
def correlate(x: Array, weight: Array, axes: Axes, groups: int) -> Array:
    """``y[i] = Σ_k x[i · stride - before + k · dilation] weight[k]``, with zeros outside of x."""
    filters, counts = weight.shape[-1], tuple(a[4] for a in axes)
    matrix = grouped(weight, groups)
    y = np.empty((x.shape[0], *counts, filters), np.result_type(x, weight))
    for images, rows in blocks(x.shape[0], counts[0], product(counts[1:]), matrix.shape[1] * groups):
        windows = window_rows(x, axes, groups, images, rows)
        part = y[images, rows]
        if groups == 1:
            np.dot(windows[0], matrix[0], out=part.reshape(-1, filters))  # whole images, or rows of one: contiguous
        else:
            part[...] = np.matmul(windows, matrix).transpose(1, 0, 2).reshape(part.shape)
    return y


@ops.primitive(
    needs=("ENTRIES", "WINDOWS", product, blocks, window_rows),
    flops=lambda x, dy, sizes, axes, groups: 2 * math.prod(dy.shape[:-1]) * math.prod(sizes),
)
def correlate_weight(x: Array, dy: Array, sizes: tuple[int, ...], axes: Axes, groups: int) -> Array:
    """``dweight[k] = Σ_i x[i · stride - before + k · dilation] dy[i]``, of shape ``sizes``."""
    filters, counts = sizes[-1], tuple(a[4] for a in axes)
    taps = product(sizes[:-1])
    total = np.zeros((groups, taps, filters // groups), np.result_type(x, dy))
    for images, rows in blocks(x.shape[0], counts[0], product(counts[1:]), taps * groups):
        windows = window_rows(x, axes, groups, images, rows)
        part = dy[images, rows].reshape(-1, groups, filters // groups).transpose(1, 0, 2)
        total += np.matmul(windows.transpose(0, 2, 1), part)
    return np.ascontiguousarray(total.transpose(1, 0, 2)).reshape(sizes)


@ops.primitive(
    needs=("ENTRIES", "WINDOWS", product, blocks, correlate, grouped),
    flops=lambda dy, weight, lengths, axes, groups: 2 * math.prod(dy.shape[:-1]) * math.prod(weight.shape),
)
def correlate_input(dy: Array, weight: Array, lengths: tuple[int, ...], axes: Axes, groups: int) -> Array:
    """``dx[i · stride - before + k · dilation] += dy[i] weight[k]ᵀ``, the transposed convolution, of these lengths."""
    sizes, filters = weight.shape[:-2], weight.shape[-1]
    inner = weight.shape[-2]
    channels = inner * groups
    extents = [(a[0] - 1) * a[2] + 1 for a in axes]
    if all(a[1] == 1 and a[3] < extent for a, extent in zip(axes, extents, strict=True)):
        # with stride 1 it is a correlation with flipped weights
        flipped = weight[(slice(None, None, -1),) * len(axes)].reshape(*sizes, inner, groups, filters // groups)
        order = (*range(len(axes)), len(axes) + 2, len(axes) + 1, len(axes))
        back = tuple(
            (size, 1, dilation, extent - 1 - before, n)
            for (size, _, dilation, before, _), extent, n in zip(axes, extents, lengths, strict=True)
        )
        return correlate(dy, flipped.transpose(order).reshape(*sizes, filters // groups, channels), back, groups)
    counts = dy.shape[1:-1]
    spans = [(a[4] - 1) * a[1] + extent for a, extent in zip(axes, extents, strict=True)]
    spans = [max(span, n + a[3]) for span, n, a in zip(spans, lengths, axes, strict=True)]
    matrix = grouped(weight, groups).transpose(0, 2, 1)
    dx = np.empty((dy.shape[0], *lengths, channels), np.result_type(dy, weight))
    for images, _ in blocks(dy.shape[0], 1, product(counts), product(sizes) * channels):
        part = dy[images]
        rows = part.reshape(-1, groups, filters // groups).transpose(1, 0, 2)
        taps = np.matmul(rows, matrix).reshape(groups, len(part), *counts, *sizes, inner)
        padded = np.zeros((len(part), *spans, groups, inner), dx.dtype)
        for tap in np.ndindex(*sizes):
            covered = tuple(
                slice(k * a[2], k * a[2] + (a[4] - 1) * a[1] + 1, a[1]) for k, a in zip(tap, axes, strict=True)
            )
            into = padded[(slice(None), *covered)]
            into += np.moveaxis(taps[(Ellipsis, *tap, slice(None))], 0, -2)
        kept = tuple(slice(a[3], a[3] + n) for a, n in zip(axes, lengths, strict=True))
        dx[images] = padded[(slice(None), *kept)].reshape(len(part), *lengths, channels)
    return dx
