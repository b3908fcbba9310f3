"""A layer without a mask, lifted to masked sequences."""

from __future__ import annotations

from typing import Any

from funcnet.combinators.wrapper import Wrapper
from funcnet.errors import ShapeError
from funcnet.layers.base import Context, Params, State, apply_child, out_shape_child, range_of, vjp_child
from funcnet.layers.sequence import cotangent_of, join_mask, split_mask
from funcnet.ranges import Ranges
from funcnet.shapes import Shape, Value, is_shape
from funcnet.spec.base import register
from funcnet.spec.fields import frozen


@register("on_sequence")
@frozen
class OnSequence(Wrapper):
    """``(x, mask)`` to ``(layer(x), mask)``: a layer without mask support, in a network with masked sequences.

    The layer's params have the path of the OnSequence itself.

    Input    (time, …), or the pair with a mask (time,)
    Output   the layer's output, with the mask if there was one
    VJP      that of the layer; the mask has none
    Raises   ShapeError for a layer that changes the number of steps of a masked sequence
    """

    stepwise = True

    def wire(self, in_shape: Shape) -> tuple[dict[str, Shape], Shape]:
        if is_shape(in_shape):
            return {"": in_shape}, out_shape_child("", self.layer, in_shape)
        if not isinstance(in_shape, tuple) or len(in_shape) != 2 or in_shape[1] != in_shape[0][:1]:
            raise ShapeError(
                f"expected a sequence (time, …), or the pair of one and its mask (time,), got {in_shape}",
                layer="OnSequence",
            )
        y = out_shape_child("", self.layer, in_shape[0])
        if not is_shape(y) or y[:1] != in_shape[1]:
            raise ShapeError(
                f"expected the layer to keep the {in_shape[1][0]} steps of the mask, got {y}; "
                "pool or cut the sequence with a layer that takes the mask",
                layer="OnSequence",
            )
        return {"": in_shape[0]}, (y, in_shape[1])

    def in_kinds(self, in_shape: Shape) -> Any:
        inner = self.layer.in_kinds(in_shape if is_shape(in_shape) else in_shape[0])
        return inner if is_shape(in_shape) else (inner, "b")

    def out_range(self, given: Ranges) -> Ranges:
        return (range_of(self.layer, given[0]), None) if type(given) is tuple else range_of(self.layer, given)

    def apply(self, params: Params, state: State, x: Value, ctx: Context) -> tuple[Value, State, Any]:
        x, mask = split_mask(self, x)
        y, state, residuals = apply_child("", self.layer, params, state, x, ctx)
        return join_mask(y, mask), state, (residuals, mask is not None)

    def vjp(self, params: Params, residuals: Any, dy: Value) -> tuple[Params, Value]:
        residuals, masked = residuals
        dparams, dx = vjp_child("", self.layer, params, residuals, cotangent_of(dy))
        return dparams, (dx, None) if masked else dx
