"""Bare functions as layers, combinators, losses, optimizers and schedules: they compose, compile and train."""

import importlib.util
import subprocess
import sys
from typing import NamedTuple

import numpy as np
import pytest

import funcnet as fn
from funcnet import losses, optim, tree
from tests.cli import ROOT, environment

X, Y = fn.Key(0).normal((32, 4), np.float32), fn.Key(1).normal((32, 2), np.float32)
NET = fn.serial(fn.Dense(8), fn.Tanh(), fn.Dense(2))
MSE = losses.MeanSquaredError()


def refused(call, kind=fn.FuncnetError):
    with pytest.raises(kind) as error:
        call()
    return str(error.value)


def trained(net, loss, opt, steps=20, compile=True):
    ts = fn.train_state(net, opt, fn.Key(2), X.shape[1:])
    step = fn.train_step(net, loss, opt, compile=compile)
    for _ in range(steps):
        ts, metrics = step(ts, (X, Y))
    return ts, metrics["loss"]


# ----- optimizers --------------------------------------------------------------------------------------------------


def momentum_init(params):
    return {"velocity": tree.zeros_like(params)}


def momentum(grads, opt_state, params):
    velocity = tree.map(lambda v, g: fn.ops.settle(0.9 * v + g, 0), opt_state["velocity"], grads)
    return tree.map(lambda v: -0.1 * v, velocity), {"velocity": velocity}


class Moments(NamedTuple):
    count: object
    mean: object


def nested_init(params):
    return Moments(np.zeros((), np.int64), tree.zeros_like(params)), ()


def nested(updates, state, params=None, **extra):
    """In the manner of optax: named tuples in tuples, extra arguments by name."""
    moments, nothing = state
    mean = tree.map(lambda m, g: 0.5 * m + g, moments.mean, updates)
    return tree.map(lambda m: -0.01 * m, mean), (Moments(fn.ops.array(moments.count + 1), mean), nothing)


class Pair:
    """An object with both functions."""

    def init(self, params):
        return {}

    def update(self, grads, opt_state, params, value):
        return tree.map(lambda g: -0.1 * value * g, grads), opt_state


PAIR = Pair()
RULES = {
    "dict": optim.rule(momentum_init, momentum),
    "named tuples": optim.rule(nested_init, nested),
    "object": optim.rule(PAIR),
    "in a chain": optim.chain(optim.ClipByGlobalNorm(0.5), optim.rule(momentum_init, momentum), optim.EMA(0.9)),
    "partition": optim.partition({"*/bias": optim.rule(momentum_init, momentum), "*": optim.Adam(0.01)}),
    "lookahead": optim.Lookahead(optim.rule(nested_init, nested), 3),
}


@pytest.mark.parametrize("name", RULES)
def test_a_pair_trains_and_compiles_to_the_same_bits(name):
    ts, value = trained(NET, MSE, RULES[name])
    plain, other = trained(NET, MSE, RULES[name], compile=False)
    assert value == other
    assert ts == plain
    assert value < trained(NET, MSE, RULES[name], steps=1)[1]
    assert all(isinstance(leaf, np.ndarray) for leaf in tree.leaves(ts.opt_state))


def test_a_pair_is_the_rule_that_it_writes_out():
    by_class, by_pair = optim.SGD(0.1, momentum=0.9), optim.rule(momentum_init, momentum)
    assert tree.equal(trained(NET, MSE, by_class)[0].params, trained(NET, MSE, by_pair)[0].params)
    fn.check_optimizer(by_pair)


def test_a_pair_is_saved_and_goes_on(tmp_path):
    """A state of named tuples is a dict of arrays, so a checkpoint holds it."""
    options = {"loss": MSE, "optimizer": RULES["named tuples"], "batch_size": 16, "key": fn.Key(0)}
    whole = fn.fit(NET, (X, Y), epochs=4, **options)
    half = fn.fit(NET, (X, Y), epochs=2, **options)
    assert next(iter(tree.flatten(half.train_state.opt_state))) == "0/count"
    again = fn.fit(NET, (X, Y), epochs=4, start=half.train_state, **options)
    assert again.train_state == whole.train_state


