"""Clipping: limits on the size of gradients or updates."""

from __future__ import annotations

import numpy as np
from attrs import field

from funcnet import ops, tree
from funcnet.key import Array
from funcnet.layers.base import Params
from funcnet.optim.base import OptState, Update, after, checked, count, now
from funcnet.optim.schedules import Number, value_at
from funcnet.optim.transforms.chain import Transform
from funcnet.spec.base import register
from funcnet.spec.fields import frozen, positive


def clip_factor(limit: float, norm: float) -> float:
    """The factor that scales a vector of this norm down to the limit; 1 for a shorter vector."""
    return limit / norm if norm > limit else 1.0


@register("clip_by_value")
@frozen
class ClipByValue(Transform):
    """``g ← min(max(g, -max_value), max_value)``, entry by entry.

    State    step
    """

    max_value: Number = field(validator=positive)

    @checked
    def update(self, grads: Params, opt_state: OptState, params: Params, value: float | None = None) -> Update:
        limit = value_at(self.max_value, count(opt_state))
        clipped = tree.map(lambda g: ops.array(np.clip(g, -limit, limit)), grads)
        return clipped, after(opt_state)


@register("clip_by_global_norm")
@frozen
class ClipByGlobalNorm(Transform):
    """``g ← g · min(1, max_norm / ‖g‖)``, with one norm over all leaves.

    State    step
    Source   Pascanu et al. (2013), as in optax: exactly ``max_norm`` afterwards, without an epsilon
    """

    max_norm: Number = field(validator=positive)

    @checked
    def update(self, grads: Params, opt_state: OptState, params: Params, value: float | None = None) -> Update:
        limit = value_at(self.max_norm, count(opt_state))
        factor = ops.scalar(clip_factor, limit, ops.norm(*tree.by_path(grads)))
        return tree.map(lambda g: factor * g, grads), after(opt_state)


@register("clip_by_block_norm")
@frozen
class ClipByBlockNorm(Transform):
    """``g ← g · min(1, max_norm / ‖g‖)``, with a separate norm for each leaf.

    State    step
    Source   as optax.per_example_layer_norm_clip clips each layer; exactly ``max_norm`` afterwards, without an epsilon
    """

    max_norm: Number = field(validator=positive)

    @checked
    def update(self, grads: Params, opt_state: OptState, params: Params, value: float | None = None) -> Update:
        limit = value_at(self.max_norm, count(opt_state))
        clipped = tree.map(lambda g: ops.scalar(clip_factor, limit, ops.norm(g)) * g, grads)
        return clipped, after(opt_state)


def unit_norm(x: Array) -> Array:
    """The norm of the weights of each output, over all axes but the last; for a vector, the norm of the whole."""
    vector = sum(n != 1 for n in x.shape) <= 1
    axes = tuple(range(x.ndim if vector else x.ndim - 1))
    return np.sqrt(np.sum(x * x, axis=axes, keepdims=True))


@register("adaptive_clip")
@frozen
class AdaptiveClip(Transform):
    """``g ← g · clipping · max(‖p‖, eps) / ‖g‖`` where that shortens it, unit by unit.

    A unit is the weights of one output: one index of the last axis, or a whole vector, such as a bias. ``eps``
    lets params that are 0 move.
    State    step
    Source   Brock et al. (2021), as optax.adaptive_grad_clip, which for leaves with three axes takes the norm over
             only the first; here the last axis is always that of the outputs
    """

    clipping: Number = field(validator=positive)
    eps: Number = field(default=1e-3, validator=positive)

    @checked
    def update(self, grads: Params, opt_state: OptState, params: Params, value: float | None = None) -> Update:
        _, clipping, eps = now(opt_state, self.clipping, self.eps)

        def clip(g: Array, p: Array) -> Array:
            norm, limit = unit_norm(g), clipping * np.maximum(unit_norm(p), eps)
            return ops.array(g * np.where(norm < limit, 1.0, limit / np.maximum(norm, 1e-6)))

        return tree.map(clip, grads, params), after(opt_state)
