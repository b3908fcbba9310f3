"""Update rules: each a pair of pure functions, ``init(params)`` and ``update(grads, opt_state, params)``.

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
from funcnet.spec import Spec, fraction, frozen, non_negative, positive, register

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


def average(decay: float, mean: Params, new: Params, step: int, of: Callable[[Array], Array] = lambda g: g) -> Params:
    """Exponential moving average, ``decay · mean + (1 - decay) · of(new)``, leaf by leaf."""
    averaged: Params = tree.map(lambda m, g: ops.settle(decay * m + (1.0 - decay) * of(g), step), mean, new)
    return averaged


@register("sgd")
@frozen
class SGD(Optimizer):
    """Stochastic gradient descent: ``p ← p - η g``; with momentum m ``v ← m v + g``, ``p ← p - η v``.

    With ``nesterov``, ``p ← p - η (g + m v)``.
    State    step; momentum, like params, where there is any
    Source   Polyak (1964); Sutskever et al. (2013); as PyTorch, the rate outside the velocity
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


@register("adam")
@frozen
class Adam(Optimizer):
    """``m ← b1 m + (1-b1) g``, ``v ← b2 v + (1-b2) g²``, ``p ← p - η m̂ / (√v̂ + eps)``.

    ``m̂ = m / (1 - b1^t)`` and ``v̂ = v / (1 - b2^t)`` undo the bias of starting at 0, t counted from 1.
    State    step; mean and square, like params
    Source   Kingma and Ba (2015); eps outside the root, as PyTorch and optax
    """

    learning_rate: Number = field(default=1e-3, validator=non_negative)
    b1: Number = field(default=0.9, validator=fraction)
    b2: Number = field(default=0.999, validator=fraction)
    eps: Number = field(default=1e-8, validator=positive)

    def init(self, params: Params) -> OptState:
        return {"step": first_step(), "mean": tree.zeros_like(params), "square": tree.zeros_like(params)}

    def update(
        self, grads: Params, opt_state: OptState, params: Params, value: float | None = None
    ) -> tuple[Params, OptState]:
        step = count(opt_state)
        rate, b1, b2, eps = (value_at(n, step) for n in (self.learning_rate, self.b1, self.b2, self.eps))
        mean = average(b1, opt_state["mean"], grads, step)
        square = average(b2, opt_state["square"], grads, step, of=lambda g: g * g)
        root = (1.0 - b2 ** (step + 1)) ** 0.5  # m̂ / (√v̂ + eps) = m root / (1 - b1^t) / (√v + root · eps)
        scale, shift = -rate * root / (1.0 - b1 ** (step + 1)), eps * root
        updates = tree.map(lambda m, v: scale * (m / (np.sqrt(v) + shift)), mean, square)
        return updates, {"step": after(opt_state), "mean": mean, "square": square}


@register("adamw")
@frozen
class AdamW(Adam):
    """Adam with decoupled weight decay: besides Adam's update, ``p ← p - η · weight_decay · p``.

    State    that of Adam
    Source   Loshchilov and Hutter (2019), the decay scaled by the learning rate, as PyTorch and optax
    """

    weight_decay: Number = field(default=0.01, validator=non_negative)

    def update(
        self, grads: Params, opt_state: OptState, params: Params, value: float | None = None
    ) -> tuple[Params, OptState]:
        step = count(opt_state)
        decay = value_at(self.learning_rate, step) * value_at(self.weight_decay, step)
        updates, opt_state = super().update(grads, opt_state, params, value)
        return tree.map(lambda u, p: u - decay * p, updates, params), opt_state


@register("rmsprop")
@frozen
class RMSprop(Optimizer):
    """``v ← decay · v + (1-decay) g²``, ``p ← p - η g / (√v + eps)``.

    ``centered`` subtracts the square of the gradient's own average from v; with ``momentum`` m the
    scaled gradient s goes through ``u ← m u + s``, ``p ← p - η u``.
    State    step; square, like params; mean where centered; momentum where there is any
    Source   Tieleman and Hinton (2012); centered: Graves (2013); eps outside the root, as PyTorch,
             whose ``alpha`` is ``decay``
    """

    learning_rate: Number = field(default=1e-2, validator=non_negative)
    decay: Number = field(default=0.99, validator=fraction)
    eps: Number = field(default=1e-8, validator=positive)
    momentum: Number = field(default=0.0, validator=fraction)
    centered: bool = False

    def init(self, params: Params) -> OptState:
        kept = ["square", *(["mean"] if self.centered else []), *(["momentum"] if self.momentum != 0.0 else [])]
        return {"step": first_step(), **{name: tree.zeros_like(params) for name in kept}}

    def update(
        self, grads: Params, opt_state: OptState, params: Params, value: float | None = None
    ) -> tuple[Params, OptState]:
        step = count(opt_state)
        rate, decay, eps = (value_at(n, step) for n in (self.learning_rate, self.decay, self.eps))
        square = average(decay, opt_state["square"], grads, step, of=lambda g: g * g)
        new: OptState = {"step": after(opt_state), "square": square}
        variance = square
        if self.centered:
            new["mean"] = average(decay, opt_state["mean"], grads, step)
            variance = tree.map(lambda v, m: np.maximum(v - m * m, 0.0), square, new["mean"])
        scaled = tree.map(lambda g, v: g / (np.sqrt(v) + eps), grads, variance)
        if self.momentum != 0.0:
            m = value_at(self.momentum, step)
            scaled = new["momentum"] = tree.map(lambda u, s: ops.settle(m * u + s, step), opt_state["momentum"], scaled)
        return tree.map(lambda s: -rate * s, scaled), new
