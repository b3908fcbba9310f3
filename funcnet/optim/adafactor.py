"""Adafactor: of the squared gradients of a matrix, only the means over rows and columns are kept."""

from __future__ import annotations

import numpy as np
from attrs import field

from funcnet import ops, tree
from funcnet.key import Array
from funcnet.layers.base import Params
from funcnet.optim.base import Optimizer, OptState, Update, after, checked, decayed, first_step, now
from funcnet.optim.schedules import Number
from funcnet.spec.base import register
from funcnet.spec.fields import frozen, non_negative, positive


@ops.primitive()
def relative_rates(rate: float, sizes: Array, floor: float, changes: Array, clip: float) -> Array:
    """The rates of leaves with these root mean squares, at least ``floor``, and with changes clipped to ``clip``."""
    return rate * np.maximum(sizes, floor) / np.maximum(changes / clip, 1.0)


@ops.primitive()
def capped(rate: float, step: int) -> float:
    """``min(rate, 1/√t)``"""
    return min(rate, (step + 1) ** -0.5)


def rms(leaves: dict[str, Array]) -> Array:
    """The root mean square of each leaf."""
    return ops.norms(*leaves.values()) / np.sqrt([max(x.size, 1) for x in leaves.values()])


@register("adafactor")
@frozen
class Adafactor(Optimizer):
    """Adam's scale from row and column means: ``p ← p - α u / max(1, rms(u) / clip)``, ``u = g / √v``.

    ``α = min(η, 1/√t) · max(floor, rms(p))``. For a leaf with two axes or more, r is the average of ``g² + eps`` over
    the last axis, c over the axis before it, each also averaged over time, and ``v = r c / mean(r)``; for any other
    leaf, ``v`` is the average of ``g² + eps`` over time. The newest value has the weight ``t^-decay_power``, so an
    average has no bias. ``weight_decay`` is decoupled, ``p ← p - η · weight_decay · p``.
    State    step; row and column (of size 1 along the averaged axis) for factored leaves, square for the others
    Source   Shazeer and Stern (2018), algorithm 6, eps added to g² as there and in optax; the axes, the cap on the
             rate and the decay as in PyTorch, which instead keeps v above the square of the machine epsilon
    """

    learning_rate: Number = field(default=1e-2, validator=non_negative)
    decay_power: Number = field(default=0.8, validator=non_negative)
    eps: Number = field(default=1e-30, validator=positive)
    floor: Number = field(default=1e-3, validator=positive)
    clip: Number = field(default=1.0, validator=positive)
    weight_decay: Number = field(default=0.0, validator=non_negative)

    def init(self, params: Params) -> OptState:
        flat = tree.flatten(params)
        factored = {path: p for path, p in flat.items() if p.ndim > 1}
        kept = {
            "row": {path: np.zeros_like(p[..., :1]) for path, p in factored.items()},
            "column": {path: np.zeros_like(p[..., :1, :]) for path, p in factored.items()},
            "square": {path: np.zeros_like(p) for path, p in flat.items() if path not in factored},
        }
        return {"step": first_step(), **{name: tree.unflatten(leaves) for name, leaves in kept.items() if leaves}}

    @checked
    def update(self, grads: Params, opt_state: OptState, params: Params, value: float | None = None) -> Update:
        numbers = self.learning_rate, self.decay_power, self.eps, self.floor, self.clip
        step, rate, power, eps, floor, clip = now(opt_state, *numbers)
        share = (step + 1) ** -power
        old = {name: tree.flatten(opt_state.get(name, {})) for name in ("row", "column", "square")}
        new: dict[str, Params] = {name: {} for name in old}
        change: dict[str, Array] = {}

        def averaged(name: str, path: str, x: Array) -> Array:
            v = old[name][path]
            new[name][path] = ops.settle(v + share * (x - v), step)
            return new[name][path]

        for path, g in tree.flatten(grads).items():
            square = g * g + eps
            if path in old["row"]:
                row = averaged("row", path, np.mean(square, axis=-1, keepdims=True))
                column = averaged("column", path, np.mean(square, axis=-2, keepdims=True))
                change[path] = g / np.sqrt(row / np.mean(row, axis=-2, keepdims=True)) / np.sqrt(column)
            else:
                change[path] = g / np.sqrt(averaged("square", path, square))
        flat = tree.flatten(params)
        held = {path: flat[path] for path in change}
        alphas = relative_rates(ops.scalar(capped, rate, step), rms(held), floor, rms(change), clip)
        updates = tree.unflatten({path: -ops.number(alphas[i]) * u for i, (path, u) in enumerate(change.items())})
        updates = decayed(updates, params, self.weight_decay, step, -rate)
        kept = {name: tree.unflatten(leaves) for name, leaves in new.items() if leaves}
        return updates, after(opt_state, **kept)
