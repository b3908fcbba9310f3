"""The recorded program: a graph of NumPy calls with known shapes and dtypes, in the order they were made.

A node is one call. Its arguments are nodes; whatever else it needs (axes, shapes, a function) is static. What
a node gives is an array, a Python number, a key, or some other object, as ``dtype`` tells.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

Shape = tuple[int, ...]

INPUT = "input"  #          static: the input's name
CONST = "const"  #          static: an array or a number
UFUNC = "ufunc"  #          f: an elementwise ufunc of one result
MATMUL = "matmul"  #        np.matmul
REDUCE = "reduce"  #        f: a ufunc; static: (axes or None, keepdims)
VIEW = "view"  #            static: ("reshape", shape), ("transpose", axes), ("index", index), ("broadcast", shape)
CAST = "cast"  #            astype(dtype)
WHERE = "where"  #          np.where(condition, a, b)
CONCAT = "concat"  #        static: the axis; None flattens
SETTLE = "settle"  #        ops.settle, which writes into its argument's memory
PROBE = "probe"  #          a Python float, finite only if all entries of two arrays are
NUMBER = "number"  #        f: a function of Python numbers
CALL = "call"  #            f: any function; static: its arguments with a Ref for each node
PART = "part"  #            static: where in the result of a call


class Ref(NamedTuple):
    """Stands for the i-th argument node in the arguments of a call."""

    i: int


class Place(NamedTuple):
    """Where in the program a node was recorded: forward, loss, backward or update, and in which layer."""

    section: str = ""
    path: str = ""
    layer: Any = None
    scope: int = 0  # common subexpressions are shared within one scope alone


class Node:
    """One call."""

    __slots__ = ("args", "dtype", "effect", "f", "kind", "name", "place", "shape", "static")

    def __init__(
        self,
        kind: str,
        f: Any,
        args: tuple[Node, ...],
        static: Any,
        shape: Shape,
        dtype: Any,
        place: Place,
        effect: bool = False,
    ) -> None:
        self.kind, self.f, self.args, self.static = kind, f, args, static
        self.shape, self.dtype, self.place, self.effect = shape, dtype, place, effect
        self.name = ""  # what a reader would call it

    @property
    def is_array(self) -> bool:
        """Whether the node gives an array."""
        return isinstance(self.dtype, np.dtype)

    @property
    def is_number(self) -> bool:
        """Whether the node gives a Python number."""
        return isinstance(self.dtype, type) and self.dtype in (float, int, bool)

    @property
    def size(self) -> int:
        """The number of entries."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """The number of bytes of an array; 0 for anything else."""
        return self.size * self.dtype.itemsize if self.is_array else 0

    def __repr__(self) -> str:
        name = getattr(self.f, "__name__", "") or (self.static if self.kind in (INPUT, VIEW) else "")
        return f"<{self.kind} {name} {self.shape} {self.dtype}>"


class Graph(NamedTuple):
    """Nodes in an order in which they can run, and what leaves: a tree with nodes as leaves."""

    nodes: list[Node]
    inputs: list[Node]
    outputs: Any

    def roots(self) -> list[Node]:
        """What must be computed: outputs and effects."""
        return [*leaves(self.outputs), *(node for node in self.nodes if node.effect)]

    def rebuilt(self, change: Callable[[Node, tuple[Node, ...]], Node]) -> Graph:
        """The graph with every node replaced by ``change(node, its new arguments)``."""
        new: dict[Node, Node] = {}
        nodes: list[Node] = []
        seen: set[int] = set()

        def add(node: Node) -> None:
            if id(node) not in seen:  # nodes that a change puts in front come first
                seen.add(id(node))
                for arg in node.args:
                    add(arg)
                nodes.append(node)

        for node in self.nodes:
            new[node] = change(node, tuple(new[arg] for arg in node.args))
            new[node].name = new[node].name or node.name
            add(new[node])
        return Graph(nodes, [new[node] for node in self.inputs], map_nodes(lambda node: new[node], self.outputs))

    def used(self) -> Graph:
        """The graph without what nobody uses."""
        needed: set[Node] = set()
        stack = self.roots()
        while stack:
            node = stack.pop()
            if node not in needed:
                needed.add(node)
                stack.extend(node.args)
        kept = [node for node in self.nodes if node in needed or node.kind == INPUT]
        return Graph(kept, self.inputs, self.outputs)


def with_args(node: Node, args: tuple[Node, ...]) -> Node:
    """The same call on other arguments."""
    if all(new is old for new, old in zip(args, node.args, strict=True)):
        return node
    new = Node(node.kind, node.f, args, node.static, node.shape, node.dtype, node.place, node.effect)
    new.name = node.name
    return new


# ----- trees with nodes in them --------------------------------------------------------------------------


def map_nodes(f: Callable[[Node], Any], value: Any) -> Any:
    """A structure of dicts, tuples and lists with ``f`` of each node in it; other leaves stay as they are."""
    if isinstance(value, Node):
        return f(value)
    if isinstance(value, dict):
        return {name: map_nodes(f, inner) for name, inner in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(map_nodes(f, inner) for inner in value))
    if isinstance(value, tuple | list):
        return type(value)(map_nodes(f, inner) for inner in value)
    return value


def leaves(value: Any) -> list[Node]:
    """The nodes in a structure, in order."""
    found: list[Node] = []
    map_nodes(found.append, value)
    return found


def plain_text(value: Any) -> str:
    """A plain value as code."""
    return f'float("{value!r}")' if isinstance(value, float) and not math.isfinite(value) else repr(value)


def fill(value: Any, args: Iterable[Any]) -> Any:
    """The arguments of a call: its static structure with the i-th argument for Ref(i)."""
    values = tuple(args)

    def walk(value: Any) -> Any:
        if isinstance(value, Ref):
            return values[value.i]
        if isinstance(value, dict):
            return {name: walk(inner) for name, inner in value.items()}
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return type(value)(*map(walk, value))
        if isinstance(value, tuple | list):
            return type(value)(map(walk, value))
        return value

    return walk(value)


# ----- shapes and dtypes -----------------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def ufunc_dtypes(f: Any, kinds: tuple[Any, ...]) -> tuple[Any, ...]:
    """The dtypes in which a ufunc of one result computes, inputs first; a Python number's kind is its type."""
    return f.resolve_dtypes((*kinds, None))


