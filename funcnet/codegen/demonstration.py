"""The end of a printed file: values to run it on, the spec's own where they are few, and a loop."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcnet import tree
from funcnet.codegen.beginnings import Beginning, written
from funcnet.codegen.defined import Defined, Quoted
from funcnet.codegen.lines import margins, tree_text
from funcnet.codegen.program import Program
from funcnet.codegen.targets import drawn_targets
from funcnet.compiler.kinds import dtype_text

FEW = 40
"""The most numbers of a value that are written down"""
KEY = 'b"0123456789abcdefghijklmn"'


class Demonstration:
    """The statements that run the file as a script."""

    def __init__(
        self,
        program: Program,
        title: str,
        given: list[str],
        back: list[str],
        defined: Defined,
        start: dict[str, Any],
    ) -> None:
        """``asked`` are the arguments of the function that predicts, if the file has one."""
        self.asked: list[str] = []
        self.program, self.title, self.given, self.back, self.defined = program, title, given, back, defined
        self.start = {
            name: value for name, value in start.items() if sum(leaf.size for leaf in tree.leaves(value)) <= FEW
        }

    def text(self) -> str:
        """The script."""
        every = dict.fromkeys((*self.given, *self.asked))
        values = [line for name in every if name not in ("rng", "step") for line in self.value(name)]
        if "rng" in self.given or any("rng." in text for text in values):
            values.insert(0, "rng = np.random.default_rng(0)")
        loop = self.title == "step"
        if not loop and "step" in self.given:
            values.append("step = 0")
        call = f"{', '.join(self.back)} = {self.title}({', '.join(self.given)})"
        if not loop:
            values += [call, f"print({self.back[0]})"]
        predicted = f"predict({', '.join(self.asked)})"
        if self.predicts and not loop:
            values.append(f"print({predicted})")
        lines = margins([(line, "") for line in values])
        if loop:
            args = ["number" if name == "step" else name for name in self.given]
            lines += ["    for number in range(20):"]
            said = "number, loss, prediction" if self.predicts else "number, loss"
            begin = [(f"prediction = {predicted}", "")] if self.predicts else []
            one = (f"{', '.join(self.back)} = step({', '.join(args)})", "")
            lines += margins([*begin, one, (f"print({said})", "")], 8)
        return "\n".join(['if __name__ == "__main__":', *lines])

    @property
    def predicts(self) -> bool:
        """Whether the file has a function that predicts: for a network with its own few params."""
        return {"params", "x", "y"} <= self.start.keys()

    def value(self, name: str) -> list[str]:
        """The statement that gives an argument a value."""
        value = self.program.args[name]
        if name == "opt_state":
            return Beginning(self.program, self.defined).lines()
        if name == "key":
            return [f"key = {KEY}"]
        if name in self.start:
            return [f"{name} = {tree_text(_map(lambda _, x: Quoted(written(x)), self.start[name]))}"]
        if name == "params":
            return self.params(_map(lambda path, x: Quoted(_weights(path, x)), value))
        if name == "state":
            return [f"state = {tree_text(_map(lambda path, x: Quoted(_running(path, x)), value))}"]
        drawn = drawn_targets(self.program, _drawn) if name == "y" else tree.map(_drawn, value)
        return [f"{name} = {tree_text(_map(lambda _, text: Quoted(text), drawn))}"]

    def params(self, value: Any) -> list[str]:
        """The statements that give the params, those of equal parts from one function."""
        kind = dtype_text(self.program.dtype)
        lines, whole = [], tree_text(value)
        if "initial(" in whole:
            lines.append(f"initial = lambda *n: {_drawn_as('n', kind)} / np.prod(n[:-1]).item() ** 0.5")
        found: dict[str, list[str]] = {}
        for name, part in value.items():
            found.setdefault(tree_text(part), []).append(name)
        for text, names in found.items():
            if len(names) > 1 and text.count("\n") > 3:
                maker = f"begin_{names[0]}"
                lines.append(f"{maker} = lambda: {text}")
                value = {name: Quoted(f"{maker}()") if name in names else part for name, part in value.items()}
        return [*lines, f"params = {tree_text(value)}"]


def _drawn(x: Any) -> str:
    return _normal(x) if x.dtype.kind == "f" else f"rng.integers(2, size={x.shape}){' > 0' * (x.dtype.kind == 'b')}"


def _normal(x: Any) -> str:
    return _drawn_as(str(x.shape), dtype_text(x.dtype))


def _drawn_as(shape: str, kind: str) -> str:
    """Normal draws of a shape and dtype."""
    if kind in ("np.float64", "np.float32"):
        return f"rng.standard_normal({shape}{', np.float32' * (kind == 'np.float32')})"
    return f"rng.standard_normal({shape}).astype({kind})"


def _running(path: str, x: Any) -> str:
    """The statistics of a layer before training."""
    return f"np.{'ones' if path.endswith('running_var') else 'zeros'}({x.shape}, {dtype_text(x.dtype)})"


def _weights(path: str, x: Any) -> str:
    """Starting values of a param."""
    if x.ndim >= 2:
        return f"initial({', '.join(map(str, x.shape))})"
    kind = "" if x.dtype == np.float64 else f", {dtype_text(x.dtype)}"
    shape = x.shape[0] if x.ndim == 1 else x.shape
    return f"np.{'ones' if path.endswith('scale') else 'zeros'}({shape}{kind})"


def _map(f: Any, value: Any, path: str = "") -> Any:
    if isinstance(value, dict):
        return {name: _map(f, inner, f"{path}/{name}") for name, inner in value.items()}
    return f(path, value) if not isinstance(value, tuple) else tuple(_map(f, inner, path) for inner in value)
