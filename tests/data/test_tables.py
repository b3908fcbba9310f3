"""Tables in memory: each form trains and answers to the bit as its rows in a file; bad ones are one clear error."""

from __future__ import annotations

import contextlib
import csv
import datetime as dt
import logging
import runpy
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings, strategies as st

import funcnet as fn
from funcnet import data
from funcnet.cli import main
from funcnet.data.sources.memory import as_table
from funcnet.spec.base import evolve

ROWS: list[dict[str, Any]] = [
    {
        "age": None if i % 17 == 4 else 18 + i * 37 % 60 + i / 7,
        "visits": i * 11 % 7,
        "city": None if i % 13 == 6 else ["Bern", "Oslo", "Rome"][i * 5 % 3],
        "born": dt.date(1950 + i % 40, 1 + i % 12, 1 + i % 28),
        "grade": ["low", "mid", "high"][i // 2 % 3],
        "member": i % 2 == 0,
        "code": i % 4,
        "bought": "yes" if i * 37 % 60 < 30 else "no",
    }
    for i in range(60)
]
NAMES = list(ROWS[0])
INPUTS = NAMES[:-1]
COLUMNS = {name: [row[name] for row in ROWS] for name in NAMES}
TREATMENT: dict[str, Any] = {
    "target": "bought",
    "categorical": ("city", "member", "code"),
    "ordinal": {"grade": ("low", "mid", "high")},
    "dates": "born",
    "impute": "mean",
    "scale": "standard",
    "split": data.Split(test=0.2, validation=0.1, stratify=True),
}
TABLE = data.Columns(**TREATMENT)


class Arrow:
    """The parts of a pyarrow table that are used: names, columns with a type, and their values."""

    def __init__(self, columns: dict[str, Any]) -> None:
        self.columns_ = columns
        self.shape = (len(next(iter(columns.values()))), len(columns))

    @property
    def column_names(self) -> list[str]:
        return list(self.columns_)

    def __getitem__(self, name: str) -> Any:
        values = self.columns_[name]

        class Chunked:
            type = "int64" if isinstance(values[0], int) and not isinstance(values[0], bool) else "string"

            def __len__(self) -> int:
                return len(values)

            def to_pylist(self) -> list[Any]:
                return list(values)

            def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
                return np.array(values)

        return Chunked()


def rows_of(columns: dict[str, Any]) -> list[Any]:
    return list(zip(*columns.values(), strict=True))


def structured(columns: dict[str, Any]) -> Any:
    kinds = {name: np.float64 if name in ("age", "visits") else object for name in columns}
    return np.array(rows_of(columns), dtype=list(kinds.items()))


FORMS: dict[str, Any] = {
    "list of dicts": lambda columns: [dict(zip(columns, row, strict=True)) for row in rows_of(columns)],
    "dict of lists": lambda columns: columns,
    "dict of arrays": lambda columns: {name: np.array(values) for name, values in columns.items()},
    "dict of series": lambda columns: {name: pd.Series(values) for name, values in columns.items()},
    "pandas": pd.DataFrame,
    "pandas with NA": lambda columns: pd.DataFrame(columns).convert_dtypes(),
    "pandas categories": lambda columns: pd.DataFrame(columns).astype({"city": "category", "grade": "category"}),
    "pandas times": lambda columns: pd.DataFrame(columns).assign(born=lambda frame: pd.to_datetime(frame["born"])),
    "polars": pl.DataFrame,
    "polars categories": lambda columns: pl.DataFrame(columns).cast({"city": pl.Categorical, "code": pl.UInt8}),
    "arrow": Arrow,
    "structured": structured,
}  # fmt: skip


def experiment(source: data.Source) -> fn.Experiment:
    return fn.Experiment(
        data=source,
        model=fn.serial(fn.Dense(8), fn.Tanh(), fn.Dense(2)),
        loss=fn.losses.SoftmaxCrossEntropy(),
        metrics=(fn.metrics.Accuracy(),),
        optimizer=fn.optim.Adam(0.02),
        training=fn.Training(epochs=3),
    )


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rows in a file, and a run on it."""
    folder = tmp_path_factory.mktemp("tables")
    write(folder / "t.csv", ROWS)
    fn.run(experiment(data.Csv(path="t.csv", **TREATMENT)), out=folder / "run", base=folder)
    return folder


@pytest.fixture(scope="module")
def on_file(folder: Path) -> fn.Run:
    return fn.load_run(folder / "run")


def bits(tree: Any) -> dict[str, bytes]:
    return {path: leaf.tobytes() for path, leaf in fn.tree.flatten(tree).items()}


# ----- every form -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
def test_a_table_is_prepared_as_its_file_is(form: str, folder: Path) -> None:
    key = fn.Key(5)
    expected = data.prepare(data.Csv(path="t.csv", **TREATMENT), key, folder)
    found = data.prepare(TABLE, key, data=FORMS[form](COLUMNS))
    assert found.preprocess == expected.preprocess
    assert found.found == expected.found
    for part, other in zip(found[:3], expected[:3], strict=True):
        assert [None if a is None else a.tobytes() for a in part] == [None if a is None else a.tobytes() for a in other]


@pytest.mark.parametrize(
    "fields",
    [
        {"weight": "visits", "inputs": ("age", "city")},
        {"split": data.Split(group="code", test=0.3)},
        {"split": data.Split(group="city", test=0.3), "impute": None, "inputs": ("visits",)},
        {"split": data.Split(time="born", test=0.3)},
        {"split": data.Split(time="visits", validation=0.3)},
        {"target": "visits", "inputs": ("city",)},
        {"target": ("visits", "age"), "inputs": ("code", "city"), "target_scale": "standard", "split": None},
        {
            "target": ("visits", "code"),
            "inputs": ("city",),
            "categorical": "city",
            "target_scale": "minmax",
            "split": None,
        },
        {"target": -1, "inputs": ("member", "code", "visits"), "categorical": "member", "ordinal": {}, "dates": ()},
    ],
)
@pytest.mark.parametrize("form", ["list of dicts", "pandas", "polars"])
def test_targets_weights_and_splits_are_those_of_the_file(form: str, fields: dict[str, Any], folder: Path) -> None:
    changed = TREATMENT | fields
    results: list[Any] = []
    for source, table in ((data.Csv(path="t.csv", **changed), None), (data.Columns(**changed), FORMS[form](COLUMNS))):
        try:
            found = data.prepare(source, fn.Key(5), folder, data=table)
        except fn.DataError as error:
            results.append(str(error).rpartition(": ")[2])
            continue
        parts = [None if array is None else array.tobytes() for part in found[:3] for array in part or ()]
        results.append((found.preprocess, found.found, parts))
    assert results[0] == results[1]
    gap = fields.get("target") == ("visits", "age") or fields.get("impute", "mean") is None
    assert isinstance(results[0], str) == gap


@pytest.mark.parametrize("form", FORMS)
def test_a_run_on_a_file_answers_a_table(form: str, folder: Path, on_file: fn.Run) -> None:
    """Whatever the order of the columns, and with columns that it does not need."""
    expected = on_file.predict(folder / "t.csv").tobytes()
    table = FORMS[form](COLUMNS)
    assert on_file.predict(table).tobytes() == expected
    assert on_file.predict(FORMS[form]({name: COLUMNS[name] for name in INPUTS[::-1]})).tobytes() == expected
    others = {name: COLUMNS[name] for name in INPUTS} | {"note": [[1, 2]] * 60, "blob": [b"x"] * 60}
    assert on_file.predict(others).tobytes() == expected
    assert on_file.predict_proba(table).tobytes() == expected
    assert on_file.predict_label(table).tolist() == on_file.predict_label(str(folder / "t.csv")).tolist()


def test_a_run_on_a_table_is_the_run_on_its_file(folder: Path, on_file: fn.Run, tmp_path: Path) -> None:
    run = fn.run(experiment(TABLE), out=tmp_path / "run", data=pd.DataFrame(COLUMNS))
    assert bits(run.params) == bits(on_file.params)
    assert run.metrics == on_file.metrics
    again = fn.load_run(tmp_path / "run")
    assert again.experiment == run.experiment == experiment(TABLE)
    assert again.predict(ROWS).tobytes() == on_file.predict(folder / "t.csv").tobytes()
    assert again.predict(folder / "t.csv").tobytes() == again.predict(ROWS).tobytes()
    resumed = fn.run(experiment(TABLE), out=tmp_path / "run", data=ROWS, resume=True)
    assert resumed.metrics == run.metrics


class Interrupted(Exception):
    """What ends a run after its second epoch."""


class Interrupt:
    def init(self) -> None:
        return None

    def update(self, state: None, event: Any) -> tuple[None, bool]:
        if event.epoch >= 2:
            raise Interrupted
        return None, False


def test_an_interrupted_run_goes_on_with_the_same_table(tmp_path: Path, on_file: fn.Run) -> None:
    saving = evolve(experiment(TABLE), training=fn.Training(epochs=3, checkpoint=fn.Checkpoint(every_epochs=1)))
    with pytest.raises(Interrupted):
        fn.run(saving, out=tmp_path / "run", data=ROWS, callbacks=[Interrupt()])
    with pytest.raises(fn.CheckpointError, match="the data has changed since the run began"):
        fn.run(saving, out=tmp_path / "run", data=ROWS[:50], resume=True)
    run = fn.run(saving, out=tmp_path / "run", data=pl.DataFrame(COLUMNS), resume=True)
    assert bits(run.params) == bits(on_file.params)


def test_a_csv_source_says_how_columns_are_used(on_file: fn.Run) -> None:
    """The run's spec does not name a file that it has not read."""
    source = data.Csv(path="nowhere.csv", delimiter=";", **TREATMENT)
    run = fn.run(experiment(source), data=COLUMNS)
    assert bits(run.params) == bits(on_file.params)
    assert run.experiment.data == TABLE


def test_the_command_and_the_program_answer_a_table_to_the_bit(
    folder: Path, on_file: fn.Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", str(folder / "run"), str(folder / "t.csv")]) == 0
    said = capsys.readouterr().out.splitlines()
    shown = [[str(p) for p in row] for row in on_file.predict(ROWS)]
    assert [line.split(",")[1:] for line in said] == [on_file.classes, *shown]
    assert [line.split(",")[0] for line in said[1:]] == on_file.predict_label(ROWS).tolist()
    assert main(["source", str(folder / "run"), "--inference", "--out", str(tmp_path / "program.py")]) == 0
    program = runpy.run_path(str(tmp_path / "program.py"))
    forms = ("dict of arrays", "pandas", "pandas with NA", "pandas categories", "pandas times", "polars")
    tables = [COLUMNS, ROWS, *(FORMS[form](COLUMNS) for form in forms)]
    for name in ("visits", "city"):
        tables.append(COLUMNS | {name: np.ma.array(COLUMNS[name], mask=np.arange(60) % 7 == 3)})
    for table in tables:
        assert program["predict"](table).tobytes() == on_file.predict(table).tobytes()
    with pytest.raises(ValueError, match=r"^row 1: has no value for 'age'; write None where one is missing$"):
        program["predict"]([ROWS[0], {"visits": 1}])


@pytest.mark.parametrize("trained", ["file", "table"])
def test_a_run_on_a_table_is_evaluated_on_a_file(
    trained: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = folder / "run"
    if trained == "table":
        run = tmp_path / "run"
        fn.run(experiment(TABLE), out=run, data=COLUMNS)
    assert main(["evaluate", str(run), "--data", str(folder / "t.csv")]) == 0
    assert "accuracy" in capsys.readouterr().out
    for command in (["show", str(run)], ["source", str(run)], ["diff", str(run), str(run)]):
        assert main(command) == 0
    capsys.readouterr()
    if trained == "table":
        assert main(["evaluate", str(run)]) == 1
        assert capsys.readouterr().err == (
            f"funcnet: {run}: the rows of this run were given in Python and are in no file; give others with "
            f"funcnet evaluate {run} --data FILE, or print its predictions as a program with "
            f"funcnet source {run} --inference\n"
        )


def test_the_scores_of_a_table(folder: Path, on_file: fn.Run) -> None:
    part = data.prepare(on_file.experiment.data, fn.Key(0), folder, fitted=on_file.preprocess).test
    assert part is not None
    assert on_file.evaluate(part) == on_file.metrics["test"]
    assert on_file.evaluate(pl.DataFrame(COLUMNS)) == on_file.evaluate(folder / "t.csv")
    with pytest.raises(fn.DataError) as caught:
        on_file.evaluate([*ROWS, {**ROWS[0], "bought": "Yes"}])
    assert str(caught.value) == (
        "the table: has the class 'Yes', which the training data lacks, did you mean 'yes'?; it has no, yes"
    )


def test_cross_validation_of_a_table_is_that_of_its_file(folder: Path) -> None:
    on_file = fn.cross_validate(experiment(data.Csv(path="t.csv", **TREATMENT)), folds=3, base=folder)
    assert fn.cross_validate(experiment(TABLE), pl.DataFrame(COLUMNS), folds=3).scores == on_file.scores


def test_the_parts_of_a_table_are_what_fit_takes() -> None:
    parts = data.prepare(TABLE, fn.Key(0), data=ROWS)
    how: dict[str, Any] = {"loss": "softmax_cross_entropy", "optimizer": "adam", "epochs": 1, "key": 0}
    done = fn.fit(fn.Dense(2), parts.train, validation=parts.validation, **how)
    assert done.history[-1]["validation/loss"] > 0
    advice = "; a table goes to fn.run(experiment, data=table), or through fn.data.prepare to arrays"
    for table, kind in ((pd.DataFrame(COLUMNS), "DataFrame"), (COLUMNS, "dict"), (ROWS, "list")):
        expected = f"expected data as a tuple (x, y) or (x, y, weight), got a {kind}{advice}"
        with pytest.raises(fn.ShapeError) as caught:
            fn.fit(fn.Dense(2), table, **how)
        assert str(caught.value) == expected


def test_a_run_on_named_features_takes_a_table() -> None:
    """Iris comes as an array, whose columns have names."""
    run = fn.run(iris())
    x = np.array([[5.1, 3.5, 1.4, 0.2], [6.3, 2.9, 5.6, 1.8]])
    names = run.experiment.data.feature_names
    frame = pd.DataFrame(x, columns=list(names))
    assert run.predict(frame[list(names[::-1])]).tobytes() == run.predict(x).tobytes()
    with pytest.raises(fn.DataError) as caught:
        run.predict(frame.rename(columns={names[1]: names[1].upper()}))
    assert str(caught.value).startswith(f"the table: has no column {names[1]!r}")


def iris() -> fn.Experiment:
    return fn.Experiment(
        data=data.Iris(scale="standard"),
        model=fn.Dense(3),
        loss=fn.losses.SoftmaxCrossEntropy(),
        optimizer=fn.optim.Adam(0.1),
        training=fn.Training(epochs=1),
    )


CELLS = st.one_of(
    st.none(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_infinity=False),
    st.sampled_from(["", "NA", " 7 ", "1.0", "1", "1,5", "$3", "-9", "x", "nan", "é\u00a0", "1_0", "5%", "2024-05-31"]),
)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(CELLS, min_size=1, max_size=5), st.sampled_from(["", "categorical", "ordinal", "dates"]), st.data())
def test_any_values_are_read_as_a_file_reads_their_texts(
    tmp_path_factory: pytest.TempPathFactory, values: list[Any], field: str, draw: Any
) -> None:
    fields: dict[str, Any] = {"ordinal": {"a": ("x", "1")}} if field == "ordinal" else {field: "a"} if field else {}
    fields |= draw.draw(st.sampled_from([{}, {"missing": ("-9",)}, {"decimal": ",", "thousands": "."}]))
    fields |= {} if field == "dates" else draw.draw(st.sampled_from([{}, {"marks": {"a": "$"}}, {"marks": {"a": "%"}}]))
    path = tmp_path_factory.getbasetemp() / "any.csv"
    write(path, [{"a": value, "y": i} for i, value in enumerate(values)])
    source = data.Csv(path=path.name, target="y", impute=0.0, **fields)
    found = []
    for rows in (None, {"a": values, "y": list(range(len(values)))}):
        with contextlib.suppress(fn.DataError):
            found.append(data.prepare(source, fn.Key(0), path.parent, np.float64, data=rows))
    numbers = any(not isinstance(value, str | None) for value in values)
    if numbers and ("decimal" in fields or "%" in fields.get("marks", {}).values()):
        return  # a number is itself, whatever separators its text would have
    if not any(value in (None, "") or value != value for value in values):  # these are gaps without a spec's word
        assert len(found) in (0, 2)
    if len(found) == 2:
        assert found[0].preprocess == found[1].preprocess
        assert found[0].train.x.tobytes() == found[1].train.x.tobytes()


# ----- single values --------------------------------------------------------------------------------------------------


def frame(values: Any, **treatment: Any) -> Any:
    """The column ``a`` of a table, as inputs."""
    source = data.Columns(target="y", impute="mean", **treatment)
    size = len(values)
    return source.treated(as_table({"a": values, "y": list(range(size))})).x


ZONE = dt.timezone(dt.timedelta(hours=2))
NAN = float("nan")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 2.5, True, Decimal("0.1"), " 7 ", "1e3"], [1, 2.5, 1, 0.1, 7, 1e3]),
        ([np.float32(0.1), np.int8(-3), np.bool_(1)], [float(np.float32(0.1)), -3, 1]),
        ([None, NAN, "", "NA", "?", pd.NA, pd.NaT, 3], [NAN] * 7 + [3]),
        (np.array([0.1, -2], np.float32), [float(np.float32(0.1)), -2]),
        (np.array([2**53 + 1, -1]), [2**53, -1]),
        (np.ma.masked_array([1, 2, 3], [0, 1, 0]), [1, NAN, 3]),
        (np.array([True, False]), [1, 0]),
        (pd.array([1, None, 3], dtype="Int64"), [1, NAN, 3]),
        (pl.Series([1, None, 3]), [1, NAN, 3]),
        (pl.Series([Decimal("0.1"), None]), [0.1, NAN]),
        ([Decimal("0.1"), Decimal("NaN"), Decimal("sNaN")], [0.1, NAN, NAN]),
        (range(3, 5), [3, 4]),
    ],
)  # fmt: skip
def test_numbers(values: Any, expected: list[float]) -> None:
    assert np.array_equal(frame(values).columns["a"], np.array(expected, np.float64), equal_nan=True)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([-999, 5], [NAN, 5]),
        (np.array([-999, 5]), [NAN, 5]),
        (["-999", 5], [NAN, 5]),
        (np.array([-999.0, 5]), [-999, 5]),  # a file would have -999.0
        ([-999.0, 5], [-999, 5]),
    ],
)
def test_numbers_that_stand_for_missing_values(values: Any, expected: list[float]) -> None:
    found = frame(values, missing=("-999", "none")).columns["a"]
    assert np.array_equal(found, np.array(expected, np.float64), equal_nan=True)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, "x", 2.5, True, None, " y "], ["1", "x", "2.5", "True", "", "y"]),
        (np.array([1.0, NAN]), ["1.0", ""]),
        (np.array([0.1, 1], np.float32), ["0.1", "1.0"]),
        (np.array([0.1, 1], np.float16), ["0.1", "1.0"]),
        (pd.Series(["u", None, "v"], dtype="category"), ["u", "", "v"]),
        (np.array(["u", "v"]), ["u", "v"]),
    ],
)
def test_categories(values: Any, expected: list[str]) -> None:
    assert frame(values, categorical="a").columns["a"].tolist() == expected
    assert frame(values, categorical="a", missing=()).columns["a"].tolist() == expected


