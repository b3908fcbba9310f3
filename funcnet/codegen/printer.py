"""A recorded graph as readable statements: names, expressions, comments, helpers."""

from __future__ import annotations

import keyword
import operator
import pprint
import re
from typing import Any

import numpy as np

from funcnet import ops
from funcnet.codegen.library_source import ascii_text, library_text
from funcnet.codegen.printed_helpers import HELPERS
from funcnet.codegen.schedules import schedule_text
from funcnet.compiler.fallback import Opaque
from funcnet.compiler.graph import Node, NodeGraph, fill, leaves, plain_text
from funcnet.compiler.kind import ATOM, PLUS, UNARY, Text
from funcnet.compiler.kinds import (
    CALL,
    CONST,
    INPUT,
    NUMBER,
    PROBE,
    SETTLE,
    UFUNC,
    VIEW,
    dtype_text,
)
from funcnet.compiler.numpy_table import Keywords
from funcnet.compiler.tracer import Float
from funcnet.errors import FuncnetError
from funcnet.key import Key
from funcnet.layers.base import Layer
from funcnet.optim.schedules import Schedule, half_cosine, in_cycle, polynomial, restarting
from funcnet.optim.transforms.average import due, even, unbiased
from funcnet.optim.transforms.clip import clip_factor
from funcnet.optim.transforms.decay import deviation

WIDTH = 88
"""The rightmost column of the shape comments"""
REPEATED = 44
"""The longest view that is repeated at every use instead of named"""
OUT_OF_RANGE = {"forward": "an index is out of range: it names no row of the table"}
"""The errors of failed checks, by section"""


def equations(layer: Layer) -> tuple[str, str]:
    """The equations of the forward and backward pass in a layer's docstring."""
    text = ascii_text(type(layer).__doc__ or "")
    forward = next(iter(re.findall(r"``([^`]*=[^`]*)``", text)), "")
    backward = re.search(r"VJP +((?:.|\n)*?)(?:\n\s*\n|\n *[A-Z][a-z]+ {2,}|\n *\"|\Z)", text)
    parts = re.split(r",\s+from |;|\n", backward.group(1)) if backward else [""]
    return " ".join(forward.split()), " ".join(parts[0].split()).rstrip(",.")


def called_functions(graph: NodeGraph) -> set[str]:
    """The names of the called functions, which variables must not have."""
    functions = [node.f.function if isinstance(node.f, Keywords) else node.f for node in graph.nodes]
    return {"flush", "settle", "float", "int", "bool", *(getattr(f, "__name__", "") for f in functions)}


