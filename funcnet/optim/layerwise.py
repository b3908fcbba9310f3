"""Rules for large batches: each leaf moves in proportion to its norm."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from attrs import field

from funcnet import ops, tree
from funcnet.errors import Problem
from funcnet.key import Array
from funcnet.layers.base import Params
from funcnet.optim.adam import moments, normalized
from funcnet.optim.base import (
    Optimizer,
    OptState,
    Update,
    accelerated,
    after,
    checked,
    decayed,
    needs_momentum,
    now,
    zeros_for,
)
from funcnet.optim.schedules import Number
from funcnet.spec.base import register
from funcnet.spec.fields import fraction, frozen, non_negative, positive


@ops.primitive()
def trust_ratios(rate: float, trust: float, sizes: Array, changes: Array) -> Array:
    """``rate · trust · size / change``; just the rate where a norm is 0, since otherwise a leaf of 0 could not move."""
    known = (sizes > 0.0) & (changes > 0.0)
    return rate * np.where(known, trust * sizes / np.where(known, changes, 1.0), 1.0)


def in_proportion(rate: float, trust: float, change: Params, params: Params) -> Params:
    """Each leaf of a change times the rate and its trust ratio."""
    flat, held = tree.flatten(change), tree.flatten(params)
    ratios = trust_ratios(rate, trust, ops.norms(*(held[path] for path in flat)), ops.norms(*flat.values()))
    return tree.unflatten({path: ops.number(ratios[i]) * d for i, (path, d) in enumerate(flat.items())})


@register("lamb")
@frozen
class LAMB(Optimizer):
    """Adam's direction, scaled leaf by leaf: ``d = m̂ / (√v̂ + eps) + weight_decay · p``, ``p ← p - η ‖p‖/‖d‖ d``.

    m̂ and v̂ are as in Adam. The ratio is 1 where either norm is 0.
    State    step; mean and square, like params
    Source   You et al. (2020), as in optax: the norm of the params is not bounded, and the bias is corrected
    """

    learning_rate: Number = field(default=1e-3, validator=non_negative)
    b1: Number = field(default=0.9, validator=fraction)
    b2: Number = field(default=0.999, validator=fraction)
    eps: Number = field(default=1e-6, validator=positive)
    weight_decay: Number = field(default=0.0, validator=non_negative)

    def init(self, params: Params) -> OptState:
        return zeros_for(params, "mean", "square")

    @checked
    def update(self, grads: Params, opt_state: OptState, params: Params, value: float | None = None) -> Update:
        step, rate, b1, b2, eps = now(opt_state, self.learning_rate, self.b1, self.b2, self.eps)
        mean, square = moments(opt_state, grads, b1, b2, step)
        change = normalized(1.0, mean, square, b1, b2, eps, step)
        change = decayed(change, params, self.weight_decay, step)
        updates = in_proportion(-rate, 1.0, change, params)
        return updates, after(opt_state, mean=mean, square=square)


@register("lars")
@frozen
class LARS(Optimizer):
    """Momentum, scaled leaf by leaf: ``d = g + weight_decay · p``, ``v ← m v + η trust ‖p‖/‖d‖ d``, ``p ← p - v``.

    The norms are those of each leaf; ``trust ‖p‖/‖d‖`` is 1 where either is 0. With ``nesterov``,
    ``p ← p - (m v + η trust ‖p‖/‖d‖ d)``.
    State    step; momentum (v), like params
    Source   You et al. (2017), as in optax: the rate inside the velocity, one norm for the sum of gradient and decay
    """

    learning_rate: Number = field(validator=non_negative)
    momentum: Number = field(default=0.9, validator=fraction)
    weight_decay: Number = field(default=0.0, validator=non_negative)
    trust: Number = field(default=1e-3, validator=positive)
    nesterov: bool = False

    def validate(self) -> Iterator[Problem]:
        return needs_momentum(self.nesterov, self.momentum)

    def init(self, params: Params) -> OptState:
        return zeros_for(params, "momentum")

    @checked
    def update(self, grads: Params, opt_state: OptState, params: Params, value: float | None = None) -> Update:
        step, rate, m, trust = now(opt_state, self.learning_rate, self.momentum, self.trust)
        change = decayed(grads, params, self.weight_decay, step)
        pace = in_proportion(rate, trust, change, params)
        velocity, ahead = accelerated(m, opt_state["momentum"], pace, step, self.nesterov)
        return tree.map(lambda v: -v, ahead), after(opt_state, momentum=velocity)
