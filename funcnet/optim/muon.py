"""Muon: steps along a matrix's momentum with all its singular values brought close to 1."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import field

from funcnet import ops, tree
from funcnet.errors import Problem
from funcnet.key import Array
from funcnet.layers.base import Params
from funcnet.optim.adam import AdamW
from funcnet.optim.base import Optimizer, OptState, Update, after, average, checked, now, zeros_for
from funcnet.optim.schedules import Number
from funcnet.spec.base import register
from funcnet.spec.fields import fraction, frozen, non_negative, positive

QUINTIC = 3.4445, -4.7750, 2.0315
"""Coefficients of ``a x + b x³ + c x⁵``, which maps singular values in (0, 1] to about [0.7, 1.2] in five rounds"""


@ops.primitive()
def at_least_tiny(norm: float) -> float:
    """The norm, or 1e-7 if it is too small to divide by."""
    return max(norm, 1e-7)


MAX_ROUNDS = 100


def orthogonalized(x: Array, iterations: int) -> Array:
    """``x = U S Vᵀ`` with S brought close to 1 by the Newton-Schulz iteration: ``x ← a x + (b x xᵀ + c (x xᵀ)²) x``."""
    a, b, c = QUINTIC
    tall = x.shape[0] > x.shape[1]
    x = x / ops.scalar(at_least_tiny, ops.norm(x))
    x = x.T if tall else x
    for _ in range(iterations):
        gram = x @ x.T
        x = a * x + (b * gram + c * (gram @ gram)) @ x
    return x.T if tall else x


@register("muon")
@frozen
class Muon(Optimizer):
    """Orthogonal steps for matrices, ``p ← p - η √max(1, out/in) O(u) - η · weight_decay · p``; AdamW for the rest.

    ``m ← momentum · m + (1-momentum) g``, ``u = m`` or, with ``nesterov``, ``momentum · m + (1-momentum) g``, and
    ``O(U S Vᵀ) ≈ U Vᵀ`` by ``iterations`` rounds. A matrix is a leaf with two axes, ``(in, out)`` like a Dense weight;
    ``rest`` is the rule for all other leaves, with separate rates.
    State    step; momentum, like the matrices; rest, AdamW's state for the others; each is absent if there are none
    Source   Jordan et al. (2024), as in PyTorch, but in the precision of the params instead of bfloat16
    """

    learning_rate: Number = field(default=1e-3, validator=non_negative)
    momentum: Number = field(default=0.95, validator=fraction)
    nesterov: bool = True
    weight_decay: Number = field(default=0.1, validator=non_negative)
    iterations: int = field(default=5, validator=positive)
    rest: AdamW = AdamW()

    def validate(self) -> Iterator[Problem]:
        if self.iterations > MAX_ROUNDS:
            yield Problem(".iterations", f"must be at most {MAX_ROUNDS}, got {self.iterations}; five are enough")

    def init(self, params: Params) -> OptState:
        matrices, others = split(params, params)
        state = zeros_for(matrices, "momentum") if matrices else zeros_for(matrices)
        return {**state, "rest": self.rest.init(others)} if others else state

    @checked
    def update(self, grads: Params, opt_state: OptState, params: Params, value: float | None = None) -> Update:
        step, rate, m, decay = now(opt_state, self.learning_rate, self.momentum, self.weight_decay)
        shrink = rate * decay
        (matrices, others), (of_matrices, of_others) = split(params, params), split(grads, params)
        new = after(opt_state)
        updates: dict[str, Array] = {}

        def moved(p: Array, u: Array) -> Array:
            pace = -rate * max(1.0, p.shape[1] / max(p.shape[0], 1)) ** 0.5
            return pace * orthogonalized(u, self.iterations) - shrink * p

        if matrices:
            mean = new["momentum"] = average(m, opt_state["momentum"], of_matrices, step)
            ahead = tree.map(lambda g, v: m * v + (1.0 - m) * g, of_matrices, mean) if self.nesterov else mean
            updates |= tree.flatten(tree.map(moved, matrices, ahead))
        if others:
            of_rest, new["rest"] = self.rest.update(of_others, opt_state["rest"], others, value)
            updates |= tree.flatten(of_rest)
        return tree.unflatten({path: updates[path] for path in tree.flatten(params)}), new


def split(values: Params, params: Params) -> tuple[Params, Params]:
    """The leaves of a tree that belong to matrices among the params, and the other leaves."""
    shapes, flat = tree.flatten(params), tree.flatten(values)
    parts = ({path: x for path, x in flat.items() if (shapes[path].ndim == 2) is wanted} for wanted in (True, False))
    matrices, others = map(tree.unflatten, parts)
    return matrices, others
