"""Many small leaves: what is alike about them is done once, and nothing waits for itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import funcnet as fn
from funcnet import ops, optim
from funcnet.compiler.function import Compiled
from tests.table import OPTIMIZERS, TRAINED, same


def matrices(n: int, seed: int) -> Any:
    return {f"layer_{i}": {"weight": fn.Key(seed).fold(i).normal((3, 2), np.float32)} for i in range(n)}


def calls(opt: optim.Optimizer, leaves: int) -> int:
    """How many statements a compiled update runs."""

    def step(grads: Any, opt_state: Any, params: Any) -> Any:
        updates, opt_state = opt.update(grads, opt_state, params)
        return fn.apply_updates(params, updates), opt_state

    params = matrices(leaves, 0)
    run = Compiled(step, strict=True)
    run(matrices(leaves, 1), opt.init(params), params)
    assert run.last is not None
    body = run.last.program.source[-1]
    return len(body.split("return (")[0].splitlines())


COUNTED = {
    name: TRAINED[type(opt).tag].per_leaf
    for name, opt in OPTIMIZERS.items()
    if TRAINED[type(opt).tag].per_leaf is not None
}


@pytest.mark.parametrize("name", COUNTED)
def test_twenty_leaves_take_as_many_calls_as_ten_and_those_that_each_leaf_needs(name: str) -> None:
    """None for an elementwise rule. A layerwise one: its ratio out of a vector, that as a number, a product."""
    assert calls(OPTIMIZERS[name], 20) == calls(OPTIMIZERS[name], 10) + 10 * COUNTED[name]


def test_most_rules_are_elementwise() -> None:
    assert sum(more == 0 for more in COUNTED.values()) > 0.8 * len(COUNTED)


def test_what_depends_on_what_is_alike() -> None:
    """The second leaf is made by the same call as the first, from it: one vector of both would wait for itself."""

    def f(x: Any, y: Any) -> Any:
        a = {"one": np.sqrt(x), "two": np.exp(x)}
        b = {"one": np.sqrt(a["one"] + y), "two": np.exp(a["two"] * 0.5)}
        mixed = {"a": np.tanh(a["one"]), "b": np.tanh(b["one"])}
        late = {"a": np.tanh(mixed["a"] + a["two"]), "b": np.tanh(mixed["b"] + b["two"])}
        sizes = ops.norms(a["one"], b["one"], mixed["a"])
        return a, b, mixed, late, sizes, {"s": ops.number(sizes[0]) * late["a"], "t": ops.number(sizes[2]) * late["b"]}

    x, y = 1.0 + fn.Key(0).uniform((3, 2)), 1.0 + fn.Key(1).uniform((3, 2))
    assert same(Compiled(f, strict=True)(x, y), f(x, y))


def test_an_error_that_depends_on_a_packed_value_is_still_raised_once() -> None:
    def f(x: Any, y: Any) -> Any:
        state = {"x": 2.0 * x, "y": 2.0 * y}
        ops.check(state["x"] > 0.0, lambda: fn.DataError("not positive"))
        return state, {"x": 1.0 + state["x"], "y": 1.0 + state["y"]}

    run = Compiled(f, strict=True)
    x, y = np.array([1.0, 2.0]), np.array([3.0, 4.0])
    assert same(run(x, y), f(x, y))
    with pytest.raises(fn.DataError, match=r"^not positive$"):
        run(-x, y)


ARRAYS = {
    "vector": np.array([3.0, 4.0], np.float32),
    "nothing": np.zeros((0, 3)),
    "number": np.array(-2.0),
    "large": np.full(5000, 2.0, np.float32),
    "overflows in float32": np.full(3, 1e30, np.float32),
    "overflows in float64": np.full(4, 1e200),
    "large and overflows": np.full((100, 100), 1e200),
    "infinite": np.array([np.inf, 1.0]),
    "not a number": np.array([1.0, np.nan]),
    "zero": np.zeros((2, 2)),
}


def test_norms_by_hand() -> None:
    found = dict(zip(ARRAYS, ops.norms(*ARRAYS.values()).tolist(), strict=True))
    expected = [5.0, 0.0, 2.0, 2.0 * 5000**0.5, 3**0.5 * float(np.float32(1e30)), 2e200, 1e202, np.inf, np.nan, 0.0]
    np.testing.assert_allclose(list(found.values()), expected, rtol=1e-14)
    assert found == pytest.approx({name: ops.norm(x) for name, x in ARRAYS.items()}, rel=1e-15, nan_ok=True)
    assert ops.norms().shape == (0,)
    assert ops.norms(ARRAYS["vector"]).dtype == np.float64
