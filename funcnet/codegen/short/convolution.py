"""Convolutions of images and sequences without dilation and groups, a block of whole ones at a time."""

from __future__ import annotations

import ast
from typing import Any

import numpy as np

from funcnet.codegen.short.form import Simple
from funcnet.layers.convolution_kernels import blocks

SOME_IMAGES = '''
def some_images(count, places, taps):
    """Slices of the images whose windows, of this many taps, fit into the cache as one matrix."""
    images = max(max(2**18, 256 * taps) // (places * taps), 1)
    return [slice(i, i + images) for i in range(0, count, images)]
'''
WINDOWS = '''
def windows(x, size, before):
    """The windows of padded images as the rows of a matrix: (windows, entries)."""
    pads = [(n, m - 1 - n) for n, m in zip(before, size)]
    x = np.pad(np.ascontiguousarray(x), [(0, 0), *pads, (0, 0)])
    found = np.lib.stride_tricks.sliding_window_view(x, size, axis=(1, 2))
    return found.transpose(0, 1, 2, 4, 5, 3).reshape(-1, size[0] * size[1] * x.shape[3])
'''
CONV = '''
def conv(x, weight, before):
    """y[i, j] = sum_kl x[i - p + k, j - p + l] @ weight[k, l]"""
    matrix = np.ascontiguousarray(weight.reshape(-1, weight.shape[3]))
    parts = [x[some] for some in some_images(len(x), x.shape[1] * x.shape[2], len(matrix))]
    rows = [np.dot(windows(part, weight.shape[:2], before), matrix) for part in parts]
    return np.concatenate(rows).reshape(*x.shape[:3], -1)
'''
CONV_WEIGHT = '''
def conv_weight(x, dy, size, before):
    """dweight[k, l] = sum_ij x[i - p + k, j - p + l].T dy[i, j]"""
    total = 0
    for some in some_images(len(x), x.shape[1] * x.shape[2], size[0] * size[1] * x.shape[3]):
        total = total + windows(x[some], size, before).T @ dy[some].reshape(-1, dy.shape[3])
    return total.reshape(*size, x.shape[3], dy.shape[3])
'''
CONV_INPUT = '''
def conv_input(dy, weight, before):
    """dx[i, j] = sum_kl dy[i + p - k, j + p - l] @ weight[k, l].T"""
    turned = np.ascontiguousarray(weight[::-1, ::-1].swapaxes(2, 3))
    return conv(dy, turned, [n - 1 - m for n, m in zip(weight.shape, before)])
'''
STRIDED_WINDOWS = '''
def strided_windows(x, size, before, stride, count):
    """The windows of padded images, one every stride entries, as the rows of a matrix."""
    ends = [(c - 1) * s + n - p for n, p, s, c in zip(size, before, stride, count)]
    pads = [(p, max(end - n, 0)) for p, end, n in zip(before, ends, x.shape[1:3])]
    x = x[:, : ends[0], : ends[1]]  # up to the end of the last windows
    if np.any(pads):
        x = np.pad(np.ascontiguousarray(x), [(0, 0), *pads, (0, 0)])
    found = np.lib.stride_tricks.sliding_window_view(x, size, axis=(1, 2))
    found = found[:, :: stride[0], :: stride[1]]
    return found.transpose(0, 1, 2, 4, 5, 3).reshape(-1, size[0] * size[1] * x.shape[3])
'''
STRIDED = '''
def conv_strided(x, weight, before, stride, count):
    """y[i, j] = sum_kl x[s i - p + k, s j - p + l] @ weight[k, l]"""
    matrix, size = np.ascontiguousarray(weight.reshape(-1, weight.shape[3])), weight.shape[:2]
    parts = [x[some] for some in some_images(len(x), count[0] * count[1], len(matrix))]
    rows = [np.dot(strided_windows(part, size, before, stride, count), matrix) for part in parts]
    return np.concatenate(rows).reshape(len(x), *count, -1)
'''
STRIDED_WEIGHT = '''
def conv_strided_weight(x, dy, size, before, stride):
    """dweight[k, l] = sum_ij x[s i - p + k, s j - p + l].T dy[i, j]"""
    total, count = 0, dy.shape[1:3]
    for some in some_images(len(x), count[0] * count[1], size[0] * size[1] * x.shape[3]):
        rows = strided_windows(x[some], size, before, stride, count)
        total = total + rows.T @ dy[some].reshape(-1, dy.shape[3])
    return total.reshape(*size, x.shape[3], dy.shape[3])
'''
STRIDED_INPUT = '''
def conv_strided_input(dy, weight, before, stride, lengths):
    """dx[s i - p + k, s j - p + l] += dy[i, j] @ weight[k, l].T"""
    (_, m, n, _), size, (p, q), (s, t) = dy.shape, weight.shape[:3], before, stride
    ends = (m - 1) * s + size[0], (n - 1) * t + size[1]  # of the last windows
    height, width = (max(a, b + c) for a, b, c in zip(ends, lengths, before))
    dx = np.zeros((len(dy), height, width, size[2]), dy.dtype)
    matrix = np.ascontiguousarray(weight.reshape(-1, weight.shape[3])).T
    for some in some_images(len(dy), m * n, np.prod(size)):
        taps = (dy[some].reshape(-1, len(matrix)) @ matrix).reshape(-1, m, n, *size)
        for k, l in np.ndindex(size[:2]):
            dx[some, k : k + m * s : s, l : l + n * t : t][:, :m, :n] += taps[:, :, :, k, l]
    return np.ascontiguousarray(dx[:, p : p + lengths[0], q : q + lengths[1]])
'''
TURNED_INPUT = '''
def conv_strided_input(dy, weight, before, stride, lengths):
    """dx[i, j] = sum_kl dy[i + p - k, j + p - l] @ weight[k, l].T"""
    turned = np.ascontiguousarray(weight[::-1, ::-1].swapaxes(2, 3))
    before = [n - 1 - m for n, m in zip(weight.shape, before)]
    return conv_strided(dy, turned, before, stride, lengths)
'''


