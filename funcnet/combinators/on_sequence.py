"""A layer without a mask, lifted to masked sequences."""

from __future__ import annotations

import math
from typing import Any

from funcnet import tree
from funcnet.combinators.branch import Branch, Parallel
from funcnet.combinators.repeat import Repeat
from funcnet.combinators.residual import Residual
from funcnet.combinators.wrapper import Wrapper
from funcnet.errors import ShapeError
from funcnet.layers.base import (
    Combinator,
    Context,
    Layer,
    Lifted,
    Params,
    State,
    apply_child,
    out_shape_child,
    range_of,
    vjp_child,
)
from funcnet.layers.normalization import Normalization
from funcnet.layers.pooling import AveragePool, MaxPool
from funcnet.layers.sequence import join_mask, masked_shape, real, split_mask
from funcnet.ranges import Ranges
from funcnet.shapes import Shape, Value, is_shape, shape_of
from funcnet.spec.base import register
from funcnet.spec.fields import frozen


@register("on_sequence")
@frozen
class OnSequence(Wrapper):
    """``(x, mask)`` to ``(layer(x), mask)``: a layer without mask support, in a network with masked sequences.

    The layer reads 0 at masked steps, MaxPool1D reads -infinity, and its outputs there become 0. So each sequence gets
    what it gets without padding. If a layer inside takes masks itself, such as BatchNorm, whose statistics leave
    padding out, the pair goes in as it is. A layer that is ``stepwise`` needs no OnSequence: a combinator puts it in
    one where it meets a pair. The layer's params have the path of the OnSequence itself.

    Input    (time, …), or the pair with a mask (time,); for a layer of several inputs a tuple of such pairs
    Output   the layer's output, with the mask if there was one; several masks are combined with "and"
    VJP      that of the layer, where the mask is true; the mask has none
    Raises   ShapeError for a layer that changes the number of steps of a masked sequence, or normalizes over them; for
             one inside that looks at other steps after other layers, whose outputs at masked steps it would read
    """

    stepwise = True

    def wire(self, in_shape: Shape) -> tuple[dict[str, Shape], Shape]:
        if is_shape(in_shape):
            return {"": in_shape}, out_shape_child("", self.layer, in_shape)
        if not masked_shape(in_shape) and not _pairs(in_shape):
            raise ShapeError(
                f"expected a sequence (time, …), or the pair of one and its mask (time,), got {in_shape}",
                layer="OnSequence",
            )
        mask = in_shape[1] if masked_shape(in_shape) else in_shape[0][1]
        inside = in_shape if _takes_mask(self.layer, in_shape) else _sequences(in_shape)
        if inside is not in_shape:
            _check_statistics(self.layer, inside)
            _check_neighbours(self.layer)
        y = out_shape_child("", self.layer, inside)
        kept = y[0] if inside is in_shape and masked_shape(y) else y
        if not is_shape(kept) or kept[:1] != mask:
            raise ShapeError(
                f"expected the layer to keep the {mask[0]} steps of the mask, got {y}; "
                "pool or cut the sequence with a layer that takes the mask",
                layer="OnSequence",
            )
        return {"": inside}, (kept, mask)

    def in_kinds(self, in_shape: Shape) -> Any:
        shapes, _ = self.wire(in_shape)
        inner = self.layer.in_kinds(shapes[""])
        if shapes[""] == in_shape:
            return inner
        return (inner, "b") if masked_shape(in_shape) else tuple((kind, "b") for kind in inner)

    def out_range(self, given: Ranges) -> Ranges:
        return (range_of(self.layer, given[0]), None) if type(given) is tuple else range_of(self.layer, given)

    def apply(self, params: Params, state: State, x: Value, ctx: Context) -> tuple[Value, State, Any]:
        x, mask, inputs = self.unmasked(x)
        y, state, residuals = apply_child("", self.layer, params, state, x, ctx)
        return join_mask(real(y, mask), mask), state, Lifted(residuals, mask, inputs)

    def unmasked(self, x: Value) -> tuple[Value, Any, int | None]:
        """The layer's input, the mask that it does not take, and the number of sequences in a tuple."""
        shape = shape_of(x)
        if is_shape(shape) or not (masked_shape(shape) or _pairs(shape)):
            return x, None, None
        if masked_shape(shape):
            values, mask = split_mask(self, x)
            if _takes_mask(self.layer, shape):
                return x, None, None
            return real(values, mask, -math.inf if _pools_maxima(self.layer) else 0.0), mask, None
        pairs = [split_mask(self, pair) for pair in x]
        every: Any = pairs[0][1]
        for _, other in pairs[1:]:
            every = every & other
        return tuple(real(values, every) for values, _ in pairs), every, len(pairs)

    def vjp(self, params: Params, residuals: Any, dy: Value) -> tuple[Params, Value]:
        residuals, mask, inputs = residuals
        if mask is None:
            return vjp_child("", self.layer, params, residuals, dy)
        dy = dy[0]
        dparams, dx = vjp_child("", self.layer, params, residuals, None if dy is None else real(dy, mask))
        dx = tree.map(lambda part: None if part is None else real(part, mask), dx)
        if inputs is None:
            return dparams, (dx, None)
        return dparams, tuple((part, None) for part in (dx if dx is not None else (None,) * inputs))


