"""The folder of a run, and the run read from it.

A run folder holds ``spec.json`` (every default filled in), ``run.json`` (base folder, environment, digests),
``weights.npz``, ``preprocess.json``, ``history.csv``, ``curves.svg`` and, written last, ``metrics.json``:
a folder without it belongs to an unfinished run.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import math
import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from funcnet import tree
from funcnet.data.lazy_array import Stream, pieces_of
from funcnet.data.preparation import Prepared
from funcnet.data.preprocess import (
    check_finite,
    prepared_shape,
    restore_inputs,
    restore_targets,
    shift_and_factor,
    transform,
)
from funcnet.data.sources.base import Frame
from funcnet.errors import CheckpointError, FuncnetError
from funcnet.experiments.experiment import Experiment
from funcnet.files import LARGEST_JSON, read_bytes, write_bytes
from funcnet.inputs import instance, mismatches
from funcnet.key import Array, Key
from funcnet.layers.base import Params, State
from funcnet.read_only import read_only
from funcnet.shapes import Output, Shape, numeric
from funcnet.spec.codec import filed, load_spec
from funcnet.training.callbacks import Row
from funcnet.training.checkpoint import LOCK
from funcnet.training.outputs import check_units
from funcnet.training.probabilities import label_of, proba_of
from funcnet.training.step import TrainState, predict
from funcnet.training.threads import blas
from funcnet.training.weights import load, save
from funcnet.version import __version__
from funcnet.views.boundary import boundary_svg, plane
from funcnet.views.curves import curves_svg
from funcnet.views.table import Table

Scores = dict[str, dict[str, float]]
LAST = "metrics.json"
CHECKPOINTS = "checkpoints"
START = "start.npz"
"""The copy of the weights that a run started from"""


@attrs.frozen(eq=False, repr=False)
class Run:
    """The result of a run: the final state, the history, and ``{"train": {…}, "validation": {…}, "test": {…}}``."""

    train_state: TrainState
    history: list[Row] = attrs.field(converter=read_only)
    metrics: Scores = attrs.field(converter=read_only)
    experiment: Experiment
    preprocess: dict[str, Any] = attrs.field(converter=read_only)
    params: Params
    """The params that were evaluated and saved: those of the final state, or the optimizer's average of them"""
    stopped: str | None = None

    def __repr__(self) -> str:
        return str(self.table())

    def _repr_html_(self) -> str:
        return self.table().html()

    def table(self) -> Table:
        """The scores of every part."""
        names = list(next(iter(self.metrics.values()), {}))
        rows = [[part, *(f"{scores[name]:.5g}" for name in names)] for part, scores in self.metrics.items()]
        ended = f", ended by {self.stopped}" if self.stopped else ""
        title = f"Run: {self.train_state.step:,} steps{ended}; params: {tree.brief(self.params)}"
        return Table(["part", *names], rows, title)

    @property
    def classes(self) -> list[str] | None:
        """The names of the classes, in the order of their labels."""
        return self.preprocess["classes"]

    def predict(self, x: Any, batch_size: int | None = 1024) -> Output:
        """Predictions for raw inputs (rows, …), in the form of the data: probabilities, or values in their units.

        The inputs are preprocessed as in training, and the loss's link is applied to the network's output.
        Column k is the class with label k, named ``classes[k]``.
        """
        experiment = self.experiment
        if not isinstance(x, Frame | Stream):
            x = numeric(x)
            if not self.preprocess.get("fill"):
                check_finite(x, "inputs", "predict")
        inputs = transform(self.preprocess, x, experiment.dtype, "predict")
        y = predict(experiment.model, self.params, self.train_state.state, inputs, batch_size)
        return restore_targets(self.preprocess, experiment.loss.link(y))

    def predict_proba(self, x: Any, batch_size: int | None = 1024) -> Array:
        """The probability of each class for raw inputs, (rows, classes).

        Raises   ShapeError for a loss without probabilities
        """
        return proba_of(self.experiment.loss, self.predict(x, batch_size))

    def predict_label(self, x: Any, batch_size: int | None = 1024) -> Array:
        """The likeliest class of each raw input, by name if the data has names; of several labels each, 0 or 1."""
        labels = label_of(self.experiment.loss, self.predict(x, batch_size))
        return labels if self.classes is None else np.array(self.classes)[labels]


def check_free(folder: Path) -> None:
    """Refuse a folder that is not empty, before any work is done.

    Raises   CheckpointError that tells a finished run, an unfinished run and other contents apart
    """
    if not os.path.exists(folder):  # False also if the folder cannot be accessed; making it will tell
        return
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: expected a folder, got a file; choose another --out")
    try:
        inside = {path.name for path in folder.iterdir()}
    except OSError as error:
        raise CheckpointError(f"{folder}: cannot be read ({error.strerror}); choose another --out") from None
    if LAST in inside:
        raise CheckpointError(f"{folder}: holds a finished run already; choose another --out, or delete it first")
    if "spec.json" in inside:
        raise CheckpointError(f"{folder}: holds an unfinished run; continue with --resume, or choose another --out")
    if inside:
        raise CheckpointError(f"{folder}: is not empty; choose a new folder for --out")


