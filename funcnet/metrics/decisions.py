"""Metrics of decisions: the likeliest class against the true one.

Targets are labels ``(…)`` or one-hot rows ``(…, classes)`` beside probabilities ``(…, classes)``, or 0 and
1 beside one probability a row, ``(n,)`` or ``(…, 1)``. The decision is the likeliest class, the first of
equals; for one probability it is 1 from 0.5 up. A weight is one for each row, or for each sample.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from attrs import field

from funcnet.errors import ShapeError
from funcnet.metrics.base import ClassMetric, Rows
from funcnet.metrics.confusion import Counts, count, scores
from funcnet.spec.base import register
from funcnet.spec.fields import frozen, positive


@register("accuracy")
@frozen
class Accuracy(ClassMetric):
    """The fraction of right answers.

    For probabilities ``(…, classes)`` the answer is the likeliest class, the first of equals, beside
    labels or one-hot rows; for one probability a sample it is 1 from 0.5 up, beside 0 and 1.

    >>> fn.metrics.Accuracy()(np.array([[0.9, 0.1], [0.3, 0.7]]), np.array([0, 0]))
    0.5
    """

    def score(self, split: Rows) -> float:
        return float(np.average(split.decisions == split.labels, weights=split.weight))


@register("balanced_accuracy")
@frozen
class BalancedAccuracy(ClassMetric):
    """Mean recall of the classes, so that a rare one counts as much as a common one.

    Classes that no row belongs to are left out, as in scikit-learn.
    """

    def score(self, split: Rows) -> float:
        found = scores(count(split))
        return float(np.mean(found.recall[found.support > 0.0]))


@register("top_k_accuracy")
@frozen
class TopKAccuracy(ClassMetric):
    """The fraction of rows whose class is among the k likeliest.

    Of equal probabilities the later class comes first, as in scikit-learn, so with k=1 ties are decided
    otherwise than by ``Accuracy``. One probability a row stands for two classes.
    Raises   ShapeError for k above the number of classes
    """

    k: int = field(default=2, validator=positive)

    def score(self, split: Rows) -> float:
        if self.k > split.classes:
            raise ShapeError(
                f"expected k of at most {split.classes}, the number of classes, got {self.k}; lower k",
                layer=type(self).__name__,
            )
        one = split.scores.ndim == 1
        p = np.stack([1.0 - split.scores, split.scores], axis=1) if one else split.scores
        labels = split.labels[:, None]
        own = np.take_along_axis(p, labels, axis=1)
        before = (p > own) | ((p == own) & (np.arange(p.shape[1]) > labels))
        return float(np.average(np.sum(before, axis=1) < self.k, weights=split.weight))


@frozen
class Averaged(ClassMetric):
    """Base of metrics that are a number for each class.

    ``macro`` is their mean, ``weighted`` weighs each class by its rows, ``micro`` counts the rows of all
    classes together. Classes that are neither true nor decided for in any row are left out of the
    mean; 0 / 0 counts as 0, both as in scikit-learn. For one probability a row it is the number of the
    positive class, whatever the average.
    """

    which: ClassVar[int]
    """Its place in ``PerClass``."""

    average: Literal["micro", "macro", "weighted"] = "macro"

    def score(self, split: Rows) -> float:
        counts = count(split)
        if split.scores.ndim == 1:
            return float(scores(counts)[self.which][1])
        if self.average == "micro":
            return float(scores(Counts(*(part.sum(keepdims=True) for part in counts)))[self.which][0])
        weight = counts.true if self.average == "weighted" else counts.true + counts.decided > 0.0
        return float(np.average(scores(counts)[self.which], weights=weight))


@register("precision")
@frozen
class Precision(Averaged):
    """Of the rows decided to be of a class, the fraction that are: ``TP / (TP + FP)``, 0 where there are none.

    The average over classes is that of ``Averaged``; one probability a row gives the positive class's.
    """

    which: ClassVar[int] = 0


@register("recall")
@frozen
class Recall(Averaged):
    """Of the rows of a class, the fraction decided to be: ``TP / (TP + FN)``, 0 where there are none.

    The average over classes is that of ``Averaged``; one probability a row gives the positive class's.
    """

    which: ClassVar[int] = 1


@register("f1")
@frozen
class F1(Averaged):
    """Harmonic mean of precision and recall: ``2 TP / (2 TP + FP + FN)``, 0 where there are none.

    The average over classes is that of ``Averaged``; one probability a row gives the positive class's.
    """

    which: ClassVar[int] = 2
