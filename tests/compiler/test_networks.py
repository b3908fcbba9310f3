"""Random networks train and predict the same, compiled and plain, to the last bit; so do their printed programs."""

import pytest

from tests.compiler.comparison import Difference
from tests.compiler.networks import FIXED, network


@pytest.mark.parametrize("part", range(6))
def test_random(part):
    failures = []
    for seed in range(part * 10, part * 10 + 10):
        try:
            network(seed).check()
        except Difference as difference:
            failures.append(f"seed {seed}: {difference}")
    command = "python -m tests.compiler.networks --seeds SEED"
    assert not failures, "\n".join([*failures, f"{command} prints a smaller network"])


@pytest.mark.parametrize("name", FIXED)
def test_fixed(name):
    assert FIXED[name].check(steps=3) == "equal"
