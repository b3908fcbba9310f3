"""Schedules by hand: where they begin and end, the length of the run, what is refused and what is warned of."""

from __future__ import annotations

import logging
from typing import Any

import attrs
import numpy as np
import pytest

import funcnet as fn
from funcnet import losses, optim
from funcnet.optim.schedules import LONG, bind, too_short

NET, LOSS = fn.Dense(1), losses.MeanSquaredError()
X = np.linspace(-1, 1, 8, dtype=np.float32)[:, None]

# the schedule, and its values at some steps, the horizon and what lies beyond it among them
BY_HAND: dict[str, tuple[optim.Schedule, dict[int, float]]] = {
    "linear": (optim.Linear(1.0, 4, end=0.2), {0: 1.0, 1: 0.8, 2: 0.6, 4: 0.2, 5: 0.2, 10**9: 0.2}),
    "polynomial": (optim.Polynomial(1.0, 2.0, 4), {0: 1.0, 1: 0.5625, 2: 0.25, 4: 0.0, 99: 0.0}),
    "exponential": (optim.Exponential(1.0, 2, 0.25, end=0.1), {0: 1.0, 1: 0.5, 2: 0.25, 3: 0.125, 4: 0.1, 10**9: 0.1}),
    "inverse_square_root": (optim.InverseSquareRoot(1.0, shift=4), {0: 1.0, 12: 0.5, 96: 0.2}),
    "cosine_restarts": (
        optim.CosineRestarts(1.0, 2, growth=3, factor=0.5, end=0.2),
        {0: 1.0, 1: 0.6, 2: 0.6, 5: 0.4, 8: 0.4, 17: 0.3},
    ),
    "piecewise_constant": (
        optim.PiecewiseConstant((3.0, 2.0, 1.0), (2, 5)),
        {0: 3.0, 1: 3.0, 2: 2.0, 4: 2.0, 5: 1.0, 99: 1.0},
    ),
    "piecewise_linear": (optim.PiecewiseLinear((2, 4), (1.0, 3.0)), {0: 1.0, 2: 1.0, 3: 2.0, 4: 3.0, 99: 3.0}),
    "one_cycle": (
        optim.OneCycle(1.0, 10, pct_start=0.4, div_factor=4.0, final_div_factor=5.0),
        {0: 0.25, 2: 0.625, 4: 1.0, 7: 0.525, 10: 0.05, 99: 0.05},
    ),
    "one_cycle_at_once": (optim.OneCycle(1.0, 2, pct_start=0.1), {0: 1.0, 2: 4e-6}),
    "warmup": (
        optim.Warmup(optim.StepDecay(1.0, 2, 0.5), 4, start=0.2),
        {0: 0.2, 2: 0.6, 4: 1.0, 5: 1.0, 6: 0.5, 8: 0.25},
    ),
    "joined": (
        optim.Joined((3.0, optim.Linear(2.0, 2, 1.0), optim.Warmup(5.0, 2)), (2, 6)),
        {0: 3.0, 1: 3.0, 2: 2.0, 3: 1.5, 4: 1.0, 5: 1.0, 6: 0.0, 7: 2.5, 8: 5.0, 99: 5.0},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BY_HAND)
def test_values_by_hand(name: str) -> None:
    schedule, values = BY_HAND[name]
    found = {step: schedule(step) for step in values}
    assert found == pytest.approx(values, rel=1e-15, abs=1e-16)
    assert all(type(value) is float for value in found.values())


def test_warm_up_before_an_inverse_root_is_the_transformers() -> None:
    width, warmup = 512, 40
    peak = width**-0.5 * warmup**-0.5
    schedule = optim.Warmup(optim.InverseSquareRoot(peak, shift=warmup), warmup)
    paper = [width**-0.5 * min(step**-0.5, step * warmup**-1.5) for step in range(1, 500)]
    np.testing.assert_allclose([schedule(step) for step in range(1, 500)], paper, rtol=1e-13)


def test_warm_up_before_a_cosine_is_warmup_cosine() -> None:
    a, b = optim.Warmup(optim.Cosine(0.3, end=0.1), 7).over(50), optim.WarmupCosine(0.3, 7, end=0.1).over(50)
    np.testing.assert_allclose([a(step) for step in range(60)], [b(step) for step in range(60)], rtol=1e-14)


# ----- the length of the run -----------------------------------------------------------------------------

BOUND: dict[str, tuple[Any, Any]] = {
    "linear": (optim.Linear(1.0), optim.Linear(1.0, 100)),
    "given": (optim.Linear(1.0, 7), optim.Linear(1.0, 7)),
    "warmup": (optim.Warmup(optim.OneCycle(1.0), 30), optim.Warmup(optim.OneCycle(1.0, 70), 30)),
    "warmup_of_a_number": (optim.Warmup(0.1, 300), optim.Warmup(0.1, 300)),
    "joined": (
        optim.Joined((optim.Linear(1.0), 0.5, optim.Cosine(1.0), optim.Polynomial(1.0, 2.0)), (10, 20, 60)),
        optim.Joined((optim.Linear(1.0, 10), 0.5, optim.Cosine(1.0, 40), optim.Polynomial(1.0, 2.0, 40)), (10, 20, 60)),
    ),
    "deep": (
        optim.Warmup(optim.Joined((0.1, optim.Warmup(optim.Linear(1.0), 5)), (25,)), 20),
        optim.Warmup(optim.Joined((0.1, optim.Warmup(optim.Linear(1.0, 50), 5)), (25,)), 20),
    ),
    "partition": (
        optim.partition({"*bias": optim.SGD(optim.Linear(1.0)), "*": optim.Lookahead(optim.Adam(optim.Cosine(1.0)))}),
        optim.partition(
            {"*bias": optim.SGD(optim.Linear(1.0, 100)), "*": optim.Lookahead(optim.Adam(optim.Cosine(1.0, 100)))}
        ),
    ),
}


@pytest.mark.parametrize("name", BOUND)
def test_the_length_of_the_run_is_filled_in(name: str) -> None:
    given, expected = BOUND[name]
    assert bind(given, 100) == expected
    assert bind(expected, LONG) is expected


def fitted(optimizer: optim.Optimizer, steps: int) -> Any:
    return fn.fit(NET, (X, X), loss=LOSS, optimizer=optimizer, steps=steps, key=fn.Key(0))


SHORT = {
    "cosine": (
        optim.Adam(optim.Cosine(0.1, 3, end=0.01)),
        ["Adam.learning_rate: Cosine ends at step 3 of 5; it stays at 0.01 from there on"],
    ),
    "inside": (
        optim.chain(
            optim.L2(optim.Warmup(optim.Linear(0.1, 2), 1)),
            optim.SGD(0.1),
            optim.DecoupledWeightDecay(optim.Linear(0.1)),
        ),
        ["L2.weight_decay: Warmup ends at step 3 of 5; it stays at 0 from there on"],
    ),
    "joined": (
        optim.Freeze(optim.SGD(optim.Joined((0.3, optim.Polynomial(0.1, 2.0, 2)), (1,))), "bias"),
        ["SGD.learning_rate: Joined ends at step 3 of 5; it stays at 0 from there on"],
    ),
    "long enough": (optim.SGD(optim.Linear(0.1, 5), momentum=optim.Linear(0.9, 50)), []),
    "without an end": (optim.SGD(optim.PiecewiseLinear((0, 2), (0.1, 0.2))), []),
    "open": (optim.SGD(optim.Warmup(optim.Cosine(0.1), 3)), []),
}  # fmt: skip


@pytest.mark.parametrize("name", SHORT)
def test_a_schedule_shorter_than_the_run_is_warned_of(name: str, caplog: pytest.LogCaptureFixture) -> None:
    optimizer, messages = SHORT[name]
    with caplog.at_level(logging.WARNING, "funcnet"):
        fitted(optimizer, 5)
    assert [record.getMessage() for record in caplog.records] == messages
    assert too_short(bind(optimizer, 5), 5) == messages


# ----- what is refused -----------------------------------------------------------------------------------

WRONG: dict[str, tuple[Any, str]] = {
    "values": (
        lambda: optim.PiecewiseConstant((1.0, 2.0), ()),
        "PiecewiseConstant.values: expected one more value than boundaries, 1, got 2",
    ),
    "boundaries": (
        lambda: optim.PiecewiseConstant((1.0, 2.0, 3.0), (5, 5)),
        "PiecewiseConstant.boundaries: expected increasing steps, from 1 on, got [5, 5]",
    ),
    "boundary 0": (
        lambda: optim.Joined((1.0, 2.0), (0,)),
        "Joined.boundaries: expected increasing steps, from 1 on, got [0]",
    ),
    "points": (
        lambda: optim.PiecewiseLinear((0, 1), (1.0,)),
        "PiecewiseLinear.values: expected as many values as steps, 1 or more, got 1 and 2",
    ),
    "no points": (
        lambda: optim.PiecewiseLinear((), ()),
        "PiecewiseLinear.values: expected as many values as steps, 1 or more, got 0 and 0",
    ),
    "points back": (
        lambda: optim.PiecewiseLinear((3, 1), (1.0, 2.0)),
        "PiecewiseLinear.steps: expected increasing steps, from 0 on, got [3, 1]",
    ),
    "schedules": (
        lambda: optim.Joined((1.0,), (3,)),
        "Joined.schedules: expected one more schedule than boundaries, 2, got 1",
    ),
    "a part": (lambda: optim.OneCycle(1.0, pct_start=1.0), "OneCycle.pct_start: must be above 0 and below 1, got 1.0"),
    "growing": (lambda: optim.Exponential(1.0, 1, 1.1), "Exponential.factor: must be above 0 and at most 1, got 1.1"),
    "no power": (lambda: optim.Polynomial(1.0, 0), "Polynomial.power: must be positive, got 0.0"),
    "no warm-up": (lambda: optim.Warmup(0.1, 0), "Warmup.warmup_steps: must be positive, got 0"),
    "no schedule": (lambda: optim.Warmup("cosine", 3), 'Warmup.then: expected a number or a schedule, got "cosine"'),
    "unbound": (
        lambda: optim.OneCycle(1.0)(0),
        "OneCycle.total_steps: null means the length of the run, which only fit knows; give a number of steps",
    ),
    "a run shorter than the warm-up": (
        lambda: fitted(optim.SGD(optim.Warmup(optim.Cosine(0.1), 5)), 5),
        "Warmup.warmup_steps: must be below the length of the run, 5, got 5",
    ),
    "a run shorter than the joint": (
        lambda: fitted(optim.SGD(optim.Joined((0.1, 0.2, optim.Cosine(0.1)), (2, 7))), 5),
        "Joined.boundaries: must be below the length of the run, 5, got [2, 7]",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_refused(what: str) -> None:
    make, message = WRONG[what]
    with pytest.raises(fn.SpecError) as caught:
        make()
    assert str(caught.value) == message


# ----- schedules of a field that has a range ------------------------------------------------------------------------

OUTSIDE = {
    "constant": (optim.ConstantRate(2.0), "at least 0 and below 1, got 2.0 from its ConstantRate"),
    "negative": (optim.Linear(0.5, end=-0.5), "at least 0 and below 1, got -0.0625 from its Linear"),
    "peak": (optim.Warmup(1.5, 1000), "at least 0 and below 1, got 1.4985 from its Warmup"),
    "joined": (optim.Joined((0.5, 7.0), (20,)), "at least 0 and below 1, got 7.0 from its Joined"),
    "growing": (optim.StepDecay(0.5, 2, factor=3.0), "at least 0 and below 1, got 1.5 from its StepDecay"),
}


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_schedule_that_leaves_the_range_of_its_field(name: str) -> None:
    schedule, message = OUTSIDE[name]
    with pytest.raises(fn.SpecError) as caught:
        optim.Adam(0.1, b2=schedule)
    assert str(caught.value) == f"Adam.b2: must be {message}"


def test_a_schedule_may_reach_the_edge_of_the_range() -> None:
    assert optim.ClipByGlobalNorm(optim.Linear(1.0)).max_norm == optim.Linear(1.0)


@pytest.mark.parametrize("compile", [True, False])
@pytest.mark.parametrize(
    ("rule", "where"),
    [
        (optim.Adam(0.1, b1=optim.ConstantRate(1.0)), "Adam with b1 = 1 (float division by zero)"),
        (
            optim.SGD(optim.StepDecay(0.0, 1, factor=1e200)),
            "SGD with a schedule too large ((34, 'Numerical result out of range'))",
        ),
    ],
)
def test_a_schedule_that_an_update_cannot_use(rule: optim.Optimizer, where: str, compile: bool) -> None:
    net, x = fn.serial(fn.Dense(1)), np.ones((2, 1), np.float32)
    ts = fn.train_state(net, rule, fn.Key(0), (1,))
    step = fn.train_step(net, fn.losses.MeanSquaredError(), rule, compile=compile)
    ts = attrs.evolve(ts, opt_state={**ts.opt_state, "step": np.asarray(2)}, step=2)
    with pytest.raises(fn.NonFiniteError, match="step 2: an update is not finite") as caught:
        step(ts, (x, x))
    assert where in str(caught.value)
