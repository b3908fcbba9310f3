"""The fields of a spec class: names, types, defaults and ranges."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

import attrs
import numpy as np

from funcnet.errors import Problem, SpecError
from funcnet.spec.convert import MISSING, convert
from funcnet.spec.equality import equal, hash_of, numbers
from funcnet.spec.fields import NAMED, WORDS, Range
from funcnet.spec.registry import is_spec, own_tag

if TYPE_CHECKING:
    from funcnet.spec.base import Spec


class Field(NamedTuple):
    """A field of a spec class."""

    name: str
    hint: Any
    default: Any  # attrs.NOTHING for a required field
    range: Range | None
    compared: bool  # False for a field that attrs leaves out of ==
    unwritable: str  # why JSON cannot hold it


_FIELDS: dict[type[Spec], tuple[Field, ...]] = {}


def fields(cls: type[Spec]) -> tuple[Field, ...]:
    """The fields of a spec class with their resolved types."""
    if cls not in _FIELDS:
        found = tuple(_resolve(cls))
        if own_tag(cls) is not None:
            problems = [*_class_problems(cls, found)]
            if problems:
                raise SpecError(problems, root=cls.__name__)
        # attrs would not see that 1, 1.0 and True differ, nor fields that are left out of ==
        if "__eq__" not in vars(cls) or any(not field.compared or len(numbers(field.hint)) > 1 for field in found):
            cls.__eq__, cls.__hash__ = equal, hash_of  # type: ignore[method-assign]
        _FIELDS[cls] = found
    return _FIELDS[cls]


def _resolve(cls: Any) -> Iterator[Field]:
    hints = get_type_hints(cls, include_extras=True)
    for attribute in attrs.fields(cls):
        default = attribute.default
        if hasattr(default, "factory"):  # an attrs.Factory, such as that of field(factory=tuple)
            default = default.factory()
        hint, ignored = hints[attribute.name], list[Problem]()
        converted = MISSING if default is attrs.NOTHING else convert(hint, default, "", ignored)
        constraint = attribute.validator if isinstance(attribute.validator, Range) else None
        default = default if converted is MISSING else converted
        yield Field(attribute.name, hint, default, constraint, bool(attribute.eq), _unwritable(hint))


def _class_problems(cls: Any, found: tuple[Field, ...]) -> Iterator[Problem]:
    """Reasons why a class cannot be registered: its objects would not be values, or JSON could not hold them."""
    if "__eq__" not in cls.__dict__:
        yield Problem("", "leave out eq=False; specs are equal if all their fields are")
    for attribute in attrs.fields(cls):
        path = f".{attribute.name}"
        if not attribute.eq:
            yield Problem(path, "leave out eq=False; specs that differ in a field must not be equal")
        if not attribute.init or attribute.name.startswith("_"):
            yield Problem(path, "expected a field that the constructor takes by its name; make it a property otherwise")
    for field in found:
        if field.unwritable:
            yield Problem(f".{field.name}", field.unwritable)


def _unwritable(hint: Any) -> str:
    """Why JSON cannot hold the values of a field's type; empty if it can."""
    origin, args = get_origin(hint), get_args(hint)
    if hint in (int, float, bool, str, type(None)) or is_spec(hint) or origin is Literal:
        return ""
    if origin is Annotated and args[1] in (NAMED, WORDS):
        return ""
    if origin in (Union, types.UnionType):
        return next(filter(None, map(_unwritable, args)), "")
    if origin is tuple:
        return next(filter(None, (_unwritable(arg) for arg in args if arg is not ...)), "")
    if isinstance(origin, type) and issubclass(origin, Mapping) and args[0] is str:
        return _unwritable(args[1])
    instead = {list: "tuple[float, ...]", tuple: "tuple[float, ...]", dict: "Mapping[str, float]"}
    text = instead.get(origin or hint, "tuple[float, ...]" if hint is np.ndarray else "")
    name = hint.__name__ if isinstance(hint, type) and not origin else str(hint).replace("typing.", "")
    return (
        f"JSON cannot hold a field of the type {name}; expected numbers, texts, booleans, None, a Literal, specs, or "
        f"tuples and mappings of these" + (f", such as {text}" if text else "")
    )
