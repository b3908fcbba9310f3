"""Schedules: numbers that depend on the step. The first update uses ``schedule(0)``."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, ClassVar, TypeVar

import numpy as np
from attrs import field

from funcnet import ops
from funcnet.errors import NotDefined, Problem, SpecError
from funcnet.spec.base import Spec, evolve, rebuild, register, specs_in
from funcnet.spec.class_fields import fields
from funcnet.spec.convert import MAX_INTEGER
from funcnet.spec.fields import FrozenDict, Range, frozen, non_negative, positive

T = TypeVar("T", bound=Spec)

LONG = MAX_INTEGER
"""A length for schedules whose values do not matter, as long as any warm-up"""
PARTS = 16
"""The parts of a schedule between whose ends it is tried"""

decay = Range("above 0 and at most 1", lambda value: 0 < value <= 1, exclusiveMinimum=0, maximum=1)


@frozen
class Schedule(Spec):
    """Base of every schedule: ``schedule(step) -> float``, a pure function of the step."""

    kind: ClassVar[str] = "schedule"

    def __call__(self, step: int) -> float:
        """The value for update number ``step``, counted from 0."""
        raise NotDefined(f"{type(self).__name__} does not define __call__(step)")

    def over(self, total_steps: int) -> Schedule:
        """The schedule for a run of this length, with every ``total_steps`` of None replaced."""
        changes = {f.name: _over(getattr(self, f.name), total_steps) for f in fields(type(self))}
        if changes.get("total_steps", 0) is None:
            changes["total_steps"] = total_steps
        changed = {name: new for name, new in changes.items() if new is not getattr(self, name)}
        return evolve(self, **changed) if changed else self

    def samples(self) -> Iterator[float]:
        """Its values at some steps: those between which a built-in schedule is a line or a curve, and parts of them."""
        try:
            bound = self.over(LONG)
        except SpecError:  # a warm-up that no run is longer than; a run will say so
            return
        ends = LONG if bound.ends is None else bound.ends
        knots = {n + one for n in _whole_numbers(self) for one in (-1, 0, 1)}
        spread = set() if bound.ends is None else {ends * i // PARTS for i in range(PARTS + 1)}
        for step in sorted(step for step in {0, 1, *knots, *spread} if 0 <= step <= ends):
            try:
                yield float(bound(step))
            except OverflowError:
                yield math.inf

    @property
    def ends(self) -> int | None:
        """The step at which it ends; None if it has no ``total_steps``, or they are the run's."""
        return getattr(self, "total_steps", None)


Number = float | Schedule
"""A hyperparameter: a number or a schedule."""


def value_at(number: Number, step: int) -> float:
    """A hyperparameter's value at a step."""
    return ops.scalar(number, step) if isinstance(number, Schedule | ops.Blank) else number


def horizon(schedule: Schedule, total_steps: int | None) -> int:
    """A schedule's ``total_steps``.

    Raises   SpecError for None, the length of a run, which is unknown here
    """
    if total_steps is None:
        raise SpecError(
            [Problem(".total_steps", "null means the length of the run, which only fit knows; give a number of steps")],
            root=type(schedule).__name__,
        )
    return total_steps


def half_cosine(start: float, end: float, part: float) -> float:
    """Half a cosine from start to end, as ``part`` goes from 0 to 1."""
    return end + 0.5 * (start - end) * (1.0 + float(np.cos(np.pi * min(max(part, 0.0), 1.0))))


def polynomial(start: float, end: float, part: float, power: float) -> float:
    """From start to end, as ``part`` goes from 0 to 1; a line for a power of 1."""
    rest: float = (1.0 - min(max(part, 0.0), 1.0)) ** power
    return rest * start + (1.0 - rest) * end


def in_cycle(step: int, period: int, growth: int) -> tuple[int, int, int]:
    """The cycle of a step, from 0, the step within it and its length; each is ``growth`` times as long as the last."""
    if growth == 1:
        return step // period, step % period, period
    cycle, length = 0, period
    while step >= length:
        cycle, step, length = cycle + 1, step - length, length * growth
    return cycle, step, length


def restarting(peak: float, end: float, period: int, growth: int, factor: float, step: int) -> float:
    """Half a cosine in each cycle, from a peak that shrinks by a factor."""
    cycle, at, length = in_cycle(step, period, growth)
    return half_cosine(end + (peak - end) * factor**cycle, end, at / length)


@register("constant_rate")
@frozen
class ConstantRate(Schedule):
    """``value`` at every step."""

    value: float

    def __call__(self, step: int) -> float:
        return self.value


@register("linear")
@frozen
class Linear(Schedule):
    """A line from ``initial`` at step 0 to ``end`` at ``total_steps``, and ``end`` from there on.

    ``total_steps`` of None is the length of the run.
    """

    initial: float
    total_steps: int | None = field(default=None, validator=positive)
    end: float = 0.0

    def __call__(self, step: int) -> float:
        return polynomial(self.initial, self.end, step / horizon(self, self.total_steps), 1.0)


@register("polynomial")
@frozen
class Polynomial(Schedule):
    """``end + (initial - end) · (1 - step / total_steps)^power``, and ``end`` from ``total_steps`` on.

    ``total_steps`` of None is the length of the run.
    """

    initial: float
    power: float = field(validator=positive)
    total_steps: int | None = field(default=None, validator=positive)
    end: float = 0.0

    def __call__(self, step: int) -> float:
        return polynomial(self.initial, self.end, step / horizon(self, self.total_steps), self.power)


