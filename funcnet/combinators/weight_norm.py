"""Weight normalization: weights as a length times a direction."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from funcnet import tree
from funcnet.combinators.wrapper import Wrapper
from funcnet.errors import ShapeError
from funcnet.initializers import Ones
from funcnet.key import Array, Key
from funcnet.layers.base import Context, Leaf, Params, State, apply_child, vjp_child
from funcnet.shapes import Shape, Value
from funcnet.spec.base import register
from funcnet.spec.fields import frozen

LENGTH = "_norm"


@register("weight_norm")
@frozen
class WeightNorm(Wrapper):
    """Every ``weight`` of a layer as ``w = g v / |v|``, the norm over all axes but the last.

    The leaf ``weight`` is v, and the leaf ``weight_norm`` beside it has the lengths g, one for each output. They start
    as the lengths of v, so that w = v at first. A v of 0 gives weights and gradients of 0.
    VJP      dg = Σ dw v / |v|,   dv = g / |v| (dw - v Σ dw v / |v|²)
    Raises   ShapeError for a layer without a weight of two axes or more, or with a WeightNorm inside
    Source   Salimans and Kingma (2016)
    """

    stepwise = True
    out_range = Wrapper.out_range

    def normed(self, paths: Any) -> list[str]:
        """The paths of the weights among those of leaves or arrays."""
        return [path for path, leaf in paths.items() if path.split("/")[-1] == "weight" and len(leaf.shape) > 1]

    def leaves(self, in_shape: Shape) -> dict[str, Any]:
        flat: dict[str, Leaf] = tree.flatten(super().leaves(in_shape))
        weights = self.normed({path: leaf for path, leaf in flat.items() if leaf.kind == "param"})
        if not weights:
            raise ShapeError(
                f"expected a layer with a trained weight of two axes or more, got {', '.join(flat) or 'no leaves'}; "
                "leave WeightNorm out",
                layer="WeightNorm",
            )
        twice = [path for path in weights if path + LENGTH in flat]
        if twice:
            raise ShapeError(
                f"expected weights without lengths, a WeightNorm inside has given lengths to {', '.join(twice)}; "
                "leave one of the two out",
                layer="WeightNorm",
            )
        return tree.unflatten(flat | {path + LENGTH: Leaf(flat[path].shape[-1:], Ones()) for path in weights})

    def init(self, key: Key, in_shape: Shape, dtype: npt.DTypeLike = np.float32) -> tuple[Params, State]:
        self.leaves(in_shape)
        params, state = super().init(key, in_shape, dtype)
        flat = tree.flatten(params)
        return tree.unflatten(flat | {path + LENGTH: lengths(flat[path]) for path in self.normed(flat)}), state

    def out_shape(self, in_shape: Shape) -> Shape:
        self.leaves(in_shape)
        return super().out_shape(in_shape)

    def whole(self, params: Params) -> tuple[Params, dict[str, Array]]:
        """Params as the layer expects them, and the factors ``1 / |v|``."""
        flat, factors = tree.flatten(params), {}
        for path in self.normed(flat):
            norm = lengths(flat[path])
            factors[path] = np.where(norm > 0.0, 1.0 / np.where(norm > 0.0, norm, 1.0), 0.0)
        weights = {path: flat[path] * (flat[path + LENGTH] * factors[path]) for path in factors}
        own = {path: leaf for path, leaf in flat.items() if path.removesuffix(LENGTH) not in factors}
        return tree.unflatten(own | weights), factors

    def apply(self, params: Params, state: State, x: Value, ctx: Context) -> tuple[Value, State, Any]:
        return apply_child("", self.layer, self.whole(params)[0], state, x, ctx)

    def vjp(self, params: Params, residuals: Any, dy: Value) -> tuple[Params, Value]:
        whole, factors = self.whole(params)
        dparams, dx = vjp_child("", self.layer, whole, residuals, dy)
        flat, given = tree.flatten(dparams), tree.flatten(params)
        for path, factor in factors.items():
            v, g, dw = given[path], given[path + LENGTH], flat[path]
            along = np.sum(dw * v, axis=tuple(range(v.ndim - 1)))
            flat[path + LENGTH] = along * factor
            flat[path] = (g * factor) * (dw - v * (along * factor * factor))
        return tree.unflatten({path: flat[path] for path in given}), dx


def lengths(v: Array) -> Array:
    """The norm over all axes but the last, without overflow or underflow."""
    axes = tuple(range(v.ndim - 1))
    largest = np.max(np.abs(v), axis=axes)
    safe = np.where(largest > 0.0, largest, 1.0)
    return largest * np.sqrt(np.sum(np.square(v / safe), axis=axes)) if math.prod(v.shape) else largest
