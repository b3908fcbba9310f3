"""Groups of recorded calls that print as one call with a name, of the same NumPy calls in the same order."""

from __future__ import annotations

import numpy as np

from funcnet.codegen.taught import replaced
from funcnet.compiler.graph import Node, NodeGraph, Ref, with_args
from funcnet.compiler.kinds import CALL, CONCAT, CONST, UFUNC, VIEW, Arguments
from funcnet.layers.embedding import rotate


def idiomatic(graph: NodeGraph) -> NodeGraph:
    """The graph with a call of ``rotate`` for each rotation of the two halves of the features."""

    def change(node: Node, args: tuple[Node, ...]) -> Node:
        node = with_args(node, args)
        found = rotation(node)
        if found is None:
            return node
        values = Arguments((Ref(0), Ref(1), Ref(2)))
        return Node(CALL, rotate, found, values, node.shape, node.dtype, node.place, node.strides)

    return replaced(graph, change).used()


def rotation(node: Node) -> tuple[Node, Node, Node] | None:
    """x, the cosines and the sines, if the node is ``concat(a cos - b sin, b cos + a sin)`` of the halves of x."""
    last = len(node.shape) - 1
    if node.kind is not CONCAT or node.static != last or len(node.args) != 2:
        return None
    first, second = node.args
    if not (_calls(first, np.subtract) and _calls(second, np.add)):
        return None
    products = (*first.args, *second.args)
    if not all(_calls(product, np.multiply) and product.args[1].kind is CONST for product in products):
        return None
    (a, cos), (b, sin), (b_again, cos_again), (a_again, sin_again) = (product.args for product in products)
    same = a is a_again and b is b_again and cos is cos_again and sin is sin_again
    half = node.shape[last] // 2
    x = a.args[0] if a.kind is VIEW else a
    ends = [_end(part, x) for part in (a, b)]
    whole = same and x.shape == node.shape and ends == [slice(None, half), slice(half, None)]
    return (x, cos, sin) if whole else None


def _calls(node: Node, f: np.ufunc) -> bool:
    return node.kind is UFUNC and node.f is f


def _end(part: Node, x: Node) -> slice | None:
    """The features that a part of x takes, if it takes all of its other axes."""
    if part.kind is not VIEW or part.args != (x,) or part.static[0] != "index":
        return None
    *others, end = part.static[1]
    whole = len(others) == len(x.shape) - 1 and all(other == slice(None) for other in others)
    return end if whole and isinstance(end, slice) else None
