"""Metrics of ranking: whether the rows of a class score above the others. They depend only on the order of scores.

Targets are labels, one-hot rows, or 0 and 1, as for decisions. Of two columns the second is used; for three or
more, the score is the mean over classes of one against the rest.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from funcnet.errors import NotDefined
from funcnet.key import Array
from funcnet.metrics.base import LabelMetric, Labels, Rows
from funcnet.spec.base import register
from funcnet.spec.fields import frozen


@frozen
class Ranking(LabelMetric):
    """Base of metrics of one class against the rest; of several labels per row it is the mean over labels.

    The order of the scores of all rows is needed, so a tally keeps the scores, of two classes those of the second.
    """

    def of_rows(self, split: Rows) -> tuple[Any, ...]:
        if split.classes > 2:
            return [split.scores], [split.labels[:, None] == np.arange(split.classes)], [split.weight]
        column = split.scores if split.scores.ndim == 1 else split.scores[:, 1]
        return [column[:, None]], [split.labels[:, None] == 1], [split.weight]

    def of_labels(self, split: Labels) -> tuple[Any, ...]:
        return [split.scores], [split.held], [split.weight]

    def score(self, *kept: list[Array]) -> float:
        return float(np.mean([self.of(*weights) for weights in by_score(*kept) if weights is not None]))

    def of(self, positives: Array, negatives: Array) -> float:
        """The metric, given the weights of a class and of the rest at each distinct score, lowest first."""
        raise NotDefined(f"{type(self).__name__} does not define of(positives, negatives)")


def by_score(*kept: list[Array]) -> Iterator[tuple[Array, Array] | None]:
    """For each class or label of a tally the weights of its rows and of the rest at each distinct score, lowest first.

    It is None for a label whose weights are all 0.
    """
    scores, held, weight = map(np.concatenate, kept)
    weight = weight if weight.ndim > 1 else np.broadcast_to(weight[:, None], scores.shape)
    for column, positive, own in zip(scores.T, held.T, weight.T, strict=True):
        counts = own > 0.0
        if not counts.any():
            yield None
            continue
        _, at = np.unique(column[counts], return_inverse=True)
        positive, own = positive[counts], own[counts]
        yield np.bincount(at, own * positive), np.bincount(at, own * ~positive)


@register("roc_auc")
@frozen
class RocAuc(Ranking):
    """Area under the ROC curve: the probability that a row of the class scores above another row, ties counting half.

    For three or more classes it is the mean over classes of one against the rest, like scikit-learn's
    ``multi_class="ovr"``. It is NaN if a class has no rows or all rows.
    """

    def of(self, positives: Array, negatives: Array) -> float:
        pairs = positives.sum() * negatives.sum()
        below = np.cumsum(negatives) - negatives
        return float(np.sum(positives * (below + 0.5 * negatives)) / pairs) if pairs > 0.0 else math.nan


@register("average_precision")
@frozen
class AveragePrecision(Ranking):
    """Area under the precision-recall steps: ``Σ_i (R_i - R_{i-1}) P_i``, highest threshold first.

    P_i and R_i are precision and recall at the i-th distinct score. For three or more classes it is the mean over
    classes of one against the rest. A class without rows scores 0, as in scikit-learn.
    """

    def of(self, positives: Array, negatives: Array) -> float:
        total = positives.sum()
        true, false = np.cumsum(positives[::-1]), np.cumsum(negatives[::-1])
        return float(np.sum(positives[::-1] * true / (true + false)) / total) if total > 0.0 else 0.0
