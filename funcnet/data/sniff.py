"""Infer the type and the role of each column of a table."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from funcnet.data.blocks import Blocks, FirstLook, first_look, incomplete, without_target
from funcnet.data.categories import presence
from funcnet.data.findings import INPUTS, Column as Column, Findings as Findings, Kind as Kind, Task as Task
from funcnet.data.input_role import NUMBERING, equivalent, input_column, most_categories, odd_gaps
from funcnet.data.number_forms import OTHER_MISSING, separators
from funcnet.data.number_texts import Form
from funcnet.data.seen import Seen
from funcnet.data.sources.csv import MISSING
from funcnet.data.sources.grid import Grid
from funcnet.data.sources.memory import Cells
from funcnet.data.sources.rows import blocks_of, is_json, tall
from funcnet.data.target_role import several_task, target_column
from funcnet.data.text_form import form
from funcnet.errors import DataError


def look(path: Path, target: str | Sequence[str] | None = None, task: Task | None = None) -> Findings:
    """Describe the table in a file as ``describe`` does, after finding its delimiter and its header.

    Raises   DataError for a file that cannot be read, and as ``describe`` does
    """
    delimiter, header = (",", True) if is_json(path, None) else form(path)
    found = describe(lambda: tall(blocks_of(path, delimiter, header)), target, task)
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
    odd = {text for other in grid.names if other not in names and other not in plain for text in odd_gaps(seen[other])}
    odd -= {some.text for one in names for some in seen[one].natures if some.nature.gap is not None}
    missing = tuple(sorted(odd, key=lambda text: (OTHER_MISSING.index(text.lower()), text)))
    if len(names) > 1:
        task = several_task(grid, names, task, seen)
    which = "" if target is not None else "the last column "
    targets = {one: target_column(grid, one, task, which, seen[one]) for one in names}
    found, *more = targets.values()
    columns = [
        targets[other]
        if other in targets
        else input_column(grid, other, () if other in plain else (*MISSING, *missing), seen[other], gaps=bool(gaps))
        for other in grid.names
    ]
    if found.kind == "labels":
        same = equivalent(table, columns, seen, names)
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
    most = most_categories(seen[name].rows)
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


def _target_name(grid: Grid, looks: dict[str, FirstLook], target: str | None) -> str:
    if target is None:  # a comma at the end of every line makes an empty column
        return next((name for name in reversed(grid.names) if looks[name].full), grid.names[-1])
    if target not in grid.places and re.fullmatch(r"-?\d+", target):
        return grid.column(int(target), "target")
    return grid.column(target, "target")
