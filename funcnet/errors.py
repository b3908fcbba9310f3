"""Errors: each tells the place, the layer, the expected and the actual value, and what to do."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

CONTROLS = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
"""What moves the cursor of a terminal, colours it or turns its lines around; line feeds and tabs may stay"""
HEAD, TAIL = 2500, 500
"""The characters that are kept of a longer line"""


def visible(text: str) -> str:
    """A text with its control characters as escapes, such as ``\\x1b``, which a terminal does not obey."""
    return CONTROLS.sub(lambda found: ascii(found[0])[1:-1], text)


def one_line(name: str) -> str:
    """A name in one line: its line breaks and tabs are escapes, too."""
    return visible(name).replace("\n", "\\n").replace("\t", "\\t")


def shorter(path: str) -> str:
    """A path in a document whose keys have at most 60 characters: of a longer one the beginning."""
    return re.sub(r"([^.\[\]]{57})[^.\[\]]{4,}", r"\1…", path)


def bounded(text: str) -> str:
    """A message whose lines have at most 3 000 characters: of a longer one the beginning and the end."""
    if len(text) <= HEAD + TAIL:
        return text
    lines = text.split("\n")
    return "\n".join(
        line if len(line) <= HEAD + TAIL else f"{line[:HEAD]} … {len(line) - HEAD - TAIL} characters … {line[-TAIL:]}"
        for line in lines
    )


class FuncnetError(Exception):
    """Base of every error that a user's mistake can cause.

    Each combinator on the way out prepends the name of the child that raised it, so that
    the message starts with the path of the layer: ``head/dense_1 (Dense): …``.
    """

    def __init__(self, message: str, *, layer: str = "", path: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.message = visible(bounded(message))
        self.layer = layer
        self.path = path

    def locate(self, name: str, layer: str) -> None:
        """Record that the error was raised by the child ``name``, of the class ``layer``."""
        self.path = (name, *self.path) if name else self.path
        self.layer = self.layer or layer

    def __str__(self) -> str:
        path = "/".join(self.path)
        where = f"{path} ({self.layer})" if path and self.layer else path or self.layer
        return f"{where}: {self.message}" if where else self.message


class ArgumentError(FuncnetError, TypeError):
    """An argument that a function or a spec does not have, or lacks."""


class NotDefined(FuncnetError, TypeError):
    """A method that a base declares and that the class has not written."""


class ShapeError(FuncnetError):
    """Layers, inputs, targets or parameters whose shapes do not fit one another."""


class KeyRequired(FuncnetError):
    """A layer draws random numbers in training, but the context has no key."""


class PathError(FuncnetError):
    """A path or pattern that matches nothing in a tree, or trees of different structure."""


class NonFiniteError(FuncnetError):
    """A NaN or infinity, with the first layer where it arose, forward or backward."""


class CheckpointError(FuncnetError):
    """A weights file or run folder that cannot be read, written or trusted."""


class DataError(FuncnetError, ValueError):
    """Data whose values cannot be used: labels out of range, unreadable files, no rows."""


class ExtraRequired(FuncnetError):
    """An optional dependency that is needed but not installed."""


class TraceError(FuncnetError):
    """A function contains an operation that cannot be recorded."""


class CompileWarning(UserWarning):
    """Code that runs uncompiled, slower than it could."""


class LawError(FuncnetError, AssertionError):
    """A layer, loss or optimizer that breaks one of the laws; raised by the ``check_*`` functions."""


class Problem(NamedTuple):
    """One mistake in a spec: its path (``.layers[0].units``) and a message."""

    path: str
    message: str


class SpecError(FuncnetError, ValueError):
    """A spec that cannot be built. ``.problems`` holds every mistake, not only the first."""

    shown = 20

    def __init__(self, problems: Sequence[Problem], root: str = "$") -> None:
        self.found = tuple(problems)
        self.root = root
        self.problems = tuple(bounded(f"{root}{one_line(shorter(path))}: {message}") for path, message in self.found)
        lines = self.problems[: self.shown]
        more = len(self.problems) - len(lines)
        super().__init__("\n".join([*lines, *([f"… and {more} more problems"] if more else [])]))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.found, self.root)


def listed(names: Iterable[str], most: int = 20) -> str:
    """Names separated by commas, at most ``most`` of them."""
    every = list(map(one_line, names))
    more = f" and {len(every) - most} more" if len(every) > most else ""
    return (", ".join(every[:most]) or "none") + more


def place(at: tuple[int, ...]) -> str:
    """``row 3``, ``row 3, column 5``; ``its only number`` in an array without axes"""
    if not at:
        return "its only number"
    return f"row {at[0]}" + "".join(f", column {n}" for n in at[1:])


def require(module: str, extra: str, purpose: str) -> Any:
    """Import an optional dependency.

    Raises   ExtraRequired, naming the extra to install, if the module is not installed
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ExtraRequired(
            f"{purpose} needs {module}, which is not installed; "
            f'install it with: python -m pip install "funcnet[{extra}]"'
        ) from error
