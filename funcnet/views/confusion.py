"""The confusion matrix of a classifier as a picture: how many rows of each class were taken for each class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from funcnet.errors import DataError
from funcnet.key import Array
from funcnet.views import svg
from funcnet.views.svg import INK, QUIET

RIGHT, WRONG = "#0072b2", "#d55e00"  # distinct to colour-blind readers too
MOST = 100
"""The most classes of a picture"""
SIDE, LARGEST, SMALLEST = 440, 56, 5  # pixels of the matrix, and of the side of a cell
LEGIBLE = 16  # the side of a cell that has room for its number
LINE = 12  # between two names
NAME, PAD, HEAD, FOOT = 120, 16, 66, 16


def confusion_svg(matrix: Array, classes: Sequence[str], title: str = "", most: int = MOST, unit: str = "rows") -> str:
    """Draw a confusion matrix: each cell has its rows, and the colour of their share of the rows of its true class.

    Of more than ``most`` classes those are drawn that are mistaken most often.

    matrix    (classes, classes), true classes by row, as from ``confusion_matrix``
    classes   the name of each class
    unit      what the cells count, such as "steps"; "weight" for sums of weights
    Returns   an SVG document in ASCII, valid in a file or a page of any encoding
    Raises    DataError for a matrix that is not square, or has no rows, and another number of names
    """
    matrix = np.asarray(matrix, np.float64)
    if matrix.shape != (len(classes), len(classes)) or not matrix.sum() > 0.0:
        raise DataError(
            f"confusion_svg: expected a matrix of {len(classes)} × {len(classes)} classes with at least one row, "
            f"got {matrix.shape} with a sum of {matrix.sum():g}"
        )
    total, right = float(matrix.sum()), float(np.trace(matrix))
    true = matrix.sum(axis=1)
    mistaken = true + matrix.sum(axis=0) - 2.0 * np.diagonal(matrix)
    shown = np.sort(np.argsort(-mistaken, kind="stable")[:most])
    cells = matrix[np.ix_(shown, shown)]
    shares = cells / np.where(true > 0.0, true, 1.0)[shown, None]
    count = len(shown)
    side = float(min(LARGEST, max(SMALLEST, SIDE / count)))
    every = int(np.ceil(LINE / side))  # classes to a name
    names = [svg.fitted(str(classes[i]), NAME, 11) for i in shown]
    widest = max(svg.width_of(name, 11) for name in names)
    upright = every == 1 and widest <= side - 4.0
    left = PAD + 18 + widest + 8
    top = HEAD + 18 + (14 if upright else widest) + 8
    width, height = max(left + count * side + PAD, 300.0), top + count * side + FOOT
    parts = [svg.text(PAD, 26, svg.fitted(title or "confusion matrix", width - 2 * PAD, 15), 15, weight="bold")]
    rows = f"{total:,.0f}" if total.is_integer() else svg.short(total)
    counted = f"a weight of {rows}" if unit == "weight" else f"{rows} {unit.removesuffix('s') if total == 1 else unit}"
    said = f"accuracy {svg.short(right / total)} of {counted}"
    few = f"; the {count} of {len(classes)} classes most often mistaken" if count < len(classes) else ""
    parts.append(svg.text(PAD, 45, svg.fitted(said + few, width - 2 * PAD, 11)))
    parts.append(svg.text(left + count * side / 2, HEAD + 8, "predicted", anchor="middle", fill=QUIET))
    parts.append(svg.turned(PAD + 8, top + count * side / 2, "true", anchor="middle", fill=QUIET))
    for i, name in enumerate(names):
        if i % every == 0:
            middle = (i + 0.5) * side
            parts.append(svg.text(left - 6, top + middle + 4, name, anchor="end"))
            place = left + middle, top - 6
            parts.append(
                svg.text(*place, name, anchor="middle") if upright else svg.turned(place[0] + 4, place[1], name)
            )
    for i, j in np.argwhere(cells > 0.0).tolist():
        parts.append(_cell(left + j * side, top + i * side, side, float(shares[i, j]), RIGHT if i == j else WRONG))
        if side >= LEGIBLE:
            figure = svg.short(cells[i, j])
            size = round(min(12.0, 1.35 * side / len(figure)), 1)
            fill = "#ffffff" if shares[i, j] > 0.55 else INK
            place = left + (j + 0.5) * side, top + (i + 0.5) * side + 0.35 * size
            parts.append(svg.text(*place, figure, size, "middle", fill))
    edges = f'class="frame" fill="none" stroke="{QUIET}" stroke-width="0.7"'
    parts.append(svg.rect(round(left, 1), round(top, 1), round(count * side, 1), round(count * side, 1), edges))
    return svg.document(round(width), round(height), title or "confusion matrix", parts)


def _cell(x: float, y: float, side: float, share: float, colour: str) -> str:
    """A cell, darker the larger its share; a small one can be seen too."""
    place = round(x, 1), round(y, 1), round(side, 1), round(side, 1)
    return svg.rect(*place, f'class="cell" fill="{colour}" fill-opacity="{0.08 + 0.92 * share:.2f}"')
