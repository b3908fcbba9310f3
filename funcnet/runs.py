"""Running an experiment, and the folder that it leaves.

A run folder holds ``spec.json`` (every default filled in), ``run.json`` (where, with what, digests),
``weights.npz``, ``preprocess.json``, ``history.csv``, ``curves.svg`` and, written last, ``metrics.json``:
a folder without it belongs to a run that did not end.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import logging
import math
import os
import platform
import signal
import threading
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import attrs
import numpy as np

import funcnet
from funcnet import tree
from funcnet.codec import load_spec, spec_hash, to_dict
from funcnet.data.paths import outside
from funcnet.data.preparation import Prepared, check_classes, input_shape, prepare
from funcnet.data.preprocessing import check_finite, restore_inputs, restore_targets, shift_and_factor, transform
from funcnet.data.sources import Frame
from funcnet.data.streams import Stream, pieces_of
from funcnet.errors import CheckpointError, DataError, FuncnetError, NonFiniteError, did_you_mean
from funcnet.files import write_bytes
from funcnet.key import Array, Key
from funcnet.layer import Params, Shape, check_total, reach
from funcnet.metrics import InUnits, Metric
from funcnet.surgery import diff
from funcnet.training.answers import label_of, proba_of
from funcnet.training.callbacks import Callback, Lines, Progress, Row, Watcher, check_monitor, monitors
from funcnet.training.checkpoint import LOCK, Saved, Saver, listed, locked, newest, sweep
from funcnet.training.checks import instance, numeric
from funcnet.training.experiment import Experiment
from funcnet.training.fit import Fit, check_targets, evaluate, fit
from funcnet.training.profile import Profile, profile
from funcnet.training.step import TrainState, predict, train_state
from funcnet.training.threads import blas, limited
from funcnet.training.weights import load, save
from funcnet.views.boundary import boundary_svg, plane
from funcnet.views.curves import curves_svg

Scores = dict[str, dict[str, float]]
LAST = "metrics.json"
CHECKPOINTS = "checkpoints"
log = logging.getLogger("funcnet")


@attrs.frozen(eq=False)
class Run:
    """What a run gave: the final state, the history, and ``{"train": {…}, "validation": {…}, "test": {…}}``."""

    train_state: TrainState
    history: list[Row]
    metrics: Scores
    experiment: Experiment
    preprocess: dict[str, Any]
    params: Params
    """What was evaluated and saved: those of the final state, or an average that the optimizer keeps."""
    stopped: str | None = None

    @property
    def classes(self) -> list[str] | None:
        """The names of the classes, in the order of their labels."""
        return self.preprocess["classes"]

    def predict(self, x: Any, batch_size: int | None = 1024) -> Any:
        """The answer for raw inputs (rows, …), as they stand in the data: probabilities, or values in their units.

        Prepares them as training did, and applies the loss's link to the network's output. The column of a
        class has the number of its label, and its name in ``classes``.
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

        Raises   ShapeError for a loss that gives no probabilities
        """
        return proba_of(self.experiment.loss, self.predict(x, batch_size))

    def predict_label(self, x: Any, batch_size: int | None = 1024) -> Array:
        """The likeliest class of each raw input, by name where the data has names."""
        labels = label_of(self.predict(x, batch_size))
        return labels if self.classes is None else np.array(self.classes)[labels]


class Terminated(SystemExit):
    """SIGTERM ended a run after it wrote a checkpoint; the exit status is 143."""

    def __init__(self, folder: Path) -> None:
        super().__init__(143)
        self.folder = folder


def run(
    experiment: Experiment,
    out: str | os.PathLike[str] | None = None,
    resume: bool = False,
    base: str | os.PathLike[str] | None = None,
    *,
    callbacks: Sequence[Watcher] = (),
    allow_outside: bool = False,
) -> Run:
    """Train an experiment; with ``out``, leave a run folder there.

    With ``resume`` a run in that folder that did not end goes on from its newest whole checkpoint, and ends as if it
    had never stopped; one that did end is given back, and where there is none it begins. ``base`` is the folder that
    paths in the spec are relative to, the current one by default, and that they must
    not leave without ``allow_outside``. The same
    experiment gives the same run, bit for bit on one machine. Shapes are checked before data is read,
    and the folder before training starts.
    Raises   ShapeError, DataError; CheckpointError for a folder that is taken, of another spec, or cannot be written;
             NonFiniteError, after saving the last good state and the history; Terminated at SIGTERM
    """
    instance(experiment, Experiment, "an experiment", "fn.load_spec('specs/digits_mlp.json')")
    instance(callbacks, Sequence, "a list of callbacks", "[callback]")
    base, folder = Path(base or "."), None if out is None else Path(out)
    with limited(experiment.training.threads), outside() if allow_outside else contextlib.nullcontext():
        if folder is None:
            return _run(experiment, None, base, callbacks, resume=False)
        if not (resume and os.path.exists(folder / "spec.json")):
            check_free(folder)
            return _run(experiment, folder, base, callbacks, resume=False)
        check_same(folder, experiment)
        if os.path.exists(folder / LAST):
            return load_run(folder)
        with locked(folder):
            for place in (folder, folder / CHECKPOINTS):
                sweep(place)
            return _run(experiment, folder, base, callbacks, resume=True)


def _run(experiment: Experiment, folder: Path | None, base: Path, callbacks: Sequence[Watcher], *, resume: bool) -> Run:
    """Train; a folder is free, or with ``resume`` this process's."""
    training = experiment.training
    check_shapes(experiment, base)
    key = Key(experiment.seed)
    data = prepare(experiment.data, key, base, experiment.dtype)
    start: TrainState | Progress = starting_state(experiment, key, data, base)
    metrics = in_units(experiment.metrics, data.preprocess)
    check_parts(experiment, data, metrics)
    check_monitors(experiment, data.validation is not None)
    facts: dict[str, Any] = {}
    with contextlib.ExitStack() as held:
        saver = None
        if folder is not None:
            if not resume:
                claim(folder, experiment, base)
                held.enter_context(locked(folder))
            facts = {"spec": spec_hash(experiment), "data": data_digest(data), **environment()}
            saver = Saver(folder / CHECKPOINTS, training.checkpoint, facts)
            held.enter_context(terminable(saver))
        if resume and saver is not None:
            saved = newest(saver.folder)
            if saved is not None:
                check_facts(saved, facts, saver.folder)
                start = saved.progress
        result: Fit | None = None
        try:
            if saver is not None:
                saver.running = True
            last = [*callbacks, *([] if saver is None else [saver])]
            result = train(experiment, data, start, metrics, [*watchers(experiment, folder), *last])
            if saver is not None:
                saver.running = False
                if result.stopped == type(saver).__name__:
                    assert folder is not None
                    raise Terminated(folder)
            finished = finish(experiment, data, result)
        except Terminated:
            raise
        except BaseException as error:
            reached: Fit | None = result or getattr(error, "fit", None)
            if folder is not None and not isinstance(error, NonFiniteError) and listed(folder / CHECKPOINTS):
                if isinstance(error, FuncnetError):
                    error.message += f". What was learnt is in {folder / CHECKPOINTS}; go on with --resume"
                raise
            if folder is not None and reached is not None and (reached.history or isinstance(error, NonFiniteError)):
                write(folder, finish(experiment, data, reached, failed=True), data, base)
                if isinstance(error, FuncnetError):
                    error.message += f". The last good state is in {folder}"
            elif folder is not None and not resume:
                release(folder)
            raise
        if folder is not None:
            write(folder, finished, data, base)
            if saver is not None and saver.terminate:
                raise Terminated(folder)
        return finished


