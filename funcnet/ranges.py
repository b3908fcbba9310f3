"""The range of a layer's outputs: what a loss, or the targets, can be compared with before training."""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple


class Range(NamedTuple):
    """The numbers that an output may be, from ``low`` to ``high``; by default any."""

    low: float = -math.inf
    high: float = math.inf
    form: Literal["numbers", "probabilities", "log-probabilities"] = "numbers"
    """Whether a row, the last axis, is a distribution over classes"""
    of: str = ""
    """The class of the layer that sets it"""

    def __str__(self) -> str:
        if math.isinf(self.low) and math.isinf(self.high):
            return "any number"
        if math.isinf(self.high):
            return f"no number below {self.low:g}"
        if math.isinf(self.low):
            return f"no number above {self.high:g}"
        return f"numbers from {self.low:g} to {self.high:g}"

    def within(self, low: float, high: float) -> bool:
        """Whether every number lies between the two."""
        return low <= self.low and self.high <= high


Ranges = Any
"""A Range, None if nothing is known, or a tuple of these for several outputs"""


def always(low: float = -math.inf, high: float = math.inf, form: Any = "numbers") -> Any:
    """An ``out_range`` method that does not depend on the input."""
    found = Range(low, high, form)
    return lambda self, given: found


def kept(self: Any, given: Ranges) -> Ranges:
    """An ``out_range`` method: the range of the input."""
    return given


def joined(*ranges: Ranges) -> Range | None:
    """The smallest range around several; None if one is not known."""
    if not ranges or not all(isinstance(one, Range) for one in ranges):
        return None
    return Range(min(one.low for one in ranges), max(one.high for one in ranges))


def added(*ranges: Ranges) -> Range | None:
    """The range of a sum; None if the range of a summand is not known."""
    if not ranges or not all(isinstance(one, Range) for one in ranges):
        return None
    return Range(sum(one.low for one in ranges), sum(one.high for one in ranges))
