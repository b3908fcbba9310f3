"""Random networks train and predict the same, compiled and plain, to the last bit; so do their printed programs."""

import pytest

from tests.compiler.comparison import Difference
from tests.compiler.networks import FIXED, network
from tests.table import of_those


@pytest.mark.parametrize("part", of_those(range(6), (0,)))
def test_random(part):
    failures = []
    for seed in range(part * 10, part * 10 + 10):
        try:
            network(seed).check()
        except Difference as difference:
            failures.append(f"seed {seed}: {difference}")
    command = "python -m tests.compiler.networks --seeds SEED"
    assert not failures, "\n".join([*failures, f"{command} prints a smaller network"])


EVERY_RUN = [name for name in FIXED if name.endswith("float32") and name != "lstm states float32"]


@pytest.mark.parametrize("name", of_those(FIXED, EVERY_RUN))
def test_fixed(name):
    assert FIXED[name].check(steps=3) == "equal"
