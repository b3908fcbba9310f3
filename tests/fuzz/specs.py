"""Mutated specs, through ``from_json`` and the commands that read them: an error of funcnet or a valid spec, in time.

By hand: ``python -m tests.fuzz.specs --count 40000 --seed 1``
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import io
import json
import random
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import funcnet as fn
from funcnet.cli import main
from funcnet.cli.shipped import ABOUT, shipped
from funcnet.errors import visible

VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 2, 3, 10**9, 2**53, 2**63, -(10**9), 0.5, -0.5, 1e-320, 1e308, 1e-8, "", "relu",
    "dense",
    "\x1b[2J", "\u202e", "a" * 1000, "é", "../../x", [], {}, [[]], [1, 2], [0], {"type": "relu"}, {"type": "serial"},
    {"type": 1}, {"name": "x"}, ["relu"] * 50, {"type": "repeat", "times": 10**9, "layer": "relu"},
    {"type": "dense", "units": 10**12}, {"type": "upsample", "scale": 10**9}, "sgd", "standard", [{"type": "sgd"}],
]  # fmt: skip
SLOW = 60.0
"""Seconds that no case may take; ``check`` of a deep convolutional network takes twenty"""
COMMANDS = (["check"], ["show", "--input", "4"], ["source", "--input", "4"], ["diff"], ["show", "--cost"])
LOADED = 2_000
"""The largest size in a document for which a command may run: a valid spec that asks for more work gets it"""


DEEP = 1_500
"""The characters of a document from which ``check`` is left out: its laws run a network dozens of times"""


def seeds() -> list[dict[str, Any]]:
    """The documents to mutate: the shipped specs without those of files, and a few models."""
    found = [json.loads(path.read_text(encoding="utf-8")) for name in ABOUT if (path := shipped(name)) is not None]
    small: dict[str, Any] = {
        "version": 1,
        "data": {"type": "iris", "split": {"test": 0.2}, "scale": "standard"},
        "model": {"type": "serial", "layers": [{"type": "dense", "units": 4}, "relu", {"type": "dense", "units": 3}]},
        "loss": "softmax_cross_entropy",
        "metrics": ["accuracy"],
        "optimizer": {"type": "chain", "steps": [{"type": "clip_by_global_norm", "max_norm": 1.0}, "adam"]},
        "training": {"epochs": 1, "early_stopping": {"patience": 2}},
    }
    models: list[Any] = [
        {"type": "repeat", "times": 3, "layer": {"type": "residual", "layer": {"type": "dense", "units": 4}}},
        {"type": "ensemble", "members": 2, "layer": {"type": "dense", "units": 3}},
        {"type": "branch", "layers": ["relu", {"type": "dense", "units": 2, "name": "b"}]},
        {"type": "serial", "layers": [{"type": "conv_2d", "filters": 2, "kernel_size": [3, 3], "dilation": 2}]},
        {"type": "serial", "layers": [{"type": "lstm", "units": 2}, {"type": "multi_head_attention", "heads": 1}]},
    ]  # fmt: skip
    return [small, *({"version": 1, "model": model} for model in models), *found]


def places(node: Any) -> Iterator[tuple[Any, Any]]:
    """Every container of a document with each of its keys."""
    for key in list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ():
        yield node, key
        yield from places(node[key])


def mutated(document: Any, draw: random.Random) -> Any:
    """A copy of a document with one to four changes."""
    document = copy.deepcopy(document)
    for _ in range(draw.randint(1, 4)):
        node, key = draw.choice(list(places(document)) or [(document, "version")])
        kind = draw.randrange(7)
        if kind <= 2:
            node[key] = copy.deepcopy(draw.choice(VALUES))
        elif kind == 3:
            node.pop(key, None) if isinstance(node, dict) else node.pop(key)
        elif kind == 4 and isinstance(node, dict):
            node[draw.choice(["type", "name", "layer", "k" * 500, "\x1b[0m", "units", "é"])] = copy.deepcopy(
                draw.choice(VALUES)
            )
        elif kind == 5:
            other, there = draw.choice(list(places(document)) or [(node, key)])
            with contextlib.suppress(KeyError, IndexError):
                node[key] = copy.deepcopy(other[there])
        elif isinstance(node, list):
            node.extend(copy.deepcopy(node[:10]))
    return document


def largest(node: Any) -> float:
    """The largest number in a document."""
    if isinstance(node, dict | list):
        return max(map(largest, node.values() if isinstance(node, dict) else node), default=0.0)
    return abs(node) if isinstance(node, int | float) else 0.0


def decode(text: str) -> str:
    """What becomes of a document: ``valid``, or ``refused`` with a message that is bounded and safe to print."""
    message = ""
    try:
        spec = fn.from_json(text)
    except fn.SpecError as error:
        message = str(error)
    if message:
        assert len(message) < 70_000, len(message)
        assert visible(message) == message
        return "refused"
    assert fn.from_json(fn.to_json(spec)) == spec
    assert fn.spec_hash(fn.from_json(fn.to_json(spec))) == fn.spec_hash(spec)
    return "valid"


def command(argv: list[str]) -> int:
    """The status of a command, whose output is bounded and safe to print."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        status = main(argv)
    assert status in (0, 1), argv
    assert status == 0 or err.getvalue().startswith("funcnet: "), (argv, err.getvalue())
    assert "Traceback" not in err.getvalue()
    for text in (out.getvalue(), err.getvalue()):
        assert visible(text) == text, argv
    assert len(err.getvalue()) < 70_000
    return status


def fuzz(count: int, seed: int, every: int = 20) -> Counter[str]:
    """Counts of what became of ``count`` mutated documents; each ``every``-th goes through the commands too."""
    draw, found = random.Random(seed), Counter[str]()
    documents = seeds()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "spec.json"
        for i in range(count):
            document = mutated(draw.choice(documents), draw)
            text = json.dumps(document)
            begin = time.process_time()
            try:
                found[decode(text)] += 1
                if i % every == 0 and (largest(document) <= LOADED or draw.random() < 0.2):
                    file.write_text(text, encoding="utf-8")
                    chosen = draw.choice(COMMANDS if len(text) < DEEP else COMMANDS[1:])
                    options = [str(file)] if chosen == ["diff"] else chosen[1:]
                    status = command([chosen[0], str(file), *options])
                    found[f"{chosen[0]} {'worked' if status == 0 else 'refused'}"] += 1
            except BaseException as error:
                error.add_note(f"case {i} of seed {seed}: {text[:3000]}")
                raise
            seconds = time.process_time() - begin
            if seconds > SLOW and largest(document) <= LOADED:
                raise AssertionError(f"case {i} of seed {seed} took {seconds:.1f} s: {text[:3000]}")
            found["slow"] += seconds > SLOW
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--every", type=int, default=20, help="every n-th document goes through the commands too")
    options = parser.parse_args()
    print(dict(fuzz(options.count, options.seed, options.every)))
