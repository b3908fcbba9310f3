"""User input: checked once per shape, cast to the params' dtype, and copied in results.

These functions keep raw NumPy messages from reaching a user.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from funcnet import ops, tree
from funcnet.data.lazy_array import Stream
from funcnet.errors import DataError, FuncnetError, Problem, ShapeError, SpecError
from funcnet.key import Array, Key
from funcnet.layers.base import Layer, Params, State, reach
from funcnet.layers.misfit import mismatches
from funcnet.losses.base import Loss
from funcnet.metrics import Metric
from funcnet.optim.base import Optimizer
from funcnet.shapes import Shape, Value, is_shape, numeric, shape_of
from funcnet.spec.base import Spec
from funcnet.spec.decode import decode_value

S = TypeVar("S", bound=Spec)


def instance(value: Any, kind: type | tuple[type, ...], what: str, example: str) -> None:
    """Refuse an argument of the wrong kind, a class in place of its instance, or a name in place of a spec.

    Raises   FuncnetError with an example of the right one
    """
    if not isinstance(value, kind):
        got = f"the class {value.__name__}" if isinstance(value, type) else f"{value!r:.60}"
        raise FuncnetError(f"expected {what}, such as {example}, got {got}")


def whole_number(value: Any, least: int, what: str) -> int:
    """An integer of at least ``least``, not a float or a boolean.

    Raises   DataError
    """
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < least:
        raise DataError(f"expected {what}, got {value!r}")
    return int(value)


def as_spec(value: Any, base: type[S], what: str, example: str) -> S:
    """A spec itself, or the one that a tag or a JSON node names.

    Raises   SpecError for an unknown tag; FuncnetError for anything else
    """
    if isinstance(value, str) or (isinstance(value, Mapping) and "type" in value):
        problems: list[Problem] = []
        value = decode_value(base, value, "", problems)
        if problems:
            raise SpecError(problems, root=base.kind)
    instance(value, base, what, example)
    found: S = value
    return found


def as_loss(value: Any) -> Loss:
    """A loss, or the one of a tag."""
    return as_spec(value, Loss, "a loss", "fn.losses.MeanSquaredError()")


def as_optimizer(value: Any) -> Optimizer:
    """An optimizer, or the one of a tag."""
    return as_spec(value, Optimizer, "an optimizer", "fn.optim.Adam()")


def as_metrics(values: Any) -> list[Metric]:
    """Metrics, or those of tags; one alone is a list of one."""
    several = [values] if isinstance(values, str | Metric) else values
    instance(several, Sequence, "a list of metrics", "[fn.metrics.Accuracy()]")
    return [as_spec(value, Metric, "a metric", "fn.metrics.Accuracy()") for value in several]


def as_key(value: Any) -> Key:
    """A key, or that of a seed."""
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return Key(int(value))
    instance(value, Key, "a key", "fn.Key(0)")
    found: Key = value
    return found


def dtype_of(params: Params, state: State | None = None) -> np.dtype[Any] | None:
    """The common float type of params and state; None for a network without floats, which does not cast inputs.

    Raises   ShapeError for several float types, or for params that are not floats
    """
    flat = tree.flatten(params)
    floats = {path: ops.array(leaf).dtype for path, leaf in flat.items()}
    if state is not None and not isinstance(state, dict):
        got = f"an array of shape {state.shape}" if isinstance(state, np.ndarray) else f"{state!r:.60}"
        raise FuncnetError(f"expected the state, a dict, after the params, got {got}; the order is params, state, x")
    wide = {path: ops.array(leaf).dtype for path, leaf in tree.flatten(state or {}).items()}
    floats |= {path: dtype for path, dtype in wide.items() if dtype.kind == "f"}
    if len(set(floats.values())) > 1 or any(dtype.kind != "f" for dtype in floats.values()):
        what = "params" if set(floats) <= set(flat) else "params and state"
        found = ", ".join(sorted(f"{path} {dtype}" for path, dtype in floats.items()))
        raise ShapeError(f"expected {what} of one float type, got {found}; convert them with tree.map")
    return next(iter(floats.values()), None)


def cast(value: Value, dtype: npt.DTypeLike | None, name: str = "") -> Value:
    """The arrays of a value, with floats in the params' dtype; integers, booleans and streams stay unchanged.

    Raises   DataError for a leaf that is not an array of real numbers, with the value's ``name``
    """

    def one(leaf: Any) -> Any:
        if isinstance(leaf, Stream):
            return leaf
        array = numeric(leaf, name)
        return array if dtype is None or array.dtype.kind != "f" else array.astype(dtype, copy=False)

    with ops.quiet():  # a number too large becomes infinite
        return tree.map(one, value)


def cast_weight(weight: Any, dtype: npt.DTypeLike) -> Array:
    """Sample weights as floats.

    Raises   DataError for weights that all become 0 in a narrower type, or one that becomes infinite
    """
    given, limits = numeric(weight), np.finfo(dtype)
    if isinstance(given, np.ndarray) and given.size and given.dtype.itemsize > limits.dtype.itemsize:
        largest, low, high = float(np.abs(given).max()), float(limits.tiny), float(limits.max)
        if math.isfinite(largest) and largest > 0.0 and not low <= largest <= high:
            raise DataError(
                f"expected weights that {limits.dtype} can hold, {low:.0e} to {high:.0e}, got "
                f"{largest:.3g} as the largest; divide them by their mean"
            )
    return given.astype(dtype, copy=False)


def check_network(net: Layer, params: Params, state: State, x: Value) -> None:
    """Check that params, state and a batch of inputs fit the network and one another.

    Raises   ShapeError naming every leaf that does not fit
    """
    in_shape = shape_of(x)
    unbatched = tree.map(np.shape, x)
    try:
        if any(leaf.ndim == 0 for leaf in tree.leaves(x)):
            raise ShapeError(f"expected a batch of samples, got a single number; wrap it: np.array([[{x}]])")
        if len({len(leaf) for leaf in tree.leaves(x)}) != 1:
            counts = ", ".join(str(len(leaf)) for leaf in tree.leaves(x)) or "none"
            raise ShapeError(
                f"expected inputs with equal numbers of rows, got {counts}; give each of them the whole batch"
            )
        reach("", net, "out_shape", in_shape)
        problems = mismatches(reach("", net, "leaves", in_shape), params, state)
    except FuncnetError:
        _explain_input(net, params, state, in_shape, unbatched)
        raise
    if problems:
        _explain_input(net, params, state, in_shape, unbatched)
        raise ShapeError(
            f"params and state do not fit the network for inputs of shape {in_shape}:\n  "
            + "\n  ".join(problems)
            + "\ngive inputs of the shape that the params were initialised for, or the params of this network"
        )


def _fits(net: Layer, params: Params, state: State, in_shape: Shape) -> bool:
    try:
        reach("", net, "out_shape", in_shape)
        return not mismatches(reach("", net, "leaves", in_shape), params, state)
    except FuncnetError:
        return False


def _explain_input(net: Layer, params: Params, state: State, in_shape: Shape, unbatched: Shape) -> None:
    """Raise a plainer error if only the input is wrong: one sample without a batch axis, or another width."""
    if _fits(net, params, state, unbatched):
        raise ShapeError(
            f"expected a batch of samples, got one sample of shape {unbatched}; "
            "give it a batch axis: x[None] (and y[None])"
        ) from None
    if is_shape(in_shape) and in_shape:
        for width in sorted({length for leaf in tree.leaves(params) for length in np.shape(leaf)}):
            fitting = (*in_shape[:-1], width)
            if _fits(net, params, state, fitting):
                raise ShapeError(
                    f"expected inputs of shape {fitting}, which the params were made for, got {in_shape}; "
                    "give the same features as in training"
                ) from None


def signature(*values: Any) -> tuple[Any, ...]:
    """Structure, shapes (without the batch axis for the first value) and dtypes, to recognise checked arguments."""
    x, *rest = values
    return (_form(x, 1), *(_form(value, 0) for value in rest))


def _form(value: Any, skip: int) -> Any:
    if isinstance(value, dict):
        return tuple((name, _form(inner, skip)) for name, inner in value.items())
    if isinstance(value, tuple):
        return tuple(_form(inner, skip) for inner in value)
    return value.ndim, value.shape[skip:], value.dtype.char


def owned(value: Value, *others: Value) -> Value:
    """A value that shares no memory: views, repeated arrays and arrays of ``others`` are copied."""
    held = {ops.identity(leaf) for other in others for leaf in tree.leaves(other)}

    def one(leaf: Any) -> Any:
        if not isinstance(leaf, np.ndarray):
            return leaf
        if ops.is_view(leaf) or ops.identity(leaf) in held:
            leaf = leaf.copy()
        held.add(ops.identity(leaf))
        return leaf

    return tree.map(one, value)


def check_rows(x: Value, y: Value, weight: Array | None) -> None:
    """Refuse inputs, targets and weights that differ in their number of rows."""
    counts = {len(leaf) if leaf.ndim else 0 for value in (x, y, weight) for leaf in tree.leaves(value)}
    if len(counts) > 1:
        raise ShapeError(
            f"expected as many targets (and weights) as inputs, got {len(tree.leaves(x)[0])} inputs "
            f"and {', '.join(str(np.shape(leaf)) for leaf in tree.leaves((y, weight)))}; pair them row by row"
        )


def gives_batches(data: Any) -> bool:
    """Whether data gives batches, rather than being arrays: an iterable, a function, or a list of tuples.

    Arrays, streams and tables have a shape or an ``__array__``; tuples and dicts are nests of arrays.
    """
    if isinstance(data, list):
        return len(data) > 0 and all(isinstance(batch, tuple) for batch in data)
    if isinstance(data, tuple | Mapping | str | bytes | type | Stream) or hasattr(data, "__array__"):
        return False
    return isinstance(data, Iterable | functools.partial) or inspect.isroutine(data)


def unpack(batch: tuple[Any, ...]) -> tuple[Value, Value, Array | None]:
    """``(x, y, weight)`` of a batch or data set given as ``(x, y)`` or ``(x, y, weight)``.

    Raises   ShapeError for anything else
    """
    if not isinstance(batch, tuple) or len(batch) not in (2, 3):
        size = f" of {len(batch)}" if isinstance(batch, tuple) else ""
        advice = ""
        if isinstance(batch, np.ndarray):
            advice = "; write (x, y), the inputs and the targets"
        elif isinstance(batch, list) and len(batch) in (2, 3):
            advice = "; write (x, y) in place of [x, y]"
        elif _is_table(batch):
            advice = "; a table goes to fn.run(experiment, data=table), or through fn.data.prepare to arrays"
        elif hasattr(batch, "__iter__") and not isinstance(batch, tuple | str | dict):
            advice = "; only the training data of fn.fit may be an iterable of batches"
        elif isinstance(batch, str):
            advice = "; a file of rows is trained by an experiment: funcnet init FILE writes one"
        raise ShapeError(
            f"expected data as a tuple (x, y) or (x, y, weight), got a {type(batch).__name__}{size}{advice}"
        )
    x, y, weight = batch if len(batch) == 3 else (*batch, None)
    return x, y, weight


def _is_table(value: Any) -> bool:
    """Whether data seems to be a table: a dict of columns, a list of dicts, or a data frame."""
    rows = isinstance(value, list) and len(value) > 0 and isinstance(value[0], Mapping)
    return rows or isinstance(value, Mapping) or hasattr(type(value), "columns") or hasattr(type(value), "column_names")


def finite(array: Array) -> bool:
    """Whether every entry is finite; integers always are."""
    array = np.asarray(array)
    if array.dtype.kind != "f" or math.isfinite(float(np.vdot(array, array))):
        return True
    return bool(np.isfinite(array).all())  # the sum of squares may overflow while every entry is finite


def all_finite(value: Value) -> bool:
    """Whether every entry of every array is finite."""
    return all(map(finite, tree.leaves(value)))