@pytest.mark.parametrize(
    "values",
    [
        [dt.datetime(2024, 5, 31, 23, 30, tzinfo=ZONE), None],
        ["2024-05-31T23:30+02:00", NAN],
        [np.datetime64("2024-05-31T23:30"), np.datetime64("NaT", "s")],
        np.array(["2024-05-31", "NaT"], "datetime64[ns]"),
        pd.Series(pd.to_datetime(["2024-05-31T23:30", None])).dt.tz_localize("Europe/Zurich"),
        pl.Series([dt.datetime(2024, 5, 31, 23, 30, tzinfo=ZONE), None]).dt.convert_time_zone("Europe/Zurich"),
        pl.Series([dt.date(2024, 5, 31), None]),
    ],
)
def test_the_day_of_a_date_is_that_in_its_time_zone(values: Any) -> None:
    assert frame(values, dates="a").columns["a"].tolist() == ["2024-05-31", ""]


def test_numbers_are_read_as_the_spec_says() -> None:
    found = frame(["$1,234.50", 7, "12"], marks={"a": "$"}, thousands=",").columns["a"]
    assert found.tolist() == [1234.5, 7, 12]


def test_an_unknown_category_is_said_once_with_its_count(on_file: fn.Run, caplog: pytest.LogCaptureFixture) -> None:
    rows = [{**row, "city": "Roma" if i in (3, 5) else "Bern"} for i, row in enumerate(ROWS)]
    with caplog.at_level(logging.WARNING, "funcnet"):
        on_file.predict(rows)
    assert caplog.messages == [
        "column 'city': 2 of 60 rows have a category that the training part lacks, such as 'Roma' in row 3, did you "
        "mean 'Rome'?; it counts as 0 in every column of its categories"
    ]


