"""Rows as estimators take them: arrays, sparse matrices, and data frames with columns of categories."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date, time
from numbers import Number
from typing import Any, Literal

import numpy as np
from sklearn.utils.validation import _check_sample_weight, validate_data

from funcnet.data.lazy_array import Piece
from funcnet.data.sources.arrays import loaded
from funcnet.data.sources.base import Frame
from funcnet.data.sources.memory import Cells
from funcnet.errors import require
from funcnet.hints import did_you_mean
from funcnet.key import Array

Categorical = Literal["from_dtype"] | Sequence[str] | None
FLOATS = (np.float64, np.float32)
"""The dtypes that inputs keep; others become the first"""
GAPS = ("",)
"""The texts for a missing value: any other is a category"""


def checked(estimator: Any, X: Any, *, reset: bool) -> Any:
    """The rows as an array or a sparse matrix of floats, or as a ``Frame`` if there are columns of categories.

    With ``reset`` the form is that of X and the estimator's ``categorical``, else that of the last ``fit``. A missing
    number is NaN, where a run fills it in; sparse rows have none.
    Raises   ValueError and TypeError as scikit-learn does, with the column of a frame
    """
    rows = next(iter(X), None) if isinstance(X, list | tuple) else X
    if isinstance(rows, Mapping) and not hasattr(rows, "shape"):  # a sparse matrix may be a dict, too
        raise ValueError("expected an array of numbers or a data frame, got a table of dicts; give pandas.DataFrame(X)")
    if reset:
        names = category_columns(X, estimator.categorical)
        columns, missing = [{"name": name, "kind": "one_hot"} for name in names], GAPS
        gaps = True
    else:
        columns = estimator.run_.preprocess.get("columns") or []
        gaps = "fill" in estimator.run_.preprocess
        missing = getattr(estimator.run_.experiment.data, "missing", GAPS)
        names = [one["name"] for one in columns if one["kind"] != "number" or "part" in one]
    frame = table(X)
    if not columns:
        plain_columns(frame)
        sparse = X.tocoo().data if hasattr(X, "tocoo") else None
        if sparse is not None and sparse.dtype.kind == "f" and np.isnan(sparse).any():
            raise ValueError(
                "Input X contains NaN: sparse rows have no missing numbers; fill them in, or give an array"
            )
        finite: Any = "allow-nan" if gaps and sparse is None else True
        return validate_data(estimator, X, dtype=FLOATS, accept_sparse="csr", ensure_all_finite=finite, reset=reset)
    if frame is None:
        raise ValueError(f"expected a data frame, as in fit, with the columns {', '.join(estimator.feature_names_in_)}")
    validate_data(estimator, X, skip_check_array=True, reset=reset)
    if len(X) == 0:
        raise ValueError(f"Found array with 0 sample(s) (shape={X.shape}) while a minimum of 1 is required.")
    how = "list it in categorical, or leave it out" if reset else "the training rows had numbers there"
    return Frame(
        {
            name: texts(frame[name], missing) if name in names else numbers(frame[name], name, how)
            for name in frame.columns
        },
        np.arange(len(X)),
        unit="row",
    )


def table(X: Any) -> Any:
    """A data frame through narwhals, which scikit-learn brings; None for anything else.

    Raises   ValueError for column names that are not distinct texts
    """
    if not hasattr(X, "columns"):
        return None
    narwhals = require("narwhals", "sklearn", "reading a data frame")
    if len(set(X.columns)) < len(X.columns):
        twice = next(name for name in X.columns if list(X.columns).count(name) > 1)
        raise ValueError(f"column {twice!r} is there more than once; give each column of the frame another name")
    frame = narwhals.from_native(X, eager_only=True, pass_through=True)
    return frame if isinstance(frame, narwhals.DataFrame) else None


def category_columns(X: Any, categorical: Categorical) -> list[str]:
    """The names of the columns with categories; none for anything but a frame.

    Raises   ValueError for a name that the frame lacks, or names without a frame
    """
    frame = table(X)
    if categorical is None:
        refuse_texts(frame)
        return []
    if not isinstance(categorical, str):
        known = [] if frame is None else list(frame.columns)
        for name in categorical:
            if name not in known:
                there = f"; it has {', '.join(map(str, known))}" if known else "; give X as a data frame"
                raise ValueError(f"categorical: X has no column {name!r}{did_you_mean(str(name), known)}{there}")
        require_texts(known)
        return list(categorical)
    if frame is None:
        return []
    narwhals = require("narwhals", "sklearn", "reading a data frame")
    kinds = narwhals.Categorical, narwhals.Enum, narwhals.String
    found = [name for name, dtype in frame.schema.items() if isinstance(dtype, kinds)]
    if found:
        require_texts(frame.columns)
    return found


def require_texts(names: Sequence[Any]) -> None:
    """Refuse column names that are not texts, in a frame with categories.

    Raises   ValueError
    """
    other = next((name for name in names if not isinstance(name, str)), None)
    if other is not None:
        raise ValueError(f"expected texts as the names of columns, got {other!r}; rename the columns of the frame")


def refuse_texts(frame: Any) -> None:
    """Refuse columns of texts where no column may have categories.

    Raises   ValueError
    """
    if frame is None:
        return
    narwhals = require("narwhals", "sklearn", "reading a data frame")
    name = next((name for name, dtype in frame.schema.items() if isinstance(dtype, narwhals.String)), None)
    if name is not None:
        raise ValueError(f"column {name!r} has texts; give categorical='from_dtype', or leave it out")


def values_of(column: Any) -> list[Any]:
    """The values of a column, NaN where one is missing: None, NaN, NaT, and the NA of pandas."""
    absent = column.is_null().to_list()
    return [float("nan") if gap else value for value, gap in zip(column.to_list(), absent, strict=True)]


def texts(column: Any, missing: Collection[str]) -> Array:
    """The categories of a column as texts, those that a table has for them; empty if missing, as those in ``missing``.

    Raises   DataError for a text that is not Unicode
    """
    plain = str, Number, date, time
    values = column.to_native()  # 0.1 in float32 stays 0.1
    if not column.dtype.is_numeric():
        values = [value if isinstance(value, plain) else str(value) for value in values_of(column)]
    name = str(column.name)
    return np.array(["" if text in missing else text for text in Cells([name], [values]).texts(name)])


def plain_columns(frame: Any) -> None:
    """Refuse a frame without columns, and columns of other values than numbers.

    Raises   ValueError
    """
    if frame is None:
        return
    if not frame.columns:
        raise ValueError("the frame has no columns; expected at least one")
    for name, dtype in frame.schema.items():
        if not dtype.is_numeric():
            numbers(frame[name], name)


CURES = {
    "Date": "turn it into numbers, such as its year and month",
    "Datetime": "turn it into numbers, such as its year and month",
    "Duration": "turn it into numbers, such as its seconds",
    "Object": "turn all its values into numbers, or all into texts",
}
"""What to do about a column, by its dtype"""


def numbers(column: Any, name: str, of_texts: str = "") -> Array:
    """A column of numbers, NaN if missing; ``of_texts`` says what to do about texts.

    Raises   ValueError for anything else, and for infinity
    """
    cells, row = values_of(column), -1
    values = np.empty(len(cells))
    try:
        for row, value in enumerate(cells):
            values[row] = float("text" if isinstance(value, str) else value)
    except OverflowError:
        raise ValueError(f"column {name!r}: expected a number below 1.8e308, got a larger one in row {row}") from None
    except (TypeError, ValueError):
        kind = type(column.dtype).__name__
        got = str(getattr(column.to_native(), "dtype", kind)) if kind == "Unknown" else str(column.dtype)
        what = f"{got} with {cells[row]!r:.60} in row {row}" if kind == "Object" else got
        how = CURES.get(kind, "turn it into numbers or texts") + ", or leave it out"
        how = of_texts if of_texts and kind in ("String", "Categorical", "Enum") else how
        raise ValueError(f"column {name!r}: expected numbers or categories, got {what}; {how}") from None
    wrong = np.flatnonzero(np.isinf(values))
    if len(wrong):
        raise ValueError(
            f"Input column {name!r} contains infinity, first in row {wrong[0]}; give a number, or NaN for a missing one"
        )
    return values


def weights(sample_weight: Any, X: Any, x: Any) -> Array | None:
    """The weight of each row, 0 or more, in the dtype of the checked rows ``x``; None without weights.

    Raises   ValueError
    """
    if sample_weight is None:
        return None
    dtype = getattr(x, "dtype", np.float64)
    weight: Array = _check_sample_weight(sample_weight, X, dtype=dtype, ensure_non_negative=True)
    return weight


def rows_of(X: Any) -> int:
    """The number of rows."""
    return X.rows if isinstance(X, Frame) else int(X.shape[0])


def take(X: Any, rows: Array) -> Any:
    """Some of the rows."""
    return X.take(rows) if isinstance(X, Frame) else X[rows]


def readable(X: Any) -> Any:
    """The rows as a network reads them: of a sparse matrix a batch at a time is dense, or all of a small one."""
    if isinstance(X, Frame | np.ndarray):
        return X
    return loaded(Piece(X.shape[0], X.shape[1:], X.dtype, lambda begin, end: X[begin:end].toarray()), None)