def check_parts(experiment: Experiment, data: Prepared, metrics: Sequence[Metric]) -> None:
    """Refuse targets of any part that the loss or a metric cannot take, and classes that training does not have.

    Raises   ShapeError, DataError
    """
    if experiment.loss.probabilities and not experiment.data.integers:  # then integers are classes, named or not
        targets = {name: part.y for name, part in data.parts_by_name().items()}
        check_classes(targets, data.preprocess["classes"], type(experiment.data).__name__)
    for name, part in data.parts_by_name().items():
        named = f"the {'training' if name == 'train' else name} part"
        check_targets(experiment.model, experiment.loss, metrics, part, named)


def watchers(experiment: Experiment, folder: Path | None = None) -> list[Callback]:
    """The callbacks that a spec names; those that write files only where there is a folder."""
    early = experiment.training.early_stopping
    named = [*([] if early is None else [early]), *experiment.training.callbacks]
    if folder is None:
        return [callback for callback in named if not isinstance(callback, Lines)]
    return [callback.at(folder) for callback in named]


def train(
    experiment: Experiment,
    data: Prepared,
    start: TrainState | Progress,
    metrics: Sequence[Metric],
    callbacks: Sequence[Watcher] = (),
) -> Fit:
    """Train on prepared data as the experiment says."""
    return fit(
        experiment.model,
        data.train,
        loss=experiment.loss,
        optimizer=experiment.optimizer,
        epochs=experiment.training.epochs,
        steps=experiment.training.steps,
        batch_size=experiment.training.batch_size,
        remainder=experiment.training.remainder,
        augment=experiment.training.augment,
        shards=experiment.training.shards,
        log_every=experiment.training.log_every,
        key=(start.train_state if isinstance(start, Progress) else start).key,
        start=start,
        validation=data.validation,
        metrics=metrics,
        callbacks=callbacks,
        class_weight=class_weights(experiment, data.preprocess),
        block=data.block,
    )


