"""The treatment of an estimator's data, fitted on its rows and their weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcnet.data.preprocess import Preprocess, fit, unscaled
from funcnet.data.scaling import NOISE, shift_and_factor
from funcnet.data.sources.arrays import Npz
from funcnet.data.sources.base import Frame, Scale, Source, TargetScale
from funcnet.data.sources.table import Columns
from funcnet.errors import DataError
from funcnet.key import Array
from funcnet.sklearn.inputs import GAPS, readable, rows_of


def source_of(X: Any, scale: Scale | None, target_scale: TargetScale | None) -> Source:
    """The source that describes the data and its treatment. The columns of sparse data, mostly 0, are not scaled."""
    if isinstance(X, Frame):
        categorical = tuple(name for name, values in X.columns.items() if values.dtype.kind == "U")
        treatment: dict[str, Any] = {"impute": "median", "scale": scale, "target_scale": target_scale}
        return Columns(target="target", inputs=tuple(X.columns), categorical=categorical, missing=GAPS, **treatment)
    if not isinstance(X, np.ndarray):  # sparse
        return Npz(path="data.npz", target_scale=target_scale)
    return Npz(path="data.npz", impute="median", scale=scale, target_scale=target_scale)


def fitted(source: Source, X: Any, y: Array, weight: Array | None, classes: Sequence[str] | None) -> Preprocess:
    """The preprocessing of a source; means and standard scales count a row by its weight, as if it were there so often.

    A missing number is the median of the known ones. A missing category counts as one if the training rows have
    missing ones, else it is unknown, as any other that they lack.
    Raises   DataError for a column without any known value, too many categories, and numbers too large
    """
    x = readable(X)
    try:
        found = fit(source, x, y, np.arange(rows_of(X)), None if classes is None else list(classes))
    except DataError as error:
        raise DataError(error.message) from None  # the source is not the user's
    for column in found.get("columns", ()):
        if column["kind"] != "number":
            column["fill"] = ""
    if weight is None:
        return found
    for name in ("inputs", "targets"):
        scaler = found.get(name)
        if scaler is not None and scaler["scale"] == "mean":
            size = np.average(np.abs(y), 0, weight)
            found[name] = scaler | {"mean": np.where(size > 0.0, size, 1.0).tolist()}
        if scaler is None or scaler["scale"] != "standard":
            continue
        values = (unscaled(found, x) if name == "inputs" else y).astype(np.float64)
        shift, factor = shift_and_factor(scaler)
        scaled = (values - shift) / factor
        mean = np.average(scaled, 0, weight)
        deviation = np.sqrt(np.average((scaled - mean) ** 2, 0, weight))
        eps = np.finfo(np.float32 if name == "inputs" and getattr(X, "dtype", None) == np.float32 else np.float64).eps
        noise = NOISE * eps * np.abs(values).max(0) / factor  # of a column that is constant in the rows that weigh
        varies = np.isclose(scaled.std(0), 1.0) & (deviation > noise)  # not so a constant, or a column of 0 and 1
        found[name] = scaler | {
            "mean": np.where(varies, shift + mean * factor, shift).tolist(),
            "deviation": np.where(varies, deviation * factor, factor).tolist(),
        }
    return found
