"""Rematerialisation: cheap results of the forward pass are recomputed in the backward pass instead of being kept.

A scaled and shifted activation, such as a normalisation's output, is read by the next layer and much later by that
layer's gradient. If its operands are kept anyway, the gradient recomputes it.
"""

from __future__ import annotations

import numpy as np

from funcnet.compiler import chains
from funcnet.compiler.graph import Node, NodeGraph, map_nodes, with_args
from funcnet.compiler.kinds import CONST, INPUT, UFUNC, VIEW

CHEAP = frozenset((np.add, np.subtract, np.multiply))
IN_CACHE = 1 << 21
"""The largest array to recompute, in bytes: a larger one does not fit in cache"""
CALLS = 2
"""The most calls that recompute one array"""


def again(graph: NodeGraph) -> NodeGraph:
    """The graph with cheap calls of the forward pass repeated where the backward pass first reads them."""
    return _Again(graph).graph()


class _Again:
    """The pass: the users of each node and the last read of each array."""

    def __init__(self, graph: NodeGraph) -> None:
        self.given = graph
        self.position = {node: i for i, node in enumerate(graph.nodes)}
        self.users: dict[Node, list[Node]] = {node: [] for node in graph.nodes}
        for node in graph.nodes:
            for arg in node.args:
                self.users[arg].append(node)
        self.last: dict[Node, int] = {}  # the last read of an array, its views included
        for i, node in reversed(list(enumerate(graph.nodes))):
            for arg in node.args:
                self.last[arg] = max(self.last.get(arg, 0), self.last.get(node, i) if node.kind is VIEW else i)
        self.leaving = set(graph.roots())

    def graph(self) -> NodeGraph:
        """The new graph."""
        made: dict[Node, Node] = {}  # the copy, by the original
        before: dict[Node, list[Node]] = {}  # the copies, by their first reader
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
        """Whether an array is small, or in memory until a call anyway."""
        return node.kind is INPUT or node.kind is CONST or node.nbytes < chains.LARGE or self.last[node] >= until

    def _late_reads(self, node: Node) -> list[tuple[Node, tuple[Node, ...]]]:
        """The calls after the forward pass that read an array, each with the views it reads through."""
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
        """A copy of a call, placed at its first reader, after copies of the arguments that are gone by then."""
        until, args = self.last.get(node, 0), []
        for arg in node.args:
            args.append(arg if self._there(arg, until) else self._copied(arg, first, copies))
        copy = Node(node.kind, node.f, tuple(args), node.static, node.shape, node.dtype, first.place, node.strides)
        copies.append(copy)
        return copy
