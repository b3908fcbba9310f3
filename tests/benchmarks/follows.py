"""What the memory of training, scores and predictions follows: ``python tests/benchmarks/follows.py``

Each row is one size, four times as large as in the base: a network of three hidden layers of 256 and 500 outputs,
2 000 rows of 64 inputs, batch 64 in one shard, 8 steps. The figures are the most megabytes that NumPy's arrays took
(tracemalloc), beyond the data: of ``fn.fit`` with a validation part and metrics, of ``fn.evaluate`` and of
``fn.predict_label``.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np

import funcnet as fn

BASE = {"batch": 64, "rows": 2000, "outputs": 500, "steps": 8, "depth": 3, "width": 256, "shards": 1}


def peak(work: Callable[[], Any]) -> float:
    """The most megabytes of arrays during some work."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()


def measured(batch: int, rows: int, outputs: int, steps: int, depth: int, width: int, shards: int) -> list[float]:
    """The megabytes of a fit, an evaluation and a prediction."""
    hidden = [layer for _ in range(depth) for layer in (fn.Dense(width), fn.Relu())]
    net, loss = fn.serial(*hidden, fn.Dense(outputs)), fn.losses.SoftmaxCrossEntropy()
    x, y = np.zeros((rows, 64), np.float32), np.arange(rows) % outputs
    params, state = net.init(fn.Key(0), (64,))
    scores = [fn.metrics.Accuracy(), fn.metrics.LogLoss()]
    options = {"loss": loss, "optimizer": fn.optim.Adam(), "key": fn.Key(0), "steps": steps, "batch_size": batch}
    options["shards"] = shards
    return [
        peak(lambda: fn.fit(net, (x, y), validation=(x, y), metrics=scores, **options)),
        peak(lambda: fn.evaluate(net, loss, params, state, (x, y), scores)),
        peak(lambda: fn.predict_label(net, loss, params, state, x, batch)),
    ]


def main() -> None:
    print(f"{'':12}{'fit':>10}{'evaluate':>12}{'labels':>10}   MB")
    for name in ["base", *BASE]:
        sizes = dict(BASE)
        if name != "base":
            sizes[name] *= 4
        fit, evaluate, labels = measured(**sizes)
        print(f"{name if name == 'base' else f'4 x {name}':12}{fit:10.1f}{evaluate:12.1f}{labels:10.1f}")


if __name__ == "__main__":
    main()
