"""Optimizers that differ in their numbers alone share a recorded step, which gives the plain step's bits."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import attrs
import numpy as np
import pytest

import funcnet as fn
from funcnet import optim
from funcnet.compiler.function import Plans
from funcnet.ops import Blank
from funcnet.optim.schedules import Number
from funcnet.spec.base import evolve, fields, rebuild
from tests.table import OPTIMIZERS, of_those, same

NET, LOSS = fn.serial(fn.Dense(4), fn.Tanh(), fn.Dense(1)), fn.losses.MeanSquaredError()


def trained(opt: optim.Optimizer, dtype: Any, compile: bool) -> tuple[Any, Any]:
    """The params and the state after three steps."""
    step, ts = fn.train_step(NET, LOSS, opt, compile=compile), fn.train_state(NET, opt, fn.Key(0), (3,), dtype=dtype)
    x, y = fn.Key(1).normal((6, 3), dtype), fn.Key(2).normal((6, 1), dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(3):
            ts, _ = step(ts, (x, y))
    return ts.params, ts.opt_state


def agrees(opt: optim.Optimizer, dtype: Any = np.float32) -> bool:
    return same(trained(opt, dtype, True), trained(opt, dtype, False))


@pytest.fixture
def recordings(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Plans]]:
    """The plans for which a function was recorded."""
    found: list[Plans] = []
    record = Plans._record

    def counted(self: Plans, args: Any) -> Any:
        found.append(self)
        return record(self, args)

    monkeypatch.setattr(Plans, "_record", counted)
    return found


def moved(opt: optim.Optimizer, by: float) -> optim.Optimizer:
    """The optimizer with all its numbers other than 0 and all its constant schedules multiplied, in range for each."""

    def change(spec: Any) -> Any:
        if isinstance(spec, optim.ConstantRate):
            return optim.ConstantRate(spec.value * by)
        numbers = [field.name for field in fields(type(spec)) if field.hint == Number]
        given = {name: getattr(spec, name) for name in numbers}
        return evolve(spec, **{name: value * by for name, value in given.items() if type(value) is float})

    changed: optim.Optimizer = rebuild(opt, change)
    return changed


def whole(opt: optim.Optimizer) -> optim.Optimizer:
    """A transform in a chain with a rule."""
    if opt.descends:
        return opt
    try:
        return optim.chain(opt, optim.SGD(0.1))
    except fn.SpecError:
        return optim.chain(optim.SGD(0.1), opt)


CLASSES: dict[Any, str] = {}
for row, given in OPTIMIZERS.items():  # of each class, the row with the most hyperparameters set
    if "schedules" in row or type(given) not in CLASSES:
        CLASSES[type(given)] = row


@pytest.mark.parametrize("name", of_those(OPTIMIZERS, CLASSES.values()))
def test_other_numbers_are_not_recorded_anew_and_give_the_plain_bits(name: str, recordings: list[Plans]) -> None:
    first = whole(OPTIMIZERS[name])
    for dtype, by in ((np.float32, 1e-3), (np.float64, 0.75)):
        trained(first, dtype, True)
        recordings.clear()
        assert agrees(moved(first, by), dtype)
        assert not recordings


def test_zeros_and_schedules_are_other_programs(recordings: list[Plans]) -> None:
    numbers = 0.9, 0.5, 0.0, -0.0, 0, 1e-310, 0.5
    for momentum in numbers:
        assert agrees(optim.SGD(0.25, momentum=momentum)), momentum
    assert len({id(plans) for plans in recordings}) == 2  # of a number, and of 0.0, which integers and -0.0 become
    recordings.clear()
    for rate in (0.0, 1, 1.0, 0.1, optim.ConstantRate(1), optim.Cosine(0.5, 3), optim.Linear(0.5, 9), 1e300):
        rule = optim.chain(optim.ClipByValue(1.0), optim.AdamW(rate, weight_decay=0.5))
        assert rate == 1e300 or agrees(rule, np.float64), rate
    assert len({id(plans) for plans in recordings}) == 3  # of 0.0, of a number, of a schedule


@pytest.mark.parametrize("rate", [1e38, 1e300, optim.ConstantRate(1e300)])
def test_a_number_too_large_is_the_plain_error(rate: Any) -> None:
    agrees(optim.Adam(0.1))
    said = []
    for compile in (True, False):
        with pytest.raises(fn.NonFiniteError) as caught:
            trained(optim.Adam(rate), np.float32, compile)
        said.append(str(caught.value))
    assert said[0] == said[1]


@attrs.frozen
class Choosy(optim.Optimizer):
    """A rule that branches on its number."""

    rate: optim.schedules.Number = 0.5

    def update(self, grads: Any, opt_state: Any, params: Any, value: float | None = None) -> Any:
        factor = -self.rate if self.rate > 0.3 else self.rate**3  # type: ignore[operator]
        return fn.tree.map(lambda g: factor * g, grads), opt_state


@attrs.frozen
class Bent(optim.Schedule):
    """A schedule that branches on its number and on the step."""

    peak: float

    def __call__(self, step: int) -> float:
        return self.peak if self.peak > 0.3 or step > 1 else self.peak / 2


@pytest.mark.parametrize("made", [Choosy, lambda n: optim.SGD(Bent(n)), lambda n: optim.chain(Choosy(n), optim.EMA(n))])
def test_rules_and_schedules_of_users_may_branch_on_their_numbers(made: Any) -> None:
    for number in (0.5, 0.25, 0.4, 0.2):
        assert agrees(made(number)), number


@attrs.frozen
class Single(optim.Schedule):
    """A schedule whose values are NumPy's numbers in single precision."""

    peak: float

    def __call__(self, step: int) -> Any:
        return np.float32(self.peak / (1 + step))


@pytest.mark.parametrize("rate", [Single(0.1), optim.Joined((Single(0.1), 0.2), (2,)), optim.Warmup(Single(0.1), 1)])
def test_what_a_schedule_of_users_returns_becomes_a_float(rate: Any) -> None:
    for rule in (optim.AdamW(rate, weight_decay=rate), optim.partition({"dense_0/*": optim.SGD(rate), "*": Choosy()})):
        assert agrees(rule)
        assert agrees(rule, np.float64)


def test_steps_of_one_program_are_apart() -> None:
    """Each optimizer keeps its numbers, whatever ran before it and in which order."""
    rates = 0.5, 0.25, 0.125
    x, y = np.ones((2, 1)), np.zeros((2, 1))
    net, start = fn.Dense(1, use_bias=False), {"weight": np.ones((1, 1))}
    steps = [fn.train_step(net, LOSS, optim.SGD(rate)) for rate in rates]
    for i in (0, 1, 2, 1, 0, 2):
        ts = fn.train_state(net, optim.SGD(rates[i]), fn.Key(0), (1,), np.float64, params=start)
        after, _ = steps[i](ts, (x, y))
        assert after.params["weight"].item() == 1.0 - 2.0 * rates[i]


def test_a_blank_is_not_zero_and_refuses_other_comparisons() -> None:
    blank = Blank(0, True)
    assert blank != 0.0
    assert blank == Blank(0, True) != Blank(1, True) != Blank(1, False)
    for refused in (lambda: blank == 0.5, lambda: blank != 1.0, lambda: blank > 0, lambda: blank(3), lambda: 2 * blank):
        with pytest.raises(TypeError):
            refused()
