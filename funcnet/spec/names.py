"""The names of children: given, or automatic."""

from __future__ import annotations

from typing import Any

from funcnet.spec.registry import stem


def is_name(name: Any) -> bool:
    """Whether a child can have a name: letters, digits and _, not starting with a digit."""
    return isinstance(name, str) and name.isidentifier() and name.isascii()


def automatic_names(items: Any) -> list[str]:
    """The automatic name of each child: its class's stem and a counter, ``dense_0``, ``dense_1``.

    The counter of a class counts only its unnamed children, so that inserting a named child
    does not change the names, and with them the initial weights, of the others.
    """
    counts: dict[str, int] = {}
    automatic = []
    for name, item in items:
        start = stem(type(item))
        automatic.append(f"{start}_{counts.get(start, 0)}")
        if name is None or name == automatic[-1]:
            counts[start] = counts.get(start, 0) + 1
    return automatic


def name_children(items: Any) -> tuple[tuple[str, Any], ...]:
    """Children with their given or automatic names."""
    return tuple(
        (name or automatic, item) for (name, item), automatic in zip(items, automatic_names(items), strict=True)
    )
