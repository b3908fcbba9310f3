"""Infer the type and the role of each column of a table."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from funcnet.data.categories import presence
from funcnet.data.dates import FORM, day_of
from funcnet.data.number_forms import (
    COMMA,
    OTHER_MISSING,
    like_number,
    mark_of,
    says_missing,
    separators,
    spaced,
    split_mark,
)
from funcnet.data.number_texts import Form, read_number, to_number
from funcnet.data.sources.csv import MISSING
from funcnet.data.sources.grid import Grid
from funcnet.data.text_form import form
from funcnet.errors import DataError

Kind = Literal["number", "category", "date", "left out", "labels", "values"]
Task = Literal["labels", "values"]

INPUTS = ("number", "category", "date")
NUMBERING = "numbers the rows"
FEW = 50
"""Maximum categories of a column; each becomes a column of 0 and 1"""
LABELS = 10
"""Whole numbers with at most this many distinct values, each five times on average, are taken as labels"""
DATE = re.compile(r"(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4})([T ].*)?")
CLOCK = re.compile(r"\d{1,2}:\d{2}(:\d{2})?")
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

    grid: Grid
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
    """How many rows are left out since a target is missing, by its text; ``grid`` has the other rows"""
    incomplete: bool = False
    """Whether a row that is left out lacks a value of an input"""

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
    delimiter, header = form(path)
    found = describe(Grid(path, delimiter, header), target, task)
    return found._replace(delimiter=delimiter, header=header)


def describe(grid: Grid, target: str | Sequence[str] | None = None, task: Task | None = None) -> Findings:
    """Describe a table; the last column is the target unless another is named, or several.

    Raises   DataError for a target that is absent or unsuitable, and a table without a column to learn from
    """
    if len(grid.names) == 1:
        separated = "" if grid.in_memory else ", separated by a comma, semicolon, tab or bar"
        raise DataError(
            f"{grid.path}: has only one column, {grid.names[0]!r}; expected at least one to learn from and one to "
            f"predict{separated}"
        )
    asked = [target] if target is None or isinstance(target, str) else list(target)
    names = list(dict.fromkeys(_target_name(grid, one) for one in asked))
    name = names[0]
    rows, gaps = _with_target(grid, names)
    whole = grid
    grid = grid if not gaps else grid.taken(rows, grid.names)
    plain = {other for other in grid.names if grid.plain(other) is not None}
    decimal, thousands = separators(grid, plain)
    forms = {
        other: Form(decimal, thousands, "" if other in plain else mark_of(grid.texts(other))) for other in grid.names
    }
    plain = plain if decimal == "." else set()  # else 1.234 may be 1234
    others = [other for other in grid.names if other not in names and other not in plain]
    odd = {text for other in others for text in _odd_gaps(grid.texts(other), forms[other])}
    odd -= {text for one in names for text in grid.texts(one)}
    missing = tuple(sorted(odd, key=lambda text: (OTHER_MISSING.index(text.lower()), text)))
    if len(names) > 1:
        task = _several(grid, names, task)
    which = "" if target is not None else "the last column "
    targets = {one: _target(grid, one, task, which, forms[one]) for one in names}
    found, *more = targets.values()
    labels = [grid.texts(one) for one in names] if found.kind == "labels" else []
    columns = [
        targets[other]
        if other in targets
        else _input(grid, other, () if other in plain else (*MISSING, *missing), labels, forms[other], other in plain)
        for other in grid.names
    ]
    if gaps:  # the numbers of the rows that are left out are missing
        columns = [
            c._replace(kind="left out", reason=NUMBERING)
            if c.kind == "number" and _numbers_rows(grid.texts(c.name), rows)
            else c
            for c in columns
        ]
    if not any(column.kind in INPUTS for column in columns):  # a row number is better than nothing
        columns = [c._replace(kind="number", reason="") if c.reason == NUMBERING else c for c in columns]
    if not any(column.kind in INPUTS for column in columns):
        reasons = "; ".join(f"{column.name!r}: {column.reason}" for column in columns if column.kind == "left out")
        raise DataError(f"{grid.path}: has no column to learn from besides the target {name!r} ({reasons})")
    counts = dict(Counter(labels[0]).most_common()) if labels else {}
    if labels and more:
        counts = {one: sum(presence(text) == 1.0 for text in grid.texts(one)) for one in names}
    read = {column.name: forms[column.name] for column in columns if column.kind in ("number", "values")}
    used = [text for other in read if other not in plain for text in grid.texts(other) if to_number(text) is None]
    marks = {other: form.mark for other, form in read.items() if form.mark}
    return Findings(
        grid,
        missing,
        tuple(columns),
        found,
        counts,
        decimal if any(decimal in text for text in used) else ".",
        thousands if thousands and any(thousands in spaced(text) for text in used) else "",
        marks,
        more=tuple(more),
        gaps=gaps,
        incomplete=bool(gaps) and any(_gaps(whole, column, missing) > column.missing for column in columns),
    )


# ----- the target ----------------------------------------------------------------------------------------------------


def _target_name(grid: Grid, target: str | None) -> str:
    if target is None:  # a comma at the end of every line makes an empty column
        full = (name for name in reversed(grid.names) if not set(grid.texts(name)) <= set(MISSING))
        return next(full, grid.names[-1])
    if target not in grid.places and re.fullmatch(r"-?\d+", target):
        return grid.column(int(target), "target")
    return grid.column(target, "target")


def _with_target(grid: Grid, names: list[str]) -> tuple[Sequence[int], Counter[str]]:
    """The rows that have all targets, and the texts of the others' first missing target.

    All rows are there if half of them or more lack a target, which is refused.
    """
    texts, count = [grid.texts(name) for name in names], len(grid.lines)
    gone = {i: next(text[i] for text in texts if text[i] in MISSING)
            for text in texts if not set(MISSING).isdisjoint(text)
            for i in range(count) if text[i] in MISSING}  # fmt: skip
    if not gone or len(gone) * 2 >= count:
        return range(count), Counter()
    return [i for i in range(count) if i not in gone], Counter(gone.values())


def _gaps(grid: Grid, column: Column, missing: tuple[str, ...]) -> int:
    """The missing values of an input; none of another column."""
    known = {*MISSING, *missing}
    return sum(text in known for text in grid.texts(column.name)) if column.kind in INPUTS else 0


def _several(grid: Grid, names: list[str], task: Task | None) -> Task:
    """Whether several targets are values, or labels that are present or absent.

    Raises   DataError for a target that is neither
    """
    if task == "values":
        return task
    for name in names:
        texts = grid.texts(name)
        wrong = next((i for i, text in enumerate(texts) if presence(text) is None and text not in MISSING), None)
        if wrong is None:
            continue
        if task is None and all(map(like_number, set(texts) - set(MISSING))):
            return "values"
        raise DataError(
            f"{grid.place(wrong, name)}: expected several targets to be numbers, or labels that are present or absent "
            f"(yes or no, true or false, 1 or 0), got {texts[wrong]!r:.60}; choose others with --target"
        )
    return "labels"


def _target(grid: Grid, name: str, task: Task | None, which: str, form: Form) -> Column:
    """Classify the target as labels or values.

    Raises   DataError for a missing value, a constant target, or one that fits neither labels nor values
    """
    texts = grid.texts(name)
    where = f"{grid.path}: {which}{name!r}"
    other = "choose another target" if grid.in_memory else "choose another with --target"
    gaps = [i for i, text in enumerate(texts) if text in MISSING]
    if gaps:
        more = f" and in {len(gaps) - 1} more rows" if len(gaps) > 1 else ""
        token = texts[gaps[0]]
        read = f" ({token!r} counts as missing; if it is a label, write it in another way)" if token else ""
        place = grid.place(gaps[0], name)
        raise DataError(f"{place}: the target is missing here{more}{read}; remove these rows, or {other}")
    distinct = len(set(texts))
    if distinct == 1:
        raise DataError(f"{where} is always {texts[0]!r}, which leaves nothing to predict; {other}")
    numbers = {text: read_number(text, *form) for text in set(texts)}
    strays = [i for i, text in enumerate(texts) if numbers[text] is None]
    if task is None:
        task = "labels" if distinct == 2 or not _numeric(texts, numbers, strays) else "values"
    if task == "values" and strays:
        text = texts[strays[0]]
        hint = f"correct it, or {other}"
        if COMMA.fullmatch(text):
            hint = "use a decimal point"
        raise DataError(f"{grid.place(strays[0], name)}: expected a number to predict, got {text!r}; {hint}")
    if task == "labels" and distinct > max(2, len(texts) // 3):
        many = f"has {distinct:,} different values in {len(texts):,} rows, too many for classes"
        raise DataError(
            f"{where} {'holds dates, which are inputs alone' if all(map(day_of, texts)) else many}; {other}"
        )
    return Column(name, task, distinct, 0, texts[0])


def _numeric(texts: list[str], numbers: dict[str, float | None], strays: list[int]) -> bool:
    """Whether a target is values rather than labels: numeric apart from mistakes, and not just a few whole numbers."""
    if len(strays) * 10 > len(texts) and not all(COMMA.fullmatch(texts[i]) for i in strays):
        return False
    known = [number for number in numbers.values() if number is not None]
    whole = bool(known) and len(set(known)) == len(known) and all(number.is_integer() for number in known)
    return not (whole and len(numbers) <= LABELS and len(numbers) * 5 <= len(texts))


# ----- the inputs ----------------------------------------------------------------------------------------------------


def _odd_gaps(texts: list[str], form: Form) -> set[str]:
    """Unusual texts for a missing value, in a column of numbers or dates apart from them."""
    read = {text: read_number(text, *form) is not None or day_of(text) is not None for text in set(texts)}
    others = {text for text, known in read.items() if not known and text not in MISSING}
    known = sum(read[text] for text in texts)
    return others if others and all(map(says_missing, others)) and known * 2 >= len(texts) else set()


def _input(grid: Grid, name: str, missing: tuple[str, ...], labels: list[list[str]], form: Form, plain: bool) -> Column:
    """Classify a column as an input; ``plain``: all its texts are numbers."""
    texts = grid.texts(name)
    there = [text for text in texts if text not in missing] if missing else texts
    distinct, gaps = len(set(there)), len(texts) - len(there)
    kind, reason = _judge(grid, name, texts, there, form, plain)
    for of_target in labels if kind != "left out" and len(texts) >= 20 and not gaps else ():
        if distinct == len(set(of_target)) == len(set(zip(texts, of_target, strict=True))):
            kind, reason = "left out", "is equivalent to the target"
    return Column(name, kind, distinct, gaps, there[0] if there else "", reason)


def _judge(grid: Grid, name: str, texts: list[str], there: list[str], form: Form, plain: bool) -> tuple[Kind, str]:
    """The kind of a column by its values, and the reason if it is left out."""
    rows, distinct = len(texts), len(set(there))
    if not there:
        return "left out", "is empty"
    if distinct == 1:
        return "left out", f"is always {_short(there[0])!r}" + (" or missing" if len(there) < rows else "")
    if len(there) * 10 < rows:
        return "left out", f"is missing in {rows - len(there):,} of {rows:,} rows"
    numbers = {} if plain else {text: read_number(text, *form) for text in set(there)}
    strays = [] if plain else [text for text in there if numbers[text] is None]
    if not strays:
        whole = all(text.lstrip("+").isdigit() for text in there)
        if whole and rows > 2 and _numbers_rows(there, range(rows)):
            return "left out", NUMBERING
        if whole and distinct == len(there) and ID.fullmatch(name):
            return "left out", "is an id: whole numbers that all differ"
        return "number", ""
    if all(split_mark(text) for text in there):
        return "left out", _unread(grid, texts, there, strays)
    days = {text: day_of(text) for text in set(there)}
    odd = [text for text in there if days[text] is None]
    if not odd and len(set(days.values())) == 1:
        return "left out", f"is always the day {days[there[0]]}, and times of the day are not read"
    if not odd:
        return "date", ""
    if all(DATE.fullmatch(text) for text in there):
        return "left out", f"holds dates that are not read, such as {_place(grid, texts, odd)}; write {FORM}"
    if all(CLOCK.fullmatch(text) for text in there):
        return "left out", "holds times of the day, which are not read; convert them to numbers"
    limit = min(FEW, max(2, rows // 4))
    if distinct <= limit:
        return "category", ""
    for what, others, share in (("is numeric", strays, 10), ("holds dates", odd, 2)):
        if len(others) * share <= len(there):
            more = f" and {len(others) - 1:,} more" if len(others) > 1 else ""
            place = _place(grid, texts, others)
            return "left out", f"{what} except for {place}{more}; correct it, or list it in missing"
    if distinct * 2 > len(there):
        return "left out", "holds texts that nearly all differ, such as names or ids"
    return "left out", f"has {distinct:,} different texts; at most {limit} are taken as categories"


def _numbers_rows(texts: list[str], rows: Sequence[int]) -> bool:
    """Whether texts are the numbers of the rows, from 0 or from 1."""
    if not all(text.lstrip("+").isdigit() for text in texts):
        return False
    return [int(text) for text in texts] in (list(rows), [row + 1 for row in rows])


def _place(grid: Grid, texts: list[str], odd: list[str]) -> str:
    """The first odd text of a column, shortened, and its line."""
    return f"{_short(odd[0])!r} in {_line(grid, texts, odd[0])}"


def _at(grid: Grid, texts: list[str], text: str) -> str:
    """A text of a column, and its line."""
    return f"{text!r} in {_line(grid, texts, text)}"


def _line(grid: Grid, texts: list[str], text: str) -> str:
    """The line of a file, or the row of a table in memory, that first has a text."""
    return f"{grid.unit} {grid.lines[texts.index(text)]}"


def _unread(grid: Grid, texts: list[str], there: list[str], strays: list[str]) -> str:
    """Why numbers that are written in some form are not read."""
    marks = {found[0]: text for text in reversed(there) if (found := split_mark(text))}
    if len(marks) > 1 and ("%" in marks or len(set(marks) - {""}) > 1):
        several = " and ".join(_at(grid, texts, text) for text in list(marks.values())[:2])
        return f"has numbers of several units, such as {several}; give them one unit"
    where = f"such as {_at(grid, texts, strays[0])}"
    separator = next((c for c in ",' ." if c in spaced(strays[0])), ",")
    what = {",": "a comma", "'": "an apostrophe", " ": "a space", ".": "a point"}[separator]
    return (
        f"has numbers with {what}, {where}, and whether it is decimal is not clear in this {grid.what}; "
        "use a decimal point alone, or give decimal and thousands in the spec"
    )


def _short(text: str) -> str:
    return text if len(text) <= 24 else text[:23] + "…"
