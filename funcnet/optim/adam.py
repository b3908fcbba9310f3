"""Adam and its relatives: averages of the gradient and of its square, corrected for their start at 0."""

from __future__ import annotations

import numpy as np
from attrs import field

from funcnet import ops, tree
from funcnet.layers.base import Params
from funcnet.optim.base import Optimizer, OptState, Update, after, average, average_square, checked, now, zeros_for
from funcnet.optim.schedules import Number
from funcnet.spec.base import register
from funcnet.spec.fields import fraction, frozen, non_negative, positive


def corrected(rate: float, b1: float, b2: float, eps: float, step: int) -> tuple[float, float]:
    """``(scale, shift)`` such that ``scale · m / (√v + shift)`` is ``rate · m̂ / (√v̂ + eps)``.

    ``m̂ = m / (1 - b1^t)`` and ``v̂ = v / (1 - b2^t)`` correct the bias of averages that start at 0; t counts from 1.
    """
    root = (1.0 - b2 ** (step + 1)) ** 0.5
    return rate * root / (1.0 - b1 ** (step + 1)), eps * root


def moments(opt_state: OptState, grads: Params, b1: float, b2: float, step: int) -> tuple[Params, Params]:
    """``m ← b1 m + (1-b1) g`` and ``v ← b2 v + (1-b2) g²``, the next ``mean`` and ``square`` of a state."""
    mean = average(b1, opt_state["mean"], grads, step)
    return mean, average_square(b2, opt_state["square"], grads, step)


def normalized(rate: float, mean: Params, square: Params, b1: float, b2: float, eps: float, step: int) -> Params:
    """``rate · m̂ / (√v̂ + eps)``, leaf by leaf."""
    scale, shift = corrected(rate, b1, b2, eps, step)
    steps: Params = tree.map(lambda m, v: scale * (m / (np.sqrt(v) + shift)), mean, square)
    return steps


@register("adam")
@frozen
class Adam(Optimizer):
    """``m ← b1 m + (1-b1) g``, ``v ← b2 v + (1-b2) g²``, ``p ← p - η m̂ / (√v̂ + eps)``.

    ``m̂ = m / (1 - b1^t)`` and ``v̂ = v / (1 - b2^t)`` correct the bias of starting at 0; t counts from 1.
    State    step; mean and square, like params
    Source   Kingma and Ba (2015); eps outside the root, as in PyTorch and optax

    >>> opt, params = fn.optim.Adam(0.1), {"w": np.array([1.0, 2.0])}
    >>> opt_state = opt.init(params)
    >>> updates, opt_state = opt.update({"w": np.array([3.0, -4.0])}, opt_state, params)
    >>> updates["w"].round(6).tolist(), int(opt_state["step"])
    ([-0.1, 0.1], 1)
    """

    learning_rate: Number = field(default=1e-3, validator=non_negative)
    b1: Number = field(default=0.9, validator=fraction)
    b2: Number = field(default=0.999, validator=fraction)
    eps: Number = field(default=1e-8, validator=positive)

    def init(self, params: Params) -> OptState:
        return zeros_for(params, "mean", "square")

    @checked
    def update(self, grads: Params, opt_state: OptState, params: Params, value: float | None = None) -> Update:
        step, rate, b1, b2, eps = now(opt_state, self.learning_rate, self.b1, self.b2, self.eps)
        mean, square = moments(opt_state, grads, b1, b2, step)
        updates = normalized(-rate, mean, square, b1, b2, eps, step)
        return updates, after(opt_state, mean=mean, square=square)


@register("adamw")
@frozen
class AdamW(Adam):
    """Adam with decoupled weight decay: in addition to Adam's update, ``p ← p - η · weight_decay · p``.

    State    as in Adam
    Source   Loshchilov and Hutter (2019), the decay scaled by the learning rate, as in PyTorch and optax
    """

    weight_decay: Number = field(default=0.01, validator=non_negative)

    @checked
    def update(self, grads: Params, opt_state: OptState, params: Params, value: float | None = None) -> Update:
        _, rate, decay = now(opt_state, self.learning_rate, self.weight_decay)
        shrink = rate * decay
        updates, opt_state = super().update(grads, opt_state, params, value)
        return tree.map(lambda u, p: u - shrink * p, updates, params), opt_state


@register("amsgrad")
@frozen
class AMSGrad(Adam):
    """Adam with the largest v so far: ``w ← max(w, v)``, ``p ← p - η m̂ / (√ŵ + eps)``, ``ŵ = w / (1 - b2^t)``.

    State    step; mean, square and largest (w), like params
    Source   Reddi et al. (2018); as in PyTorch, the maximum is that of v, and corrected afterwards
             (in optax it is that of v̂, which is large after few gradients)
    """

    def init(self, params: Params) -> OptState:
        return zeros_for(params, "mean", "square", "largest")

    @checked
    def update(self, grads: Params, opt_state: OptState, params: Params, value: float | None = None) -> Update:
        step, rate, b1, b2, eps = now(opt_state, self.learning_rate, self.b1, self.b2, self.eps)
        mean, square = moments(opt_state, grads, b1, b2, step)
        largest = tree.map(lambda w, v: ops.array(np.maximum(w, v)), opt_state["largest"], square)
        updates = normalized(-rate, mean, largest, b1, b2, eps, step)
        return updates, after(opt_state, mean=mean, square=square, largest=largest)


