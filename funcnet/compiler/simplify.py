"""Passes that remove, share and replace calls. Each is a function from graph to graph.

None of them changes a bit of any result, or the memory layout of an array.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from funcnet.compiler.fallback import Opaque
from funcnet.compiler.graph import Node, NodeGraph, with_args
from funcnet.compiler.kinds import (
    CALL,
    CAST,
    CONST,
    INPUT,
    MATMUL,
    NUMBER,
    REDUCE,
    UFUNC,
    VIEW,
    WHERE,
    is_elementwise,
    memory_of,
    number_of,
    ufunc_dtypes,
)

FOLDED_BYTES = 1 << 16
"""The largest constant to fold"""


def constant(value: Any, like: Node) -> Node:
    """A constant in the place of another node."""
    return CONST.node(value, like.place)


def is_one(node: Node) -> bool:
    """Whether a node is the constant 1."""
    return node.kind is CONST and node.shape == () and bool(node.static == 1)


def seen_by_others(graph: NodeGraph) -> set[Node]:
    """The arrays that opaque calls may write to, which must not be shared."""
    return {
        other
        for node in graph.nodes
        if node.kind is CALL and isinstance(node.f, Opaque)
        for arg in node.args
        for other in (arg, memory_of(arg))
    }


def simplify(graph: NodeGraph) -> NodeGraph:
    """Fold constants, and remove calls without effect: products with 1, views of views, casts to the same dtype."""
    apart = seen_by_others(graph)

    def change(old: Node, args: tuple[Node, ...]) -> Node:
        node = with_args(old, args)
        if node.effect or old in apart:
            return node
        if node.kind is CAST and args[0].dtype == node.dtype and args[0].strides == node.strides:
            return args[0]
        if node.kind is UFUNC:
            if node.f is np.multiply:
                for x, other in (args, args[::-1]):
                    if is_one(other) and x.dtype == node.dtype and x.shape == node.shape and x.strides == node.strides:
                        return x
            node = with_args(node, tuple([_scalar_of(arg, node, args) for arg in args]))
        elif node.kind is WHERE:
            node = with_args(node, (args[0], *(_scalar_of(arg, node, args) for arg in args[1:])))
        elif node.kind is VIEW:
            found = _simpler_view(node, *args)
            if found is not None:
                return found
        elif node.kind is NUMBER and node.f is operator.mul:
            for x, other in (args, args[::-1]):
                if is_one(other) and x.dtype is node.dtype:
                    return x
        known = node.kind.folds and node.args and all(arg.kind is CONST for arg in node.args)
        if known and node.nbytes <= FOLDED_BYTES and number_of(node) is None:
            with np.errstate(all="ignore"):
                return constant(node.kind.evaluate(node, [arg.static for arg in node.args]), node)
        return node

    return graph.rebuilt(change)


def _simpler_view(node: Node, base: Node) -> Node | None:
    """A simpler node for a view, if there is one."""
    method, how = node.static
    if method == "reshape":
        if base.kind is VIEW and base.static[0] == "reshape" and base.strides is not None:
            (base,) = base.args
            if base.shape != node.shape:
                return Node(VIEW, None, (base,), node.static, node.shape, node.dtype, node.place, node.strides)
        return base if base.shape == node.shape else None
    if method == "transpose" and base.kind is VIEW and base.static[0] == "transpose":
        order = tuple(base.static[1][axis] for axis in how)
        return base.args[0] if order == tuple(range(len(order))) else None
    whole = method == "index" and node.shape == base.shape
    if whole and all(isinstance(item, slice) and item.step in (None, 1) for item in how):
        return base
    return None


def _scalar_of(arg: Node, node: Node, args: tuple[Node, ...]) -> Node:
    """A scalar for an array filled with one number, if the other arguments have the shape of the result."""
    number = number_of(arg)
    if number is not None and arg.shape:
        others = [other.shape for other in args if other is not arg]
        if others and np.broadcast_shapes(*others) == node.shape:
            return constant(number, node)
    return arg


def share(graph: NodeGraph) -> NodeGraph:
    """Compute each expression once within its scope (common subexpressions)."""
    seen: dict[Any, Node] = {}
    numbers: dict[Node, int] = {}
    apart = seen_by_others(graph)

    def change(old: Node, args: tuple[Node, ...]) -> Node:
        node = with_args(old, args)
        if node.kind is INPUT or old in apart:
            numbers.setdefault(node, len(numbers))
            return node
        if node.kind is CONST:
            value = node.static
            small = isinstance(value, np.ndarray) and value.nbytes <= FOLDED_BYTES
            static: Any = (value.shape, value.tobytes()) if small else id(value)
            if not isinstance(value, np.ndarray):
                static = repr(value)
        else:
            static = None if node.static is None else repr(node.static)
        identity = tuple([numbers[arg] for arg in args])
        key = (
            node.kind,
            id(node.f),
            identity,
            static,
            node.shape,
            node.strides,
            node.dtype,
            node.effect,
            node.place.scope,
        )
        found = seen.setdefault(key, node)
        numbers.setdefault(found, len(numbers))
        return found

    for node in graph.inputs:
        numbers[node] = len(numbers)
    return graph.rebuilt(change)


def reshaped(node: Node, shape: tuple[int, ...]) -> Node:
    """The entries of an array in C order in another shape."""
    return node if node.shape == shape else VIEW.node(node, "reshape", shape, node.place)


def squeeze(graph: NodeGraph) -> NodeGraph:
    """Drop axes of length 1 where that lets a ufunc run a single loop, as for a batch of one."""

    def change(node: Node, args: tuple[Node, ...]) -> Node:
        node = with_args(node, args)
        if not node.row_major or not all(arg.is_number or arg.row_major for arg in args):
            return node
        if (
            node.kind is REDUCE
            and args[0].size == node.size
            and node.size
            and args[0].dtype == node.dtype
            and node.dtype.kind != "b"
        ):
            whole = reshaped(args[0], tuple(n for n in node.shape if n != 1))  # over axes of length 1
            if node.f is np.add:  # a sum starts at 0, which turns -0 into 0
                whole = UFUNC.node(np.add, (whole, constant(0 if node.dtype.kind in "iu" else 0.0, node)), node.place)
            return reshaped(whole, node.shape)
        alike = all(arg.shape in ((), node.shape) for arg in args) and (node.size != 1 or not node.shape)
        if node.kind is not UFUNC or alike or not is_elementwise(node):
            return node
        short = tuple(n for n in node.shape if n != 1)
        shapes = [tuple(n for n in arg.shape if n != 1) for arg in args]
        if len(short) == len(node.shape) or any(shape not in ((), short) for shape in shapes):
            return node
        new = tuple(arg if arg.is_number else reshaped(arg, shape) for arg, shape in zip(args, shapes, strict=True))
        return reshaped(UFUNC.node(node.f, new, node.place), node.shape)

    return graph.rebuilt(change)


def widen(graph: NodeGraph) -> NodeGraph:
    """Cast before the ufunc: its own cast, block by block in a buffer, is slower."""

    def change(node: Node, args: tuple[Node, ...]) -> Node:
        if node.kind is UFUNC and is_elementwise(node):
            dtypes = ufunc_dtypes(node.f, tuple([arg.dtype for arg in args]))
            args = tuple(
                CAST.node(arg, dtype, node.place) if arg.shape and arg.dtype != dtype and dtype.kind != "V" else arg
                for arg, dtype in zip(args, dtypes, strict=False)
            )
        return with_args(node, args)

    return graph.rebuilt(change)


def apart(graph: NodeGraph) -> NodeGraph:
    """Keep the operands of a product apart where NumPy has two arrays: BLAS rounds ``x @ x.T`` differently."""

    def change(node: Node, args: tuple[Node, ...]) -> Node:
        if node.kind is MATMUL and not node.static:
            a, b = args
            if memory_of(a) is memory_of(b) and a.is_array and b.strides is not None:
                copy = CAST.node(b, b.dtype, node.place)
                args = a, copy
        return with_args(node, args)

    return graph.rebuilt(change)
