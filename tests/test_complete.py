"""Whatever can be chosen in a spec or called on the command line is made by some test of its kind.

Layers, losses, optimizers and schedules have rows in ``tests/table.py`` or ``tests/rows``, see ``test_laws.py``.
"""

import argparse
import ast
from pathlib import Path

import pytest

from funcnet.cli import parser
from funcnet.spec.base import tags

TESTS = Path(__file__).parent
HOMES = {  # kind: where its tests are, and what a new one needs
    "data": ("data/*.py", "a test in tests/data/test_sources.py, or in a file of its own beside it"),
    "metric": ("test_metrics.py", "a row of SKLEARN in tests/test_metrics.py"),
    "augmentation": ("data/test_augmentation.py", "a test in tests/data/test_augmentation.py"),
    "initializer": ("test_initializers.py", "a row of EVERY in tests/test_initializers.py"),
    "callback": ("training/*.py", "a test in tests/training/test_resume.py"),
}
COMMAND = "a test in tests/cli/test_{}.py"


def trees(pattern):
    return [ast.parse(path.read_text(encoding="utf-8")) for path in sorted(TESTS.glob(pattern))]


def made(pattern):
    """The names of everything that these files call."""
    calls = [node.func for tree in trees(pattern) for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return {f.attr for f in calls if isinstance(f, ast.Attribute)} | {f.id for f in calls if isinstance(f, ast.Name)}


def called(pattern):
    """The first text in each call, tuple and list, as in ``main(["show", …])`` and ``funcnet(folder, "show", …)``."""
    found = set()
    for node in (node for tree in trees(pattern) for node in ast.walk(tree)):
        parts = node.args if isinstance(node, ast.Call) else getattr(node, "elts", [])
        words = [part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)]
        found |= set(words[:1])
    return found


def without_tests(kind, names):
    """A line for each of these names that no test of the kind makes."""
    pattern, needed = HOMES[kind]
    return [f"no test makes the {kind} {name}: it needs {needed}" for name in sorted(set(names) - made(pattern))]


def commands_without_tests(names):
    return [f"no test runs funcnet {name}: it needs {COMMAND.format(name)}" for name in sorted(set(names) - SAID)]


SAID = called("cli/*.py") | called("test_*.py") | called("compiler/test_*.py")


@pytest.mark.parametrize("kind", HOMES)
def test_everything_of_a_kind_is_made_by_its_tests(kind):
    own = [cls.__name__ for tag, cls in tags(kind).items() if "." not in tag]
    assert len(own) >= 5
    missing = without_tests(kind, own)
    assert not missing, "\n".join(missing)


def test_every_command_is_run_by_a_test():
    [commands] = [a.choices for a in parser([])._actions if isinstance(a, argparse._SubParsersAction)]
    assert {"train", "show"} <= set(commands)
    missing = commands_without_tests(commands)
    assert not missing, "\n".join(missing)


def test_what_has_no_test_is_told_where_one_goes():
    assert without_tests("data", ["Iris", "Rings"]) == [
        "no test makes the data Rings: it needs a test in tests/data/test_sources.py, or in a file of its own beside it"
    ]
    assert commands_without_tests(["show", "prune"]) == [
        "no test runs funcnet prune: it needs a test in tests/cli/test_prune.py"
    ]
