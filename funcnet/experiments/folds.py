"""The rows that each fold of a cross-validation holds out: drawn row by row, by groups, or in the order of time."""

from __future__ import annotations

import numpy as np

from funcnet import tree
from funcnet.errors import DataError
from funcnet.key import Array, Key
from funcnet.shapes import Value


def folds_of(y: Value, folds: int, key: Key, stratify: bool = True, ignore_label: int | None = None) -> list[Array]:
    """The held-out row numbers of each fold; together they contain every row once.

    Rows in random order, sorted by class with ``stratify``, are dealt out to the folds in turn. So fold i has
    ``⌈(n - i) / folds⌉`` rows, and the classes are divided as in scikit-learn's StratifiedKFold.
    Raises   DataError for more folds than rows, or than rows of a class other than ``ignore_label``
    """
    rows = len(tree.leaves(y)[0])
    if folds > rows:
        raise DataError(f"expected at most as many folds as rows, {rows}, got {folds}")
    order = key.permutation(rows)
    if stratify and isinstance(y, np.ndarray) and y.ndim == 1 and y.dtype.kind in "iub":
        labels, first, member, counts = np.unique(y, return_index=True, return_inverse=True, return_counts=True)
        rare = [(n, label) for n, label in zip(counts.tolist(), labels.tolist(), strict=True) if label != ignore_label]
        if rare and min(rare)[0] < folds:
            raise DataError(
                f"expected at least {folds} rows of every class, one for each fold, got {min(rare)[0]} of class "
                f"{min(rare)[1]}; use fewer folds, or stratify=False"
            )
        order = order[np.argsort(first[member[order]], kind="stable")]
    return [np.sort(order[fold::folds]) for fold in range(folds)]


def group_folds(groups: Array, folds: int, key: Key) -> list[Array]:
    """The held-out row numbers of each fold, with the rows of a group together.

    The groups, the largest first and those of one size in random order, go to the fold with the fewest rows, the
    method of scikit-learn's GroupKFold: fold sizes are as equal as it makes them.
    Raises   DataError for more folds than groups
    """
    names, member, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    if folds > len(names):
        raise DataError(f"expected at most as many folds as groups, {len(names)}, got {folds}")
    order = key.permutation(len(names))
    totals = np.zeros(folds, np.int64)
    fold_of = np.zeros(len(names), np.int64)
    for group in order[np.argsort(-sizes[order], kind="stable")]:
        fold_of[group] = np.argmin(totals)
        totals[fold_of[group]] += sizes[group]
    return [np.flatnonzero(fold_of[member] == fold) for fold in range(folds)]


def time_folds(order: Array, folds: int) -> list[tuple[Array, Array]]:
    """The training rows and the held-out rows of each fold, given all rows in the order of time.

    Each fold holds out the rows that follow its training rows, and the next one trains on both, as in scikit-learn's
    TimeSeriesSplit: of n rows the last ``folds * (n // (folds + 1))`` are held out, and the first ones never are.
    Raises   DataError for fewer rows than one for each fold and one to train on
    """
    size = len(order) // (folds + 1)
    if size == 0:
        raise DataError(f"expected at least {folds + 1} rows for {folds} folds in time, got {len(order)}")
    begins = [len(order) - size * left for left in range(folds, 0, -1)]
    return [(np.sort(order[:begin]), np.sort(order[begin : begin + size])) for begin in begins]
