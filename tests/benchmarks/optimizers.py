"""What an update costs, in many small leaves and in one large one: ``python -m tests.benchmarks.optimizers``.

For each rule the time of a compiled update: of one matrix of 100 × 100 entries, of the same number of entries in
100 matrices of 10 × 10, and of 1000 × 1000 entries in one. Microseconds, the median of the rounds, one thread.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})

import argparse
import time
from typing import Any

import numpy as np

import funcnet as fn
from funcnet import optim
from tests.table import TRAINED

RULES = {type(each.rule).__name__: each.rule for each in TRAINED.values() if not each.rule.children}


def tree_of(leaves: int, side: int, seed: int) -> Any:
    """Square matrices, as a network's params: two levels deep."""
    return {f"layer_{i}": {"weight": fn.Key(seed).fold(i).normal((side, side), np.float32)} for i in range(leaves)}


def microseconds(opt: optim.Optimizer, leaves: int, side: int, rounds: int) -> float:
    """The median time of ``update`` and of adding the updates."""

    def step(grads: Any, opt_state: Any, params: Any) -> Any:
        updates, opt_state = opt.update(grads, opt_state, params)
        return fn.apply_updates(params, updates), opt_state

    params, grads = tree_of(leaves, side, 0), tree_of(leaves, side, 1)
    opt_state = opt.init(params)
    run = fn.compile(step, strict=True)
    times = []
    for i in range(rounds + 5):
        began = time.perf_counter()
        params, opt_state = run(grads, opt_state, params)
        if i >= 5:
            times.append(time.perf_counter() - began)
    return 1e6 * float(np.median(times))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--only", default="", help="rules with this in their names")
    options = parser.parse_args()
    print(f"{'':18} {'1 × 100²':>10} {'100 × 10²':>10} {'a leaf more':>12} {'1 × 1000²':>10}")
    for name, opt in RULES.items():
        if options.only.lower() not in name.lower():
            continue
        one, many = (microseconds(opt, *form, options.rounds) for form in ((1, 100), (100, 10)))
        large = microseconds(opt, 1, 1000, max(3, options.rounds // 10))
        print(f"{name:18} {one:10.0f} {many:10.0f} {(many - one) / 99:12.2f} {large:10.0f}", flush=True)


if __name__ == "__main__":
    main()
