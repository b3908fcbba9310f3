"""Columns of many categories: the most frequent ones are told apart, and the others are 0 in all of their columns."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.preprocessing import OneHotEncoder

import funcnet as fn
from funcnet.cli import main
from funcnet.data import Columns, Csv
from funcnet.data.preparation import prepare
from funcnet.data.preprocess import outside_range

ROWS = 240
SORTED = [f"c{k:02d}" for k in range(1, 21) for _ in range(k)] + ["c00"] * 30
CITIES = [SORTED[i * 77 % ROWS] for i in range(ROWS)]  # each city another number of times
TABLE: dict[str, list[Any]] = {
    "a": [i * 37 % 23 / 4 for i in range(ROWS)],
    "city": CITIES,
    "y": [i * 37 % 23 / 2 + (city == "c00") for i, city in enumerate(CITIES)],
}


def written(table: dict[str, list[Any]], path: Path) -> Path:
    rows = [["" if value is None else str(value) for value in row] for row in zip(*table.values(), strict=True)]
    path.write_text("\n".join([",".join(table), *map(",".join, rows)]) + "\n", encoding="utf-8")
    return path


def column(most: int | None, **table: Any) -> Any:
    source = Columns("y", inputs=("city",), categorical=("city",), max_categories=most)
    return prepare(source, fn.Key(0), data=TABLE | table)


@pytest.mark.parametrize("most", [1, 3, 7])
def test_the_categories_are_those_of_scikit_learn(most: int) -> None:
    """Whose ``max_categories`` counts the column of the others too, which are all 0 here."""
    found = column(most)
    encoder = OneHotEncoder(max_categories=most + 1, sparse_output=False).fit(np.array(CITIES)[:, None])
    expected = encoder.transform(np.array(CITIES)[found.parts.train][:, None])[:, :most]
    assert found.preprocess["columns"][0]["kind"] == "frequent"
    np.testing.assert_array_equal(found.train.x, expected)


def test_few_categories_are_as_without_it() -> None:
    assert column(60).preprocess == column(None).preprocess


def test_equal_numbers_are_counted_as_one_category() -> None:
    cities = ["1"] * 20 + ["1.0"] * 90 + ["a"] * 70 + ["b"] * 60
    source = Columns("y", inputs=("city",), categorical=("city",), impute="median", max_categories=2)
    found = prepare(source, fn.Key(0), data=TABLE | {"city": cities}).preprocess["columns"][0]
    assert (found["categories"], found["fill"]) == (["1", "a"], "1")
    split = ["1"] * 80 + ["1.0"] * 70 + ["a"] * 90
    source = Columns("y", inputs=("city",), categorical=("city",), impute="median")
    assert prepare(source, fn.Key(0), data=TABLE | {"city": split}).preprocess["columns"][0]["fill"] == "1"


def test_versions_that_are_equal_numbers_stay_apart() -> None:
    cities = ["3.1"] * 70 + ["3.10"] * 20 + ["3.9"] * 80 + ["3.2"] * 70
    data = column(2, city=cities)
    assert data.preprocess["columns"][0]["categories"] == ["3.1", "3.10", "3.9"]
    np.testing.assert_array_equal(np.unique(data.train.x, axis=0), [[0, 0, 0], [0, 0, 1], [0, 1, 0], [1, 0, 0]])


def test_gaps_are_a_category_beside_them_and_months_are_not_merged() -> None:
    gaps = [None if i % 5 == 0 else city for i, city in enumerate(CITIES)]
    days = [f"2024-{1 + i % 12:02d}-03" for i in range(ROWS)]
    source = Columns("y", categorical=("city",), dates=("day",), impute="median", max_categories=2)
    columns = prepare(source, fn.Key(0), data=TABLE | {"city": gaps, "day": days}).preprocess["columns"]
    sizes = {(one["name"], one.get("part")): len(one.get("categories", ())) for one in columns}
    assert sizes["city", None] == 3
    assert next(one for one in columns if one["name"] == "city")["categories"][-1] == ""
    assert sizes["day", "month"] == 12


def test_other_categories_are_known_and_in_range(caplog: pytest.LogCaptureFixture) -> None:
    source = Columns("y", categorical=("city",), max_categories=3, impute="median")
    run = fn.run(
        fn.Experiment(data=source, model=fn.Dense(1), loss=fn.losses.MeanSquaredError(),
                      optimizer=fn.optim.Adam(0.1), training=fn.Training(epochs=2)),
        data=TABLE,
    )  # fmt: skip
    caplog.set_level(logging.WARNING)
    rare, new = run.predict({"a": [1.0, 1.0], "city": ["c55", "Oslo"]})
    assert rare == new
    assert not caplog.messages
    inputs = source.frame(fn.data.sources.memory.as_table(TABLE), ["a", "city"], trained=True)
    assert not outside_range(run.preprocess, inputs)[0].any()
    kept = run.preprocess["columns"][1]
    counts = {city: CITIES.count(city) for city in CITIES}
    assert kept["fill"] == max(sorted(counts), key=counts.__getitem__)  # of a missing city


def test_the_printed_program_has_the_bits_of_the_run(tmp_path: Path, capsys: Any) -> None:
    path = written(TABLE, tmp_path / "t.csv")
    source = Csv("t.csv", "y", categorical=("city",), scale="standard", max_categories=4, impute="median")
    fn.run(
        fn.Experiment(data=source, model=fn.serial(fn.Dense(5), fn.Tanh(), fn.Dense(1)),
                      loss=fn.losses.MeanSquaredError(), optimizer=fn.optim.Adam(0.05), training=fn.Training(epochs=2)),
        tmp_path / "run", base=tmp_path,
    )  # fmt: skip
    run = fn.load_run(tmp_path / "run")
    assert main(["source", str(tmp_path / "run"), "--inference"]) == 0
    capsys.readouterr()
    program = tmp_path / "run" / "inference.py"
    names: dict[str, Any] = {"__name__": "program", "__file__": str(program)}
    exec(compile(program.read_text(encoding="utf-8"), str(program), "exec"), names)
    table = {"a": [1.5, None, *TABLE["a"]], "city": ["Oslo", None, *CITIES]}
    np.testing.assert_array_equal(names["predict"](table), run.predict(table))
    np.testing.assert_array_equal(run.predict(TABLE), run.predict(str(path)))
    table["city"][1] = "Oslo\0"  # an array of texts would drop the last character
    for predict in (names["predict"], run.predict):
        with pytest.raises(ValueError, match=r"row 1.*column 'city': expected a text, got 'Oslo.x00'"):
            predict(table)


def test_init_takes_such_a_column_and_says_so(tmp_path: Path, capsys: Any) -> None:
    cities = [f"c{i % 70 if i % 3 else i % 4:02d}" for i in range(400)]
    table = {"a": [i * 37 % 83 / 4 for i in range(400)], "city": cities, "y": [i * 37 % 83 * 1.5 for i in range(400)]}
    path = written(table, tmp_path / "t.csv")
    assert main(["init", str(path)]) == 0
    assert "category  'city': of 70 texts the 50 most frequent ones are told apart" in capsys.readouterr().out
    data = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))["data"]
    assert (data["categorical"], data["max_categories"]) == (["city"], 50)
    source = fn.suggest(table).data
    assert isinstance(source, Columns)
    assert source.max_categories == 50
    assert main(["check", str(path.with_suffix(".json"))]) == 0
    capsys.readouterr()
    written(table | {"city": [f"c{i // 3}" for i in range(400)]}, path)  # of which 50 have 150 rows
    assert main(["init", str(path), "--force"]) == 0
    assert "'city' has 134 different texts; at most 50 are taken as categories" in capsys.readouterr().out


def test_a_large_table_tells_more_categories_apart() -> None:
    table = {"c": [f"c{i % 120}" for i in range(1200)], "y": [i * 37 % 83 * 1.5 for i in range(1200)]}
    source = fn.suggest(table).data
    assert isinstance(source, Columns)
    assert (source.categorical, source.max_categories) == (("c",), None)


def test_texts_of_which_none_is_frequent_are_left_out() -> None:
    table = {"a": [float(i * i % 83) for i in range(1000)], "c": [f"c{i % 400}" for i in range(1000)]}
    source = fn.suggest(table | {"y": [i * 37 % 83 * 1.5 for i in range(1000)]}).data
    assert isinstance(source, Columns)
    assert (source.inputs, source.max_categories) == (("a",), None)
