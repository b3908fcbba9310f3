"""A recurrent layer in both directions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import numpy as np

from funcnet import tree
from funcnet.errors import Problem
from funcnet.layers.base import (
    Combinator,
    Context,
    Layer,
    Params,
    State,
    apply_child,
    nest,
    out_shape_child,
    range_of,
    vjp_child,
)
from funcnet.layers.recurrent import Recurrent
from funcnet.layers.sequence import cotangent_of, join_mask, split_mask
from funcnet.ranges import Ranges, added, joined
from funcnet.shapes import Shape, Value
from funcnet.spec.base import evolve, register
from funcnet.spec.fields import frozen


@register("bidirectional")
@frozen
class Bidirectional(Combinator):
    """Two copies of a recurrent layer, one from the first step to the last and one from the last to the first.

    ``merge`` joins their outputs along the features, "concat", or adds them, "sum". The params and keys of the two
    are under ``forward`` and ``backward``.

    Input    as the layer's
    Output   the layer's, with 2 · units features for "concat"
    VJP      dx = dx of the one + dx of the other
    Raises   SpecError for a layer that is not recurrent, or has a carry
    Source   Schuster and Paliwal (1997)
    """

    stepwise = True

    layer: Layer
    merge: Literal["concat", "sum"] = "concat"

    def validate(self) -> Iterator[Problem]:
        if not isinstance(self.layer, Recurrent):
            yield Problem(".layer", f"expected RNN, LSTM or GRU, got {type(self.layer).__name__}")
        elif self.layer.carry:
            yield Problem(".layer", "expected a layer without carry, since each direction has its own")
        elif self.layer.reverse:
            yield Problem(".layer", "expected a layer that runs forward; the backward one is made from it")

    @property
    def children(self) -> Mapping[str, Layer]:
        return {"forward": self.layer, "backward": evolve(self.layer, reverse=True)}

    def wire(self, in_shape: Shape) -> tuple[dict[str, Shape], Shape]:
        shapes = [out_shape_child(name, layer, in_shape) for name, layer in self.children.items()]
        factor = 2 if self.merge == "concat" else 1
        y = shapes[0]
        wide = tuple((*part[:-1], factor * part[-1]) if i == 0 else part for i, part in enumerate(_pair(y)))
        return dict.fromkeys(self.children, in_shape), wide if len(wide) > 1 else wide[0]

    def out_range(self, given: Ranges) -> Ranges:
        each = [range_of(layer, given) for layer in self.children.values()]
        return joined(*each) if self.merge == "concat" else added(*each)

    def apply(self, params: Params, state: State, x: Value, ctx: Context) -> tuple[Value, State, Any]:
        outs = {name: apply_child(name, layer, params, state, x, ctx) for name, layer in self.children.items()}
        residuals = tuple(out[2] for out in outs.values())
        (a, mask), (b, _) = (split_mask(self, out[0]) for out in outs.values())
        y = np.concatenate([a, b], axis=-1) if self.merge == "concat" else a + b
        return join_mask(y, mask), nest({name: out[1] for name, out in outs.items()}), (residuals, mask is not None)

    def vjp(self, params: Params, residuals: Any, dy: Value) -> tuple[Params, Value]:
        residuals, masked = residuals
        dy = cotangent_of(dy)
        halves = (dy, dy) if dy is None or self.merge == "sum" else np.split(dy, 2, axis=-1)
        dparams, dx = {}, None
        for (name, layer), residual, half in zip(self.children.items(), residuals, halves, strict=True):
            dparams[name], through = vjp_child(name, layer, params, residual, (half, None) if masked else half)
            dx = tree.add(dx, through)
        return nest(dparams), dx


def _pair(shape: Shape) -> tuple[Any, ...]:
    """A shape, or a pair of it and its mask's, as a tuple."""
    return shape if isinstance(shape[0], tuple) else (shape,)
