"""The laws of schedules."""

from __future__ import annotations

import math

import numpy as np

from funcnet.errors import SpecError
from funcnet.inputs import instance
from funcnet.key import Key
from funcnet.laws.values import check_bits, check_copies, expect, same
from funcnet.optim.base import apply_updates
from funcnet.optim.schedules import Schedule
from funcnet.optim.sgd import SGD

STEPS = 40


def check_schedule(schedule: Schedule) -> None:
    """Run every law on a schedule, in a run of 40 steps: numbers alone, of the step alone, used at its own step.

    Raises   LawError naming the broken law

    >>> fn.check_schedule(fn.optim.WarmupCosine(peak=0.1, warmup_steps=10))
    """
    instance(schedule, Schedule, "a schedule", "fn.optim.Cosine(0.1)")
    bound = schedule.over(STEPS)
    check_numbers(bound, schedule)
    check_length(bound, schedule)
    check_use(bound, schedule)
    check_copies(schedule, lambda copy: np.array([copy.over(STEPS)(step) for step in range(STEPS)]))


def check_numbers(bound: Schedule, schedule: Schedule) -> None:
    """A finite float at every step, also long after the end; in whatever order steps are asked for."""
    steps = [*range(STEPS + 1), 2 * STEPS, 10**6, 2**40]
    values = [bound(step) for step in steps]
    for step, value in zip(steps, values, strict=True):
        fits = isinstance(value, float | int) and not isinstance(value, bool) and math.isfinite(value)
        expect(fits, "a finite number at every step", schedule, f"{value!r} at step {step}")
    again = [bound(step) for step in reversed(steps)][::-1]
    expect(again == values, "the same step gives the same number", schedule)
    counted = [bound(np.int64(step)) for step in steps]  # type: ignore[arg-type]
    expect(counted == values, "steps of int64 give the same numbers", schedule)


def check_length(bound: Schedule, schedule: Schedule) -> None:
    """A ``total_steps`` that is set stays; None is an error that says so, or the length of the run."""
    expect(bound.over(7 * STEPS) == bound, "over(n) sets only what is None", schedule)
    if bound == schedule:
        return
    try:
        schedule(0)
    except SpecError:
        return
    expect(False, "without a length there is no number", schedule, f"{schedule(0)} at step 0, for any length")


def check_use(bound: Schedule, schedule: Schedule) -> None:
    """A rule with the schedule updates as with its number at that step, compiled too."""
    params = {"weight": Key(0).normal((3, 2))}
    opt = SGD(bound)
    opt_state = opt.init(params)
    for step in range(4):
        check_bits(opt.update, (params, opt_state, params), schedule)
        updates, opt_state = opt.update(params, opt_state, params)
        fixed = SGD(float(bound(step)))
        expected, _ = fixed.update(params, fixed.init(params), params)
        expect(same(updates, expected), "an update uses the number of its step", schedule, f"at step {step}")
        params = apply_updates(params, updates)