OPTAX = """
import warnings
import numpy as np, optax, funcnet as fn
from funcnet import optim, tree
from tests.test_functions import MSE, NET, trained

warnings.simplefilter("ignore", fn.errors.CompileWarning)  # JAX's functions are not NumPy's
for theirs, ours in (
    (optim.rule(*optax.adam(1e-2)), optim.Adam(1e-2)),
    (optim.rule(optax.sgd(0.1, momentum=0.9)), optim.SGD(0.1, momentum=0.9)),
    (optim.rule(optax.adamw(1e-2, weight_decay=0.1)), optim.AdamW(1e-2, weight_decay=0.1)),
):
    a, b = trained(NET, MSE, theirs)[0].params, trained(NET, MSE, ours)[0].params
    for path, leaf in tree.flatten(a).items():
        np.testing.assert_allclose(leaf, tree.flatten(b)[path], rtol=2e-5, atol=2e-6)

opt = optim.SGD(0.1, momentum=0.9)  # and ours inside theirs
chained = optax.chain(optax.GradientTransformation(opt.init, opt.update), optax.scale(0.5))
params = NET.init(fn.Key(0), (4,))[0]
updates, _ = chained.update(tree.map(np.ones_like, params), chained.init(params), params)
np.testing.assert_allclose(updates["dense_0"]["bias"], -0.05, rtol=1e-6)
"""


@pytest.mark.skipif(importlib.util.find_spec("optax") is None, reason="optax is an extra of the benchmarks")
def test_rules_of_optax_agree_with_ours():
    """In a process, since JAX's threads do not go with the forks of other tests."""
    done = subprocess.run(
        [sys.executable, "-c", OPTAX], cwd=ROOT, env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: optim.rule(3), "expected rule(init, update), or one object with both, got 3"),
        (lambda: optim.rule(momentum_init, 3), "expected update(grads, opt_state, params, value), got 3"),
        (lambda: optim.rule(lambda: {}, momentum), "expected init(params), got <lambda>()"),
        (
            lambda: optim.rule(momentum_init, lambda g: g),
            "expected update(grads, opt_state, params, value), got <lambda>(g)",
        ),
        (lambda: optim.schedule(0.1), "expected __call__(step), got 0.1"),
        (
            lambda: fn.loss(lambda p: p, lambda r, dy: r),
            "expected apply(prediction, target, weight, divisor), got <lambda>(p)",
        ),
        (
            lambda: fn.combinator([fn.Dense(1)], None, None, None),
            "expected a dict of layers, such as {'inner': fn.Dense(3)}",
        ),
        (
            lambda: fn.combinator({"a": fn.Dense(1)}, lambda x: x, None, None),
            "expected wire(children, in_shape), got <function",
        ),
    ],
)
def test_functions_of_another_form(call, message):
    assert message in refused(call)


def test_a_rule_that_returns_one_thing():
    rule = optim.rule(lambda params: {}, lambda grads, state, params: grads)
    assert "FunctionRule" in refused(lambda: trained(NET, MSE, rule, steps=1))


# ----- schedules ---------------------------------------------------------------------------------------------------


def test_a_function_is_a_schedule():
    half = optim.schedule(lambda step: 0.1 * 0.5**step)
    same = optim.Exponential(0.1, every=1, factor=0.5)
    assert [half(i) for i in range(5)] == pytest.approx([same(i) for i in range(5)])
    for opt in (optim.SGD, optim.Adam):
        a, b = trained(NET, MSE, opt(half))[0].params, trained(NET, MSE, opt(same))[0].params
        for path, leaf in tree.flatten(a).items():
            np.testing.assert_allclose(leaf, tree.flatten(b)[path], rtol=1e-5, atol=1e-7)
    assert optim.Warmup(half, 5)(7) == pytest.approx(0.025)
    assert trained(NET, MSE, optim.SGD(half))[0] == trained(NET, MSE, optim.SGD(half), compile=False)[0]


def test_a_schedule_of_no_number():
    with pytest.raises(fn.FuncnetError) as error:
        optim.schedule(lambda step: None)(3)
    assert str(error.value) == "expected a schedule's function to return a number at step 3, got None"


# ----- losses ------------------------------------------------------------------------------------------------------


def terms_of(target, weight=None):
    return float(target.size) if weight is None else fn.ops.number(np.sum(weight)) * target.shape[1]


def weighted_apply(prediction, target, weight, divisor):
    error = prediction - target if weight is None else np.where(weight[:, None] == 0.0, 0.0, prediction - target)
    terms = np.square(error) if weight is None else weight[:, None] * np.square(error)
    scale = fn.losses.share(terms_of(target, weight) if divisor is None else divisor)
    return np.sum(terms) * scale, (error, weight, scale)


def weighted_vjp(residuals, dy):
    error, weight, scale = residuals
    return (2.0 * scale * dy) * (error if weight is None else weight[:, None] * error)


PLAIN = fn.loss(
    lambda p, t: (np.mean(np.square(p - t)), (p - t, p.size)), lambda saved, dy: (2.0 * dy / saved[1]) * saved[0]
)
WEIGHTED = fn.loss(weighted_apply, weighted_vjp, divisor=terms_of)


