"""Optimizers and schedules against PyTorch and optax, on trajectories recorded in ``tests/golden/optimizers.npz``.

A trajectory is 300 steps on a quadratic with noisy gradients, kept at a few steps.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from funcnet import optim, tree
from tests.golden import assert_agrees, cast, load_golden

GOLDEN = load_golden("optimizers")
PROBLEM = GOLDEN["problem"]

# Relative, and absolute around 0
TOLERANCES: dict[type, tuple[float, float]] = {np.float64: (1e-12, 0.0), np.float32: (1e-5, 2e-6)}

WARMUP = optim.WarmupCosine(0.1, warmup_steps=50, total_steps=250, end=0.01)
CASES: dict[str, optim.Optimizer] = {
    "torch/sgd": optim.SGD(0.05),
    "torch/sgd_momentum": optim.SGD(0.05, momentum=0.8),
    "torch/sgd_nesterov": optim.SGD(0.05, momentum=0.8, nesterov=True),
    "torch/adam": optim.Adam(),
    "torch/adam_unusual": optim.Adam(3e-2, b1=0.7, b2=0.95, eps=1e-3),
    "torch/adamw": optim.AdamW(),
    "torch/adamw_unusual": optim.AdamW(3e-2, b1=0.7, b2=0.95, eps=1e-3, weight_decay=0.2),
    "torch/rmsprop": optim.RMSprop(),
    "torch/rmsprop_unusual": optim.RMSprop(3e-2, decay=0.8, eps=1e-3),
    "torch/rmsprop_centered": optim.RMSprop(1e-2, decay=0.9, eps=1e-3, centered=True),
    "torch/rmsprop_momentum": optim.RMSprop(1e-2, decay=0.9, momentum=0.6),
    "torch/rmsprop_centered_momentum": optim.RMSprop(1e-2, decay=0.9, eps=1e-3, momentum=0.6, centered=True),
    "torch/sgd_momentum_step": optim.SGD(optim.StepDecay(0.1, every=40, factor=0.5), momentum=0.8),
    "torch/adamw_step": optim.AdamW(optim.StepDecay(0.1, every=90), weight_decay=0.2),
    "torch/adam_cosine": optim.Adam(optim.Cosine(0.1, total_steps=300, end=0.01)),
    "optax/sgd": optim.SGD(0.05),
    "optax/sgd_momentum": optim.SGD(0.05, momentum=0.8),
    "optax/sgd_nesterov": optim.SGD(0.05, momentum=0.8, nesterov=True),
    "optax/adam": optim.Adam(),
    "optax/adam_unusual": optim.Adam(3e-2, b1=0.7, b2=0.95, eps=1e-3),
    "optax/adamw": optim.AdamW(),
    "optax/adamw_unusual": optim.AdamW(3e-2, b1=0.7, b2=0.95, eps=1e-3, weight_decay=0.2),
    "optax/rmsprop": optim.RMSprop(1e-2, decay=0.9, eps=1e-3),
    "optax/rmsprop_centered": optim.RMSprop(1e-2, decay=0.9, eps=1e-3, centered=True),
    "optax/rmsprop_momentum": optim.RMSprop(1e-2, decay=0.9, eps=1e-3, momentum=0.6),
    "optax/sgd_momentum_warmup_cosine": optim.SGD(WARMUP, momentum=0.8),
    "optax/clip_sgd": optim.chain(optim.ClipByGlobalNorm(2.5), optim.SGD(0.05)),
    "optax/clip_adamw_warmup_cosine": optim.chain(optim.ClipByGlobalNorm(2.5), optim.AdamW(WARMUP, weight_decay=0.2)),
}

SCHEDULES: dict[str, optim.Schedule] = {
    "torch/step": optim.StepDecay(0.1, every=40, factor=0.5),
    "torch/step_default": optim.StepDecay(0.1, every=90),
    "torch/cosine": optim.Cosine(0.1, total_steps=300),
    "torch/cosine_end": optim.Cosine(0.1, total_steps=300, end=0.01),
    "optax/cosine": optim.Cosine(0.1, total_steps=250, end=0.01),
    "optax/warmup_cosine": WARMUP,
    "optax/warmup_cosine_no_end": optim.WarmupCosine(0.1, warmup_steps=50, total_steps=250),
    "optax/warmup_cosine_no_warmup": optim.WarmupCosine(0.1, warmup_steps=0, total_steps=250, end=0.01),
}


def gradients(problem: dict[str, Any], params: dict[str, Any], step: int) -> dict[str, Any]:
    centre, curvature, noise = problem["centre"], problem["curvature"], problem["noise"]
    return {name: curvature[name] * (params[name] - centre[name]) + noise[name][step] for name in params}


def run(optimizer: optim.Optimizer, dtype: type) -> dict[str, Any]:
    """The params after each of the kept steps, stacked leaf by leaf."""
    problem = cast(PROBLEM, dtype)
    params = problem["start"]
    opt_state = optimizer.init(params)
    kept = []
    for step in range(int(problem["kept"][-1])):
        updates, opt_state = optimizer.update(gradients(problem, params, step), opt_state, params)
        params = optim.apply_updates(params, updates)
        if step + 1 in problem["kept"]:
            kept.append(params)
    return {name: np.stack([params[name] for params in kept]) for name in params}


def test_every_recorded_case_is_run() -> None:
    recorded = {f"{library}/{name}" for library in ("torch", "optax") for name in GOLDEN[library]}
    assert sorted(recorded) == sorted(CASES)
    assert sorted(tree.flatten(GOLDEN["schedules"])) == sorted(SCHEDULES)


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("name", CASES)
def test_trajectory_agrees(name: str, dtype: type) -> None:
    library, case = name.split("/")
    rtol, atol = TOLERANCES[dtype]
    trajectory = run(CASES[name], dtype)
    assert_agrees(trajectory, GOLDEN[library][case], rtol=rtol, atol=atol)
    assert {array.dtype for array in tree.leaves(trajectory)} == {np.dtype(dtype)}


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedule_agrees(name: str) -> None:
    expected = tree.flatten(GOLDEN["schedules"])[name]
    actual = np.array([SCHEDULES[name](step) for step in range(len(expected))])
    np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-16)


def test_some_gradients_are_clipped_and_some_are_not() -> None:
    """Without both, the recorded chains would say little about clipping."""
    start = PROBLEM["start"]
    norms = [np.sqrt(sum(np.sum(g**2) for g in gradients(PROBLEM, start, step).values())) for step in range(300)]
    assert min(norms) < 2.5 < max(norms)
