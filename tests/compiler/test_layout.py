"""The layout rules agree with NumPy itself on seeded random arrays: gaps, negative strides, axes of length 1."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from funcnet.compiler import layout
from funcnet.compiler.layout import Form

COUNT = 1500
"""Cases of each rule"""

Case = tuple[Any, Any, Any]
"""The strides of a rule, those of NumPy (None where it has to copy), and what they are of"""


def form(a: Any) -> Form:
    return Form(a.shape, a.strides, a.itemsize)


def shape_of(r: random.Random, least: int = 1) -> tuple[int, ...]:
    return tuple(r.choice((1, 2, 3, 4, 5)) for _ in range(r.randint(least, 4)))


def array(r: random.Random, shape: tuple[int, ...], dtype: Any = np.float64, broadcast: bool = True) -> Any:
    """Ones in any order of axes, some of which have gaps or run backwards; now and then broadcast, or windows."""
    if broadcast and shape and r.random() < 0.1:
        axis = r.randrange(len(shape))
        return np.broadcast_to(array(r, (*shape[:axis], 1, *shape[axis + 1 :]), dtype), shape)
    if broadcast and r.random() < 0.05:  # windows, whose strides may be equal
        steps = [r.choice((1, 1, 2, 5)) * np.dtype(dtype).itemsize for _ in shape]
        return np.lib.stride_tricks.as_strided(np.ones(100, dtype), shape, steps)
    order = list(range(len(shape)))
    if r.random() < 0.6:
        r.shuffle(order)
    gaps = [r.choice((1, 1, 1, 2)) for _ in shape]
    whole = np.ones([shape[axis] * gaps[axis] for axis in order], dtype)
    steps = tuple(slice(None, None, gap * r.choice((1, 1, 1, -1))) for gap in gaps)
    return whole.transpose(np.argsort(order))[steps] if shape else whole


def operand(r: random.Random, shape: tuple[int, ...], dtype: Any = np.float64) -> Any:
    """An array that broadcasts to a shape."""
    rest = shape[len(shape) - r.randint(0, len(shape)) :] if r.random() < 0.3 else shape
    return array(r, tuple(n if r.random() < 0.85 else 1 for n in rest), dtype)


def elementwise(r: random.Random) -> Case:
    shape = shape_of(r)
    operands = [operand(r, shape, r.choice((np.float32, np.float64))) for _ in range(r.randint(1, 3))]
    f = (np.exp, np.add, np.clip)[len(operands) - 1]
    found = f(*operands)
    forms = [form(a) for a in operands]
    return layout.of_elementwise(forms, found.shape, found.itemsize), found.strides, forms


def where(r: random.Random) -> Case:
    shape = shape_of(r)
    operands = [operand(r, shape, np.bool_), operand(r, shape), operand(r, shape)]
    found = np.where(*operands)
    forms = [form(a) for a in operands]
    return layout.of_elementwise(forms, found.shape, found.itemsize, ufunc=False), found.strides, forms


def reduction(r: random.Random) -> Case:
    a, keepdims = array(r, shape_of(r), np.float32), r.random() < 0.5
    axes = None if r.random() < 0.1 else tuple(i for i in range(a.ndim) if r.random() < 0.5)
    found = np.asarray(r.choice((np.add, np.maximum)).reduce(a, axis=axes, keepdims=keepdims))
    return layout.of_reduction(form(a), axes, keepdims, 4), found.strides, (form(a), axes, keepdims)


def copy(r: random.Random) -> Case:
    a = array(r, shape_of(r))
    found = r.choice((lambda: a.astype(np.float32), lambda: np.zeros_like(a, np.float32)))()
    return layout.of_copy(form(a), 4), found.strides, form(a)


def concatenation(r: random.Random, broadcast: bool = False) -> Case:
    shape = shape_of(r)
    axis = r.randrange(len(shape))
    shapes = [(*shape[:axis], r.randint(1, 3), *shape[axis + 1 :]) for _ in range(r.randint(1, 3))]
    parts = [array(r, shape, broadcast=broadcast) for shape in shapes]
    found = np.concatenate(parts, axis)
    forms = [form(a) for a in parts]
    return layout.of_concatenation(forms, found.shape, 8), found.strides, forms


def product(r: random.Random) -> Case:
    *batch, n, m = shape_of(r, least=2)
    a, b = operand(r, tuple(batch)), operand(r, tuple(batch))
    a, b = array(r, (*a.shape, n, m)), array(r, (*b.shape, m, r.randint(1, 4)))
    found = a @ b
    return layout.of_product(form(a), form(b), found.shape, 8), found.strides, (form(a), form(b))


def reshape(r: random.Random) -> Case:
    a, new, left = array(r, shape_of(r)), [], 0
    left = a.size
    for _ in range(r.randint(0, 4)):
        new.append(r.choice([n for n in range(1, 21) if left % n == 0]))
        left //= new[-1]
    new.insert(r.randint(0, len(new)), left)
    seen = a.view()
    try:
        seen.shape = tuple(new)
        expected = seen.strides
    except AttributeError:
        expected = None
    return layout.of_reshape(form(a), tuple(new)), expected, (form(a), new)


def cases(rule: Callable[[random.Random], Case]) -> Iterator[Case]:
    r = random.Random(rule.__name__)
    return (rule(r) for _ in range(COUNT))


def concatenation_of_broadcast(r: random.Random) -> Case:
    return concatenation(r, broadcast=True)


RULES = [elementwise, where, reduction, copy, concatenation, concatenation_of_broadcast, product]


@pytest.mark.parametrize("rule", RULES, ids=lambda f: f.__name__)
def test_the_strides_of_a_result(rule: Callable[[random.Random], Case]) -> None:
    wrong = [case for case in cases(rule) if case[0] != case[1]]
    assert not wrong, f"{len(wrong)} of {COUNT}, such as {wrong[0]}"


@pytest.mark.filterwarnings("ignore:Setting the shape:DeprecationWarning")
def test_a_reshape_is_a_view_with_these_strides_or_a_copy() -> None:
    found = list(cases(reshape))
    wrong = [case for case in found if case[0] != case[1]]
    assert not wrong, f"{len(wrong)} of {COUNT}, such as {wrong[0]}"
    assert {case[1] is None for case in found} == {True, False}


def test_contiguous_is_what_numpy_calls_so() -> None:
    r = random.Random(0)
    arrays = [array(r, shape_of(r, least=0)) for _ in range(COUNT)] + [np.ones((3, 0, 2))[::2]]
    assert [layout.contiguous(form(a)) for a in arrays] == [a.flags.c_contiguous for a in arrays]


def test_an_array_of_a_form_has_its_strides() -> None:
    r = random.Random(1)
    for _ in range(COUNT):
        a = array(r, shape_of(r, least=0), np.float32)
        full = layout.full(form(a), a.dtype, 3.0)
        assert full.strides == a.strides or layout.contiguous(form(a))
        assert full.dtype == a.dtype
        assert (full == 3.0).all()
        copied = a.astype(np.float64)
        order = layout.order_of(copied.shape, copied.strides)
        assert layout.packed(copied.shape, order, 8) == copied.strides
        assert layout.empty(copied.shape, copied.dtype, copied.strides).strides == copied.strides


def test_what_is_not_known_before_the_program_runs() -> None:
    unknown = Form((2, 3, 4), None, 8)
    assert layout.of_elementwise([unknown], unknown.shape, 8) is None
    assert layout.of_reduction(unknown, (0,), False, 8) is None
    assert layout.of_copy(unknown, 8) is None
    assert layout.of_concatenation([unknown], unknown.shape, 8) is None
    assert layout.of_reshape(unknown, (24,)) is None
    assert layout.of_product(Form((2, 3, 4, 5), None, 8), Form((2, 3, 5, 4), None, 8), (2, 3, 4, 4), 8) is None
    assert layout.of_product(unknown, Form((4, 5), None, 8), (2, 3, 5), 8) == (120, 40, 8)
    assert layout.of_reduction(unknown, (0, 2), False, 8) == (8,)
