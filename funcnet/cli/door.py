"""The door of console output: nothing raw reaches a terminal, and a reader that is gone ends no command."""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
from collections.abc import Iterable, Iterator
from typing import IO, Any

from funcnet.errors import one_line, visible


class Door:
    """A text stream that writes control characters as escapes, and after a failed write no more.

    A pipe whose reader has gone and a full disk fail writes. Everything else is as in the ``stream`` behind it.
    ``names`` with line breaks, such as those of files, are written in one line.
    """

    def __init__(self, stream: Any, *, raw: bool = False) -> None:
        self.stream, self.raw = stream, raw
        self.names: list[str] = []
        self.error: OSError | None = None

    def write(self, text: str) -> int:
        """Write a text; its length is returned, even if it went nowhere."""
        if self.error is None:
            with self._kept():
                self.stream.write(text if self.raw else self._shown(text))
        return len(text)

    def _shown(self, text: str) -> str:
        for name in self.names:
            text = text.replace(visible(name), one_line(name)).replace(name, one_line(name))
        return visible(text)

    def flush(self) -> None:
        """Write what is buffered."""
        if self.error is None:
            with self._kept():
                self.stream.flush()

    @contextlib.contextmanager
    def _kept(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.error = error
            with contextlib.suppress(OSError, ValueError, io.UnsupportedOperation):  # Python flushes it once more
                os.dup2(os.open(os.devnull, os.O_WRONLY), self.stream.fileno())

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


@contextlib.contextmanager
def doors() -> Iterator[list[Door]]:
    """Standard output and standard error through doors, in this order; a closed one leads nowhere."""
    before = sys.stdout, sys.stderr
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        made = [Door(nowhere if stream is None else stream) for stream in before]
        given: list[Any] = made
        sys.stdout, sys.stderr = given
        try:
            yield made
        finally:
            sys.stdout, sys.stderr = before
            for door in made:
                door.flush()


def broken_names(values: Iterable[Any]) -> list[str]:
    """The parts of names in a command's arguments that have line breaks, the longest first."""
    words = [word for value in values for word in (value if isinstance(value, list) else [value])]
    parts = {part for word in words if isinstance(word, str) for part in re.split(r"[/\\.=]", word) if "\n" in part}
    return sorted(parts, key=len, reverse=True)


@contextlib.contextmanager
def raw_output() -> Iterator[IO[str]]:
    """Standard output for text that is safe already, such as a table with colours, or that is data for a program."""
    door: Any = sys.stdout
    if not isinstance(door, Door):
        yield door
        return
    door.raw, before = True, door.raw
    try:
        yield door  # type: ignore[misc]
    finally:
        door.raw = before
