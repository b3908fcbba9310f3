"""Imports run one way: a room imports from the rooms below it, and nobody imports another file's private names."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import funcnet
from funcnet.lazy import public

ROOT = Path(funcnet.__file__).parent
ROOMS = """
version errors
hints originals
lazy key tree files read_only
vmap ops
spec signatures shapes ranges initializers
layers combinators
losses metrics optim compiler data
inputs padding
training
networks
views
experiments
codegen
laws sklearn play
cli
"""
"""From the ground up; rooms of one line do not import one another, except as ALLOWED says"""

ALLOWED = {
    ("layers", "combinators"),  # ``a >> b`` makes a Serial: one import, inside a method
    ("combinators", "layers"),
    ("tree", "key"),
    ("files", "key"),
    ("signatures", "spec"),
    ("initializers", "spec"),
    ("metrics", "losses"),
}

FLOOR = {room: i for i, line in enumerate(ROOMS.strip().splitlines()) for room in line.split()}


class Import(NamedTuple):
    file: str
    line: int
    module: str
    name: str


def imports(path: Path) -> Iterator[Import]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for block in [node for node in ast.walk(tree) if isinstance(node, ast.If)]:
        if isinstance(block.test, ast.Name) and block.test.id == "TYPE_CHECKING":
            block.body = []  # nothing that runs
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] == "funcnet":
            for alias in node.names:
                yield Import(str(path.relative_to(ROOT)), node.lineno, node.module, alias.name)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.partition(".")[0] == "funcnet":
                    yield Import(str(path.relative_to(ROOT)), node.lineno, alias.name, "")


def room_of(found: Import) -> str:
    """The room that an import comes from: ``ops`` of ``from funcnet import ops``."""
    parts = [*found.module.split("."), found.name]
    return parts[1]


@cache
def imports_by_file() -> dict[Path, list[Import]]:
    return {path: list(imports(path)) for path in sorted(ROOT.rglob("*.py"))}


def every_import() -> list[Import]:
    return [one for found in imports_by_file().values() for one in found]


def test_every_room_has_its_floor() -> None:
    there = {path.stem for path in ROOT.glob("*.py")} | {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert there - {"__init__", "__main__"} == set(FLOOR), "put a new room into ROOMS, on the floor it belongs to"


def test_imports_run_down() -> None:
    wrong = []
    for found in every_import():
        room = Path(found.file).parts[0].removesuffix(".py")
        if room in ("__init__", "__main__"):
            continue
        target = room_of(found)
        if room != target and FLOOR[target] >= FLOOR[room] and (room, target) not in ALLOWED:
            wrong.append(f"funcnet/{found.file}:{found.line} imports {found.module}, which is not below {room}")
    assert wrong == []


UPWARDS = [("layers/base.py", "funcnet.combinators.on_sequence"), ("layers/base.py", "funcnet.combinators.serial")]
"""Imports inside a function: for ``a >> b``, and for a layer that acts on each step of a padded sequence"""


def test_the_imports_upwards_are_two() -> None:
    found = [
        (one.file, one.module)
        for one in every_import()
        if one.file.startswith("layers/") and room_of(one) == "combinators"
    ]
    assert sorted(found) == UPWARDS


def test_private_names_stay_in_their_file() -> None:
    wrong = [one for one in every_import() if one.name.startswith("_") and not one.name.startswith("__")]
    assert wrong == []


def test_files_of_one_room_form_no_circle() -> None:
    edges: dict[str, set[str]] = {}
    for path, found in imports_by_file().items():
        module = ".".join(("funcnet", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")
        edges[module] = set()
        for one in found:
            whole = f"{one.module}.{one.name}"
            target = whole if (ROOT.parent / (whole.replace(".", "/") + ".py")).exists() else one.module
            edges[module].add(target)
    edges["funcnet.layers.base"] -= {module for _, module in UPWARDS}
    edges["funcnet.spec.base"].discard("funcnet.spec.outline")  # what a notebook shows of a spec, imported when it asks
    done: set[str] = set()

    def visit(module: str, way: tuple[str, ...]) -> None:
        assert module not in way, " -> ".join((*way[way.index(module) :], module))
        if module in done:
            return
        for target in edges.get(module, ()):
            visit(target, (*way, module))
        done.add(module)

    for module in edges:
        visit(module, ())


def test_no_public_name_is_that_of_a_module_beside_it() -> None:
    """Importing the module would bind it over the name."""
    for stub in ROOT.rglob("__init__.pyi"):
        package = ".".join(("funcnet", *stub.parent.relative_to(ROOT).parts))
        beside = {path.stem for path in stub.parent.glob("*.py")} | {
            path.parent.name for path in stub.parent.glob("*/*.py")
        }
        names = {name for name, module in public(package).items() if module != package}
        assert not names & beside
