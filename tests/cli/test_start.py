"""``train --start``: a run that begins with the weights of another, and can be repeated from its own folder."""

import json
import shutil

import numpy as np
import pytest

import funcnet as fn
from funcnet import tree
from tests.cli import SMALL, funcnet, together


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("start")
    (folder / "small.json").write_text(SMALL)
    other = json.loads(SMALL) | {"optimizer": "adam", "training": {"epochs": 1}}
    other["model"]["layers"][2]["units"] = 4
    (folder / "other.json").write_text(json.dumps(other))
    train = ("train", "small.json", "--progress", "none")
    calls = {
        "first": lambda: funcnet(folder, *train, "--out", "runs/first"),
        "again": lambda: funcnet(folder, "train", "runs/first", "--resume", "--progress", "none"),
        "onward": lambda: funcnet(
            folder, *train, "--start", "runs/first", "--out", "runs/onward", "--set", 'optimizer={"type": "adam"}'
        ),
        "resumed": lambda: funcnet(
            folder, *train, "--start", "runs/first", "--out", "runs/onward", "--set", 'optimizer={"type": "adam"}',
            "--resume",
        ),
        "other": lambda: funcnet(folder, "train", "other.json", "--start", "runs/first", "--out", "runs/other"),
        "missing": lambda: funcnet(folder, *train, "--start", "runs/nowhere", "--out", "runs/missing"),
    }  # fmt: skip
    found = together(calls)
    shutil.rmtree(folder / "runs" / "first")
    return found | {"verify": funcnet(folder, "verify", "runs/onward"), "folder": folder}


def test_it_begins_where_the_other_ended(results):
    assert (results["first"].status, results["onward"].status) == (0, 0)
    folder = results["folder"] / "runs" / "onward"
    run = fn.load_run(folder)
    assert run.train_state.step == 3 * 3
    _, before, _ = fn.load(folder / "start.npz")
    distance = max(float(np.max(np.abs(a - b))) for a, b in zip(*map(tree.leaves, (before, run.params)), strict=True))
    assert 0.0 < distance < 0.02  # nine steps of Adam at 0.001


def test_it_is_verified_without_the_other(results):
    assert (results["verify"].status, results["verify"].err) == (0, "")


def test_a_finished_run_says_that_nothing_is_trained(results):
    for name, spec, folder in (("again", "runs/first", "runs/first"), ("resumed", "small.json", "runs/onward")):
        assert results[name].status == 0
        assert results[name].err == (
            f"{folder}: has finished before, so nothing is trained; to train on from its weights, write\n"
            f"funcnet train {spec} --start {folder} --set training.epochs=N\n"
        )


def test_a_resumed_run_starts_from_its_own_copy(results, tmp_path):
    """Killed before its first checkpoint, and resumed with other weights: it goes on from those that it copied."""
    experiment = fn.load_spec(results["folder"] / "small.json")
    whole = fn.run(experiment, tmp_path / "whole", start=results["folder"] / "runs" / "onward")
    shutil.copytree(tmp_path / "whole", tmp_path / "cut")
    for name in ("metrics.json", "weights.npz", "history.csv"):
        (tmp_path / "cut" / name).unlink()
    other = fn.run(experiment, tmp_path / "other")
    again = fn.run(experiment, tmp_path / "cut", resume=True, start=tmp_path / "other")
    assert tree.equal(again.params, whole.params)
    assert not tree.equal(other.params, whole.params)
    (tmp_path / "cut" / "metrics.json").unlink()
    (tmp_path / "cut" / "start.npz").unlink()
    fn.run(experiment, tmp_path / "cut", resume=True, start=results["folder"] / "runs" / "onward")
    assert (tmp_path / "cut" / "start.npz").read_bytes() == (tmp_path / "whole" / "start.npz").read_bytes()


def test_weights_that_do_not_fit_leave_no_folder(results):
    assert results["other"].status == 1
    assert "head/weight: expected param of shape (8, 4), got (8, 3)" in results["other"].err
    assert results["missing"].err == (
        "funcnet: start: runs/nowhere is not there; give the folder of a finished run, or a file of fn.save\n"
    )
    assert sorted(path.name for path in (results["folder"] / "runs").iterdir()) == ["onward"]
