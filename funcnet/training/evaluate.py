"""Whole data sets: checked before training, and scored in evaluation mode."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcnet import ops, tree
from funcnet.data.lazy_array import Stream
from funcnet.data.preprocess import check_finite, check_weights
from funcnet.errors import DataError, FuncnetError
from funcnet.inputs import cast, dtype_of, unpack
from funcnet.key import Array
from funcnet.layers.base import Layer, Params, State, reach
from funcnet.losses.base import Loss, compared, on_values, real_terms
from funcnet.losses.combined import Multi
from funcnet.metrics import Metric
from funcnet.padding import output_masks, padded, padded_targets, without_padding
from funcnet.shapes import Value, batched, numeric, shape_of, zeros_of
from funcnet.training.callbacks import Row
from funcnet.training.outputs import check_outputs
from funcnet.training.step import predict


def arrays(data: tuple[Any, ...], name: str, net: Layer | None = None) -> tuple[Value, Value, Array | None]:
    """The arrays of a data set, checked: the same number of rows in each, every number finite but in padding.

    Lists of sequences of different lengths are padded for a network that takes masks.
    Raises   DataError for no rows, arrays of different lengths, NaN or infinity
    """
    x, y, weight = unpack(data)
    if net is not None:
        x = padded(net, x)
        y = padded_targets(net, x, y)
    x = tree.map(lambda leaf: leaf if isinstance(leaf, Stream) else numeric(leaf), x)
    y = tree.map(numeric, y)
    weight = None if weight is None else numeric(weight)
    lengths = [leaf.shape[0] if leaf.ndim else 0 for leaf in tree.leaves((x, y, weight))]
    if len(set(lengths)) != 1 or lengths[0] == 0:
        message = f"expected x, y (and weight) with the same number of rows, at least 1, got {lengths}"
        raise DataError(message, layer=name)
    masks = [] if net is None or isinstance(y, tuple | dict) else output_masks(net, x)
    targets = (y, masks[0]) if masks and y.shape[:2] == masks[0].shape else y
    for what, part in (("inputs", x), ("targets", targets)):
        for leaf in tree.leaves(without_padding(part)):
            if not isinstance(leaf, Stream):  # a stream's rows are checked when they are read
                check_finite(leaf, what, name)
    if weight is not None:
        check_weights(weight, name)
    return x, y, weight


def check_targets(
    net: Layer, loss: Loss, metrics: Sequence[Metric], data: tuple[Any, ...], part: str | None = None
) -> None:
    """Refuse, before training, targets that the loss or a metric cannot take, by trying them with outputs of 0.

    Outputs that the loss cannot take are refused too.

    Raises   ShapeError, DataError as the loss and the metrics do, with the name of the part
    """
    try:
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # training says where a loss is not finite
            _try_targets(net, loss, metrics, data)
    except FuncnetError as error:
        error.message += f" (in {part})" if part else ""
        raise


def _try_targets(net: Layer, loss: Loss, metrics: Sequence[Metric], data: tuple[Any, ...]) -> None:
    check_outputs(net, loss)
    x, y, weight = data
    out_shape = reach("", net, "out_shape", shape_of(x))
    dtype = next((leaf.dtype for leaf in tree.leaves(x) if leaf.dtype.kind == "f"), np.dtype(np.float32))
    zeros = zeros_of(batched(out_shape, len(tree.leaves(x)[0])), dtype)
    masks = output_masks(net, x)
    if masks and not isinstance(loss, Multi):
        zeros = zeros[0], masks[0]
    prediction, target, weights, _ = compared(loss, zeros, y, None if weight is None else weight.astype(dtype))
    loss.apply(prediction, target, weights)
    for metric in metrics:
        score(loss, metric, on_values(loss.link, zeros), y, weight)


def score(loss: Loss, metric: Metric, answer: Any, y: Any, weight: Array | None) -> float:
    """The score of answers; weights are 0 at padded steps, and independent outputs are labels of their own."""
    prediction, target, weights, _ = real_terms(answer, y, weight)
    return (metric.multilabel if loss.independent else metric)(prediction, target, weights)


def evaluate(
    net: Layer,
    loss: Loss,
    params: Params,
    state: State,
    data: tuple[Any, ...],
    metrics: Sequence[Metric] = (),
    batch_size: int | None = 1024,
) -> dict[str, float]:
    """``{"loss": …, <metric>: …}`` of a whole data set in evaluation mode, not averaged over batches."""
    recorded = ops.recorder(*tree.leaves((params, data))) is not None  # inside a function that is compiled
    x, y, weight = unpack(data) if recorded else arrays(data, "", net)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # a diverged network scores inf or nan
        prediction = predict(net, params, state, x, batch_size)
        y = cast(y, dtype_of(params, state))
        dtype = next(leaf.dtype for leaf in tree.leaves(prediction))
        p, target, weights, _ = compared(loss, prediction, y, None if weight is None else weight.astype(dtype))
        value, _ = loss.apply(p, target, weights)
        answer = on_values(loss.link, prediction)
        return {"loss": ops.number(value)} | {metric.name: score(loss, metric, answer, y, weight) for metric in metrics}


def scores(
    net: Layer,
    loss: Loss,
    metrics: Sequence[Metric],
    params: Params,
    state: State,
    train: tuple[Any, ...],
    validation: tuple[Any, ...] | None,
) -> Row:
    """The scores of an epoch: metrics of the training part; loss and metrics of the validation part."""
    found: Row = {}
    if metrics:
        found |= evaluate(net, loss, params, state, train, metrics)
        del found["loss"]  # the history has the loss of the batches, dropout included
    if validation is not None:
        held_out = evaluate(net, loss, params, state, validation, metrics)
        found |= {f"validation/{name}": value for name, value in held_out.items()}
    return found
