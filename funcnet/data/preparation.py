"""From a source to training arrays: read, split, and fit the preprocessing on the training part."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from funcnet.data.columns import column_names
from funcnet.data.labels import check_classes, check_targets, renumbered, with_labels
from funcnet.data.lazy_array import BLOCK, BLOCK_BYTES, LARGE, Stream, look_through, take
from funcnet.data.preprocess import Preprocess, fit, transform
from funcnet.data.scaling import scale_targets
from funcnet.data.shelf import missing_in
from funcnet.data.sources.base import Frame, Source, Table
from funcnet.data.sources.gathering import gathered
from funcnet.data.sources.grid import Grid
from funcnet.data.sources.memory import as_table
from funcnet.data.sources.table import Columns, in_memory
from funcnet.data.split import PARTS, Parts
from funcnet.data.usable import as_targets, check_finite, check_size, check_texts, check_weights
from funcnet.errors import DataError, Problem, SpecError, listed
from funcnet.hints import did_you_mean
from funcnet.key import Array, Key
from funcnet.shapes import Shape, shape_of
from funcnet.spec.base import evolve
from funcnet.spec.class_fields import fields


class Dataset(NamedTuple):
    """Arrays row by row, as ``fit`` takes them; inputs may be a Stream."""

    x: Any
    y: Array
    weight: Array | None = None


class Prepared(NamedTuple):
    """The parts of a data set and its fitted preprocessing; ``preprocess`` holds plain JSON values."""

    train: Dataset
    validation: Dataset | None
    test: Dataset | None
    preprocess: dict[str, Any]
    parts: Parts
    """The numbers of each part's rows in the data, in which rows without a target count too"""
    found: dict[str, Any]
    """A summary of the data: rows, columns, classes with their counts, missing values"""
    block: int | None = None
    """Rows of a block, if rows are read and shuffled in blocks"""
    texts: bool = False
    """Whether the targets are texts, rather than numbers: names of classes, or yes and no for several labels"""

    def __repr__(self) -> str:
        parts = [f"{name} {len(part.y):,} rows" for name, part in self.parts_by_name().items()]
        classes = self.preprocess.get("classes")
        named = f"; classes {listed(classes)}" if classes else ""
        return f"Prepared({', '.join(parts)}, inputs of {shape_of(self.train.x)}{named})"

    def parts_by_name(self) -> dict[str, Dataset]:
        """``{"train": …, "validation": …, "test": …}`` without the absent parts."""
        named = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: part for name, part in named.items() if part is not None}


def prepare(
    source: Source,
    key: Key,
    base: Path | str | None = None,
    dtype: npt.DTypeLike = np.float32,
    fitted: Preprocess | None = None,
    data: Any = None,
) -> Prepared:
    """Read a source, split it, and fit its preprocessing on the training part.

    The rows may come from a table, ``data``: a dict of columns, a list of dicts, or a data frame. The source then says
    how its columns are used: ``prepare(Columns(target="price"), key, data=frame).train`` is what ``fit`` takes.

    With the preprocessing of a run, ``fitted``, that is applied. The data may have changed since: columns and classes
    are matched by name, as in other rows that are predicted.

    The data is drawn from ``key.fold("data")``, the split from ``key.fold("split")``.
    Raises   DataError for unusable data: no rows, NaN, inputs and targets of different lengths, a class that the
             training part lacks, or a column or a class that a run lacks
    """
    names = () if fitted is None else column_names(fitted.get("columns") or ())
    if names and isinstance(source, Columns):
        source = evolve(source, inputs=tuple(names))
    table, classes = labelled(source, key, base, None if data is None else as_table(data))
    if fitted is not None:
        where = getattr(source, "path", "the data")
        check_targets(table, fitted, where)
        table = renumbered(table, classes, fitted["classes"], where)
        classes = fitted["classes"]
    return prepared(source, table, classes, division(source, table, key), dtype, fitted)


def labelled(
    source: Source, key: Key, base: Path | str | None = None, rows: Grid | None = None
) -> tuple[Table, list[str] | None]:
    """The checked table of a source, with integer labels, and the names of its classes, if it has any.

    ``rows`` are those of a table in memory, in place of the source's.
    """
    base = Path(base) if isinstance(base, str) else base or Path()  # a path may carry a permission
    table = read(source, base, key.fold("data")) if rows is None else in_memory(source).treated(rows)
    if rows is not None:
        check(table, type(source).__name__, missing=source.impute is not None)
    return with_labels(table)


def division(source: Source, table: Table, key: Key) -> Parts:
    """The rows of each part, from the source's split or its files."""
    if source.split is not None:
        return source.split.parts(table.y, key.fold("split"), table.columns, table.part)
    if table.part is not None:
        return Parts(*(np.flatnonzero(table.part == code) for code in range(3)))
    return Parts(np.arange(len(table.y)), np.arange(0), np.arange(0))