# ----- bad tables -----------------------------------------------------------------------------------------------------

TWICE = pd.DataFrame([[1, 2, 3]], columns=["a", "a", "y"])
NO_CELL = "row 0, column 'a': expected a number, a text, a date or None, got"
NUMBERS = "list 'a' in categorical if it is a category, or the text in missing"


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ([], "the table: has no rows; give at least one"),
        ({}, "the table: has no columns"),
        ({"a": [], "y": []}, "the table: has no rows; give at least one"),
        (pd.DataFrame({"a": [], "y": []}), "the table: has no rows; give at least one"),
        (pl.DataFrame(), "the table: has no columns"),
        (TWICE, "the table: two columns are called 'a'; rename one"),
        ({"a": [1], " a": [2], "y": [3]}, "the table: two columns are called 'a'; rename one"),
        (pd.DataFrame([[1, 2]]), "the table: expected texts as the names of columns, got 0; rename it"),
        ({"a": [1, 2], "y": [3]}, "the table: expected columns of one length, got 2 values of 'a' and 1 of 'y'"),
        ({"a": 1, "y": 2},
         "the table: expected a list of values as the column 'a', got 1; a single row is a list of one dict"),
        ({"a": np.array(1), "y": [1, 2]},
         "the table: expected a list of values as the column 'a', got array(1); a single row is a list of one dict"),
        ({"a": {1, 2}, "y": [1, 2]},
         "the table: expected a list of values as the column 'a', got {1, 2}; a single row is a list of one dict"),
        ({"a": "xy", "y": [1, 2]},
         "the table: expected a list of values as the column 'a', got 'xy'; a single row is a list of one dict"),
        ({"a": np.ones((2, 2)), "y": [1, 2]},
         "the table: expected one value for each row in the column 'a', got an array of (2, 2)"),
        ([{"a": 1, "y": 2}, {"y": 3}],
         "row 1, column 'a': this row has no such value; write None where one is missing"),
        ([{"a": 1, "y": 2}, [1, 2]], "row 1: expected a dict, as the rows before are, got a list"),
        (pl.LazyFrame({"a": [1], "y": [2]}),
         "expected a data frame with its rows in memory, got a lazy one; call its collect() first"),
        (np.ones((2, 3)),
         "expected a table: a dict of columns, a list of dicts, or a data frame, got an array of (2, 3)"),
        ("t.csv", "expected a table: a dict of columns, a list of dicts, or a data frame, got a str"),
        (pd.DataFrame, "expected a table: a dict of columns, a list of dicts, or a data frame, got a type"),
        (pd.DataFrame({"b": [1, 2], "y": [0, 1]}), "the table: has no column 'a' (inputs); it has b, y"),
        (pd.DataFrame({"a": [1, 2], "z": [0, 1]}), "the table: has no column 'y' (target); it has a, z"),
        ({"a": [1, "x", 2], "y": [1, 2, 3]}, f"row 1, column 'a': expected a number, got 'x'; {NUMBERS}"),
        ({"a": [[1], [2]], "y": [0, 1]}, f"{NO_CELL} a list; turn it into one of them, or leave the column out"),
        (pl.DataFrame({"a": [[1], [2]], "y": [0, 1]}),
         f"{NO_CELL} a list; turn it into one of them, or leave the column out"),
        ({"a": [b"x", 2], "y": [0, 1]}, f"{NO_CELL} a bytes; decode it into a text"),
        ({"a": [1j, 2], "y": [0, 1]}, f"{NO_CELL} a complex; turn it into one of them, or leave the column out"),
        ({"a": [dt.timedelta(1)], "y": [0]},
         f"{NO_CELL} a timedelta; turn it into a number, such as its seconds"),
        ({"a": [1, float("inf")], "y": [0, 1]},
         "row 1, column 'a': expected a finite number, got inf; replace it, or leave the row out"),
        ({"a": [1, 10**5000], "y": [0, 1]}, "row 1, column 'a': expected a number below 1.8e308, got a larger integer"),
        ({"a": ["\ud800"], "y": [0]},
         "row 0, column 'a': expected Unicode text, got the code 0xd800; write the text again"),
        ({"a\ud800": [1], "y": [0]},
         "the table: the name of a column: expected Unicode text, got the code 0xd800; write the text again"),
        ({"a": np.array([1, -np.inf], np.float32), "y": [0, 1]},
         "row 1, column 'a': expected a finite number, got -inf; replace it, or leave the row out"),
        ({"a": [dt.date(2024, 1, 2)], "y": [0]},
         "row 0, column 'a': expected a number, got '2024-01-02'; list 'a' in dates, which become year, month and "
         "weekday"),
        ({"a": [1, 2], "y": [None, 1]},
         "row 0, column 'y': the target is missing; leave the row out; "
         '"missing_target": "drop" leaves out all such rows'),
        ({"a": [1, None], "y": [0, 1]},
         'row 1, column \'a\': the value is missing; choose a replacement, such as "impute": "median"'),
    ],
)  # fmt: skip
def test_a_bad_table_is_one_clear_error(table: Any, message: str) -> None:
    with pytest.raises(fn.DataError) as caught:
        data.prepare(data.Columns(target="y", inputs=("a",)), fn.Key(0), data=table)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"age": ["old"] * 60},
         "row 0, column 'age': expected a number, got 'old'; the training data had numbers here; correct the table"),
        ({"visits": [None] * 60},
         "row 0, column 'visits': the value is missing; the training data had none missing here; fill it in"),
        ({"born": ["31/5/2024"] * 60},
         "row 0, column 'born': expected a date like 2024-05-31 or 2024-05-31T09:05, got '31/5/2024'; write it so, or "
         "list the text in missing"),
    ],
)  # fmt: skip
def test_a_type_that_changed_is_one_clear_error(change: dict[str, Any], message: str) -> None:
    source = evolve(TABLE, impute=None, inputs=("visits", "born")) if "visits" in change else TABLE
    run = fn.run(experiment(source), data=COLUMNS)
    with pytest.raises(fn.DataError) as caught:
        run.predict(COLUMNS | change)
    assert str(caught.value) == message