@contextlib.contextmanager
def terminable(saver: Saver) -> Iterator[None]:
    """Within it SIGTERM makes a training write a checkpoint and stop; before it trains it ends at once."""

    def handle(number: int, frame: Any) -> None:
        saver.terminate = True
        if saver.running is None:
            raise Terminated(saver.folder.parent)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def check_monitors(experiment: Experiment, validation: bool) -> None:
    """Refuse a checkpoint's monitor that no row of the history will have, before training."""
    policy = experiment.training.checkpoint
    if policy is not None and policy.keep_best:
        check_monitor(policy, policy.monitor, monitors(experiment.metrics, validation))


def check_same(folder: Path, experiment: Experiment) -> None:
    """Refuse to go on in the folder of another experiment.

    Raises   CheckpointError with every difference
    """
    try:
        there = load_spec(folder / "spec.json")
    except FuncnetError as error:
        if not listed(folder / CHECKPOINTS):  # it was killed before it wrote its spec
            return
        raise CheckpointError(f"{folder}: its spec cannot be read, so it cannot go on: {error}") from None
    if spec_hash(there) != spec_hash(experiment):
        raise CheckpointError(
            f"{folder}: holds a run of another spec, which differs in\n{diff(there, experiment)}\n"
            "go on with that spec, or choose another --out"
        )


def check_facts(saved: Saved, facts: dict[str, Any], folder: Path) -> None:
    """Refuse to go on with other data; warn where another machine may give other last bits.

    Raises   CheckpointError
    """
    if saved.facts["data"] != facts["data"]:
        raise CheckpointError(f"{folder}: the data is not what the run began with; it has changed since")
    same = json.loads(json.dumps(facts))
    differ = [name for name in ("versions", "platform", "threads", "blas") if saved.facts.get(name) != same[name]]
    if differ:
        log.warning(
            "%s: going on with other %s than it was written with; the last bits may differ", folder, ", ".join(differ)
        )


def profiled(finished: Run, base: str | os.PathLike[str] | None = None, *, allow_outside: bool = False) -> Profile:
    """Where the time of a training step goes, from some steps beyond the end of a run, which they do not change."""
    experiment, ts = finished.experiment, finished.train_state
    with limited(experiment.training.threads), outside(allow_outside):
        data = prepare(experiment.data, Key(experiment.seed), Path(base or "."), experiment.dtype)
        parts = experiment.model, experiment.loss, experiment.optimizer
        return profile(*parts, ts, data.train, experiment.training.batch_size)


