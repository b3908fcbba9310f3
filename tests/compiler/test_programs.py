"""Random programs agree with their plain selves to the last bit, and keep every promise about memory and errors."""

import pytest

import funcnet as fn
from tests.compiler.comparison import Difference
from tests.compiler.programs import program, without_refusals
from tests.table import of_those


def check(seeds, large):
    """Every program agrees, without what cannot be recorded; few hold anything of the kind."""
    failures, refused = [], 0
    for seed in seeds:
        p = program(seed, large)
        try:
            try:
                p.check()
            except fn.TraceError:
                refused += 1
                without_refusals(p)[0].check()
        except Difference as difference:
            failures.append(f"seed {seed}: {difference}")
    command = f"python -m tests.compiler.programs {'--large ' if large else ''}--seeds SEED"
    assert not failures, "\n".join([*failures, f"{command} prints a smaller program"])
    assert refused <= len(seeds) / 10


@pytest.mark.parametrize("part", of_those(range(6), (0, 1)))
def test_small(part):
    check(range(part * 100, part * 100 + 100), large=False)


@pytest.mark.parametrize("part", range(2))
def test_at_sizes_where_blas_and_reductions_take_their_real_paths(part):
    check(range(part * 30, part * 30 + 30), large=True)
