"""Labels as numbers: the classes of a target, and the number of each label among them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from funcnet.data.categories import distinct, positions
from funcnet.data.sources.base import Table
from funcnet.errors import DataError, listed, place
from funcnet.hints import did_you_mean
from funcnet.key import Array

SOME = 2**16
"""Labels that are Python texts at a time"""


def with_labels(table: Table) -> tuple[Table, list[str] | None]:
    """A table with integer labels, and the names of its classes, if it has any."""
    twice = [label for label, times in Counter(table.classes or ()).items() if times > 1]
    if twice:
        raise DataError(f"expected distinct class names, got {twice[0]!r} twice; rename one")
    if table.y.dtype.kind != "U":
        return (table, None) if table.classes is None else (_labelled(table, table.classes), list(table.classes))
    labels = table.y.reshape(-1)
    classes = distinct(text for begin in range(0, len(labels), SOME) for text in labels[begin : begin + SOME].tolist())
    if len(classes) == 1:
        raise DataError(f"the target has one class, {classes[0]!r}; expected two or more to tell apart")
    return table._replace(y=numbers_of(labels, classes).reshape(table.y.shape)), classes


def numbers_of(labels: Array, classes: Sequence[str]) -> Array:
    """The number of each label among the classes; -1 if it has none."""
    return np.concatenate(
        [positions(labels[begin : begin + SOME].tolist(), classes) for begin in range(0, len(labels), SOME)]
    )


def _labelled(table: Table, classes: tuple[str, ...]) -> Table:
    """A table with its class numbers as integers.

    Raises   DataError for a number outside the classes
    """
    y = table.y
    wrong = (y != np.floor(y)) | (y < 0) | (y >= len(classes)) if y.dtype.kind == "f" else (y < 0) | (y >= len(classes))
    if wrong.any():
        at = tuple(np.argwhere(wrong)[0].tolist())
        raise DataError(f"expected labels from 0 to {len(classes) - 1}, one for each class, got {y[at]} in {place(at)}")
    return table._replace(y=y.astype(np.int64))


def check_targets(table: Table, preprocess: Mapping[str, Any], where: Path | str) -> None:
    """Refuse targets in other columns than those of a run, as the number of a column may name after a change.

    Raises   DataError
    """
    known = preprocess.get("outputs")
    if known and table.outputs and list(table.outputs) != list(known):
        raise DataError(
            f"{where}: the target is {listed(table.outputs)}, and the training data had {listed(known)} there; "
            "name the target in the spec, or give the columns of the training data"
        )


def renumbered(table: Table, classes: list[str] | None, known: list[str] | None, where: Path | str) -> Table:
    """A table, ``where`` in messages, whose labels have the numbers that they had in training.

    Raises   DataError for a class that the training data lacks
    """
    if known is not None and classes is None and table.outputs:  # numbers in place of names
        return table._replace(y=known_numbers(table.y.reshape(-1).astype(str), known, where).reshape(table.y.shape))
    if classes is None or classes == known:
        return table
    if known is None:
        raise DataError(f"{where}: the target has the classes {listed(classes)}, and the training data had numbers")
    return table._replace(y=known_numbers(np.array(classes), known, where)[table.y])


def known_numbers(labels: Array, classes: Sequence[str], where: Path | str) -> Array:
    """The number of each label among the classes of a run; ``where`` the labels are, for the message.

    Raises   DataError for a label that is not among them
    """
    if not classes:
        raise DataError(f"{where}: expected numbers as targets, as in training, got {str(labels[0])!r:.60}")
    numbers = numbers_of(labels, classes)
    if len(numbers) and numbers.min() < 0:
        unknown = min(labels[numbers < 0].tolist())
        near = did_you_mean(unknown, classes)
        raise DataError(
            f"{where}: has the class {unknown!r}, which the training data lacks{near}; it has {', '.join(classes)}"
        )
    return numbers


def check_classes(targets: Mapping[str, Array], classes: list[str] | None, name: str) -> None:
    """Refuse a class in a held-out part that the training part lacks; ``targets`` are by part.

    Raises   DataError
    """
    train = targets["train"]
    if train.ndim != 1 or train.dtype.kind not in "iub":
        return
    for part, y in targets.items():
        unseen = np.setdiff1d(y, train)
        if len(unseen):
            label = str(unseen[0]) if classes is None else classes[int(unseen[0])]
            raise DataError(
                f"the {part} part has the class {label!r}, which the training part lacks; "
                "stratify the split, or use more rows of it",
                layer=name,
            )
