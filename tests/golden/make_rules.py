"""Record the update rules of PyTorch and optax: ``python tests/golden/make_rules.py`` writes ``rules.npz``.

As ``make_golden.py``, in the same environment: params after some of 300 steps on a quadratic with noisy gradients,
``g_t = curvature (p - centre) + noise_t``. Leaves of every rank take part, one that starts at zero, and one whose
gradient dies. PyTorch's Muon takes matrices as (out, in), ours are (in, out); its bfloat16 is left out. A case
``<rule>_eval`` holds averages of the params, where a rule has them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jax  # type: ignore[import-not-found]
import numpy as np
import optax  # type: ignore[import-not-found]
import torch  # type: ignore[import-not-found]
from make_golden import Array, Arrays, collect, leaf, normal, save, under, uniform, wide

torch.set_default_dtype(torch.float64)  # in which NAdam then keeps its product

STEPS = 300
KEPT = (1, 2, 6, 7, 60, 300)
DIES = 60
SHAPES = {"wide": (2, 3), "tall": (4, 2), "kernel": (2, 3, 2), "bias": (3,), "gain": (), "dead": (2, 2)}
PROBLEM: dict[str, Arrays] = {
    "start": {name: normal(100 + i, *shape) for i, (name, shape) in enumerate(SHAPES.items())},
    "centre": {name: normal(110 + i, *shape) for i, (name, shape) in enumerate(SHAPES.items())},
    "curvature": {name: uniform(120 + i, *shape, low=0.1) for i, (name, shape) in enumerate(SHAPES.items())},
    "noise": {name: normal(130 + i, STEPS, *shape, std=0.5) for i, (name, shape) in enumerate(SHAPES.items())},
}
PROBLEM["start"]["bias"] *= 0.0


def gradients(params: Arrays, step: int) -> Arrays:
    centre, curvature, noise = PROBLEM["centre"], PROBLEM["curvature"], PROBLEM["noise"]
    found = {name: curvature[name] * (params[name] - centre[name]) + noise[name][step] for name in params}
    return found if step < DIES or "dead" not in found else {**found, "dead": 0.0 * found["dead"]}


def kept(name: str, trajectory: list[Arrays]) -> Arrays:
    return under(name, {path: np.stack([trajectory[step - 1][path] for step in KEPT]) for path in trajectory[0]})


def of_torch(name: str, make: Any, schedule: Any = None, only: Any = tuple(SHAPES), turned: bool = False) -> Arrays:
    def turn(x: Any) -> Any:
        return x.T if turned else x

    params = {path: leaf(turn(PROBLEM["start"][path]).copy()) for path in only}
    optimizer = make(list(params.values()))
    scheduler = schedule(optimizer) if schedule else None
    trajectory: list[Arrays] = []

    def values() -> Arrays:
        return {path: turn(tensor.detach().numpy()).copy() for path, tensor in params.items()}

    for step in range(STEPS):
        for path, gradient in gradients(values(), step).items():
            params[path].grad = torch.tensor(turn(np.asarray(gradient)).copy())
        optimizer.step()
        if scheduler:
            scheduler.step()
        trajectory.append(values())
    return kept(f"torch/{name}", trajectory)


def of_optax(name: str, optimizer: Any, evaluated: bool = False) -> Arrays:
    params = {path: jax.numpy.asarray(value) for path, value in PROBLEM["start"].items()}
    state = optimizer.init(params)
    update = jax.jit(optimizer.update)
    trajectory, averages = [], []
    for step in range(STEPS):
        values = {path: np.asarray(value) for path, value in params.items()}
        updates, state = update(gradients(values, step), state, params)
        params = optax.apply_updates(params, updates)
        trajectory.append({path: np.asarray(value) for path, value in params.items()})
        if evaluated:
            average = optax.contrib.schedule_free_eval_params(state, params)
            averages.append({path: np.asarray(value) for path, value in average.items()})
    return kept(f"optax/{name}", trajectory) | (kept(f"optax/{name}_eval", averages) if evaluated else {})


def adafactor(rate: Any, power: float, eps: float, floor: float, clip: float) -> Any:
    """optax's parts, two of whose numbers it would compute in float32 by itself"""
    return optax.chain(
        optax.scale_by_factored_rms(
            decay_rate=power,
            min_dim_size_to_factor=1,
            epsilon=eps,
            decay_rate_fn=lambda i, power: 1.0 - jax.numpy.asarray(i + 1, jax.numpy.float64) ** -power,
        ),
        optax.clip_by_block_rms(clip),
        optax.scale_by_learning_rate(rate, flip_sign=False),
        optax.scale_by_param_block_rms(floor),
        optax.scale(-1.0),
    )


