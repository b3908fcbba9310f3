"""The figures of a history that callbacks and optimizers follow: which of two values is better."""

from __future__ import annotations

from typing import Literal

from funcnet.spec.base import tags

Mode = Literal["auto", "min", "max"]
"""``auto`` minimises losses and errors, and maximises all other metrics"""


def is_better(monitor: str, mode: Mode, new: float, best: float, by: float = 0.0) -> bool:
    """Whether a value is better than the best so far by more than ``by``; NaN never is."""
    return new > best + by if rises(monitor, mode) else new < best - by


def rises(monitor: str, mode: Mode = "auto") -> bool:
    """Whether higher is better for a name: true for scores, false for losses and errors."""
    if mode != "auto":
        return mode == "max"
    name = monitor.removeprefix("validation/")
    for tag, cls in tags("metric").items():
        if name == tag or name.startswith(f"{tag}_"):
            return bool(getattr(cls, "higher_is_better", True))
    return False
