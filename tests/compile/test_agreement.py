"""Compiled and plain results agree to the last bit: every row of the table, every pass on and off, random programs."""

import random
from typing import Any

import numpy as np
import pytest

import funcnet as fn
from funcnet.compile import chains, memory, pack, passes, plan
from funcnet.compile.function import Compiled
from funcnet.layer import apply_child, vjp_child
from tests.row import random_like
from tests.table import LAYERS, LOSSES, OPTIMIZERS, same

OPTIONS = (*passes.PASSES, "block", "reuse", "recycle")
SMALL = {"BLOCK": 64, "LARGE": 16, "RECYCLED": 16, "PACKED_SIZE": 6}
WAYS = [
    pytest.param({}, frozenset(), id="as it is"),
    pytest.param(SMALL, frozenset(), id="small thresholds"),
    *(pytest.param(SMALL, frozenset({name}), id=f"without {name}") for name in OPTIONS),
]


@pytest.fixture
def thresholds(monkeypatch):
    """Set the sizes from which arrays are blocked, recycled and packed, so that small ones are."""

    def change(sizes: dict[str, int]) -> None:
        for name, value in sizes.items():
            for module in (plan, memory, chains, pack):
                if hasattr(module, name):
                    monkeypatch.setattr(module, name, value)

    return change


@pytest.mark.parametrize(("sizes", "without"), WAYS)
def test_layers(thresholds, sizes, without):
    thresholds(sizes)
    for name, row in LAYERS.items():
        for dtype in (np.float32, np.float64):
            params, state = row.layer.init(fn.Key(0), row.in_shape, dtype)
            x = row.input(fn.Key(1), 4, dtype)
            for train in (False, True):
                ctx = fn.Context(train, fn.Key(5))
                dy = random_like(row.layer.apply(params, state, x, ctx)[0], fn.Key(3))

                def both(params, state, x, ctx, dy, net=row.layer):
                    y, state, residuals = apply_child("", net, params, state, x, ctx)
                    return (y, state, *vjp_child("", net, params, residuals, dy))

                fast = Compiled(both, strict=True, without=without)
                fast(params, state, x, ctx, dy)
                again = fast(params, state, x, ctx, dy)  # scratch memory holds the values of the first call
                assert same(again, both(params, state, x, ctx, dy)), (name, dtype, train)


@pytest.mark.parametrize(("sizes", "without"), WAYS)
def test_losses(thresholds, sizes, without):
    thresholds(sizes)
    for name, case in LOSSES.items():
        for dtype in (np.float32, np.float64):
            p = case.prediction.astype(dtype)
            t = case.target.astype(dtype) if case.target.dtype.kind == "f" else case.target
            for weight in (None, np.arange(1, len(p) + 1).astype(dtype)):

                def both(p, t, weight, loss=case.loss):
                    value, residuals = loss.apply(p, t, weight)
                    return fn.ops.array(value), loss.vjp(residuals)

                assert same(Compiled(both, strict=True, without=without)(p, t, weight), both(p, t, weight)), name


@pytest.mark.parametrize(("sizes", "without"), WAYS)
def test_optimizers(thresholds, sizes, without):
    thresholds(sizes)
    names = list(OPTIMIZERS)
    if sizes or without:  # every third in each of these ways, others in each
        names = names[[way.values for way in WAYS].index((sizes, without)) % 3 :: 3]
    for name in names:
        opt = OPTIMIZERS[name]
        for dtype in (np.float32, np.float64):
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


# ----- random programs -----------------------------------------------------------------------------------

ONE = (np.exp, np.tanh, np.abs, np.negative, np.sqrt, np.sign, np.square, np.log1p)
TWO = (np.add, np.subtract, np.multiply, np.divide, np.maximum, np.minimum, np.greater, np.equal, np.logical_or)
SHAPES = (
    ((3, 4), (4,), (3, 1), ()),
    ((4, 4), (1, 4), (4, 4)),
    ((1, 1), (1,), ()),
    ((5, 2, 3), (2, 3), (3,)),
    ((8, 8), (8, 8), (8,)),
    ((1, 3), (3,), (3, 3)),
)


