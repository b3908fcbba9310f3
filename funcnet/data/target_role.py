"""The role of a target: labels or values."""

from __future__ import annotations

from funcnet.data.findings import Column, Task
from funcnet.data.number_texts import read_number
from funcnet.data.seen import Seen, Some, first_of, rows_of
from funcnet.data.sources.csv import MISSING
from funcnet.data.sources.grid import Grid
from funcnet.errors import DataError

LABELS = 10
"""Whole numbers with at most this many distinct values, each five times on average, are taken as labels"""


def several_task(grid: Grid, names: list[str], task: Task | None, seen: dict[str, Seen]) -> Task:
    """Whether several targets are values, or labels that are present or absent.

    Raises   DataError for a target that is neither
    """
    if task == "values":
        return task
    for name in names:
        there = seen[name].there(MISSING)
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


def target_column(grid: Grid, name: str, task: Task | None, which: str, seen: Seen) -> Column:
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


def _where(grid: Grid, some: Some, name: str) -> str:
    """The place of the first text of a nature."""
    file = "" if grid.in_memory else f"{grid.path}: "
    return f"{file}{grid.unit} {some.line}, column {name!r}"