def claim(folder: Path, experiment: Experiment, base: Path) -> None:
    """Make the folder and write the spec and its base into it, so that an unwritable folder fails now."""
    document = json.loads(filed(experiment))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CheckpointError(f"{folder}: cannot be created ({error.strerror}); choose another --out") from None
    check_free(folder)  # again: another run may have taken it in the meantime
    try:
        (folder / "spec.json").open("xb").close()  # only one of two concurrent runs succeeds
    except OSError as error:
        raise CheckpointError(f"{folder}: cannot be written ({error.strerror}); choose another --out") from None
    write_json(folder / "spec.json", document)
    write_json(folder / "run.json", {"base": str(base.resolve())})


def release(folder: Path) -> None:
    """Undo ``claim`` for a run that failed on its spec or data before it had results to keep."""
    with contextlib.suppress(OSError):
        for name in ("spec.json", "run.json", START, LOCK):
            (folder / name).unlink(missing_ok=True)
        folder.rmdir()


def next_folder(runs: Path, name: str) -> Path:
    """``runs/<name>-<n>`` with the next free number, claimed by creating the empty folder."""
    n = 1
    while True:
        folder = runs / f"{name}-{n}"
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            n += 1
        except OSError as error:
            raise CheckpointError(f"{folder}: cannot be created ({error.strerror}); choose another --out") from None


def write(folder: Path, finished: Run, data: Prepared, base: Path) -> None:
    """Write all files of a run, the scores last."""
    ts, experiment, params = finished.train_state, finished.experiment, finished.params
    save(folder / "weights.npz", experiment.model, params, ts.state)
    write_json(folder / "preprocess.json", finished.preprocess)
    write_bytes(folder / "history.csv", history_csv(finished.history).encode())
    write_bytes(folder / "curves.svg", curves_svg(finished.history, folder.name).encode())
    picture = boundary(finished, data)
    if picture is not None:
        write_bytes(folder / "boundary.svg", picture.encode())
    facts = {
        "base": str(base.resolve()),
        "step": ts.step,
        "stopped": finished.stopped,
        "key": ts.key.digest.hex(),
        "found": data.found,
        "data": data_digest(data),
        "weights": digest({"params": params, "state": ts.state}),
        **environment(),
    }
    write_json(folder / "run.json", facts)
    write_json(folder / LAST, finished.metrics)


def boundary(finished: Run, data: Prepared) -> str | None:
    """A picture of a two-input classifier's decisions with the training part; None for any other run."""
    preprocess = finished.preprocess
    columns = preprocess.get("columns")
    plain = preprocess.get("shape") == [2] if columns is None else [one["kind"] for one in columns] == ["number"] * 2
    if not plain or finished.classes is None or data.train.y.ndim != 1 or isinstance(data.train.x, Stream):
        return None
    points = restore_inputs(preprocess, data.train.x)
    where = plane(points)
    raw: Any = where.points
    if columns is not None:
        raw = Frame({one["name"]: raw[:, i] for i, one in enumerate(columns)}, np.arange(len(raw)))
    names = ("x1", "x2") if columns is None else (columns[0]["name"], columns[1]["name"])
    with np.errstate(over="ignore"):
        answers = label_of(finished.experiment.loss, finished.predict(raw))
    return boundary_svg(where, answers, points, data.train.y, finished.classes, names=names)


def write_json(path: Path, value: Any) -> None:
    """Write plain values; non-finite numbers, which JSON cannot hold, become null."""
    write_bytes(path, (json.dumps(finite_json(value), indent=2, ensure_ascii=False) + "\n").encode())