def prepared(
    source: Source,
    table: Table,
    classes: list[str] | None,
    parts: Parts,
    dtype: npt.DTypeLike = np.float32,
    fitted: Preprocess | None = None,
) -> Prepared:
    """The preprocessed parts of a table; the preprocessing is fitted on the training part, or that of a run."""
    name = type(source).__name__
    x, y, weight = table.x, table.y, table.weight
    block = block_of(source, x)
    if block is not None:
        parts = Parts(*map(np.sort, parts))
    if classes is not None and fitted is None:
        check_classes({part: y[chosen] for part, chosen in parts._asdict().items()}, classes, name)
    preprocess = fit(source, x, y, parts.train, classes) if fitted is None else dict(fitted)
    if table.outputs:
        preprocess["outputs"] = list(table.outputs)
    if isinstance(x, Stream):
        for part in parts[1:]:  # the training rows were already read for their statistics
            look_through(x, part)
    roomy = isinstance(x, Frame) and x.unit == "line"  # rows in memory take their room anyway
    whole = transform(preprocess, x, dtype, name, roomy=roomy)
    given = y
    if preprocess.get("targets") is not None:
        y = scale_targets(preprocess, y.astype(np.float64))
    y = as_targets(y, dtype, name)
    if y.dtype.kind == "f" and y.ndim <= 2:
        check_size(given, dtype, name)
    sets = [
        Dataset(take(whole, chosen), y[chosen], None if weight is None else weight[chosen]) if len(chosen) else None
        for chosen in parts
    ]
    assert sets[0] is not None
    texts = table.present or (classes is not None and table.classes is None)
    found = findings(table, classes, parts)
    if table.left_out is not None:
        places = np.flatnonzero(~table.left_out)
        parts = Parts(*(places[chosen] for chosen in parts))
    return Prepared(sets[0], sets[1], sets[2], preprocess, parts, found, block, texts)


def input_shape(source: Source, key: Key, base: Path) -> Shape:
    """The shape of one input after preprocessing; the data is read only if nothing else determines it."""
    raw = source.in_shape(base)
    if raw is None:
        return prepare(source, key, base).train.x.shape[1:]
    return (int(np.prod(raw)),) if source.flatten else raw


