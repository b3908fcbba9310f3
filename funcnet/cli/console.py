"""Tables and progress on a terminal: with ``rich`` where it is installed, in plain lines where not."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

from funcnet.errors import require
from funcnet.training.callbacks import Event, Row


def has_rich() -> bool:
    """Whether ``rich`` is installed."""
    return importlib.util.find_spec("rich") is not None


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], title: str = "", total: bool = False) -> None:
    """Print a table. Columns of numbers are right-aligned; with ``total`` the last row is below a rule."""
    right = [all(_numeric(row[i]) for row in rows) for i in range(len(columns))]
    if has_rich() and sys.stdout.isatty():
        _rich_table(columns, rows, title, right, total)
        return
    widths = [max(len(column), *(len(row[i]) for row in rows)) for i, column in enumerate(columns)]

    def line(cells: Sequence[str]) -> str:
        padded = [c.rjust(w) if r else c.ljust(w) for c, w, r in zip(cells, widths, right, strict=True)]
        return "  ".join(padded).rstrip()

    rule = "  ".join("-" * width for width in widths)
    lines = [*([title] if title else []), line(columns), rule, *map(line, rows)]
    if total:
        lines.insert(-1, rule)
    print("\n".join(lines))


def _numeric(text: str) -> bool:
    return text in ("", "?") or text.replace(",", "").replace(".", "").replace("e-", "").lstrip("-").isdigit()


def _rich_table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], title: str, right: Sequence[bool], total: bool
) -> None:
    from rich.console import Console
    from rich.table import Table

    grid = Table(title=title or None, title_justify="left")
    for column, numeric in zip(columns, right, strict=True):
        grid.add_column(column, justify="right" if numeric else "left")
    for i, row in enumerate(rows):
        grid.add_row(*row, end_section=total and i == len(rows) - 2)
    Console().print(grid)


def number(value: float | None) -> str:
    """Four or five significant digits, without an exponent where they fit."""
    return "" if value is None else f"{value:.5g}"


@contextlib.contextmanager
def unread() -> Iterator[None]:
    """Keep training when the reader of the output has gone, as after ``| head``."""
    try:
        yield
    except BrokenPipeError:
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
        names = [name for name in row if name not in ("step", "learning_rate", "seconds")]
        if self.shown == 0:
            print("  ".join(f"{name:>{max(10, len(name))}}" for name in names))
        print("  ".join(f"{number(row[name]):>{max(10, len(name))}}" for name in names), flush=True)
        self.shown += 1


class Bar:
    """A progress bar with the latest figures beside it."""

    def __init__(self) -> None:
        require("rich", "cli", "--progress rich")
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

        self.progress = Progress(
            TextColumn("step {task.completed:.0f}/{task.total:.0f}"),
            BarColumn(24),
            TaskProgressColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[figures]}"),
        )
        self.drawn = 0.0
        self.task: Any = None

    def init(self) -> None:
        return None

    def update(self, state: None, event: Event) -> tuple[None, bool]:
        if self.task is None:
            self.task = self.progress.add_task("", total=event.total_steps, figures="")
            self.progress.start()
        now = time.monotonic()
        if event.row is not None:
            scores = [name for name in event.row if name not in ("step", "epoch", "loss", "learning_rate", "seconds")]
            shown = ["loss", *scores[-1:]]  # the last is a validation score where there is one
            self.progress.update(self.task, figures="  ".join(f"{name} {number(event.row[name])}" for name in shown))
        if now - self.drawn > 0.05 or event.step >= event.total_steps:
            self.progress.update(self.task, completed=event.step)
            self.drawn = now
        return None, False

    def close(self) -> None:
        """Stop updating the bar."""
        self.progress.stop()
