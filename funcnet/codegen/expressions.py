"""The values of a recorded graph as expressions."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from funcnet import ops
from funcnet.codegen.constants import alike, entries, in_memory
from funcnet.codegen.defined import TAUGHT, Defined, Quoted, lookup
from funcnet.codegen.functions import helper_name, key_text, need
from funcnet.codegen.names import quoted
from funcnet.codegen.numerals import fields_of, integral, number_text, power_of_two
from funcnet.codegen.schedules import schedule_text
from funcnet.codegen.short.call import simple_call
from funcnet.compiler.graph import Node, NodeGraph, fill, plain_text
from funcnet.compiler.kind import ATOM, COMPARE, PLUS, TIMES, UNARY, Text
from funcnet.compiler.kinds import (
    CALL,
    CONST,
    INPUT,
    NUMBER,
    OPERATORS,
    REDUCE,
    UFUNC,
    WHERE,
    dtype_text,
    filled_text,
    infix,
)
from funcnet.compiler.numpy_table import Keywords
from funcnet.compiler.tracer import Float
from funcnet.key import Key
from funcnet.optim.schedules import Schedule
from funcnet.optim.transforms.clip import clip_factor

INLINED = 44
"""The longest expression that is written inside another"""
WHOLE = {np.add, np.subtract, np.multiply, np.divide, np.maximum, np.minimum, np.where, *OPERATORS} - {
    operator.pow, operator.floordiv, operator.mod
}  # fmt: skip
"""Functions of floats that take 2 for 2.0"""


class Expressions:
    """The expressions of one graph; ``texts`` has those of values that are variables already."""

    def __init__(
        self, graph: NodeGraph, helpers: dict[str, None], defined: Defined | None, terms: dict[int, str]
    ) -> None:
        self.graph, self.helpers, self.defined, self.terms = graph, helpers, defined, terms
        self.texts: dict[Node, Text] = {}
        self.users: dict[Node, list[Node]] = {}
        for node in graph.nodes:
            for arg in node.args:
                self.users.setdefault(arg, []).append(node)
        self.opened = ""  # the layer whose params are in the variable w
        self.within: Node | None = None  # the call whose arguments are being written

    def by_layer(self, node: Node) -> bool:
        """Whether an input is read from the dict of its layer."""
        return self.defined is not None and str(node.static).startswith(("params/", "state/"))

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
        return Text(f"w[{quoted(name)}]" if path == self.opened else lookup(node.static), ATOM)

    def constant(self, node: Node) -> Text:
        """A constant as code."""
        value = node.static
        if not isinstance(value, np.ndarray):
            return self.numeral(value)
        kind = dtype_text(value.dtype)
        if value.shape == ():
            return Text(f"{kind}({entries(value)})", ATOM)
        value, back = in_memory(value)
        return Text(f"{self.array(value, kind).within(ATOM)}{back}", ATOM) if back else self.array(value, kind)

    def array(self, value: Any, kind: str) -> Text:
        """A constant array in C order as code."""
        if value.dtype == np.int64 and np.array_equal(value.reshape(-1), np.arange(value.size)):
            return Text(f"np.arange({value.size})" + f".reshape{value.shape}" * (value.ndim > 1), ATOM)
        if value.size > 1 and alike(value):
            return Text(filled_text(value.shape, value.flat[0].item(), value.dtype), ATOM)
        text = f"np.array({entries(value)}, {kind})"
        if self.defined is None or len(text) <= INLINED:
            return Text(text, ATOM)
        return self.defined.table(value, self.within)

    def numeral(self, value: Any) -> Text:
        """A number as people write it inside the call that uses it."""
        within = self.within
        if self.defined is None:
            text = plain_text(value)
            return Text(text, UNARY if text.startswith("-") else PLUS if " " in text else ATOM)
        if within is None:
            return number_text(value)
        plain = integral(value)
        if plain is not None and self.takes_whole(within):
            return Text(plain, UNARY if plain.startswith("-") else ATOM)
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
                found = self.drawn(node) or self.mean(node) or self.quotient(node)
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
            return Text(f"rng.random({shape}) >= {rate}", COMPARE)
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

    def mean(self, node: Node) -> Text | None:
        """``np.mean(x)`` for ``np.sum(x) / n``, which is how NumPy computes it."""
        total = self.mean_total(node)
        return None if total is None else Text(f"np.mean{self.expression(total).text.removeprefix('np.sum')}", ATOM)

    def mean_total(self, node: Node) -> Node | None:
        """The sum of a mean; None for anything else."""
        if self.defined is None or node.kind is not UFUNC or node.f is not np.divide:
            return None
        total, count = node.args
        if total.kind is not REDUCE or total in self.texts or count.kind is not CONST:
            return None
        values = total.args[0]
        same = total.f is np.add and total.static[2] is None and total.dtype == values.dtype == node.dtype
        if not same or type(count.static) is not int or node.dtype not in (np.float32, np.float64):
            return None
        whole = count.static * total.size == values.size and len(self.users.get(total, ())) == 1
        return total if whole else None

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
        if f is clip_factor and all(x.text.replace(".", "").isalnum() for x in plain):
            limit, norm = (x.text for x in plain)
            return Text(f"{limit} / {norm} if {norm} > {limit} else 1.0", 0)
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
            simple = simple_call(node, args, self.defined, self.users)
            if simple is not None:
                return Text(simple, ATOM)
        if node.f is ops.PRIMITIVES["take"].function:
            return Text(f"np.take({args[0]!r}, {args[1]!r}, axis=0)", ATOM)
        if isinstance(node.f, Keywords):
            texts = [*map(repr, args[0]), *(f"{name}={arg!r}" for name, arg in args[1].items())]
            return Text(f"{self.function(node.f.function)}({', '.join(texts)})", ATOM)
        kinds: dict[type, Any] = {np.dtype: dtype_text, Key: key_text, str: quoted}
        if node.f is Key.fold and isinstance(args[0], Quoted) and args[0].text.startswith("fold("):
            args = (Quoted(args[0].text[5:-1]), *args[1:])
        texts = [next((f for kind, f in kinds.items() if isinstance(arg, kind)), plain_text)(arg) for arg in args]
        if self.defined is not None and self.defined.teach and node.f in TAUGHT:
            return Text(TAUGHT[node.f](*texts[1:]), ATOM)
        if self.defined is not None:
            texts = self.defined.in_order(texts)
        return Text(f"{self.function(node.f)}({', '.join(texts)})", ATOM)
