"""Targets as estimators take them: labels or numbers, checked in words before scikit-learn looks at them."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.utils import check_array
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import column_or_1d

from funcnet.key import Array


def labels(y: Any, name: str) -> tuple[Array, bool]:
    """Labels, (rows,), or several for each row, 0 or 1, (rows, labels); and which of them.

    Raises   ValueError for missing labels, those of several types, numbers that are not classes, and several columns of
             classes
    """
    _given(y, name)
    if not hasattr(y, "toarray") and np.asarray(y).dtype == object:
        _one_type(np.asarray(y))
        if all(isinstance(label, int | np.integer | np.bool_) for label in np.asarray(y).flat):
            y = np.asarray(np.asarray(y).tolist())  # scikit-learn knows texts alone as objects
    kind = type_of_target(y, input_name="y")
    if kind not in ("binary", "multiclass"):
        check_classification_targets(y)  # refuses numbers that are not classes
    if kind == "multiclass-multioutput":
        raise ValueError(
            f"{name} learns one column of classes, got {np.shape(y)[1]}; write "
            f"sklearn.multioutput.MultiOutputClassifier({name}()), which trains a network for each"
        )
    if not kind.startswith("multilabel"):
        return column_or_1d(y, warn=True), False
    found = check_array(y, accept_sparse="csr", dtype=np.float64, input_name="y")
    return found if isinstance(found, np.ndarray) else found.toarray(), True


def labels_named(names: Sequence[str]) -> Array:
    """The labels that a run has the names of: integers, booleans or floats if these are written so, else texts."""
    if list(names) == ["False", "True"]:
        return np.array([False, True])
    for number in int, float:
        with contextlib.suppress(ValueError):
            found = list(map(number, names))
            if list(map(str, found)) == list(names) and np.isfinite(found).all():
                return np.array(found)
    return np.array(names)


def values(y: Any, estimator: Any) -> Array:
    """Targets that are numbers, (rows,) or (rows, outputs).

    Raises   ValueError for anything else
    """
    name = type(estimator).__name__
    _given(y, name)
    if not hasattr(y, "toarray"):
        y = _floats(np.asarray(y), name)
    target = check_array(y, ensure_2d=False, dtype="numeric", input_name="y", estimator=estimator)
    if target.ndim == 2 and target.shape[1] == 1:
        target = column_or_1d(target, warn=True)
    return np.asarray(target, np.float64)


def _given(y: Any, name: str) -> None:
    if y is None:
        raise ValueError(f"{name} requires y to be passed, but the target y is None.")


def _floats(y: Array, name: str) -> Array:
    """Objects as floats, NaN if missing, of which scikit-learn speaks; other numbers as they are.

    Raises   ValueError for texts and times
    """
    times = "turn times into numbers, such as days since a date"
    if y.dtype.kind in "mM":
        raise ValueError(f"{name}: expected numbers as targets, got {y.dtype}; {times}")
    if y.dtype.kind not in "OUS":
        return y
    found = np.full(y.shape, np.nan)
    for at, value in np.ndenumerate(y.astype(object)):
        if isinstance(value, str | bytes):
            how = "use FuncnetClassifier for labels, or convert texts of numbers with astype(float)"
            raise ValueError(f"{name}: expected numbers as targets, got the text {value!r:.60}; {how}")
        if not _is_missing(value):
            try:
                found[at] = float(value)
            except OverflowError:
                raise ValueError(f"{name}: expected targets below 1.8e308, got a larger integer") from None
            except (TypeError, ValueError):
                raise ValueError(f"{name}: expected numbers as targets, got {value!r:.60}; {times}") from None
    return found


def _is_missing(value: Any) -> bool:
    return value is None or type(value).__name__ in ("NAType", "NaTType") or bool(value != value)


def _one_type(y: Array) -> None:
    """Refuse labels that are missing, and texts among other labels, which have no order."""
    first: Any = None
    for row, value in enumerate(y.flat if y.ndim == 1 else ()):
        if _is_missing(value):
            raise ValueError(f"Input y contains NaN: the label of row {row} is {value}; leave the row out")
        first = value if row == 0 else first
        if isinstance(value, str) is not isinstance(first, str):
            raise ValueError(
                f"expected labels of one type, got {first!r:.60} in row 0 and {value!r:.60} in row {row}; "
                "turn them all into texts, such as by y.astype(str)"
            )
