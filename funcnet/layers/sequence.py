"""Sequences: ``(time, features)`` each, all of them real, or padded to one length beside a mask.

A padded sequence is the pair ``(x, mask)``, ``x`` (batch, time, features) and ``mask`` (batch, time), True where
real. Layers on sequences take either, and give back what they took: a pair for a pair.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from funcnet.errors import ShapeError
from funcnet.key import Array
from funcnet.layer import Layer, Shape, Value, is_shape


def sequence_shape(layer: Layer, in_shape: Shape, axes: int = 2) -> tuple[tuple[int, ...], bool]:
    """The shape of a sequence without its mask, and whether it has one.

    Raises   ShapeError for what is neither ``(time, features)`` nor the pair of that and ``(time,)``
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


def split_mask(layer: Layer, x: Value) -> tuple[Array, Array | None]:
    """``(x, mask)`` of either form; the mask is None where there is none.

    Raises   ShapeError for a mask that is not boolean
    """
    if not isinstance(x, tuple):
        return x, None
    values, mask = x
    if mask.dtype != np.bool_:
        raise ShapeError(
            f"expected a boolean mask, True where real, got {mask.dtype}; convert it, such as mask.astype(bool)",
            layer=type(layer).__name__,
        )
    return values, mask


def join_mask(y: Any, mask: Any) -> Value:
    """``(y, mask)``, or ``y`` alone where there is no mask: the form that ``split_mask`` took apart."""
    return y if mask is None else (y, mask)


def cotangent_of(dy: Value) -> Any:
    """The cotangent of a sequence without that of its mask, which has none."""
    return dy[0] if isinstance(dy, tuple) else dy
