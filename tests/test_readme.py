"""Every Python block of the README runs, in order, as one program."""

import re
from pathlib import Path

import pytest

import funcnet as fn
from tests.pages import python_blocks

README = Path(__file__).parents[1] / "README.md"


def test_python_blocks_run(capsys):
    blocks = python_blocks(README)
    assert len(blocks) >= 8
    space = {"__name__": "readme"}
    for block in blocks:
        block.run(space)
    printed = capsys.readouterr().out
    promised = re.findall(r"^ +# (\$\..*)$", README.read_text(encoding="utf-8"), re.M)
    assert len(promised) == 2
    for line in promised:
        assert line in printed


def test_first_result_is_the_one_shown():
    """To a few samples: the last digits depend on the machine's BLAS."""
    shown = re.search(r"^test +\S+ +(\S+)$", README.read_text(encoding="utf-8"), re.M)
    assert shown
    run = fn.run(fn.load_spec(README.parent / "specs" / "digits_mlp.json"))
    accuracy = run.metrics["test"]["accuracy"]
    assert accuracy >= 0.97
    assert accuracy == pytest.approx(float(shown[1]), abs=3 / 359)
