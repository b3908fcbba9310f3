"""The rows of a text file in blocks: CSV, or JSON lines by the ending of its name or the first character of a pipe."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from funcnet.data.sources.grid import Grid, csv_blocks, lines_of, reading, text_blocks
from funcnet.data.sources.memory import ABSENT, Cells

JSON_LINES = (".jsonl", ".ndjson")
"""Endings of files with one JSON value in each line"""
TALL, CELLS = 64, 2**20
"""Rows of a block that is looked at column by column, and the values after which fewer are enough"""


# ----- printed into deployed programs, so it uses only the standard library ---------------------------------


def is_json(path: Any, file: Any) -> bool:
    """Whether an open file holds JSON lines: by the ending of its name, or a pipe's first character."""
    if path is not None:
        return str(path).lower().endswith((".jsonl", ".ndjson"))
    start: bytes = file.peek(4)
    return start.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"{", b"[")


def json_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object as a dict; a name that is there twice is an error."""
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the name {next(name for name in names if names.count(name) > 1)!r} is there twice")
    return values


def json_blocks(file: Any) -> Iterator[tuple[list[Any], list[int]]]:
    """The values of JSON lines in blocks, and the line of each: objects, or lists of equal length."""
    line, first = 0, None
    for block in text_blocks(file):
        values: list[Any] = []
        lines: list[int] = []
        for text in lines_of(block):
            line += 1
            if not text.strip():
                continue
            try:
                value = json.loads(text.strip(), object_pairs_hook=json_object)
            except json.JSONDecodeError as error:
                why = f"{error.msg} at character {error.pos + 1}"
                raise ValueError(f"line {line}: expected a row as JSON; {why}") from None
            except (ValueError, RecursionError) as error:
                raise ValueError(f"line {line}: expected a row as JSON; {error}") from None
            first = value if first is None else first
            if not isinstance(first, dict | list) or type(value) is not type(first):
                expected = "a list" if isinstance(first, list) else 'an object, such as {"age": 33}'
                raise ValueError(f"line {line}: expected {expected}, got {text.strip():.60}")
            if isinstance(first, list) and len(value) != len(first):
                raise ValueError(f"line {line}: expected {len(first)} values, got {len(value)}")
            values.append(value)
            lines.append(line)
        if values:
            yield values, lines
    if first is None:
        raise ValueError("has no rows")


def row_blocks(
    path: Any, file: Any, delimiter: str, header: bool, needed: Sequence[str]
) -> Iterator[tuple[list[str], Sequence[Sequence[Any]], Sequence[int]]]:
    """The rows of a text file in blocks: the names of columns, their values, and the line of each row.

    JSON lines have ``needed`` names in each object, if in the first one.
    """
    if not is_json(path, file):
        yield from csv_blocks(file, delimiter, header)
        return
    names: list[str] = []
    for values, lines in json_blocks(file):
        if isinstance(values[0], list):
            names = [f"column_{i}" for i in range(len(values[0]))]
            yield names, [list(column) for column in zip(*values, strict=True)], lines
            continue
        names = names or list(values[0])
        for line, value in zip(lines, values, strict=True):
            lost = [name for name in needed if name in names and name not in value]
            odd = [name for name in needed if isinstance(value.get(name), dict | list)]
            if lost:
                raise ValueError(f"line {line}: has no value for {lost[0]!r}; write null where one is missing")
            if odd:
                raise ValueError(
                    f"line {line}: column {odd[0]!r}: expected a number, a text or null, got {value[odd[0]]!r:.60}"
                )
        yield names, [[value.get(name) for value in values] for name in names], lines


# ----- a table of them -----------------------------------------------------------------------------------------------


class JsonRows(Cells):
    """The rows of JSON lines: objects with the names of the first one, or lists, whose columns are numbered."""

    what = "file"
    unit = "line"
    none = "null"

    def __init__(self, path: Path | str, names: Sequence[str] | None, values: list[Any], lines: list[int]) -> None:
        self.named = names is not None
        if names is None:
            columns = list(zip(*values, strict=True))
            super().__init__([f"column_{i}" for i in range(len(columns))], columns, path, lines)
        else:
            super().__init__(names, [[row.get(name, ABSENT) for row in values] for name in names], path, lines)

    def place(self, row: int, name: str) -> str:
        return Grid.place(self, row, name)


def blocks_of(path: Path | str, delimiter: str, header: bool, file: Any = None) -> Iterator[Grid]:
    """The rows of a file some at a time, or of an open binary file, which messages call ``path``.

    Raises   DataError for a file that is missing, empty or not text, and for rows that cannot be read
    """
    if not is_json(path if file is None else None, file):
        yield from Grid.blocks(path, delimiter, header, file)
        return
    names: list[str] | None = None
    with reading(path, file) as opened_file:
        for values, lines in json_blocks(opened_file):
            if names is None and isinstance(values[0], dict):
                names = list(values[0])
            yield JsonRows(path, names, values, lines)


def tall(grids: Iterable[Grid]) -> Iterator[Grid]:
    """The same rows in blocks of ``TALL`` rows or more, since each column of each block costs time.

    A block of a wide table has only a few rows.
    """
    some: list[Grid] = []
    for grid in grids:
        some.append(grid)
        rows = sum(len(one.lines) for one in some)
        if rows >= TALL or rows * len(grid.names) >= CELLS:
            yield _one(some)
            some = []
    if some:
        yield _one(some)


def _one(grids: list[Grid]) -> Grid:
    first, *more = grids
    return first.joined(more, first.names) if more else first
