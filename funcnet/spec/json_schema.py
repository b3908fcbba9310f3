"""The JSON Schema of spec documents, for editors and for validators in other languages.

It follows from the registry and the field types, as the codec's checks do, so both agree. It tells tags
apart with ``if`` and ``then``: with ``oneOf``, one wrong field of a layer makes an editor list the fields
of all other layers.
"""

from __future__ import annotations

import json
import types
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from urllib.parse import quote

import attrs

from funcnet.errors import FuncnetError
from funcnet.spec.base import Spec
from funcnet.spec.class_fields import fields
from funcnet.spec.codec import KEYS, VERSION, encode_value
from funcnet.spec.convert import MAX_INTEGER, convert
from funcnet.spec.fields import NAMED, WORDS, named_base
from funcnet.spec.kinds import KINDS, base_of
from funcnet.spec.registry import about, is_kind, is_spec, own_tag, tags
from funcnet.spec.wording import describe

Schema = dict[str, Any]

MAX_NUMBER = 1.7976931348623157e308  # the largest double; larger numbers read as infinite

# Limits are one level down, in ``allOf``: editors that copy a referenced schema over the keywords beside
# its ``$ref`` would otherwise lose the range of the field.
SIMPLE: dict[str, Schema] = {
    "integer": {
        "description": "an integer, up to 2^53 either way",
        "type": "integer",
        "allOf": [{"minimum": -MAX_INTEGER, "maximum": MAX_INTEGER}],
    },
    "number": {
        "description": "a finite number",
        "type": "number",
        "allOf": [{"minimum": -MAX_NUMBER, "maximum": MAX_NUMBER}],
    },
    "name": {
        "description": "the child's name in params and paths; without one it is the tag and a counter, as in dense_0",
        "type": ["string", "null"],
        "pattern": "^[A-Za-z_][A-Za-z0-9_]*$",
    },
}


def json_schema() -> Schema:
    """JSON Schema (draft 2020-12) of every document that ``from_json`` reads.

    A document is a flat experiment, or any single spec under the key of its kind. All tags registered at the
    time of the call are included, the user's too. The schema accepts every document that ``from_json``
    accepts, and also some that only ``from_json`` can refuse:

    - fields that do not go together, and other conditions that a class checks in ``validate``, in an
      attrs validator, or by a ``Range`` without keywords
    - two children with one name, or a key twice in one object
    - too many bytes, objects or levels of nesting
    - ``3.0`` for an integer, since JSON Schema does not tell it from ``3``
    - text that UTF-8 cannot encode
    """
    whole = base_of("experiment")
    alone = {KEYS.get(kind, kind): base_of(kind) for kind in KINDS if kind != "experiment"}
    found = _reached([*((base, False) for base in alone.values()), *_bases_in(whole)])
    named = {base.kind for base, has_name in found if has_name}
    heads: Schema = {
        "$schema": {"description": "where this schema is, for the editor", "type": "string"},
        "funcnet": {"description": "version of funcnet that wrote the file", "type": "string"},
        "version": {"description": "version of the format", "type": "integer", "minimum": 1, "maximum": VERSION},
        "type": {"const": "experiment"},
    }
    experiment = _class(whole, named=False)
    definitions = dict(SIMPLE)
    for base, has_name in found:
        node = _node(base)
        if base.kind in named and not has_name:
            twin = (base, True)
            node = {**(_reference(_label(*twin)) if twin in found else node), "properties": {"name": False}}
        definitions[_label(base, has_name)] = node
        definitions |= {_class_label(cls): _class(cls, cls.kind in named) for cls in _admitted(base).values()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:funcnet:spec:{VERSION}",
        "title": f"funcnet spec, version {VERSION}",
        "description": "an experiment, or a single spec under the name of its kind, such as model or optimizer",
        "type": "object",
        "if": {"anyOf": [{"required": [key], "propertyNames": {"enum": [*heads, key]}} for key in alone]},
        "then": {"properties": heads | {key: _reference(_label(base, False)) for key, base in alone.items()}},
        "else": {**experiment, "properties": heads | experiment["properties"]},
        "$defs": {label: definitions[label] for label in sorted(definitions)},
    }


# ----- reachable classes


def _bases(hint: Any) -> Iterator[tuple[type[Spec], bool]]:
    """Every spec class in a field's type, and whether its nodes may have a ``name``."""
    if is_spec(hint):
        yield hint, False
    elif get_origin(hint) is Annotated and get_args(hint)[1] == NAMED:
        yield named_base(hint), True
    elif get_origin(hint) is not Literal:
        for inner in get_args(hint):
            yield from _bases(inner)


def _bases_in(cls: type[Spec]) -> Iterator[tuple[type[Spec], bool]]:
    for field in fields(cls):
        yield from _bases(field.hint)


