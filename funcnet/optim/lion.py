"""Lion: steps of one size in every entry; only their signs depend on the gradients."""

from __future__ import annotations

import numpy as np
from attrs import field

from funcnet import tree
from funcnet.layers.base import Params
from funcnet.optim.base import Optimizer, OptState, Update, after, average, checked, now, zeros_for
from funcnet.optim.schedules import Number
from funcnet.spec.base import register
from funcnet.spec.fields import fraction, frozen, non_negative


@register("lion")
@frozen
class Lion(Optimizer):
    """``p ← p - η (sign(b1 m + (1-b1) g) + weight_decay · p)``, then ``m ← b2 m + (1-b2) g``.

    State    step; mean, like params
    Source   Chen et al. (2023), with the names and defaults of optax; good rates are 3 to 10 times smaller than
             AdamW's, with a weight decay larger by the same factor
    """

    learning_rate: Number = field(default=1e-4, validator=non_negative)
    b1: Number = field(default=0.9, validator=fraction)
    b2: Number = field(default=0.99, validator=fraction)
    weight_decay: Number = field(default=1e-3, validator=non_negative)

    def init(self, params: Params) -> OptState:
        return zeros_for(params, "mean")

    @checked
    def update(self, grads: Params, opt_state: OptState, params: Params, value: float | None = None) -> Update:
        step, rate, b1, b2, decay = now(opt_state, self.learning_rate, self.b1, self.b2, self.weight_decay)
        shrink = rate * decay
        updates = tree.map(
            lambda g, m, p: -rate * np.sign(b1 * m + (1.0 - b1) * g) - shrink * p, grads, opt_state["mean"], params
        )
        return updates, after(opt_state, mean=average(b2, opt_state["mean"], grads, step))
