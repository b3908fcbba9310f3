"""Compiled and plain results agree to the last bit: every row of the table, every pass on and off."""

import contextlib

import numpy as np
import pytest

import funcnet as fn
from funcnet.compiler.function import Compiled
from funcnet.layers.base import apply_child, vjp_child
from tests.compiler import comparison
from tests.row import random_like
from tests.table import IGNORING, KINDS, LAYERS, LOSSES, OPTIMIZERS, RULES, same

SMALL = comparison.SMALL[0]
WITHOUT = list(comparison.options())
WAYS = [
    pytest.param({}, frozenset(), False, id="as it is"),
    pytest.param(SMALL, frozenset(), False, id="small thresholds"),
    pytest.param({}, frozenset(), True, id="all as it is", marks=pytest.mark.slow),
    pytest.param(SMALL, frozenset(), True, id="all with small thresholds", marks=pytest.mark.slow),
    *(pytest.param(SMALL, frozenset({name}), True, id=f"without {name}", marks=pytest.mark.slow) for name in WITHOUT),
]
"""Thresholds, a pass that is off, and whether a test tries all that it can rather than what every run has time for"""


@pytest.fixture
def thresholds():
    """Set the sizes from which arrays are blocked, recycled and packed, so that small ones are."""
    with contextlib.ExitStack() as stack:
        yield lambda sizes: stack.enter_context(comparison.thresholds(sizes))


@pytest.mark.parametrize(("sizes", "without", "whole"), WAYS)
def test_layers(thresholds, sizes, without, whole):
    thresholds(sizes)
    names = list(LAYERS)
    if without:  # a fourth in each of these ways
        names = names[WITHOUT.index(*without) % 4 :: 4]
    elif not whole and not sizes:
        names = KINDS
    for name in names:
        row = LAYERS[name]
        for dtype in (np.float32, np.float64) if whole else (np.float32,):
            params, state = row.layer.init(fn.Key(0), row.in_shape, dtype)
            x = row.input(fn.Key(1), 4, dtype)
            for train in (False, True) if whole else (True,):
                ctx = fn.Context(train, fn.Key(5))
                dy = random_like(row.layer.apply(params, state, x, ctx)[0], fn.Key(3))

                def both(params, state, x, ctx, dy, net=row.layer):
                    y, state, residuals = apply_child("", net, params, state, x, ctx)
                    return (y, state, *vjp_child("", net, params, residuals, dy))

                fast = Compiled(both, strict=True, without=without)
                fast(params, state, x, ctx, dy)
                again = fast(params, state, x, ctx, dy)  # scratch memory holds the values of the first call
                assert same(again, both(params, state, x, ctx, dy)), (name, dtype, train)


@pytest.mark.parametrize(("sizes", "without", "whole"), WAYS)
def test_losses(thresholds, sizes, without, whole):
    thresholds(sizes)
    for case in (LOSSES | IGNORING).values():
        for dtype in (np.float32, np.float64) if whole else (np.float32,):
            p = case.prediction.astype(dtype)
            t = case.target.astype(dtype) if case.target.dtype.kind == "f" else case.target
            for weight in (None, np.arange(1, len(p) + 1).astype(dtype)):

                def both(p, t, weight, loss=case.loss):
                    value, residuals = loss.apply(p, t, weight)
                    return fn.ops.array(value), loss.vjp(residuals)

                assert same(Compiled(both, strict=True, without=without)(p, t, weight), both(p, t, weight)), case


@pytest.mark.parametrize(("sizes", "without", "whole"), WAYS)
def test_optimizers(thresholds, sizes, without, whole):
    thresholds(sizes)
    names = list(OPTIMIZERS)
    if without:  # a third in each of these ways
        names = names[WITHOUT.index(*without) % 3 :: 3]
    elif not whole and sizes:
        names = names[::12]
    elif not whole:
        names = RULES
    for name in names:
        opt = OPTIMIZERS[name]
        for dtype in (np.float32, np.float64) if whole else (np.float32,):
            params = {
                "a": {"weight": fn.Key(1).normal((3, 4), dtype), "bias": fn.Key(2).normal((4,), dtype)},
                "bias": fn.Key(3).normal((2,), dtype),
                "weight": np.array(0.3, dtype),
            }
            plain = compiled = opt.init(params)
            fast = Compiled(lambda g, s, p, v, opt=opt: opt.update(g, s, p, v), strict=True, without=without)
            for i in range(35):  # past the step at which averages are flushed
                grads = random_like(params, fn.Key(4).fold(i))
                if i > 1:
                    grads["bias"] = np.zeros_like(grads["bias"])
                value = 2.0 - 0.05 * min(i, 10)
                u, plain = opt.update(grads, plain, params, value)
                v, compiled = fast(grads, compiled, params, value)
                assert same((u, plain), (v, compiled)), (name, i)


def test_a_number_for_one_leaf_and_an_array_for_another_are_not_alike():
    """Such as the updates of a leaf that is frozen, and of one that is not."""

    def f(a, b, u):
        return {"a": a + np.zeros_like(a), "b": b + u}, {"a": a + u, "b": b + np.zeros_like(b)}

    a, b, u = (fn.Key(i).normal((5,)) for i in range(3))
    assert same(Compiled(f, strict=True)(a, b, u), f(a, b, u))
