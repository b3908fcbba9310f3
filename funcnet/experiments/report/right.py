"""The answers of a run as pictures: what is taken for what, how sure it is, how far off, and the worst rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from funcnet.data.preparation import Prepared
from funcnet.data.preprocess import restore_inputs, restore_targets
from funcnet.errors import one_line
from funcnet.experiments.folder import boundary
from funcnet.experiments.report.answers import Answers, class_name, columns_of, image_shape, sequence
from funcnet.experiments.result import Run
from funcnet.key import Array
from funcnet.losses.base import classifies
from funcnet.metrics import CalibrationError
from funcnet.training.probabilities import is_multilabel, is_one, label_of, proba_of
from funcnet.views import page
from funcnet.views.confusion import confusion_svg
from funcnet.views.page import Html, Section
from funcnet.views.pixels import image_html, is_image
from funcnet.views.predicted import Target, predicted_svg
from funcnet.views.reliability import reliability_svg
from funcnet.views.residuals import residuals_svg
from funcnet.views.scores import Scored, roc
from funcnet.views.svg import short
from funcnet.views.table import Table

WORST = 12
MOST_CLASSES = 24
"""The most classes of the confusion matrix, and of ROC curves"""
MOST_COUNTED = 2000
"""The most classes whose every pair is counted"""
MOST_RANKED = 2**19
"""The most probabilities of which ROC curves are drawn, since they are sorted"""
MOST_TARGETS = 4
MOST_POINTS = 600
"""The most points of all targets"""


def labels_of(run: Run, found: Answers) -> tuple[Array, Array, list[str]] | None:
    """True and predicted labels, one for each row or step that counts, and the names of the classes.

    None for numbers, and for several labels of a row.
    """
    loss, y = run.loss, found.y
    one_each = y.ndim == 1 or found.stepwise or (y.ndim == 2 and y.shape[1] == 1 and classifies(loss))
    if is_multilabel(loss, found.answer) or not one_each or not (classifies(loss) or run.classes):
        return None
    predicted = np.asarray(label_of(loss, found.answer)).reshape(-1)
    true = y.reshape(-1)
    if true.shape != predicted.shape or not np.array_equal(true, np.floor(true)):
        return None
    count = 2 if is_one(found.answer) else found.answer.shape[-1]
    names = [class_name(one) for one in run.classes or map(str, range(count))]
    names += [str(i) for i in range(len(names), count)]
    true = true.astype(np.int64)
    inside = (true >= 0) & (true < count)
    weight = found.counted(loss)
    if weight is not None and weight.size == true.size:
        inside &= weight.reshape(-1) != 0
    return true[inside], predicted[inside], names[:count]


def section(run: Run, found: Answers | None, data: Prepared, plane: bool) -> Section | None:
    """The pictures of the answers; that of the plane only if the run could draw it."""
    parts = [] if found is None else list(_pictures(run, found))
    of_plane = boundary(run, data) if plane else None
    if of_plane is not None:
        words = "The plane of the two inputs, each place in the colour of its answer"
        parts.append(page.picture(of_plane, words, wide=True))
    if not parts:
        return None
    about = "" if found is None else f"Of the {found.part} part: {found.said}."
    inside = f'<div class="panels">{"".join(parts)}</div>'
    return Section("answers", "What it gets right and wrong", about, [inside])


def _pictures(run: Run, found: Answers) -> Iterator[str]:
    labels = labels_of(run, found)
    if labels is None and not classifies(run.loss):
        yield from _of_numbers(run, found)
        return
    if labels is not None:
        yield from _of_classes(*labels)
    yield from _of_scores(run, found)


def _of_classes(true: Array, predicted: Array, names: list[str]) -> Iterator[str]:
    count = len(names)
    if count > MOST_COUNTED or not len(true):
        return
    cells = (true * count + predicted).astype(np.intp)
    matrix = np.bincount(cells, minlength=count * count).reshape(count, count)
    said = mistaken(matrix, names)
    drawn = confusion_svg(matrix, names, "What is taken for what", MOST_CLASSES)
    yield page.picture(drawn, f"Confusion matrix: {said}", page.name(said), wide=True)


def mistaken(matrix: Array, names: Sequence[str]) -> str:
    """The pair of classes that is mistaken most often, in a sentence."""
    wrong = matrix - np.diag(np.diagonal(matrix))
    a, b = divmod(int(np.argmax(wrong)), len(wrong))
    if not wrong.any():
        return "No row is taken for another class."
    times = "once" if wrong[a, b] == 1 else f"{wrong[a, b]:,} times"
    return f"Most often, {names[a]} is taken for {names[b]}: {times}."


def _of_scores(run: Run, found: Answers) -> Iterator[str]:
    """Calibration, and the ROC curve of each of a few classes."""
    classes, outputs = ([class_name(one) for one in names or ()] or None for names in (run.classes, _outputs(run)))
    given = found.answer, found.y, found.counted(run.loss)
    metrics = run.experiment.metrics
    scored = Scored(found.part, run.loss, metrics, classes, found.y, lambda: iter([given]), outputs)
    metric = next((one for one in metrics if isinstance(one, CalibrationError)), CalibrationError())
    bins = scored.tally(metric)
    if bins is not None and bins[0].sum() > 0.0:
        weight, confidence, right = bins
        error = float(np.abs(right - confidence).sum() / weight.sum())
        sure = float((confidence.sum() - right.sum()) / weight.sum())
        said = "surer than it is right" if sure > 0.0 else "less sure than it is right"
        caption = (
            f"On average it is {said}, by {short(abs(sure), 2)}; the expected calibration error is {short(error, 2)}."
        )
        drawn = reliability_svg(weight, confidence, right, "How sure it is, and how often right")
        yield page.picture(drawn, f"Reliability diagram: {caption}", page.name(caption), wide=True)
    count = found.answer.shape[-1] if found.answer.ndim > 1 else 1
    if count <= MOST_CLASSES and found.answer.size <= MOST_RANKED:
        drawn_roc = roc(scored)
        if drawn_roc is not None:
            yield page.picture(
                drawn_roc,
                "ROC curve: the share of a class that is found, by the share of the others taken for it",
                wide=True,
            )


def _outputs(run: Run) -> list[str]:
    return list(run.preprocess.get("outputs") or ())


def in_units(run: Run, found: Answers) -> tuple[Array, Array, list[str]]:
    """Targets and predictions in the units of the data, a column for each target, and the names of these."""
    count = len(found.y)
    true = np.asarray(restore_targets(run.preprocess, found.y), np.float64).reshape(count, -1)
    predicted = np.asarray(restore_targets(run.preprocess, found.answer), np.float64).reshape(count, -1)
    names = _outputs(run)
    each = predicted.shape[1] // true.shape[1] if true.shape[1] and predicted.shape[1] % true.shape[1] == 0 else 0
    if each > 1:  # several quantiles of each target: the middle one
        predicted = predicted.reshape(count, true.shape[1], each)[:, :, each // 2]
    if len(names) != true.shape[1]:
        names = ["target"] if true.shape[1] == 1 else [f"number {i}" for i in range(true.shape[1])]
    return true, predicted, names


def _of_numbers(run: Run, found: Answers) -> Iterator[str]:
    true, predicted, names = in_units(run, found)
    if true.shape != predicted.shape:
        return
    if true.shape[1] > MOST_TARGETS:
        true, predicted, names = true.reshape(-1, 1), predicted.reshape(-1, 1), [f"all {true.shape[1]:,} numbers"]
    for i, name in enumerate(names):
        target = Target(one_line(name), predicted[:, i], true[:, i])
        drawn = predicted_svg([target], "How far off it is", MOST_POINTS // len(names))
        if drawn is None:
            continue
        words = f"{name}: predicted against observed, and the residuals"
        yield page.picture(drawn, words, page.name(words), wide=True)
        residuals = true[:, i] - predicted[:, i]
        mean = float(np.mean(residuals))
        side = "low" if mean > 0.0 else "high"
        caption = f"On average the answer is too {side} by {short(abs(mean), 3)}, the dashed line."
        histogram = residuals_svg(residuals, f"Residuals of {one_line(name)}")
        yield page.picture(histogram, f"Histogram of the residuals. {caption}", page.name(caption), wide=True)


# ----- the worst rows ------------------------------------------------------------------------------------------------


def worst(run: Run, found: Answers | None) -> Section | None:
    """The rows with the largest losses."""
    pairs = [] if found is None else found.worst(run.loss, WORST)
    if not pairs or found is None:
        return None
    rows = [i for i, _ in pairs]
    shape, labels = image_shape(run), labels_of(run, found)
    columns, cells = ["row", "loss"], [[f"{found.numbers[i]:,}", short(loss, 3)] for i, loss in pairs]
    if shape is not None and is_image(shape) and found.x[0].size == np.prod(shape):
        columns.append("input")
        _add(cells, _images(restore_inputs(run.preprocess, found.x[rows]).reshape(-1, *shape), "input"))
    told = _told_labels(run, found, rows) if labels is not None else _told_numbers(run, found, rows)
    for name, texts in told:
        columns.append(name)
        _add(cells, texts)
    if "input" not in columns:
        names, inputs = columns_of(run, found.x[rows])
        columns += names
        cells = [[*cell, *texts] for cell, texts in zip(cells, inputs, strict=True)]
    about = "The rows with the largest losses, the worst first. Mistakes in the data often show here."
    looked_at = found.words(found.looked_at)
    caption = f"The worst {len(rows)} of the {found.part} part ({looked_at}), numbered as in the data, from 0"
    right = [] if labels is None or found.stepwise else is_right(run, found, rows)
    kinds = ["aside" if one else "" for one in right]
    if any(right):
        caption += "; those that are answered right all the same are grey"
    return Section("worst-rows", "Where it is most wrong", about, [page.table(Table(columns, cells), caption, kinds)])


def is_right(run: Run, found: Answers, rows: list[int]) -> list[bool]:
    """Whether each of some rows is answered with its label."""
    labels = np.asarray(label_of(run.loss, found.answer[rows])).reshape(-1)
    answered: list[bool] = (labels == found.y[rows].reshape(-1)).tolist()
    return answered


def _add(cells: list[list[str]], texts: list[str]) -> None:
    for cell, text in zip(cells, texts, strict=True):
        cell.append(text)


def _images(pixels: Array, words: str) -> list[str]:
    low, high = float(pixels.min()), float(pixels.max())
    return [Html(image_html(one, low, high, words)) for one in pixels]


def _told_labels(run: Run, found: Answers, rows: list[int]) -> Iterator[tuple[str, list[str]]]:
    """The true and the predicted class of rows, and the probabilities of both."""
    names = [class_name(one) for one in run.classes or ()]
    answer, y = found.answer[rows], found.y[rows]
    predicted = np.asarray(label_of(run.loss, answer))

    def named(label: Any) -> str:
        return names[int(label)] if 0 <= int(label) < len(names) else str(int(label))

    if found.stepwise:
        yield "true", [sequence(run.classes, row) for row in y]
        yield "answer", [sequence(run.classes, row) for row in predicted]
        return
    yield "true", [named(label) for label in y.reshape(-1)]
    yield "answer", [named(label) for label in predicted.reshape(-1)]
    if run.loss.probabilities:
        shares = proba_of(run.loss, answer).reshape(len(rows), -1)
        yield "its probability", [f"{row.max():.3f}" for row in shares]
        yield "that of the true", [f"{row[int(label)]:.3f}" for row, label in zip(shares, y.reshape(-1), strict=True)]


def _told_numbers(run: Run, found: Answers, rows: list[int]) -> Iterator[tuple[str, list[str]]]:
    """The target and the prediction of rows: as images if they are, else the first few numbers."""
    true, predicted, names = in_units(run, found)
    true, predicted = true[rows], predicted[rows]
    shape = found.y.shape[1:]
    if is_image(shape) and true.shape == predicted.shape:
        yield "true", _images(true.reshape(-1, *shape), "true")
        yield "answer", _images(predicted.reshape(-1, *shape), "answer")
        return
    for i, name in enumerate(names[:MOST_TARGETS]):
        suffix = "" if len(names) == 1 else f" {name}"
        yield f"true{suffix}", [short(value, 5) for value in true[:, i].tolist()]
        if i < predicted.shape[1]:
            yield f"answer{suffix}", [short(value, 5) for value in predicted[:, i].tolist()]
        if true.shape == predicted.shape:
            yield f"residual{suffix}", [short(value, 3) for value in (true - predicted)[:, i].tolist()]
