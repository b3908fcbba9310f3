"""Whatever can be chosen in a spec or called on the command line is public, in the guide, and in the tables of tests.

    python -m pytest tests/test_complete.py

says in one message what a new class or command lacks, and where each line goes.
"""

import argparse
import ast
import importlib
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import attrs
import pytest

import funcnet
from funcnet.cli import COMMANDS, parser
from funcnet.data import Source
from funcnet.layers.activations import Elementwise
from funcnet.spec.base import Spec, fields, tags
from funcnet.spec.fields import frozen
from funcnet.spec.kinds import KINDS
from tests.classes import CLASSES, LIBRARY, NOT_PUBLIC, file_of, stub
from tests.data.formats import FORMATS
from tests.optim import test_golden_optimizers, test_golden_rules, test_golden_transforms
from tests.optim.test_golden_transforms import PLATEAUS
from tests.rows import FAMILIES
from tests.rows.activations import EDGES
from tests.table import IGNORING, LAYERS, LOSSES, NOT_RECORDED, OPTIMIZERS, SCHEDULES, SEVERAL, TRAINED
from tests.test_ranges import without_range

TESTS = Path(__file__).parent
GUIDE = LIBRARY / "guide"


# ----- every class with a tag ---------------------------------------------------------------------------------------


def of_kind(kind: str) -> list[type[Spec]]:
    return [cls for cls in CLASSES if cls.kind == kind]


SECTIONS = {
    "layer": "Layers",
    "loss": "Losses",
    "metric": "Metrics",
    "optimizer": "Optimizers",
    "schedule": "Schedules",
    "initializer": "Initializers",
    "data": "Data",
    "split": "Data",
    "augmentation": "Data",
}


def reference(cls: type[Spec]) -> Iterator[str]:
    """The reference names the class; otherwise the row with most of its module's other classes is where to add it."""
    text = (GUIDE / "reference.md").read_text(encoding="utf-8")
    section = SECTIONS.get(cls.kind, "Training")
    body = re.search(rf"^## {section}\n(.*?)(?=^## |\Z)", text, re.M | re.S)
    assert body is not None
    if f"`{cls.__name__}`" in body[1] or cls.__name__ in NOT_PUBLIC:
        return
    beside = {f"`{other.__name__}`" for other in of_kind(cls.kind) if other.__module__ == cls.__module__}
    rows = re.findall(r"^\| (\w.*?) \|(.*)$", body[1], re.M)
    counts = {title: sum(name in names for name in beside) for title, names in rows}
    most = max(counts.values(), default=0)
    titles = " or ".join(repr(title) for title in counts if counts[title] == most)
    place = f"add `{cls.__name__}` to the row {titles} of {section}" if titles else f"add `{cls.__name__}` to {section}"
    yield f"funcnet/guide/reference.md: does not name the {cls.kind} {cls.__name__}: {place}"


# ----- layers, losses, optimizers, schedules: a row, and every field matters ----------------------------------------


def inside(optimizer: Any) -> Iterator[Any]:
    """An optimizer and those inside it."""
    yield optimizer
    for child in optimizer.children.values():
        yield from inside(child)


TABLE: dict[str, list[Any]] = {
    "layer": [row.layer for row in LAYERS.values()],
    "loss": [case.loss for case in (LOSSES | SEVERAL | IGNORING).values()],
    "optimizer": [inner for each in OPTIMIZERS.values() for inner in inside(each)],
    "schedule": list(SCHEDULES.values()),
}
TABLES = {"loss": "LOSSES in tests/table.py", "optimizer": "OPTIMIZERS in tests/table.py",
          "schedule": "SCHEDULES in tests/table.py"}  # fmt: skip


FAMILY = {family: importlib.import_module(f"tests.rows.{family}").ROWS.values() for family in FAMILIES}


def rows_of(module: str) -> str:
    """The rows of a layer's module: in the file of its name, else in the one with most of them."""
    stem = module.rpartition(".")[2]
    counts = {name: sum(type(row.layer).__module__ == module for row in rows) for name, rows in FAMILY.items()}
    most = max(counts, key=counts.__getitem__)
    return f"ROWS in tests/rows/{stem if stem in FAMILIES or not counts[most] else most}.py"


def table_of(cls: type[Spec]) -> str:
    return rows_of(cls.__module__) if cls.kind == "layer" else TABLES[cls.kind]


