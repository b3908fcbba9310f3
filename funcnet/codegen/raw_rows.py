"""The part of a deployed program that reads raw rows, and turns them into inputs of the network."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np

from funcnet.codegen import inference_template as deployed
from funcnet.codegen.constants import LISTED, Constants, assigned, code, one_line, rows_text
from funcnet.codegen.library_source import library_text
from funcnet.compiler.kinds import dtype_text
from funcnet.data.categories import positions, shortest
from funcnet.data.columns import HOT, title
from funcnet.data.dates import FORM, WEEKDAYS, date_part, day_of, days_of, part_of_days
from funcnet.data.in_time import ISO
from funcnet.data.number_texts import is_number, plain_numbers, read_number, to_number
from funcnet.data.preprocess import Preprocess
from funcnet.data.scaling import SCALES, shift_and_factor
from funcnet.data.sources.base import Source
from funcnet.data.sources.csv import GAPS, MISSING
from funcnet.data.sources.table import Columns
from funcnet.data.text_columns import (
    TextColumn,
    bytes_at,
    digits_of,
    ends_in_nul,
    first_ones,
    gaps_of,
    is_space,
    numbers_of,
    without_spaces,
    words_of,
)
from funcnet.shapes import Shape

TEXTS = (TextColumn, is_space, without_spaces, bytes_at, first_ones, digits_of, numbers_of)
"""What reads a column of texts as numbers, all at once"""


class RawRows:
    """Raw rows of a source, ``shape`` each, as a program prepares and reads them; its constants are added."""

    def __init__(self, source: Source, preprocess: Preprocess, shape: Shape, dtype: Any, constants: Constants) -> None:
        self.source, self.preprocess, self.shape, self.dtype = source, preprocess, shape, dtype
        self.constants = constants
        self.integers = bool(preprocess.get("integers"))
        self.columns: list[dict[str, Any]] = preprocess.get("columns") or []
        self.dates = any("part" in column for column in self.columns)
        self.features = self.feature_names()
        self.in_shape = self.prepared_shape()

    def prepared_shape(self) -> tuple[int, ...]:
        """The shape of one input of the network."""
        if self.columns:
            return (len(self.features),)
        shape = tuple(int(n) for n in self.shape)
        return (math.prod(shape),) if self.preprocess.get("flatten") else shape

    def feature_names(self) -> list[str]:
        """The names of the numbers of an input, if known."""
        names: list[str] = []
        for column in self.columns:
            if column["kind"] in HOT:
                names += [f"{title(column)} = {category}" for category in column["categories"]]
            else:
                names.append(title(column))
        given = list(self.source.feature_names)
        return names or (given if len(given) == math.prod(self.shape) else [])

    @property
    def has_categories(self) -> bool:
        """Whether a column of a table has categories."""
        return any(column["kind"] != "number" for column in self.columns)

    def prepare(self) -> list[str]:
        """The functions that turn raw rows into inputs of the network."""
        pre, what = self.preprocess, f"{rows_text(self.in_shape)} {self.dtype.name}"
        if self.integers:
            self.constants.lines.append(f"SHAPE = {self.shape}")
            steps = "    return x.astype(np.int64)"
            what = f"{rows_text(self.in_shape)} int64"
            return [deployed.ARRAY.substitute(what=what, kinds="iu", numbers="indices as integers", steps=steps)]
        lines = [] if self.columns or pre.get("fill") else [deployed.FINITE]
        if self.columns:
            self.constants.lines.append(self.columns_text())
            self.constants.lines.append(assigned("MISSING", list(getattr(self.source, "missing", MISSING))))
        else:
            self.constants.lines.append(f"SHAPE = {self.shape}")
            if self.features:
                self.constants.lines.append(assigned("FEATURES", self.features))
        if pre.get("fill") is not None:
            fill = self.constants.array("FILL", np.array(pre["fill"], np.float64).reshape(self.shape))
            self.constants.lines.append(assigned("MISSING", list(GAPS)))
            lines.append(f'    if x.dtype.kind == "f":\n        x = np.where(np.isnan(x), {fill}, x)  # missing values')
        if pre.get("flatten"):
            lines.append(f"    x = x.reshape(len(x), {math.prod(self.shape)})")
        if pre.get("divide") is not None:
            lines.append(f"    x = x / {float(pre['divide'])!r}")
        if pre["inputs"] is not None:
            lines.append(self.scale(pre["inputs"]))
        lines.append(deployed.NARROW.substitute(dtype=dtype_text(self.dtype), name=self.dtype.name))
        body = "\n".join(lines)
        if not self.columns:
            return [deployed.ARRAY.substitute(what=what, kinds="fiub", numbers="numbers", steps=body)]
        part, dated = (", part", deployed.DATED.substitute(form=FORM)) if self.dates else ("", "")
        kind, own = ('part or "category"', " and part is None") if self.dates else ('"category"', "")
        categories = deployed.CATEGORIES.substitute(kind=kind) if self.has_categories else ""
        table = deployed.TABLE.substitute(
            what=what,
            part=part,
            counted=", unknown_texts=None" * self.has_categories,
            begin=deployed.UNKNOWN_BEGIN * self.has_categories,
            end=deployed.UNKNOWN_END * self.has_categories,
            categories=categories,
            steps=body,
        )
        data = self.source
        in_form = isinstance(data, Columns) and (data.marks or data.decimal != "." or data.thousands)
        numbers = deployed.NO_PLAIN_NUMBERS if in_form else deployed.PLAIN_NUMBERS
        at_once = deployed.AT_ONCE.substitute(
            part=part,
            numbers=numbers.replace("$test", f'kind == "number"{own}'),
            days=deployed.DAYS * self.dates,
        )
        helpers = [at_once, deployed.FILLED.substitute(part=part, dated=dated)]
        helpers += [deployed.WARN] * self.has_categories
        if self.dates:
            self.constants.lines.append(f"WEEKDAYS = {code(list(WEEKDAYS))}")
            pieces = "\n".join(f'    r"{piece}"' for piece in re.split(r"(?<=.)(?=\(\?P<)", ISO.pattern))
            self.constants.lines.append(f"ISO = re.compile(\n{pieces},\n    re.ASCII,\n)")
            helpers.append(library_text(day_of, date_part, days_of, part_of_days))
        helpers += [library_text(shortest, positions)] if categories else []
        helpers.append(library_text(to_number, plain_numbers, *TEXTS, gaps_of, ends_in_nul, words_of))
        if in_form:
            assert isinstance(data, Columns)
            marks = ", ".join(f"{code(name)}: {code(mark)}" for name, mark in data.marks.items())
            self.constants.lines.append(
                f"DECIMAL, THOUSANDS, MARKS = {code(data.decimal)}, {code(data.thousands)}, {{{marks}}}"
            )
            helpers.append(library_text(read_number))
            return [table, *helpers, deployed.NUMBER_IN_FORM]
        return [table, *helpers, deployed.NUMBER]

    def columns_text(self) -> str:
        more = ", part of a date" if self.dates else ""
        lines = [f"COLUMNS = [  # name, kind, categories, replacement of a missing value (None: an error){more}"]
        for column in self.columns:
            categories = [str(category) for category in column["categories"]] if column["kind"] != "number" else None
            fill = column["fill"]
            fill = fill if fill is None or isinstance(fill, str) else float(fill)
            data = self.source
            if isinstance(data, Columns) and data.marks.get(column["name"]) == "%" and fill is not None:
                fill = f"{fill!r}%".replace(".", data.decimal)  # as a value of the column is written
            cells = [str(column["name"]), str(column["kind"]), categories, fill]
            cells += [column.get("part")] if self.dates else []
            lines.append(f"    ({', '.join(map(code, cells))}),")
        return "\n".join([*lines, "]"])

    def scale(self, scaler: dict[str, Any]) -> str:
        """The line that scales; its constants are added, one row per feature if there are few."""
        shift, factor = shift_and_factor(scaler)
        names = tuple(name.upper() for name in SCALES[scaler["scale"]])
        if shift.size == len(self.features) <= LISTED:
            rows = [f"({a!r}, {b!r})," for a, b in zip(shift.tolist(), factor.tolist(), strict=True)]
            width = max(map(len, rows))
            lines = [f"    {row.ljust(width)}  # {one_line(of)}" for row, of in zip(rows, self.features, strict=True)]
            text = "\n".join([f"{names[0]}, {names[1]} = np.array([", *lines, "]).T"])
            self.constants.lines.append(text)
        else:
            names = self.constants.array(names[0], shift), self.constants.array(names[1], factor)
        return f"    x = (x - {names[0]}) / {names[1]}"

    def readers(self) -> list[str]:
        """The functions that read a file of rows in blocks."""
        if self.columns:
            header, delimiter = getattr(self.source, "header", True), getattr(self.source, "delimiter", ",")
            unnamed = "" if header else deployed.UNNAMED
            return [deployed.READ_TABLE.substitute(delimiter=code(delimiter), header=header, unnamed=unnamed)]
        by_name, cell, gaps = bool(self.features), "number(value, name, row)", bool(self.preprocess.get("fill"))
        gap = "np.nan if value is None or value in MISSING else "
        return [
            deployed.READ_ARRAY.substitute(
                columns="of numbers with the columns FEATURES" if by_name else "of numbers",
                header="not all(map(is_number, first))",
                needed="FEATURES" if by_name else "()",
                order="order_of(names)" if by_name else "range(len(names))",
                count=math.prod(self.shape),
                cell=gap + cell if gaps else cell,
                gaps="NaN for missing ones" if gaps else "from numbers or texts",
                missing="MISSING" if gaps else "()",
            ),
            *([deployed.ORDER] if by_name else []),
            library_text(is_number, to_number, plain_numbers, *TEXTS),
            deployed.NUMBER,
        ]
