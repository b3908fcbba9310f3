"""Smaller steps once the loss, or another figure, stops improving."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal

import numpy as np
from attrs import field

from funcnet import ops, tree
from funcnet.errors import FuncnetError, Problem, listed
from funcnet.key import Array
from funcnet.layers.base import Params
from funcnet.optim.base import OptState, Update, after, checked, first_step, now
from funcnet.optim.schedules import Number
from funcnet.optim.transforms.chain import Transform
from funcnet.spec.base import register
from funcnet.spec.fields import Range, fraction, frozen, non_negative, positive
from funcnet.spec.monitors import Mode, rises

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
    sign: float,
) -> tuple[Array, Array, Array, Array, Array, Array]:
    """The new best, mean, seen, bad, pause and scale after one more value, which should fall if the sign is 1."""
    mean, seen = (seen * mean + value) / (seen + 1), seen + 1
    if seen == every:
        margin = rtol * abs(best) if abs(best) < np.inf else 0.0
        better = sign * mean < sign * best - margin
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
    """``u ← scale · u``, where scale starts at 1 and shrinks by ``factor`` when a figure stops improving.

    The figure is the loss of the step, ``update(value=…)``; or with ``monitor`` one of the history, such as
    ``"validation/loss"``, once per epoch. Its mean over ``every`` steps or epochs is an improvement if it is below the
    best mean by more than the fraction ``rtol``, or above it for a figure that should rise: ``mode`` is "min", "max",
    or "auto", which minimises losses and errors and maximises all other metrics. After ``patience`` means in a row
    without improvement, scale becomes ``max(factor · scale, min_scale)``, and the next ``cooldown`` means do not count.
    NaN is no improvement. Place it after the rule, since the updates of rules such as Adam do not depend on the scale
    of gradients.

    ``fit`` reports each epoch to a ``monitor``. A loop of your own does so itself, or scale stays 1:
    ``opt_state = opt.observe(opt_state, {"validation/loss": value})``, of the whole optimizer.
    State    step; scale, best and mean in float64; seen, bad and pause in int64
    Source   optax.contrib.reduce_on_plateau (``every`` is its accumulation_size); PyTorch's ReduceLROnPlateau
             waits for one more mean
    Raises   FuncnetError without a value, or for a row without the monitor
    """

    place: ClassVar[Literal["after"]] = "after"

    factor: Number = field(default=0.1, validator=below_one)
    patience: int = field(default=10, validator=positive)
    rtol: Number = field(default=1e-4, validator=fraction)
    every: int = field(default=1, validator=positive)
    cooldown: int = field(default=0, validator=non_negative)
    min_scale: Number = field(default=0.0, validator=fraction)
    monitor: str | None = None
    mode: Mode = "auto"

    def validate(self) -> Iterator[Problem]:
        if self.monitor is None and self.mode == "max":
            yield Problem(".mode", "the loss of the step is minimised; give the monitor to maximise")

    @property
    def sign(self) -> float:
        """1.0 for a figure that should fall, -1.0 for one that should rise."""
        return -1.0 if self.monitor is not None and rises(self.monitor, self.mode) else 1.0

    def init(self, params: Params) -> OptState:
        numbers = {"scale": 1.0, "best": self.sign * np.inf, "mean": 0.0}
        return {
            "step": first_step(),
            **{name: np.asarray(number, np.float64) for name, number in numbers.items()},
            **{name: np.zeros((), np.int64) for name in ("seen", "bad", "pause")},
        }

    @checked
    def update(self, grads: Params, opt_state: OptState, params: Params, value: float | None = None) -> Update:
        new = opt_state
        if self.monitor is None:
            if value is None:
                raise FuncnetError(
                    "expected the loss of the step, got none; call update(grads, opt_state, params, value=loss)",
                    layer="ReduceOnPlateau",
                )
            new = self.followed(opt_state, value)
        scale = ops.number(new["scale"])
        parts = {name: leaf for name, leaf in new.items() if name not in ("step", "start")}
        return tree.map(lambda u: scale * u, grads), tree.ordered(opt_state, after(opt_state, **parts))

    def observe(self, opt_state: OptState, row: Mapping[str, Any]) -> OptState:
        if self.monitor is None:
            return opt_state
        value = row.get(self.monitor) if isinstance(row, Mapping) else None
        if not isinstance(value, int | float | np.number):
            lacks = isinstance(row, Mapping) and self.monitor not in row
            got = f"one of {listed(row)}" if lacks else f"{row!r:.60}"
            raise FuncnetError(
                f"expected a row with a number for {self.monitor!r}, got {got}; "
                f"call observe(opt_state, {{{self.monitor!r}: value}})",
                layer="ReduceOnPlateau",
            )
        return self.followed(opt_state, float(value))

    def followed(self, opt_state: OptState, value: float) -> OptState:
        """The state after one more value of the figure."""
        factor, rtol, least = now(opt_state, self.factor, self.rtol, self.min_scale)[1:]
        names = "best", "mean", "seen", "bad", "pause", "scale"
        numbers = (ops.number(opt_state[name]) for name in names)
        rules = factor, self.patience, rtol, self.every, self.cooldown, least, self.sign
        return opt_state | dict(zip(names, plateau(*(value, *numbers, *rules)), strict=True))
