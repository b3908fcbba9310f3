"""Functions of NumPy that have been replaced since the library was imported, as ``unittest.mock`` does for a test."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

HOMES = {"np": np, "np.linalg": np.linalg}


def functions_of(module: Any) -> dict[str, Any]:
    """The public functions of a module of NumPy."""
    return {
        name: value
        for name, value in vars(module).items()
        if callable(value) and not isinstance(value, type) and not name.startswith("_")
    }


KNOWN = {name: functions_of(module) for name, module in HOMES.items()}
OPERATORS = frozenset(
    (
        "add", "subtract", "multiply", "true_divide", "divide", "negative", "matmul", "power", "pow", "equal", "not_equal",
        "less", "less_equal", "greater", "greater_equal", "bitwise_and", "bitwise_or", "invert", "bitwise_invert",
        "shape", "ndim", "size",
    )
)  # fmt: skip
"""Functions that the library calls by an operator or an attribute of arrays, which stay as they are"""
NAMES: dict[int, list[tuple[Any, str]]] = {}
for _home, _module in HOMES.items():
    for _name, _value in KNOWN[_home].items():
        if _name not in OPERATORS:
            NAMES.setdefault(id(_value), []).append((_module, _name))  # np.abs is np.absolute


def replaced() -> str:
    """The name of a function of NumPy that has been replaced since the library was imported, or an empty string."""
    for home, module in HOMES.items():
        now = vars(module)
        if not KNOWN[home].items() <= now.items():
            return next(f"{home}.{name}" for name, value in KNOWN[home].items() if now.get(name) is not value)
    return ""


def named(functions: Iterable[Any]) -> dict[tuple[Any, str], Any]:
    """The functions that a recording called, by the modules and names that a test would replace."""
    return {place: f for f in functions for place in NAMES.get(id(f), ())}
