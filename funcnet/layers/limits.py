"""The limit of what a layer makes: the numbers of an output, or of what it holds on the way there."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from funcnet.errors import ShapeError
from funcnet.shapes import Shape, entries, shape_text
from funcnet.spec.base import Spec
from funcnet.spec.class_fields import fields

MAX_ENTRIES = 2**29  # for one row, 2 GB in float32: beyond it a size in the spec is far likelier a mistake

_most: ContextVar[list[int] | None] = ContextVar("most", default=None)


def most_made(work: Callable[[], Any]) -> tuple[Any, int]:
    """The result of some work, and the most numbers for each row that ``check_made`` was given in it."""
    found = [0]
    token = _most.set(found)
    try:
        return work(), found[0]
    finally:
        _most.reset(token)


def check_made(layer: Spec, shape: Shape, what: str = "an output") -> None:
    """Refuse a layer that makes more numbers for each row than any memory has room for, before it does.

    Raises   ShapeError with the shape, and the layer's largest field
    """
    total = entries(shape)
    found = _most.get()
    if found is not None:
        found[0] = max(found[0], total)
    if total > MAX_ENTRIES:
        raise ShapeError(
            f"makes {what} of {shape_text(shape)} for each row, {total} numbers; the limit is {MAX_ENTRIES}; "
            f"make {_largest(layer)} smaller",
            layer=type(layer).__name__,
        )


def _largest(layer: Spec) -> str:
    """The largest whole number among a layer's fields with its name; the input if no field is more than 1."""
    numbers = [(n, name) for name, *_ in fields(type(layer)) for n in _whole_numbers(getattr(layer, name))]
    most, name = max(numbers, default=(0, ""))
    return f"{name} ({most})" if most > 1 else "the input"


def _whole_numbers(value: Any) -> list[int]:
    if isinstance(value, tuple):
        return [n for item in value for n in _whole_numbers(item)]
    return [value] if isinstance(value, int) and not isinstance(value, bool) else []
