"""The source of the library's functions and classes for printed programs: ASCII, without annotations."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
import unicodedata
from collections.abc import Iterator
from typing import Any

LETTERS = {"Σ": "sum ", "ᵀ": ".T", "√": "sqrt ", "η": "rate", "∂": "d", "·": "*", "²": "**2", "½": "0.5 ", "∞": "inf"}
LETTERS |= {"←": "=", "≤": "<=", "≥": ">=", "μ": "mean", "σ": "sigma", "Φ": "Phi", "π": "pi", "≈": "~=", "x̂": "x_hat"}
LETTERS |= {"m̂": "m_hat", "v̂": "v_hat", "ŵ": "w_hat"}
LETTERS |= {"δ": "delta", "⁻": "-", "¹": "1", "₁": "1", "Π": "prod ", "−": "-", "‖": "|", "…": "...", "û": "u"}


def ascii_text(text: str) -> str:
    """The text in plain ASCII, with mathematical letters spelt out."""
    text = text.replace("Σ_", "sum_").replace("√(", "sqrt(")
    for letter, plain in LETTERS.items():
        text = text.replace(letter, plain)
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()


def library_text(*parts: Any) -> str:
    """The source of functions and classes of the library, in ASCII, without annotations and decorators."""
    return "\n\n\n".join(map(_plain, parts))


def _plain(part: Any) -> str:
    """The source of a function or a class, without annotations and decorators."""
    text = textwrap.dedent(inspect.getsource(inspect.unwrap(part)))
    (definition,) = ast.parse(text).body
    assert isinstance(definition, ast.FunctionDef | ast.ClassDef)
    lines = [line.encode() for line in text.splitlines()]  # the parser counts columns in bytes
    for line, column, last, stop in sorted(_annotations(definition, lines), reverse=True):
        lines[line - 1 : last] = [lines[line - 1][:column] + lines[last - 1][stop:]]
    kept = b"\n".join(lines[definition.lineno - 1 :]).decode()
    kept = re.sub(r"  # (type: ignore|noqa|fmt:).*", "", kept)
    return ascii_text(re.sub(r"\A(def \w+\()\n +([^\n]*?),?\n\):", r"\1\2):", kept))  # the signature on one line


def _annotations(definition: ast.AST, lines: list[bytes]) -> Iterator[tuple[int, int, int, int]]:
    """The places of annotations: the line and the column where each begins, and those where it ends."""
    for part in ast.walk(definition):
        if isinstance(part, ast.arg) and part.annotation is not None:
            yield (part.lineno, part.col_offset + len(part.arg.encode()), *_end(part.annotation))
        elif isinstance(part, ast.FunctionDef) and part.returns is not None:
            line, column = part.returns.lineno, part.returns.col_offset
            yield (line, lines[line - 1].rindex(b"->", 0, column) - 1, *_end(part.returns))
        elif isinstance(part, ast.AnnAssign):
            yield (part.lineno, _end(part.target)[1], *_end(part.annotation))


def _end(node: ast.expr) -> tuple[int, int]:
    assert node.end_lineno is not None
    assert node.end_col_offset is not None
    return node.end_lineno, node.end_col_offset
