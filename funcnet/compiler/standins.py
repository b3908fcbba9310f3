"""Stand-ins: the arrays, Python numbers and keys that a function sees while it is recorded.

Every operation either behaves exactly as for a real value, or raises a TraceError. ``isinstance`` answers as for a
real value, since code branches on it; ``type`` cannot.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from funcnet.compiler import layout
from funcnet.compiler.graph import Node, Struct
from funcnet.compiler.kinds import NUMBER
from funcnet.key import Key
from funcnet.vmap import Members, Unvectorized

if TYPE_CHECKING:
    from funcnet.compiler.tracer import Tracer

ADVICE = {
    "value": "use np.where(condition, a, b), fn.ops.number(x) for a number, fn.ops.check(ok, error) for an error",
    "number": "compute it by fn.ops.scalar(function, number)",
    "write": "make a new one, such as np.where(mask, a, b)",
    "update": "make a new one: x = x + y",
    "table": "for a table use fn.ops.take(table, indices), for a list of arrays np.stack(arrays)",
}
BASICS = frozenset(dir(type("Empty", (), {}))) - {
    "__eq__",
    "__ne__",
    "__lt__",
    "__le__",
    "__gt__",
    "__ge__",
    "__hash__",
}
BASICS -= {"__repr__", "__str__", "__format__", "__reduce__", "__reduce_ex__", "__getstate__", "__sizeof__"}
"""Methods of every Python object that a stand-in keeps"""
BUFFERS = frozenset(("__array_struct__", "__array_interface__", "__release_buffer__", "__array_finalize__"))
"""Attributes that NumPy looks up before ``__array__``; they stay undefined, so that ``__array__`` refuses"""


def refusing(what: str, instead: str) -> Callable[..., NoReturn]:
    """A method that raises a TraceError."""

    def method(self: Any, *_: Any, **__: Any) -> NoReturn:
        raise self.tracer.refused(what, instead)

    return method


def completed(cls: type, real: tuple[type, ...], what: str, instead: str) -> None:
    """Register a stand-in; every attribute of the real classes that it lacks refuses."""
    own = {name for base in cls.__mro__[:-1] for name in vars(base)}
    for name in {name for kind in real for name in dir(kind)} - own - BASICS - BUFFERS:
        method = refusing(f"{what} (.{name})" if not name.startswith("__") else what, instead)
        setattr(cls, name, method if name.startswith("__") else property(method, method))
    for name in ("__repr__", "__str__", "__format__", "__reduce__", "__reduce_ex__", "__copy__", "__deepcopy__"):
        if name not in own:
            setattr(cls, name, refusing(what, instead))
    CLASSES.add(cls)


CLASSES: set[type] = set()
"""The classes of stand-ins"""


# ----- numbers -------------------------------------------------------------------------------------------------


class TracedNumber:
    """An unknown Python number, such as a learning rate or the step count."""

    __slots__ = ("node", "tracer")

    def __init__(self, tracer: Tracer, node: Node) -> None:
        self.tracer, self.node = tracer, node

    @property  # type: ignore[misc]
    def __class__(self) -> Any:  # isinstance reads it
        return self.node.dtype

    def _apply(self, f: Any, *values: Any) -> Any:
        if f is operator.pow and any(isinstance(value, np.generic) for value in values):
            self.tracer.refuse("raises a NumPy scalar to a power, or a number to one", ADVICE["number"])
        if any(type(value) is TracedArray or isinstance(value, np.ndarray | np.generic) for value in values):
            return NotImplemented
        if not all(type(value) is TracedNumber or isinstance(value, int | float) for value in values):
            return NotImplemented
        args = tuple(self.tracer.node(int(value) if value is True or value is False else value) for value in values)
        whole = all(arg.dtype is int for arg in args) and f is not operator.truediv
        if whole and f is operator.pow:
            exponent = values[1]
            if type(exponent) is TracedNumber:
                self.tracer.refuse("raises an integer to a power of unknown sign", ADVICE["number"])
            whole = exponent >= 0
        return self.tracer.add(NUMBER.node(f, args, int if whole else float, self.tracer.place))

    def __array_ufunc__(self, f: Any, method: str, *values: Any, **kwargs: Any) -> Any:
        if f is np.power and not any(isinstance(value, np.ndarray | TracedArray) for value in values):
            # NumPy's scalars call this for ``scalar ** number`` too, which they compute otherwise than np.power
            self.tracer.refuse("raises a NumPy scalar to a power, or a number to one", ADVICE["number"])
        return self.tracer.array_ufunc(f, method, values, kwargs)

    def __neg__(self) -> Any:
        return self._apply(operator.neg, self)

    def __pos__(self) -> Any:
        return self

    def __abs__(self) -> Any:
        return self._apply(abs, self)


def _number_operator(f: Any) -> tuple[Callable[..., Any], Callable[..., Any]]:
    def ahead(self: Any, other: Any) -> Any:
        return self._apply(f, self, other)

    def reflected(self: Any, other: Any) -> Any:
        return self._apply(f, other, self)

    return ahead, reflected


for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow"):
    for _prefix, _method in zip(("", "r"), _number_operator(getattr(operator, _name)), strict=True):
        setattr(TracedNumber, f"__{_prefix}{_name}__", _method)
completed(
    TracedNumber,
    (float, int),
    "branches on a number, prints it, or passes it to a function outside NumPy",
    ADVICE["number"],
)
TracedNumber.__array__ = refusing("makes an array of a number", "use np.zeros_like(x) + number")  # type: ignore[attr-defined]


# ----- arrays --------------------------------------------------------------------------------------------------


class TracedArray(NDArrayOperatorsMixin):
    """An array of known shape and dtype with unknown entries.

    ``scalar`` marks a NumPy scalar, which NumPy returns for results of shape ().
    """

    __slots__ = ("node", "scalar", "tracer")
    __array_priority__ = 1000

    def __init__(self, tracer: Tracer, node: Node, scalar: bool = False) -> None:
        self.tracer, self.node, self.scalar = tracer, node, scalar

    @property  # type: ignore[misc]
    def __class__(self) -> Any:  # isinstance reads it
        return self.node.dtype.type if self.scalar else np.ndarray

    # shape and dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape."""
        return self.node.shape

    @property
    def dtype(self) -> Any:
        """The dtype."""
        return self.node.dtype

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.node.shape)

    @property
    def size(self) -> int:
        """The number of entries."""
        return self.node.size

    @property
    def itemsize(self) -> int:
        """The bytes of an entry."""
        return int(self.node.dtype.itemsize)

    @property
    def nbytes(self) -> int:
        """The bytes of all entries."""
        return self.node.nbytes

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of unsized object")
        return self.shape[0]

    def __iter__(self) -> Iterator[Any]:
        if not self.shape:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(len(self)))

    def __hash__(self) -> int:
        if self.scalar:
            self._value()
        raise TypeError("unhashable type: 'numpy.ndarray'")

    # NumPy's protocols

    def __array_ufunc__(self, f: Any, method: str, *values: Any, **kwargs: Any) -> Any:
        return self.tracer.array_ufunc(f, method, values, kwargs)

    def __array_function__(self, f: Any, types: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return NotImplemented if Members in types else self.tracer.array_function(f, args, kwargs)

    # views and copies

    @property
    def T(self) -> Any:
        """The transpose."""
        return self.transpose()

    @property
    def mT(self) -> Any:
        """The transposed matrices of the last two axes."""
        return np.matrix_transpose(self)

    @property
    def real(self) -> Any:
        """The real part; of a real array, the array itself."""
        return np.real(self) if self.dtype.kind == "c" else self

    def transpose(self, *axes: Any) -> Any:
        """As ``np.ndarray.transpose``."""
        if len(axes) == 1 and (axes[0] is None or isinstance(axes[0], tuple | list)):
            axes = () if axes[0] is None else tuple(axes[0])
        order = normal_axes(axes, self.ndim) if axes else tuple(reversed(range(self.ndim)))
        if len(order) != self.ndim:
            raise ValueError("axes don't match array")
        return self if order == tuple(range(self.ndim)) else self.tracer.view(self, "transpose", order)

    def swapaxes(self, a: int, b: int) -> Any:
        """As ``np.ndarray.swapaxes``."""
        order = list(range(self.ndim))
        (a,), (b,) = normal_axes(a, self.ndim), normal_axes(b, self.ndim)
        order[a], order[b] = order[b], order[a]
        return self.transpose(order)

    def reshape(self, *shape: Any, order: str = "C", copy: bool | None = None) -> Any:
        """As ``np.ndarray.reshape``."""
        if len(shape) == 1 and isinstance(shape[0], tuple | list):
            shape = tuple(shape[0])
        if order != "C" or copy is not None:
            named = {"order": order} if copy is None else {"order": order, "copy": copy}
            return self.tracer.array_function(np.reshape, (self, shape), named)
        full = filled_shape(tuple(operator.index(n) for n in shape), self.size)
        return self if full == self.shape else self.tracer.view(self, "reshape", full)

    def ravel(self, order: str = "C") -> Any:
        """As ``np.ndarray.ravel``."""
        return self.tracer.array_function(np.ravel, (self,), {"order": order})

    def flatten(self, order: str = "C") -> Any:
        """As ``np.ndarray.flatten``, a copy."""
        return self.copy().reshape(-1) if order == "C" else self.ravel(order).copy()

    def squeeze(self, axis: Any = None) -> Any:
        """As ``np.ndarray.squeeze``."""
        if not self.shape and axis in (0, -1):
            return self
        gone = normal_axes(axis, self.ndim) if axis is not None else [i for i, n in enumerate(self.shape) if n == 1]
        if any(self.shape[i] != 1 for i in gone):
            raise ValueError("cannot select an axis to squeeze out which has size not equal to one")
        index = tuple(0 if i in gone else slice(None) for i in range(self.ndim))
        return self.tracer.view(self, "index", index) if len(gone) else self

    def astype(
        self, dtype: Any, order: str = "K", casting: str = "unsafe", subok: bool = True, copy: bool = True
    ) -> Any:
        """As ``np.ndarray.astype``."""
        dtype = np.dtype(dtype)
        if order not in ("K", "C") or dtype.hasobject or dtype.kind in "SUV":
            self.tracer.refuse("casts to order F or to a non-numeric dtype", "leave out order, and use a numeric dtype")
        if not np.can_cast(self.dtype, dtype, casting):  # type: ignore[arg-type]
            raise TypeError(
                f"Cannot cast array data from {self.dtype!r} to {dtype!r} according to the rule {casting!r}"
            )
        same = dtype == self.dtype and not copy and (order == "K" or self.node.row_major)
        return self if same else self.tracer.cast(self, dtype, order)

    def copy(self, order: str = "C") -> Any:
        """As ``np.ndarray.copy``."""
        return self.astype(self.dtype, order=order)

    # methods that call NumPy's functions

    def dot(self, other: Any) -> Any:
        """As ``np.ndarray.dot``."""
        return np.dot(self, other)

    def clip(self, min: Any = None, max: Any = None, **rest: Any) -> Any:
        """As ``np.ndarray.clip``."""
        return np.clip(self, min, max, **rest)

    def conj(self) -> Any:
        """As ``np.ndarray.conj``."""
        return np.conjugate(self) if self.dtype.kind == "c" else self

    conjugate = conj

    # entries

    def __getitem__(self, index: Any) -> Any:
        whole = index if isinstance(index, tuple) else (index,)
        if all(map(is_basic, whole)):
            known = sum(item is not None and item is not Ellipsis for item in whole)
            dots = [i for i, item in enumerate(whole) if item is Ellipsis]
            if known > self.ndim or len(dots) > 1:
                raise IndexError(
                    f"too many indices for array: array is {self.ndim}-dimensional, but {known} were indexed"
                )
            rest = (slice(None),) * (self.ndim - known)
            full = (*whole[: dots[0]], *rest, *whole[dots[0] + 1 :]) if dots else (*whole, *rest)
            return self.tracer.view(self, "index", tuple(map(plain_item, full)), scalar=not dots)
        if any(type(item) is Members for item in whole):
            raise Unvectorized("indexes an array by one that differs between members")  # as an array does
        for item in whole:
            if type(item) is TracedArray and item.dtype == np.bool_:
                self.tracer.refuse("uses a boolean mask as an index", "use np.where(mask, a, b)")
        return self.tracer.array_function(operator.getitem, (self, index), {})

    def __setitem__(self, index: Any, value: Any) -> NoReturn:
        self.tracer.refuse("writes into an array", ADVICE["write"])

    def _scalar_power(self, base: Any, exponent: Any) -> Any:
        return self.tracer.array_function(scalar_power, (base, exponent), {})

    def __pow__(self, exponent: Any) -> Any:
        """With NumPy's shortcuts: ``x ** 2`` is a square, ``x ** 0.5`` a square root; scalars use another power."""
        if type(exponent) is Members:
            return NotImplemented
        number = isinstance(exponent, int | float) or (isinstance(exponent, np.generic) and not np.shape(exponent))
        if self.scalar and number:
            return self._scalar_power(self, exponent)
        if type(exponent) in (int, float) and self.dtype.kind == "f" and self.itemsize > 2:
            if exponent == 2:
                return self.tracer.ufunc(np.square, self)
            if exponent == 0.5:
                return self.tracer.ufunc(np.sqrt, self)
            if type(exponent) is int and exponent == -1:
                return self.tracer.ufunc(np.reciprocal, self)
            return self.tracer.ufunc(np.power, self, exponent)
        if type(exponent) in (int, float, TracedNumber) or (
            isinstance(exponent, np.generic | np.ndarray) and not np.shape(exponent)
        ):  # before NumPy 2.3 such an array has the shortcuts too, and does not widen the result
            return self.tracer.array_function(operator.pow, (self, exponent), {})
        return self.tracer.array_ufunc(np.power, "__call__", (self, exponent), {})

    def __rpow__(self, base: Any) -> Any:
        if self.scalar and (type(base) is TracedNumber or isinstance(base, int | float | np.generic)):
            return self._scalar_power(base, self)
        return self.tracer.array_ufunc(np.power, "__call__", (base, self), {})

    def __getattr__(self, name: str) -> Any:
        if name in ARRAY_NAMES and name not in BUFFERS:
            self.tracer.refuse(f"uses .{name} of an array", "use a NumPy function")
        raise AttributeError(f"'numpy.ndarray' object has no attribute {name!r}")

    _value = refusing("branches on the value of an array, or turns it into a Python number", ADVICE["value"])
    _update = refusing("writes into an array in place", ADVICE["update"])
    __bool__ = __int__ = __float__ = __complex__ = __index__ = __contains__ = item = tolist = _value
    __repr__ = __str__ = __format__ = refusing("prints an array", "print what the compiled function returns")
    __array__ = refusing(
        "needs the values of an array (to index a table, in np.asarray or in a function outside NumPy)", ADVICE["table"]
    )
    sort = fill = put = resize = partition = itemset = setfield = __delitem__ = refusing(
        "writes into an array", ADVICE["write"]
    )


def _elementwise(f: Any, name: str) -> None:
    """Let an operator record its ufunc directly where NumPy's dispatch is not needed."""

    def ahead(self: Any, other: Any) -> Any:
        plain = type(other) is TracedArray or type(other) is float
        return self.tracer.ufunc(f, self, other) if plain else f(self, other)

    def reflected(self: Any, other: Any) -> Any:
        return self.tracer.ufunc(f, other, self) if type(other) is float else f(other, self)

    setattr(TracedArray, f"__{name}__", _deferring(ahead))
    setattr(TracedArray, f"__r{name}__", _deferring(reflected))


def _deferring(operator: Callable[..., Any]) -> Callable[..., Any]:
    """Leave an operator to the other operand if that has priority."""

    def method(self: Any, other: Any) -> Any:
        defers = type(other) is Members or getattr(other, "__array_ufunc__", 0) is None
        return NotImplemented if defers else operator(self, other)

    return method


for _f, _name in ((np.add, "add"), (np.subtract, "sub"), (np.multiply, "mul"), (np.true_divide, "truediv")):
    _elementwise(_f, _name)


def _function_method(name: str) -> Callable[..., Any]:
    function = getattr(np, name)

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return function(self, *args, **kwargs)

    method.__name__ = name
    method.__doc__ = f"As ``np.ndarray.{name}``."
    return method


for _name in (
    "sum", "prod", "mean", "max", "min", "any", "all", "argmax", "argmin", "std", "var", "cumsum", "cumprod", "argsort",
    "round", "repeat", "take", "diagonal", "trace", "searchsorted", "choose", "compress", "nonzero", "argpartition",
):  # fmt: skip
    setattr(TracedArray, _name, _function_method(_name))
for _name in dir(np.ndarray):
    if _name.startswith("__i") and f"__{_name[3:]}" in dir(np.ndarray) and _name != "__index__":
        setattr(TracedArray, _name, TracedArray._update)
ARRAY_NAMES = frozenset(dir(np.ndarray)) | frozenset(dir(np.float64))
completed(
    TracedArray,
    (np.ndarray, np.float64, np.int64, np.complex128),
    "uses the memory of an array",
    "use NumPy's functions",
)


def scalar_power(base: Any, exponent: Any) -> Any:
    """``base ** exponent`` of scalars, which NumPy computes differently from arrays."""
    base, exponent = (x[()] if isinstance(x, np.ndarray) else x for x in (base, exponent))
    return np.asarray(base**exponent)


def is_basic(item: Any) -> bool:
    """Whether an item of an index takes a view: an integer, a slice, ``None`` or ``...``."""
    if type(item) is bool or type(item) in CLASSES:
        return False
    return item is None or item is Ellipsis or isinstance(item, slice | int | np.integer)


def plain_item(item: Any) -> Any:
    """An item of a basic index, with Python integers for NumPy's."""
    if isinstance(item, slice):
        return slice(*(None if part is None else operator.index(part) for part in (item.start, item.stop, item.step)))
    return None if item is None else operator.index(item)


def normal_axes(axis: Any, ndim: int) -> tuple[int, ...]:
    """Axes as non-negative numbers, in the order given.

    Raises   NumPy's own errors
    """
    axes = tuple(axis) if isinstance(axis, tuple | list) else (axis,)
    found = []
    for one in map(operator.index, axes):
        if not -ndim <= one < ndim:
            raise np.exceptions.AxisError(one, ndim)
        found.append(one % ndim)
    if len(set(found)) != len(found):
        raise ValueError("repeated axis")
    return tuple(found)


def filled_shape(shape: tuple[int, ...], size: int) -> tuple[int, ...]:
    """A shape whose -1, if it has one, is inferred from ``size``."""
    known = 1
    for n in shape:
        known *= 1 if n == -1 else n
    if shape.count(-1) == 1 and known:
        shape = tuple(size // known if n == -1 else n for n in shape)
        known *= size // known
    if known != size or -1 in shape:
        raise ValueError(f"cannot reshape array of size {size} into shape {shape}")
    return shape


# ----- keys and other objects ----------------------------------------------------------------------------------


class TracedKey(Key):
    """An unknown key; its folds and draws are recorded."""

    tracer: Tracer
    node: Node

    def __init__(self, tracer: Tracer, node: Node) -> None:
        object.__setattr__(self, "tracer", tracer)
        object.__setattr__(self, "node", node)

    def fold(self, *words: Any) -> Key:
        return self.tracer.fold(self, words)

    def _draw(self, f: Any, shape: Any, dtype: Any, *rest: Any) -> Any:
        shape = tuple(shape) if isinstance(shape, tuple | list) else (operator.index(shape),)
        dtype = np.dtype(dtype)
        given = dtype if dtype.kind in "fu" else f(Key(0), (), dtype, *rest).dtype
        like = Struct(shape, given, layout.row_major(shape, given.itemsize))
        return self.tracer.call(f, (self, shape, dtype, *rest), like, fresh=True)

    def bits(self, shape: Any = (), dtype: Any = np.uint64) -> Any:
        return self._draw(Key.bits, shape, dtype)

    def uniform(self, shape: Any = (), dtype: Any = np.float64, low: float = 0.0, high: float = 1.0) -> Any:
        return self._draw(Key.uniform, shape, dtype, low, high)

    def normal(self, shape: Any = (), dtype: Any = np.float64) -> Any:
        return self._draw(Key.normal, shape, dtype)

    def permutation(self, n: int) -> Any:
        like = Struct((operator.index(n),), np.dtype(np.intp), (np.dtype(np.intp).itemsize,))
        return self.tracer.call(Key.permutation, (self, n), like, fresh=True)

    def integers(self, high: int, shape: Any = ()) -> Any:
        shape = tuple(shape) if isinstance(shape, tuple | list) else (operator.index(shape),)
        like = Struct(shape, np.dtype(np.int64), layout.row_major(shape, 8))
        return self.tracer.call(Key.integers, (self, high, shape), like, fresh=True)

    _value = refusing("reads the value of a key", "use key.fold and the key's draws")
    digest = property(_value, _value)
    __eq__ = __ne__ = __hash__ = __repr__ = __str__ = __format__ = __reduce__ = __reduce_ex__ = _value


class TracedObject:
    """An object that is only passed on: the residuals of a layer that is not compiled."""

    __slots__ = ("node", "tracer")

    def __init__(self, tracer: Tracer, node: Node) -> None:
        self.tracer, self.node = tracer, node

    def __getattr__(self, name: str) -> NoReturn:
        self.tracer.refuse("reads the residuals of a layer that is not compiled", "make that layer recordable, too")


completed(
    TracedObject,
    (dict, np.ndarray),
    "reads the residuals of a layer that is not compiled",
    "make that layer recordable, too",
)
CLASSES.add(TracedKey)


def of(tracer: Tracer, node: Node, scalar: bool = False) -> Any:
    """The stand-in for a node; ``scalar`` for a NumPy scalar instead of an array of shape ()."""
    if node.is_array:
        return TracedArray(tracer, node, scalar)
    if node.is_number:
        return TracedNumber(tracer, node)
    return TracedKey(tracer, node) if node.dtype is Key else TracedObject(tracer, node)
