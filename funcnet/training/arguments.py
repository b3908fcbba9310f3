"""The arguments of ``fit`` and ``minimize`` as people write them: tags for specs, a seed for a key, a share of rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcnet import tree
from funcnet.data.lazy_array import Stream
from funcnet.errors import DataError, FuncnetError
from funcnet.inputs import instance
from funcnet.key import Key
from funcnet.signatures import accepts
from funcnet.training.callbacks import EarlyStopping, Watcher


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


def as_augmentations(values: Any) -> Sequence[Any]:
    """A list of augmentations, or of functions of a batch and a key.

    Raises   FuncnetError for anything else
    """
    example = "[fn.data.Flip()] or [lambda batch, key: batch]"
    instance(values, Sequence, "a list of augmentations", example)
    for one in values:
        if not callable(one) or isinstance(one, type) or not accepts(one, {2}):
            raise FuncnetError(f"expected augmentations (batch, key) -> batch, such as {example}, got {one!r:.60}")
    return list(values)


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
