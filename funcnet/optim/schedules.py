"""Schedules: numbers that depend on the step. The first update uses ``schedule(0)``."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import ClassVar, TypeVar

import numpy as np
from attrs import field

from funcnet import ops
from funcnet.errors import Problem, SpecError
from funcnet.spec import Spec, evolve, frozen, non_negative, positive, rebuild, register

T = TypeVar("T", bound=Spec)


@frozen
class Schedule(Spec):
    """Base of every schedule: ``schedule(step) -> float``, a pure function of the step."""

    kind: ClassVar[str] = "schedule"

    def __call__(self, step: int) -> float:
        """The value that update number ``step``, from 0, uses."""
        raise TypeError(f"{type(self).__name__} does not define __call__(step)")


Number = float | Schedule
"""A hyperparameter: a number, or a schedule of them."""


def value_at(number: Number, step: int) -> float:
    """A hyperparameter's value at a step."""
    return ops.scalar(number, step) if isinstance(number, Schedule) else number


@register("constant")
@frozen
class Constant(Schedule):
    """``value`` at every step."""

    value: float

    def __call__(self, step: int) -> float:
        return self.value


@register("step")
@frozen
class Step(Schedule):
    """``initial · factor^⌊step / every⌋``: a drop by ``factor`` after every so many steps."""

    initial: float
    every: int = field(validator=positive)
    factor: float = field(default=0.1, validator=non_negative)

    def __call__(self, step: int) -> float:
        return self.initial * self.factor ** (step // self.every)


def _horizon(schedule: Schedule, total_steps: int | None) -> int:
    if total_steps is None:
        raise SpecError(
            [Problem(".total_steps", "null means the length of the run, which only fit knows; give a number of steps")],
            root=type(schedule).__name__,
        )
    return total_steps


def _half_cosine(start: float, end: float, part: float) -> float:
    return end + 0.5 * (start - end) * (1.0 + float(np.cos(math.pi * min(max(part, 0.0), 1.0))))


@register("cosine")
@frozen
class Cosine(Schedule):
    """Half a cosine from ``peak`` at step 0 to ``end`` at ``total_steps``, and ``end`` from there on.

    ``total_steps`` of None is the length of the run.
    Source   Loshchilov and Hutter (2017), without restarts
    """

    peak: float
    total_steps: int | None = field(default=None, validator=positive)
    end: float = 0.0

    def __call__(self, step: int) -> float:
        return _half_cosine(self.peak, self.end, step / _horizon(self, self.total_steps))


@register("warmup_cosine")
@frozen
class WarmupCosine(Schedule):
    """From 0 up a line to ``peak`` at ``warmup_steps``, then half a cosine to ``end`` at ``total_steps``.

    The first update is thus of rate 0, as in optax; ``end`` holds from ``total_steps`` on.
    """

    peak: float
    warmup_steps: int = field(validator=non_negative)
    total_steps: int | None = field(default=None, validator=positive)
    end: float = 0.0

    def validate(self) -> Iterator[Problem]:
        if self.total_steps is not None and self.total_steps <= self.warmup_steps:
            yield Problem(".total_steps", f"must exceed warmup_steps, {self.warmup_steps}, got {self.total_steps}")

    def __call__(self, step: int) -> float:
        total = _horizon(self, self.total_steps)
        if step < self.warmup_steps:
            return self.peak * step / self.warmup_steps
        return _half_cosine(self.peak, self.end, (step - self.warmup_steps) / max(1, total - self.warmup_steps))


LONG = 10**9
"""A length for a schedule whose values do not matter, longer than any warm-up"""


def bind(spec: T, total_steps: int) -> T:
    """The same optimizer with every ``total_steps`` of None set to the length of the run."""

    def change(inner: Spec) -> Spec:
        if isinstance(inner, Schedule) and getattr(inner, "total_steps", 0) is None:
            return evolve(inner, total_steps=total_steps)
        return inner

    bound: T = rebuild(spec, change)
    return bound
