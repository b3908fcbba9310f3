"""The public functions compose: compiled, a function that calls them is recorded, and gives the same bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import funcnet as fn
from funcnet import losses, optim, tree

NET = fn.serial(fn.Dense(8), fn.BatchNorm(), fn.Tanh(), fn.Dropout(0.2), fn.Dense(3))
PLAIN = fn.serial(fn.Dense(8), fn.Tanh(), fn.Dense(3))
LOSS, ADAM = losses.SoftmaxCrossEntropy(), optim.Adam(0.01)
GRADIENT, OF_PLAIN = fn.value_and_grad(NET, LOSS), fn.value_and_grad(PLAIN, LOSS)
STEP = fn.train_step(NET, LOSS, ADAM)
SHARDED = fn.train_step(NET, LOSS, ADAM, shards=3)
AS_IT_IS = fn.train_step(NET, LOSS, ADAM, compile=False)
INNER = fn.compile(lambda params, x: fn.predict(PLAIN, params, {}, x))

GENERATOR = fn.serial(fn.Dense(8), fn.Tanh(), fn.Dense(4))
CRITIC = fn.serial(fn.Dense(8), fn.LeakyRelu(), fn.Dense(1))
SIGMOID = losses.SigmoidCrossEntropy()


def batch(i: int) -> tuple[Any, Any]:
    labels = (fn.Key(i).fold("y").uniform((16,)) * 3).astype(np.int64)
    return fn.Key(i).fold("x").normal((16, 4), np.float32), labels


def params_of(net: fn.Layer, i: int, width: int = 4) -> Any:
    return net.init(fn.Key(i), (width,))


def descend(params: Any, grads: Any, rate: float) -> Any:
    return tree.map(lambda p, g: p - rate * g, params, grads)


def sam(params: Any, x: Any, y: Any) -> Any:
    """Sharpness-aware minimization: the gradient at the worst point nearby."""
    _, _, grads = OF_PLAIN(params, {}, x, y, fn.EVAL)
    scale = 0.05 / (np.sqrt(sum(np.sum(g * g) for g in tree.leaves(grads))) + 1e-12)
    there = tree.map(lambda p, g: p + scale * g, params, grads)
    return descend(params, OF_PLAIN(there, {}, x, y, fn.EVAL)[2], 0.1)


def maml(params: Any, x: Any, y: Any) -> Any:
    """First order: three steps on one half, the gradient there on the other."""
    fast = params
    for _ in range(3):
        fast = descend(fast, OF_PLAIN(fast, {}, x[:8], y[:8], fn.EVAL)[2], 0.1)
    value, _, grads = OF_PLAIN(fast, {}, x[8:], y[8:], fn.EVAL)
    return value, descend(params, grads, 0.01)


def accumulated(params: Any, x: Any, y: Any) -> Any:
    parts = [OF_PLAIN(params, {}, x[i : i + 4], y[i : i + 4], fn.EVAL, None, 16.0)[2] for i in range(0, 16, 4)]
    return descend(params, tree.map(lambda *g: sum(g[1:], g[0]), *parts), 0.1)


def own_step(params: Any, state: Any, opt_state: Any, x: Any, y: Any, key: Any) -> Any:
    value, state, grads = GRADIENT(params, state, x, y, fn.Context(True, key))
    updates, opt_state = ADAM.update(grads, opt_state, params, value)
    return value, fn.apply_updates(params, updates), state, opt_state


def gan(generator: Any, critic: Any, real: Any, key: Any) -> Any:
    fake, _, residuals = GENERATOR.apply(generator, {}, key.normal((16, 2), np.float32), fn.EVAL)

    def judge(x: Any, target: float) -> Any:
        logits, _, inner = CRITIC.apply(critic, {}, x, fn.EVAL)
        _, saved = SIGMOID.apply(logits, np.full((16, 1), target, np.float32))
        return CRITIC.vjp(critic, inner, SIGMOID.vjp(saved))

    (on_real, _), (on_fake, _), (_, dfake) = judge(real, 1.0), judge(fake, 0.0), judge(fake, 1.0)
    dgenerator, _ = GENERATOR.vjp(generator, residuals, dfake)
    return descend(generator, dgenerator, 0.1), descend(critic, tree.map(np.add, on_real, on_fake), 0.1)


def state_of(i: int) -> Any:
    ts = fn.train_state(NET, ADAM, fn.Key(i), (4,))
    return AS_IT_IS(ts, batch(i))[0]


def several(y: Any) -> Any:
    """Two labels of three for each row."""
    return (y[:, None] != np.arange(3)).astype(np.float32)


def with_batch(net: fn.Layer) -> Any:
    return lambda i: (params_of(net, i)[0], *batch(i))


CASES: dict[str, tuple[Any, Any]] = {
    "value_and_grad": (
        lambda params, state, x, y, key: GRADIENT(params, state, x, y, fn.Context(True, key)),
        lambda i: (*params_of(NET, i), *batch(i), fn.Key(i)),
    ),
    "value_and_grad with weights": (
        lambda params, x, y, w: OF_PLAIN(params, {}, x, y, fn.EVAL, w),
        lambda i: (*with_batch(PLAIN)(i), fn.Key(i).uniform((16,), np.float32)),
    ),
    "predict": (
        lambda params, state, x: fn.predict(NET, params, state, x),
        lambda i: (*params_of(NET, i), batch(i)[0]),
    ),
    "predict in batches": (
        lambda params, x: fn.predict(PLAIN, params, {}, x, batch_size=5),
        lambda i: with_batch(PLAIN)(i)[:2],
    ),
    "predict_proba": (
        lambda params, x: fn.predict_proba(PLAIN, LOSS, params, {}, x),
        lambda i: with_batch(PLAIN)(i)[:2],
    ),
    "predict_label": (
        lambda params, x: fn.predict_label(PLAIN, LOSS, params, {}, x),
        lambda i: with_batch(PLAIN)(i)[:2],
    ),
    "evaluate": (
        lambda params, x, y: fn.evaluate(PLAIN, LOSS, params, {}, (x, y), [fn.metrics.Accuracy(), fn.metrics.F1()]),
        with_batch(PLAIN),
    ),
    "evaluate several labels": (
        lambda params, x, y: fn.evaluate(
            PLAIN, losses.SigmoidCrossEntropy(), params, {}, (x, several(y)), [fn.metrics.Accuracy(), fn.metrics.F1()]
        ),
        with_batch(PLAIN),
    ),
    "a metric": (
        lambda params, x, y, w: fn.metrics.Accuracy()(fn.predict(PLAIN, params, {}, x), y, w),
        lambda i: (*with_batch(PLAIN)(i), fn.Key(i).uniform((16,), np.float32)),
    ),
    "train_step": (lambda ts, x, y: STEP(ts, (x, y)), lambda i: (state_of(i), *batch(i))),
    "train_step in shards": (lambda ts, x, y: SHARDED(ts, (x, y)), lambda i: (state_of(i), *batch(i))),
    "train_step uncompiled": (lambda ts, x, y: AS_IT_IS(ts, (x, y)), lambda i: (state_of(i), *batch(i))),
    "two steps": (lambda ts, x, y: STEP(STEP(ts, (x, y))[0], (x, y)), lambda i: (state_of(i), *batch(i))),
    "a step of one's own": (
        own_step,
        lambda i: (state_of(i).params, state_of(i).state, state_of(i).opt_state, *batch(i), fn.Key(i)),
    ),
    "sharpness-aware": (sam, with_batch(PLAIN)),
    "inner loop": (maml, with_batch(PLAIN)),
    "accumulation": (accumulated, with_batch(PLAIN)),
    "adversarial": (
        gan,
        lambda i: (params_of(GENERATOR, i, 2)[0], params_of(CRITIC, i)[0], batch(i)[0], fn.Key(i)),
    ),
    "ensemble average": (
        lambda members, x: np.mean(np.stack([fn.predict(PLAIN, params, {}, x) for params in members]), axis=0),
        lambda i: (tuple(params_of(PLAIN, 10 * i + j)[0] for j in range(3)), batch(i)[0]),
    ),
    "compile in compile": (lambda params, x: 2.0 * INNER(params, x), lambda i: with_batch(PLAIN)(i)[:2]),
    "init": (lambda key: NET.init(key, (4,)), lambda i: (fn.Key(i),)),
    "train_state": (lambda key: fn.train_state(NET, ADAM, key, (4,)), lambda i: (fn.Key(i),)),
    "backprop_trace": (
        lambda params, x, dy: fn.backprop_trace(PLAIN, params, {}, x, dy),
        lambda i: (*with_batch(PLAIN)(i)[:2], fn.Key(i).normal((16, 3), np.float32)),
    ),
    "jacobian": (lambda params, x: fn.jacobian(PLAIN, params, {}, x), lambda i: with_batch(PLAIN)(i)[:2]),
    "trees": (
        lambda params: (
            tree.ravel(params).vector,
            tree.ravel(params).unravel(2.0 * tree.ravel(params).vector),
            tree.at(params, "dense_*/bias").set(params["dense_1"]["bias"][0]),
            tree.select(params, "*/bias"),
            tree.norm(params),
            tree.stack([params, params]),
            tree.unstack(tree.stack([params, params])),
            tree.transpose({"a": params, "b": params}),
            tree.map_with_path(lambda path, leaf: len(path) * leaf, params),
        ),
        lambda i: (params_of(PLAIN, i)[0],),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_composition_is_recorded_and_gives_the_same_bits(name: str) -> None:
    f, arguments = CASES[name]
    fast = fn.compile(f, strict=True)
    for i in range(5):  # the first is recorded, the next two are compared, the others are replayed
        given = arguments(i)
        found, expected = fast(*given), f(*given)
        if name == "backprop_trace":
            found, expected = ({path: tuple(one) for path, one in result.items()} for result in (found, expected))
        assert tree.equal(listed(found), listed(expected))


def listed(value: Any) -> Any:
    """Lists as tuples, which are nodes of trees."""
    return tuple(map(listed, value)) if isinstance(value, list | tuple) and not hasattr(value, "_fields") else value


def test_a_number_that_is_not_finite_inside_a_composition() -> None:
    ts = state_of(0)
    fast = fn.compile(lambda ts, x, y: STEP(ts, (x, y)))
    x, y = batch(0)
    for _ in range(4):
        fast(ts, x, y)
    x[3, 2] = np.nan
    with pytest.raises(fn.NonFiniteError) as error:
        fast(ts, x, y)
    assert "it arose first in the input batch" in str(error.value)


def test_what_cannot_be_recorded_blames_the_line_of_the_user() -> None:
    def score(params: Any, x: Any) -> Any:
        y = fn.predict(PLAIN, params, {}, x)
        return y if y.sum() > 0 else -y

    given = with_batch(PLAIN)(0)[:2]
    with pytest.raises(fn.TraceError) as error:
        fn.compile(score, strict=True)(*given)
    assert str(error.value).startswith("test_composition.py:")
    with pytest.warns(fn.errors.CompileWarning, match="test_composition.py:"):
        assert tree.equal(fn.compile(score)(*given), score(*given))
