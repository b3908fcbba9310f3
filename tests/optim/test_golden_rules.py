"""Update rules against PyTorch and optax, on trajectories recorded in ``tests/golden/rules.npz``.

A trajectory is 300 steps on a quadratic with noisy gradients, kept at a few steps; ``make_rules.py`` says more.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from funcnet import optim, tree
from funcnet.spec import base as spec
from tests.golden import assert_agrees, cast, load_golden
from tests.table import of_those

GOLDEN = load_golden("rules")
PROBLEM = GOLDEN["problem"]
STEPS = int(PROBLEM["kept"][-1])

# Relative, and absolute around 0
TOLERANCES: dict[type, tuple[float, float]] = {np.float64: (1e-12, 1e-14), np.float32: (1e-5, 1e-5)}

WARMUP = optim.WarmupCosine(0.1, warmup_steps=50, total_steps=250, end=0.01)
LARGE = optim.WarmupCosine(10.0, warmup_steps=50, total_steps=250, end=1.0)
COSINE = optim.Cosine(0.1, total_steps=STEPS, end=0.01)
NONE = 1e-300
"""An epsilon that is lost in rounding"""


def steps(initial: float) -> optim.StepDecay:
    return optim.StepDecay(initial, every=90, factor=0.5)


CASES: dict[str, optim.Optimizer] = {
    "torch/adamax": optim.Adamax(),
    "torch/adamax_unusual": optim.Adamax(3e-2, b1=0.7, b2=0.95, eps=1e-3),
    "torch/adamax_steps": optim.Adamax(steps(0.05)),
    "torch/adamax_cosine": optim.Adamax(COSINE, b1=0.8, b2=0.9),
    "torch/nadam": optim.NAdam(),
    "torch/nadam_unusual": optim.NAdam(3e-2, b1=0.7, b2=0.95, eps=1e-3),
    "torch/nadam_steps": optim.NAdam(steps(0.05)),
    "torch/nadam_cosine": optim.NAdam(COSINE, b1=0.8, b2=0.9),
    "torch/nadam_momentum_decay": optim.NAdam(0.01, momentum_decay=0.1),
    "torch/radam": optim.RAdam(),
    "torch/radam_unusual": optim.RAdam(3e-2, b1=0.7, b2=0.95, eps=1e-3),
    "torch/radam_steps": optim.RAdam(steps(0.05)),
    "torch/radam_cosine": optim.RAdam(COSINE, b1=0.8, b2=0.9),
    "torch/radam_never_rectified": optim.RAdam(0.01, b1=0.9, b2=0.5),
    "torch/amsgrad": optim.AMSGrad(),
    "torch/amsgrad_unusual": optim.AMSGrad(3e-2, b1=0.7, b2=0.95, eps=1e-3),
    "torch/amsgrad_forgets": optim.AMSGrad(b1=0.5, b2=0.6),
    "torch/amsgrad_cosine": optim.AMSGrad(COSINE, b1=0.9, b2=0.9),
    "torch/rmsprop_steps": optim.RMSprop(steps(0.02), momentum=0.5, centered=True),
    "torch/rmsprop_cosine": optim.RMSprop(
        optim.Cosine(0.05, total_steps=STEPS, end=0.01), decay=0.8, eps=0.1, momentum=0.9
    ),
    "torch/adagrad": optim.Adagrad(),
    "torch/adagrad_initial": optim.Adagrad(0.1, initial=0.1, eps=1e-2),
    "torch/adagrad_steps": optim.Adagrad(steps(0.3)),
    "torch/adadelta": optim.Adadelta(),
    "torch/adadelta_unusual": optim.Adadelta(0.5, decay=0.6, eps=1e-2),
    "torch/adadelta_cosine": optim.Adadelta(COSINE, eps=1e-3),
    "torch/adafactor": optim.Adafactor(),
    "torch/adafactor_unusual": optim.Adafactor(0.1, decay_power=0.5, floor=0.7, clip=1.1, weight_decay=0.1),
    "torch/adafactor_cosine": optim.Adafactor(COSINE, weight_decay=0.2),
    "torch/muon": optim.Muon(),
    "torch/muon_unusual": optim.Muon(0.02, momentum=0.8, nesterov=False, weight_decay=0.3, iterations=3),
    "torch/muon_cosine": optim.Muon(COSINE, weight_decay=0.05),
    "torch/muon_rest": optim.Muon(rest=optim.AdamW(0.01, weight_decay=0.2)),
    "optax/adamax": optim.Adamax(3e-2, b1=0.7, b2=0.95, eps=1e-3),
    "optax/adamax_warmup": optim.Adamax(WARMUP),
    "optax/nadam": optim.NAdam(3e-2, b1=0.7, b2=0.95, eps=1e-3, momentum_decay=1e6),
    "optax/nadam_warmup": optim.NAdam(WARMUP, momentum_decay=1e6),
    "optax/radam_without_eps": optim.RAdam(0.01, b2=0.95, eps=NONE),
    "optax/adagrad_without_eps": optim.Adagrad(0.1, initial=0.1, eps=NONE),
    "optax/adadelta": optim.Adadelta(0.5, decay=0.6, eps=1e-2),
    "optax/adadelta_warmup": optim.Adadelta(WARMUP),
    "optax/adafactor": optim.Adafactor(0.1),
    "optax/adafactor_unusual": optim.Adafactor(0.1, decay_power=0.5, eps=1e-2, floor=0.7, clip=0.6),
    "optax/lion": optim.Lion(1e-3),
    "optax/lion_unusual": optim.Lion(1e-2, b1=0.7, b2=0.9, weight_decay=0.2),
    "optax/lion_warmup": optim.Lion(WARMUP),
    "optax/lamb": optim.LAMB(),
    "optax/lamb_unusual": optim.LAMB(1e-2, b1=0.7, b2=0.95, eps=1e-2, weight_decay=0.2),
    "optax/lamb_warmup": optim.LAMB(WARMUP, weight_decay=0.01),
    "optax/lars": optim.LARS(1.0),
    "optax/lars_unusual": optim.LARS(0.5, momentum=0.7, weight_decay=0.2, trust=0.02, nesterov=True),
    "optax/lars_no_momentum": optim.LARS(1.0, momentum=0.0, trust=0.02),
    "optax/lars_warmup": optim.LARS(LARGE),
    "optax/schedule_free_adamw": optim.ScheduleFreeAdamW(),
    "optax/schedule_free_adamw_unusual": optim.ScheduleFreeAdamW(3e-2, b1=0.6, b2=0.95, eps=1e-3, weight_decay=0.2),
    "optax/schedule_free_adamw_warmup": optim.ScheduleFreeAdamW(WARMUP),
}
AVERAGED = [name for name, rule in CASES.items() if isinstance(rule, optim.ScheduleFreeAdamW)]


def gradients(problem: dict[str, Any], params: dict[str, Any], step: int) -> dict[str, Any]:
    centre, curvature, noise = problem["centre"], problem["curvature"], problem["noise"]
    found = {name: curvature[name] * (params[name] - centre[name]) + noise[name][step] for name in params}
    return found if step < problem["dies"] or "dead" not in found else {**found, "dead": 0.0 * found["dead"]}


def run(optimizer: optim.Optimizer, dtype: type, leaves: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The params after each of the kept steps, stacked leaf by leaf, and what is evaluated in their place."""
    problem = cast(PROBLEM, dtype)
    params = {name: problem["start"][name] for name in leaves}
    opt_state = optimizer.init(params)
    kept, evaluated = [], []
    for step in range(STEPS):
        updates, opt_state = optimizer.update(gradients(problem, params, step), opt_state, params)
        params = optim.apply_updates(params, updates)
        if step + 1 in problem["kept"]:
            kept.append(params)
            evaluated.append(optimizer.eval_params(params, opt_state))
    first, second = ({name: np.stack([each[name] for each in all_]) for name in leaves} for all_ in (kept, evaluated))
    return first, second


