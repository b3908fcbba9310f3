"""The windows of convolution and pooling: size, strides, dilation and padding along each axis."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

from funcnet.errors import Problem, ShapeError
from funcnet.layers.base import Layer
from funcnet.layers.limits import check_made

Sizes = int | tuple[int, ...]
"""One number for all spatial axes, or one for each"""
Padding = Literal["same", "valid", "causal"] | int | tuple[int | tuple[int, int], ...]
"""A rule, one number for both ends of all axes, or for each axis a number or the pair ``(before, after)``"""


Axes = tuple[tuple[int, ...], ...]
"""For each spatial axis ``(size, stride, dilation, before, windows)``, for the kernels"""


class Window(NamedTuple):
    """The windows along one axis: window i covers ``i·stride - before + k·dilation`` for ``k < size``."""

    size: int
    stride: int
    dilation: int
    before: int
    after: int
    windows: int

    @property
    def extent(self) -> int:
        """The number of entries that a window spans, including those between its taps."""
        return (self.size - 1) * self.dilation + 1


def plain(axes: tuple[Window, ...]) -> Axes:
    """The windows as plain tuples, for the kernels."""
    return tuple((axis.size, axis.stride, axis.dilation, axis.before, axis.windows) for axis in axes)


def each(value: Sizes, axes: int) -> tuple[int, ...]:
    """One number for each axis."""
    return (value,) * axes if isinstance(value, int) else value


def size_problems(path: str, value: Any, axes: int, least: int = 1) -> Iterator[Problem]:
    """The problems of a size, stride or dilation."""
    numbers = each(value, axes)
    if len(numbers) != axes:
        yield Problem(path, f"expected one integer or {axes}, got {list(numbers)}")
    elif any(n < least for n in numbers):
        yield Problem(path, f"must be {least} or more, got {value if isinstance(value, int) else list(value)}")


def padding_problems(path: str, value: Any, axes: int, causal: bool = False) -> Iterator[Problem]:
    """The problems of a padding."""
    if isinstance(value, str):
        if value == "causal" and not causal:
            yield Problem(path, "'causal' is for the time axis only; expected 'same', 'valid' or numbers")
        return
    pairs = [pair for item in ((value,) if isinstance(value, int) else value) for pair in _pair(item)]
    if not isinstance(value, int) and len(value) != axes:
        yield Problem(path, f"expected one entry for each of {axes} axes, got {len(value)}")
    elif any(n < 0 for n in pairs):
        yield Problem(path, f"must be zero or more, got {value}")


def _pair(item: int | tuple[int, int]) -> tuple[int, int]:
    return (item, item) if isinstance(item, int) else item


def axes_of(
    layer: Layer,
    lengths: tuple[int, ...],
    sizes: Sizes,
    strides: Sizes,
    padding: Padding,
    dilation: Sizes = 1,
    ceil: bool = False,
) -> tuple[Window, ...]:
    """The windows along each axis of an input of these lengths.

    ``same`` gives ``⌈length / stride⌉`` windows; an odd entry of its padding comes after. ``causal`` pads only
    before, so that window i ends at entry i · stride. With ``ceil`` a last window may extend beyond the end, if it
    starts inside the input or its padding before.
    Raises   ShapeError for a window larger than the padded input, or one too large to hold
    """
    n = len(lengths)
    per_axis = zip(lengths, each(sizes, n), each(strides, n), each(dilation, n), strict=True)
    axes = []
    for i, (length, size, stride, gap) in enumerate(per_axis):
        extent = (size - 1) * gap + 1
        if padding == "same":
            total = max((-(-length // stride) - 1) * stride + extent - length, 0)
            before, after = total // 2, total - total // 2
        elif padding == "causal":
            before, after = extent - 1, 0
        elif padding == "valid":
            before, after = 0, 0
        else:
            before, after = _pair(padding if isinstance(padding, int) else padding[i])
        room = length + before + after - extent
        if room < 0:
            raise ShapeError(
                f"expected windows no longer than the padded input, got a window of {extent} over axis {i} "
                f"of length {length} with padding {(before, after)}; make the window or its dilation smaller, "
                "or pad more",
                layer=type(layer).__name__,
            )
        count = room // stride + 1
        if ceil and room % stride and count * stride < length + before:
            count += 1
        axes.append(Window(size, stride, gap, before, after, count))
    padded = (n + axis.before + axis.after for n, axis in zip(lengths, axes, strict=True))
    check_made(layer, tuple(padded), "a padded input")
    return tuple(axes)
