"""Schedules made of pieces: constants, lines, cosines, or other schedules one after another."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
from attrs import field

from funcnet.errors import Problem, SpecError
from funcnet.optim.schedules import Number, Schedule, half_cosine, horizon, polynomial
from funcnet.spec.base import evolve, register
from funcnet.spec.fields import Range, frozen, positive

part = Range("above 0 and below 1", lambda value: 0 < value < 1, exclusiveMinimum=0, exclusiveMaximum=1)


def _rising(path: str, steps: Sequence[int], least: int) -> Iterator[Problem]:
    """What is wrong with steps that should rise from some least one on."""
    if any(a >= b for a, b in zip((least - 1, *steps), steps, strict=False)):
        yield Problem(path, f"expected steps that rise, from {least} on, got {list(steps)}")


def _at(number: Number, step: int) -> float:
    return number(step) if isinstance(number, Schedule) else number


@register("piecewise_constant")
@frozen
class PiecewiseConstant(Schedule):
    """``values[i]`` where i boundaries have been reached: ``values[0]`` before the first, the last from the last on.

    The update of number ``boundaries[0]`` is the first that uses ``values[1]``, as in optax and PyTorch's MultiStepLR.
    """

    values: tuple[float, ...]
    boundaries: tuple[int, ...]

    def validate(self) -> Iterator[Problem]:
        if len(self.values) != len(self.boundaries) + 1:
            wanted = f"expected one value more than boundaries, {len(self.boundaries) + 1}, got {len(self.values)}"
            yield Problem(".values", wanted)
        yield from _rising(".boundaries", self.boundaries, 1)

    def __call__(self, step: int) -> float:
        return self.values[sum(step >= boundary for boundary in self.boundaries)]


@register("piecewise_linear")
@frozen
class PiecewiseLinear(Schedule):
    """Lines through the points ``(steps[i], values[i])``; before the first its value, and after the last its own."""

    steps: tuple[int, ...]
    values: tuple[float, ...]

    def validate(self) -> Iterator[Problem]:
        if len(self.values) != len(self.steps) or not self.steps:
            wanted = f"expected as many values as steps, 1 or more, got {len(self.values)} and {len(self.steps)}"
            yield Problem(".values", wanted)
        yield from _rising(".steps", self.steps, 0)

    def __call__(self, step: int) -> float:
        return float(np.interp(step, self.steps, self.values))


@register("one_cycle")
@frozen
class OneCycle(Schedule):
    """From ``first = peak / div_factor`` half a cosine up to ``peak``, and one down to ``first / final_div_factor``.

    The way up takes the part ``pct_start`` of ``total_steps``, which for None is the length of the run; the last
    value holds from ``total_steps`` on.
    Source   Smith and Topin (2018); as optax.cosine_onecycle_schedule. PyTorch's OneCycleLR reaches the same
             values a step earlier
    """

    peak: float
    total_steps: int | None = field(default=None, validator=positive)
    pct_start: float = field(default=0.3, validator=part)
    div_factor: float = field(default=25.0, validator=positive)
    final_div_factor: float = field(default=1e4, validator=positive)

    @property
    def pieces(self) -> tuple[int, int, float, float]:
        """The steps of the way up and of the way down, the first and the last value."""
        total = horizon(self, self.total_steps)
        up = int(self.pct_start * total)
        first = self.peak / self.div_factor
        return up, total - up, first, first / self.final_div_factor

    def __call__(self, step: int) -> float:
        up, down, first, last = self.pieces
        if step < up:
            return half_cosine(first, self.peak, step / up)
        return half_cosine(self.peak, last, (step - up) / down)


@register("warmup")
@frozen
class Warmup(Schedule):
    """A line from ``start`` to the first value of ``then`` at ``warmup_steps``, and ``then`` from there, counted anew.

    ``then`` is a number or a schedule. A ``total_steps`` of None in it is what the warm-up leaves of the run:
    ``Warmup(Cosine(peak), n)`` is ``WarmupCosine(peak, n)``. With a ``start`` of 0 the first update is of rate 0.
    """

    then: Number
    warmup_steps: int = field(validator=positive)
    start: float = 0.0

    def over(self, total_steps: int) -> Schedule:
        if not isinstance(self.then, Schedule):
            return self
        left = total_steps - self.warmup_steps
        then = self.then.over(max(left, 1))
        if left < 1 and then != self.then:
            text = f"must be below the length of the run, {total_steps}, got {self.warmup_steps}"
            raise SpecError([Problem(".warmup_steps", text)], root="Warmup")
        return self if then is self.then else evolve(self, then=then)

    @property
    def ends(self) -> int | None:
        inner = self.then.ends if isinstance(self.then, Schedule) else None
        return None if inner is None else self.warmup_steps + inner

    def __call__(self, step: int) -> float:
        if step < self.warmup_steps:
            return polynomial(self.start, _at(self.then, 0), step / self.warmup_steps, 1.0)
        return _at(self.then, step - self.warmup_steps)


@register("joined")
@frozen
class Joined(Schedule):
    """Numbers or schedules one after another: ``schedules[i]`` from ``boundaries[i - 1]`` on, counted anew from there.

    A ``total_steps`` of None in one is the distance between its boundaries, in the last one what they leave of the
    run. After the last boundary the last one goes on, for ever.
    """

    schedules: tuple[Number, ...]
    boundaries: tuple[int, ...]

    def validate(self) -> Iterator[Problem]:
        if len(self.schedules) != len(self.boundaries) + 1:
            wanted = (
                f"expected one schedule more than boundaries, {len(self.boundaries) + 1}, got {len(self.schedules)}"
            )
            yield Problem(".schedules", wanted)
        yield from _rising(".boundaries", self.boundaries, 1)

    def over(self, total_steps: int) -> Schedule:
        borders = (0, *self.boundaries, total_steps)
        lengths = [b - a for a, b in itertools.pairwise(borders)]
        bound = tuple(
            each.over(max(length, 1)) if isinstance(each, Schedule) else each
            for each, length in zip(self.schedules, lengths, strict=True)
        )
        if lengths[-1] < 1 and bound[-1] != self.schedules[-1]:
            text = f"must be below the length of the run, {total_steps}, got {list(self.boundaries)}"
            raise SpecError([Problem(".boundaries", text)], root="Joined")
        return self if bound == self.schedules else evolve(self, schedules=bound)

    @property
    def ends(self) -> int | None:
        last = self.schedules[-1]
        inner = last.ends if isinstance(last, Schedule) else None
        return None if inner is None else (0, *self.boundaries)[-1] + inner

    def __call__(self, step: int) -> float:
        piece = sum(step >= boundary for boundary in self.boundaries)
        return _at(self.schedules[piece], step - (0, *self.boundaries)[piece])
