"""One graph for any number of rows, merged from three recordings.

A recording has the shapes of one batch. The lengths that differ between recordings of 11, 13 and 17 rows depend on
the number of rows: the first two recordings give the formula ``a · rows + b``, and the third must agree with it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from funcnet.codegen.constants import alike
from funcnet.compiler.graph import Node, NodeGraph, map_nodes
from funcnet.compiler.kinds import CALL, CONST, VIEW, Arguments
from funcnet.errors import FuncnetError

SIZES = ((11, 13, 17), (101, 103, 107), (1009, 1013, 1019))
"""If the network has a length of 11 itself, the steps may be recorded differently; the later sizes avoid that."""


class Rows(int):
    """A length that depends on the number of rows; it prints as ``rows``, or ``7 * rows``."""

    text: str

    def __new__(cls, value: int, text: str) -> Rows:
        """A length in one of the recordings, and its expression."""
        made = super().__new__(cls, value)
        made.text = text
        return made

    def __repr__(self) -> str:
        return self.text

    __str__ = __repr__


class Different(Exception):
    """The recordings have different steps."""


def for_any_rows(record: Callable[[int], NodeGraph]) -> NodeGraph:
    """The graph of ``record(rows)`` for any number of rows; its lengths are expressions of ``rows``.

    Raises   FuncnetError for a network whose steps depend on the number of rows
    """
    reason = Different("")
    for sizes in SIZES:
        try:
            return _Merger([record(rows) for rows in sizes], sizes).graph
        except Different as error:
            reason = error
    raise FuncnetError(f"cannot print the network for any number of rows: {reason}")


class _Merger:
    def __init__(self, graphs: list[NodeGraph], sizes: tuple[int, ...]) -> None:
        self.sizes = sizes
        if len({len(graph.nodes) for graph in graphs}) > 1:
            raise Different("its steps depend on the number of rows")
        first = graphs[0]
        position = [{node: i for i, node in enumerate(graph.nodes)} for graph in graphs]
        new: list[Node] = []
        nodes: list[Node] = []
        for same in zip(*(graph.nodes for graph in graphs), strict=True):
            args = [[at[arg] for arg in node.args] for at, node in zip(position, same, strict=True)]
            if any(other != args[0] for other in args) or len({(node.kind, str(node.dtype)) for node in same}) > 1:
                raise Different(f"the steps of {where(same[0])} depend on the number of rows")
            made = self.node(same, tuple(new[i] for i in args[0]))
            made[-1].name = same[0].name
            nodes += made
            new.append(made[-1])
        by_old = dict(zip(first.nodes, new, strict=True))
        outputs = map_nodes(lambda node: by_old[node], first.outputs)
        self.graph = NodeGraph(nodes, [by_old[node] for node in first.inputs], outputs)

    def node(self, same: tuple[Node, ...], args: tuple[Node, ...]) -> list[Node]:
        """The node that replaces those of all recordings, after the new nodes that it needs."""
        one = same[0]
        shape = self.value([node.shape for node in same], one)
        if one.kind is CONST and isinstance(one.static, np.ndarray) and len({node.shape for node in same}) > 1:
            return self.constant(one, shape)
        f = self.value([node.f for node in same], one)
        if one.kind is CONST and isinstance(one.static, np.ndarray):
            if not all(np.array_equal(node.static, one.static, equal_nan=one.dtype.kind == "f") for node in same):
                raise Different(f"{where(one)} has a constant that depends on the number of rows")
            static: Any = one.static
        else:
            static = self.value([node.static for node in same], one)
        return [Node(one.kind, f, args, static, shape, one.dtype, one.place, None, one.effect)]

    def constant(self, one: Node, shape: tuple[int, ...]) -> list[Node]:
        """A constant array of the batch's size, filled with one number or counting the rows."""
        array = one.static
        if alike(array):
            number = np.array(array.flat[0])
            scalar = Node(CONST, None, (), number, (), one.dtype, one.place)
            return [scalar, Node(VIEW, None, (scalar,), ("broadcast", shape), shape, one.dtype, one.place, None)]
        if array.ndim == 1 and array.dtype == np.int64 and np.array_equal(array, np.arange(len(array))):
            return [Node(CALL, np.arange, (), Arguments((shape[0],)), shape, one.dtype, one.place, None)]
        raise Different(f"{where(one)} has a constant that depends on the number of rows")

    def value(self, values: list[Any], at: Node) -> Any:
        """One static value for all recordings: integers may depend on the rows, all other parts must be equal."""
        one = values[0]
        if any(type(other) is not type(one) for other in values):
            raise Different(f"{where(at)} depends on the number of rows")
        if isinstance(one, int) and not isinstance(one, bool):
            return self.length(values, at)
        if isinstance(one, slice):
            parts = [self.value([getattr(v, name) for v in values], at) for name in ("start", "stop", "step")]
            return slice(*parts)
        if isinstance(one, dict):
            return {name: self.value([v[name] for v in values], at) for name in one}
        if isinstance(one, tuple | list):
            if any(len(other) != len(one) for other in values):
                raise Different(f"{where(at)} depends on the number of rows")
            parts = [self.value(list(part), at) for part in zip(*values, strict=True)]
            return type(one)(*parts) if hasattr(one, "_fields") else type(one)(parts)
        if callable(one):  # a function defined inside a layer is a new object in each recording
            alike = all(other == one or named(other) == named(one) for other in values)
        else:
            alike = repr(values) == repr([one] * len(values))
        if not alike:
            raise Different(f"{where(at)} depends on the number of rows")
        return one

    def length(self, values: list[int], at: Node) -> int:
        """``a · rows + b`` through all points."""
        if len(set(values)) == 1:
            return values[0]
        a, rest = divmod(values[1] - values[0], self.sizes[1] - self.sizes[0])
        b = values[0] - a * self.sizes[0]
        if rest or any(a * rows + b != value for rows, value in zip(self.sizes, values, strict=True)):
            raise Different(f"{where(at)} has a length that is not linear in the number of rows")
        product = "rows" if a == 1 else f"{a} * rows"
        return Rows(values[0], product if b == 0 else f"{product} {'+' if b > 0 else '-'} {abs(b)}")


def named(f: Any) -> str:
    """The qualified name of a function, with its module."""
    return f"{getattr(f, '__module__', '')}.{getattr(f, '__qualname__', repr(f))}"


def where(node: Node) -> str:
    """The layer of a step, for messages."""
    layer = type(node.place.layer).__name__
    return f"{node.place.path} ({layer})" if node.place.path else "a step" if node.place.layer is None else layer
