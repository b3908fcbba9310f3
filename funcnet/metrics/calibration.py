"""Metrics of calibration: whether answers of confidence c are right in a share c of the cases."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from attrs import field

from funcnet.key import Array
from funcnet.losses.classification import check_probabilities
from funcnet.metrics.base import OTHERWISE, LabelMetric, Labels, Rows
from funcnet.spec.base import register
from funcnet.spec.fields import frozen, positive


@register("calibration_error")
@frozen
class CalibrationError(LabelMetric):
    """Mean distance between confidence and accuracy: ``Σ_b w_b / w |accuracy_b - confidence_b|``.

    The expected calibration error of the literature. The confidence of a row is the probability of its likeliest class.
    ``bins`` intervals of equal width, ``(a, b]``, divide [0, 1]; w_b is the weight of the rows in bin b, ``accuracy_b``
    the share of them that is right, ``confidence_b`` the mean of their confidences. One probability p per row is that
    of two classes, 1 - p and p. Each of several labels per row counts as such a row.
    Raises   DataError for probabilities outside [0, 1]
    Source   Naeini et al. (2015), as in Guo et al. (2017)

    >>> error = fn.metrics.CalibrationError(bins=10)
    >>> round(error(np.array([0.8, 0.8, 0.8, 0.8]), np.array([1, 1, 1, 0])), 6)  # right in 75 %
    0.05
    """

    higher_is_better: ClassVar[bool] = False

    bins: int = field(default=15, validator=positive)

    def of_rows(self, split: Rows) -> tuple[Any, ...]:
        one = split.scores.ndim == 1
        p = np.maximum(split.scores, 1.0 - split.scores) if one else np.max(split.scores, axis=1)
        return self._sums(split.scores, p, split.decisions == split.labels, split.weight)

    def of_labels(self, split: Labels) -> tuple[Any, ...]:
        right = split.decisions == split.held
        return self._sums(split.scores, np.maximum(split.scores, 1.0 - split.scores), right, split.weight)

    def _sums(self, scores: Array, confidence: Array, right: Array, weight: Array) -> tuple[Array, Array, Array]:
        """The weight, the sum of confidences and the weight of the right answers of each bin."""
        check_probabilities(scores, "probabilities", self, OTHERWISE)
        p, w = confidence.reshape(-1), weight.reshape(-1)
        bins = np.clip(np.searchsorted(np.arange(self.bins + 1) / self.bins, p) - 1, 0, self.bins - 1)
        total, confident = np.bincount(bins, w, self.bins), np.bincount(bins, w * p, self.bins)
        return total, confident, np.bincount(bins, w * right.reshape(-1), self.bins)

    def score(self, total: Array, confident: Array, correct: Array) -> float:
        return float(np.sum(np.abs(correct - confident)) / np.sum(total))