def row(cls: type[Spec]) -> Iterator[str]:
    if cls.kind not in TABLE:
        return
    home, subjects = table_of(cls), [each for each in TABLE[cls.kind] if type(each) is cls]
    if not subjects:
        yield f"{home}: has no row for {cls.__name__}: add one for each configuration"
        return
    for field in fields(cls):
        values = {getattr(subject, field.name) for subject in subjects}
        if len(values) < 2:
            yield f"{home}: {cls.__name__}.{field.name} has one value: add a row with another"
        elif field.default is not attrs.NOTHING and field.default not in values:
            yield f"{home}: {cls.__name__}.{field.name} never has its default: add a row without it"


def edges(cls: type[Spec]) -> Iterator[str]:
    """The values and slopes of an elementwise activation at its edges."""
    if issubclass(cls, Elementwise) and cls not in {type(edge.layer) for edge in EDGES.values()}:
        yield (
            f"EDGES in tests/rows/activations.py: has no entry for {cls.__name__}: add {{x: (y, dy/dx)}} at 0, "
            "at each kink, at -FAR and at FAR"
        )


def trained(cls: type[Spec]) -> Iterator[str]:
    """What training with an optimizer needs."""
    if cls.kind == "optimizer" and cls.tag not in TRAINED:
        yield (
            f'TRAINED in tests/table.py: has no entry "{cls.tag}": add rates with which it trains, '
            "and its calls for each leaf"
        )


def within(rule: Any) -> set[type]:
    """The classes of an optimizer and of those inside it."""
    return {type(rule)}.union(*map(within, rule.children.values()))


RECORDED = set[type]().union(*(
    within(case)
    for cases in (test_golden_optimizers.CASES, test_golden_rules.CASES, test_golden_transforms.CASES, PLATEAUS)
    for case in cases.values()
))  # fmt: skip


def golden(cls: type[Spec]) -> Iterator[str]:
    """The steps of an optimizer are those of another library."""
    if cls.kind != "optimizer":
        return
    if cls not in RECORDED and cls.__name__ not in NOT_RECORDED:
        yield (
            f"tests/golden: has no steps of {cls.__name__}: record them in tests/golden/make_rules.py and name them in "
            "CASES of tests/optim/test_golden_rules.py, or say why not in NOT_RECORDED in tests/table.py"
        )
    if cls in RECORDED and cls.__name__ in NOT_RECORDED:
        yield f"NOT_RECORDED in tests/table.py: {cls.__name__} is recorded: leave it out"


# ----- other kinds: some test of the kind makes it ------------------------------------------------------------------

HOMES = {  # kind: where its tests are, and what a new one needs
    "data": ("data/*.py", "a test in tests/data/test_sources.py, or in a file beside it"),
    "metric": ("test_metrics.py", "a row of SKLEARN in tests/test_metrics.py"),
    "augmentation": ("data/test_augmentation.py", "a test in tests/data/test_augmentation.py"),
    "initializer": ("test_initializers.py", "a row of EVERY in tests/test_initializers.py"),
    "callback": ("training/*.py", "a test in tests/training/test_resume.py"),
}


@cache
def trees(pattern: str) -> list[ast.Module]:
    return [ast.parse(path.read_text(encoding="utf-8")) for path in sorted(TESTS.glob(pattern))]


def name_of(function: ast.expr) -> str:
    return getattr(function, "attr", getattr(function, "id", ""))


@cache
def made(pattern: str) -> set[str]:
    """The names of everything that these files call."""
    return {name_of(node.func) for tree in trees(pattern) for node in ast.walk(tree) if isinstance(node, ast.Call)}


def home(cls: type[Spec]) -> Iterator[str]:
    if cls.kind in HOMES and cls.__name__ not in made(HOMES[cls.kind][0]):
        yield f"no test makes the {cls.kind} {cls.__name__}: it needs {HOMES[cls.kind][1]}"


