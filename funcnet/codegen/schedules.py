"""Schedules as expressions of the step, for printed programs; they give the schedules' values to the last bit."""

from __future__ import annotations

from functools import singledispatch

from funcnet.errors import FuncnetError
from funcnet.optim.joined_schedules import Joined, OneCycle, PiecewiseConstant, PiecewiseLinear, Warmup
from funcnet.optim.schedules import (
    ConstantRate,
    Cosine,
    CosineRestarts,
    Exponential,
    InverseSquareRoot,
    Linear,
    Number,
    Polynomial,
    Schedule,
    StepDecay,
    WarmupCosine,
)
from funcnet.spec.rules import rule_of

Printed = tuple[str, tuple[str, ...]]
"""An expression, and the helpers that it needs"""


def schedule_text(schedule: Schedule, step: str) -> Printed:
    """The expression of a schedule's value; an expression with ``if`` has no parentheses around it.

    Raises   FuncnetError for a user-defined schedule
    """
    rule = rule_of(_text.registry, type(schedule), "__call__")
    if rule is None:
        name = type(schedule).__name__
        raise FuncnetError(
            f"cannot print the schedule {name}: only the library's own schedules can be printed; use one, or a number"
        )
    return rule(schedule, step)


@singledispatch
def _text(schedule: Schedule, step: str) -> Printed:
    raise TypeError(f"{type(schedule).__name__} has no rule")


def _piece(number: Number, step: str) -> Printed:
    """The expression of a number or a schedule inside another's."""
    if not isinstance(number, Schedule):
        return repr(number), ()
    text, needs = schedule_text(number, step)
    return f"({text})" if " if " in text else text, needs


@_text.register
def _(schedule: ConstantRate, step: str) -> Printed:
    return f"float({schedule.value!r})", ()


@_text.register
def _(schedule: Linear, step: str) -> Printed:
    part = f"{step} / {schedule.total_steps!r}"
    return f"polynomial({schedule.initial!r}, {schedule.end!r}, {part}, 1.0)", ("polynomial",)


@_text.register
def _(schedule: Polynomial, step: str) -> Printed:
    part = f"{step} / {schedule.total_steps!r}"
    return f"polynomial({schedule.initial!r}, {schedule.end!r}, {part}, {schedule.power!r})", ("polynomial",)


@_text.register
def _(schedule: Exponential, step: str) -> Printed:
    value = f"{schedule.initial!r} * {schedule.factor!r} ** ({step} / {schedule.every!r})"
    return f"max({schedule.end!r}, {value})", ()


@_text.register
def _(schedule: StepDecay, step: str) -> Printed:
    return f"float({schedule.initial!r} * {schedule.factor!r} ** ({step} // {schedule.every!r}))", ()


@_text.register
def _(schedule: InverseSquareRoot, step: str) -> Printed:
    return f"float({schedule.initial!r} * ({schedule.shift!r} / ({schedule.shift!r} + {step})) ** 0.5)", ()


@_text.register
def _(schedule: Cosine, step: str) -> Printed:
    return f"half_cosine({schedule.peak!r}, {schedule.end!r}, {step} / {schedule.total_steps!r})", ("half_cosine",)


@_text.register
def _(schedule: CosineRestarts, step: str) -> Printed:
    how = f"{schedule.period!r}, {schedule.growth!r}, {schedule.factor!r}"
    return f"restarting({schedule.peak!r}, {schedule.end!r}, {how}, {step})", ("restarting",)


@_text.register
def _(schedule: WarmupCosine, step: str) -> Printed:
    warmup, total = schedule.warmup_steps, schedule.total_steps or 0
    later = f"half_cosine({schedule.peak!r}, {schedule.end!r}, ({step} - {warmup}) / {max(1, total - warmup)})"
    if not warmup:
        return later, ("half_cosine",)
    return f"{schedule.peak!r} * {step} / {warmup} if {step} < {warmup} else {later}", ("half_cosine",)


@_text.register
def _(schedule: PiecewiseConstant, step: str) -> Printed:
    cases = [f"{v!r} if {step} < {b} else " for v, b in zip(schedule.values, schedule.boundaries, strict=False)]
    return f"{''.join(cases)}{schedule.values[-1]!r}", ()


@_text.register
def _(schedule: PiecewiseLinear, step: str) -> Printed:
    return f"float(np.interp({step}, {list(schedule.steps)}, {list(schedule.values)}))", ()


@_text.register
def _(schedule: OneCycle, step: str) -> Printed:
    up, down, first, last = schedule.pieces
    rising = f"half_cosine({first!r}, {schedule.peak!r}, {step} / {up})"
    falling = f"half_cosine({schedule.peak!r}, {last!r}, ({step} - {up}) / {down})"
    return (f"{rising} if {step} < {up} else {falling}" if up else falling), ("half_cosine",)


@_text.register
def _(schedule: Warmup, step: str) -> Printed:
    n, then = schedule.warmup_steps, schedule.then
    first = then(0) if isinstance(then, Schedule) else then
    later, needs = _piece(then, f"({step} - {n})")
    rising = f"polynomial({schedule.start!r}, {first!r}, {step} / {n}, 1.0)"
    return f"{rising} if {step} < {n} else {later}", ("polynomial", *needs)


@_text.register
def _(schedule: Joined, step: str) -> Printed:
    text, needed = "", dict[str, None]()
    begins = (0, *schedule.boundaries)
    for i, (each, begin) in enumerate(zip(schedule.schedules, begins, strict=True)):
        piece, needs = _piece(each, f"({step} - {begin})" if begin else step)
        needed |= dict.fromkeys(needs)
        text += piece + (f" if {step} < {begins[i + 1]} else " if i + 1 < len(begins) else "")
    return text, tuple(needed)
