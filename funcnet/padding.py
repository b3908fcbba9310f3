"""Padded sequences as inputs: lists of sequences of different lengths, and the mask of a network's output."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcnet import tree
from funcnet.data.lazy_array import Stream
from funcnet.errors import DataError, FuncnetError, ShapeError
from funcnet.key import Array
from funcnet.layers.base import Layer, reach
from funcnet.layers.sequence import mask_of, masked_shape, real
from funcnet.losses.base import Loss, weighted
from funcnet.losses.combined import Multi
from funcnet.shapes import Shape, Value, shape_of


def padded(net: Layer, x: Value) -> Value:
    """Inputs whose lists of sequences of different lengths are padded to the longest and paired with masks.

    They stay as they are if the network does not take masks.

    >>> from funcnet.padding import padded
    >>> x, mask = padded(fn.serial(fn.Embedding(9, 2), fn.LSTM(3)), [[1, 2, 3], [4]])
    >>> x.tolist(), mask.tolist()
    ([[1, 2, 3], [4, 0, 0]], [[True, True, True], [True, False, False]])
    """
    given = _padded(x)
    if given is x or _out_shape(net, given) is None:
        return x
    return given


def padded_targets(net: Layer, x: Value, y: Value) -> Value:
    """Targets for each step: a list of different lengths is padded and paired with its mask, as the output is.

    Raises   DataError for targets and sequences of different lengths
    """
    given: Any = _padded(y)
    if given is y or not _gives_masks(_out_shape(net, x)):
        return y
    for mask in _masks(x):
        counts, wanted = given[1].sum(axis=1), mask.sum(axis=1)
        if len(counts) == len(wanted) and np.any(counts != wanted):
            row = int(np.flatnonzero(counts != wanted)[0])
            raise DataError(
                f"expected a target for each of the {wanted[row]} steps of row {row}, got {counts[row]}; "
                "give lists of equal lengths"
            )
    return given


def output_masks(net: Layer, x: Value) -> list[Array]:
    """The masks of the input that may be that of the output, by their length; none for an output without a mask."""
    masks = _masks(x)
    out_shape = _out_shape(net, x) if masks else None
    if out_shape is None or not _gives_masks(out_shape):
        return []
    return [mask for mask in masks if mask.shape[1:] == out_shape[1]]


def step_weights(net: Layer, loss: Loss, x: Value, y: Value, weight: Array | None) -> Array | None:
    """The weight of each step, 0 in padding, where the network's output has a mask and the loss takes weights.

    The divisor of a batch's parts needs it, since the loss of a part sees only the part's mask.
    Raises   ShapeError if several masks of the input may be that of the output
    """
    masks = output_masks(net, x) if loss.weighted and not isinstance(y, tuple | dict) else []
    if not masks or y.shape[:2] != masks[0].shape:
        return weight
    if len(masks) > 1:
        raise _several(masks)
    found: Array = masks[0].astype(np.float64) if weight is None else weighted(weight, masks[0])
    return found


def paired_targets(net: Layer, loss: Loss, x: Value, y: Value) -> Value:
    """The targets of several outputs, each with the mask of its output if that has one and the target has none.

    The divisors of a batch's parts need the masks, as they need ``step_weights`` for one output.
    Raises   ShapeError if several masks of the input may be that of an output
    """
    masks = _masks(x) if isinstance(loss, Multi) and isinstance(y, tuple) else []
    shapes = _out_shape(net, x) if masks else None
    if type(shapes) is not tuple or len(shapes) != len(y):
        return y
    return tuple(
        target if isinstance(target, tuple | dict) else _with_mask(target, shape, masks)
        for target, shape in zip(y, shapes, strict=True)
    )


def _with_mask(target: Array, out_shape: Shape, masks: list[Array]) -> Value:
    """A target with the mask of an output of this shape; the target alone if the output has none."""
    fitting = [mask for mask in masks if mask.shape == target.shape[:2]] if _gives_masks(out_shape) else []
    if len(fitting) > 1:
        raise _several(fitting)
    return (target, fitting[0]) if fitting and fitting[0].shape[1:] == out_shape[1] else target


def _several(masks: list[Array]) -> ShapeError:
    return ShapeError(
        f"cannot tell which of {len(masks)} masks belongs to the targets; give the targets with theirs, (y, mask)"
    )


def with_input_mask(x: Value, output: Value) -> Value:
    """A padded output with the mask of the input that has its length; any other output as it is."""
    if not masked_shape(shape_of(output)):
        return output
    own = np.ones(output[1].shape, np.bool_)
    return output[0], next((mask for mask in _masks(x) if mask.shape == own.shape), own)


def without_padding(value: Value) -> Value:
    """A value with 0 in place of what padding holds."""
    mask = None if _in_files(value) else mask_of(value)
    if mask is not None:
        return real(value[0], mask), mask
    if isinstance(value, dict):
        return {name: without_padding(part) for name, part in value.items()}
    return tuple(map(without_padding, value)) if isinstance(value, tuple) else value


def compared_shape(loss: Loss, out_shape: Shape) -> Shape:
    """The shape of what a loss compares with its target: a network's output, without its mask for a loss with weights.

    The outputs of a Multi are several, whatever their shapes.
    """
    parted = loss.weighted and not isinstance(loss, Multi) and _gives_masks(out_shape)
    return out_shape[0] if parted else out_shape


def _in_files(value: Value) -> bool:
    """Whether a part of a pair is a stream, whose padding is not known before it is read."""
    return isinstance(value, tuple) and any(isinstance(part, Stream) for part in value)


def _gives_masks(out_shape: Shape) -> bool:
    return masked_shape(out_shape) and len(out_shape[0]) > 1


def _out_shape(net: Layer, x: Value) -> Shape:
    """The shape of the output; None for an input that the network does not take."""
    try:
        return reach("", net, "out_shape", shape_of(x))
    except (FuncnetError, AttributeError):  # what is not yet an array has no shape
        return None


def _masks(x: Value) -> list[Array]:
    """The masks of the padded sequences in a value."""
    known = all(hasattr(leaf, "shape") for leaf in tree.leaves(x)) and not _in_files(x)
    mask = mask_of(x) if known else None
    if mask is not None:
        return [mask]
    parts = x.values() if isinstance(x, dict) else x if isinstance(x, tuple) else ()
    return [mask for part in parts for mask in _masks(part)]


def _padded(value: Any) -> Any:
    """A value with each ragged list as the pair of an array and its mask; the value itself without one."""
    if isinstance(value, dict | tuple):
        parts = list(value.values() if isinstance(value, dict) else value)
        new = [_padded(part) for part in parts]
        if all(a is b for a, b in zip(parts, new, strict=True)):
            return value
        return dict(zip(value, new, strict=True)) if isinstance(value, dict) else tuple(new)
    rows = _ragged(value)
    if rows is None:
        return value
    lengths = np.array([len(row) for row in rows])
    longest = max(rows, key=len)
    dtype = np.result_type(*(row for row in rows if len(row)))
    x = np.zeros((len(rows), len(longest), *longest.shape[1:]), dtype)
    for i, row in enumerate(rows):
        x[i, : len(row)] = row.reshape(len(row), *longest.shape[1:])
    return x, np.arange(len(longest)) < lengths[:, None]


def _ragged(value: Any) -> list[Array] | None:
    """The sequences of a list of different lengths; None for anything else."""
    if isinstance(value, np.ndarray) and value.dtype == object and value.ndim == 1:
        value = list(value)
    if not isinstance(value, list) or not all(isinstance(row, list | tuple | np.ndarray) for row in value):
        return None
    if len({len(row) if not isinstance(row, np.ndarray) or row.ndim else -1 for row in value}) < 2:
        return None
    try:
        rows = [np.asarray(row) for row in value]
    except ValueError:
        return None
    full = [row for row in rows if row.size]
    fits = all(row.ndim > 0 and row.shape[1:] == full[0].shape[1:] and row.dtype.kind in "fiub" for row in full)
    fits = fits and all(row.size or not len(row) for row in rows)
    return rows if full and fits else None
