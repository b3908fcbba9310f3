"""Update rules, each a pair of pure functions ``init(params)`` and ``update(grads, opt_state, params)``; the simplest.

``opt_state`` is a nested plain dict of arrays. Updates are added to the params; every hyperparameter is
a number or a schedule, read at the count of updates so far, which is ``opt_state["step"]``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

import numpy as np
from attrs import field

from funcnet import ops, tree
from funcnet.errors import Problem
from funcnet.key import Array
from funcnet.layer import Params
from funcnet.optim.schedules import Number, value_at
from funcnet.signatures import returned
from funcnet.spec import Spec, fraction, frozen, non_negative, register

OptState = dict[str, Any]


@frozen
class Optimizer(Spec):
    """Base of rules and of the transforms around them."""

    kind: ClassVar[str] = "optimizer"

    @property
    def descends(self) -> bool:
        """Whether the updates lead down, as those of a rule; what a bare transform gives are gradients still."""
        return True

    @property
    def children(self) -> Mapping[str, Optimizer]:
        """The optimizers inside, by the names of their states in this one's."""
        return {}

    def untouched(self, params: Params) -> frozenset[str]:
        """The paths that it leaves as they are on purpose, such as those that Freeze names."""
        return frozenset().union(*(child.untouched(params) for child in self.children.values()))

    def init(self, params: Params) -> OptState:
        """The state before the first update; {} for a rule without one."""
        return {}

    def update(
        self, grads: Params, opt_state: OptState, params: Params, value: float | None = None
    ) -> tuple[Params, OptState]:
        """``(updates, opt_state)``; ``value`` is the loss, for rules that look at it."""
        raise TypeError(f"{type(self).__name__} does not define update(grads, opt_state, params, value)")

    def eval_params(self, params: Params, opt_state: OptState) -> Params:
        """What to evaluate and save; a rule that averages gives the average."""
        return params


def apply_updates(params: Params, updates: Params) -> Params:
    """``params + updates``, leaf by leaf."""
    summed: Params = tree.map(lambda p, u: ops.array(p + u), params, updates)
    return summed


def updated(
    rule: Optimizer, grads: Params, opt_state: OptState, params: Params, value: float | None
) -> tuple[Params, OptState]:
    """``update`` of an optimizer inside another.

    Raises   FuncnetError for what is not a pair
    """
    pair: tuple[Params, OptState] = returned(rule, "update", rule.update(grads, opt_state, params, value))
    return pair


def first_step() -> Array:
    """The count of updates before the first one."""
    return np.zeros((), np.int64)


def count(opt_state: OptState) -> int:
    """The number of updates made so far."""
    step: int = ops.number(opt_state["step"])
    return step


def after(opt_state: OptState) -> Array:
    """The count after one more update."""
    return ops.array(opt_state["step"] + 1)


def zeros_for(params: Params, *names: str) -> OptState:
    """A state before the first update: the count, and zeros like the params under each of some names."""
    return {"step": first_step(), **{name: tree.zeros_like(params) for name in names}}


def average(decay: float, mean: Params, new: Params, step: int, of: Callable[[Array], Array] = lambda g: g) -> Params:
    """Exponential moving average, ``decay · mean + (1 - decay) · of(new)``, leaf by leaf."""
    averaged: Params = tree.map(lambda m, g: ops.settle(decay * m + (1.0 - decay) * of(g), step), mean, new)
    return averaged


def decayed(change: Params, params: Params, decay: Number, step: int, rate: float = 1.0) -> Params:
    """``change + rate · decay · p``, leaf by leaf; the change itself for a weight decay of 0."""
    if decay == 0.0:
        return change
    factor = rate * value_at(decay, step)
    moved: Params = tree.map(lambda d, p: d + factor * p, change, params)
    return moved


@register("sgd")
@frozen
class SGD(Optimizer):
    """Stochastic gradient descent: ``p ← p - η g``; with momentum m ``v ← m v + g``, ``p ← p - η v``.

    With ``nesterov``, ``p ← p - η (g + m v)``.
    State    step; momentum, like params, where there is any
    Source   Polyak (1964); Sutskever et al. (2013); as PyTorch, the rate outside the velocity

    >>> opt, params = fn.optim.SGD(0.1), {"w": np.array([1.0])}
    >>> updates, opt_state = opt.update({"w": np.array([3.0])}, opt.init(params), params)
    >>> fn.apply_updates(params, updates)["w"].tolist()
    [0.7]
    """

    learning_rate: Number = field(validator=non_negative)
    momentum: Number = field(default=0.0, validator=fraction)
    nesterov: bool = False

    def validate(self) -> Iterator[Problem]:
        if self.nesterov and self.momentum == 0.0:
            yield Problem(".nesterov", "needs a momentum above 0; give momentum=0.9, or leave nesterov out")

    def init(self, params: Params) -> OptState:
        if self.momentum == 0.0:
            return {"step": first_step()}
        return {"step": first_step(), "momentum": tree.zeros_like(params)}

    def update(
        self, grads: Params, opt_state: OptState, params: Params, value: float | None = None
    ) -> tuple[Params, OptState]:
        step = count(opt_state)
        rate = value_at(self.learning_rate, step)
        if self.momentum == 0.0:
            return tree.map(lambda g: -rate * g, grads), {"step": after(opt_state)}
        m = value_at(self.momentum, step)
        velocity = tree.map(lambda v, g: ops.settle(m * v + g, step), opt_state["momentum"], grads)
        ahead = tree.map(lambda g, v: g + m * v, grads, velocity) if self.nesterov else velocity
        return tree.map(lambda v: -rate * v, ahead), {"step": after(opt_state), "momentum": velocity}