def finite_json(value: Any) -> Any:
    """A value with null for every non-finite number."""
    if isinstance(value, dict):
        return {name: finite_json(inner) for name, inner in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def history_csv(history: list[Row]) -> str:
    """The rows of a history as CSV; missing figures are empty fields."""
    scores = {name: None for row in history for name in row if name not in ("learning_rate", "seconds")}
    first = ["step", "epoch", "loss", "validation/loss"]
    metrics = [name for name in scores if name not in first]
    paired = sorted(metrics, key=lambda name: (metrics.index(name.removeprefix("validation/")), "/" in name))
    columns = [*(name for name in first if name in scores or name != "validation/loss"), *paired]
    text = io.StringIO()
    writer = csv.DictWriter(text, [*columns, "learning_rate", "seconds"], lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows(history)
    return text.getvalue()


def digest(arrays: dict[str, Any]) -> str:
    """SHA-256 over the paths, dtypes, shapes and bytes of a tree's arrays."""
    total = hashlib.sha256()
    for path, leaf in sorted(tree.flatten(arrays).items()):
        if leaf is not None:
            total.update(f"{path} {leaf.dtype.str} {np.shape(leaf)}\n".encode())
            for part in pieces_of(leaf) if isinstance(leaf, Stream) else [leaf]:
                total.update(np.ascontiguousarray(part).tobytes())
    return total.hexdigest()


def data_digest(data: Prepared) -> str:
    """The digest of all preprocessed parts of a data set."""
    return digest({name: part._asdict() for name, part in data.parts_by_name().items()})


def environment() -> dict[str, Any]:
    """Versions, threads and BLAS, which affect the last bits of a result."""
    built = np.show_config(mode="dicts").get("Build Dependencies", {}).get("blas", {})
    threads = {name: os.environ[name] for name in os.environ if name.endswith("_NUM_THREADS")}
    return {
        "versions": {
            "funcnet": __version__,
            "numpy": np.__version__,
            "attrs": version("attrs"),
            "python": platform.python_version(),
        },
        "platform": platform.platform(),
        "threads": {"cores": os.cpu_count(), **threads},
        "blas": {name: built[name] for name in ("name", "version", "openblas configuration") if built.get(name)}
        | blas(),
    }


def load_run(folder: str | os.PathLike[str]) -> Run:
    """A run from its folder. Its train_state has the weights, not the optimizer's state.

    Raises   CheckpointError for a folder that is missing, incomplete or damaged

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
        what = "holds an unfinished run" if os.path.exists(folder / "spec.json") else "is not a run folder"
        raise CheckpointError(f"{folder}: {what}; expected the file {LAST}")
    name = "spec.json"
    try:
        experiment = load_spec(folder / name)
        if not isinstance(experiment, Experiment):
            raise ValueError(f"expected an experiment, got a {experiment.kind}")
        _, params, state = load(folder / "weights.npz")
        name = "run.json"
        facts = read_object(folder / name)
        key, step, stopped = Key(bytes.fromhex(facts["key"])), int(facts["step"]), facts["stopped"]
        if digest({"params": params, "state": state}) != facts["weights"]:
            raise CheckpointError(f"{folder}: weights.npz has changed since the run wrote it")
        name = "preprocess.json"
        preprocess = read_object(folder / name)
        _ = preprocess["classes"]
        for scaler in (preprocess["inputs"], preprocess.get("targets")):
            if scaler is not None:
                shift_and_factor(scaler)
        in_shape = prepared_shape(preprocess)
        if in_shape is not None:
            check_weights(folder, experiment, in_shape, params, state)
        in_shape = experiment.data.in_shape(Path()) if in_shape is None else in_shape
        if in_shape is not None:
            check_units(experiment.loss, experiment.model.out_shape(in_shape), preprocess["classes"])
        name = LAST
        metrics = read_object(folder / name)
        if not all(isinstance(scores, dict) for scores in metrics.values()):
            raise ValueError("expected scores by part")
        name = "history.csv"
        lines = io.StringIO(read_bytes(folder / name).decode(), newline="")
        history = [{name: _number(text) for name, text in row.items() if text} for row in csv.DictReader(lines)]
    except CheckpointError:
        raise
    except KeyError as error:
        raise CheckpointError(f"{folder / name}: cannot be read: it has no {error}") from None
    except (OSError, ValueError, TypeError, AttributeError, RecursionError, csv.Error, FuncnetError) as error:
        raise CheckpointError(f"{folder / name}: cannot be read: {error}") from None
    ts = TrainState(params, state, {}, key, step)
    return Run(ts, history, metrics, experiment, preprocess, params, stopped)


def check_weights(where: Path, experiment: Experiment, in_shape: Shape, params: Params, state: State) -> None:
    """Refuse weights of another network, or of another float type.

    Raises   CheckpointError with every leaf that does not fit
    """
    problems = mismatches(experiment.model, in_shape, params, state)
    found = tree.flatten({"params": params, "state": state})
    problems += [
        f"{path}: expected {experiment.dtype}, got {leaf.dtype}"
        for path, leaf in found.items()
        if leaf.dtype.kind == "f" and leaf.dtype != experiment.dtype
    ]
    if problems:
        raise CheckpointError(f"{where}: the weights do not fit the spec:\n  " + "\n  ".join(problems))


def read_object(path: Path) -> dict[str, Any]:
    """The object in a JSON file."""
    value = json.loads(read_bytes(path, LARGEST_JSON))
    if not isinstance(value, dict):
        raise ValueError(f"expected an object, got {value!r}")
    return value


def _number(text: str) -> float:
    return int(text) if text.lstrip("-").isdigit() else float(text)
