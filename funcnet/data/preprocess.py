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
from collections.abc import Callable
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
from funcnet.data.lazy_array import BLOCK, Piece, Stream, pieces_of
from funcnet.data.shelf import Rows, Turned, empty
from funcnet.data.sources.base import Frame, Inputs, Source
from funcnet.errors import DataError, place
from funcnet.key import Array
from funcnet.shapes import for_outputs

log = logging.getLogger("funcnet")

Preprocess = dict[str, Any]
SCALES = {
    "standard": ("mean", "deviation"),
    "minmax": ("low", "width"),
    "robust": ("median", "iqr"),
    "mean": ("origin", "mean"),
}
"""The names of shift and factor of each scale"""
NOISE = 8.0
"""The largest spread of a constant column, in units of its last place: that of a few roundings"""


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
    low, high, shift, factor = _statistics(
        features, rows, source.scale, name, lambda raw: _shaped(preprocess, _filled(preprocess, raw))
    )
    preprocess["range"] = {"low": low.tolist(), "high": high.tolist()}
    if source.scale is not None:
        if len(hot):
            shift, factor = np.where(hot, 0.0, shift), np.where(hot, 1.0, factor)
        preprocess["inputs"] = _scaler(source.scale, shift, factor)
    if source.target_scale is not None:
        if classes is not None:
            raise DataError("target_scale: the targets are labels, which have no scale; leave it out", layer=name)
        _, _, shift, factor = _statistics(y, rows, source.target_scale, name)
        preprocess["targets"] = _scaler(source.target_scale, shift, factor)
    return preprocess


def _scaler(scale: str, shift: Array, factor: Array) -> dict[str, Any]:
    names = SCALES[scale]
    return {"scale": scale, names[0]: shift.tolist(), names[1]: factor.tolist()}


def shift_and_factor(scaler: dict[str, Any]) -> tuple[Array, Array]:
    """The shift and the factor of a scale, in (x - shift) / factor."""
    shift, factor = (np.array(scaler[name], np.float64) for name in SCALES[scaler["scale"]])
    return shift, factor


