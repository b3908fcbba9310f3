"""Arrays that record: a pure function of arrays, numbers and keys, run once, becomes a graph.

Recording goes through NumPy's own protocols, so a layer's code need not know. What depends on a value that
is not there yet (an ``if`` on an array, ``float(x)``, a boolean mask as an index) raises a ``TraceError``,
which names the line and says what to write instead; a layer that raises one is recorded as a single call.
"""

from __future__ import annotations

import contextlib
import operator
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any, NoReturn

import attrs
import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from funcnet import ops, tree
from funcnet.compile.graph import (
    CALL,
    CAST,
    CONCAT,
    CONST,
    INPUT,
    MATMUL,
    NUMBER,
    PART,
    PROBE,
    REDUCE,
    SETTLE,
    UFUNC,
    VIEW,
    WHERE,
    Graph,
    Node,
    Place,
    Ref,
    filled_shape,
    normal_axes,
    reduced_dtype,
    reduced_shape,
    ufunc_dtypes,
)
from funcnet.errors import FuncnetError
from funcnet.key import Key
from funcnet.layer import Context, Layer, listen_with, path_of
from funcnet.members import Members


class TraceError(FuncnetError):
    """A function does something that cannot be recorded."""


class CompileWarning(UserWarning):
    """Something runs as it is, slower than it could."""


# ----- the recorder ----------------------------------------------------------------------------------------


