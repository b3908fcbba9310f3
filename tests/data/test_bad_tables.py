"""Bad tables through every door: an estimator, a table in memory, and a CSV file. Each is one clear error or a stated
treatment."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import funcnet as fn
from funcnet.data import Columns, Csv
from funcnet.data.preparation import prepare
from funcnet.sklearn import FuncnetClassifier

ROWS = 12
Y = np.array(["p", "q"] * 6)
FRAME = pd.DataFrame({"a": np.arange(ROWS) / 4, "b": np.arange(ROWS) % 5 / 2, "c": list("xyz") * 4})
TREATED = {"target": "y", "categorical": ("c",), "scale": "standard", "impute": "median"}
MANY = 2**14
"""Rows and categories, whose columns of 0 and 1 would have 2²⁸ numbers"""


def estimator(frame: Any, y: Any, folder: Path) -> Any:
    return FuncnetClassifier(epochs=1, random_state=0).fit(frame, y).run_.preprocess


def memory(frame: Any, y: Any, folder: Path) -> Any:
    given = frame.copy(deep=False)
    given.insert(0, "y", y)
    return prepare(Columns(**TREATED), fn.Key(0), data=given).preprocess  # type: ignore[arg-type]


def csv(frame: Any, y: Any, folder: Path) -> Any:
    frame.assign(y=y).to_csv(folder / "t.csv", index=False)
    return prepare(Csv(path="t.csv", **TREATED), fn.Key(0), folder).preprocess  # type: ignore[arg-type]


DOORS: dict[str, Callable[..., Any]] = {"estimator": estimator, "memory": memory, "csv": csv}


def a(values: Any) -> Any:
    """The frame with another column a."""
    return FRAME.assign(a=values)


MISSING = "column 'a': all values of the training part are missing; leave it out"
DAYS = pd.date_range("2024-01-01", periods=ROWS, tz="Europe/Berlin")
CASES: dict[str, tuple[Any, Any, str, str, str]] = {  # the frame, the labels, and what each door says
    "duplicate names": (
        FRAME.set_axis(["a", "a", "c"], axis=1), Y,
        "column 'a' is there more than once; give each column of the frame another name",
        "the table: two columns are called 'a'; rename one",
        "two columns are called 'a'; rename one"),
    "lists": (
        a([[1, 2]] * ROWS), Y,
        "column 'a': expected numbers or categories, got Object with [1, 2] in row 0; turn all its values into numbers",
        "row 0, column 'a': expected a number, a text, a date or None, got a list; turn it into one of them",
        "line 2, column 'a': expected a number, got '[1, 2]'; list 'a' in categorical"),
    "mixed types": (
        a([1, "u", 2.5] * 4), Y,
        "column 'a': expected numbers or categories, got Object with 'u' in row 1; turn all its values into numbers",
        "row 1, column 'a': expected a number, got 'u'; list 'a' in categorical if it is a category",
        "line 3, column 'a': expected a number, got 'u'; list 'a' in categorical if it is a category"),
    "all missing": (a(np.nan), Y, MISSING, MISSING, MISSING),
    "all categories missing": (FRAME.assign(c=pd.Series([None] * ROWS, dtype="category")), Y,
                               *["column 'c': all values of the training part are missing; leave it out"] * 3),
    "one class": (
        FRAME, ["p"] * ROWS,
        "FuncnetClassifier needs samples of 2 or more classes, got one class: 'p'",
        "the target has one class, 'p'; expected two or more",
        "the target has one class, 'p'; expected two or more"),
    "a label that is missing": (
        FRAME, [None, *Y[1:]],
        "Input y contains NaN: the label of row 0 is None; leave the row out",
        "row 0, column 'y': the target is missing; leave the row out",
        "line 2, column 'y': the target is missing; leave the row out"),
    "no rows": (
        FRAME[:0], Y[:0],
        "Found array with 0 sample(s) (shape=(0, 3)) while a minimum of 1 is required",
        "the table: has no rows; give at least one",
        "has no rows below its header"),
    "no columns": (
        FRAME[[]], Y,
        "the frame has no columns; expected at least one",
        "the table: no column is left as an input besides the target y",
        "no column is left as an input besides the target y"),
    "time zones": (
        a(DAYS), Y,
        "column 'a': expected numbers or categories, got Datetime(time_unit='us', time_zone='Europe/Berlin'); turn it "
        "into numbers, such as its year and month",
        "row 0, column 'a': expected a number, got '2024-01-01T00:00:00+01:00'; list 'a' in dates",
        "line 2, column 'a': expected a number, got '2024-01-01 00:00:00+01:00'; list 'a' in dates"),
    "durations": (
        a(pd.to_timedelta(np.arange(ROWS), unit="h")), Y,
        "column 'a': expected numbers or categories, got Duration(time_unit='us'); turn it into numbers, such as its s",
        "row 0, column 'a': expected a number, a text, a date or None, got a Timedelta; turn it into a number, such as",
        "line 2, column 'a': expected a number, got '0 days 00:00:00'; list 'a' in categorical"),
    "periods": (
        a(pd.period_range("2024-01", periods=ROWS, freq="M")), Y,
        "column 'a': expected numbers or categories, got period[M]; turn it into numbers or texts, or leave it out",
        "row 0, column 'a': expected a number, a text, a date or None, got a Period; turn it into a date, such as its ",
        "line 2, column 'a': expected a number, got '2024-01'; list 'a' in categorical"),
    "infinity": (
        a(np.where(np.arange(ROWS) == 3, -np.inf, 1.0)), Y,
        "Input column 'a' contains infinity, first in row 3; give a number, or NaN for a missing one",
        "row 3, column 'a': expected a finite number, got -inf; replace it, or leave the row out",
        "line 5, column 'a': expected a number, got '-inf'; list 'a' in categorical"),
    "a number too large": (
        a([10**400, *range(1, ROWS)]), Y,
        "column 'a': expected a number below 1.8e308, got a larger one in row 0",
        "row 0, column 'a': expected a number below 1.8e308, got a larger integer",
        "line 2, column 'a': expected a number, got '100000"),
    "too many categories": (
        pd.DataFrame({"c": [f"k{i}" for i in range(MANY)]}), list(Y[:2]) * (MANY // 2),
        *[f"column 'c': {MANY} categories in {MANY} rows are too many columns of 0 and 1; leave it out, or merge"] * 3),
}  # fmt: skip


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("name", CASES)
def test_a_bad_table_is_one_clear_error(name: str, door: str, tmp_path: Path) -> None:
    frame, y, *messages = CASES[name]
    with pytest.raises(ValueError) as caught:
        DOORS[door](frame, y, tmp_path)
    said = str(caught.value).removeprefix(f"{tmp_path / 't.csv'}: ")
    said = said.removeprefix({"estimator": "", "memory": "Columns: ", "csv": "Csv: "}[door])
    assert said.startswith(messages[list(DOORS).index(door)])
    assert len(said) < 300


TREATMENTS: dict[str, tuple[Any, str, list[str] | float]] = {  # the frame, the column, its categories or its fill
    "gaps": (a([np.nan, 8.0, 2.0, 3.0] * 3), "a", 3.0),
    "a category of whole numbers": (FRAME.assign(c=pd.Categorical([10, 9, 2] * 4)), "c", ["2", "9", "10"]),
    "missing categories": (FRAME.assign(c=pd.Categorical(["x", None, "y"] * 4)), "c", ["x", "y", ""]),
    "a category of two types": (FRAME.assign(c=pd.Categorical([1, "u", 2.5] * 4)), "c", ["1", "2.5", "u"]),
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("name", TREATMENTS)
def test_what_is_treated_is_treated_alike(name: str, door: str, tmp_path: Path) -> None:
    frame, column, expected = TREATMENTS[name]
    (found,) = (one for one in DOORS[door](frame, Y, tmp_path)["columns"] if one["name"] == column)
    assert found["fill" if column == "a" else "categories"] == expected


def test_labels_that_training_lacked(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    """An estimator counts them as wrong; a run refuses them. A category that training lacked is 0 everywhere."""
    fitted = FuncnetClassifier(epochs=1, random_state=0).fit(FRAME, Y)
    more = np.where(np.arange(ROWS) == 4, "r", Y)
    assert fitted.score(FRAME, more) == np.mean(fitted.predict(FRAME) == more)
    run = fitted.run_
    for rows in (FRAME.assign(target=more), tmp_path / "rows.csv"):
        FRAME.assign(target=more).to_csv(tmp_path / "rows.csv", index=False)
        with pytest.raises(fn.DataError, match=r"'r'"):
            run.evaluate(rows)
    with caplog.at_level(logging.WARNING, "funcnet"):
        answers = fitted.predict_proba(FRAME.assign(c="new"))
    assert np.isfinite(answers).all()
    assert "12 of 12 rows have a category that the training part lacks, such as 'new' in row 0" in caplog.text


def test_names_that_look_the_same_are_told_apart() -> None:
    """As a file from another system may have them: an accent apart, and a letter with one."""
    table = {"caf\u00e9": [1.0, 2.0], "y": [0.5, 1.0]}
    with pytest.raises(fn.DataError) as caught:
        prepare(fn.data.Columns("y", inputs=("cafe\u0301",)), fn.Key(0), data=table)
    assert str(caught.value).endswith(
        r"(inputs), did you mean 'caf\xe9', of other code points than 'cafe\u0301'?; it has caf" + "\u00e9, y"
    )
