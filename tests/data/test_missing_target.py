"""Rows whose target is missing: an error, or left out everywhere, with the bits of a table without them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import funcnet as fn
from funcnet.cli import main
from funcnet.data import Columns, Csv, Split
from funcnet.data.preparation import Prepared, prepare
from funcnet.data.sources import grid

ROWS = 60
GONE = [0, 7, 8, 31, 59]
KEPT = [i for i in range(ROWS) if i not in GONE]
LABELS: list[Any] = [None if i in GONE else "pq"[i * 7 % 3 == 0] for i in range(ROWS)]
TABLE: dict[str, list[Any]] = {
    "a": [i * 37 % 23 / 4 for i in range(ROWS)],
    "c": [None if i == 7 else "xyz"[i % 3] for i in range(ROWS)],
    "w": [1 + i % 2 for i in range(ROWS)],
    "g": [i // 4 for i in range(ROWS)],
    "y": LABELS,
}
HOW: dict[str, Any] = {"target": "y", "inputs": ("a", "c"), "categorical": ("c",), "scale": "standard"}
SPLITS: dict[str, dict[str, Any]] = {
    "none": {},
    "stratified": {"split": Split(0.1, 0.2, stratify=True)},
    "grouped": {"split": Split(0.2, 0.2, group="g")},
    "in time": {"split": Split(0.1, 0.2, time=True)},
    "weighted": {"split": Split(test=0.2), "weight": "w"},
}


def without(table: dict[str, list[Any]]) -> dict[str, list[Any]]:
    return {name: [values[i] for i in KEPT] for name, values in table.items()}


def written(table: dict[str, list[Any]], path: Path) -> Path:
    rows = [["" if value is None else str(value) for value in row] for row in zip(*table.values(), strict=True)]
    path.write_text("\n".join([",".join(table), *map(",".join, rows)]) + "\n", encoding="utf-8")
    return path


def same(one: Prepared, other: Prepared) -> None:
    assert one.parts_by_name().keys() == other.parts_by_name().keys()
    for name, part in one.parts_by_name().items():
        for values, wanted in zip(part, other.parts_by_name()[name], strict=True):
            np.testing.assert_array_equal(values, wanted)
    assert one.preprocess == other.preprocess
    assert one.found["left_out"] == {"rows": len(GONE), "of": ROWS}
    assert {name: value for name, value in one.found.items() if name != "left_out"} == other.found


def experiment(source: Any, **changes: Any) -> fn.Experiment:
    given: dict[str, Any] = {
        "data": source,
        "model": fn.Dense(2),
        "loss": fn.losses.SoftmaxCrossEntropy(),
        "metrics": (fn.metrics.Accuracy(),),
        "optimizer": fn.optim.Adam(0.05),
        "training": fn.Training(epochs=3),
    }
    return fn.Experiment(**given | changes)


@pytest.mark.parametrize("split", SPLITS)
def test_a_table_is_as_without_these_rows(split: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    how = HOW | SPLITS[split]
    wanted = prepare(Columns(**how), fn.Key(1), data=without(TABLE))
    same(prepare(Columns(**how, missing_target="drop"), fn.Key(1), data=TABLE), wanted)
    source = Csv(path=written(TABLE, tmp_path / "t.csv").name, **how, missing_target="drop")
    same(prepare(source, fn.Key(1), tmp_path), wanted)
    monkeypatch.setattr(grid, "AT_ONCE", 12)  # a block has a row, or only its begin
    same(prepare(source, fn.Key(1), tmp_path), wanted)


def test_a_row_that_lacks_one_of_several_targets_is_left_out() -> None:
    table = {"a": [1.0, 2.0, 3.0, 4.0], "u": [1.0, None, 3.0, 4.0], "v": [5.0, 6.0, None, 8.0]}
    found = prepare(Columns(("u", "v"), missing_target="drop"), fn.Key(0), data=table)
    np.testing.assert_array_equal(found.train.y, [[1.0, 5.0], [4.0, 8.0]])
    assert found.found["left_out"] == {"rows": 2, "of": 4}


def test_the_parts_in_other_files_leave_out_theirs(tmp_path: Path) -> None:
    for name in ("train", "test"):
        written(TABLE, tmp_path / f"{name}.csv")
    source = Csv("train.csv", **HOW, missing_target="drop", split=Split(given={"test": {"path": "test.csv"}}))
    found = prepare(source, fn.Key(0), tmp_path)
    assert found.test is not None
    np.testing.assert_array_equal(found.test.x, found.train.x[np.argsort(found.parts.train)])
    assert found.found["left_out"] == {"rows": 2 * len(GONE), "of": 2 * ROWS}


def test_a_wrong_value_is_in_the_row_of_the_whole_table(tmp_path: Path) -> None:
    table = TABLE | {"a": ["?!" if i in (8, 33) else value for i, value in enumerate(TABLE["a"])]}
    how: dict[str, Any] = HOW | {"missing_target": "drop"}
    with pytest.raises(fn.DataError, match=r"^row 33, column 'a': expected a number, got '\?!'"):
        prepare(Columns(**how), fn.Key(0), data=table)
    written(table, tmp_path / "t.csv")
    with pytest.raises(fn.DataError, match=r"line 35, column 'a': expected a number, got '\?!'"):
        prepare(Csv("t.csv", **how), fn.Key(0), tmp_path)


def test_a_table_without_any_target() -> None:
    with pytest.raises(fn.DataError) as caught:
        prepare(Columns("y", missing_target="drop"), fn.Key(0), data={"a": [1, 2], "y": [None, "NA"]})
    assert str(caught.value) == "the table: the target y is missing in all rows, which leaves none"


def test_folds_are_those_of_the_other_rows_and_predictions_those_of_all() -> None:
    how: dict[str, Any] = HOW | {"impute": "median"}
    whole = fn.cross_validate(experiment(Columns(**how, missing_target="drop")), TABLE, folds=3, predictions=True)
    wanted = fn.cross_validate(experiment(Columns(**how)), without(TABLE), folds=3, predictions=True)
    assert whole.scores == wanted.scores
    assert isinstance(whole.predictions, np.ndarray)
    assert whole.labels is not None
    assert wanted.labels is not None
    assert np.isnan(whole.predictions[GONE]).all()
    np.testing.assert_array_equal(whole.predictions[KEPT], wanted.predictions)
    assert whole.labels[GONE].tolist() == [""] * len(GONE)
    assert whole.labels[KEPT].tolist() == wanted.labels.tolist()
    assert [rows.tolist() for rows in whole.held_out] == [[KEPT[i] for i in rows] for rows in wanted.held_out]


def test_other_rows_are_scored_without_them(caplog: pytest.LogCaptureFixture) -> None:
    run = fn.run(experiment(Columns(**HOW | {"impute": "median"}, missing_target="drop")), data=TABLE)
    caplog.clear()
    assert run.evaluate(TABLE) == run.evaluate(without(TABLE))
    assert caplog.messages == [f"the table: {len(GONE)} of {ROWS} rows are left out, since their target is missing"]
    assert len(run.predict_label(TABLE)) == ROWS


def test_init_leaves_them_out_and_every_command_says_so(tmp_path: Path, capsys: Any) -> None:
    labels = [label or "NA" for label in LABELS]
    table = {"row": list(range(1, ROWS + 1)), "a": TABLE["a"], "c": TABLE["c"], "y": labels}
    path = written(table, tmp_path / "t.csv")
    sentence = "5 of 60 rows are left out, since their target is missing"
    assert main(["init", str(path)]) == 0
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == f"{path}: 60 rows, 4 columns, separated by a comma, with a header"
    assert f"{sentence} ('NA' counts as missing; if it is a label, write it in another way)" in lines
    assert "left out  'row' numbers the rows" in lines
    assert any(line.startswith("missing   only in rows that are left out: filled") for line in lines)
    spec, run = str(path.with_suffix(".json")), str(tmp_path / "run")
    assert json.loads(Path(spec).read_text(encoding="utf-8"))["data"]["missing_target"] == "drop"
    assert main(["check", spec]) == 0
    assert f"target  {sentence}\n" in capsys.readouterr().out
    shorter = ["--set", "training.epochs=2", "--set", "training.early_stopping=null"]
    assert main(["train", spec, "--out", run, "--progress", "none", *shorter]) == 0
    assert f"\n{sentence}\n" in capsys.readouterr().out
    assert main(["evaluate", run]) == 0
    assert capsys.readouterr().err == f"funcnet: {run}: {sentence}\n"
    assert main(["predict", run, str(path)]) == 0  # a row without a target lacks an input too
    assert len(capsys.readouterr().out.splitlines()) == 1 + ROWS


def test_half_of_the_rows_without_a_target_are_refused() -> None:
    table = {"a": [float(i * i % 7) for i in range(20)], "y": ["pq"[i % 2] if i % 4 < 2 else None for i in range(20)]}
    with pytest.raises(fn.DataError, match=r"^row 2, column 'y': the target is missing here and in 9 more rows"):
        fn.suggest(table)
    table["y"][2] = "p"
    source = fn.suggest(table).data
    assert isinstance(source, Columns)
    assert source.missing_target == "drop"
