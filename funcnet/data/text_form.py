"""How a table is written in a text file: its delimiter, and whether it has a header."""

from __future__ import annotations

import csv
import io
from collections import Counter
from pathlib import Path
from typing import TextIO

from funcnet.data.dates import day_of
from funcnet.data.number_forms import like_number
from funcnet.data.sources.arrays import opened
from funcnet.data.sources.csv import MISSING
from funcnet.data.sources.grid import DELIMITERS, encoding_of
from funcnet.errors import DataError

SAMPLE = 1000
"""Lines from which the delimiter and the header are inferred"""
ENOUGH = 2**22
"""Characters after which a few of these lines are enough"""


def form(path: Path) -> tuple[str, bool]:
    """The delimiter of a file, and whether its first line is a header, inferred from its first lines.

    Raises   DataError for a file that is missing, empty, or not text
    """
    with opened(path) as start:
        if start.read(4) == b"PK\x03\x04":
            raise DataError(f"{path}: is a workbook or an archive, not text; save the sheet as CSV")
    try:
        with opened(path) as binary, io.TextIOWrapper(binary, encoding_of(binary), newline="") as file:
            lines = _sample(file)
    except (ValueError, UnicodeError):
        return ",", True  # reading the whole file reports the error
    best: tuple[tuple[float, float, int], str, list[list[str]]] | None = None
    for delimiter in DELIMITERS:
        try:
            rows = [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=delimiter) if any(row)]
        except csv.Error:
            continue
        width, same = Counter(map(len, rows)).most_common(1)[0] if rows else (0, 0)
        if width < 2:
            continue
        cells = [cell for row in rows for cell in row]
        score = (round(same / len(rows), 2), sum(map(like_number, cells)) / len(cells), width)
        if best is None or score > best[0]:
            best = score, delimiter, rows
    if best is None:
        rows = [[line.strip()] for line in lines if line.strip()]
        return ",", not rows or _has_header(rows)
    return best[1], _has_header(best[2])


def _sample(file: TextIO) -> list[str]:
    """The first lines of a file, fewer of long ones."""
    lines: list[str] = []
    characters = 0
    while len(lines) < SAMPLE and (characters < ENOUGH or len(lines) < 20) and (line := file.readline(2**24)):
        lines.append(line)
        characters += len(line)
    return lines


def _has_header(rows: list[list[str]]) -> bool:
    """Whether the first row is a header: whether it differs in kind from the rows below."""
    first, body = rows[0], [row for row in rows[1:] if len(row) == len(rows[0])]
    if not body:
        return not any(map(like_number, first))
    typed = False
    for i, cell in enumerate(first):
        below = [row[i] for row in body if row[i] not in MISSING]
        for like in (like_number, like_date):
            if below and all(map(like, below)):
                typed = True
                if cell not in MISSING and not like(cell):
                    return True
    if typed:
        return False
    unlike = all(not like_number(cell) and cell not in [row[i] for row in body] for i, cell in enumerate(first))
    return unlike and len(set(first)) == len(first)


def like_date(text: str) -> bool:
    """Whether a text is a date."""
    return day_of(text) is not None
