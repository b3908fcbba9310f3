"""Specs from tagged JSON nodes: ``{"type": "dense", "units": 64}``, or a bare tag."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, get_args

import attrs

from funcnet.errors import Problem, SpecError
from funcnet.hints import argument_hint, did_you_mean
from funcnet.spec.class_fields import Field, fields
from funcnet.spec.convert import MISSING, convert
from funcnet.spec.registry import is_kind, is_spec, lookup, stem, tags
from funcnet.spec.wording import describe, quote

if TYPE_CHECKING:
    from funcnet.spec.base import Spec


HINTS = 20  # mistakes of one document that get a suggestion; searching for one takes longer than reading


def decode_value(hint: Any, value: Any, path: str, problems: list[Problem]) -> Any:
    """A JSON value as a value of a field's type, or MISSING with the problems reported."""
    return convert(hint, value, path, problems, _decode)


def _decode(base: type[Spec], value: Any, path: str, problems: list[Problem]) -> Any:
    """The spec from a tagged node."""
    node = {"type": value} if isinstance(value, str) else value
    if not isinstance(node, Mapping):
        problems.append(Problem(path, f"expected {describe(base)}, got {quote(value)}"))
        return MISSING
    where = path if isinstance(value, str) else f"{path}.type"
    cls: type[Spec] | None = base
    if "type" in node:
        tag = node["type"]
        if not isinstance(tag, str):
            problems.append(Problem(where, f"expected the tag of {describe(base)}, got {quote(tag)}"))
            return MISSING
        cls = lookup(base.kind, tag)
        if cls is None:
            near = did_you_mean(tag, tags(base.kind)) if len(problems) < HINTS else ""
            if "." in tag:
                near = near or "; import the module that registers it first (on the command line: --import MODULE)"
            if len(problems) < HINTS:
                near = near or f"; there are {', '.join(tag for tag in tags(base.kind) if '.' not in tag)}"
            shown = repr(tag) if len(tag) <= 60 else repr(f"{tag[:57]}…")
            problems.append(Problem(where, f"unknown {base.kind} {shown}{near}"))
            return MISSING
        if not issubclass(cls, base):
            problems.append(Problem(where, f"expected {base.tag!r}, got {tag!r}"))
            return MISSING
    elif is_kind(base):
        known = ", ".join(tags(base.kind))
        problems.append(Problem(where, f"missing; expected the tag of this {base.kind}, one of {known}"))
        return MISSING
    assert cls is not None
    return decode_fields(cls, node, path, problems)


def decode_fields(cls: type[Spec], node: Mapping[str, Any], path: str, problems: list[Problem]) -> Any:
    """The spec of a class from the fields of a JSON node, whose ``type`` is already read."""
    before = len(problems)
    known = fields(cls)
    names = [field.name for field in known]
    for old, new in cls._renamed.items() if cls._renamed else ():
        if old in node and new in node:
            problems.append(Problem(f"{path}.{old}", f"is the earlier name of {new!r}, which is given too"))
        node = {new if key == old else key: value for key, value in node.items()}
    for key in node:
        if key not in names and key != "type":
            allowed = f"it has {', '.join(names)}" if names else "it has no fields"
            near = _field_hint(key, known) if len(problems) < HINTS else ""
            problems.append(Problem(f"{path}.{key}", f"unknown field of {stem(cls)!r}{near}; {allowed}"))
    values = {}
    for name, hint, default, constraint, *_ in known:
        if name in node:
            value = decode_value(hint, node[name], f"{path}.{name}", problems)
            if value is not MISSING:
                values[name] = value
                if constraint:
                    problems.extend(constraint.problems(f"{path}.{name}", value))
        elif default is attrs.NOTHING:
            problems.append(Problem(f"{path}.{name}", f"missing; {stem(cls)!r} needs {describe(hint)}"))
    if len(problems) > before:
        return MISSING
    try:
        return cls(**values)
    except SpecError as error:
        problems.extend(Problem(path + problem.path, problem.message) for problem in error.found)
        return MISSING
    except (TypeError, ValueError) as error:  # from an attrs validator, or the user's post-init
        problems.append(Problem(path, f"{cls.__name__} refuses these values: {error}"))
        return MISSING


def _field_hint(key: str, known: Sequence[Field]) -> str:
    """The field that an unknown key means: a similar one, or one of the same name inside another field."""
    for field in known:
        options = [one for one in (field.hint, *get_args(field.hint)) if is_spec(one) and not is_kind(one)]
        if any(key == inner.name for one in options for inner in fields(one)):
            return f"; {key!r} is a field of {field.name!r}"
    return argument_hint(key, [field.name for field in known], in_json=True)
