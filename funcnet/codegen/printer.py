"""A recorded graph as readable statements: names, comments, and expressions short enough for their lines."""

from __future__ import annotations

import ast
import inspect
import operator
import re
import textwrap
from typing import Any

from funcnet import ops, tree
from funcnet.codegen.captions import layer_caption, loss_caption, title
from funcnet.codegen.defined import Defined, Quoted, lookup
from funcnet.codegen.expressions import INLINED, Expressions
from funcnet.codegen.functions import PLAIN, helper_text as helper_text
from funcnet.codegen.names import fresh
from funcnet.codegen.short.call import RESULTS, names_of
from funcnet.combinators.residual import Residual
from funcnet.compiler.graph import Node, NodeGraph, Place, leaves
from funcnet.compiler.kind import ATOM, Text
from funcnet.compiler.kinds import CALL, CONST, INPUT, NUMBER, PART, PROBE, REDUCE, SETTLE, VIEW
from funcnet.compiler.numpy_table import Keywords
from funcnet.key import Key
from funcnet.layers.embedding import rotate

LONGEST = 100
"""The most columns of a line"""
RETURNED = 60
"""The longest expression that is written inside the returned structure"""
OUT_OF_RANGE = {"forward": "an index is out of range: it names no row of the table"}
"""The errors of failed checks, by section"""
FUNCTIONS = frozenset({"flush", "settle", "kept", "leaves", "each_leaf", *PLAIN})
"""Functions that an expression may call, beside those of the nodes"""
RESERVED = FUNCTIONS | {"w", "rng", "key", "params", "state", "saved"}
"""Names that a function reads, which no variable may have"""
SHORT_WORDS = frozenset(
    {"x", "y", "dy", "dx", "out", "new", "self", "value", "values", "rest", "part", "found", "given"}
)
"""Names of variables that say too little to be printed"""


class Printer(Expressions):
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
        labels: bool = True,
        train: bool = True,
        shapes: bool = True,
    ) -> None:
        """``names`` are those of the inputs, ``given`` the expressions of other nodes that are known already.

        With ``defined``, params and states are read from their dicts and tables are named. ``terms`` are the
        expressions of the number of terms that the loss is a mean over. ``shapes`` adds them to the statements.
        """
        super().__init__(graph, {} if defined is None else defined.helpers, defined, terms or {})
        self.labels = labels
        self.finals, self.loss, self.train, self.shapes, self.indent = finals, loss, train, shapes, 4
        self.lines: list[tuple[str, str]] = []
        self.taken: set[str] = {*RESERVED, *finals.values(), *called_functions(graph)}
        self.taken |= {re.split(r"\W", text)[0] for text in (*names.values(), *(given or {}).values())}
        self.counts: dict[str, int] = {}
        self.uses: dict[Node, int] = {}
        self.outputs = set(leaves(graph.outputs))
        for used in [*(arg for node in graph.nodes for arg in read(node)), *leaves(graph.outputs)]:
            self.uses[used] = self.uses.get(used, 0) + 1
        for node in graph.inputs:
            if not self.by_layer(node):
                self.texts[node] = Text(names[node.static], ATOM)
        self.texts |= {node: Text(text, ATOM) for node, text in (given or {}).items()}
        self.blocks: Any = None  # the parts of the graph that are functions
        self.trees: list[tuple[str, dict[str, Node]]] = []  # variables that hold several results, by path
        self.here: tuple[str, str] = ("", "")  # the section and the layer of the last comment
        self.entered: tuple[str, str] = ("", "")
        self.held = ""  # the layer whose params are in w at the last statement
        self.flush_steps = {node.args[0] for node in graph.nodes if self.flushed(node) is not None}
        self.pending = [node for node in graph.nodes if node.kind not in (INPUT, CONST) and node not in self.texts]

    # names

    def unique(self, wanted: str) -> str:
        """An unused name."""
        return fresh(wanted, self.taken)

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
        if node.kind is REDUCE and any(self.mean_total(user) is node for user in self.users.get(node, ())):
            return True
        if node.kind is CALL and not (self.defined is not None and node.f in (Key.fold, Key.bits)):
            short = self.defined is not None and node.is_array and len(self.expression(node).text) <= INLINED
            return node.f is rotate or short
        return len(self.expression(node).text) <= self.room(node)

    def room(self, node: Node) -> int:
        """The longest expression that is written inside another: more in what an update returns."""
        if node in self.outputs:
            return RETURNED
        ends = node.place.section == "update" and all(user in self.finals for user in self.users.get(node, ()))
        return LONGEST - self.indent - 10 if ends else INLINED

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
        entered = (place.section, place.path) != self.here and bool(place.section)
        if entered:
            self.titles(place, block)
        if self.opened and block is None and (entered or self.opened != self.held):
            self.lines.append((f"w = {lookup(self.opened)}", ""))
            self.held = self.opened

    def titles(self, place: Place, block: str | None) -> None:
        """The comments where a section or a layer begins."""
        if place.section != self.here[0]:
            self.lines += [("", ""), (f"# ----- {place.section} " + "-" * (70 - len(place.section)), "")]
            if (
                place.layer is None
                and block is None
                and self.loss is not None
                and place.section in ("loss", "backward")
            ):
                equation = loss_caption(self.loss, self.labels)[place.section == "backward"]
                self.remark("# loss = " if place.section == "loss" else "# ", equation)
        self.here = (place.section, place.path)
        layer = place.layer
        if layer is not None and (not layer.children or isinstance(layer, Residual)):
            caption = layer_caption(layer, self.train)[place.section == "backward"]
            whole = title(layer, place.path, caption)
            if len(whole) + self.indent > LONGEST:
                whole = title(layer, place.path.rpartition("/")[2], caption)
            self.remark("", whole)

    def remark(self, begin: str, text: str) -> None:
        """A comment, wrapped."""
        if (text and self.defined is not None) or not begin:
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
        several = [path for path, nodes in found.items() if len(nodes) > 1 and "/" in path]
        self.opened = min(several, key=lambda path: (path.startswith("state/"), -len(found[path])), default="")

    def fits(self, text: str, comment: str) -> bool:
        """Whether a statement is short enough for its line."""
        return self.indent + len(text) + (len(comment) + 4 if comment else 0) <= LONGEST

    def statement(self, node: Node) -> None:
        """Write a statement; expressions inside it that make it too long get their own."""
        parts = self.parts(node)
        name = "" if parts else self.finals.get(node) or node.name or node.hint or "t10"
        while True:
            if node.kind is CALL and node.f is ops.check:
                error = OUT_OF_RANGE.get(node.place.section, "a value is out of range: a label, or a probability")
                with self.inside(node):
                    text = f'if not np.all({self.text(node.args[0]).text}):\n        raise ValueError("{error}")'
                comment = ""
            else:
                target = ", ".join(parts.values()) if parts else name
                text, comment = f"{target} = {self.expression(node).text}", shape_text(node) * self.shapes
            inner, line = self.longest_inside(node), text.partition("\n")[0]
            if self.fits(line, comment) or inner is None:
                break
            if self.fits(line, ""):
                comment = ""
                break
            self.statement(inner)
        if name and not text.startswith("if not"):
            name = self.finals.get(node) or self.called(node)
            text = f"{name} = {text.partition(' = ')[2]}"
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
        if not count or not users or whole or node in self.outputs:
            return {}
        found = {user.static[0]: user for user in users}
        return {found.get(i, i): self.called(found[i]) if i in found else "_" for i in range(count)}

    def longest_inside(self, node: Node) -> Node | None:
        """The longest expression inside a statement that can have its own."""
        total = self.mean_total(node)
        inner = [
            arg
            for arg in (node.args if total is None else total.args)
            if arg not in self.texts and arg.kind not in (INPUT, CONST, PART) and arg not in self.flush_steps
        ]
        found = max(inner, key=lambda arg: len(self.text(arg).text), default=None)
        if found is None and inner == [] and any(arg in self.flush_steps for arg in node.args):
            return self.longest_inside(node.args[0])
        return found if found is not None and len(self.text(found).text) > 12 else None


