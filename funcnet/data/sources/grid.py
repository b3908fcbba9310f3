"""The texts of a CSV file, by row and column."""

from __future__ import annotations

import codecs
import contextlib
import copy
import csv
import io
import itertools
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from funcnet.data.number_texts import PLAIN, Form, is_number, read_number
from funcnet.data.separated_numbers import separated_numbers
from funcnet.data.sources.arrays import opened
from funcnet.data.text_columns import TextColumn, columns_of, ends_in_nul, gaps_of, longest, numbers_of, words_of
from funcnet.errors import DataError, listed
from funcnet.hints import did_you_mean
from funcnet.key import Array

LONGEST_WORD = 1000
"""Maximum characters of a label or category"""
AT_ONCE = 2**18
"""Bytes of a text that are read at once; the rows in them make a block, which fits into a processor's cache"""
DELIMITERS = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a bar"}
"""What separates columns in most files, and how messages say it"""


# ----- printed into deployed programs, so it uses only the standard library ---------------------------------


def encoding_of(file: Any) -> str:
    """The encoding of a text in a binary file: UTF-16 if it begins with its mark, else UTF-8."""
    start = file.peek(2)[:2]
    if start == b"\x1f\x8b":
        raise ValueError("is compressed with gzip; unpack it first, as with gunzip")
    return "utf-16" if start in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"


def lines_of(text: str) -> list[str]:
    """The lines of a text, with the characters that end them: CR, LF or both."""
    return io.StringIO(text, newline="").readlines()


def text_blocks(file: Any) -> Iterator[str]:
    """Whole lines of a binary file in blocks: those that can be read at once, so that a pipe waits for no more."""
    encoding = codecs.getincrementaldecoder(encoding_of(file))()
    decoder = io.IncrementalNewlineDecoder(encoding, translate=False)  # which does not part \r from \n
    count, size, begun, piece = 0, 0, [], b" "
    while piece:
        piece = file.read1(AT_ONCE)
        begun.append(decoder.decode(piece, final=not piece))
        size += len(begun[-1])
        if size >= 2**24:
            sizes = list(map(len, lines_of("".join(begun))))
            if max(sizes) >= 2**24:
                line = count + sizes.index(max(sizes)) + 1
                raise ValueError(f"line {line}: is longer than {2**24} characters; is the file text?")
        end = max(begun[-1].rfind("\n"), begun[-1].rfind("\r")) + 1
        if end or not piece:
            rest = begun[-1][end:] if piece else ""
            text = "".join(begun).removesuffix(rest)
            count += text.count("\n") + ("\r" in text and text.count("\r") - text.count("\r\n"))
            size, begun = len(rest), [rest]
            if text:
                yield text


def further_lines(blocks: Iterator[str], last: list[int]) -> Iterator[str]:
    """The lines of further blocks, for a quoted value that goes on; ``last`` holds the last one's number."""
    for block in blocks:
        lines = lines_of(block)
        last[0] += len(lines)
        yield from lines


