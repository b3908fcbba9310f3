"""The decision regions of a classifier with two inputs as a picture, with labelled points on them.

``plane`` divides a rectangle around the points into cells, the caller classifies the centres of the cells, and
``boundary_svg`` draws the result. Every class has a colour that colour-blind readers can distinguish, and a
hatching and a marker for prints without colours.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from attrs import frozen

from funcnet.errors import DataError
from funcnet.key import Array, Key
from funcnet.views import svg
from funcnet.views.svg import INK, QUIET, Axis

COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442")  # Okabe and Ito (2008)
HATCHES = ("", "M0 8L8 0", "M0 4h8", "M0 0L8 8", "M4 0v8", "M0 4h8M4 0v8", "M0 0L8 8M0 8L8 0", "M3 4h2")
MARKERS = (
    "M-3.2 0a3.2 3.2 0 1 0 6.4 0a3.2 3.2 0 1 0 -6.4 0z",  # circle
    "M-2.8 -2.8h5.6v5.6h-5.6z",  # square
    "M0 -3.8L3.6 2.6H-3.6z",  # triangle
    "M0 -4L4 0L0 4L-4 0z",  # diamond
    "M-1.2 -3.6h2.4v2.4h2.4v2.4h-2.4v2.4h-2.4v-2.4h-2.4v-2.4h2.4z",  # plus
    "M0 3.8L3.6 -2.6H-3.6z",  # triangle that points down
    "M-1.6 -3.6h3.2l2 2v3.2l-2 2h-3.2l-2 -2v-3.2z",  # octagon
    "M-4 -1.6h8v3.2h-8z",  # bar
)
SIDE = 420  # pixels of the longer side of the plot
LEFT, TOP, BOTTOM, LEGEND = 60, 16, 46, 150  # around the plot; the legend is on the right
MOST_POINTS = 1000  # more points hide each other and the plane
MOST_CLASSES = 1000  # larger labels are more likely to be values of a regression
LONGEST_NAME = 16  # letters of a name that fit into the legend


@frozen
class Plane:
    """A rectangle of the plane, divided into ``columns`` × ``rows`` equal cells."""

    left: float
    right: float
    bottom: float
    top: float
    columns: int
    rows: int

    @property
    def points(self) -> Array:
        """The centres of the cells (rows · columns, 2), row by row from the bottom."""
        x = self.left + (np.arange(self.columns) + 0.5) / self.columns * (self.right - self.left)
        y = self.bottom + (np.arange(self.rows) + 0.5) / self.rows * (self.top - self.bottom)
        return np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)


def plane(x: Array, cells: int = 70) -> Plane:
    """A rectangle around points (n, 2) with a margin; ``cells`` on its longer side, at least half as many on the other.

    Both axes have the same scale, unless the points spread more than four times as far along one as along the
    other; then the picture is square.
    Raises   DataError unless x is an array of at least one finite point and ``cells`` is at least 1
    """
    x = _points(x, "plane")
    if cells < 1:
        raise DataError(f"plane: expected at least one cell, got {cells}")
    if not len(x):
        raise DataError("plane: expected at least one point, got none")
    low, high = x.min(axis=0), x.max(axis=0)
    size = np.maximum(abs(low), abs(high))
    near = high - low <= np.maximum(1e-6 * size, 1e-150)  # axis labels have room for 7 digits
    half = np.where(near, np.where(size > 1e-150, 0.1 * size, 1.0), 0.55 * (high - low))
    counts = np.full(2, cells)
    short, long = np.argsort(half, kind="stable")
    if 4.0 * half[short] >= half[long]:
        counts[short] = max(round(cells * half[short] / half[long]), cells // 2, 1)
        half[short] = half[long] * counts[short] / cells
    middle = (low + high) / 2.0
    (left, bottom), (right, top) = (middle - half).tolist(), (middle + half).tolist()
    return Plane(left, right, bottom, top, *counts.tolist())


def boundary_svg(
    plane: Plane,
    answers: Array,
    x: Array,
    y: Array,
    classes: Sequence[str] | None = None,
    title: str = "",
    names: tuple[str, str] = ("x1", "x2"),
) -> str:
    """Draw the predictions of a classifier in the cells of a plane, with labelled points on it.

    answers   the predicted label of each of ``plane.points``, integers (rows · columns,) or (rows, columns)
    x, y      points (n, 2) and their labels (n,); of very many only a sample is drawn, with a note
    classes   the name of each label, ``0``, ``1``, … by default
    names     the names of the two axes
    Returns   an SVG document in ASCII, valid in a file or a page of any encoding
    Raises    DataError for labels without a class, and for arrays of other shapes
    """
    x = _points(x, "boundary_svg")
    answers, y = _labels(answers, "answers"), _labels(y, "labels")
    cells = plane.rows, plane.columns
    if answers.shape not in ((cells[0] * cells[1],), cells):
        raise DataError(
            f"boundary_svg: expected a label for each of {cells[0]} rows of {cells[1]} cells, got {answers.shape}; "
            "predict for plane.points"
        )
    if y.shape != (len(x),):
        raise DataError(f"boundary_svg: expected a label for each of {len(x)} points, got {y.shape}")
    count = 1 + int(max(answers.max(), y.max(initial=0)))
    classes = [str(i) for i in range(count)] if classes is None else list(classes)
    if len(classes) < count:
        raise DataError(f"boundary_svg: expected labels below {len(classes)}, one for each class, got {count - 1}")
    cell = max(1, SIDE // max(plane.columns, plane.rows))
    width, height = plane.columns * cell, plane.rows * cell
    top = TOP + (24 if title else 0)
    grid = answers.reshape(plane.rows, plane.columns)[::-1]  # rows of pixels count from the top
    across, up = Axis(plane.left, plane.right, 0.0, width), Axis(plane.bottom, plane.top, height, 0.0)
    shown = np.sort(Key(0).permutation(len(x))[:MOST_POINTS])  # a random sample: labels may alternate
    parts = [*_definitions(len(classes))]
    if title:
        parts.append(svg.text(16, 26, svg.cut(title, int(width + LEFT + LEGEND) // 11), size=15, weight="bold"))
    parts += [
        f'<svg x="{LEFT}" y="{top}" width="{width}" height="{height}">',
        '<g shape-rendering="crispEdges">',
        *_regions(grid, cell, len(classes)),
        "</g>",
        *(_marker(y[i], across(x[i, 0]), up(x[i, 1])) for i in shown),
        "</svg>",
        *_axes(Axis(across.low, across.high, LEFT, LEFT + width), Axis(up.low, up.high, top + height, top), names),
        *_legend(classes, LEFT + width + 16, top, height),
    ]
    if len(shown) < len(x):
        note = f"{len(shown)} of {len(x)} points"
        parts.append(svg.text(LEFT + width + 16, top + height, note, 10, fill=QUIET))
    return svg.document(LEFT + width + LEGEND, top + height + BOTTOM, title or "decision regions", parts)


def _points(x: Array, where: str) -> Array:
    x = np.asarray(x)
    if x.ndim != 2 or x.shape[1] != 2 or x.dtype.kind not in "fiu":
        raise DataError(f"{where}: expected points of two numbers, an array (n, 2), got {x.dtype} of shape {x.shape}")
    x = x.astype(np.float64)
    bad = ~(abs(x) < 1e150).all(axis=1)  # NaN too
    if bad.any():
        raise DataError(f"{where}: expected finite points below 1e150, got {x[bad][0].tolist()} in row {bad.argmax()}")
    return x


def _labels(labels: Array, what: str) -> Array:
    labels = np.asarray(labels)
    if labels.dtype.kind not in "iub":
        raise DataError(f"boundary_svg: expected integer {what}, got {labels.dtype}; take the argmax first")
    if labels.size and not 0 <= labels.min() <= labels.max() < MOST_CLASSES:
        raise DataError(
            f"boundary_svg: expected {what} of 0 to {MOST_CLASSES - 1}, got {labels.min()} to {labels.max()}"
        )
    return labels.astype(np.int64)


def _definitions(count: int) -> list[str]:
    """Hatchings and markers; their names have the same meaning in all such pictures on a page."""
    parts = ["<defs>"]
    for k in range(count):
        fill = f'fill="{COLOURS[k % len(COLOURS)]}"'
        marker = MARKERS[k % len(MARKERS)]
        parts.append(f'<path id="fn-marker{k}" d="{marker}" {fill} stroke="{INK}" stroke-width="0.8"/>')
        size = 'width="8" height="8" patternUnits="userSpaceOnUse"'
        stroke = f'd="{HATCHES[k % len(HATCHES)]}" fill="none" stroke="{INK}" stroke-opacity="0.35"'
        parts.append(f'<pattern id="fn-hatch{k}" {size}><path {stroke} stroke-width="0.8"/></pattern>')
    return [*parts, "</defs>"]


def _regions(grid: Array, cell: int, count: int) -> list[str]:
    """One path for the cells of each class, with neighbours in a row merged, and the edges between classes."""
    parts = []
    for k in range(count):
        path = "".join(f"M{at} {row}h{n}v{cell}h-{n}z" for row, at, n in _runs(grid == k, cell))
        if path:
            fill = f'fill="{COLOURS[k % len(COLOURS)]}" fill-opacity="0.3"'
            parts.append(f'<path class="region{k}" d="{path}" {fill}/>')
            if HATCHES[k % len(HATCHES)]:
                parts.append(f'<path d="{path}" fill="url(#fn-hatch{k})"/>')
    upright = "".join(f"M{row + cell} {at}v{n}" for row, at, n in _runs((grid[:, 1:] != grid[:, :-1]).T, cell))
    level = "".join(f"M{at} {row + cell}h{n}" for row, at, n in _runs(grid[1:] != grid[:-1], cell))
    stroke = f'fill="none" stroke="{INK}" stroke-width="1"'
    return [*parts, f'<path class="edges" d="{upright}{level}" {stroke}/>']


def _runs(mask: Array, cell: int) -> list[tuple[int, int, int]]:
    """Row, start and length of every run of True in the rows of a mask, in pixels."""
    steps = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    rows, starts = np.nonzero(steps == 1)
    _, ends = np.nonzero(steps == -1)
    found = (cell * np.stack([rows, starts, ends - starts])).tolist()
    return list(zip(*found, strict=True))


def _marker(label: int, x: float, y: float) -> str:
    return f'<use href="#fn-marker{label}" x="{x:.1f}" y="{y:.1f}"/>'


def _axes(x_axis: Axis, y_axis: Axis, names: tuple[str, str]) -> list[str]:
    """A frame with labelled ticks on the left and below, and the names of the axes."""
    left, right, bottom, top = x_axis.start, x_axis.end, y_axis.start, y_axis.end
    frame = f'class="frame" fill="none" stroke="{INK}" stroke-width="1"'
    parts = [svg.rect(left, top, right - left, bottom - top, frame)]
    for value, label in svg.ticks(x_axis, max(3, int(right - left) // 60)):
        at = x_axis(value)
        parts += [svg.line(at, bottom, at, bottom + 4, INK), svg.text(at, bottom + 16, label, 10, "middle", INK)]
    for value, label in svg.ticks(y_axis, 7):
        at = y_axis(value)
        parts += [svg.line(left - 4, at, left, at, INK), svg.text(left - 7, at + 3.5, label, 10, "end", INK)]
    parts.append(svg.text((left + right) / 2, bottom + 34, svg.cut(names[0], 50), anchor="middle"))
    name = svg.text(0, 0, svg.cut(names[1], 30), anchor="middle")
    return [*parts, f'<g transform="translate(16 {(bottom + top) / 2:.1f}) rotate(-90)">{name}</g>']


def _legend(classes: Sequence[str], x: float, y: float, height: float) -> list[str]:
    """The region, marker and name of each class, as many as fit; names with numbers are in numeric order."""
    parts, room = [], int(height - 20) // 22
    shown = len(classes) if len(classes) <= room else room - 1
    order, ranks = list(range(len(classes))), legend_order(list(classes))
    if all(re.search("[0-9]", name) for name in classes):
        order.sort(key=lambda k: ranks.index(classes[k]))
    for i, k in enumerate(order[:shown]):
        top, name = y + 22 * i, classes[k]
        fill = f'fill="{COLOURS[k % len(COLOURS)]}" fill-opacity="0.3"'
        parts.append(svg.rect(x, top, 26, 16, f'{fill} stroke="{INK}" stroke-width="0.7"'))
        if HATCHES[k % len(HATCHES)]:
            parts.append(svg.rect(x, top, 26, 16, f'fill="url(#fn-hatch{k})"'))
        parts += [_marker(k, x + 13, top + 8), svg.text(x + 33, top + 12, svg.cut(name, LONGEST_NAME))]
    if shown < len(classes):
        parts.append(svg.text(x, y + 22 * shown + 12, f"… and {len(classes) - shown} more", fill=QUIET))
    return parts


def legend_order(labels: list[str]) -> list[str]:
    """Labels in natural order: numbers by value, and ``c9`` before ``c10``."""
    try:
        return sorted(labels, key=float)
    except ValueError:
        return sorted(labels, key=by_numbers)


def by_numbers(label: str) -> tuple[list[Any], str]:
    """A sort key that compares the whole numbers inside labels as numbers."""
    parts: list[Any] = re.split("([0-9]+)", label)  # texts at even places
    digits = [part.lstrip("0") for part in parts[1::2]]
    parts[1::2] = [(len(number), number) for number in digits]  # works for a number of any length
    return parts, label
