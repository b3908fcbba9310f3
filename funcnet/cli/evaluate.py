"""``funcnet evaluate``"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from funcnet.cli.arguments import add_base, base_of, data_of
from funcnet.cli.console import number, table
from funcnet.cli.predict import output_names
from funcnet.data.preparation import Dataset, left_out
from funcnet.data.scaling import restore_targets
from funcnet.errors import DataError
from funcnet.experiments.baseline import baseline_rows, of_members
from funcnet.experiments.digests import data_digest, finite_json
from funcnet.experiments.origin import SPEC
from funcnet.experiments.result import Run
from funcnet.experiments.stored import load_run, read_facts
from funcnet.files import write_bytes
from funcnet.key import Array
from funcnet.losses.base import at_half, classifies
from funcnet.metrics import PerClass, per_class
from funcnet.metrics.confusion import Counts, label_counts, scores as scores_of
from funcnet.training.evaluate import answers
from funcnet.training.probabilities import is_multilabel
from funcnet.views.scores import Scored, left_out as pictures_left_out, pictures

SHOWN = 20
"""The most classes whose confusion matrix is printed"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``funcnet evaluate``."""
    parser.add_argument("spec", metavar="RUN", help="the folder of a run")
    parser.add_argument("--data", metavar="FILE", help="another file in the form of the training data")
    parser.add_argument("--part", choices=("train", "validation", "test"), help="print only this part (default: all)")
    parser.add_argument(
        "--pictures",
        action="store_true",
        help="draw the answers into RUN: reliability, confusion, roc, or predicted for numbers (.svg)",
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    add_base(parser)


def run(options: argparse.Namespace) -> int:
    """Print the metrics of a run on its own data or another file, and a classifier's confusion matrix."""
    folder = Path(options.spec)
    run = load_run(folder)
    compared = None if options.data else run.baseline
    parts = parts_of(run, folder, options)
    scores = {name: run.evaluate(part) for name, part in parts.items()}
    last, part = list(parts.items())[-1]
    scored = _scored(run, last, part)
    matrix, labels, targets = scored.matrix(), _labels(run, part), _targets(run, part)
    drawn = _pictures(folder, scored) if options.pictures else None
    left = pictures_left_out(scored) if options.pictures else {}
    if options.json:
        facts: dict[str, Any] = {"metrics": scores}
        if compared is not None:
            facts["baseline"] = compared
        if drawn is not None:
            facts["pictures"] = list(map(str, drawn))
            facts |= {"pictures_left_out": left} if left else {}
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
    rows = [[name, *(number(of[one]) for one in names)] for name, of in scores.items()]
    table(["part", *names], [*rows, *baseline_rows(compared, names, list(parts))])
    for sentence in of_members(run.experiment):
        print(sentence)
    if matrix is not None:
        _print_classes(_names(run, matrix), matrix, last)
    if labels is not None:
        print()
        _print_each("label", _label_names(run, labels), labels, last)
    if targets:
        print()
        names = list(next(iter(targets.values())))
        table(["target", *names], [[k, *map(number, of.values())] for k, of in targets.items()], f"targets of {last}")
    if drawn is not None:
        print()
        for path in drawn:
            print(f"picture {path}")
        for name, why in left.items():
            print(f"picture {name} is left out: {why}")
        if not drawn:
            print("picture none: they are drawn for a network that predicts classes, or a number for each target")
    return 0


def parts_of(run: Run, folder: Path, options: argparse.Namespace) -> dict[str, Dataset]:
    """The rows of ``--data``, or the parts of the run's own data, read again, or that of ``--part``."""
    experiment, wanted = run.experiment, options.part
    if options.data:
        if wanted is not None:
            raise DataError("--part is of the run's own data; leave it out with --data")
        return {options.data: run.dataset(options.data)}
    data = data_of(folder / SPEC, experiment, base_of(folder / SPEC, options), run.preprocess)
    parts = data.parts_by_name()
    for sentence in left_out(data.found):
        print(f"funcnet: {folder}: {sentence}", file=sys.stderr)
    if data_digest(data) != read_facts(folder)["data"]:
        print(f"funcnet: {folder}: the data is not what the run was trained on; it has changed since", file=sys.stderr)
    if wanted is None:
        return parts
    if wanted not in parts:
        raise DataError(f"{folder}: the run has no {wanted} part; it has {', '.join(parts)}")
    return {wanted: parts[wanted]}


def _scored(run: Run, name: str, part: Dataset) -> Scored:
    """The answers to a part, which are computed whenever they are asked for."""
    spec, outputs = run.experiment, run.preprocess.get("outputs")
    restored = partial(restore_targets, run.preprocess)
    return Scored(name, run.loss, spec.metrics, run.classes, part.y, lambda: _answers(run, part), outputs, restored)


def _pictures(folder: Path, scored: Scored) -> list[Path]:
    """Write the pictures of a part into the folder of the run."""
    drawn = pictures(scored)
    for file, text in drawn.items():
        write_bytes(folder / file, text.encode())
    return [folder / file for file in drawn]


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
    return answers(experiment.model, run.loss, run.params, run.train_state.state, part)


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
