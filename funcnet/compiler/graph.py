"""The recorded program: a graph of NumPy calls with known shapes, dtypes and strides, in the order they were made.

A node is one call. Its arguments are nodes; everything else it needs (axes, shapes, a function) is static. Its
``dtype`` says whether the result is an array, a Python number, a key or another object. ``kinds.py`` defines each
kind of node in one place.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from funcnet.compiler import layout, structure
from funcnet.compiler.layout import Form, Shape, Strides

if TYPE_CHECKING:
    from funcnet.compiler.kind import Kind


class Ref(NamedTuple):
    """A placeholder for the i-th argument node in the arguments of a call."""

    i: int


class Struct(NamedTuple):
    """A result's shape, dtype (NumPy's, or float, int, Key, object) and strides, and whether it is a NumPy scalar."""

    shape: Any
    dtype: Any
    strides: Strides | None = None
    scalar: bool = False


class Place(NamedTuple):
    """Where in the program a node was recorded: forward, loss, backward or update, and in which layer."""

    section: str = ""
    path: str = ""
    layer: Any = None
    scope: int = 0  # common subexpressions are shared within one scope only


class Node:
    """One call."""

    __slots__ = (
        "args", "dtype", "effect", "f", "hint", "is_array", "kind", "name", "place", "shape", "static", "strides"
    )  # fmt: skip

    def __init__(
        self,
        kind: Kind,
        f: Any,
        args: tuple[Node, ...],
        static: Any,
        shape: Shape,
        dtype: Any,
        place: Place,
        strides: Strides | None = (),
        effect: bool = False,
    ) -> None:
        self.kind, self.f, self.args, self.static = kind, f, args, static
        self.shape, self.dtype, self.place, self.effect = shape, dtype, place, effect
        self.is_array = isinstance(dtype, np.dtype)
        self.strides = strides if shape else ()  # None where they are known only when the program runs
        self.name = ""  # a readable name, for printing
        self.hint = ""  # that of the variable that had the value, for a printed value without a name

    @property
    def is_number(self) -> bool:
        """Whether the node gives a Python number."""
        return self.dtype is float or self.dtype is int or self.dtype is bool

    @property
    def size(self) -> int:
        """The number of entries."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """The number of bytes of an array; 0 for anything else."""
        return math.prod(self.shape) * self.dtype.itemsize if self.is_array else 0

    @property
    def form(self) -> Form:
        """The shape and the strides."""
        return Form(self.shape, self.strides, self.dtype.itemsize if self.is_array else 8)

    @property
    def row_major(self) -> bool:
        """Whether the array is contiguous in C order."""
        return self.is_array and self.strides == layout.row_major(self.shape, self.dtype.itemsize)

    def __repr__(self) -> str:
        name = getattr(self.f, "__name__", "") or (self.static if isinstance(self.static, str | tuple) else "")
        return f"<{self.kind} {name} {self.shape} {self.dtype}>"


class NodeGraph(NamedTuple):
    """Nodes in an order in which they can run; the outputs are a structure with nodes as leaves."""

    nodes: list[Node]
    inputs: list[Node]
    outputs: Any

    def roots(self) -> list[Node]:
        """The nodes that must be computed: outputs and effects."""
        return [*leaves(self.outputs), *(node for node in self.nodes if node.effect)]

    def rebuilt(self, change: Callable[[Node, tuple[Node, ...]], Node]) -> NodeGraph:
        """The graph with every node replaced by ``change(node, its new arguments)``.

        A replacement with other strides is ignored: the bits of later results depend on the memory layout.
        """
        new: dict[Node, Node] = {}
        nodes: list[Node] = []
        seen: set[Node] = set()

        def add(node: Node) -> None:
            if node not in seen:  # a replacement may depend on new nodes, which go in front of it
                seen.add(node)
                for arg in node.args:
                    add(arg)
                nodes.append(node)

        for node in self.nodes:
            args = tuple([new[arg] for arg in node.args])
            made = change(node, args)
            if made.strides != node.strides:
                made = with_args(node, args)
            made.name, made.hint = made.name or node.name, made.hint or node.hint
            new[node] = made
            if made not in seen:
                if seen.issuperset(made.args):
                    seen.add(made)
                    nodes.append(made)
                else:
                    add(made)
        return NodeGraph(nodes, [new[node] for node in self.inputs], map_nodes(lambda node: new[node], self.outputs))

    def used(self) -> NodeGraph:
        """The graph without unused nodes."""
        needed: set[Node] = set()
        stack = self.roots()
        while stack:
            node = stack.pop()
            if node not in needed:
                needed.add(node)
                stack.extend(node.args)
        inputs = set(self.inputs)
        return NodeGraph([node for node in self.nodes if node in needed or node in inputs], self.inputs, self.outputs)


def with_args(node: Node, args: tuple[Node, ...]) -> Node:
    """The same call on other arguments."""
    if args == node.args:
        return node
    new = Node(node.kind, node.f, args, node.static, node.shape, node.dtype, node.place, node.strides, node.effect)
    new.name, new.hint = node.name, node.hint
    return new


# ----- structures with nodes in them -------------------------------------------------------------------------


def map_nodes(f: Callable[[Node], Any], value: Any) -> Any:
    """The structure with ``f(node)`` in the place of each node; other leaves stay unchanged."""
    return structure.replaced(lambda leaf: f(leaf) if type(leaf) is Node else leaf, value)


def leaves(value: Any) -> list[Node]:
    """The nodes in a structure, in order."""
    return [leaf for leaf in structure.leaves(value) if type(leaf) is Node]


def fill(value: Any, args: Iterable[Any]) -> Any:
    """The arguments of a call: its static structure with the i-th argument for Ref(i)."""
    values = tuple(args)

    def walk(value: Any) -> Any:
        if type(value) is Ref:
            return values[value.i]
        inner = structure.parts(value)
        return value if inner is None else structure.with_parts(value, [walk(part) for _, part in inner])

    return walk(value)


def plain_text(value: Any) -> str:
    """The source text of a plain value."""
    return f'float("{value!r}")' if isinstance(value, float) and not math.isfinite(value) else repr(value)
