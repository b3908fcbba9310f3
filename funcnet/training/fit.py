"""The training loop: epochs of shuffled batches through a pure step, with a history of what happened."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from funcnet import tree
from funcnet.data.augmentation import Batch, augmented
from funcnet.data.preprocessing import check_finite
from funcnet.data.streams import WINDOW, Stream, order_of
from funcnet.errors import DataError, FuncnetError, NonFiniteError, ShapeError
from funcnet.key import Array, Key
from funcnet.layer import Context, Layer, Params, Shape, State, Value, apply_child, batched, reach, shape_of, zeros_of
from funcnet.losses import Loss
from funcnet.metrics import Metric
from funcnet.optim.reading import learning_rate
from funcnet.optim.rules import Optimizer
from funcnet.optim.schedules import bind, too_short
from funcnet.signatures import check_signatures
from funcnet.training.callbacks import Callback, Event, Progress, Row, Watcher, monitors
from funcnet.training.checks import cast, dtype_of, instance, numeric, unpack, whole_number
from funcnet.training.step import TrainState, predict, train_state, train_step, value_and_grad

log = logging.getLogger("funcnet")
USUAL_BATCH = 32


class Fit(NamedTuple):
    """What training gives: the final state, one row of figures per epoch, and why it ended early, if it did."""

    train_state: TrainState
    history: list[Row]
    stopped: str | None = None


def fit(
    net: Layer,
    data: tuple[Any, ...],
    *,
    loss: Loss,
    optimizer: Optimizer,
    epochs: int | None = None,
    steps: int | None = None,
    batch_size: int | Literal["full"] = USUAL_BATCH,
    remainder: Literal["keep", "drop"] = "keep",
    key: Key,
    start: TrainState | Progress | Params | None = None,
    validation: tuple[Any, ...] | None = None,
    metrics: Sequence[Metric] = (),
    callbacks: Sequence[Watcher] = (),
    class_weight: Mapping[int, float] | Literal["balanced"] | None = None,
    augment: Sequence[Callable[[Batch, Key], Batch]] = (),
    log_every: int | None = None,
    block: int | None = None,
    shards: int = 1,
) -> Fit:
    """Train a network on arrays ``(x, y)`` or ``(x, y, weight)``; the inputs may be a stream of rows in files.

    Give ``epochs`` or ``steps``, counted from step 0. ``start`` is a TrainState to go on from, the Progress of a
    checkpoint, with which training ends as if it had never stopped, or params to
    begin with, whose dtype is kept; the default draws float32 params from ``key``. Epoch e visits the rows
    in the order ``key.fold("epoch", e).permutation(n)``, the last batch keeping what remains, or with a
    ``remainder`` of "drop" leaving it out, other rows in every epoch; ``"full"``, or a size that reaches the
    number of rows, is one batch of all rows as they stand. With ``block``, blocks of so many rows change places and
    the rows of every eight do, so that a stream is read in whole blocks. ``class_weight`` weighs
    the loss of each sample by its label, ``"balanced"`` so that every class counts the same. ``augment`` are
    augmentations, or functions ``(batch, key) -> batch`` of your own, applied to the batch ``(x, y, weight)`` of step
    i with the key ``key.fold("augment", i)``, and never in evaluation.

    The history has a row per epoch, and with ``log_every`` one at every so many steps besides: the mean
    loss of the batches since the last row (as they were trained on, dropout and all), the learning rate,
    the seconds so far, and at the end of an epoch the metrics over the whole training and validation parts.
    ``shards`` cuts each batch into so many parts whose gradients are added, for batches larger than memory.
    ``callbacks`` are pairs ``init() -> state`` and ``update(state, event) -> (state, stop)``.

    Ctrl-C ends training and returns what was learnt.
    Raises   ShapeError and DataError for bad data, before training; NonFiniteError; whatever is raised in
             training has ``.fit``, the last good state and the history

    >>> x = np.linspace(-3, 3, 200, dtype=np.float32)[:, None]
    >>> net = fn.serial(fn.Dense(16), fn.Tanh(), fn.Dense(1))
    >>> how = {"loss": fn.losses.MeanSquaredError(), "optimizer": fn.optim.Adam(0.02)}
    >>> done = fn.fit(net, (x, np.sin(x)), epochs=50, key=fn.Key(0), **how)
    >>> done.train_state.step, done.history[-1]["loss"] < 0.01
    (350, True)
    """
    instance(net, Layer, "a network", "fn.serial(fn.Dense(10))")
    instance(loss, Loss, "a loss", "fn.losses.MeanSquaredError()")
    instance(optimizer, Optimizer, "an optimizer", "fn.optim.Adam()")
    check_signatures(net, loss, optimizer)
    instance(key, Key, "a key", "fn.Key(0)")
    instance(metrics, Sequence, "a list of metrics", "[fn.metrics.Accuracy()]")
    for metric in metrics:
        instance(metric, Metric, "a metric", "fn.metrics.Accuracy()")
    instance(callbacks, Sequence, "a list of callbacks", "[callback]")
    if start is not None:
        instance(start, (dict, TrainState, Progress), "params or a TrainState", "start=result.train_state")
    x, y, weight = _arrays(data, "")
    held_out = None if validation is None else _arrays(validation, "validation")
    rows = len(tree.leaves(x)[0])
    if batch_size != "full":
        whole_number(batch_size, 1, "a batch size of 1 or more, or 'full'")
    if log_every is not None:
        whole_number(log_every, 1, "log_every of 1 or more, or None")
    if block is not None:
        whole_number(block, 1, "a block of 1 or more rows, or None")
    if remainder not in ("keep", "drop"):
        raise DataError(f"expected a remainder of 'keep' or 'drop', got {remainder!r}")
    size = rows if batch_size == "full" else min(int(batch_size), rows)
    per_epoch = rows // size if remainder == "drop" else -(-rows // size)
    if batch_size not in ("full", USUAL_BATCH) and int(batch_size) > rows:  # somebody chose it
        log.warning("batch_size %d is more than the %d rows to train on; every batch is all of them", batch_size, rows)
    total = _total_steps(epochs, steps, per_epoch)
    given_weight = weight
    if class_weight is not None:
        weight = _class_weights(y, weight, class_weight)
    optimizer = bind(optimizer, max(total, 1))
    for sentence in too_short(optimizer, total):
        log.warning("%s", sentence)
    ts = _start(net, optimizer, key, shape_of(x), start.train_state if isinstance(start, Progress) else start)
    step = train_step(net, loss, optimizer, shards=shards)
    dtype = dtype_of(ts.params, ts.state)
    x, y = cast(x, dtype), cast(y, dtype)
    check_targets(net, loss, metrics, (x, y, weight))
    if augment:
        first = next(batches(x, y, weight, size, ts.key.fold("epoch", 0), block=block))
        check_targets(net, loss, (), augmented(augment, first, ts.key.fold("augment", 0)), "an augmented batch")
    if held_out is not None:
        given = cast(held_out[0], dtype), cast(held_out[1], dtype), held_out[2]
        check_targets(net, loss, metrics, given, "the validation part")
    if rows % size and remainder == "keep" and total // per_epoch > ts.step // per_epoch:
        try_last_batch(net, ts, x, rows % size, size)
    known = monitors(metrics, held_out is not None)
    for callback in callbacks:
        if isinstance(callback, Callback):
            callback.check(known)
    history: list[Row] = list(start.history) if isinstance(start, Progress) else []
    states = _states(callbacks, start)
    recent = _Mean(*start.recent) if isinstance(start, Progress) else _Mean()
    before = start.seconds if isinstance(start, Progress) else 0.0
    backward = value_and_grad(net, loss)
    stopped = None
    began = time.perf_counter()
    try:
        while ts.step < total and stopped is None:
            epoch, offset = divmod(ts.step, per_epoch)
            order = ts.key.fold("epoch", epoch)
            for batch in batches(x, y, weight, size, order, offset, remainder == "drop", block):
                batch = augmented(augment, batch, ts.key.fold("augment", ts.step)) if augment else batch
                previous = ts
                ts, out = step(ts, batch)
                recent.add(out["loss"], loss.divisor(batch[1], batch[2]))
                ends = ts.step % per_epoch == 0 or ts.step == total
                logs = log_every is not None and ts.step % log_every == 0
                if logs:
                    log.info("%d %.10g", ts.step, out["loss"])
                row: Row | None = None
                seconds = before + time.perf_counter() - began
                if ends or logs:
                    row = {
                        "step": ts.step,
                        "epoch": ts.step / per_epoch if ts.step % per_epoch else ts.step // per_epoch,
                        "loss": recent.value,
                        "learning_rate": learning_rate(optimizer, ts.opt_state, ts.step - 1),
                        "seconds": seconds,
                    }
                    recent = _Mean()
                    if ends:
                        params = optimizer.eval_params(ts.params, ts.opt_state)
                        row |= _scores(net, loss, metrics, params, ts.state, (x, y, given_weight), held_out)
                    history.append(row)

                def gradients(ts: TrainState = previous, batch: Any = batch) -> Params:
                    context = Context(True, ts.key.fold("step", ts.step, "shard", 0))
                    return backward(ts.params, ts.state, batch[0], batch[1], context, batch[2])[2]

                def progress(ts: TrainState = ts, seconds: float = seconds, recent: _Mean = recent) -> Progress:
                    named = [(type(c).__name__, state) for c, state in zip(callbacks, states, strict=True)]
                    return Progress(ts, list(history), named, (recent.total, recent.weight), seconds)

                now = ts.step, total, ts.step / per_epoch, out["loss"], ts, row, seconds, gradients, progress
                event = Event(*now)
                for i, callback in enumerate(callbacks):
                    states[i], stop = callback.update(states[i], event)
                    if stop:
                        stopped = type(callback).__name__
                if ts.step == total or stopped:
                    break
    except KeyboardInterrupt:
        stopped = "interrupted"
    except Exception as error:
        ended = "not finite" if isinstance(error, NonFiniteError) else "an error"
        error.fit = Fit(final_state(callbacks, states, ts), history, ended)  # type: ignore[attr-defined]
        raise
    return Fit(final_state(callbacks, states, ts), history, stopped)


def _states(callbacks: Sequence[Watcher], start: Any) -> list[Any]:
    """The state of each callback: that of its namesake in a checkpoint, in their order, or its first."""
    kept = list(start.callbacks) if isinstance(start, Progress) else []
    states = []
    for callback in callbacks:
        at = next((i for i, (name, _) in enumerate(kept) if name == type(callback).__name__), None)
        states.append(callback.init() if at is None else kept.pop(at)[1])
    return states


def final_state(callbacks: Sequence[Watcher], states: list[Any], ts: TrainState) -> TrainState:
    """The result, after the callbacks have had their word."""
    for callback, state in zip(callbacks, states, strict=True):
        if isinstance(callback, Callback):
            ts = callback.final(state, ts)
    return ts


def _start(
    net: Layer, optimizer: Optimizer, key: Key, in_shape: Shape, start: TrainState | Params | None
) -> TrainState:
    """The state that training begins with.

    Raises   FuncnetError for a state of another optimizer
    """
    if not isinstance(start, TrainState):
        dtype = (None if start is None else dtype_of(start)) or np.dtype(np.float32)
        return train_state(net, optimizer, key, in_shape, dtype, params=start)
    expected, given = (
        {path: np.shape(leaf) for path, leaf in tree.flatten(opt_state).items()}
        for opt_state in (optimizer.init(start.params), start.opt_state)
    )
    if expected != given:
        raise FuncnetError(
            f"expected a start with the state of this optimizer, {sorted(expected)}, got {sorted(given)}; "
            "go on with the same optimizer, or begin with start=train_state.params"
        )
    return start


def try_last_batch(net: Layer, ts: TrainState, x: Value, rows: int, size: int) -> None:
    """Refuse, before training, a last batch that is too small for some layer, such as one row for BatchNorm.

    Raises   ShapeError of that layer, with what to do
    """
    left = tree.map(lambda a: a[:rows], x)
    try:
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            apply_child("", net, ts.params, ts.state, left, Context(True, ts.key))
    except ShapeError as error:
        error.message += f" (the last batch of an epoch has {rows} of {size} rows; remainder='drop' leaves it out)"
        raise


def _arrays(data: tuple[Any, ...], name: str) -> tuple[Value, Value, Array | None]:
    """The arrays of a data set, as many rows in each, every number finite.

    Raises   DataError for no rows, parts of different length, NaN or infinity
    """
    x, y, weight = unpack(data)
    x = tree.map(lambda leaf: leaf if isinstance(leaf, Stream) else numeric(leaf), x)
    y = tree.map(numeric, y)
    weight = None if weight is None else numeric(weight)
    lengths = [leaf.shape[0] if leaf.ndim else 0 for leaf in tree.leaves((x, y, weight))]
    if len(set(lengths)) != 1 or lengths[0] == 0:
        message = f"expected x, y (and weight) with the same number of rows, at least 1, got {lengths}"
        raise DataError(message, layer=name)
    for what, part in (("inputs", x), ("targets", y), ("weights", weight)):
        for leaf in tree.leaves(part):
            if not isinstance(leaf, Stream):  # whose rows are looked at when they are read
                check_finite(leaf, what, name)
    if weight is not None and (np.any(weight < 0) or not np.any(weight > 0)):
        message = f"expected weights of 0 or more, some of them above 0, got {weight.min()} as the least"
        raise DataError(message, layer=name)
    return x, y, weight


def check_targets(
    net: Layer, loss: Loss, metrics: Sequence[Metric], data: tuple[Any, ...], part: str | None = None
) -> None:
    """Refuse targets that the loss or a metric cannot take, before training: tried at outputs of 0.

    Raises   ShapeError, DataError as the loss and the metrics do, for the rows of the part as they were given
    """
    try:
        _try_targets(net, loss, metrics, data)
    except FuncnetError as error:
        error.message += f" (in {part})" if part else ""
        raise


def _try_targets(net: Layer, loss: Loss, metrics: Sequence[Metric], data: tuple[Any, ...]) -> None:
    x, y, weight = data
    out_shape = reach("", net, "out_shape", shape_of(x))
    dtype = next((leaf.dtype for leaf in tree.leaves(x) if leaf.dtype.kind == "f"), np.dtype(np.float32))
    zeros = zeros_of(batched(out_shape, len(tree.leaves(x)[0])), dtype)
    loss.apply(zeros, y, None if weight is None else weight.astype(dtype))
    for metric in metrics:
        metric(loss.link(zeros), y, weight)


def _total_steps(epochs: int | None, steps: int | None, per_epoch: int) -> int:
    if (epochs is None) == (steps is None):
        raise FuncnetError(f"expected either epochs or steps, got epochs={epochs} and steps={steps}")
    if epochs is not None:
        return whole_number(epochs, 0, "epochs or steps of 0 or more") * per_epoch
    return whole_number(steps, 0, "epochs or steps of 0 or more")


def _class_weights(y: Array, weight: Array | None, class_weight: Mapping[int, float] | Literal["balanced"]) -> Array:
    """Sample weights from those of their classes; ``balanced`` gives each class the same total."""
    if not isinstance(y, np.ndarray) or y.dtype.kind not in "iu":
        raise DataError("expected integer class labels with class_weight; give sample weights as data=(x, y, weight)")
    if class_weight != "balanced" and not isinstance(class_weight, Mapping):
        raise DataError(f"expected class_weight as {{label: weight}} or 'balanced', got {class_weight!r}")
    labels, counts = np.unique(y, return_counts=True)
    if class_weight == "balanced":
        table = {int(k): y.size / (len(labels) * int(n)) for k, n in zip(labels, counts, strict=True)}
    else:
        table = dict(class_weight)
    missing = sorted(set(labels.tolist()) - set(table))
    if missing:
        raise DataError(f"expected a class_weight for every label, got none for {missing}")
    if not all(isinstance(value, int | float | np.number) for value in table.values()):
        raise DataError(f"expected numbers as class weights, got {class_weight!r}")
    if any(not 0.0 <= value < math.inf for value in table.values()) or not any(table[k] for k in labels.tolist()):
        raise DataError(f"expected class weights of 0 or more, some of them above 0, got {table!r:.200}")
    weights = np.vectorize(table.__getitem__, otypes=[np.float64])(y)
    return weights if weight is None else weights * weight.reshape(weight.shape + (1,) * (y.ndim - weight.ndim))


class _Mean:
    """A mean of batch losses, each weighted by its divisor, so that it is the mean over all terms.

    For a loss of several outputs, whose divisors are several, it is that of batches of their sizes.
    """

    def __init__(self, total: float = 0.0, weight: float = 0.0) -> None:
        self.total, self.weight = total, weight

    def add(self, value: float, weight: float | tuple[float, ...]) -> None:
        weight = sum(weight) if isinstance(weight, tuple) else weight  # of several outputs
        self.total += value * weight
        self.weight += weight

    @property
    def value(self) -> float:
        return self.total / self.weight if self.weight else 0.0


def batches(
    x: Value,
    y: Value,
    weight: Array | None,
    size: int,
    key: Key,
    skip: int = 0,
    drop: bool = False,
    block: int | None = None,
) -> Iterator[tuple[Value, Value, Array | None]]:
    """The batches of one epoch in the order that its key gives, from batch number ``skip`` on.

    ``drop`` leaves out a last one that is smaller. Of a stream, some blocks are read together.
    """
    rows = len(tree.leaves(x)[0])
    if size >= rows:
        yield tree.map(lambda a: a[:] if isinstance(a, Stream) else a, x), y, weight
        return
    order = order_of(rows, key, block)
    end = rows - rows % size if drop else rows
    ahead = size
    if block is not None and any(isinstance(leaf, Stream) for leaf in tree.leaves(x)):
        ahead = size * max(1, WINDOW * block // size)
    for first in range(skip * size, end, ahead):
        held = order[first : min(first + ahead, end)]
        some = tree.map(lambda a: a[held], x)  # noqa: B023
        for begin in range(0, len(held), size):
            chosen = held[begin : begin + size]
            yield (
                some if ahead == size else tree.map(lambda a: a[begin : begin + size], some),  # noqa: B023
                tree.map(lambda a: a[chosen], y),  # noqa: B023
                None if weight is None else weight[chosen],
            )


def evaluate(
    net: Layer,
    loss: Loss,
    params: Params,
    state: State,
    data: tuple[Any, ...],
    metrics: Sequence[Metric] = (),
    batch_size: int | None = 1024,
) -> dict[str, float]:
    """``{"loss": …, <metric>: …}`` of a whole data set in evaluation mode, never averaged over batches."""
    x, y, weight = _arrays(data, "")
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # a diverged network scores inf or nan
        prediction = predict(net, params, state, x, batch_size)
        y = cast(y, dtype_of(params, state))
        dtype = next(leaf.dtype for leaf in tree.leaves(prediction))
        value, _ = loss.apply(prediction, y, None if weight is None else weight.astype(dtype))
        answer = loss.link(prediction)
        return {"loss": float(value)} | {metric.name: metric(answer, y, weight) for metric in metrics}


def _scores(
    net: Layer,
    loss: Loss,
    metrics: Sequence[Metric],
    params: Params,
    state: State,
    train: tuple[Any, ...],
    validation: tuple[Any, ...] | None,
) -> Row:
    scores: Row = {}
    if metrics:
        scores |= evaluate(net, loss, params, state, train, metrics)
        del scores["loss"]  # the history's loss is that of the batches, dropout and all
    if validation is not None:
        held_out = evaluate(net, loss, params, state, validation, metrics)
        scores |= {f"validation/{name}": value for name, value in held_out.items()}
    return scores
