"""Every class with a tag, found in the library's files, whether or not the stubs name it."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

import funcnet
from funcnet.spec.base import Spec

LIBRARY = Path(funcnet.__file__).parent


def registered() -> Iterator[tuple[str, str]]:
    """The module and the name of every class that the library's files register."""
    for path in sorted(LIBRARY.rglob("*.py")):
        module = ".".join(path.relative_to(LIBRARY.parent).with_suffix("").parts)
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            calls = [d.func for d in getattr(node, "decorator_list", []) if isinstance(d, ast.Call)]
            if isinstance(node, ast.ClassDef) and any(isinstance(f, ast.Name) and f.id == "register" for f in calls):
                yield module, node.name


CLASSES: list[type[Spec]] = [getattr(importlib.import_module(module), name) for module, name in registered()]


def file_of(module: str) -> str:
    return module.replace(".", "/") + ".py"
