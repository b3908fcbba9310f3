"""Whole data sets: checked before training, and scored in evaluation mode."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from funcnet import ops, tree
from funcnet.data.lazy_array import Stream
from funcnet.data.usable import check_finite, check_weights
from funcnet.errors import DataError, FuncnetError
from funcnet.hints import explained
from funcnet.inputs import as_loss, as_metrics, cast, cast_weight, dtype_of, unpack
from funcnet.key import Array
from funcnet.layers.base import Layer, Params, State, numbers_made, reach
from funcnet.losses.base import Loss, at_half, by_blocks, compared, on_values, real_terms
from funcnet.losses.combined import Multi
from funcnet.metrics import Metric
from funcnet.padding import (
    output_masks,
    padded,
    padded_targets,
    paired_targets,
    step_weights,
    with_input_mask,
    without_padding,
)
from funcnet.shapes import Shape, Value, batched, is_shape, numeric, shape_of, zeros_of
from funcnet.training.callbacks import Row
from funcnet.training.outputs import check_outputs
from funcnet.training.step import predict
from funcnet.training.threads import limited_for


def arrays(
    data: tuple[Any, ...], name: str, net: Layer | None = None, *, batch: bool = False
) -> tuple[Value, Value, Array | None]:
    """The arrays of a data set, checked: the same number of rows in each, every number finite but in padding.

    Lists of sequences of different lengths are padded for a network that takes masks. The weights may not all be 0,
    unless they are those of a ``batch`` of a larger data set.
    Raises   DataError for no rows, arrays of different lengths, NaN or infinity
    """
    x, y, weight = unpack(data)
    if net is not None:
        x = padded(net, x)
        y = padded_targets(net, x, y)
    x = tree.map(lambda leaf: leaf if isinstance(leaf, Stream) else numeric(leaf, "x"), x)
    y = tree.map(lambda leaf: numeric(leaf, "y"), y)
    weight = None if weight is None else numeric(weight, "weight")
    lengths = [leaf.shape[0] if leaf.ndim else 0 for leaf in tree.leaves((x, y, weight))]
    if len(set(lengths)) != 1 or lengths[0] == 0:
        message = f"expected x, y (and weight) with the same number of rows, at least 1, got {lengths}"
        if any(leaf.ndim == 0 for leaf in tree.leaves((x, y, weight))):
            message += "; a single sample needs a batch axis: x[None], np.array([y])"
        if len(lengths) == 2 and getattr(x, "ndim", 0) == 2 and x.shape[1] == lengths[1]:
            message += "; samples are rows, and here they seem to be columns: turn x over"
        raise DataError(message, layer=name)
    masks = [] if net is None or isinstance(y, tuple | dict) else output_masks(net, x)
    targets = (y, masks[0]) if masks and y.shape[:2] == masks[0].shape else y
    for what, part in (("inputs", x), ("targets", targets)):
        for leaf in tree.leaves(without_padding(part)):
            if not isinstance(leaf, Stream):  # a stream's rows are checked when they are read
                check_finite(leaf, what, name)
    if weight is not None:
        check_weights(weight, name, batch)
    return x, y, weight


def check_targets(
    net: Layer,
    loss: Loss,
    metrics: Sequence[Metric],
    data: tuple[Any, ...],
    part: str | None = None,
    *,
    batch: bool = False,
) -> None:
    """Refuse, before training, targets that the loss or a metric cannot take, by trying them with outputs of 0.

    Outputs that the loss cannot take are refused too, and a part, unless it is only a ``batch``, in which every label
    is the one to ignore.

    Raises   ShapeError, DataError as the loss and the metrics do, with the name of the part
    """
    rows = len(tree.leaves(data[1])[0])
    tried = [np.arange(rows)]
    try:
        if not batch:
            check_counted(loss, data)
        with ops.quiet():  # training says where a loss is not finite
            _try_targets(net, loss, metrics, data, tried)
    except FuncnetError as error:
        few = tried[-1]
        renumber(error, few)
        where = [f"in {part}"] * (part is not None) + [f"tried on {len(few):,} of {rows:,} rows"] * (len(few) < rows)
        error.message += f" ({', '.join(where)})" if where else ""
        raise


def renumber(error: FuncnetError, rows: Sequence[int] | Array) -> None:
    """Give the rows in the message of an error of some rows their numbers in the whole split."""

    def number(found: re.Match[str]) -> str:
        at = int(found[1])
        return f"row {rows[at]}" if at < len(rows) else found[0]

    error.message = re.sub(r"\brow (\d+)", number, error.message)


def check_counted(loss: Loss, data: tuple[Any, ...]) -> None:
    """Refuse a data set whose every label is the one to ignore, or of weight 0.

    Raises   DataError
    """
    _, target, weight, _ = compared(loss, None, data[1], data[2])
    counts = loss.counted(target, weight)
    if counts is not None and counts is not weight and not np.any(counts > 0):
        raise DataError(
            "expected at least one target that counts, got only the label to ignore and targets of weight 0",
            layer=type(loss).__name__,
        )


def _try_targets(net: Layer, loss: Loss, metrics: Sequence[Metric], data: tuple[Any, ...], tried: list[Array]) -> None:
    """Try blocks of the targets; ``tried`` is given the numbers of the rows of each."""
    check_outputs(net, loss)
    x, y, weight = data
    out_shape = reach("", net, "out_shape", shape_of(x))
    dtype = next((leaf.dtype for leaf in tree.leaves(x) if leaf.dtype.kind == "f"), np.dtype(np.float32))
    count = len(tree.leaves(x)[0])
    row = zeros_of(batched(out_shape, 1), dtype)
    zeros = tree.map(lambda leaf: np.broadcast_to(leaf, (count, *leaf.shape[1:])), row)  # no memory for the rows
    if isinstance(loss, Multi) and isinstance(zeros, tuple):
        zeros = tuple(with_input_mask(x, output) for output in zeros)
    elif masks := output_masks(net, x):
        zeros = zeros[0], masks[0]
    large = count * _numbers(out_shape) > ELEMENTS
    rows = _telling(y, step_weights(net, loss, x, y, weight)) if large else None
    if rows is not None:
        y, weight, zeros = (cut(part, rows) for part in (y, weight, zeros))
    fine, scored = None if weight is None else cast_weight(weight, dtype), False
    for some, _ in blocks(y, _numbers(out_shape)):
        target, w = cut(y, some), cut(weight, some)
        tried.append((tried[0] if rows is None else rows)[some])
        prediction = cut(zeros, some)
        p, t, weights, _ = compared(loss, prediction, target, cut(fine, some))
        loss.apply(p, t, weights)
        counts = loss.counted(t, weights)
        last = some.stop >= len(tree.leaves(y)[0])
        if counts is None or np.any(counts) or (last and not scored):  # where nothing counts, nothing is scored
            scored = True
            for metric in metrics:
                score(loss, metric, on_values(loss.answer, prediction), target, w)


def _telling(y: Any, weight: Array | None) -> Array | None:
    """Rows of class labels that have the lowest and highest of them; None for other targets, where every row tells.

    Trying all rows of labels would take as long as the outputs are large.
    """
    _, y, weight, _ = real_terms(None, y, weight)
    if not isinstance(y, np.ndarray) or y.dtype.kind not in "iu":
        return None
    if weight is not None and weight.shape in (y.shape, y.shape[:1]):
        y = np.where((weight > 0.0).reshape(*weight.shape, *(1,) * (y.ndim - weight.ndim)), y, 0)
    flat = y.reshape(len(y), -1)
    labels = np.unique(flat)
    return np.unique([0, *(np.argmax((flat == label).any(axis=1)) for label in [*labels[:2], *labels[-2:]])])


def score(loss: Loss, metric: Metric, answer: Any, y: Any, weight: Array | None) -> float:
    """The score of answers; weights are 0 at padded steps and ignored labels; independent outputs are labels each."""
    prediction, target, weights, _ = real_terms(at_half(loss, answer), y, weight)
    return (metric.multilabel if loss.independent else metric)(prediction, target, loss.counted(target, weights))


ELEMENTS = 1 << 20
"""The most numbers of an input, an output or a hidden value to hold at a time, if a row has not more"""


def blocks(x: Value, numbers: int, batch_size: int | None = 1024) -> Iterator[tuple[slice, int]]:
    """The rows of a data set, several batches at a time, and the size of these batches.

    Batches of wide rows are smaller, so that memory follows neither the number of rows nor ``batch_size``, but what one
    row takes: its own numbers, or the most ``numbers`` that are made of them at once.
    """
    rows = len(tree.leaves(x)[0])
    if batch_size is None:
        yield slice(0, rows), max(rows, 1)
        return
    at_once = rows_at_once(shape_of(x), numbers)
    size = min(batch_size, at_once)
    step = at_once // size * size
    for start in range(0, rows, step):
        yield slice(start, start + step), size


def rows_at_once(in_shape: Shape, numbers: int) -> int:
    """The rows to compute at a time, at least 1, given the shape of one and the numbers made of it."""
    return max(1, ELEMENTS // max(1, _numbers(in_shape), numbers))


def rows_of_answer(net: Layer, in_shape: Shape) -> int:
    """The rows that a run, and the program printed from it, predict at a time: a power of two, at most 1024.

    The size of a batch changes the last bits of its products, so both take the same, and rows in pieces of 1024 give
    the bits of all rows at once.
    """
    return min(1024, 2 ** (rows_at_once(in_shape, numbers_made(net, in_shape)).bit_length() - 1))


def _numbers(shape: Shape) -> int:
    """The numbers in a row of a shape."""
    if is_shape(shape):
        return math.prod(shape)
    return sum(_numbers(part) for part in (shape.values() if isinstance(shape, dict) else shape or ()))


def cut(value: Any, rows: slice | Array) -> Any:
    """Some rows of a value."""
    return tree.map(lambda leaf: leaf if leaf is None else leaf[rows], value)


@explained
def evaluate(
    net: Layer,
    loss: Loss | str,
    params: Params,
    state: State,
    data: tuple[Any, ...],
    metrics: Sequence[Metric | str] = (),
    batch_size: int | None = 1024,
) -> dict[str, float]:
    """``{"loss": …, <metric>: …}`` of a whole data set in evaluation mode, not averaged over batches.

    At most ``batch_size`` rows are computed at a time, fewer if a layer makes many numbers of each. The outputs of all
    rows are held at once only with a ``batch_size`` of None, for a loss that is not a sum over rows, such as
    RootMeanSquaredError, for the order of all scores, which RocAuc and AveragePrecision need, and for a metric of yours
    that defines ``__call__`` alone.
    """
    loss, metrics = as_loss(loss), as_metrics(metrics)
    if ops.recorder(*tree.leaves((params, data))) is not None:  # inside a function that is compiled
        return _at_once(net, loss, params, state, unpack(data), metrics, batch_size)
    given = arrays(data, "", net)
    check_counted(loss, given)
    rows = len(tree.leaves(given[0])[0])
    quiet = ops.quiet()  # a diverged network scores inf or nan
    with quiet, limited_for(params, given[0], rows if batch_size is None else min(batch_size, rows)):
        if by_blocks(loss) and all(metric.by_blocks for metric in metrics):
            return _by_blocks(net, loss, params, state, given, metrics, batch_size)
        return _at_once(net, loss, params, state, given, metrics, batch_size)


def _at_once(
    net: Layer,
    loss: Loss,
    params: Params,
    state: State,
    data: tuple[Any, ...],
    metrics: Sequence[Metric],
    batch_size: int | None,
) -> dict[str, float]:
    x, y, weight = data
    prediction = predict(net, params, state, x, batch_size)
    y = cast(y, dtype_of(params, state), "y")
    p, target, weights, _ = compared(loss, prediction, y, of_dtype(weight, prediction))
    value, _ = loss.apply(p, target, weights)
    answer = on_values(loss.answer, prediction)
    return {"loss": ops.number(value)} | {metric.name: score(loss, metric, answer, y, weight) for metric in metrics}


def _by_blocks(
    net: Layer,
    loss: Loss,
    params: Params,
    state: State,
    data: tuple[Any, ...],
    metrics: Sequence[Any],
    batch_size: int | None,
) -> dict[str, float]:
    x, y, weight = data
    dtype = dtype_of(params, state)
    y, steps = paired_targets(net, loss, x, y), step_weights(net, loss, x, y, weight)
    total, divisor, tallies = 0.0, None, list[Any]()
    for rows, size in blocks(x, numbers_made(net, shape_of(x)), batch_size):
        prediction = predict(net, params, state, cut(x, rows), size)
        if divisor is None:
            steps = of_dtype(steps, prediction)
            _, target, weights, _ = compared(loss, None, y, steps)
            divisor = loss.divisor(target, weights)
        some = cast(cut(y, rows), dtype, "y")
        p, target, weights, _ = compared(loss, prediction, some, cut(steps, rows))
        try:
            total += float(loss.apply(p, target, weights, divisor)[0])
        except FuncnetError as error:
            renumber(error, range(rows.start, rows.stop))
            raise
        answer, target, weights, _ = real_terms(
            at_half(loss, on_values(loss.answer, prediction)), some, cut(weight, rows)
        )
        counts = loss.counted(target, weights)
        last = rows.stop >= len(tree.leaves(x)[0])
        if counts is None or np.any(counts) or (last and not tallies):  # where nothing counts, nothing is scored
            new = [metric.tally(answer, target, counts, loss.independent) for metric in metrics]
            pairs = zip(metrics, tallies, new, strict=True)
            tallies = [metric.joined(a, b) for metric, a, b in pairs] if tallies else new
    return {"loss": total} | {metric.name: metric.result(tally) for metric, tally in zip(metrics, tallies, strict=True)}


def answers(
    net: Layer, loss: Loss, params: Params, state: State, data: tuple[Any, ...], batch_size: int | None = 1024
) -> Iterator[tuple[Any, Any, Array | None]]:
    """The answers of blocks of rows, ``link`` of their outputs, with their targets and weights."""
    x, y, weight = unpack(data)
    for rows, size in blocks(x, numbers_made(net, shape_of(x)), batch_size):
        w = loss.counted(cut(y, rows), cut(weight, rows))
        if w is None or np.any(w):
            yield on_values(loss.answer, predict(net, params, state, cut(x, rows), size)), cut(y, rows), w


def of_dtype(weight: Array | None, prediction: Value) -> Array | None:
    """A weight in the dtype of a prediction."""
    return None if weight is None else cast_weight(weight, next(leaf.dtype for leaf in tree.leaves(prediction)))


def scores(
    net: Layer,
    loss: Loss,
    metrics: Sequence[Metric],
    params: Params,
    state: State,
    train: tuple[Any, ...] | None,
    validation: tuple[Any, ...] | None,
) -> Row:
    """The scores of an epoch: metrics of the training part, if given; loss and metrics of the validation part."""
    found: Row = {}
    if metrics and train is not None:
        found |= evaluate(net, loss, params, state, train, metrics)
        del found["loss"]  # the history has the loss of the batches, dropout included
    if validation is not None:
        held_out = evaluate(net, loss, params, state, validation, metrics)
        found |= {f"validation/{name}": value for name, value in held_out.items()}
    return found
