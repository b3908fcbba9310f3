"""Walks over arguments and results: dicts, tuples, lists and records are containers, any other value is a leaf.

A record is an object of a class that names its parts in ``__parts__``, such as Context and TrainState.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

Step = Any
"""The key, index or field that leads to a part"""


def parts(value: Any) -> list[tuple[Step, Any]] | None:
    """The parts of a container, each with its step; None for a leaf."""
    kind = type(value)
    if kind is dict or kind is OrderedDict:
        return list(value.items())
    if kind is tuple or kind is list:
        return list(enumerate(value))
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return list(zip(value._fields, value, strict=True))
    names = vars(kind).get("__parts__")
    return None if names is None else [(name, getattr(value, name)) for name in names]


def with_parts(value: Any, new: list[Any]) -> Any:
    """A container like ``value`` with other parts."""
    kind = type(value)
    if kind is dict or kind is OrderedDict:
        return kind(zip(value, new, strict=True))
    return kind(new) if kind is tuple or kind is list else kind(*new)


def replaced(f: Callable[[Any], Any], value: Any) -> Any:
    """The structure with ``f(leaf)`` in the place of every leaf."""
    inner = parts(value)
    return f(value) if inner is None else with_parts(value, [replaced(f, part) for _, part in inner])


def named(f: Callable[[str, Any], Any], value: Any, name: str = "") -> Any:
    """The structure with ``f(path, leaf)`` in the place of every leaf; a path joins the steps with ``/``."""
    inner = parts(value)
    if inner is None:
        return f(name, value)
    return with_parts(value, [named(f, part, f"{name}/{step}" if name else str(step)) for step, part in inner])


def leaves(value: Any) -> list[Any]:
    """All leaves in order."""
    inner = parts(value)
    return [value] if inner is None else [leaf for _, part in inner for leaf in leaves(part)]
