"""What the package says about itself, and what travels in it."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CONTRIBUTING = (ROOT / ".github" / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_the_bare_library_needs_numpy_and_attrs():
    assert [re.match(r"\w+", need)[0] for need in PROJECT["project"]["dependencies"]] == ["numpy", "attrs"]


def test_classifiers_agree_with_the_python_that_is_required():
    versions = [c.rpartition(" ")[2] for c in PROJECT["project"]["classifiers"] if re.search(r":: 3\.\d+$", c)]
    assert PROJECT["project"]["requires-python"] == f">={versions[0]}"
    assert versions == [f"3.{minor}" for minor in range(11, 11 + len(versions))]
    assert PROJECT["project"]["license"] == "MIT"
    assert PROJECT["project"]["authors"] == [{"name": "The funcnet authors"}]


def test_the_wheel_carries_the_specs():
    """``.ci/run`` trains from an installed one."""
    targets = PROJECT["tool"]["hatch"]["build"]["targets"]
    assert targets["wheel"]["force-include"] == {"specs": "funcnet/specs"}
    assert "specs" in targets["sdist"]["include"]


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`((?:tests|specs|\.ci)/[\w./]*)`", CONTRIBUTING))))
def test_contributing_names_what_there_is(path):
    assert (ROOT / path).exists()


def test_contributing_has_a_row_for_each_thing_to_add():
    rows = re.findall(r"^\| (an? [^|]+?) \|", CONTRIBUTING, re.M)
    for thing in ("layer", "loss", "optimizer", "metric", "data source", "callback", "command"):
        assert any(re.search(rf"\b{thing}\b", row) for row in rows), thing


def test_contributing_names_tests_that_there_are():
    """The last column of each row, after ``python -m pytest``."""
    commands = re.findall(r"^\| an? .* \| `(tests/[^`]*)` \|$", CONTRIBUTING, re.M)
    assert len(commands) >= 13
    assert [path for command in commands for path in command.split() if not (ROOT / path).exists()] == []
