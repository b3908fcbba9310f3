"""``funcnet diff``"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from funcnet.cli.paths import base_of, spec_file
from funcnet.cli.show import parse_shape
from funcnet.data.preparation import input_shape
from funcnet.experiments.experiment import Experiment
from funcnet.key import Key
from funcnet.layers.base import Layer
from funcnet.networks.compare import diff
from funcnet.spec.codec import load_spec


def arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``funcnet diff``."""
    parser.add_argument("first", metavar="A", help="an experiment or model, a shipped one's name, or a run folder")
    parser.add_argument("second", metavar="B", help="another")
    parser.add_argument(
        "--input", metavar="SHAPE", help="the shape of one input, such as 28,28,1 (default: the data's)"
    )
    parser.add_argument("--exit-code", action="store_true", help="exit with 1 if they differ")
    parser.add_argument("--json", action="store_true", help="print the difference as JSON")
    parser.add_argument("--allow-outside", action="store_true", help="allow data files outside the spec's folder")


def run(options: argparse.Namespace) -> int:
    """Print how two specs differ; with ``--exit-code`` the status is 1 if they do."""
    files = [spec_file(Path(name)) for name in (options.first, options.second)]
    first, second = (load_spec(file) for file in files)
    shape = None if options.input is None else parse_shape(options.input)
    found = diff(first, second)
    if isinstance(first, Experiment) and isinstance(second, Experiment):
        nets = first.model, second.model
        shape = (
            input_shape(first.data, Key(first.seed), base_of(files[0], options.allow_outside))
            if shape is None
            else shape
        )
        found = diff(*nets, in_shape=shape)._replace(changes=found.changes)
    elif isinstance(first, Layer) and isinstance(second, Layer):
        found = diff(first, second, in_shape=shape)
    if options.json:
        changes = [{"path": c.path, "what": c.what, "old": _plain(c.old), "new": _plain(c.new)} for c in found.changes]
        print(json.dumps({**found._asdict(), "changes": changes}))
    else:
        print(found)
    return int(bool(found) and options.exit_code)


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool | None) else repr(value)
