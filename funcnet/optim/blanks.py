"""Optimizers with blanks in the place of their numbers: those that differ in numbers alone share a recorded step.

A rule that takes schedules never uses a hyperparameter but through ``value_at``, or to see whether it is 0. So a
number other than 0, or a schedule, can be left open while the rule is recorded, with the same calls as a result.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from funcnet.ops import Blank
from funcnet.optim.base import Optimizer
from funcnet.optim.schedules import Number, Schedule
from funcnet.spec.class_fields import fields
from funcnet.spec.fields import FrozenDict


def opened(optimizer: Optimizer) -> tuple[Optimizer, tuple[Callable[..., float], ...]]:
    """An optimizer with blanks, and the functions that fill them in.

    Blanks are in the fields that take a number or a schedule, of this optimizer and those inside it. Zeros stay: a rule
    without momentum is another program.
    """
    blank, given = blanks(optimizer)
    return blank, tuple(value if isinstance(value, Schedule) else _constant(value) for _, value in given)


def _constant(value: float) -> Callable[..., float]:
    return lambda: value


def blanks(optimizer: Optimizer) -> tuple[Optimizer, tuple[tuple[str, Number], ...]]:
    """An optimizer with blanks, and the name and value of the field that each blank stands for."""
    given: list[tuple[str, Number]] = []

    def walk(value: Any, number: str = "") -> Any:
        if number and value != 0.0:
            given.append((number, value))
            return Blank(len(given) - 1, not isinstance(value, Schedule))
        if isinstance(value, Optimizer):
            own = {
                field.name: walk(getattr(value, field.name), field.name * (field.hint == Number))
                for field in fields(type(value))
            }
            copy = object.__new__(type(value))  # without a check of the fields
            vars(copy).update(vars(value), **own)
            return copy
        if isinstance(value, tuple):
            return tuple(map(walk, value))
        if isinstance(value, FrozenDict):
            return FrozenDict({name: walk(item) for name, item in value.items()})
        return value

    return walk(optimizer), tuple(given)