def conv(nodes: list[Any], args: list[str]) -> Simple | None:
    """``correlate``."""
    x, weight, axes, groups = nodes
    if not _plain(x, weight, axes, groups) or not _images(x.shape, axes, int(np.prod(weight.shape[:-1]))):
        return None
    before, stride, count = _fields(axes)
    if _same(axes, x.shape[1:-1]):
        return Simple("conv", [*args[:2], before], CONV, (SOME_IMAGES, WINDOWS))
    return _lifted("conv_strided", args[:2], [before, stride, count], axes, STRIDED, SOME_IMAGES, STRIDED_WINDOWS)


def conv_weight(nodes: list[Any], args: list[str]) -> Simple | None:
    """``correlate_weight``."""
    x, dy, sizes, axes, groups = nodes
    if not _plain(x, dy, axes, groups) or not _images(x.shape, axes, int(np.prod(sizes[:-1]))):
        return None
    before, stride, _ = _fields(axes)
    size = str((1, *sizes[:-2])[-2:])
    if _same(axes, x.shape[1:-1]):
        return Simple("conv_weight", [*args[:2], size, before], CONV_WEIGHT, (SOME_IMAGES, WINDOWS))
    rest = [size, before, stride]
    return _lifted("conv_strided_weight", args[:2], rest, axes, STRIDED_WEIGHT, SOME_IMAGES, STRIDED_WINDOWS)


def conv_input(nodes: list[Any], args: list[str]) -> Simple | None:
    """``correlate_input``."""
    dy, weight, lengths, axes, groups = nodes
    if not _plain(dy, weight, axes, groups):
        return None
    turned = all(a[1] == 1 for a in axes)
    back = [(a[0], 1, 1, a[0] - 1 - a[3], n) for a, n in zip(axes, lengths, strict=True)]
    taps = int(np.prod(weight.shape[:-2])) * weight.shape[-1]
    if turned and not _images(dy.shape, back, taps):
        return None
    before, stride, _ = _fields(axes)
    if _same(axes, lengths):
        return Simple("conv_input", [*args[:2], before], CONV_INPUT, (CONV, SOME_IMAGES, WINDOWS))
    rest = [before, stride, str((1, *lengths)[-2:])]
    needs = (TURNED_INPUT, STRIDED, SOME_IMAGES, STRIDED_WINDOWS) if turned else (STRIDED_INPUT, SOME_IMAGES)
    return _lifted("conv_strided_input", args[:2], rest, axes, *needs)


def _lifted(name: str, arrays: list[str], rest: list[str], axes: Any, text: str, *needs: str) -> Simple:
    """A call with images; sequences are images of one row."""
    if len(axes) == 2:
        return Simple(name, [*arrays, *rest], text, needs)
    first, second = map(_atom, arrays)
    at, end = (":, None", "[0]") if name == "conv_strided_weight" else ("None", "[:, 0]")
    return Simple(name, [f"{first}[:, None]", f"{second}[{at}]", *rest], text, needs, end)


def _atom(text: str) -> str:
    """An expression that an index may follow."""
    node = ast.parse(text, mode="eval").body
    return text if isinstance(node, ast.Name | ast.Call | ast.Subscript | ast.Attribute) else f"({text})"


def _plain(x: Any, y: Any, axes: Any, groups: int) -> bool:
    """Whether a convolution is that of images or sequences, without dilation, groups and windows of padding alone."""
    plain = len(axes) <= 2 and groups == 1 and x.dtype == y.dtype
    return plain and all(a[2] == 1 and 0 <= a[3] < a[0] for a in axes)


def _fields(axes: Any) -> tuple[str, str, str]:
    """The padding before each axis, the strides, and the numbers of windows, as code."""
    image = [(1, 1, 1, 0, 1), *axes][-2:]
    before, stride, count = (str(tuple(axis[i] for axis in image)) for i in (3, 1, 4))
    return before, stride, count


def _same(axes: Any, lengths: Any) -> bool:
    """Whether there is a window for every entry."""
    return len(axes) == 2 and all(a[1] == 1 and a[4] == n for a, n in zip(axes, lengths, strict=True))


def _images(shape: tuple[int, ...], axes: Any, entries: int) -> bool:
    """Whether the blocks of a convolution are whole images."""
    counts = [axis[4] for axis in axes]
    found = blocks(shape[0], counts[0], int(np.prod(counts[1:])), entries)
    return all(rows == slice(0, counts[0]) for _, rows in found)
