"""Run folders that are damaged or forged: refused with one error, or harmless; a small part of ``tests/fuzz``."""

import json
import os

import pytest

import funcnet as fn
from funcnet.spec.records import problems_of
from tests.folders import change, read_json, sign
from tests.fuzz import run_folders


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return run_folders.cases(tmp_path_factory.mktemp("made"))


@pytest.mark.parametrize("seed", [3, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(4, 12))])
def test_changed_folders_are_refused_or_harmless(made, tmp_path, seed):
    counts = run_folders.attempts(made, tmp_path / "run", 80, seed)
    assert counts.total() == 80
    assert counts["flip", "refused"] > 5


@pytest.fixture
def run(made, tmp_path):
    return run_folders.copied(made[0], tmp_path / "run")


@pytest.mark.parametrize("name", ["spec.json", "preprocess.json", "metrics.json", "history.csv"])
def test_a_file_that_has_changed_is_refused(run, name):
    text = (run / name).read_text(encoding="utf-8")
    changed = {
        "spec.json": text.replace('"tanh"', '"relu"'),
        "preprocess.json": text.replace("setosa", "Setosa"),
        "metrics.json": text.replace("0.", "0.9"),
        "history.csv": text.replace("accuracy", "precision"),
    }[name]
    assert changed != text
    (run / name).write_text(changed, encoding="utf-8")
    with pytest.raises(fn.CheckpointError) as error:
        fn.load_run(run)
    assert str(error.value) == f"{run}: {name} has changed since the run wrote it"


def test_run_json_itself_has_a_digest(run):
    change(run / "run.json", step=4)
    with pytest.raises(fn.CheckpointError) as error:
        fn.load_run(run)
    assert str(error.value) == f"{run}: run.json has changed since the run wrote it"


def test_another_activation_is_refused_though_it_is_signed(run):
    """The spec beside the weights tells."""
    text = (run / "spec.json").read_text(encoding="utf-8")
    (run / "spec.json").write_text(text.replace('"tanh"', '"relu"'), encoding="utf-8")
    for signed in (True, False):
        if signed:
            sign(run)
        else:
            facts = read_json(run / "run.json")
            del facts["files"]  # as the first versions wrote it
            (run / "run.json").write_text(json.dumps(facts), encoding="utf-8")
        with pytest.raises(fn.CheckpointError) as error:
            fn.load_run(run)
        assert str(error.value) == f"{run}: weights.npz holds the weights of another network than that of spec.json"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shape": [4, "a"]}, "shape[1]: expected an integer, got \"a\""),
        ({"shape": None}, "shape: expected a list, got null"),
        ({"more": 1}, 'unknown field "more"; there are inputs, classes, integers, columns, shape, fill, flatten, '
         "divide, range, targets, outputs"),
        ({"divide": 3.0}, "divide: expected 2.0, as the source says, got 3.0"),
        ({"classes": ["a", "a", "b"]}, "classes: expected distinct names, at least one"),
        ({"inputs": {"scale": "standard", "mean": [0.0] * 4, "deviation": [1.0, 0.0, 1.0, 1.0]}},
         "inputs.deviation: expected numbers above 0"),
        ({"inputs": {"scale": "standard", "mean": [0.0] * 3, "deviation": [1.0] * 3}},
         "inputs.mean: expected numbers of shape (4,), got (3,)"),
        ({"inputs": {"scale": "robust", "median": [0.0] * 4, "iqr": [1.0] * 4}},
         'inputs.scale: expected "standard", as the source says, got "robust"'),
        ({"range": {"low": [0.0] * 4, "high": ["a"]}}, 'range.high: expected finite numbers, got ["a"]'),
        ({"integers": True}, "integers: expected False, as the source says"),
    ],
)  # fmt: skip
def test_a_preprocessing_that_no_training_gave(run, changes, message):
    change(run / "preprocess.json", **changes)
    sign(run)
    with pytest.raises(fn.CheckpointError) as error:
        fn.load_run(run)
    assert str(error.value) == f"{run / 'preprocess.json'}: cannot be read: {message}"


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such files")
@pytest.mark.parametrize("name", ["spec.json", "run.json", "preprocess.json", "history.csv"])
def test_what_is_not_a_file_is_not_waited_for(run, name):
    (run / name).unlink()
    os.mkfifo(run / name)
    with pytest.raises(fn.CheckpointError) as error:
        fn.load_run(run)
    assert "it is a pipe, not a regular file" in str(error.value)
    assert str(error.value).startswith(f"{run / name}: cannot be read: ")


def test_problems_of_a_value():
    assert problems_of(dict[str, list[int]], {"a": [1, 2], "b": [1, None]})[0] == (
        ".b[1]",
        "expected an integer, got null",
    )
    assert problems_of(int | list[str] | None, [1])[0] == ("[0]", "expected a string, got 1")
    assert problems_of(int | None, None) == []
