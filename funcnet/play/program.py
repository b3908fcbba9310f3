"""The printed program of a step, and which of its lines belong to which layer."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import NamedTuple

from funcnet import tree
from funcnet.codegen.source import source
from funcnet.experiments.experiment import Experiment
from funcnet.layers.base import Params
from funcnet.optim.base import Optimizer

SECTIONS = ("forward", "loss", "backward", "update")


class Line(NamedTuple):
    """A line of the program, its section and the layer under whose comment it is; empty where there is none."""

    text: str
    section: str = ""
    path: str = ""
    leaf: str = ""
    """The params whose gradient or new value it assigns"""


class Program(NamedTuple):
    """The lines of the step, and the equations of each layer as ``{section: {path: text}}``."""

    lines: list[Line]
    equations: dict[str, dict[str, str]]


def program(
    experiment: Experiment, optimizer: Optimizer, rows: int, params: Params, in_shape: tuple[int, ...]
) -> Program:
    """The program that ``funcnet source`` prints for an experiment."""
    text = source(experiment.model, in_shape, rows, experiment.loss, optimizer, dtype=experiment.dtype)
    return read(text, list(experiment.model.children), list(tree.flatten(params)))


def read(text: str, paths: Collection[str], leaves: Collection[str]) -> Program:
    """The functions of the step in a printed program, by its comments.

    A comment that begins with a path starts the lines of that layer, one that is the name of a section, alone between
    dashes, starts the section, and any other with an equation, before those of a layer, is the section's equation,
    under the path "". Functions after that of the gradients are the update, with the equation in a docstring. What is
    not found is left empty.
    """
    apart = "\ndef gradients(" in text
    lines: list[Line] = []
    equations: dict[str, dict[str, str]] = {}
    section = path = ""
    for line in _functions(text).splitlines():
        code, comment = line.strip(), re.match(r"\s*#\s*(.*?)\s*$", line)
        if comment is None:
            if code.startswith("def "):
                section, path = ("update" if apart and section else "before"), ""
            elif code.startswith("return") and not (apart and section == "update"):
                section, path = "after", ""
            elif apart and section == "update" and code.startswith('"""') and " = " in code:
                equations.setdefault(section, {}).setdefault("", code.strip('".'))
            lines.append(Line(line, section if section in SECTIONS else "", path, _assigned(code, section, leaves)))
            continue
        named = re.fullmatch(r"\W*(\w+)\W*", comment[1])
        about = re.match(r"([A-Za-z_][\w/]*)\b[^:]*(?::\s*(.*))?", comment[1])
        if named and named[1] in SECTIONS:
            section, path = named[1], ""
        elif about and about[1] in paths:
            path = about[1]
            if about[2]:
                equations.setdefault(section, {})[path] = about[2]
        elif not path and section in SECTIONS and " = " in comment[1]:
            equations.setdefault(section, {}).setdefault("", comment[1])
        lines.append(Line(line, section if section in SECTIONS else "", path))
    return Program(lines, equations)


def _functions(text: str) -> str:
    """The part of a program that is a step: from its first function, without helpers and demonstration."""
    begins = [found for name in ("gradients", "step") if (found := text.find(f"\ndef {name}(")) >= 0]
    begin = min(begins, default=-1) + 1
    ends = [found for mark in ("\n# ----- helpers", "\nif __name__") if (found := text.find(mark, begin)) >= 0]
    return text[begin : min(ends, default=len(text))].rstrip()


def _assigned(code: str, section: str, leaves: Collection[str]) -> str:
    """The params whose gradient, or whose update, a line assigns: ``d_dense_0_weight = …``."""
    target = code.partition(" = ")[0]
    for leaf in leaves:
        name = re.escape(leaf.replace("/", "_"))
        if section == "backward" and re.fullmatch(rf"d_?{name}", target):
            return leaf
        if section == "update" and re.search(rf"(?<![A-Za-z0-9]){name}\b", code):
            return leaf
    return ""