class Printer:
    """Writes one graph as the body of a function."""

    def __init__(self, graph: NodeGraph, names: dict[str, str], finals: dict[Node, str]) -> None:
        self.graph, self.finals = graph, finals
        self.helpers: dict[str, None] = {}
        self.lines: list[tuple[str, str]] = []
        self.texts: dict[Node, Text] = {}
        self.taken: set[str] = {"np", *keyword.kwlist, *names.values(), *finals.values(), *called_functions(graph)}
        self.counts: dict[str, int] = {}
        self.uses: dict[Node, int] = {}
        for used in [*(arg for node in graph.nodes for arg in node.args), *leaves(graph.outputs)]:
            self.uses[used] = self.uses.get(used, 0) + 1
        for node in graph.inputs:
            self.texts[node] = Text(names[node.static], ATOM)
        self.flush_steps = {node.args[0] for node in graph.nodes if self.flushed(node) is not None}
        self.pending = [node for node in graph.nodes if node.kind not in (INPUT, CONST)]

    # names

    def unique(self, wanted: str) -> str:
        """An unused name."""
        name = re.sub(r"\W", "_", wanted)
        n = 2
        while name in self.taken:
            name = f"{re.sub(chr(92) + 'W', '_', wanted)}_{n}"
            n += 1
        self.taken.add(name)
        return name

    def called(self, node: Node) -> str:
        """The variable name of a value: from its path, else a letter for its section and a number."""
        if node.name:
            return self.unique(node.name)
        letter = {"backward": "g", "update": "u"}.get(node.place.section, "t")
        if not node.is_array:
            letter = "key" if node.dtype is Key else "s"
        self.counts[letter] = self.counts.get(letter, 0) + 1
        return self.unique(f"{letter}{self.counts[letter]}")

    # expressions

    def text(self, node: Node) -> Text:
        """The expression for a value."""
        if node not in self.texts:
            if node.kind is CONST:
                self.texts[node] = self.constant(node)
            else:
                return self.expression(node)
        return self.texts[node]

    def constant(self, node: Node) -> Text:
        """A constant as code."""
        value = node.static
        if not isinstance(value, np.ndarray):
            text = plain_text(value)
            return Text(text, UNARY if text.startswith("-") else PLUS if " " in text else ATOM)
        kind = f"np.{value.dtype.name}" if value.dtype != np.bool_ else "bool"
        if value.shape == ():
            return Text(f"{kind}({value.item()!r})", ATOM)
        if value.ndim == 1 and value.dtype == np.int64 and np.array_equal(value, np.arange(len(value))):
            return Text(f"np.arange({len(value)})", ATOM)
        if value.size > 1 and np.all(value == value.flat[0]):
            return Text(f"np.full({value.shape}, {plain_text(value.flat[0].item())}, {kind})", ATOM)
        return Text(f"np.array({value.tolist()!r}, {kind})", ATOM)

    def need(self, name: str) -> str:
        """The name of a helper, which is added to the file."""
        return _need(name, self.helpers)

    def flushed(self, node: Node) -> Node | None:
        """The argument of ``ops.flush`` if the node is its final subtraction, else None."""
        if node.kind is UFUNC and node.f is np.subtract and node.args[0].kind is UFUNC and node.args[0].f is np.add:
            inner, shift = node.args
            if shift.kind is CONST and inner.args[1] is shift and shift.static == ops.flush_shift(node.dtype):
                return inner.args[0]
        return None

    def expression(self, node: Node) -> Text:
        """The expression that computes a node."""
        inner = self.flushed(node)
        if inner is not None:
            return Text(f"{self.need('flush')}({self.text(inner).text})", ATOM)
        return node.kind.expression(node, self)

    def number(self, f: Any, args: tuple[Node, ...]) -> Text:
        """A function of Python numbers."""
        plain = [self.text(arg) for arg in args]
        f = f.function if isinstance(f, Float) else f
        if isinstance(f, Schedule):
            text, needs = schedule_text(f, plain[0].within(ATOM))
            for helper in needs:
                self.need(helper)
            return Text(text, 0 if " if " in text else ATOM)
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
        if getattr(node.f, "__name__", "") == "take" and node.f is not np.take:
            return Text(f"np.take({args[0]!r}, {args[1]!r}, axis=0)", ATOM)
        if isinstance(node.f, Keywords):
            texts = [*map(repr, args[0]), *(f"{name}={arg!r}" for name, arg in args[1].items())]
            return Text(f"{self.function(node.f.function)}({', '.join(texts)})", ATOM)
        kinds = {np.dtype: dtype_text, Key: key_text}
        texts = [next((f for kind, f in kinds.items() if isinstance(arg, kind)), plain_text)(arg) for arg in args]
        return Text(f"{self.function(node.f)}({', '.join(texts)})", ATOM)

    # statements

    def inlined(self, node: Node) -> bool:
        """Whether the expression is written inside the one that uses it."""
        if node.effect or node in self.finals or node.name or node.dtype is object:
            return False
        if node.kind is VIEW:
            often = self.uses.get(node, 0) > 1
            return not often or (node.static[0] != "broadcast" and len(self.expression(node).text) <= REPEATED)
        if node.kind is NUMBER and node.f is ops.number and node.args[0].kind is INPUT:
            return False
        if self.uses.get(node, 0) != 1 or node.kind in (SETTLE, CALL):
            return False
        if node in self.flush_steps:
            return True
        return len(self.expression(node).text) <= 44

    def run(self) -> None:
        """Write all statements, in sections and by layer."""
        here: tuple[str, str] = ("", "")
        for node in self.pending:
            if node.kind is PROBE or (not self.uses.get(node) and not node.effect):
                continue
            if self.inlined(node):
                self.texts[node] = self.expression(node)
                continue
            place = node.place
            if (place.section, place.path) != here and place.section:
                if place.section != here[0]:
                    self.lines += [("", ""), (f"# ----- {place.section} " + "-" * (70 - len(place.section)), "")]
                if place.layer is not None and not place.layer.children:
                    self.lines.append((self.comment(node), ""))
                here = (place.section, place.path)
            if node.kind is CALL and node.f is ops.check:
                ok = self.text(node.args[0])
                error = OUT_OF_RANGE.get(place.section, "a value is out of range: a label, or a probability")
                self.lines.append((f'if not np.all({ok.text}):\n        raise ValueError("{error}")', ""))
                continue
            expression = self.expression(node).text
            name = self.finals.get(node) or self.called(node)
            self.texts[node] = Text(name, ATOM)
            self.lines.append((f"{name} = {expression}", shape_text(node)))

    def comment(self, node: Node) -> str:
        forward, backward = equations(node.place.layer)
        layer, path = type(node.place.layer).__name__, node.place.path or "the layer"
        equation = forward if node.place.section == "forward" else backward
        return f"# {path} ({layer}){': ' + equation if equation else ''}"


