"""The door of console output: nothing raw reaches a terminal, and a reader that is gone ends no command."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import IO, Any

from funcnet.errors import visible


class Door:
    """A text stream that writes control characters as escapes, and after a failed write no more.

    A pipe whose reader has gone and a full disk fail writes. Everything else is as in the ``stream`` behind it.
    """

    def __init__(self, stream: Any, *, raw: bool = False) -> None:
        self.stream, self.raw = stream, raw
        self.error: OSError | None = None

    def write(self, text: str) -> int:
        """Write a text; its length is returned, even if it went nowhere."""
        if self.error is None:
            with self._kept():
                self.stream.write(text if self.raw else visible(text))
        return len(text)

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
    """Standard output and standard error through doors, in this order; a closed one is left out."""
    before = sys.stdout, sys.stderr
    made = [Door(stream) for stream in before if stream is not None]
    given: list[Any] = [next((door for door in made if door.stream is stream), None) for stream in before]
    sys.stdout, sys.stderr = given
    try:
        yield made
    finally:
        sys.stdout, sys.stderr = before
        for door in made:
            door.flush()


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
