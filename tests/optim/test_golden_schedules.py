"""Schedules against optax and PyTorch, step by step past their horizons, as ``make_schedules.py`` recorded them."""

from __future__ import annotations

import numpy as np
import pytest

from funcnet import optim, tree
from tests.golden import load_golden

GOLDEN = tree.flatten(load_golden("schedules"))

CASES: dict[str, optim.Schedule] = {
    "optax/constant": optim.ConstantRate(0.3),
    "optax/linear": optim.Linear(0.5, 200, 0.1),
    "optax/linear_up": optim.Linear(0.1, 200, 0.5),
    "optax/polynomial": optim.Polynomial(0.5, 2.5, 200, 0.1),
    "optax/polynomial_root": optim.Polynomial(0.5, 0.5, 250),
    "optax/exponential": optim.Exponential(0.5, 30, 0.3),
    "optax/exponential_end": optim.Exponential(0.5, 40, 0.7, end=0.1),
    "optax/staircase": optim.StepDecay(0.5, 40, 0.7),
    "optax/cosine": optim.Cosine(0.5, 250, 0.05),
    "optax/restarts": optim.CosineRestarts(0.5, 40, growth=2, factor=0.6),
    "optax/piecewise_constant": optim.PiecewiseConstant((0.5, 0.1, 0.05, 0.15), (50, 120, 210)),
    "optax/piecewise_linear": optim.PiecewiseLinear((0, 50, 120, 210), (0.5, 0.1, 0.3, 0.03)),
    "optax/one_cycle": optim.OneCycle(0.5, 250),
    "optax/one_cycle_unusual": optim.OneCycle(0.5, 233, 0.41, 7.0, 13.0),
    "optax/warmup_constant": optim.Warmup(0.5, 60, start=0.01),
    "optax/warmup_exponential": optim.Warmup(optim.Exponential(0.5, 30, 0.3), 60, start=0.01),
    "optax/warmup_cosine": optim.Warmup(optim.Cosine(0.5, 190, 0.1), 60, start=0.05),
    "optax/joined": optim.Joined((optim.Linear(0.0, 50, 0.5), 0.5, optim.Cosine(0.5, 100)), (50, 120)),
    "torch/linear": optim.Linear(0.5, 200, 0.1),
    "torch/polynomial": optim.Polynomial(0.5, 2.5, 200),
    "torch/exponential": optim.Exponential(0.5, 1, 0.98),
    "torch/restarts": optim.CosineRestarts(0.5, 60, end=0.1),
    "torch/restarts_growing": optim.CosineRestarts(0.5, 30, growth=3, end=0.1),
    "torch/multi_step": optim.PiecewiseConstant((0.5, 0.15, 0.045, 0.0135), (50, 120, 210)),
    "torch/sequential": optim.Warmup(optim.Exponential(0.5, 1, 0.98), 50, start=0.05),
}


def test_every_recorded_case_is_run() -> None:
    assert sorted(GOLDEN) == sorted(CASES)


@pytest.mark.parametrize("name", CASES)
def test_schedule_agrees(name: str) -> None:
    values = np.array([CASES[name](step) for step in range(301)])
    np.testing.assert_allclose(values, GOLDEN[name], rtol=1e-12, atol=1e-16)
