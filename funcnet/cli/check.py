"""``funcnet check``"""

from __future__ import annotations

import argparse
import json
import logging
import math
from pathlib import Path
from typing import Any

import numpy as np

from funcnet import ops, tree
from funcnet.cli.arguments import add_base, base_of, data_of, spec_file
from funcnet.cli.console import number, table
from funcnet.cli.train import load_experiment
from funcnet.data.preparation import Prepared, left_out
from funcnet.errors import LawError, NonFiniteError, listed
from funcnet.experiments.baseline import baseline, baseline_rows, of_members, remarks
from funcnet.experiments.checks import check_parts, fit_model
from funcnet.experiments.digests import finite_json
from funcnet.experiments.experiment import Experiment
from funcnet.experiments.run import starting_state
from funcnet.experiments.units import class_weights, in_units
from funcnet.key import Key
from funcnet.laws.layers import check_layer
from funcnet.layers.base import Context, count_parameters
from funcnet.shapes import shape_text
from funcnet.training.batches import batches
from funcnet.training.evaluate import evaluate
from funcnet.training.outputs import doubts
from funcnet.training.step import value_and_grad

log = logging.getLogger("funcnet")


def arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``funcnet check``."""
    parser.add_argument("spec", help="the experiment: a JSON file, a shipped one's name, or a run folder")
    parser.add_argument("--set", metavar="PATH=VALUE", action="append", default=[], help="change the spec first")
    parser.add_argument("--json", action="store_true", help="print what was found, or the error, as JSON")
    add_base(parser)


def run(options: argparse.Namespace) -> int:
    """Validate an experiment: its spec, its data, shapes, the first batch forward and backward, and the laws."""
    path = spec_file(Path(options.spec))
    experiment = load_experiment(path, options.set)
    base = base_of(path, options)
    data = data_of(path, experiment, base)
    in_shape = data.train.x.shape[1:]
    fit_model(experiment, in_shape)
    class_weights(experiment, data.preprocess)
    metrics = in_units(experiment.metrics, data.preprocess)
    check_parts(experiment, data, metrics)
    warnings = list(doubts(experiment.model, experiment.loss, data.train.x, data.train.y))
    for sentence in warnings:
        log.warning("%s", sentence)
    value, scores = first_batch(experiment, data, base)
    coupled = obeys_laws(experiment, data)
    parameters = count_parameters(experiment.model.leaves(in_shape))
    compared = baseline(experiment, data)
    if options.json:
        facts = {"found": data.found, "input": in_shape, "parameters": parameters, "first_loss": value}
        facts |= {} if compared is None else {"baseline": finite_json(compared)}
        print(json.dumps(facts | {"metrics": scores, "laws": "hold", "batch_coupled": coupled, "warnings": warnings}))
        return 0
    report(experiment, data)
    ends = f"{shape_text(in_shape)} to {shape_text(experiment.model.out_shape(in_shape))}"
    print(f"\nmodel   {ends}, {parameters:,} parameters")
    print(f"batch   loss {number(value)} before training" + "".join(f", {k} {number(v)}" for k, v in scores.items()))
    note = "; rows depend on one another in training (batch statistics or noise)" if coupled else ""
    print(f"laws    gradients, purity, precision, layouts and JSON hold{note}")
    if compared is not None:
        names = list(next(iter(compared["linear"].values())))
        print()
        table(["to beat", *names], baseline_rows(compared, names))
        for sentence in (*of_members(experiment), *remarks(compared, experiment)):
            print(sentence)
    print(f"\n{path}: ready to train" + (", but see the warning above" if warnings else ""))
    return 0


def report(experiment: Experiment, data: Prepared) -> None:
    """Print the columns, inputs and targets of the data."""
    found = data.found
    rows = ", ".join(f"{name} {count:,}" for name, count in found["rows"].items())
    print(f"data    {experiment.data.tag}: {sum(found['rows'].values()):,} rows ({rows})")
    if "columns" in found:
        names = found["columns"]
        print(f"inputs  {len(names)} column{'s' * (len(names) > 1)}: {listed(names, 100)}")
    else:
        print(f"inputs  {shape_text(tuple(found['input']))}")
    missing = found.get("missing")
    if isinstance(missing, dict) and missing:
        print("missing " + listed((f"{name} {count:,}{read_as(found, name)}" for name, count in missing.items()), 100))
        if any(read_as(found, name) for name in missing):
            print('        (if a text is a value, give a list "missing" without it)')
    elif isinstance(missing, int):
        print(f"missing {missing:,}")
    for sentence in left_out(found):
        print(f"target  {sentence}")
    if "targets" in found:
        print(f"targets {listed(found['targets'], 100)}")
    if "labels" in found:
        total = sum(found["rows"].values())
        print()
        table(["label", "present", "%"], [[k, f"{n:,}", f"{100 * n / total:.1f}"] for k, n in found["labels"].items()])
    if "classes" in found:
        print()
        total = sum(found["classes"].values())
        lines = [[name, f"{n:,}", f"{100 * n / total:.1f}"] for name, n in found["classes"].items()]
        table(["class", "rows", "%"], lines[:40])


def read_as(found: dict[str, Any], name: str) -> str:
    """The texts of a column that count as missing, if they are not just empty cells."""
    texts = found.get("missing_texts", {}).get(name, {})
    return f" ({', '.join(f'{text!r} {count:,}' for text, count in texts.items())})" if any(texts) else ""


def first_batch(experiment: Experiment, data: Prepared, base: Path) -> tuple[float, dict[str, float]]:
    """The loss of the first batch, forward and backward in training, and the metrics of its rows.

    Raises   NonFiniteError where the loss or a gradient is not finite
    """
    start = starting_state(experiment, Key(experiment.seed), data, base)
    size = experiment.training.batch_size
    part = data.train
    rows = len(part.y) if size == "full" else min(size, len(part.y))
    x, y, weight = next(batches(part.x, part.y, part.weight, rows, start.key.fold("epoch", 0), block=data.block))
    ctx = Context(True, start.key.fold("step", 0))
    gradients = value_and_grad(experiment.model, experiment.loss)
    with ops.quiet():  # what is not finite is refused
        value, _, grads = gradients(start.params, start.state, x, y, ctx, weight)
    if not math.isfinite(value) or not all(np.isfinite(leaf).all() for leaf in tree.leaves(grads)):
        raise NonFiniteError(
            f"the first batch has a loss of {value}, or gradients that are not finite; scale the inputs"
        )
    metrics = in_units(experiment.metrics, data.preprocess)
    scores = evaluate(experiment.model, experiment.loss, start.params, start.state, (x, y, weight), metrics)
    return float(value), {name: score for name, score in scores.items() if name != "loss"}


def obeys_laws(experiment: Experiment, data: Prepared) -> bool:
    """Check the laws on the model; return whether its rows depend on one another in training.

    Raises   LawError
    """
    in_shape = data.train.x.shape[1:]
    try:
        check_layer(experiment.model, in_shape)
    except LawError:
        check_layer(experiment.model, in_shape, batch_coupled=True)  # batch statistics and noise couple rows
        return True
    return False
