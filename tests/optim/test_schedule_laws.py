"""``fn.check_schedule``: every schedule of the library passes, and planted faults are named."""

import math

import attrs
import numpy as np
import pytest

import funcnet as fn
from funcnet.optim import Schedule
from tests.table import SCHEDULES


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_schedules_of_the_library_pass(name):
    fn.check_schedule(SCHEDULES[name])


class Drifting(Schedule):
    calls = [0]

    def __call__(self, step):
        self.calls[0] += 1
        return 0.1 / self.calls[0]


class Array(Schedule):
    def __call__(self, step):
        return np.full(1, 0.1)


class NoEnd(Schedule):
    def __call__(self, step):
        return 0.1 if step < 1000 else math.nan


class ByType(Schedule):
    def __call__(self, step):
        return 0.1 if type(step) is int else 0.2


class Frozen(Schedule):
    total_steps: int | None = 30

    def __call__(self, step):
        return 0.1

    def over(self, total_steps):
        return attrs.evolve(self, total_steps=total_steps)


class Guessing(Schedule):
    total_steps: int | None = None

    def __call__(self, step):
        return 0.1 * (1 - step / (self.total_steps or 100))


WRONG = {
    Drifting: "the same step gives the same number",
    Array: "a finite number at every step",
    NoEnd: "a finite number at every step",
    ByType: "steps of int64 give the same numbers",
    Frozen: "over(n) sets only what is None",
    Guessing: "without a length there is no number",
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_planted_fault_is_named(wrong):
    with pytest.raises(fn.LawError) as caught:
        fn.check_schedule(attrs.frozen(wrong)())
    assert f"breaks the law {WRONG[wrong]!r}" in str(caught.value)


def test_a_schedule_from_a_function_obeys_the_laws():
    fn.check_schedule(fn.optim.schedule(lambda step: 0.1 * 0.5 ** (int(step) // 10)))