def test_every_recorded_case_is_run() -> None:
    recorded = {f"{library}/{name}" for library in ("torch", "optax") for name in GOLDEN[library]}
    assert sorted(recorded) == sorted([*CASES, *(f"{name}_eval" for name in AVERAGED)])


def test_every_field_is_recorded_at_a_value_that_is_not_its_default() -> None:
    for rule in {type(each) for each in CASES.values()}:
        for field in spec.fields(rule):
            values = [getattr(each, field.name) for each in CASES.values() if type(each) is rule]
            other = any(value != field.default for value in values)
            assert other, f"CASES: every case of {rule.__name__} has the default {field.name}; record one with another"


@pytest.mark.parametrize("dtype", of_those(TOLERANCES, (np.float64,)))
@pytest.mark.parametrize("name", CASES)
def test_trajectory_agrees(name: str, dtype: type) -> None:
    library, case = name.split("/")
    rtol, atol = TOLERANCES[dtype]
    trajectory, evaluated = run(CASES[name], dtype, GOLDEN[library][case])
    assert_agrees(trajectory, GOLDEN[library][case], rtol=rtol, atol=atol)
    expected = GOLDEN[library].get(f"{case}_eval", trajectory)
    assert_agrees(evaluated, expected, rtol=rtol, atol=atol)
    assert {array.dtype for array in tree.leaves((trajectory, evaluated))} == {np.dtype(dtype)}
