"""A million steps of a tiny network: ``python tests/benchmarks/million.py [--steps 1000000]``.

Prints the memory, the open files and the counters at every tenth of the way; memory must be flat, and the counters of
the state and of the optimizer must agree.
"""

import argparse
import os
import time
from pathlib import Path

import numpy as np

import funcnet as fn


def memory():
    """Resident bytes of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1_000_000)
    options = parser.parse_args()
    net, opt = fn.serial(fn.Dense(3), fn.Tanh(), fn.Dense(1)), fn.optim.Adam(fn.optim.Cosine(0.01, options.steps))
    x = fn.Key(1).normal((8, 2), np.float32)
    batch = x, (x[:, :1] * x[:, 1:])
    ts = fn.train_state(net, opt, fn.Key(0), (2,))
    step = fn.train_step(net, fn.losses.MeanSquaredError(), opt)
    began = time.perf_counter()
    for i in range(1, options.steps + 1):
        ts, metrics = step(ts, batch)
        if i % (options.steps // 10) == 0:
            files = len(os.listdir("/proc/self/fd"))
            counters = f"{ts.step:,} {int(ts.opt_state['step']):,}"
            print(
                f"step {i:>9,}  {memory() / 1e6:.1f} MB  {files} files  counters {counters}"
                f"  loss {metrics['loss']:.6f}  {1e6 * (time.perf_counter() - began) / i:.1f} us a step",
                flush=True,
            )


if __name__ == "__main__":
    main()
