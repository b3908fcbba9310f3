"""``funcnet source``"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

import numpy as np

from funcnet import tree
from funcnet.cli.arguments import Given, add_base, base_of, data_of, given, parse_count
from funcnet.codegen.demonstration import FEW
from funcnet.codegen.inference import inference
from funcnet.codegen.source import source
from funcnet.data.paths import inside
from funcnet.data.preparation import Prepared
from funcnet.errors import CheckpointError, DataError, FuncnetError
from funcnet.experiments.experiment import Experiment, InitialNpz
from funcnet.experiments.origin import SPEC
from funcnet.experiments.run import starting_state
from funcnet.experiments.stored import load_run
from funcnet.files import npz_bytes, read_npz, write_bytes
from funcnet.key import Array, Key
from funcnet.layers.base import Context
from funcnet.optim.schedules import LONG, bind
from funcnet.training.state import TrainState
from funcnet.training.step import value_and_grad

SEEN = 200
"""The batches of which a small spec's demonstration has the steepest"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``funcnet source``."""
    parser.add_argument("spec", help="an experiment or model in JSON, a shipped one's name, or a run folder")
    parser.add_argument("--input", metavar="SHAPE", help="the shape of one input, such as 28,28,1")
    parser.add_argument("--batch", metavar="N", help="the rows of a batch (default: the experiment's)")
    parser.add_argument("--teach", action="store_true", help="print it for learners, with NumPy's own draws")
    parser.add_argument("--planned", action="store_true", help="print the program that really runs, with its memory")
    parser.add_argument(
        "--inference",
        action="store_true",
        help="write a run as a program that predicts for raw rows and its weights (default: RUN/inference.py)",
    )
    parser.add_argument("--out", metavar="FILE", help="write the file instead of printing it")
    add_base(parser)


def run(options: argparse.Namespace) -> int:
    """Print a network as one NumPy file, or write it."""
    if options.inference:
        return write_inference(options)
    if options.planned and options.teach:
        raise FuncnetError("--teach: does not go with --planned, which prints the program as it runs; leave one out")
    found = given(options.spec, options)
    batch = None if options.batch is None else parse_count(options.batch, "--batch")
    model, shape, spec = found.model, found.in_shape(), found.spec
    if isinstance(spec, Experiment):
        rows, total = _length(found.file, spec, found.base)
        optimizer = bind(spec.optimizer, total)
        rows = batch or rows
        start = {} if options.planned else start_of(found, spec, rows)
        how = {"dtype": spec.dtype, "planned": options.planned, "teach": options.teach}
        text = source(model, shape, rows, spec.loss, optimizer, target=start.get("y"), start=start, **how)
    else:
        text = source(model, shape, batch or 32, planned=options.planned, teach=options.teach)
    if options.out is None:
        print(text, end="")
    else:
        write_bytes(Path(options.out), text.encode())
        print(f"written to {options.out}")
    return 0


def start_of(found: Given, spec: Experiment, rows: int) -> dict[str, Any]:
    """The values that a small network's training begins with: ``params``, ``state``, ``x`` and ``y``.

    The batch is the steepest of the first of the data, so that the loss can be seen to fall, or the members ``x`` and
    ``y`` in the archive of the initial values.
    """
    shape = found.in_shape()
    sizes = [math.prod(leaf.shape) for leaf in tree.flatten(found.model.leaves(shape)).values()]
    if not isinstance(shape, tuple) or max(sum(sizes), rows * math.prod(shape)) > FEW:
        return {}
    data = data_of(found.file, spec, found.base)
    key = Key(spec.seed)
    began = starting_state(spec, key, data, found.base)
    x, y = steepest(spec, began, data, rows)
    initial = spec.training.initial
    if isinstance(initial, InitialNpz):
        members = read_npz(inside(found.base, initial.path))
        if {"x", "y"} <= members.keys() and len(members["x"]) == rows:
            x, y = members["x"].astype(x.dtype), members["y"].astype(y.dtype)
    return {"params": began.params, "state": began.state, "x": x, "y": y} if len(x) == rows else {}


def steepest(spec: Experiment, began: TrainState, data: Prepared, rows: int) -> tuple[Array, Array]:
    """The inputs and targets of that of the first batches whose gradient is largest."""
    step = value_and_grad(spec.model, spec.loss)
    batches = [slice(begin, begin + rows) for begin in range(0, min(len(data.train.y), SEEN * rows), rows)]

    def steepness(batch: slice) -> float:
        x, y = data.train.x[batch], data.train.y[batch]
        _, _, grads = step(began.params, began.state, x, y, Context(True, began.key))
        return float(sum(np.sum(leaf * leaf) for leaf in tree.leaves(grads))) if len(y) == rows else -1.0

    batch = max(batches, key=steepness)
    return data.train.x[batch], data.train.y[batch]


def write_inference(options: argparse.Namespace) -> int:
    """Write a run as a program that predicts for raw rows, and the archive of its weights beside it."""
    for name in ("input", "batch", "planned", "teach"):
        if getattr(options, name):
            raise FuncnetError(f"--{name}: does not go with --inference, where the run decides; leave it out")
    folder = Path(options.spec)
    run = load_run(folder)
    out = folder / "inference.py" if options.out is None else Path(options.out)
    archive = out.with_suffix(".npz")
    if out.suffix != ".py":
        raise FuncnetError(f"--out: expected a file that ends in .py, got {options.out}")
    if archive.exists() and "program" not in read_npz(archive):
        raise CheckpointError(f"{archive}: holds something other than a program's weights; choose another --out")
    preprocess, source = run.preprocess, run.experiment.data
    shape = preprocess.get("shape", () if "columns" in preprocess else None)
    if shape is None:
        shape = source.in_shape(base_of(folder / SPEC, options))
    if shape is None:
        raise DataError(f"{folder}: the run does not record the shape of its inputs; train it again")
    values = run.experiment, run.params, run.train_state.state, preprocess
    program = inference(*values, tuple(shape), out.stem, f"the run '{folder.resolve().name}'", run.temperature)
    write_bytes(archive, npz_bytes(program.members))
    write_bytes(out, program.text.encode())
    print(f"written to {out} and {archive}")
    return 0


def _length(file: Path, spec: Experiment, base: Path) -> tuple[int, int]:
    """The rows of a batch and the steps of the run, which may require reading the training part."""
    training = spec.training
    open_ended = bind(spec.optimizer, LONG) != spec.optimizer and training.steps is None
    if training.batch_size != "full" and not open_ended:
        return training.batch_size, training.steps or 1
    rows = len(data_of(file, spec, base).train.x)
    size = rows if training.batch_size == "full" else training.batch_size
    per_epoch = rows // min(size, rows) if training.remainder == "drop" else -(-rows // size)
    return size, training.steps or per_epoch * (training.epochs or 1)
