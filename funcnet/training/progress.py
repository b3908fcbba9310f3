"""Progress of a training in lines."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator, Sequence

from funcnet.training.callbacks import Event, Row


def number(value: float | None) -> str:
    """Four or five significant digits, without an exponent where they fit."""
    return "" if value is None else f"{value:.5g}"


@contextlib.contextmanager
def unread() -> Iterator[None]:
    """Keep training when the reader of the output has gone, as after ``| head``, or the disk of its file is full."""
    try:
        yield
    except OSError:
        with contextlib.suppress(OSError, ValueError):  # an output that is not a file stays as it is
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Plain:
    """Progress in lines: about forty rows of the history at most, and a heartbeat in between."""

    every = 5.0  # seconds without a row after which a line says how far the run is

    def __init__(self) -> None:
        self.shown = 0
        self.last = time.monotonic()

    def init(self) -> None:
        return None

    def update(self, state: None, event: Event) -> tuple[None, bool]:
        with unread():
            self._show(event)
        return None, False

    def _show(self, event: Event) -> None:
        now = time.monotonic()
        if event.row is not None and (self._due(event) or now - self.last > self.every):
            self._row(event.row)
            self.last = now
        elif now - self.last > self.every:
            print(f"step {event.step} of {event.total_steps}, loss {number(event.loss)}", flush=True)
            self.last = now

    def _due(self, event: Event) -> bool:
        """Whether a row is printed; rows are evenly spaced and include the last."""
        return event.step >= event.total_steps or event.step * 40 // event.total_steps >= self.shown

    def _row(self, row: Row) -> None:
        names = shown(row)
        if self.shown == 0:
            print(line({name: name for name in names}, names))
        print(line(row, names), flush=True)
        self.shown += 1


def shown(row: Row) -> list[str]:
    """The figures of a row that a table of the history has."""
    return [name for name in row if name not in ("step", "learning_rate", "seconds")]


def line(row: Row, names: list[str]) -> str:
    """The figures of a row below their names."""
    texts = {name: value if isinstance(value, str) else number(value) for name, value in row.items()}
    return "  ".join(f"{texts.get(name, ''):>{max(10, len(name))}}" for name in names)


def rows_text(history: Sequence[Row], most: int = 12) -> list[str]:
    """A history as lines: the names, then at most ``most`` evenly spaced rows, including the last."""
    if not history:
        return []
    names = list(dict.fromkeys(name for row in history for name in shown(row)))
    count = min(most, len(history))
    chosen = sorted({len(history) - 1 - round(i * (len(history) - 1) / max(count - 1, 1)) for i in range(count)})
    return [line({name: name for name in names}, names), *(line(history[i], names) for i in chosen)]