def operation(r: random.Random, a: Any, values: list[Any]) -> Any:
    """One random call on ``a`` and perhaps others."""
    match r.randrange(13):
        case 0 | 1:
            return r.choice(ONE)(a) if a.dtype != np.bool_ else np.logical_not(a)
        case 2 | 3 | 4:
            b = r.choice([*values, 0.5, 2, -1.0, np.float32(1.5)])
            np.broadcast_shapes(np.shape(a), np.shape(b))
            both_bool = a.dtype == np.bool_ and getattr(b, "dtype", None) == np.bool_
            return np.logical_and(a, b) if both_bool else r.choice(TWO)(a, b)
        case 5:
            axis = r.choice([None, *range(len(a.shape))])
            return fn.ops.array(r.choice([np.sum, np.max, np.mean, np.any])(a, axis=axis, keepdims=r.random() < 0.5))
        case 6:
            return np.transpose(a) if r.random() < 0.5 else np.reshape(a, -1)
        case 7:
            index = (0, slice(None), slice(1, None), slice(None, None, 2), slice(None, None, -1), (Ellipsis, None))
            part = fn.ops.array(a[r.choice(index)])
            if not part.size:
                raise ValueError("a maximum of nothing is an error")
            return part
        case 8:
            b, c = r.choice(values), r.choice(values)
            np.broadcast_shapes(a.shape, b.shape, c.shape)
            return np.where(a > 0, b, c)
        case 9:
            b = r.choice(values)
            return a @ b if len(a.shape) == len(b.shape) == 2 and a.shape[1] == b.shape[0] else a
        case 10:
            return np.concatenate([a, a], axis=0) if a.shape else a
        case 11:
            return a.astype(r.choice([np.float32, np.float64, np.int64]))
    return np.clip(a, -0.5, 0.5) if r.random() < 0.5 else np.broadcast_to(np.zeros_like(a) + a, (2, *a.shape))


def program(seed: int) -> Any:
    """A random pure function, the same for the same seed."""

    def f(*inputs: Any) -> Any:
        r = random.Random(seed)
        values = list(inputs)
        for _ in range(r.randint(3, 14)):
            try:
                values.append(operation(r, r.choice(values), values))
            except (ValueError, IndexError):  # shapes that do not fit, an axis of length 0
                continue
        return {str(i): r.choice(values) for i in range(3)}, values[-1], (values[0], values[-1])

    return f


def close(a: Any, b: Any) -> bool:
    """Equal up to the last bits, which depend on the order of axes in memory that a sum runs over."""
    if isinstance(b, dict | tuple):
        return all(close(a[key], b[key]) for key in (b if isinstance(b, dict) else range(len(b))))
    a, b = np.asarray(a), np.asarray(b)
    loose = {"rtol": 1e-5, "atol": 1e-6} if b.dtype == np.float32 else {"rtol": 1e-12, "atol": 1e-12}
    return a.dtype == b.dtype and a.shape == b.shape and bool(np.allclose(a, b, equal_nan=True, **loose))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_random_programs(thresholds):
    tried = 0
    for seed in range(1500):
        r = random.Random(seed)
        dtype = r.choice([np.float32, np.float64])
        inputs = [fn.Key(seed).fold(i).normal(shape, dtype) for i, shape in enumerate(r.choice(SHAPES))]
        if r.random() < 0.3:
            inputs = [np.asfortranarray(x) for x in inputs]
        for x in inputs:
            x.flags.writeable = False
        f = program(seed)
        thresholds(r.choice([SMALL, {"BLOCK": 16, "LARGE": 4, "RECYCLED": 4, "PACKED_SIZE": 100}]))
        fast = Compiled(f, strict=True, without=frozenset(r.sample(OPTIONS, r.choice([0, 0, 0, 1, 2]))))
        fast(*inputs)
        assert close(fast(*inputs), f(*inputs)), seed
        tried += 1
    assert tried == 1500
