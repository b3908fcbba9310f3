"""Running an experiment: check, prepare, train, score, and write a run folder; resume an interrupted run."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs

from funcnet.data.paths import base_folder
from funcnet.data.preparation import Prepared, prepare
from funcnet.data.sources.memory import Cells, as_table
from funcnet.data.sources.table import in_memory
from funcnet.errors import CheckpointError, FuncnetError, NonFiniteError
from funcnet.experiments.baseline import baseline as baseline_of
from funcnet.experiments.checks import check_monitors, check_parts, check_shapes
from funcnet.experiments.claim import (
    begin,
    begun,
    check_facts,
    check_free,
    check_own,
    claimed,
    ended,
    lines_of,
    release,
)
from funcnet.experiments.digests import data_digest, text_digest
from funcnet.experiments.experiment import Experiment, InitialNpz
from funcnet.experiments.folder import CHECKPOINTS, DISTRIBUTIONS, START, draw, environment, write
from funcnet.experiments.origin import SPEC
from funcnet.experiments.result import Run
from funcnet.experiments.stored import check_weights
from funcnet.experiments.units import class_weights, in_units
from funcnet.files import read_bytes, read_npz
from funcnet.inputs import instance
from funcnet.key import Key
from funcnet.layers.base import Params, State
from funcnet.losses.tempered import tempered
from funcnet.metrics import Metric
from funcnet.networks.profile import Profile, profile
from funcnet.spec.base import evolve
from funcnet.spec.codec import spec_hash
from funcnet.training.calibration import fit_temperature
from funcnet.training.callbacks import Callback, Lines, Snapshot, Watcher
from funcnet.training.checkpoint import LOCK, Saver, listed, locked, newest, sweep
from funcnet.training.distributions import Distributions
from funcnet.training.evaluate import evaluate
from funcnet.training.fit import Fit, fit
from funcnet.training.step import TrainState, train_state
from funcnet.training.threads import limited
from funcnet.training.weights import split_members

log = logging.getLogger("funcnet")


class Terminated(SystemExit):
    """SIGTERM ended a run: in training after it wrote a checkpoint, before training at once; the exit status is 143."""

    def __init__(self, folder: Path) -> None:
        super().__init__(143)
        self.folder = folder


def run(
    experiment: Experiment,
    out: str | os.PathLike[str] | None = None,
    resume: bool = False,
    base: str | os.PathLike[str] | None = None,
    *,
    data: Any = None,
    start: str | os.PathLike[str] | None = None,
    callbacks: Sequence[Watcher] = (),
    baseline: bool = False,
    allow_outside: bool = False,
) -> Run:
    """Train an experiment; with ``out``, write a run folder there.

    ``data`` is a table, whose rows take the place of the source's: a dict of columns, a list of dicts, or a data frame
    of pandas, polars or pyarrow. The experiment's source, ``fn.data.Columns`` or ``Csv``, says how its columns are
    used; a ``Csv`` becomes ``Columns`` in the run.

    ``start`` is a run folder, or a file of ``fn.save``, whose params and state training starts from, at step 0. The new
    run folder gets a copy, ``start.npz``, which its spec names.

    With ``baseline``, the run has the scores of a constant answer and of a linear model beside its own, as
    ``funcnet train`` prints them: ``Run.baseline``.

    With ``resume``, an unfinished run in that folder continues from its newest valid checkpoint and ends as if it had
    never stopped; a finished run is returned; without a run, or after one that failed before its first checkpoint, a
    new one starts. Paths in the spec are relative to
    ``base``, by default the current folder, and must stay inside it without ``allow_outside``. The same experiment
    gives the same run, bit for bit on one machine. Shapes are checked before data is read, and the folder before
    training starts.
    Raises   ShapeError, DataError; CheckpointError for a folder that is taken, of another spec, or not writable;
             NonFiniteError, after saving the last good state and the history; Terminated at SIGTERM

    >>> experiment = fn.Experiment(
    ...     data=fn.data.Iris(split=fn.data.Split(test=0.2, stratify=True), scale="standard"),
    ...     model=fn.serial(fn.Dense(16), fn.Relu(), fn.Dense(3)),
    ...     loss=fn.losses.SoftmaxCrossEntropy(),
    ...     metrics=(fn.metrics.Accuracy(),),
    ...     optimizer=fn.optim.Adam(0.01),
    ...     training=fn.Training(epochs=60),
    ... )
    >>> run = fn.run(experiment, out="iris")
    >>> run.metrics["test"]["accuracy"] > 0.9
    True
    >>> print(run.predict_label(np.array([[5.1, 3.5, 1.4, 0.2]]))[0])  # a raw row, in cm
    setosa
    """
    instance(experiment, Experiment, "an experiment", "fn.load_spec('specs/digits_mlp.json')")
    instance(callbacks, Sequence, "a list of callbacks", "[callback]")
    base, folder = base_folder(base, allow_outside), None if out is None else Path(out)
    rows = None if data is None else as_table(data)
    if rows is not None:
        experiment = evolve(experiment, data=in_memory(experiment.data))
    given = None if start is None else weights_of(Path(start))
    if given is not None:
        experiment = evolve(experiment, training=evolve(experiment.training, initial=InitialNpz(START)))
    with limited(experiment.training.threads):
        if folder is None:
            return _run(experiment, None, base, callbacks, given, rows, baseline=baseline)
        check_own(folder, experiment)
        if not (resume and begun(folder, experiment)):
            lines = lines_of(experiment) if resume else None
            check_free(folder, lines)
            return _run(experiment, folder, base, callbacks, given, rows, lines, baseline=baseline)
        finished = ended(folder)
        if finished is not None and not os.path.exists(folder / LOCK):
            return finished
        with locked(folder):
            for place in (folder, folder / CHECKPOINTS):
                sweep(place)
            finished = ended(folder)
            if finished is None:
                return _run(experiment, folder, base, callbacks, given, rows, resume=True, baseline=baseline)
            complete(folder, finished, base, rows)
            return finished


def complete(folder: Path, finished: Run, base: Path, rows: Cells | None = None) -> None:
    """Draw the pictures of a run that was killed after its scores were written."""
    experiment = finished.experiment
    try:
        data = prepare(experiment.data, Key(experiment.seed), base, experiment.dtype, data=rows)
        draw(folder, finished, data)
        report(folder, finished, data)
    except FuncnetError as error:
        log.warning("%s: its pictures are left out, the run is whole: %s", folder, error)


def report(folder: Path, finished: Run, data: Prepared) -> None:
    """Write the report of a run, with what is imported for it alone."""
    from funcnet.experiments.report.report import write_report

    write_report(folder, finished, data)


def weights_of(start: Path) -> Path:
    """The file with the weights of a run folder, or the file itself.

    Raises   CheckpointError if it is not there
    """
    folder = os.path.isdir(start)
    file = start / "weights.npz" if folder else start
    if not os.path.isfile(file):
        what = "is a folder without weights.npz, of a run that has not finished" if folder else "is not there"
        raise CheckpointError(f"start: {start} {what}; give the folder of a finished run, or a file of fn.save")
    return file


def _run(
    experiment: Experiment,
    folder: Path | None,
    base: Path,
    callbacks: Sequence[Watcher],
    given: Path | None,
    rows: Cells | None = None,
    lines: list[str] | None = None,
    *,
    resume: bool = False,
    baseline: bool = False,
) -> Run:
    """Train from ``given`` weights, and on ``rows`` in memory, if any.

    The folder is free, as ``check_free`` says, or locked with ``resume``.
    """
    training = experiment.training
    check_shapes(experiment, base)
    key = Key(experiment.seed)
    data = prepare(experiment.data, key, base, experiment.dtype, data=rows)
    if resume and folder is not None and os.path.isfile(folder / START):
        given = folder / START  # a resumed run has its start, whatever is given
    start: TrainState | Snapshot = starting_state(experiment, key, data, base, given or folder)
    metrics = in_units(experiment.metrics, data.preprocess)
    check_parts(experiment, data, metrics)
    check_monitors(experiment, data.validation is not None)
    named = watchers(experiment, folder)
    facts: dict[str, Any] = {}
    with contextlib.ExitStack() as held:
        saver = None
        if folder is not None:
            if not resume:
                held.enter_context(claimed(folder, lines))
            if not listed(folder / CHECKPOINTS):
                try:
                    begin(folder, experiment, base, given)
                except BaseException:
                    if not resume:
                        release(folder, experiment)
                    raise
            document = text_digest(SPEC, read_bytes(folder / SPEC))
            facts = {"spec": spec_hash(experiment), "document": document, "data": data_digest(data), **environment()}
            saver = Saver(folder / CHECKPOINTS, training.checkpoint, facts)
            held.enter_context(terminable(saver))
        if resume and saver is not None:
            saved = newest(saver.folder)
            if saved is not None:
                check_facts(saved, facts, saver.folder)
                there = saved.snapshot.train_state
                check_weights(saver.folder, experiment, data.train.x.shape[1:], there.params, there.state)
                start = saved.snapshot
        result: Fit | None = None
        try:
            if saver is not None:
                saver.running = True
            last = list(callbacks)
            if folder is not None and saver is not None:
                where = folder / DISTRIBUTIONS
                last += [Distributions(where, experiment.model, experiment.loss, data.train), saver]
            result = train(experiment, data, start, metrics, [*named, *last])
            if saver is not None:
                saver.running = False
                if result.stopped == type(saver).__name__:
                    assert folder is not None
                    raise Terminated(folder)
            finished = finish(experiment, data, result)
            if baseline:
                finished = attrs.evolve(finished, baseline=baseline_of(experiment, data))
        except Terminated:
            raise
        except BaseException as error:
            reached: Fit | None = result or getattr(error, "fit", None)
            if folder is not None and not isinstance(error, NonFiniteError) and listed(folder / CHECKPOINTS):
                if isinstance(error, FuncnetError):
                    error.message += f". {_advice(folder / CHECKPOINTS, start, reached)}"
                raise
            if folder is not None and reached is not None and (reached.history or isinstance(error, NonFiniteError)):
                with contextlib.suppress(CheckpointError):  # on a full disk the first error is the one to tell
                    kept = finish(experiment, data, reached, failed=True)
                    write(folder, kept, data, base)
                    report(folder, kept, data)
                    if isinstance(error, FuncnetError):
                        error.message += f". The last good state is in {folder}"
            elif folder is not None and not resume:
                release(folder, experiment)
            raise
        if folder is not None:
            write(folder, finished, data, base)
            report(folder, finished, data)
            if saver is not None and saver.terminate:
                raise Terminated(folder)
        return finished


def _advice(checkpoints: Path, start: TrainState | Snapshot, reached: Fit | None) -> str:
    """What to do after a failure that left checkpoints; one before the first step may be due to the newest of them."""
    step = start.train_state.step if isinstance(start, Snapshot) else None
    if step is not None and (reached is None or reached.train_state.step == step):
        paths = [path for path in listed(checkpoints) if int(path.name.partition("-")[0]) == step]
        of = (paths or [checkpoints])[0]
        return f"The run had gone on from {of}; if that is to blame, delete it and continue with --resume"
    return f"The checkpoints are in {checkpoints}; continue with --resume"


def watchers(experiment: Experiment, folder: Path | None = None) -> list[Callback]:
    """The callbacks of a spec; those that write files only if there is a folder."""
    early = experiment.training.early_stopping
    named = [*([] if early is None else [early]), *experiment.training.callbacks]
    if folder is None:
        return [callback for callback in named if not isinstance(callback, Lines)]
    return [callback.at(folder) for callback in named]


def train(
    experiment: Experiment,
    data: Prepared,
    start: TrainState | Snapshot,
    metrics: Sequence[Metric],
    callbacks: Sequence[Watcher] = (),
) -> Fit:
    """Train on prepared data with the experiment's settings."""
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
        key=(start.train_state if isinstance(start, Snapshot) else start).key,
        start=start,
        validation=data.validation,
        metrics=metrics,
        callbacks=callbacks,
        class_weight=class_weights(experiment, data.preprocess),
        block=data.block,
    )


