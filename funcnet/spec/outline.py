"""A spec as HTML, for notebooks."""

from __future__ import annotations

from html import escape
from typing import Any

from funcnet.spec.base import Spec
from funcnet.spec.class_fields import fields
from funcnet.spec.fields import FrozenDict
from funcnet.spec.registry import own_tag


def outline(spec: Spec) -> str:
    """A spec as a nested list: its tag, and the fields that differ from their defaults."""
    return f'<div style="font-family:monospace;line-height:1.4">{_item("", spec)}</div>'


def _item(name: str, value: Any) -> str:
    label = f"<b>{escape(name)}</b> " if name else ""
    if not isinstance(value, Spec):
        return f"{label}{escape(repr(value))}"
    plain, inside = [], []
    for field in fields(type(value)):
        content = getattr(value, field.name)
        if content == field.default and field.default is not None:
            continue
        nested = list(_nested(field.name, content))
        inside += nested
        if not nested and content != field.default:
            plain.append(f"{escape(field.name)}={escape(repr(content))}")
    title = escape(own_tag(type(value)) or type(value).__name__)
    head = f'{label}<span style="color:#3b6ea5">{title}</span>({", ".join(plain)})'
    return head + (
        f'<div style="padding-left:1.5em">{"".join(f"<div>{part}</div>" for part in inside)}</div>' if inside else ""
    )


def _nested(name: str, content: Any) -> list[str]:
    """The items of a field that holds specs."""
    if isinstance(content, Spec):
        return [_item(name, content)]
    if isinstance(content, FrozenDict):
        return [part for inner, item in content.items() for part in _node(inner, item)]
    if isinstance(content, tuple):
        return [part for item in content for part in _node("", item)]
    return []


def _node(name: str, item: Any) -> list[str]:
    if isinstance(item, Spec):
        return [_item(name, item)]
    if isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str) and isinstance(item[1], Spec):
        return [_item(item[0], item[1])]
    if isinstance(item, tuple) and item and isinstance(item[0], Spec):
        return [f"{_item(name, item[0])} &larr; {escape(', '.join(map(str, item[1])))}"]
    return []