class Tracer:
    """Collects nodes while a function runs."""

    def __init__(self, strict: bool = False) -> None:
        self.nodes: list[Node] = []
        self.inputs: list[Node] = []
        self.place = Place()
        self.strict = strict
        self.constants: dict[int, tuple[Any, Node]] = {}

    def emit(
        self, kind: str, f: Any, args: tuple[Node, ...], static: Any, shape: Any, dtype: Any, effect: bool = False
    ) -> Node:
        """Record a call."""
        node = Node(kind, f, args, static, shape, dtype, self.place, effect)
        self.nodes.append(node)
        return node

    def input(self, name: str, value: Any) -> Any:
        """A recording stand-in for an argument: an array, a Python number or a key."""
        if isinstance(value, Key):
            node = self.emit(INPUT, None, (), name, (), Key)
        elif isinstance(value, int | float):
            node = self.emit(INPUT, None, (), name, (), type(value))
        else:
            node = self.emit(INPUT, None, (), name, np.shape(value), value.dtype)
        self.inputs.append(node)
        return self.wrap(node)

    def wrap(self, node: Node) -> Any:
        """What user code sees of a node."""
        if node.is_array:
            return TracedArray(self, node)
        if node.is_number:
            return TracedNumber(self, node)
        return TracedKey(self, node) if node.dtype is Key else TracedObject(self, node)

    def node(self, value: Any) -> Node:
        """The node of a value: recorded, or a constant."""
        if isinstance(value, Traced):
            if value.tracer is not self:
                raise TraceError("a value of another recording was kept; return it, and pass it in as an argument")
            return value.node
        if isinstance(value, np.ndarray | np.generic):
            if id(value) not in self.constants:
                array = np.array(value)  # a copy: what is recorded never changes
                self.constants[id(value)] = value, self.emit(CONST, None, (), array, array.shape, array.dtype)
            return self.constants[id(value)][1]
        if isinstance(value, bool | int | float):
            return self.emit(CONST, None, (), value, (), type(value))
        if isinstance(value, list | tuple):
            return self.node(np.asarray(value))
        raise TraceError(f"a {type(value).__name__} cannot take part in array arithmetic; make it an array first")

    def ufunc(self, f: Any, *values: Any) -> Any:
        """An elementwise call of arrays and numbers."""
        args = tuple(map(self.node, values))
        dtypes = ufunc_dtypes(f, tuple(node.dtype for node in args))
        shape = np.broadcast_shapes(*(node.shape for node in args))
        return self.wrap(self.emit(UFUNC, f, args, None, shape, dtypes[-1]))

    def view(self, x: Any, method: str, how: Any, shape: tuple[int, ...]) -> Any:
        """A call that gives other entries, or another order of them, of the same memory."""
        node = self.node(x)
        if method == "reshape" and shape == node.shape:
            return self.wrap(node)
        return self.wrap(self.emit(VIEW, None, (node,), (method, how), shape, node.dtype))

    def reduce(self, f: Any, x: Any, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Any:
        """``f.reduce``; computed in ``dtype`` if given."""
        node = self.node(x)
        result = reduced_dtype(f, node.dtype, None if dtype is None else np.dtype(dtype))
        if dtype is not None and node.dtype != result:
            node = self.emit(CAST, None, (node,), None, node.shape, result)
        axes = normal_axes(axis, len(node.shape))
        shape = reduced_shape(node.shape, axes, bool(keepdims))
        return self.wrap(self.emit(REDUCE, f, (node,), (axes, bool(keepdims)), shape, result))

    def call(self, f: Callable[..., Any], args: tuple[Any, ...], like: Any, effect: bool = False) -> Any:
        """A call of any function; ``like`` has the structure, shapes and dtypes of its result."""
        nodes: list[Node] = []

        def strip(value: Any) -> Any:
            if isinstance(value, Traced):
                nodes.append(self.node(value))
                return Ref(len(nodes) - 1)
            if isinstance(value, dict):
                return {name: strip(inner) for name, inner in value.items()}
            if isinstance(value, tuple) and hasattr(value, "_fields"):
                return type(value)(*map(strip, value))
            if isinstance(value, tuple | list):
                return type(value)(map(strip, value))
            if isinstance(value, np.ndarray):
                nodes.append(self.node(value))
                return Ref(len(nodes) - 1)
            return Context(value.train, strip(value.key)) if isinstance(value, Context) else value

        static = strip(args)
        if isinstance(like, Struct):
            node = self.emit(CALL, f, tuple(nodes), static, like.shape, like.dtype, effect)
            return self.wrap(node)
        node = self.emit(CALL, f, tuple(nodes), static, (), object, effect)

        def parts(like: Any, path: tuple[Any, ...]) -> Any:
            if isinstance(like, Struct):
                return self.wrap(self.emit(PART, None, (node,), path, like.shape, like.dtype))
            if isinstance(like, dict):
                return {name: parts(inner, (*path, name)) for name, inner in like.items()}
            return None if like is None else tuple(parts(inner, (*path, i)) for i, inner in enumerate(like))

        return parts(like, ())

    def primitive(self, f: Callable[..., Any], values: tuple[Any, ...]) -> Any:
        """A call of a function that is not looked into."""
        return any_function(self, f, values, {})

    def check(self, ok: Any, error: Callable[..., Exception], values: tuple[Any, ...]) -> None:
        """An error that depends on values."""
        self.call(ops.check, (ok, error, *values), Struct((), object), effect=True)

    def number(self, x: Any) -> Any:
        """The Python number in an array of shape ()."""
        node = self.node(x)
        return self.wrap(self.emit(NUMBER, ops.number, (node,), None, (), int if node.dtype.kind in "iu" else float))

    def scalar(self, f: Callable[..., float], numbers: tuple[Any, ...]) -> Any:
        """A function of Python numbers."""
        return self.wrap(self.emit(NUMBER, f, tuple(map(self.node, numbers)), None, (), float))

    def fold(self, key: Any, words: tuple[Any, ...]) -> Any:
        """``ops.fold``"""
        return self.call(Key.fold, (key, *words), Struct((), Key))

    def probe(self, a: Any, b: Any) -> Any:
        """``ops.probe``"""
        return self.wrap(self.emit(PROBE, ops.probe, (self.node(a), self.node(b)), None, (), float))

    def settle(self, x: Any, step: Any) -> Any:
        """``ops.settle``"""
        node = self.node(x)
        return self.wrap(self.emit(SETTLE, ops.settle, (node, self.node(step)), None, node.shape, node.dtype))

    @contextlib.contextmanager
    def scope(self) -> Iterator[None]:
        """Nothing recorded inside the block is shared with what is outside it."""
        outer = self.place
        self.place = outer._replace(scope=len(self.nodes) + 1)
        try:
            yield
        finally:
            self.place = outer

    def refuse(self, what: str, instead: str) -> NoReturn:
        """Raise a TraceError that names the line at fault."""
        raise TraceError(f"{line_at_fault()}: {what} while it is recorded, when arrays have no values yet; {instead}")


class Struct(tuple[Any, Any]):
    """The shape and dtype of a result."""

    __slots__ = ()

    def __new__(cls, shape: Any, dtype: Any) -> Struct:
        """A struct of a shape and a dtype."""
        return super().__new__(cls, (shape, dtype))

    @property
    def shape(self) -> Any:
        """The result's shape."""
        return self[0]

    @property
    def dtype(self) -> Any:
        """The result's dtype: NumPy's, or float, int, Key, object."""
        return self[1]


def line_at_fault() -> str:
    """``file:line, the line's text`` of the innermost frame that is neither NumPy's nor the recorder's."""
    frame: Any = sys._getframe(1)
    numpy_folder = str(Path(np.__file__).parent)
    while frame is not None:
        name = frame.f_code.co_filename
        if not name.startswith((str(Path(__file__).parent), numpy_folder)) and "attr" not in name:
            summary = traceback.extract_stack(frame, limit=1)[-1]
            return f"{Path(name).name}:{summary.lineno} `{summary.line}`" if summary.line else f"{name}"
        frame = frame.f_back
    return "the function"


# ----- what user code sees -----------------------------------------------------------------------------------


class TracedNumber:
    """A Python number that is not known yet: a learning rate, the count of steps."""

    __slots__ = ("node", "tracer")

    def __init__(self, tracer: Tracer, node: Node) -> None:
        self.tracer, self.node = tracer, node

    def _apply(self, f: Any, *values: Any) -> Any:
        if any(isinstance(value, TracedArray | np.ndarray | np.generic) for value in values):
            return NotImplemented
        args = tuple(map(self.tracer.node, values))
        exact = f not in (operator.truediv, operator.pow) and all(arg.dtype is int for arg in args)
        return self.tracer.wrap(self.tracer.emit(NUMBER, f, args, None, (), int if exact else float))

    def __array_ufunc__(self, f: Any, method: str, *values: Any, **kwargs: Any) -> Any:
        return _array_ufunc(self.tracer, f, method, values, kwargs)

    def __add__(self, other: Any) -> Any:
        return self._apply(operator.add, self, other)

    def __radd__(self, other: Any) -> Any:
        return self._apply(operator.add, other, self)

    def __sub__(self, other: Any) -> Any:
        return self._apply(operator.sub, self, other)

    def __rsub__(self, other: Any) -> Any:
        return self._apply(operator.sub, other, self)

    def __mul__(self, other: Any) -> Any:
        return self._apply(operator.mul, self, other)

    def __rmul__(self, other: Any) -> Any:
        return self._apply(operator.mul, other, self)

    def __truediv__(self, other: Any) -> Any:
        return self._apply(operator.truediv, self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return self._apply(operator.truediv, other, self)

    def __pow__(self, other: Any) -> Any:
        return self._apply(operator.pow, self, other)

    def __rpow__(self, other: Any) -> Any:
        return self._apply(operator.pow, other, self)

    def __neg__(self) -> Any:
        return self._apply(operator.neg, self)

    def _refuse(self, *_: Any) -> NoReturn:
        self.tracer.refuse("takes a decision by a number", "compute it by fn.ops.scalar(function, number)")

    __bool__ = __int__ = __float__ = __index__ = __lt__ = __le__ = __gt__ = __ge__ = _refuse
    __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = __round__ = __abs__ = _refuse


class TracedObject:
    """Something that only passes through: the residuals of a layer that runs as it is."""

    __slots__ = ("node", "tracer")

    def __init__(self, tracer: Tracer, node: Node) -> None:
        self.tracer, self.node = tracer, node


class TracedKey(Key):
    """A key that is not known yet; what it folds and draws is recorded."""

    tracer: Tracer
    node: Node

    def __init__(self, tracer: Tracer, node: Node) -> None:
        object.__setattr__(self, "tracer", tracer)
        object.__setattr__(self, "node", node)

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        return "TracedKey()"

    def fold(self, *words: Any) -> Key:
        return self.tracer.call(Key.fold, (self, *words), Struct((), Key))

    def _draw(self, f: Any, shape: Any, dtype: Any, *rest: Any) -> Any:
        shape = (shape,) if isinstance(shape, int | np.integer) else tuple(shape)
        return self.tracer.call(f, (self, shape, dtype, *rest), Struct(shape, np.dtype(dtype)))

    def bits(self, shape: Any = (), dtype: Any = np.uint64) -> Any:
        return self._draw(Key.bits, shape, np.dtype(dtype))

    def uniform(self, shape: Any = (), dtype: Any = np.float64, low: float = 0.0, high: float = 1.0) -> Any:
        return self._draw(Key.uniform, shape, np.dtype(dtype), low, high)

    def normal(self, shape: Any = (), dtype: Any = np.float64) -> Any:
        return self._draw(Key.normal, shape, np.dtype(dtype))

    def permutation(self, n: int) -> Any:
        return self.tracer.call(Key.permutation, (self, n), Struct((n,), np.dtype(np.intp)))

    def integers(self, high: int, shape: Any = ()) -> Any:
        shape = (shape,) if isinstance(shape, int | np.integer) else tuple(shape)
        return self.tracer.call(Key.integers, (self, high, shape), Struct(shape, np.dtype(np.int64)))


class TracedArray(NDArrayOperatorsMixin):
    """An array of known shape and dtype whose entries are not known yet."""

    __slots__ = ("node", "tracer")
    __array_priority__ = 1000

    def __init__(self, tracer: Tracer, node: Node) -> None:
        self.tracer, self.node = tracer, node

    # what is known

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

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of unsized object")
        return self.shape[0]

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        return f"TracedArray({self.shape}, {self.dtype})"

    # NumPy's protocols

    def __array_ufunc__(self, f: Any, method: str, *values: Any, **kwargs: Any) -> Any:
        return _array_ufunc(self.tracer, f, method, values, kwargs)

    def __array_function__(self, f: Any, types: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if Members in types:
            return NotImplemented
        if kwargs.get("out") is not None:
            self.tracer.refuse("writes into an array (out=)", "use the value that the function returns")
        handler = FUNCTIONS.get(f)
        if handler is not None:
            with contextlib.suppress(_Unusual):
                return handler(self.tracer, *args, **kwargs)
        return any_function(self.tracer, f, args, kwargs)

    # methods

    @property
    def T(self) -> Any:
        """The transpose."""
        return self.transpose()

    def transpose(self, *axes: Any) -> Any:
        """As ``np.ndarray.transpose``."""
        if len(axes) == 1 and (axes[0] is None or isinstance(axes[0], tuple | list)):
            axes = () if axes[0] is None else tuple(axes[0])
        order = tuple(a % self.ndim for a in axes) if axes else tuple(reversed(range(self.ndim)))
        if order == tuple(range(self.ndim)):
            return self
        return self.tracer.view(self, "transpose", order, tuple(self.shape[a] for a in order))

    def swapaxes(self, a: int, b: int) -> Any:
        """As ``np.ndarray.swapaxes``."""
        order = list(range(self.ndim))
        order[a], order[b] = order[b], order[a]
        return self.transpose(order)

    def reshape(self, *shape: Any) -> Any:
        """As ``np.ndarray.reshape``, row-major."""
        if len(shape) == 1 and isinstance(shape[0], tuple | list):
            shape = tuple(shape[0])
        full = filled_shape(tuple(operator.index(n) for n in shape), self.size)
        return self.tracer.view(self, "reshape", full, full)

    def ravel(self) -> Any:
        """As ``np.ndarray.ravel``."""
        return self.reshape(-1)

    flatten = ravel

    def squeeze(self, axis: Any = None) -> Any:
        """As ``np.ndarray.squeeze``."""
        gone = normal_axes(axis, self.ndim) if axis is not None else tuple(range(self.ndim))
        assert gone is not None
        return self.reshape(tuple(n for i, n in enumerate(self.shape) if i not in gone or (axis is None and n != 1)))

    def astype(self, dtype: Any, copy: bool = True, **_: Any) -> Any:
        """As ``np.ndarray.astype``."""
        if np.dtype(dtype) == self.dtype:
            return self
        tracer = self.tracer
        return tracer.wrap(tracer.emit(CAST, None, (self.node,), None, self.shape, np.dtype(dtype)))

    def copy(self, order: str = "C") -> Any:
        """The array itself: nothing that is recorded is ever written to."""
        return self

    def sum(self, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Any:
        """As ``np.ndarray.sum``."""
        return np.sum(self, axis=axis, dtype=dtype, keepdims=keepdims)

    def mean(self, axis: Any = None, keepdims: bool = False) -> Any:
        """As ``np.ndarray.mean``."""
        return np.mean(self, axis=axis, keepdims=keepdims)

    def max(self, axis: Any = None, keepdims: bool = False) -> Any:
        """As ``np.ndarray.max``."""
        return np.max(self, axis=axis, keepdims=keepdims)

    def min(self, axis: Any = None, keepdims: bool = False) -> Any:
        """As ``np.ndarray.min``."""
        return np.min(self, axis=axis, keepdims=keepdims)

    def prod(self, axis: Any = None, keepdims: bool = False) -> Any:
        """As ``np.ndarray.prod``."""
        return np.prod(self, axis=axis, keepdims=keepdims)

    def any(self, axis: Any = None, keepdims: bool = False) -> Any:
        """As ``np.ndarray.any``."""
        return np.any(self, axis=axis, keepdims=keepdims)

    def all(self, axis: Any = None, keepdims: bool = False) -> Any:
        """As ``np.ndarray.all``."""
        return np.all(self, axis=axis, keepdims=keepdims)

    def dot(self, other: Any) -> Any:
        """As ``np.ndarray.dot``."""
        return np.dot(self, other)

    def clip(self, low: Any = None, high: Any = None) -> Any:
        """As ``np.ndarray.clip``."""
        return np.clip(self, low, high)

    def argmax(self, axis: Any = None) -> Any:
        """As ``np.ndarray.argmax``."""
        return np.argmax(self, axis=axis)

    def argmin(self, axis: Any = None) -> Any:
        """As ``np.ndarray.argmin``."""
        return np.argmin(self, axis=axis)

    def __getitem__(self, index: Any) -> Any:
        whole = index if isinstance(index, tuple) else (index,)
        if all(item is None or item is Ellipsis or isinstance(item, slice | int | np.integer) for item in whole):
            taken = np.broadcast_to(np.zeros((), np.bool_), self.shape)[index]
            full = _without_ellipsis(whole, self.ndim)
            return self.tracer.view(self, "index", full, np.shape(taken))
        for item in whole:
            if isinstance(item, TracedArray | np.ndarray) and item.dtype == np.bool_:
                self.tracer.refuse("uses a boolean mask as an index", "use np.where(mask, a, b)")
        return any_function(self.tracer, operator.getitem, (self, index), {})

    def __setitem__(self, index: Any, value: Any) -> NoReturn:
        self.tracer.refuse("writes into an array", "make a new one, such as np.where(mask, a, b)")

    def _no_writing(self, *_: Any) -> NoReturn:
        self.tracer.refuse("writes into an array in place", "make a new one: x = x + y")

    __iadd__ = __isub__ = __imul__ = __itruediv__ = __ipow__ = __ifloordiv__ = _no_writing
    __iand__ = __ior__ = __ixor__ = __imod__ = __imatmul__ = _no_writing

    def __pow__(self, exponent: Any) -> Any:
        """NumPy's own shortcuts: ``x ** 2`` is a square, ``x ** 0.5`` a root."""
        if isinstance(exponent, int | float) and self.dtype.kind == "f":
            shortcut = {2: np.square, 0.5: np.sqrt, -1: np.reciprocal, 1: np.positive}.get(exponent)
            if shortcut is not None:
                return self.tracer.ufunc(shortcut, self)
        return self.tracer.ufunc(np.power, self, exponent)

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        self.tracer.refuse(
            "branches on the value of an array, or turns it into a Python number",
            "use np.where(condition, a, b), fn.ops.number(x) for a number, fn.ops.check(ok, error) for an error",
        )

    __bool__ = __int__ = __float__ = __index__ = __contains__ = item = tolist = _refuse

    def __array__(self, *_: Any, **__: Any) -> NoReturn:
        self.tracer.refuse(
            "needs the values of an array (a table that it indexes, np.asarray, a function outside NumPy)",
            "for a table use fn.ops.take(table, indices)",
        )

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        self.tracer.refuse(f"uses .{name} of an array", "use a function of NumPy")


Traced = TracedArray | TracedNumber | TracedKey | TracedObject


def _without_ellipsis(index: tuple[Any, ...], ndim: int) -> tuple[Any, ...]:
    """A basic index with whole slices in place of ``...``."""
    if Ellipsis not in [item for item in index if not isinstance(item, slice)]:
        return index
    at = next(i for i, item in enumerate(index) if item is Ellipsis)
    known = sum(item is not None and item is not Ellipsis for item in index)
    return (*index[:at], *(slice(None),) * (ndim - known), *index[at + 1 :])


# ----- NumPy's functions ---------------------------------------------------------------------------------------


class _Unusual(Exception):
    """Arguments that a handler leaves to the general way."""


def _array_ufunc(tracer: Tracer, f: Any, method: str, values: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if any(isinstance(value, Members) for value in values):
        return NotImplemented  # whose arrays are recorded one level further in
    kwargs = {name: value for name, value in kwargs.items() if value is not None}
    if "out" in kwargs or method == "at":
        tracer.refuse("writes into an array", "use the value that the function returns")
    if method == "__call__" and f is np.matmul:
        return matmul(tracer, *values)
    if method == "__call__" and f.nout == 1 and f.signature is None:
        dtype = kwargs.pop("dtype", None)
        if not kwargs:
            if dtype is not None:
                values = tuple(
                    v.astype(dtype) if isinstance(v, TracedArray) else np.dtype(dtype).type(v) for v in values
                )
            return tracer.ufunc(f, *values)
    if method == "reduce" and set(kwargs) <= {"axis", "dtype", "keepdims"} and len(values) == 1:
        return tracer.reduce(f, values[0], kwargs.get("axis", 0), kwargs.get("dtype"), kwargs.get("keepdims", False))
    return any_function(tracer, f if method == "__call__" else getattr(f, method), values, kwargs)


def any_function(tracer: Tracer, f: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Record a call of a function about which nothing is known; arrays of ones tell what it gives."""

    def sample(value: Any) -> Any:
        if isinstance(value, TracedArray):
            kind = value.dtype.kind
            return np.zeros(value.shape, value.dtype) if kind in "iu" else np.ones(value.shape, value.dtype)
        if isinstance(value, TracedNumber):
            return value.node.dtype(1)
        if isinstance(value, dict):
            return {name: sample(inner) for name, inner in value.items()}
        return type(value)(map(sample, value)) if isinstance(value, tuple | list) else value

    if any(isinstance(value, TracedKey | TracedObject) for value in args):
        raise TraceError(f"{getattr(f, '__name__', f)} cannot be recorded with a key as its argument")

    with np.errstate(all="ignore"):
        found = f(*sample(args), **sample(kwargs))
    if isinstance(found, list):
        inner = f

        def f(*args: Any, **kwargs: Any) -> Any:
            return tuple(inner(*args, **kwargs))

        found = tuple(found)
    like = tree.map(lambda leaf: None if leaf is None else Struct(np.shape(leaf), np.asarray(leaf).dtype), found)
    if not kwargs:
        return tracer.call(f, args, like)
    return tracer.call(Keywords(f), (args, kwargs), like)


@attrs.frozen
class Keywords:
    """A function that takes its keyword arguments as a dict."""

    function: Callable[..., Any]

    def __call__(self, args: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
        return self.function(*args, **keywords)


def matmul(tracer: Tracer, a: Any, b: Any) -> Any:
    """``a @ b``"""
    x, y = tracer.node(a), tracer.node(b)
    if not (x.shape and y.shape):
        raise ValueError("matmul: operands need at least one axis")
    left, right = (x.shape if len(x.shape) > 1 else (1, *x.shape)), (y.shape if len(y.shape) > 1 else (*y.shape, 1))
    if left[-1] != right[-2]:
        raise ValueError(f"matmul: shapes {x.shape} and {y.shape} do not fit")
    core = (*left[-2:-1] * (len(x.shape) > 1), *right[-1:] * (len(y.shape) > 1))
    shape = (*np.broadcast_shapes(left[:-2], right[:-2]), *core)
    dtype = np.result_type(x.dtype, y.dtype)
    return tracer.wrap(tracer.emit(MATMUL, np.matmul, (x, y), None, shape, dtype))


def _sum(f: Any) -> Callable[..., Any]:
    def handler(
        tracer: Tracer, a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False, **rest: Any
    ) -> Any:
        if rest:
            raise _Unusual
        return tracer.reduce(f, a, axis, dtype, keepdims is True)

    return handler


def _max(f: Any) -> Callable[..., Any]:
    def handler(tracer: Tracer, a: Any, axis: Any = None, out: Any = None, keepdims: Any = False, **rest: Any) -> Any:
        if rest:
            raise _Unusual
        return tracer.reduce(f, a, axis, None, keepdims is True)

    return handler


def _mean(
    tracer: Tracer, a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False, **rest: Any
) -> Any:
    if rest or dtype is not None or a.dtype.kind != "f" or a.dtype.itemsize < 4:
        raise _Unusual
    total = tracer.reduce(np.add, a, axis, None, keepdims is True)
    return total / (a.size // max(total.size, 1))


def _where(tracer: Tracer, condition: Any, *values: Any) -> Any:
    if len(values) != 2:
        tracer.refuse("asks where a condition holds", "use np.where(condition, a, b)")
    args = tuple(map(tracer.node, (condition, *values)))
    kinds = [np.dtype(node.dtype) if node.is_array else node.dtype for node in args[1:]]
    dtype = np.result_type(*(kind if isinstance(kind, np.dtype) else kind(0) for kind in kinds))
    shape = np.broadcast_shapes(*(node.shape for node in args))
    return tracer.wrap(tracer.emit(WHERE, np.where, args, None, shape, dtype))


def _concatenate(tracer: Tracer, arrays: Any, axis: Any = 0, out: Any = None, **rest: Any) -> Any:
    if rest:
        raise _Unusual
    args = tuple(map(tracer.node, arrays))
    if axis is None:
        shape: tuple[int, ...] = (sum(node.size for node in args),)
    else:
        axis = axis % len(args[0].shape)
        whole = list(args[0].shape)
        whole[axis] = sum(node.shape[axis] for node in args)
        shape = tuple(whole)
        if any(
            len(n.shape) != len(shape) or (*n.shape[:axis], *n.shape[axis + 1 :]) != (*shape[:axis], *shape[axis + 1 :])
            for n in args
        ):
            raise ValueError(f"concatenate: shapes {[n.shape for n in args]} do not fit")
    dtype = np.result_type(*(node.dtype for node in args))
    return tracer.wrap(tracer.emit(CONCAT, np.concatenate, args, axis, shape, dtype))


def _stack(tracer: Tracer, arrays: Any, axis: int = 0, out: Any = None, **rest: Any) -> Any:
    if rest:
        raise _Unusual
    return _concatenate(tracer, [np.expand_dims(tracer.wrap(tracer.node(a)), axis) for a in arrays], axis)


def _split(tracer: Tracer, a: Any, indices_or_sections: Any, axis: int = 0) -> Any:
    n = a.shape[axis]
    if isinstance(indices_or_sections, int):
        if n % indices_or_sections:
            raise ValueError("array split does not result in an equal division")
        indices_or_sections = range(n // indices_or_sections, n, n // indices_or_sections)
    ends = [*indices_or_sections, n]
    axis = axis % a.ndim
    before = (slice(None),) * axis
    return [a[(*before, slice(start, end))] for start, end in zip([0, *ends[:-1]], ends, strict=True)]


def _clip(tracer: Tracer, a: Any, a_min: Any = None, a_max: Any = None, out: Any = None, **rest: Any) -> Any:
    if rest:
        raise _Unusual
    a = a if a_min is None else tracer.ufunc(np.maximum, a, a_min)
    return a if a_max is None else tracer.ufunc(np.minimum, a, a_max)


def _full(tracer: Tracer, like: Any, value: Any, dtype: Any = None, rest: Any = None) -> Any:
    if rest:
        raise _Unusual
    constant = tracer.node(np.array(value, like.dtype if dtype is None else dtype))
    return (
        tracer.view(tracer.wrap(constant), "broadcast", like.shape, like.shape) if like.shape else tracer.wrap(constant)
    )


def _expand_dims(tracer: Tracer, a: Any, axis: Any) -> Any:
    axes = axis if isinstance(axis, tuple | list) else (axis,)
    ndim = a.ndim + len(axes)
    new = {one % ndim for one in axes}
    old = iter(a.shape)
    return a.reshape(tuple(1 if i in new else next(old) for i in range(ndim)))


def _moveaxis(tracer: Tracer, a: Any, source: Any, destination: Any) -> Any:
    sources = [s % a.ndim for s in (source if isinstance(source, tuple | list) else (source,))]
    places = [d % a.ndim for d in (destination if isinstance(destination, tuple | list) else (destination,))]
    order = [axis for axis in range(a.ndim) if axis not in sources]
    for place, axis in sorted(zip(places, sources, strict=True)):
        order.insert(place, axis)
    return a.transpose(order)


def _broadcast_to(tracer: Tracer, array: Any, shape: Any, **_: Any) -> Any:
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    np.broadcast_to(np.broadcast_to(np.zeros(()), array.shape), shape)
    return array if shape == array.shape else tracer.view(array, "broadcast", shape, shape)


def _dot(tracer: Tracer, a: Any, b: Any, out: Any = None) -> Any:
    x, y = tracer.node(a), tracer.node(b)
    if not x.shape or not y.shape:
        return tracer.ufunc(np.multiply, a, b)
    if len(y.shape) > 2 or (len(x.shape) > 2 and len(y.shape) > 1):
        raise _Unusual
    return matmul(tracer, a, b)


FUNCTIONS: dict[Any, Callable[..., Any]] = {
    np.sum: _sum(np.add),
    np.prod: _sum(np.multiply),
    np.max: _max(np.maximum),
    np.min: _max(np.minimum),
    np.any: _max(np.logical_or),
    np.all: _max(np.logical_and),
    np.mean: _mean,
    np.where: _where,
    np.concatenate: _concatenate,
    np.stack: _stack,
    np.split: _split,
    np.clip: _clip,
    np.dot: _dot,
    np.zeros_like: lambda t, a, dtype=None, **rest: _full(t, a, 0, dtype, rest),
    np.ones_like: lambda t, a, dtype=None, **rest: _full(t, a, 1, dtype, rest),
    np.full_like: lambda t, a, value, dtype=None, **rest: _full(t, a, value, dtype, rest),
    np.reshape: lambda t, a, shape, *order: a.reshape(shape),
    np.ravel: lambda t, a, *order: a.ravel(),
    np.transpose: lambda t, a, axes=None: a.transpose(axes),
    np.swapaxes: lambda t, a, x, y: a.swapaxes(x, y),
    np.moveaxis: _moveaxis,
    np.expand_dims: _expand_dims,
    np.squeeze: lambda t, a, axis=None: a.squeeze(axis),
    np.broadcast_to: _broadcast_to,
    np.shape: lambda t, a: a.shape,
    np.ndim: lambda t, a: a.ndim,
    np.size: lambda t, a, axis=None: a.size if axis is None else a.shape[axis],
    np.copy: lambda t, a, **_: a,
}


# ----- layers --------------------------------------------------------------------------------------------------


class _Recorder:
    """Stands where a listener stands: marks nodes with their layer, and makes one call of what cannot be traced."""

    def __init__(self, tracer: Tracer) -> None:
        self.tracer = tracer
        self.names: list[str] = []
        self.inputs: dict[str, Any] = {}  # what each layer took, which is what its vjp gives

    def call(self, name: str, layer: Layer, method: str, args: tuple[Any, ...]) -> Any:
        if method not in ("apply", "vjp"):
            return getattr(layer, method)(*args)
        tracer, outer = self.tracer, self.tracer.place
        self.names.append(name)
        path = path_of(self.names)
        tracer.place = Place("forward" if method == "apply" else "backward", path, layer, outer.scope)
        try:
            if method == "apply":
                self.inputs[path] = _structs(args[2])
                made = lambda: self.outputs_of(layer, args)  # noqa: E731
                result = attempt(layer.apply, args, made, f"apply of {type(layer).__name__}")
                if not layer.children:
                    name_nodes(path or "output", result[0])
            else:
                like = _structs(args[0]), self.inputs[path]
                if not layer.children:
                    name_nodes(f"d_{path or 'output'}", args[2])
                result = attempt(layer.vjp, args, lambda: like, f"vjp of {type(layer).__name__}")
                for leaf, gradient in tree.flatten(result[0]).items():
                    name_nodes(f"d_{path}/{leaf}" if path else f"d_{leaf}", gradient)
            return result
        finally:
            self.names.pop()
            tracer.place = outer

    def outputs_of(self, layer: Layer, args: tuple[Any, ...]) -> Any:
        """What ``apply`` gives, by the laws: the shape that the layer states, the state as it was."""
        _, state, x, _ = args
        out_shape = layer.out_shape(tree.map(lambda leaf: leaf.shape[1:], x))
        first = tree.leaves(x)[0]

        def struct(shape: Any) -> Any:
            if isinstance(shape, dict):
                return {name: struct(inner) for name, inner in shape.items()}
            if all(isinstance(n, int) for n in shape):
                return Struct((first.shape[0], *shape), first.dtype)
            return tuple(map(struct, shape))

        return struct(out_shape), _structs(state), Struct((), object)


def attempt(f: Callable[..., Any], args: tuple[Any, ...], like: Callable[[], Any], what: str) -> Any:
    """``f(*args)``, recorded; what cannot be becomes one call, whose result has the structure ``like()``.

    Raises   TraceError where the recording is strict; the library's own errors
    """
    tracer = _current.get()
    if tracer is None:
        return f(*args)
    mark, place = len(tracer.nodes), tracer.place
    try:
        if any(isinstance(arg, TracedObject) for arg in args):  # what a call of its own left
            return tracer.call(f, args, like())
        return f(*args)
    except TraceError as error:
        reason: Exception = error
    except FuncnetError:
        raise
    except Exception as error:
        reason = error
    if tracer.strict:
        raise reason if isinstance(reason, TraceError) else TraceError(f"{what}: {reason}") from reason
    tracer.place = place
    for node in tracer.nodes[mark:]:
        node.effect = False  # what was recorded on the way has no user
    runs_as_it_is(what, reason)
    return tracer.call(f, args, like())


def name_nodes(name: str, value: Any) -> None:
    """Call what a value is made of by a path; the first name stays."""
    leaves = tree.leaves(value)
    for i, leaf in enumerate(leaves):
        if isinstance(leaf, TracedArray) and not leaf.node.name:
            leaf.node.name = name if len(leaves) == 1 else f"{name}_{i}"


def _structs(value: Any) -> Any:
    return tree.map(lambda leaf: Struct(leaf.shape, leaf.dtype), value)


_warned: set[str] = set()


def runs_as_it_is(what: str, reason: Exception) -> None:
    """Warn, once for each line, that something is not compiled."""
    text = f"{what} is not compiled and runs as it is, slower: {reason}"
    if text not in _warned:
        _warned.add(text)
        warnings.warn(text, CompileWarning, stacklevel=2)


# ----- recording a function ---------------------------------------------------------------------------------------

_current: ContextVar[Tracer | None] = ContextVar("tracer", default=None)


@contextlib.contextmanager
def section(name: str) -> Iterator[None]:
    """Mark what is recorded inside the block as one of loss and update; nothing where nothing is recorded."""
    tracer = _current.get()
    if tracer is None:
        yield
        return
    outer = tracer.place
    tracer.place = Place(name, "", None, outer.scope)
    try:
        yield
    finally:
        tracer.place = outer


def map_inputs(f: Callable[[str, Any], Any], value: Any, name: str = "") -> Any:
    """Arguments with ``f(name, leaf)`` for each array, number and key in their dicts, tuples and contexts."""
    if isinstance(value, dict):
        return {key: map_inputs(f, inner, f"{name}/{key}" if name else str(key)) for key, inner in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(
            *(map_inputs(f, inner, f"{name}/{key}") for key, inner in zip(value._fields, value, strict=True))
        )
    if isinstance(value, tuple | list):
        return type(value)(map_inputs(f, inner, f"{name}/{i}" if name else str(i)) for i, inner in enumerate(value))
    if isinstance(value, Context):
        return Context(value.train, map_inputs(f, value.key, f"{name}/key"))
    if isinstance(value, np.ndarray | np.generic | Key | float) or (
        isinstance(value, int) and not isinstance(value, bool)
    ):
        return f(name, value)
    return value


def trace(f: Callable[..., Any], args: tuple[Any, ...], names: tuple[str, ...] = (), strict: bool = False) -> Graph:
    """The graph of ``f(*args)``: arrays, numbers and keys in the arguments are its inputs, in order.

    Raises   TraceError where something cannot be recorded
    """
    tracer = Tracer(strict)
    token = _current.set(tracer)
    try:
        names = names or tuple(str(i) for i in range(len(args)))
        stand_ins = [map_inputs(tracer.input, arg, name) for name, arg in zip(names, args, strict=True)]
        with listen_with(_Recorder(tracer)):
            result = f(*stand_ins)
        outputs = _outputs(tracer, result)
    finally:
        _current.reset(token)
    return Graph(tracer.nodes, tracer.inputs, outputs)


def _outputs(tracer: Tracer, value: Any) -> Any:
    """The result with nodes for what was recorded, and for arrays; anything else as it is."""
    if isinstance(value, Traced | np.ndarray | np.generic):
        return tracer.node(value)
    if isinstance(value, dict):
        return {name: _outputs(tracer, inner) for name, inner in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(_outputs(tracer, inner) for inner in value))
    if isinstance(value, tuple | list):
        return type(value)(_outputs(tracer, inner) for inner in value)
    return value
