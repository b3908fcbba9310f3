"""Damage and forge the files of run folders, one change at a time, and use them.

    python -m tests.fuzz.run_folders --count 10000 [--seed 0]
    python -m tests.fuzz.run_folders --bytes

A flipped bit is an accident: the folder is refused with one error, or answers as before. A wrong value in a field is
forged: with it the digests are written anew, and the folder is refused or gives answers, without a foreign error.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import io
import json
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import funcnet as fn
from funcnet.cli import main
from funcnet.files import npz_bytes, read_npz
from tests.folders import read_json, sign

CSV = "size,colour,grade,price,kind\n" + "".join(
    f"{i % 7},{('red', 'green', '')[i % 3]},{('low', 'high')[i % 2]},{i * 1.5},{'ab'[i % 2]}\n" for i in range(24)
)
READ = ("spec.json", "run.json", "preprocess.json", "metrics.json", "history.csv", "weights.npz")
"""The files that a run is read from"""
WRONG: tuple[Any, ...] = (
    *(
        None,
        True,
        -1,
        0,
        7,
        2**60,
        10**400,
        0.5,
        1e308,
        -1e308,
        "",
        "x",
        "1",
        "\x1b[2J",
        "é" * 300,
        [],
        [1],
        ["a", "a"],
    ),
    *(
        [[1.0], [2.0]],
        [[1.0], [2.0, 3.0]],
        [None],
        {},
        {"a": 1},
        {"type": "relu"},
        [[]] * 3,
        json.loads("[" * 90 + "]" * 90),
    ),
)


class Case(NamedTuple):
    """A whole run, and the commands that use it; ``FILE`` is one of new rows."""

    folder: Path
    commands: tuple[tuple[str, ...], ...]


def experiments(folder: Path) -> dict[str, tuple[fn.Experiment, str]]:
    """Small runs of every form of preprocessing, and the file of new rows of each."""
    (folder / "t.csv").write_text(CSV, encoding="utf-8")
    np.save(folder / "iris.npy", np.array([[5.1, 3.5, 1.4, 0.2], [6.0, 3.0, 4.8, 1.8]]))
    (folder / "t.txt").write_text("to be or not to be, " * 9, encoding="utf-8")
    split = fn.data.Split(test=0.25)
    how: dict[str, Any] = {"optimizer": fn.optim.Adam(0.02), "training": fn.Training(epochs=2, batch_size=8)}
    classes = {"loss": fn.losses.SoftmaxCrossEntropy(), "metrics": (fn.metrics.Accuracy(),), **how}
    table = fn.data.Csv(
        "t.csv",
        target="kind",
        categorical=("colour",),
        ordinal={"grade": ["low", "high"]},
        impute="median",
        scale="minmax",
    )
    price = fn.data.Csv(
        "t.csv",
        target="price",
        categorical=("colour", "grade", "kind"),
        impute="most_frequent",
        scale="robust",
        target_scale="standard",
    )
    iris = fn.data.Iris(split=split, scale="standard", flatten=True, divide=2.0)
    net = fn.serial(fn.Dense(4), fn.BatchNorm(), fn.Tanh(), fn.Dense(3))
    letters = fn.serial(fn.Embedding(96, 3), fn.Dense(96))
    return {
        "iris": (fn.Experiment(data=iris, model=net, **classes), "iris.npy"),
        "table": (fn.Experiment(data=table, model=fn.Dense(2), **classes), "t.csv"),
        "price": (
            fn.Experiment(data=price, model=fn.Dense(1), loss=fn.losses.MeanSquaredError(), **how),
            "t.csv",
        ),
        "text": (fn.Experiment(data=fn.data.Text("t.txt", length=8), model=letters, **classes), ""),
    }


def cases(folder: Path) -> list[Case]:
    """Train the runs in a folder."""
    made = []
    for name, (experiment, file) in experiments(folder).items():
        fn.run(experiment, folder / name, base=folder)
        rows = (
            (("predict", "RUN", str(folder / file), "--check-range"),)
            if file
            else (("generate", "RUN", "--length", "3"),)
        )
        more = (("evaluate", "RUN", "--data", str(folder / file)),) if name in ("table", "price") else ()
        made.append(Case(folder / name, (*rows, ("evaluate", "RUN"), ("source", "RUN", "--inference"), *more)))
    return made


def use(case: Case, folder: Path) -> tuple[list[str], bool]:
    """What the commands print for a folder, and whether all refuse it with one error.

    A foreign error passes through; that is what is looked for.
    """
    said, refused = [], 0
    for words in case.commands:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), np.errstate(all="ignore"):
            status = main([str(folder) if word == "RUN" else word for word in words])
        assert status in (0, 1), (words, status)
        assert status == 0 or err.getvalue().startswith("funcnet: "), err.getvalue()
        refused += status
        said.append(out.getvalue())
    try:
        run = fn.load_run(folder)
        figures = [{name: row[name] for name in row if name != "seconds"} for row in run.history]  # without the clock
        said += [repr(run), repr(figures), str(run.experiment), str(run.train_state.step), str(run.stopped)]
        run._repr_html_()
    except fn.CheckpointError:
        refused += 1
    for name in ("inference.py", "inference.npz"):
        (folder / name).unlink(missing_ok=True)
    return said, refused == len(case.commands) + 1


def copied(case: Case, place: Path) -> Path:
    """A copy of a run whose paths are right: its own record would not be believed there."""
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(case.folder, place)
    for name in ("t.csv", "t.txt"):
        shutil.copy(case.folder.parent / name, place)
    return place


# ----- the changes ---------------------------------------------------------------------------------------------------


def flip(folder: Path, draw: random.Random) -> str:
    """Flip one bit of a file that a run is read from."""
    path = folder / draw.choice(READ)
    content = bytearray(path.read_bytes())
    at, bit = draw.randrange(len(content)), draw.randrange(8)
    content[at] ^= 1 << bit
    path.write_bytes(content)
    return f"{path.name}: bit {bit} of byte {at}"


def places(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value in a JSON value."""
    yield path
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, inner in items:
        yield from places(inner, (*path, key))


