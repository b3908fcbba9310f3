"""Preprocessing of inputs and targets: fitted on the training part, kept as plain JSON values, applied everywhere.

Inputs go through these steps, in this order, each only if the spec asks for it:

columns   a table's columns become numbers: a number stays as it is, a category becomes one column of 0 and 1 for each
          category of the training part (all 0 if unknown), an ordered category becomes its position (-1 if unknown),
          a date becomes its year, month and weekday; equal numbers, such as 1 and 1.0, are one category;
          ``max_categories`` keeps the most frequent ones, and the others are all 0
fill      missing values become the mean, median or most frequent value of the training part, or a given number; a
          missing category becomes a separate category if the training part has any
flatten   each input becomes a vector
divide    inputs are divided by one number
scale     (x - shift) / factor, for each feature; columns of 0 and 1 stay unchanged, and a column that is constant up
          to rounding becomes 0 up to rounding
"""

from __future__ import annotations

import logging
import math
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from funcnet.data.columns import (
    Unknown,
    column_names,
    encode,
    feature_places,
    fill_of,
    fit_columns,
    one_hot,
    outside_by_column,
)
from funcnet.data.lazy_array import BLOCK, Piece, Stream
from funcnet.data.scaling import (
    SCALES as SCALES,
    restore_targets as restore_targets,
    scale_targets as scale_targets,
    scaler,
    shift_and_factor as shift_and_factor,
    statistics,
)
from funcnet.data.shelf import Rows, empty
from funcnet.data.sources.base import Frame, Inputs, Source
from funcnet.data.usable import (
    check_finite as check_finite,
    check_texts as check_texts,
    check_weights as check_weights,
    narrow as narrow,
)
from funcnet.errors import DataError, place
from funcnet.key import Array

log = logging.getLogger("funcnet")

Preprocess = dict[str, Any]


def fit(source: Source, x: Inputs, y: Array, rows: Array, classes: list[str] | None) -> Preprocess:
    """Fit the preprocessing of a source on the rows of the training part.

    Raises   DataError for missing values without ``impute``, or a statistic that needs all rows of a stream at once
    """
    name = type(source).__name__
    rows = np.sort(rows)
    preprocess: Preprocess = {"inputs": None, "classes": classes}
    if source.integers:
        return preprocess | {"integers": True}
    if isinstance(x, Stream) and (source.impute is not None or source.scale == "robust"):
        what = "impute" if source.impute is not None else "scale 'robust'"
        raise DataError(
            f"{what}: needs all rows at once, and these are read in blocks; use scale 'standard'", layer=name
        )
    if isinstance(x, Frame):
        preprocess["columns"] = fit_columns(source, x, rows)
    else:
        preprocess["shape"] = list(x.shape[1:])
        if source.impute is not None and isinstance(x, np.ndarray) and x.dtype.kind == "f":
            raw = x[rows].reshape(len(rows), -1)
            filled = [fill_of(source.impute, raw[:, i], f"feature {i}", name) for i in range(raw.shape[1])]
            preprocess["fill"] = filled
    if source.flatten and not isinstance(x, Frame):
        preprocess["flatten"] = True
    if source.divide is not None:
        preprocess["divide"] = source.divide
    hot = np.array(one_hot(preprocess.get("columns", ())), bool)
    features: Any = _encoded(preprocess, x) if isinstance(x, Frame) else x
    low, high, shift, factor = statistics(
        features, rows, source.scale, name, lambda raw: _shaped(preprocess, _filled(preprocess, raw))
    )
    preprocess["range"] = {"low": low.tolist(), "high": high.tolist()}
    if source.scale is not None:
        if len(hot):
            shift, factor = np.where(hot, 0.0, shift), np.where(hot, 1.0, factor)
        preprocess["inputs"] = scaler(source.scale, shift, factor)
    if source.target_scale is not None:
        if classes is not None:
            raise DataError("target_scale: the targets are labels, which have no scale; leave it out", layer=name)
        _, _, shift, factor = statistics(y, rows, source.target_scale, name)
        preprocess["targets"] = scaler(source.target_scale, shift, factor)
    return preprocess


def prepared_shape(preprocess: Preprocess) -> tuple[int, ...] | None:
    """The shape of one input after the preprocessing; None for indices, whose shape is not recorded."""
    if preprocess.get("columns") is not None:
        return (len(one_hot(preprocess["columns"])),)
    shape = preprocess.get("shape")
    if shape is None:
        return None
    return (math.prod(shape),) if preprocess.get("flatten") else tuple(shape)


# ----- applying it ---------------------------------------------------------------------------------------------------


def _filled(preprocess: Preprocess, x: Array) -> Array:
    fill = preprocess.get("fill")
    if fill is None or x.dtype.kind != "f":
        return x
    return np.where(np.isnan(x), np.array(fill).reshape(x.shape[1:]), x)


def _encoded(preprocess: Preprocess, x: Frame) -> Stream:
    """The features of a table, some rows at a time: as an array they take much more room than its columns."""
    columns = preprocess["columns"]
    width = len(one_hot(columns))
    piece = Piece(x.rows, (width,), np.dtype(np.float64), lambda begin, end: encode(columns, x.take(slice(begin, end))))
    return Stream([piece])


def _shaped(preprocess: Preprocess, x: Array) -> Array:
    """Flattened and divided."""
    if preprocess.get("flatten"):
        x = x.reshape(len(x), math.prod(x.shape[1:]))
    return x / preprocess["divide"] if preprocess.get("divide") is not None else x


