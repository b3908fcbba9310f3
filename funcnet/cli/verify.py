"""``funcnet verify``"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from funcnet import tree
from funcnet.cli.arguments import add_base, base_of
from funcnet.cli.console import number, table
from funcnet.errors import CheckpointError
from funcnet.experiments.digests import digest, finite_json
from funcnet.experiments.folder import START, environment
from funcnet.experiments.origin import SPEC
from funcnet.experiments.run import run as run_experiment
from funcnet.experiments.stored import load_run, read_facts
from funcnet.training.fit import pass_interrupt_on


def arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``funcnet verify``."""
    parser.add_argument("spec", metavar="RUN", help="the folder of a run")
    parser.add_argument("--json", action="store_true", help="print the comparison as JSON")
    add_base(parser)


def run(options: argparse.Namespace) -> int:
    """Train a run's spec again from its data and compare weights and scores.

    The exit status is 0 if weights and scores are the same to the last bit, else 1.
    """
    folder = Path(options.spec)
    claimed = load_run(folder)
    facts = read_facts(folder)
    if claimed.stopped in ("interrupted", "TimeBudget", "an error"):
        raise CheckpointError(
            f"{folder}: ended by {claimed.stopped!r} at step {facts['step']}, which cannot be repeated"
        )
    start = folder / START if (folder / START).is_file() else None
    again = run_experiment(claimed.experiment, base=base_of(folder / SPEC, options), start=start)
    pass_interrupt_on(again.stopped)
    weights = digest({"params": again.params, "state": again.train_state.state})
    same = {
        "steps": again.train_state.step == facts["step"],
        "weights": weights == facts["weights"],
        "metrics": finite_json(again.metrics) == claimed.metrics,
    }
    differ = [name for name, value in json.loads(json.dumps(environment())).items() if facts.get(name) != value]
    if options.json:
        print(json.dumps({"verified": all(same.values()), **same, "environment": differ}))
    else:
        _report(folder, claimed.metrics, again.metrics, same, differ)
    if not all(same.values()) and not options.json:
        print(f"largest difference of a weight: {_distance(claimed.params, again.params)}", file=sys.stderr)
    return 0 if all(same.values()) else 1


def _report(folder: Path, claimed: Any, again: Any, same: dict[str, bool], differ: list[str]) -> None:
    rows = [
        [part, name, number(value), number(again.get(part, {}).get(name))]
        for part, scores in claimed.items()
        for name, value in scores.items()
    ]
    table(["part", "score", "claimed", "again"], rows)
    print()
    for name, equal in same.items():
        print(f"{name:8} {'the same' if equal else 'NOT the same'}")
    if differ:
        print(f"trained in another environment ({', '.join(differ)}), which alone may change the last bits")
    print(f"\n{folder}: {'verified' if all(same.values()) else 'not verified'}")


def _distance(old: Any, new: Any) -> str:
    flat, other = tree.flatten(old), tree.flatten(new)
    if list(flat) != list(other):
        return "the networks have other params"
    return f"{max((float(abs(flat[path] - other[path]).max()) for path in flat), default=0.0):.3g}"
