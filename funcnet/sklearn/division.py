"""The division of an estimator's rows: those to train on, and those that are held out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state

from funcnet.key import Array


def divided(rows: int, labels: Array | None, fraction: float, random_state: Any) -> tuple[Array, Array]:
    """The rows to train on, and a fraction that is held out; stratified by labels if both can have all of them."""
    if undivided(rows, labels, fraction) is not None:
        labels = None
    first, second = train_test_split(
        np.arange(rows), test_size=fraction, stratify=labels, random_state=check_random_state(random_state)
    )
    return first, second


def undivided(rows: int, labels: Array | None, fraction: float, classes: Sequence[Any] = ()) -> str | None:
    """Why a fraction of the rows, with rows of every label, cannot be held out; None where it can.

    ``classes`` are the names of the labels, for the message.
    """
    held = int(np.ceil(fraction * rows))
    share = f"early_stopping holds out validation_fraction={fraction} of the rows"
    if held >= rows:
        return f"{share}, {held} of {rows}, which leaves none to train on; give more rows"
    if labels is None:
        return None
    found, counts = np.unique(labels, return_counts=True)
    if counts.min() < 2:
        label = int(found[counts.argmin()])
        name = classes[label] if len(classes) else label
        return f"{share} and needs two of each class or more, got one of {name!r}; merge it, or leave it out"
    if min(held, rows - held) < len(found):
        return (
            f"{share}, {held} of {rows}, and needs one of each of the {len(found)} classes on both sides; "
            "give another fraction, or more rows"
        )
    return None
