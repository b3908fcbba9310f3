"""The batches of an epoch, the weights of their samples, and the mean of their losses."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import numpy as np

from funcnet import ops, tree
from funcnet.data.augmentation import Batch
from funcnet.data.lazy_array import AHEAD, WINDOW, Stream, order_of
from funcnet.errors import DataError, ShapeError
from funcnet.inputs import cast
from funcnet.key import Array, Key
from funcnet.layers.base import Context, Layer, apply_child
from funcnet.losses.base import Loss, real_terms
from funcnet.shapes import Value
from funcnet.training.state import TrainState


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
    """The batches of one epoch in the order given by its key, from batch number ``skip`` on.

    ``drop`` leaves out a smaller last batch. Several batches of a stream are read together.
    """
    rows = len(tree.leaves(x)[0])
    if size >= rows:
        yield tree.map(lambda a: a[:] if isinstance(a, Stream) else a, x), y, weight
        return
    order = order_of(rows, key, block)
    end = rows - rows % size if drop else rows
    ahead = size
    streams = [leaf for leaf in tree.leaves(x) if isinstance(leaf, Stream)]
    if streams:
        wide = max(math.prod(leaf.shape[1:]) * leaf.dtype.itemsize for leaf in streams)
        ahead = size * max(1, (AHEAD // max(1, wide) if block is None else WINDOW * block) // size)
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


def try_last_batch(net: Layer, ts: TrainState, x: Value, rows: int, size: int) -> None:
    """Refuse, before training, a last batch that is too small for some layer, such as one row for BatchNorm.

    Raises   ShapeError of that layer, with advice
    """

    def attempt(count: int) -> None:
        some = tree.map(lambda a: a[:count], x)
        with ops.quiet():
            apply_child("", net, ts.params, ts.state, some, Context(True, ts.key))

    try:
        attempt(rows)
    except ShapeError as error:
        attempt(size)  # if a whole batch fails too, its error says why
        error.message += f" (the last batch of an epoch has {rows} of {size} rows; remainder='drop' leaves it out)"
        raise


class Rows:
    """The batches of arrays, or of a stream: every epoch visits all rows, in the order of its key."""

    place = ""

    def __init__(
        self,
        part: tuple[Value, Value, Array | None],
        weight: Array | None,
        size: int,
        drop: bool = False,
        block: int | None = None,
    ) -> None:
        self.part, self.weight, self.size, self.drop, self.block = part, weight, size, drop, block
        self.rows = len(tree.leaves(part[0])[0])
        self.per_epoch = self.rows // size if drop else -(-self.rows // size)

    def cast(self, dtype: np.dtype[Any] | None) -> None:
        """Cast all floats of the inputs and targets, once."""
        x, y, weight = self.part
        self.part = cast(x, dtype, "x"), cast(y, dtype, "y"), weight

    @property
    def sample(self) -> Batch:
        """What is known before training: all rows."""
        return *self.part[:2], self.weight

    def first(self, key: Key) -> Batch:
        """The first batch of the first epoch."""
        return next(self.batches(0, key))

    def batches(self, step: int, key: Key) -> Iterator[Batch]:
        """The batches from that of a step on, without end."""
        epoch, skip = divmod(step, self.per_epoch)
        while True:
            yield from batches(*self.sample, self.size, key.fold("epoch", epoch), skip, self.drop, self.block)
            epoch, skip = epoch + 1, 0

    def check_last(self, net: Layer, ts: TrainState, total: int) -> None:
        """Refuse a last batch of an epoch that is too small for some layer, if training comes to one."""
        rest = 0 if self.drop else self.rows % self.size
        if rest and total // self.per_epoch > ts.step // self.per_epoch:
            try_last_batch(net, ts, self.part[0], rest, self.size)


def class_weights(
    y: Value,
    weight: Array | None,
    class_weight: Mapping[int, float] | Literal["balanced"],
    loss: Loss | None = None,
    *,
    batch: bool = False,
) -> Array:
    """Weights in the labels' shape from class weights, times the given weights.

    ``balanced`` makes the weights of every class add up to the same total, that of all given weights divided by the
    number of classes, as scikit-learn does. Labels of weight 0, such as those of padded steps or those that the loss
    ignores, are absent: they count as no class and need no weight. The labels of a ``batch`` of a larger data set may
    all have weight 0.
    Raises   DataError for targets other than labels or unusable class weights, ShapeError for a weight of another shape
    """
    _, y, weight, _ = real_terms(None, y, weight)
    if not isinstance(y, np.ndarray) or y.dtype.kind not in "iu":
        raise DataError("expected integer class labels with class_weight; give sample weights as data=(x, y, weight)")
    if class_weight != "balanced" and not isinstance(class_weight, Mapping):
        raise DataError(f"expected class_weight as {{label: weight}} or 'balanced', got {class_weight!r}")
    weight = weight if loss is None else loss.counted(y, weight)
    given = _by_label(y, weight)
    labels, at = np.unique(y[given > 0.0], return_inverse=True)
    if class_weight == "balanced":
        totals = np.bincount(at.reshape(-1), given[given > 0.0], len(labels))
        each = float(np.sum(totals)) / (len(labels) * totals)
        table = dict(zip(labels.tolist(), each.tolist(), strict=True))
    else:
        table = dict(class_weight)
    missing = sorted(set(labels.tolist()) - set(table))
    if missing:
        raise DataError(f"expected a class_weight for every label, got none for {missing}")
    if not all(isinstance(value, int | float | np.number) for value in table.values()):
        raise DataError(f"expected numbers as class weights, got {class_weight!r}")
    some = any(table[k] for k in (table if batch else labels.tolist()))
    if any(not 0.0 <= value < math.inf for value in table.values()) or not some:
        raise DataError(f"expected class weights of 0 or more, at least one above 0, got {table!r:.200}")
    whole = np.zeros(y.shape)
    whole[given > 0.0] = np.array([table[k] for k in labels.tolist()], np.float64)[at.reshape(-1)]
    return whole if weight is None else whole * given


def _by_label(y: Array, weight: Array | None) -> Array:
    """A weight for each label, from one for each label or sample."""
    if weight is None:
        return np.ones(y.shape)
    if weight.shape not in (y.shape, y.shape[:1]):
        allowed = " or ".join(map(str, dict.fromkeys((y.shape[:1], y.shape))))
        raise ShapeError(f"expected a weight of shape {allowed}, got {weight.shape}; give one for each sample or label")
    return np.broadcast_to(weight.reshape(weight.shape + (1,) * (y.ndim - weight.ndim)), y.shape)


class Mean:
    """The mean of batch losses, each weighted by its divisor, so that it is the mean over all terms.

    For a loss of several outputs, with a divisor for each, the weight of a batch is their sum.
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
