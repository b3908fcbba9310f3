"""The lines of a printed program: names of variables, structures as code, wrapped calls and aligned comments."""

from __future__ import annotations

import ast
import re
import textwrap
from itertools import pairwise
from typing import Any

from funcnet.codegen.printer import WIDTH

LONGEST = 104
"""Longer calls are broken into lines"""


def variables(paths: list[str]) -> dict[str, str]:
    """Variable names of the inputs: the path for params, with the moment in front for moments, ``count`` for counts."""
    names: dict[str, str] = {}
    for path in paths:
        root, _, rest = path.partition("/")
        words = (rest if root in ("params", "state", "opt_state") and rest else path).split("/")
        if root == "opt_state":
            words = ["count"] if words[-1] == "step" else words[1:] if f"opt_state/{words[0]}/step" in paths else words
        name = wanted = re.sub(r"\W", "_", "_".join(words))
        n = 2
        while name in names.values():
            name, n = f"{wanted}_{n}", n + 1
        names[path] = name
    return names


def lookup(path: str) -> str:
    """The code that reads a leaf of the arguments: ``params["stem"]["weight"]``."""
    root, *rest = path.split("/")
    return root + "".join(
        f"[{int(step)}]" if root in ("x", "y", "dy") and step.isdigit() else f'["{step}"]' for step in rest
    )


def tree_text(value: Any, indent: int = 4, used: int = 20) -> str:
    """A structure as code, with one entry per line where it is too long."""
    if isinstance(value, dict):
        inside = [f'"{name}": {tree_text(inner, indent + 4, len(name) + 4)}' for name, inner in value.items()]
        whole = "{" + ", ".join(inside) + "}"
        if len(whole) + indent + used <= 112 and "\n" not in whole:
            return whole
        margin = " " * (indent + 4)
        return "{\n" + "".join(f"{margin}{entry},\n" for entry in inside) + " " * indent + "}"
    if isinstance(value, tuple):
        return "(" + "".join(f"{tree_text(inner, indent)}, " for inner in value) + ")"
    return repr(value)


def margins(body: list[tuple[str, str]]) -> list[str]:
    """Indented lines with their shape comments aligned."""
    widths = [len(text) for text, shape in body if shape and len(text) <= WIDTH]
    column = max(widths, default=0)
    lines = []
    for text, shape in body:
        if len(text) > LONGEST:
            text = broken(text)
        line = f"    {text.ljust(column) if shape else text}{f'  # {shape}' if shape else ''}"
        lines.append(line.rstrip())
    return lines


def broken(text: str) -> str:
    """A long assignment of a call with its arguments on wrapped lines; any other text unchanged."""
    try:
        statements = ast.parse(text).body
    except SyntaxError:  # part of a statement
        return text
    call = statements[0].value if statements and isinstance(statements[0], ast.Assign) else None
    if not isinstance(call, ast.Call) or not call.args:
        return text
    starts = [*(arg.col_offset for arg in call.args), *(key.col_offset for key in call.keywords), len(text) - 1]
    parts = [text[start:stop].rstrip(", ").replace(" ", "\0") for start, stop in pairwise(starts)]
    inner = textwrap.fill(f"{', '.join(parts)},", 100, break_long_words=False, break_on_hyphens=False)
    made = f"{text[: starts[0]]}\n{textwrap.indent(inner, ' ' * 8)}\n    )".replace("\0", " ")
    return made if ast.unparse(ast.parse(made)) == ast.unparse(statements[0]) else text
