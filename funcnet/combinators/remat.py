"""Rematerialization: less memory for more time."""

from __future__ import annotations

from typing import Any

from funcnet import ops, tree
from funcnet.combinators.wrapper import Wrapper
from funcnet.layers.base import Context, Params, State, apply_child, vjp_child
from funcnet.shapes import Value
from funcnet.spec.base import register
from funcnet.spec.fields import frozen


@register("remat")
@frozen
class Remat(Wrapper):
    """Rematerialization: ``y = layer(x)``, keeping only x for the backward pass.

    VJP      the layer's apply once more, then its vjp: the same numbers to the last bit, including dropout's masks,
             which depend only on the key
    Source   Griewank and Walther (2000); Chen et al. (2016)
    """

    stepwise = True
    out_range = Wrapper.out_range

    def apply(self, params: Params, state: State, x: Value, ctx: Context) -> tuple[Value, State, Any]:
        y, new_state, _ = apply_child("", self.layer, params, state, x, ctx)
        return y, new_state, (state, x, ctx)

    def vjp(self, params: Params, residuals: Any, dy: Value) -> tuple[Params, Value]:
        state, x, ctx = residuals
        with ops.anew(*tree.leaves((params, state, x))):
            _, _, inner = apply_child("", self.layer, params, state, x, ctx)
        return vjp_child("", self.layer, params, inner, dy)
