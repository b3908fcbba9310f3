"""A layer with a shortcut."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from funcnet import tree
from funcnet.errors import Problem, ShapeError
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
from funcnet.layers.sequence import mask_of, real
from funcnet.ranges import Ranges, added
from funcnet.shapes import Shape, Value
from funcnet.spec.base import register
from funcnet.spec.fields import frozen

SHORTCUT = "projection"


@register("residual")
@frozen
class Residual(Combinator):
    """``y = layer(x) + x``, or ``layer(x) + projection(x)`` where the layer changes the shape.

    The layer's params have the path of the Residual itself, the projection's are under ``projection``.
    VJP      dx = dx of the layer + dy: the shortcut passes dy on undiminished
    Raises   ShapeError when the two summands differ in shape
    Source   He et al. (2015), Deep Residual Learning

    >>> net = fn.Residual(fn.serial(fn.Dense(8), fn.Relu(), fn.Dense(8)))
    >>> net.out_shape((8,))
    (8,)
    """

    stepwise = True

    layer: Layer
    projection: Layer | None = None

    def validate(self) -> Iterator[Problem]:
        inner: Layer | None = self.layer if self.projection is not None else None
        while inner is not None and SHORTCUT not in inner.children:
            inner = inner.children.get("")  # a wrapper's inner layer shares its path
        if inner is not None:
            yield Problem(".layer", f"has a child called {SHORTCUT!r}, the shortcut's own name; rename it")

    @property
    def children(self) -> Mapping[str, Layer]:
        return {"": self.layer} if self.projection is None else {"": self.layer, SHORTCUT: self.projection}

    def wire(self, in_shape: Shape) -> tuple[dict[str, Shape], Shape]:
        shapes = {name: out_shape_child(name, child, in_shape) for name, child in self.children.items()}
        shortcut = shapes.get(SHORTCUT, in_shape)
        if shapes[""] != shortcut:
            raise ShapeError(
                f"expected the layer to give the shortcut's shape {shortcut}, got {shapes['']}; "
                "change the layer, or give a projection=Dense(…) to that shape",
                layer="Residual",
            )
        return dict.fromkeys(shapes, in_shape), shortcut

    def out_range(self, given: Ranges) -> Ranges:
        shortcut = given if self.projection is None else range_of(self.projection, given)
        return added(range_of(self.layer, given), shortcut)

    def apply(self, params: Params, state: State, x: Value, ctx: Context) -> tuple[Value, State, Any]:
        mask = mask_of(x)
        x = x if mask is None else (real(x[0], mask), mask)
        own_params, own_state = self.without_shortcut(params), self.without_shortcut(state)
        y, new_state, residuals = apply_child("", self.layer, own_params, own_state, x, ctx)
        if self.projection is None:
            return tree.add(y, x), new_state, (residuals, None, mask)
        z, shortcut_state, shortcut_residuals = apply_child(SHORTCUT, self.projection, params, state, x, ctx)
        return tree.add(y, z), nest({"": new_state, SHORTCUT: shortcut_state}), (residuals, shortcut_residuals, mask)

    def vjp(self, params: Params, residuals: Any, dy: Value) -> tuple[Params, Value]:
        mask = residuals[2]
        dy = dy if mask is None else (real(dy[0], mask), None)
        dparams, dx = vjp_child("", self.layer, self.without_shortcut(params), residuals[0], dy)
        if self.projection is None:
            return dparams, tree.add(dx, dy)
        shortcut_dparams, dz = vjp_child(SHORTCUT, self.projection, params, residuals[1], dy)
        return nest({"": dparams, SHORTCUT: shortcut_dparams}), tree.add(dx, dz)

    def without_shortcut(self, part: dict[str, Any]) -> dict[str, Any]:
        """The layer's own entries of params or state."""
        return {name: leaf for name, leaf in part.items() if self.projection is None or name != SHORTCUT}