@register("adamax")
@frozen
class Adamax(Optimizer):
    """Adam with a decaying maximum: ``m ← b1 m + (1-b1) g``, ``u ← max(b2 u, |g| + eps)``, ``p ← p - η m̂ / u``.

    ``m̂ = m / (1 - b1^t)``; the maximum needs no correction.
    State    step; mean and largest (u), like params
    Source   Kingma and Ba (2015), section 7; eps inside the maximum, as in PyTorch and optax
    """

    learning_rate: Number = field(default=2e-3, validator=non_negative)
    b1: Number = field(default=0.9, validator=fraction)
    b2: Number = field(default=0.999, validator=fraction)
    eps: Number = field(default=1e-8, validator=positive)

    def init(self, params: Params) -> OptState:
        return zeros_for(params, "mean", "largest")

    @checked
    def update(self, grads: Params, opt_state: OptState, params: Params, value: float | None = None) -> Update:
        step, rate, b1, b2, eps = now(opt_state, self.learning_rate, self.b1, self.b2, self.eps)
        mean = average(b1, opt_state["mean"], grads, step)
        largest = tree.map(lambda u, g: ops.array(np.maximum(b2 * u, np.abs(g) + eps)), opt_state["largest"], grads)
        scale = -rate / (1.0 - b1 ** (step + 1))
        updates = tree.map(lambda m, u: scale * (m / u), mean, largest)
        return updates, after(opt_state, mean=mean, largest=largest)


@register("nadam")
@frozen
class NAdam(Optimizer):
    """Adam with Nesterov momentum: ``p ← p - η (μ' m / (1 - Π μ') + (1-μ) g / (1 - Π)) / (√v̂ + eps)``.

    m and v̂ as in Adam. The momentum warms up, ``μ_t = b1 (1 - ½ 0.96^(t · momentum_decay))``; μ is this
    update's, μ' the next one's, and Π the product of all up to this update.
    State    step; mean and square, like params; momentum_product (Π), one float64
    Source   Dozat (2016), as in PyTorch; optax keeps μ at b1, the limit for a large ``momentum_decay``
    """

    learning_rate: Number = field(default=2e-3, validator=non_negative)
    b1: Number = field(default=0.9, validator=fraction)
    b2: Number = field(default=0.999, validator=fraction)
    eps: Number = field(default=1e-8, validator=positive)
    momentum_decay: Number = field(default=4e-3, validator=non_negative)

    def init(self, params: Params) -> OptState:
        return {**zeros_for(params, "mean", "square"), "momentum_product": np.ones(())}

    @checked
    def update(self, grads: Params, opt_state: OptState, params: Params, value: float | None = None) -> Update:
        numbers = self.learning_rate, self.b1, self.b2, self.eps, self.momentum_decay
        step, rate, b1, b2, eps, decay = now(opt_state, *numbers)
        mu, mu_next = (b1 * (1.0 - 0.5 * 0.96 ** ((step + i) * decay)) for i in (1, 2))
        product = ops.settle(ops.array(opt_state["momentum_product"] * mu), step)
        passed = ops.number(product)
        mean, square = moments(opt_state, grads, b1, b2, step)
        scale, shift = corrected(-rate, 0.0, b2, eps, step)
        of_g, of_m = scale * (1.0 - mu) / (1.0 - passed), scale * mu_next / (1.0 - passed * mu_next)
        updates = tree.map(lambda g, m, v: (of_g * g + of_m * m) / (np.sqrt(v) + shift), grads, mean, square)
        return updates, after(opt_state, mean=mean, square=square, momentum_product=product)


def _length(b2: float, t: int) -> float:
    """ρ_t, the effective number of gradients in the average of squares after t updates."""
    return 2.0 / (1.0 - b2) - 1.0 - 2.0 * t * b2**t / (1.0 - b2**t)


@ops.primitive(needs=(_length,))
def trusted(b2: float, step: int) -> float:
    """1 if the average of squares covers enough gradients to scale by it, else 0."""
    return 1.0 if _length(b2, step + 1) > 5.0 else 0.0


@ops.primitive(needs=(_length,))
def rectification(b2: float, step: int) -> float:
    """``r √(1 - b2^t)``, where r corrects the variance of the scale; 1 while the scale is not trusted."""
    now, end = _length(b2, step + 1), 2.0 / (1.0 - b2) - 1.0
    if now <= 5.0:
        return 1.0
    r = ((now - 4.0) * (now - 2.0) * end / ((end - 4.0) * (end - 2.0) * now)) ** 0.5
    return float(r * (1.0 - b2 ** (step + 1)) ** 0.5)


@register("radam")
@frozen
class RAdam(Adam):
    """Adam with a built-in warm-up: ``p ← p - η r m̂ √(1 - b2^t) / (√v + eps)``, and ``p ← p - η m̂`` at first.

    ``ρ_t = ρ_∞ - 2 t b2^t / (1 - b2^t)`` is the effective number of gradients in v, ``ρ_∞ = 2 / (1-b2) - 1`` its
    limit; while ρ_t is 5 or less, v is not used. ``r² = (ρ_t-4)(ρ_t-2) ρ_∞ / ((ρ_∞-4)(ρ_∞-2) ρ_t)``.
    State    as in Adam
    Source   Liu et al. (2020), as in PyTorch: eps is added to √v before the bias correction (in optax after it)
    """

    @checked
    def update(self, grads: Params, opt_state: OptState, params: Params, value: float | None = None) -> Update:
        step, rate, b1, b2, eps = now(opt_state, self.learning_rate, self.b1, self.b2, self.eps)
        mean, square = moments(opt_state, grads, b1, b2, step)
        scale = -rate * ops.scalar(rectification, b2, step) / (1.0 - b1 ** (step + 1))
        on = ops.scalar(trusted, b2, step)  # 1 or 0: the divisor is √v + eps, or 1
        shift = on * eps + (1.0 - on)
        updates = tree.map(lambda m, v: scale * (m / (on * np.sqrt(v) + shift)), mean, square)
        return updates, after(opt_state, mean=mean, square=square)
