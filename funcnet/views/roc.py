"""The ROC curve of a classifier: the share of a class that is found, by the share of the others taken for it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from attrs import frozen

from funcnet.key import Array
from funcnet.views import svg
from funcnet.views.svg import QUIET, Axis

COLOURS = ("#0072b2", "#d55e00", "#007a5e", "#a0478f", "#1a1a1a")  # distinct to colour-blind readers too
DASHES = ("", ' stroke-dasharray="5 3"')
MOST = len(COLOURS) * len(DASHES)
"""The most curves of a picture"""
LEFT, SIDE, LEGEND, PAD, TOP, FOOT = 60, 320, 210, 16, 66, 44


@frozen(eq=False)
class Curve:
    """One class against the rest: the weight of its rows and of the others at each distinct score, lowest first."""

    name: str
    positives: Array
    negatives: Array
    area: float
    """NaN if a class has no rows, or all rows: then there is no curve"""

    def points(self) -> tuple[Array, Array]:
        """The false and the true positive rate at each threshold, from (0, 0), highest threshold first, to (1, 1)."""
        rates = [np.append(0.0, np.cumsum(part[::-1])) for part in (self.negatives, self.positives)]
        false, true = (rate / rate[-1] for rate in rates)
        return false, true


def roc_svg(curves: Sequence[Curve], title: str = "", labels: bool = False) -> str:
    """Draw the curves of one class against the rest, each with its area; of more than ten those of the lowest area.

    labels    whether they are those of labels, each present or absent, rather than of classes
    Returns   an SVG document in ASCII, valid in a file or a page of any encoding
    """
    known = [curve for curve in curves if math.isfinite(curve.area)]
    lowest = {id(curve) for curve in sorted(known, key=lambda curve: curve.area)[:MOST]}
    shown = [curve for curve in known if id(curve) in lowest]
    x, y = Axis(0.0, 1.0, LEFT, LEFT + SIDE), Axis(0.0, 1.0, TOP + SIDE, TOP)
    width, height = LEFT + SIDE + LEGEND, TOP + SIDE + FOOT
    parts = [svg.text(PAD, 26, svg.fitted(title or "ROC curve", width - 2 * PAD, 15), 15, weight="bold")]
    parts.append(svg.text(PAD, 45, _area(known, labels)))
    parts += svg.grid(x, y, TOP + SIDE)
    parts.append(svg.line(x(0.0), y(0.0), x(1.0), y(1.0), QUIET))
    for i, curve in enumerate(shown):
        style = f'stroke="{COLOURS[i % len(COLOURS)]}" stroke-width="1.6"{DASHES[i // len(COLOURS)]}'
        parts.append(_line(curve, x, y, style))
        right, level = LEFT + SIDE + 14, TOP + 8 + 18 * i
        parts.append(f'<path d="M{right} {level - 4}h22" fill="none" {style}/>')
        parts.append(svg.text(right + 28, level, f"{curve.area:.3f}"))
        parts.append(svg.text(right + 66, level, svg.fitted(curve.name, LEGEND - 66 - 14 - PAD, 11)))
    notes = [f"the lowest {len(shown)} of {len(known)}"] if len(shown) < len(known) else []
    if len(known) < len(curves):
        notes.append(f"{len(curves) - len(known)} not drawn, of no row or every row")
    for i, note in enumerate(reversed(notes)):
        parts.append(svg.text(LEFT + SIDE + 14, TOP + SIDE - 14 * i, note, 10, fill=QUIET))
    edges = f'class="frame" fill="none" stroke="{QUIET}" stroke-width="0.7"'
    parts.append(svg.rect(LEFT, TOP, SIDE, SIDE, edges))
    parts.append(svg.text(LEFT + SIDE / 2, TOP + SIDE + 32, "false positive rate", anchor="middle", fill=QUIET))
    parts.append(svg.turned(20, TOP + SIDE / 2, "true positive rate", anchor="middle", fill=QUIET))
    return svg.document(width, height, title or "ROC curve", parts)


def _area(curves: Sequence[Curve], labels: bool) -> str:
    """The area, or the mean of several."""
    if not curves:
        return "no curve: all rows are of one class"
    area = f"area {np.mean([curve.area for curve in curves]):.4f}"
    return area if len(curves) == 1 else f"mean {area}, {'each label by itself' if labels else 'each against the rest'}"


def _line(curve: Curve, x: Axis, y: Axis, style: str) -> str:
    """The curve in pixels, without points that lie between others on a line or that no eye can tell apart."""
    false, true = curve.points()
    places = np.stack([x.start + false * (x.end - x.start), y.start + true * (y.end - y.start)], axis=1)
    places = np.round(2.0 * places) / 2.0
    places = places[np.append(True, (np.diff(places, axis=0) != 0.0).any(axis=1))]
    if len(places) > 2:
        before, after = places[1:-1] - places[:-2], places[2:] - places[1:-1]
        bends = before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]
        places = places[np.concatenate([[True], bends, [True]])]
    points = " ".join(f"{px:g},{py:g}" for px, py in places.tolist())
    return f'<polyline class="curve" points="{points}" fill="none" {style} stroke-linejoin="round"/>'
