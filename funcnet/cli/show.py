"""``funcnet show``"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

from funcnet.cli.console import table
from funcnet.cli.paths import base_of, spec_file
from funcnet.data.preparation import input_shape
from funcnet.errors import Problem, ShapeError, SpecError
from funcnet.experiments.experiment import Experiment
from funcnet.key import Key
from funcnet.layers.base import Layer
from funcnet.shapes import Shape
from funcnet.spec.codec import load_spec
from funcnet.views.summary import Line, summary


def parse_shape(text: str) -> tuple[int, ...]:
    """``28,28,1`` or ``28x28x1``; an empty text is one number per sample.

    Raises   ShapeError for anything else
    """
    inside = text.strip("() ").removesuffix(",")
    parts = re.split(r"[,x]", inside) if inside else []
    if not all(re.fullmatch(r" *[0-9]{1,18} *", part) and int(part) > 0 for part in parts):
        raise ShapeError(f"--input: expected a shape such as 28,28,1, got {text!r}")
    return tuple(int(part) for part in parts)


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
        raise ShapeError("--batch: a batch is counted with --cost alone; add --cost")
    path = Path(options.spec)
    file = spec_file(path)
    spec = load_spec(file)
    if isinstance(spec, Experiment):
        model: Layer = spec.model
        in_shape: Shape = (
            input_shape(spec.data, Key(spec.seed), base_of(file, options.allow_outside))
            if options.input is None
            else parse_shape(options.input)
        )
    elif isinstance(spec, Layer):
        if options.input is None:
            raise ShapeError("a model alone does not say what its input is; give the shape, such as --input 28,28,1")
        model, in_shape = spec, parse_shape(options.input)
    else:
        raise SpecError([Problem("", f"expected an experiment or a model, got a {spec.kind}")], root=str(file))
    if options.diagram is not None:
        from funcnet.views.diagram import diagram

        diagram(model, in_shape).save(options.diagram)
    if options.cost:
        _show_cost(spec, file, model, in_shape, options)
        return 0
    lines = summary(model, in_shape, None)
    if options.json:
        print(json.dumps({"input": in_shape, "layers": [line._asdict() for line in lines]}))
        return 0
    columns = ["layer", "type", "output", "parameters", "multiply-adds"]
    table(columns, _rows(lines, ["multiply_adds"]), f"input {shape_text(in_shape)}", total=True)
    return 0


def _rows(lines: list[Line], figures: list[str]) -> list[list[str]]:
    """The rows of a table of layers, the last one the whole network's."""
    whole = lines[0]

    def row(name: str, kind: str, line: Line) -> list[str]:
        counts = [count_text(getattr(line, figure)) for figure in figures]
        return [name, kind, shape_text(line.out_shape), f"{line.parameters:,}", *counts]

    names = ["  " * max(0, line.depth - 1) + (line.path.rpartition("/")[2] or "network") for line in lines]
    rows = [row(name, line.layer, line) for name, line in zip(names, lines, strict=True)]
    return [*(rows[1:] or rows), row("total", "", whole)]


# ----- cost ----------------------------------------------------------------------------------------------------


def _show_cost(spec: Any, file: Path, model: Layer, in_shape: Shape, options: argparse.Namespace) -> None:
    """Print what a batch costs: by layer, then forward, backward and step as a whole."""
    from funcnet.networks.cost import ROWS, Figures, cost

    loss = optimizer = None
    dtype, batch = "float32", ROWS
    if isinstance(spec, Experiment):
        loss, optimizer, dtype = spec.loss, spec.optimizer, spec.dtype
        batch = _batch_of(spec, base_of(file, options.allow_outside)) if options.batch is None else batch
    if options.batch is not None:
        batch = parse_count(options.batch, "--batch")
    found = cost(model, in_shape, batch, loss, optimizer, dtype)
    lines = summary(model, in_shape, batch, dtype)
    passes: dict[str, Figures] = {"forward": found.forward, "backward": found.backward}
    if found.step is not None:
        passes["step"] = found.step
    if options.json:
        facts = {"input": in_shape, "batch": batch, "dtype": dtype, "layers": [line._asdict() for line in lines]}
        print(json.dumps(facts | {name: figures._asdict() for name, figures in passes.items()}))
        return
    figures = ["forward_flops", "forward_bytes", "backward_flops", "backward_bytes"]
    columns = ["layer", "type", "output", "parameters", *(figure.replace("_", " ") for figure in figures)]
    title = f"input {shape_text(in_shape)}, batch of {batch:,}, {dtype}"
    table([name.replace("flops", "FLOPs") for name in columns], _rows(lines, figures), title, total=True)
    print()
    rows = [
        [name, *aligned]
        for name, *aligned in zip(
            passes,
            _aligned([unit_text(one.flops, "FLOP") for one in passes.values()]),
            _aligned([unit_text(one.bytes, "B") for one in passes.values()]),
            _aligned([unit_text(one.peak, "B") for one in passes.values()]),
            strict=True,
        )
    ]
    table(["pass", "FLOPs", "bytes moved", "peak memory"], rows)


def _batch_of(spec: Experiment, base: Path) -> int:
    """The rows of an experiment's batch; for the whole training part it must be read."""
    if spec.training.batch_size != "full":
        return spec.training.batch_size
    from funcnet.data.preparation import prepare

    return len(prepare(spec.data, Key(spec.seed), base, spec.dtype).train.x)


def parse_count(text: str, option: str) -> int:
    """A whole number of 1 or more.

    Raises   ShapeError for anything else
    """
    if not re.fullmatch(r"[0-9]{1,18}", text) or int(text) < 1:
        raise ShapeError(f"{option}: expected a whole number of 1 or more, got {text!r}")
    return int(text)


def unit_text(value: int | None, unit: str) -> str:
    """A quantity in thousands, millions, … of a unit: ``1.23 MB``; ? where it is not known."""
    if value is None:
        return f"? {unit}"
    power = next((i for i in range(6, 0, -1) if value >= 1000**i), 0)
    prefix = " kMGTPE"[power].strip()
    return f"{value / 1000**power:.2f} {prefix}{unit}" if power else f"{value} {unit}"


def _aligned(texts: list[str]) -> list[str]:
    """Quantities of one width, whose numbers end, and whose units begin, at the same column."""
    parts = [text.split(" ") for text in texts]
    widths = [max(len(part[i]) for part in parts) for i in (0, 1)]
    return [f"{number.rjust(widths[0])} {unit.ljust(widths[1])}" for number, unit in parts]


def shape_text(shape: Shape) -> str:
    """``28 x 28 x 1``; a number for each sample is ``()``."""
    if isinstance(shape, dict):
        return ", ".join(f"{name}: {shape_text(inner)}" for name, inner in shape.items())
    if any(not isinstance(n, int) for n in shape):
        return " | ".join(shape_text(inner) for inner in shape)
    return " x ".join(map(str, shape)) or "()"


def count_text(count: int | None) -> str:
    """A count, or ? where a layer's cost is not known."""
    return "?" if count is None else f"{count:,}"
