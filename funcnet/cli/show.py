"""``funcnet show``"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from funcnet.cli.arguments import Given, given, parse_count
from funcnet.cli.console import fits, print_table, table
from funcnet.errors import ShapeError
from funcnet.experiments.experiment import Experiment
from funcnet.key import Key
from funcnet.shapes import Shape, shape_text
from funcnet.views.summary import FIGURES, Summary, summary, unit_text


def arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``funcnet show``."""
    parser.add_argument("spec", help="an experiment or model in JSON, a shipped one's name, or a run folder")
    parser.add_argument("--input", metavar="SHAPE", help="the shape of one input, such as 28,28,1")
    parser.add_argument("--cost", action="store_true", help="print FLOPs, bytes moved and memory of a batch instead")
    parser.add_argument("--batch", metavar="N", help="the rows of that batch (default: the experiment's, or 32)")
    parser.add_argument("--diagram", metavar="FILE", help="write a picture too: .svg, or .mmd for Mermaid")
    parser.add_argument("--json", action="store_true", help="print the table as JSON")
    parser.add_argument("--allow-outside", action="store_true", help="allow data files outside the spec's folder")


def run(options: argparse.Namespace) -> int:
    """Print the table of a model's layers, from shapes alone."""
    if options.batch is not None and not options.cost:
        raise ShapeError("--batch: only --cost counts a batch; add --cost")
    found = given(options.spec, options)
    model, in_shape = found.model, found.in_shape()
    if options.diagram is not None:
        from funcnet.views.diagram import diagram

        diagram(model, in_shape).save(options.diagram)
    if options.cost:
        _show_cost(found, in_shape, options)
        return 0
    dtype = found.spec.dtype if isinstance(found.spec, Experiment) else "float32"
    lines = summary(model, in_shape, 1, dtype)
    if options.json:
        print(json.dumps({"input": in_shape, "batch": 1, "dtype": dtype, "layers": [one._asdict() for one in lines]}))
        return 0
    _print_layers(lines, FIGURES, f"input {shape_text(in_shape)}, batch of 1, {dtype}")
    return 0


def _print_layers(lines: Summary, figures: Sequence[str], title: str) -> None:
    whole = lines.table(figures, title)
    print_table(whole if fits(whole) else lines.table(figures, title, narrow=True))


# ----- cost ----------------------------------------------------------------------------------------------------


def _show_cost(given: Given, in_shape: Shape, options: argparse.Namespace) -> None:
    """Print what a batch costs: by layer, then forward, backward and step as a whole."""
    from funcnet.networks.cost import ROWS, Figures, cost

    loss = optimizer = None
    dtype, batch, spec = "float32", ROWS, given.spec
    if isinstance(spec, Experiment):
        loss, optimizer, dtype = spec.loss, spec.optimizer, spec.dtype
        batch = _batch_of(spec, given.base) if options.batch is None else batch
    if options.batch is not None:
        batch = parse_count(options.batch, "--batch")
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
    _print_layers(lines, figures, f"input {shape_text(in_shape)}, batch of {batch:,}, {dtype}")
    print()
    rows = [
        [name, unit_text(one.flops, "FLOP"), unit_text(one.bytes, "B"), unit_text(one.peak, "B")]
        for name, one in passes.items()
    ]
    table(["pass", "FLOPs", "bytes moved", "peak memory"], rows)


def _batch_of(spec: Experiment, base: Path) -> int:
    """The rows of an experiment's batch; a batch of the whole training part requires reading the data."""
    if spec.training.batch_size != "full":
        return spec.training.batch_size
    from funcnet.data.preparation import prepare

    return len(prepare(spec.data, Key(spec.seed), base, spec.dtype).train.x)
