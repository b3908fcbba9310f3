"""The run in a folder, whose files may be damaged, or come from anybody: digests first, then strict decoding."""

from __future__ import annotations

import csv
import io
import math
import os
import re
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from funcnet import tree
from funcnet.data.preprocess import prepared_shape
from funcnet.data.recorded import check_record
from funcnet.data.scaling import shift_and_factor
from funcnet.errors import CheckpointError, DataError, FuncnetError
from funcnet.experiments.baseline import Baseline
from funcnet.experiments.digests import digest, facts_digest, text_digest
from funcnet.experiments.experiment import Experiment
from funcnet.experiments.folder import BASELINE, LAST
from funcnet.experiments.origin import FACTS, SPEC
from funcnet.experiments.result import Run
from funcnet.files import LARGEST_JSON, read_bytes
from funcnet.inputs import instance
from funcnet.key import Key
from funcnet.layers.base import Params, State, reach
from funcnet.layers.misfit import mismatches
from funcnet.losses.base import answer_shape
from funcnet.shapes import Shape
from funcnet.spec.base import quote
from funcnet.spec.codec import from_json, parse_json
from funcnet.spec.records import problems_of
from funcnet.training.callbacks import Row
from funcnet.training.outputs import check_units
from funcnet.training.step import TrainState
from funcnet.training.weights import load

HEX = re.compile("[0-9a-f]+")


class Facts(TypedDict):
    """The fields of ``run.json``; the first versions wrote no digests of files."""

    base: str
    stamp: NotRequired[str | None]
    step: int
    stopped: str | None
    temperature: NotRequired[float]
    key: str
    found: dict[str, Any]
    data: str
    weights: str
    versions: NotRequired[dict[str, str]]
    platform: NotRequired[str]
    threads: NotRequired[dict[str, int | str | None]]
    blas: NotRequired[dict[str, Any]]
    files: NotRequired[dict[str, str]]


def load_run(folder: str | os.PathLike[str]) -> Run:
    """A run from its folder. Its train_state has the weights, not the optimizer's state.

    Raises   CheckpointError for a folder that is missing or incomplete, and for a file that is damaged or has changed

    >>> experiment = fn.Experiment(
    ...     data=fn.data.Moons(split=fn.data.Split(test=0.2)),
    ...     model=fn.serial(fn.Dense(16), fn.Tanh(), fn.Dense(2)),
    ...     loss=fn.losses.SoftmaxCrossEntropy(),
    ...     optimizer=fn.optim.Adam(0.02),
    ...     training=fn.Training(epochs=2),
    ... )
    >>> run = fn.run(experiment, out="moons")
    >>> fn.load_run("moons").metrics == run.metrics
    True
    """
    instance(folder, (str, os.PathLike), "the folder of a run", "'runs/digits_mlp-1'")
    folder = Path(folder)
    if not os.path.isfile(folder / LAST):
        raise CheckpointError(f"{folder}: {_no_run(folder)}")
    name = SPEC
    try:
        text = content(folder, name)
        experiment = from_json(text.decode("utf-8-sig"), Experiment)
        net, params, state = load(folder / "weights.npz")
        name = FACTS
        facts = read_facts(folder)
        if digest({"params": params, "state": state}) != facts["weights"]:
            raise CheckpointError(f"{folder}: weights.npz has changed since the run wrote it")
        check_digest(folder, SPEC, text, facts)
        check_temperature(experiment, facts.get("temperature"))
        name = "preprocess.json"
        preprocess = check_record(parse_json(checked(folder, name, facts).decode(), None), experiment.data)
        in_shape = prepared_shape(preprocess)
        in_shape = experiment.data.in_shape(Path()) if in_shape is None else in_shape
        if in_shape is not None:
            check_weights(folder, experiment, in_shape, params, state)
            check_outputs(experiment, in_shape, preprocess)
        if net != experiment.model:
            raise CheckpointError(f"{folder}: weights.npz holds the weights of another network than that of {SPEC}")
        name = LAST
        metrics = parse_json(checked(folder, name, facts).decode())
        check_scores(experiment, metrics)
        name = BASELINE
        baseline = None
        if name in facts.get("files", ()):
            baseline = parse_json(checked(folder, name, facts).decode())
            check_baseline(experiment, baseline)
        name = "history.csv"
        history = read_history(checked(folder, name, facts).decode())
    except CheckpointError:
        raise
    except (OSError, ValueError, RecursionError, csv.Error, FuncnetError) as error:
        said = " ".join(str(error).split())
        raise CheckpointError(f"{folder / name}: cannot be read: {said}") from None
    ts = TrainState(params, state, {}, Key(bytes.fromhex(facts["key"])), facts["step"])
    return Run(
        ts, history, metrics, experiment, preprocess, params, facts["stopped"], facts.get("temperature"), baseline
    )


