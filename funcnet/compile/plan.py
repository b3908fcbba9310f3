"""From a graph to a straight line of NumPy calls into memory that was allocated once.

A plan gives every array a place: scratch memory, shared by arrays that are not alive at the same time; memory
of its own for what leaves; or a slice of a vector that is used as a whole. Then it writes the program as Python
source, one call a line, and compiles that. Chains of elementwise calls on large arrays become one loop over
blocks of rows that stay in cache.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from funcnet import ops
from funcnet.compile.graph import (
    CALL,
    CAST,
    CONCAT,
    CONST,
    INPUT,
    MATMUL,
    NUMBER,
    PART,
    PROBE,
    REDUCE,
    SETTLE,
    UFUNC,
    VIEW,
    WHERE,
    Graph,
    Node,
    Place,
    Ref,
    leaves,
    plain_text,
    ufunc_dtypes,
)
from funcnet.compile.memory import ALIGNMENT, WRITABLE, Memory
from funcnet.compile.passes import optimized

BLOCK = 1 << 17
"""Bytes of one block of rows: a handful of them fit into a core's second-level cache"""
RECYCLED = 1 << 16
"""Bytes from which the memory of a result is used again once nobody refers to it"""
FILLED = 1 << 18
"""Bytes up to which a number is kept as a whole array where that is faster"""
INFIX = {operator.add: "+", operator.sub: "-", operator.mul: "*", operator.truediv: "/", operator.pow: "**"}


class Line(NamedTuple):
    """A statement of the program and the place in the network it belongs to."""

    text: str
    place: Place


