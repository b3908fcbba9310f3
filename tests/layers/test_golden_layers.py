"""Layers against PyTorch: outputs, running statistics and gradients recorded in ``tests/golden/layers.npz``."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import funcnet as fn
from tests.golden import assert_agrees, cast, load_golden

GOLDEN = load_golden("layers")

NORM = fn.BatchNorm(momentum=0.7, eps=1e-3)
NO_SCALE = fn.BatchNorm(momentum=0.7, eps=1e-3, use_scale=False)
NO_BIAS = fn.BatchNorm(momentum=0.7, eps=1e-3, use_bias=False)
NETWORK = fn.serial(fn.Dense(5), NORM, fn.Relu(), fn.Dense(3))

CASES: dict[str, fn.Layer] = {
    "dense": fn.Dense(3),
    "dense_no_bias": fn.Dense(3, use_bias=False),
    "dense_3d": fn.Dense(3),
    "dense_3d_no_bias": fn.Dense(3, use_bias=False),
    "relu": fn.Relu(),
    "leaky_relu": fn.LeakyRelu(0.2),
    "sigmoid": fn.Sigmoid(),
    "tanh": fn.Tanh(),
    "gelu": fn.Gelu(),
    "gelu_approximate": fn.Gelu(approximate=True),
    "softmax": fn.Softmax(),
    "log_softmax": fn.LogSoftmax(),
    "batch_norm_train": NORM,
    "batch_norm_eval": NORM,
    "batch_norm_3d_train": NORM,
    "batch_norm_3d_eval": NORM,
    "batch_norm_4d_train": NORM,
    "batch_norm_4d_eval": NORM,
    "batch_norm_no_scale_train": NO_SCALE,
    "batch_norm_no_scale_eval": NO_SCALE,
    "batch_norm_no_bias_train": NO_BIAS,
    "batch_norm_no_bias_eval": NO_BIAS,
    "batch_norm_two_rows_train": NORM,
    "residual": fn.Residual(fn.serial(fn.Dense(5), fn.Tanh())),
    "residual_projection": fn.Residual(fn.serial(fn.Dense(5), fn.Tanh()), projection=fn.Dense(5)),
    "network_train": NETWORK,
    "network_eval": NETWORK,
}

# Relative, and absolute around 0
TOLERANCES: dict[type, tuple[float, float]] = {np.float64: (1e-10, 1e-14), np.float32: (1e-5, 2e-6)}


def run(layer: fn.Layer, case: dict[str, Any], train: bool) -> dict[str, Any]:
    """What the layer makes of a case's inputs, under the names that the archive uses."""
    params, x = case.get("params", {}), case["x"]
    y, state, residuals = layer.apply(params, case.get("state", {}), x, fn.Context(train=train))
    dparams, dx = layer.vjp(params, residuals, case["dy"])
    return {"y": y, "new_state": state, "dparams": dparams, "dx": dx}


def test_every_recorded_case_is_run() -> None:
    assert sorted(GOLDEN) == sorted(CASES)


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("name", CASES)
def test_layer_agrees_with_pytorch(name: str, dtype: type) -> None:
    rtol, atol = TOLERANCES[dtype]
    recorded = {"params": {}, "state": {}, "dparams": {}, "new_state": {}, **GOLDEN[name]}
    expected = {what: recorded[what] for what in ("y", "new_state", "dparams", "dx")}
    actual = run(CASES[name], cast(recorded, dtype), name.endswith("_train"))
    assert_agrees(actual, expected, rtol=rtol, atol=atol)
    assert {array.dtype for array in fn.tree.leaves(actual)} == {np.dtype(dtype)}


@pytest.mark.parametrize("name", CASES)
def test_init_makes_the_recorded_shapes(name: str) -> None:
    case = GOLDEN[name]
    params, state = CASES[name].init(fn.Key(0), case["x"].shape[1:])

    def shapes(tree: dict[str, Any]) -> dict[str, tuple[int, ...]]:
        return {path: array.shape for path, array in fn.tree.flatten(tree).items()}

    assert shapes(params) == shapes(case.get("params", {}))
    assert shapes(state) == shapes(case.get("state", {}))
    assert CASES[name].out_shape(case["x"].shape[1:]) == case["y"].shape[1:]