def unscaled(preprocess: Preprocess, x: Inputs, unknown: Unknown | None = None) -> Array:
    """Inputs before scaling, in the units of ``range``; categories that training lacks are counted."""
    assert not isinstance(x, Stream)
    if isinstance(x, Frame):
        return _shaped(preprocess, encode(preprocess["columns"], x, unknown))
    return _shaped(preprocess, _filled(preprocess, x))


def transform(
    preprocess: Preprocess,
    x: Any,
    dtype: npt.DTypeLike,
    name: str = "transform",
    unknown: Unknown | None = None,
    first: int | Array = 0,
    *,
    roomy: bool = False,
) -> Any:
    """Raw inputs, preprocessed as in training; those of a stream when they are read.

    Categories that the training part lacks are counted in ``unknown``, or else logged. ``first`` is the number of the
    first row, or has those of all rows, for messages. With ``roomy`` many rows of a table become a stream, whose file
    is temporary.
    Raises   DataError for numbers that the dtype cannot hold, or another number of features
    """
    if isinstance(x, Stream):
        return x.map_numbered(lambda rows, numbers: transform(preprocess, rows, dtype, name, first=numbers))
    if preprocess.get("integers"):
        if x.dtype.kind not in "iu":
            raise DataError(f"expected indices as integers, got {x.dtype}; encode them as the source does", layer=name)
        return x.astype(np.int64)
    inputs = preprocess["inputs"]
    if not isinstance(x, Frame):
        _check_shape(preprocess, x, name)
    counted = Unknown() if unknown is None else unknown
    y = None
    rows = x.rows if isinstance(x, Frame) else len(x)
    size = BLOCK if isinstance(x, Frame) else max(1, rows)
    for begin in range(0, max(1, rows), size):
        part = unscaled(preprocess, x.take(slice(begin, begin + size)) if isinstance(x, Frame) else x, counted)
        if inputs is not None:
            shift, factor = shift_and_factor(inputs)
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # what is not finite is refused
                part = (part - shift) / factor
        part = narrow(part, dtype, name, where=partial(_place_of, preprocess, x, begin, first))
        if rows <= size:
            y = part
        else:
            y = (empty if roomy else np.empty)((rows, *part.shape[1:]), dtype) if y is None else y
            y[begin : begin + size] = part
    if unknown is None:
        log_unknown(counted)
    return y.stream() if isinstance(y, Rows) else y


def _place_of(preprocess: Preprocess, x: Array | Frame, begin: int, first: int | Array, at: tuple[int, ...]) -> str:
    """Where the entry ``at`` of prepared rows is in the inputs, of which they begin at row ``begin``."""
    if not isinstance(x, Frame):
        row = begin + at[0]
        return place((int(first[row]) if isinstance(first, np.ndarray) else first + row, *at[1:]))
    places = feature_places(preprocess["columns"])
    column = next(name for name, place in places.items() if place.start <= at[1] < place.stop)
    return f"{x.place(begin + at[0])}, column {column!r}"


def log_unknown(unknown: Unknown) -> None:
    """Log a warning for each column with categories that the training part lacks."""
    for sentence in unknown.sentences():
        log.warning("%s", sentence)


def restore_inputs(preprocess: Preprocess, x: Array) -> Array:
    """Preprocessed inputs in their original units: the scaling and the division undone."""
    raw = x.astype(np.float64)
    if preprocess["inputs"] is not None:
        shift, factor = shift_and_factor(preprocess["inputs"])
        raw = raw * factor + shift
    return raw * preprocess.get("divide", 1.0)


def _check_shape(preprocess: Preprocess, x: Array, name: str) -> None:
    """Refuse inputs in another form than the preprocessing was fitted on, if it depends on their shape."""
    columns = preprocess.get("columns")
    if columns is not None:
        expected = ", ".join(column_names(columns))
        raise DataError(
            f"expected a table with the columns {expected}, got an array; read it with its source", layer=name
        )
    shape = tuple(preprocess.get("shape", x.shape[1:]))
    if preprocess["inputs"] is None and not preprocess.get("fill") and not preprocess.get("flatten"):
        return
    if x.shape == shape:
        raise DataError(
            f"expected a batch of samples, got one sample of shape {x.shape}; give it a batch axis: x[None]", layer=name
        )
    if x.shape[1:] != shape:
        raise DataError(f"expected inputs of shape {shape} in each row, got {x.shape[1:]}", layer=name)


def outside_range(preprocess: Preprocess, x: Inputs) -> tuple[Array, dict[str, int]]:
    """Flags for rows with a value outside the training part's range, or a category that it lacks.

    The second result is the number of such values by column, for tables.
    """
    seen = preprocess.get("range")
    if seen is None or isinstance(x, Stream):
        raise DataError("the run's inputs are indices, which have no range")
    values = unscaled(preprocess, x)
    out: Any = (values < np.array(seen["low"])) | (values > np.array(seen["high"]))
    if not isinstance(x, Frame):
        return out.reshape(len(values), -1).any(axis=1), {}
    by_column = outside_by_column(preprocess["columns"], x, out)
    counts = {name: int(flags.sum()) for name, flags in by_column.items() if flags.any()}
    return np.any(list(by_column.values()), axis=0), counts