def source(cls: type[Spec]) -> Iterator[str]:
    """A data source is in the guide, and in the table of formats if it reads files."""
    if not issubclass(cls, Source):
        return
    own = {field.name for field in fields(cls)} - {field.name for field in fields(Source)}
    texts = [field.name for field in fields(cls) if field.name in own and "str" in str(field.hint)]
    reads, write = bool(texts or cls.endings), ", with write for its endings" if cls.endings else ""
    if reads and cls.tag not in FORMATS:
        yield f'FORMATS in tests/data/formats.py: no entry "{cls.tag}", which reads files or has texts: add one{write}'
    elif cls.endings and FORMATS[cls.tag].write is None:
        yield f"FORMATS in tests/data/formats.py: {cls.tag!r} reads {', '.join(cls.endings)}: give it write"
    for other in of_kind("data"):
        twice = set(cls.endings) & set(other.endings) if issubclass(other, Source) and other is not cls else ()
        for ending in sorted(twice):
            yield f"{other.__name__} claims the ending {ending!r} too: leave it to one of them"
    if f"`{cls.tag}`" not in lines((GUIDE / "data.md").read_text(encoding="utf-8"), "| "):
        yield f"funcnet/guide/data.md: does not name {cls.tag}: add a row to the table of Sources"
    if reads and cls.tag != "cat_images" and f"`{cls.tag}`" not in files_in_spec():
        yield f"funcnet/guide/spec.md: does not name {cls.tag}: add it to the sentence '`data` may be … a file'"


def lines(text: str, start: str) -> str:
    return "\n".join(line for line in text.splitlines() if line.startswith(start))


def files_in_spec() -> str:
    """The formats that the page of specs lists."""
    found = re.search(
        r"^`data` may be .*? or a file:\s(.*?)\.", (GUIDE / "spec.md").read_text(encoding="utf-8"), re.M | re.S
    )
    assert found is not None
    return found[1]


# ----- one message for each class -----------------------------------------------------------------------------------

CHECKS = (stub, reference, without_range, row, edges, trained, golden, home, source)


def missing(cls: type[Spec]) -> list[str]:
    """What a class lacks, a line each."""
    return [line for check in CHECKS for line in check(cls)]


@pytest.mark.parametrize("cls", CLASSES, ids=[f"{cls.kind}-{cls.tag}" for cls in CLASSES])
def test_a_class_lacks_nothing(cls: type[Spec]) -> None:
    found = missing(cls)
    assert not found, "\n".join([f"{cls.__name__} in {file_of(cls.__module__)} lacks", *found])


def test_every_class_with_a_tag_is_found() -> None:
    found = {(cls.kind, cls.tag): cls for cls in CLASSES}
    assert len(found) == len(CLASSES)
    own = {(kind, tag): cls for kind in KINDS for tag, cls in tags(kind).items() if "." not in tag}
    assert {key: cls for key, cls in own.items() if cls.__module__.startswith("funcnet")}.items() <= found.items()
    assert all(len(of_kind(kind)) >= 4 for kind in (*TABLE, *HOMES))


def test_the_reference_names_only_what_there_is() -> None:
    named = re.findall(r"`([A-Z]\w+)`", (GUIDE / "reference.md").read_text(encoding="utf-8"))
    assert set(named) <= {cls.__name__ for cls in CLASSES}


# ----- commands -----------------------------------------------------------------------------------------------------

RUN_BY = ("funcnet", "called", "command")


def said(call: ast.Call) -> Iterator[ast.expr]:
    """The arguments of a command in ``main(["show", …])``, ``funcnet(folder, "show", …)``, ``partial(funcnet, …)``."""
    name, args = name_of(call.func), call.args
    if name == "partial" and args and name_of(args[0]) in RUN_BY:
        name, args = name_of(args[0]), args[1:]
    if name == "main" and args:
        yield from getattr(args[0], "elts", [])
    elif name in RUN_BY:
        yield from args


