"""Plain JSON objects with fixed fields, such as the files of a run folder: strictly checked, with every problem told.

The fields of an object are those of a ``TypedDict``; no other field is taken. Specs have their own codec.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Any, NotRequired, Union, get_args, get_origin, get_type_hints, is_typeddict

from funcnet.errors import Problem
from funcnet.spec.decode import HINTS, decode_value
from funcnet.spec.wording import quote


def problems_of(hint: Any, value: Any, path: str = "") -> list[Problem]:
    """What keeps a JSON value from being of a type: a TypedDict, a list or mapping of such, or a field's type."""
    if is_typeddict(hint):
        return _of_object(hint, value, path)
    origin, args = get_origin(hint), get_args(hint)
    if hint is Any:
        return []
    if origin is NotRequired:
        return problems_of(args[0], value, path)
    if origin in (Union, types.UnionType):
        found = [problems_of(one, value, path) for one in args]
        return [] if [] in found else max(found, key=lambda said: len(said[0].path))
    if origin is list:
        if not isinstance(value, list):
            return [Problem(path, f"expected a list, got {quote(value)}")]
        return _first(problems_of(args[0], item, f"{path}[{i}]") for i, item in enumerate(value))
    if origin is dict:
        if not isinstance(value, Mapping):
            return [Problem(path, f"expected an object, got {quote(value)}")]
        return _first(problems_of(args[1], item, f"{path}.{name}") for name, item in value.items())
    found_here: list[Problem] = []
    decode_value(hint, value, path, found_here)
    return found_here


def _of_object(hint: Any, value: Any, path: str) -> list[Problem]:
    if not isinstance(value, Mapping):
        return [Problem(path, f"expected an object, got {quote(value)}")]
    known = get_type_hints(hint, include_extras=True)
    needed = [name for name, one in known.items() if get_origin(one) is not NotRequired]
    missing = [Problem(f"{path}.{name}", "missing") for name in needed if name not in value]
    unknown = [
        Problem(path, f"unknown field {quote(name)}; there are {', '.join(known)}")
        for name in value
        if name not in known
    ]
    inner = _first(problems_of(known[name], item, f"{path}.{name}") for name, item in value.items() if name in known)
    return [*missing, *unknown[:1], *inner]


def _first(groups: Any) -> list[Problem]:
    """The problems of the first items that have any: a long list of numbers would have as many."""
    found: list[Problem] = []
    for group in groups:
        found += group
        if len(found) >= HINTS:
            break
    return found
