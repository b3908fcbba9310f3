"""Another optimizer takes over a train state; a state of another optimizer is refused."""

import functools

import attrs
import numpy as np
import pytest

import funcnet as fn
from funcnet.spec.base import fields, specs_in
from tests.table import OPTIMIZERS

NET = fn.serial(fn.Dense(4), fn.BatchNorm(), fn.Tanh(), fn.Dense(1))
MSE = fn.losses.MeanSquaredError()
X, Y = fn.Key(0).normal((16, 3), np.float32), fn.Key(1).normal((16, 1), np.float32)
RULES = {name: opt for name, opt in OPTIMIZERS.items() if opt.descends}
FIRST = ("sgd", "sgd_momentum", "adam", "lion", "lookahead", "ema_adam")


def forms(opt_state):
    return {path: (leaf.shape, leaf.dtype) for path, leaf in fn.tree.flatten(opt_state).items()}


@functools.cache
def after_two(opt):
    ts, step = fn.train_state(NET, opt, fn.Key(2), (3,)), fn.train_step(NET, MSE, opt)
    for _ in range(2):
        ts, _ = step(ts, (X, Y))
    return ts


@pytest.mark.parametrize("first", FIRST)
@pytest.mark.parametrize("second", RULES)
def test_every_rule_takes_over_from_another(first, second):
    ts, opt = after_two(RULES[first]), RULES[second]
    take = fn.train_step(NET, MSE, opt)
    kept, begun = fn.swap(ts, opt), fn.swap(ts, opt, keep_step=False)
    for new, step in ((kept, 2), (begun, 0)):
        assert (new.step, new.key) == (step, ts.key)
        assert new.params is ts.params
        assert new.state is ts.state
        counts = [leaf for path, leaf in fn.tree.flatten(new.opt_state).items() if path.rpartition("/")[2] == "step"]
        assert {int(count) for count in counts} <= {step}
        ended, _ = take(new, (X, Y))
        assert ended.step == step + 1
    assert begun.opt_state.keys() == opt.init(ts.params).keys()
    assert fn.tree.equal(begun.opt_state, opt.init(ts.params))


def everything(spec):
    yield spec
    for field in fields(type(spec)):
        for inner in specs_in(getattr(spec, field.name)):
            yield from everything(inner)


def constant(opt):
    return not any(isinstance(spec, fn.optim.schedules.Schedule) for spec in everything(opt))


@pytest.mark.parametrize("name", [name for name, opt in RULES.items() if constant(opt)])
def test_a_rule_that_takes_over_with_constant_numbers_is_a_fresh_one(name):
    """Averages are corrected by what they have seen, so the clock that goes on changes schedules alone."""
    ts, opt = after_two(fn.optim.SGD(0.1)), RULES[name]
    runs = []
    for new in (fn.swap(ts, opt), fn.swap(ts, opt, keep_step=False)):
        state = new.opt_state
        params = ts.params
        for i in range(3):
            grads = fn.tree.map(lambda leaf, i=i: fn.Key(i).normal(leaf.shape, leaf.dtype), params)
            updates, state = opt.update(grads, state, params, value=1.0 + i)
            params = fn.apply_updates(params, updates)
        runs.append(params)
    assert fn.tree.equal(*runs)


def test_a_schedule_goes_on_or_begins_again():
    ts, opt = after_two(fn.optim.Adam(0.1)), fn.optim.SGD(fn.optim.Linear(1.0, 10))
    grads = fn.tree.map(np.ones_like, ts.params)
    for keep, rate in ((True, 0.8), (False, 1.0)):
        updates, _ = opt.update(grads, fn.swap(ts, opt, keep_step=keep).opt_state, ts.params)
        assert updates["dense_0"]["bias"][0] == pytest.approx(-rate)


@pytest.mark.parametrize("compile", [True, False])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda state: {},
            "step: expected () int64, got none\n  mean/dense_0/weight: expected (3, 4) float32, got none",
        ),
        (lambda state: {**state, "step": 2}, "step: expected () int64, got a int\n"),
        (lambda state: {**state, "step": np.array(2.0)}, "step: expected () int64, got () float64\n"),
        (
            lambda state: {**state, "mean": fn.tree.map(np.float64, state["mean"])},
            "mean/dense_0/weight: expected (3, 4) float32, got (3, 4) float64",
        ),
        (
            lambda state: {**state, "mean": fn.tree.map(lambda leaf: leaf[:1], state["mean"])},
            "mean/dense_0/weight: expected (3, 4) float32, got (1, 4) float32",
        ),
        (lambda state: {**state, "velocity": np.zeros(2)}, "velocity: expected no such part\n"),
        (lambda state: None, "expected a dict of arrays, got a NoneType\n"),
    ],
)
def test_another_state_is_refused_at_any_step(change, message, compile):
    opt = fn.optim.Adam(0.1)
    ts, step = after_two(opt), fn.train_step(NET, MSE, opt, compile=compile)
    step(ts, (X, Y))
    with pytest.raises(fn.ShapeError) as error:
        step(attrs.evolve(ts, opt_state=change(ts.opt_state)), (X, Y))
    text = str(error.value)
    assert text.startswith(f"opt_state is not a state of Adam for these params:\n  {message}")
    assert text.endswith("\ncontinue with the optimizer that made it, or take over with fn.swap(train_state, opt)")


PLATEAU = fn.optim.chain(fn.optim.SGD(0.1), fn.optim.ReduceOnPlateau())


@pytest.mark.parametrize(
    ("opt", "path", "value"),
    [
        (fn.optim.Adam(0.1), "step", -1),
        (fn.optim.Adam(0.1), "step", 2**63 - 1),
        (fn.optim.Adam(0.1), "start", 3),
        (fn.optim.Adafactor(), "start", -1),
        (PLATEAU, "reduce_on_plateau_0/seen", -1),
        (PLATEAU, "reduce_on_plateau_0/bad", 2**63 - 1),
    ],
)
def test_a_forged_count_is_refused(opt, path, value):
    ts = after_two(opt)
    state = fn.tree.unflatten(fn.tree.flatten(ts.opt_state) | {path: np.array(value, np.int64)})
    with pytest.raises(fn.ShapeError) as error:
        fn.fit(NET, (X, Y), start=attrs.evolve(ts, opt_state=state), loss=MSE, optimizer=opt, steps=5, key=0)
    assert f"\n  {path}: expected a count from 0, a start up to its step, got {value}\n" in str(error.value)


def test_fit_goes_on_under_another_optimizer():
    ts = after_two(fn.optim.SGD(0.1))
    options = {"loss": MSE, "optimizer": fn.optim.Adam(0.01), "steps": 5, "batch_size": "full", "key": fn.Key(0)}
    with pytest.raises(fn.ShapeError, match="opt_state is not a state of Adam"):
        fn.fit(NET, (X, Y), start=ts, **options)
    done = fn.fit(NET, (X, Y), start=fn.swap(ts, fn.optim.Adam(0.01)), **options)
    assert done.train_state.step == 5