def _statistics(
    x: Any, rows: Array | None, scale: str | None, name: str, change: Any = None
) -> tuple[Array, Array, Array, Array]:
    """Minimum, maximum, shift and factor of each feature; the factor of a constant is 1.

    A feature is constant if its range, or what its scale divides by, is no more than ``NOISE`` roundings of its size:
    dividing by it would turn the last bits of its numbers into a feature. If these bits are large themselves, as those
    of 1e9 in float32, the factor is the size.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        found = _moments(x, rows, scale, change)
    for statistic in found[2:] if scale is not None else ():
        if not np.isfinite(statistic).all():
            raise DataError(f"the numbers are too large for scale {scale!r}; divide them first", layer=name)
    return found


def _moments(x: Any, rows: Array | None, scale: str | None, change: Any) -> tuple[Array, Array, Array, Array]:
    count, low, high, eps = 0, None, None, 0.0
    mean: Any = 0.0
    squares: Any = 0.0
    everything = None
    for piece in pieces_of(x, rows):
        eps = float(np.finfo(np.float32 if piece.dtype == np.float32 else np.float64).eps)
        values = (piece if change is None else change(piece)).astype(np.float64)
        own_low, own_high = values.min(axis=0), values.max(axis=0)
        low = own_low if low is None else np.minimum(low, own_low)
        high = own_high if high is None else np.maximum(high, own_high)
        if scale == "standard":  # combine two sets: Chan, Golub and LeVeque (1979)
            own, n = values.mean(axis=0), len(values)
            between = own - mean
            squares = squares + values.var(axis=0) * n + between**2 * (count * n / (count + n))
            mean = own if count == 0 else mean + between * (n / (count + n))
            count += n
        elif scale == "mean":
            mean, count = mean + (np.abs(values) - mean).sum(axis=0) / (count + len(values)), count + len(values)
        elif scale == "robust":
            if everything is None:
                everything = Turned((len(x) if rows is None else len(rows)) * values[:1].nbytes)
            everything.add(values)
    assert low is not None
    assert high is not None
    size = np.maximum(np.abs(low), np.abs(high))
    shift, factor, near = low, high - low, size
    if scale == "standard":
        shift, factor = np.clip(mean, low, high), np.sqrt(squares / count)
    elif scale == "mean":
        return low, high, np.zeros_like(low), np.where(mean > 0.0, mean, 1.0)
    elif scale == "robust":
        assert everything is not None
        found = [np.quantile(some, [0.25, 0.5, 0.75], axis=1) for some in everything.columns()]
        quarters = np.concatenate(found, axis=1).reshape(3, *everything.shape)
        shift, factor = quarters[1], quarters[2] - quarters[0]
        near = np.maximum(np.abs(quarters[0]), np.abs(quarters[2]))
    varies = (high - low > NOISE * eps * size) & ~(factor <= NOISE * eps * near)
    large = (high > low) & (NOISE * eps * near > 1.0)
    return low, high, shift, np.where(varies, factor, np.where(large, near, 1.0))


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


# ----- targets ---------------------------------------------------------------------------------------------------


def scale_targets(preprocess: Preprocess, y: Array) -> Array:
    """Targets, scaled as the network learns them."""
    return _linear(preprocess, y, forward=True)


def restore_targets(preprocess: Preprocess, y: Any) -> Any:
    """Predictions in the units of the data."""
    return _linear(preprocess, y, forward=False)


def _linear(preprocess: Preprocess, y: Any, *, forward: bool) -> Any:
    targets = preprocess.get("targets")
    if targets is None:
        return y
    shift, factor = (for_outputs(part, y.shape[1:]) for part in shift_and_factor(targets))
    return (y - shift) / factor if forward else (y * factor + shift).astype(y.dtype, copy=False)


# ----- numbers that cannot be used -----------------------------------------------------------------------------------


def check_finite(array: Array, what: str, name: str = "") -> None:
    """Refuse NaN and infinity; the message gives the place of the first.

    Raises   DataError
    """
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        at = tuple(np.argwhere(~np.isfinite(array))[0].tolist())
        raise DataError(f"expected finite {what}, got {array[at]} in {place(at)}; remove or fill it", layer=name)


def check_texts(array: Array, what: str, name: str = "") -> None:
    """Refuse texts with codes that are no characters, as a damaged file may hold.

    Raises   DataError
    """
    if array.dtype.kind != "U" or array.dtype.itemsize == 0:
        return
    codes = np.ascontiguousarray(array, array.dtype.newbyteorder("=")).reshape(-1).view(np.uint32)
    wrong = codes[(codes > 0x10FFFF) | ((codes >= 0xD800) & (codes <= 0xDFFF))]
    if len(wrong):
        raise DataError(
            f"expected {what} as Unicode text, got the code {wrong[0]:#x}; write the file again", layer=name
        )


def check_weights(weight: Array, name: str = "", batch: bool = False) -> None:
    """Refuse weights that are negative, not finite, or so large that their sum is not, and a split of all 0.

    Those of a ``batch`` of a larger data set may all be 0.

    Raises   DataError
    """
    check_finite(weight, "weights", name)
    if np.any(weight < 0) or not (batch or np.any(weight > 0)):
        raise DataError(
            f"expected weights of 0 or more, at least one above 0, got a minimum of {weight.min()}", layer=name
        )
    most = float(np.finfo(np.float32).max)
    if np.sum(weight.astype(np.float64) / most) > 1.0:
        raise DataError(
            f"expected weights with a sum of at most {most:.3g}, got a maximum of {weight.max()}; divide them by their "
            "mean",
            layer=name,
        )


def narrow(
    x: Array, dtype: npt.DTypeLike, name: str, what: str = "inputs", where: Callable[[tuple[int, ...]], str] = place
) -> Array:
    """Inputs or targets in another float type; ``where`` says in messages where an entry is.

    Raises   DataError for a number that it cannot hold
    """
    with np.errstate(over="ignore"):
        y = x.astype(dtype)
    if not np.isfinite(y).all():
        at = tuple(np.argwhere(~np.isfinite(y))[0].tolist())
        raise DataError(
            f"expected {what} that {np.dtype(dtype)} can hold, got {x[at]} in {where(at)}; scale them", layer=name
        )
    return y
