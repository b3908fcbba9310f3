"""Layers that draw random numbers in training."""

from __future__ import annotations

from typing import Any

import numpy as np
from attrs import field

from funcnet import ops
from funcnet.layer import Context, Layer, Params, Shape, State, Value, array_shape, floating
from funcnet.spec import fraction, frozen, register


@register("dropout")
@frozen
class Dropout(Layer):
    """In training each entry is 0 with probability ``rate``, the others grow by 1 / (1 - rate).

    Input    any shape
    Output   the same shape; in evaluation the input itself
    VJP      dx = mask / (1 - rate) · dy, with the mask of the forward pass
    Raises   KeyRequired in training without a key
    Source   Srivastava et al. (2014), in the inverted form; probabilities are multiples of 2⁻¹⁶
    """

    rate: float = field(validator=fraction)

    def out_shape(self, in_shape: Shape) -> Shape:
        return array_shape(self, in_shape)

    def apply(self, params: Params, state: State, x: Value, ctx: Context) -> tuple[Value, State, Any]:
        floating(self, x)
        if not ctx.train or self.rate == 0.0:
            return x, state, None
        mask = ops.bernoulli(ctx.draw(), 1.0 - self.rate, x.shape)
        return self.masked(x, mask), state, mask

    def vjp(self, params: Params, residuals: Any, dy: Value) -> tuple[Params, Value]:
        mask = residuals
        return {}, dy if mask is None else self.masked(dy, mask)

    def masked(self, x: Value, mask: Value) -> Value:
        """``mask · x / (1 - rate)``, linear in x"""
        return np.where(mask, x * (1.0 / (1.0 - self.rate)), 0.0)