def check_temperature(experiment: Experiment, temperature: float | None) -> None:
    """Refuse a temperature of a run without probabilities, and one that is not a finite number above 0.

    Raises   ValueError
    """
    if temperature is not None and not (experiment.loss.probabilities and 0.0 < temperature < math.inf):
        raise ValueError(f"temperature: expected that of a run with probabilities, above 0, got {temperature}")


def recorded_shape(folder: Path, experiment: Experiment) -> Shape | None:
    """The shape of one input of a finished run, as it was recorded; None without a readable record."""
    try:
        record = parse_json(content(folder, "preprocess.json").decode(), None)
        return prepared_shape(check_record(record, experiment.data))
    except (OSError, ValueError, RecursionError, FuncnetError):
        return None


def keeps_rows(folder: Path, experiment: Experiment) -> bool:
    """Whether the rows of a run are in files that its spec names: not if they were given in Python."""
    if experiment.data.tag == "columns":
        return False
    try:
        return bool(read_facts(folder)["data"] != digest({}))
    except CheckpointError:  # of an unfinished run
        return True


def _no_run(folder: Path) -> str:
    """Why a path is not the folder of a finished run."""
    if os.path.exists(folder / SPEC):
        return f"holds an unfinished run; expected the file {LAST}"
    if not os.path.lexists(folder):
        return "there is no such run folder"
    if folder.suffix == ".json":
        return f"is not a run folder but a spec; funcnet train {folder} makes a run of it"
    return f"is not a run folder; expected the file {LAST}"


def content(folder: Path, name: str) -> bytes:
    """The bytes of a file of a run folder.

    Raises   OSError for anything but a file
    """
    return read_bytes(folder / name, LARGEST_JSON)


def checked(folder: Path, name: str, facts: dict[str, Any]) -> bytes:
    """The bytes of a file that has its digest."""
    found = content(folder, name)
    check_digest(folder, name, found, facts)
    return found


def check_digest(folder: Path, name: str, found: bytes, facts: dict[str, Any]) -> None:
    """Refuse a file that is not the one of which ``run.json`` has the digest, if it has one.

    Raises   CheckpointError
    """
    if "files" in facts and facts["files"].get(name) != text_digest(name, found):
        raise CheckpointError(f"{folder}: {name} has changed since the run wrote it")


def read_facts(folder: Path) -> dict[str, Any]:
    """The content of ``run.json``, checked.

    Raises   CheckpointError
    """
    try:
        facts = parse_json(content(folder, FACTS).decode())
        refuse(problems_of(Facts, facts))
        for name, length in (("key", 48), ("data", 64), ("weights", 64)):
            if len(facts[name]) != length or not HEX.fullmatch(facts[name]):
                raise ValueError(f"{name}: expected {length} hexadecimal digits")
        if facts["step"] < 0:
            raise ValueError(f"step: expected 0 or more, got {facts['step']}")
        if "files" in facts and facts["files"].get(FACTS) != facts_digest(facts):
            raise CheckpointError(f"{folder}: {FACTS} has changed since the run wrote it")
    except CheckpointError:
        raise
    except (OSError, ValueError, RecursionError, FuncnetError) as error:
        raise CheckpointError(f"{folder / FACTS}: cannot be read: {' '.join(str(error).split())}") from None
    known: dict[str, Any] = facts
    return known


