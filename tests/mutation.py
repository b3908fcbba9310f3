"""Plant one bug at a time in the layers and see that the tests catch it.

    python tests/mutation.py                       # every vjp and kernel of layers and combinators
    python tests/mutation.py convolution pooling   # those of some modules
    python tests/mutation.py --forward             # the forward passes and the geometry of windows as well

A bug is a dropped term or factor, a sign, another operator, a number or an axis off by one, a lost transpose, a
comparison moved, a condition negated. Each is planted in a process of its own, where the laws run over the rows of
the table that hold the layer, and then the tests that name its module. What survives is printed, and is the exit
status. Bugs that change nothing stand in ``mutation_equivalent.json`` with the reason.
"""

from __future__ import annotations

import argparse
import ast
import copy
import importlib
import inspect
import io
import json
import os
import pkgutil
import signal
import sys
import types
import warnings
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

TESTS = Path(__file__).parent
sys.path.insert(0, str(TESTS.parent))

import funcnet as fn  # noqa: E402
import tests.table as table  # noqa: E402
from funcnet import combinators, layers, ops  # noqa: E402

BACKWARD = ("vjp", "derivative")
FORWARD = ("apply", "function", "windows")
SECONDS = 120
EQUIVALENT = TESTS / "mutation_equivalent.json"


class Bug(NamedTuple):
    """A module with one expression changed, inside one function."""

    module: Any
    function: str
    line: int
    statement: str
    what: str
    tree: ast.Module

    def is_one_of(self, known: list[dict[str, str]]) -> bool:
        """Whether it is known to change nothing: by its function, and statement or change where they are given."""
        own = {"function": f"{self.module.__name__}.{self.function}", "statement": self.statement, "change": self.what}
        return any(all(own[name] == entry.get(name, own[name]) for name in own) for entry in known)


# ----- what can go wrong in an expression ------------------------------------------------------------------


def changes(node: ast.AST) -> Iterator[ast.AST]:
    """Other expressions in place of one."""
    if isinstance(node, ast.BinOp):
        yield node.left
        if isinstance(node.op, ast.Add | ast.Mult | ast.MatMult):
            yield node.right
        other = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult}.get(type(node.op))
        if other is not None:
            yield ast.BinOp(node.left, other(), node.right)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.Not):
        yield node.operand
    elif isinstance(node, ast.Compare) and len(node.ops) == 1:
        moved = {ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Lt: ast.LtE, ast.LtE: ast.Lt}.get(type(node.ops[0]))
        turned = {ast.Gt: ast.Lt, ast.Lt: ast.Gt, ast.GtE: ast.LtE, ast.LtE: ast.GtE, ast.Eq: ast.NotEq}
        for op in (moved, turned.get(type(node.ops[0]))):
            if op is not None:
                yield ast.Compare(node.left, [op()], node.comparators)
    elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
        yield ast.Constant(node.value + 1)
        if node.value:
            yield ast.Constant(node.value - 1)
    elif isinstance(node, ast.Attribute) and node.attr == "T":
        yield node.value
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        swap = {"sum": "mean", "mean": "sum", "maximum": "minimum", "minimum": "maximum", "max": "min"}.get(
            node.func.attr
        )
        if swap is not None:
            yield ast.Call(ast.Attribute(node.func.value, swap), node.args, node.keywords)
        if node.func.attr in ("transpose", "swapaxes", "exp", "square", "sqrt", "tanh"):
            yield node.func.value if node.func.attr in ("transpose", "swapaxes") else node.args[0]
        if node.func.attr == "where" and len(node.args) == 3:
            yield ast.Call(node.func, [node.args[0], node.args[2], node.args[1]], [])
            yield node.args[1]
    elif isinstance(node, ast.IfExp):
        yield ast.IfExp(ast.UnaryOp(ast.Not(), node.test), node.body, node.orelse)


