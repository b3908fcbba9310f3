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
    """A problem unless the steps increase, from ``least`` or a later one."""
    if any(a >= b for a, b in zip((least - 1, *steps), steps, strict=False)):
        yield Problem(path, f"expected increasing steps, from {least} on, got {list(steps)}")


def _at(number: Number, step: int) -> float:
    return float(number(step)) if isinstance(number, Schedule) else number


@register("piecewise_constant")
@frozen
class PiecewiseConstant(Schedule):
    """``values[i]`` after i boundaries: ``values[0]`` before the first boundary, the last value from the last one on.

    Update number ``boundaries[0]`` is the first to use ``values[1]``, as in optax and PyTorch's MultiStepLR.
    """

    values: tuple[float, ...]
    boundaries: tuple[int, ...]

    def validate(self) -> Iterator[Problem]:
        if len(self.values) != len(self.boundaries) + 1:
            wanted = f"expected one more value than boundaries, {len(self.boundaries) + 1}, got {len(self.values)}"
            yield Problem(".values", wanted)
        yield from _rising(".boundaries", self.boundaries, 1)

    def __call__(self, step: int) -> float:
        return self.values[sum(step >= boundary for boundary in self.boundaries)]


@register("piecewise_linear")
@frozen
class PiecewiseLinear(Schedule):
    """Lines through the points ``(steps[i], values[i])``; constant before the first and after the last."""

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
    """Half a cosine up from ``first = peak / div_factor`` to ``peak``, and one down to ``first / final_div_factor``.

    The rise takes the fraction ``pct_start`` of ``total_steps``; None means the length of the run. The value is
    constant from ``total_steps`` on.
    Source   Smith and Topin (2018); as optax.cosine_onecycle_schedule. PyTorch's OneCycleLR reaches the same
             values one step earlier
    """

    peak: float
    total_steps: int | None = field(default=None, validator=positive)
    pct_start: float = field(default=0.3, validator=part)
    div_factor: float = field(default=25.0, validator=positive)
    final_div_factor: float = field(default=1e4, validator=positive)

    @property
    def pieces(self) -> tuple[int, int, float, float]:
        """The numbers of steps up and down, and the first and the last value."""
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
    """A line from ``start`` to the first value of ``then`` at ``warmup_steps``, where ``then`` begins at its step 0.

    ``then`` is a number or a schedule. In it, a ``total_steps`` of None means the length of the run after the warm-up:
    ``Warmup(Cosine(peak), n)`` is ``WarmupCosine(peak, n)``. With a ``start`` of 0 the first update has rate 0.
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
    """Numbers or schedules one after another: ``schedules[i]`` starts at ``boundaries[i - 1]``, with its step 0.

    A ``total_steps`` of None means the distance between a schedule's boundaries; in the last schedule, which has no
    end, it means the rest of the run.
    """

    schedules: tuple[Number, ...]
    boundaries: tuple[int, ...]

    def validate(self) -> Iterator[Problem]:
        if len(self.schedules) != len(self.boundaries) + 1:
            wanted = (
                f"expected one more schedule than boundaries, {len(self.boundaries) + 1}, got {len(self.schedules)}"
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
