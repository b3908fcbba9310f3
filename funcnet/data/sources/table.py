"""Tables: how their columns become inputs and targets, apart from where their rows come from."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from attrs import field

from funcnet.data.categories import distinct, positions, presence
from funcnet.data.columns import column_names
from funcnet.data.dates import FORM, day_of, days_of
from funcnet.data.in_time import not_a_time
from funcnet.data.number_texts import Form, read_number
from funcnet.data.sources.base import Frame, Inputs, Source, Table, by_ending, joined
from funcnet.data.sources.gathering import Gathering
from funcnet.data.sources.grid import Grid, delimiter_of
from funcnet.data.sources.rows import blocks_of
from funcnet.errors import DataError, Problem, listed
from funcnet.key import Array, Key
from funcnet.shapes import Shape
from funcnet.spec.base import evolve, register
from funcnet.spec.class_fields import fields
from funcnet.spec.convert import MAX_INTEGER
from funcnet.spec.fields import Words, frozen, positive
from funcnet.spec.registry import tags

MISSING = ("", "NA", "N/A", "na", "NaN", "nan", "null", "NULL", "?")
"""Texts for a missing value, unless the spec says otherwise"""


@register("columns")
@frozen
class Columns(Source):
    """How the columns of a table are used; its rows are given in Python: ``fn.run(experiment, data=table)``.

    A table is a dict of columns, a list of dicts, a structured array, or a data frame of pandas, polars or pyarrow.
    Columns are matched by name. Numbers and texts count as in a CSV file, so ``Csv`` explains the fields. None, NaN,
    NaT and NA are missing values. A boolean is 1 or 0; in ``categorical`` it is the category True or False, and as a
    target the label True or False. Dates and times count as ISO texts, in the time zone that they have.
    Raises   DataError with the row and the column; for a table without rows, duplicate column names, and columns of
             unequal lengths
    """

    target: str | int | tuple[str, ...] | tuple[int, ...]
    inputs: tuple[str, ...] | None = None
    categorical: Words = ()
    ordinal: Mapping[str, tuple[str, ...]] = field(factory=dict)
    weight: str | None = None
    missing: tuple[str, ...] = MISSING
    decimal: Literal[".", ","] = "."
    thousands: Literal["", ",", ".", " ", "'"] = ""
    marks: Mapping[str, str] = field(factory=dict)
    dates: Words = ()
    missing_target: Literal["error", "drop"] = "error"
    max_categories: int | None = field(default=None, validator=positive)

    def validate(self) -> Iterator[Problem]:
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

    def in_shape(self, base: Path) -> Shape | None:
        """None: it depends on the categories."""
        return None

    # ----- other rows, for a network that was trained on this table -------------------------------------------------

    def new_inputs(self, path: Path, preprocess: Mapping[str, Any]) -> Inputs:
        self._require_text(path)
        return self.read(path, column_names(preprocess["columns"]))

    def input_blocks(self, path: Path | str, preprocess: Mapping[str, Any], file: Any = None) -> Iterator[Inputs]:
        names = column_names(preprocess["columns"])
        if file is None:
            self._require_text(Path(path))
        return (self._matched(grid, names) for grid in self.grids_of(path, names, file))

    def inputs_of(self, grid: Grid, preprocess: Mapping[str, Any]) -> Inputs:
        return self._matched(grid, column_names(preprocess["columns"]))

    def elsewhere(self, path: Path, preprocess: Mapping[str, Any]) -> Source:
        self._require_text(path)
        return self.in_file(path).again(preprocess)

    def in_file(self, path: Path) -> Columns:
        """This table in a CSV file."""
        csv: Any = tags("data")["csv"]
        return csv(path=str(path.resolve()), delimiter=delimiter_of(path), **self.treatment)

    def again(self, preprocess: Mapping[str, Any]) -> Columns:
        """This table for other rows: with the inputs of the training data, and without a split."""
        return evolve(self, split=None, inputs=tuple(column_names(preprocess["columns"])))

    @property
    def treatment(self) -> dict[str, Any]:
        """How the columns are used, by field."""
        return {field.name: getattr(self, field.name) for field in fields(Columns)}

    def grids_of(self, path: Path | str, names: Sequence[str], file: Any = None) -> Iterator[Grid]:
        """The texts of another file some rows at a time, with columns of these names."""
        return blocks_of(path, delimiter_of(Path(path)), True, file)

    def read(self, path: Path, names: Sequence[str]) -> Frame:
        """The inputs of another file of this form, matched by name; other columns are ignored."""
        return joined([self._matched(grid, names) for grid in self.grids_of(path, names)])

    def _matched(self, grid: Grid, names: Sequence[str]) -> Frame:
        grid.require(names)
        return self.frame(grid, list(names), trained=True)

    def _require_text(self, path: Path) -> None:
        """Raise a DataError for an ending of another format; a text file may have any other, or none."""
        ending, formats = path.suffix.lower(), by_ending()
        if ending and ending in formats and formats[ending].tag != "csv":
            what = "a CSV file" if self.tag == "csv" else "a table"
            raise DataError(
                f"{path}: the run was trained on {what}, whose columns are matched by name; give a .csv file"
            )

    # ----- rows for training ---------------------------------------------------------------------------------------

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
        raise DataError(
            "the rows of this table are in no file: give them in Python, as in fn.run(experiment, data=table); "
            "for rows in a file, give a source that names it, such as csv"
        )

    def treated(self, rows: Grid | Iterable[Grid]) -> Table:
        """The inputs, targets and weights of a table, which may come in blocks: their inputs become arrays first."""
        whole = Gathering(math.inf if isinstance(rows, Grid) else None)
        first: dict[str, str] = {}
        left_out: list[Array] = []
        for grid in (rows,) if isinstance(rows, Grid) else rows:
            if not left_out:
                targets, inputs = self._columns(grid)
                kept = list(dict.fromkeys([*targets, *self.split_columns(), *([self.weight] if self.weight else [])]))
                kept = [grid.column(name, "weight" if name == self.weight else "split") for name in kept]
            left_out.append(self._without_target(grid, targets))
            if left_out[-1].any():
                grid = grid.taken(np.flatnonzero(~left_out[-1]).tolist(), list(dict.fromkeys([*inputs, *kept])))
            if len(grid.lines):
                whole.add(self.frame(grid, inputs, first=first), grid if grid is rows else grid.joined((), kept))
        gone = np.concatenate(left_out)
        if gone.all():
            raise DataError(f"{grid.path}: the target {listed(targets)} is missing in all rows, which leaves none")
        columns = {name: self._order(whole, name) for name in self.split_columns()}
        weight = None
        if self.weight is not None:
            weight = self._numbers(whole, self.weight, "weights must not be missing")
        ys = [self._target(whole, name) for name in targets]
        present = len(ys) > 1 and any(y.dtype.kind == "U" for y in ys)
        if present:
            ys = [np.concatenate([self._presence(grid, name) for grid in whole]) for name in targets]
        y = ys[0] if len(ys) == 1 else np.stack([y.astype(np.float64) for y in ys], axis=1)
        gaps = gone if gone.any() else None
        return Table(whole.frame(), y, None, weight, columns, None, tuple(targets), present, gaps)

    def _numbers(self, grids: Iterable[Grid], name: str, hint: str) -> Array:
        """A column of numbers, of which none is missing."""
        return np.concatenate([grid.numbers(name, (), hint, self.form(name)) for grid in grids])

    def _columns(self, grid: Grid) -> tuple[list[str], list[str]]:
        """The targets and the inputs, and whether the table has all columns that the fields name."""
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
        return targets, inputs

    def _without_target(self, grid: Grid, targets: list[str]) -> Array:
        """Whether each row is left out, since one of its targets is missing."""
        gone = np.zeros(len(grid.lines), bool)
        if self.missing_target == "drop":
            missing = self._missing(grid)
            for name in targets:
                gone |= np.fromiter(map(missing.__contains__, grid.texts(name)), bool, len(gone))
        return gone

    def _presence(self, grid: Grid, name: str) -> Array:
        """1 where one of several labels is present, 0 where it is absent.

        Raises   DataError for a value that is neither
        """
        texts = grid.texts(name)
        known = {text: presence(text) for text in set(texts)}
        wrong = next((i for i, text in enumerate(texts) if known[text] is None), None)
        if wrong is not None:
            raise DataError(
                f"{grid.place(wrong, name)}: expected several targets to be numbers, or labels that are present or "
                f"absent (yes or no, true or false, 1 or 0), got {texts[wrong]!r:.60}; give one target, or a column of "
                "1 and 0 for each label"
            )
        return np.array([known[text] for text in texts], np.float64)

    def _order(self, grids: Iterable[Grid], name: str) -> Array:
        """A column to group by, as texts, or to order by: numbers, or ISO dates and times as texts."""
        for grid in grids:
            missing = self._missing(grid)
            gap = next((i for i, text in enumerate(grid.words(name).tolist()) if text in missing), None)
            if gap is not None:
                raise DataError(f"{grid.place(gap, name)}: the value is missing, and the split needs it")
        if self.split is not None and name == self.split.group:
            groups = distinct(text for grid in grids for text in grid.texts(name))
            return np.concatenate([np.array(groups)[positions(grid.texts(name), groups)] for grid in grids])
        if self._is_text(grids, name):
            words = np.concatenate([grid.words(name) for grid in grids])
            wrong = not_a_time(words)
            if wrong is not None:
                raise DataError(f"{_place(grids, wrong[0], name)}: {wrong[1]}")
            return words
        return self._numbers(grids, name, "use only numbers to order rows, or only texts such as 2024-05-31")

    def _is_text(self, grids: Iterable[Grid], name: str) -> bool:
        """Whether no text of a column is a number."""
        form = self.form(name)
        return all(read_number(text, *form) is None for grid in grids for text in set(grid.texts(name)))

    def _missing(self, grid: Grid) -> frozenset[str]:
        """The texts for a missing value."""
        return frozenset((*self.missing, *grid.gaps))

    def form(self, name: str) -> Form:
        """How the numbers of a column are written."""
        return Form(self.decimal, self.thousands, self.marks.get(name, ""))

    def _target(self, grids: Iterable[Grid], name: str) -> Array:
        """Labels as texts, whole numbers, or numbers."""
        for grid in grids:
            texts, missing = grid.texts(name), self._missing(grid)
            gap = next((i for i, text in enumerate(texts) if text in missing), None)
            if gap is not None:
                token = _token(texts[gap])
                how = '; "missing_target": "drop" leaves out all such rows'
                raise DataError(f"{grid.place(gap, name)}: the target is missing; leave the row out{token}{how}")
        if name in self.categorical or self._is_text(grids, name):
            return np.concatenate([grid.words(name) for grid in grids])
        values = self._numbers(grids, name, f"list {name!r} in categorical if it holds labels")
        whole = all(text.lstrip("+-").isdigit() for grid in grids for text in grid.texts(name))
        return values.astype(np.int64) if whole and np.abs(values).max() < MAX_INTEGER else values

    def frame(self, grid: Grid, names: list[str], trained: bool = False, first: dict[str, str] | None = None) -> Frame:
        """The inputs of a table, in the order of the names; ``trained``: for a network that has learned from others.

        ``first`` has the first text of each column that is not missing, of the blocks before.
        """
        first = {} if first is None else first
        missing = self._missing(grid)
        columns: dict[str, Array] = {}
        gaps: dict[str, Mapping[str, int]] = {}
        texts = {*self.categorical, *self.ordinal}
        for name in names:
            if name in texts:
                columns[name] = grid.words(name, missing)
                absent = grid.gaps_in(name, missing)
            elif name in self.dates:
                columns[name] = self._days(grid, name)
                absent = columns[name] == ""
            else:
                hint = f"the training data had numbers here; correct the {grid.what}"
                if not trained:
                    hint = f"list {name!r} in categorical if it is a category, or the text in missing"
                    first[name] = first.get(name) or grid.first(name, missing)
                    if day_of(first[name]) is not None:
                        hint = f"list {name!r} in dates, which become year, month and weekday"
                columns[name] = grid.numbers(name, missing, hint, self.form(name))
                absent = np.isnan(columns[name])
            if self.impute is None and absent.any():
                at = int(np.argmax(absent))
                advice = 'choose a replacement, such as "impute": "median"' + _token(grid.texts(name)[at])
                advice = "the training data had none missing here; fill it in" if trained else advice
                raise DataError(f"{grid.place(at, name)}: the value is missing; {advice}")
            counted = not trained and absent.any()
            gaps[name] = Counter(text for text in grid.texts(name) if text in missing) if counted else {}
        rows = grid.lines
        lines = np.arange(rows.start, rows.stop) if isinstance(rows, range) else np.array(rows)
        return Frame(columns, lines, gaps, grid.unit)

    def _days(self, grid: Grid, name: str) -> Array:
        """A column of dates as days, empty if missing.

        Raises   DataError for a text that is not a date, with its line and column
        """
        words, missing = grid.words(name, self._missing(grid)), self._missing(grid)
        if days_of(words) is not None:
            return words
        texts = grid.texts(name)
        days = {text: "" if text in missing else day_of(text) for text in set(texts)}
        wrong = next((i for i, text in enumerate(texts) if days[text] is None), None)
        if wrong is not None:
            hint = "write it so, or list the text in missing"
            raise DataError(f"{grid.place(wrong, name)}: expected {FORM}, got {texts[wrong]!r:.60}; {hint}")
        return np.array([str(days[text]) for text in texts])


def in_memory(source: Source) -> Columns:
    """The source of a table whose rows are given in Python, with the columns of this one.

    Raises   DataError for a source of arrays, and a split that names files
    """
    if not isinstance(source, Columns):
        raise DataError(
            f"data: a table needs a source that says how its columns are used, such as "
            f"fn.data.Columns(target='price'), got {type(source).__name__}"
        )
    if source.split is not None and source.split.given:
        raise DataError("split.given: names files, and the rows are given in Python; hold out fractions of them")
    return Columns(**source.treatment)


def _place(grids: Iterable[Grid], row: int, name: str) -> str:
    """The place of a value, by the number of its row among all blocks."""
    for grid in grids:
        if row < len(grid.lines):
            break
        row -= len(grid.lines)
    return grid.place(row, name)


def _token(text: str) -> str:
    """Which text was read as missing, and how to change it; nothing for an empty cell."""
    return f'. {text!r} counts as missing; if it is a value, give a list "missing" without it' if text else ""
