"""A layer that is not trained."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from funcnet import tree
from funcnet.combinators.wrapper import Wrapper
from funcnet.key import Key
from funcnet.layers.base import Context, Leaf, Params, State, apply_child, reach, vjp_child
from funcnet.shapes import Shape, Value, shape_of
from funcnet.spec.base import register
from funcnet.spec.fields import frozen


@register("frozen")
@frozen
class Frozen(Wrapper):
    """``y = layer(x)`` with the layer's params kept in state: no gradient, no update, no optimizer memory.

    In state they have the paths that they would have in params. Running statistics are still updated;
    ``BatchNorm(frozen=True)`` stops that.
    VJP      dx as the layer's; the gradients of its params are dropped
    """

    stepwise = True
    out_range = Wrapper.out_range

    def leaves(self, in_shape: Shape) -> dict[str, Any]:
        flat: dict[str, Leaf] = tree.flatten(super().leaves(in_shape))
        return tree.unflatten({path: leaf._replace(kind="state") for path, leaf in flat.items()})

    def init(self, key: Key, in_shape: Shape, dtype: npt.DTypeLike = np.float32) -> tuple[Params, State]:
        params, state = super().init(key, in_shape, dtype)
        return {}, tree.unflatten(tree.flatten(params) | tree.flatten(state))

    def apply(self, params: Params, state: State, x: Value, ctx: Context) -> tuple[Value, State, Any]:
        flat, leaves = tree.flatten(state), tree.flatten(reach("", self.layer, "leaves", shape_of(x)))
        inner_params, inner_state = (
            tree.unflatten({path: flat[path] for path, leaf in leaves.items() if leaf.kind == kind})
            for kind in ("param", "state")
        )
        y, new_state, residuals = apply_child("", self.layer, inner_params, inner_state, x, ctx)
        moved = flat | tree.flatten(new_state)
        return y, tree.unflatten({path: moved[path] for path in flat}), (inner_params, residuals)

    def vjp(self, params: Params, residuals: Any, dy: Value) -> tuple[Params, Value]:
        inner_params, residuals = residuals
        _, dx = vjp_child("", self.layer, inner_params, residuals, dy)
        return {}, dx
