"""``funcnet show``"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

from funcnet.cli.arguments import Given, add_base, data_of, given, parse_count
from funcnet.cli.console import fits, print_table, table
from funcnet.experiments.experiment import Experiment
from funcnet.shapes import ROWS, Shape
from funcnet.views.summary import FIGURES, Summary, summary, unit_text


def arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``funcnet show``."""
    parser.add_argument("spec", help="an experiment or model in JSON, a shipped one's name, or a run folder")
    parser.add_argument("--input", metavar="SHAPE", help="the shape of one input, such as 28,28,1")
    parser.add_argument("--cost", action="store_true", help="print bytes moved and peak memory too, and the whole step")
    parser.add_argument("--batch", metavar="N", help="the rows of a batch (default: the experiment's, or 32)")
    parser.add_argument("--diagram", metavar="FILE", help="write a picture too: .svg, or .mmd for Mermaid")
    parser.add_argument("--json", action="store_true", help="print the table as JSON")
    add_base(parser)


def run(options: argparse.Namespace) -> int:
    """Print the table of a model's layers, from shapes alone."""
    found = given(options.spec, options)
    model, in_shape = found.model, found.in_shape()
    if options.diagram is not None:
        from funcnet.views.diagram import diagram

        diagram(model, in_shape).save(options.diagram)
    if options.cost:
        _show_cost(found, in_shape, options)
        return 0
    dtype = found.spec.dtype if isinstance(found.spec, Experiment) else "float32"
    batch = _batch_of(found, options.batch)
    lines = summary(model, in_shape, batch, dtype)
    if options.json:
        facts = {"input": in_shape, "batch": batch, "dtype": dtype}
        print(json.dumps(facts | {"layers": [one._asdict() for one in lines]}))
        return 0
    _print_layers(lines, FIGURES)
    return 0


def _print_layers(lines: Summary, figures: Sequence[str]) -> None:
    whole = lines.table(figures)
    print_table(whole if fits(whole) else lines.table(figures, narrow=True))


# ----- cost ----------------------------------------------------------------------------------------------------


def _show_cost(given: Given, in_shape: Shape, options: argparse.Namespace) -> None:
    """Print what a batch costs: by layer, then forward, backward and step as a whole."""
    from funcnet.networks.cost import Figures, cost

    loss = optimizer = None
    dtype, batch, spec = "float32", _batch_of(given, options.batch), given.spec
    if isinstance(spec, Experiment):
        loss, optimizer, dtype = spec.loss, spec.optimizer, spec.dtype
    found = cost(given.model, in_shape, batch, loss, optimizer, dtype)
    lines = summary(given.model, in_shape, batch, dtype)
    passes: dict[str, Figures] = {"forward": found.forward, "backward": found.backward}
    if found.step is not None:
        passes["step"] = found.step
    if options.json:
        facts = {"input": in_shape, "batch": batch, "dtype": dtype, "layers": [line._asdict() for line in lines]}
        print(json.dumps(facts | {name: figures._asdict() for name, figures in passes.items()}))
        return
    figures = ["forward_flops", "forward_bytes", "backward_flops", "backward_bytes"]
    _print_layers(lines, figures)
    print()
    rows = [
        [name, unit_text(one.flops, "FLOP"), unit_text(one.bytes, "B"), unit_text(one.peak, "B")]
        for name, one in passes.items()
    ]
    table(["pass", "FLOPs", "bytes moved", "peak memory"], rows)


def _batch_of(given: Given, asked: str | None) -> int:
    """The rows of a batch: as asked, or the experiment's, or 32. One of all rows requires reading the data."""
    if asked is not None:
        return parse_count(asked, "--batch")
    if not isinstance(given.spec, Experiment):
        return ROWS
    if given.spec.training.batch_size != "full":
        return given.spec.training.batch_size
    return len(data_of(given.file, given.spec, given.base).train.x)
