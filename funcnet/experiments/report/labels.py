"""Answers that are classes, or labels: what is taken for what, how sure it is, and each label by itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from funcnet.experiments.report.answers import Answers, class_name
from funcnet.experiments.report.counted import is_uneven
from funcnet.experiments.result import Run
from funcnet.key import Array
from funcnet.losses.base import at_half, classifies
from funcnet.metrics import CalibrationError
from funcnet.metrics.confusion import label_counts, scores
from funcnet.training.probabilities import is_multilabel, is_one, label_of
from funcnet.views import page
from funcnet.views.confusion import confusion_svg
from funcnet.views.reliability import reliability_svg
from funcnet.views.scores import Scored, roc
from funcnet.views.svg import short
from funcnet.views.table import Table

MOST_CLASSES = 24
"""The most classes of the confusion matrix, of ROC curves, and of the table of labels"""
MOST_COUNTED = 2000
"""The most classes whose every pair is counted"""
MOST_RANKED = 2**19
"""The most probabilities of which ROC curves are drawn, since they are sorted"""


def labels_of(run: Run, found: Answers) -> tuple[Array, Array, list[str]] | None:
    """True and predicted labels, one for each row or step, and the names of the classes.

    None for numbers, and for several labels of a row.
    """
    loss, y = run.loss, targets(found)
    if is_multilabel(loss, found.answer) or not (classifies(loss) or run.classes):
        return None
    if not (y.ndim == 1 or found.stepwise or (y.ndim == 2 and y.shape[1] == 1 and classifies(loss))):
        return None
    predicted = np.asarray(label_of(loss, found.answer)).reshape(-1)
    true = y.reshape(-1)
    if true.shape != predicted.shape or not np.array_equal(true, np.floor(true)):
        return None
    count = 2 if is_one(found.answer) else found.answer.shape[-1]
    names = [class_name(one) for one in run.classes or map(str, range(count))]
    names += [str(i) for i in range(len(names), count)]
    return true.astype(np.int64), predicted, names[:count]


def targets(found: Answers) -> Array:
    """The targets; of rows with 1 for the class and 0 for the others, the classes."""
    y = found.y
    same = y.ndim == 2 and y.shape == found.answer.shape and y.shape[1] > 1
    one_hot = same and bool(np.isin(y, (0, 1)).all() and (y.sum(axis=1) == 1).all())
    return np.argmax(y, axis=1) if one_hot else y


def pictures(run: Run, found: Answers) -> Iterator[str]:
    """The confusion matrix or the table of labels, the reliability diagram, and ROC curves."""
    labels, y = labels_of(run, found), found.y
    if labels is not None:
        yield from _confusion(run, found, *labels)
        y = targets(found)
    elif is_multilabel(run.loss, found.answer) and found.y.shape == found.answer.shape and found.y.ndim == 2:
        yield _each_label(run, found)
    scored = Scored(
        found.part,
        run.loss,
        run.experiment.metrics,
        _names(run.classes),
        y,
        lambda: iter([(found.answer, y, found.counted(run.loss))]),
        _names(run.preprocess.get("outputs")),
    )
    yield from _reliability(scored)
    count = found.answer.shape[-1] if found.answer.ndim > 1 else 1
    drawn = roc(scored) if count <= MOST_CLASSES and found.answer.size <= MOST_RANKED else None
    if drawn is not None:
        words = "ROC curve: the share of a class that is found, by the share of the others taken for it"
        yield page.picture(drawn, words, wide=True)


def _names(given: Sequence[str] | None) -> list[str] | None:
    return [class_name(one) for one in given or ()] or None


def _confusion(run: Run, found: Answers, true: Array, predicted: Array, names: list[str]) -> Iterator[str]:
    """The confusion matrix of what counts, by the weights of the rows if they differ."""
    count = len(names)
    counts = (true >= 0) & (true < count)
    weight = found.counted(run.loss)
    each = None
    if weight is not None:
        steps = found.y.shape[1] if found.stepwise else 1
        each = np.repeat(weight.reshape(-1), 1 if weight.size == true.size else steps)
        counts &= each != 0
        each = each if is_uneven(weight) else None
    if count > MOST_COUNTED or not counts.any():
        return
    cells = (true * count + predicted)[counts].astype(np.intp)
    given = None if each is None else each[counts].astype(np.float64)
    matrix = np.bincount(cells, given, count * count).reshape(count, count)
    unit = "weight" if each is not None else "steps" if found.stepwise else "rows"
    said = mistaken(matrix, names, unit)
    drawn = confusion_svg(matrix, names, "What is taken for what", MOST_CLASSES, unit)
    yield page.picture(drawn, f"Confusion matrix: {said}", page.name(said), wide=True)


def mistaken(matrix: Array, names: Sequence[str], unit: str = "rows") -> str:
    """The pair of classes that is mistaken most often, in a sentence."""
    wrong = matrix - np.diag(np.diagonal(matrix))
    a, b = divmod(int(np.argmax(wrong)), len(wrong))
    if not wrong.any():
        return f"No {'step' if unit == 'steps' else 'row'} is taken for another class."
    if unit == "weight":
        return f"By weight, most often {names[a]} is taken for {names[b]}: {short(float(wrong[a, b]), 3)}."
    times = "once" if wrong[a, b] == 1 else f"{wrong[a, b]:,} times"
    return f"Most often, {names[a]} is taken for {names[b]}: {times}."


def _each_label(run: Run, found: Answers) -> str:
    """How often each label is present, and how well it is found, as a table."""
    count = found.y.shape[1]
    names = _names(run.preprocess.get("outputs")) or []
    names = names if len(names) == count else [str(i) for i in range(count)]
    counts = label_counts(at_half(run.loss, found.answer), found.y, found.counted(run.loss))
    each = scores(counts)
    rows = [
        [name, short(float(counts.true[i])), short(float(counts.decided[i])), short(float(counts.right[i]))]
        + [f"{float(score[i]):.3f}" for score in each[:3]]
        for i, name in enumerate(names[:MOST_CLASSES])
    ]
    what = "by the weights of the rows" if is_uneven(found.counted(run.loss)) else "in rows"
    more = f", the first {MOST_CLASSES} of {count:,}" if count > MOST_CLASSES else ""
    columns = ["label", "present", "predicted", "both", "precision", "recall", "F1"]
    return page.table(Table(columns, rows), f"Each label by itself, {what}{more}")


def _reliability(scored: Scored) -> Iterator[str]:
    """How sure the network is, beside how often it is right."""
    metric: Any = next((one for one in scored.metrics if isinstance(one, CalibrationError)), CalibrationError())
    bins = scored.tally(metric)
    if bins is None or not bins[0].sum() > 0.0:
        return
    weight, confidence, right = bins
    error = float(np.abs(right - confidence).sum() / weight.sum())
    sure = float((confidence.sum() - right.sum()) / weight.sum())
    said = "surer than it is right" if sure > 0.0 else "less sure than it is right"
    caption = f"On average it is {said}, by {short(abs(sure), 2)}; the expected calibration error is {short(error, 2)}."
    drawn = reliability_svg(weight, confidence, right, "How sure it is, and how often right")
    yield page.picture(drawn, f"Reliability diagram: {caption}", page.name(caption), wide=True)