@contextlib.contextmanager
def terminable(saver: Saver) -> Iterator[None]:
    """Inside the block, SIGTERM makes training write a checkpoint and stop; before training it ends the run at once."""

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


def profiled(finished: Run, base: str | os.PathLike[str] | None = None, *, allow_outside: bool = False) -> Profile:
    """Profile the training step with some steps beyond the end of a run, which they do not change."""
    experiment, ts = finished.experiment, finished.train_state
    with limited(experiment.training.threads):
        data = prepare(experiment.data, Key(experiment.seed), base_folder(base, allow_outside), experiment.dtype)
        parts = experiment.model, experiment.loss, experiment.optimizer
        return profile(*parts, ts, data.train, experiment.training.batch_size)


def starting_state(
    experiment: Experiment, key: Key, data: Prepared, base: Path, start: Path | None = None
) -> TrainState:
    """Step 0 of a run, with the initial values that the spec names, if any.

    ``start`` is a file to take them from, or the run's folder, whose files come before those of ``base``.
    """
    initial = experiment.training.initial
    params: Params | None = None
    state: State | None = None
    if start is not None and os.path.isfile(start):
        params, state = split_members(read_npz(start))
    elif initial is not None:
        own = start is not None and isinstance(initial, InitialNpz) and os.path.isfile(start / initial.path)
        params, state = initial.values(start if own and start is not None else base)
    in_shape = data.train.x.shape[1:]
    return train_state(
        experiment.model, experiment.optimizer, key.fold("train"), in_shape, experiment.dtype, params, state or None
    )


def finish(experiment: Experiment, data: Prepared, result: Fit, *, failed: bool = False) -> Run:
    """The scores of the final state on every part; after a failure, only on parts that can be scored."""
    ts = result.train_state
    params = experiment.optimizer.eval_params(ts.params, ts.opt_state)
    heat = None if failed else temperature_of(experiment, data, params, ts.state)
    loss, metrics = tempered(experiment.loss, heat), {}
    wanted = in_units(experiment.metrics, data.preprocess)
    for name, part in data.parts_by_name().items():
        try:
            metrics[name] = evaluate(experiment.model, loss, params, ts.state, part, wanted)
        except FuncnetError:
            if not failed:
                raise
    return Run(ts, result.history, metrics, experiment, data.preprocess, params, result.stopped, heat)


def temperature_of(experiment: Experiment, data: Prepared, params: Params, state: State) -> float | None:
    """The temperature of a network's probabilities, fitted on the validation part; None if it is not asked for."""
    if not experiment.training.calibrate or data.validation is None:
        return None
    return fit_temperature(experiment.model, experiment.loss, params, state, data.validation)
