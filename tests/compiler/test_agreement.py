"""Compiled and plain results agree to the last bit: every row of the table, every pass on and off."""

import contextlib
from functools import cache, cached_property

import numpy as np
import pytest

import funcnet as fn
from funcnet.compiler import structure
from funcnet.compiler.function import Compiled, Plans
from funcnet.compiler.plan import Plan
from funcnet.compiler.record import is_input, record
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


class Both:
    """A function of the library's own code and its arguments; each way to compile it shares what does not depend on it.

    As in the library's own steps, no call is compared but by the test, and the spec is all that is read beside the
    arguments.
    """

    def __init__(self, f, spec, *args):
        self.f, self.spec, self.args = f, spec, args
        self.expected = f(*args)

    @cached_property
    def graph(self):
        """What passes and plans start from: thresholds are theirs."""
        return record(self.f, self.args, strict=True, foreign=False).graph

    def compiled(self, without):
        """The function compiled anew; without a pass, its plan alone."""
        if not without:
            return Compiled(self.f, plans=Plans(self.f, strict=True, reads=(self.spec,)))
        run = Plan(self.graph, without).make()
        return lambda *args: run(*(leaf for leaf in structure.leaves(args) if is_input(leaf)))


@cache
def layer(name, dtype, train):
    row = LAYERS[name]
    params, state = row.layer.init(fn.Key(0), row.in_shape, dtype)
    x, ctx = row.input(fn.Key(1), 4, dtype), fn.Context(train, fn.Key(5))
    dy = random_like(row.layer.apply(params, state, x, ctx)[0], fn.Key(3))

    def both(params, state, x, ctx, dy):
        y, state, residuals = apply_child("", row.layer, params, state, x, ctx)
        return (y, state, *vjp_child("", row.layer, params, residuals, dy))

    return Both(both, row.layer, params, state, x, ctx, dy)


@pytest.mark.parametrize(("sizes", "without", "whole"), WAYS)
def test_layers(thresholds, sizes, without, whole):
    thresholds(sizes)
    names = list(LAYERS)
    if without:  # a fourth in each of these ways
        names = names[WITHOUT.index(*without) % 4 :: 4]
    elif not whole and not sizes:
        names = KINDS
    for name in names:
        for dtype in (np.float32, np.float64) if whole else (np.float32,):
            for train in (False, True) if whole else (True,):
                both = layer(name, dtype, train)
                fast = both.compiled(without)
                for _ in range(2):  # scratch memory holds the values of the first call
                    assert same(fast(*both.args), both.expected), (name, dtype, train)


@cache
def loss(index, dtype, weighted):
    case = list((LOSSES | IGNORING).values())[index]
    p = case.prediction.astype(dtype)
    t = case.target.astype(dtype) if case.target.dtype.kind == "f" else case.target
    weight = np.arange(1, len(p) + 1).astype(dtype) if weighted else None

    def both(p, t, weight):
        value, residuals = case.loss.apply(p, t, weight)
        return fn.ops.array(value), case.loss.vjp(residuals)

    return Both(both, case.loss, p, t, weight)


@pytest.mark.parametrize(("sizes", "without", "whole"), WAYS)
def test_losses(thresholds, sizes, without, whole):
    thresholds(sizes)
    for index in range(len(LOSSES | IGNORING)):
        for dtype in (np.float32, np.float64) if whole else (np.float32,):
            for weighted in (False, True):
                both = loss(index, dtype, weighted)
                assert same(both.compiled(without)(*both.args), both.expected), both.spec


@cache
def update(name, dtype):
    """An optimizer's update, the further gradients and values of 35 steps, and what they give."""
    opt = OPTIMIZERS[name]
    params = {
        "a": {"weight": fn.Key(1).normal((3, 4), dtype), "bias": fn.Key(2).normal((4,), dtype)},
        "bias": fn.Key(3).normal((2,), dtype),
        "weight": np.array(0.3, dtype),
    }
    plain, steps = opt.init(params), []
    for i in range(35):  # past the step at which averages are flushed
        grads = random_like(params, fn.Key(4).fold(i))
        if i > 1:
            grads["bias"] = np.zeros_like(grads["bias"])
        value = 2.0 - 0.05 * min(i, 10)
        if i == 0:
            both = Both(opt.update, opt, grads, plain, params, value)
        u, plain = opt.update(grads, plain, params, value)
        steps.append((grads, value, (u, plain)))
    return both, steps


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
        for dtype in (np.float32, np.float64) if whole else (np.float32,):
            both, steps = update(name, dtype)
            fast = both.compiled(without)
            _, state, params, _ = both.args
            for i, (grads, value, expected) in enumerate(steps):
                found = fast(grads, state, params, value)
                assert same(found, expected), (name, i)
                state = found[1]


def test_a_number_for_one_leaf_and_an_array_for_another_are_not_alike():
    """Such as the updates of a leaf that is frozen, and of one that is not."""

    def f(a, b, u):
        return {"a": a + np.zeros_like(a), "b": b + u}, {"a": a + u, "b": b + np.zeros_like(b)}

    a, b, u = (fn.Key(i).normal((5,)) for i in range(3))
    assert same(Compiled(f, strict=True)(a, b, u), f(a, b, u))
