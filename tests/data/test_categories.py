"""Categories: equal numbers are one, a missing value is a separate one, and an unknown one gives a warning."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

import funcnet as fn
from funcnet import data
from funcnet.cli import main
from funcnet.data.categories import distinct, positions, shortest
from funcnet.data.preparation import prepare

SHORTEST = {
    "1": "1", "1.0": "1", "1.": "1", "+1.00": "1", "-2.50": "-2.5", "0.0": "0", "-0.0": "0", "10": "10", "3.10": "3.1",
    "007": "007", "00.5": "00.5", ".5": ".5", "1e3": "1e3", "1.0.0": "1.0.0", "": "", "-": "-", "+": "+", ".": ".",
    "nan": "nan", "²": "²", "١": "١", "1_0": "1_0", "--1": "--1", "a": "a",
}  # fmt: skip


@pytest.mark.parametrize("text", SHORTEST)
def test_the_shortest_form_of_a_number(text: str) -> None:
    assert shortest(text) == SHORTEST[text]


def test_equal_numbers_are_one_category() -> None:
    assert distinct(["2.0", "1", "1.0", "3", "10"]) == ["1", "2.0", "3", "10"]
    assert positions(["1.0", "2", "2.00", "10.0", "4", "x"], ["1", "2.0", "3", "10"]).tolist() == [0, 1, 1, 3, -1, -1]


@pytest.mark.parametrize(
    ("texts", "categories"),
    [
        (["-0.0", "0.0", "1.0"], ["0.0", "1.0"]),
        (["-0.0", "1.0"], ["-0.0", "1.0"]),
        (["+1.5", "1.5", "-1.5"], ["-1.5", "1.5"]),
        (["-0.0", "0.0", "0.00"], ["-0.0", "0.0", "0.00"]),
        (["+1.0", "1.0", "1"], ["1"]),
        (["+a", "a", "-a"], ["+a", "-a", "a"]),
    ],
)
def test_the_sign_of_zero_and_a_plus_make_no_category(texts: list[str], categories: list[str]) -> None:
    assert distinct(texts) == categories
    assert min(positions(texts, categories)) >= 0


def test_rounded_numbers_are_one_category_and_one_label() -> None:
    """``round(-0.3)`` is -0.0 in NumPy."""
    found = prepare(
        data.Columns("y", categorical=("a", "y")), fn.Key(0), data={"a": [-0.0, 0.0, 1.0], "y": [0.0, -0.0, 1.0]}
    )
    assert found.preprocess["columns"][0]["categories"] == ["0.0", "1.0"]
    assert found.train.x.tolist() == [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]
    assert (found.preprocess["classes"], found.train.y.tolist()) == (["0.0", "1.0"], [0, 0, 1])


def test_versions_are_told_apart() -> None:
    assert distinct(["3.1", "3.10", "3.9"]) == ["3.1", "3.10", "3.9"]
    assert positions(["3.10", "3.1", "3.100"], ["3.1", "3.10"]).tolist() == [1, 0, -1]


def test_codes_are_texts() -> None:
    assert distinct(["07", "7"]) == ["07", "7"]
    assert positions(["7", "007"], ["07"]).tolist() == [-1, -1]


def test_equal_numbers_are_one_group(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,g,y\n1,1,0\n2,1.0,1\n3,2,0\n4,07,1\n5,7,1\n", encoding="utf-8")
    table = data.Csv("t.csv", "y", split=data.Split(test=0.3, group="g")).table(tmp_path, fn.Key(0))
    assert table.columns["g"].tolist() == ["1", "1", "2", "07", "7"]


TABLE = "zone,grade,y\n1,1,no\n2,2,yes\n3,1,no\n1,2,yes\n2,1,no\n3,2,yes\n"


def run_of(folder: Path, text: str = TABLE, **fields: Any) -> str:
    (folder / "t.csv").write_text(text, encoding="utf-8")
    fields = {"categorical": ("zone",), "ordinal": {"grade": ("1", "2")}} | fields
    source = data.Csv("t.csv", "y", **fields)
    experiment = fn.Experiment(
        data=source, model=fn.Dense(2), loss=fn.losses.SoftmaxCrossEntropy(), optimizer=fn.optim.SGD(0.5),
        training=fn.Training(epochs=20),
    )  # fmt: skip
    fn.run(experiment, folder / "run", base=folder)
    return str(folder / "run")


def predicted(run: str, folder: Path, text: str, capsys: Any) -> list[str]:
    (folder / "new.csv").write_text(text, encoding="utf-8")
    assert main(["predict", run, str(folder / "new.csv")]) == 0
    lines: list[str] = capsys.readouterr().out.splitlines()
    return lines


def test_numbers_written_as_fractions_are_the_same_categories(tmp_path: Path, caplog: Any, capsys: Any) -> None:
    run = run_of(tmp_path)
    one = predicted(run, tmp_path, "zone,grade\n1,1\n2,2\n3,1\n", capsys)
    assert predicted(run, tmp_path, "zone,grade\n1.0,1.0\n2.0,2.00\n3.0,1.0\n", capsys) == one
    assert caplog.records == []
    (tmp_path / "more.csv").write_text(TABLE.replace("1,1", "1.0,1.0"), encoding="utf-8")
    assert main(["evaluate", run, "--data", str(tmp_path / "more.csv")]) == 0


def test_labels_that_are_equal_numbers_are_one_class(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,y\n1,1\n2,2\n3,1.0\n", encoding="utf-8")
    found = prepare(data.Csv("t.csv", "y", categorical=("y",)), fn.Key(0), tmp_path)
    assert found.preprocess["classes"] == ["1", "2"]
    assert found.train.y.tolist() == [0, 1, 0]


def test_an_unknown_category_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: Any) -> None:
    run = run_of(tmp_path)
    assert caplog.records == []
    predicted(run, tmp_path, "zone,grade\n1,1\n7,3\n8,1\n", capsys)
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING] == [
        "column 'zone': 2 of 3 rows have a category that the training part lacks, such as '7' in line 3; it counts "
        "as 0 in every column of its categories",
        "column 'grade': 1 of 3 rows have a category that the training part lacks, such as '3' in line 3; it counts "
        "as -1",
    ]


def test_a_missing_category_is_one_of_its_own(tmp_path: Path, caplog: Any, capsys: Any) -> None:
    text = "zone,grade,y\n" + "1,1,no\n2,1,no\nNA,2,yes\n,1,yes\n" * 5
    run = run_of(tmp_path, text, impute="median", ordinal={})
    lines = predicted(run, tmp_path, "zone,grade\n,1\nNA,1\n1,1\n", capsys)
    assert [line.split(",")[0] for line in lines] == ["label", "yes", "yes", "no"]
    assert fn.load_run(run).preprocess["columns"][0] == {
        "name": "zone", "kind": "one_hot", "categories": ["1", "2", ""], "fill": "",
    }  # fmt: skip
    assert caplog.records == []
    capsys.readouterr()
    fn.save_spec(tmp_path / "s.json", fn.load_run(run).experiment)
    assert main(["check", str(tmp_path / "s.json")]) == 0
    said = "missing zone 10 ('NA' 5, '' 5)\n        (if a text is a value, give a list \"missing\" without it)\n"
    assert said in capsys.readouterr().out


def test_without_one_in_training_a_missing_category_is_the_most_frequent(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(TABLE + "1,1,no\n", encoding="utf-8")
    found = prepare(data.Csv("t.csv", "y", categorical=("zone",), impute="median"), fn.Key(0), tmp_path)
    assert found.preprocess["columns"][0] == {
        "name": "zone", "kind": "one_hot", "categories": ["1", "2", "3"], "fill": "1",
    }  # fmt: skip


def test_a_run_of_before_is_evaluated_as_it_was_trained(tmp_path: Path, capsys: Any) -> None:
    """A missing category became the most frequent one, so its column had no feature."""
    text = "zone,grade,y\n" + "1,1,no\n2,1,no\n1,2,yes\n,1,yes\n" * 5
    run = Path(run_of(tmp_path, text.replace("\n,", "\n1,"), impute="median", ordinal={}))
    (tmp_path / "t.csv").write_text(text, encoding="utf-8")
    capsys.readouterr()
    assert main(["evaluate", str(run), "--json"]) == 0


def test_na_as_a_label_is_named(tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "t.csv").write_text("a,y\n1,NA\n2,DE\n", encoding="utf-8")
    with pytest.raises(fn.DataError) as caught:
        prepare(data.Csv("t.csv", "y"), fn.Key(0), tmp_path)
    assert str(caught.value) == (
        f"{tmp_path / 't.csv'}: line 2, column 'y': the target is missing; leave the row out. 'NA' counts as missing; "
        'if it is a value, give a list "missing" without it; "missing_target": "drop" leaves out all such rows'
    )
    assert main(["init", str(tmp_path / "t.csv")]) == 1
    assert "the target is missing here ('NA' counts as missing; if it is a label, write it in another way)" in (
        capsys.readouterr().err
    )