def lifted(layer: Layer, method: str, given: Any) -> Layer:
    """The layer in an OnSequence if it acts on each step alone, takes no mask, and is given a padded sequence.

    ``given`` is the input, its shape, or for ``vjp`` the residuals.
    """
    if isinstance(layer, Combinator) or type(layer).in_kinds is not Layer.in_kinds:
        return layer
    if method == "vjp":
        return OnSequence(layer) if type(given) is Lifted else layer
    shape = shape_of(given) if method == "apply" else given
    return OnSequence(layer) if _acts_on_steps(layer, shape) else layer


def _check_statistics(layer: Layer, shape: Shape) -> None:
    """Refuse a normalization over all steps of a sequence, which would count padded ones."""
    if isinstance(layer, Combinator):
        shapes = layer.in_shapes(shape)
        for name, child in layer.children.items():
            _check_statistics(child, shapes[name])
    elif isinstance(layer, Normalization) and is_shape(shape) and layer.mixes_steps(shape):
        raise ShapeError(
            "normalizes over all steps of a sequence, padded ones too; normalize each step, with LayerNorm or "
            "RMSNorm, or all real steps of the batch, with BatchNorm",
            layer=type(layer).__name__,
        )


def _check_neighbours(layer: Layer, first: bool = True, alone: bool = True) -> None:
    """Refuse a layer inside that looks at other steps, but not at the sequence itself, which is 0 in padding.

    ``first`` says whether the layer reads the sequence itself, ``alone`` whether there are only wrappers around it.
    """
    if isinstance(layer, Combinator):
        several = isinstance(layer, Repeat) and layer.times > 1
        same_input = isinstance(layer, Branch | Parallel | Residual | Wrapper)
        for i, child in enumerate(layer.children.values()):
            _check_neighbours(
                child, first and not several and (same_input or i == 0), alone and isinstance(layer, Wrapper)
            )
    elif isinstance(layer, AveragePool) and not layer.count_padding:
        raise ShapeError(
            "counts the padded steps of a sequence as entries of its windows; give count_padding=True",
            layer=type(layer).__name__,
        )
    elif not layer.stepwise and not (alone if isinstance(layer, MaxPool) else first):
        name = type(layer).__name__
        raise ShapeError(
            f"looks at other steps, so it must know itself which are padded; write OnSequence({name}(…)) in its place, "
            "and leave the outer OnSequence out",
            layer=name,
        )


def _pools_maxima(layer: Layer) -> bool:
    """Whether a layer is MaxPool, or wrappers around one."""
    while isinstance(layer, Wrapper):
        layer = layer.layer
    return isinstance(layer, MaxPool)


def _acts_on_steps(layer: Layer, in_shape: Shape) -> bool:
    """Whether a shape is of padded sequences, and the layer takes them without their masks."""
    if not masked_shape(in_shape) and not _pairs(in_shape):
        return False
    inside = _sequences(in_shape)
    if min(map(len, (inside,) if is_shape(inside) else inside)) < 2:
        return False  # two vectors, rather than a sequence and its mask
    try:
        y = layer.out_shape(inside)
    except Exception:  # a layer of several inputs, which refuses one
        return False
    return is_shape(y) and y[:1] == (in_shape[1] if masked_shape(in_shape) else in_shape[0][1])


def _pairs(in_shape: Shape) -> bool:
    """Whether a shape is of several sequences with masks of one length."""
    pairs = type(in_shape) is tuple and len(in_shape) > 0 and all(map(masked_shape, in_shape))
    return pairs and len({pair[1] for pair in in_shape}) == 1


def _sequences(in_shape: Shape) -> Shape:
    """The shape without masks."""
    return in_shape[0] if masked_shape(in_shape) else tuple(pair[0] for pair in in_shape)


def _takes_mask(layer: Layer, in_shape: Shape) -> bool:
    """Whether a layer, or a layer inside it, takes the mask of a padded sequence itself, as its ``in_kinds`` says."""
    if isinstance(layer, Combinator):
        return any(_takes_mask(child, in_shape) for child in layer.children.values())
    if type(layer).in_kinds is Layer.in_kinds or not masked_shape(in_shape):
        return False
    try:
        kinds = layer.in_kinds(in_shape)
    except Exception:  # it takes another number of inputs
        return False
    return isinstance(kinds, tuple) and len(kinds) == 2 and kinds[1] == "b"
