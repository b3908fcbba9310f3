"""Memory layout: the strides that NumPy gives to the results of its calls.

The last bits of a sum, and the kernel of a matrix product, depend on the order of the entries in memory. To give
the same bits as plain NumPy, a plan therefore knows the strides of every array. ``None`` means strides that are
known only when the program runs.

Source   NumPy 2: results keep the order of their operands' strides (``order="K"``); where operands disagree, C order
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

Shape = tuple[int, ...]
Strides = tuple[int, ...]


class Form(NamedTuple):
    """The shape, the strides and the itemsize of an array; the strides are None if unknown."""

    shape: Shape
    strides: Strides | None
    itemsize: int


@lru_cache(maxsize=8192)
def row_major(shape: Shape, itemsize: int) -> Strides:
    """The strides of a new array in C order."""
    return packed(shape, range(len(shape)), itemsize)


def packed(shape: Shape, order: Sequence[int], itemsize: int) -> Strides:
    """The strides of a contiguous array whose axes have the given order, outermost first."""
    strides, step = [0] * len(shape), itemsize
    for axis in reversed(order):
        strides[axis] = step
        step *= max(shape[axis], 1)
    return tuple(strides)


def order_of(shape: Shape, strides: Strides) -> tuple[int, ...]:
    """The order of the axes of a contiguous array, outermost first."""
    return tuple(sorted(range(len(shape)), key=lambda axis: (-strides[axis], shape[axis] == 1)))


def contiguous(form: Form) -> bool:
    """Whether an array is contiguous in C order."""
    shape, strides, step = form
    if strides is None:
        return False
    if strides == row_major(shape, step) or 0 in shape:
        return True
    for n, stride in zip(reversed(shape), reversed(strides), strict=True):
        if n != 1:
            if stride != step:
                return False
            step *= n
    return True


def _reversed(form: Form) -> Form:
    return Form(form.shape[::-1], None if form.strides is None else form.strides[::-1], form.itemsize)


def of_elementwise(forms: Iterable[Form], shape: Shape, itemsize: int, ufunc: bool = True) -> Strides | None:
    """The strides of the result of a ufunc or of ``np.where``."""
    forms = [form for form in forms if form.shape]
    if len(shape) < 2 or all(form.strides == row_major(form.shape, form.itemsize) for form in forms):
        return row_major(shape, itemsize)
    if any(form.strides is None for form in forms):
        return None
    if ufunc and all(form.shape == shape and contiguous(_reversed(form)) and not contiguous(form) for form in forms):
        return packed(shape, range(len(shape))[::-1], itemsize)
    return packed(shape, _kept(forms, len(shape)), itemsize)


def of_reduction(form: Form, axes: Shape | None, keepdims: bool, itemsize: int) -> Strides | None:
    """The strides of the result of a reduction over some axes, or all."""
    ndim = len(form.shape)
    gone = set(range(ndim) if axes is None else axes)
    kept = [axis for axis in range(ndim) if keepdims or axis not in gone]
    shape = tuple(1 if axis in gone else form.shape[axis] for axis in kept)
    if len(shape) < 2 or contiguous(form):
        return row_major(shape, itemsize)
    if form.strides is None:
        return None
    return packed(shape, [kept.index(axis) for axis in _kept([form], ndim) if axis in kept], itemsize)


def of_copy(form: Form, itemsize: int) -> Strides | None:
    """The strides of a copy that keeps the order of the axes, as by ``astype`` and ``zeros_like``."""
    shape, strides, _ = form
    if len(shape) < 2 or contiguous(form):
        return row_major(shape, itemsize)
    if strides is None:
        return None
    axes: Sequence[int] = range(len(shape))
    if contiguous(_reversed(form)):
        return packed(shape, axes[::-1], itemsize)
    return packed(shape, sorted(axes, key=lambda axis: (-abs(strides[axis]), axis)), itemsize)


def of_concatenation(forms: Iterable[Form], shape: Shape, itemsize: int) -> Strides | None:
    """The strides of concatenated arrays."""
    forms = list(forms)
    if len(shape) < 2 or all(map(contiguous, forms)):
        return row_major(shape, itemsize)
    if any(form.strides is None for form in forms):
        return None
    lengths = [
        tuple(0 if n == 1 else abs(stride) + 1 for n, stride in zip(form.shape, form.strides or (), strict=True))
        for form in forms
    ]  # unlike for ufuncs, a stride of 0 counts as the shortest; only axes of length 1 are ignored
    return packed(shape, _sorted_axes(range(len(shape)), lengths, outermost_first=True), itemsize)


def of_product(a: Form, b: Form, shape: Shape, itemsize: int) -> Strides | None:
    """The strides of ``a @ b``: matrices in C order, with the batch axes in the operands' order."""
    batch = len(shape) - 2
    if batch < 2 or (contiguous(a) and contiguous(b)):
        return row_major(shape, itemsize)
    if a.strides is None or b.strides is None:
        return None
    outer = [Form(form.shape[:-2], form.strides[:-2], form.itemsize) for form in (a, b) if form.strides is not None]
    return packed(shape, (*_kept(outer, batch), batch, batch + 1), itemsize)


