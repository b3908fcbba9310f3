"""Several targets of a table: numbers, each in its units, and labels that are present or absent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import funcnet as fn
from funcnet.cli import main
from funcnet.metrics import per_label
from tests.compiler.test_inference import called

KEY = fn.Key(12)
ROWS = 120
AGE, CALLS = KEY.fold("age").integers(60, (ROWS,)) + 20, KEY.fold("calls").integers(9, (ROWS,))
PRO = KEY.fold("plan").integers(2, (ROWS,)) == 1
TABLE: dict[str, list[Any]] = {
    "age": AGE.tolist(),
    "calls": CALLS.tolist(),
    "plan": np.where(PRO, "pro", "basic").tolist(),
    "churn": np.where(AGE > 50, "Yes", "no").tolist(),
    "gäste": (PRO | (AGE > 70)).tolist(),
    "vip": (CALLS > 4).astype(int).tolist(),
    "spent": (2.5 * AGE + CALLS).tolist(),
    "visits": (1000.0 * CALLS + AGE).tolist(),
    "left": np.where(AGE > 50, "gone", "here").tolist(),
}
LABELS, NUMBERS = ("churn", "gäste", "vip"), ("spent", "visits")
HELD = np.stack([AGE > 50, PRO | (AGE > 70), CALLS > 4], axis=1) * 1.0


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    rows = [",".join(TABLE), *(",".join(map(str, row)) for row in zip(*TABLE.values(), strict=True))]
    (tmp_path / "t.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return tmp_path


def said(capsys: Any, *command: str) -> str:
    assert main([*command]) == 0, capsys.readouterr().err
    return str(capsys.readouterr().out)


def targets(*names: str) -> list[str]:
    return [word for name in names for word in ("--target", name)]


def test_labels_from_a_file_to_its_answers(place: Path, capsys: Any) -> None:
    found = said(capsys, "init", "t.csv", *targets(*LABELS))
    counts = ", ".join(f"{name} ({int(n)})" for name, n in zip(LABELS, HELD.sum(axis=0), strict=True))
    assert f"target    labels, each present or absent: {counts}\n" in found
    assert "left out  'left' is equivalent to the target\n" in found
    spec = fn.load_spec("t.json")
    assert (spec.data.target, spec.loss) == (LABELS, fn.losses.EachMember(fn.losses.SigmoidCrossEntropy()))
    assert "label  present     %\n" in said(capsys, "check", "t.json")
    said(capsys, "train", "t.json", "--out", "run", "--set", "training.epochs=60", "--progress", "none")
    run = fn.load_run("run")
    assert run.metrics["test"]["f1"] > 0.8
    p = run.predict(Path("t.csv"))
    assert p.tobytes() == run.predict(TABLE).tobytes() == run.predict_proba(TABLE).tobytes()
    assert run.predict_label(TABLE).tolist() == (p >= 0.5).astype(int).tolist()
    assert run.evaluate(TABLE) == run.evaluate("t.csv")
    facts = json.loads(said(capsys, "evaluate", "run", "--data", "t.csv", "--json"))
    assert facts["labels"] == [*LABELS]
    assert facts["per_label"]["f1"] == pytest.approx(per_label(p, HELD).f1.tolist(), abs=1e-12)
    printed = said(capsys, "predict", "run", "t.csv")
    assert printed.splitlines()[0] == ",".join([*(f"label_{name}" for name in LABELS), *LABELS])
    first = json.loads(said(capsys, "predict", "run", "t.csv", "--json").splitlines()[0])
    assert [*first["labels"]] == [*first["probabilities"]] == [*LABELS]
    said(capsys, "source", "run", "--inference", "--out", "program.py")
    assert called(place / "program.py", str(place / "t.csv")) == (0, printed, "")


def test_numbers_from_a_file_to_its_answers(place: Path, capsys: Any) -> None:
    facts = json.loads(said(capsys, "init", "t.csv", *targets(*NUMBERS), "--json"))
    assert facts["target"] == [*NUMBERS]
    said(capsys, "train", "t.json", "--out", "run", "--set", "training.epochs=60", "--progress", "none")
    run = fn.load_run("run")
    found = json.loads(said(capsys, "evaluate", "run", "--data", "t.csv", "--json"))
    truth, p = np.array([TABLE[name] for name in NUMBERS]).T, run.predict(TABLE)
    for i, name in enumerate(NUMBERS):
        error = float(np.mean(np.abs(p[:, i] - truth[:, i])))
        assert found["per_target"][name]["mae"] == pytest.approx(error, rel=1e-4)
        assert found["per_target"][name]["r2"] > 0.9
    assert said(capsys, "evaluate", "run").count("targets of test\ntarget ") == 1
    assert said(capsys, "predict", "run", "t.csv").splitlines()[0] == ",".join(NUMBERS)


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_the_parts_of_a_whole_are_classes_with_the_names_of_their_columns(
    options: list[str], place: Path, capsys: Any
) -> None:
    table = {"age": AGE / 80.0, "young": 1.0 - AGE / 80.0, "old": AGE / 80.0}
    data = fn.data.Columns(("young", "old"), inputs=("age",))
    training = fn.Training(epochs=2)
    parts: dict[str, Any] = {"model": fn.Dense(2), "optimizer": fn.optim.Adam(0.1), "training": training}
    fn.run(fn.Experiment(data=data, loss=fn.losses.KullbackLeibler(), **parts), "run", data=table)
    (place / "new.csv").write_text("age\n0.25\n0.9\n")
    printed = said(capsys, "predict", "run", "new.csv", *options)
    labels = [json.loads(line)["label"] for line in printed.splitlines()] if options else printed.split()[1:]
    assert {label.split(",")[0] for label in labels} <= {"young", "old"}
    said(capsys, "source", "run", "--inference", "--out", "program.py")
    assert called(place / "program.py", str(place / "new.csv"), *options) == (0, printed, "")


def labelled(target: tuple[str, ...], loss: Any) -> fn.Experiment:
    data = fn.data.Columns(target, inputs=("age", "calls"), categorical=("vip",))
    training = fn.Training(epochs=1)
    return fn.Experiment(data=data, model=fn.Dense(2), loss=loss, optimizer=fn.optim.Adam(), training=training)


@pytest.mark.parametrize("loss", [fn.losses.SigmoidCrossEntropy(), fn.losses.Hinge(), fn.losses.Focal()])
def test_booleans_and_texts_of_a_table_in_memory_are_labels(loss: Any) -> None:
    for target, columns in ((("churn", "gäste"), [0, 1]), (("vip", "churn"), [2, 0])):
        run = fn.run(labelled(target, loss), data=TABLE)
        part = run.dataset(TABLE)
        assert part.y.tolist() == HELD[:, columns].tolist()
        assert run.predict_label(TABLE).shape == (ROWS, 2)


MISTAKES: dict[str, tuple[tuple[str, ...], Any, str]] = {
    "numbers": (
        ("churn", "gäste"), fn.losses.MeanSquaredError(),
        "MeanSquaredError: compares numbers, and the targets churn, gäste are labels, each present or absent; use "
        "SigmoidCrossEntropy and 2 units",
    ),
    "one of them": (
        ("churn", "gäste"), fn.losses.SoftmaxCrossEntropy(),
        "SoftmaxCrossEntropy: expected probabilities that add up to 1 in each row, got [",
    ),
    "names": (
        ("churn", "plan"), fn.losses.SigmoidCrossEntropy(),
        "row 0, column 'plan': expected several targets to be numbers, or labels that are present or absent (yes or no"
        ", true or false, 1 or 0), got '",
    ),
    "both": (
        ("spent", "churn"), fn.losses.SigmoidCrossEntropy(),
        "row 0, column 'spent': expected several targets to be numbers, or labels that are present or absent",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_clear_error(name: str) -> None:
    target, loss, text = MISTAKES[name]
    with pytest.raises(fn.DataError) as caught:
        fn.run(labelled(target, loss), data=TABLE)
    assert str(caught.value).startswith(text)


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (
            ("churn", "plan"),
            "column 'plan': expected several targets to be numbers, or labels that are present or absent",
        ),
        (("spent", "churn"), "column 'churn': expected a number to predict, got '"),
        (("churn", "nothing"), "has no column 'nothing' (target)"),
    ],
)
def test_init_names_the_target_that_does_not_fit(names: tuple[str, ...], text: str, place: Path, capsys: Any) -> None:
    assert main(["init", "t.csv", *targets(*names)]) == 1
    assert text in capsys.readouterr().err
    assert not (place / "t.json").exists()
