"""The treatment of an estimator's data, fitted on its rows and their weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcnet.data.preprocess import Preprocess, fit, shift_and_factor, unscaled
from funcnet.data.sources.arrays import Npz
from funcnet.data.sources.base import Frame, Scale, Source
from funcnet.data.sources.table import Columns
from funcnet.key import Array
from funcnet.sklearn.inputs import GAPS, readable, rows_of


def source_of(X: Any, scale: Scale | None, target_scale: Scale | None) -> Source:
    """The source that describes the data and its treatment. The columns of sparse data, mostly 0, are not scaled."""
    if isinstance(X, Frame):
        categorical = tuple(name for name, values in X.columns.items() if values.dtype.kind == "U")
        treatment: dict[str, Any] = {"impute": "most_frequent", "scale": scale, "target_scale": target_scale}
        return Columns(target="target", inputs=tuple(X.columns), categorical=categorical, missing=GAPS, **treatment)
    sparse = not isinstance(X, np.ndarray)
    return Npz(path="data.npz", scale=None if sparse else scale, target_scale=target_scale)


def fitted(source: Source, X: Any, y: Array, weight: Array | None, classes: Sequence[str] | None) -> Preprocess:
    """The preprocessing of a source; standard scales count each row by its weight, as if it were there so often.

    A category that is missing counts as one if the training rows have missing ones. Nothing else is filled in.
    """
    x = readable(X)
    found = fit(source, x, y, np.arange(rows_of(X)), None if classes is None else list(classes))
    for column in found.get("columns", ()):
        column["fill"] = "" if column["fill"] == "" else None
    if weight is None:
        return found
    for name in ("inputs", "targets"):
        scaler = found.get(name)
        if scaler is None or scaler["scale"] != "standard":
            continue
        values = (unscaled(found, x) if name == "inputs" else y).astype(np.float64)
        mean = np.average(values, 0, weight)
        shift, factor = shift_and_factor(scaler)
        deviation = np.sqrt(np.average((values - mean) ** 2, 0, weight))
        varies = np.isclose(factor, values.std(0))  # that of a constant, or of a column of 0 and 1, is another
        found[name] = scaler | {
            "mean": np.where(varies, mean, shift).tolist(),
            "deviation": np.where(varies & (deviation > 0.0), deviation, factor).tolist(),
        }
    return found
