"""Smaller steps once the loss stops falling."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from attrs import field

from funcnet import ops, tree
from funcnet.errors import FuncnetError
from funcnet.key import Array
from funcnet.layers.base import Params
from funcnet.optim.base import OptState, Update, after, checked, first_step, now
from funcnet.optim.schedules import Number
from funcnet.optim.transforms.chain import Transform
from funcnet.spec.base import register
from funcnet.spec.fields import Range, fraction, frozen, non_negative, positive

below_one = Range("above 0 and below 1", lambda value: 0 < value < 1, exclusiveMinimum=0, exclusiveMaximum=1)


@ops.primitive(flops=lambda *numbers: 0)
def plateau(
    value: float,
    best: float,
    mean: float,
    seen: int,
    bad: int,
    pause: int,
    scale: float,
    factor: float,
    patience: int,
    rtol: float,
    every: int,
    cooldown: int,
    least: float,
) -> tuple[Array, Array, Array, Array, Array, Array]:
    """The new best, mean, seen, bad, pause and scale after one more value."""
    mean, seen = (seen * mean + value) / (seen + 1), seen + 1
    if seen == every:
        better = mean < (best - rtol * abs(best) if abs(best) < np.inf else best)
        best = mean if better else best
        bad = 0 if better or pause else bad + 1
        pause = max(pause - 1, 0)
        if bad >= patience:
            bad, pause, scale = 0, cooldown, max(scale * factor, least)
        mean, seen = 0.0, 0
    floats = tuple(np.asarray(x, np.float64) for x in (best, mean, scale))
    counts = tuple(np.asarray(x, np.int64) for x in (seen, bad, pause))
    return floats[0], floats[1], counts[0], counts[1], counts[2], floats[2]


@register("reduce_on_plateau")
@frozen
class ReduceOnPlateau(Transform):
    """``u ← scale · u``, where scale starts at 1 and shrinks by ``factor`` when the loss stops falling.

    ``update(value=…)`` takes the loss of the step. Its mean over ``every`` steps is an improvement if it is below the
    best mean by more than the fraction ``rtol``. After ``patience`` means in a row without improvement, scale becomes
    ``max(factor · scale, min_scale)``, and the next ``cooldown`` means do not count. Place it after the rule, since
    the updates of rules such as Adam do not depend on the scale of gradients.
    State    step; scale, best and mean in float64; seen, bad and pause in int64
    Source   optax.contrib.reduce_on_plateau (``every`` is its accumulation_size); PyTorch's ReduceLROnPlateau
             waits for one more mean
    Raises   FuncnetError without a value
    """

    place: ClassVar[Literal["after"]] = "after"

    factor: Number = field(default=0.1, validator=below_one)
    patience: int = field(default=10, validator=positive)
    rtol: Number = field(default=1e-4, validator=fraction)
    every: int = field(default=1, validator=positive)
    cooldown: int = field(default=0, validator=non_negative)
    min_scale: Number = field(default=0.0, validator=fraction)

    def init(self, params: Params) -> OptState:
        numbers = {"scale": 1.0, "best": np.inf, "mean": 0.0}
        return {
            "step": first_step(),
            **{name: np.asarray(number, np.float64) for name, number in numbers.items()},
            **{name: np.zeros((), np.int64) for name in ("seen", "bad", "pause")},
        }

    @checked
    def update(self, grads: Params, opt_state: OptState, params: Params, value: float | None = None) -> Update:
        if value is None:
            raise FuncnetError(
                "expected the loss of the step, got none; call update(grads, opt_state, params, value=loss)",
                layer="ReduceOnPlateau",
            )
        _, factor, rtol, least = now(opt_state, self.factor, self.rtol, self.min_scale)
        names = "best", "mean", "seen", "bad", "pause", "scale"
        numbers = (ops.number(opt_state[name]) for name in names)
        rules = factor, self.patience, rtol, self.every, self.cooldown, least
        found = plateau(*(value, *numbers, *rules))
        new = dict(zip(names, found, strict=True))
        scale = ops.number(new["scale"])
        return tree.map(lambda u: scale * u, grads), tree.ordered(opt_state, after(opt_state, **new))
