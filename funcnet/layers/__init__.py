"""Layers: one family a file."""

from typing import NoReturn


def __getattr__(name: str) -> NoReturn:
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; layers are at the top: fn.{name}")
