"""A run's preprocessing as it was recorded, checked before it is applied: its form, its shapes, and its source."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, Literal, NotRequired, TypedDict

import numpy as np

from funcnet.data.columns import column_names, title
from funcnet.data.preprocess import Preprocess, prepared_shape
from funcnet.data.scaling import SCALES
from funcnet.data.sources.base import Source
from funcnet.errors import DataError
from funcnet.shapes import Shape
from funcnet.spec.records import problems_of
from funcnet.spec.wording import quote


class Column(TypedDict):
    """A column of a table, or a part of its dates; a category has ``categories``."""

    name: str
    part: NotRequired[Literal["year", "month", "weekday"]]
    kind: Literal["number", "ordinal", "one_hot", "frequent"]
    fill: float | str | None
    categories: NotRequired[list[str]]


class Range(TypedDict):
    """The least and the greatest value of each feature."""

    low: Any
    high: Any


class Record(TypedDict):
    """What ``fit`` of ``preprocess`` returns, and the names of the outputs."""

    inputs: dict[str, Any] | None
    classes: list[str] | None
    integers: NotRequired[Literal[True]]
    columns: NotRequired[list[Column]]
    shape: NotRequired[list[int]]
    fill: NotRequired[list[float]]
    flatten: NotRequired[Literal[True]]
    divide: NotRequired[float]
    range: NotRequired[Range]
    targets: NotRequired[dict[str, Any]]
    outputs: NotRequired[list[str]]


def check_record(record: Any, source: Source) -> Preprocess:
    """The preprocessing of a run on this source.

    Raises   DataError with the first field that is not as ``fit`` would have written it
    """
    problems = problems_of(Record, record)
    problem = f"{problems[0].path}: {problems[0].message}" if problems else next(_doubts(record, source), None)
    if problem is not None:
        raise DataError(problem.removeprefix(".").removeprefix(": "))
    checked: Preprocess = record
    return checked


def _doubts(record: Preprocess, source: Source) -> Iterator[str]:
    """What does not fit together; each is looked at only if what is before it fits."""
    columns, shape = record.get("columns"), record.get("shape")
    for name, texts in (("classes", record["classes"]), ("outputs", record.get("outputs"))):
        if texts is not None and (not texts or len(set(texts)) < len(texts)):
            yield f"{name}: expected distinct names, at least one"
    if (record.get("integers") or False) != source.integers:
        yield f"integers: expected {source.integers}, as the source says"
    if source.integers:
        more = sorted(record.keys() - {"integers", "inputs", "classes", "outputs"})
        if more or record["inputs"] is not None:
            yield f"{(more or ['inputs'])[0]}: expected no such field for indices"
        return
    if (columns is None) == (shape is None):
        yield "expected either columns or a shape"
    if columns is not None:
        yield from _of_columns(columns, getattr(source, "dates", ()))
        if "fill" in record:
            yield "fill: expected it in each column"
    elif not all(0 <= n < 2**31 for n in shape or ()):
        yield f"shape: expected a shape, got {shape}"
    said = {
        "flatten": (record.get("flatten", False), source.flatten and columns is None),
        "divide": (record.get("divide"), source.divide),
        "inputs.scale": ((record["inputs"] or {}).get("scale"), source.scale),
        "targets.scale": (record.get("targets", {}).get("scale"), source.target_scale),
    }
    for name, (found, expected) in said.items():
        if found != expected:
            yield f"{name}: expected {quote(expected)}, as the source says, got {quote(found)}"
    if "fill" in record and len(record["fill"]) != math.prod(shape or ()):
        yield f"fill: expected {math.prod(shape or ())} numbers, got {len(record['fill'])}"
    features = prepared_shape(record)
    assert features is not None
    if "range" not in record:
        yield "range: missing"
    for name in ("low", "high"):
        yield from _of_numbers(f"range.{name}", record["range"][name], features)
    if record["inputs"] is not None:
        yield from _of_scaler("inputs", record["inputs"], features)
    if "targets" in record:
        yield from _of_scaler("targets", record["targets"], None)


def _of_columns(columns: list[dict[str, Any]], dates: Sequence[str]) -> Iterator[str]:
    names = [title(column) for column in columns]
    if not names or len(set(names)) < len(names):
        yield "columns: expected distinct names, at least one"
    parted = {(column["name"], column.get("part"), column["kind"]) for column in columns}
    for name in column_names(columns):
        kinds = {(part, kind) for of, part, kind in parted if of == name}
        expected = {("year", "number"), ("month", "one_hot"), ("weekday", "one_hot")}
        if (name in dates and kinds != expected) or (name not in dates and any(part for part, _ in kinds)):
            yield f"columns: expected the year, month and weekday of the columns in dates and of no other, see {name!r}"
    for i, column in enumerate(columns):
        categories, fill, where = column.get("categories"), column["fill"], f"columns[{i}]"
        if column["kind"] == "number":
            if categories is not None or isinstance(fill, str):
                yield f"{where}: expected a column of numbers without categories, and a number to fill it"
        elif not categories or len(set(categories)) < len(categories):
            yield f"{where}.categories: expected distinct categories, at least one"
        elif fill is not None and fill not in (*categories, ""):  # which is unknown, if it is no category
            yield f"{where}.fill: expected one of the categories, got {quote(fill)}"


def _of_scaler(name: str, scaler: dict[str, Any], shape: Shape | None) -> Iterator[str]:
    """Two arrays of a shape, or of the shape that the first one has; what is divided by is above 0."""
    shift, factor = SCALES[scaler["scale"]]
    if scaler.keys() != {"scale", shift, factor}:
        yield f"{name}: expected the fields scale, {shift}, {factor}, got {', '.join(map(quote, scaler))}"
    yield from _of_numbers(f"{name}.{shift}", scaler[shift], shape)
    yield from _of_numbers(f"{name}.{factor}", scaler[factor], np.shape(scaler[shift]))
    if not np.all(np.array(scaler[factor]) > 0):
        yield f"{name}.{factor}: expected numbers above 0"


def _of_numbers(name: str, value: Any, shape: Shape | None) -> Iterator[str]:
    try:
        array = np.array(value)
    except (ValueError, OverflowError, RecursionError):  # rows of several lengths, too deep
        array = np.array("")
    if array.dtype.kind not in "iuf" or array.size == 0 or not np.isfinite(array).all():
        yield f"{name}: expected finite numbers, got {quote(value)}"
    if shape is not None and array.shape != shape:
        yield f"{name}: expected numbers of shape {shape}, got {array.shape}"
