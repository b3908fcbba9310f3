"""A recorded graph as readable statements: names, expressions and comments."""

from __future__ import annotations

import ast
import inspect
import keyword
import operator
import re
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from funcnet import ops, tree
from funcnet.codegen.captions import layer_caption, loss_caption, title
from funcnet.codegen.functions import ascii_text as ascii_text
from funcnet.codegen.functions import helper_name, key_text, need
from funcnet.codegen.functions import helper_text as helper_text
from funcnet.codegen.functions import library_text as library_text
from funcnet.codegen.kernels import RESULTS, simple_call
from funcnet.codegen.numerals import fields_of, integral, number_text, power_of_two
from funcnet.codegen.schedules import schedule_text
from funcnet.codegen.tables import table
from funcnet.compiler.graph import Node, NodeGraph, fill, leaves, plain_text
from funcnet.compiler.kind import ATOM, TIMES, UNARY, Text
from funcnet.compiler.kinds import (
    CALL,
    CONST,
    INPUT,
    NUMBER,
    OPERATORS,
    PART,
    PROBE,
    SETTLE,
    UFUNC,
    VIEW,
    WHERE,
    dtype_text,
    infix,
)
from funcnet.compiler.numpy_table import Keywords
from funcnet.compiler.tracer import Float
from funcnet.key import Key
from funcnet.optim.schedules import Schedule

LONGEST = 100
"""The most columns of a line"""
INLINED = 44
"""The longest expression that is written inside another"""
OUT_OF_RANGE = {"forward": "an index is out of range: it names no row of the table"}
"""The errors of failed checks, by section"""
WHOLE = {np.add, np.subtract, np.multiply, np.divide, np.maximum, np.minimum, np.where, *OPERATORS} - {
    operator.pow, operator.floordiv, operator.mod
}  # fmt: skip
"""Functions of floats that take 2 for 2.0"""
SHORT_WORDS = frozenset({"x", "y", "dy", "dx", "out", "new", "self", "value", "values", "rest", "part", "found", "given"})
"""Names of variables that say too little to be printed"""


