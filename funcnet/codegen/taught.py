"""A program for learners: without what only keeps numbers from being subnormal, and without keys."""

from __future__ import annotations

import operator
from collections.abc import Callable

import numpy as np

from funcnet import ops
from funcnet.codegen.defined import TAUGHT
from funcnet.compiler.graph import Node, NodeGraph, Ref, map_nodes, with_args
from funcnet.compiler.kinds import CALL, CONST, NUMBER, SETTLE, UFUNC, Arguments


def taught(graph: NodeGraph, teach: bool = True) -> NodeGraph:
    """The graph without sums with 0, and for learners without ``flush``, ``settle`` and the keys of draws."""

    def change(node: Node, args: tuple[Node, ...]) -> Node:
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
        if node.kind is CALL and node.f in TAUGHT and args:
            values = tuple(None if type(value) is Ref else value for value in node.static.values)
            return Node(node.kind, node.f, (), Arguments(values), node.shape, node.dtype, node.place, node.strides)
        return node

    return replaced(graph, change).used()


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
