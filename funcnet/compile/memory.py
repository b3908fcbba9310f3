"""Where the arrays of a program lie.

Every array gets scratch memory, shared by arrays that are not alive at the same time; memory of its own, for
what leaves; or a slice of a vector that is used as a whole. Chains of elementwise calls on large arrays are
found here, too: what only such a chain sees needs no more memory than one block of rows.
"""

from __future__ import annotations

from collections.abc import Iterator

from funcnet.compile.graph import (
    CAST,
    CONCAT,
    CONST,
    INPUT,
    MATMUL,
    PROBE,
    REDUCE,
    SETTLE,
    UFUNC,
    VIEW,
    WHERE,
    Graph,
    Node,
    is_elementwise,
    leaves,
)

LARGE = 1 << 18
"""Bytes, in float32, from which an array is worked on in blocks"""
ALIGNMENT = 64
WRITABLE = (UFUNC, MATMUL, REDUCE, CAST, WHERE, CONCAT)
"""Kinds of nodes that write their result where they are told to"""


class Buffer:
    """One piece of scratch memory."""

    def __init__(self, nbytes: int) -> None:
        self.nbytes, self.offset = nbytes, 0


class Memory:
    """The memory of a graph: ``chains``, ``interior``, ``placed``, ``fresh`` and ``buffers``, by node."""

    def __init__(self, graph: Graph, without: frozenset[str] = frozenset()) -> None:
        self.nodes, self.without = graph.nodes, without
        self.outputs = leaves(graph.outputs)
        self.position = {node: i for i, node in enumerate(self.nodes)}
        self.users: dict[Node, list[Node]] = {node: [] for node in self.nodes}
        for node in self.nodes:
            for arg in node.args:
                self.users[arg].append(node)
        self.chains = {} if "block" in without else self._chains()
        self.chain_of = {node: chain for chain in self.chains.values() for node in chain}
        self.placed = {} if "pack" in without else self._placed()
        self.interior = self._interior()
        self.fresh = self._fresh()
        self.buffers: dict[Node, Buffer] = {}
        self.nbytes = self._share(self._spans())

    def _chains(self) -> dict[Node, list[Node]]:
        """Chains of elementwise calls on large arrays of one shape, by their first node."""
        chains: dict[Node, list[Node]] = {}
        taken: set[Node] = set()
        for i, node in enumerate(self.nodes):
            if node in taken or not self._blockable(node):
                continue
            chain = [node]
            inside = {node}
            barred: set[Node] = set()  # depends on the chain without being part of it
            for other in self.nodes[i + 1 :]:
                if other in taken:
                    continue
                depends = any(arg in inside for arg in other.args)
                late = any(arg in barred for arg in other.args)
                fits = self._blockable(other) and other.shape == node.shape
                probes = other.kind == PROBE and all(arg.shape == node.shape for arg in other.args) and depends
                if (fits or probes) and not late and self._ready(other, inside, i):
                    chain.append(other)
                    inside.add(other)
                elif depends or late:
                    barred.add(other)
            if len(chain) > 1:
                chains[node] = chain
                taken |= inside
        return chains

    def _ready(self, node: Node, inside: set[Node], at: int) -> bool:
        """Whether the arguments are in the chain or computed before it."""
        return all(arg in inside or arg.kind in (CONST, INPUT) or self.position[arg] < at for arg in node.args)

    def _blockable(self, node: Node) -> bool:
        if node.kind == SETTLE:
            return node.nbytes >= LARGE and len(node.shape) > 0
        if not is_elementwise(node) or not node.shape or node.shape[0] < 2 or node.size * 4 < LARGE:
            return False
        return all(len(arg.shape) < len(node.shape) or arg.shape[0] in (1, node.shape[0]) for arg in node.args)

    def root(self, node: Node) -> Node:
        """The node in whose memory a node's array lies."""
        while True:
            if node.kind == VIEW or (node.kind == SETTLE and self.in_place(node)):
                node = node.args[0]
            elif node in self.placed:
                node = self.placed[node]
            else:
                return node

    def in_place(self, node: Node) -> bool:
        """Whether an average may be settled where it lies."""
        (x, _) = node.args
        return x.kind in WRITABLE and x not in self.outputs and len(self.users[x]) == 1 and "reuse" not in self.without

    def _placed(self) -> dict[Node, Node]:
        """What is written straight into its slice of a vector, by the vector."""
        placed: dict[Node, Node] = {}
        for node in self.nodes:
            if node.kind == CONCAT and node.static is None:
                for arg in node.args:
                    once = node.args.count(arg) == 1
                    if once and arg.kind in WRITABLE and arg not in placed and arg not in self.outputs:
                        placed[arg] = node
        return placed

    def _interior(self) -> set[Node]:
        """What only a chain sees, itself and through every name."""
        leaving = {self.root(node) for node in self.outputs}
        interior = set()
        for node, chain in self.chain_of.items():
            root, inside = self.root(node), set(chain)
            kept = root in leaving or root not in inside
            if node.is_array and not kept and all(user in inside for user in self._all_users(root)):
                interior.add(node)
        return interior

    def fresh_in_order(self) -> list[Node]:
        """``fresh``, as computed."""
        return [node for node in self.nodes if node in self.fresh]

    def _fresh(self) -> set[Node]:
        """What leaves in memory of its own, because it is written and leaves once."""
        roots = [self.root(node) for node in self.outputs if node.is_array]
        fresh = set()
        for node in self.outputs:
            root = self.root(node)
            same = node is root or (node.kind == SETTLE and node.args[0] is root)
            if node.is_array and same and root.kind in WRITABLE and roots.count(root) == 1:
                fresh.add(root)
        return fresh

    def _spans(self) -> dict[Node, tuple[int, int]]:
        """From when to when a piece of memory is in use: its first write and the last use under any name.

        A chain runs where its first member stands, and all that it uses is in use until its last one.
        """
        first: dict[Node, int] = {}
        last: dict[Node, int] = {}
        ends = {node: self.position[chain[-1]] for node, chain in self.chain_of.items()}
        for i, node in enumerate(self.nodes):
            begin = self.position[self.chain_of[node][0]] if node in self.chain_of else i
            for other in (node, *node.args):
                root = self.root(other)
                first[root] = min(first.get(root, begin), begin)
                last[root] = max(last.get(root, i), ends.get(node, i))
        for node in self.outputs:
            last[self.root(node)] = len(self.nodes)
        return {node: (first[node], last[node]) for node in first}

    def _share(self, spans: dict[Node, tuple[int, int]]) -> int:
        """Give scratch buffers to what needs them, and return how many bytes they take together."""
        begins: dict[int, list[Node]] = {}
        ends: dict[int, list[Node]] = {}
        for node, (first, last) in spans.items():
            needs = node.kind in WRITABLE or node.kind == SETTLE
            if needs and node not in self.fresh and node not in self.interior:
                begins.setdefault(first, []).append(node)
                ends.setdefault(last, []).append(node)
        free: list[Buffer] = []
        buffers: list[Buffer] = []
        for i in range(len(self.nodes) + 1):
            for node in begins.get(i, ()):
                buffer = None
                if "reuse" not in self.without:
                    buffer = self._inherited(node, i, spans) or self._best(free, node.nbytes)
                if buffer is None:
                    buffer = Buffer(node.nbytes)
                    buffers.append(buffer)
                self.buffers[node] = buffer
            inherited = {self.buffers[node] for node in begins.get(i, ()) if spans[node][1] > i}
            for node in ends.get(i, ()):
                if self.buffers[node] not in inherited and self.buffers[node] not in free:
                    free.append(self.buffers[node])
        total = 0
        for buffer in buffers:
            buffer.offset = total
            total += -(-buffer.nbytes // ALIGNMENT) * ALIGNMENT
        return total

    def _inherited(self, node: Node, i: int, spans: dict[Node, tuple[int, int]]) -> Buffer | None:
        """The memory of an argument that an elementwise call uses for the last time."""
        if not is_elementwise(node) or node.kind == WHERE or self.position[node] != i:
            return None
        for arg in node.args:
            root = self.root(arg)
            same = arg.shape == node.shape and arg.dtype == node.dtype and root.nbytes == node.nbytes
            plain = arg is root or arg.kind == SETTLE or (arg.kind == VIEW and arg.static[0] == "reshape")
            if same and plain and root in self.buffers and spans[root][1] == i:
                return self.buffers[root]
        return None

    @staticmethod
    def _best(free: list[Buffer], nbytes: int) -> Buffer | None:
        fitting = [buffer for buffer in free if nbytes <= buffer.nbytes <= 4 * nbytes + 4096]
        if not fitting:
            return None
        best = min(fitting, key=lambda buffer: buffer.nbytes)
        free.remove(best)
        return best

    def _all_users(self, node: Node) -> Iterator[Node]:
        """Who reads a node's memory: its users, and those of its views."""
        for user in self.users[node]:
            yield user
            if user.kind == VIEW or user in self.placed or (user.kind == SETTLE and self.in_place(user)):
                yield from self._all_users(user)
