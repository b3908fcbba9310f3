"""A table as text, in columns that fit a width, and as HTML for notebooks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import escape
from typing import NamedTuple

from funcnet.errors import visible

GAP = 2
"""The spaces between two columns"""
NARROWEST = 8
"""The minimum width of a column in which words are broken"""
FIGURE = re.compile(r"|\?|-?inf|nan|-?[0-9][0-9,]*(\.[0-9]+)?(e[-+]?[0-9]+)?( [kMGTPE]?(B|FLOP))?")
SPACE = re.compile(r"(?<=[^ ] )(?<! x )(?=[^ x]|x[^ ])")
INSIDE = re.compile(r"(?<=[_/,])(?=.)|(?<= )(?=[^ ])|(?<=[a-z])(?=[A-Z])")
"""Where a line may break: between words, a shape being one word, and inside compound names"""
CELL = "padding:0 0.8em 0 0;white-space:pre;text-align:"


class Table(NamedTuple):
    """Cells in columns, with figures aligned right and all else aligned left.

    ``totals`` is the number of last rows that are below a rule. A cell may have several lines.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    title: str = ""
    totals: int = 0

    @property
    def figures(self) -> list[bool]:
        """Whether each column holds only figures, above the totals."""
        rows = self.rows[: len(self.rows) - self.totals]
        return [all(FIGURE.fullmatch(row[i]) for row in rows) for i in range(len(self.columns))]

    def visible(self) -> Table:
        """The table with the control characters of its cells as escapes."""
        columns, *rows = ([visible(cell) for cell in cells] for cells in (self.columns, *self.rows))
        return self._replace(columns=columns, rows=rows, title=visible(self.title))

    def text(self, width: int | None = None) -> str:
        """The table as text, wrapped to lines of ``width`` characters where possible."""
        table = self if width is None else self.fitted(width)
        widths, right = table.widths(), self.figures
        rule = (" " * GAP).join("-" * w for w in widths).rstrip()

        def lines(row: Sequence[str]) -> Iterator[str]:
            cells = [cell.split("\n") for cell in row]
            for i in range(max(map(len, cells))):
                parts = [cell[i] if i < len(cell) else "" for cell in cells]
                padded = [p.rjust(w) if r else p.ljust(w) for p, w, r in zip(parts, widths, right, strict=True)]
                yield (" " * GAP).join(padded).rstrip()

        text = [self.title] if self.title else []
        text += [*lines(table.columns), rule]
        for i, row in enumerate(table.rows):
            text += [rule] * (i > 0 and i == len(table.rows) - self.totals)
            text += lines(row)
        return "\n".join(text)

    def __str__(self) -> str:
        return self.text()

    def html(self) -> str:
        """The table in HTML."""
        sides = ["right" if figure else "left" for figure in self.figures]

        def line(tag: str, cells: Sequence[str], style: str = "") -> str:
            inner = (
                f'<{tag} style="{CELL}{side}{style}">{escape(cell)}</{tag}>'
                for cell, side in zip(cells, sides, strict=True)
            )
            return f"<tr>{''.join(inner)}</tr>"

        first = len(self.rows) - self.totals
        rows = [line("td", row, ";border-top:1px solid" * (0 < i == first)) for i, row in enumerate(self.rows)]
        title = f"<caption>{escape(self.title)}</caption>" if self.title else ""
        return f'<table style="font-family:monospace">{title}{line("th", self.columns)}{"".join(rows)}</table>'

    def widths(self) -> list[int]:
        """The width of each column, that of its longest line."""
        whole = [self.columns, *self.rows]
        return [max(len(line) for row in whole for line in row[i].split("\n")) for i in range(len(self.columns))]

    @property
    def width(self) -> int:
        """The length of its lines."""
        return sum(self.widths()) + GAP * (len(self.columns) - 1)

    def narrowest(self) -> list[int]:
        """The width of the longest part of a word in each column, with the indentation of its line."""
        whole = [self.columns, *self.rows]
        lines = [[line for row in whole for line in row[i].split("\n")] for i in range(len(self.columns))]
        return [
            max(hanging(line) * (n > 0) + len(part) for line in column for n, part in enumerate(parts(line)))
            for column in lines
        ]

    def fitted(self, width: int) -> Table:
        """The table with line breaks in its cells, so that all columns and their gaps fit ``width`` characters.

        Headers of figures are wrapped first, then the widest columns of words, between words and at last inside them.
        Figures are never broken, so a table with many of them stays wider.
        """
        widths, figures, count = self.widths(), self.figures, len(self.columns)
        cells = self._replace(columns=[""] * count).widths()
        heads = self._replace(rows=[]).narrowest()
        words = [cells[i] if figures[i] else w for i, w in enumerate(self.narrowest())]
        for least in (
            [max(heads[i], cells[i]) if figures[i] else widths[i] for i in range(count)],
            [max(heads[i], words[i]) for i in range(count)],
            [max(heads[i], words[i] if figures[i] else NARROWEST) for i in range(count)],
        ):
            while sum(widths) + GAP * (count - 1) > width:
                wide = [(w, i) for i, w in enumerate(widths) if w > least[i]]
                if not wide:
                    break
                widths[max(wide)[1]] -= 1
        wrap = [[wrapped(cell, w) for cell, w in zip(row, widths, strict=True)] for row in (self.columns, *self.rows)]
        return self._replace(columns=wrap[0], rows=wrap[1:])


def wrapped(cell: str, width: int) -> str:
    """A cell in lines of at most ``width`` characters; continuation lines are indented.

    Lines break between words, in a name longer than a line between its parts, and in a longer part anywhere.
    """
    lines = []
    for line in cell.split("\n"):
        indent = " " * min(hanging(line), width // 2)
        current = ""
        for word in SPACE.split(line):
            whole = len((indent + word).rstrip()) <= width
            for part in [word] if whole else INSIDE.split(word):
                if current.strip() and len((current + part).rstrip()) > width:
                    lines.append(current.rstrip())
                    current = indent
                current += part
                while len(current.rstrip()) > width:
                    lines.append(current[:width])
                    current = indent + current[width:]
        lines.append(current.rstrip())
    return "\n".join(lines)


def hanging(line: str) -> int:
    """The indentation of the continuation lines of a line."""
    return len(line) - len(line.lstrip(" ")) + 2


def parts(line: str) -> list[str]:
    """The parts of a line's words, the first with the line's indentation."""
    return [part.rstrip() for word in SPACE.split(line) for part in INSIDE.split(word)]
