"""From a graph to a straight line of NumPy calls into memory that was allocated once.

A plan gives every array a place: scratch memory, shared by arrays with disjoint lifetimes; new memory, for
results; or a slice of a packed vector. Then it writes the program as Python source, one call per line, and
compiles it. Chains of elementwise calls on large arrays become one loop over blocks of rows that stay in cache.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from funcnet import ops
from funcnet.compiler import layout, structure
from funcnet.compiler.block import Block
from funcnet.compiler.chains import Chain
from funcnet.compiler.graph import Node, NodeGraph, Place, Ref, leaves, plain_text
from funcnet.compiler.kinds import CALL, CONST, INPUT, NUMBER, PART, SETTLE, UFUNC, VIEW
from funcnet.compiler.memory import Memory, is_opaque
from funcnet.compiler.passes import optimized
from funcnet.compiler.program import Program, Recycler, function_text, listed

RECYCLED = 1 << 19
"""The smallest result, in bytes, whose memory is reused once nothing refers to it"""
HELD = 1 << 12
"""New arrays below this size, in bytes, are held until the program returns"""
FILLED = 1 << 18
"""The largest array, in bytes, that replaces a number where that is faster"""
PIECE = 500
"""Lines per function of a long program, because Python compiles long functions slowly"""
DEEP = 40
"""The deepest nesting of containers in one expression of the result"""


class Line(NamedTuple):
    """A statement of the program, and its place in the network."""

    text: str
    place: Place


class Plan:
    """A program: its source, the memory it needs, and functions that run it."""

    def __init__(self, graph: NodeGraph, without: frozenset[str] = frozenset()) -> None:
        self.without = without
        self.graph = optimized(graph, without)
        self.constants: dict[str, Any] = {}
        self.known: dict[Any, str] = {}
        self.static: dict[str, str] = {}  # expressions evaluated once per instance, by name: scratch arrays, views
        self.name: dict[Node, str] = {}
        self.lines: list[Line] = []
        self.numbers: dict[tuple[Node, Any, Any], str] = {}
        self.steady: dict[Node, bool] = {}
        self.slots: dict[Node, dict[Node, int]] = {}
        self.temporary: set[str] = set()  # names of arrays that are dropped after their last use
        self.outputs = leaves(self.graph.outputs)
        self.memory = Memory(self.graph, without)
        self.nodes = self.memory.nodes
        self.block_bytes = 0  # scratch memory of the loops over blocks, which share it
        self.new: list[tuple[Any, Any, Any]] = []  # shape, dtype and strides of each array allocated at every call
        self._emit()
        self.result = self._result()
        self._let_go()
        self.source = self.program()

    # ----- names: a plan is a Writer --------------------------------------------------------------------------

    def constant(self, value: Any, prefix: str = "k") -> str:
        """The name of a constant of the program."""
        name = getattr(value, "__name__", "")
        if isinstance(value, np.ufunc) and getattr(np, name, None) is value:
            self.constants[name] = value
            return name
        if id(value) not in self.known:
            self.known[id(value)] = f"{prefix}{len(self.known)}"
            self.constants[self.known[id(value)]] = value
        return self.known[id(value)]

    def filled(self, value: Any, dtype: Any, shape: Any) -> str:
        """The name of a constant array filled with one number."""
        key = ("full", repr(value), np.dtype(dtype).str, shape)
        if key not in self.known:
            name = self.known[key] = f"k{len(self.known)}"
            self.constants[name] = np.full(shape, value, dtype)
        return self.known[key]

    def remember(self, text: str, prefix: str) -> str:
        """The name of an expression that is evaluated once per instance."""
        name = f"{prefix}{len(self.static)}"
        self.static[name] = text
        return name

    def bound(self, node: Node, method: str) -> str | None:
        """The name of a bound method of a scratch array; None for an array that is not the same at every call."""
        if not self.is_static(node) or self.memory.root(node).kind is CONST:
            return None
        return self.remember(f"{self.ref(node)}.{method}", method)

    def copied(self, node: Node) -> list[tuple[str, Node]] | None:
        """The slices and pieces of a vector that were not written in place; None if none was written in place."""
        if not any(self.memory.placed.get(arg) is node for arg in node.args):
            return None
        found, start = [], 0
        for arg in node.args:
            if self.memory.placed.get(arg) is not node:
                slot = f"{self.ref(node)}[{start}:{start + arg.size}].reshape({arg.shape})"
                found.append((self.remember(slot, "p"), arg))
            start += arg.size
        return found

    def is_static(self, node: Node) -> bool:
        """Whether the array has the same memory at every call."""
        root = self.memory.root(node)
        return root in self.memory.buffers or root.kind is CONST

    def is_steady(self, node: Node) -> bool:
        """Whether a number is the same at every call: a constant, or a function of constants and steady blanks."""
        if node not in self.steady:
            number = node.is_number and node.kind is NUMBER and not node.effect
            self.steady[node] = node.kind is CONST or (number and all(map(self.is_steady, node.args)))
        return self.steady[node]

    @property
    def scratch_bytes(self) -> int:
        """Bytes of the scratch memory of one instance."""
        return self.memory.nbytes + self.block_bytes

    def most_made(self) -> int:
        """The peak memory of arrays allocated at every call, without the results."""
        memory = self.memory
        last: dict[Node, int] = {}  # when the owner of a value's memory, or the call that returned it, is dropped
        for i, node in enumerate(self.nodes):
            for other in (node, *node.args):
                while other.kind is VIEW or other.kind is PART:
                    (other,) = other.args
                last[other] = i
        made: dict[Node, int] = {}  # bytes by call or array
        for node in self.nodes:
            own = memory.root(node) is node and node.kind is not INPUT and node.kind is not VIEW
            if own and node not in memory.fresh and node not in memory.interior and not self.is_static(node):
                whole = node.args[0] if node.kind is PART else node
                made[whole] = made.get(whole, 0) + node.nbytes
        changes = [(float(memory.position[node]), nbytes) for node, nbytes in made.items()]
        changes += [(last[node] + 0.5, -nbytes) for node, nbytes in made.items()]
        now = most = 0
        for _, nbytes in sorted(changes):
            now += nbytes
            most = max(most, now)
        return most

    def ref(self, node: Node) -> str:
        """The expression for a node's value."""
        if node in self.name:
            return self.name[node]
        if node.kind is CONST:
            text = plain_text(node.static) if node.is_number else self.constant(node.static)
        elif self.is_steady(node):
            text = self.remember(node.kind.value_text(node, self), "n")
        elif node.kind is SETTLE and self.memory.in_place(node):
            text = self.ref(node.args[0])
        elif node.is_array and self.is_static(node):
            text = self.remember(self._memory_text(node), "v" if node.kind is VIEW else "t")
        else:
            text = f"x{len(self.name)}"
            root = self.memory.root(node)
            if root.kind is not INPUT and (root.nbytes >= HELD or root.dtype is object):
                self.temporary.add(text)
        self.name[node] = text
        return text

    def _memory_text(self, node: Node) -> str:
        """The expression for the scratch memory of a node."""
        if node.kind is VIEW:
            return VIEW.text_on(self.ref(node.args[0]), node, self)
        if node in self.memory.placed:
            whole = self.memory.placed[node]
            if whole not in self.slots:
                starts, at = {}, 0
                for arg in whole.args:
                    starts[arg] = at
                    at += arg.size
                self.slots[whole] = starts
            start = self.slots[whole][node]
            return f"{self.ref(whole)}[{start}:{start + node.size}].reshape({node.shape})"
        start = self.memory.buffers[node].offset
        flat = f"arena[{start}:{start + node.nbytes}].view({self.constant(node.dtype)})"
        assert node.strides is not None
        if node.row_major:
            return f"{flat}.reshape({node.shape})"
        order = layout.order_of(node.shape, node.strides)
        back = tuple(int(i) for i in np.argsort(order))
        return f"{flat}.reshape({tuple(node.shape[axis] for axis in order)}).transpose({back})"

    def operand(self, node: Node, arg: Node, dtype: Any) -> str:
        """An argument of a ufunc: numbers become arrays of shape (), which NumPy handles faster."""
        if arg.shape == () and self.is_steady(arg):
            whole = node.f in (np.maximum, np.minimum) and node.kind is UFUNC and node.row_major
            if whole and node.nbytes <= FILLED:
                return self.full(arg, dtype, node.shape)
        return self.scalar(node, arg, dtype)

    def full(self, arg: Node, dtype: Any, shape: Any) -> str:
        """The name of an array filled with a steady number."""
        if arg.kind is CONST:
            return self.filled(arg.static, dtype, shape)
        key = arg, dtype, shape
        if key not in self.numbers:
            text = f"{self.constant(np.full)}({shape}, {self.ref(arg)}, {self.constant(dtype)})"
            self.numbers[key] = self.remember(text, "s")
        return self.numbers[key]

    def scalar(self, node: Node, arg: Node, dtype: Any) -> str:
        """An argument, a number as an array of shape ()."""
        if not arg.is_number:
            return self.ref(arg)
        if self.is_steady(arg):
            return self.full(arg, dtype, ())
        key = arg, dtype, None
        if key not in self.numbers:
            cell = f"{self.constant(np.empty)}((), {self.constant(dtype)})"
            name = self.numbers[key] = self.remember(cell, "s")
            self.say(f"{name}[()] = {self.ref(arg)}", node)
        return self.numbers[key]

    # ----- statements ---------------------------------------------------------------------------------------

    def say(self, text: str, node: Node) -> None:
        """Add a line."""
        self.lines.append(Line(text, node.place))

    def out(self, node: Node) -> str:
        """The array that a node writes to; new memory is allocated first where the node needs it."""
        if node in self.name or self.memory.root(node) is not node:
            return self.ref(node)
        if node in self.memory.fresh or node in self.memory.exposed:
            name = self.name[node] = f"o{len(self.new)}"
            if node in self.memory.exposed and node.nbytes >= HELD:
                self.temporary.add(name)
            self.say(f"{name} = {self._new(node)}", node)
        return self.ref(node)

    def _new(self, node: Node) -> str:
        """An expression that allocates new memory."""
        assert node.strides is not None
        self.new.append((node.shape, node.dtype, node.strides))
        if node.nbytes >= RECYCLED and "recycle" not in self.without:
            return f"{self.remember(f'take[{len(self.new) - 1}]', 'take')}()"
        if node.row_major:
            return f"{self.constant(np.empty)}({node.shape!r}, {self.constant(node.dtype)})"
        return f"{self.constant(np.ndarray)}({node.shape!r}, {self.constant(node.dtype)}, None, 0, {node.strides!r})"

    def _emit(self) -> None:
        for i, node in enumerate(self.graph.inputs):
            self.name[node] = f"i{i}"
        for node in self.nodes:
            chain = self.memory.chain_of.get(node)
            if chain is None:
                self._emit_node(node)
            elif chain.nodes[0] is node:
                self._emit_blocks(chain)

    def _emit_node(self, node: Node) -> None:
        kind = node.kind
        if kind is INPUT or self.is_steady(node):
            return
        if kind is VIEW and self.is_static(node):
            self.ref(node)
        elif kind is CALL:
            self._emit_call(node)
        elif self.memory.writes(node) or (kind is SETTLE and node.strides is not None):
            for line in kind.lines(node, self.out(node), self):
                self.say(line, node)
        else:
            text = kind.value_text(node, self)
            self.say(f"{self.ref(node)} = {text}", node)

    def _emit_call(self, node: Node) -> None:
        def text(value: Any) -> str:
            if type(value) is Ref:
                arg = node.args[value.i]
                own = is_opaque(node) and arg.kind is CONST and arg.is_array  # an opaque call may write to it
                return f"{self.ref(arg)}.copy()" if own else self.ref(arg)
            if isinstance(value, bool | int | float | str | None):
                return plain_text(value)
            inner = structure.parts(value)
            if inner is None:
                return self.constant(value)
            parts = [text(part) for _, part in inner]
            if type(value) is dict:
                return "{" + ", ".join(f"{name!r}: {part}" for name, part in zip(value, parts, strict=True)) + "}"
            if type(value) is tuple:
                return "(" + "".join(f"{part}, " for part in parts) + ")"
            if type(value) is list:
                return "[" + ", ".join(parts) + "]"
            if isinstance(value, dict):
                pairs = (f"({name!r}, {part})" for name, part in zip(value, parts, strict=True))
                return f"{self.constant(type(value))}([{', '.join(pairs)}])"
            return f"{self.constant(type(value))}({', '.join(parts)})"

        args = ", ".join(map(text, node.static.values))
        if node.f is ops.check:
            ok = self.ref(node.args[0])
            holds = f"{ok}.all()" if node.args[0].shape else ok
            self.say(f"if not {holds}: {self.constant(ops.check)}({args})", node)
            return
        self.say(f"{self.ref(node)} = {self.constant(node.f, 'f')}({args})", node)

    def _emit_blocks(self, chain: Chain) -> None:
        """A loop over blocks of rows that computes the whole chain block by block."""
        block = Block(self, chain)
        for node in chain.nodes:
            for arg in node.args:
                if arg.is_number and arg not in block.inside:
                    self.ref(arg)
        for i, node in enumerate(chain.nodes):
            block.emit(node, i)
        for text in block.setup:
            self.say(text, chain.anchor)
        rows = chain.anchor.shape[0]
        blocks = tuple((start, min(start + block.rows, rows)) for start in range(0, rows, block.rows))
        self.say(f"for a, z in {self.constant(blocks)}:", chain.anchor)
        for text in block.body:
            self.say("    " + text, chain.anchor)

    def _let_go(self) -> None:
        """Drop each temporary array after the last line that reads it."""
        kept = set(NAME.findall(self.result))
        last: dict[str, int] = {}
        for i, line in enumerate(self.lines):
            for name in NAME.findall(line.text):
                if name in self.temporary and name not in kept:
                    last[name] = i
        after: dict[int, list[str]] = {}
        for name, i in last.items():
            while i + 1 < len(self.lines) and self.lines[i + 1].text.startswith(" "):
                i += 1  # after the loop over blocks
            after.setdefault(i, []).append(name)
        lines: list[Line] = []
        for i, line in enumerate(self.lines):
            lines.append(line)
            if i in after:
                lines.append(Line(f"{' = '.join(after[i])} = None", line.place))
        self.lines = lines

    # ----- the program ----------------------------------------------------------------------------------------

    def _result(self) -> str:
        """The expression of the result, a structure in which every array owns its memory."""
        given: set[str] = set()

        def leaf(node: Node) -> str:
            text = self.ref(node)
            root = self.memory.root(node)
            if not node.is_array:
                return text
            if root in self.memory.fresh and text not in given:
                given.add(text)
                return text
            if self.is_static(node) and root.kind is not CONST and node.row_major:
                return f"{self.remember(f'{text}.copy', 'copy')}()"
            return f"{self.constant(np.array)}({text})"

        def walk(value: Any, depth: int) -> str:
            if isinstance(value, Node):
                return leaf(value)
            inner = structure.parts(value)
            if inner is None:
                return plain_text(value) if value is None or type(value) is bool else self.constant(value)
            parts = [walk(part, depth + 1) for _, part in inner]
            if type(value) is dict:
                text = "{" + ", ".join(f"{name!r}: {part}" for name, part in zip(value, parts, strict=True)) + "}"
            elif type(value) is tuple:
                text = "(" + "".join(f"{part}, " for part in parts) + ")"
            elif type(value) is list:
                text = "[" + ", ".join(parts) + "]"
            elif isinstance(value, dict):
                pairs = (f"({name!r}, {part})" for name, part in zip(value, parts, strict=True))
                text = f"{self.constant(type(value))}([{', '.join(pairs)}])"
            else:
                text = f"{self.constant(type(value))}({', '.join(parts)})"
            if depth and depth % DEEP == 0:
                self.lines.append(Line(f"r{len(self.lines)} = {text}", Place()))
                return f"r{len(self.lines) - 1}"
            return text

        return walk(self.graph.outputs, 0)

    def program(self, timed: bool = False) -> list[str]:
        """The source of an instance, in pieces that are compiled one by one: its arrays, then the function ``run``.

        It uses the globals ``arena``, its memory, and ``take``, which allocates arrays. ``timed`` adds a clock.
        """
        static = [f"{name} = {text}" for name, text in self.static.items()]
        pieces = ["\n".join(static[start : start + PIECE]) for start in range(0, len(static), PIECE)]
        body = self._with_clock() if timed else [line.text for line in self.lines]
        inputs = [f"i{i}" for i in range(len(self.graph.inputs))]
        if len(body) > 2 * PIECE and not timed:
            parts, body = self._in_pieces(body, inputs)
            pieces += parts
        pieces.append(function_text("run", inputs, [*body, f"return {self.result}"]))
        return pieces

    def _with_clock(self) -> list[str]:
        body = ["last = clock()"]
        for i, line in enumerate(self.lines):
            body.append(line.text)
            following = self.lines[i + 1] if i + 1 < len(self.lines) else None
            if following is None or (following.place != line.place and not following.text.startswith(" ")):
                body.append(f"now = clock(); times[{i}] += now - last; last = now")
        return body

    def _in_pieces(self, body: list[str], inputs: list[str]) -> tuple[list[str], list[str]]:
        """The body split into functions, and the calls that pass values between them."""
        cuts, start = [], 0
        while start < len(body):
            end = min(start + PIECE, len(body))
            while end < len(body) and body[end].startswith(" "):
                end += 1
            cuts.append((start, end))
            start = end
        names = [set(NAME.findall("\n".join(body[start:end]))) for start, end in cuts]
        wanted = [set(NAME.findall(self.result))]  # the names read after each piece, last piece first
        for piece in reversed(names[1:]):
            wanted.append(wanted[-1] | piece)
        parts, calls, known = [], [], set(inputs)
        for i, ((start, end), used, later) in enumerate(zip(cuts, names, reversed(wanted), strict=True)):
            taken, given = sorted(used & known), sorted((used & later) - set(inputs))
            parts.append(function_text(f"part_{i}", taken, [*body[start:end], f"return {listed(given)}"]))
            calls.append(
                f"{listed(given)} = part_{i}({', '.join(taken)})" if given else f"part_{i}({', '.join(taken)})"
            )
            gone = sorted(name for name in used - later if name in self.temporary and name in known)
            calls += [f"{' = '.join(gone)} = None"] if gone else []
            known |= used
        return parts, calls

    def make(self, extra: dict[str, Any] | None = None) -> Callable[..., Any]:
        """A function that runs the plan in new scratch memory; timed if ``extra`` has a clock."""
        program = Program(self, self.program(timed=True), extra) if extra else Program(self)
        return program.bind(np.empty(program.nbytes, np.uint8), [Recycler(*form) for form in program.new])


NAME = re.compile(r"\b[iorx]\d+\b")
"""A name whose value may differ from call to call"""