@register("exponential")
@frozen
class Exponential(Schedule):
    """``max(end, initial · factor^(step / every))``: smooth decay by ``factor`` over ``every`` steps.

    It does not end, and never falls below ``end``.
    """

    initial: float
    every: int = field(validator=positive)
    factor: float = field(default=0.1, validator=decay)
    end: float = field(default=0.0, validator=non_negative)

    def __call__(self, step: int) -> float:
        return max(self.end, self.initial * self.factor ** (step / self.every))


@register("step_decay")
@frozen
class StepDecay(Schedule):
    """``initial · factor^⌊step / every⌋``: a drop by ``factor`` after each ``every`` steps, without end."""

    initial: float
    every: int = field(validator=positive)
    factor: float = field(default=0.1, validator=non_negative)

    def __call__(self, step: int) -> float:
        return self.initial * self.factor ** int(step // self.every)  # of int64, NumPy takes another power


@register("inverse_square_root")
@frozen
class InverseSquareRoot(Schedule):
    """``initial · √(shift / (shift + step))``, without end.

    ``Warmup(InverseSquareRoot(peak, shift=n), n)`` is the schedule of the Transformer, ``peak · √(n / step)``
    after n steps.
    Source   Vaswani et al. (2017)
    """

    initial: float
    shift: int = field(default=1, validator=positive)

    def __call__(self, step: int) -> float:
        return self.initial * (self.shift / (self.shift + step)) ** 0.5


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
        return half_cosine(self.peak, self.end, step / horizon(self, self.total_steps))


@register("cosine_restarts")
@frozen
class CosineRestarts(Schedule):
    """Half a cosine from ``peak`` towards ``end`` over ``period`` steps, then restarts, without end.

    Each cycle is ``growth`` times as long as the one before, and starts ``factor`` times as far above ``end``.
    Source   Loshchilov and Hutter (2017); as PyTorch's CosineAnnealingWarmRestarts, whose T_mult is ``growth``
    """

    peak: float
    period: int = field(validator=positive)
    growth: int = field(default=1, validator=positive)
    factor: float = field(default=1.0, validator=decay)
    end: float = 0.0

    def __call__(self, step: int) -> float:
        return restarting(self.peak, self.end, self.period, self.growth, self.factor, step)


@register("warmup_cosine")
@frozen
class WarmupCosine(Schedule):
    """A line from 0 to ``peak`` at ``warmup_steps``, then half a cosine to ``end`` at ``total_steps``.

    So the first update has rate 0, as in optax. The value is ``end`` from ``total_steps`` on; None means the length
    of the run.
    """

    peak: float
    warmup_steps: int = field(validator=non_negative)
    total_steps: int | None = field(default=None, validator=positive)
    end: float = 0.0

    def validate(self) -> Iterator[Problem]:
        if self.total_steps is not None and self.total_steps <= self.warmup_steps:
            yield Problem(".total_steps", f"must exceed warmup_steps, {self.warmup_steps}, got {self.total_steps}")

    def __call__(self, step: int) -> float:
        total = horizon(self, self.total_steps)
        if step < self.warmup_steps:
            return self.peak * step / self.warmup_steps
        return half_cosine(self.peak, self.end, (step - self.warmup_steps) / max(1, total - self.warmup_steps))


def _whole_numbers(value: Any) -> Iterator[int]:
    """The whole numbers in the fields of a schedule and of those inside it."""
    if isinstance(value, Schedule):
        for f in fields(type(value)):
            yield from _whole_numbers(getattr(value, f.name))
    elif isinstance(value, tuple):
        for item in value:
            yield from _whole_numbers(item)
    elif type(value) is int:
        yield value


def _over(value: Any, total_steps: int) -> Any:
    """A field's value, with every schedule in it set to a length."""
    if isinstance(value, Schedule):
        return value.over(total_steps)
    if isinstance(value, tuple):
        items = tuple(_over(item, total_steps) for item in value)
        return items if any(new is not old for new, old in zip(items, value, strict=True)) else value
    if isinstance(value, FrozenDict):
        made = {name: _over(item, total_steps) for name, item in value.items()}
        return FrozenDict(made) if any(made[name] is not value[name] for name in made) else value
    return value


def bind(spec: T, total_steps: int) -> T:
    """The same optimizer with every ``total_steps`` of None set to the length of the run."""

    def change(inner: Spec) -> Spec:
        if isinstance(inner, Schedule):  # set by its owner, which knows its length
            return inner
        new = {f.name: _over(getattr(inner, f.name), total_steps) for f in fields(type(inner))}
        changed = {name: value for name, value in new.items() if value is not getattr(inner, name)}
        return evolve(inner, **changed) if changed else inner

    bound: T = spec.over(total_steps) if isinstance(spec, Schedule) else rebuild(spec, change)  # type: ignore[assignment]
    return bound


def too_short(spec: Spec, total_steps: int) -> list[str]:
    """A warning for each schedule of an optimizer that ends before the run."""
    found = []
    for f in fields(type(spec)):
        for inner in specs_in(getattr(spec, f.name)):
            if isinstance(inner, Schedule) and inner.ends is not None and inner.ends < total_steps:
                name, value = type(inner).__name__, inner(inner.ends)
                found.append(
                    f"{type(spec).__name__}.{f.name}: {name} ends at step {inner.ends} of {total_steps}; "
                    f"it stays at {value:.6g} from there on"
                )
            elif not isinstance(inner, Schedule):
                found += too_short(inner, total_steps)
    return found