def _reached(waiting: list[tuple[type[Spec], bool]]) -> list[tuple[type[Spec], bool]]:
    """All bases reachable from the given ones, each once."""
    found: dict[tuple[type[Spec], bool], None] = {}
    while waiting:
        pair = waiting.pop()
        if pair not in found:
            found[pair] = None
            for cls in _admitted(pair[0]).values():
                waiting.extend(_bases_in(cls))
    return list(found)


def _admitted(base: type[Spec]) -> dict[str, type[Spec]]:
    """The registered classes that a field of this type accepts, by tag."""
    return {tag: cls for tag, cls in tags(base.kind).items() if issubclass(cls, base)}


# ----- names of definitions


def _class_label(cls: type[Spec]) -> str:
    return f"{cls.kind}.{own_tag(cls)}"


def _label(base: type[Spec], has_name: bool) -> str:
    """``layer`` and ``named-layer``; a base below its kind's own, ``only-layer.rotary_positions``."""
    if "kind" in base.__dict__:
        label = base.kind
    else:
        label = f"only-{base.kind}.{own_tag(base) or f'{base.__module__}.{base.__qualname__}'}"
    return f"named-{label}" if has_name else label


def _reference(label: str) -> Schema:
    return {"$ref": f"#/$defs/{quote(label)}"}


# ----- definitions


def _node(base: type[Spec]) -> Schema:
    """A node of any class that a base admits: an object, or the bare tag of a class without required fields."""
    admitted = _admitted(base)
    if not admitted:
        return {"description": describe(base), "not": {}}
    bare = [tag for tag, cls in admitted.items() if _needs_nothing(cls)]
    node: Schema = {"description": describe(base)}
    node |= {"anyOf": [{"enum": bare}, {"type": "object"}]} if bare else {"type": "object"}
    if [*admitted.values()] == [base]:
        return node | {"if": {"type": "object"}, "then": _reference(_class_label(base))}
    cases = [
        {
            "if": {"required": ["type"], "properties": {"type": {"const": tag}}},
            "then": _reference(_class_label(cls)),
        }
        for tag, cls in admitted.items()
    ]
    fits: Schema = {"properties": {"type": {"enum": [*admitted]}}, "allOf": cases}
    if is_kind(base):
        fits = {"required": ["type"], **fits}
    else:
        fits |= {"if": {"required": ["type"]}, "else": _reference(_class_label(base))}
    return node | {"if": {"type": "object"}, "then": fits}


def _needs_nothing(cls: type[Spec]) -> bool:
    if any(field.default is attrs.NOTHING for field in fields(cls)):
        return False
    try:
        cls()
    except (FuncnetError, TypeError, ValueError):  # the defaults do not go together, as in Training
        return False
    return True


def _class(cls: type[Spec], named: bool) -> Schema:
    """An object with the fields of one class."""
    properties: Schema = {"type": {"const": own_tag(cls)}}
    if named:
        properties["name"] = _reference("name")
    for name, hint, default, constraint, *_ in fields(cls):
        properties[name] = _value(hint, constraint.keywords if constraint else {}) | _default(hint, default)
    needed = [field.name for field in fields(cls) if field.default is attrs.NOTHING]
    return {
        "title": cls.__name__,
        "description": about(cls),
        "type": "object",
        "properties": properties,
        **({"required": needed} if needed else {}),
        "additionalProperties": False,
    }


def _default(hint: Any, default: Any) -> Schema:
    """The ``default`` of a field, if JSON can hold it."""
    if default is attrs.NOTHING:
        return {}
    try:
        node = encode_value(hint, convert(hint, default, "", []))
        json.dumps(node, allow_nan=False)
    except (FuncnetError, TypeError, ValueError):  # a class without a tag, a function, a default of another type
        return {}
    return {"default": node["type"] if isinstance(node, dict) and [*node] == ["type"] else node}


def _value(hint: Any, limits: Mapping[str, float]) -> Schema:
    """A field's value; its range applies to every number in it, also in nested lists."""
    origin, args = get_origin(hint), get_args(hint)
    if hint is int:
        return _reference("integer") | dict(limits)
    if hint is float:
        return _reference("number") | dict(limits)
    if hint in (bool, str, type(None)):
        return {"type": {bool: "boolean", str: "string"}.get(hint, "null")}
    if is_spec(hint):
        return _reference(_label(hint, False))
    if origin is Annotated and args[1] == NAMED:
        return {"type": "array", "items": _reference(_label(named_base(hint), True))}
    if origin is Annotated and args[1] == WORDS:
        return {"type": ["string", "array"], "items": {"type": "string"}}
    if origin is Literal:
        return {"enum": list(args)}
    if origin in (Union, types.UnionType):
        return {"anyOf": [_value(arg, limits) for arg in args]}
    if origin is tuple and args[-1] is ...:
        return {"type": "array", "items": _value(args[0], limits)}
    if origin is tuple:
        count = {"minItems": len(args), "maxItems": len(args)}
        return {"type": "array", "prefixItems": [_value(arg, limits) for arg in args], **count}
    return {"type": "object", "additionalProperties": _value(args[1], {})}
