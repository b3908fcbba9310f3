"""Tables and progress on a terminal: with ``rich`` if it is installed, else in plain lines."""

from __future__ import annotations

import importlib.util
import shutil
import sys
import time
from collections.abc import Sequence
from typing import IO, Any, cast

from funcnet.cli.door import Door, raw_output
from funcnet.errors import one_line, require
from funcnet.training.callbacks import Event
from funcnet.training.progress import Plain, number
from funcnet.views.table import GAP, Table

__all__ = ["Bar", "Plain", "fits", "has_rich", "number", "print_table", "room", "table"]

EDGES = 2
"""The characters that rich puts around a table"""


def has_rich() -> bool:
    """Whether ``rich`` is installed."""
    return importlib.util.find_spec("rich") is not None


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], title: str = "", total: bool = False) -> None:
    """Print a table of names and figures, each in one line; with ``total`` its last row is below a rule."""
    rows = [[one_line(cell) for cell in row] for row in rows]
    print_table(Table([one_line(name) for name in columns], rows, title, int(total)))


def print_table(table: Table, width: int | None = None) -> None:
    """Print a table in ``width`` characters, by default those of the terminal; elsewhere a line may have any length."""
    width = room() if width is None else width
    if sys.stdout.isatty() and has_rich():
        with raw_output():
            _rich_table(table.visible(), width)
    else:
        print(table.visible().text(width))


def room() -> int | None:
    """The characters in a line of the terminal; None if the output is not a terminal."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def fits(table: Table) -> bool:
    """Whether a table fits the terminal without wrapping any cell except its headers."""
    width = room()
    return width is None or table.fitted(width - EDGES * has_rich()).rows == table.rows


def _rich_table(table: Table, width: int | None) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table as Grid
    from rich.text import Text

    if width is not None:
        table = table.fitted(width - EDGES)
        width = max(width, table.width + EDGES)  # else figures would be cut
    title = Text(table.title) if table.title else None
    grid = Grid(box=box.SIMPLE_HEAD, title=title, title_justify="left", padding=(0, GAP - 1, 0, 0), pad_edge=False)
    for column, figures in zip(table.columns, table.figures, strict=True):
        grid.add_column(Text(column), justify="right" if figures else "left", no_wrap=True)
    for i, row in enumerate(table.rows):
        grid.add_row(*map(Text, row), end_section=i + 1 == len(table.rows) - table.totals)
    Console(width=width).print(grid)


class Bar:
    """A progress bar with the latest figures beside it."""

    def __init__(self) -> None:
        require("rich", "cli", "--progress rich")
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

        out: Any = sys.stdout.stream if isinstance(sys.stdout, Door) else sys.stdout
        self.progress = Progress(
            TextColumn("step {task.completed:.0f}/{task.total:.0f}"),
            BarColumn(24),
            TaskProgressColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[figures]}"),
            console=Console(file=cast("IO[str]", Door(out, raw=True))),
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
            shown = ["loss", *scores[-1:]]  # the last is a validation score if there is one
            self.progress.update(self.task, figures="  ".join(f"{name} {number(event.row[name])}" for name in shown))
        if now - self.drawn > 0.05 or event.step >= event.total_steps:
            self.progress.update(self.task, completed=event.step)
            self.drawn = now
        return None, False

    def close(self) -> None:
        """Stop updating the bar."""
        self.progress.stop()
