"""Chains of elementwise calls on large arrays, which run as one loop over blocks of rows that stay in cache.

A chain runs at the position of its first call. A call joins the chain that it depends on, or in an update the chain
that reads the same array, if its other arguments are computed before the chain and both belong to the same pass:
an array that the backward pass recomputes must not be computed in the forward pass and kept.
"""

from __future__ import annotations

from collections import Counter

from funcnet.compiler.graph import Node
from funcnet.compiler.kinds import CONST, INPUT, PROBE, SETTLE, is_elementwise

LARGE = 1 << 18
"""The smallest array to process in blocks, in bytes of float32"""


def blockable(node: Node) -> bool:
    """Whether a call may process its arrays a few rows at a time."""
    if node.kind is SETTLE:
        return node.nbytes >= LARGE and len(node.shape) > 0 and node.strides is not None
    if not node.shape or node.shape[0] < 2 or not is_elementwise(node) or node.size * 4 < LARGE:
        return False
    if not node.row_major or not all(arg.row_major or not arg.shape for arg in node.args):
        return False  # the rows of a block would not be contiguous
    return all(len(arg.shape) < len(node.shape) or arg.shape[0] in (1, node.shape[0]) for arg in node.args)


class Chain:
    """Elementwise calls that run together, block by block, at the position of their anchor.

    The anchor is the first of them that depends on more than inputs.
    """

    __slots__ = ("anchor", "nodes")

    def __init__(self, anchor: Node) -> None:
        self.anchor = anchor
        self.nodes: list[Node] = []


def chains(nodes: list[Node]) -> list[Chain]:
    """The chains of at least two calls."""
    found = _Chains(Counter(arg for node in nodes for arg in set(node.args)))
    for i, node in enumerate(nodes):
        found.add(node, i)
    for node in nodes:
        found.pin(node)
    return [chain for chain in found.begun if len(chain.nodes) > 1]


def in_order(nodes: list[Node], chain_of: dict[Node, Chain]) -> list[Node]:
    """All calls in the order they run, the calls of a chain together."""
    order: list[Node] = []
    for node in nodes:
        chain = chain_of.get(node)
        if chain is None:
            order.append(node)
        elif chain.anchor is node:
            order += chain.nodes
    return order


class _Chains:
    """The state of the pass over the calls in order."""

    def __init__(self, users: Counter[Node]) -> None:
        self.users = users
        self.begun: list[Chain] = []
        self.at: dict[Node, int] = {}  # when a call runs: its position, or its chain's
        self.chain: dict[Node, Chain] = {}
        self.readers: dict[tuple[Node, str], Chain] = {}  # the last chain of an update that read an array
        self.free: set[Node] = set()  # calls on inputs and numbers alone, which wait for their only user
        self.after: dict[Node, int] = {}  # the position of the last number that such a call needs

    def add(self, node: Node, i: int) -> None:
        """Process the next call."""
        self.at[node] = i
        if not blockable(node):
            chain = self._fitting(node) if node.kind is PROBE else None
            if chain is None:
                for arg in node.args:
                    self.pin(arg)
            else:
                self._append(node, chain)
        elif self.users[node] == 1 and all(map(self._waits, node.args)):
            self.free.add(node)
            self.after[node] = max(
                (self.after.get(arg, self.at[arg] if arg.is_number else -1) for arg in node.args), default=-1
            )
        else:
            self._append(node, self._fitting(node) or self._begin(node))

    def _waits(self, arg: Node) -> bool:
        return arg.kind is INPUT or arg.kind is CONST or arg.is_number or arg in self.free

    def pin(self, node: Node) -> None:
        """Let a waiting call run at its own position."""
        if node in self.free:
            self.free.discard(node)
            self._append(node, self._begin(node))

    def _begin(self, anchor: Node) -> Chain:
        self.begun.append(Chain(anchor))
        return self.begun[-1]

    def _append(self, node: Node, chain: Chain) -> None:
        for arg in node.args:
            if arg in self.free and arg.shape == node.shape:
                self.free.discard(arg)
                self._append(arg, chain)
            else:
                self.pin(arg)
            if arg.shape == node.shape and node.place.section == "update":
                self.readers[arg, node.place.path] = chain
        chain.nodes.append(node)
        self.chain[node] = chain
        self.at[node] = self.at[chain.anchor]

    def _fitting(self, node: Node) -> Chain | None:
        """A chain that a call can join."""
        here = node.place
        candidates = [self.chain[arg] for arg in node.args if arg in self.chain]
        if here.section == "update" and node.kind is not PROBE:
            known = (self.readers.get((arg, here.path)) for arg in node.args)
            candidates += [chain for chain in known if chain is not None]
        for chain in candidates:
            shape = chain.anchor.shape
            fits = all(arg.shape == shape for arg in node.args) if node.kind is PROBE else node.shape == shape
            if fits and chain.anchor.place.section == here.section and self._ready(node, chain):
                return chain
        return None

    def _ready(self, node: Node, chain: Chain) -> bool:
        """Whether the arguments are in the chain, or computed before it."""
        begins = self.at[chain.anchor]
        return all(
            self.chain.get(arg) is chain
            or arg.kind is CONST
            or arg.kind is INPUT
            or (arg in self.free and arg.shape == chain.anchor.shape and self.after[arg] < begins)
            or self.at[arg] < begins
            for arg in node.args
        )
