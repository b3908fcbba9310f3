"""Record trajectories through the transforms of optax and PyTorch, for tests that need neither of them.

    python tests/golden/make_transforms.py

writes ``transforms.npz`` beside this file, in an environment with torch 2.13.0 (CPU), optax 0.2.8, jax 0.10.2 and
numpy 2.4.6. The problem and the kept steps are those of ``make_golden.py``: 300 noisy steps on a quadratic. Members
are called ``<library>/<case>/<leaf>``; ``…/average/<leaf>`` are the averaged params, ``…/scale`` what a plateau
makes of the losses ``losses``.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp  # type: ignore[import-not-found]
import numpy as np
import optax  # type: ignore[import-not-found]
import torch  # type: ignore[import-not-found]
from make_golden import KEPT, PROBLEM, SHAPES, STEPS, Arrays, gradients, kept, normal, run_optax, run_torch, save

LOSSES = np.concatenate([np.linspace(3, 1, 60), 1 + 0.002 * normal(50, 140), np.linspace(1, 0.5, 50), np.full(50, 0.6)])


def outputs_first(transform: Any) -> Any:
    """A transform that is defined for outputs on the first axis, for leaves with outputs on the last."""

    def turned(updates: Any) -> Any:
        return {name: jnp.moveaxis(u, -1, 0) for name, u in updates.items()}

    def back(updates: Any) -> Any:
        return {name: jnp.moveaxis(u, 0, -1) for name, u in updates.items()}

    def update(updates: Any, state: Any, params: Any = None) -> Any:
        updates, state = transform.update(turned(updates), state, params)
        return back(updates), state

    return optax.GradientTransformation(transform.init, update)


def by_block(limit: float) -> Any:
    """Each leaf's norm clipped by itself: one global norm for each leaf."""
    parts = {name: optax.clip_by_global_norm(limit) for name in SHAPES}
    return optax.partition(parts, {name: name for name in SHAPES})


def averaged(name: str, rule: Any, decay: float) -> Arrays:
    """The debiased average that optax makes of the params after each update."""
    params = {path: jnp.asarray(value) for path, value in PROBLEM["start"].items()}
    mean = optax.ema(decay, debias=True)
    state, mean_state = rule.init(params), mean.init(params)
    trajectory = []
    for step in range(STEPS):
        grads = gradients({path: np.asarray(value) for path, value in params.items()}, step)
        updates, state = rule.update(grads, state, params)
        params = optax.apply_updates(params, updates)
        average, mean_state = mean.update(params, mean_state)
        trajectory.append({path: np.asarray(value) for path, value in average.items()})
    return kept(f"optax/{name}/average", trajectory)


def looked_ahead(name: str, rule: Any, every: int, rate: float) -> Arrays:
    """The fast params and, as the average, the slow ones."""
    params = optax.LookaheadParams.init_synced({path: jnp.asarray(v) for path, v in PROBLEM["start"].items()})
    whole = optax.lookahead(rule, every, rate)
    state = whole.init(params)
    fast, slow = [], []
    for step in range(STEPS):
        grads = gradients({path: np.asarray(value) for path, value in params.fast.items()}, step)
        updates, state = whole.update(grads, state, params)
        params = optax.apply_updates(params, updates)
        fast.append({path: np.asarray(value) for path, value in params.fast.items()})
        slow.append({path: np.asarray(value) for path, value in params.slow.items()})
    return kept(f"optax/{name}", fast) | kept(f"optax/{name}/average", slow)


def swa(name: str, rate: float, start: int) -> Arrays:
    """PyTorch's mean of the params of SGD after the updates from number ``start`` on."""
    model = torch.nn.Module()
    for path, value in PROBLEM["start"].items():
        model.register_parameter(path, torch.nn.Parameter(torch.tensor(value)))
    rule, mean = torch.optim.SGD(model.parameters(), rate), torch.optim.swa_utils.AveragedModel(model)
    trajectory = []
    for step in range(STEPS):
        values = {path: p.detach().numpy().copy() for path, p in model.named_parameters()}
        for path, gradient in gradients(values, step).items():
            getattr(model, path).grad = torch.tensor(gradient)
        rule.step()
        if step >= start:
            mean.update_parameters(model)
        source = mean.module if step >= start else model
        trajectory.append({path: p.detach().numpy().copy() for path, p in source.named_parameters()})
    return kept(f"torch/{name}/average", trajectory)


def plateau(name: str, **options: Any) -> Arrays:
    """The scale after each of the losses."""
    rule = optax.contrib.reduce_on_plateau(**options)
    leaf = {"w": jnp.zeros(1, jnp.float64)}
    state, scales = rule.init(leaf), []
    for loss in LOSSES:
        _, state = rule.update(leaf, state, leaf, value=float(loss))
        scales.append(float(state.scale))
    return {f"optax/{name}/scale": np.array(scales)}


def cases() -> Arrays:
    sgd = optax.sgd(0.05)
    found: Arrays = {"losses": LOSSES, "kept": np.array(KEPT)}
    found |= run_optax("clip_by_value", optax.chain(optax.clip(0.4), sgd))
    found |= run_optax("clip_by_block_norm", optax.chain(by_block(1.2), sgd))
    found |= run_optax("adaptive_clip", optax.chain(optax.adaptive_grad_clip(0.3), sgd))
    found |= run_optax("adaptive_clip_eps", optax.chain(optax.adaptive_grad_clip(0.3, eps=2.0), sgd))
    found |= run_optax("l2_adam", optax.chain(optax.add_decayed_weights(0.3), optax.adam(0.03)))
    found |= run_optax("decoupled_sgd", optax.chain(sgd, optax.add_decayed_weights(-0.01)))
    found |= run_optax("centralize", optax.chain(outputs_first(optax.centralize()), sgd))
    found |= run_optax(
        "masked_decay",
        optax.chain(sgd, optax.masked(optax.add_decayed_weights(-0.01), {"weight": True, "bias": False})),
    )
    found |= run_optax(
        "partition",
        optax.partition({"a": optax.sgd(0.05, momentum=0.8), "b": optax.adam(0.03)}, {"weight": "b", "bias": "a"}),
    )
    found |= run_optax(
        "freeze", optax.partition({"a": optax.set_to_zero(), "b": optax.adam(0.03)}, {"weight": "b", "bias": "a"})
    )
    found |= averaged("ema_adam", optax.adam(0.03), 0.97)
    found |= looked_ahead("lookahead_adam", optax.adam(0.03), 5, 0.5)
    found |= looked_ahead("lookahead_sgd", sgd, 7, 0.8)
    found |= plateau("plateau", factor=0.5, patience=5)
    found |= plateau(
        "plateau_unusual", factor=0.3, patience=3, rtol=0.01, cooldown=4, accumulation_size=3, min_scale=0.05
    )
    found |= run_torch("l2_sgd", lambda p: torch.optim.SGD(p, 0.05, momentum=0.8, weight_decay=0.3))
    found |= run_torch("decoupled_adam", lambda p: torch.optim.AdamW(p, 0.03, weight_decay=0.2))
    found |= swa("polyak", 0.05, 0)
    found |= swa("polyak_later", 0.05, 90)
    return found


if __name__ == "__main__":
    save("transforms", cases())
