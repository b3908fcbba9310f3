"""Tables in text files: CSV and its relatives."""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, TextIO

import numpy as np
from attrs import field

from funcnet.data.categories import distinct, positions
from funcnet.data.columns import column_names
from funcnet.data.dates import FORM, day_of
from funcnet.data.in_time import not_a_time
from funcnet.data.paths import inside
from funcnet.data.sources.arrays import opened
from funcnet.data.sources.base import Frame, Inputs, Source, Table, by_ending
from funcnet.errors import DataError, Problem, listed
from funcnet.hints import did_you_mean
from funcnet.key import Array, Key
from funcnet.shapes import Shape
from funcnet.spec.base import MAX_INTEGER, evolve, register
from funcnet.spec.fields import Words, frozen

MISSING = ("", "NA", "N/A", "na", "NaN", "nan", "null", "NULL", "?")
"""Texts for a missing value, unless the spec says otherwise"""
GAPS = ("", "nan", "NaN", "NA")
"""Texts for a missing number in a file that no spec describes"""
LONGEST_WORD = 1000
"""Maximum characters of a label or category"""


# ----- printed into deployed programs, so it uses only NumPy and the standard library ---------------------------------


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


def is_number(text: str) -> bool:
    """Whether a text is a number rather than a column name."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def to_number(value: Any) -> float | None:
    """A value or text as a finite number, or None."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    finite = number - number == 0.0
    return number if finite and "_" not in str(value) else None  # data files do not write 1_000


def read_number(value: Any, decimal: str = ".", thousands: str = "", mark: str = "") -> float | None:
    """A value or text as a finite number, or None: 1234.5 for "$1,234.50" with thousands "," and the mark "$".

    A mark is before or after the number. A currency may be left out; a number without its % may be a fraction.
    """
    if not isinstance(value, str):
        return None if mark == "%" else to_number(value)
    if (decimal, thousands, mark) == (".", "", ""):
        return to_number(value)
    text = " ".join(value.split())  # a space may be one that does not break
    sign = text[:1] if text[:1] in ("+", "-") else ""
    body = text[len(sign) :].strip()
    if mark and body.startswith(mark):
        body = body[len(mark) :].strip()
    elif mark and body.endswith(mark):
        body = body[: -len(mark)].strip()
    elif mark == "%":
        return None
    whole, point, rest = body.partition(decimal)
    if decimal != "." and "." in rest:
        return None
    groups = whole.split(thousands) if thousands else [whole]
    if len(groups) > 1 and not (0 < len(groups[0]) < 4 and all(len(group) == 3 for group in groups[1:])):
        return None
    joined = "".join(groups)
    if decimal != "." and "." in joined:
        return None
    return to_number(sign + joined + ("." + rest if point else ""))


# ----- a table of texts ----------------------------------------------------------------------------------------------


class Form(NamedTuple):
    """How the numbers of a column are written."""

    decimal: str = "."
    thousands: str = ""
    mark: str = ""

    @property
    def hint(self) -> str:
        """How they are written, for messages; nothing if as everywhere."""
        if self.mark:
            return f"the spec says that numbers of this column have the mark {self.mark!r}"
        if self == PLAIN:
            return ""
        return f"the spec says decimal {self.decimal!r} and thousands {self.thousands!r}"


PLAIN = Form()


DELIMITERS = ",;\t|"
"""What separates columns in most files"""


class Grid:
    """The texts of a file: the names of its columns, its rows, and the line number of each row.

    Raises   DataError for a file that is missing, empty, not UTF-8 text, ragged, or has duplicate column names
    """

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

    def numbers(self, name: str, missing: Sequence[str], hint: str, form: Form = PLAIN) -> Array:
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


def _token(text: str) -> str:
    """Which text was read as missing, and how to change it; nothing for an empty cell."""
    return f'. {text!r} counts as missing; if it is a value, give a list "missing" without it' if text else ""


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


