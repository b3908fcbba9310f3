"""Memory planning: a place for every array of a program.

An array has one of four places. Most arrays use scratch memory, which arrays with disjoint lifetimes share.
Results, and arrays passed to opaque calls, get new memory at each call. A piece of a packed vector is a slice of the
vector. An array used only inside one chain of elementwise calls needs a single block of rows.

The lifetime of memory ends with the last use of any array that may alias it. ``Kind.aliases`` says which arguments a
result may alias: all of them by default.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterator

from funcnet.compiler import chains
from funcnet.compiler.fallback import Opaque
from funcnet.compiler.graph import Node, NodeGraph, leaves
from funcnet.compiler.kinds import CALL, CONCAT, SETTLE, VIEW, WHERE, is_elementwise

ALIGNMENT = 64
FEW_BYTES = 1 << 12
"""Buffers below this size, in bytes, are not moved by ``_closer``"""
MOST_PLACED = 400
"""The most buffers that ``_closer`` places: its time is quadratic in their number"""


class Buffer:
    """One piece of scratch memory."""

    __slots__ = ("nbytes", "offset")

    def __init__(self, nbytes: int) -> None:
        self.nbytes, self.offset = nbytes, 0


class Memory:
    """The memory of a graph, by node.

    ``chains``    chains of elementwise calls; ``chain_of`` gives the chain of a call
    ``placed``    the vector into whose slice a node writes its result, by node
    ``interior``  arrays used inside one chain only
    ``fresh``     results, allocated at each call
    ``exposed``   arguments of opaque calls, which may keep them: also allocated at each call
    ``buffers``   scratch memory, ``nbytes`` in all
    """

    def __init__(self, graph: NodeGraph, without: frozenset[str] = frozenset()) -> None:
        self.without = without
        self.outputs = leaves(graph.outputs)
        self.leaving = set(self.outputs)
        self.chains = [] if "block" in without else chains.chains(graph.nodes)
        self.chain_of = {node: chain for chain in self.chains for node in chain.nodes}
        self.nodes = chains.in_order(graph.nodes, self.chain_of)
        self.position = {node: i for i, node in enumerate(self.nodes)}
        self.users: dict[Node, list[Node]] = {node: [] for node in self.nodes}
        for node in self.nodes:
            for arg in dict.fromkeys(node.args):
                self.users[arg].append(node)
        self.placed: dict[Node, Node] = {}
        self.placed = {} if "pack" in without else self._placed()
        self.interior = self._interior()
        self.held = self._holders()
        self.read_until = self._last_reads()
        self.exposed = self._exposed()
        self.fresh = self._fresh()
        self.buffers: dict[Node, Buffer] = {}
        self.taken: set[Node] = set()  # arrays whose memory was taken over inside the last chain that reads them
        self.nbytes = self._share(self._spans())

    # ----- aliases -----------------------------------------------------------------------------------------------

    def writes(self, node: Node) -> bool:
        """Whether a node can write its result into a given array."""
        return node.kind.writes and node.strides is not None

    def in_place(self, node: Node) -> bool:
        """Whether an average may be settled in place."""
        (x, _) = node.args
        alone = len(self.users[x]) == 1 and x not in self.leaving
        return self.writes(x) and alone and x.strides == node.strides and "reuse" not in self.without

    def root(self, node: Node) -> Node:
        """The node that owns the memory of a node's array, as far as the plan decides it."""
        while True:
            if node.kind is VIEW or (node.kind is SETTLE and self.in_place(node)):
                node = node.args[0]
            elif node in self.placed:
                node = self.placed[node]
            else:
                return node

    def _holders(self) -> dict[Node, frozenset[Node]]:
        """For each node, all nodes whose memory its value may alias."""
        held: dict[Node, frozenset[Node]] = {}
        for node in self.nodes:
            root = self.root(node)
            own = frozenset((root,))
            for arg in node.kind.aliases(node):
                if arg.is_array or arg.dtype is object:
                    own |= held[arg]
            held[node] = own
        return held

    def _last_reads(self) -> dict[Node, int]:
        """The last read of each node's memory, through any alias."""
        last: dict[Node, int] = {}
        for i, node in enumerate(self.nodes):
            for arg in node.args:
                for root in self.held[arg]:
                    last[root] = i
        return last

    def _placed(self) -> dict[Node, Node]:
        """The vector into whose slice a node writes its result, by node."""
        placed: dict[Node, Node] = {}
        for node in self.nodes:
            if node.kind is CONCAT and node.static is None and self._kept_inside(node):
                often = Counter(node.args)
                for arg in node.args:
                    own = often[arg] == 1 and arg not in placed and arg.dtype == node.dtype
                    if own and self.writes(arg) and arg.row_major and self._kept_inside(arg):
                        placed[arg] = node
        return placed

    def _kept_inside(self, node: Node) -> bool:
        """Whether an array neither leaves the program nor reaches a call that may keep it."""
        calls = (user for user in self._all_users(node) if user.kind is CALL)
        return node not in self.leaving and all(user.static.fresh for user in calls)

    def _interior(self) -> set[Node]:
        """The arrays that are used, through any alias, inside one chain only."""
        leaving = {self.root(node) for node in self.outputs}
        interior = set()
        for chain in self.chains:
            inside = set(chain.nodes)
            for node in chain.nodes:
                root = self.root(node)
                kept = root in leaving or root not in inside
                if node.is_array and not kept and all(user in inside for user in self._all_users(root)):
                    interior.add(node)
        return interior

    def _all_users(self, node: Node) -> Iterator[Node]:
        """The users of a node and of its views."""
        stack = [node]
        while stack:
            for user in self.users[stack.pop()]:
                yield user
                if user.kind is VIEW or user in self.placed or (user.kind is SETTLE and self.in_place(user)):
                    stack.append(user)  # an alias

    def _exposed(self) -> set[Node]:
        """The nodes whose memory opaque calls may access."""
        exposed: set[Node] = set()
        for node in self.nodes:
            if is_opaque(node):
                exposed.update(*(self.held[arg] for arg in node.args))
        return exposed

    def _fresh(self) -> set[Node]:
        """The results that the plan writes itself and returns exactly once."""
        often = Counter(self.root(node) for node in self.outputs if node.is_array)
        fresh = set()
        for node in self.outputs:
            root = self.root(node)
            same = node is root or (node.kind is SETTLE and node.args[0] is root)
            if node.is_array and same and self.writes(root) and often[root] == 1 and root not in self.exposed:
                fresh.add(root)
        return fresh

    # ----- lifetimes and buffers --------------------------------------------------------------------------------

    def _spans(self) -> dict[Node, tuple[int, int]]:
        """The lifetime of each node's memory: its first write and its last use through any alias.

        All arrays of a chain live until its last call, because the chain is repeated block by block.
        """
        first: dict[Node, int] = {}
        last: dict[Node, int] = {}
        held = self.held
        begins, ends = {}, {}
        for chain in self.chains:
            first_at, last_at = self.position[chain.nodes[0]], self.position[chain.nodes[-1]]
            for node in chain.nodes:
                begins[node], ends[node] = first_at, last_at
        for i, node in enumerate(self.nodes):
            begin, end = begins.get(node, i), ends.get(node, i)
            for other in (node, *node.args):
                for root in held[other]:
                    first[root] = min(first.get(root, begin), begin)
                    last[root] = max(last.get(root, end), end)
        for node in self.outputs:
            for root in held[node]:
                last[root] = len(self.nodes)
        return {node: (first[node], last[node]) for node in first}

    def _share(self, spans: dict[Node, tuple[int, int]]) -> int:
        """Allocate the scratch buffers, and return their total size in bytes."""
        begins: dict[int, list[Node]] = {}
        ends: dict[int, list[Node]] = {}
        for node, (first, last) in spans.items():
            needs = self.writes(node) or (node.kind is SETTLE and node.strides is not None)
            if needs and node not in self.fresh and node not in self.interior and node not in self.exposed:
                begins.setdefault(first, []).append(node)
                ends.setdefault(last, []).append(node)
        space = Space()
        owner: dict[Buffer, Node] = {}  # the last node that uses the buffer
        since: dict[Buffer, int] = {}
        until: dict[Buffer, int] = {}
        for i in sorted(begins.keys() | ends.keys()):
            for node in begins.get(i, ()):
                buffer = None if "reuse" in self.without else self._inherited(node, i, spans)
                self.buffers[node] = space.take(node.nbytes) if buffer is None else buffer
                owner[self.buffers[node]] = node
                since.setdefault(self.buffers[node], i)
            for node in ends.get(i, ()):
                if owner[self.buffers[node]] is node and "reuse" not in self.without:
                    space.give_back(self.buffers[node])
                    until[self.buffers[node]] = i
        return self._closer(since, until, space.size)

    def _closer(self, since: dict[Buffer, int], until: dict[Buffer, int], size: int) -> int:
        """Place the large buffers anew, largest first, each at the lowest offset free for its whole lifetime."""
        large = sorted((buffer for buffer in since if buffer.nbytes >= FEW_BYTES), key=lambda buffer: -buffer.nbytes)
        if len(large) > MOST_PLACED or "reuse" in self.without:
            return size
        small = sum(-(-buffer.nbytes // ALIGNMENT) * ALIGNMENT for buffer in since if buffer.nbytes < FEW_BYTES)
        end = float(len(self.nodes))
        placed: list[tuple[int, int, float, float]] = []  # start and end in memory, start and end in time
        offsets: dict[Buffer, int] = {}
        for buffer in large:
            first, last = since[buffer], until.get(buffer, end)
            start = 0
            for begin, stop, came, went in sorted(placed):
                if came <= last and first <= went and stop > start:
                    if begin - start >= buffer.nbytes:
                        break
                    start = -(-stop // ALIGNMENT) * ALIGNMENT
            offsets[buffer] = start
            placed.append((start, start + buffer.nbytes, first, last))
        whole = max((stop for _, stop, _, _ in placed), default=0)
        whole = -(-whole // ALIGNMENT) * ALIGNMENT
        if whole + small >= size:
            return size
        for buffer in since:
            if buffer in offsets:
                buffer.offset = offsets[buffer]
            else:
                buffer.offset, whole = whole, whole + -(-buffer.nbytes // ALIGNMENT) * ALIGNMENT
        return whole

    def _inherited(self, node: Node, i: int, spans: dict[Node, tuple[int, int]]) -> Buffer | None:
        """The buffer of an argument whose last use is this elementwise call."""
        if not is_elementwise(node) or node.kind is WHERE:
            return None
        if node in self.chain_of:
            return self._inherited_in_chain(node, spans)
        for arg in node.args:
            root = self.root(arg)
            same = arg.shape == node.shape and arg.dtype == node.dtype and root.nbytes == node.nbytes
            plain = arg.strides == node.strides and (arg is root or arg.kind is SETTLE or self._reshaped(arg))
            if same and plain and node.kind.overwrites(node, arg) and root in self.buffers and spans[root][1] == i:
                return self.buffers[root]
        return None

    def _inherited_in_chain(self, node: Node, spans: dict[Node, tuple[int, int]]) -> Buffer | None:
        """The buffer of an array whose rows the chain has read for the last time when it writes the node's."""
        chain = self.chain_of[node].nodes
        at, end = self.position[node], self.position[chain[-1]]
        read = {name for member in chain for name in member.args}
        for reader in chain[: chain.index(node) + 1]:
            for arg in reader.args:
                if arg.shape != node.shape or arg.dtype != node.dtype or arg not in self.buffers or arg in self.taken:
                    continue
                over = reader is not node or node.kind.overwrites(node, arg)
                alone = not any(name is not arg and arg in self.held[name] for name in read)  # no view, such as arg[0]
                if over and alone and spans[arg][1] <= end and self.read_until[arg] <= at:
                    self.taken.add(arg)
                    return self.buffers[arg]
        return None

    @staticmethod
    def _reshaped(arg: Node) -> bool:
        return arg.kind is VIEW and arg.static[0] == "reshape"


def is_opaque(node: Node) -> bool:
    """Whether a node is an opaque call."""
    return node.kind is CALL and isinstance(node.f, Opaque)


class Space:
    """An allocator for one stretch of memory: best fit, and adjacent free ranges are merged."""

    def __init__(self) -> None:
        self.size = 0
        self.starts: list[int] = []  # of the free ranges, in order
        self.free: dict[int, int] = {}  # their lengths
        self.by_length: list[tuple[int, int]] = []  # (length, start), in order

    def take(self, nbytes: int) -> Buffer:
        """Allocate a buffer of ``nbytes``."""
        buffer = Buffer(nbytes)
        length = -(-max(nbytes, 1) // ALIGNMENT) * ALIGNMENT
        at = bisect_left(self.by_length, (length, 0))
        if at < len(self.by_length):
            found, start = self.by_length[at]
            self._remove(start)
            if found > length:
                self._add(start + length, found - length)
        else:
            start = self.size
            if self.starts and self.starts[-1] + self.free[self.starts[-1]] == self.size:
                start = self.starts[-1]  # the free range at the end grows
                self._remove(start)
            self.size = start + length
        buffer.offset = start
        return buffer

    def give_back(self, buffer: Buffer) -> None:
        """Free a buffer."""
        start, length = buffer.offset, -(-max(buffer.nbytes, 1) // ALIGNMENT) * ALIGNMENT
        at = bisect_left(self.starts, start)
        if at < len(self.starts) and self.starts[at] == start + length:
            length += self.free[self.starts[at]]
            self._remove(self.starts[at])
        if at and self.starts[at - 1] + self.free[self.starts[at - 1]] == start:
            before = self.starts[at - 1]
            length += self.free[before]
            self._remove(before)
            start = before
        self._add(start, length)

    def _add(self, start: int, length: int) -> None:
        insort(self.starts, start)
        insort(self.by_length, (length, start))
        self.free[start] = length

    def _remove(self, start: int) -> None:
        length = self.free.pop(start)
        del self.starts[bisect_left(self.starts, start)]
        del self.by_length[bisect_left(self.by_length, (length, start))]
