"""Data that has changed since a run was trained on it: its labels and columns are matched by name."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import funcnet as fn
from funcnet import data
from funcnet.cli import main
from funcnet.data import prepare

LABELS = ("u", "v", "w") * 20
ROWS = [(float("uvw".index(label)) + 0.1 * (i % 5), i % 7, label) for i, label in enumerate(LABELS)]


def write(path: Path, rows: list[Any], head: str = "a,b,y") -> None:
    path.write_text("\n".join([head, *(",".join(map(str, row)) for row in rows)]) + "\n", encoding="utf-8")


@pytest.fixture
def run(tmp_path: Path) -> fn.Run:
    """A run that tells the classes apart without a mistake."""
    write(tmp_path / "t.csv", ROWS)
    experiment = fn.Experiment(
        data=data.Csv("t.csv", "y", scale="standard", split=data.Split(test=0.2, stratify=True)),
        model=fn.serial(fn.Dense(16), fn.Relu(), fn.Dense(3)),
        loss=fn.losses.SoftmaxCrossEntropy(),
        optimizer=fn.optim.Adam(0.05),
        training=fn.Training(epochs=80),
        metrics=(fn.metrics.Accuracy(),),
    )
    done = fn.run(experiment, out=tmp_path / "run", base=tmp_path)
    assert done.metrics["test"]["accuracy"] == 1.0
    return done


CHANGES = {
    "a class is gone": ([row for row in ROWS if row[2] != "u"], "a,b,y"),
    "another column": ([(9, *row) for row in ROWS], "extra,a,b,y"),
    "another order of columns": ([(b, a, y) for a, b, y in ROWS], "b,a,y"),
    "more rows": (ROWS + ROWS[:5], "a,b,y"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_changed_data_is_scored_by_name(name: str, run: fn.Run, tmp_path: Path, capsys: Any) -> None:
    write(tmp_path / "t.csv", *CHANGES[name])
    found = prepare(run.experiment.data, fn.Key(run.experiment.seed), tmp_path, fitted=run.preprocess)
    assert [run.evaluate(part)["accuracy"] for part in (found.train, found.test)] == [1.0, 1.0]
    assert run.evaluate(tmp_path / "t.csv")["accuracy"] == 1.0
    assert main(["evaluate", str(tmp_path / "run"), "--json"]) == 0
    said = "the data is not what the run was trained on; it has changed since" in capsys.readouterr().err
    assert said is (name in ("a class is gone", "more rows"))  # the others have the same inputs and targets


@pytest.mark.parametrize(
    ("rows", "head", "message"),
    [
        ([(a, b, {"u": "zz"}.get(y, y)) for a, b, y in ROWS], "a,b,y",
         "t.csv: has the class 'zz', which the training data lacks; it has u, v, w"),
        (ROWS, "a,c,y", "{place}/t.csv: has no column 'b' (inputs); it has a, c, y"),
    ],
)  # fmt: skip
def test_what_a_run_lacks(rows: list[Any], head: str, message: str, run: fn.Run, tmp_path: Path) -> None:
    write(tmp_path / "t.csv", rows, head)
    with pytest.raises(fn.DataError) as caught:
        prepare(run.experiment.data, fn.Key(0), tmp_path, fitted=run.preprocess)
    assert str(caught.value) == message.format(place=tmp_path)


def test_a_target_by_its_number_is_the_one_of_training(tmp_path: Path) -> None:
    write(tmp_path / "t.csv", [(a, b) for a, b, _ in ROWS], "a,y")
    experiment = fn.Experiment(
        data=data.Csv("t.csv", -1),
        model=fn.Dense(1),
        loss=fn.losses.MeanSquaredError(),
        optimizer=fn.optim.Adam(0.05),
        training=fn.Training(epochs=1),
    )
    run = fn.run(experiment, base=tmp_path)
    write(tmp_path / "t.csv", [(a, b, 5) for a, b, _ in ROWS], "a,y,z")
    for read in (
        lambda: prepare(experiment.data, fn.Key(0), tmp_path, fitted=run.preprocess),
        lambda: run.evaluate(tmp_path / "t.csv"),
    ):
        with pytest.raises(
            fn.DataError, match=r"t\.csv: the target is z, and the training data had y there; name the "
        ):
            read()


def test_classes_in_place_of_numbers(tmp_path: Path) -> None:
    source = data.Columns("y")
    known = prepare(source, fn.Key(0), data={"a": [1.0, 2.0], "y": [0.5, 1.0]}).preprocess
    with pytest.raises(fn.DataError) as caught:
        prepare(source, fn.Key(0), data={"a": [1.0, 2.0], "y": ["u", "v"]}, fitted=known)
    assert str(caught.value) == "the data: the target has the classes u, v, and the training data had numbers"


def test_texts_in_place_of_numbers() -> None:
    experiment = fn.Experiment(
        data=data.Columns("y"),
        model=fn.Dense(1),
        loss=fn.losses.MeanSquaredError(),
        optimizer=fn.optim.Adam(0.05),
        training=fn.Training(epochs=1),
    )
    run = fn.run(experiment, data={"a": [1.0, 2.0], "y": [0.5, 1.0]})
    with pytest.raises(fn.DataError) as caught:
        run.evaluate({"a": [1.0], "y": ["high"]})
    assert str(caught.value) == "the table: expected numbers as targets, as in training, got 'high'"


def test_numbers_of_labels_are_those_of_training() -> None:
    source = data.Columns("y")
    known = prepare(source, fn.Key(0), data={"a": [1.0, 2.0, 3.0], "y": ["u", "v", "w"]}).preprocess
    found = prepare(source, fn.Key(0), data={"a": [1.0, 2.0, 3.0], "y": ["w", "v", "w"]}, fitted=known)
    assert np.array_equal(found.train.y, [2, 1, 2])
    assert found.found["classes"] == {"u": 0, "v": 1, "w": 2}


def test_numbers_in_place_of_the_names_of_classes(run: fn.Run, tmp_path: Path) -> None:
    """0 and 1 were taken for the first two classes."""
    write(tmp_path / "t.csv", [(a, b, i % 2) for i, (a, b, _) in enumerate(ROWS)])
    for read in (
        lambda: run.evaluate(tmp_path / "t.csv"),
        lambda: run.evaluate({"a": [1.0, 2.0], "b": [1, 2], "y": [0, 1]}),
        lambda: prepare(run.experiment.data, fn.Key(0), tmp_path, fitted=run.preprocess),
    ):
        with pytest.raises(fn.DataError, match="has the class '0', which the training data lacks; it has u, v, w"):
            read()


@pytest.mark.parametrize("dtype", [int, float, str, object])
def test_equal_numbers_are_one_label_of_arrays(dtype: Any, tmp_path: Path) -> None:
    """The integers 1 and 2 were taken for the numbers of the classes "1.0" and "2.0", counted from 0."""
    numbers = np.arange(60) % 2 + 1
    np.savez(tmp_path / "a.npz", x=numbers[:, None] * 5.0, y=numbers.astype(float).astype(str))
    experiment = fn.Experiment(
        data=data.Npz("a.npz", scale="standard"),
        model=fn.Dense(2),
        loss=fn.losses.SoftmaxCrossEntropy(),
        optimizer=fn.optim.Adam(0.1),
        training=fn.Training(epochs=40),
        metrics=(fn.metrics.Accuracy(),),
    )
    run = fn.run(experiment, base=tmp_path)
    assert run.classes == ["1.0", "2.0"]
    y = numbers.astype(str).astype(object) if dtype is object else numbers.astype(dtype)
    assert run.evaluate((numbers[:, None] * 5.0, y))["accuracy"] == 1.0
