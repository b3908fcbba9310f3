"""The state that an optimizer begins with, as code for params that the file has made."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from funcnet import tree
from funcnet.codegen.constants import alike, entries
from funcnet.codegen.defined import Defined, Quoted, lookup
from funcnet.codegen.lines import margins, tree_text
from funcnet.codegen.printer import Printer, structured
from funcnet.codegen.program import Program, recorded
from funcnet.compiler.graph import plain_text
from funcnet.compiler.kinds import dtype_text, filled_text
from funcnet.errors import FuncnetError, TraceError

ZEROS = "each_leaf(np.zeros_like, params)"


class Other(Exception):
    """A state that is computed from the params."""


class Beginning:
    """The statements that make the state: params, zeros, other numbers, or what ``init`` computes from the params."""

    def __init__(self, program: Program, defined: Defined) -> None:
        assert program.optimizer is not None
        self.program, self.optimizer, self.defined = program, program.optimizer, defined
        self.params, self.others = self.drawn(0), self.drawn(1)

    def drawn(self, seed: int) -> Any:
        """Params to see what the state is made of."""
        numbers = np.random.default_rng(seed)
        shapes = self.program.args["params"]
        return tree.map(lambda x: np.asarray(numbers.standard_normal(x.shape), x.dtype), shapes)

    def lines(self) -> list[str]:
        """The statements, the last of which gives ``opt_state``."""
        states = self.optimizer.init(self.params), self.optimizer.init(self.others)
        try:
            begun = self.code(*states)
        except Other:
            return self.computed()
        if tree_text(begun).count(ZEROS) < 2:
            return [f"opt_state = {tree_text(begun)}"]
        short = mapped(lambda part: Quoted("zeros") if repr(part) == ZEROS else part, begun)
        return [f"zeros = {ZEROS}", f"opt_state = {tree_text(short)}"]

    def code(self, part: Any, other: Any, path: str = "") -> Any:
        """A part of the state as code; ``other`` is that for other params."""
        if isinstance(part, dict):
            whole = self.whole(part, other)
            if whole is None:
                return {name: self.code(part[name], other[name], f"{path}/{name}") for name in part}
            if whole != "params":
                self.defined.helpers["each_leaf"] = None
            return Quoted(whole)
        part = np.asarray(part)
        if part.tobytes() == np.asarray(other).tobytes():
            return Quoted(_filled(part))
        for at, leaf in tree.flatten(self.params).items():
            if path.endswith(f"/{at}") and copied(part, leaf):
                cast = "" if part.dtype == leaf.dtype else f".astype({dtype_text(part.dtype)})"
                return Quoted(lookup(f"params/{at}") + cast)
        raise Other

    def whole(self, part: dict[str, Any], other: dict[str, Any]) -> str | None:
        """The code of a tree with an array for each param, made by one function; None for any other."""
        flat, flat_other, like = tree.flatten(part), tree.flatten(other), tree.flatten(self.params)
        kinds = {np.asarray(leaf).dtype for leaf in flat.values()}
        if flat.keys() != like.keys() or len(kinds) != 1 or any(np.shape(flat[at]) != like[at].shape for at in like):
            return None
        kind, same = kinds.pop(), all(like[at].dtype == np.asarray(flat[at]).dtype for at in like)
        if all(copied(np.asarray(flat[at]), like[at]) for at in like) and any(leaf.size for leaf in like.values()):
            return "params" if same else f"each_leaf(lambda w: w.astype({dtype_text(kind)}), params)"
        every = [np.asarray(leaf) for leaf in (*flat.values(), *flat_other.values()) if np.size(leaf)]
        numbers = {leaf.flat[0].tobytes() for leaf in every}
        single = len(numbers) == 1 and all(map(alike, every))
        if not single or (len(flat) == 1 and not isinstance(next(iter(part.values())), dict)):
            return None
        number = np.frombuffer(numbers.pop(), kind)[0].item()
        if same:
            return ZEROS if _is_zero(number) else f"each_leaf(lambda w: np.full_like(w, {plain_text(number)}), params)"
        made = f"np.zeros(w.shape, {dtype_text(kind)})"
        if not _is_zero(number):
            made = f"np.full(w.shape, {plain_text(number)}, {dtype_text(kind)})"
        return f"each_leaf(lambda w: {made}, params)"

    def computed(self) -> list[str]:
        """The statements for a state that is computed from the params."""
        try:
            graph = recorded(self.optimizer.init, (self.program.args["params"],), ("params",))
        except TraceError as error:
            name = type(self.optimizer).__name__
            raise FuncnetError(f"cannot print the state that {name} begins with: {error}") from None
        printer = Printer(graph, self.program.places, {}, defined=self.defined, shapes=False)
        printer.run()
        body = [*printer.lines, (f"return {tree_text(structured(graph.outputs, printer))}", "")]
        return ["\n".join(["def begin(params):", *margins(body, 8)]), "opt_state = begin(params)"]


def copied(part: Any, leaf: Any) -> bool:
    """Whether an array of the state is a param, perhaps in another dtype."""
    return part.shape == leaf.shape and part.dtype.kind == "f" and bool(np.array_equal(part, leaf.astype(part.dtype)))


def mapped(f: Any, value: Any) -> Any:
    """Nested dicts with ``f`` of each leaf."""
    return {name: mapped(f, inner) for name, inner in value.items()} if isinstance(value, dict) else f(value)


def _is_zero(number: Any) -> bool:
    return bool(number == 0) and not (isinstance(number, float) and math.copysign(1.0, number) < 0)


def _filled(x: Any) -> str:
    """An array as code."""
    kind = dtype_text(x.dtype)
    if x.shape == ():
        return f"{kind}({plain_text(x.item())})"
    if not x.size:
        return f"np.zeros({x.shape}, {kind})"
    return filled_text(x.shape, x.flat[0].item(), x.dtype) if alike(x) else written(x)


def written(x: Any) -> str:
    """An array with all its numbers."""
    plain = x.dtype in (np.dtype(np.float64), np.dtype(np.int64), np.dtype(np.bool_))
    return f"np.array({entries(x)}{'' if plain else f', {dtype_text(x.dtype)}'})"
