"""Ensembles: several networks of one architecture, run at once."""

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
    out_shape_child,
    sized,
    vjp_child,
)
from funcnet.layers.limits import check_made, most_made
from funcnet.layers.sequence import join_mask, mask_of, masked_shape
from funcnet.shapes import Shape, Value, is_shape
from funcnet.spec.base import register
from funcnet.spec.fields import frozen, positive
from funcnet.vmap import Members, MembersKey, Unvectorized, spread


@register("ensemble")
@frozen
class Ensemble(Wrapper):
    """``members`` networks of one architecture on the same input: ``y[:, m] = layer_m(x)``.

    With ``own_inputs`` each member has its own input, as an ensemble before gives it: ``y[:, m] = layer_m(x[:, m])``.
    Layers between two ensembles are shared by the members. TabM-mini is such a network: an ensemble of ``Scale`` makes
    a view of the row for each member, and an ensemble of ``Dense`` with ``own_inputs`` is the head.

    Members have separate params, state and random draws; every leaf has a leading axis of members. The layer's code
    runs once for all members, which for small networks is many times faster than a loop; code that cannot is run once
    for each. ``losses.EachMember`` trains every member as if it were alone.

    Input    as the layer's; with ``own_inputs`` (members, …), the layer's
    Output   (members, …), … the layer's output; for a padded sequence (time, …) and its mask (time,), which members
             share, the pair of (time, members, …) and the mask
    VJP      dparams of each member from its own dy,   dx = Σ_m dx_m, or dx[:, m] = dx_m with ``own_inputs``
    Raises   ShapeError for an input without an axis of ``members``, with ``own_inputs``
    Source   Gorishniy, Kotelnikov and Babenko (2024), TabM: Advancing tabular deep learning with parameter-efficient
             ensembling
    """

    out_range = Wrapper.out_range
    times_field = "members"

    members: int = field(validator=positive)
    own_inputs: bool = False

    def in_kinds(self, in_shape: Shape) -> Any:
        return super().in_kinds(self.own_shape(in_shape))

    def own_shape(self, shape: Shape) -> Shape:
        """The shape of one member's input."""
        if not self.own_inputs:
            return shape
        if isinstance(shape, dict):
            return {name: self.own_shape(inner) for name, inner in shape.items()}
        if not is_shape(shape):
            return tuple(self.own_shape(inner) for inner in shape)
        if shape[:1] != (self.members,):
            raise ShapeError(
                f"expected an input for each member, ({self.members}, …), got shape {shape}; put an Ensemble of "
                f"{self.members} members before it, or leave own_inputs out",
                layer="Ensemble",
            )
        return shape[1:]

    def wire(self, in_shape: Shape) -> tuple[dict[str, Shape], Shape]:
        in_shape = self.own_shape(in_shape)
        out, made = most_made(lambda: out_shape_child("", self.layer, in_shape))
        check_made(self, (self.members, made), "hidden values")
        if masked_shape(in_shape) and masked_shape(out) and len(out[0]) > 1:
            (steps, *rest), mask = out
            return {"": in_shape}, ((steps, self.members, *rest), mask)
        return {"": in_shape}, _with_members(out, self.members)

    def leaves(self, in_shape: Shape) -> dict[str, Any]:
        flat: dict[str, Leaf] = tree.flatten(super().leaves(in_shape))
        return tree.unflatten({path: leaf._replace(shape=(self.members, *leaf.shape)) for path, leaf in flat.items()})

    def init(self, key: Key, in_shape: Shape, dtype: npt.DTypeLike = np.float32) -> tuple[Params, State]:
        check_key(key)
        self.out_shape(in_shape)
        own = self.own_shape(in_shape)
        with sized(self, in_shape):
            each = [init_child("", self.layer, key.fold("member", m), own, dtype) for m in range(self.members)]
        params, state = (tree.stack([one[i] for one in each]) for i in (0, 1))
        return params, state

    def apply(self, params: Params, state: State, x: Value, ctx: Context) -> tuple[Value, State, Any]:
        keys = [None if ctx.key is None else ctx.key.fold("member", m) for m in range(self.members)]
        try:
            key = None if ctx.key is None else MembersKey([one for one in keys if one is not None])
            wrapped = (tree.map(Members, params), tree.map(Members, state))
            own = tree.map(lambda leaf: Members(np.moveaxis(leaf, 1, 0)), x) if self.own_inputs else x
            y, new_state, residuals = apply_child("", self.layer, *wrapped, own, Context(ctx.train, key))
            axis = _axis(x, y)
            return self.joined(y, axis), self.whole(new_state), (residuals, axis, True)
        except Unvectorized:
            each = []
            for m in range(self.members):
                own = tree.map(lambda leaf, m=m: leaf[:, m], x) if self.own_inputs else x
                each.append(
                    apply_child("", self.layer, _of(params, m), _of(state, m), own, Context(ctx.train, keys[m]))
                )
            ys = [one[0] for one in each]
            axis = _axis(x, ys[0])
            values, mask = ([y[0] for y in ys], ys[0][1]) if axis == 2 else (ys, None)
            y = join_mask(tree.map(lambda *parts: np.stack(parts, axis=axis), *values), mask)
            return y, tree.stack([one[1] for one in each]), (tuple(one[2] for one in each), axis, False)

    def vjp(self, params: Params, residuals: Any, dy: Value) -> tuple[Params, Value]:
        residuals, axis, vectorized = residuals
        if vectorized:
            turned = tree.map(lambda leaf: None if leaf is None else Members(np.moveaxis(leaf, axis, 0)), dy)
            dparams, dx = vjp_child("", self.layer, tree.map(Members, params), residuals, turned)
            return self.whole(dparams), tree.map(self.apart if self.own_inputs else self.summed, dx)
        each = []
        for m in range(self.members):
            own = tree.map(lambda leaf, m=m: None if leaf is None else np.take(leaf, m, axis), dy)
            each.append(vjp_child("", self.layer, _of(params, m), residuals[m], own))
        if self.own_inputs:
            apart = tree.map(lambda *own: None if own[0] is None else np.stack(own, axis=1), *(one[1] for one in each))
            return tree.stack([one[0] for one in each]), apart
        dx = each[0][1]
        for _, more in each[1:]:
            dx = tree.add(dx, more)
        return tree.stack([one[0] for one in each]), dx

    def joined(self, y: Value, axis: int) -> Value:
        """Outputs with the axis of members after the batch axis, or after the steps of a padded sequence."""
        values, mask = y if axis == 2 else (y, None)
        values = tree.map(lambda leaf: np.moveaxis(spread(leaf, self.members), 0, axis), values)
        return join_mask(values, mask.value[0] if isinstance(mask, Members) else mask)

    def whole(self, part: dict[str, Any]) -> dict[str, Any]:
        """Params or state of all members as arrays."""
        found: dict[str, Any] = tree.map(lambda leaf: spread(leaf, self.members), part)
        return found

    def apart(self, dx: Any) -> Any:
        """The cotangents of the members' inputs."""
        return None if dx is None else np.moveaxis(spread(dx, self.members), 0, 1)

    def summed(self, dx: Any) -> Any:
        """The cotangent of the shared input."""
        if dx is None:
            return None
        return np.sum(dx.value, axis=0) if isinstance(dx, Members) else dx * float(self.members)


def _axis(x: Value, y: Value) -> int:
    """The axis of members in a member's outputs: 1, or 2 for a padded sequence."""
    paired = mask_of(x) is not None and type(y) is tuple and len(y) == 2
    return 2 if paired and getattr(y[1], "dtype", None) == np.bool_ else 1


def _of(part: dict[str, Any], m: int) -> dict[str, Any]:
    """The params or state of one member."""
    one: dict[str, Any] = tree.map(lambda leaf: leaf[m], part)
    return one


def _with_members(shape: Shape, members: int) -> Shape:
    """Shapes with the axis of members in front."""
    if isinstance(shape, dict):
        return {name: _with_members(inner, members) for name, inner in shape.items()}
    return (members, *shape) if is_shape(shape) else tuple(_with_members(inner, members) for inner in shape)