def changed(document: Any, draw: random.Random) -> tuple[Any, str]:
    """A JSON value with one value replaced, left out, or a field more."""
    document = copy.deepcopy(document)
    path = draw.choice(list(places(document)))
    wrong = draw.choice(WRONG)
    if not path:
        return wrong, f"whole: {str(wrong)[:40]!r}"
    node = document
    for key in path[:-1]:
        node = node[key]
    if draw.random() < 0.15:
        del node[path[-1]]
        wrong = "left out"
    elif draw.random() < 0.1 and isinstance(node, dict):
        node["more"] = wrong
    else:
        node[path[-1]] = wrong
    return document, f"{path}: {str(wrong)[:40]!r}"


def field(folder: Path, draw: random.Random) -> str:
    """Change a field of a JSON file, and sign it."""
    path = folder / draw.choice([name for name in READ if name.endswith(".json")])
    document, what = changed(read_json(path), draw)
    path.write_text(json.dumps(document), encoding="utf-8", errors="surrogatepass")
    with contextlib.suppress(AttributeError, TypeError, KeyError, ValueError, IndexError):  # of a run.json that is none
        if path.name != "run.json" or draw.random() < 0.5:
            sign(folder)
    return f"{path.name}: {what}"


def weights(folder: Path, draw: random.Random) -> str:
    """Change an array of the weights, and sign them."""
    path = folder / "weights.npz"
    members = read_npz(path)
    name = draw.choice(list(members))
    array = members.pop(name)
    kinds: dict[str, Callable[[], dict[str, Any]]] = {
        "left out": dict,
        "renamed": lambda: {f"{name}/x": array},
        "text": lambda: {name: np.array("x")},
        "flat": lambda: {name: array.reshape(-1)},
        "another dtype": lambda: {name: array.astype(draw.choice(["U3", "c16", "i4", "f2", "?"]))},
        "not finite": lambda: {name: np.full(array.shape, np.nan)},
        "empty": lambda: {name: array.reshape(-1)[:0]},
        "more axes": lambda: {name: array[None]},
    }
    kind = draw.choice(list(kinds))
    with contextlib.suppress(ValueError):
        path.write_bytes(npz_bytes(members | kinds[kind]()))
        with contextlib.suppress(fn.CheckpointError):
            sign(folder)
    return f"weights.npz: {name}: {kind}"


def history(folder: Path, draw: random.Random) -> str:
    """Change a cell of the history, and sign it."""
    path = folder / "history.csv"
    lines = [line.split(",") for line in path.read_text(encoding="utf-8").splitlines()]
    line = draw.choice(lines)
    at = draw.randrange(len(line))
    line[at] = str(draw.choice(WRONG))
    path.write_text("\n".join(map(",".join, lines)) + "\n", encoding="utf-8")
    sign(folder)
    return f"history.csv: {line[at][:40]!r}"


CHANGES: dict[str, Callable[[Path, random.Random], str]] = {
    "flip": flip, "field": field, "weights": weights, "history": history,
}  # fmt: skip


def attempts(made: list[Case], place: Path, count: int, seed: int) -> Counter[tuple[str, str]]:
    """Change ``count`` folders; return how often each kind of change was refused, harmless, or another run.

    Raises   AssertionError for another answer after a flipped bit, and whatever a command lets through
    """
    draw = random.Random(seed)
    counts: Counter[tuple[str, str]] = Counter()
    expected = {case.folder: use(case, copied(case, place))[0] for case in made}
    for _ in range(count):
        case, kind = draw.choice(made), draw.choice(list(CHANGES))
        what = CHANGES[kind](copied(case, place), draw)
        try:
            said, refused = use(case, place)
        except Exception as error:
            error.add_note(f"{case.folder.name}: {what}")
            raise
        same = said == expected[case.folder]
        assert same or refused or kind != "flip", f"{case.folder.name}: {what}: other answers"
        counts[kind, "refused" if refused else "the same" if same else "other answers"] += 1
    return counts


def every_byte(case: Case, place: Path, seed: int) -> Counter[tuple[str, str]]:
    """Flip one bit of every byte of every file that a run is read from, in turn."""
    draw = random.Random(seed)
    counts: Counter[tuple[str, str]] = Counter()
    expected = use(case, copied(case, place))[0]
    for name in READ:
        content = (place / name).read_bytes()
        for at in range(len(content)):
            damaged = bytearray(content)
            damaged[at] ^= 1 << draw.randrange(8)
            (place / name).write_bytes(damaged)
            said, refused = use(case, place)
            assert refused or said == expected, f"{name}: byte {at}: other answers"
            counts[name, "refused" if refused else "the same"] += 1
        (place / name).write_bytes(content)
    return counts


def main_() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bytes", action="store_true", help="flip a bit of every byte of one run's files instead")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        made, place = cases(Path(name)), Path(name) / "changed"
        if options.bytes:
            counts = every_byte(made[0], place, options.seed)
        else:
            counts = attempts(made, place, options.count, options.seed)
    for (kind, end), times in sorted(counts.items()):
        print(f"{kind:15} {end:14} {times}")


if __name__ == "__main__":
    main_()
