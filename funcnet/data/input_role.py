"""The role of an input: numbers, categories, dates, or left out for a reason."""

from __future__ import annotations

import re
from collections.abc import Sequence

from funcnet.data.blocks import Blocks
from funcnet.data.dates import FORM
from funcnet.data.findings import INPUTS, Column, Kind
from funcnet.data.number_forms import spaced
from funcnet.data.seen import Seen, Some, first_of, rows_of
from funcnet.data.sources.csv import MISSING
from funcnet.data.sources.grid import Grid

NUMBERING = "numbers the rows"
FEW = 50
"""Maximum categories of a column; each becomes a column of 0 and 1"""
MANY, MOST = 200, 200
"""Rows from which on a column of more categories is taken, and how many are told apart at most"""
ID = re.compile(r"(.*[_ -])?(id|ID|Id)|.*[a-z](ID|Id)")


def odd_gaps(seen: Seen) -> set[str]:
    """Unusual texts for a missing value, in a column of numbers or dates apart from them."""
    read = [some for some in seen.natures if some.nature.number or some.nature.day]
    others = [some for some in seen.there(MISSING) if some not in read]
    odd = {some.nature.gap for some in others if some.nature.gap is not None}
    return odd if len(odd) == len(others) and rows_of(read) * 2 >= seen.rows else set()


def input_column(grid: Grid, name: str, missing: tuple[str, ...], seen: Seen, *, gaps: bool) -> Column:
    """Classify a column as an input; with ``gaps`` rows of the table are left out."""
    there = seen.there(missing)
    distinct = seen.distinct - (len(seen.natures) - len(there))  # a text for a missing value is a nature
    kind, reason = _judge(grid, name, seen, missing, distinct)
    if gaps and kind == "number" and any(seen.numbers_rows[2:]):  # the numbers of the rows left out are missing
        kind, reason = "left out", NUMBERING
    example = first_of(there).text if there else ""
    return Column(name, kind, distinct, seen.rows - rows_of(there), example, reason)


def _judge(grid: Grid, name: str, seen: Seen, missing: tuple[str, ...], distinct: int) -> tuple[Kind, str]:
    """The kind of a column by its values, and the reason if it is left out."""
    there = seen.there(missing)
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
    limit = _few(rows)
    if distinct <= limit:
        return "category", ""
    for what, others, share in (("is numeric", strays, 10), ("holds dates", odd, 2)):
        wrong = rows_of(others)
        if wrong * share <= count:
            more = f" and {wrong - 1:,} more" if wrong > 1 else ""
            return "left out", f"{what} except for {_place(grid, others)}{more}; correct it, or list it in missing"
    if distinct * 2 > count:
        return "left out", "holds texts that nearly all differ, such as names or ids"
    if rows >= MANY and 2 * sum(n for _, n in seen.common(missing, most_categories(rows))) >= count:
        return "category", ""
    return "left out", f"has {distinct:,} different texts; at most {limit} are taken as categories"


def equivalent(table: Blocks, columns: Sequence[Column], seen: dict[str, Seen], names: list[str]) -> set[str]:
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


def most_categories(rows: int) -> int:
    """How many categories of a column are told apart in a table: each has about eight rows, on average."""
    return max(_few(rows), min(MOST, rows // 8))


def _few(rows: int) -> int:
    """The most categories of a column all of whose texts are taken."""
    return min(FEW, max(2, rows // 4))


# ----- reasons -------------------------------------------------------------------------------------------------------


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
