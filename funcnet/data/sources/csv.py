"""Tables in text files: CSV and its relatives."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from attrs import field

from funcnet.data.number_texts import read_number as read_number
from funcnet.data.paths import inside
from funcnet.data.sources.base import Inputs, Source, Table
from funcnet.data.sources.grid import Grid, delimiter_of
from funcnet.data.sources.memory import Cells
from funcnet.data.sources.rows import JSON_LINES, blocks_of, tall
from funcnet.data.sources.table import MISSING as MISSING, Columns
from funcnet.errors import DataError, Problem
from funcnet.key import Array, Key
from funcnet.spec.base import evolve, register
from funcnet.spec.fields import Words, frozen, positive

GAPS = ("", "nan", "NaN", "NA")
"""Texts for a missing number in a file that no spec describes"""


@register("csv")
@frozen
class Csv(Columns):
    """A table in a text file: a header, then one row per line; in .jsonl and .ndjson a JSON object per line.

    ``target`` is the column to predict, by name or number (-1 is the last), or a list of several. Texts, and the
    columns in ``categorical``, are labels; whole numbers may be labels, other numbers are values. Several targets are
    all numbers, or all labels that are present or absent: yes or no, true or false, 1 or 0. ``inputs`` are the
    columns to learn from, by default all others except ``weight`` and those that the split names. Inputs are numbers,
    except those in ``categorical``, which become a column of 0 and 1 for each category of the training part (all 0
    for an unknown one), those in ``ordinal``, which become 0, 1, 2, … in the given order (-1 for an unknown one), and
    those in ``dates``: the year becomes a number, the month and the weekday become categories.
    An unknown category is logged as a warning. With ``max_categories`` a column of ``categorical`` has columns of 0 and
    1 for that many of its categories, the most frequent ones of the training part, and 0 in all of them for any other.
    Equal numbers, such as 1 and 1.0, are one category.
    Dates are written like 2024-05-31 or 2024-05-31T09:05+02:00; the day counts as it is written, and the time and its
    zone are ignored. Columns in ``dates`` are inputs even if the split names them.
    ``missing`` lists the texts for a missing value, which is an error unless ``impute`` sets a replacement. A missing
    target is an error too; with ``missing_target`` "drop", rows without all their targets are left out everywhere.
    ``decimal`` and ``thousands`` are the separators inside numbers. ``marks`` gives for columns of numbers the mark
    beside each, such as {"price": "$", "share": "%"}: 51.8% is read as 51.8, and without its % refused.
    Raises   DataError with the line and the column
    """

    endings = (".csv", ".tsv", ".txt", *JSON_LINES)

    path: str  # type: ignore[misc]  # a default of the base may come before it, but all fields are declared again here
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
    missing_target: Literal["error", "drop"] = "error"
    max_categories: int | None = field(default=None, validator=positive)

    def validate(self) -> Iterator[Problem]:
        if len(self.delimiter) != 1 or self.delimiter in '\r\n"\0':
            yield Problem(".delimiter", f"expected one character, such as ',' or '\\t', got {self.delimiter!r}")
        yield from super().validate()

    @classmethod
    def inputs_in(cls, path: Path, source: Source, preprocess: Mapping[str, Any]) -> Inputs:
        """A table of numbers, one row per input, in the shape that inputs had in training."""
        return np.concatenate(list(cls.blocks_in(path, source, preprocess)))

    @classmethod
    def blocks_in(
        cls, path: Path | str, source: Source, preprocess: Mapping[str, Any], file: Any = None
    ) -> Iterator[Array]:
        """The same some rows at a time; an open binary ``file``, such as a pipe, is called ``path`` in messages."""
        shape, names, order, empty = tuple(preprocess["shape"]), None, None, True
        hint = "all inputs must be numbers"
        for block in blocks_of(path, delimiter_of(Path(path)), False, file):
            grid = block
            if names is None:
                grid = block if isinstance(block, Cells) else block.headed()
                names = grid.names
                order = list(source.feature_names or names) if grid.named else names
            elif not isinstance(block, Cells):
                grid.rename(names)
            assert order is not None
            grid.require(order)
            if len(order) != math.prod(shape):
                raise DataError(
                    f"{path}: expected {math.prod(shape)} columns of inputs, as in training, got {len(order)}"
                )
            missing = (*GAPS, *grid.gaps) if preprocess.get("fill") else ()
            if len(grid.lines):
                empty = False
                columns = [grid.numbers(name, missing, hint) for name in order]
                yield np.stack(columns, axis=1).reshape(-1, *shape)
        if empty:
            raise DataError(f"{path}: has no rows below its header")

    def table(self, base: Path, key: Key) -> Table:
        return self.treated(tall(blocks_of(inside(base, self.path), self.delimiter, self.header)))

    def in_file(self, path: Path) -> Columns:
        return evolve(self, path=str(path.resolve()))

    def grids_of(self, path: Path | str, names: Sequence[str], file: Any = None) -> Iterator[Grid]:
        for grid in blocks_of(path, self.delimiter, self.header, file):
            if not self.header and any(name not in grid.places for name in names):
                if len(grid.names) != len(names):
                    raise DataError(f"{path}: expected {len(names)} columns, as in training, got {len(grid.names)}")
                grid.rename(names)  # the file without its targets
            yield grid
