"""The training loop: epochs of shuffled batches through a pure step, with a history."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from html import escape
from typing import Any, Literal, NamedTuple

from funcnet import tree
from funcnet.data.augmentation import Batch, augmented
from funcnet.errors import CheckpointError, DataError, FuncnetError, NonFiniteError, listed
from funcnet.hints import explained, no_attribute
from funcnet.inputs import (
    as_key,
    as_loss,
    as_metrics,
    as_optimizer,
    cast,
    dtype_of,
    gives_batches,
    instance,
    whole_number,
)
from funcnet.key import Key
from funcnet.layers.base import Context, Layer, Params
from funcnet.losses.base import Loss, compared
from funcnet.metrics import Metric
from funcnet.optim.base import Optimizer
from funcnet.optim.hyperparameters import learning_rate, monitored, reaches
from funcnet.optim.schedules import bind, too_short
from funcnet.padding import paired_targets, step_weights
from funcnet.read_only import read_only
from funcnet.shapes import shape_of
from funcnet.signatures import check_signatures
from funcnet.training.arguments import as_augmentations, as_callbacks, parted
from funcnet.training.batches import Mean, Rows, class_weights
from funcnet.training.callbacks import Callback, EarlyStopping, Event, Row, Snapshot, Watcher, check_monitor, monitors
from funcnet.training.evaluate import arrays, check_targets, scores
from funcnet.training.iterated import Batches, check_options
from funcnet.training.outputs import doubts
from funcnet.training.progress import Plain, rows_text
from funcnet.training.start import Start, starting
from funcnet.training.step import Step, TrainState, check_opt_state, forms, train_step, value_and_grad
from funcnet.training.threads import limited_for

log = logging.getLogger("funcnet")
COLUMNS = ("step", "epoch", "loss", "learning_rate", "seconds")
"""What every row of a history has"""
USUAL_BATCH = 32


class Fit(NamedTuple):
    """The result of training: the final state, a row of figures per epoch, and why it ended early, if it did."""

    train_state: TrainState
    history: list[Row]
    stopped: str | None = None

    def __repr__(self) -> str:
        ended = f", ended by {self.stopped}" if self.stopped else ""
        lines = [f"Fit: {self.train_state.step:,} steps{ended}", f"params: {tree.brief(self.train_state.params)}"]
        return "\n".join([*lines, *rows_text(self.history)])

    def _repr_html_(self) -> str:
        return f"<pre>{escape(repr(self))}</pre>"


Fit.__getattr__ = no_attribute("Fit")  # type: ignore[attr-defined]


@explained
def fit(
    net: Layer,
    data: Any,
    *more: Any,
    loss: Loss | str,
    optimizer: Optimizer | str,
    epochs: int | None = None,
    steps: int | None = None,
    batch_size: int | Literal["full"] = USUAL_BATCH,
    remainder: Literal["keep", "drop"] = "keep",
    key: Key | int,
    start: Start = None,
    validation: tuple[Any, ...] | float | None = None,
    metrics: Sequence[Metric | str] = (),
    callbacks: Sequence[Watcher] = (),
    early_stopping: EarlyStopping | int | bool | None = None,
    class_weight: Mapping[int, float] | Literal["balanced"] | None = None,
    augment: Sequence[Callable[[Batch, Key], Batch]] = (),
    log_every: int | None = None,
    block: int | None = None,
    shards: int = 1,
    progress: bool = False,
) -> Fit:
    """Train a network on arrays ``(x, y)`` or ``(x, y, weight)``; the inputs may be a stream of rows in files.

    Lists of sequences of different lengths, and of targets for their steps, are padded for a network that takes masks;
    padded steps count in no loss, metric or class weight.

    ``data`` may also be an iterable of batches ``(x, y)`` or ``(x, y, weight)``, of any sizes: a list of tuples, a
    loader, a generator, or a function without arguments that returns one of these. Batches are used as they come, and
    checked as they come. An epoch is a pass over them; without a ``len`` they are counted in a pass before training
    for ``epochs``, and with ``steps`` every ``log_every`` steps are an epoch, or else all steps are. A generator can be
    passed over only once and needs ``steps``; if it ends before, training does too, with a warning and ``stopped`` set
    to "out of data". Metrics are those of the validation part alone. To continue from ``start``, the batches of its
    steps are passed over again; a generator goes on from where it is.

    Give ``epochs`` or ``steps``, counted from step 0. ``start`` is a Fit, a Run or a TrainState to continue from, whose
    steps count; the Snapshot of a checkpoint, which ends as if training had never stopped; initial
    ``(params, state)``; or the initial params of a network without state. Their dtype is kept; the default draws
    float32 params from ``key``. To continue under another optimizer, swap it first: ``fn.swap(done.train_state, opt)``.
    Epoch e visits the rows in the order ``key.fold("epoch", e).permutation(n)``.
    The last batch has the remaining rows, or is left out if ``remainder`` is "drop", other rows in every epoch. A
    ``batch_size`` of "full", or of at least the number of rows, is one batch of all rows in their given order. With
    ``block``, rows are shuffled in two stages: the order of blocks of that many rows, then the rows within each group
    of eight blocks, so that a stream is read in whole blocks. ``class_weight`` weights the loss of each sample by its
    label; ``"balanced"`` makes every class count the same, sample weights included. ``augment`` lists augmentations, or
    functions ``(batch, key) -> batch``, applied to the batch ``(x, y, weight)`` of step i with
    ``key.fold("augment", i)``, never in evaluation.

    The history has a row per epoch, and every ``log_every`` steps if given: the mean loss of the batches since the
    last row (in training mode, dropout included), the learning rate, the seconds so far, and at the end of an epoch
    the metrics over the whole training and validation parts. An optimizer with a ``monitor`` follows the rows of whole
    epochs. ``shards`` cuts each batch into that many parts whose gradients are added, for batches larger than memory.
    ``callbacks`` are pairs ``init() -> state`` and ``update(state, event) -> (state, stop)``.

    Specs may be given by their tags and the key by its seed, as in JSON: ``loss="mean_squared_error"``,
    ``optimizer="adam"``, ``metrics=["accuracy"]``, ``key=0``. ``validation`` is data, or a share of the rows, drawn
    from ``key``; ``early_stopping`` is a patience, or an ``fn.EarlyStopping``. With ``progress``, rows of the history
    are printed as they come.

    Ctrl-C ends training and returns the result so far.
    Raises   ShapeError and DataError for bad data, before training; NonFiniteError; any error raised during
             training has ``.fit``, the last good state and the history

    >>> x = np.linspace(-3, 3, 200, dtype=np.float32)[:, None]
    >>> net = fn.serial(fn.Dense(16), fn.Tanh(), fn.Dense(1))
    >>> how = {"loss": fn.losses.MeanSquaredError(), "optimizer": fn.optim.Adam(0.02)}
    >>> done = fn.fit(net, (x, np.sin(x)), epochs=50, key=fn.Key(0), **how)
    >>> done.train_state.step, done.history[-1]["loss"] < 0.01
    (350, True)
    """
    instance(net, Layer, "a network", "fn.serial(fn.Dense(10))")
    loss, optimizer, metrics, key = as_loss(loss), as_optimizer(optimizer), as_metrics(metrics), as_key(key)
    callbacks = [*as_callbacks(callbacks, early_stopping), *([Plain()] if progress else [])]
    check_signatures(net, loss, optimizer)
    augment = as_augmentations(augment)
    _check_sizes(epochs, steps, batch_size, log_every, block, remainder)
    chosen = None if batch_size == USUAL_BATCH else batch_size
    if isinstance(validation, int):
        raise DataError(f"expected validation as data (x, y), or a share of the rows such as 0.2, got {validation}")
    held_out = None if validation is None or isinstance(validation, float) else arrays(validation, "validation", net)
    feed: Rows | Batches
    if gives_batches(data) and not (more and isinstance(data, list)):
        check_options(more, chosen, remainder, block, class_weight, validation, metrics)
        feed = Batches(net, loss, data, epochs, steps, log_every, class_weight)  # type: ignore[arg-type]
    else:
        given = arrays((data, *more) if more else data, "", net)
        if isinstance(validation, float):
            given, held_out = parted(given, validation, key)
        rows = len(tree.leaves(given[0])[0])
        size = rows if batch_size == "full" else min(int(batch_size), rows)
        if isinstance(chosen, int) and chosen > rows:
            log.warning("batch_size %d is more than the %d rows to train on; every batch has all rows", chosen, rows)
        weight = step_weights(net, loss, *given)
        weight = weight if class_weight is None else class_weights(given[1], weight, class_weight, loss)
        given = given[0], paired_targets(net, loss, *given[:2]), given[2]
        feed = Rows(given, weight, size, remainder == "drop", block)
    per_epoch = feed.per_epoch
    total = steps if epochs is None else epochs * per_epoch
    assert total is not None
    optimizer = bind(optimizer, max(total, 1))
    for sentence in too_short(optimizer, total):
        log.warning("%s", sentence)
    kept = start if isinstance(start, Snapshot) else None
    ts = starting(net, optimizer, key, shape_of(feed.sample[0]), start)
    if 0 < total <= ts.step:
        log.warning("%s", nothing_left(ts.step, per_epoch, epochs))
    step = train_step(net, loss, optimizer, shards=shards)
    dtype = dtype_of(ts.params, ts.state)
    feed.cast(dtype)
    check_targets(net, loss, () if feed.part is None else metrics, feed.sample)
    for sentence in doubts(net, loss, *feed.sample[:2]):
        log.warning("%s", sentence)
    if augment:
        first = augmented(augment, feed.first(ts.key), ts.key.fold("augment", 0))
        check_targets(net, loss, (), first, "an augmented batch", batch=True)
    if held_out is not None:
        apart = cast(held_out[0], dtype, "validation x"), cast(held_out[1], dtype, "validation y"), held_out[2]
        check_targets(net, loss, metrics, apart, "the validation part")
    feed.check_last(net, ts, total)
    parts = feed.part, held_out
    known = monitors(metrics, held_out is not None, feed.part is not None)
    _check_monitors(optimizer, ts, known)
    record = _Record(net, loss, optimizer, metrics, callbacks, parts, known, per_epoch, total, log_every, kept)
    coming = feed.batches(ts.step, ts.key)
    try:
        with limited_for(ts.params, feed.sample[0], feed.size):
            while ts.step < total and record.stopped is None:
                batch = next(coming, None)
                if batch is None:
                    record.run_out(ts)
                    break
                batch = augmented(augment, batch, ts.key.fold("augment", ts.step)) if augment else batch
                before, (ts, out) = ts, _located(step, ts, batch, feed)
                ts, event = record.add(before, batch, ts, out["loss"])
                if event is not None:
                    record.call(event)
                del before, event  # the earlier state, whose memory the next step needs
    except KeyboardInterrupt:
        record.stopped = "interrupted"
    except Exception as error:
        record.stopped = "not finite" if isinstance(error, NonFiniteError) else "an error"
        error.fit = record.fit(ts)  # type: ignore[attr-defined]
        raise
    return record.fit(ts)


class _Record:
    """The record of one training run: its history, the states of its callbacks, and why it ended."""

    def __init__(
        self,
        net: Layer,
        loss: Loss,
        optimizer: Optimizer,
        metrics: Sequence[Metric],
        callbacks: Sequence[Watcher],
        parts: tuple[tuple[Any, ...] | None, tuple[Any, ...] | None],
        known: Sequence[str],
        per_epoch: int,
        total: int,
        log_every: int | None,
        start: Snapshot | None,
    ) -> None:
        for callback in callbacks:
            if isinstance(callback, Callback):
                callback.check(known)
        unknown = {name for row in (() if start is None else start.history) for name in row} - {*known, *COLUMNS}
        if unknown:
            raise CheckpointError(f"the checkpoint's history has figures of another run: {listed(sorted(unknown))}")
        self.net, self.loss, self.optimizer, self.metrics = net, loss, optimizer, metrics
        self.callbacks, self.states = callbacks, _states(callbacks, start)
        self.parts, self.per_epoch, self.total, self.log_every = parts, per_epoch, total, log_every
        self.history: list[Row] = [] if start is None else list(start.history)
        self.recent = Mean() if start is None else Mean(*start.recent)
        self.stopped: str | None = None
        self.gradient = value_and_grad(net, loss)
        self.began = time.perf_counter() - (0.0 if start is None else start.seconds)

    def add(self, before: TrainState, batch: Batch, ts: TrainState, loss: float) -> tuple[TrainState, Event | None]:
        """Record a step: add its row to the history if one is due, and report an epoch's to the optimizer.

        The state after that, and the argument of the callbacks, if there are any.
        """
        sums = (self.recent.total, self.recent.weight)
        earlier = partial(
            self.snapshot, before, time.perf_counter() - self.began, len(self.history), sums, list(self.states)
        )
        _, target, weight, _ = compared(self.loss, None, batch[1], batch[2])
        self.recent.add(loss, self.loss.divisor(target, weight))
        ends = ts.step % self.per_epoch == 0 or ts.step == self.total
        logs = self.log_every is not None and ts.step % self.log_every == 0
        if logs:
            log.info("%d %.10g", ts.step, loss)
        seconds = time.perf_counter() - self.began
        row = self.row(ts, seconds, ends) if ends or logs else None
        if row is not None and ts.step % self.per_epoch == 0:
            ts = self.observed(ts, row)
        if not self.callbacks:
            return ts, None
        return ts, Event(
            ts.step,
            self.total,
            ts.step / self.per_epoch,
            loss,
            tree.map(read_only, ts),
            read_only(row),
            seconds,
            partial(self.gradients, before, batch),
            partial(self.snapshot, ts, seconds),
            earlier,
        )

    def call(self, event: Event) -> None:
        """Call the callbacks."""
        for i, callback in enumerate(self.callbacks):
            self.states[i], stop = callback.update(self.states[i], event)
            if stop:
                self.stopped = type(callback).__name__

    def observed(self, ts: TrainState, row: Row) -> TrainState:
        """The state after the optimizer has seen the row of an epoch.

        Raises   ShapeError for an ``observe`` that changes the form of the state
        """
        opt_state = self.optimizer.observe(ts.opt_state, read_only(row))
        if opt_state is ts.opt_state:
            return ts
        if forms(opt_state) != forms(ts.opt_state):
            check_opt_state(self.optimizer, ts.params, opt_state)
        return TrainState(ts.params, ts.state, opt_state, ts.key, ts.step)

    def run_out(self, ts: TrainState) -> None:
        """Record that the data ended before its time, with the scores at that point."""
        self.stopped = "out of data"
        log.warning("the iterator of batches ended after step %d of %d, and training with it", ts.step, self.total)
        if not self.history or self.history[-1]["step"] != ts.step:
            self.row(ts, time.perf_counter() - self.began, True)

    def row(self, ts: TrainState, seconds: float, ends: bool) -> Row:
        """A new row of the history, with metrics at the end of an epoch."""
        row: Row = {
            "step": ts.step,
            "epoch": ts.step / self.per_epoch if ts.step % self.per_epoch else ts.step // self.per_epoch,
            "loss": self.recent.value,
            "learning_rate": learning_rate(self.optimizer, ts.opt_state, ts.step - 1),
            "seconds": seconds,
        }
        self.recent = Mean()
        if ends:
            params = self.optimizer.eval_params(ts.params, ts.opt_state)
            row |= scores(self.net, self.loss, self.metrics, params, ts.state, *self.parts)
        self.history.append(row)
        return row

    def gradients(self, before: TrainState, batch: Batch) -> Params:
        """The gradients of a step, computed once more."""
        context = Context(True, before.key.fold("step", before.step, "shard", 0))
        return self.gradient(before.params, before.state, batch[0], batch[1], context, batch[2])[2]

    def snapshot(
        self,
        ts: TrainState,
        seconds: float,
        rows: int | None = None,
        recent: tuple[float, float] | None = None,
        states: list[Any] | None = None,
    ) -> Snapshot:
        """The content of a checkpoint: of now, or of a moment with fewer rows and other sums and states."""
        states = self.states if states is None else states
        named = [(type(c).__name__, state) for c, state in zip(self.callbacks, states, strict=True)]
        return Snapshot(ts, self.history[:rows], named, recent or (self.recent.total, self.recent.weight), seconds)

    def fit(self, ts: TrainState) -> Fit:
        """The result."""
        return Fit(final_state(self.callbacks, self.states, ts), read_only(self.history), self.stopped)


def _located(step: Step, ts: TrainState, batch: Batch, feed: Rows | Batches) -> tuple[TrainState, dict[str, float]]:
    """A step, whose errors say where in the data its batch is."""
    try:
        return step(ts, batch)
    except FuncnetError as error:
        error.message += feed.place
        raise


def _check_sizes(epochs: Any, steps: Any, batch_size: Any, log_every: Any, block: Any, remainder: Any) -> None:
    if (epochs is None) == (steps is None):
        raise FuncnetError(f"expected either epochs or steps, got epochs={epochs} and steps={steps}")
    whole_number(steps if epochs is None else epochs, 0, "epochs or steps of 0 or more")
    if batch_size != "full":
        whole_number(batch_size, 1, "a batch size of 1 or more, or 'full'")
    if log_every is not None:
        whole_number(log_every, 1, "log_every of 1 or more, or None")
    if block is not None:
        whole_number(block, 1, "a block of 1 or more rows, or None")
    if remainder not in ("keep", "drop"):
        raise DataError(f"expected a remainder of 'keep' or 'drop', got {remainder!r}")


def _check_monitors(optimizer: Optimizer, ts: TrainState, known: Sequence[str]) -> None:
    found = monitored(optimizer)
    for owner, monitor in found:
        check_monitor(owner, monitor, known)
    if found and not reaches(optimizer, ts.params):
        raise FuncnetError(
            f"has a {type(found[0][0]).__name__} inside, which its observe does not reach; "
            "give it children, by the names of their states",
            layer=type(optimizer).__name__,
        )


def _states(callbacks: Sequence[Watcher], start: Snapshot | None) -> list[Any]:
    """The state of each callback: from a checkpoint, by class name in order, else its initial state."""
    kept = [] if start is None else list(start.callbacks)
    states = []
    for callback in callbacks:
        name = type(callback).__name__
        at = next((i for i, (known, _) in enumerate(kept) if known == name), None)
        state = callback.init() if at is None else kept.pop(at)[1]
        restored = None if at is None or start is None else start.train_state
        if restored is not None and isinstance(callback, Callback) and not callback.fits(state, restored):
            raise CheckpointError(f"the checkpoint's state of {name} is not one that it made")
        states.append(state)
    return states


def final_state(callbacks: Sequence[Watcher], states: list[Any], ts: TrainState) -> TrainState:
    """The result, after the ``final`` of each callback."""
    for callback, state in zip(callbacks, states, strict=True):
        if isinstance(callback, Callback):
            ts = callback.final(state, ts)
    return ts


def pass_interrupt_on(stopped: str | None) -> None:
    """Let Ctrl-C end what needs the whole training: half of one has no scores to compare.

    Raises   KeyboardInterrupt if it ended the training
    """
    if stopped == "interrupted":
        raise KeyboardInterrupt


def nothing_left(step: int, per_epoch: int, epochs: int | None) -> str:
    """Why a start has nothing left to train, and what to give for more."""
    count, unit = (step / per_epoch, "epochs") if epochs is not None else (step, "steps")
    more = math.ceil(count) + (epochs or 100)
    return (
        f"start has {count:g} {unit} behind it already, so there is nothing left to train; {unit} count from step 0: "
        f"give {unit}={more} to continue, or start=(params, state) to start over"
    )
