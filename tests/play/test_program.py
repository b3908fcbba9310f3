"""The lines of the printed program belong to layers, and a program that reads differently loses only its marks."""

from pathlib import Path

import pytest

import funcnet as fn
from funcnet.play.program import read
from funcnet.play.settings import first
from funcnet.play.study import study

HERE = Path()


@pytest.fixture(scope="module")
def printed():
    return study(first(), HERE).program


def code(printed, section, path):
    return [
        line.text.strip()
        for line in printed.lines
        if (line.section, line.path) == (section, path) and line.text.strip() and not line.text.strip().startswith("#")
    ]


def test_each_layer_has_its_lines_forward_and_backward(printed):
    for path in first().model.children:
        assert any(path in line for line in code(printed, "forward", path))
        assert code(printed, "backward", path)
        assert "=" in printed.equations["forward"][path]
        assert "=" in printed.equations["backward"][path]
    assert code(printed, "loss", "")
    assert [line for line in printed.lines if line.section == "update"]


def test_the_lines_of_each_gradient_are_found(printed):
    for path in ("dense_0", "dense_1", "head"):
        for leaf in ("weight", "bias"):
            lines = [line.text for line in printed.lines if (line.section, line.leaf) == ("backward", f"{path}/{leaf}")]
            assert len(lines) == 1
            assert f"{path}_{leaf} = " in lines[0]


def test_the_functions_of_the_step_alone_are_shown(printed):
    whole = "\n".join(line.text for line in printed.lines)
    assert whole in fn.source(first().model, (2,), 16, first().loss, first().optimizer)
    assert whole.startswith("def ")
    assert "def step(" in whole
    assert "__main__" not in whole


APART = """import numpy as np


def gradients(params, x, y):
    \"""The loss and its gradients.\"""
    # ----- forward ---------------
    # head (Dense): y = x @ weight
    p = params["head"]
    head = x @ p["weight"]

    # ----- loss ------------------
    # loss = -sum q log p
    loss = float(np.sum(head))

    # ----- backward --------------
    # dz = (p - q) / n
    d_head = head / len(y)
    # head (Dense): dweight = x.T dy
    d_head_weight = x.T @ d_head

    return loss, {
        "head": {"weight": d_head_weight},
    }


def sgd(w, g):
    \"""w = w - rate g.\"""
    return w - 0.1 * g


def step(params, x, y):
    loss, grads = gradients(params, x, y)
    params = each_leaf(sgd, params, grads)
    return loss, params


# ----- helpers ---------------


def flush(x):
    return x
"""


def test_a_program_whose_update_is_a_function():
    found = read(APART, ["head"], ["head/weight"])
    marked = [(line.section, line.path, line.leaf, line.text.strip()) for line in found.lines if line.section]
    code = [line for line in marked if line[3] and line[3][0] != "#"]
    assert code == [
        ("forward", "head", "", 'p = params["head"]'),
        ("forward", "head", "", 'head = x @ p["weight"]'),
        ("loss", "", "", "loss = float(np.sum(head))"),
        ("backward", "", "", "d_head = head / len(y)"),
        ("backward", "head", "head/weight", "d_head_weight = x.T @ d_head"),
        ("update", "", "", "def sgd(w, g):"),
        ("update", "", "", '"""w = w - rate g."""'),
        ("update", "", "", "return w - 0.1 * g"),
        ("update", "", "", "def step(params, x, y):"),
        ("update", "", "", "loss, grads = gradients(params, x, y)"),
        ("update", "", "", "params = each_leaf(sgd, params, grads)"),
        ("update", "", "", "return loss, params"),
    ]
    assert found.equations == {
        "forward": {"head": "y = x @ weight"},
        "loss": {"": "loss = -sum q log p"},
        "backward": {"": "dz = (p - q) / n", "head": "dweight = x.T dy"},
        "update": {"": "w = w - rate g"},
    }
    assert (found.lines[0].text, found.lines[-1].text) == ("def gradients(params, x, y):", "    return loss, params")


def test_a_program_without_comments_has_lines_and_no_marks():
    found = read('"""A file."""\n\ndef step(x):\n    y = x\n    return y\n', ["dense_0"], ["dense_0/weight"])
    assert [line.text for line in found.lines] == ["def step(x):", "    y = x", "    return y"]
    assert {(line.section, line.path, line.leaf) for line in found.lines} == {("", "", "")}
    assert found.equations == {}


def test_one_path_that_begins_another():
    body = ["# backward", "# dense_10 (Dense): y = x", "d_dense_10_weight = 1", "d_dense_1_weight = 2"]
    text = "\ndef step(a):\n    " + "\n    ".join(body)
    lines = read(text, ["dense_1", "dense_10"], ["dense_1/weight", "dense_10/weight"]).lines
    assert [line.path for line in lines[-2:]] == ["dense_10", "dense_10"]
    assert [line.leaf for line in lines[-2:]] == ["dense_10/weight", "dense_1/weight"]
