"""From a source to arrays that a network trains on: read, split, and preprocess by the training part."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from funcnet.data.sources import Source, Table
from funcnet.data.split import Parts
from funcnet.errors import DataError, place
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

    def parts_by_name(self) -> dict[str, Dataset]:
        """``{"train": …, "validation": …, "test": …}``, those that there are."""
        named = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: part for name, part in named.items() if part is not None}


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
    preprocess: dict[str, Any] = {"inputs": None, "classes": None if table.classes is None else list(table.classes)}
    if source.integers:
        preprocess["integers"] = True
    if source.scale == "standard":
        scaler = fit_standard(x[parts.train].astype(np.float64))
        preprocess["inputs"] = {"scale": "standard", **{name: values.tolist() for name, values in scaler.items()}}
    x = transform(preprocess, x, dtype, type(source).__name__)
    y = narrow(y, dtype, type(source).__name__, "targets") if y.dtype.kind == "f" else y.astype(np.int64)
    sets = [Dataset(x[rows], y[rows]) if len(rows) else None for rows in parts]
    assert sets[0] is not None
    return Prepared(sets[0], sets[1], sets[2], preprocess, parts)


def transform(preprocess: dict[str, Any], x: Array, dtype: npt.DTypeLike, name: str = "transform") -> Array:
    """Raw inputs as the network was trained on them, by what ``prepare`` fitted.

    Raises   DataError for numbers that the dtype cannot hold, or another number of features
    """
    inputs = preprocess["inputs"]
    if preprocess.get("integers"):
        if x.dtype.kind not in "iu":
            raise DataError(f"expected indices as integers, got {x.dtype}; encode them as the source does", layer=name)
        return x.astype(np.int64)
    if inputs is None:
        return narrow(x, dtype, name)
    mean, deviation = np.array(inputs["mean"]), np.array(inputs["deviation"])
    if x.shape == mean.shape:
        raise DataError(
            f"expected a batch of samples, got one sample of shape {x.shape}; give it a batch axis: x[None]", layer=name
        )
    if x.shape[1:] != mean.shape:
        raise DataError(f"expected inputs of shape {mean.shape} in each row, got {x.shape[1:]}", layer=name)
    return narrow((x - mean) / deviation, dtype, name)


def check(table: Table, name: str) -> tuple[Array, Array]:
    """The arrays of a table, numbers all of them, as many targets as inputs."""
    x, y = table.x, table.y
    for part, array in (("inputs", x), ("targets", y)):
        if array.dtype.kind not in "fiub":
            raise DataError(f"expected numeric {part}, got {array.dtype}; encode them first", layer=name)
        check_finite(array, part, name)
    if x.ndim == 0 or y.ndim == 0 or len(x) != len(y) or len(x) == 0:
        raise DataError(f"expected as many targets as inputs, at least one, got {x.shape} and {y.shape}", layer=name)
    return x, y


def check_finite(array: Array, what: str, name: str = "") -> None:
    """Refuse NaN and infinity, with the place of the first.

    Raises   DataError
    """
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        at = tuple(np.argwhere(~np.isfinite(array))[0].tolist())
        raise DataError(f"expected finite {what}, got {array[at]} in {place(at)}; remove or fill it", layer=name)


def narrow(x: Array, dtype: npt.DTypeLike, name: str, what: str = "inputs") -> Array:
    """Inputs or targets in another float type.

    Raises   DataError for a number that it cannot hold
    """
    with np.errstate(over="ignore"):
        y = x.astype(dtype)
    if not np.isfinite(y).all():
        at = tuple(np.argwhere(~np.isfinite(y))[0].tolist())
        raise DataError(
            f"expected {what} that {np.dtype(dtype)} can hold, got {x[at]} in {place(at)}; scale them", layer=name
        )
    return y


def fit_standard(x: Array) -> dict[str, Array]:
    """Mean and standard deviation of each feature; a constant feature keeps its scale."""
    varies = x.max(axis=0) > x.min(axis=0)  # the deviation of a constant may be a rounding error, not 0
    return {"mean": x.mean(axis=0), "deviation": np.where(varies, x.std(axis=0), 1.0)}
