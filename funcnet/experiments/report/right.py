"""The answers of a run: what it gets right and wrong, and the rows where it is most wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from funcnet.data.preparation import Prepared
from funcnet.data.preprocess import restore_inputs
from funcnet.data.scaling import restore_targets
from funcnet.experiments.folder import boundary
from funcnet.experiments.report import labels, outputs, values
from funcnet.experiments.report.answers import Answers, class_name, columns_of, image_shape, sequence
from funcnet.experiments.report.counted import is_uneven
from funcnet.experiments.report.labels import labels_of, targets
from funcnet.experiments.report.values import MOST_TARGETS, values_of
from funcnet.experiments.result import Run
from funcnet.key import Array
from funcnet.losses.base import classifies
from funcnet.losses.combined import EachMember
from funcnet.training.probabilities import is_multilabel, label_of, proba_of
from funcnet.views import page
from funcnet.views.page import Html, Section
from funcnet.views.pixels import image_html, is_image
from funcnet.views.svg import short
from funcnet.views.table import Table

WORST = 12


def section(run: Run, found: Answers | None, data: Prepared, plane: bool) -> Section | None:
    """The pictures of the answers; that of the plane only if the run could draw it."""
    parts = []
    if found is not None and not found.single:
        parts = [outputs.ranges(found)]
    elif found is not None:
        drawn = labels if classifies(run.loss) or labels_of(run, found) is not None else values
        parts = list(drawn.pictures(run, found))
    of_plane = boundary(run, data) if plane else None
    if of_plane is not None:
        words = "The plane of the two inputs, each place in the colour of its answer"
        parts.append(page.picture(of_plane, words, wide=True))
    if not parts:
        return None
    about = "" if found is None else f"Of the {found.part} part: {found.said}."
    inside = f'<div class="panels">{"".join(parts)}</div>'
    return Section("answers", "What it gets right and wrong", about, [inside])


# ----- the worst rows ------------------------------------------------------------------------------------------------


def worst(run: Run, found: Answers | None) -> Section | None:
    """The rows with the largest losses."""
    pairs = [] if found is None else found.worst(run.loss, WORST)
    if not pairs or found is None:
        return None
    rows = [i for i, _ in pairs]
    shape, labels = image_shape(run), labels_of(run, found) if found.single else None
    columns, cells = ["row", "loss"], [[f"{found.numbers[i]:,}", short(loss, 3)] for i, loss in pairs]
    if shape is not None and is_image(shape) and found.x[0].size == np.prod(shape):
        columns.append("input")
        pixels = restore_inputs(run.preprocess, found.x[rows]).reshape(-1, *shape)
        _add(cells, _images(pixels, _span(pixels), "input", found.numbers[rows]))
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
    if is_uneven(found.counted(run.loss)) and not found.stepwise:
        caption += "; the losses are without the weights of the rows"
    if run.temperature is not None:
        caption += "; the losses are of the probabilities before their temperature"
    if isinstance(run.experiment.loss, EachMember):
        caption += "; the loss of a row is the sum of those of the members"
    right = [] if labels is None or found.stepwise else is_right(run, found, rows)
    kinds = ["aside" if one else "" for one in right]
    if any(right):
        caption += "; those that are answered right all the same are grey"
    return Section("worst-rows", "Where it is most wrong", about, [page.table(Table(columns, cells), caption, kinds)])


def is_right(run: Run, found: Answers, rows: list[int]) -> list[bool]:
    """Whether each of some rows is answered with its label."""
    labels = np.asarray(label_of(run.loss, found.answer[rows])).reshape(-1)
    answered: list[bool] = (labels == targets(found)[rows].reshape(-1)).tolist()
    return answered


def _add(cells: list[list[str]], texts: list[str]) -> None:
    for cell, text in zip(cells, texts, strict=True):
        cell.append(text)


def _span(pixels: Array) -> tuple[float, float]:
    """The values that are black and white, the same for images to be compared."""
    finite = pixels[np.isfinite(pixels)]
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)


def _images(pixels: Array, span: tuple[float, float], words: str, numbers: Array) -> list[str]:
    return [Html(image_html(one, *span, f"{words} of row {n:,}")) for one, n in zip(pixels, numbers, strict=True)]


def _told_labels(run: Run, found: Answers, rows: list[int]) -> Iterator[tuple[str, list[str]]]:
    """The true and the predicted class of rows, and the probabilities of both."""
    names = [class_name(one) for one in run.classes or ()]
    answer, y = found.answer[rows], targets(found)[rows]
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
    if not found.single:
        true = np.asarray(restore_targets(run.preprocess, found.y[rows]), np.float64).reshape(len(rows), -1)
        if true.shape[1] == 1:
            yield "true", [short(value, 5) for value in true[:, 0].tolist()]
        return
    known = values_of(run, found)
    true, predicted, names = known.true[rows], known.predicted[rows], known.names
    shape = found.y.shape[1:]
    if is_image(shape) and true.shape == predicted.shape:
        span, numbers = _span(np.stack([true, predicted])), found.numbers[rows]
        yield "true", _images(true.reshape(-1, *shape), span, "true", numbers)
        yield "answer", _images(predicted.reshape(-1, *shape), span, "answer", numbers)
        return
    several = is_multilabel(run.loss, found.answer)
    answer = ("probability" if run.loss.probabilities else "score") if several else "answer"
    for i, name in enumerate(names[:MOST_TARGETS]):
        suffix = "" if len(names) == 1 else f" {name}"
        yield f"true{suffix}", [short(value, 5) for value in true[:, i].tolist()]
        if i < predicted.shape[1]:
            yield f"{answer}{suffix}", [short(value, 3 if several else 5) for value in predicted[:, i].tolist()]
        if true.shape == predicted.shape and not several:
            yield f"residual{suffix}", [short(value, 3) for value in (true - predicted)[:, i].tolist()]
