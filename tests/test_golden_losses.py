"""Losses against PyTorch: values and gradients recorded in ``tests/golden/losses.npz``."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from funcnet import losses
from tests.golden import assert_agrees, cast, load_golden

GOLDEN = load_golden("losses")

ANY_WEIGHT = ("", "_sample_weight", "_term_weight")
CASES: dict[str, losses.Loss] = {
    **{f"mean_squared_error{weight}": losses.MeanSquaredError() for weight in ANY_WEIGHT},
    **{f"half_mean_squared_error{weight}": losses.HalfMeanSquaredError() for weight in ANY_WEIGHT},
    **{f"root_mean_squared_error{weight}": losses.RootMeanSquaredError() for weight in ANY_WEIGHT},
    **{f"sum_squared_error{weight}": losses.SumSquaredError() for weight in ANY_WEIGHT},
    **{f"half_sum_squared_error{weight}": losses.HalfSumSquaredError() for weight in ANY_WEIGHT},
    **{f"mean_absolute_error{weight}": losses.MeanAbsoluteError() for weight in ANY_WEIGHT},
    **{f"huber{weight}": losses.Huber(delta=0.7) for weight in ANY_WEIGHT},
    **{f"huber_delta_1{weight}": losses.Huber() for weight in ANY_WEIGHT},
    **{f"binary_cross_entropy{weight}": losses.BinaryCrossEntropy() for weight in ANY_WEIGHT},
    **{f"sigmoid_cross_entropy{weight}": losses.SigmoidCrossEntropy() for weight in ANY_WEIGHT},
    "mean_squared_error_own_mean": losses.MeanSquaredError(),
    "sum_squared_error_own_sum": losses.SumSquaredError(),
    "mean_squared_error_3d": losses.MeanSquaredError(),
    "mean_squared_error_column": losses.MeanSquaredError(),
    "mean_squared_error_row": losses.MeanSquaredError(),
    "binary_cross_entropy_clipped": losses.BinaryCrossEntropy(),
    "binary_cross_entropy_edges": losses.BinaryCrossEntropy(),
    "binary_cross_entropy_own_mean": losses.BinaryCrossEntropy(),
    "sigmoid_cross_entropy_edges": losses.SigmoidCrossEntropy(),
    "sigmoid_cross_entropy_column": losses.SigmoidCrossEntropy(),
    **{
        f"softmax_cross_entropy_{target}{suffix}": losses.SoftmaxCrossEntropy(label_smoothing=smoothing)
        for suffix, smoothing in (("", 0.0), ("_smoothing", 0.1))
        for target in (
            "labels", "labels_weight", "probabilities", "probabilities_weight", "not_normalized",
            "steps", "steps_sample_weight", "steps_mask", "steps_probabilities",
        )
    },
    **{
        f"softmax_cross_entropy_{target}_ignored{suffix}": losses.SoftmaxCrossEntropy(smoothing, ignore_label=-100)
        for suffix, smoothing in (("", 0.0), ("_smoothing", 0.1))
        for target in ("labels", "steps", "maps")
    },
    "softmax_cross_entropy_own_mean": losses.SoftmaxCrossEntropy(label_smoothing=0.1),
}  # fmt: skip

# Relative, and absolute around 0
TOLERANCES: dict[type, tuple[float, float]] = {np.float64: (1e-10, 1e-15), np.float32: (1e-5, 1e-7)}
# PyTorch holds the 1e-12 that bounds the denominator as a float32 number, 4e-9 below it
GRADIENT_RTOL = {"binary_cross_entropy_clipped": 5e-9}


def run(loss: losses.Loss, case: dict[str, Any], dy: float) -> tuple[Any, Any]:
    """The value and the gradient."""
    value, residuals = loss.apply(case["prediction"], case["target"], case.get("weight"))
    return value, loss.vjp(residuals, dy)


def test_every_recorded_case_is_run() -> None:
    assert sorted(GOLDEN) == sorted(CASES)


@pytest.mark.parametrize("dy", [1.0, -2.5])
@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("name", CASES)
def test_loss_agrees_with_pytorch(name: str, dtype: type, dy: float) -> None:
    recorded, (rtol, atol) = GOLDEN[name], TOLERANCES[dtype]
    value, gradient = run(CASES[name], cast(recorded, dtype), dy)
    assert_agrees(value, recorded["value"], rtol=rtol, atol=atol)
    assert_agrees(gradient, dy * recorded["gradient"], rtol=max(rtol, GRADIENT_RTOL.get(name, 0.0)), atol=atol)
    assert value.dtype == gradient.dtype == dtype
