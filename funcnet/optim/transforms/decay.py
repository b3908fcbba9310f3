"""Small changes to every gradient or update: weight decay in its two forms, centred gradients, noise."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from attrs import field

from funcnet import ops, tree
from funcnet.key import Array, Key
from funcnet.layers.base import Params
from funcnet.optim.base import OptState, Update, after, checked, count, now
from funcnet.optim.schedules import Number, value_at
from funcnet.optim.transforms.chain import Transform
from funcnet.spec.base import register
from funcnet.spec.fields import frozen, non_negative


@register("l2")
@frozen
class L2(Transform):
    """``g ← g + weight_decay · p``: the gradient of the penalty ``½ · weight_decay · ‖p‖²``. Place it before the rule.

    State    step
    Source   as ``weight_decay`` in PyTorch's SGD and Adam
    """

    place: ClassVar[Literal["before"]] = "before"

    weight_decay: Number = field(validator=non_negative)

    @checked
    def update(self, grads: Params, opt_state: OptState, params: Params, value: float | None = None) -> Update:
        decay = value_at(self.weight_decay, count(opt_state))
        return tree.map(lambda g, p: g + decay * p, grads, params), after(opt_state)


@register("decoupled_weight_decay")
@frozen
class DecoupledWeightDecay(Transform):
    """``u ← u - rate · p``: each step also shrinks the params by a fraction ``rate``. Place it after the rule.

    ``chain(Adam(η), DecoupledWeightDecay(η · λ))`` is ``AdamW(η, weight_decay=λ)``; give a schedule if η is one.
    State    step
    Source   Loshchilov and Hutter (2019), whose decay does not depend on the learning rate
    """

    place: ClassVar[Literal["after"]] = "after"

    rate: Number = field(validator=non_negative)

    @checked
    def update(self, grads: Params, opt_state: OptState, params: Params, value: float | None = None) -> Update:
        rate = value_at(self.rate, count(opt_state))
        return tree.map(lambda u, p: u - rate * p, grads, params), after(opt_state)


@register("centralize")
@frozen
class Centralize(Transform):
    """``g ← g - mean(g)``, over the weights of each output. Place it before the rule.

    The mean is over all axes but the last, that of the outputs; leaves with fewer than two axes are not changed.
    State    step
    Source   Yong et al. (2020); their code and optax.centralize take the mean over all axes but the first, that of
             the outputs in PyTorch
    """

    place: ClassVar[Literal["before"]] = "before"

    @checked
    def update(self, grads: Params, opt_state: OptState, params: Params, value: float | None = None) -> Update:
        def centred(g: Array) -> Array:
            return g if g.ndim < 2 else g - np.mean(g, axis=tuple(range(g.ndim - 1)), keepdims=True)

        return tree.map(centred, grads), after(opt_state)


def deviation(eta: float, gamma: float, step: int) -> float:
    """The standard deviation of the noise at a step."""
    return float((eta / (1 + step) ** gamma) ** 0.5)


@register("add_noise")
@frozen
class AddNoise(Transform):
    """``g ← g + N(0, σ²)`` with ``σ² = eta / (1 + step)^gamma``. Place it before the rule.

    The draws of a leaf come from ``Key(seed).fold("noise", step, path)``: the same step gives the same noise.
    State    step
    Source   Neelakantan et al. (2015), as in optax.add_noise
    """

    place: ClassVar[Literal["before"]] = "before"

    eta: Number = field(validator=non_negative)
    gamma: Number = field(default=0.55, validator=non_negative)
    seed: int = field(default=0, validator=non_negative)

    @checked
    def update(self, grads: Params, opt_state: OptState, params: Params, value: float | None = None) -> Update:
        _, eta, gamma = now(opt_state, self.eta, self.gamma)
        step = count(opt_state)
        sigma = ops.scalar(deviation, eta, gamma, step)
        key = ops.fold(Key(self.seed), "noise", step)
        noisy = {
            path: ops.array(g + sigma * key.fold(path).normal(g.shape, g.dtype))
            for path, g in tree.flatten(grads).items()
        }
        return tree.unflatten(noisy), after(opt_state)
