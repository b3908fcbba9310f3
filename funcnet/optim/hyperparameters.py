"""The current values of an optimizer's hyperparameters, read from its state."""

from __future__ import annotations

from typing import Any

from funcnet import ops, tree
from funcnet.layers.base import Params
from funcnet.optim.base import Optimizer, OptState
from funcnet.optim.schedules import Schedule, value_at
from funcnet.optim.transforms.chain import Chain
from funcnet.optim.transforms.plateau import ReduceOnPlateau
from funcnet.spec.base import nested, parts_of
from funcnet.spec.class_fields import fields


def current(optimizer: Optimizer, opt_state: OptState) -> dict[str, float]:
    """``{name: value}`` of all hyperparameters that change during training, as the next update uses them.

    These are the schedules, and the ``scale`` of each ReduceOnPlateau after the last update. A name is the path of
    the optimizer's state and the field: ``"adamw_0/learning_rate"`` in a chain.
    Raises   SpecError for a schedule whose ``total_steps`` is None; ``fit`` sets it to the length of the run
    """
    found = {}
    for f in fields(type(optimizer)):
        number = getattr(optimizer, f.name)
        if isinstance(number, Schedule):
            found[f.name] = value_at(number, step_of(opt_state))
    if isinstance(optimizer, ReduceOnPlateau):
        found["scale"] = float(opt_state["scale"])
    for name, child in optimizer.children.items():
        inner = current(child, opt_state.get(name, {}))
        found |= {f"{name}/{path}": value for path, value in inner.items()}
    return found


def monitored(optimizer: Optimizer) -> list[tuple[Optimizer, str]]:
    """The optimizers, in this one too, that follow a figure of the history, each with its name."""
    inside = (one for one in nested(optimizer) if isinstance(one, Optimizer))
    return [(one, name) for one in inside if isinstance(name := getattr(one, "monitor", None), str)]


def reaches(optimizer: Optimizer, params: Params) -> bool:
    """Whether ``observe`` passes a row on to the optimizers that follow a figure of it."""
    opt_state = optimizer.init(params)
    row = dict.fromkeys((name for _, name in monitored(optimizer)), 0.5)
    return not row or not tree.equal(optimizer.observe(opt_state, row), opt_state)


def step_of(opt_state: OptState, otherwise: int = 0) -> int:
    """The number of updates in a state, or ``otherwise`` in a state without a count."""
    return int(opt_state["step"]) if "step" in opt_state else otherwise


def learning_rate(optimizer: Optimizer, opt_state: OptState, step: int) -> float | None:
    """The rate of the update that led to a state, number ``step``, times the scale of a plateau; None without a rate.

    The rate is the optimizer's own, or else that of the first optimizer inside it with a rate.
    """
    if hasattr(optimizer, "learning_rate"):
        return value_at(optimizer.learning_rate, max(step_of(opt_state, step + 1) - 1, 0))
    inside: list[tuple[Any, OptState]]
    inside = [(child, opt_state.get(name, {})) for name, child in optimizer.children.items()]
    if not inside:  # a user-defined wrapper
        inside = [(each, {}) for each in parts_of(optimizer) if isinstance(each, Optimizer)]
    rates = (learning_rate(child, state, step) for child, state in inside)
    rate = next((rate for rate in rates if rate is not None), None)
    if rate is None or not isinstance(optimizer, Chain):
        return rate
    for child, state in inside:
        rate *= 1.0 if child.descends else scale_of(child, state)
    return rate


def scale_of(optimizer: Optimizer, opt_state: OptState) -> float:
    """The factor by which the plateaus in a transform multiply updates."""
    known = isinstance(optimizer, ReduceOnPlateau) and "scale" in opt_state
    own = ops.number(opt_state["scale"]) if known else 1.0
    for name, child in optimizer.children.items():
        own *= scale_of(child, opt_state.get(name, {}))
    return float(own)