def check_shapes(experiment: Experiment, base: Path) -> None:
    """Refuse a model that does not fit its data, or is too large, before any data is read."""
    if experiment.data.in_shape(base) is not None:
        fit_model(experiment, input_shape(experiment.data, Key(experiment.seed), base))


def fit_model(experiment: Experiment, in_shape: Shape) -> None:
    """Refuse a model that does not fit its inputs, or is too large.

    Raises   ShapeError
    """
    reach("", experiment.model, "out_shape", in_shape)
    check_total(experiment.model.leaves(in_shape))


def in_units(metrics: Sequence[Metric], preprocess: dict[str, Any]) -> list[Metric]:
    """Metrics of scaled targets in the units of the data."""
    scaler = preprocess.get("targets")
    if scaler is None:
        return list(metrics)
    shift, factor = (tuple(np.atleast_1d(part).tolist()) for part in shift_and_factor(scaler))
    return [InUnits(metric, shift, factor) for metric in metrics]


def class_weights(experiment: Experiment, preprocess: dict[str, Any]) -> dict[int, float] | Literal["balanced"] | None:
    """The class weights of a spec by label.

    Raises   DataError for a name that no class has
    """
    given = experiment.training.class_weight
    if given is None or given == "balanced":
        return given
    classes = preprocess["classes"]
    found = {}
    for name, weight in given.items():
        label = classes.index(name) if name in (classes or ()) else int(name) if name.isdigit() else None
        if label is None:
            known = ", ".join(classes) if classes else "labels such as '0'"
            near = did_you_mean(name, classes or ())
            raise DataError(f"training.class_weight: there is no class {name!r}{near}; there are {known}")
        found[label] = weight
    return found


def starting_state(experiment: Experiment, key: Key, data: Prepared, base: Path) -> TrainState:
    """Step 0 of a run, with the initial values that the spec names, if any."""
    initial = experiment.training.initial
    params, state = (None, None) if initial is None else initial.values(base)
    in_shape = data.train.x.shape[1:]
    return train_state(
        experiment.model, experiment.optimizer, key.fold("train"), in_shape, experiment.dtype, params, state or None
    )


def finish(experiment: Experiment, data: Prepared, result: Fit, *, failed: bool = False) -> Run:
    """The scores of the final state on every part; after a failure, of those that can be scored."""
    ts = result.train_state
    params = experiment.optimizer.eval_params(ts.params, ts.opt_state)
    metrics = {}
    wanted = in_units(experiment.metrics, data.preprocess)
    for name, part in data.parts_by_name().items():
        try:
            metrics[name] = evaluate(experiment.model, experiment.loss, params, ts.state, part, wanted)
        except FuncnetError:
            if not failed:
                raise
    return Run(ts, result.history, metrics, experiment, data.preprocess, params, result.stopped)


# ----- the folder --------------------------------------------------------------------------------------------


def check_free(folder: Path) -> None:
    """Refuse a folder that holds something, before any work is done.

    Raises   CheckpointError that says whether a run ended there, was cut short, or it is something else
    """
    if not os.path.exists(folder):  # nor where it cannot be known, which making it will tell
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
        raise CheckpointError(f"{folder}: holds a run that did not end; go on with --resume, or choose another --out")
    if inside:
        raise CheckpointError(f"{folder}: is not empty; choose a new folder for --out")


def claim(folder: Path, experiment: Experiment, base: Path) -> None:
    """Make the folder and write the spec and its base into it, so that an unwritable one is found out now."""
    document = to_dict(experiment, fill=True)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CheckpointError(
            f"{folder}: cannot be made ({error.strerror}); choose a folder that can for --out"
        ) from None
    check_free(folder)  # again: another run may have taken it meanwhile
    try:
        (folder / "spec.json").open("xb").close()  # of two runs that come this far at once, one
    except OSError as error:
        raise CheckpointError(f"{folder}: cannot be written ({error.strerror}); choose another --out") from None
    write_json(folder / "spec.json", document)
    write_json(folder / "run.json", {"base": str(base.resolve())})


