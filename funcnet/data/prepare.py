"""From a source to arrays that a network trains on: read, split, and preprocess by the training part."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from funcnet.data.sources import Source, Table
from funcnet.data.split import Parts
from funcnet.errors import DataError
from funcnet.key import Array, Key


class Dataset(NamedTuple):
    """Arrays row by row, as ``fit`` takes them."""

    x: Array
    y: Array
    weight: Array | None = None


class Prepared(NamedTuple):
    """The parts of a data set, and how raw inputs became theirs: ``preprocess`` holds plain JSON values."""

    train: Dataset
    validation: Dataset | None
    test: Dataset | None
    preprocess: dict[str, Any]
    parts: Parts


def prepare(source: Source, key: Key, base: Path | None = None, dtype: npt.DTypeLike = np.float32) -> Prepared:
    """Read a source, divide it, and fit its preprocessing on the training part.

    Draws of the data come from ``key.fold("data")``, the division from ``key.fold("split")``.
    Raises   DataError for data that cannot be used: no rows, NaN, inputs and targets of different length
    """
    table = source.table(base or Path(), key.fold("data"))
    x, y = check(table, type(source).__name__)
    if source.split is None:
        parts = Parts(np.arange(len(x)), np.arange(0), np.arange(0))
    else:
        parts = source.split.parts(y, key.fold("split"))
    x = x.astype(np.float64)
    preprocess: dict[str, Any] = {"inputs": None, "classes": table.classes}
    if source.scale == "standard":
        scaler = fit_standard(x[parts.train])
        preprocess["inputs"] = {"scale": "standard", **{name: values.tolist() for name, values in scaler.items()}}
        x = (x - scaler["mean"]) / scaler["deviation"]
    x = x.astype(dtype)
    y = y.astype(dtype) if y.dtype.kind == "f" else y.astype(np.int64)
    sets = [Dataset(x[rows], y[rows]) if len(rows) else None for rows in parts]
    assert sets[0] is not None
    return Prepared(sets[0], sets[1], sets[2], preprocess, parts)


def check(table: Table, name: str) -> tuple[Array, Array]:
    """The arrays of a table, numbers all of them, as many targets as inputs."""
    x, y = table.x, table.y
    for part, array in (("inputs", x), ("targets", y)):
        if array.dtype.kind not in "fiub":
            raise DataError(f"expected numeric {part}, got {array.dtype}; encode them first", layer=name)
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            row = int(np.argwhere(~np.isfinite(array))[0][0])
            raise DataError(f"expected finite {part}, got {array[row]} in row {row}; remove or fill it", layer=name)
    if x.ndim == 0 or y.ndim == 0 or len(x) != len(y) or len(x) == 0:
        raise DataError(f"expected as many targets as inputs, at least one, got {x.shape} and {y.shape}", layer=name)
    return x, y


def fit_standard(x: Array) -> dict[str, Array]:
    """Mean and standard deviation of each feature; a constant feature keeps its scale."""
    deviation = x.std(axis=0)
    return {"mean": x.mean(axis=0), "deviation": np.where(deviation > 0.0, deviation, 1.0)}
