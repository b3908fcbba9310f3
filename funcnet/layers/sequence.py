"""Sequences ``(time, features)`` of one length, or padded to one length and paired with a mask.

A padded batch is the pair ``(x, mask)``, ``x`` (batch, time, features) and ``mask`` (batch, time), True where
real. Layers on sequences accept both forms and return the form they were given. Padded entries may hold anything, NaN
and infinity included: a layer reads them as 0, outputs 0 there, and neither takes nor gives a cotangent there.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from funcnet.errors import ShapeError
from funcnet.key import Array
from funcnet.layers.base import Context, Layer, Params, State
from funcnet.ranges import Range, Ranges, joined
from funcnet.shapes import Shape, Value, floating, is_shape, shape_of
from funcnet.spec.base import register
from funcnet.spec.fields import frozen


def sequence_shape(layer: Layer, in_shape: Shape, axes: int = 2) -> tuple[tuple[int, ...], bool]:
    """The shape of a sequence without its mask, and whether it has one.

    Raises   ShapeError for a shape other than ``(time, features)`` or its pair with ``(time,)``
    """
    masked = isinstance(in_shape, tuple) and not is_shape(in_shape)
    shape = in_shape[0] if masked else in_shape
    form = "(time, features)" if axes == 2 else "(time,)"
    if not (isinstance(shape, tuple) and is_shape(shape)) or len(shape) != axes or 0 in shape:
        raise ShapeError(
            f"expected sequences of shape {form}, or the pair of one and its mask, got {in_shape}",
            layer=type(layer).__name__,
        )
    if masked and (len(in_shape) != 2 or in_shape[1] != shape[:1]):
        raise ShapeError(
            f"expected the pair of sequences {shape} and a mask {shape[:1]}, True where real, got {in_shape}; "
            "give the mask as (batch, time)",
            layer=type(layer).__name__,
        )
    return shape, masked


def masked_shape(in_shape: Shape) -> bool:
    """Whether a shape is the pair of a sequence's ``(time, …)`` and its mask's ``(time,)``."""
    pair = type(in_shape) is tuple and len(in_shape) == 2 and is_shape(in_shape[0]) and is_shape(in_shape[1])
    return pair and len(in_shape[0]) > 0 and in_shape[1] == in_shape[0][:1]


def split_mask(layer: Layer, x: Value) -> tuple[Array, Array | None]:
    """``(x, mask)`` of either form; the mask is None for a sequence without one.

    Raises   ShapeError for a mask that is not boolean
    """
    if not isinstance(x, tuple):
        return x, None
    values, mask = x
    if mask.dtype != np.bool_:
        raise ShapeError(
            f"expected a boolean mask, True where real, got {mask.dtype}; give booleans",
            layer=type(layer).__name__,
        )
    return values, mask


def real(x: Any, mask: Any, fill: float = 0.0) -> Any:
    """``x`` with its padded entries set to ``fill``; without a mask ``x`` itself.

    It selects, since a product with the mask would keep NaN and infinity.
    """
    if mask is None:
        return x
    return np.where(mask.reshape(*mask.shape, *(1,) * (x.ndim - mask.ndim)), x, fill if x.dtype.kind == "f" else 0)


def join_mask(y: Any, mask: Any) -> Value:
    """``(y, mask)``, or ``y`` if the mask is None: the inverse of ``split_mask``."""
    return y if mask is None else (y, mask)


def mask_of(x: Value) -> Any:
    """The mask of a padded sequence; None for any other value."""
    if type(x) is not tuple or not masked_shape(shape_of(x)) or x[1].dtype != np.bool_:
        return None
    return x[1]


def cotangent_of(dy: Value) -> Any:
    """The cotangent of a sequence; its mask has none."""
    return dy[0] if isinstance(dy, tuple) else dy


def kinds_of_sequence(in_shape: Shape, kind: str = "f") -> Any:
    """The kinds of a sequence, or of the pair of a sequence and its mask."""
    return kind if is_shape(in_shape) else (kind, "b")


@register("sequence_pool")
@frozen
class SequencePool(Layer):
    """One vector per sequence: its last real step, or the mean or maximum over the real steps.

    Input    (time, n), or the pair with a mask (time,)
    Output   (n,); zeros for a sequence without real steps
    VJP      dy at the last real step; or dy / count at every real step; or dy at the first maximum of each feature
    """

    by: Literal["last", "mean", "max"] = "mean"

    def in_kinds(self, in_shape: Shape) -> Any:
        return kinds_of_sequence(in_shape)

    def out_shape(self, in_shape: Shape) -> Shape:
        return sequence_shape(self, in_shape)[0][1:]

    def out_range(self, given: Ranges) -> Ranges:
        return joined(given, Range(0.0, 0.0))  # of a sequence without real steps

    def apply(self, params: Params, state: State, x: Value, ctx: Context) -> tuple[Value, State, Any]:
        x, mask = split_mask(self, x)
        time = floating(self, x).shape[1]
        real = np.ones_like(x[:, :, :1]) if mask is None else np.expand_dims(mask, -1).astype(x.dtype)
        if self.by == "mean":
            share = real / np.maximum(np.sum(real, axis=1, keepdims=True), 1.0)
        elif self.by == "last":
            after = np.cumsum(real[:, ::-1], axis=1)[:, ::-1]  # the number of real steps from here on
            share = real * (after == 1.0)
        else:
            seen = x if mask is None else np.where(real > 0.0, x, -np.inf)
            steps = np.reshape(np.arange(time), (1, time, 1))
            share = real * (steps == np.expand_dims(np.argmax(seen, axis=1), 1))
        return np.sum(np.where(share > 0.0, x, 0.0) * share, axis=1), state, (share, mask is not None)

    def vjp(self, params: Params, residuals: Any, dy: Value) -> tuple[Params, Value]:
        share, masked = residuals
        dx = share * np.expand_dims(dy, 1)
        return {}, (dx, None) if masked else dx
