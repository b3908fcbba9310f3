"""The README: its Python blocks run as one program, its printed code is the real one, its two commands are whole."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import funcnet as fn
from tests.benchmarks import pictures
from tests.pages import python_blocks

README = Path(__file__).parents[1] / "README.md"
TEXT = README.read_text(encoding="utf-8")
PAGES = [TEXT, *(page.read_text(encoding="utf-8") for page in pictures.FOLDER.parent.glob("*.md"))]


def test_python_blocks_run(capsys):
    """The first one prints the backward pass that is shown under it."""
    space = {"__name__": "readme"}
    for block in python_blocks(README):
        block.run(space)
    (shown,) = re.findall(r"^```py\n(.*?)^```", TEXT, re.M | re.S)
    assert shown in capsys.readouterr().out


def test_readme_is_short():
    assert TEXT.count("\n") <= 205


def test_first_two_commands_are_one_self_contained_line_each():
    train, tests, *_ = re.findall(r"^```bash\n(.*?)^```", TEXT, re.M | re.S)
    for command in (train, tests):
        assert command.startswith("python3 -m venv .venv && .venv/bin/pip install -q -e ")
        assert command.count("\n") == 1
    assert train.endswith(" && .venv/bin/funcnet train digits_mlp\n")
    assert tests.endswith(" && .venv/bin/python -m pytest -n auto\n")


@pytest.mark.skipif(sys.platform == "win32", reason="the blocks are for bash")
def test_blocks_of_a_page_are_run_as_asked(tmp_path):
    """One alone as it is pasted, or the later ones and other pages with the environment's programs in reach."""
    pages = {"a.md": ("echo one > one", "echo two > two", "program", "exit 3"), "b.md": ("echo four > four",)}
    pages["b.zh.md"] = ("echo the same in Chinese; exit 5",)
    for name, blocks in pages.items():
        (tmp_path / name).write_text("".join(f"```bash\n{block}\n```\ntext\n" for block in blocks), encoding="utf-8")
    program = tmp_path / ".venv" / "bin" / "program"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\necho three > three\n", encoding="utf-8")
    program.chmod(0o755)

    def run(*args):
        script = README.parent / ".ci" / "readme.py"
        return subprocess.run(
            [sys.executable, script, *args], cwd=tmp_path, capture_output=True, text=True, check=False
        )

    def made():
        return {file.name for file in tmp_path.iterdir()} - {*pages, ".venv"}

    assert (run("a.md", "2").returncode, made()) == (0, {"two"})
    failed = run("a.md", "3-", "b.md")
    assert (failed.returncode, made()) == (1, {"two", "three"})
    assert failed.stderr == "exit status 3 from this block of a.md:\nexit 3\n\n"
    assert run("b.zh.md", "1-").stderr.startswith("exit status 5 from this block of b.zh.md:")
    assert (run("b.md", "1-", "b.zh.md", "b.md").returncode, made()) == (0, {"two", "three", "four"})


def test_pictures_are_drawn_by_their_command(tmp_path):
    """The committed ones may differ in their last digits: those depend on the machine's BLAS."""
    pictures.draw(tmp_path)
    drawn = sorted(file.name for file in tmp_path.iterdir())
    assert drawn == sorted(file.name for file in pictures.FOLDER.iterdir())
    for name in drawn:
        committed = (pictures.FOLDER / name).read_text(encoding="ascii")
        assert re.findall(r"<text[^>]*>([A-Za-z ]+)", committed) == re.findall(
            r"<text[^>]*>([A-Za-z ]+)", (tmp_path / name).read_text(encoding="ascii")
        )
        assert any(f"pictures/{name}" in page for page in PAGES)


def test_first_result_is_the_one_shown():
    """To a few samples: the last digits depend on the machine's BLAS."""
    shown = re.search(r"^test +\S+ +(\S+)$", TEXT, re.M)
    assert shown
    run = fn.run(fn.load_spec(README.parent / "specs" / "digits_mlp.json"))
    accuracy = run.metrics["test"]["accuracy"]
    assert accuracy >= 0.97
    assert accuracy == pytest.approx(float(shown[1]), abs=3 / 359)
