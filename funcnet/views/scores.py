"""Pictures of how a trained network answers: those of ``funcnet evaluate --pictures``."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from attrs import frozen

from funcnet.key import Array
from funcnet.losses.base import Loss, classifies
from funcnet.metrics import CalibrationError, Metric, RocAuc, confusion_matrix
from funcnet.metrics.ranking import by_score
from funcnet.training.probabilities import is_one, label_of
from funcnet.views.confusion import confusion_svg
from funcnet.views.predicted import Target, predicted_svg
from funcnet.views.reliability import reliability_svg
from funcnet.views.roc import Curve, roc_svg

MOST_NUMBERS = 2**26
"""The most answers that a ROC curve is drawn of, since it needs all of them at once"""


@frozen(eq=False)
class Scored:
    """The answers of a network to the rows of one part, with what is known of them."""

    part: str
    loss: Loss
    metrics: Sequence[Metric]
    classes: Sequence[str] | None
    targets: Any
    answers: Callable[[], Iterator[tuple[Any, Any, Array | None]]]
    """The answers of blocks of rows with their targets and weights"""
    outputs: Sequence[str] | None = None
    """The names of the outputs, which are those of several labels, or of targets that are numbers"""
    restored: Callable[[Any], Any] = lambda values: values
    """Answers and targets that are numbers in the units of the data"""

    @property
    def classifies(self) -> bool:
        """Whether an answer is the probabilities of classes, or of labels."""
        labels = isinstance(self.targets, np.ndarray) and (self.loss.independent or self.targets.dtype.kind in "iub")
        return self.loss.probabilities and labels

    def names(self, count: int, several: bool = False) -> list[str]:
        """The names of ``count`` classes, or of the labels if a row has several; their numbers by default."""
        names = self.outputs if several else self.classes
        return list(names) if names is not None and len(names) == count else [str(i) for i in range(count)]

    def tally(self, metric: Any, most: float = math.inf) -> tuple[Any, ...] | None:
        """What a metric of a classifier keeps of all rows, after the number of NaN.

        It is None for any other network, for no rows, NaN, and more numbers than ``most``.
        """
        tally: Any = None
        for answer, target, weight in self.answers() if self.classifies else ():
            if len(self.targets) * np.size(answer) > most * len(target):
                return None
            more = metric.tally(answer, target, weight, self.loss.independent)
            tally = more if tally is None else metric.joined(tally, more)
        return None if tally is None or tally[0] else tally[1:]

    def matrix(self) -> Array | None:
        """The confusion matrix of a classifier with one label per row; None for any other network."""
        y = self.targets
        if not isinstance(y, np.ndarray) or y.ndim != 1 or y.dtype.kind not in "iub":
            return None
        if not (classifies(self.loss) or self.classes):
            return None
        matrix: Any = 0
        for answer, labels, weight in self.answers():
            count = 2 if is_one(answer) else answer.shape[-1]
            matrix = matrix + confusion_matrix(label_of(self.loss, answer), labels, count, weight)
        found: Array = matrix
        return found


def reliability(scored: Scored) -> str | None:
    """The reliability diagram of a classifier, with the bins of its expected calibration error."""
    found = (metric for metric in scored.metrics if isinstance(metric, CalibrationError))
    bins = scored.tally(next(found, CalibrationError()))
    if bins is None:
        return None
    weight, confidence, right = bins
    return reliability_svg(weight, confidence, right, f"reliability of {scored.part}")


def confusion(scored: Scored) -> str | None:
    """The confusion matrix of a classifier with one label per row."""
    matrix = scored.matrix()
    if matrix is None:
        return None
    unit = "weight" if matrix.dtype.kind == "f" else "rows"
    return confusion_svg(matrix, scored.names(len(matrix)), f"confusion matrix of {scored.part}", unit=unit)


def roc(scored: Scored) -> str | None:
    """The ROC curve of each class against the rest, or of each label; of two classes that of the second."""
    metric = RocAuc()
    kept = scored.tally(metric, MOST_NUMBERS)
    if kept is None:
        return None
    columns = list(by_score(*kept))
    several = scored.loss.independent and len(columns) > 1
    names = scored.names(max(2, len(columns)), several)[-len(columns) :]
    pairs = [(name, weights) for name, weights in zip(names, columns, strict=True) if weights is not None]
    curves = [Curve(name, *weights, metric.of(*weights)) for name, weights in pairs]
    return roc_svg(curves, f"ROC curve of {scored.part}", several)


def predicted(scored: Scored) -> str | None:
    """The predictions by the observations, and the residuals, of a network that predicts numbers; else None.

    Of several quantiles of a target the middle one counts.
    """
    y = scored.targets
    numbers = isinstance(y, np.ndarray) and y.dtype.kind in "fiu" and y.ndim <= 2
    if not numbers or classifies(scored.loss) or scored.classes:
        return None
    count = 1 if y.ndim == 1 else y.shape[1]
    pieces: list[tuple[Array, Array]] = []
    weights: list[Array] = []
    for answer, target, weight in scored.answers():
        if not isinstance(answer, np.ndarray):
            return None
        answer, target = scored.restored(answer), scored.restored(target).reshape(len(target), count)
        answer = answer.reshape(len(answer), -1)
        each = answer.shape[1] // count
        if each * count != answer.shape[1] or each not in (1, len(scored.loss.outputs([""]))):
            return None
        pieces.append((answer[:, each // 2 :: each], target))
        weights += [] if weight is None else [np.broadcast_to(weight.reshape(len(weight), -1), target.shape)]
    if not pieces:
        return None
    values, observed = (np.concatenate([piece[i] for piece in pieces]) for i in (0, 1))
    names = scored.outputs if scored.outputs and len(scored.outputs) == count else [f"output {i}" for i in range(count)]
    weight = np.concatenate(weights) if weights else None
    targets = [
        Target(name, values[:, i], observed[:, i], None if weight is None else weight[:, i])
        for i, name in enumerate(names)
    ]
    return predicted_svg(targets, f"predictions of {scored.part}")


PICTURES: dict[str, Callable[[Scored], str | None]] = {
    "reliability.svg": reliability,
    "confusion.svg": confusion,
    "roc.svg": roc,
    "predicted.svg": predicted,
}
"""The name of each picture, and the function that draws it, or gives None where it makes no sense"""


def left_out(scored: Scored) -> dict[str, str]:
    """The pictures that need more than is kept of so large a part, by name, and why."""
    answer = next(scored.answers(), None) if scored.classifies else None
    if answer is None or len(scored.targets) * np.size(answer[0]) <= MOST_NUMBERS * len(answer[1]):
        return {}
    count = len(scored.targets) * np.size(answer[0]) // len(answer[1])
    return {"roc.svg": f"a ROC curve needs all {count:,} answers at once, and more than {MOST_NUMBERS:,} are too many"}


def pictures(scored: Scored) -> dict[str, str]:
    """The pictures of a part by name."""
    drawn = {name: draw(scored) for name, draw in PICTURES.items()}
    return {name: picture for name, picture in drawn.items() if picture is not None}
