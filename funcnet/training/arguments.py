"""The arguments of ``fit`` and ``minimize`` as people write them: tags for specs, a seed for a key, a share of rows."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar

import numpy as np

from funcnet import tree
from funcnet.data.lazy_array import Stream
from funcnet.errors import DataError, FuncnetError, Problem, SpecError, no_argument
from funcnet.inputs import instance
from funcnet.key import Key
from funcnet.losses.base import Loss
from funcnet.metrics import Metric
from funcnet.optim.base import Optimizer
from funcnet.spec.base import Spec, convert
from funcnet.training.callbacks import EarlyStopping, Watcher

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S", bound=Spec)


def explained(function: Callable[P, R]) -> Callable[P, R]:
    """A function that says of an argument it does not have what the right one is."""
    signature = inspect.signature(function)

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        for name in kwargs.keys() - signature.parameters.keys():
            raise no_argument(function.__name__, name, list(signature.parameters))
        return function(*args, **kwargs)

    return call


def as_spec(value: Any, base: type[S], what: str, example: str) -> S:
    """A spec itself, or the one that a tag or a JSON node names.

    Raises   SpecError for an unknown tag; FuncnetError for anything else
    """
    if isinstance(value, str | Mapping):
        problems: list[Problem] = []
        value = convert(base, value, "", problems, decode=True)
        if problems:
            raise SpecError(problems, root=base.kind)
    instance(value, base, what, example)
    found: S = value
    return found


def as_loss(value: Any) -> Loss:
    """A loss, or the one of a tag."""
    return as_spec(value, Loss, "a loss", "fn.losses.MeanSquaredError()")


def as_optimizer(value: Any) -> Optimizer:
    """An optimizer, or the one of a tag."""
    return as_spec(value, Optimizer, "an optimizer", "fn.optim.Adam()")


def as_metrics(values: Any) -> list[Metric]:
    """Metrics, or those of tags; one alone is a list of one."""
    several = [values] if isinstance(values, str | Metric) else values
    instance(several, Sequence, "a list of metrics", "[fn.metrics.Accuracy()]")
    return [as_spec(value, Metric, "a metric", "fn.metrics.Accuracy()") for value in several]


def as_key(value: Any) -> Key:
    """A key, or that of a seed."""
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return Key(int(value))
    instance(value, Key, "a key", "fn.Key(0)")
    found: Key = value
    return found


def as_callbacks(values: Any, early_stopping: EarlyStopping | int | bool | None) -> list[Watcher]:
    """The callbacks, with one that stops early: with its settings, or its patience, or all defaults."""
    several = [values] if hasattr(values, "update") and hasattr(values, "init") else values
    instance(several, Sequence, "a list of callbacks", "[fn.EarlyStopping()]")
    for one in several:
        if isinstance(one, type) or not (hasattr(one, "init") and hasattr(one, "update")):
            raise FuncnetError(f"expected callbacks with init() and update(state, event), got {one!r:.60}")
    if early_stopping is None or early_stopping is False:
        return list(several)
    if early_stopping is True:
        early_stopping = EarlyStopping()
    elif isinstance(early_stopping, int):
        early_stopping = EarlyStopping(patience=early_stopping)
    what = "early_stopping as True, a patience, or fn.EarlyStopping(…)"
    instance(early_stopping, EarlyStopping, what, "early_stopping=10")
    return [early_stopping, *several]


def parted(data: tuple[Any, ...], share: float, key: Key) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Training and validation rows; the latter are a share of the rows, at random.

    Raises   DataError for a share that leaves one of them empty, or of a stream
    """
    if not 0.0 < share < 1.0:
        raise DataError(f"expected a validation part between 0 and 1, or the data of one, got {share}")
    if any(isinstance(leaf, Stream) for part in data for leaf in tree.leaves(part)):
        raise DataError("a share of a stream cannot be taken; give the validation part, validation=(x, y)")
    rows = len(tree.leaves(data[0])[0])
    count = round(share * rows)
    if not 0 < count < rows:
        raise DataError(f"a validation part of {share} of {rows} rows has {count}; give more rows, or another share")
    order = key.fold("validation").permutation(rows)
    apart = np.sort(order[count:]), np.sort(order[:count])
    first, second = (
        tuple(None if part is None else tree.map(lambda leaf: leaf[at], part) for part in data)  # noqa: B023
        for at in apart
    )
    return first, second