def refuse(problems: list[Any]) -> None:
    """Raise ValueError with the first problem of a record."""
    if problems:
        raise ValueError(f"{problems[0].path.removeprefix('.') or 'it'}: {problems[0].message}")


def check_scores(experiment: Experiment, metrics: Any) -> None:
    """Refuse scores that are not those of the experiment's parts.

    Raises   ValueError
    """
    refuse(problems_of(dict[str, dict[str, float | None]], metrics))
    names = {"loss", *(metric.name for metric in experiment.metrics)}
    for part, scores in metrics.items():
        if part not in ("train", "validation", "test") or scores.keys() != names:
            raise ValueError(
                f"expected the scores {', '.join(sorted(names))} of train, validation and test, got {part!r}"
            )


def check_baseline(experiment: Experiment, found: Any) -> None:
    """Refuse scores of baselines that are not those of the experiment's parts.

    Raises   ValueError
    """
    refuse(problems_of(Baseline, found))
    for kind in ("constant", "linear"):
        check_scores(experiment, found[kind])
    if found["constant"].keys() != found["linear"].keys():
        raise ValueError("expected the constant answer and the linear model to have the same parts")


def check_outputs(experiment: Experiment, in_shape: Shape, preprocess: dict[str, Any]) -> None:
    """Refuse classes and scales of targets for another number of outputs.

    Raises   FuncnetError
    """
    out_shape = experiment.model.out_shape(in_shape)
    check_units(experiment.loss, out_shape, preprocess["classes"])
    if "targets" in preprocess:
        shape = shift_and_factor(preprocess["targets"])[0].shape
        answer = answer_shape(experiment.loss, out_shape, experiment.dtype)
        each = len(experiment.loss.outputs([""]))  # numbers for each target
        fits = [(), (1,), answer] if each == 1 else [(), (1,), answer[:-1], (*answer[:-1], answer[-1] // each)]
        if shape not in fits:
            raise DataError(f"targets: expected numbers of shape {answer}, got {shape}")


def check_weights(where: Path, experiment: Experiment, in_shape: Shape, params: Params, state: State) -> None:
    """Refuse weights of another network, or of another float type.

    Raises   CheckpointError with every leaf that does not fit
    """
    problems = mismatches(reach("", experiment.model, "leaves", in_shape), params, state)
    found = tree.flatten({"params": params, "state": state})
    problems += [
        f"{path}: expected {experiment.dtype}, got {leaf.dtype}"
        for path, leaf in found.items()
        if leaf.dtype != experiment.dtype and leaf.dtype.kind not in "iub"
    ]
    if problems:
        raise CheckpointError(f"{where}: the weights do not fit the spec:\n  " + "\n  ".join(problems))


def read_history(text: str) -> list[Row]:
    """The rows of a history; missing figures are left out.

    Raises   ValueError, csv.Error
    """
    lines = csv.reader(io.StringIO(text, newline=""))
    columns = next(lines, [])
    if len(set(columns)) < len(columns) or not {"step", "epoch", "loss"} <= set(columns):
        raise ValueError(f"expected the columns step, epoch, loss and others, got {quote(','.join(columns))}")
    rows = []
    for i, line in enumerate(lines, start=2):
        if len(line) != len(columns):
            raise ValueError(f"line {i}: expected {len(columns)} fields, got {len(line)}")
        rows.append({name: _number(cell) for name, cell in zip(columns, line, strict=True) if cell})
    return rows


def _number(text: str) -> float:
    return int(text) if text.lstrip("-").isdigit() else float(text)
