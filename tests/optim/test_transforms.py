"""Transforms by hand: which leaves, in which order, what is evaluated and saved, what can be read, what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import funcnet as fn
from funcnet import losses, metrics, optim, tree
from funcnet.training.evaluate import evaluate
from tests.table import OPTIMIZERS, TRANSFORMS, same

KEY = fn.Key(3)
NET, LOSS = fn.serial(body=fn.Dense(3), relu=fn.Tanh(), head=fn.Dense(2)), losses.MeanSquaredError()
X, Y = KEY.fold("x").normal((24, 4)), KEY.fold("y").normal((24, 2))
PARAMS, _ = NET.init(KEY, (4,), np.float64)
GRADS = tree.map(np.ones_like, PARAMS)
PATHS = "body/weight, body/bias, head/weight, head/bias"


def fitted(optimizer: optim.Optimizer, steps: int = 6, **how: Any) -> fn.Fit:
    start = PARAMS if "start" not in how else how.pop("start")
    how = {"batch_size": 6, "key": KEY, **how}
    return fn.fit(NET, (X, Y), loss=LOSS, optimizer=optimizer, steps=steps, start=start, **how)


def updated(optimizer: optim.Optimizer) -> dict[str, Any]:
    updates, _ = optimizer.update(GRADS, optimizer.init(PARAMS), PARAMS, 1.0)
    return tree.flatten(updates)


# ----- some of the leaves --------------------------------------------------------------------------------


def test_the_first_part_that_matches_counts() -> None:
    optimizer = optim.Partition(
        ((("body/weight", "body/b*"), optim.SGD(0.1)), ("*bias", optim.SGD(0.2)), ("*", optim.SGD(0.3)))
    )
    assert {path: leaf.flat[0] for path, leaf in updated(optimizer).items()} == {
        "body/weight": -0.1,
        "body/bias": -0.1,
        "head/weight": -0.3,
        "head/bias": -0.2,
    }
    assert list(optimizer.init(PARAMS)) == ["part_0", "part_1", "part_2"]
    assert list(updated(optimizer)) == list(tree.flatten(PARAMS))


def test_each_part_has_the_state_of_its_leaves() -> None:
    state = optim.partition({"*bias": optim.SGD(0.1), "*": optim.Adam()}).init(PARAMS)
    assert sorted(tree.flatten(state)) == [
        "part_0/step",
        "part_1/mean/body/weight",
        "part_1/mean/head/weight",
        "part_1/square/body/weight",
        "part_1/square/head/weight",
        "part_1/step",
    ]


def test_what_is_frozen_does_not_move_and_has_no_state() -> None:
    optimizer = optim.Freeze(optim.AdamW(0.1), ("body/*",))
    ts = fitted(optimizer).train_state
    moved = {path for path, leaf in tree.flatten(ts.params).items() if not same(leaf, tree.flatten(PARAMS)[path])}
    assert moved == {"head/weight", "head/bias"}
    assert sorted(ts.opt_state["rule"]["mean"]) == ["head"]
    assert optimizer.untouched(PARAMS) == {"body/weight", "body/bias"}


def test_through_a_masked_transform_other_gradients_pass_and_a_masked_rule_leaves_the_others() -> None:
    passed = updated(optim.Masked(optim.ClipByValue(0.25), "*bias"))
    assert {path: leaf.flat[0] for path, leaf in passed.items()} == {
        "body/weight": 1.0,
        "body/bias": 0.25,
        "head/weight": 1.0,
        "head/bias": 0.25,
    }
    left = updated(optim.Masked(optim.SGD(0.5), ("head/*", "*/bias")))
    assert {path: leaf.flat[0] for path, leaf in left.items()} == {
        "body/weight": 0.0,
        "body/bias": -0.5,
        "head/weight": -0.5,
        "head/bias": -0.5,
    }


def test_no_decay_on_biases() -> None:
    whole = optim.AdamW(0.1, weight_decay=0.3)
    parts = {"*bias": optim.Adam(0.1), "*": whole}
    decay = optim.Masked(optim.DecoupledWeightDecay(0.1 * 0.3), "*weight")
    a, b = (fitted(each).train_state.params for each in (optim.partition(parts), optim.chain(optim.Adam(0.1), decay)))
    for path, leaf in tree.flatten(a).items():
        np.testing.assert_allclose(leaf, tree.flatten(b)[path], rtol=1e-13)
    assert not same(a, fitted(whole).train_state.params)


PATTERNS: dict[str, tuple[optim.Optimizer, str]] = {
    "freeze": (
        optim.Freeze(optim.SGD(0.1), "body/bais"),
        f"Freeze: 'body/bais' matches none of: {PATHS}, did you mean 'body/bias'?",
    ),
    "one of several": (
        optim.Masked(optim.SGD(0.1), ("head/*", "tail/bias")),
        f"Masked: 'tail/bias' matches none of: {PATHS}, did you mean 'head/bias'?",
    ),
    "not the whole path": (
        optim.Masked(optim.SGD(0.1), "bias"),
        f"Masked: 'bias' matches none of: {PATHS}, did you mean 'head/bias'?",
    ),
    "freeze everything": (optim.Freeze(optim.SGD(0.1), "*"), "Freeze: the patterns * leave nothing to train"),
    "part": (
        optim.partition({"*bias": optim.SGD(0.1), "hed/weight": optim.SGD(0.1), "*": optim.Adam()}),
        f"Partition.parts[1]: 'hed/weight' matches none of: {PATHS}, did you mean 'head/weight'?",
    ),
    "part too late": (
        optim.partition({"*": optim.SGD(0.1), "*bias": optim.Adam()}),
        "Partition.parts[1]: earlier parts take all that *bias matches; put this one before them",
    ),
    "not all": (
        optim.partition({"*bias": optim.SGD(0.1), "head/*": optim.Adam()}),
        "Partition: no pattern matches body/weight; add a last part such as ('*', Adam())",
    ),
}


@pytest.mark.parametrize("what", PATTERNS)
def test_patterns_are_refused_at_the_start(what: str) -> None:
    optimizer, message = PATTERNS[what]
    for begin in (lambda: optimizer.init(PARAMS), lambda: fn.train_state(NET, optimizer, KEY, (4,))):
        with pytest.raises(fn.PathError) as caught:
            begin()
        assert str(caught.value) == message


# ----- what does not go together -------------------------------------------------------------------------

SGD, EMA, PLATEAU = optim.SGD(0.1), optim.EMA(), optim.ReduceOnPlateau()
WRONG: dict[str, tuple[Any, str]] = {
    "decay before the rule": (
        lambda: optim.chain(optim.DecoupledWeightDecay(0.1), SGD),
        "Chain.steps: decoupled_weight_decay_0 changes or reads updates; put it after the rule, sgd_0",
    ),
    "plateau before the rule": (
        lambda: optim.chain(optim.chain(first=PLATEAU), rule=SGD),
        "Chain.steps: first changes or reads updates; put it after the rule, rule",
    ),
    "penalty after the rule": (
        lambda: optim.chain(SGD, optim.L2(0.1)),
        "Chain.steps: l2_0 changes gradients; put it before the rule, sgd_0",
    ),
    "masked, after the rule": (
        lambda: optim.chain(SGD, optim.Masked(optim.AddNoise(0.1), "*")),
        "Chain.steps: masked_0 changes gradients; put it before the rule, sgd_0",
    ),
    "average before the end": (
        lambda: optim.chain(SGD, EMA, PLATEAU),
        "Chain.steps: ema_0 averages the updated params; put it last",
    ),
    "average before the rule": (
        lambda: optim.chain(EMA, SGD),
        "Chain.steps: ema_0 changes or reads updates; put it after the rule, sgd_0",
    ),
    "average inside lookahead": (
        lambda: optim.Lookahead(optim.chain(SGD, EMA)),
        "Lookahead.rule: averages params that the slow ones replace; write chain(Lookahead(…), EMA())",
    ),
    "lookahead without a rule": (
        lambda: optim.Lookahead(optim.ClipByValue(1.0)),
        "Lookahead.rule: expected a rule, or a chain with one, got ClipByValue",
    ),
    "lookahead not at all": (
        lambda: optim.Lookahead(SGD, rate=0.0),
        "Lookahead.rate: must be above 0 and at most 1, got 0.0",
    ),
    "freeze without a rule": (
        lambda: optim.Freeze(optim.L2(1.0), "*"),
        "Freeze.rule: expected a rule, or a chain with one, got L2",
    ),
    "no patterns": (
        lambda: optim.Masked(SGD, ()),
        "Masked.patterns: expected at least one pattern, such as '*/bias'",
    ),
    "no parts": (lambda: optim.Partition(()), "Partition.parts: expected at least one part, such as (('*', Adam()),)"),
    "no patterns of a part": (
        lambda: optim.Partition((((), SGD),)),
        "Partition.parts[0][0]: expected at least one pattern, such as '*/bias'",
    ),
    "rules and transforms": (
        lambda: optim.partition({"a": SGD, "*": optim.L2(0.1)}),
        "Partition.parts: expected rules in all parts, got L2, which changes gradients; write chain(…, SGD(0.1))",
    ),
    "factor": (lambda: optim.ReduceOnPlateau(1.0), "ReduceOnPlateau.factor: must be above 0 and below 1, got 1.0"),
    "patience": (lambda: optim.ReduceOnPlateau(patience=0), "ReduceOnPlateau.patience: must be positive, got 0"),
    "decay of an average": (lambda: optim.EMA(1.0), "EMA.decay: must be at least 0 and below 1, got 1.0"),
    "limit": (lambda: optim.ClipByValue(0.0), "ClipByValue.max_value: must be positive, got 0.0"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_what_is_refused(what: str) -> None:
    make, message = WRONG[what]
    with pytest.raises(fn.SpecError) as caught:
        make()
    assert str(caught.value) == message


def test_a_plateau_wants_the_loss() -> None:
    with pytest.raises(fn.FuncnetError) as caught:
        PLATEAU.update(GRADS, PLATEAU.init(PARAMS), PARAMS)
    wanted = "expected the loss of the step, got none; call update(grads, opt_state, params, value=loss)"
    assert str(caught.value) == f"ReduceOnPlateau: {wanted}"


# ----- units ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(), (5,), (1, 5), (4, 3), (3, 2, 4), (3, 3, 2, 4), (2, 2, 2, 2, 3)])
def test_the_unit_of_a_leaf_is_what_leads_to_one_output(shape: tuple[int, ...]) -> None:
    g, p = KEY.fold("g").normal(shape), KEY.fold("p").normal(shape)
    whole = sum(n != 1 for n in shape) <= 1
    units = [...] if whole else [(..., i) for i in range(shape[-1])]
    clipped, centred = np.array(g), np.array(g)
    for unit in units:
        norm, limit = np.linalg.norm(g[unit]), 0.6 * max(np.linalg.norm(p[unit]), 1.0)
        clipped[unit] = g[unit] * min(1.0, limit / norm)
    for i in range(shape[-1]) if len(shape) > 1 else ():
        centred[..., i] -= g[..., i].mean()
    for transform, expected in ((optim.AdaptiveClip(0.6, eps=1.0), clipped), (optim.Centralize(), centred)):
        found, _ = transform.update({"w": g}, transform.init({"w": p}), {"w": p})
        np.testing.assert_allclose(found["w"], expected, rtol=1e-13, atol=1e-15)


# ----- averages ------------------------------------------------------------------------------------------

AVERAGING: dict[str, optim.Optimizer] = {
    "ema": optim.chain(optim.Adam(0.05), optim.EMA(0.7)),
    "polyak": optim.chain(optim.SGD(0.1), optim.PolyakAverage(start=3)),
    "lookahead": optim.Lookahead(optim.Adam(0.05), every=4),
    "frozen": optim.Freeze(optim.chain(optim.Adam(0.05), optim.EMA(0.7)), "body/*"),
    "parts": optim.partition({"*bias": optim.SGD(0.1), "*": optim.chain(optim.Adam(0.05), optim.EMA(0.7))}),
}


@pytest.mark.parametrize("name", AVERAGING)
def test_the_average_is_evaluated(name: str) -> None:
    optimizer, mse = AVERAGING[name], [metrics.RMSE()]
    result = fitted(optimizer, 6, validation=(X[:9], Y[:9]), metrics=mse)
    ts, row = result.train_state, result.history[-1]
    average = optimizer.eval_params(ts.params, ts.opt_state)
    expected = evaluate(NET, LOSS, average, ts.state, (X[:9], Y[:9]), mse)
    assert row["validation/loss"] == expected["loss"]
    assert row["validation/rmse"] == expected["rmse"]
    assert row["validation/loss"] != evaluate(NET, LOSS, ts.params, ts.state, (X[:9], Y[:9]))["loss"]


@pytest.mark.parametrize("name", ["ema", "polyak", "lookahead", "parts"])
def test_the_average_is_saved(name: str, tmp_path: Any) -> None:
    experiment = fn.Experiment(
        data=fn.data.Iris(),
        model=fn.serial(body=fn.Dense(4), relu=fn.Tanh(), head=fn.Dense(3)),
        loss=losses.SoftmaxCrossEntropy(),
        optimizer=AVERAGING[name],
        training=fn.Training(steps=7),
    )
    finished = fn.run(experiment, tmp_path / "run")
    ts = finished.train_state
    average = experiment.optimizer.eval_params(ts.params, ts.opt_state)
    assert same(fn.load(tmp_path / "run" / "weights.npz")[1], average)
    assert same(fn.load_run(tmp_path / "run").params, average)
    assert not same(average, ts.params)


def test_averages_begin_with_the_params() -> None:
    for optimizer in AVERAGING.values():
        assert same(optimizer.eval_params(PARAMS, optimizer.init(PARAMS)), PARAMS)


def test_an_average_by_hand() -> None:
    values = np.array([3.0, 5.0, -2.0, 4.0])
    for optimizer, weights in (
        (optim.EMA(0.5), np.array([1, 2, 4, 8]) / 15),
        (optim.PolyakAverage(), np.full(4, 0.25)),
        (optim.PolyakAverage(start=2), np.array([0, 0, 0.5, 0.5])),
        (optim.PolyakAverage(start=9), np.array([0, 0, 0, 1])),
    ):
        params = {"w": np.array(0.0)}
        state = optimizer.init(params)
        for value in values:
            updates, state = optimizer.update({"w": value - params["w"]}, state, params)
            params = fn.apply_updates(params, updates)
        np.testing.assert_allclose(optimizer.eval_params(params, state)["w"], weights @ values, rtol=1e-15)


def test_averages_of_what_has_become_zero_do_not_become_subnormal() -> None:
    for optimizer in (optim.EMA(0.9), optim.Lookahead(optim.SGD(0.0), every=2)):
        params = {"w": np.ones(3, np.float32)}
        state = optimizer.init(params)
        params = {"w": np.zeros(3, np.float32)}
        for _ in range(3000):
            _, state = optimizer.update(params, state, params)
            average = np.abs(optimizer.eval_params(params, state)["w"])
            assert np.all((average == 0) | (average >= np.finfo(np.float32).tiny))
        assert np.all(average == 0)


# ----- in training ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if name not in TRANSFORMS])
def test_a_compiled_step_is_recorded_and_gives_the_same_bits(name: str) -> None:
    """A step that is not recorded would warn, which is an error here."""
    optimizer, start = OPTIMIZERS[name], fn.train_state(NET, OPTIMIZERS[name], KEY, (4,))
    batch = X.astype(np.float32), Y.astype(np.float32)
    steps = [fn.train_step(NET, LOSS, optimizer, compile=compile) for compile in (True, False)]
    states = [start, start]
    for _ in range(4):
        states = [step(ts, batch)[0] for step, ts in zip(steps, states, strict=True)]
        assert same(*(ts.params for ts in states))
        assert same(*(ts.opt_state for ts in states))


def test_the_noise_depends_on_the_seed_and_the_step_alone() -> None:
    noise = optim.AddNoise(0.04, gamma=0.5, seed=5)
    state = noise.init(PARAMS)
    for step in range(3):
        updates, state = noise.update(GRADS, state, PARAMS)
        drawn = tree.flatten(updates)["head/bias"] - 1.0
        expected = 0.2 * (1 + step) ** -0.25 * fn.Key(5).fold("noise", step, "head/bias").normal((2,))
        np.testing.assert_allclose(drawn, expected, rtol=1e-12)


def test_a_chain_goes_on_from_any_step_as_if_never_interrupted() -> None:
    optimizer = optim.chain(
        optim.AddNoise(0.01),
        optim.Lookahead(optim.Adam(optim.CosineRestarts(0.05, 3)), every=4),
        optim.ReduceOnPlateau(0.5, patience=1, rtol=0.5, every=2),
        optim.EMA(0.8),
    )
    whole = fitted(optimizer, 11).train_state
    part = fitted(optimizer, 5).train_state
    rest = fitted(optimizer, 11, start=part).train_state
    assert same(rest.params, whole.params)
    assert same(rest.opt_state, whole.opt_state)


# ----- what can be read ----------------------------------------------------------------------------------


def test_current_values() -> None:
    optimizer = optim.chain(
        optim.ClipByValue(optim.Linear(1.0, 4)),
        optim.partition(
            {
                "*bias": optim.SGD(0.1, momentum=optim.StepDecay(0.8, 2, 0.5)),
                "*": optim.Lookahead(optim.Adam(optim.Linear(0.4, 4, 0.2))),
            }
        ),
        slower=optim.ReduceOnPlateau(0.5, patience=1, rtol=0.9),
    )
    ts = fn.train_state(NET, optimizer, KEY, (4,))
    step = fn.train_step(NET, LOSS, optimizer)
    seen = [optim.current(optimizer, ts.opt_state)]
    for _ in range(3):
        ts, _ = step(ts, (X, Y))
        seen.append(optim.current(optimizer, ts.opt_state))
    names = "clip_by_value_0/max_value", "partition_0/part_0/momentum", "partition_0/part_1/rule/learning_rate"
    expected = [(1.0, 0.8, 0.4, 1.0), (0.75, 0.8, 0.35, 1.0), (0.5, 0.4, 0.3, 0.5), (0.25, 0.4, 0.25, 0.25)]
    for values, numbers in zip(seen, expected, strict=True):
        assert list(values) == [*names, "slower/scale"]
        assert list(values.values()) == pytest.approx(numbers, rel=1e-15)


def test_a_rule_of_numbers_has_nothing_that_changes() -> None:
    rule = optim.AdamW(0.1)
    assert optim.current(rule, rule.init(PARAMS)) == {}


FALLING = optim.Linear(0.4, 4)
RATES: dict[str, tuple[optim.Optimizer, list[float | None]]] = {
    "rule": (optim.SGD(FALLING), [0.4, 0.3, 0.2]),
    "chain": (optim.chain(optim.ClipByGlobalNorm(1.0), optim.Adam(FALLING), optim.EMA()), [0.4, 0.3, 0.2]),
    "lookahead": (optim.Lookahead(optim.SGD(FALLING)), [0.4, 0.3, 0.2]),
    "freeze": (optim.Freeze(optim.chain(optim.L2(0.1), optim.SGD(FALLING)), "head/*"), [0.4, 0.3, 0.2]),
    "partition": (optim.partition({"*bias": optim.SGD(FALLING), "*": optim.Adam(0.5)}), [0.4, 0.3, 0.2]),
    "plateau": (
        optim.chain(optim.SGD(FALLING), optim.ReduceOnPlateau(0.5, patience=1, rtol=0.99)),
        [0.4, 0.15, 0.05],
    ),
    "plateau in a chain": (
        optim.chain(optim.Freeze(optim.SGD(FALLING), "head/*"), optim.chain(optim.ReduceOnPlateau(0.5, 1, rtol=0.99))),
        [0.4, 0.15, 0.05],
    ),
    "plateau of a part": (
        optim.partition({"*bias": optim.SGD(FALLING), "*": optim.chain(optim.SGD(0.1), optim.ReduceOnPlateau(0.5, 1))}),
        [0.4, 0.3, 0.2],
    ),
}


@pytest.mark.parametrize("name", RATES)
def test_the_history_has_the_rate_of_each_update(name: str) -> None:
    optimizer, rates = RATES[name]
    history = fitted(optimizer, 3, log_every=1).history
    assert [row["learning_rate"] for row in history] == pytest.approx(rates, rel=1e-14)


def test_a_plateau_slows_training_down() -> None:
    """At a rate of 0 nothing falls: the scale shrinks after each ``patience`` steps."""
    optimizer = optim.chain(optim.SGD(0.0), optim.ReduceOnPlateau(0.5, patience=2))
    ts = fitted(optimizer, 9, batch_size="full").train_state
    state = ts.opt_state["reduce_on_plateau_0"]
    assert (float(state["scale"]), int(state["bad"]), int(state["step"])) == (0.5**4, 0, 9)
    assert {name: leaf.dtype.name for name, leaf in state.items()} == {
        "step": "int64",
        "scale": "float64",
        "best": "float64",
        "mean": "float64",
        "seen": "int64",
        "bad": "int64",
        "pause": "int64",
    }


@pytest.mark.parametrize("compile", [True, False])
@pytest.mark.parametrize(
    "optimizer",
    [
        optim.Freeze(optim.Adam(0.1), ("dense_0/*", "batch_norm_*")),
        optim.partition({"dense_0/*": optim.Freeze(), "batch_norm_0/*": optim.Freeze(), "*": optim.Adam(0.1)}),
        optim.chain(optim.ClipByGlobalNorm(1.0), optim.Freeze(optim.Adam(0.1), ("dense_0/*", "batch_norm_*"))),
    ],
)
def test_what_is_frozen_keeps_its_statistics(optimizer, compile):
    """Frozen layers compute the same in evaluation after training as before; others move, statistics too."""
    net = fn.serial(fn.Dense(4), fn.BatchNorm(), fn.Tanh(), fn.Dense(3), fn.BatchNorm(), fn.Dense(3))
    x, y = 3.0 + fn.Key(0).normal((20, 4), np.float32), np.arange(20) % 3
    loss = fn.losses.SoftmaxCrossEntropy()
    first = fn.train_state(net, optimizer, fn.Key(1), (4,))
    step = fn.train_step(net, loss, optimizer, compile=compile)
    last, _ = step(step(first, (x, y))[0], (x, y))
    same = tree.map(lambda a, b: bool(np.all(a == b)), (first.params, first.state), (last.params, last.state))
    frozen = {"dense_0", "batch_norm_0"} | ({"batch_norm_1"} if not isinstance(optimizer, optim.Partition) else set())
    for part in same:
        assert {name: set(leaves.values()) for name, leaves in part.items()} == {
            name: {name in frozen} for name in part
        }


def test_a_freeze_alone_freezes_its_part_and_patterns_need_a_rule():
    assert fn.from_json(fn.to_json(optim.Freeze())) == optim.Freeze()
    with pytest.raises(fn.SpecError) as caught:
        optim.Freeze(patterns="encoder/*")
    assert str(caught.value) == (
        "Freeze.rule: missing; give the rule for all other leaves, such as Freeze(Adam(), 'encoder/*')"
    )
