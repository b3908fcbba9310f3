"""Record the schedules of optax and PyTorch, for tests that need neither of them.

    python tests/golden/make_schedules.py

writes ``schedules.npz`` beside this file, in an environment with torch 2.13.0 (CPU), optax 0.2.8, jax 0.10.2 and
numpy 2.4.6. Members are called ``<library>/<case>``: float64 values of the steps 0 … 300, the schedules past their
horizons among them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import archive
import jax  # type: ignore[import-not-found]
import jax.numpy as jnp  # type: ignore[import-not-found]
import numpy as np
import optax  # type: ignore[import-not-found]
import torch  # type: ignore[import-not-found]
from torch.optim import lr_scheduler  # type: ignore[import-not-found]

jax.config.update("jax_enable_x64", True)

STEPS = 300
VERSIONS = ", ".join(f"{library.__name__} {library.__version__}" for library in (torch, optax, jax, np))

OPTAX = {
    "constant": optax.constant_schedule(0.3),
    "linear": optax.linear_schedule(0.5, 0.1, 200),
    "linear_up": optax.linear_schedule(0.1, 0.5, 200),
    "polynomial": optax.polynomial_schedule(0.5, 0.1, 2.5, 200),
    "polynomial_root": optax.polynomial_schedule(0.5, 0.0, 0.5, 250),
    "exponential": optax.exponential_decay(0.5, 30, 0.3),
    "exponential_end": optax.exponential_decay(0.5, 40, 0.7, end_value=0.1),
    "staircase": optax.exponential_decay(0.5, 40, 0.7, staircase=True),
    "cosine": optax.cosine_decay_schedule(0.5, 250, alpha=0.1),
    "restarts": optax.sgdr_schedule(
        [
            {"init_value": 0.5 * 0.6**i, "peak_value": 0.5 * 0.6**i, "decay_steps": 40 * 2**i, "warmup_steps": 0}
            for i in range(4)
        ]
    ),
    "piecewise_constant": optax.piecewise_constant_schedule(0.5, {50: 0.2, 120: 0.5, 210: 3.0}),
    "piecewise_linear": optax.piecewise_interpolate_schedule("linear", 0.5, {50: 0.2, 120: 3.0, 210: 0.1}),
    "one_cycle": optax.cosine_onecycle_schedule(250, 0.5),
    "one_cycle_unusual": optax.cosine_onecycle_schedule(233, 0.5, 0.41, 7.0, 13.0),
    "warmup_constant": optax.warmup_constant_schedule(0.01, 0.5, 60),
    "warmup_exponential": optax.warmup_exponential_decay_schedule(0.01, 0.5, 60, 30, 0.3),
    "warmup_cosine": optax.warmup_cosine_decay_schedule(0.05, 0.5, 60, 250, 0.1),
    "joined": optax.join_schedules(
        [optax.linear_schedule(0.0, 0.5, 50), optax.constant_schedule(0.5), optax.cosine_decay_schedule(0.5, 100)],
        [50, 120],
    ),
}


def of_torch(make: Any) -> np.ndarray[Any, Any]:
    """The learning rate of the updates 0 … STEPS, starting at 0.5."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 0.5, momentum=0.9)
    scheduler, found = make(optimizer), []
    for _ in range(STEPS + 1):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return np.array(found)


TORCH = {
    "linear": lambda o: lr_scheduler.LinearLR(o, 1.0, 0.2, total_iters=200),
    "polynomial": lambda o: lr_scheduler.PolynomialLR(o, total_iters=200, power=2.5),
    "exponential": lambda o: lr_scheduler.ExponentialLR(o, 0.98),
    "restarts": lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 60, eta_min=0.1),
    "restarts_growing": lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 30, T_mult=3, eta_min=0.1),
    "multi_step": lambda o: lr_scheduler.MultiStepLR(o, [50, 120, 210], gamma=0.3),
    "sequential": lambda o: lr_scheduler.SequentialLR(
        o,
        [lr_scheduler.LinearLR(o, 0.1, 1.0, total_iters=50), lr_scheduler.ExponentialLR(o, 0.98)],
        milestones=[50],
    ),
}


if __name__ == "__main__":
    steps = np.arange(STEPS + 1)
    values = {
        f"optax/{name}": np.array([float(schedule(jnp.asarray(int(step), jnp.int64))) for step in steps])
        for name, schedule in OPTAX.items()
    }
    values |= {f"torch/{name}": of_torch(make) for name, make in TORCH.items()}
    archive.save(Path(__file__).with_name("schedules.npz"), values, VERSIONS)
