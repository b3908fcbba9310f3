"""The confusion matrix, and the scores of each class derived from it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from funcnet.errors import DataError, FuncnetError, ShapeError
from funcnet.key import Array
from funcnet.losses.classes import check_labels
from funcnet.metrics.base import Labels, Metric, Rows, cells, present, rows


class PerClass(NamedTuple):
    """Precision, recall, F1 and support of each class; the support is the weight of its rows."""

    precision: Array
    recall: Array
    f1: Array
    support: Array


class Counts(NamedTuple):
    """For each class the weight of its true positives, of all rows predicted as it, and of all its rows."""

    right: Array
    decided: Array
    true: Array


def count(split: Rows) -> Counts:
    """The counts of each class, without the square matrix: a vocabulary may have 50 000 classes."""
    decisions, labels, weight = split.decisions.astype(np.intp), split.labels.astype(np.intp), split.weight
    right = decisions == labels
    return Counts(
        np.bincount(labels[right], weight[right], split.classes),
        np.bincount(decisions, weight, split.classes),
        np.bincount(labels, weight, split.classes),
    )


def count_labels(split: Labels) -> Counts:
    """The counts of each label, where rows have several."""
    decided, there, weight = split.decisions, split.held, split.weight
    return Counts(*(np.sum(weight * chosen, axis=0) for chosen in (decided & there, decided, there)))


def per_label(prediction: Array, target: Array, weight: Array | None = None) -> PerClass:
    """Precision, recall, F1 and support of each label, where rows have several; a label is predicted from 0.5 up.

    prediction   probabilities (…, labels)
    target       0 and 1, in the same shape
    weight       one for each row or sample, or for each label of each row
    Returns      four arrays (labels,); 0 / 0 is 0
    Raises       ShapeError, DataError as metrics do
    """
    return scores(label_counts(prediction, target, weight))


def label_counts(prediction: Array, target: Array, weight: Array | None = None) -> Counts:
    """The counts of each label, where rows have several; those of blocks of rows add up."""
    p, t, w = cells(Metric(), prediction, target, weight)
    return count_labels(Labels(p, t >= 0.5, w))


def scores(counts: Counts) -> PerClass:
    """``right / decided``, ``right / true`` and ``2 right / (decided + true)``; 0 / 0 is 0, as in scikit-learn."""
    right, decided, true = counts
    return PerClass(_ratio(right, decided), _ratio(right, true), _ratio(2.0 * right, decided + true), true)


def _ratio(above: Array, below: Array) -> Array:
    return np.where(below > 0.0, above / np.where(below > 0.0, below, 1.0), 0.0)


def confusion_matrix(prediction: Array, target: Array, classes: int, weight: Array | None = None) -> Array:
    """The number of rows of each true class (row) that were predicted as each class (column).

    prediction   probabilities (…, classes), or one per row with classes=2, or the predicted labels as integers
    target       labels, one-hot rows, or 0 and 1, as for metrics
    Returns      (classes, classes): integers, or sums of weights if there are weights other than a boolean mask
    Raises       ShapeError, DataError as metrics do, and for NaN
    """
    try:
        split = _rows(prediction, target, classes, weight)
    except FuncnetError as error:
        error.layer = "confusion_matrix"
        raise
    cells = (classes * split.labels + split.decisions).astype(np.intp)
    given = None if weight is None or np.asarray(weight).dtype == bool else split.weight
    return np.bincount(cells, given, classes * classes).reshape(classes, classes)


def _rows(prediction: Array, target: Array, classes: int, weight: Array | None) -> Rows:
    owner = Metric()
    if isinstance(prediction, np.ndarray) and prediction.dtype.kind in "iub":
        if weight is not None:
            prediction, _ = present(owner, prediction, prediction, weight, prediction.shape)
        check_labels(prediction, classes, owner)
        prediction = (prediction[..., None] == np.arange(classes)).astype(np.float64)
    split = rows(owner, prediction, target, weight)
    if split.classes != classes:
        raise ShapeError(
            f"expected predictions of {classes} classes, got the shape {prediction.shape}, which has "
            f"{split.classes}; give classes={split.classes}, or change the last layer's units"
        )
    if np.isnan(split.scores).any():
        raise DataError("expected predictions that are numbers, got nan, which has no class")
    return split


def per_class(matrix: Array) -> PerClass:
    """Precision, recall, F1 and support of each class, from a confusion matrix; 0 / 0 is 0.

    matrix    (classes, classes), as from ``confusion_matrix``
    Returns   four arrays (classes,)
    Raises    ShapeError for a matrix that is not square
    """
    matrix = np.asarray(matrix)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ShapeError(f"expected a square confusion matrix, got shape {matrix.shape}", layer="per_class")
    return scores(Counts(np.diagonal(matrix), matrix.sum(axis=0), matrix.sum(axis=1)))
