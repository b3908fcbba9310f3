"""One self-contained HTML page: headings, tables, pictures and text, all escaped; styles are in ``page.css``.

A page has no scripts and asks for nothing: its policy forbids both, whatever a name in it may say.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path

from attrs import evolve, frozen

from funcnet.errors import DataError, one_line
from funcnet.files import read_bytes, reason
from funcnet.version import __version__
from funcnet.views.svg import cut, xml
from funcnet.views.table import Table

MARK = '<meta name="generator" content="funcnet '
"""What tells a page of funcnet from any other"""
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
MOST_BYTES = 500_000
"""The size of the largest page; a part that it has no room for is left out"""
LONGEST, LONGEST_TEXT = 240, 2000
"""The most letters of a name, and of a paragraph"""
MOST_ROWS, MOST_COLUMNS = 100, 40
"""The most rows and columns of a table"""
WIDTH = re.compile(r'<svg [^>]*?width="([0-9.]+)"')
SCRIPTS = (
    ("ja", re.compile("[\u3040-\u30ff]")),
    ("ko", re.compile("[\uac00-\ud7af]")),
    ("zh", re.compile("[\u3400-\u9fff\U00020000-\U0003ffff]")),
)
"""The language of a name with such letters, by which a browser chooses their shapes"""


@frozen
class Section:
    """A part of a page with a heading, a line about it, and its content as HTML; ``key`` is its short name."""

    key: str
    title: str
    about: str
    parts: Sequence[str]


NO_ROOM = ('<p class="note">Left out, since the page would have more than 500 kB.</p>',)


def name(text: object, breaks: bool = False) -> str:
    """A name that somebody gave, in one line: isolated from the direction of the text around it, and escaped.

    The end of a very long one is cut. With ``breaks``, a path may be broken after each of its names.
    """
    line = cut(one_line(str(text)), LONGEST)
    language = next((f' lang="{code}"' for code, letters in SCRIPTS if letters.search(line)), "")
    shown = xml(line).replace("/", "/<wbr>") if breaks else xml(line)
    return f"<bdi{language}>{shown}</bdi>"


def paragraph(text: str, kind: str = "") -> str:
    """A paragraph of plain text."""
    return f"<p{_class(kind)}>{xml(cut(text, LONGEST_TEXT))}</p>"


def table(found: Table, caption: str, kinds: Sequence[str] = (), lead: bool = True) -> str:
    """A table with a caption; ``kinds`` are the classes of its rows. The first column names the rows, if ``lead``.

    Of many rows and columns the first are shown.
    """
    left = len(found.rows) - MOST_ROWS, len(found.columns) - MOST_COLUMNS
    if max(left) > 0:
        rows = [row[:MOST_COLUMNS] for row in found.rows[:MOST_ROWS]]
        found = Table(found.columns[:MOST_COLUMNS], rows, found.title, found.totals if left[0] <= 0 else 0)
        words = ((left[0], "rows"), (left[1], "columns"))
        caption += "; " + " and ".join(f"{count:,} more {what}" for count, what in words if count > 0) + " are left out"
    sides = ["number" if figure else "" for figure in found.figures]
    head = "".join(
        f'<th scope="col"{_class(side)}>{name(cell)}</th>' for cell, side in zip(found.columns, sides, strict=True)
    )
    lines = []
    for i, row in enumerate(found.rows):
        kind = kinds[i] if i < len(kinds) else "total" if i >= len(found.rows) - found.totals else ""
        cells = [f"<td{_class(side)}>{_cell(cell)}</td>" for cell, side in zip(row, sides, strict=True)]
        if lead and row:
            cells[0] = f'<th scope="row">{_cell(row[0])}</th>'
        lines.append(f"<tr{_class(kind)}>{''.join(cells)}</tr>")
    caption = cut(caption, LONGEST_TEXT)
    inside = f"<caption>{xml(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody>"
    return scroll(f"<table>{inside}</table>", caption)


class Html(str):
    """A cell that is HTML already."""


class Best(str):
    """A cell in bold."""


def _cell(cell: str) -> str:
    if isinstance(cell, Html):
        return cell
    return f'<b class="best">{name(cell)}</b>' if isinstance(cell, Best) else name(cell)


def scroll(inside: str, label: str) -> str:
    """Content that may be wider than the page, which scrolls there, also by the keyboard."""
    return f'<div class="scroll" role="region" tabindex="0" aria-label="{xml(label)}">{inside}</div>'


def picture(svg: str, description: str, caption: str = "", wide: bool = False) -> str:
    """An SVG document as a part of the page, with a description for those who do not see it.

    A ``wide`` one scrolls on a narrow page, where it would be too small to read.
    """
    inside = svg.replace("</title>", f"</title><desc>{xml(description)}</desc>", 1).strip()
    shown = f"<figcaption>{caption}</figcaption>" if caption else ""
    size = WIDTH.search(svg)
    if not wide or size is None:
        return f"<figure>{inside}{shown}</figure>"
    inside = inside.replace("<svg ", f'<svg style="min-width:min({0.85 * float(size[1]):.0f}px,30rem)" ', 1)
    return f'<figure style="width:{size[1]}px">{scroll(inside, description)}{shown}</figure>'


def bars(rows: Sequence[tuple[str, float, str, bool]], label: str) -> str:
    """Scores as bars from 0: the name, the value, its text, and whether it is the one that matters."""
    most = max((abs(value) for _, value, _, _ in rows), default=0.0) or 1.0
    cells = []
    for words, value, text, own in rows:
        strong = "<strong>{}</strong>" if own else "{}"
        width = f'<i{_class("own" if own else "")} style="width:{100.0 * max(value, 0.0) / most:.1f}%"></i>'
        cells += [f"<span>{strong.format(name(words))}</span>", f'<span aria-hidden="true">{width}</span>']
        cells.append(f"<span>{strong.format(xml(text))}</span>")
    return f'<div class="bars" role="group" aria-label="{xml(label)}">{"".join(cells)}</div>'


def details(summary: str, inside: str) -> str:
    """Content that opens on demand."""
    return f"<details><summary>{xml(summary)}</summary>{inside}</details>"


def code(text: str, label: str) -> str:
    """Preformatted text."""
    return f'<pre role="region" tabindex="0" aria-label="{xml(label)}"><code>{xml(text)}</code></pre>'


def page(title: str, above: str, sections: Iterable[Section], below: str = "") -> str:
    """The page: ``above`` is the HTML of its header, with the one heading of level 1.

    The largest sections are left out, with a word in their place, while the page has more than 500 kB.
    """
    shown = list(sections)
    while True:
        whole = _page(title, above, shown, below)
        sizes = [sum(map(len, one.parts)) if one.parts != NO_ROOM else 0 for one in shown]
        if len(whole.encode()) <= MOST_BYTES or not any(sizes):
            return whole
        i = sizes.index(max(sizes))
        shown[i] = evolve(shown[i], parts=NO_ROOM)


def _page(title: str, above: str, shown: Sequence[Section], below: str) -> str:
    links = "".join(f'<li><a href="#{one.key}">{xml(one.key.replace("-", " ").capitalize())}</a></li>' for one in shown)
    nav = f'<nav aria-label="Sections"><ul>{links}</ul></nav>' if shown else ""
    body = "\n".join(
        f'<section id="{one.key}" aria-labelledby="{one.key}-title"><h2 id="{one.key}-title">{xml(one.title)}</h2>'
        f"{paragraph(one.about, 'about') if one.about else ''}{''.join(one.parts)}</section>"
        for one in shown
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
{MARK}{__version__}">
<title>{xml(cut(one_line(title), LONGEST))}</title>
<style>
{styles()}</style>
</head>
<body>
<a class="skip" href="#content">To the content</a>
<header>
{above}
{nav}
</header>
<main id="content">
{body}
</main>
<footer>{below}</footer>
</body>
</html>
"""


def check_page(path: Path) -> None:
    """Refuse to write over a file that is not a page of funcnet.

    Raises   DataError
    """
    if not os.path.lexists(path):
        return
    try:
        ours = MARK.encode() in read_bytes(path)[:2000]
    except OSError as error:
        raise DataError(f"{path}: cannot be written over ({reason(error)}); choose another --out") from None
    if not ours:
        raise DataError(f"{path}: is not a page that funcnet wrote; choose another --out, or remove it")


@cache
def styles() -> str:
    """The styles of every page."""
    return (files("funcnet.views") / "page.css").read_text(encoding="utf-8")


def _class(kind: str) -> str:
    return f' class="{kind}"' if kind else ""