def block_of(source: Source, x: Any) -> int | None:
    """The rows of a block: from the spec, or by size for large inputs; None without blocks.

    It does not depend on whether rows are read from memory or from a file, so the batches do not either.
    """
    if source.block is not None or isinstance(x, Frame):
        return source.block
    size = int(np.prod(x.shape)) * x.dtype.itemsize
    return max(1, min(BLOCK, BLOCK_BYTES * len(x) // size)) if size > LARGE else None


# ----- reading -------------------------------------------------------------------------------------------------------


def read(source: Source, base: Path, key: Key) -> Table:
    """The table of a source, with the parts from separate files appended.

    Raises   DataError as ``check`` does for each of them
    """
    table = source.table(base, key)
    check(table, type(source).__name__, missing=source.impute is not None)
    given = {} if source.split is None else source.split.given
    if not given:
        return table
    tables, codes = [table], [np.zeros(len(table.y), np.int8)]
    rest = None if source.split is None else evolve(source.split, given={})
    for part, changes in given.items():
        known = [field.name for field in fields(type(source)) if field.name not in ("split", "scale")]
        for name in changes:
            if name not in known:
                message = f"unknown field of {source.tag!r}{did_you_mean(name, known)}"
                raise SpecError([Problem(f".data.split.given.{part}.{name}", message)])
        own = evolve(source, split=rest, **_by_name(table, changes, known), **changes).table(base, key.fold(part))
        check(own, type(source).__name__, missing=source.impute is not None)
        tables.append(own)
        codes.append(np.full(len(own.y), PARTS.index(part), np.int8))
    x = _joined([one.x for one in tables], type(source).__name__)
    y = _stacked([one.y for one in tables], "targets", type(source).__name__)
    weights = [one.weight for one in tables if one.weight is not None]
    columns = {
        name: np.concatenate([one.columns[name] for one in tables])
        for name in table.columns
        if all(name in one.columns for one in tables)
    }
    classes = next((one.classes for one in tables if one.classes is not None), None)
    if any(one.classes not in (None, classes) for one in tables):
        raise DataError("expected the same classes in all files, got different ones", layer=type(source).__name__)
    weight = np.concatenate(weights) if len(weights) == len(tables) else None
    present = any(one.present for one in tables)
    gone = [np.zeros(len(one.y), bool) if one.left_out is None else one.left_out for one in tables]
    left_out = np.concatenate(gone) if any(one.left_out is not None for one in tables) else None
    return Table(x, y, classes, weight, columns, np.concatenate(codes), table.outputs, present, left_out)


def _by_name(table: Table, changes: Mapping[str, str], known: list[str]) -> dict[str, Any]:
    """The columns by name, since another file may order them differently or have more."""
    if not isinstance(table.x, Frame):
        return {}
    targets = table.outputs[0] if len(table.outputs) == 1 else table.outputs
    by_name = {"inputs": tuple(table.x.columns), "target": targets}
    return {name: value for name, value in by_name.items() if name in known and name not in changes}


def _joined(xs: list[Any], name: str) -> Any:
    """The inputs of several files, concatenated."""
    first = xs[0]
    if isinstance(first, Frame):
        return gathered(xs)
    if any(isinstance(x, Stream) for x in xs):
        if len({x.shape[1:] for x in xs}) > 1 or not all(isinstance(x, Stream) for x in xs):
            raise DataError(
                "expected inputs of one shape in all files, either all streams or none; set stream to true", layer=name
            )
        return Stream([piece for x in xs for piece in x.pieces])
    return _stacked(xs, "inputs", name)


def _stacked(arrays: list[Array], what: str, name: str) -> Array:
    shapes = list(dict.fromkeys(array.shape[1:] for array in arrays))
    if len(shapes) > 1:
        raise DataError(f"expected {what} of one shape in all files, got {shapes[0]} and {shapes[1]}", layer=name)
    if len({array.dtype.kind == "U" for array in arrays}) > 1:
        arrays = [array.astype(str) for array in arrays]
    return np.concatenate(arrays)


# ----- checks --------------------------------------------------------------------------------------------------------


def check(table: Table, name: str, missing: bool = False) -> None:
    """Check a table: numeric arrays, as many targets as inputs, and NaN in inputs only if ``missing``."""
    x, y = table.x, table.y
    rows = x.rows if isinstance(x, Frame) else len(x) if x.ndim else 0
    for part, array in (("inputs", x), ("targets", y)):
        if isinstance(array, Frame):
            continue
        if array.dtype.kind not in ("fiubU" if part == "targets" else "fiub"):
            raise DataError(f"expected numeric {part}, got {array.dtype}; encode them first", layer=name)
        if isinstance(array, np.ndarray):
            check_texts(array, part, name)
            absent = missing and part == "inputs" and array.dtype.kind == "f"
            check_finite(np.where(np.isnan(array), 0.0, array) if absent else array, part, name)
    if y.ndim == 0 or rows != len(y) or rows == 0:
        shape = (x.rows, len(x.columns)) if isinstance(x, Frame) else x.shape
        raise DataError(f"expected as many targets as inputs, at least one, got {shape} and {y.shape}", layer=name)
    for column, values in table.columns.items():
        check_texts(values, f"the column {column!r}", name)
    if table.weight is not None:
        weight = table.weight
        if weight.dtype.kind not in "fiub" or weight.shape[:1] != y.shape[:1]:
            raise DataError(
                f"expected a weight for each of {rows} rows, got {weight.dtype} of {weight.shape}", layer=name
            )
        check_weights(weight, name)


def left_out(found: Mapping[str, Any]) -> list[str]:
    """A sentence if rows are left out; none if all are used."""
    gone = found.get("left_out")
    return [f"{gone['rows']:,} of {gone['of']:,} rows are left out, since their target is missing"] if gone else []


def without_target(table: Table) -> dict[str, Any]:
    """How many rows are left out of a table, for its findings."""
    gone = table.left_out
    return {} if gone is None else {"left_out": {"rows": int(gone.sum()), "of": len(gone)}}


def findings(table: Table, classes: list[str] | None, parts: Parts) -> dict[str, Any]:
    """A summary of the data in plain JSON values."""
    x = table.x
    found: dict[str, Any] = {"rows": {name: len(part) for name, part in parts._asdict().items() if len(part)}}
    found |= without_target(table)
    if isinstance(x, Frame):
        found["columns"] = list(x.columns)
        absent = {name: missing_in(values) for name, values in x.columns.items()}
        found["missing"] = {name: count for name, count in absent.items() if count}
        found["missing_texts"] = {name: dict(texts) for name, texts in x.gaps.items() if texts}
    else:
        found["input"] = list(x.shape[1:])
        absent_count = int(np.isnan(x).sum()) if isinstance(x, np.ndarray) and x.dtype.kind == "f" else 0
        if absent_count:
            found["missing"] = absent_count
    if classes is not None and table.y.ndim == 1:
        counts = np.bincount(table.y.astype(np.intp), minlength=len(classes))
        found["classes"] = {label: int(count) for label, count in zip(classes, counts, strict=False)}
    elif table.outputs:
        found["targets"] = list(table.outputs)
        if len(table.outputs) > 1 and np.isin(table.y, (0.0, 1.0)).all():
            found["labels"] = {name: int(count) for name, count in zip(table.outputs, table.y.sum(axis=0), strict=True)}
    return found
