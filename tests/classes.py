"""Every class with a tag, found in the library's files, whether or not the stubs name it."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

import funcnet
from funcnet.lazy import public
from funcnet.spec.base import Spec
from funcnet.spec.kinds import KINDS

LIBRARY = Path(funcnet.__file__).parent
NOT_PUBLIC = {"InitialNpz": "only files have it: in Python the params themselves are given"}


def registered() -> Iterator[tuple[str, str]]:
    """The module and the name of every class that the library's files register."""
    for path in sorted(LIBRARY.rglob("*.py")):
        module = ".".join(path.relative_to(LIBRARY.parent).with_suffix("").parts)
        text = path.read_text(encoding="utf-8")
        for node in ast.parse(text).body if "@register(" in text else ():
            calls = [d.func for d in getattr(node, "decorator_list", []) if isinstance(d, ast.Call)]
            if isinstance(node, ast.ClassDef) and any(isinstance(f, ast.Name) and f.id == "register" for f in calls):
                yield module, node.name


CLASSES: list[type[Spec]] = [getattr(importlib.import_module(module), name) for module, name in registered()]


def file_of(module: str) -> str:
    return module.replace(".", "/") + ".py"


def stub(cls: type[Spec]) -> Iterator[str]:
    """The class is found by its tag, and public."""
    module, name = cls.__module__, cls.__name__
    kind = KINDS[cls.kind]
    inside = any(module == room or module.startswith(f"{room}.") for room in kind.rooms)
    if module != kind.module and not inside:
        yield f"{file_of(module)}: move {name}, a {cls.kind} is found in {' and '.join(kind.rooms or (kind.module,))}"
        return
    if public("funcnet").get(module.removeprefix("funcnet.")) == "funcnet":
        return  # a public module, such as fn.initializers
    package = module.rpartition(".")[0]
    while not (LIBRARY.parent / package.replace(".", "/") / "__init__.pyi").exists():
        package = package.rpartition(".")[0]
    if public(package).get(name) != module and name not in NOT_PUBLIC:
        yield f"{package.replace('.', '/')}/__init__.pyi: add the line: from {module} import {name} as {name}"