class Printer:
    """Writes one graph as the body of a function."""

    def __init__(
        self,
        graph: NodeGraph,
        names: dict[str, str],
        finals: dict[Node, str],
        *,
        given: dict[Node, str] | None = None,
        defined: Defined | None = None,
        terms: dict[int, str] | None = None,
        loss: Any = None,
        train: bool = True,
        indent: int = 4,
    ) -> None:
        """``names`` are those of the inputs, ``given`` the expressions of other nodes that are known already.

        With ``defined``, params and states are read from their dicts and tables are named. ``terms`` are the
        expressions of the number of terms that the loss is a mean over.
        """
        self.graph, self.finals, self.defined, self.loss = graph, finals, defined, loss
        self.terms, self.train, self.indent = terms or {}, train, indent
        self.helpers: dict[str, None] = {} if defined is None else defined.helpers
        self.lines: list[tuple[str, str]] = []
        self.texts: dict[Node, Text] = {}
        self.taken: set[str] = {"np", "p", *keyword.kwlist, *names.values(), *finals.values(), *called_functions(graph)}
        self.taken |= {re.split(r"\W", text)[0] for text in (given or {}).values()}
        self.counts: dict[str, int] = {}
        self.users: dict[Node, list[Node]] = {}
        self.uses: dict[Node, int] = {}
        for node in graph.nodes:
            for arg in node.args:
                self.users.setdefault(arg, []).append(node)
        for used in [*(arg for node in graph.nodes for arg in node.args), *leaves(graph.outputs)]:
            self.uses[used] = self.uses.get(used, 0) + 1
        for node in graph.inputs:
            if not self.by_layer(node):
                self.texts[node] = Text(names[node.static], ATOM)
        self.texts |= {node: Text(text, ATOM) for node, text in (given or {}).items()}
        self.blocks: Any = None  # the parts of the graph that are functions
        self.trees: list[tuple[str, dict[str, Node]]] = []  # variables that hold several results, by path
        self.opened = ""  # the layer whose params are in the variable p
        self.within: Node | None = None  # the call whose arguments are being written
        self.here: tuple[str, str] = ("", "")  # the section and the layer of the last comment
        self.entered: tuple[str, str] = ("", "")
        self.flush_steps = {node.args[0] for node in graph.nodes if self.flushed(node) is not None}
        self.pending = [node for node in graph.nodes if node.kind not in (INPUT, CONST) and node not in self.texts]

    # names

    def by_layer(self, node: Node) -> bool:
        """Whether an input is read from the dict of its layer."""
        return self.defined is not None and str(node.static).startswith(("params/", "state/"))

    def unique(self, wanted: str) -> str:
        """An unused name."""
        base = name = re.sub(r"\W", "_", wanted)
        n = 2
        while name in self.taken:
            name, n = f"{base}_{n}", n + 1
        self.taken.add(name)
        return name

    def called(self, node: Node) -> str:
        """The variable name of a value: from its path or its variable, else a letter for its section and a number."""
        if node.name or (node.hint and node.hint not in SHORT_WORDS):
            return self.unique(node.name or node.hint)
        if node.kind is NUMBER and node.f is operator.add and node.args[1].kind is CONST and node.args[1].static == 1:
            return self.unique("t")  # steps count from 0, and t from 1
        letter = {"backward": "g", "update": "u"}.get(node.place.section, "t")
        if not node.is_array:
            letter = "key" if node.dtype is Key else "s"
        self.counts[letter] = self.counts.get(letter, 0) + 1
        return self.unique(f"{letter}{self.counts[letter]}")

    # expressions

    def text(self, node: Node) -> Text:
        """The expression for a value."""
        if node in self.texts:
            return self.texts[node]
        if node.kind is CONST:
            return self.constant(node)
        return self.leaf(node) if node.kind is INPUT else self.expression(node)

    def leaf(self, node: Node) -> Text:
        """A param or state, from the dict of its layer."""
        path, _, name = node.static.rpartition("/")
        return Text(f'p["{name}"]' if path == self.opened else lookup(node.static), ATOM)

    def constant(self, node: Node) -> Text:
        """A constant as code."""
        value = node.static
        if not isinstance(value, np.ndarray):
            return self.numeral(value)
        kind = dtype_text(value.dtype)
        if value.shape == ():
            return Text(f"{kind}({value.item()!r})", ATOM)
        if value.ndim == 1 and value.dtype == np.int64 and np.array_equal(value, np.arange(len(value))):
            return Text(f"np.arange({len(value)})", ATOM)
        if value.size > 1 and np.all(value == value.flat[0]):
            return Text(f"np.full({value.shape}, {plain_text(value.flat[0].item())}, {kind})", ATOM)
        text = f"np.array({value.tolist()!r}, {kind})"
        if self.defined is None or len(text) <= INLINED:
            return Text(text, ATOM)
        return self.defined.table(value, self.within)

    def numeral(self, value: Any) -> Text:
        """A number as people write it inside the call that uses it."""
        within = self.within
        if within is None:
            return number_text(value)
        plain = integral(value)
        if plain is not None and self.takes_whole(within):
            return Text(plain, ATOM)
        layer = within.place.layer
        if self.terms and (layer is None or within.place.section == "loss"):
            return number_text(value, names=self.terms)
        counts = {
            arg.static
            for node in self.graph.nodes
            if node.place.path == within.place.path
            for arg in node.args
            if arg.kind is CONST and type(arg.static) is int
        }
        return number_text(value, fields_of(layer), counts if layer is not None else ())

    @staticmethod
    def takes_whole(node: Node) -> bool:
        """Whether a call of floats gives the same bits for integers in the place of whole constants."""
        others = [arg for arg in node.args[node.kind is WHERE :] if arg.kind is not CONST]
        floats = all(arg.dtype is float or (arg.is_array and arg.dtype.kind == "f") for arg in others)
        return node.kind in (UFUNC, NUMBER, WHERE) and node.f in WHOLE and bool(others) and floats

    def need(self, name: str) -> str:
        """The name of a helper, which is added to the file."""
        return need(name, self.helpers)

    def flushed(self, node: Node) -> Node | None:
        """The argument of ``ops.flush`` if the node is its final subtraction, else None."""
        if node.kind is UFUNC and node.f is np.subtract and node.args[0].kind is UFUNC and node.args[0].f is np.add:
            inner, shift = node.args
            if shift.kind is CONST and inner.args[1] is shift and shift.static == ops.flush_shift(node.dtype):
                return inner.args[0]
        return None

    @contextmanager
    def inside(self, node: Node) -> Iterator[None]:
        """Write the arguments of a call."""
        outer, self.within = self.within, node
        try:
            yield
        finally:
            self.within = outer

    def expression(self, node: Node) -> Text:
        """The expression that computes a node."""
        with self.inside(node):
            inner = self.flushed(node)
            if inner is not None:
                return Text(f"{self.need('flush')}({self.text(inner).text})", ATOM)
            if node.kind is UFUNC and self.defined is not None:
                found = self.drawn(node) or self.quotient(node)
                if found is not None:
                    return found
            return node.kind.expression(node, self)

    def drawn(self, node: Node) -> Text | None:
        """The mask of dropout: random words, compared with a number."""
        if self.defined is None or node.kind is not UFUNC or node.f is not np.greater_equal:
            return None
        words, least = node.args
        if words.kind is not CALL or words.f is not Key.bits or words in self.texts or least.kind is not CONST:
            return None
        rates = [rate for rate in fields_of(node.place.layer) if round(rate * 65536) == least.static]
        rate = repr(rates[0]) if rates else f"{least.static} / 65536"
        shape = words.static.values[1]
        if self.defined.teach:
            return Text(f"rng.random({shape}) >= {rate}", 3)
        return Text(f"{self.need('kept')}({self.text(words.args[0]).text}, {shape}, {rate})", ATOM)

    def quotient(self, node: Node) -> Text | None:
        """``x / 32`` for ``x * 0.03125``, the same number to the last bit."""
        if node.f is not np.multiply or node.dtype.kind != "f":
            return None
        for number, other in (node.args, node.args[::-1]):
            if number.kind is CONST and type(number.static) is float and other.kind is not CONST:
                text = self.numeral(number.static).text
                if text.startswith("1 / ") and power_of_two(number.static) and other.dtype.kind == "f":
                    return infix("/", TIMES, self.text(other), Text(text[4:], ATOM))
        return None

    def number(self, f: Any, args: tuple[Node, ...]) -> Text:
        """A function of Python numbers."""
        if isinstance(f, ops.Blank):
            assert self.defined is not None
            f = self.defined.hyperparameters[f.index]
            if isinstance(f, str):
                return Text(f, ATOM)
            if not isinstance(f, Schedule):
                return number_text(f)
        plain = [self.text(arg) for arg in args]
        f = f.function if isinstance(f, Float) else f
        if isinstance(f, Schedule):
            text, needs = schedule_text(f, plain[0].within(ATOM))
            for helper in needs:
                self.need(helper)
            return Text(text, 0 if " if " in text else ATOM if text.endswith(")") and text[0].isalpha() else 0)
        return Text(f"{self.function(f)}({', '.join(x.text for x in plain)})", ATOM)

    def function(self, f: Any) -> str:
        """The printed name of a function."""
        name = helper_name(f)
        return name if name.startswith("np.") else self.need(name)

    def call(self, node: Node) -> Text:
        """A call of any function."""
        args = fill(node.static.values, [Quoted(self.text(arg).text) for arg in node.args])
        if node.f is operator.getitem:
            return Text(f"{args[0]!r}[{args[1]!r}]", ATOM)
        if self.defined is not None:
            simple = simple_call(node, args, self.defined)
            if simple is not None:
                return Text(simple, ATOM)
        if getattr(node.f, "__name__", "") == "take" and node.f is not np.take:
            return Text(f"np.take({args[0]!r}, {args[1]!r}, axis=0)", ATOM)
        if isinstance(node.f, Keywords):
            texts = [*map(repr, args[0]), *(f"{name}={arg!r}" for name, arg in args[1].items())]
            return Text(f"{self.function(node.f.function)}({', '.join(texts)})", ATOM)
        kinds = {np.dtype: dtype_text, Key: key_text, str: lambda text: f'"{text}"'}
        if node.f is Key.fold and isinstance(args[0], Quoted) and args[0].text.startswith("fold("):
            args = (Quoted(args[0].text[5:-1]), *args[1:])
        texts = [next((f for kind, f in kinds.items() if isinstance(arg, kind)), plain_text)(arg) for arg in args]
        if self.defined is not None and self.defined.teach and node.f in TAUGHT:
            return Text(TAUGHT[node.f](*texts[1:]), ATOM)
        if self.defined is not None:
            texts = self.defined.in_order(texts)
        return Text(f"{self.function(node.f)}({', '.join(texts)})", ATOM)

    # statements

    def inlined(self, node: Node) -> bool:
        """Whether the expression is written inside the one that uses it."""
        if node.effect or node in self.finals or node.name or node.dtype is object:
            return False
        if node.kind is VIEW:
            often = self.uses.get(node, 0) > 1
            return not often or (node.static[0] != "broadcast" and len(self.expression(node).text) <= INLINED)
        if node.kind is NUMBER and isinstance(node.f, ops.Blank):
            return node.f.steady
        if node.kind is NUMBER and node.f is ops.number and node.args[0].kind is INPUT and self.defined is None:
            return False
        if self.uses.get(node, 0) != 1 or node.kind is SETTLE:
            return False
        if node in self.flush_steps or any(self.drawn(user) is not None for user in self.users.get(node, ())):
            return True
        if node.kind is CALL and not (self.defined is not None and node.f in (Key.fold, Key.bits)):
            return False
        return len(self.expression(node).text) <= INLINED

    def run(self) -> None:
        """Write all statements, in sections and by layer."""
        for i, node in enumerate(self.pending):
            if self.blocks is not None and node in self.blocks.inside:
                if node in self.blocks.last:
                    self.header(node, self.blocks.last[node].path)
                    self.blocks.call(self.blocks.last[node], self)
                continue
            self.enter(node, i)
            unused = not self.uses.get(node) and not node.effect and node not in self.finals
            if node.kind is PROBE or unused or node in self.texts or self.inlined(node):
                continue
            self.header(node)
            self.statement(node)

    def header(self, node: Node, block: str | None = None) -> None:
        """The comments where a section or a layer begins, and its params."""
        place = node.place if block is None else node.place._replace(path=block, layer=None)
        if (place.section, place.path) == self.here or not place.section:
            return
        if place.section != self.here[0]:
            self.lines += [("", ""), (f"# ----- {place.section} " + "-" * (70 - len(place.section)), "")]
            if place.layer is None and block is None and self.loss is not None and place.section in ("loss", "backward"):
                equation = loss_caption(self.loss)[place.section == "backward"]
                self.remark("# loss = " if place.section == "loss" else "# ", equation)
        self.here = (place.section, place.path)
        layer = place.layer
        if layer is not None and (not layer.children or type(layer).__name__ == "Residual"):
            caption = layer_caption(layer, self.train)[place.section == "backward"]
            self.remark("", title(layer, place.path, caption))
        if self.opened and block is None:
            self.lines.append((f"p = {lookup(self.opened)}", ""))

    def remark(self, begin: str, text: str) -> None:
        """A comment, wrapped."""
        if text and self.defined is not None or not begin:
            wrapped = textwrap.wrap(begin + text, LONGEST - self.indent, subsequent_indent="#     ")
            self.lines += [(line, "") for line in wrapped]

    def enter(self, node: Node, position: int) -> None:
        """Find the params of a layer that its statements read from a variable, where they use several."""
        place = node.place
        if (place.section, place.path) in (self.here, self.entered) or not place.section:
            return
        self.opened, self.entered = "", (place.section, place.path)
        found: dict[str, dict[Node, None]] = {}
        for later in self.pending[position:]:
            if later.place.section and (later.place.section, later.place.path) != self.entered:
                break
            for arg in later.args:
                if arg.kind is INPUT and self.by_layer(arg):
                    found.setdefault(arg.static.rpartition("/")[0], {})[arg] = None
        self.opened = next((path for path, nodes in found.items() if len(nodes) > 1 and "/" in path), "")

    def fits(self, text: str, comment: str) -> bool:
        """Whether a statement is short enough for its line."""
        return self.indent + len(text) + (len(comment) + 4 if comment else 0) <= LONGEST

    def statement(self, node: Node) -> None:
        """Write a statement; expressions inside it that make it too long get their own."""
        parts = self.parts(node)
        name = "" if parts else self.finals.get(node) or self.called(node)
        while True:
            if node.kind is CALL and node.f is ops.check:
                error = OUT_OF_RANGE.get(node.place.section, "a value is out of range: a label, or a probability")
                with self.inside(node):
                    text = f'if not np.all({self.text(node.args[0]).text}):\n        raise ValueError("{error}")'
                comment = ""
            else:
                target = ", ".join(parts.values()) if parts else name
                text, comment = f"{target} = {self.expression(node).text}", shape_text(node)
            inner = self.longest_inside(node)
            if self.fits(text.partition("\n")[0], comment) or inner is None:
                break
            self.statement(inner)
        for part, given in parts.items():
            if isinstance(part, Node):
                self.texts[part] = Text(given, ATOM)
        if name:
            self.texts[node] = Text(name, ATOM)
        self.lines.append((text, comment))

    def parts(self, node: Node) -> dict[Any, str]:
        """The names of the parts of a result of several values, ``_`` for unused ones; {} if it has one name."""
        users = self.users.get(node, [])
        count = results_of(node.f) if node.kind is CALL and self.defined is not None else 0
        if count and f"{node.f.__name__}(" != self.expression(node).text.partition("(")[0] + "(":
            count = RESULTS.get(node.f.__name__, count)
        whole = any(user.kind is not PART or len(user.static) != 1 for user in users)
        if not count or not users or whole or node in leaves(self.graph.outputs):
            return {}
        found = {user.static[0]: user for user in users}
        return {found.get(i, i): self.called(found[i]) if i in found else "_" for i in range(count)}

    def longest_inside(self, node: Node) -> Node | None:
        """The longest expression inside a statement that can have its own."""
        inner = [
            arg
            for arg in node.args
            if arg not in self.texts and arg.kind not in (INPUT, CONST, PART) and arg not in self.flush_steps
        ]
        found = max(inner, key=lambda arg: len(self.text(arg).text), default=None)
        if found is None and inner == [] and any(arg in self.flush_steps for arg in node.args):
            return self.longest_inside(node.args[0])
        return found if found is not None and len(self.text(found).text) > 12 else None


