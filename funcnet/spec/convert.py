"""The conversion of values to the types of fields, for constructors and JSON documents alike."""

from __future__ import annotations

import contextlib
import math
import types
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

import attrs
import numpy as np

from funcnet.errors import Problem
from funcnet.hints import did_you_mean, same_thing
from funcnet.spec.fields import NAMED, WORDS, FrozenDict, named_base
from funcnet.spec.kinds import KINDS
from funcnet.spec.names import is_name, name_children
from funcnet.spec.registry import is_spec, lookup, tags
from funcnet.spec.wording import describe, quote

if TYPE_CHECKING:
    from funcnet.spec.base import Spec


MAX_INTEGER = 2**53  # JSON readers in other languages lose digits beyond it


class _Missing:
    """The result of ``convert`` for a value with reported problems."""


MISSING = _Missing()

Decode = Callable[[Any, Any, str, list[Problem]], Any]
"""What reads a spec of a base class from a JSON value: ``(base, value, path, problems) -> spec | MISSING``"""


def convert(hint: Any, value: Any, path: str, problems: list[Problem], decode: Decode | None = None) -> Any:
    """A field's value normalised to its type, or MISSING with the problems reported.

    ``decode`` reads the specs in a JSON value; without it they are spec objects.
    """
    origin, args = get_origin(hint), get_args(hint)
    if is_spec(hint):
        if isinstance(value, hint):
            return value
        if decode is not None:
            return decode(hint, value, path, problems)
        problems.append(Problem(path, f"expected {describe(hint)}, got {quote(value)}{_in_python(hint, value)}"))
        return MISSING
    elif hint is bool or hint is str:
        if isinstance(value, str) and any("\ud800" <= c <= "\udfff" for c in value):
            problems.append(Problem(path, f"expected text that UTF-8 can encode, got {quote(value)}"))
            return MISSING
        if isinstance(value, hint):
            return value
    elif hint is type(None):
        if value is None:
            return value
    elif hint is int:
        if isinstance(value, int | np.integer) and not isinstance(value, bool):
            if abs(int(value)) > MAX_INTEGER:
                problems.append(Problem(path, f"integers go up to 2^53, got {quote(value)}"))
                return MISSING
            return int(value)
    elif hint is float:
        if isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool):
            with contextlib.suppress(OverflowError):
                value = float(value)
                if math.isfinite(value):
                    return value + 0.0  # -0.0 equals 0.0, so both must be written the same
            problems.append(Problem(path, f"expected a finite number, got {quote(value)}"))
            return MISSING
    elif origin is Literal:
        if any(type(value) is type(arg) and value == arg for arg in args):
            return value
        if isinstance(value, str):
            near = did_you_mean(value, [arg for arg in args if isinstance(arg, str)])
            problems.append(Problem(path, f"expected {describe(hint)}, got {quote(value)}{near}"))
            return MISSING
    elif origin in (Union, types.UnionType):
        return _convert_union(hint, value, path, problems, decode)
    elif origin is Annotated and args[1] == WORDS:
        if isinstance(value, str | list | tuple):
            return convert(args[0], (value,) if isinstance(value, str) else value, path, problems, decode)
    elif origin is Annotated and args[1] == NAMED:
        if isinstance(value, list | tuple):
            return _convert_named(named_base(hint), value, path, problems, decode)
    elif origin is tuple:
        value = value.tolist() if isinstance(value, np.ndarray) else value
        if isinstance(value, list | tuple) and (args[-1] is ... or len(args) == len(value)):
            each = [args[0]] * len(value) if args[-1] is ... else args
            return _whole(
                tuple(
                    convert(inner, item, f"{path}[{i}]", problems, decode)
                    for i, (inner, item) in enumerate(zip(each, value, strict=True))
                )
            )
    elif origin is not None and issubclass(origin, Mapping):
        if isinstance(value, Mapping) and all(isinstance(name, str) for name in value):
            items = {name: convert(args[1], item, f"{path}.{name}", problems, decode) for name, item in value.items()}
            return MISSING if MISSING in items.values() else FrozenDict(items)
    elif isinstance(hint, type) or hint is Callable or origin is not None:  # only in specs that cannot be serialised
        return value
    problems.append(Problem(path, f"expected {describe(hint)}, got {quote(value)}"))
    return MISSING


def _whole(items: tuple[Any, ...]) -> Any:
    return MISSING if any(item is MISSING for item in items) else items


def _convert_union(hint: Any, value: Any, path: str, problems: list[Problem], decode: Decode | None) -> Any:
    nearest: list[Problem] = []
    for option in get_args(hint):
        found: list[Problem] = []
        converted = convert(option, value, path, found, decode)
        if not found:
            return converted
        said_more = any(not problem.message.startswith("expected ") or problem.path != path for problem in found)
        if said_more and not nearest:  # the value has this option's form, with mistakes inside
            nearest = found
    problems.extend(nearest or [Problem(path, f"expected {describe(hint)}, got {quote(value)}")])
    return MISSING


def _convert_named(base: type[Spec], items: Any, path: str, problems: list[Problem], decode: Decode | None) -> Any:
    """Children with names: a JSON node may hold ``name``; in Python an item may be a pair."""
    given: list[tuple[str | None, Any]] = []
    for i, item in enumerate(items):
        name = None
        if decode is not None and isinstance(item, Mapping) and "name" in item:
            name, item = item["name"], {key: value for key, value in item.items() if key != "name"}
        elif decode is None and isinstance(item, tuple) and len(item) == 2:
            name, item = item
        if name is not None and not is_name(name):
            problems.append(
                Problem(f"{path}[{i}].name", f"expected a name of letters, digits and _, got {quote(name)}")
            )
            name = None
        given.append((name, convert(base, item, f"{path}[{i}]", problems, decode)))
    if any(item is MISSING for _, item in given):
        return MISSING
    named = name_children(given)
    seen: dict[str, int] = {}
    for i, (name, _) in enumerate(named):
        if name in seen:
            problems.append(
                Problem(f"{path}[{i}].name", f"{name!r} is the name of item {seen[name]} too; names must differ")
            )
        seen.setdefault(name, i)
    return named


def _in_python(base: type[Spec], value: Any) -> str:
    """How a class, the name of one, or a list is written as a spec in Python."""
    if isinstance(value, list) and value and all(isinstance(one, base) for one in value):
        return "; give them one by one, without the list"
    cls: Any = value if isinstance(value, type) else None
    if isinstance(value, str):
        tag = same_thing(value, tags(base.kind))
        cls = None if tag is None else lookup(base.kind, tag)
    if cls is None or not issubclass(cls, base):
        return ""
    package = KINDS[base.kind].package.replace("funcnet", "fn") if base.kind in KINDS else "fn"
    needed = ["…"] if any(field.default is attrs.NOTHING for field in cls.__attrs_attrs__) else []
    return f"; write {package}.{cls.__name__}({', '.join(needed)})"


def admits(hint: Any, value: Any) -> bool:
    """Whether a field's type admits a value."""
    problems: list[Problem] = []
    convert(hint, value, "", problems)
    return not problems
