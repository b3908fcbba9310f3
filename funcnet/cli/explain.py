"""``funcnet explain``"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from funcnet.cli.arguments import add_base, parse_count
from funcnet.cli.console import print_table
from funcnet.cli.evaluate import parts_of
from funcnet.experiments.digests import finite_json
from funcnet.experiments.importance import importance
from funcnet.experiments.stored import load_run
from funcnet.files import write_bytes


def arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``funcnet explain``."""
    parser.add_argument("spec", metavar="RUN", help="the folder of a run")
    parser.add_argument("--data", metavar="FILE", help="another file in the form of the training data")
    parser.add_argument("--part", choices=("train", "validation", "test"), help="the rows (default: the last there is)")
    parser.add_argument("--metric", metavar="NAME", help="a metric, or loss (default: the first of the experiment's)")
    parser.add_argument("--repeats", metavar="N", default="5", help="how often each input is shuffled (default: 5)")
    parser.add_argument("--seed", metavar="N", type=int, help="of the shuffling (default: that of the experiment)")
    parser.add_argument("--out", metavar="FILE", help="write a picture too, importance.svg")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    add_base(parser)


def run(options: argparse.Namespace) -> int:
    """Print the permutation importance of each input of a run, the most important first."""
    folder, repeats = Path(options.spec), parse_count(options.repeats, "--repeats")
    run = load_run(folder)
    part, data = list(parts_of(run, folder, options).items())[-1]
    found = importance(run, data, metric=options.metric, repeats=repeats, key=options.seed)
    if options.out is not None:
        write_bytes(Path(options.out), found.svg(f"{folder.name}: importance on {part}").encode())
    if options.json:
        inputs = {
            name: {"mean": found.mean[name], "deviation": found.deviation[name], "drops": found.drops[name].tolist()}
            for name in found.order
        }
        facts = {"part": part, "rows": len(data.y), "metric": found.metric, "score": found.score, "inputs": inputs}
        print(json.dumps(finite_json(facts)))
        return 0
    print_table(found.table())
    return 0