TAUGHT: dict[Any, Any] = {
    Key.bits: lambda shape, dtype="np.uint64": f"rng.integers(2 ** 16, size={shape}).astype({dtype})",
    Key.normal: lambda shape, dtype="np.float64": f"rng.standard_normal({shape}, {dtype})",
    Key.uniform: lambda shape, dtype="np.float64", low="0.0", high="1.0": (
        f"rng.uniform({low}, {high}, {shape}).astype({dtype})"
    ),
}
"""The draws of a program for learners, from NumPy's generator"""


class Defined:
    """What a printed file defines beside its main functions: helpers and tables."""

    def __init__(self, teach: bool = False) -> None:
        self.teach = teach
        self.helpers: dict[str, None] = {}
        self.tables: dict[tuple[Any, ...], tuple[str, str]] = {}
        self.kernels: dict[str, str] = {}
        self.hyperparameters: list[Any] = []
        self.trees: dict[tuple[str, ...], str] = {}

    def table(self, value: Any, within: Node | None) -> Text:
        """The name of a constant array, which the file computes or writes down once; or minus one of those."""
        for sign, array in (("", value), ("-", np.negative(value) if value.dtype.kind == "f" else value)):
            identity = array.shape, str(array.dtype), array.tobytes()
            if identity in self.tables:
                return Text(sign + self.tables[identity][0], UNARY if sign else ATOM)
        wanted, text = table(value, None if within is None else within.place.layer)
        taken = [name for name, _ in self.tables.values()]
        name = wanted if wanted not in taken else f"{wanted}_{len(taken) + 1}"
        self.tables[value.shape, str(value.dtype), value.tobytes()] = name, text
        return Text(name, ATOM)

    def in_order(self, texts: list[str]) -> list[str]:
        """The arguments of a call, those that are all leaves of a tree as ``*leaves(tree)``."""
        name = self.trees.get(tuple(texts))
        if name is None:
            return texts
        need("leaves", self.helpers)
        return [f"*leaves({name})"]


