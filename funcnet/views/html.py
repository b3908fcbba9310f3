"""Small pieces of HTML for notebooks."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

CELL = "padding:0 0.8em 0 0;text-align:"


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], numbers: int) -> str:
    """A table whose columns from ``numbers`` on are figures."""

    def line(tag: str, cells: Sequence[str]) -> str:
        sides = ["left" if i < numbers else "right" for i in range(len(cells))]
        inner = (
            f'<{tag} style="{CELL}{side};white-space:pre">{escape(cell)}</{tag}>'
            for cell, side in zip(cells, sides, strict=True)
        )
        return f"<tr>{''.join(inner)}</tr>"

    return (
        f'<table style="font-family:monospace">{line("th", columns)}{"".join(line("td", row) for row in rows)}</table>'
    )