def test_what_new_rows_must_be(on_file: fn.Run) -> None:
    columns = "age, visits, city, born, grade, member, code"
    for rows, message in [
        ([{"age": 3}], f"the table: has no column {', '.join(map(repr, INPUTS[1:]))}, did you mean 'age'?; it has age"),
        (np.ones((2, 7)), f"expected a table with the columns {columns}: a dict of columns, a list of dicts, or a data "
                          "frame, got an array of (2, 7)"),
        ([], "the table: has no rows; give at least one"),
    ]:  # fmt: skip
        with pytest.raises(fn.DataError) as caught:
            on_file.predict(rows)
        assert str(caught.value).replace(", did you mean 'age'?", "") == message.replace(", did you mean 'age'?", "")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"a": [None, None], "y": ["u", "v"]},
         "Columns: column 'a': all values of the training part are missing; leave it out"),
        ({"a": [1, 2], "y": ["u", "u"]},
         "the target has one class, 'u'; expected two or more to tell apart"),
    ],
)  # fmt: skip
def test_columns_that_cannot_be_learned(columns: Any, message: str) -> None:
    with pytest.raises(fn.FuncnetError) as caught:
        fn.run(experiment(data.Columns(target="y", impute="mean")), data=columns)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (data.Iris(), "data: a table needs a source that says how its columns are used, such as "
                      "fn.data.Columns(target='price'), got Iris"),
        (data.Csv(path="a.csv", target="y", split=data.Split(given={"test": {"path": "b.csv"}})),
         "split.given: names files, and the rows are given in Python; hold out fractions of them"),
    ],
)  # fmt: skip
def test_a_source_that_does_not_go_with_a_table(source: data.Source, message: str) -> None:
    with pytest.raises(fn.DataError) as caught:
        fn.run(experiment(source), data=COLUMNS)
    assert str(caught.value) == message
    with pytest.raises(fn.DataError) as caught:
        data.prepare(source, fn.Key(0), data=COLUMNS)
    assert str(caught.value) == message


