"""NumPy's functions: handlers for those that layers use, and a list of others that may be recorded as calls.

A handler's parameters are the arguments that it supports, under NumPy's own names. A call with other arguments is
handled in general: a call of a function in ``PURE`` is recorded whole, and tried once on arrays of ones to learn the
shapes. All other functions are refused: they may depend on values, or write into an array.
"""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from funcnet.compiler import layout, standins, structure
from funcnet.compiler.graph import Struct
from funcnet.compiler.kinds import CAST, CONCAT, CONST, MATMUL, VIEW, WHERE
from funcnet.compiler.purity import on_objects
from funcnet.compiler.standins import TracedArray, TracedKey, TracedNumber, TracedObject, normal_axes
from funcnet.errors import TraceError
from funcnet.vmap import Members

if TYPE_CHECKING:
    from funcnet.compiler.tracer import Tracer


def call(tracer: Tracer, f: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Record a call of a function of NumPy."""
    given = arguments(f, args, kwargs)
    if (kwargs if given is None else given).get("out") is not None:
        tracer.refuse("writes into an array (out=)", "use the value that the function returns")
    if given is not None:
        handler = HANDLERS.get(f)
        if handler is not None and given.keys() <= understood(handler):
            found = handler(tracer, **given)
            if found is not UNUSUAL:
                return found
    if f in SHAPED and any(type(leaf) in standins.CLASSES for leaf in structure.leaves((args[1:], kwargs))):
        tracer.refuse(f"calls {name_of(f)} with counts or positions that depend on values", instead_of(f))
    deciding = (*args, *kwargs.values()) if given is None else [given[name] for name in given.keys() - OPERANDS]
    if any(map(holds_integer, deciding)):
        tracer.refuse(f"calls {name_of(f)} with a number that may decide the result's shape", instead_of(f))
    if f is np.nan_to_num and given is not None and given.get("copy", True) is not True:
        tracer.refuse("writes into an array (copy=False)", "use the value that the function returns")
    if f not in PURE:
        tracer.refuse(f"calls {name_of(f)}, whose result or its shape depends on values", instead_of(f))
    return sampled(tracer, f, args, kwargs, fresh=PURE[f])


OPERANDS = frozenset(
    (
        "a", "b", "x", "y", "z", "v", "m", "arr", "array", "arrays", "ary", "condition", "choicelist", "choices",
        "values", "weights", "q", "indices", "fill_value", "x1", "x2", "xp", "fp", "left", "right", "test_elements",
        "element", "default", "object", "nan", "posinf", "neginf", "prepend", "append", "to_begin", "to_end", "initial",
        "rtol", "atol", "A", "B", "dx", "p", "tup", "matrix", "a_min", "a_max", "min", "max", "bins",
    )
)  # fmt: skip
"""Parameters for operands; an unknown integer in any other parameter may decide a shape"""


def holds_integer(value: Any) -> bool:
    """Whether an argument contains an integer that is unknown until the plan runs."""
    return any(
        (type(leaf) is TracedNumber and leaf.node.dtype is not float)
        or (type(leaf) is TracedArray and leaf.shape == () and leaf.dtype.kind in "iub")
        for leaf in structure.leaves(value)
    )


UNUSUAL: Any = object()
"""Returned by a handler for arguments that it leaves to the general case"""


@cache
def parameters(f: Any) -> dict[str, Any] | None:
    """The parameters of a function and their defaults; None without a signature, or with ``*args``.

    Before NumPy 2.4 functions written in C, such as ``np.where``, have no signature; that of the handler stands for it.
    """
    known: Any
    try:
        known = inspect.signature(f).parameters.values()
    except (ValueError, TypeError):
        if f not in HANDLERS:
            return None
        known = list(inspect.signature(HANDLERS[f]).parameters.values())[1:]
    free = any(one.kind in (one.VAR_POSITIONAL, one.VAR_KEYWORD) for one in known) and f is not np.clip
    return None if free else {one.name: one.default for one in known if one.kind is not one.VAR_KEYWORD}


@cache
def understood(handler: Callable[..., Any]) -> frozenset[str]:
    """The arguments that a handler supports."""
    return frozenset(list(inspect.signature(handler).parameters)[1:])


def arguments(f: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any] | None:
    """Arguments by parameter name, without those equal to their defaults."""
    known = parameters(f)
    if known is None or len(args) > len(known) or not kwargs.keys() <= known.keys():
        return None
    bound = dict(zip(known, args, strict=False)) | kwargs
    for name, default in known.items():
        value = bound.get(name, default)
        if value is default or (value is None and name != "axis" and default is not inspect.Parameter.empty):
            bound.pop(name, None)
    return bound


def name_of(f: Any) -> str:
    """The name of a function in messages, such as ``np.unique``."""
    module = getattr(f, "__module__", None) or "numpy"
    name = getattr(f, "__qualname__", getattr(f, "__name__", repr(f)))
    return f"{module.replace('numpy', 'np', 1)}.{name}"


def instead_of(f: Any) -> str:
    """What to write instead of a function that cannot be recorded."""
    name = getattr(f, "__name__", "")
    if name in ("copyto", "put_along_axis", "putmask", "place", "put", "fill_diagonal"):
        return "make a new array, such as np.where(mask, a, b); for one-hot labels (labels[:, None] == np.arange(n))"
    if name in ("nonzero", "flatnonzero", "argwhere", "unique", "extract", "compress"):
        return "keep the shape, such as np.where(mask, a, b), or compute it before and pass it in"
    return "compute it outside and pass it in, or write it as a fn.ops.primitive"


# ----- ufuncs --------------------------------------------------------------------------------------------------


def call_ufunc(tracer: Tracer, f: Any, method: str, values: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Record a call of a ufunc, or of a method of one."""
    if any(type(value) is Members for value in values):
        return NotImplemented  # the arrays inside Members are recorded one level deeper
    kwargs = {name: value for name, value in kwargs.items() if value is not None or name == "axis"}
    if "out" in kwargs or method == "at":
        tracer.refuse("writes into an array", "use the value that the function returns")
    if on_objects(f):
        tracer.refuse(f"calls {f.__name__}, which works on objects", "use NumPy's functions on arrays of numbers")
    if method == "__call__" and f is np.matmul and not kwargs:
        return tracer.add(MATMUL.node(f, tuple(map(tracer.node, values)), tracer.place), scalar=True)
    whole = f in COMPARISONS and not all(map(fits_beside, values, values[::-1]))
    if method == "__call__" and f.nout == 1 and f.signature is None and len(values) == f.nin and not whole:
        dtype = kwargs.pop("dtype", None)
        if not kwargs:
            if dtype is not None:
                values = tuple(converted(value, np.dtype(dtype)) for value in values)
            return tracer.ufunc(f, *values)
        kwargs |= {} if dtype is None else {"dtype": dtype}
    if method == "reduce" and set(kwargs) <= {"axis", "dtype", "keepdims"} and len(values) == 1:
        return reduced(tracer, f, values[0], kwargs.get("axis", 0), kwargs.get("dtype"), kwargs.get("keepdims", False))
    return sampled(tracer, f if method == "__call__" else getattr(f, method), values, kwargs, fresh=True)


COMPARISONS = frozenset((np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal))
"""Ufuncs that accept integers out of the range of an integer array's dtype"""


def fits_beside(number: Any, array: Any) -> bool:
    """Whether an operand is within the range of the other, if that is an integer array."""
    if type(array) is not TracedArray or array.dtype.kind not in "iu":
        return True
    if type(number) is TracedNumber:
        return number.node.dtype is float or array.dtype == np.int64
    return type(number) is not int or np.iinfo(array.dtype).min <= number <= np.iinfo(array.dtype).max


def converted(value: Any, dtype: Any) -> Any:
    """An operand of a ufunc with a ``dtype`` argument, cast to that dtype."""
    return value.astype(dtype, copy=False) if type(value) is TracedArray else np.asarray(value).astype(dtype)


def reduced(tracer: Tracer, f: Any, a: Any, axis: Any, dtype: Any, keepdims: Any) -> Any:
    """``f.reduce``"""
    ndim = len(tracer.node(a).shape)
    nothing = axis is None or (not ndim and axis in (0, -1))  # axes that NumPy accepts for an array of shape ()
    axes = None if nothing else tuple(sorted(normal_axes(axis, ndim)))
    dtype = None if dtype is None else np.dtype(dtype)
    return tracer.reduce(f, a, axes, bool(keepdims), dtype)


# ----- the general case ------------------------------------------------------------------------------------------


def sampled(
    tracer: Tracer, f: Any, args: tuple[Any, ...], kwargs: dict[str, Any], fresh: bool, numbers: bool = False
) -> Any:
    """Record a call whose result's shape depends on shapes only, found by a call on arrays of ones.

    ``fresh`` says that the result shares no memory with the arguments; ``numbers`` that it may hold Python numbers.
    """
    known = True

    def sample(leaf: Any) -> Any:
        nonlocal known
        kind = type(leaf)
        if kind is TracedArray:
            known = known and leaf.node.strides is not None
            value = 0 if leaf.dtype.kind in "iu" else 1
            one = layout.full(leaf.node.form, leaf.dtype, value)
            return one[()] if leaf.scalar else one
        if kind is TracedNumber:
            return leaf.node.dtype(1)
        if kind is TracedKey or kind is TracedObject:
            raise TraceError(f"{name_of(f)} cannot be recorded with a key or residuals as its argument")
        return leaf

    positional, keywords = (structure.replaced(sample, part) for part in (args, kwargs))
    with np.errstate(all="ignore"):
        found = f(*positional, **keywords)

    def struct(leaf: Any) -> Any:
        if leaf is None:
            return None
        if type(leaf) in (int, float) and numbers:
            return Struct((), type(leaf))
        if not isinstance(leaf, np.ndarray | np.generic):
            tracer.refuse(f"needs the values of an array ({name_of(f)} gives a {type(leaf).__name__})", instead_of(f))
        if leaf.dtype.hasobject:
            tracer.refuse(f"makes an array of objects ({name_of(f)})", "use arrays of numbers")
        strides = (
            leaf.strides if known else layout.row_major(leaf.shape, leaf.itemsize) if leaf.ndim < 2 and fresh else None
        )
        return Struct(leaf.shape, leaf.dtype, strides, isinstance(leaf, np.generic))

    like = structure.replaced(struct, found)
    if kwargs:
        return tracer.call(Keywords(f), (args, kwargs), like, fresh=fresh)
    return tracer.call(f, args, like, fresh=fresh)


class Keywords:
    """A function called with a tuple of its arguments and a dict of its keyword arguments."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __eq__(self, other: object) -> bool:
        return type(other) is Keywords and self.function is other.function

    def __hash__(self) -> int:
        return hash(self.function)

    def __call__(self, args: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
        """The function's result."""
        return self.function(*args, **keywords)


# ----- handlers --------------------------------------------------------------------------------------------------


def _sum(f: Any) -> Callable[..., Any]:
    def handler(tracer: Tracer, a: Any, axis: Any = None, dtype: Any = None, keepdims: Any = False) -> Any:
        return reduced(tracer, f, a, axis, dtype, keepdims)

    return handler


def _max(f: Any) -> Callable[..., Any]:
    def handler(tracer: Tracer, a: Any, axis: Any = None, keepdims: Any = False) -> Any:
        return reduced(tracer, f, a, axis, None, keepdims)

    return handler


def _mean(tracer: Tracer, a: Any, axis: Any = None, keepdims: Any = False) -> Any:
    """The sum over the count; like NumPy, divides in the array's dtype, which must hold the count exactly."""
    if type(a) is not TracedArray or a.dtype.kind != "f" or a.dtype.itemsize < 4:
        return UNUSUAL
    total = reduced(tracer, np.add, a, axis, None, keepdims)
    count = a.size // max(total.size, 1)
    return UNUSUAL if count > 2**24 or not a.size else total / count


def _where(tracer: Tracer, condition: Any, x: Any = None, y: Any = None) -> Any:
    if x is None or y is None:
        tracer.refuse("asks for the indices where a condition holds", "use np.where(condition, a, b)")
    args = tuple(map(tracer.node, (condition, x, y)))
    return tracer.add(WHERE.node(args, tracer.place))


def _concatenate(tracer: Tracer, arrays: Any, axis: Any = 0) -> Any:
    if type(arrays) not in (list, tuple) or not arrays:
        return UNUSUAL
    args = tuple(map(tracer.node, arrays))
    if axis is not None:
        if any(not arg.shape for arg in args):
            raise ValueError("zero-dimensional arrays cannot be concatenated")
        (axis,) = normal_axes(axis, len(args[0].shape))
    return tracer.add(CONCAT.node(args, axis, tracer.place))


def _stack(tracer: Tracer, arrays: Any, axis: Any = 0) -> Any:
    if type(arrays) not in (list, tuple) or not arrays:
        return UNUSUAL
    nodes = [tracer.node(array) for array in arrays]
    (axis,) = normal_axes(axis, len(nodes[0].shape) + 1)
    whole = [array if type(array) is TracedArray else standins.of(tracer, node)
             for array, node in zip(arrays, nodes, strict=True)]  # fmt: skip
    return _concatenate(tracer, [array[(slice(None),) * axis + (None,)] for array in whole], axis)


def _split(tracer: Tracer, ary: Any, indices_or_sections: Any, axis: Any = 0) -> Any:
    if type(ary) is not TracedArray or not isinstance(indices_or_sections, int | list | tuple):
        return UNUSUAL
    (axis,) = normal_axes(axis, ary.ndim)
    n = ary.shape[axis]
    if isinstance(indices_or_sections, int):
        if indices_or_sections <= 0 or n % indices_or_sections:
            return UNUSUAL
        indices_or_sections = [i * (n // indices_or_sections) for i in range(1, indices_or_sections)]
    ends = [*indices_or_sections, n]
    before = (slice(None),) * axis
    return [ary[(*before, slice(start, end))] for start, end in zip([0, *ends[:-1]], ends, strict=True)]


def _clip(tracer: Tracer, a: Any, a_min: Any = None, a_max: Any = None, min: Any = None, max: Any = None) -> Any:
    low, high = (a_min if min is None else min), (a_max if max is None else max)
    if type(a) is not TracedArray or a.dtype.kind != "f":
        return UNUSUAL
    if low is None and high is None:
        return UNUSUAL
    if low is None or high is None:
        return tracer.ufunc(np.minimum, a, high) if low is None else tracer.ufunc(np.maximum, a, low)
    return tracer.ufunc(CLIP, a, low, high)


CLIP = getattr(np, "_core", np).umath.clip
"""The ufunc inside ``np.clip``"""


def _full(number: int) -> Callable[..., Any]:
    def handler(tracer: Tracer, a: Any, dtype: Any = None) -> Any:
        return filled(tracer, a, number, dtype)

    return handler


def filled(tracer: Tracer, a: Any, value: Any, dtype: Any) -> Any:
    """An array of the shape and memory order of another, filled with one number."""
    if type(a) is not TracedArray or (
        type(value) is not TracedNumber and (type(value) is TracedArray or np.shape(value))
    ):
        tracer.refuse("fills an array with another array", "use np.zeros_like(x) + y")
    dtype = a.dtype if dtype is None else np.dtype(dtype)
    if type(value) is TracedNumber:
        one = sampled(tracer, np.full, ((), value, dtype), {}, fresh=True).node
    else:
        one = tracer.emit(CONST.node(np.full((), value, dtype), tracer.place))
    if not a.shape:
        return tracer.add(one)
    view = tracer.emit(VIEW.node(one, "broadcast", a.shape, tracer.place))
    node = CAST.node(view, dtype, tracer.place)
    node.strides = layout.of_copy(a.node.form, dtype.itemsize)
    return tracer.add(node)


def _full_like(tracer: Tracer, a: Any, fill_value: Any, dtype: Any = None) -> Any:
    return filled(tracer, a, fill_value, dtype)


def _reshape(tracer: Tracer, a: Any, shape: Any) -> Any:
    return a.reshape(shape) if type(a) is TracedArray else UNUSUAL


def _ravel(tracer: Tracer, a: Any) -> Any:
    return (a if layout.contiguous(a.node.form) or a.node.strides is None else a.copy()).reshape(-1)


def _transpose(tracer: Tracer, a: Any, axes: Any = None) -> Any:
    return a.transpose(axes)


def _swapaxes(tracer: Tracer, a: Any, axis1: Any, axis2: Any) -> Any:
    return a.swapaxes(axis1, axis2)


def _moveaxis(tracer: Tracer, a: Any, source: Any, destination: Any) -> Any:
    sources, places = normal_axes(source, a.ndim), normal_axes(destination, a.ndim)
    if len(sources) != len(places):
        raise ValueError("`source` and `destination` arguments must have the same number of elements")
    order = [axis for axis in range(a.ndim) if axis not in sources]
    for place, axis in sorted(zip(places, sources, strict=True)):
        order.insert(place, axis)
    return a.transpose(order)


def _expand_dims(tracer: Tracer, a: Any, axis: Any) -> Any:
    count = len(axis) if isinstance(axis, tuple | list) else 1
    new = normal_axes(axis, a.ndim + count)
    old = iter(a.shape)
    return a.reshape(tuple(1 if i in new else next(old) for i in range(a.ndim + count)))


def _squeeze(tracer: Tracer, a: Any, axis: Any = None) -> Any:
    return a.squeeze(axis)


def _broadcast_to(tracer: Tracer, array: Any, shape: Any) -> Any:
    if type(array) is not TracedArray:
        return UNUSUAL
    shape = tuple(map(operator.index, shape)) if isinstance(shape, tuple | list) else (operator.index(shape),)
    return array if shape == array.shape else tracer.view(array, "broadcast", shape)


def _dot(tracer: Tracer, a: Any, b: Any) -> Any:
    x, y = tracer.node(a), tracer.node(b)
    if not (x.shape and y.shape):
        return UNUSUAL  # np.dot adds the product to 0, which turns -0 into 0
    if len(x.shape) > 2 or len(y.shape) > 2 or x.dtype != y.dtype or x.dtype.kind != "f":
        return UNUSUAL
    return tracer.add(MATMUL.node(np.dot, (x, y), tracer.place), scalar=True)


def _size(tracer: Tracer, a: Any, axis: Any = None) -> Any:
    return a.size if axis is None else a.shape[axis]


def _copy(tracer: Tracer, a: Any, order: str = "K") -> Any:
    return a.copy(order)


def _astype(tracer: Tracer, x: Any, dtype: Any, copy: bool = True) -> Any:
    return x.astype(dtype, copy=copy)


HANDLERS: dict[Any, Callable[..., Any]] = {
    np.sum: _sum(np.add),
    np.prod: _sum(np.multiply),
    np.max: _max(np.maximum),
    np.min: _max(np.minimum),
    np.amax: _max(np.maximum),
    np.amin: _max(np.minimum),
    np.any: _max(np.logical_or),
    np.all: _max(np.logical_and),
    np.mean: _mean,
    np.where: _where,
    np.concatenate: _concatenate,
    np.stack: _stack,
    np.split: _split,
    np.clip: _clip,
    np.dot: _dot,
    np.zeros_like: _full(0),
    np.empty_like: lambda tracer, prototype, dtype=None: filled(tracer, prototype, 0, dtype),
    np.ones_like: _full(1),
    np.full_like: _full_like,
    np.reshape: _reshape,
    np.ravel: _ravel,
    np.transpose: _transpose,
    np.swapaxes: _swapaxes,
    np.moveaxis: _moveaxis,
    np.expand_dims: _expand_dims,
    np.squeeze: _squeeze,
    np.broadcast_to: _broadcast_to,
    np.shape: lambda tracer, a: a.shape,
    np.ndim: lambda tracer, a: a.ndim,
    np.size: _size,
    np.copy: _copy,
    np.iscomplexobj: lambda tracer, x: x.dtype.kind == "c",
    np.isrealobj: lambda tracer, x: x.dtype.kind != "c",
    **({np.astype: _astype} if hasattr(np, "astype") else {}),
}

SHAPED = frozenset((np.repeat, np.delete, np.insert, np.tile, np.resize, np.pad, np.split, np.array_split,
                    np.hsplit, np.vsplit, np.dsplit, np.roll, np.rot90))  # fmt: skip
"""Functions whose result's shape depends on the values of their second argument"""
VIEWS = (
    "flip fliplr flipud rot90 diagonal array_split hsplit vsplit dsplit split unstack rollaxis atleast_1d "
    "atleast_2d atleast_3d broadcast_arrays real matrix_transpose permute_dims einsum astype nan_to_num diag "
    "ravel reshape squeeze transpose meshgrid lib.stride_tricks.sliding_window_view linalg.diagonal "
    "linalg.matrix_transpose clip round around"
)
"""Functions whose result may be a view of an argument"""
FRESH = (
    "sum prod max min any all mean var std median quantile percentile nansum nanprod nanmax nanmin nanmean nanvar "
    "nanstd nanmedian nanquantile nanpercentile ptp average cumsum cumprod nancumsum nancumprod cumulative_sum "
    "cumulative_prod sort argsort argmax argmin nanargmax nanargmin partition argpartition lexsort searchsorted "
    "digitize isin isclose concatenate stack hstack vstack dstack column_stack block append insert delete repeat "
    "tile roll pad resize kron outer inner dot vdot vecdot matvec vecmat tensordot cross trace tril triu vander "
    "diff ediff1d gradient interp convolve correlate corrcoef cov fix sinc i0 unwrap take take_along_axis choose "
    "select where full_like zeros_like ones_like copy diagflat imag angle apply_over_axes linalg.norm "
    "linalg.vector_norm linalg.det linalg.slogdet linalg.multi_dot linalg.outer linalg.trace linalg.cross "
    "linalg.matmul linalg.tensordot linalg.vecdot trapezoid count_nonzero"
)
"""Functions whose result never shares memory with an argument"""


RAISES = (
    "take take_along_axis choose average quantile percentile nanquantile nanpercentile digitize linalg.det "
    "linalg.slogdet linalg.multi_dot delete insert repeat"
)
"""Functions whose errors depend on values"""


def _named(names: str, fresh: bool) -> dict[Any, bool]:
    found = {}
    for name in names.split():
        module: Any = np
        for part in name.split("."):
            module = getattr(module, part, None)
        if module is not None:
            found[module] = fresh
    return found


PURE: dict[Any, bool] = {
    **_named(FRESH, True),
    **_named(VIEWS, False),
    operator.getitem: False,  # an array of integers as index copies, a single integer does not
    operator.pow: True,
    standins.scalar_power: True,
}
"""Functions without side effects whose results' shapes and dtypes depend only on those of their arguments; True if
the result is always new memory"""

RAISING = frozenset((*_named(RAISES, True), operator.getitem, operator.pow, standins.scalar_power))