def release(folder: Path) -> None:
    """Undo ``claim`` for a run that ended by a mistake in its spec or data, with nothing learnt to keep."""
    with contextlib.suppress(OSError):
        for name in ("spec.json", "run.json", LOCK):
            (folder / name).unlink(missing_ok=True)
        folder.rmdir()


def next_folder(runs: Path, name: str) -> Path:
    """``runs/<name>-<n>``, the next free number, taken by making the empty folder."""
    n = 1
    while True:
        folder = runs / f"{name}-{n}"
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            n += 1
        except OSError as error:
            raise CheckpointError(f"{folder}: cannot be made ({error.strerror}); choose a folder with --out") from None


def write(folder: Path, finished: Run, data: Prepared, base: Path) -> None:
    """All files of a run; the scores last."""
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
    """The decisions of a classifier of two inputs as a picture, the training part on it; None for any other run."""
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
        answers = label_of(finished.predict(raw))
    return boundary_svg(where, answers, points, data.train.y, finished.classes, names=names)


def write_json(path: Path, value: Any) -> None:
    """Write plain values; a number that is not finite, which JSON cannot hold, becomes null."""
    write_bytes(path, (json.dumps(finite_json(value), indent=2, ensure_ascii=False) + "\n").encode())


def finite_json(value: Any) -> Any:
    """A value with null for every number that is not finite."""
    if isinstance(value, dict):
        return {name: finite_json(inner) for name, inner in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def history_csv(history: list[Row]) -> str:
    """The rows of a history as CSV; a row without some figure leaves its field empty."""
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
    """The digest of all parts of a data set, as they were trained on."""
    return digest({name: part._asdict() for name, part in data.parts_by_name().items()})


def environment() -> dict[str, Any]:
    """What the last bits of a result depend on besides the spec: versions, threads, BLAS."""
    built = np.show_config(mode="dicts").get("Build Dependencies", {}).get("blas", {})
    threads = {name: os.environ[name] for name in os.environ if name.endswith("_NUM_THREADS")}
    return {
        "versions": {
            "funcnet": funcnet.__version__,
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
    """
    folder = Path(folder)
    if not os.path.isfile(folder / LAST):
        what = "holds a run that did not end" if os.path.exists(folder / "spec.json") else "is not a run folder"
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
            raise CheckpointError(f"{folder}: weights.npz is not the file that the run wrote")
        name = "preprocess.json"
        preprocess = read_object(folder / name)
        _ = preprocess["classes"]
        for scaler in (preprocess["inputs"], preprocess.get("targets")):
            if scaler is not None:
                shift_and_factor(scaler)
        name = LAST
        metrics = read_object(folder / name)
        if not all(isinstance(scores, dict) for scores in metrics.values()):
            raise ValueError("expected scores by part")
        name = "history.csv"
        with open(folder / name, encoding="utf-8", newline="") as file:
            history = [{name: _number(text) for name, text in row.items() if text} for row in csv.DictReader(file)]
    except CheckpointError:
        raise
    except KeyError as error:
        raise CheckpointError(f"{folder / name}: cannot be read: it has no {error}") from None
    except (OSError, ValueError, TypeError, AttributeError, RecursionError, csv.Error, FuncnetError) as error:
        raise CheckpointError(f"{folder / name}: cannot be read: {error}") from None
    ts = TrainState(params, state, {}, key, step)
    return Run(ts, history, metrics, experiment, preprocess, params, stopped)


def read_object(path: Path) -> dict[str, Any]:
    """The object in a JSON file."""
    value = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(value, dict):
        raise ValueError(f"expected an object, got {value!r}")
    return value


def _number(text: str) -> float:
    return int(text) if text.lstrip("-").isdigit() else float(text)
