"""``funcnet evaluate``"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from funcnet.cli.arguments import add_base, base_of
from funcnet.cli.console import number, table
from funcnet.cli.predict import output_names
from funcnet.data.preparation import Dataset, prepare
from funcnet.data.preprocess import restore_targets
from funcnet.errors import DataError
from funcnet.experiments.folder import Run, data_digest, finite_json
from funcnet.experiments.origin import SPEC
from funcnet.experiments.stored import load_run, read_facts
from funcnet.key import Array, Key
from funcnet.losses.base import at_half, classifies
from funcnet.metrics import PerClass, confusion_matrix, per_class
from funcnet.metrics.confusion import Counts, label_counts, scores as scores_of
from funcnet.training.evaluate import answers
from funcnet.training.probabilities import is_multilabel, is_one, label_of

SHOWN = 20
"""The most classes whose confusion matrix is printed"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``funcnet evaluate``."""
    parser.add_argument("spec", metavar="RUN", help="the folder of a run")
    parser.add_argument("--data", metavar="FILE", help="another file in the form of the training data")
    parser.add_argument("--part", choices=("train", "validation", "test"), help="print only this part (default: all)")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    add_base(parser)


def run(options: argparse.Namespace) -> int:
    """Print the metrics of a run on its own data or another file, and a classifier's confusion matrix."""
    folder = Path(options.spec)
    run = load_run(folder)
    if options.data:
        parts = {options.data: run.dataset(options.data)}
    else:
        base = base_of(folder / SPEC, options)
        parts = _parts(run, folder, base, options.part)
    scores = {name: run.evaluate(part) for name, part in parts.items()}
    last, part = list(parts.items())[-1]
    matrix, labels, targets = _confusion(run, part), _labels(run, part), _targets(run, part)
    if options.json:
        facts: dict[str, Any] = {"metrics": scores}
        if matrix is not None:
            facts |= {"part": last, "classes": _names(run, matrix), "confusion": matrix.tolist()}
            facts["per_class"] = {name: values.tolist() for name, values in per_class(matrix)._asdict().items()}
        if labels is not None:
            facts |= {"part": last, "labels": _label_names(run, labels)}
            facts["per_label"] = {name: values.tolist() for name, values in labels._asdict().items()}
        if targets:
            facts |= {"part": last, "per_target": targets}
        print(json.dumps(finite_json(facts)))
        return 0
    names = list(next(iter(scores.values())))
    table(["part", *names], [[name, *(number(of[one]) for one in names)] for name, of in scores.items()])
    if matrix is not None:
        _print_classes(_names(run, matrix), matrix, last)
    if labels is not None:
        print()
        _print_each("label", _label_names(run, labels), labels, last)
    if targets:
        print()
        names = list(next(iter(targets.values())))
        table(["target", *names], [[k, *map(number, of.values())] for k, of in targets.items()], f"targets of {last}")
    return 0


def _parts(run: Run, folder: Path, base: Path, wanted: str | None) -> dict[str, Dataset]:
    """The parts of the run's own data, read again."""
    experiment = run.experiment
    data = prepare(experiment.data, Key(experiment.seed), base, experiment.dtype, run.preprocess)
    parts = data.parts_by_name()
    if data_digest(data) != read_facts(folder)["data"]:
        print(f"funcnet: {folder}: the data is not what the run was trained on; it has changed since", file=sys.stderr)
    if wanted is None:
        return parts
    if wanted not in parts:
        raise DataError(f"{folder}: the run has no {wanted} part; it has {', '.join(parts)}")
    return {wanted: parts[wanted]}


def _confusion(run: Run, part: Dataset) -> Array | None:
    """The confusion matrix of a classifier with one label per row; None for any other network."""
    y, experiment = part.y, run.experiment
    if y.ndim != 1 or y.dtype.kind not in "iub" or not (classifies(experiment.loss) or run.classes):
        return None
    matrix: Any = 0
    for answer, labels, weight in _answers(run, part):
        count = 2 if is_one(answer) else answer.shape[-1]
        matrix = matrix + confusion_matrix(label_of(experiment.loss, answer), labels, count, weight)
    return matrix


def _labels(run: Run, part: Dataset) -> PerClass | None:
    """The scores of each label of a network of several labels; None for any other network."""
    counts: Any = None
    for answer, y, weight in _answers(run, part) if run.experiment.loss.independent else ():
        if not is_multilabel(run.experiment.loss, answer):
            return None
        more = label_counts(at_half(run.experiment.loss, answer), y, weight)
        counts = more if counts is None else Counts(*map(np.add, counts, more))
    return None if counts is None else scores_of(counts)


def _targets(run: Run, part: Dataset) -> dict[str, dict[str, float]]:
    """The metrics of each of several targets that are numbers, in their units; empty for any other network."""
    outputs, loss, metrics = run.preprocess.get("outputs", ()), run.experiment.loss, run.experiment.metrics
    if len(outputs) < 2 or classifies(loss) or not metrics:
        return {}
    found = [
        (restore_targets(run.preprocess, p), restore_targets(run.preprocess, y), w) for p, y, w in _answers(run, part)
    ]
    p, y = (np.concatenate([block[i] for block in found]) for i in (0, 1))
    weight = None if found[0][2] is None else np.concatenate([block[2] for block in found])
    each = p.shape[-1] // len(outputs)  # numbers for each target
    return {
        name: {one.name: one(p[:, i * each : (i + 1) * each], y[:, i], weight) for one in metrics}
        for i, name in enumerate(outputs)
    }


def _answers(run: Run, part: Dataset) -> Iterator[tuple[Any, Any, Array | None]]:
    experiment = run.experiment
    return answers(experiment.model, experiment.loss, run.params, run.train_state.state, part)


def _label_names(run: Run, labels: PerClass) -> list[str]:
    return output_names(run, len(labels.support))


def _names(run: Run, matrix: Array) -> list[str]:
    return (run.classes or [str(i) for i in range(len(matrix))])[: len(matrix)]


def _print_each(what: str, names: list[str], scores: PerClass, part: str) -> None:
    rows = [[name, *(number(float(values[i])) for values in scores)] for i, name in enumerate(names)]
    table([what, *scores._fields], rows, f"{'labels' if what == 'label' else 'classes'} of {part}")


def _print_classes(names: list[str], matrix: Array, part: str) -> None:
    print()
    _print_each("class", names, per_class(matrix), part)
    if len(names) <= SHOWN:
        print()
        cells = [[name, *(number(float(value)) for value in row)] for name, row in zip(names, matrix, strict=True)]
        table(["true \\ predicted", *names], cells, f"confusion matrix of {part}")
    else:
        worst = int(np.argmax(matrix - np.diag(np.diagonal(matrix))))
        true, taken = divmod(worst, len(names))
        print(
            f"\nmost often mistaken: {names[true]!r} for {names[taken]!r}, {number(float(matrix[true, taken]))} times"
        )
