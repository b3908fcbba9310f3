"""A confident network and a dead gradient: ``python tests/benchmarks/subnormals.py``.

Subnormal numbers (float32: below 1.2e-38) slow many processors down, elementwise work and products by up to
150 times. Two places make them: gradients of predictions that are all but certain, and running averages whose
gradient has become zero. The script trains both into that state, counts subnormal entries of gradients and
optimizer state, and times a step against a fresh one. The same with flushing switched off shows what it saves.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})

import time
from typing import Any

import numpy as np

import funcnet as fn
from funcnet import ops, tree
from funcnet.training.programs import compiled_gradients, compiled_step


def subnormal(value: Any) -> int:
    """How many entries are not zero and below the least normal number."""
    leaves = [leaf for leaf in tree.leaves(value) if leaf.dtype.kind == "f"]
    return sum(int(np.sum((leaf != 0) & (np.abs(leaf) < np.finfo(leaf.dtype).tiny))) for leaf in leaves)


def seconds(step: Any, ts: Any, batch: Any, repeats: int = 200) -> float:
    """The median time of a step."""
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        step(ts, batch)
        times.append(time.perf_counter() - began)
    return float(np.median(times))


def measure(name: str, net: Any, loss: Any, batch: Any, steps: int, scale: float, dead: bool) -> None:
    """Train (or let the gradient die), then count and time."""
    opt = fn.optim.Adam(1e-3)
    compiled_step.cache_clear()
    compiled_gradients.cache_clear()
    fresh = fn.train_state(net, opt, fn.Key(0), batch[0].shape[1:])
    step = fn.train_step(net, loss, opt)
    first = seconds(step, fresh, batch)
    ts = fresh
    if dead:
        ts, _ = step(ts, batch)
        batch = (np.zeros_like(batch[0]), *batch[1:])  # no input: the first layer's gradient is zero from here on
    else:
        params = tree.at(ts.params, "*/weight").apply(lambda w: scale * w)
        ts = fn.TrainState(params, ts.state, ts.opt_state, ts.key, ts.step)
        labels = fn.predict(net, params, ts.state, batch[0]).argmax(axis=-1)  # all answers right, and certain
        batch = (batch[0], labels)
    for _ in range(steps):
        ts, _ = step(ts, batch)
    _, _, grads = fn.value_and_grad(net, loss)(ts.params, ts.state, *batch, fn.EVAL)
    later = seconds(step, ts, batch)
    print(
        f"{name:28} {subnormal(grads):8} {subnormal(ts.opt_state):8} {first * 1e6:10.0f} {later * 1e6:10.0f} "
        f"{later / first:8.2f}"
    )


def main() -> None:
    """Both networks, flushed and not."""
    net = fn.serial(fn.Dense(256), fn.Relu(), fn.Dense(128), fn.Relu(), fn.Dense(10))
    x, y = fn.Key(1).normal((128, 256), np.float32), fn.Key(2).integers(10, (128,))
    print(f"{'':28} {'subnormal entries of':>17} {'step, microseconds':>21}")
    print(f"{'':28} {'grads':>8} {'state':>8} {'fresh':>10} {'then':>10} {'ratio':>8}")
    flush, loss = ops.flush, fn.losses.SoftmaxCrossEntropy()
    for title, function in (("flushed", flush), ("not flushed", lambda x: x)):
        ops.flush = function
        ops.SETTLE_EVERY = 32 if function is flush else 10**9
        measure(f"confident, {title}", net, loss, (x, y), 20, 6.0, False)
        measure(f"dead gradient, {title}", net, loss, (x, y), 900, 1.0, True)


if __name__ == "__main__":
    main()
