"""Metrics of decisions: the likeliest class against the true one.

For probabilities ``(…, classes)`` targets are labels ``(…)`` or one-hot rows ``(…, classes)``; for one
probability per row, ``(n,)`` or ``(…, 1)``, they are 0 and 1. The decision is the likeliest class, ties to the
first; for one probability it is 1 from 0.5 up. There is one weight per row, or per sample.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
from attrs import field

from funcnet.errors import ShapeError
from funcnet.key import Array
from funcnet.metrics.base import ClassMetric, LabelMetric, Labels, Rows
from funcnet.metrics.confusion import Counts, count, count_labels, scores
from funcnet.spec.base import register
from funcnet.spec.fields import frozen, positive


@register("accuracy")
@frozen
class Accuracy(LabelMetric):
    """The fraction of rows whose predicted class is right.

    For probabilities ``(…, classes)`` the prediction is the likeliest class, ties to the first, and targets
    are labels or one-hot rows; for one probability per row it is 1 from 0.5 up, and targets are 0 and 1.
    With several labels per row a row is right if all of its labels are, as in scikit-learn; labels of weight 0 are not
    asked for, and a row weighs as much as the heaviest of its labels.

    >>> fn.metrics.Accuracy()(np.array([[0.9, 0.1], [0.3, 0.7]]), np.array([0, 0]))
    0.5
    """

    def of_rows(self, split: Rows) -> tuple[Any, ...]:
        return share_of(split.decisions == split.labels, split.weight)

    def of_labels(self, split: Labels) -> tuple[Any, ...]:
        right = np.all(split.decisions == split.held, axis=1, where=split.weight > 0.0)
        return share_of(right, split.weight.max(axis=1))

    def score(self, right: Any, weight: Any) -> float:
        return float(right / weight)


def share_of(right: Array, weight: Array) -> tuple[Any, ...]:
    """The weight of the rows that are right, and of all rows."""
    return np.sum(right * weight), np.sum(weight)


@register("balanced_accuracy")
@frozen
class BalancedAccuracy(ClassMetric):
    """Mean recall of the classes, so that a rare class counts as much as a common one.

    Classes without rows are left out, as in scikit-learn.
    """

    def of_rows(self, split: Rows) -> tuple[Any, ...]:
        return count(split)

    def score(self, *counts: Array) -> float:
        found = scores(Counts(*counts))
        return float(np.mean(found.recall[found.support > 0.0]))


@register("top_k_accuracy")
@frozen
class TopKAccuracy(ClassMetric):
    """The fraction of rows whose class is among the k likeliest.

    Ties go to the later class, so with k=1 they are decided differently from ``Accuracy``. One probability per row
    means two classes, where a tie, at 0.5, goes to the first. Both are as in scikit-learn.
    Raises   ShapeError for k above the number of classes
    """

    k: int = field(default=2, validator=positive)

    def of_rows(self, split: Rows) -> tuple[Any, ...]:
        if self.k > split.classes:
            raise ShapeError(
                f"expected k of at most {split.classes}, the number of classes, got {self.k}; lower k",
                layer=type(self).__name__,
            )
        one = split.scores.ndim == 1
        p = np.stack([1.0 - split.scores, split.scores], axis=1) if one else split.scores
        labels = split.labels[:, None]
        own = np.take_along_axis(p, labels, axis=1)
        wins_ties = np.arange(p.shape[1]) < labels if one else np.arange(p.shape[1]) > labels
        before = (p > own) | ((p == own) & wins_ties)
        return share_of(np.sum(before, axis=1) < self.k, split.weight)

    def score(self, right: Any, weight: Any) -> float:
        return float(right / weight)


@frozen
class Averaged(LabelMetric):
    """Base of metrics with a score for each class.

    ``macro`` is their mean, ``weighted`` weighs each class by its rows, ``micro`` counts the rows of all
    classes together. Classes that are neither the true nor the predicted class of any row are left out of
    the mean; 0 / 0 counts as 0, both as in scikit-learn. For one probability per row the score is the
    positive class's, for every average. With several labels per row there is a score for each label, and ``macro``
    is the mean over all of them.

    A row of weight 0 is absent, and its class with it if no other row has it; scikit-learn counts such a class in
    the mean, as 0. The scores are scikit-learn's for the other rows.
    """

    which: ClassVar[int]
    """The index of the score in ``PerClass``"""

    average: Literal["micro", "macro", "weighted"] = "macro"

    def of_rows(self, split: Rows) -> tuple[Any, ...]:
        counts = count(split)
        if split.scores.ndim == 1:
            return *(part[1:] for part in counts), np.ones(1)
        return *counts, np.zeros(split.classes)

    def of_labels(self, split: Labels) -> tuple[Any, ...]:
        return *count_labels(split), np.ones(split.held.shape[1])

    def score(self, right: Array, decided: Array, true: Array, always: Array) -> float:
        """``always`` is above 0 for classes that count in the macro mean though no row has them."""
        counts = Counts(right, decided, true)
        if self.average == "micro":
            return float(scores(Counts(*(part.sum(keepdims=True) for part in counts)))[self.which][0])
        weight = true if self.average == "weighted" else (true + decided > 0.0) | (always > 0.0)
        return float(np.average(scores(counts)[self.which], weights=weight)) if weight.any() else 0.0


@register("precision")
@frozen
class Precision(Averaged):
    """The fraction of the rows predicted as a class that belong to it: ``TP / (TP + FP)``, where 0 / 0 is 0.

    The average over classes is that of ``Averaged``; one probability per row gives the positive class's.
    """

    which: ClassVar[int] = 0


@register("recall")
@frozen
class Recall(Averaged):
    """The fraction of the rows of a class that are predicted as it: ``TP / (TP + FN)``, where 0 / 0 is 0.

    The average over classes is that of ``Averaged``; one probability per row gives the positive class's.
    """

    which: ClassVar[int] = 1


@register("f1")
@frozen
class F1(Averaged):
    """Harmonic mean of precision and recall: ``2 TP / (2 TP + FP + FN)``, where 0 / 0 is 0.

    The average over classes is that of ``Averaged``; one probability per row gives the positive class's.
    """

    which: ClassVar[int] = 2
