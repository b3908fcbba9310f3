"""One layer several times in sequence."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from attrs import field

from funcnet import tree
from funcnet.combinators.wrapper import Wrapper
from funcnet.errors import ShapeError
from funcnet.key import Key
from funcnet.layers.base import (
    Context,
    Leaf,
    Params,
    State,
    apply_child,
    check_key,
    init_child,
    range_of,
    sized,
    vjp_child,
)
from funcnet.ranges import Ranges
from funcnet.shapes import Shape, Value
from funcnet.spec.base import register
from funcnet.spec.fields import frozen, positive


@register("repeat")
@frozen
class Repeat(Wrapper):
    """``times`` copies of a layer one after another: ``y = layer_n(… layer_1(x))``.

    Each copy has separate params, stacked on a leading axis of every leaf; with ``shared`` all copies have the same.
    Each copy has a separate key for its initial params and its draws.
    VJP      as Serial's; with ``shared`` the gradients of all copies add up
    Raises   ShapeError for a layer that changes the shape
    """

    stepwise = True
    times_field = "times"

    times: int = field(validator=positive)
    shared: bool = False

    def wire(self, in_shape: Shape) -> tuple[dict[str, Shape], Shape]:
        shapes, out = super().wire(in_shape)
        if out != in_shape and self.times > 1:
            raise ShapeError(
                f"expected a layer that keeps its input's shape {in_shape}, got {out}; repeat only such layers",
                layer="Repeat",
            )
        return shapes, out

    def out_range(self, given: Ranges) -> Ranges:
        once = range_of(self.layer, given)
        return once if self.times == 1 or range_of(self.layer, once) == once else None

    def leaves(self, in_shape: Shape) -> dict[str, Any]:
        flat: dict[str, Leaf] = tree.flatten(super().leaves(in_shape))
        if self.shared:
            return tree.unflatten(flat)
        stacked = {path: leaf._replace(shape=(self.times, *leaf.shape)) for path, leaf in flat.items()}
        return tree.unflatten(stacked)

    def init(self, key: Key, in_shape: Shape, dtype: npt.DTypeLike = np.float32) -> tuple[Params, State]:
        if self.shared:
            return super().init(key, in_shape, dtype)
        check_key(key)
        self.out_shape(in_shape)
        with sized(self, in_shape):
            copies = [init_child("", self.layer, key.fold("copy", i), in_shape, dtype) for i in range(self.times)]
        params, state = (tree.stack([copy[i] for copy in copies]) for i in (0, 1))
        return params, state

    def copy_of(self, part: dict[str, Any], i: int) -> dict[str, Any]:
        """The params or state of one copy."""
        one: dict[str, Any] = part if self.shared else tree.map(lambda leaf: leaf[i], part)
        return one

    def apply(self, params: Params, state: State, x: Value, ctx: Context) -> tuple[Value, State, Any]:
        states, residuals, moving = [], [], state
        for i in range(self.times):
            own = ctx if ctx.key is None else Context(ctx.train, ctx.key.fold("copy", i))
            before = moving if self.shared else self.copy_of(state, i)
            x, moving, residual = apply_child("", self.layer, self.copy_of(params, i), before, x, own)
            states.append(moving)
            residuals.append(residual)
        return x, moving if self.shared else tree.stack(states), tuple(residuals)

    def vjp(self, params: Params, residuals: Any, dy: Value) -> tuple[Params, Value]:
        gradients: list[Params] = []
        for i in reversed(range(self.times)):
            dparams, dy = vjp_child("", self.layer, self.copy_of(params, i), residuals[i], dy)
            gradients.insert(0, dparams)
        if not self.shared:
            return tree.stack(gradients), dy
        total = gradients[0]
        for more in gradients[1:]:
            total = tree.map(np.add, total, more)
        return total, dy
