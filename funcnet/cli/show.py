"""``funcnet show``"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

from funcnet.cli.console import table
from funcnet.cli.files import base_of, spec_file
from funcnet.codec import load_spec
from funcnet.errors import Problem, ShapeError, SpecError
from funcnet.layer import Layer, Shape
from funcnet.training.experiment import Experiment
from funcnet.views.summary import summary


def parse_shape(text: str) -> tuple[int, ...]:
    """``28,28,1`` or ``28x28x1``; an empty text is one number per sample.

    Raises   ShapeError for anything else
    """
    inside = text.strip("() ").removesuffix(",")
    parts = re.split(r"[,x]", inside) if inside else []
    if not all(re.fullmatch(r" *[0-9]{1,18} *", part) and int(part) > 0 for part in parts):
        raise ShapeError(f"--input: expected a shape such as 28,28,1, got {text!r}")
    return tuple(int(part) for part in parts)


def show(options: argparse.Namespace) -> int:
    """Print the table of a model's layers, from shapes alone."""
    path = Path(options.spec)
    file = spec_file(path)
    spec = load_spec(file)
    if isinstance(spec, Experiment):
        model: Layer = spec.model
        in_shape: Shape = spec.data.in_shape(base_of(file)) if options.input is None else parse_shape(options.input)
    elif isinstance(spec, Layer):
        if options.input is None:
            raise ShapeError("a model alone does not say what its input is; give the shape, such as --input 28,28,1")
        model, in_shape = spec, parse_shape(options.input)
    else:
        raise SpecError([Problem("", f"expected an experiment or a model, got a {spec.kind}")], root=str(file))
    lines = summary(model, in_shape)
    if options.json:
        print(json.dumps({"input": in_shape, "layers": [line._asdict() for line in lines]}))
        return 0
    whole = lines[0]
    rows = [
        [
            "  " * max(0, line.depth - 1) + (line.path.rpartition("/")[2] or "network"),
            line.layer,
            shape_text(line.out_shape),
            f"{line.parameters:,}",
            cost_text(line.multiply_adds),
        ]
        for line in (lines[1:] or lines)
    ]
    rows.append(["total", "", shape_text(whole.out_shape), f"{whole.parameters:,}", cost_text(whole.multiply_adds)])
    table(["layer", "type", "output", "parameters", "multiply-adds"], rows, f"input {shape_text(in_shape)}", total=True)
    return 0


def shape_text(shape: Shape) -> str:
    """``28 x 28 x 1``; a number for each sample is ``()``."""
    if isinstance(shape, dict):
        return ", ".join(f"{name}: {shape_text(inner)}" for name, inner in shape.items())
    if any(not isinstance(n, int) for n in shape):
        return " | ".join(shape_text(inner) for inner in shape)
    return " x ".join(map(str, shape)) or "()"


def cost_text(multiply_adds: int | None) -> str:
    """A count, or ? where a layer's cost is not known."""
    return "?" if multiply_adds is None else f"{multiply_adds:,}"