def test_a_table_without_rows_in_python() -> None:
    with pytest.raises(fn.DataError, match=r"^the rows of this table are in no file: give them in Python, as in "):
        fn.run(experiment(TABLE))


@pytest.mark.parametrize(
    ("loss", "units", "scale"),
    [(fn.losses.MeanSquaredError(), 1, "standard"), (fn.losses.Quantile((0.1, 0.9)), 2, None)],
)
@pytest.mark.parametrize("members", [None, 2])
def test_a_run_of_values_has_no_labels(loss: fn.losses.Loss, units: int, scale: Any, members: int | None) -> None:
    experiment = fn.Experiment(
        data=data.Columns("visits", inputs=("code",), target_scale=scale),
        model=fn.Dense(units) if members is None else fn.Ensemble(fn.Dense(units), members),
        loss=loss if members is None else fn.losses.EachMember(loss),
        optimizer=fn.optim.Adam(0.1),
        training=fn.Training(epochs=1),
    )
    run = fn.run(experiment, data=COLUMNS)
    assert run.predict(COLUMNS).shape == (60, units)
    message = f"expected a run that tells classes apart; {type(loss).__name__} predicts values: use predict"
    with pytest.raises(fn.DataError, match=f"^{message}$"):
        run.predict_label(COLUMNS)


def test_infinity_is_no_category() -> None:
    """Nor a label, unless it is listed as missing."""
    table = {"a": [1.0, np.inf, *[2.0, 3.0] * 10], "y": [1.1 * i for i in range(22)]}
    message = "^row 1, column 'a': expected a finite number, got inf; replace it, or leave the row out$"
    with pytest.raises(fn.DataError, match=message):
        fn.suggest(table)
    source = data.Columns("y", categorical=("a",))
    with pytest.raises(fn.DataError, match=message):
        data.prepare(source, fn.Key(0), data=table)
    parts = data.prepare(evolve(source, missing=("inf",), impute="most_frequent"), fn.Key(0), data=table)
    assert parts.preprocess["columns"][0]["categories"] == ["1.0", "2.0", "3.0", ""]