@register("csv")
@frozen
class Csv(Source):
    """A table in a text file: a header, then one row per line.

    ``target`` is the column to predict, by name or number (-1 is the last), or a list of several. Texts, and the
    columns in ``categorical``, are labels; whole numbers may be labels, other numbers are values. ``inputs`` are the
    columns to learn from, by default all others except ``weight`` and those that the split names. Inputs are numbers,
    except those in ``categorical``, which become a column of 0 and 1 for each category of the training part (all 0
    for an unknown one), those in ``ordinal``, which become 0, 1, 2, … in the given order (-1 for an unknown one), and
    those in ``dates``: the year becomes a number, the month and the weekday become categories.
    An unknown category is logged as a warning. Equal numbers, such as 1 and 1.0, are one category.
    Dates are written like 2024-05-31 or 2024-05-31T09:05+02:00; the day counts as it is written, and the time and its
    zone are ignored. Columns in ``dates`` are inputs even if the split names them.
    ``missing`` lists the texts for a missing value, which is an error unless ``impute`` sets a replacement.
    ``decimal`` and ``thousands`` are the separators inside numbers. ``marks`` gives for columns of numbers the mark
    beside each, such as {"price": "$", "share": "%"}: 51.8% is read as 51.8, and without its % refused.
    Raises   DataError with the line and the column
    """

    endings = (".csv", ".tsv", ".txt")

    path: str
    target: str | int | tuple[str, ...] | tuple[int, ...]
    inputs: tuple[str, ...] | None = None
    categorical: Words = ()
    ordinal: Mapping[str, tuple[str, ...]] = field(factory=dict)
    weight: str | None = None
    missing: tuple[str, ...] = MISSING
    delimiter: str = ","
    header: bool = True
    decimal: Literal[".", ","] = "."
    thousands: Literal["", ",", ".", " ", "'"] = ""
    marks: Mapping[str, str] = field(factory=dict)
    dates: Words = ()

    def validate(self) -> Iterator[Problem]:
        if len(self.delimiter) != 1 or self.delimiter in '\r\n"\0':
            yield Problem(".delimiter", f"expected one character, such as ',' or '\\t', got {self.delimiter!r}")
        if self.thousands == self.decimal:
            yield Problem(".thousands", f"expected another character than decimal, got {self.thousands!r} for both")
        for name, mark in self.marks.items():
            if not mark.strip() or any(c.isdigit() or c in " .,'+-" for c in mark):
                yield Problem(f".marks.{name}", f"expected a text beside a number, such as '%' or '$', got {mark!r}")
        for name in self.categorical:
            if name in self.ordinal:
                yield Problem(".ordinal", f"{name!r} is in categorical too; a column is one or the other")
        for name in self.dates:
            others = {"categorical": self.categorical, "ordinal": self.ordinal, "marks": self.marks}
            for other in (other for other, listed_ in others.items() if name in listed_):
                yield Problem(".dates", f"{name!r} is in {other} too; a column of dates is in dates alone")
        for name, order in self.ordinal.items():
            if len(set(order)) < len(order) or not order:
                yield Problem(f".ordinal.{name}", "expected distinct categories, at least one")
        if self.target == ():
            yield Problem(".target", "expected a column to predict, got none")
        if self.inputs is not None and (not self.inputs or len(set(self.inputs)) < len(self.inputs)):
            yield Problem(".inputs", "expected distinct columns, at least one")

    @classmethod
    def inputs_in(cls, path: Path, source: Source, preprocess: Mapping[str, Any]) -> Inputs:
        """A table of numbers, one row per input, in the shape that inputs had in training."""
        delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
        grid = Grid(path, delimiter, header=False)
        names = grid.names
        if not all(map(is_number, grid.rows[0])):
            grid = Grid(path, delimiter)
            names = list(source.feature_names or grid.names)
            grid.require(names)
        shape = tuple(preprocess["shape"])
        if len(names) != math.prod(shape):
            raise DataError(f"{path}: expected {math.prod(shape)} columns of inputs, as in training, got {len(names)}")
        hint = "all inputs must be numbers"
        missing = GAPS if preprocess.get("fill") else ()
        columns = [grid.numbers(name, missing, hint) for name in names]
        return np.stack(columns, axis=1).reshape(-1, *shape)

    def new_inputs(self, path: Path, preprocess: Mapping[str, Any]) -> Inputs:
        self._require_text(path)
        return self.read(path, column_names(preprocess["columns"]))

    def elsewhere(self, path: Path, preprocess: Mapping[str, Any]) -> Source:
        self._require_text(path)
        inputs = tuple(column_names(preprocess["columns"]))
        return evolve(self, path=str(path.resolve()), split=None, inputs=inputs)

    def _require_text(self, path: Path) -> None:
        """Raise a DataError for an ending of another format; a text file may have any other, or none."""
        ending = path.suffix.lower()
        if ending and ending not in self.endings and ending in by_ending():
            raise DataError(
                f"{path}: the run was trained on a CSV file, whose columns are matched by name; give a .csv file"
            )

    def in_shape(self, base: Path) -> Shape | None:
        """None: it depends on the categories."""
        return None

    def _targets(self, grid: Grid) -> list[str]:
        several = self.target if isinstance(self.target, tuple) else (self.target,)
        names = [grid.column(name, "target") for name in several]
        twice = next((name for name, count in Counter(names).items() if count > 1), None)
        if twice is not None:
            raise DataError(f"{grid.path}: the column {twice!r} is named twice as a target")
        return names

    def _inputs(self, grid: Grid, targets: list[str]) -> list[str]:
        if self.inputs is None:
            aside = {*targets, *self.split_columns(), self.weight} - set(self.dates)
            names = [name for name in grid.names if name not in aside]
            if not names:
                raise DataError(f"{grid.path}: no column is left as an input besides the target {listed(targets)}")
            return names
        aside = set(targets)
        for name in self.inputs:
            if grid.column(name, "inputs") in aside:
                raise DataError(f"{grid.path}: the column {name!r} is both an input and the target")
        return list(self.inputs)

    def table(self, base: Path, key: Key) -> Table:
        grid = Grid(inside(base, self.path), self.delimiter, self.header)
        targets = self._targets(grid)
        inputs = self._inputs(grid, targets)
        for field_name in ("categorical", "ordinal", "marks", "dates"):
            for name in getattr(self, field_name):
                grid.column(name, field_name)
        for name in targets:
            if name in self.ordinal:
                raise DataError(f"{grid.path}: {name!r} is the target and is listed in ordinal; list it in categorical")
            if name in self.dates:
                raise DataError(f"{grid.path}: {name!r} is the target and is listed in dates; dates are inputs alone")
        columns = {grid.column(name, "split"): self._order(grid, name) for name in self.split_columns()}
        weight = None
        if self.weight is not None:
            name = grid.column(self.weight, "weight")
            weight = grid.numbers(name, (), "weights must not be missing", self.form(name))
        ys = [self._target(grid, name) for name in targets]
        if len(ys) > 1 and any(y.dtype.kind == "U" for y in ys):
            raise DataError(
                f"{grid.path}: expected numbers for several targets, got labels in {targets}; give one target"
            )
        y = ys[0] if len(ys) == 1 else np.stack([y.astype(np.float64) for y in ys], axis=1)
        return Table(self.frame(grid, inputs), y, weight=weight, columns=columns, outputs=tuple(targets))

    def _order(self, grid: Grid, name: str) -> Array:
        """A column to group by, as texts, or to order by: numbers, or ISO dates and times as texts."""
        words = grid.words(name)
        gap = next((i for i, text in enumerate(words.tolist()) if text in self.missing), None)
        if gap is not None:
            raise DataError(f"{grid.place(gap, name)}: the value is missing, and the split needs it")
        if self.split is not None and name == self.split.group:
            groups = distinct(words.tolist())
            return np.array(groups)[positions(words.tolist(), groups)]
        form = self.form(name)
        if all(read_number(text, *form) is None for text in words.tolist()):
            wrong = not_a_time(words)
            if wrong is not None:
                raise DataError(f"{grid.place(wrong[0], name)}: {wrong[1]}")
            return words
        return grid.numbers(name, (), "use only numbers to order rows, or only texts such as 2024-05-31", form)

    def form(self, name: str) -> Form:
        """How the numbers of a column are written."""
        return Form(self.decimal, self.thousands, self.marks.get(name, ""))

    def _target(self, grid: Grid, name: str) -> Array:
        """Labels as texts, whole numbers, or numbers."""
        texts = grid.texts(name)
        gap = next((i for i, text in enumerate(texts) if text in self.missing), None)
        if gap is not None:
            raise DataError(f"{grid.place(gap, name)}: the target is missing; leave the row out{_token(texts[gap])}")
        numbers = [read_number(text, *self.form(name)) for text in texts]
        if name in self.categorical or all(number is None for number in numbers):
            return grid.words(name)
        values = grid.numbers(name, (), f"list {name!r} in categorical if it holds labels", self.form(name))
        whole = all(text.lstrip("+-").isdigit() for text in texts) and np.abs(values).max() < MAX_INTEGER
        return values.astype(np.int64) if whole else values

    def frame(self, grid: Grid, names: list[str], trained: bool = False) -> Frame:
        """The inputs of a file, in the order of the names; ``trained``: for a network that has learned from others."""
        columns: dict[str, Array] = {}
        gaps: dict[str, Mapping[str, int]] = {}
        texts = {*self.categorical, *self.ordinal}
        for name in names:
            if name in texts:
                words = grid.words(name)
                absent = np.array([text in self.missing for text in words.tolist()])
                columns[name] = np.where(absent, "", words)
            elif name in self.dates:
                columns[name] = self._days(grid, name)
                absent = columns[name] == ""
            else:
                first = next((text for text in grid.texts(name) if text not in self.missing), "")
                hint = f"list {name!r} in categorical if it is a category, or the text in missing"
                if trained:
                    hint = "the training data had numbers here; correct the file"
                elif day_of(first) is not None:
                    hint = f"list {name!r} in dates, which become year, month and weekday"
                columns[name] = grid.numbers(name, self.missing, hint, self.form(name))
                absent = np.isnan(columns[name])
            if self.impute is None and absent.any():
                at = int(np.argmax(absent))
                advice = 'choose a replacement, such as "impute": "median"' + _token(grid.texts(name)[at])
                advice = "the training data had none missing here; fill it in" if trained else advice
                raise DataError(f"{grid.place(at, name)}: the value is missing; {advice}")
            gaps[name] = Counter(text for text in grid.texts(name) if text in self.missing) if absent.any() else {}
        return Frame(columns, np.array(grid.lines), gaps)

    def _days(self, grid: Grid, name: str) -> Array:
        """A column of dates as days, empty if missing.

        Raises   DataError for a text that is not a date, with its line and column
        """
        texts = grid.texts(name)
        days = {text: "" if text in self.missing else day_of(text) for text in set(texts)}
        wrong = next((i for i, text in enumerate(texts) if days[text] is None), None)
        if wrong is not None:
            hint = "write it so, or list the text in missing"
            raise DataError(f"{grid.place(wrong, name)}: expected {FORM}, got {texts[wrong]!r:.60}; {hint}")
        return np.array([str(days[text]) for text in texts])

    def read(self, path: Path, names: Sequence[str]) -> Frame:
        """The inputs of another file of this form, matched by name; other columns are ignored."""
        grid = Grid(path, self.delimiter, self.header)
        if self.header:
            grid.require(names)
        elif any(name not in grid.places for name in names):
            if len(grid.names) != len(names):
                raise DataError(f"{path}: expected {len(names)} columns, as in training, got {len(grid.names)}")
            grid.rename(names)  # the file without its targets
        return self.frame(grid, list(names), trained=True)
