"""A short form of a kernel: the call and the text of a function for one case."""

from __future__ import annotations

from typing import NamedTuple


class Simple(NamedTuple):
    """A short form: a name, its arguments, its text, the texts of functions that it calls, and the result's index."""

    name: str
    args: list[str]
    text: str
    needs: tuple[str, ...] = ()
    end: str = ""
