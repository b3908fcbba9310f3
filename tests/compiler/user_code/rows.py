"""A row of the table, how one is written, and the arguments that rows share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import funcnet as fn

RECORDED, FALLS_BACK, EITHER = "recorded", "falls back", "either"
NO_LINE = False


class Row(NamedTuple):
    """What a function is expected to do on some sets of arguments."""

    fate: str
    make: Callable[[], Any]
    """Gives the function anew, or ``(function, change)`` where ``change(i)`` comes before call number i"""
    calls: tuple[Any, ...]
    """Tuples of arguments, ``With`` keywords; or functions that give them"""
    line: bool = True
    """Whether the warning names a line of the function"""


class With:
    """Arguments of a call, keywords among them."""

    def __init__(self, *args: Any, **keywords: Any) -> None:
        self.args, self.keywords = args, keywords


ROWS: dict[str, Row] = {}


def add(name: str, row: Row) -> None:
    assert name not in ROWS, f"two rows are called {name}"
    ROWS[name] = row


def rows_of(fate: str) -> Callable[..., Any]:
    """A function that adds rows: ``recorded(X, name=lambda x: …)``, or ``@recorded(X)`` above a function."""

    def rows(calls: tuple[Any, ...], line: bool = True, /, **functions: Callable[..., Any]) -> Any:
        for name, f in functions.items():
            add(name, Row(fate, lambda f=f: f, calls, line))

        def decorate(f: Callable[..., Any]) -> Callable[..., Any]:
            add(f.__name__, Row(fate, lambda: f, calls, line))
            return f

        return decorate

    return rows


recorded, falls_back, either = rows_of(RECORDED), rows_of(FALLS_BACK), rows_of(EITHER)


def made(fate: str, calls: tuple[Any, ...]) -> Callable[..., Any]:
    """Decorator of a function that makes the row's function, and what changes its hidden inputs."""

    def decorate(make: Callable[[], Any]) -> Callable[[], Any]:
        add(make.__name__, Row(fate, make, calls, NO_LINE))
        return make

    return decorate


# Arguments. The sums of the three sets are above, above and below zero.


def sets(*shapes: tuple[int, ...], dtype: Any = np.float64, shifts: tuple[float, ...] = (0.5, 1.0, -1.5)) -> Any:
    """Three sets of arrays of these shapes."""

    def one(key: fn.Key, shape: tuple[int, ...], shift: float) -> Any:
        array = np.array(key.normal(shape) + shift).astype(dtype)
        array.flags.writeable = False  # rows get copies
        return array

    return tuple(
        tuple(one(fn.Key(i).fold(j), shape, shift) for j, shape in enumerate(shapes)) for i, shift in enumerate(shifts)
    )


def beside(arguments: Any, *values: Any) -> Any:
    """The same sets with one more argument each."""
    return tuple((*args, value) for args, value in zip(arguments, values, strict=False))


X, F, XY = sets((4, 5)), sets((4, 5), dtype=np.float32), sets((4, 5), (4, 5))
SQUARE, SCALAR = sets((4, 4)), sets(())
IMAGES = sets((2, 4, 6))
LARGE = sets((48, 64), dtype=np.float32)
LABELS = tuple((np.array(values),) for values in ([0, 2, 1, 2, 0, 1], [1, 1, 3, 0, 2, 2], [3, 0, 0, 0, 0, 0]))
LABELLED = tuple((*x, *labels) for x, labels in zip(sets((6, 4)), LABELS, strict=True))
INTS = tuple((np.array(values),) for values in ([1, 2, 3, 4], [5, 1, 7, 2], [9, 8, 1, 3]))
BYTES = tuple((values.astype(np.uint8),) for (values,) in INTS)
BOOLS = tuple((np.array(values),) for values in ([True, False, True], [False, False, True], [False, False, False]))
POSITIVE = tuple((np.array(p),) for p in ([[4.0, 1.0], [1.0, 3.0]], [[5.0, 1.0], [1.0, 2.0]], [[1.0, 1.0], [1.0, 1.0]]))
_ODD = np.array([-0.0, 0.0, np.nan, np.inf, -np.inf, 1e-310, 2.5, -1.5])
ODD = tuple((np.roll(_ODD, i),) for i in range(3))
ODD_SINGLE = tuple((x.astype(np.float32),) for (x,) in ODD)
ZEROS_AMONG = tuple((np.array(values),) for values in ([1.0, 2.0, 4.0], [1.0, 0.0, 2.0], [0.0, 0.0, -1.0]))
RATES = beside(X, 0.1, 0.5, 2.0)
SINGLE_RATES = beside(F, 0.1, 0.5, 2.0)
STEPS = beside(X, 3, 0, 1)
SINGLE_STEPS = beside(F, 3, 0, 1)
KEYS = tuple((fn.Key(i), *args) for i, args in enumerate(X))
PARAMS = tuple(({"w": w, "b": b},) for w, b in sets((4, 5), (5,)))
LISTS = tuple(([a, b],) for a, b in XY)