@cache
def commands_run() -> set[str]:
    """The first word of every command that a test runs."""
    found = set()
    for pattern in ("cli/*.py", "test_*.py", "*/test_*.py"):
        for call in (node for tree in trees(pattern) for node in ast.walk(tree) if isinstance(node, ast.Call)):
            words = [arg.value for arg in said(call) if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
            found |= set(words[:1])
    return found


def commands() -> set[str]:
    """The files of funcnet/cli with the two functions of a command."""
    found = {}
    for path in (LIBRARY / "cli").glob("[!_]*.py"):
        body = ast.parse(path.read_text(encoding="utf-8")).body
        found[path.stem] = {node.name for node in body if isinstance(node, ast.FunctionDef)}
    return {name for name, functions in found.items() if {"arguments", "run"} <= functions}


def without_command(names: set[str]) -> Iterator[str]:
    """What the commands of these names lack, a line each."""
    pages = "\n".join(path.read_text(encoding="utf-8") for path in sorted(GUIDE.glob("*.md")))
    for name in sorted(names):
        if name not in COMMANDS:
            yield f'COMMANDS in funcnet/cli/__init__.py: has no line "{name}": add what it does'
        if name not in commands_run():
            yield f"no test runs funcnet {name}: it needs a test in tests/cli/test_{name}.py"
        if not re.search(rf"\bfuncnet {name}\b", pages):
            yield f"funcnet/guide: no page names funcnet {name}: add it where it is used"


def test_a_command_lacks_nothing() -> None:
    names = commands()
    assert {"train", "show"} <= names
    found = [*without_command(names)]
    assert not found, "\n".join(found)


def test_a_command_has_a_file() -> None:
    [choices] = [a.choices for a in parser(None)._actions if isinstance(a, argparse._SubParsersAction)]
    assert set(choices or ()) == set(COMMANDS)
    lost = sorted(set(COMMANDS) - commands())
    assert not lost, f"COMMANDS in funcnet/cli/__init__.py: no file with arguments and run for {', '.join(lost)}"


# ----- the messages -------------------------------------------------------------------------------------------------


def test_what_is_missing_is_told_with_its_place() -> None:
    @frozen
    class Wedge(Elementwise):
        tag = "wedge"

    @frozen
    class Stroll(funcnet.optim.Optimizer):
        tag = "stroll"

    @frozen
    class Rings(Source):
        tag, endings = "rings", (".rings",)

    for cls, module in ((Wedge, "layers.activations"), (Stroll, "optim.sgd"), (Rings, "data.sources.idx")):
        cls.__module__ = f"funcnet.{module}"
    assert missing(Wedge) == [
        "funcnet/__init__.pyi: add the line: from funcnet.layers.activations import Wedge as Wedge",
        "funcnet/guide/reference.md: does not name the layer Wedge: add `Wedge` to the row 'activations' of Layers",
        "ROWS in tests/rows/activations.py: has no row for Wedge: add one for each configuration",
        "EDGES in tests/rows/activations.py: has no entry for Wedge: add {x: (y, dy/dx)} at 0, at each kink, "
        "at -FAR and at FAR",
    ]
    assert missing(Stroll) == [
        "funcnet/optim/__init__.pyi: add the line: from funcnet.optim.sgd import Stroll as Stroll",
        "funcnet/guide/reference.md: does not name the optimizer Stroll: add `Stroll` to the row 'rules' of Optimizers",
        "OPTIMIZERS in tests/table.py: has no row for Stroll: add one for each configuration",
        'TRAINED in tests/table.py: has no entry "stroll": add rates with which it trains, and its calls for each leaf',
        "tests/golden: has no steps of Stroll: record them in tests/golden/make_rules.py and name them in "
        "CASES of tests/optim/test_golden_rules.py, or say why not in NOT_RECORDED in tests/table.py",
    ]
    assert missing(Rings) == [
        "funcnet/data/__init__.pyi: add the line: from funcnet.data.sources.idx import Rings as Rings",
        "funcnet/guide/reference.md: does not name the data Rings: add `Rings` to the row 'files' of Data",
        "no test makes the data Rings: it needs a test in tests/data/test_sources.py, or in a file beside it",
        'FORMATS in tests/data/formats.py: no entry "rings", which reads files or has texts: '
        "add one, with write for its endings",
        "funcnet/guide/data.md: does not name rings: add a row to the table of Sources",
        "funcnet/guide/spec.md: does not name rings: add it to the sentence '`data` may be … a file'",
    ]
    Wedge.__module__ = "funcnet.training.fit"
    assert missing(Wedge)[0] == (
        "funcnet/training/fit.py: move Wedge, a layer is found in funcnet.layers and funcnet.combinators"
    )
    assert [*without_command({"show", "prune"})] == [
        'COMMANDS in funcnet/cli/__init__.py: has no line "prune": add what it does',
        "no test runs funcnet prune: it needs a test in tests/cli/test_prune.py",
        "funcnet/guide: no page names funcnet prune: add it where it is used",
    ]


def test_a_field_with_one_value_is_named_with_its_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TABLE, "optimizer", [funcnet.optim.AddNoise(0.1), funcnet.optim.AddNoise(0.2, gamma=0.1)])
    assert [*row(funcnet.optim.AddNoise)] == [
        "OPTIMIZERS in tests/table.py: AddNoise.seed has one value: add a row with another"
    ]