def schedule_free(rate: Callable[[Any], Any], b1: float, **options: float) -> Any:
    """optax's wrapper counts steps from 1, the rule within it from 0; here both make step t with the same rate"""
    inner = optax.chain(
        optax.scale_by_rms(decay=options["b2"], eps=options["eps"], eps_in_sqrt=False, bias_correction=True),
        optax.add_decayed_weights(options["weight_decay"]),
        optax.scale_by_learning_rate(rate),
    )
    return optax.contrib.schedule_free(inner, lambda count: rate(count - 1), b1=b1)


def rules_of_torch() -> Iterator[Arrays]:
    optim = torch.optim
    steps = {"schedule": lambda o: optim.lr_scheduler.StepLR(o, 90, gamma=0.5)}
    falls = {"schedule": lambda o: optim.lr_scheduler.CosineAnnealingLR(o, STEPS, eta_min=0.01)}
    unusual = {"lr": 3e-2, "betas": (0.7, 0.95), "eps": 1e-3}
    for name, rule in {"adamax": optim.Adamax, "nadam": optim.NAdam, "radam": optim.RAdam}.items():
        yield of_torch(name, rule)
        yield of_torch(f"{name}_unusual", lambda p, rule=rule: rule(p, **unusual))
        yield of_torch(f"{name}_steps", lambda p, rule=rule: rule(p, 0.05), **steps)
        yield of_torch(f"{name}_cosine", lambda p, rule=rule: rule(p, 0.1, betas=(0.8, 0.9)), **falls)
    yield of_torch("nadam_momentum_decay", lambda p: optim.NAdam(p, 0.01, momentum_decay=0.1))
    yield of_torch("radam_never_rectified", lambda p: optim.RAdam(p, 0.01, betas=(0.9, 0.5)))
    for name, more in {"": {}, "_unusual": unusual, "_forgets": {"betas": (0.5, 0.6)}}.items():
        yield of_torch(f"amsgrad{name}", lambda p, more=more: optim.Adam(p, **more, amsgrad=True))
    yield of_torch("amsgrad_cosine", lambda p: optim.Adam(p, 0.1, betas=(0.9, 0.9), amsgrad=True), **falls)
    yield of_torch("rmsprop_steps", lambda p: optim.RMSprop(p, 0.02, centered=True, momentum=0.5), **steps)
    yield of_torch("rmsprop_cosine", lambda p: optim.RMSprop(p, 0.05, alpha=0.8, eps=0.1, momentum=0.9), **falls)
    yield of_torch("adagrad", optim.Adagrad)
    yield of_torch("adagrad_initial", lambda p: optim.Adagrad(p, 0.1, initial_accumulator_value=0.1, eps=1e-2))
    yield of_torch("adagrad_steps", lambda p: optim.Adagrad(p, 0.3), **steps)
    yield of_torch("adadelta", optim.Adadelta)
    yield of_torch("adadelta_unusual", lambda p: optim.Adadelta(p, 0.5, rho=0.6, eps=1e-2))
    yield of_torch("adadelta_cosine", lambda p: optim.Adadelta(p, 0.1, eps=1e-3), **falls)
    yield of_torch("adafactor", lambda p: optim.Adafactor(p, eps=(1e-30, 1e-3)))
    yield of_torch(
        "adafactor_unusual",
        lambda p: optim.Adafactor(p, 0.1, beta2_decay=-0.5, eps=(1e-30, 0.7), d=1.1, weight_decay=0.1),
    )
    yield of_torch("adafactor_cosine", lambda p: optim.Adafactor(p, 0.1, eps=(1e-30, 1e-3), weight_decay=0.2), **falls)
    torch.Tensor.bfloat16 = lambda self: self.clone()
    matrices = {"only": ("wide", "tall", "dead"), "turned": True}
    yield of_torch("muon", optim.Muon, **matrices)
    yield of_torch(
        "muon_unusual",
        lambda p: optim.Muon(p, 0.02, weight_decay=0.3, momentum=0.8, nesterov=False, ns_steps=3),
        **matrices,
    )
    alive = {"only": ("wide", "tall"), "turned": True}
    yield of_torch("muon_cosine", lambda p: optim.Muon(p, 0.1, weight_decay=0.05), **falls, **alive)
    others = {"only": ("kernel", "bias", "gain")}
    yield of_torch("muon_rest", lambda p: optim.AdamW(p, 0.01, weight_decay=0.2), **others)