@pytest.mark.parametrize("loss", [PLAIN, WEIGHTED], ids=["plain", "weighted"])
def test_functions_are_a_loss(loss):
    fn.check_loss(loss, fn.Key(3).normal((6, 2)), fn.Key(4).normal((6, 2)))
    ts, value = trained(NET, loss, optim.SGD(0.1))
    assert (ts, value) == trained(NET, loss, optim.SGD(0.1), compile=False)
    assert value == pytest.approx(trained(NET, MSE, optim.SGD(0.1))[1], rel=1e-5)
    assert fn.evaluate(NET, loss, ts.params, ts.state, (X, Y))["loss"] < value


def test_a_loss_without_weights_says_so():
    f = fn.value_and_grad(NET, PLAIN)
    params, state = NET.init(fn.Key(0), (4,))
    assert refused(lambda: f(params, state, X, Y, fn.EVAL, np.ones(32))) == (
        "this loss takes no weights; give fn.loss a function apply(prediction, target, weight, divisor)"
    )
    assert "shards must be 1" in refused(lambda: fn.train_step(NET, PLAIN, optim.SGD(0.1), shards=2))
    whole, parts = (fn.train_step(NET, WEIGHTED, optim.SGD(0.1), shards=shards) for shards in (1, 2))
    ts = fn.train_state(NET, optim.SGD(0.1), fn.Key(0), (4,))
    assert parts(ts, (X, Y))[1]["loss"] == pytest.approx(whole(ts, (X, Y))[1]["loss"], rel=1e-6)


def test_the_link_of_a_loss():
    loss = fn.loss(PLAIN.apply_function, PLAIN.vjp_function, link=lambda p: 2.0 * p)
    assert loss.link(np.ones(2)).tolist() == [2.0, 2.0]


# ----- combinators and layers --------------------------------------------------------------------------------------


def gate_wire(children, in_shape):
    shapes = dict.fromkeys(children, in_shape)
    return shapes, fn.out_shape_child("value", children["value"], in_shape)


def gate_apply(children, params, state, x, ctx):
    value, s1, r1 = fn.apply_child("value", children["value"], params, state, x, ctx)
    gate, s2, r2 = fn.apply_child("gate", children["gate"], params, state, x, ctx)
    return value * gate, fn.nest({"value": s1, "gate": s2}), (value, gate, r1, r2)


def gate_vjp(children, params, residuals, dy):
    value, gate, r1, r2 = residuals
    p1, d1 = fn.vjp_child("value", children["value"], params, r1, gate * dy)
    p2, d2 = fn.vjp_child("gate", children["gate"], params, r2, value * dy)
    return fn.nest({"value": p1, "gate": p2}), d1 + d2


GATED = fn.combinator(
    {"value": fn.serial(fn.Dense(3), fn.BatchNorm()), "gate": fn.serial(fn.Dense(3), fn.Sigmoid())},
    gate_wire, gate_apply, gate_vjp,
)  # fmt: skip


def test_functions_are_a_combinator():
    fn.check_layer(GATED, (4,), batch_coupled=True)
    net = fn.serial(fn.Dense(4), fn.Residual(fn.serial(GATED, fn.Dense(4))), fn.Dense(2))
    ts, value = trained(net, MSE, optim.SGD(0.1))
    assert (ts, value) == trained(net, MSE, optim.SGD(0.1), compile=False)
    assert "residual_0/layer_0/value/dense_0/weight" in tree.flatten(ts.params)


def test_a_combinator_that_forgets_a_child():
    forgetful = fn.combinator(
        {"a": fn.Dense(3), "b": fn.Dense(3)}, lambda children, shape: ({"a": shape}, (3,)), gate_apply, gate_vjp
    )
    assert "expected wire to return the input shape of every layer, got none for 'b'" in refused(
        lambda: forgetful.init(fn.Key(0), (4,))
    )


def test_a_layer_of_functions_takes_integers():
    def lookup(params, state, x, ctx):
        return fn.ops.take(params["table"], x), state, x

    def lookup_vjp(params, x, dy):
        table = np.zeros_like(params["table"])
        np.add.at(table, x, dy)
        return {"table": table}, None

    layer = fn.layer(
        lambda key, in_shape, dtype: ({"table": key.normal((5, 3), dtype)}, {}),
        lookup, lookup_vjp, lambda in_shape: (*in_shape, 3), in_kinds=lambda in_shape: "i",
    )  # fmt: skip
    fn.check_layer(layer, (4,), x=np.array([[0, 1, 4, 4], [2, 2, 3, 0]]))


@pytest.mark.parametrize(
    "spec", [GATED, RULES["dict"], PLAIN, optim.schedule(lambda step: 0.1), optim.SGD(optim.schedule(lambda step: 0.1))]
)
def test_json_refuses_with_the_way_out(spec):
    message = refused(lambda: fn.to_json(spec), fn.SpecError)
    assert message.endswith(
        "is made of bare functions, which JSON cannot hold; write a class with @fn.register('your.tag')"
    )
