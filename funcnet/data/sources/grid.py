"""The texts of a CSV file, by row and column."""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import ClassVar, TextIO

import numpy as np

from funcnet.data.number_texts import PLAIN, Form, read_number
from funcnet.data.sources.arrays import opened
from funcnet.errors import DataError, listed
from funcnet.hints import did_you_mean
from funcnet.key import Array

LONGEST_WORD = 1000
"""Maximum characters of a label or category"""
DELIMITERS = ",;\t|"
"""What separates columns in most files"""


# ----- printed into deployed programs, so it uses only the standard library ---------------------------------


def encoding_of(path: str | Path) -> str:
    """The encoding of a text file: UTF-16 if it begins with its mark, else UTF-8."""
    with open(path, "rb") as file:
        start = file.read(2)
    if start == b"\x1f\x8b":
        raise ValueError("is compressed with gzip; unpack it first, as with gunzip")
    return "utf-16" if start in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"


def lines_of(file: TextIO) -> Iterator[str]:
    """The lines of a text file, which must not be longer than 2^24 characters."""
    count = 0
    while text := file.readline(2**24):
        count += 1
        if len(text) == 2**24:
            raise ValueError(f"line {count}: is longer than {2**24} characters; is the file text?")
        yield text


def read_csv(path: str | Path, delimiter: str, header: bool) -> tuple[list[str], list[list[str]], list[int]]:
    """The column names of a CSV file, its rows as texts, and the line number of each row."""
    names: list[str] = []
    rows: list[list[str]] = []
    lines: list[int] = []
    line = 1
    with open(path, encoding=encoding_of(path), newline="") as file:
        reader = csv.reader(lines_of(file), delimiter=delimiter, strict=True)
        try:
            for row in reader:
                begins, line = line, reader.line_num + 1  # a quoted value may hold several lines
                cells = [cell.strip() for cell in row]
                if cells in ([], [""]):
                    continue  # an empty line
                if not names:
                    names = cells if header else [f"column_{i}" for i in range(len(cells))]
                    if header:
                        continue
                if len(cells) != len(names):
                    hint = "; is the delimiter right?" if len(cells) == 1 else ""
                    raise ValueError(f"line {begins}: expected {len(names)} values, got {len(cells)}{hint}")
                rows.append(cells)
                lines.append(begins)
        except csv.Error as error:
            raise ValueError(f"line {line}: cannot be read: {error}") from None
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ValueError(f"two columns are called {name!r}; rename one")
        seen.add(name)
    if not rows:
        raise ValueError("has no rows" + (" below its header" if names else ""))
    return names, rows, lines


# ----- a table of texts ----------------------------------------------------------------------------------------------


class Grid:
    """The texts of a file: the names of its columns, its rows, and the line number of each row.

    Raises   DataError for a file that is missing, empty, not UTF-8 text, ragged, or has duplicate column names
    """

    what: ClassVar[str] = "file"
    unit: ClassVar[str] = "line"
    """What rows are counted in"""
    gaps: ClassVar[tuple[str, ...]] = ()
    """Texts that are missing values, whatever a spec says"""
    path: Path | str
    lines: Sequence[int]

    def __init__(self, path: Path, delimiter: str = ",", header: bool = True) -> None:
        self.path = path
        opened(path).close()
        try:
            names, self.rows, self.lines = read_csv(path, delimiter, header)
        except UnicodeError:
            raise DataError(f"{path}: {_not_text(path)}; save the file as UTF-8") from None
        except ValueError as error:
            raise DataError(f"{path}: {error}") from None
        self.rename(names)

    def rename(self, names: Sequence[str]) -> None:
        """Give the columns other names, in their order."""
        self.names = list(names)
        self.places = {name: i for i, name in enumerate(names)}

    def texts(self, name: str) -> list[str]:
        """The texts of a column."""
        at = self.places[name]
        return [row[at] for row in self.rows]

    def first(self, name: str, missing: Collection[str]) -> str:
        """The first text of a column that is not missing; none if all are."""
        return next((text for text in self.texts(name) if text not in missing), "")

    def words(self, name: str) -> Array:
        """The texts of a column as an array, in which each takes as much room as the longest.

        Raises   DataError for a text that is too long for a label or a category
        """
        texts = self.texts(name)
        long = next((i for i, text in enumerate(texts) if len(text) > LONGEST_WORD), None)
        if long is not None:
            raise DataError(
                f"{self.place(long, name)}: expected a label of at most {LONGEST_WORD} characters, "
                f"got one of {len(texts[long])}; leave the column out"
            )
        return np.array(texts)

    def place(self, row: int, name: str) -> str:
        """The file, line and column of a value."""
        return f"{self.path}: line {self.lines[row]}, column {name!r}"

    def column(self, wanted: str | int, what: str) -> str:
        """The name of a column, given by its name or its number.

        Raises   DataError with the nearest name
        """
        if isinstance(wanted, int):
            if -len(self.names) <= wanted < len(self.names):
                return self.names[wanted]
            raise DataError(f"{self.path}: has no column {wanted} ({what}); it has {len(self.names)}, from 0")
        if wanted not in self.places:
            near = did_you_mean(wanted, self.names)
            raise DataError(f"{self.path}: has no column {wanted!r} ({what}){near}; it has {self.known()}")
        return wanted

    def require(self, names: Sequence[str]) -> None:
        """Raise a DataError for missing columns, with a name similar to the first of them."""
        lost = [name for name in names if name not in self.places]
        if lost:
            near = did_you_mean(lost[0], self.names)
            raise DataError(f"{self.path}: has no column {', '.join(map(repr, lost))}{near}; it has {self.known()}")

    def known(self) -> str:
        """The names of the columns, and a doubt about the delimiter if another one is in the only name."""
        whole = len(self.names) == 1 and any(mark in self.names[0] for mark in DELIMITERS)
        return listed(self.names) + "; is the delimiter right?" * whole

    def plain(self, name: str) -> Array | None:
        """A column of plain numbers, as most are; None if a text is not one."""
        texts = self.texts(name)
        try:
            values = np.array(list(map(float, texts)))
        except ValueError:
            return None
        return values if np.isfinite(values).all() and "_" not in "".join(texts) else None

    def numbers(self, name: str, missing: Collection[str], hint: str, form: Form = PLAIN) -> Array:
        """A column of numbers in a form, NaN for missing ones.

        Raises   DataError for a text that is not a number, with its line and column
        """
        texts = self.texts(name)
        if form == PLAIN and frozenset(missing).isdisjoint(texts):
            plain = self.plain(name)
            if plain is not None:
                return plain
        values = np.empty(len(self.rows))
        for i, text in enumerate(texts):
            number = np.nan if text in missing else read_number(text, *form)
            if number is None:
                hint = form.hint or hint
                raise DataError(f"{self.place(i, name)}: expected a number, got {text!r:.60}; {hint}")
            values[i] = number
        return values


def delimiter_of(path: Path) -> str:
    """The delimiter that the ending of a file's name says."""
    return "\t" if path.suffix.lower() == ".tsv" else ","


def _not_text(path: Path) -> str:
    """The first line that is not UTF-8, and its first byte that is not."""
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                byte = line[error.start : error.start + 1]
                also = byte.decode("cp1252", errors="replace")
                return f"line {number}: is not UTF-8 text (in Latin-1 the byte 0x{byte.hex()} would be {also!r})"
    return "line 1: is not UTF-8 text"
