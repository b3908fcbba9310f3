"""The reliability diagram of a classifier: how often its answers are right, by their confidence."""

from __future__ import annotations

import numpy as np

from funcnet.errors import DataError
from funcnet.key import Array
from funcnet.views import svg
from funcnet.views.svg import INK, QUIET, Axis

ACCURACY, GAP = "#0072b2", "#d55e00"  # distinct to colour-blind readers too
LEFT, RIGHT, SIDE = 60, 20, 320  # of the square plot, and the room beside it
HEAD, HISTOGRAM, BETWEEN, FOOT = 74, 56, 14, 40  # heights of the header, of the lower plot, and around it


def reliability_svg(weight: Array, confidence: Array, right: Array, title: str = "") -> str:
    """Draw the accuracy of each bin of confidences, its distance from the mean confidence, and the rows in it.

    weight       the weight of the rows in each of the bins, which divide [0, 1] equally, (bins,)
    confidence   the sum of their confidences, (bins,)
    right        the weight of those that are right, (bins,)
    Returns      an SVG document in ASCII, valid in a file or a page of any encoding
    Raises       DataError for arrays of other shapes, and for no rows
    """
    weight, confidence, right = (np.asarray(part, np.float64) for part in (weight, confidence, right))
    total = float(weight.sum()) if weight.ndim == 1 else 0.0
    if not (weight.shape == confidence.shape == right.shape) or not total > 0.0:
        shapes = f"{weight.shape}, {confidence.shape}, {right.shape}"
        raise DataError(f"reliability_svg: expected three sums for each bin, of at least one row, got {shapes}")
    top = HEAD + (34 if title else 0)
    low = top + SIDE + BETWEEN
    width, height = LEFT + SIDE + RIGHT, low + HISTOGRAM + FOOT
    x, y = Axis(0.0, 1.0, LEFT, LEFT + SIDE), Axis(0.0, 1.0, top + SIDE, top)
    error = float(np.abs(right - confidence).sum()) / total
    parts = [svg.text(16, 26, svg.fitted(title, width - 32, 15), size=15, weight="bold")] if title else []
    lines = [
        (ACCURACY, f"accuracy {svg.short(right.sum() / total)}"),
        (GAP, f"mean confidence {svg.short(confidence.sum() / total)}"),
        (QUIET, f"where both are equal; expected calibration error {svg.short(error)}"),
    ]
    for i, (colour, text) in enumerate(lines):
        line = top - HEAD + 18 + 16 * i
        parts += [svg.line(16, line - 4, 34, line - 4, colour, 2.5), svg.text(40, line, text)]
    parts += svg.grid(x, y, low + HISTOGRAM)
    wide = SIDE / len(weight)
    for i in np.flatnonzero(weight > 0.0).tolist():
        accuracy, mean = right[i] / weight[i], confidence[i] / weight[i]
        parts += _bar("accuracy", LEFT + i * wide, y(accuracy), y(0.0), wide, f'fill="{ACCURACY}" fill-opacity="0.45"')
        style = f'fill="{GAP}" fill-opacity="0.25" stroke="{GAP}" stroke-width="0.7"'
        parts += _bar("gap", LEFT + i * wide, y(max(accuracy, mean)), y(min(accuracy, mean)), wide, style)
    parts.append(svg.line(x(0.0), y(0.0), x(1.0), y(1.0), QUIET, 1.2))
    for i in np.flatnonzero(weight > 0.0).tolist():
        place = x(confidence[i] / weight[i]), y(right[i] / weight[i])
        parts.append(svg.circle("bin", *place, 3, f'fill="{ACCURACY}" stroke="#ffffff" stroke-width="0.8"'))
    rows = Axis(0.0, float(weight.max()) / total, low + HISTOGRAM, low + 4)
    for i in np.flatnonzero(weight > 0.0).tolist():
        parts += _bar("rows", LEFT + i * wide, rows(weight[i] / total), low + HISTOGRAM, wide, f'fill="{QUIET}"')
    parts.append(svg.text(LEFT - 6, low + 11, f"{100.0 * rows.high:.3g} %", 10, "end", QUIET))
    parts.append(svg.text(LEFT - 6, low + HISTOGRAM, "rows", 10, "end", QUIET))
    for above, tall in ((top, SIDE), (low, HISTOGRAM)):
        parts.append(svg.rect(LEFT, above, SIDE, tall, f'class="frame" fill="none" stroke="{INK}" stroke-width="0.7"'))
    parts.append(svg.text(LEFT + SIDE / 2, low + HISTOGRAM + 30, "confidence", anchor="middle", fill=QUIET))
    parts.append(svg.turned(18, top + SIDE / 2, "accuracy", anchor="middle", fill=QUIET))
    return svg.document(width, height, title or "reliability diagram", parts)


def _bar(kind: str, left: float, top: float, bottom: float, width: float, style: str) -> list[str]:
    """A bar of a class, by which it can be selected; none without a height."""
    if bottom - top < 0.05:
        return []
    size = f'x="{left + 0.5:.1f}" y="{top:.1f}" width="{width - 1.0:.1f}" height="{bottom - top:.1f}"'
    return [f'<rect class="{kind}" {size} {style}/>']
