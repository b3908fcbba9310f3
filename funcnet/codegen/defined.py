"""What a printed file defines beside its main functions: helpers, tables, and the draws of a program for learners."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcnet.codegen.functions import need
from funcnet.codegen.names import quoted
from funcnet.codegen.tables import table
from funcnet.compiler.graph import Node
from funcnet.compiler.kind import ATOM, UNARY, Text
from funcnet.compiler.structure import parts
from funcnet.errors import FuncnetError
from funcnet.key import Key

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


class Quoted:
    """An expression inside a printed structure; its repr is its text."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def lookup(path: str) -> str:
    """The code that reads a leaf of nested dicts: ``params["stem"]["weight"]``."""
    root, *rest = path.split("/")
    return root + "".join(f"[{quoted(step)}]" for step in rest)


def places(name: str, value: Any) -> dict[str, str]:
    """The code that reads each leaf of an argument, by its path: ``x[0]`` for ``x/0`` in a tuple.

    Raises   FuncnetError for two leaves of one path
    """
    found: dict[str, str] = {}

    def walk(path: str, code: str, part: Any) -> None:
        inner = parts(part)
        if inner is None and found.setdefault(path, code) != code:
            raise FuncnetError(f"cannot print {name}: two of its arrays have the path {path!r}; rename one")
        for step, each in inner or ():
            walk(f"{path}/{step}", f"{code}[{quoted(step) if isinstance(step, str) else step}]", each)

    walk(name, name, value)
    return found
