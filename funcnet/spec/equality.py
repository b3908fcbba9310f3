"""Equality of specs: by value, and by the type of each number, for 1, 1.0 and True differ."""

from __future__ import annotations

import math
import types
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from funcnet.spec.fields import FrozenDict
from funcnet.spec.registry import Tagged, is_spec


def numbers(hint: Any) -> set[Any]:
    """The number types that a field's type mentions; all of them for a type that admits anything."""
    origin, args = get_origin(hint), get_args(hint)
    if hint in (int, float, bool):
        return {hint}
    if hint in (str, type(None), Ellipsis) or is_spec(hint) or origin is Annotated:
        return set()
    if origin is Literal:
        return {type(arg) for arg in args} & {int, float, bool}
    if origin in (Union, types.UnionType, tuple) or (isinstance(origin, type) and issubclass(origin, Mapping)):
        return set().union(*map(numbers, args))
    return {int, float, bool}


def exact(value: Any) -> Any:
    """A value for comparison together with its type, and with the sign of zero."""
    if isinstance(value, Tagged):
        return value
    if type(value) is tuple:
        return tuple(map(exact, value))
    if type(value) is FrozenDict:
        return frozenset((name, exact(item)) for name, item in value.items())
    if not is_hashable(value):
        return type(value), id(value)
    return type(value), value, math.copysign(1.0, value) if type(value) is float else 0


def is_hashable(value: Any) -> bool:
    """Whether a value has a hash, and all values inside it."""
    try:
        hash(value)
    except TypeError:
        return False
    return True


def equal(self: Any, other: Any) -> Any:
    """``__eq__`` of a spec class: all fields are exactly equal."""
    if other.__class__ is not self.__class__:
        return NotImplemented
    return all(exact(getattr(self, name)) == exact(getattr(other, name)) for name in _names(self))


def hash_of(self: Any) -> int:
    """``__hash__`` of a spec class, as ``equal`` compares."""
    return hash((type(self), *(exact(getattr(self, name)) for name in _names(self))))


def _names(self: Any) -> list[str]:
    return [attribute.name for attribute in type(self).__attrs_attrs__]
