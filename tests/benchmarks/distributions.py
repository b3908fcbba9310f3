"""What the distributions that a run writes while it learns cost: seconds of training with them and without.

    python tests/benchmarks/distributions.py [SPEC …]

trains each in turns, and prints the least seconds of both and their ratio. The weights must be the same.
"""

import sys
import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np

import funcnet as fn
from funcnet.cli.shipped import shipped
from funcnet.training.distributions import Distributions

TIMES = 7
USUAL = ("iris_csv", "half_plane", "diabetes", "digits_mlp", "digits_conv")


def main(names: list[str]) -> None:
    print(f"{'spec':24} {'without':>9} {'with':>9} {'ratio':>7}")
    for name in names or USUAL:
        file = shipped(name) or Path(name)
        seconds: dict[bool, list[float]] = {False: [], True: []}
        weights = {}
        usual = Distributions.update
        for _ in range(TIMES):
            for wanted in seconds:
                Distributions.update = usual if wanted else lambda self, state, event: (state, False)
                with tempfile.TemporaryDirectory() as folder:
                    began = perf_counter()
                    run = fn.run(fn.load_spec(file), Path(folder) / "run", base=file.parent)
                    seconds[wanted].append(perf_counter() - began)
                weights[wanted] = fn.tree.ravel(run.params)[0]
        Distributions.update = usual
        assert np.array_equal(weights[False], weights[True])
        without, with_ = (min(seconds[wanted]) for wanted in (False, True))
        print(f"{name:24} {without:8.3f}s {with_:8.3f}s {with_ / without:7.3f}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
