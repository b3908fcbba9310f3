"""A first experiment for a table in memory is that of the same table in a file."""

import csv
import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

import funcnet as fn
from funcnet.cli import main

DAYS = 40
TABLE: dict[str, list[Any]] = {
    "number": list(range(DAYS)),
    "size": [None if i % 9 == 4 else i * 0.37 for i in range(DAYS)],
    "city": [["Bern", "Oslo", None][i % 3] for i in range(DAYS)],
    "day": [date(2024, 1, 1) + timedelta(days=11 * i) for i in range(DAYS)],
    "same": [True] * DAYS,
    "price": [f"${i * i % 17 + 1}.50" for i in range(DAYS)],
    "sold": [i % 4 == 0 for i in range(DAYS)],
}


def written(table: dict[str, list[Any]], path: Path) -> Path:
    with open(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([list(table), *zip(*table.values(), strict=True)])
    return path


@pytest.mark.parametrize("target", ["sold", "city", "size", "price"])
def test_as_init_writes_it_for_a_file(target, tmp_path):
    if target == "price":
        table = TABLE | {"price": [float(text[1:]) * 1.01**i for i, text in enumerate(TABLE["price"])]}
    else:
        rows = [i for i, value in enumerate(TABLE[target]) if value is not None]
        table = {name: [values[i] for i in rows] for name, values in TABLE.items()}
    path = written(table, tmp_path / "table.csv")
    assert main(["init", str(path), "--target", target]) == 0
    spec = json.loads((tmp_path / "table.json").read_text(encoding="utf-8"))
    assert (spec["data"].pop("type"), spec["data"].pop("path")) == ("csv", "table.csv")
    found = json.loads(fn.to_json(fn.suggest(table, target)))
    assert found["data"].pop("type") == "columns"
    assert found == spec


def test_the_suggestion_trains_on_the_table_with_the_bits_of_the_file(tmp_path):
    path = written(TABLE, tmp_path / "table.csv")
    assert main(["init", str(path)]) == 0
    on_file = fn.run(fn.load_spec(tmp_path / "table.json"), base=tmp_path)
    assert fn.run(fn.suggest(TABLE), data=TABLE).metrics == on_file.metrics


@pytest.mark.parametrize(
    ("table", "how", "message"),
    [
        (TABLE, {"target": "town"},
         "the table: has no column 'town' (target); it has number, size, city, day, same, price, sold"),
        (TABLE | {"city": [None] * 20 + TABLE["city"][20:]}, {"target": "city"},
         "row 0, column 'city': the target is missing here and in 26 more rows; remove these rows, or choose another "
         "target"),
        (TABLE, {"target": "same"},
         "the table: 'same' is always 'True', which leaves nothing to predict; choose another target"),
        (TABLE, {"target": []}, "target: expected the name of a column, or a list of several, got []"),
        (TABLE, {"target": 1.5}, "target: expected the name of a column, or a list of several, got 1.5"),
        (TABLE, {"target": ["sold", None]},
         "target: expected the name of a column, or a list of several, got ['sold', None]"),
        (TABLE, {"task": "class"}, "task: expected 'labels' or 'values', got 'class'"),
        ({"sold": [1, 2]}, {},
         "the table: has only one column, 'sold'; expected at least one to learn from and one to predict"),
        ("table.csv", {}, "expected a table: a dict of columns, a list of dicts, or a data frame, got a str"),
    ],
)  # fmt: skip
def test_what_cannot_be_used(table, how, message):
    with pytest.raises(fn.FuncnetError) as caught:
        fn.suggest(table, **how)
    assert str(caught.value) == message


def test_a_target_by_its_number():
    assert fn.suggest(TABLE, -1) == fn.suggest(TABLE, "sold") == fn.suggest(TABLE, ["sold"]) == fn.suggest(TABLE)