def points(function: ast.FunctionDef) -> Iterator[tuple[ast.AST, str, int | None]]:
    """The places of expressions inside a function: parent, field and index; errors and annotations are left out."""
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop(0)
        if isinstance(node, ast.Raise | ast.AnnAssign) or (isinstance(node, ast.Expr) and _is_text(node.value)):
            continue
        for field, value in ast.iter_fields(node):
            if isinstance(node, ast.Call) and field == "func":
                continue
            for i, inner in enumerate(value) if isinstance(value, list) else [(None, value)]:
                if isinstance(inner, ast.expr):
                    yield node, field, i
                if isinstance(inner, ast.AST):
                    waiting.append(inner)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def functions(tree: ast.Module, forward: bool) -> Iterator[tuple[str, ast.FunctionDef]]:
    """The functions of a module to plant bugs in, by qualified name."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            for inner in node.body:
                if isinstance(inner, ast.FunctionDef) and inner.name in BACKWARD + FORWARD * forward:
                    yield f"{node.name}.{inner.name}", inner
        elif isinstance(node, ast.FunctionDef) and (forward or _takes_cotangent(node)):
            yield node.name, node


def _takes_cotangent(node: ast.FunctionDef) -> bool:
    return any(argument.arg.startswith("d") and argument.arg[1:2] in "yxhcgqkvo" for argument in node.args.args)


def bugs(module: Any, forward: bool) -> Iterator[Bug]:
    """Every bug of a module."""
    source = inspect.getsource(module)
    tree = ast.parse(source)
    for name, function in functions(tree, forward):
        for parent, field, i in points(function):
            place = getattr(parent, field)
            node = place if i is None else place[i]
            where = ast.unparse(_statement(function, node))
            for other in changes(node):
                text = f"{ast.unparse(node)}  ->  {ast.unparse(other)}"
                _put(parent, field, i, other)
                yield Bug(module, name, node.lineno, where, text, ast.fix_missing_locations(copy.deepcopy(tree)))
                _put(parent, field, i, node)


def _put(parent: ast.AST, field: str, i: int | None, node: ast.AST) -> None:
    if i is None:
        setattr(parent, field, node)
    else:
        getattr(parent, field)[i] = node


def _statement(function: ast.FunctionDef, node: ast.AST) -> ast.AST:
    """The innermost simple statement around an expression."""
    around: ast.AST = function
    for inner in ast.walk(function):
        if isinstance(inner, ast.stmt) and any(node is part for part in ast.walk(inner)):
            around = inner
    if isinstance(around, ast.If | ast.For | ast.While):
        return around.iter if isinstance(around, ast.For) else around.test
    return around


# ----- planting and looking ----------------------------------------------------------------------------------


def plant(bug: Bug) -> bool:
    """Give the function that runs, wherever it was imported to, the code with the bug."""
    code = compile(bug.tree, inspect.getsourcefile(bug.module) or "", "exec")
    found = [inner for inner in _codes(code) if inner.co_qualname == bug.function]
    target: Any = bug.module
    for part in bug.function.split("."):
        target = target.__dict__[part] if isinstance(target, type) else getattr(target, part)
    target = inspect.unwrap(target)
    if len(found) != 1 or found[0].co_freevars != target.__code__.co_freevars:
        return False
    target.__code__ = found[0]
    return True


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield constant
            yield from _codes(constant)


def concerned(module: Any, function: str) -> list[str]:
    """The rows of the table whose layers use a class, or for a function, any class that its module serves."""
    name = function.partition(".")[0]
    owner = getattr(module, name, None)
    users = [owner] if isinstance(owner, type) else _users(module)
    return [row for row, entry in table.LAYERS.items() if any(_holds(entry.layer, user) for user in users)]


def _users(module: Any) -> list[type]:
    """The layers of modules that import something of this one."""
    own = {id(value) for value in vars(module).values() if getattr(value, "__module__", "") == module.__name__}
    return [
        cls
        for other in modules([])
        if any(id(value) in own for value in vars(other).values())
        for cls in vars(other).values()
        if isinstance(cls, type) and issubclass(cls, fn.Layer) and cls.__module__ == other.__name__
    ]


def _holds(value: Any, cls: type) -> bool:
    if isinstance(value, cls):
        return True
    return isinstance(value, fn.Layer) and any(_holds(child, cls) for child in value.children.values())


def caught(bug: Bug) -> str:
    """What the tests say, in a process of its own: caught, survived, or not planted."""
    child = os.fork()
    if child == 0:
        signal.alarm(SECONDS)  # a bug may loop for ever
        with open(os.devnull, "w", encoding="utf-8") as nowhere:
            os.dup2(nowhere.fileno(), 1)
            os.dup2(nowhere.fileno(), 2)
            os._exit(_verdict(bug))
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status):
        return {0: "survived", 1: "caught", 2: "not planted"}[os.WEXITSTATUS(status)]
    return "caught"


def _verdict(bug: Bug) -> int:
    import pytest

    if not plant(bug):
        return 2
    rows = concerned(bug.module, bug.function)
    warnings.simplefilter("error")
    for name in rows:
        row = table.LAYERS[name]
        try:
            x = None if row.x is None else row.input(fn.Key(5))
            fn.check_layer(row.layer, row.in_shape, x=x, batch_coupled=row.coupled)
        except Exception:
            return 1
    stem = bug.module.__name__.rpartition(".")[2]
    files = [str(path) for path in sorted(TESTS.rglob("test_*.py")) if _names(path, bug.module, stem)]
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        return 0 if not files else int(pytest.main(["-x", "-q", "-m", "", "-p", "no:cacheprovider", *files]) != 0)


def _names(path: Path, module: Any, stem: str) -> bool:
    """Whether a test file is about a module: by its name, or because it uses one of its layers."""
    if path.parent.name not in ("layers", "combinators"):
        return False
    text = path.read_text(encoding="utf-8")
    names = [
        name for name, value in vars(module).items() if isinstance(value, type) and value.__module__ == module.__name__
    ]
    names += [user.__name__ for user in _users(module)]
    return stem in path.stem or any(f"fn.{name}(" in text for name in names)


def modules(wanted: list[str]) -> list[Any]:
    """The modules of layers and combinators, or those of some names."""
    packages = (layers, combinators)
    names = [f"{p.__name__}.{m.name}" for p in packages for m in pkgutil.iter_modules(p.__path__)]
    known = [name for name in names if not wanted or name.rpartition(".")[2] in wanted]
    if wanted and len(known) < len(wanted):
        sys.exit(f"there are {', '.join(name.rpartition('.')[2] for name in names)}")
    return [importlib.import_module(name) for name in known]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="*", help="such as convolution; all by default")
    parser.add_argument("--forward", action="store_true", help="plant bugs in forward passes as well")
    options = parser.parse_args()
    equivalent = json.loads(EQUIVALENT.read_text(encoding="utf-8")) if EQUIVALENT.exists() else []
    total: dict[str, int] = {}
    survivors = []
    for module in modules(options.modules):
        counts = dict.fromkeys(("caught", "survived", "equivalent", "not planted"), 0)
        for bug in bugs(module, options.forward):
            said = "equivalent" if bug.is_one_of(equivalent) else caught(bug)
            counts[said] += 1
            if said in ("survived", "not planted"):
                survivors.append(bug)
                where = f"{Path(module.__file__).name}:{bug.line} {bug.function}"
                print(f"  {said}: {where}: {bug.what}\n      in {bug.statement:.150}", flush=True)
        print(f"{module.__name__}: {', '.join(f'{n} {word}' for word, n in counts.items() if n)}", flush=True)
        total = {word: total.get(word, 0) + n for word, n in counts.items()}
    print("all:", ", ".join(f"{n} {word}" for word, n in total.items()))
    return int(bool(survivors))


if __name__ == "__main__":
    assert ops  # loaded before the first fork, with everything else
    sys.exit(main())