def csv_blocks(
    file: Any, delimiter: str, header: bool
) -> Iterator[tuple[list[str], Sequence[Sequence[str]], Sequence[int]]]:
    """The rows of a CSV file in blocks: the names of columns, their texts, and the line of each row."""
    names: list[str] = []
    line, known, empty = 1, 0, True
    last = [0]
    blocks = text_blocks(file)
    for block in blocks:
        columns: Any = columns_of(block, delimiter, len(names))
        begins: Any = []
        if columns is not None:
            known += len(columns[0])
            begins = range(line, known + 1)
            line = known + 1
        else:
            rows, lines = [], lines_of(block)
            last[0] = known + len(lines)
            reader = csv.reader(itertools.chain(lines, further_lines(blocks, last)), delimiter=delimiter, strict=True)
            try:
                for row in reader:
                    begin, line = line, known + reader.line_num + 1
                    cells = list(map(str.strip, row))
                    if cells in ([], [""]):
                        pass  # an empty line
                    elif not names and header:
                        names = cells
                        if len(set(names)) < len(names):
                            twice = next(name for name in names if names.count(name) > 1)
                            raise ValueError(f"two columns are called {twice!r}; rename one")
                    else:
                        names = names or [f"column_{i}" for i in range(len(cells))]
                        if len(cells) != len(names):
                            hint = "; is the delimiter right?" if len(cells) == 1 else ""
                            raise ValueError(f"line {begin}: expected {len(names)} values, got {len(cells)}{hint}")
                        rows.append(cells)
                        begins.append(begin)
                    if line > last[0]:
                        break
            except csv.Error as error:
                raise ValueError(f"line {line}: cannot be read: {error}") from None
            known = line - 1
            columns = [list(column) for column in zip(*rows, strict=True)]
        if begins:
            empty = False
            yield names, columns, begins
    if empty:
        raise ValueError("has no rows" + (" below its header" if names else ""))


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
    named: bool = True
    """Whether the rows give the names of the columns"""
    path: Path | str
    columns: Sequence[Sequence[str]]
    lines: Sequence[int]

    def __init__(self, path: Path, delimiter: str = ",", header: bool = True) -> None:
        first, *more = (block.joined((), block.names) for block in self.blocks(path, delimiter, header))
        self.__dict__ |= first.joined(more, first.names).__dict__

    @classmethod
    def blocks(cls, path: Path | str, delimiter: str, header: bool, file: Any = None) -> Iterator[Grid]:
        """The rows of a file some at a time, or of an open binary file, which messages call ``path``."""
        with reading(path, file) as opened_file:
            for names, columns, lines in csv_blocks(opened_file, delimiter, header):
                grid = cls.__new__(cls)
                grid.path, grid.columns, grid.lines = path, columns, lines
                grid.rename(names)
                yield grid

    def joined(self, others: Sequence[Grid], names: Sequence[str]) -> Grid:
        """Some columns of these rows, and then of other rows of the table."""
        whole = copy.copy(self)
        whole.columns = [[text for grid in (self, *others) for text in grid.texts(name)] for name in names]
        whole.lines = [line for grid in (self, *others) for line in grid.lines]
        whole.rename(names)
        return whole

    def taken(self, rows: Sequence[int], names: Sequence[str]) -> Grid:
        """Some of the rows and columns."""
        part = copy.copy(self)
        part.columns = [[texts[row] for row in rows] for texts in map(self.texts, names)]
        part.lines = [self.lines[row] for row in rows]
        part.rename(names)
        return part

    def headed(self) -> Grid:
        """These rows with the first one as the names of the columns, unless it is one of numbers.

        Raises   DataError for two equal names
        """
        first = [column[0] for column in self.columns]
        grid = copy.copy(self)
        grid.named = not all(map(is_number, first))
        if grid.named:
            twice = next((name for name, count in Counter(first).items() if count > 1), None)
            if twice is not None:
                raise DataError(f"{self.path}: two columns are called {twice!r}; rename one")
            grid.columns, grid.lines = [column[1:] for column in self.columns], self.lines[1:]
            grid.rename(first)
        return grid

    @property
    def in_memory(self) -> bool:
        """Whether the rows are in memory, not in a file."""
        return self.unit == "row"

    def rename(self, names: Sequence[str]) -> None:
        """Give the columns other names, in their order."""
        self.names = list(names)
        self.places = {name: i for i, name in enumerate(names)}

    def values(self, name: str) -> Sequence[str]:
        """The values of a column as they are read: texts, or their places in a block."""
        return self.columns[self.places[name]]

    def texts(self, name: str) -> list[str]:
        """The texts of a column."""
        values = self.values(name)
        return values if isinstance(values, list) else list(values)

    def first(self, name: str, missing: Collection[str]) -> str:
        """The first text of a column that is not missing; none if all are."""
        return next((text for text in self.values(name) if text not in missing), "")

    def words(self, name: str, missing: Collection[str] = ()) -> Array:
        """The texts of a column as an array, in which each takes as much room as the longest; empty if ``missing``.

        Raises   DataError for a text that is too long for a label or a category, or ends in the character NUL
        """
        values = self.values(name)
        row = ends_in_nul(values)
        if row is not None:
            got = f"{values[row]!r:.60}"
            raise DataError(f"{self.place(row, name)}: expected a text, got {got}; remove the NUL at its end")
        if longest(values) > LONGEST_WORD:
            texts = list(values)
            long = next((i for i, text in enumerate(texts) if len(text) > LONGEST_WORD), None)
            if long is not None:
                raise DataError(
                    f"{self.place(long, name)}: expected a label of at most {LONGEST_WORD} characters, "
                    f"got one of {len(texts[long])}; leave the column out"
                )
        words: Array = words_of(values, missing)
        return words

    def gaps_in(self, name: str, missing: Collection[str]) -> Array:
        """Which values of a column are missing."""
        gaps: Array = gaps_of(self.values(name), missing)
        return gaps

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
        return numbers_of(self.values(name), ())

    def numbers(self, name: str, missing: Collection[str], hint: str, form: Form = PLAIN) -> Array:
        """A column of numbers in a form, NaN for missing ones.

        Raises   DataError for a text that is not a number, with its line and column
        """
        plain: Array | None = numbers_of(self.values(name), missing) if form == PLAIN else None
        if plain is not None:
            return plain
        texts, values = self.values(name), np.empty(len(self.lines))
        rest: Sequence[int] = range(len(self.lines))
        if isinstance(texts, TextColumn) and form != PLAIN and not form.mark:
            values, known = separated_numbers(texts, form.decimal, form.thousands)
            gaps = gaps_of(texts, missing)
            values[gaps] = np.nan
            rows = np.flatnonzero(~(known | gaps))
            texts, rest = texts.texts(rows), rows.tolist()
        for i, text in zip(rest, texts, strict=True):
            number = np.nan if text in missing else read_number(text, *form)
            if number is None:
                hint = form.hint or hint
                raise DataError(f"{self.place(i, name)}: expected a number, got {text!r:.60}; {hint}")
            values[i] = number
        return values


@contextlib.contextmanager
def reading(path: Path | str, file: Any = None) -> Iterator[Any]:
    """A text file, opened if none is given, whose errors become a DataError.

    Raises   DataError for a file that is missing, empty or not text, and for what its reader cannot read
    """
    try:
        with contextlib.nullcontext(file) if file is not None else opened(Path(path)) as opened_file:
            yield opened_file
    except UnicodeError:
        where = "is not UTF-8 text" if file is not None else _not_text(Path(path))
        raise DataError(f"{path}: {where}; save the file as UTF-8") from None
    except DataError:
        raise
    except ValueError as error:
        raise DataError(f"{path}: {error}") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None


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
