"""Arrays with a hidden leading axis: a layer written for one network runs once for all members of an ensemble.

``Members`` wraps an array (members, *shape) and behaves like an array of ``shape``. NumPy's protocols apply an
operation to all members at once; unknown functions, and all primitives of ``ops``, are called for each member in turn.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, NoReturn

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from funcnet import tree
from funcnet.key import Key


class Unvectorized(Exception):
    """An operation needs the value of one member, such as an ``if`` on an array."""


class Members(NDArrayOperatorsMixin):
    """The arrays of all members, behaving like the array of one."""

    __slots__ = ("value",)
    __array_priority__ = 2000
    each_member: ClassVar[Any]

    def __init__(self, value: Any) -> None:
        self.value = value

    # shape and dtype

    @property
    def count(self) -> int:
        """The number of members."""
        return int(self.value.shape[0])

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one member's array."""
        shape: tuple[int, ...] = self.value.shape[1:]
        return shape

    @property
    def ndim(self) -> int:
        """The number of axes of one member's array."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of entries of one member's array."""
        return math.prod(self.shape)

    @property
    def dtype(self) -> Any:
        """The dtype."""
        return self.value.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[Members]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        return f"Members({self.count} of {self.shape}, {self.dtype})"

    # NumPy's protocols

    def __array_ufunc__(self, f: Any, method: str, *values: Any, **kwargs: Any) -> Any:
        if f is np.matmul and method == "__call__" and not kwargs:
            return matmul(*values)
        if method == "__call__" and f.signature is None and "out" not in kwargs:
            return Members(f(*aligned(values), **kwargs))
        if method == "reduce" and "out" not in kwargs:
            axis = kwargs.pop("axis", 0)
            return Members(f.reduce(self.value, axis=shifted(axis, self.ndim), **kwargs))
        return each_member(f if method == "__call__" else getattr(f, method), values, kwargs)

    def __array_function__(self, f: Any, types: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        handler = FUNCTIONS.get(f)
        return each_member(f, args, kwargs) if handler is None else handler(*args, **kwargs)

    # methods

    @property
    def T(self) -> Members:
        """The transpose."""
        return self.transpose()

    def transpose(self, *axes: Any) -> Members:
        """As ``np.ndarray.transpose``."""
        if len(axes) == 1 and (axes[0] is None or isinstance(axes[0], tuple | list)):
            axes = tuple(axes[0] or ())
        order = [axis % self.ndim for axis in axes] or list(reversed(range(self.ndim)))
        return Members(self.value.transpose(0, *(axis + 1 for axis in order)))

    def swapaxes(self, a: int, b: int) -> Members:
        """As ``np.ndarray.swapaxes``."""
        return Members(self.value.swapaxes(a % self.ndim + 1, b % self.ndim + 1))

    def reshape(self, *shape: Any) -> Members:
        """As ``np.ndarray.reshape``."""
        full = tuple(shape[0]) if len(shape) == 1 and isinstance(shape[0], tuple | list) else shape
        if -1 in full:
            known = math.prod(n for n in full if n != -1)
            full = tuple(self.size // max(known, 1) if n == -1 else n for n in full)
        return Members(self.value.reshape(self.count, *full))

    def ravel(self) -> Members:
        """As ``np.ndarray.ravel``."""
        return self.reshape(self.size)

    def astype(self, dtype: Any, copy: bool = True) -> Members:
        """As ``np.ndarray.astype``."""
        return Members(self.value.astype(dtype, copy=copy))

    def copy(self) -> Members:
        """As ``np.ndarray.copy``."""
        return Members(self.value.copy())

    def sum(self, axis: Any = None, keepdims: bool = False) -> Any:
        """As ``np.ndarray.sum``."""
        return FUNCTIONS[np.sum](self, axis=axis, keepdims=keepdims)

    def mean(self, axis: Any = None, keepdims: bool = False) -> Any:
        """As ``np.ndarray.mean``."""
        return FUNCTIONS[np.mean](self, axis=axis, keepdims=keepdims)

    def max(self, axis: Any = None, keepdims: bool = False) -> Any:
        """As ``np.ndarray.max``."""
        return FUNCTIONS[np.max](self, axis=axis, keepdims=keepdims)

    def __getitem__(self, index: Any) -> Any:
        items = index if isinstance(index, tuple) else (index,)
        if all(item is None or item is Ellipsis or isinstance(item, slice | int) for item in items):
            return Members(self.value[(slice(None), *items)])
        return each_member(operator.getitem, (self, index), {})

    def _refuse(self, *_: Any) -> NoReturn:
        raise Unvectorized("needs the value of one member")

    __bool__ = __int__ = __float__ = __index__ = __contains__ = item = tolist = __array__ = __setitem__ = _refuse


def aligned(values: Any) -> list[Any]:
    """The arrays with their axes aligned from the right for broadcasting, behind the axis of members."""
    ndim = max(np.ndim(value) if not isinstance(value, Members) else value.ndim for value in values)
    return [
        value.value.reshape(value.count, *(1,) * (ndim - value.ndim), *value.shape)
        if isinstance(value, Members)
        else value
        for value in values
    ]


def shifted(axis: Any, ndim: int) -> Any:
    """Axes of one member's array as axes of the array of all members."""
    if axis is None:
        return tuple(range(1, ndim + 1))
    if isinstance(axis, tuple | list):
        return tuple(one % ndim + 1 for one in axis)
    return axis % ndim + 1


def matmul(a: Any, b: Any) -> Any:
    """``a @ b`` for all members."""
    if min(a.ndim, b.ndim) < 2:
        return each_member(np.matmul, (a, b), {})
    return Members(np.matmul(*aligned((a, b))))


def members_in(value: Any) -> Iterator[Any]:
    """All Members and MembersKeys inside arguments."""
    if isinstance(value, Members | MembersKey):
        yield value
    elif isinstance(value, tuple | list):
        for item in value:
            yield from members_in(item)
    elif isinstance(value, dict):
        yield from members_in(tuple(value.values()))


def member(value: Any, i: int) -> Any:
    """One member's part of a value."""
    if isinstance(value, Members):
        return value.value[i]
    if isinstance(value, MembersKey):
        return value.keys[i]
    if isinstance(value, dict):
        return {name: member(inner, i) for name, inner in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(member(inner, i) for inner in value)
    return value


def each_member(f: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """``f`` called for each member in turn, with the results stacked."""
    found = next(members_in((args, kwargs)))
    count = len(found.keys) if isinstance(found, MembersKey) else found.count
    results = [f(*member(args, i), **member(kwargs, i)) for i in range(count)]
    if isinstance(results[0], list):
        results = [tuple(result) for result in results]
    return tree.map(lambda *parts: None if parts[0] is None else Members(np.stack(parts)), *results)


class MembersKey(Key):
    """The keys of all members; it folds and draws with each of them."""

    keys: list[Key]
    each_member: ClassVar[Any]

    def __init__(self, keys: list[Key]) -> None:
        object.__setattr__(self, "keys", keys)

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        return f"MembersKey({len(self.keys)})"

    def fold(self, *words: Any) -> Key:
        return MembersKey([key.fold(*words) for key in self.keys])

    def _draw(self, method: str, *args: Any) -> Any:
        return Members(np.stack([getattr(key, method)(*args) for key in self.keys]))

    def bits(self, shape: Any = (), dtype: Any = np.uint64) -> Any:
        return self._draw("bits", shape, dtype)

    def uniform(self, shape: Any = (), dtype: Any = np.float64, low: float = 0.0, high: float = 1.0) -> Any:
        return self._draw("uniform", shape, dtype, low, high)

    def normal(self, shape: Any = (), dtype: Any = np.float64) -> Any:
        return self._draw("normal", shape, dtype)

    def permutation(self, n: int) -> Any:
        return self._draw("permutation", n)

    def integers(self, high: int, shape: Any = ()) -> Any:
        return self._draw("integers", high, shape)


Members.each_member = MembersKey.each_member = staticmethod(each_member)  # ``ops`` recognises them by it


# ----- NumPy's functions ---------------------------------------------------------------------------------------


def _reduction(f: Any) -> Callable[..., Any]:
    def handler(a: Any, axis: Any = None, keepdims: bool = False, **rest: Any) -> Any:
        if rest:
            return each_member(f, (a,), {"axis": axis, "keepdims": keepdims, **rest})
        return Members(f(a.value, axis=shifted(axis, a.ndim), keepdims=bool(keepdims)))

    return handler


def _joined(f: Any) -> Callable[..., Any]:
    def handler(arrays: Any, axis: int = 0, **rest: Any) -> Any:
        count = next(members_in(tuple(arrays))).count
        whole = [spread(array, count) for array in arrays]
        ndim = whole[0].ndim - 1 + (f is np.stack)
        return Members(f(whole, axis=axis % ndim + 1, **rest))

    return handler


def spread(value: Any, count: int) -> Any:
    """The array of all members; an array that they share is repeated."""
    return value.value if isinstance(value, Members) else np.broadcast_to(value[None], (count, *np.shape(value)))


def _split(a: Any, indices_or_sections: Any, axis: int = 0) -> Any:
    return [Members(part) for part in np.split(a.value, indices_or_sections, axis=axis % a.ndim + 1)]


def _expand_dims(a: Any, axis: Any) -> Any:
    axes = axis if isinstance(axis, tuple | list) else (axis,)
    ndim = a.ndim + len(axes)
    return Members(np.expand_dims(a.value, tuple(one % ndim + 1 for one in axes)))


def _moveaxis(a: Any, source: int, destination: int) -> Any:
    return Members(np.moveaxis(a.value, source % a.ndim + 1, destination % a.ndim + 1))


def _broadcast_to(array: Any, shape: Any) -> Any:
    inner = array.value.reshape(array.count, *(1,) * (len(shape) - array.ndim), *array.shape)
    return Members(np.broadcast_to(inner, (array.count, *shape)))


def _clip(a: Any, low: Any = None, high: Any = None) -> Any:
    a = a if low is None else np.maximum(a, low)
    return a if high is None else np.minimum(a, high)


FUNCTIONS: dict[Any, Callable[..., Any]] = {
    **{f: _reduction(f) for f in (np.sum, np.mean, np.max, np.min, np.prod, np.any, np.all)},
    np.concatenate: _joined(np.concatenate),
    np.stack: _joined(np.stack),
    np.split: _split,
    np.where: lambda *values: Members(np.where(*aligned(values))),
    np.clip: _clip,
    np.zeros_like: lambda a, dtype=None: Members(np.zeros_like(a.value, dtype=dtype)),
    np.ones_like: lambda a, dtype=None: Members(np.ones_like(a.value, dtype=dtype)),
    np.full_like: lambda a, value, dtype=None: Members(np.full_like(a.value, value, dtype=dtype)),
    np.reshape: lambda a, shape: a.reshape(shape),
    np.ravel: lambda a: a.ravel(),
    np.transpose: lambda a, axes=None: a.transpose(axes),
    np.swapaxes: lambda a, x, y: a.swapaxes(x, y),
    np.moveaxis: _moveaxis,
    np.expand_dims: _expand_dims,
    np.broadcast_to: _broadcast_to,
    np.shape: lambda a: a.shape,
    np.ndim: lambda a: a.ndim,
    np.size: lambda a: a.size,
}