def structured(part: Any, printer: Printer) -> Any:
    """A structure of results as code; a dict that is one variable is that variable."""
    if isinstance(part, dict):
        flat = tree.flatten(part)
        known = next((name for name, nodes in printer.trees if flat and flat == nodes), None)
        return Quoted(known) if known else {name: structured(inner, printer) for name, inner in part.items()}
    if isinstance(part, tuple):
        return tuple(structured(inner, printer) for inner in part)
    return Quoted(printer.text(part).text) if isinstance(part, Node) else part


def read(node: Node) -> tuple[Node, ...]:
    """The values that a statement reads: a check prints its condition alone."""
    return node.args[:1] if node.kind is CALL and node.f is ops.check else node.args


def called_functions(graph: NodeGraph) -> set[str]:
    """The names of the called functions, which variables must not have."""
    functions = [node.f.function if isinstance(node.f, Keywords) else node.f for node in graph.nodes]
    names = {name for f in functions if (name := getattr(f, "__name__", "")) not in ("", "<lambda>")}
    return names | names_of(names)


def draws(text: str) -> bool:
    """Whether a statement draws from the generator, or calls a function that does."""
    return re.search(r"\brng\.\w+\(|\brng\)", text) is not None


def results_of(f: Any) -> int:
    """The number of results of a function whose annotation says that it returns a tuple; else 0."""
    f = inspect.unwrap(f) if callable(f) else f
    said = getattr(f, "__annotations__", {}).get("return", "")
    kind = ast.parse(said, mode="eval").body if isinstance(said, str) and said else None
    if (
        not isinstance(kind, ast.Subscript)
        or ast.unparse(kind.value) != "tuple"
        or not isinstance(kind.slice, ast.Tuple)
    ):
        return 0
    inside = kind.slice.elts
    return 0 if any(isinstance(each, ast.Constant) and each.value is ... for each in inside) else len(inside)


def shape_text(node: Node) -> str:
    """The shape comment of a statement."""
    if not node.is_array:
        return ""
    return str(node.shape) if node.shape else "a number"
