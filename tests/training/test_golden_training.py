"""Whole training runs beside scikit-learn's MLPClassifier, recorded in ``tests/golden/training.npz``.

They are 99 steps in float64. Its loss has a penalty besides, ``alpha / 2 · Σ W² / n`` over the weights of all layers
and not the biases, n the rows of the batch; its Adam adds epsilon to √v before the bias is undone, not after.
"""

from __future__ import annotations

import math
from typing import Any

import attrs
import numpy as np
import pytest

import funcnet as fn
from funcnet import losses, optim, tree
from tests.golden import assert_agrees, load_golden

GOLDEN = load_golden("training")
X, LABELS = GOLDEN["data"]["x"], GOLDEN["data"]["y"]
ALPHA, BATCH, EPOCHS = 0.5, 32, 33
KEEP = (1, 50, 99)
RTOL = 1e-12


@attrs.frozen
class Penalty(optim.Optimizer):
    """The gradient of the penalty: ``g ← g + alpha / n · W``, for weights alone."""

    @property
    def descends(self) -> bool:
        return False

    def update(self, grads: Any, opt_state: Any, params: Any, value: Any = None) -> Any:
        flat = tree.flatten(params)
        added = {
            path: g + ALPHA / BATCH * flat[path] if path.endswith("weight") else g
            for path, g in tree.flatten(grads).items()
        }
        return tree.unflatten(added), opt_state


@attrs.frozen
class BeforeCorrection(optim.Schedule):
    """The epsilon that does after the correction of the bias what ``eps`` does before it: ``eps / √(1 - b2^t)``."""

    eps: float
    b2: float = 0.999

    def __call__(self, step: int) -> float:
        return self.eps / math.sqrt(1.0 - self.b2 ** (step + 1))


def net_of(activation: fn.Layer, outputs: int = 3) -> fn.Layer:
    return fn.serial(fn.Dense(7), activation, fn.Dense(5), activation, fn.Dense(outputs))


SOFTMAX, SIGMOID = losses.SoftmaxCrossEntropy(), losses.SigmoidCrossEntropy()
CASES: dict[str, tuple[fn.Layer, losses.Loss, optim.Optimizer]] = {
    "adam": (net_of(fn.Relu()), SOFTMAX, optim.Adam(0.01, eps=BeforeCorrection(1e-8))),
    "adam_logistic": (
        net_of(fn.Sigmoid()),
        SOFTMAX,
        optim.Adam(0.03, b1=0.8, b2=0.99, eps=BeforeCorrection(1e-3, 0.99)),
    ),
    "sgd": (net_of(fn.Relu()), SOFTMAX, optim.SGD(0.05)),
    "sgd_momentum": (net_of(fn.Tanh()), SOFTMAX, optim.SGD(0.02, momentum=0.9)),
    "sgd_nesterov": (net_of(fn.Relu()), SOFTMAX, optim.SGD(0.02, momentum=0.9, nesterov=True)),
    "sgd_two_classes": (net_of(fn.Relu(), 1), SIGMOID, optim.SGD(0.05, momentum=0.5, nesterov=True)),
}


def renamed(params: Any) -> Any:
    return {name: params[name] for name in ("dense_0", "dense_1", "dense_2")}


def penalty(params: Any) -> float:
    weights = [leaf for path, leaf in tree.flatten(params).items() if path.endswith("weight")]
    return ALPHA / 2 / BATCH * sum(float(np.sum(w * w)) for w in weights)


def test_every_recorded_case_is_run() -> None:
    assert set(GOLDEN) == {*CASES, "start", "data"}


@pytest.mark.parametrize("name", CASES)
def test_each_loss_and_the_weights_on_the_way(name: str) -> None:
    net, loss, rule = CASES[name]
    y = LABELS if loss == SOFTMAX else (LABELS > 0).astype(int)
    opt = optim.chain(Penalty(), rule)
    ts = fn.train_state(net, opt, fn.Key(0), (4,), np.float64, GOLDEN["start"][name])
    step = fn.train_step(net, loss, opt)
    values, kept = [], []
    for order in GOLDEN["data"]["orders"]:
        for begin in range(0, len(X), BATCH):
            chosen = order[begin : begin + BATCH]
            before = ts
            ts, out = step(ts, (X[chosen], y[chosen]))
            values.append(out["loss"] + penalty(before.params))
            if ts.step in KEEP:
                kept.append(renamed(ts.params))
    assert len(values) == 99
    np.testing.assert_allclose(values, GOLDEN[name]["loss"], rtol=RTOL)
    assert_agrees(tree.map(lambda *leaves: np.stack(leaves), *kept), GOLDEN[name]["params"], rtol=RTOL, atol=1e-13)


@pytest.mark.parametrize("name", ["adam", "sgd_nesterov"])
def test_fit_is_the_same_run(name: str) -> None:
    """By its own order of the rows, which the recorded runs took."""
    net, loss, rule = CASES[name]
    opt = optim.chain(Penalty(), rule)
    result = fn.fit(
        net, (X, LABELS), loss=loss, optimizer=opt, epochs=EPOCHS, batch_size=BATCH, key=fn.Key(0),
        start=GOLDEN["start"][name],
    )  # fmt: skip
    last = tree.map(lambda leaf: leaf[-1], GOLDEN[name]["params"])
    assert_agrees(result.train_state.params, last, rtol=RTOL, atol=1e-13)
    orders = [fn.Key(0).fold("epoch", epoch).permutation(len(X)) for epoch in range(EPOCHS)]
    np.testing.assert_array_equal(orders, GOLDEN["data"]["orders"])