def rules_of_optax() -> Iterator[Arrays]:
    warmup = wide(optax.warmup_cosine_decay_schedule(0.0, 0.1, 50, 250, 0.01))
    large = wide(optax.warmup_cosine_decay_schedule(0.0, 10.0, 50, 250, 1.0))
    yield of_optax("adamax", optax.adamax(3e-2, b1=0.7, b2=0.95, eps=1e-3))
    yield of_optax("adamax_warmup", optax.adamax(warmup))
    yield of_optax("nadam", optax.nadam(3e-2, b1=0.7, b2=0.95, eps=1e-3))
    yield of_optax("nadam_warmup", optax.nadam(warmup))
    yield of_optax("radam_without_eps", optax.radam(0.01, b2=0.95, eps=0.0))
    yield of_optax("adagrad_without_eps", optax.adagrad(0.1, initial_accumulator_value=0.1, eps=0.0))
    yield of_optax("adadelta", optax.adadelta(0.5, rho=0.6, eps=1e-2))
    yield of_optax("adadelta_warmup", optax.adadelta(warmup))

    def rate(count: Any) -> Any:
        return jax.numpy.minimum(0.1, 1.0 / jax.numpy.sqrt(jax.numpy.asarray(count + 1, jax.numpy.float64)))

    yield of_optax("adafactor", adafactor(rate, 0.8, 1e-30, 1e-3, 1.0))
    yield of_optax("adafactor_unusual", adafactor(rate, 0.5, 1e-2, 0.7, 0.6))
    yield of_optax("lion", optax.lion(1e-3))
    yield of_optax("lion_unusual", optax.lion(1e-2, b1=0.7, b2=0.9, weight_decay=0.2))
    yield of_optax("lion_warmup", optax.lion(warmup))
    yield of_optax("lamb", optax.lamb(1e-3))
    yield of_optax("lamb_unusual", optax.lamb(1e-2, b1=0.7, b2=0.95, eps=1e-2, weight_decay=0.2))
    yield of_optax("lamb_warmup", optax.lamb(warmup, weight_decay=0.01))
    yield of_optax("lars", optax.lars(1.0))
    yield of_optax(
        "lars_unusual", optax.lars(0.5, weight_decay=0.2, trust_coefficient=0.02, momentum=0.7, nesterov=True)
    )
    yield of_optax("lars_no_momentum", optax.lars(1.0, trust_coefficient=0.02, momentum=0.0))
    yield of_optax("lars_warmup", optax.lars(large))
    free = {"b2": 0.999, "eps": 1e-8, "weight_decay": 0.0}
    yield of_optax("schedule_free_adamw", optax.contrib.schedule_free_adamw(), evaluated=True)
    unusual = {"b2": 0.95, "eps": 1e-3, "weight_decay": 0.2}
    yield of_optax("schedule_free_adamw_unusual", schedule_free(lambda _: 3e-2, 0.6, **unusual), evaluated=True)
    yield of_optax("schedule_free_adamw_warmup", schedule_free(warmup, 0.9, **free), evaluated=True)


def problem() -> Iterator[Arrays]:
    yield {f"problem/{what}/{path}": value for what, leaves in PROBLEM.items() for path, value in leaves.items()}
    yield {"problem/kept": np.array(KEPT), "problem/dies": np.array(DIES)}


def main() -> None:
    parts: list[Iterator[dict[str, Array]]] = [problem(), rules_of_torch(), rules_of_optax()]
    save("rules", collect(part for each in parts for part in each))


if __name__ == "__main__":
    main()
