"""The batches of an iterable, such as a generator, a list of batches or another library's loader."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np

from funcnet import tree
from funcnet.data.augmentation import Batch
from funcnet.errors import DataError, FuncnetError
from funcnet.inputs import cast, gives_batches, signature
from funcnet.key import Key
from funcnet.layers.base import Layer
from funcnet.losses.base import Loss
from funcnet.padding import paired_targets, step_weights
from funcnet.signatures import accepts
from funcnet.training.batches import class_weights
from funcnet.training.evaluate import arrays, check_targets
from funcnet.training.state import TrainState

NONE = object()


class Batches:
    """The batches of an iterable, or of a function that returns one, each checked as arrays are.

    ``length`` is the number of batches of a pass over it, from its ``len``, or counted before training for a number of
    epochs; else None. An epoch is a pass, or without a length ``log_every`` steps, or else all steps.
    """

    part = None

    def __init__(
        self,
        net: Layer,
        loss: Loss,
        data: Any,
        epochs: int | None,
        steps: int | None,
        log_every: int | None,
        class_weight: Mapping[int, float] | None,
    ) -> None:
        self.net, self.loss, self.data, self.class_weight = net, loss, data, class_weight
        self.dtype: np.dtype[Any] | None = None
        self.forms: set[Any] = set()
        self.passes, self.number = 1, 1
        self.once = isinstance(data, Iterator)
        iterable = self.iterable()
        self.length = None if self.once else length_of(iterable)
        if epochs is not None and self.once:
            raise DataError(
                f"expected steps in place of epochs for a {type(data).__name__}, which can be passed over only once; "
                "for epochs give a list of batches, or the function that makes the iterator"
            )
        if epochs is not None and self.length is None:
            self.length = sum(1 for _ in iterable)
            iterable = self.iterable()
        self.iterator = iter(iterable)
        self.raw = next(self.iterator, NONE)
        if self.raw is NONE:
            raise DataError(f"expected batches (x, y) or (x, y, weight) from the {type(data).__name__}, got none")
        self.per_epoch = self.length or log_every or steps or 1
        self.sample = self.checked(self.raw)

    def iterable(self) -> Any:
        """The iterable of one pass.

        Raises   DataError for a function with arguments, or that returns anything else
        """
        if not is_function(self.data):
            return self.data
        if not accepts(self.data, {0}):
            raise DataError("expected a function of batches to have no arguments, got some; give lambda: batches(…)")
        found: Iterable[Any] = self.data()
        if is_function(found) or not (isinstance(found, list) or gives_batches(found)):
            raise DataError(
                f"expected a function that returns an iterable of batches (x, y), got one of a {type(found).__name__}; "
                "yield each batch, or return a list of them"
            )
        return found

    @property
    def place(self) -> str:
        """Where in the data the latest batch is, for messages."""
        return f" (in batch {self.number} of pass {self.passes} over the data)"

    def cast(self, dtype: np.dtype[Any] | None) -> None:
        """Cast the floats of the inputs and targets of every batch."""
        self.dtype = dtype
        self.sample = cast(self.sample[0], dtype), cast(self.sample[1], dtype), self.sample[2]

    @property
    def size(self) -> int:
        """The rows of the first batch."""
        return len(tree.leaves(self.sample[0])[0])

    def first(self, key: Key) -> Batch:
        """The first batch."""
        return self.sample

    def batches(self, step: int, key: Key) -> Iterator[Batch]:
        """The batches from that of a step on, without end if the iterable can be passed over again.

        An iterator that can be passed over only once goes on from where it is.
        Raises   DataError for a bad batch, and for a pass of another length
        """
        skip = 0 if self.once else step if self.length is None else step % self.length
        source: Iterable[Any] = chain((self.raw,), self.iterator)
        while True:
            self.number = 0
            for raw in source:
                if self.number == self.length:
                    raise self.other_length("more")
                self.number += 1
                if skip:
                    skip -= 1
                else:
                    yield self.checked(raw)
            if self.once:
                return
            if self.number < (self.length or 1):
                raise self.other_length(str(self.number))
            source, self.passes = self.iterable(), self.passes + 1

    def other_length(self, count: str) -> DataError:
        """The error for a pass with another number of batches."""
        expected = "at least 1 batch" if self.length is None else f"{self.length} batches"
        return DataError(
            f"expected {expected} in every pass over the data, got {count} in pass {self.passes}; each pass must "
            "give the same batches: a function must return a new iterator every time"
        )

    def checked(self, raw: Any) -> Batch:
        """A batch, checked, cast, and with the weights of its steps and classes.

        Raises   ShapeError, DataError with the place of the batch
        """
        try:
            given = tuple(raw) if isinstance(raw, list) else raw
            x, y, weight = arrays(given, "", self.net, batch=True)
            weight = step_weights(self.net, self.loss, x, y, weight)
            y = paired_targets(self.net, self.loss, x, y)
            if self.class_weight is not None:
                weight = class_weights(y, weight, self.class_weight, self.loss, batch=True)
            batch = cast(x, self.dtype), cast(y, self.dtype), weight
            form = tuple(signature(part) for part in batch if part is not None)
            if form not in self.forms:
                check_targets(self.net, self.loss, (), batch, batch=True)
                self.forms.add(form)
        except FuncnetError as error:
            error.message += self.place
            raise
        return batch

    def check_last(self, net: Layer, ts: TrainState, total: int) -> None:
        """Nothing: the last batch is not known before training."""


def is_function(data: Any) -> bool:
    """Whether data is a function, which returns an iterable, rather than an iterable."""
    return inspect.isroutine(data) or isinstance(data, functools.partial)


def length_of(iterable: Iterable[Any]) -> int | None:
    """The number of batches of an iterable; None if it does not know."""
    try:
        return len(iterable)  # type: ignore[arg-type]
    except TypeError:
        return None


def check_options(
    more: Sequence[Any],
    batch_size: int | str | None,
    remainder: str,
    block: int | None,
    class_weight: Any,
    validation: Any,
    metrics: Sequence[Any],
) -> None:
    """Refuse arguments of ``fit`` that need arrays.

    ``batch_size`` is None if the user chose none.
    Raises   DataError
    """
    wrong = {
        "more arguments than the data": (bool(more), "each batch is (x, y) or (x, y, weight)"),
        f"batch_size={batch_size!r}": (batch_size is not None, "each batch is used as it is"),
        f"remainder={remainder!r}": (remainder != "keep", "leave small batches out where batches are made"),
        f"block={block}": (block is not None, "its order is used as it is"),
        f"class_weight={class_weight!r:.60}": (class_weight == "balanced", "give {label: weight}"),
        f"validation={validation!r:.60}": (isinstance(validation, float), "give the data, validation=(x, y)"),
        "metrics alone": (bool(metrics) and validation is None, "they are of the validation part; give one"),
    }
    for what, (found, advice) in wrong.items():
        if found:
            raise DataError(f"an iterable of batches does not go with {what}: {advice}")
