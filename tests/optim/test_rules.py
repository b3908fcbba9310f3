"""Rules late in a long run, on gradients that have died, on bad input, and inside a compiled step."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from decimal import Decimal, localcontext
from typing import Any

import numpy as np
import pytest

import funcnet as fn
from funcnet import optim, tree
from tests.table import OPTIMIZERS, RULES as EVERY_RUN, TRANSFORMS, of_those, same

RULES = [name for name in OPTIMIZERS if name not in TRANSFORMS]

# ----- step 10⁷, to 50 digits ---------------------------------------------------------------------------------

LATE = 10**7
G, P = Decimal("0.3125"), Decimal("1.75")  # floats hold them exactly, and the state below too
STATE = {name: Decimal(text) for name, text in {
    "mean": "0.21875", "square": "0.40625", "largest": "0.53125", "momentum": "-0.15625", "total": "96.5",
    "change": "0.09375", "fast": "1.5", "peak": "0.0078125", "lead": "0.125", "momentum_product": "0.0625",
}.items()}  # fmt: skip

State = dict[str, Decimal]
SLOW = 1.0 - 2.0**-23
"""A decay whose bias is not gone after ten million steps: SLOW^t is 0.3"""


def bias(decay: float, t: int = LATE) -> Decimal:
    return 1 - Decimal(decay) ** t


def averaged(decay: float, old: Decimal, new: Decimal) -> Decimal:
    return Decimal(decay) * old + (1 - Decimal(decay)) * new


def number(value: float) -> Decimal:
    return Decimal(value)


def adam(o: Any, s: State) -> Decimal:
    m, v = averaged(o.b1, s["mean"], G), averaged(o.b2, s["square"], G * G)
    v = max(s["largest"], v) if isinstance(o, optim.AMSGrad) else v
    decay = number(o.weight_decay) if isinstance(o, optim.AdamW | optim.LAMB) else Decimal(0)
    direction = m / bias(o.b1) / ((v / bias(o.b2)).sqrt() + number(o.eps)) + decay * P
    trust = P / abs(direction) if isinstance(o, optim.LAMB) else Decimal(1)
    return -number(o.learning_rate) * trust * direction


def adamax(o: Any, s: State) -> Decimal:
    m, u = averaged(o.b1, s["mean"], G), max(Decimal(o.b2) * s["largest"], abs(G) + number(o.eps))
    return -number(o.learning_rate) * m / bias(o.b1) / u


def nadam(o: Any, s: State) -> Decimal:
    m, v = averaged(o.b1, s["mean"], G), averaged(o.b2, s["square"], G * G)
    now, following = (
        number(o.b1) * (1 - Decimal("0.5") * Decimal("0.96") ** ((LATE + i) * number(o.momentum_decay))) for i in (0, 1)
    )
    product = s["momentum_product"] * now
    ahead = following * m / (1 - product * following) + (1 - now) * G / (1 - product)
    return -number(o.learning_rate) * ahead / ((v / bias(o.b2)).sqrt() + number(o.eps))


def radam(o: Any, s: State) -> Decimal:
    m, v, b2 = averaged(o.b1, s["mean"], G), averaged(o.b2, s["square"], G * G), Decimal(o.b2)
    end = 2 / (1 - b2) - 1
    now = end - 2 * LATE * b2**LATE / bias(o.b2)
    r = ((now - 4) * (now - 2) * end / ((end - 4) * (end - 2) * now)).sqrt()
    return -number(o.learning_rate) * r * m / bias(o.b1) * bias(o.b2).sqrt() / (v.sqrt() + number(o.eps))


def adafactor(o: Any, s: State) -> Decimal:
    share = Decimal(LATE) ** -number(o.decay_power)
    u = G / (s["square"] + share * (G * G + number(o.eps) - s["square"])).sqrt()
    rate = min(number(o.learning_rate), Decimal(LATE) ** Decimal("-0.5"))
    return -rate * max(P, number(o.floor)) * u / max(Decimal(1), abs(u) / number(o.clip))


def schedule_free(o: Any, s: State) -> Decimal:
    v, rate, b1 = averaged(o.b2, s["square"], G * G), number(o.learning_rate), number(o.b1)
    z = s["fast"] - rate * (G / ((v / bias(o.b2)).sqrt() + number(o.eps)) + number(o.weight_decay) * P)
    weight = max(s["peak"], rate) ** 2
    c = weight / (s["total"] + weight)
    x = P + s["lead"] * (P - s["fast"])
    return b1 * ((1 - c) * x + c * z) + (1 - b1) * z - P


LATE_CASES: dict[str, tuple[optim.Optimizer, Callable[[Any, State], Decimal]]] = {
    "adam": (optim.Adam(), adam),
    "adam_slow": (optim.Adam(b1=0.5, b2=SLOW), adam),
    "adam_slow_mean": (optim.Adam(b1=SLOW, eps=0.25), adam),
    "adamw_slow": (optim.AdamW(b2=SLOW, weight_decay=0.5), adam),
    "amsgrad": (optim.AMSGrad(), adam),
    "amsgrad_slow": (optim.AMSGrad(b1=SLOW, b2=SLOW), adam),
    "adamax": (optim.Adamax(), adamax),
    "adamax_slow": (optim.Adamax(b1=SLOW, b2=0.25), adamax),
    "nadam": (optim.NAdam(), nadam),
    "nadam_slow": (optim.NAdam(b2=SLOW, momentum_decay=2.0**-20), nadam),
    "radam": (optim.RAdam(), radam),
    "radam_slow": (optim.RAdam(b1=SLOW, b2=SLOW), radam),
    "adafactor": (optim.Adafactor(), adafactor),
    "adafactor_slow": (optim.Adafactor(decay_power=0.25, eps=0.5), adafactor),
    "lamb": (optim.LAMB(), adam),
    "lamb_slow": (optim.LAMB(b2=SLOW, weight_decay=0.5), adam),
    "schedule_free_adamw": (optim.ScheduleFreeAdamW(), schedule_free),
    "schedule_free_adamw_slow": (optim.ScheduleFreeAdamW(b1=0.5, b2=SLOW, weight_decay=0.5), schedule_free),
}


@pytest.mark.parametrize("name", LATE_CASES)
def test_the_update_is_right_at_step_ten_million(name: str) -> None:
    rule, expected = LATE_CASES[name]
    params = {"p": np.array(float(P))}
    numbers = {name: float(value) for name, value in STATE.items()} | {"step": LATE - 1}
    flat = tree.flatten(rule.init(params))
    late = tree.unflatten({path: np.full_like(leaf, numbers[path.split("/")[0]]) for path, leaf in flat.items()})
    updates, new = rule.update({"p": np.array(float(G))}, late, params)
    with localcontext() as context:
        context.prec = 50
        exact = float(expected(rule, STATE))
    np.testing.assert_allclose(updates["p"], exact, rtol=1e-14, atol=1e-15)
    assert new["step"] == LATE
    assert new["step"].dtype == np.int64


# ----- gradients that have died -------------------------------------------------------------------------------


def subnormal(value: Any) -> dict[str, Any]:
    """The entries that are neither zero nor normal."""
    flat = {path: leaf for path, leaf in tree.flatten(value).items() if leaf.dtype.kind == "f"}
    bad = {path: leaf[(leaf != 0) & (np.abs(leaf) < np.finfo(leaf.dtype).tiny)] for path, leaf in flat.items()}
    return {path: found for path, found in bad.items() if found.size}


FAST = ("unusual", "chain_named")
"""Rows with decays below 0.6, for which ``ops.settle`` is too seldom by a few steps, once"""


@pytest.mark.parametrize("name", of_those([name for name in RULES if "schedules" not in name], ("adam", "nadam")))
def test_state_whose_gradient_has_died_does_not_become_subnormal(name: str) -> None:
    found = 0
    opt, key = OPTIMIZERS[name], fn.Key(3)
    params = {"weight": key.fold("w").normal((3, 2), np.float32), "bias": key.fold("b").normal((2,), np.float32)}
    opt_state = opt.init(params)
    for step in range(1500):
        grads = tree.map(np.zeros_like, params)
        if step < 5:
            grads = tree.map(lambda p, step=step: key.fold("g", step).normal(p.shape, np.float32), params)
        updates, opt_state = opt.update(grads, opt_state, params, value=1.0)
        params = fn.apply_updates(params, updates)
        found += subnormal(opt_state) != {}
    assert found <= (31 if any(word in name for word in FAST) else 0)
    assert all(np.all(np.isfinite(leaf)) for leaf in tree.leaves((params, opt_state)))


# ----- compiled -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", of_those(RULES, EVERY_RUN))
def test_a_compiled_step_is_the_plain_one_and_warns_of_nothing(name: str) -> None:
    net, loss, opt = fn.serial(fn.Dense(5), fn.Tanh(), fn.Dense(1)), fn.losses.MeanSquaredError(), OPTIMIZERS[name]
    x, y = fn.Key(1).normal((6, 3), np.float32), fn.Key(2).normal((6, 1), np.float32)
    fast, plain = fn.train_step(net, loss, opt), fn.train_step(net, loss, opt, compile=False)
    a = b = fn.train_state(net, opt, fn.Key(0), (3,))
    for _ in range(40):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            (a, at), (b, bt) = fast(a, (x, y)), plain(b, (x, y))
        assert at == bt
        assert same((a.params, a.opt_state), (b.params, b.opt_state))


# ----- what each rule says of itself ------------------------------------------------------------------------------


def test_amsgrad_keeps_the_largest_square() -> None:
    opt, state, params = optim.AMSGrad(b1=0.0, b2=0.5), {}, {"p": np.array(0.0)}
    state = opt.init(params)
    for g in (4.0, 0.0, 0.0):
        _, state = opt.update({"p": np.array(g)}, state, params)
    assert float(state["square"]["p"]) == 2.0
    assert float(state["largest"]["p"]) == 8.0


def test_adafactor_keeps_rows_and_columns() -> None:
    params = {"kernel": np.ones((3, 3, 4, 5), np.float32), "bias": np.ones(5, np.float32)}
    state = optim.Adafactor().init(params)
    assert {path: leaf.shape for path, leaf in tree.flatten(state).items()} == {
        "step": (), "row/kernel": (3, 3, 4, 1), "column/kernel": (3, 3, 1, 5), "square/bias": (5,),
    }  # fmt: skip
    assert list(optim.Adafactor().init({"bias": params["bias"]})) == ["step", "square"]
    assert list(optim.Adafactor().init({"kernel": params["kernel"]})) == ["step", "row", "column"]


def test_adafactor_moves_rightly_where_all_gradients_are_zero() -> None:
    params = {"weight": np.ones((2, 3), np.float32), "bias": np.zeros(3, np.float32)}
    updates, _ = optim.Adafactor().update(tree.zeros_like(params), optim.Adafactor().init(params), params)
    assert same(updates, {"weight": -np.zeros((2, 3), np.float32), "bias": -np.zeros(3, np.float32)})


def test_lion_moves_by_the_rate_alone() -> None:
    opt, params = optim.Lion(0.5, weight_decay=0.0), {"p": np.array([1.0, 1.0, 1.0])}
    updates, _ = opt.update({"p": np.array([1e-9, -1e9, 0.0])}, opt.init(params), params)
    np.testing.assert_array_equal(updates["p"], [-0.5, 0.5, 0.0])


@pytest.mark.parametrize("opt", [optim.LAMB(0.1), optim.LARS(0.1, momentum=0.0, trust=1.0)])
def test_each_leaf_moves_by_a_share_of_its_norm(opt: optim.Optimizer) -> None:
    key = fn.Key(0)
    params = {"a": key.fold("a").normal((3, 4)), "b": 100.0 * key.fold("b").normal((5,)), "zero": np.zeros(3)}
    grads = {"a": key.fold("c").normal((3, 4)), "b": 1e-3 * key.fold("d").normal((5,)), "zero": np.full(3, 2.0)}
    updates, _ = opt.update(grads, opt.init(params), params)
    for name in ("a", "b"):
        np.testing.assert_allclose(np.linalg.norm(updates[name]), 0.1 * np.linalg.norm(params[name]), rtol=1e-12)
    np.testing.assert_allclose(updates["zero"], -0.1 * (1.0 if isinstance(opt, optim.LAMB) else 2.0), rtol=1e-5)


@pytest.mark.parametrize("shape", [(6, 6), (3, 8), (8, 3), (1, 5), (1, 1)])
def test_muon_brings_singular_values_near_one(shape: tuple[int, int]) -> None:
    opt, params = optim.Muon(1.0, weight_decay=0.0), {"w": np.zeros(shape)}
    grads = {"w": fn.Key(1).normal(shape)}
    updates, _ = opt.update(grads, opt.init(params), params)
    u, s, v = np.linalg.svd(-updates["w"] / max(1.0, shape[1] / shape[0]) ** 0.5, full_matrices=False)
    assert np.all((s > 0.6) & (s < 1.3))
    left, _, right = np.linalg.svd(grads["w"], full_matrices=False)
    np.testing.assert_allclose(u @ v, left @ right, atol=1e-13)  # unlike u and v, known where singular values are equal


def test_muon_leaves_the_rest_to_adamw() -> None:
    rest, key = optim.AdamW(0.1, weight_decay=0.3), fn.Key(2)
    params = {"a": {"weight": key.normal((2, 3)), "bias": key.fold(1).normal((3,))}, "kernel": key.normal((2, 2, 2))}
    grads = tree.map(lambda p: np.cos(p), params)
    updates, state = optim.Muon(rest=rest).update(grads, optim.Muon(rest=rest).init(params), params)
    others = {"a": {"bias": params["a"]["bias"]}, "kernel": params["kernel"]}
    of_others = {"a": {"bias": grads["a"]["bias"]}, "kernel": grads["kernel"]}
    expected, expected_state = rest.update(of_others, rest.init(others), others)
    assert same(state["rest"], expected_state)
    assert same({"a": {"bias": updates["a"]["bias"]}, "kernel": updates["kernel"]}, expected)
    assert list(tree.flatten(updates)) == list(tree.flatten(params))
    assert list(state["momentum"]) == ["a"]


def test_muon_of_matrices_alone_or_of_none() -> None:
    assert list(optim.Muon().init({"w": np.ones((2, 2))})) == ["step", "momentum"]
    assert list(optim.Muon().init({"b": np.ones(2)})) == ["step", "rest"]


def test_schedule_free_evaluates_the_average_of_its_fast_params() -> None:
    """At a constant rate all weigh the same, so x is the plain mean of z."""
    opt, params = optim.ScheduleFreeAdamW(0.1), {"p": np.array([1.0, -2.0])}
    state, fast = opt.init(params), []
    assert same(opt.eval_params(params, state), params)
    for step in range(20):
        updates, state = opt.update({"p": np.cos(params["p"] + step)}, state, params)
        params = fn.apply_updates(params, updates)
        fast.append(state["fast"]["p"])
        np.testing.assert_allclose(opt.eval_params(params, state)["p"], np.mean(fast, axis=0), rtol=1e-13)


def test_schedule_free_is_evaluated_and_saved_by_fit() -> None:
    net, opt = fn.serial(fn.Dense(1)), optim.ScheduleFreeAdamW(0.1)
    x = fn.Key(1).normal((32, 2), np.float32)
    y = x @ np.array([[1.0], [-2.0]], np.float32)
    loss = fn.losses.MeanSquaredError()
    fitted = fn.fit(net, (x, y), loss=loss, optimizer=opt, epochs=200, batch_size=8, key=fn.Key(0))
    ts = fitted.train_state
    assert float(np.max(np.abs(opt.eval_params(ts.params, ts.opt_state)["dense_0"]["weight"] - [[1.0], [-2.0]]))) < 2e-2


# ----- bad input ----------------------------------------------------------------------------------------------

RATE = "must be zero or more, got -0.1"
BAD = [
    *[
        (rule, {"learning_rate": -0.1}, f".learning_rate: {RATE}")
        for rule in (
            optim.AMSGrad, optim.Adamax, optim.NAdam, optim.RAdam, optim.Adagrad, optim.Adadelta, optim.Adafactor,
            optim.Lion, optim.LAMB, optim.LARS, optim.Muon, optim.ScheduleFreeAdamW, optim.RMSprop, optim.SGD,
        )
    ],
    *[
        (rule, {name: value}, f".{name}: must be at least 0 and below 1, got {value}")
        for rule in (optim.AMSGrad, optim.Adamax, optim.NAdam, optim.RAdam, optim.Lion, optim.LAMB)
        for name in ("b1", "b2")
        for value in (1.0, -0.1)
    ],
    *[
        (rule, {"eps": 0.0}, ".eps: must be positive, got 0.0")
        for rule in (
            optim.AMSGrad, optim.Adamax, optim.NAdam, optim.RAdam, optim.Adagrad, optim.Adadelta, optim.Adafactor,
            optim.LAMB, optim.ScheduleFreeAdamW,
        )
    ],
    *[
        (rule, {"weight_decay": -1.0}, ".weight_decay: must be zero or more, got -1.0")
        for rule in (optim.Adafactor, optim.Lion, optim.LAMB, optim.LARS, optim.Muon, optim.ScheduleFreeAdamW)
    ],
    (optim.NAdam, {"momentum_decay": -1.0}, ".momentum_decay: must be zero or more, got -1.0"),
    (optim.Adagrad, {"initial": -1.0}, ".initial: must be zero or more, got -1.0"),
    (optim.Adadelta, {"decay": 1.0}, ".decay: must be at least 0 and below 1, got 1.0"),
    (optim.Adafactor, {"decay_power": -0.8}, ".decay_power: must be zero or more, got -0.8"),
    (optim.Adafactor, {"floor": 0.0}, ".floor: must be positive, got 0.0"),
    (optim.Adafactor, {"clip": 0.0}, ".clip: must be positive, got 0.0"),
    (optim.LARS, {"momentum": 1.0}, ".momentum: must be at least 0 and below 1, got 1.0"),
    (optim.LARS, {"trust": 0.0}, ".trust: must be positive, got 0.0"),
    (
        optim.LARS,
        {"momentum": 0.0, "nesterov": True},
        ".nesterov: needs a momentum above 0; give momentum=0.9, or leave nesterov out",
    ),
    (optim.Muon, {"momentum": 1.0}, ".momentum: must be at least 0 and below 1, got 1.0"),
    (optim.Muon, {"iterations": 0}, ".iterations: must be positive, got 0"),
    (optim.ScheduleFreeAdamW, {"b1": 0.0}, ".b1: must be above 0 and below 1, got 0.0"),
    (optim.ScheduleFreeAdamW, {"b1": 1.0}, ".b1: must be above 0 and below 1, got 1.0"),
    (optim.ScheduleFreeAdamW, {"b2": 1.0}, ".b2: must be at least 0 and below 1, got 1.0"),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "fields", "message"), BAD, ids=[f"{r.__name__}-{f}" for r, f, _ in BAD])
def test_a_field_out_of_range_is_one_error(rule: Any, fields: dict[str, Any], message: str) -> None:
    if rule in (optim.SGD, optim.LARS):
        fields = {"learning_rate": 0.1, **fields}
    with pytest.raises(fn.SpecError) as caught:
        rule(**fields)
    assert str(caught.value) == f"{rule.__name__}{message}"


def test_every_wrong_field_is_named_at_once() -> None:
    with pytest.raises(fn.SpecError) as caught:
        optim.Lion(-1.0, b1=1.0, weight_decay="much")
    assert str(caught.value).split("\n") == [
        "Lion.learning_rate: must be zero or more, got -1.0",
        "Lion.b1: must be at least 0 and below 1, got 1.0",
        'Lion.weight_decay: expected a number or a schedule, got "much"',
    ]


def test_the_rest_of_muon_is_adamw() -> None:
    with pytest.raises(fn.SpecError) as caught:
        optim.Muon(rest=optim.SGD(0.1))
    said = "Muon.rest: expected an AdamW, got SGD(learning_rate=0.1, momentum=0.0, nesterov=False)"
    assert str(caught.value) == said
