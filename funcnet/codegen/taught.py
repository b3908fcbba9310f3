"""A program for learners: without what only keeps numbers from being subnormal, and without keys."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from funcnet import ops
from funcnet.codegen.defined import TAUGHT
from funcnet.compiler.graph import Node, NodeGraph, Ref, map_nodes, with_args
from funcnet.compiler.kinds import CALL, CONST, NUMBER, SETTLE, UFUNC, Arguments


def taught(graph: NodeGraph, teach: bool = True) -> NodeGraph:
    """The graph without sums with 0, and for learners without ``flush``, ``settle`` and the keys of draws."""
    drawn: dict[Any, Node] = {}

    def change(node: Node, args: tuple[Node, ...]) -> Node:
        draw = node.args if node.kind is CALL and node.f in TAUGHT else ()
        node = with_args(node, args)
        if node.kind is NUMBER and node.f is operator.sub and args[1].kind is CONST and args[1].static == 0:
            return args[0]
        if not teach:
            return node
        if node.kind is SETTLE:
            return args[0]
        if node.kind is UFUNC and node.f is np.subtract and args[0].kind is UFUNC and args[0].f is np.add:
            inner, shift = args
            if shift.kind is CONST and inner.args[1] is shift and shift.static == ops.flush_shift(node.dtype):
                return inner.args[0]
        if draw:
            values = tuple(None if type(value) is Ref else value for value in node.static.values)
            made = Node(node.kind, node.f, (), Arguments(values), node.shape, node.dtype, node.place, node.strides)
            return drawn.setdefault((node.f, repr(values), *map(meaning, draw)), made)  # drawn again by Remat
        if node.kind is UFUNC and node.f is np.greater_equal and args[0] in drawn.values() and args[1].kind is CONST:
            return drawn.setdefault((args[0], args[1].static), node)
        return node

    return replaced(graph, change).used()


def meaning(node: Node) -> tuple[Any, ...]:
    """What a key is computed from: two nodes with the same meaning are the same key."""
    return node.kind, node.f, repr(node.static), *map(meaning, node.args)


def replaced(graph: NodeGraph, change: Callable[[Node, tuple[Node, ...]], Node]) -> NodeGraph:
    """The graph with every node replaced by ``change(node, its new arguments)``, whatever its strides."""
    new: dict[Node, Node] = {}
    nodes: dict[Node, None] = {}
    for node in graph.nodes:
        made = new[node] = change(node, tuple([new[arg] for arg in node.args]))
        made.name, made.hint = made.name or node.name, made.hint or node.hint
        nodes[made] = None
    inputs = [new[node] for node in graph.inputs]
    return NodeGraph(list(nodes), inputs, map_nodes(lambda node: new[node], graph.outputs))
