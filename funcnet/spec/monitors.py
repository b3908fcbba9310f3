"""The figures of a history that callbacks and optimizers follow: which of two values is better."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from funcnet.spec.kinds import base_of
from funcnet.spec.registry import tags

Mode = Literal["auto", "min", "max"]
"""``auto`` minimises losses and errors, and maximises all other metrics"""


def is_better(monitor: str, mode: Mode, new: float, best: float, by: float = 0.0) -> bool:
    """Whether a value is better than the best so far by more than ``by``; NaN never is."""
    return new > best + by if rises(monitor, mode) else new < best - by


def rises(monitor: str, mode: Mode = "auto") -> bool:
    """Whether higher is better for a name: true for scores, false for losses and for metrics that are errors.

    >>> from funcnet.spec.monitors import rises
    >>> rises("validation/accuracy"), rises("validation/rmse"), rises("loss")
    (True, False, False)
    """
    if mode != "auto":
        return mode == "max"
    name = monitor.removeprefix("validation/")
    found = {**tags("metric"), **{cls.__name__: cls for cls in _below(base_of("metric")) if not cls.tag}}
    fitting = [known for known in found if name == known or name.startswith(f"{known}_")]
    return bool(fitting) and bool(getattr(found[max(fitting, key=len)], "higher_is_better", True))


def _below(cls: type[Any]) -> Iterator[type[Any]]:
    """The subclasses of a class."""
    for inner in cls.__subclasses__():
        yield inner
        yield from _below(inner)
