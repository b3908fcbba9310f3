"""Rules that divide each entry by the size of its past gradients, without Adam's average of the gradient."""

from __future__ import annotations

import numpy as np
from attrs import field

from funcnet import ops, tree
from funcnet.layers.base import Params
from funcnet.optim.base import (
    Optimizer,
    OptState,
    Update,
    accelerated,
    after,
    average,
    average_square,
    checked,
    first_step,
    now,
    zeros_for,
)
from funcnet.optim.schedules import Number
from funcnet.spec.base import register
from funcnet.spec.fields import fraction, frozen, non_negative, positive


@register("rmsprop")
@frozen
class RMSprop(Optimizer):
    """``v ← decay · v + (1-decay) g²``, ``p ← p - η g / (√v + eps)``.

    ``centered`` subtracts the square of the average gradient from v; with ``momentum`` m and the
    scaled gradient s, ``u ← m u + s``, ``p ← p - η u``.
    State    step; square, like params; mean if centered; momentum if it is not 0
    Source   Tieleman and Hinton (2012); centered: Graves (2013); eps outside the root, as in PyTorch,
             whose ``alpha`` is ``decay``
    """

    learning_rate: Number = field(default=1e-2, validator=non_negative)
    decay: Number = field(default=0.99, validator=fraction)
    eps: Number = field(default=1e-8, validator=positive)
    momentum: Number = field(default=0.0, validator=fraction)
    centered: bool = False

    def init(self, params: Params) -> OptState:
        kept = ["square", *(["mean"] if self.centered else []), *(["momentum"] if self.momentum != 0.0 else [])]
        return zeros_for(params, *kept)

    @checked
    def update(self, grads: Params, opt_state: OptState, params: Params, value: float | None = None) -> Update:
        step, rate, decay, eps, m = now(opt_state, self.learning_rate, self.decay, self.eps, self.momentum)
        square = average_square(decay, opt_state["square"], grads, step)
        new = after(opt_state, square=square)
        variance = square
        if self.centered:
            new["mean"] = average(decay, opt_state["mean"], grads, step)
            variance = tree.map(lambda v, m: np.maximum(v - m * m, 0.0), square, new["mean"])
        scaled = tree.map(lambda g, v: g / (np.sqrt(v) + eps), grads, variance)
        if self.momentum != 0.0:
            new["momentum"], scaled = accelerated(m, opt_state["momentum"], scaled, step)
        return tree.map(lambda s: -rate * s, scaled), new


@register("adagrad")
@frozen
class Adagrad(Optimizer):
    """``s ← s + g²``, ``p ← p - η g / (√s + eps)``; s starts at ``initial``.

    State    step; total (s), like params
    Source   Duchi et al. (2011), as in PyTorch: s starts at 0 and eps is outside the root (in optax s starts at 0.1
             and eps is inside); ``initial`` is its ``initial_accumulator_value``, a schedule its ``lr_decay``
    """

    learning_rate: Number = field(default=1e-2, validator=non_negative)
    initial: float = field(default=0.0, validator=non_negative)
    eps: Number = field(default=1e-10, validator=positive)

    def init(self, params: Params) -> OptState:
        return {"step": first_step(), "total": tree.map(lambda p: np.full_like(p, self.initial), params)}

    @checked
    def update(self, grads: Params, opt_state: OptState, params: Params, value: float | None = None) -> Update:
        _, rate, eps = now(opt_state, self.learning_rate, self.eps)
        total = tree.map(lambda s, g: ops.array(s + g * g), opt_state["total"], grads)
        updates = tree.map(lambda g, s: -rate * (g / (np.sqrt(s) + eps)), grads, total)
        return updates, after(opt_state, total=total)


@register("adadelta")
@frozen
class Adadelta(Optimizer):
    """``v ← decay · v + (1-decay) g²``, ``d = g √(a + eps) / √(v + eps)``, ``p ← p - η d``.

    ``a ← decay · a + (1-decay) d²`` afterwards: steps keep the size of the steps before, so there is little to tune.
    State    step; square (v) and change (a), like params
    Source   Zeiler (2012); eps inside both roots, as in PyTorch (whose ``rho`` is ``decay``) and optax
    """

    learning_rate: Number = field(default=1.0, validator=non_negative)
    decay: Number = field(default=0.9, validator=fraction)
    eps: Number = field(default=1e-6, validator=positive)

    def init(self, params: Params) -> OptState:
        return zeros_for(params, "square", "change")

    @checked
    def update(self, grads: Params, opt_state: OptState, params: Params, value: float | None = None) -> Update:
        step, rate, decay, eps = now(opt_state, self.learning_rate, self.decay, self.eps)
        square = average_square(decay, opt_state["square"], grads, step)
        moved = tree.map(lambda g, v, a: g * (np.sqrt(a + eps) / np.sqrt(v + eps)), grads, square, opt_state["change"])
        change = average_square(decay, opt_state["change"], moved, step)
        return tree.map(lambda d: -rate * d, moved), after(opt_state, square=square, change=change)
