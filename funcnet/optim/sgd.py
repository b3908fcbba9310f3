"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import field

from funcnet import ops, tree
from funcnet.errors import Problem
from funcnet.layers.base import Params
from funcnet.optim.base import Optimizer, OptState, after, count, first_step
from funcnet.optim.schedules import Number, value_at
from funcnet.spec.base import register
from funcnet.spec.fields import fraction, frozen, non_negative


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
