"""Schedule-free AdamW: an average replaces the falling rate, so the length of the run need not be known."""

from __future__ import annotations

import numpy as np
from attrs import field

from funcnet import ops, tree
from funcnet.layers.base import Params
from funcnet.optim.adam import normalized
from funcnet.optim.base import Optimizer, OptState, Update, after, average_square, checked, decayed, now, zeros_for
from funcnet.optim.schedules import Number
from funcnet.spec.base import register
from funcnet.spec.fields import Range, fraction, frozen, non_negative, positive

inner = Range("above 0 and below 1", lambda value: 0 < value < 1, exclusiveMinimum=0, exclusiveMaximum=1)


@ops.primitive()
def portion(weight: float, total: float) -> float:
    """``weight / total``, or 0 if the total is 0."""
    return weight / total if total > 0.0 else 0.0


@register("schedule_free_adamw")
@frozen
class ScheduleFreeAdamW(Optimizer):
    """Gradients at the params ``y = (1-b1) z + b1 x``; z takes AdamW's steps, and its average x is the result.

    ``v ← b2 v + (1-b2) g²``, ``z ← z - η (g / (√v̂ + eps) + weight_decay · y)``, ``x ← (1-c) x + c z`` with
    ``c = w_t / Σ w`` and ``w_t = (the largest η so far)²``. ``eval_params`` gives ``x = y + (y - z) (1-b1)/b1``, which
    is evaluated and saved. Use a constant rate or a warm-up. With a b1 of 0, y would not determine x.
    State    step; fast (z) and square, like params; in float64 lead, the (1-b1)/b1 of the last update, peak, the
             largest rate, and total, Σ w
    Source   Defazio et al. (2024), as in its authors' code and optax; the weight of a step includes the step's rate
    """

    learning_rate: Number = field(default=2.5e-3, validator=non_negative)
    b1: Number = field(default=0.9, validator=inner)
    b2: Number = field(default=0.999, validator=fraction)
    eps: Number = field(default=1e-8, validator=positive)
    weight_decay: Number = field(default=0.0, validator=non_negative)

    def init(self, params: Params) -> OptState:
        numbers = {name: np.zeros(()) for name in ("lead", "peak", "total")}
        return {**zeros_for(params, "square"), "fast": tree.map(np.array, params), **numbers}

    @checked
    def update(self, grads: Params, opt_state: OptState, params: Params, value: float | None = None) -> Update:
        step, rate, b1, b2, eps = now(opt_state, self.learning_rate, self.b1, self.b2, self.eps)
        peak = ops.array(np.maximum(opt_state["peak"], rate))
        total = ops.array(opt_state["total"] + peak * peak)
        c = ops.scalar(portion, ops.number(peak * peak), ops.number(total))
        square = average_square(b2, opt_state["square"], grads, step)
        change = normalized(rate, grads, square, 0.0, b2, eps, step)
        change = decayed(change, params, self.weight_decay, step, rate)
        fast = tree.map(lambda z, d: ops.array(z - d), opt_state["fast"], change)
        lead = ops.number(opt_state["lead"])
        of_x, of_z = b1 * (1.0 - c), 1.0 - b1 + b1 * c
        updates = tree.map(
            lambda y, z, new_z: of_x * (y + lead * (y - z)) + of_z * new_z - y, params, opt_state["fast"], fast
        )
        ahead = np.zeros_like(opt_state["lead"]) + (1.0 - b1) / b1
        numbers = {"lead": ops.array(ahead), "peak": peak, "total": total}
        return updates, after(opt_state, square=square, fast=fast, **numbers)

    def eval_params(self, params: Params, opt_state: OptState) -> Params:
        lead = ops.number(opt_state["lead"])
        slow: Params = tree.map(lambda y, z: y + lead * (y - z), params, opt_state["fast"])
        return slow