class Quoted:
    """An expression inside a printed structure; its repr is its text."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def key_text(key: Key) -> str:
    """A known key as code: its digest."""
    return repr(key.digest)


def shape_text(node: Node) -> str:
    """The shape comment of a statement."""
    if not node.is_array:
        return ""
    return str(node.shape) if node.shape else "a number"


def helper_text(name: str) -> str:
    """The text of a helper."""
    if name in HELPERS:
        return HELPERS[name][1].strip()
    if name in ops.PRIMITIVES:
        return library_text(ops.PRIMITIVES[name].function)
    return library_text(PLAIN[name][0]) if name in PLAIN else _NEEDED[name]


_NEEDED: dict[str, str] = {}  # the texts of constants and functions that primitives need, by name


def _need(name: str, helpers: dict[str, None]) -> str:
    for other in HELPERS[name][0] if name in HELPERS else PLAIN[name][1] if name in PLAIN else ():
        _need(other, helpers)
    if name not in HELPERS and name in ops.PRIMITIVES:
        function, needs = ops.PRIMITIVES[name][:2]
        for needed in needs:
            if isinstance(needed, str):
                value = function.__globals__[needed]
                _NEEDED[needed] = f"{needed} = {pprint.pformat(value, width=100, compact=True)}"
                helpers[needed] = None
            else:
                inner = getattr(needed, "__wrapped__", needed)
                _NEEDED.setdefault(inner.__name__, library_text(inner))
                _need(inner.__name__, helpers)
    helpers[name] = None
    return name


PLAIN: dict[str, tuple[Any, tuple[str, ...]]] = {
    "half_cosine": (half_cosine, ()),
    "polynomial": (polynomial, ()),
    "in_cycle": (in_cycle, ()),
    "restarting": (restarting, ("half_cosine", "in_cycle")),
    "clip_factor": (clip_factor, ()),
    "deviation": (deviation, ()),
    "unbiased": (unbiased, ()),
    "even": (even, ()),
    "due": (due, ()),
}
"""Functions of numbers whose source is printed unchanged, each with the helpers that it needs"""

NAMED: dict[Any, str] = {
    **{function: name for name, (function, _) in PLAIN.items()},
    Key.fold: "fold",
    Key.bits: "bits",
    Key.uniform: "uniform",
    Key.normal: "normal",
    ops.check: "check",
}
"""The printed names of the library's functions"""


def helper_name(f: Any) -> str:
    """The name of a function in a printed file.

    Raises   FuncnetError for a function that cannot be printed
    """
    name = getattr(f, "__name__", type(f).__name__)
    if isinstance(f, np.ufunc) or getattr(np, name, None) is f:
        return f"np.{name}"
    if f in NAMED or name == "reciprocal" or (name in ops.PRIMITIVES and ops.PRIMITIVES[name].function is f):
        return NAMED.get(f, name)
    owner = getattr(f.function if isinstance(f, Opaque) else f, "__self__", None)
    if isinstance(owner, Layer):
        raise FuncnetError(
            f"cannot print {type(owner).__name__}: it cannot be recorded; "
            "write it with NumPy functions, without branches on the values of arrays"
        )
    raise FuncnetError(f"cannot print a call of {name}: only NumPy's functions and the library's can be printed")


def constant_text(value: Any, helpers: dict[str, None]) -> str:
    """A constant of a planned program as code."""
    if isinstance(value, np.ndarray):
        dtype = dtype_text(value.dtype)
        if value.size and np.all(value == value.flat[0]):
            return f"np.full({value.shape}, {plain_text(value.flat[0].item())}, {dtype})"
        return f"np.array({value.tolist()!r}, {dtype})"
    if isinstance(value, np.dtype):
        return f"np.dtype({value.name!r})"
    if isinstance(value, Key):
        return key_text(value)
    if isinstance(value, Schedule):
        text, needs = schedule_text(value, "step")
        for helper in needs:
            _need(helper, helpers)
        return f"lambda step: {text}"
    if isinstance(value, tuple | range | str | int | float | None):
        return plain_text(value)
    if isinstance(value, Keywords):
        return f"lambda args, keywords: {constant_text(value.function, helpers)}(*args, **keywords)"
    if getattr(value, "__name__", "") == "take" and value is not np.take:
        return "lambda table, indices: np.take(table, indices, axis=0)"
    if getattr(value, "__qualname__", "").endswith("<locals>.error"):
        return "None"  # the printed check has its own message
    name = helper_name(value)
    return name if name.startswith("np.") else _need(name, helpers)