def structured(part: Any, printer: Printer) -> Any:
    """A structure of results as code; a dict that is one variable is that variable."""
    if isinstance(part, dict):
        flat = tree.flatten(part)
        known = next((name for name, nodes in printer.trees if flat and flat == nodes), None)
        return Quoted(known) if known else {name: structured(inner, printer) for name, inner in part.items()}
    if isinstance(part, tuple):
        return tuple(structured(inner, printer) for inner in part)
    return Quoted(printer.text(part).text) if isinstance(part, Node) else part


class Quoted:
    """An expression inside a printed structure; its repr is its text."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def called_functions(graph: NodeGraph) -> set[str]:
    """The names of the called functions, which variables must not have."""
    functions = [node.f.function if isinstance(node.f, Keywords) else node.f for node in graph.nodes]
    return {"flush", "settle", "kept", "float", "int", "bool", "len", "rng", "key"} | {
        name for f in functions if (name := getattr(f, "__name__", "")) not in ("", "<lambda>")
    }


def results_of(f: Any) -> int:
    """The number of results of a function whose annotation says that it returns a tuple; else 0."""
    f = inspect.unwrap(f) if callable(f) else f
    said = getattr(f, "__annotations__", {}).get("return", "")
    kind = ast.parse(said, mode="eval").body if isinstance(said, str) and said else None
    if not isinstance(kind, ast.Subscript) or ast.unparse(kind.value) != "tuple" or not isinstance(kind.slice, ast.Tuple):
        return 0
    inside = kind.slice.elts
    return 0 if any(isinstance(each, ast.Constant) and each.value is ... for each in inside) else len(inside)


def lookup(path: str) -> str:
    """The code that reads a leaf of the arguments: ``params["stem"]["weight"]``."""
    root, *rest = path.split("/")
    return root + "".join(
        f"[{int(step)}]" if root in ("x", "y", "dy") and step.isdigit() else f'["{step}"]' for step in rest
    )


def shape_text(node: Node) -> str:
    """The shape comment of a statement."""
    if not node.is_array:
        return ""
    return str(node.shape) if node.shape else "a number"
