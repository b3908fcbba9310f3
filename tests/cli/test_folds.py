"""``funcnet train --folds``: the usual run, and then the table and the files of a cross-validation."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import funcnet as fn
from funcnet.cli import main

ROWS = 40


def written(folder: Path, text: bool, **changes: Any) -> Path:
    rows = [f"{i * 17 % 23},{i * 7 % 5},{'pq'[i * 17 % 23 > 11] if text else i * 17 % 23 * 1.5}" for i in range(ROWS)]
    (folder / "t.csv").write_text("a,g,y\n" + "\n".join(rows) + "\n", encoding="utf-8")
    spec = {
        "version": 1,
        "data": {"type": "csv", "path": "t.csv", "target": "y", "scale": "standard", **changes},
        "model": {"type": "dense", "units": 2 if text else 1},
        "loss": "softmax_cross_entropy" if text else "mean_squared_error",
        "metrics": ["accuracy" if text else "rmse"],
        "optimizer": {"type": "adam", "learning_rate": 0.1},
        "training": {"epochs": 3},
    }
    path = folder / "spec.json"
    path.write_text(json.dumps(spec), encoding="utf-8")
    return path


def read(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("text", [True, False])
def test_scores_and_predictions_are_those_of_cross_validate(text: bool, tmp_path: Path, capsys: Any) -> None:
    spec, out = written(tmp_path, text, split={"test": 0.25}), tmp_path / "run"
    assert main(["train", str(spec), "--folds", "4", "--out", str(out), "--progress", "none"]) == 0
    printed = capsys.readouterr().out
    found = fn.cross_validate(fn.load_spec(spec), folds=4, predictions=True, base=tmp_path)
    names = list(found.scores[0])
    assert read(out / "folds.csv") == [
        {"fold": str(i + 1), "rows": "10"} | {name: repr(one[name]) for name in names}
        for i, one in enumerate(found.scores)
    ]
    rows = read(out / "out_of_fold.csv")
    assert [int(row["row"]) for row in rows] == list(range(ROWS))
    for fold, held_out in enumerate(found.held_out, 1):
        assert {int(row["row"]) for row in rows if row["fold"] == str(fold)} == set(held_out.tolist())
    columns = ["p", "q"] if text else ["y"]
    values = np.array([[float(row[name]) for name in columns] for row in rows], np.float32)
    np.testing.assert_array_equal(values, np.asarray(found.predictions).reshape(ROWS, -1))
    if text:
        assert found.labels is not None
        assert [row["label"] for row in rows] == found.labels.tolist()
    for what, scores in (("mean", found.mean), ("deviation", found.deviation)):
        line = next(line.split() for line in printed.splitlines() if line.startswith(what))
        assert line == [what, *(f"{scores[name]:.5g}" for name in names)]
    assert fn.load_run(out).metrics.keys() == {"train", "test"}
    assert main(["evaluate", str(out)]) == 0


def test_a_line_for_each_fold_and_json(tmp_path: Path, capsys: Any) -> None:
    spec = written(tmp_path, True)
    assert main(["train", str(spec), "--folds", "2", "--out", str(tmp_path / "a"), "--progress", "plain"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines if line.startswith("fold ")][:2] == ["fold 1 of 2", "fold 2 of 2"]
    assert main(["train", str(spec), "--folds", "2", "--out", str(tmp_path / "b"), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)["folds"]
    assert facts.keys() == {"scores", "mean", "deviation"}
    assert facts["mean"]["accuracy"] == np.mean([one["accuracy"] for one in facts["scores"]])
    assert (tmp_path / "b" / "out_of_fold.csv").read_bytes() == (tmp_path / "a" / "out_of_fold.csv").read_bytes()


def test_rows_that_no_fold_held_out_are_not_in_the_file(tmp_path: Path) -> None:
    spec, out = written(tmp_path, False, split={"test": 0.25, "time": True}), tmp_path / "run"
    assert main(["train", str(spec), "--folds", "3", "--out", str(out), "--progress", "none"]) == 0
    assert [int(row["row"]) for row in read(out / "out_of_fold.csv")] == list(range(10, 40))


@pytest.mark.parametrize(
    ("folds", "more", "message"),
    [
        ("1", [], "--folds: expected 2 or more, got 1"),
        ("x", [], "--folds: expected a whole number of 1 or more, got 'x'"),
        ("41", [], "expected at most as many folds as rows, 40, got 41"),
        ("5", ["--start", "runs/a"],
         "--folds: its networks start from scratch, and --start gives trained weights; leave one out"),
        ("6", ["--set", 'data.split={"test": 0.2, "group": "g"}'],
         "expected at most as many folds as groups, 5, got 6"),
    ],
)  # fmt: skip
def test_folds_that_cannot_be_made_end_before_training(
    folds: str, more: list[str], message: str, tmp_path: Path, capsys: Any
) -> None:
    spec, out = written(tmp_path, False), tmp_path / "run"
    assert main(["train", str(spec), "--folds", folds, "--out", str(out), *more]) == 1
    assert capsys.readouterr().err == f"funcnet: {message}\n"
    assert not out.exists()