class Plan:
    """A program: its source, the memory it needs, and functions that run it."""

    def __init__(self, graph: Graph, without: frozenset[str] = frozenset()) -> None:
        self.without = without
        self.graph = optimized(graph, without)
        self.nodes = self.graph.nodes
        self.constants: dict[str, Any] = {}
        self.known: dict[Any, str] = {}
        self.static: dict[str, tuple[Node, str]] = {}  # what an instance has: of an array, what stands behind it
        self.name: dict[Node, str] = {}
        self.lines: list[Line] = []
        self.numbers: dict[tuple[Node, Any], str] = {}
        self.outputs = leaves(self.graph.outputs)
        self.memory = Memory(self.graph, without)
        self.fresh = {node: f"o{i}" for i, node in enumerate(self.memory.fresh_in_order())}
        self._emit()
        self.result = self.result_text()
        self.source = self.program()
        self.instances: list[Callable[..., Any]] = []

    # ----- the program ---------------------------------------------------------------------------------------

    def constant(self, value: Any, prefix: str = "k") -> str:
        """The name of something that the program finds in its surroundings."""
        name = getattr(value, "__name__", "")
        if isinstance(value, np.ufunc) and getattr(np, name, None) is value:
            self.constants[name] = value
            return name
        if id(value) not in self.known:
            self.known[id(value)] = f"{prefix}{len(self.known)}"
            self.constants[self.known[id(value)]] = value
        return self.known[id(value)]

    def remember(self, suffix: str, prefix: str, node: Node) -> str:
        """The name of a scratch array, or of what an expression behind it gives, made once for each instance."""
        name = f"{prefix}{len(self.static)}"
        self.static[name] = (node, suffix)
        return name

    def is_static(self, node: Node) -> bool:
        """Whether the array is the same memory at every call."""
        root = self.memory.root(node)
        return root in self.memory.buffers or root.kind == CONST

    @property
    def scratch_bytes(self) -> int:
        """Bytes of the scratch memory of one instance, blocks of rows not counted."""
        return self.memory.nbytes

    def say(self, text: str, node: Node) -> None:
        """Add a line."""
        self.lines.append(Line(text, node.place))

    def _emit(self) -> None:
        for i, node in enumerate(self.graph.inputs):
            self.name[node] = f"i{i}"
        begun: set[Node] = set()
        for node in self.nodes:
            chain = self.memory.chain_of.get(node)
            if chain is None:
                self._emit_node(node)
            elif chain[0] not in begun:
                begun.add(chain[0])
                self._emit_blocks(chain)

    def ref(self, node: Node) -> str:
        """The expression for a node's value."""
        if node in self.name:
            return self.name[node]
        if node.kind == CONST:
            text = plain_text(node.static) if node.is_number else self.constant(node.static)
            if text in ("inf", "-inf", "nan"):
                text = f"float('{text}')"
        elif node.kind == SETTLE and self.memory.in_place(node):
            text = self.ref(node.args[0])
        elif self.is_static(node) and node.kind in (VIEW, *WRITABLE, SETTLE):
            text = self.remember("", "t" if node.kind != VIEW else "v", node)
        else:
            text = f"x{len(self.name)}"
        self.name[node] = text
        return text

    def operand(self, node: Node, arg: Node, dtype: Any, shape: Any = None) -> str:
        """An argument of a ufunc: numbers become arrays of shape (), which NumPy takes faster."""
        whole = node.f in (np.maximum, np.minimum) and arg.kind == CONST and arg.shape == () and node.kind == UFUNC
        if whole and node.size * dtype.itemsize <= FILLED and shape is None:
            return self.constant_like(arg, dtype, node.shape)
        if not arg.is_number:
            return self.ref(arg)
        if arg.kind == CONST:
            return self.constant_like(arg, dtype, ())
        key = arg, dtype
        if key not in self.numbers:
            name = self.numbers[key] = f"s{len(self.numbers)}"
            cell = Node(CONST, None, (), None, (), dtype, arg.place)
            self.static[name] = (cell, "")
            self.say(f"{name}[()] = {self.ref(arg)}", node)
        return self.numbers[key]

    def constant_like(self, arg: Node, dtype: Any, shape: Any) -> str:
        """A constant number as an array."""
        value = arg.static
        key = ("full", repr(value), np.dtype(dtype).str, shape)
        if key not in self.known:
            name = self.known[key] = f"k{len(self.known)}"
            self.constants[name] = np.full(shape, value, dtype)
        return self.known[key]

    def out(self, node: Node) -> str:
        """Where a node writes; memory of its own is taken first."""
        root = self.memory.root(node)
        if root in self.fresh and root is node:
            name = self.name[node] = self.fresh[node]
            self.say(f"{name} = {self.new(node)}", node)
            return name
        return self.ref(node)

    def new(self, node: Node) -> str:
        """An expression that gives memory for what leaves."""
        if node.nbytes >= RECYCLED and "recycle" not in self.without:
            return f"{self.constant(Recycler(node.shape, node.dtype), 'take')}()"
        return f"{self.constant(np.empty)}({node.shape!r}, {self.constant(node.dtype)})"

    def _emit_node(self, node: Node) -> None:
        kind = node.kind
        if kind in (INPUT, CONST):
            return
        if kind == VIEW:
            if not self.is_static(node):
                base, (method, how) = self.ref(node.args[0]), node.static
                made = f"{self.constant(np.broadcast_to)}({base}, {how})" if method == "broadcast" else base
                self.say(f"{self.ref(node)} = {made}{view_text(node)}", node)
            return
        if kind == NUMBER:
            self.say(f"{self.ref(node)} = {self.number_text(node)}", node)
        elif kind == PART:
            path = "".join(f"[{step!r}]" for step in node.static)
            self.say(f"{self.ref(node)} = {self.ref(node.args[0])}{path}", node)
        elif kind == PROBE:
            a, b = map(self.ref, node.args)
            flat = all(len(arg.shape) == 1 for arg in node.args)
            self.say(f"{self.ref(node)} = {f'{a}.dot({b})' if flat else f'{self.constant(np.vdot)}({a}, {b})'}", node)
        elif kind == CALL:
            self._emit_call(node)
        else:
            for line in self.write(node, self.out(node), None):
                self.say(line, node)

    def write(self, node: Node, out: str, sliced: Callable[[Node], str] | None) -> list[str]:
        """The statements that write a node's value to ``out``; in a block, of the rows of the block."""
        ref = sliced or self.ref
        args = node.args
        if node.kind == UFUNC:
            dtypes = ufunc_dtypes(node.f, tuple(arg.dtype for arg in args))
            texts = []
            for arg, dtype in zip(args, dtypes, strict=False):
                scalar = arg.is_number or (arg.kind == CONST and arg.shape == ())
                texts.append(self.operand(node, arg, dtype, sliced) if scalar else ref(arg))
            equals = "out=" if node.f in (np.maximum, np.minimum) else ""  # a third position is deprecated there
            return [f"{self.constant(node.f, 'f')}({', '.join(texts)}, {equals}{out})"]
        if node.kind == MATMUL:
            a, b = args
            if len(a.shape) == len(b.shape) == 2 and a.dtype == b.dtype == node.dtype and node.dtype.kind == "f":
                if self.is_static(a) and a.kind != CONST:
                    self.ref(a)
                    bound = self.remember(".dot", "dot", a)
                    return [f"{bound}({ref(b)}, {out})"]
                return [f"{ref(a)}.dot({ref(b)}, {out})"]
            return [f"{self.constant(np.matmul)}({ref(a)}, {ref(b)}, {out})"]
        if node.kind == REDUCE:
            axes, keepdims = node.static
            axis = axes[0] if axes is not None and len(axes) == 1 else axes
            rest = ", True" if keepdims else ""
            return [f"{self.constant(node.f, 'f')}.reduce({ref(args[0])}, {axis}, None, {out}{rest})"]
        if node.kind == CAST:
            kept = np.can_cast(args[0].dtype, node.dtype, "same_kind")
            return [f"{self.constant(np.copyto)}({out}, {ref(args[0])}{'' if kept else ', casting=' + repr('unsafe')})"]
        if node.kind == WHERE:
            condition, a, b = args
            copyto = self.constant(np.copyto)
            mask = ref(condition) if condition.dtype == np.bool_ else f"{ref(condition)} != 0"
            values = [
                self.constant_like(x, node.dtype, ()) if x.kind == CONST and x.is_number else ref(x) for x in (a, b)
            ]
            return [f"{copyto}({out}, {values[1]})", f"{copyto}({out}, {values[0]}, where={mask})"]
        if node.kind == CONCAT:
            if node.static is None:
                copied = [i for i, arg in enumerate(args) if self.memory.placed.get(arg) is not node]
                if len(copied) == len(args):
                    return [f"{self.constant(np.concatenate)}(({', '.join(map(ref, args))},), None, {out})"]
                return [f"{self.constant(np.copyto)}({self.slot(node, i)}, {ref(args[i])})" for i in copied]
            return [f"{self.constant(np.concatenate)}(({', '.join(map(ref, args))},), {node.static}, {out})"]
        if node.kind == SETTLE:
            x, step = args
            lines = [] if out == ref(x) else [f"{self.constant(np.copyto)}({out}, {ref(x)})"]
            shift = constant_shift(node.dtype)
            cell = self.constant_like(Node(CONST, None, (), shift, (), float, node.place), node.dtype, ())
            add, subtract = self.constant(np.add), self.constant(np.subtract)
            work = f"{add}({out}, {cell}, {out}); {subtract}({out}, {cell}, {out})"
            return [*lines, f"if not {self.ref(step)} % {ops.SETTLE_EVERY}: {work}"]
        raise AssertionError(node.kind)

    def slot(self, whole: Node, i: int) -> str:
        """The part of a vector that holds a copy of its i-th piece."""
        start = sum(arg.size for arg in whole.args[:i])
        end, shape = start + whole.args[i].size, whole.args[i].shape
        return self.remember(f"[{start}:{end}].reshape({shape})", "p", whole)

    def number_text(self, node: Node) -> str:
        """A Python number's expression."""
        texts = [self.ref(arg) for arg in node.args]
        if node.f in INFIX:
            return f"{texts[0]} {INFIX[node.f]} {texts[1]}"
        if node.f is operator.neg:
            return f"-{texts[0]}"
        if node.f is ops.number:
            return f"{texts[0]}.item()"
        return f"{self.constant(node.f, 'f')}({', '.join(texts)})"

    def _emit_call(self, node: Node) -> None:
        def text(value: Any) -> str:
            if isinstance(value, Ref):
                return self.ref(node.args[value.i])
            if isinstance(value, bool | int | float | str | None):
                return plain_text(value)
            if type(value) is dict:
                return "{" + ", ".join(f"{name!r}: {text(inner)}" for name, inner in value.items()) + "}"
            if type(value) is tuple:
                return "(" + "".join(f"{text(inner)}, " for inner in value) + ")"
            if type(value) is list:
                return "[" + ", ".join(map(text, value)) + "]"
            if any(isinstance(part, Ref) for part in _deep(value)):
                fields = _parts(value)
                return f"{self.constant(type(value))}({', '.join(map(text, fields))})"
            return self.constant(value)

        args = ", ".join(map(text, node.static))
        if node.f is ops.check:
            ok = self.ref(node.args[0])
            holds = f"{ok}.all()" if node.args[0].shape else ok
            self.say(f"if not {holds}: {self.constant(ops.check)}({args})", node)
            return
        call = f"{self.constant(node.f, 'f')}({args})"
        self.say(call if node.effect else f"{self.ref(node)} = {call}", node)

    def _emit_blocks(self, chain: list[Node]) -> None:
        """A loop over blocks of rows, in which the whole chain is computed for one block."""
        first = chain[0]
        shape = first.shape
        width = max(arg.dtype.itemsize for node in chain for arg in (node, *node.args) if arg.is_array)
        rows = max(1, BLOCK // (first.size // shape[0] * width))
        inside = set(chain)
        names: dict[Node, str] = {}
        body: list[str] = []
        last = {arg: i for i, node in enumerate(chain) for arg in node.args}
        free: list[tuple[str, Any]] = []
        setup: list[str] = []

        def sliced(node: Node) -> str:
            if node.kind == SETTLE and node in inside and self.memory.in_place(node):
                return sliced(node.args[0])
            if node in names:
                return names[node]
            whole = self.ref(node)
            if not (node.is_array and len(node.shape) == len(shape) and node.shape[0] == shape[0]):
                return whole
            names[node] = f"b{len(names)}"
            body.append(f"{names[node]} = {whole}[a:z]")
            return names[node]

        for node in chain:
            for arg in node.args:
                if arg not in inside and arg.is_number:
                    self.ref(arg)
        before = len(self.lines)
        probes: list[str] = []
        for i, node in enumerate(chain):
            if node.kind == PROBE:
                a, b = map(sliced, node.args)
                self.ref(node)
                probes.append(self.ref(node))
                body.append(f"{self.ref(node)} += {self.constant(np.vdot)}({a}, {b})")
                continue
            if node.kind == SETTLE and self.memory.in_place(node):
                out = sliced(node.args[0])
                names[node] = out
            elif node in self.memory.interior:
                dead = [
                    arg
                    for arg in node.args
                    if arg in self.memory.interior
                    and last.get(arg) == i
                    and arg.dtype == node.dtype
                    and arg in names
                    and node.kind != WHERE
                ]
                dead = [arg for arg in dead if not any(names.get(o) == names[arg] and o is not arg for o in node.args)]
                matching = [entry for entry in free if entry[1] == node.dtype]
                if dead:
                    out = names[dead[0]]
                elif matching:
                    free.remove(matching[0])
                    out = matching[0][0]
                else:
                    out = f"b{len(names)}_{i}"
                    shape_rows = (rows, *shape[1:])
                    cell = Node(CONST, None, (), None, shape_rows, node.dtype, node.place)
                    name = f"w{len(self.static)}"
                    self.static[name] = (cell, "")
                    body.append(f"{out} = {name}[:z - a]")
                names[node] = out
            else:
                root = self.memory.root(node)
                if root in self.fresh and root is node and node not in self.name:
                    setup.append(f"{self.fresh[node]} = {self.new(node)}")
                    self.name[node] = self.fresh[node]
                out = sliced(node)
            body += self.write(node, out, sliced)
            for arg in set(node.args):
                if (
                    arg in self.memory.interior
                    and last.get(arg) == i
                    and names.get(arg) not in {names.get(n) for n in chain[: i + 1] if last.get(n, -1) > i or n is node}
                ):
                    free.append((names[arg], arg.dtype))
        numbers = self.lines[before:]
        del self.lines[before:]
        self.lines += numbers
        for text in setup:
            self.say(text, first)
        for name in probes:
            self.say(f"{name} = 0.0", first)
        blocks = tuple((start, min(start + rows, shape[0])) for start in range(0, shape[0], rows))
        self.say(f"for a, z in {self.constant(blocks)}:", first)
        for text in body:
            self.say("    " + text, first)

    # ----- running -------------------------------------------------------------------------------------------

    def result_text(self) -> str:
        """The expression of the result, a tree in which every array owns its memory."""
        given: set[str] = set()

        def leaf(node: Node) -> str:
            text = self.ref(node)
            root = self.memory.root(node)
            if not node.is_array:
                return text
            if root in self.fresh and text not in given:
                given.add(text)
                return text
            if self.is_static(node) and root.kind != CONST:
                return f"{self.remember('.copy', 'copy', node)}()"
            return f"{self.constant(np.array)}({text})"

        def walk(value: Any) -> str:
            if isinstance(value, Node):
                return leaf(value)
            if type(value) is dict:
                return "{" + ", ".join(f"{name!r}: {walk(inner)}" for name, inner in value.items()) + "}"
            if type(value) is tuple:
                return "(" + "".join(f"{walk(inner)}, " for inner in value) + ")"
            if type(value) is list:
                return "[" + ", ".join(map(walk, value)) + "]"
            if isinstance(value, tuple):
                return f"{self.constant(type(value))}({', '.join(map(walk, value))})"
            return self.constant(value)

        return walk(self.graph.outputs)

    def program(self, timed: bool = False) -> str:
        """The source of the function that makes an instance, which with ``timed`` tells where its time goes."""
        empty, size = self.constant(np.empty), self.memory.nbytes + ALIGNMENT
        lines = ["def make():", f"    arena = {empty}({size}, {self.constant(np.dtype(np.uint8))})"]
        lines.append(f"    arena = arena[-arena.ctypes.data % {ALIGNMENT} :]")
        lines += [f"    {name} = {self.memory_text(node)}{suffix}" for name, (node, suffix) in self.static.items()]
        lines.append(f"    def run({', '.join(f'i{i}' for i in range(len(self.graph.inputs)))}):")
        if timed:
            lines.append("        last = clock()")
        for i, line in enumerate(self.lines):
            lines.append("        " + line.text)
            following = self.lines[i + 1] if i + 1 < len(self.lines) else None
            if timed and (following is None or (following.place != line.place and not following.text.startswith(" "))):
                lines.append(f"        now = clock(); times[{i}] += now - last; last = now")
        lines += [f"        return {self.result}", "    return run"]
        return "\n".join(lines) + "\n"

    def make(self, timed: bool = False, extra: dict[str, Any] | None = None) -> Callable[..., Any]:
        """A new instance with scratch memory of its own."""
        if timed or not hasattr(self, "_make"):
            source = self.program(timed) if timed else self.source
            names = dict(self.constants) | (extra or {})
            exec(compile(source, "<funcnet plan>", "exec"), names)
            if timed:
                return names["make"]()
            self._make = names["make"]
        return self._make()

    def memory_text(self, node: Node) -> str:
        """The expression for the scratch memory of a node."""
        if node.kind == CONST and node.static is None:
            return f"{self.constant(np.empty)}({node.shape}, {self.constant(node.dtype)})"
        if node.kind == CONST:
            return self.constant(node.static)
        if node in self.memory.placed:
            whole = self.memory.placed[node]
            start = sum(arg.size for arg in whole.args[: whole.args.index(node)])
            return f"{self.memory_text(whole)}[{start}:{start + node.size}].reshape({node.shape})"
        if node.kind == VIEW:
            base = self.memory_text(node.args[0])
            if node.static[0] == "broadcast":
                return f"{self.constant(np.broadcast_to)}({base}, {node.shape})"
            return f"{base}{view_text(node)}"
        if node.kind == SETTLE and self.memory.in_place(node):
            return self.memory_text(node.args[0])
        start = self.memory.buffers[node].offset
        return f"arena[{start}:{start + node.nbytes}].view({self.constant(node.dtype)}).reshape({node.shape})"

    def __call__(self, *inputs: Any) -> Any:
        """Run on the flat inputs. An instance is taken for the time of a call, so threads never share one."""
        try:
            run = self.instances.pop()
        except IndexError:
            run = self.make()
        try:
            return run(*inputs)
        finally:
            self.instances.append(run)


def unused(arrays: list[Any], references: int) -> Any:
    """The first array with so many references; None if there is none."""
    for array in arrays:
        if sys.getrefcount(array) == references:
            return array
    return None


UNUSED = next(n for n in range(1, 9) if unused([np.empty(1)], n) is not None)
"""The references that ``unused`` counts for an array that its list alone holds, which depends on the interpreter"""


class Recycler:
    """Memory for one result, used again once nobody refers to it."""

    def __init__(self, shape: tuple[int, ...], dtype: Any) -> None:
        self.shape, self.dtype = shape, dtype
        self.kept: list[Any] = []

    def __call__(self) -> Any:
        array = unused(self.kept, UNUSED)
        if array is None:
            array = np.empty(self.shape, self.dtype)
            self.kept = [*self.kept[-2:], array]
        return array


def constant_shift(dtype: Any) -> float:
    """The number that ``ops.flush`` adds and takes away."""
    info = np.finfo(dtype)
    return float(info.tiny) / float(info.eps) ** 2


def view_text(node: Node) -> str:
    """The expression that makes a view, to put behind its base."""
    method, how = node.static
    if method == "reshape":
        return f".reshape({how!r})"
    if method == "transpose":
        return ".T" if how == (1, 0) else f".transpose({how!r})"
    if method == "index":
        return f"[{', '.join([*map(_item_text, how), '...'])}]"  # never a scalar, which would be a copy
    return ""


def _item_text(item: Any) -> str:
    if isinstance(item, slice):
        parts = ["" if part is None else str(part) for part in (item.start, item.stop, item.step)]
        return ":".join(parts if parts[2] else parts[:2])
    return "None" if item is None else str(int(item))


def _parts(value: Any) -> list[Any]:
    if hasattr(value, "_fields"):
        return list(value)
    return [value.train, value.key]  # a context


def _deep(value: Any) -> Iterator[Any]:
    yield value
    if isinstance(value, dict):
        for inner in value.values():
            yield from _deep(inner)
    elif isinstance(value, tuple | list):
        for inner in value:
            yield from _deep(inner)
    elif hasattr(value, "train") and hasattr(value, "key"):
        yield value.key
