"""``--import``: classes of one's own on the command line."""

import csv
import json
import sys

import pytest

from tests.cli import funcnet, together

MODULE = '''
import attrs
import numpy as np

import funcnet as fn


@fn.register("acme.shifted_tanh")
@attrs.frozen
class ShiftedTanh(fn.Layer):
    """``tanh(x) + shift``"""

    shift: float = 0.5

    def out_shape(self, in_shape):
        return in_shape

    def apply(self, params, state, x, ctx):
        y = np.tanh(x)
        return y + np.asarray(self.shift, x.dtype), {}, y

    def vjp(self, params, residuals, dy):
        return {}, dy * (1 - residuals * residuals)


@fn.register("acme.sign_sgd")
@attrs.frozen
class SignSGD(fn.optim.Optimizer):
    """``- learning_rate * sign(g)``"""

    learning_rate: float = 0.01

    def init(self, params):
        return {}

    def update(self, grads, opt_state, params, value=None):
        return fn.tree.map(lambda g: -np.asarray(self.learning_rate, g.dtype) * np.sign(g), grads), {}
'''

SPEC = {
    "version": 1,
    "seed": 3,
    "data": {"type": "iris", "split": {"validation": 0.2, "test": 0.2, "stratify": True}, "scale": "standard"},
    "model": {
        "type": "serial",
        "layers": [{"type": "dense", "units": 8}, "acme.shifted_tanh", {"type": "dense", "units": 3}],
    },
    "loss": "softmax_cross_entropy",
    "metrics": ["accuracy"],
    "optimizer": {"type": "acme.sign_sgd", "learning_rate": 0.01},
    "training": {"epochs": 4, "checkpoint": {"every_epochs": 2}},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A working folder with a module and a spec that needs it."""
    folder = tmp_path_factory.mktemp("imports")
    (folder / "own_parts.py").write_text(MODULE)
    (folder / "own.json").write_text(json.dumps(SPEC))
    (folder / "rows.csv").write_text("5.1,3.5,1.4,0.2\n")
    return folder


@pytest.fixture(scope="module")
def results(folder):
    """The results of commands, each in a process, which knows of no class of the module before."""

    def own(*args):
        return lambda: funcnet(folder, *args, "--import", "own_parts", encoding="utf-8")

    return together(
        {
            "without": lambda: funcnet(folder, "check", "own.json", encoding="utf-8"),
            "check": own("check", "own.json"),
            "train": own("train", "own.json", "--progress", "none"),
            "resume": own("train", "runs/own-1", "--resume", "--progress", "none"),
            "verify": own("verify", "runs/own-1"),
            "predict": own("predict", "runs/own-1", "rows.csv"),
            "source": own("source", "own.json"),
        }
    )


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("check", "own.json: ready to train"),
        ("train", "curves  runs/own-1/curves.svg"),
        ("resume", "curves  runs/own-1/curves.svg"),
        ("verify", "runs/own-1: verified"),
        ("predict", "label,setosa,versicolor,virginica\nsetosa,"),
        ("source", "# shifted_tanh_0 (ShiftedTanh)"),
    ],
)
def test_a_command_knows_the_classes_of_a_module(results, command, said):
    result = results[command]
    assert result.status == 0
    assert result.err == "" or (command == "resume" and "has finished before" in result.err)
    assert said in result.out


def test_without_the_module_the_error_names_the_option(results):
    assert results["without"].status == 1
    assert (
        "$.optimizer.type: unknown optimizer 'acme.sign_sgd'; import the module that registers it first "
        "(on the command line: --import MODULE)"
    ) in results["without"].err


def test_an_entry_point_is_imported_by_its_name_only(tmp_path):
    (tmp_path / "acme_layers.py").write_text("print('imported')")
    package = tmp_path / "acme-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text("[funcnet]\nacme = acme_layers\n")
    assert funcnet(tmp_path, "guide", "--import", "acme", encoding="utf-8").out.startswith("imported\n")
    assert "imported" not in funcnet(tmp_path, "guide", encoding="utf-8").out


WRONG = {
    "own_parts.py": "expected the name of a module, such as own_parts",
    "../own_parts": "expected the name of a module, such as own_parts",
    "nowhere": "no module 'nowhere' in {here} or among the installed packages",
    "nowhere.inside": "no module 'nowhere' in {here} or among the installed packages",
    "unclosed": "SyntaxError at unclosed.py:1: '(' was never closed (unclosed.py, line 1)",
    "needing": "ModuleNotFoundError at needing.py:2: No module named 'nowhere'",
    "unfinished": "SpecError at unfinished.py:4: register('empty'): expected a tag with a dot between two names, "
    "such as 'acme.gated'",
    "csv": "{csv} has the name of ./csv.py; rename the file",
}


@pytest.mark.parametrize("name", WRONG)
def test_a_module_that_cannot_be_imported_is_named_with_the_reason(tmp_path, monkeypatch, name):
    (tmp_path / "unclosed.py").write_text("x = (\n")
    (tmp_path / "needing.py").write_text("import os\nimport nowhere\n")
    (tmp_path / "csv.py").write_text("")
    (tmp_path / "unfinished.py").write_text(
        "import attrs\nimport funcnet as fn\n\n@fn.register('empty')\n@attrs.frozen\nclass A(fn.Layer):\n    pass\n"
    )
    monkeypatch.setattr(sys, "path", sys.path.copy())
    result = funcnet(tmp_path, "list", "--import", name)
    said = WRONG[name].format(here=tmp_path, csv=csv.__file__)
    assert (result.status, result.out, result.err) == (1, "", f"funcnet: --import {name}: {said}\n")
