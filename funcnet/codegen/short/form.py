"""A short form of a kernel: the call and the text of a function for one case."""

from __future__ import annotations

from typing import NamedTuple


class Simple(NamedTuple):
    """A short form: a name, its arguments, its text by that name, and the texts of functions that it calls."""

    name: str
    args: list[str]
    text: str
    needs: tuple[str, ...] = ()
