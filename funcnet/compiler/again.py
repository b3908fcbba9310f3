"""Cheap calls made again: what the forward pass leaves for the backward pass, where that can be had for little.

A scaled and shifted activation, such as a normalisation gives, is read by the next layer and much later by that
layer's gradient. Where its operands are kept anyway, it is computed again for the gradient instead of being kept.
"""

from __future__ import annotations

import numpy as np

from funcnet.compiler import chains
from funcnet.compiler.graph import Node, NodeGraph, map_nodes, with_args
from funcnet.compiler.kinds import CONST, INPUT, UFUNC, VIEW

CHEAP = frozenset((np.add, np.subtract, np.multiply))
IN_CACHE = 1 << 21
"""Bytes of the largest array that is made again: a larger one would come from memory and go there"""
CALLS = 2
"""Calls that one array may take"""


def again(graph: NodeGraph) -> NodeGraph:
    """The graph with cheap calls of the forward pass repeated where the backward pass first reads them."""
    return _Again(graph).graph()


class _Again:
    """Who reads what, and what was made again so far."""

    def __init__(self, graph: NodeGraph) -> None:
        self.given = graph
        self.position = {node: i for i, node in enumerate(graph.nodes)}
        self.users: dict[Node, list[Node]] = {node: [] for node in graph.nodes}
        for node in graph.nodes:
            for arg in node.args:
                self.users[arg].append(node)
        self.last: dict[Node, int] = {}  # when an array is read last, under any name
        for i, node in reversed(list(enumerate(graph.nodes))):
            for arg in node.args:
                self.last[arg] = max(self.last.get(arg, 0), self.last.get(node, i) if node.kind is VIEW else i)
        self.leaving = set(graph.roots())

    def graph(self) -> NodeGraph:
        """The new graph."""
        made: dict[Node, Node] = {}  # by what it is made instead of
        before: dict[Node, list[Node]] = {}  # by the call that it is made for
        for node in self.given.nodes:
            reads = self._late_reads(node) if self._worth(node) else []
            if reads:
                copies: list[Node] = []
                first = min((user for user, _ in reads), key=self.position.__getitem__)
                made[node] = self._copied(node, first, copies)
                for view in dict.fromkeys(view for _, names in reads for view in names):
                    if view not in made:
                        made[view] = with_args(view, (made[view.args[0]],))
                        copies.append(made[view])
                before.setdefault(first, []).extend(copies)
        if not before:
            return self.given
        nodes: list[Node] = []
        new: dict[Node, Node] = {}
        for node in self.given.nodes:
            for copy in before.get(node, ()):
                new[copy] = with_args(copy, tuple(new.get(arg, arg) for arg in copy.args))
                nodes.append(new[copy])
            late = node.place.section != "forward"
            args = (new[made[arg]] if late and arg in made else new.get(arg, arg) for arg in node.args)
            new[node] = with_args(node, tuple(args))
            nodes.append(new[node])
        return NodeGraph(nodes, self.given.inputs, map_nodes(lambda node: new[node], self.given.outputs))

    def _worth(self, node: Node) -> bool:
        size = chains.LARGE <= node.nbytes <= IN_CACHE
        return size and node.place.section == "forward" and node not in self.leaving and self._calls(node) <= CALLS

    def _calls(self, node: Node, until: int | None = None) -> int:
        """How many calls recompute an array at its last use; more than CALLS if it cannot be recomputed."""
        if node.kind is not UFUNC or node.f not in CHEAP or not node.row_major or node.place.section != "forward":
            return CALLS + 1
        until = self.last.get(node, 0) if until is None else until
        count = 1
        for arg in node.args:
            if not self._there(arg, until) or (arg.kind is VIEW and arg.nbytes >= chains.LARGE):
                count += self._calls(arg, until) if arg.kind is UFUNC else CALLS
        return count

    def _there(self, node: Node, until: int) -> bool:
        """Whether an array is in memory until a call anyway, or small."""
        return node.kind is INPUT or node.kind is CONST or node.nbytes < chains.LARGE or self.last[node] >= until

    def _late_reads(self, node: Node) -> list[tuple[Node, tuple[Node, ...]]]:
        """The calls after the forward pass that read an array, each with the views through which it does."""
        found: list[tuple[Node, tuple[Node, ...]]] = []
        stack: list[tuple[Node, tuple[Node, ...]]] = [(node, ())]
        while stack:
            name, names = stack.pop()
            for user in self.users[name]:
                if user.place.section != "forward":
                    found.append((user, names))
                elif user.kind is VIEW and user not in self.leaving:
                    stack.append((user, (*names, user)))
        return found

    def _copied(self, node: Node, first: Node, copies: list[Node]) -> Node:
        """The call once more, for the call that reads it first, after what it needs."""
        until, args = self.last.get(node, 0), []
        for arg in node.args:
            args.append(arg if self._there(arg, until) else self._copied(arg, first, copies))
        copy = Node(node.kind, node.f, tuple(args), node.static, node.shape, node.dtype, first.place, node.strides)
        copies.append(copy)
        return copy
