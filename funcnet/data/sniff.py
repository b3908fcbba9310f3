"""Infer the type and the role of each column of a table."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from funcnet.data.blocks import Blocks, FirstLook, first_look, incomplete, without_target
from funcnet.data.categories import presence
from funcnet.data.dates import FORM
from funcnet.data.number_forms import OTHER_MISSING, separators, spaced
from funcnet.data.number_texts import Form, read_number
from funcnet.data.seen import Seen, Some, first_of, rows_of
from funcnet.data.sources.csv import MISSING
from funcnet.data.sources.grid import Grid
from funcnet.data.sources.memory import Cells
from funcnet.data.sources.rows import blocks_of, is_json
from funcnet.data.text_form import form
from funcnet.errors import DataError

Kind = Literal["number", "category", "date", "left out", "labels", "values"]
Task = Literal["labels", "values"]

INPUTS = ("number", "category", "date")
NUMBERING = "numbers the rows"
FEW = 50
"""Maximum categories of a column; each becomes a column of 0 and 1"""
MANY, MOST = 200, 200
"""Rows from which on a column of more categories is taken, and how many are told apart at most"""
LABELS = 10
"""Whole numbers with at most this many distinct values, each five times on average, are taken as labels"""
ID = re.compile(r"(.*[_ -])?(id|ID|Id)|.*[a-z](ID|Id)")


class Column(NamedTuple):
    """A column and its role."""

    name: str
    kind: Kind
    distinct: int
    missing: int
    example: str
    """The first value that is not missing"""
    reason: str = ""
    """Why the column is left out"""


class Findings(NamedTuple):
    """A table: how to read it, its columns, and its target."""

    table: Blocks
    rows: int
    """Its rows, without those that are left out"""
    missing: tuple[str, ...]
    """Texts for a missing value, beyond the usual ones"""
    columns: tuple[Column, ...]
    target: Column
    counts: dict[str, int]
    """The rows of each label, or those in which each of several labels is present; empty for values"""
    decimal: Any = "."
    thousands: Any = ""
    marks: dict[str, str] = {}
    """The mark beside each number of a column, such as "%" """
    delimiter: str = ","
    header: bool = True
    more: tuple[Column, ...] = ()
    """Further targets; all of them are values, or labels that are present or absent"""
    gaps: Mapping[str, int] = {}
    """How many rows are left out since a target is missing, by its text"""
    max_categories: int | None = None
    """The categories to keep of each column, if one has more: its most frequent ones"""
    incomplete: bool = False
    """Whether a row that is left out lacks a value of an input"""
    timed: frozenset[str] = frozenset()
    """The columns of dates in which some have a time of the day"""

    @property
    def grid(self) -> Grid:
        """All rows in memory, without those that are left out."""
        return self.table.whole()

    @property
    def targets(self) -> tuple[Column, ...]:
        """All targets."""
        return (self.target, *self.more)

    @property
    def inputs(self) -> list[Column]:
        """The columns to learn from."""
        return [column for column in self.columns if column.kind in INPUTS]

    @property
    def left_out(self) -> list[Column]:
        """The columns that are not inputs, each with a reason."""
        return [column for column in self.columns if column.kind == "left out"]


def look(path: Path, target: str | Sequence[str] | None = None, task: Task | None = None) -> Findings:
    """Describe the table in a file as ``describe`` does, after finding its delimiter and its header.

    Raises   DataError for a file that cannot be read, and as ``describe`` does
    """
    delimiter, header = (",", True) if is_json(path, None) else form(path)
    found = describe(lambda: blocks_of(path, delimiter, header), target, task)
    return found._replace(delimiter=delimiter, header=header)


def describe(
    rows: Grid | Callable[[], Iterable[Grid]], target: str | Sequence[str] | None = None, task: Task | None = None
) -> Findings:
    """Describe a table, or the blocks of one; the last column is the target unless another is named, or several.

    The blocks are read a few times, and what is kept of them does not grow with their number.
    Raises   DataError for a target that is absent or unsuitable, and a table without a column to learn from
    """
    table = Blocks((lambda: (rows,)) if isinstance(rows, Grid) else rows)
    grid, looks = first_look(table)
    if len(grid.names) == 1:
        separated = "" if isinstance(grid, Cells) else ", separated by a comma, semicolon, tab or bar"
        raise DataError(
            f"{grid.path}: has only one column, {grid.names[0]!r}; expected at least one to learn from and one to "
            f"predict{separated}"
        )
    asked = [target] if target is None or isinstance(target, str) else list(target)
    names = list(dict.fromkeys(_target_name(grid, looks, one) for one in asked))
    name = names[0]
    gaps = without_target(table, names) if any(looks[one].gaps for one in names) else Counter()
    if gaps:
        table = Blocks(table.blocks, names)
        grid, looks = first_look(table)
    plain = {other for other in grid.names if looks[other].plain}
    decimal, thousands = separators(one.written for one in looks.values())
    forms = {
        other: Form(decimal, thousands, "" if other in plain else looks[other].written.mark) for other in grid.names
    }
    plain = plain if decimal == "." else set()  # else 1.234 may be 1234
    seen = {other: Seen(forms[other], other in names) for other in grid.names}
    for some, places in table:
        for other, one in seen.items():
            one.add(some.texts(other), some.lines, places)
    odd = {text for other in grid.names if other not in names and other not in plain for text in _odd_gaps(seen[other])}
    odd -= {some.text for one in names for some in seen[one].natures if some.nature.gap is not None}
    missing = tuple(sorted(odd, key=lambda text: (OTHER_MISSING.index(text.lower()), text)))
    if len(names) > 1:
        task = _several(grid, names, task, seen)
    which = "" if target is not None else "the last column "
    targets = {one: _target(grid, one, task, which, seen[one]) for one in names}
    found, *more = targets.values()
    columns = [
        targets[other]
        if other in targets
        else _input(grid, other, () if other in plain else (*MISSING, *missing), seen[other], gaps=bool(gaps))
        for other in grid.names
    ]
    if found.kind == "labels":
        same = _equivalent(table, columns, seen, names)
        columns = [
            c._replace(kind="left out", reason="is equivalent to the target") if c.name in same else c for c in columns
        ]
    if not any(column.kind in INPUTS for column in columns):  # a row number is better than nothing
        columns = [c._replace(kind="number", reason="") if c.reason == NUMBERING else c for c in columns]
    if not any(column.kind in INPUTS for column in columns):
        reasons = "; ".join(f"{column.name!r}: {column.reason}" for column in columns if column.kind == "left out")
        raise DataError(f"{grid.path}: has no column to learn from besides the target {name!r} ({reasons})")
    counts: dict[str, int] = {}
    if found.kind == "labels":
        of_labels = {one: seen[one].counts or table.counts(one) for one in names}
        counts = dict(of_labels[name].most_common())
        if more:
            counts = {one: sum(n for text, n in of_labels[one].items() if presence(text) == 1.0) for one in names}
    read = [column.name for column in columns if column.kind in ("number", "values")]
    used = [some.nature for other in read if other not in plain for some in seen[other].natures]
    inputs = [column for column in columns if column.kind in INPUTS]
    most = _most(seen[name].rows)
    return Findings(
        table,
        seen[name].rows,
        missing,
        tuple(columns),
        found,
        counts,
        decimal if any(nature.decimal for nature in used) else ".",
        thousands if any(nature.thousands for nature in used) else "",
        {other: forms[other].mark for other in read if forms[other].mark},
        more=tuple(more),
        gaps=gaps,
        max_categories=most if any(c.kind == "category" and c.distinct > most for c in columns) else None,
        incomplete=bool(gaps) and incomplete(table, [c.name for c in inputs], {*MISSING, *missing}),
        timed=frozenset(
            c.name for c in inputs if c.kind == "date" and any(s.nature.timed for s in seen[c.name].natures)
        ),
    )


# ----- the target ----------------------------------------------------------------------------------------------------


def _target_name(grid: Grid, looks: dict[str, FirstLook], target: str | None) -> str:
    if target is None:  # a comma at the end of every line makes an empty column
        return next((name for name in reversed(grid.names) if looks[name].full), grid.names[-1])
    if target not in grid.places and re.fullmatch(r"-?\d+", target):
        return grid.column(int(target), "target")
    return grid.column(target, "target")


def _several(grid: Grid, names: list[str], task: Task | None, seen: dict[str, Seen]) -> Task:
    """Whether several targets are values, or labels that are present or absent.

    Raises   DataError for a target that is neither
    """
    if task == "values":
        return task
    for name in names:
        there = _there(seen[name], MISSING)
        wrong = [some for some in there if not some.nature.present]
        if not wrong:
            continue
        if task is None and all(some.nature.plain or some.nature.mark is not None for some in there):
            return "values"
        first = first_of(wrong)
        raise DataError(
            f"{_where(grid, first, name)}: expected several targets to be numbers, or labels that are present or "
            f"absent (yes or no, true or false, 1 or 0), got {first.text!r:.60}; choose others with --target"
        )
    return "labels"


def _target(grid: Grid, name: str, task: Task | None, which: str, seen: Seen) -> Column:
    """Classify the target as labels or values.

    Raises   DataError for a missing value, a constant target, or one that fits neither labels nor values
    """
    where = f"{grid.path}: {which}{name!r}"
    other = "choose another target" if grid.in_memory else "choose another with --target"
    gaps = [some for some in seen.natures if some.nature.gap in MISSING]
    if gaps:
        count, first = rows_of(gaps), first_of(gaps)
        more = f" and in {count - 1} more rows" if count > 1 else ""
        read = f" ({first.text!r} counts as missing; if it is a label, write it in another way)" if first.text else ""
        place = _where(grid, first, name)
        raise DataError(f"{place}: the target is missing here{more}{read}; remove these rows, or {other}")
    distinct, first = seen.distinct, first_of(seen.natures)
    if distinct == 1:
        raise DataError(f"{where} is always {first.text!r}, which leaves nothing to predict; {other}")
    strays = [some for some in seen.natures if not some.nature.number]
    if task is None:
        task = "labels" if distinct == 2 or not _numeric(seen, strays) else "values"
    if task == "values" and strays:
        stray = first_of(strays)
        hint = "use a decimal point" if stray.nature.comma else f"correct it, or {other}"
        raise DataError(f"{_where(grid, stray, name)}: expected a number to predict, got {stray.text!r}; {hint}")
    if task == "labels" and distinct > max(2, seen.rows // 3):
        many = f"has {distinct:,} different values in {seen.rows:,} rows, too many for classes"
        dates = all(some.nature.day for some in seen.natures)
        raise DataError(f"{where} {'holds dates, which are inputs alone' if dates else many}; {other}")
    return Column(name, task, distinct, 0, first.text)


def _numeric(seen: Seen, strays: list[Some]) -> bool:
    """Whether a target is values rather than labels: numeric apart from mistakes, and not just a few whole numbers."""
    if rows_of(strays) * 10 > seen.rows and not all(some.nature.comma for some in strays):
        return False
    if seen.counts is None or len(seen.counts) > LABELS:
        return True
    known = [number for text in seen.counts if (number := read_number(text, *seen.form)) is not None]
    whole = bool(known) and len(set(known)) == len(known) and all(number.is_integer() for number in known)
    return not (whole and len(seen.counts) * 5 <= seen.rows)


# ----- the inputs ----------------------------------------------------------------------------------------------------


def _there(seen: Seen, missing: Sequence[str]) -> list[Some]:
    """The texts that are not missing, by their natures."""
    return [some for some in seen.natures if some.nature.gap not in missing]


def _odd_gaps(seen: Seen) -> set[str]:
    """Unusual texts for a missing value, in a column of numbers or dates apart from them."""
    read = [some for some in seen.natures if some.nature.number or some.nature.day]
    others = [some for some in _there(seen, MISSING) if some not in read]
    odd = {some.nature.gap for some in others if some.nature.gap is not None}
    return odd if len(odd) == len(others) and rows_of(read) * 2 >= seen.rows else set()


def _input(grid: Grid, name: str, missing: tuple[str, ...], seen: Seen, *, gaps: bool) -> Column:
    """Classify a column as an input; with ``gaps`` rows of the table are left out."""
    there = _there(seen, missing)
    distinct = seen.distinct - (len(seen.natures) - len(there))  # a text for a missing value is a nature
    kind, reason = _judge(grid, name, seen, missing, distinct)
    if gaps and kind == "number" and any(seen.numbers_rows[2:]):  # the numbers of the rows left out are missing
        kind, reason = "left out", NUMBERING
    example = first_of(there).text if there else ""
    return Column(name, kind, distinct, seen.rows - rows_of(there), example, reason)


def _judge(grid: Grid, name: str, seen: Seen, missing: tuple[str, ...], distinct: int) -> tuple[Kind, str]:
    """The kind of a column by its values, and the reason if it is left out."""
    there = _there(seen, missing)
    rows, count = seen.rows, rows_of(there)
    if not there:
        return "left out", "is empty"
    if distinct == 1:
        return "left out", f"is always {_short(there[0].text)!r}" + (" or missing" if count < rows else "")
    if count * 10 < rows:
        return "left out", f"is missing in {rows - count:,} of {rows:,} rows"
    strays = [some for some in there if not some.nature.number]
    if not strays:
        if rows > 2 and count == rows and any(seen.numbers_rows[:2]):
            return "left out", NUMBERING
        if all(some.nature.whole for some in there) and distinct == count and ID.fullmatch(name):
            return "left out", "is an id: whole numbers that all differ"
        return "number", ""
    if all(some.nature.mark is not None for some in there):
        return "left out", _unread(grid, there, strays)
    odd = [some for some in there if not some.nature.day]
    if not odd and seen.one_day:
        return "left out", f"is always the day {seen.one_day}, and times of the day are not read"
    if not odd:
        return "date", ""
    if all(some.nature.date for some in there):
        return "left out", f"holds dates that are not read, such as {_place(grid, odd)}; write {FORM}"
    if all(some.nature.clock for some in there):
        return "left out", "holds times of the day, which are not read; convert them to numbers"
    limit = min(FEW, max(2, rows // 4))
    if distinct <= limit:
        return "category", ""
    for what, others, share in (("is numeric", strays, 10), ("holds dates", odd, 2)):
        wrong = rows_of(others)
        if wrong * share <= count:
            more = f" and {wrong - 1:,} more" if wrong > 1 else ""
            return "left out", f"{what} except for {_place(grid, others)}{more}; correct it, or list it in missing"
    if distinct * 2 > count:
        return "left out", "holds texts that nearly all differ, such as names or ids"
    if rows >= MANY and 2 * sum(n for _, n in seen.common(missing, _most(rows))) >= count:
        return "category", ""
    return "left out", f"has {distinct:,} different texts; at most {limit} are taken as categories"


def _equivalent(table: Blocks, columns: Sequence[Column], seen: dict[str, Seen], names: list[str]) -> set[str]:
    """The inputs that say the same as a label: each text goes with one label, and each label with one text."""
    pairs: dict[tuple[str, str], dict[str, str]] = {
        (column.name, name): {}
        for column in columns
        for name in names
        if column.kind in INPUTS and not column.missing and seen[name].rows >= 20
        if column.distinct == seen[name].distinct
    }
    for grid, _ in table if pairs else ():
        for one, name in list(pairs):
            known = pairs[one, name]
            found = set(zip(grid.texts(one), grid.texts(name), strict=True))
            if any(known.setdefault(text, label) != label for text, label in found):
                del pairs[one, name]
    return {one for one, _ in pairs}


def _most(rows: int) -> int:
    """How many categories of a column are told apart in a table: each has about eight rows, on average."""
    return max(min(FEW, max(2, rows // 4)), min(MOST, rows // 8))


# ----- messages ------------------------------------------------------------------------------------------------------


def _where(grid: Grid, some: Some, name: str) -> str:
    """The place of the first text of a nature."""
    file = "" if grid.in_memory else f"{grid.path}: "
    return f"{file}{grid.unit} {some.line}, column {name!r}"


def _place(grid: Grid, odd: list[Some]) -> str:
    """The first odd text of a column, shortened, and its line."""
    first = first_of(odd)
    return f"{_short(first.text)!r} in {grid.unit} {first.line}"


def _at(grid: Grid, some: Some) -> str:
    """A text of a column, and its line."""
    return f"{some.text!r} in {grid.unit} {some.line}"


def _unread(grid: Grid, there: list[Some], strays: list[Some]) -> str:
    """Why numbers that are written in some form are not read."""
    marks = {some.nature.mark: some for some in sorted(there, key=lambda some: -some.last)}
    marks = {mark: first_of(some for some in there if some.nature.mark == mark) for mark in marks}
    if len(marks) > 1 and ("%" in marks or len(set(marks) - {""}) > 1):
        several = " and ".join(_at(grid, some) for some in list(marks.values())[:2])
        return f"has numbers of several units, such as {several}; give them one unit"
    first = first_of(strays)
    separator = next((c for c in ",' ." if c in spaced(first.text)), ",")
    what = {",": "a comma", "'": "an apostrophe", " ": "a space", ".": "a point"}[separator]
    return (
        f"has numbers with {what}, such as {_at(grid, first)}, and whether it is decimal is not clear in this "
        f"{grid.what}; use a decimal point alone, or give decimal and thousands in the spec"
    )


def _short(text: str) -> str:
    return text if len(text) <= 24 else text[:23] + "…"
