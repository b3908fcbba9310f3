"""Shapes of values (an array, or a tuple or dict of values), and checks of a layer's input."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from funcnet import ops
from funcnet.errors import DataError, ShapeError
from funcnet.key import Array

Shape = Any
"""A tuple of integers, or a tuple or dict of shapes."""
Value = Any
"""An array, or a tuple or dict of values; ``None`` is the cotangent of an input without one."""
Output: TypeAlias = Array | tuple["Output", ...] | dict[str, "Output"]
"""The output of a network: an array, or a tuple or dict of outputs"""

ROWS = 32
"""The rows of a batch where none are given"""


def is_shape(shape: Shape) -> bool:
    """Whether this is the shape of one array, rather than a nest of shapes."""
    return isinstance(shape, tuple) and all(isinstance(n, int) for n in shape)


def _is_nest(shape: Shape) -> bool:
    return isinstance(shape, tuple) and all(isinstance(inner, tuple | dict) for inner in shape)


def shape_text(shape: Shape) -> str:
    """``28 x 28 x 1``, ``()`` for a single number, ``(3, 4 x 2)`` or ``{a: 3, b: 4 x 2}`` for a nest."""
    if isinstance(shape, dict):
        return "{" + ", ".join(f"{name}: {shape_text(inner)}" for name, inner in shape.items()) + "}"
    if is_shape(shape):
        return " x ".join(map(str, shape)) or "()"
    return "(" + ", ".join(map(shape_text, shape)) + ")"


def entries(shape: Shape) -> int:
    """The numbers in a value of a shape, or of a nest of shapes; 0 for anything else."""
    if isinstance(shape, dict):
        return sum(map(entries, shape.values()))
    if is_shape(shape):
        return math.prod(shape)
    return sum(map(entries, shape)) if isinstance(shape, tuple) else 0


def batched(shape: Shape, batch: int) -> Any:
    """A nest of shapes with the batch axis added to each."""
    if isinstance(shape, dict):
        return {name: batched(inner, batch) for name, inner in shape.items()}
    return (batch, *shape) if is_shape(shape) else tuple(batched(inner, batch) for inner in shape)


def zeros_of(shapes: Any, dtype: npt.DTypeLike) -> Value:
    """A value of zeros; ``shapes`` include the batch axis."""
    if isinstance(shapes, dict):
        return {name: zeros_of(shape, dtype) for name, shape in shapes.items()}
    return np.zeros(shapes, dtype) if is_shape(shapes) else tuple(zeros_of(shape, dtype) for shape in shapes)


def kinds_like(shape: Shape, kind: str) -> Any:
    """One kind for every array of a nest of shapes."""
    if isinstance(shape, dict):
        return {name: kinds_like(inner, kind) for name, inner in shape.items()}
    return kind if is_shape(shape) else tuple(kinds_like(inner, kind) for inner in shape)


def merged_kinds(a: Any, b: Any) -> Any:
    """The kinds of a value that goes into two layers: floats unless one of them takes another kind."""
    if isinstance(a, dict):
        return {name: merged_kinds(a[name], b[name]) for name in a}
    if isinstance(a, tuple):
        return tuple(merged_kinds(x, y) for x, y in zip(a, b, strict=True))
    return b if a == "f" else a


def shape_of(value: Value) -> Shape:
    """The shape of a value without the batch axis; ``None`` for an array without a batch axis."""
    if isinstance(value, dict):
        return {name: shape_of(inner) for name, inner in value.items()}
    if isinstance(value, tuple):
        return tuple(shape_of(inner) for inner in value)
    return value.shape[1:] if value.ndim else None


def array_shape(layer: object, in_shape: Shape, *, least_axes: int = 0) -> tuple[int, ...]:
    """``in_shape`` as the shape of one array with at least ``least_axes`` axes.

    Raises   ShapeError for a tuple or dict of inputs, or too few axes
    """
    if isinstance(in_shape, int | np.integer | list):
        raise ShapeError(f"expected a shape as a tuple, such as (784,), got {in_shape!r}", layer=type(layer).__name__)
    if not isinstance(in_shape, dict) and not is_shape(in_shape) and not _is_nest(in_shape):
        raise ShapeError(
            f"expected a shape of whole numbers without the batch axis, such as (784,), got {in_shape!r:.60}",
            layer=type(layer).__name__,
        )
    if not is_shape(in_shape):
        padded = isinstance(in_shape, tuple) and len(in_shape) == 2 and is_shape(in_shape[0])
        name, advice = type(layer).__name__, "combine them with Concat or Sum first"
        if padded and len(in_shape[0]) > 1 and in_shape[1] == in_shape[0][:1]:
            advice = f"for a sequence and its mask write OnSequence({name}(…)), or pool the sequence with SequencePool"
        raise ShapeError(f"expected one array, got the shapes {in_shape}; {advice}", layer=name)
    shape: tuple[int, ...] = in_shape
    if len(shape) < least_axes:
        raise ShapeError(
            f"expected an input with at least {least_axes} axis after the batch axis, got shape {shape}; "
            "give each sample an axis of features, also for a single one",
            layer=type(layer).__name__,
        )
    if any(n < 1 for n in shape):
        raise ShapeError(f"expected axes of length 1 or more, got shape {shape}", layer=type(layer).__name__)
    return shape


def tuple_shapes(layer: object, in_shape: Shape) -> tuple[Any, ...]:
    """``in_shape`` as a tuple of the shapes of several inputs.

    Raises   ShapeError for a single array
    """
    if is_shape(in_shape) or not isinstance(in_shape, tuple):
        raise ShapeError(
            f"expected a tuple of inputs, got one of shape {in_shape}; put a Branch before it, or pass a tuple",
            layer=type(layer).__name__,
        )
    shapes: tuple[Any, ...] = in_shape
    return shapes


def floating(layer: object, x: Array) -> Array:
    """``x`` itself, which must be floating-point.

    Raises   ShapeError for integers, booleans and objects, which NumPy would promote to float64
    """
    if x.dtype.kind != "f":
        raise ShapeError(
            f"expected floating-point input, got {x.dtype}; give floats, and scale pixels by 1 / 255",
            layer=type(layer).__name__,
        )
    return x


def integers(layer: object, x: Array) -> Array:
    """``x`` itself, which must be of integers.

    Raises   ShapeError for floats and booleans, which are not indices
    """
    if x.dtype.kind not in "iu":
        raise ShapeError(
            f"expected integer input, got {x.dtype}; give whole numbers of an integer type",
            layer=type(layer).__name__,
        )
    return x


def _not_numbers(data: Any, array: Array) -> str:
    """What an array holds in place of numbers, and what to do about it."""
    if hasattr(data, "toarray"):
        return f"a sparse {type(data).__name__}; make it dense, with its method toarray"
    if array.dtype.kind in "US":
        return f"{array.dtype}; number the texts, from 0 up, or convert them if they are numbers"
    if array.dtype == object and array.ndim == 0:
        return f"{data!r:.60}; give an array, or a list of numbers"
    return f"{array.dtype}; encode or convert it first"


def numeric(data: Any, name: str = "") -> Array:
    """An array of real numbers from anything array-like.

    Raises   DataError for ragged rows, text, objects, complex numbers and masked entries, with the array's ``name``
    """
    if isinstance(data, np.ma.MaskedArray) and np.ma.is_masked(data):
        raise DataError(
            f"expected an array without masked entries, got {int(np.sum(data.mask))} of them; fill them, or leave the "
            "rows out, or give these a weight of 0",
            layer=name,
        )
    try:
        array = ops.array(data)
    except ValueError:
        raise DataError(
            "expected rows of one length, got different ones; pad or cut them, or give several inputs as a tuple",
            layer=name,
        ) from None
    except (TypeError, RuntimeError) as error:  # such as a tensor of another library that needs gradients
        raise DataError(
            f"expected an array, got a {type(data).__name__} that cannot be read as one: {error}", layer=name
        ) from None
    if isinstance(data, Iterator):
        raise DataError(
            f"expected an array, got a {type(data).__name__}; give the rows themselves, such as list(rows)", layer=name
        )
    if array.dtype.kind not in "fiub":
        raise DataError(f"expected an array of real numbers, got {_not_numbers(data, array)}", layer=name)
    return array


def for_outputs(part: Array, shape: tuple[int, ...]) -> Any:
    """The shift or factor of each target for outputs of a shape, which may have several numbers for each target.

    These are in an axis after those of the targets, or follow one another in the last axis, as quantiles do.
    """
    if part.ndim == 0 or not shape:
        return part.reshape(-1)[0]
    if len(shape) > part.ndim:
        return part[..., None]
    return part if part.shape[-1] == shape[-1] else np.repeat(part, shape[-1] // part.shape[-1], axis=-1)
