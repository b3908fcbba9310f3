"""Transforms against optax and PyTorch: trajectories, averages and scales that ``make_transforms.py`` recorded."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from funcnet import optim, tree
from tests.golden import assert_agrees, load_golden
from tests.optim.test_golden_optimizers import PROBLEM, gradients

GOLDEN = load_golden("transforms")
LOSSES, KEPT = GOLDEN["losses"], GOLDEN["kept"]
SGD = optim.SGD(0.05)

CASES: dict[str, optim.Optimizer] = {
    "optax/clip_by_value": optim.chain(optim.ClipByValue(0.4), SGD),
    "optax/clip_by_block_norm": optim.chain(optim.ClipByBlockNorm(1.2), SGD),
    "optax/adaptive_clip": optim.chain(optim.AdaptiveClip(0.3), SGD),
    "optax/adaptive_clip_eps": optim.chain(optim.AdaptiveClip(0.3, eps=2.0), SGD),
    "optax/l2_adam": optim.chain(optim.L2(0.3), optim.Adam(0.03)),
    "optax/decoupled_sgd": optim.chain(SGD, optim.DecoupledWeightDecay(0.01)),
    "optax/centralize": optim.chain(optim.Centralize(), SGD),
    "optax/masked_decay": optim.chain(SGD, optim.Masked(optim.DecoupledWeightDecay(0.01), "weight")),
    "optax/partition": optim.partition({"bias": optim.SGD(0.05, momentum=0.8), "*": optim.Adam(0.03)}),
    "optax/freeze": optim.Freeze(optim.Adam(0.03), "bias"),
    "optax/ema_adam": optim.chain(optim.Adam(0.03), optim.EMA(0.97)),
    "optax/lookahead_adam": optim.Lookahead(optim.Adam(0.03)),
    "optax/lookahead_sgd": optim.Lookahead(SGD, every=7, rate=0.8),
    "torch/l2_sgd": optim.chain(optim.L2(0.3), optim.SGD(0.05, momentum=0.8)),
    "torch/decoupled_adam": optim.chain(optim.Adam(0.03), optim.DecoupledWeightDecay(0.03 * 0.2)),
    "torch/polyak": optim.chain(SGD, optim.PolyakAverage()),
    "torch/polyak_later": optim.chain(SGD, optim.PolyakAverage(start=90)),
}
PLATEAUS = {
    "plateau": optim.ReduceOnPlateau(factor=0.5, patience=5),
    "plateau_unusual": optim.ReduceOnPlateau(0.3, 3, rtol=0.01, every=3, cooldown=4, min_scale=0.05),
}


def run(optimizer: optim.Optimizer) -> dict[str, Any]:
    """The params after each of the kept steps, and under ``average`` what would be evaluated then."""
    params = PROBLEM["start"]
    opt_state = optimizer.init(params)
    kept = []
    for step in range(int(KEPT[-1])):
        updates, opt_state = optimizer.update(gradients(PROBLEM, params, step), opt_state, params)
        params = optim.apply_updates(params, updates)
        if step + 1 in KEPT:
            kept.append({**params, "average": optimizer.eval_params(params, opt_state)})
    return tree.map(lambda *leaves: np.stack(leaves), *kept)


def test_every_recorded_case_is_run() -> None:
    recorded = {f"{library}/{name}" for library in ("torch", "optax") for name in GOLDEN[library]}
    assert sorted(recorded) == sorted([*CASES, *(f"optax/{name}" for name in PLATEAUS)])


@pytest.mark.parametrize("name", CASES)
def test_trajectory_agrees(name: str) -> None:
    library, case = name.split("/")
    expected = GOLDEN[library][case]
    found = run(CASES[name])
    assert_agrees({part: found[part] for part in expected}, expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", PLATEAUS)
def test_plateau_agrees(name: str) -> None:
    rule, update = PLATEAUS[name], {"w": np.array([3.0])}
    state, scales = rule.init(update), []
    for loss in LOSSES:
        scaled, state = rule.update(update, state, update, float(loss))
        scales.append(float(state["scale"]))
        assert scaled["w"] == 3.0 * scales[-1]
    np.testing.assert_allclose(scales, GOLDEN["optax"][name]["scale"], rtol=1e-12)
    assert len(set(scales)) >= 3  # it was reduced more than once


@pytest.mark.parametrize("name", ["clip_by_value", "clip_by_block_norm", "adaptive_clip", "adaptive_clip_eps"])
def test_some_gradients_are_clipped_and_some_are_not(name: str) -> None:
    """Without both, the recorded trajectories would say little about clipping."""
    clip, rule = (step for _, step in CASES[f"optax/{name}"].children.items())
    params, changed = PROBLEM["start"], []
    state = clip.init(params), rule.init(params)
    for step in range(300):
        grads = gradients(PROBLEM, params, step)
        clipped, first = clip.update(grads, state[0], params)
        updates, second = rule.update(clipped, state[1], params)
        params, state = optim.apply_updates(params, updates), (first, second)
        changed += [clipped[path] != leaf for path, leaf in grads.items()]
    assert 0.05 < np.mean(np.concatenate(changed, axis=None)) < 0.95
