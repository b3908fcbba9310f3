"""A run of each kind, made once, when a test first asks for it."""

import pytest

from funcnet.experiments.stored import read_facts
from tests.reports import KINDS, plane


class Made(dict):
    """Runs with their folders by kind."""

    def __init__(self, whole):
        super().__init__()
        self.whole = whole

    def __missing__(self, name):
        self[name] = self.whole / name, KINDS[name](self.whole / name)
        return self[name]


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    """A run of each kind, and its folder."""
    return Made(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="session")
def several(tmp_path_factory):
    """Runs that differ in one field each, with their folders and facts."""
    whole = tmp_path_factory.mktemp("several")
    made = {"a": plane(whole / "a"), "b": plane(whole / "b", units=2), "<c>": plane(whole / "<c>", seed=1)}
    return [(whole / name, run, read_facts(whole / name)) for name, run in made.items()]
