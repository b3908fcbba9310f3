"""``funcnet list``"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import attrs

from funcnet.cli.console import print_table
from funcnet.errors import FuncnetError, Problem, SpecError
from funcnet.experiments.experiment import Experiment
from funcnet.hints import did_you_mean
from funcnet.spec.class_fields import fields
from funcnet.spec.codec import encode, load_spec
from funcnet.spec.kinds import KINDS
from funcnet.spec.registry import about, tags
from funcnet.spec.wording import describe
from funcnet.views.table import Table


def arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``funcnet list``."""
    parser.add_argument("kind", nargs="?", help="print only this kind, such as layer or optimizer")
    parser.add_argument("--json", action="store_true", help="print the list as JSON")


def run(options: argparse.Namespace) -> int:
    """Print the specs in ``specs/`` and every registered tag by kind with its fields and defaults."""
    if options.kind is not None and options.kind not in KINDS:
        near = did_you_mean(options.kind, KINDS)
        raise SpecError(
            [Problem("", f"unknown kind {options.kind!r}{near}; there are {', '.join(KINDS)}")], root="list"
        )
    kinds = [options.kind] if options.kind else list(KINDS)
    described: dict[str, dict[str, Any]] = {
        kind: {tag: {"about": about(cls), "fields": _fields(cls)} for tag, cls in tags(kind).items()} for kind in kinds
    }
    specs = [] if options.kind else _specs()
    if options.json:
        print(json.dumps({"specs": specs, "kinds": described}))
        return 0
    tables = [Table(["spec", "what it is"], [[one["path"], one["about"]] for one in specs])] if specs else []
    for kind, found in described.items():
        rows = [[tag, of["about"], "\n".join(of["fields"])] for tag, of in found.items()]
        tables.append(Table([kind, "what it is", "fields"], rows))
    for i, table in enumerate(tables):
        print("\n" * (i > 0), end="")
        print_table(table, shutil.get_terminal_size().columns)
    return 0


def _fields(cls: Any) -> list[str]:
    """``["units: an integer", "use_bias: true or false = true"]``"""
    texts = []
    for name, hint, default, *_ in fields(cls):
        text = f"{name}: {describe(hint)}"
        if default is not attrs.NOTHING:
            text += f" = {encode(default)['type'] if hasattr(default, 'tag') else json.dumps(default, default=dict)}"
        texts.append(text)
    return texts


def _specs() -> list[dict[str, str]]:
    found = []
    for path in sorted(Path("specs").glob("*.json")):
        try:
            spec = load_spec(path, Experiment)
            about = f"{spec.data.tag}, {spec.model.tag}, {spec.loss.tag}, {spec.optimizer.tag}"
        except FuncnetError:
            about = "not an experiment that can be read"
        found.append({"path": str(path), "about": about})
    return found
