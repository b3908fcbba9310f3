"""``funcnet verify``: a run is a claim that a command checks."""

import json

import numpy as np
import pytest

import funcnet as fn
from funcnet.cli import main
from tests.cli import SMALL
from tests.folders import change, sign


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.json").write_text(SMALL, encoding="utf-8")
    assert main(["train", "small.json", "--out", "run", "--progress", "none"]) == 0
    return tmp_path / "run"


def test_a_run_is_verified(folder, capsys):
    capsys.readouterr()
    assert main(["verify", "run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-5:] == ["steps    the same", "weights  the same", "metrics  the same", "", "run: verified"]
    assert main(["verify", "run", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts == {"verified": True, "steps": True, "weights": True, "metrics": True, "environment": []}


def test_scores_that_were_made_up(folder, capsys):
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    metrics["test"]["accuracy"] = 1.25
    (folder / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
    sign(folder)
    capsys.readouterr()
    assert main(["verify", "run"]) == 1
    said = capsys.readouterr()
    assert said.out.splitlines()[-3:] == ["metrics  NOT the same", "", "run: not verified"]
    assert said.err == "largest difference of a weight: 0\n"


def test_weights_of_another_training(folder, tmp_path, capsys):
    other = fn.run(fn.from_json(SMALL.replace('"seed": 3', '"seed": 4')), tmp_path / "other")
    for name in ("weights.npz",):
        (folder / name).write_bytes((tmp_path / "other" / name).read_bytes())
    sign(folder)
    capsys.readouterr()
    assert main(["verify", "run", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["verified"], found["steps"], found["weights"]) == (False, True, False)
    mine = fn.run(fn.from_json(SMALL))
    assert not np.array_equal(other.params["head"]["weight"], mine.params["head"]["weight"])


def test_a_run_that_was_interrupted(folder, capsys):
    change(folder / "run.json", stopped="interrupted")
    sign(folder)
    capsys.readouterr()
    assert main(["verify", "run"]) == 1
    step = json.loads((folder / "run.json").read_text(encoding="utf-8"))["step"]
    assert capsys.readouterr().err == (
        f"funcnet: run: ended by 'interrupted' at step {step}, which cannot be repeated\n"
    )


def test_ctrl_c_is_no_difference(folder, capsys, monkeypatch):
    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr("funcnet.training.fit._located", interrupted)
    capsys.readouterr()
    assert main(["verify", "run"]) == 130
    assert capsys.readouterr() == ("", "funcnet: interrupted\n")
