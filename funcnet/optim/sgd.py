"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import field

from funcnet import tree
from funcnet.errors import Problem
from funcnet.layers.base import Params
from funcnet.optim.base import Optimizer, OptState, Update, accelerated, after, checked, needs_momentum, now, zeros_for
from funcnet.optim.schedules import Number
from funcnet.spec.base import register
from funcnet.spec.fields import fraction, frozen, non_negative


@register("sgd")
@frozen
class SGD(Optimizer):
    """Stochastic gradient descent: ``p ← p - η g``; with momentum m ``v ← m v + g``, ``p ← p - η v``.

    With ``nesterov``, ``p ← p - η (g + m v)``.
    State    step; momentum, like params, if it is not 0
    Source   Polyak (1964); Sutskever et al. (2013); as in PyTorch, with the rate outside the velocity

    >>> opt, params = fn.optim.SGD(0.1), {"w": np.array([1.0])}
    >>> updates, opt_state = opt.update({"w": np.array([3.0])}, opt.init(params), params)
    >>> fn.apply_updates(params, updates)["w"].tolist()
    [0.7]
    """

    learning_rate: Number = field(validator=non_negative)
    momentum: Number = field(default=0.0, validator=fraction)
    nesterov: bool = False

    def validate(self) -> Iterator[Problem]:
        return needs_momentum(self.nesterov, self.momentum)

    def init(self, params: Params) -> OptState:
        return zeros_for(params) if self.momentum == 0.0 else zeros_for(params, "momentum")

    @checked
    def update(self, grads: Params, opt_state: OptState, params: Params, value: float | None = None) -> Update:
        step, rate, m = now(opt_state, self.learning_rate, self.momentum)
        if self.momentum == 0.0:
            return tree.map(lambda g: -rate * g, grads), after(opt_state)
        velocity, ahead = accelerated(m, opt_state["momentum"], grads, step, self.nesterov)
        return tree.map(lambda v: -rate * v, ahead), after(opt_state, momentum=velocity)