def of_reshape(form: Form, shape: Shape) -> Strides | None:
    """The strides of a view in another shape; None where NumPy has to copy."""
    old, strides, itemsize = form
    if strides is None:
        return None
    if shape == old:
        return strides
    if contiguous(form):
        return row_major(shape, itemsize)
    pairs = [(n, stride) for n, stride in zip(old, strides, strict=True) if n != 1]
    new = [n for n in shape if n != 1]
    found: list[int] = []
    i = j = 0
    while i < len(pairs) and j < len(new):
        size, whole, start, first = pairs[i][0], new[j], i, j
        while size != whole:
            if size < whole:
                i += 1
                size *= pairs[i][0]
            else:
                j += 1
                whole *= new[j]
        for (_, outer), (n, inner) in zip(pairs[start:i], pairs[start + 1 : i + 1], strict=True):
            if outer != n * inner:
                return None
        step, group = pairs[i][1], []
        for n in reversed(new[first : j + 1]):
            group.append(step)
            step *= n
        found += reversed(group)
        i, j = i + 1, j + 1
    full: list[int] = []
    outer = found[-1] if found else itemsize
    for n in reversed(shape):  # the stride of an axis of length 1 spans the axis inside it
        full.append(outer if n == 1 else found.pop())
        outer = outer if n == 1 else full[-1] * n
    return tuple(reversed(full))


def abstract(form: Form, dtype: Any) -> Any:
    """An array of a form for its shape and strides only: it has memory for a single entry."""
    if form.strides is None:
        return np.broadcast_to(np.zeros((), dtype), form.shape)
    return np.lib.stride_tricks.as_strided(np.zeros((), dtype), form.shape, form.strides)


def empty(shape: Shape, dtype: Any, strides: Strides | None) -> Any:
    """A new array that owns its memory, with strides as by ``packed``."""
    if strides is None or strides == row_major(shape, np.dtype(dtype).itemsize):
        return np.empty(shape, dtype)
    return np.ndarray(shape, dtype, strides=strides)


def _effective(forms: Iterable[Form], ndim: int) -> list[Strides]:
    """The operands' strides over all axes of the result, 0 along axes of length 1."""
    whole = []
    for shape, strides, _ in forms:
        assert strides is not None
        steps = (0 if n == 1 else stride for n, stride in zip(shape, strides, strict=True))
        whole.append((*(0,) * (ndim - len(shape)), *steps))
    return whole


def _kept(forms: Iterable[Form], ndim: int) -> tuple[int, ...]:
    """The order in which NumPy's iterator runs over the operands' axes, outermost first."""
    return _sorted_axes(range(ndim)[::-1], _effective(forms, ndim), outermost_first=False)[::-1]


def _sorted_axes(axes: Sequence[int], whole: list[Strides], outermost_first: bool) -> tuple[int, ...]:
    """Axes sorted by stride: a stable insertion sort, in which C order wins where operands disagree."""
    order: list[int] = []
    for axis in axes:
        place = len(order)
        for before in reversed(range(len(order))):
            verdict = _moves(axis, order[before], whole, outermost_first)
            if verdict is False:
                break
            if verdict:
                place = before
        order.insert(place, axis)
    return tuple(order)


def _moves(axis: int, other: int, whole: list[Strides], outermost_first: bool) -> bool | None:
    """Whether an axis moves in front of another that precedes it in C order; None if no operand decides."""
    verdict = None
    for strides in whole:
        mine, theirs = abs(strides[axis]), abs(strides[other])
        if mine and theirs:
            if (theirs >= mine) if outermost_first else (theirs <= mine):
                return False
            verdict = True
    return verdict


def outermost_first(form: Form) -> list[int]:
    """The axes from the largest stride to the smallest, equal ones in their order."""
    strides = form.strides or (0,) * len(form.shape)
    return sorted(range(len(form.shape)), key=lambda axis: -strides[axis])


def full(form: Form, dtype: Any, value: Any) -> Any:
    """An array with the shape and strides of a form, filled with one value."""
    if form.strides is None or contiguous(form):
        return np.full(form.shape, value, dtype)
    if 0 in form.shape:
        return np.empty(form.shape, dtype)
    spans = [(n - 1) * stride for n, stride in zip(form.shape, form.strides, strict=True)]
    before = -sum(min(span, 0) for span in spans)
    memory = np.zeros(before + sum(max(span, 0) for span in spans) + form.itemsize, np.uint8)
    array: Any = np.ndarray(form.shape, dtype, memory.data, before, form.strides)
    array[...] = value
    return array
