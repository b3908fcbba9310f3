"""Values and types of fields in the words of messages."""

from __future__ import annotations

import json
import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from funcnet.spec.fields import NAMED, named_base
from funcnet.spec.kinds import KINDS, base_of
from funcnet.spec.registry import is_kind, is_spec


def describe(hint: Any) -> str:
    """A field's type in words, for messages: ``a number or a schedule``."""
    simple = {int: "an integer", float: "a number", bool: "true or false", str: "a string", type(None): "null"}
    if hint in simple:
        return simple[hint]
    if is_spec(hint):
        noun = {"data": "data source", "initial": "source of initial values"}.get(hint.kind, hint.kind)
        if not is_kind(hint) and hint.kind in KINDS and hint is not base_of(hint.kind):
            noun = hint.__name__  # the field admits only one class of its kind
        return f"{'an' if noun[0].lower() in 'aeio' else 'a'} {noun}"
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return f"a list of {named_base(hint).kind}s" if args[1] == NAMED else "a name or a list of names"
    if origin is Literal:
        return " or ".join(quote(value) for value in args)
    if origin in (Union, types.UnionType):
        return " or ".join(describe(arg) for arg in args)
    if origin is tuple and args[-1] is not ...:
        return f"a list of {len(args)} items"
    if origin is tuple:
        return f"a list, each item {describe(args[0])}"
    return "a mapping"


def quote(value: Any) -> str:
    """A value as JSON, shortened, for messages."""
    try:
        text = json.dumps(value) if isinstance(value, dict | list | str | bool | None) else repr(value)
    except (TypeError, ValueError, RecursionError):  # not JSON, circular, or an integer of thousands of digits
        text = _plain(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _plain(value: Any) -> str:
    try:
        return repr(value)
    except (ValueError, RecursionError):
        return f"a {type(value).__name__}"
