"""``funcnet diff``"""

from __future__ import annotations

import argparse
import json
from typing import Any

from funcnet.cli.arguments import add_base, given
from funcnet.experiments.experiment import Experiment
from funcnet.layers.base import Layer
from funcnet.networks.compare import diff


def arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``funcnet diff``."""
    parser.add_argument("first", metavar="A", help="an experiment or model, a shipped one's name, or a run folder")
    parser.add_argument("second", metavar="B", help="another")
    parser.add_argument(
        "--input", metavar="SHAPE", help="the shape of one input, such as 28,28,1 (default: the data's)"
    )
    parser.add_argument("--exit-code", action="store_true", help="exit with 1 if they differ")
    parser.add_argument("--json", action="store_true", help="print the difference as JSON")
    add_base(parser)


def run(options: argparse.Namespace) -> int:
    """Print how two specs differ; with ``--exit-code`` the status is 1 if they do."""
    first, second = (given(name, options) for name in (options.first, options.second))
    found = diff(first.spec, second.spec)
    if isinstance(first.spec, Experiment) and isinstance(second.spec, Experiment):
        found = diff(first.model, second.model, in_shape=first.in_shape())._replace(changes=found.changes)
    elif isinstance(first.spec, Layer) and isinstance(second.spec, Layer):
        found = diff(first.spec, second.spec, in_shape=first.shape)
    if options.json:
        changes = [{"path": c.path, "what": c.what, "old": _plain(c.old), "new": _plain(c.new)} for c in found.changes]
        print(json.dumps({**found._asdict(), "changes": changes}))
    else:
        print(found)
    return int(bool(found) and options.exit_code)


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool | None) else repr(value)
