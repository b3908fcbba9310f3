"""A chain of elementwise calls as a loop over blocks of rows, which stay in cache."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from funcnet.compiler.chains import Chain
from funcnet.compiler.graph import Node
from funcnet.compiler.kinds import PROBE, SETTLE, WHERE
from funcnet.compiler.memory import ALIGNMENT

if TYPE_CHECKING:
    from funcnet.compiler.plan import Plan

BLOCK = 1 << 17
"""Bytes of one block of rows: a handful of them fit into a core's second-level cache"""


class Block:
    """The body of a loop over blocks of rows: a Writer whose arrays are slices of one block."""

    def __init__(self, plan: Plan, chain: Chain) -> None:
        self.plan, self.inside = plan, set(chain.nodes)
        self.shape = chain.anchor.shape
        width = max(arg.dtype.itemsize for node in chain.nodes for arg in (node, *node.args) if arg.is_array)
        self.rows = max(1, BLOCK // max(1, chain.anchor.size // self.shape[0] * width))
        self.names: dict[Node, str] = {}
        self.body: list[str] = []
        self.setup: list[str] = []
        self.last = {arg: i for i, node in enumerate(chain.nodes) for arg in node.args}
        self.free: list[tuple[str, Any]] = []  # memory for a block, and its dtype
        self.lies: dict[str, int] = {}  # the number of live nodes, by buffer
        self.nbytes = 0

    def ref(self, node: Node) -> str:
        """The block's rows of an array with the chain's number of rows; any other value whole."""
        if node.kind is SETTLE and node in self.inside and self.plan.memory.in_place(node):
            return self.ref(node.args[0])
        if node not in self.names:
            whole = self.plan.ref(node)
            if not (node.is_array and len(node.shape) == len(self.shape) and node.shape[0] == self.shape[0]):
                return whole
            self.names[node] = f"b{len(self.names)}"
            self.body.append(f"{self.names[node]} = {whole}[a:z]")
        return self.names[node]

    def operand(self, node: Node, arg: Node, dtype: Any) -> str:
        """An argument of a ufunc."""
        return self.plan.scalar(node, arg, dtype) if arg.is_number else self.ref(arg)

    def constant(self, value: Any, prefix: str = "k") -> str:
        """The plan's ``constant``."""
        return self.plan.constant(value, prefix)

    def filled(self, value: Any, dtype: Any, shape: Any) -> str:
        """The plan's ``filled``."""
        return self.plan.filled(value, dtype, shape)

    def bound(self, node: Node, method: str) -> str | None:
        """None: a block looks no method up in advance."""
        return None

    def copied(self, node: Node) -> list[tuple[str, Node]] | None:
        """None: a block concatenates no vectors."""
        return None

    def emit(self, node: Node, i: int) -> None:
        """Add the statements of one call."""
        memory = self.plan.memory
        if node.kind is PROBE:
            name = self.plan.ref(node)
            a, b = map(self.ref, node.args)
            self.setup.append(f"{name} = 0.0")
            self.body.append(f"{name} += {self.constant(np.vdot)}({a}, {b})")
        else:
            if node.kind is SETTLE and memory.in_place(node):
                out = self.names[node] = self.ref(node.args[0])
                if out in self.lies:
                    self.lies[out] += 1
            elif node in memory.interior:
                out = self.names[node] = self._room(node, i)
            else:
                out = self._outside(node)
            self.body += node.kind.lines(node, out, self)
        for arg in set(node.args):
            self._done(arg, i)

    def _outside(self, node: Node) -> str:
        """The block's rows of an array that is also used outside the chain; it is allocated before the loop."""
        before = len(self.plan.lines)
        self.plan.out(node)
        self.setup += [line.text for line in self.plan.lines[before:]]
        del self.plan.lines[before:]
        return self.ref(node)

    def _room(self, node: Node, i: int) -> str:
        """Memory for one block: taken over from a dead argument, or free, or new."""
        for arg in node.args:
            name = self.names.get(arg, "")
            alone = name in self.lies and self.lies[name] == 1 and self.last.get(arg) == i
            if alone and arg.dtype == node.dtype and node.kind is not WHERE and node.kind.overwrites(node, arg):
                self.lies[name] += 1
                return name
        for entry in self.free:
            if entry[1] == node.dtype:
                self.free.remove(entry)
                self.lies[entry[0]] = 1
                return entry[0]
        name = f"b{len(self.names)}_{i}"
        start = self.plan.memory.nbytes + self.nbytes
        nbytes = node.nbytes // self.shape[0] * self.rows
        self.nbytes += -(-nbytes // ALIGNMENT) * ALIGNMENT
        self.plan.block_bytes = max(self.plan.block_bytes, self.nbytes)
        flat = f"arena[{start}:{start + nbytes}].view({self.constant(node.dtype)})"
        array = self.plan.remember(f"{flat}.reshape({(self.rows, *self.shape[1:])})", "w")
        self.body.append(f"{name} = {array}[:z - a]")
        self.lies[name] = 1
        return name

    def _done(self, arg: Node, i: int) -> None:
        """Free the memory of a block after its last use."""
        name = self.names.get(arg, "")
        if arg in self.plan.memory.interior and name in self.lies and self.last.get(arg) == i:
            self.lies[name] -= 1
            if not self.lies[name]:
                self.free.append((name, arg.dtype))
