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
    assert code(printed, "update", "")


@pytest.mark.parametrize("section", ["backward", "update"])
def test_the_lines_of_each_gradient_and_update_are_found(printed, section):
    for path in ("dense_0", "dense_1", "head"):
        for leaf in ("weight", "bias"):
            lines = [line.text for line in printed.lines if (line.section, line.leaf) == (section, f"{path}/{leaf}")]
            assert lines
            assert all(f"{path}_{leaf}" in line for line in lines)


def test_the_function_alone_is_shown(printed):
    texts = [line.text for line in printed.lines]
    assert texts[0].startswith("def step(")
    assert texts[-1] == "    }"
    whole = "\n".join(texts)
    assert whole in fn.source(first().model, (2,), 16, first().loss, first().optimizer)


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
