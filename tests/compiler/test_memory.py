"""Programs in which a mistake of the planner about memory, chains or names shows in the values."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import funcnet as fn
from funcnet import ops
from funcnet.compiler import plan
from funcnet.compiler.function import Compiled
from tests.compiler.comparison import SMALL, check_same, clone, compare, thresholds
from tests.compiler.user_code.grid import faulty

X, Y = fn.Key(1).normal((12, 4), np.float32), fn.Key(2).normal((12, 4), np.float32)
SQUARE = fn.Key(3).normal((4, 4), np.float32)
TINY = np.where(X > 0, X, np.float32(1e-38))
"""Some entries are flushed when averages are settled"""


def a_chain_that_widens(x: Any, w: Any) -> Any:
    """Its result is larger than what it reads, of which only the first call reads the last rows."""
    d = ((x @ w) * 2.0).astype(np.float64)
    return d.T @ d


def a_view_that_leaves(x: Any, w: Any) -> Any:
    a = x @ w
    return a[1:], ((x * 3.0) @ w).sum()


def one_array_twice_in_a_vector(x: Any, w: Any) -> Any:
    a = w + 1.0
    return np.concatenate((a, x, a), axis=None) * 2.0


def written_and_copied_pieces(x: Any, w: Any) -> Any:
    return np.concatenate((w + 1.0, x.T, w * 2.0, x, w - 1.0), axis=None) * 2.0


def an_average_that_leaves(x: Any, w: Any) -> Any:
    m = x * 0.5
    return m, ops.settle(m, 32)


def an_average_that_is_read_later(x: Any, w: Any) -> Any:
    m = x * 0.5
    s = ops.settle(m, 32)
    return s * 2.0, (m * 1e30) @ w


def a_settled_average_in_a_chain(x: Any, w: Any) -> Any:
    s = ops.settle((x @ w + x) * 0.5, 32)
    return s + x * x


def a_choice_over_its_own_operand(x: Any, w: Any) -> Any:
    a = x @ w
    c = np.where(a > 0.0, a, a + 1.0)
    return c.T @ c


def two_results_of_a_chain(x: Any, w: Any) -> Any:
    """Only one of them may lie where what the chain reads does."""
    c = (x @ w) * 2.0
    d = c + 1.0
    return c.T @ d


def what_a_chain_reads_again(x: Any, w: Any) -> Any:
    a = x @ w
    b = a + 1.0
    return b.T @ (b * a)


def a_number_that_comes_after_the_chain_begins(x: Any, w: Any) -> Any:
    z = x @ w + 1.0
    return z + x * ops.number(z.sum())


def as_many_rows_and_other_columns(x: Any, w: Any) -> Any:
    a = x.sum(axis=1, keepdims=True) * 2.0
    return np.tanh(a + x) * a, np.exp(a) + 1.0


def an_operand_of_fewer_axes(x: Any, w: Any) -> Any:
    a = (x.T @ x) * 2.0
    return (a + w[0]) * a


def the_bound_of_a_block(x: Any, w: Any) -> Any:
    """11 rows, in blocks of some."""
    a = (x @ w)[1:] * 2.0
    return (a + 1.0) * a


def a_number_in_two_dtypes(x: Any, w: Any) -> Any:
    n = ops.number(w.sum()) / 3.0
    return x * n, x.astype(np.float64) * n


def a_sum_over_one_entry(x: Any, w: Any) -> Any:
    return (x * -0.0)[:, None].sum(axis=1), (x[:1] * -0.0).sum(axis=0)


def casts_to_dtypes_of_one_size(x: Any, w: Any) -> Any:
    a = np.floor(x * 3.0)
    return a.astype(np.int32), a.astype(np.float32), a.astype(np.uint32)


def products_of_one_entry(x: Any, w: Any) -> Any:
    return (w[:1, :1] * 0.0) @ (w[:1, :1] * -1.0), np.abs(x[:, :1]) @ (w[:1, :1] * -0.0)


def products_with_gaps(x: Any, w: Any) -> Any:
    a = np.exp(x @ x.T)
    return a[:, ::2] @ a[::2], a[::2, 1:].T @ a[::2], a[1:, ::3] @ a[::3, ::2]


def products_with_one(x: Any, w: Any) -> Any:
    n = np.floor(x * 3.0).astype(np.int64)
    return n * 1.0, 1 * (x > 0.0), (x > 0.0) * 1.0, 1.0 * n[0, 0], ops.number(n.sum()) * 1.0, x * 1.0


def one_array_that_was_two(x: Any, w: Any) -> Any:
    return (x + 1.0) @ (x + 1.0).T, (x + 1.0).T @ (x + 1.0)


def an_entry_of_scratch_memory(x: Any, w: Any) -> Any:
    a = x @ w
    return a[0, 1] * x, a[2, ...] + a[..., 3][0]


def powers_of_negative_numbers(x: Any, w: Any) -> Any:
    return x * (-3.0) ** 2.0, ops.number(-np.abs(w).sum()) ** 2 * x, (-ops.number(w[0, 0])) ** 2


PROGRAMS = [
    a_chain_that_widens, a_view_that_leaves, one_array_twice_in_a_vector, written_and_copied_pieces,
    an_average_that_leaves, an_average_that_is_read_later, a_settled_average_in_a_chain, a_choice_over_its_own_operand,
    two_results_of_a_chain, what_a_chain_reads_again, a_number_that_comes_after_the_chain_begins,
    as_many_rows_and_other_columns, an_operand_of_fewer_axes, the_bound_of_a_block, a_number_in_two_dtypes,
    a_sum_over_one_entry, casts_to_dtypes_of_one_size, products_of_one_entry, products_with_gaps,
    products_with_one, one_array_that_was_two, an_entry_of_scratch_memory, powers_of_negative_numbers,
]  # fmt: skip


@pytest.mark.parametrize("f", PROGRAMS, ids=lambda f: f.__name__)
def test_programs(f: Callable[..., Any]) -> None:
    for sizes in ({}, *SMALL):
        with thresholds(sizes):
            compare(f, [(X, SQUARE), (Y, -SQUARE), (TINY, SQUARE), (X, SQUARE)])


def test_blas_is_given_two_arrays_where_numpy_has_two() -> None:
    """Of a product with itself it computes one half, and adds in another order."""
    x, y = fn.Key(6).normal((64, 70), np.float32), fn.Key(7).normal((64, 70), np.float32)
    compare(lambda x: ((x + 1.0) @ (x + 1.0).T, (x + 2.0).T @ (x + 2.0), x @ x.T), [(x,), (y,), (x,)])


def test_a_probe_sees_every_block() -> None:
    def f(x: Any, y: Any) -> Any:
        return ops.probe(np.tanh(x) + y, np.tanh(x) * y)

    with thresholds(SMALL[0]):
        fast = Compiled(f, strict=True)
        for row in range(len(X)):
            bad = np.where(np.arange(12)[:, None] == row, np.float32(np.nan), X)
            assert np.isnan(fast(bad, Y))
        np.testing.assert_allclose(fast(X, Y), f(X, Y), rtol=1e-5)


def test_results_lie_in_memory_as_the_function_s_own() -> None:
    def f(x: Any, a: Any) -> Any:
        y = x.T * 2.0
        t = np.tanh(np.transpose(a, (2, 0, 1)))
        return y, y + 1.0, np.transpose(a, (1, 2, 0)) * 3.0, t, (t * 2.0)[1:], (x @ x.T).T, a.T.copy(), np.copy(a.T)

    a = fn.Key(4).normal((5, 6, 7), np.float32)
    for sizes in ({}, *SMALL):
        with thresholds(sizes):
            fast = Compiled(f, strict=True)
            for _ in range(4):
                found, expected = fast(X, a), f(X, a)
                assert [y.flags.owndata or y.base.base is None for y in found]
                for y, z in zip(found, expected, strict=True):
                    order = [np.argsort([-abs(s) for s in b.strides], kind="stable").tolist() for b in (y, z)]
                    assert order[0] == order[1], (y.strides, z.strides)


def test_a_long_program_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    def f(x: Any, w: Any) -> Any:
        early = ops.number(w.sum()), x.sum(axis=0), (x @ w)[1:]
        y = x
        for i in range(12):
            y = np.tanh(y @ w) + ops.number(y[0, 0]) * i
        return y * early[0] + early[1], early[2] * early[0], y

    for piece in (1, 2, 3, 7):
        monkeypatch.setattr(plan, "PIECE", piece)
        with thresholds({"HELD": 16}):
            compare(f, [(X, SQUARE), (Y, SQUARE), (X, SQUARE)])


@pytest.mark.filterwarnings("ignore::funcnet.CompileWarning")
@pytest.mark.parametrize("residual", ["x", "transposed", "tuple"])
def test_what_a_layer_keeps_that_runs_as_it_is(residual: str) -> None:
    """Its input is a view, its residuals another, and they leave: no later call writes there."""
    net = fn.serial(fn.Dense(6), fn.Reshape((2, 3)), faulty("apply branches", residual), fn.Flatten(), fn.Dense(1))
    params, state = net.init(fn.Key(0), (4,), np.float32)

    def f(params: Any, x: Any) -> Any:
        return net.apply(params, state, x, fn.EVAL)

    fast, kept = Compiled(f), []
    for x in (X, Y, X + Y, X):
        found = fast(params, x)
        check_same(found, f(params, x))
        kept.append((found, clone(found)))
    assert fast.last is not None
    for found, copied in kept:
        check_same(found, copied)


def test_memory_in_use_does_not_overlap() -> None:
    """Of ranges taken and given back at random, none overlaps another in use, and what is free is taken again."""
    from funcnet.compiler.memory import ALIGNMENT, Space

    key, space = fn.Key(5), Space()
    used: list[Any] = []
    for i, n in enumerate(key.fold("bytes").integers(2000, (3000,)).tolist()):
        if len(used) > 20 or (used and key.fold(i).integers(3) == 0):
            space.give_back(used.pop(n % len(used)))
        else:
            used.append(space.take(n))
        spans = sorted((b.offset, b.offset + max(b.nbytes, 1)) for b in used)
        assert all(end <= start for (_, end), (start, _) in pairwise(spans))
        assert all(start % ALIGNMENT == 0 and end <= space.size for start, end in spans)
    for buffer in used:
        space.give_back(buffer)
    assert space.free == {0: space.size}
