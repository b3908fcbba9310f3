"""Time and memory of a training step at 1, 4 and 16 times the size that the kernels' blocks were chosen for.

    taskset -c 0 env OMP_NUM_THREADS=1 python tests/benchmarks/lengths.py [name ...]

A figure is the least of three steps in processor time, in milliseconds, and the most memory that NumPy held in a step,
in MB. Attention takes time with the square of the length, all others in proportion; memory is in proportion for all.
"""

from __future__ import annotations

import sys
import time
import tracemalloc

import numpy as np

import funcnet as fn

NETS = {
    "attention": (fn.MultiHeadAttention(4), (512, 64)),
    "causal_attention": (fn.MultiHeadAttention(4, causal=True), (512, 64)),
    "conv_1d": (fn.Conv1D(32, 3), (2500, 32)),
    "conv_2d": (fn.Conv2D(16, 3), (64, 64, 16)),
    "conv_2d_strided": (fn.Conv2D(16, 3, strides=2), (64, 64, 16)),
    "max_pool": (fn.MaxPool2D(3), (64, 64, 16)),
    "lstm": (fn.LSTM(64, return_sequences=True), (250, 32)),
}


def measured(net: fn.Layer, in_shape: tuple[int, ...]) -> tuple[float, float]:
    """Milliseconds and MB of a step of four rows."""
    loss, opt = fn.losses.MeanSquaredError(), fn.optim.Adam()
    x = fn.Key(1).normal((4, *in_shape), np.float32)
    y = fn.Key(2).normal((4, *net.out_shape(in_shape)), np.float32)
    step, ts = fn.train_step(net, loss, opt), fn.train_state(net, opt, fn.Key(0), in_shape)
    tracemalloc.start()
    step(ts, (x, y))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    least = float("inf")
    for _ in range(3):
        began = time.process_time()
        step(ts, (x, y))
        least = min(least, time.process_time() - began)
    return 1e3 * least, most / 1e6


if __name__ == "__main__":
    for name in sys.argv[1:] or NETS:
        layer, (first, *others) = NETS[name]
        for times in (1, 4, 16):
            milliseconds, memory = measured(fn.serial(layer, fn.Dense(1)), (first * times, *others))
            print(f"{name:17} {times:3} times {milliseconds:10.1f} ms {memory:8.1f} MB", flush=True)