@lru_cache(maxsize=4096)
def reduced_dtype(f: Any, dtype: Any, wanted: Any) -> Any:
    """The dtype of a reduction's result."""
    return f.reduce(np.ones(1, dtype), dtype=wanted).dtype


def reduced_shape(shape: Shape, axes: Shape | None, keepdims: bool) -> Shape:
    """The shape of a reduction's result."""
    gone = set(range(len(shape)) if axes is None else axes)
    return tuple(1 if i in gone else n for i, n in enumerate(shape) if keepdims or i not in gone)


def normal_axes(axis: Any, ndim: int) -> Shape | None:
    """Axes as sorted non-negative numbers; None for all of them."""
    if axis is None:
        return None
    axes = axis if isinstance(axis, tuple) else (axis,)
    for one in axes:
        if not -ndim <= one < ndim:
            raise np.exceptions.AxisError(one, ndim)
    return tuple(sorted(one % ndim for one in axes))


def filled_shape(shape: Shape, size: int) -> Shape:
    """A shape with its -1, if any, replaced by what is left of ``size``."""
    if -1 in shape:
        known = math.prod(n for n in shape if n != -1)
        shape = tuple(size // known if n == -1 and known else n for n in shape)
    if math.prod(shape) != size:
        raise ValueError(f"cannot reshape {size} entries into {shape}")
    return shape


def contiguous(node: Node) -> bool:
    """Whether the node's array lies row by row in memory without gaps, as far as a plan has to know.

    Of an argument it need not: a view of one is made at every call.
    """
    if node.kind != VIEW or node.size <= 1:
        return True
    method, how = node.static
    (base,) = node.args
    if not contiguous(base):
        return False
    if method == "transpose":  # axes of length 1 may go anywhere
        moved = [axis for axis in how if base.shape[axis] != 1]
        return moved == sorted(moved)
    if method == "index":
        return _whole_rows(how)
    return method == "reshape" or node.shape == base.shape


def _whole_rows(index: tuple[Any, ...]) -> bool:
    """Whether a basic index takes rows of the first axis alone, whole and one after another."""
    first, rest = (index[0], index[1:]) if index else (slice(None), ())
    if any(not (item is None or (isinstance(item, slice) and item == slice(None))) for item in rest):
        return False
    return not isinstance(first, slice) or first.step in (None, 1)


def is_elementwise(node: Node) -> bool:
    """Whether each entry of the result comes from the entries at the same place."""
    return node.is_array and node.kind in (UFUNC, CAST, WHERE)
