"""Tables in memory, read as those in files are: dicts of columns, lists of dicts, structured arrays, data frames."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import date, time
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from funcnet.data.number_texts import PLAIN, Form, read_number, to_number
from funcnet.data.sources.grid import Grid
from funcnet.errors import DataError, listed
from funcnet.key import Array

Cell = str | float | np.floating[Any] | bool | None
"""A value of a table in memory, None if missing; dates and times are ISO texts"""
FORMS = "a dict of columns, a list of dicts, or a data frame"


class ABSENT:
    """In place of a value that a row lacks; the class itself, which is the same after pickling too."""


CURES = {
    "timedelta": "turn it into a number, such as its seconds",
    "period": "turn it into a date, such as its first day",
    "interval": "turn it into a number, such as its middle, or into a text",
    "bytes": "decode it into a text",
}
"""What to do about a value, by its type"""


class Cells(Grid):
    """The values of a table in memory by column, with the texts that a file would have for them.

    Raises   DataError for a table without rows or columns, columns of unequal lengths, names that are not texts or
             not distinct, and a value that is not a number, a text, a date or a time
    """

    what = "table"
    unit = "row"
    gaps = ("",)
    none: ClassVar[str] = "None"
    """How a missing value is written"""

    def __init__(
        self,
        names: Sequence[Any],
        columns: Sequence[Any],
        path: Path | str = "the table",
        lines: Sequence[int] | None = None,
    ) -> None:
        self.path = path
        self.rename([self._name(name) for name in names])
        twice = next((name for name, count in Counter(self.names).items() if count > 1), None)
        if twice is not None:
            raise DataError(f"{self.path}: two columns are called {twice!r}; rename one")
        self._given = dict(zip(self.names, columns, strict=True))
        if not self._given:
            raise DataError(f"{self.path}: has no columns")
        sizes = {name: self._size(name, values) for name, values in self._given.items()}
        first, rows = next(iter(sizes.items()))
        other = next((name for name, size in sizes.items() if size != rows), None)
        if other is not None:
            values = f"{rows} values of {first!r} and {sizes[other]} of {other!r}"
            raise DataError(f"{self.path}: expected columns of one length, got {values}")
        if rows == 0:
            raise DataError(f"{self.path}: has no rows; give at least one")
        self.lines = range(rows) if lines is None else lines
        self._columns: dict[str, Any] = {}
        self._cells: dict[str, list[Cell]] = {}

    def _size(self, name: str, values: Any) -> int:
        if isinstance(values, str) or not hasattr(values, "__len__") or getattr(values, "ndim", 1) == 0:
            raise self._no_list(name, values)
        return len(values)

    def _no_list(self, name: str, values: Any) -> DataError:
        return DataError(
            f"{self.path}: expected a list of values as the column {name!r}, got {values!r:.60}; "
            "a single row is a list of one dict"
        )

    def _name(self, name: Any) -> str:
        if not isinstance(name, str):
            raise DataError(f"{self.path}: expected texts as the names of columns, got {name!r}; rename it")
        return self._text(name, f"{self.path}: the name of a column")

    def _text(self, text: str, where: str) -> str:
        """A text without the spaces at its ends; one that no file can hold is refused."""
        try:
            text.encode()
        except UnicodeEncodeError as error:
            code = f"{ord(text[error.start]):#x}"
            raise DataError(f"{where}: expected Unicode text, got the code {code}; write the text again") from None
        return text.strip()

    def joined(self, others: Sequence[Grid], names: Sequence[str]) -> Grid:
        whole = copy.copy(self)
        grids = [self, *(grid for grid in others if isinstance(grid, Cells))]
        whole._given = {name: [value for grid in grids for value in grid._given[name]] for name in names}
        whole.lines = [line for grid in grids for line in grid.lines]
        whole._columns, whole._cells = {}, {}
        whole.rename(names)
        return whole

    def taken(self, rows: Sequence[int], names: Sequence[str]) -> Grid:
        part, at = copy.copy(self), np.array(rows, np.intp)
        part._given = {
            name: values[at] if isinstance(values, np.ndarray) else [values[row] for row in rows]
            for name, values in ((name, self.column_of(name)) for name in names)
        }
        part.lines = [self.lines[row] for row in rows]
        part._columns, part._cells = {}, {}
        part.rename(names)
        return part

    def column_of(self, name: str) -> Any:
        """The values of a column: an array of numbers, or a list of anything."""
        if name not in self._columns:
            self._columns[name] = self._column(name, self._given[name])
        return self._columns[name]

    def _column(self, name: str, values: Any) -> Any:
        if not isinstance(values, np.ndarray | list | tuple | range):
            kind = str(getattr(values, "dtype", getattr(values, "type", ""))).lower()
            array = np.asarray(values) if kind.startswith(("int", "uint", "float", "double")) else None
            numbers = array is not None and array.dtype.kind in "fiu"
            names = ("to_pylist", "to_list", "tolist")  # of pyarrow, of pandas and polars, of other arrays
            as_list = next((getattr(values, name) for name in names if hasattr(values, name)), None)
            if as_list is None and not numbers:
                raise self._no_list(name, values)
            values = array if numbers or as_list is None else as_list()
        if not isinstance(values, np.ndarray):
            return values
        if values.ndim != 1:
            raise DataError(
                f"{self.path}: expected one value for each row in the column {name!r}, got an array of {values.shape}"
            )
        if values.dtype.kind == "M":
            return [None if text == "NaT" else text for text in np.datetime_as_string(values).tolist()]
        if values.dtype.kind == "m":  # tolist would make integers of some
            return list(values)
        plain = values.dtype.kind in "fiub" and not isinstance(values, np.ma.MaskedArray)
        return values if plain else values.tolist()

    def cells(self, name: str) -> list[Cell]:
        """The values of a column."""
        if name not in self._cells:
            values = self.column_of(name)
            exact = isinstance(values, np.ndarray) and (values.dtype.kind != "f" or values.dtype == np.float64)
            raw = values.tolist() if exact else values  # 0.1 in float32 is 0.1 as a text, and another number in float64
            self._cells[name] = [self._cell(value, row, name) for row, value in enumerate(raw)]
        return self._cells[name]

    def _cell(self, value: Any, row: int, name: str) -> Cell:
        kind = type(value).__name__
        if value is None or kind in ("NAType", "NaTType"):  # those of pandas
            return None
        if isinstance(value, str):
            return self._text(value, self.place(row, name)) if not value.isascii() else value.strip()
        if isinstance(value, np.datetime64):
            return None if np.isnat(value) else str(np.datetime_as_string(value))
        if isinstance(value, bool | np.bool_):
            return bool(value)
        if isinstance(value, int | np.integer):
            if int(value).bit_length() > 1024:  # as a text it may be too long for Python
                raise DataError(f"{self.place(row, name)}: expected a number below 1.8e308, got a larger integer")
            return int(value)
        if isinstance(value, Decimal):
            return None if value.is_nan() else float(value)
        if isinstance(value, float | np.floating):
            return None if value != value else value if isinstance(value, np.floating) else float(value)
        if isinstance(value, date | time):
            return value.isoformat()
        if value is ABSENT:
            raise DataError(
                f"{self.place(row, name)}: this row has no such value; write {self.none} where one is missing"
            )
        how = CURES.get(kind.lower().removesuffix("64"), "turn it into one of them, or leave the column out")
        raise DataError(
            f"{self.place(row, name)}: expected a number, a text, a date or {self.none}, got a {kind}; {how}"
        )

    def values(self, name: str) -> list[str]:
        return self.texts(name)

    def texts(self, name: str) -> list[str]:
        return list(map(_text, self.cells(name)))

    def first(self, name: str, missing: Collection[str]) -> str:
        return next((text for text in map(_text, self.cells(name)) if text not in missing), "")

    def place(self, row: int, name: str) -> str:
        """The row, counted from 0, and the column of a value."""
        return f"row {self.lines[row]}, column {name!r}"

    def known(self) -> str:
        return listed(self.names)

    def numbers(self, name: str, missing: Collection[str], hint: str, form: Form = PLAIN) -> Array:
        column = self.column_of(name)
        if isinstance(column, np.ndarray) and form.mark != "%" and not np.isinf(column).any():
            return _without(column, missing)
        values = np.empty(len(self.lines))
        for row, cell in enumerate(self.cells(name)):
            number = np.nan if _text(cell) in missing else read_number(cell, *form)
            if number is None:
                self._check_finite(row, name)
                raise DataError(f"{self.place(row, name)}: expected a number, got {cell!r:.60}; {form.hint or hint}")
            values[row] = number
        return values

    def words(self, name: str, missing: Collection[str] = ()) -> Array:
        for row, cell in enumerate(self.cells(name)):
            if isinstance(cell, float | np.floating) and _text(cell) not in missing:
                self._check_finite(row, name)
        return super().words(name, missing)

    def _check_finite(self, row: int, name: str) -> None:
        cell = self.cells(name)[row]
        if isinstance(cell, float | np.floating) and np.isinf(cell):
            where = self.place(row, name)
            raise DataError(f"{where}: expected a finite number, got {cell}; replace it, or leave the row out")


def _text(cell: Cell) -> str:
    """What a file has for a value."""
    return "" if cell is None else str(cell)


def _without(column: Array, missing: Collection[str]) -> Array:
    """A column of numbers, NaN for those whose text is a missing value, such as -999."""
    values = column.astype(np.float64)
    for text in missing:
        number = to_number(text)
        same = column == number if number is not None else np.zeros(0, bool)
        if same.any() and str(column[int(np.argmax(same))]) == text:
            values[same] = np.nan
    return values


def table_of(value: Any) -> Cells | None:
    """The table that a value is; None for arrays and anything else.

    Raises   DataError as ``Cells`` does, and for a data frame that has not been computed
    """
    if isinstance(value, Mapping):
        return Cells(list(value), list(value.values()))
    if isinstance(value, list) and value and isinstance(value[0], Mapping):
        odd = next((row for row, one in enumerate(value) if not isinstance(one, Mapping)), None)
        if odd is not None:
            raise DataError(f"row {odd}: expected a dict, as the rows before are, got a {type(value[odd]).__name__}")
        names = list(dict.fromkeys(name for row in value for name in row))
        return Cells(names, [[row.get(name, ABSENT) for row in value] for name in names])
    if isinstance(value, np.ndarray):
        names = list(value.dtype.names or ())
        return Cells(names, [value[name] for name in names]) if names else None
    attribute = next((name for name in ("column_names", "columns") if hasattr(type(value), name)), None)
    if attribute is None:
        return None
    lazy = next((name for name in ("collect", "compute") if hasattr(value, name)), None)
    if lazy is not None:
        raise DataError(f"expected a data frame with its rows in memory, got a lazy one; call its {lazy}() first")
    if not hasattr(value, "shape"):
        return None
    names = list(getattr(value, attribute))
    twice = next((name for name, count in Counter(map(str, names)).items() if count > 1), None)
    if twice is not None:  # a name then gives several columns
        raise DataError(f"the table: two columns are called {twice!r}; rename one")
    return Cells(names, [value[name] for name in names])


def as_table(value: Any, names: Sequence[str] = ()) -> Cells:
    """The table that a value is, which has columns of these ``names``.

    Raises   DataError as ``table_of`` does, and for anything else
    """
    table = value if isinstance(value, Cells) else table_of(value)
    if table is None:
        if isinstance(value, list) and not value:
            raise DataError("the table: has no rows; give at least one")
        which = f" with the columns {listed(names)}" if names else ""
        got = f"an array of {value.shape}" if isinstance(value, np.ndarray) else f"a {type(value).__name__}"
        raise DataError(f"expected a table{which}: {FORMS}, got {got}")
    return table
