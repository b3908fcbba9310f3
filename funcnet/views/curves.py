"""The curves of a training run as one small, self-contained SVG.

Importing a plotting library would take longer than many runs. Each panel has its numbers in a header
above the plot, so no label covers a curve.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from attrs import frozen

from funcnet.views import svg
from funcnet.views.svg import QUIET, Axis

Row = Mapping[str, Any]
Point = tuple[float, float]  # y is NaN where the value is not finite: the curve has a gap there

CELL_WIDTH, CELL_HEIGHT, CELLS_A_ROW = 360, 256, 3
SMALL_WIDTH = 240  # of the learning rate's panel
LEFT, RIGHT, TOP, BOTTOM = 60, 20, 74, 216  # edges of a plot in its cell, RIGHT from the cell's right side
MOST_POINTS = 400  # of a curve: more than it has pixels
TRAINING, VALIDATION, RATE = "#0072b2", "#d55e00", "#007a5e"  # distinct to colour-blind readers too
LESS_IS_BETTER = re.compile(
    r"loss|error|entropy|perplexity|divergence|distance|deviation|deviance|negative|huber|brier"
    r"|(?<![a-z])(rmse|mse|mae|mape|nll)"
)
MORE_IS_BETTER = re.compile(
    r"accuracy|precision|recall|score|likelihood|correlation|explained|(?<![a-z])(r2|f1|auc|auroc|iou|dice|kappa)"
)


@frozen
class Series:
    """One curve, in the order of the history; ``best`` is a point to mark."""

    name: str
    colour: str
    points: Sequence[Point]
    best: Point | None = None
    dash: str = ""
    """The attribute of a dashed line"""


@frozen
class Panel:
    """One plot. ``best`` is ``min`` or ``max``, or None if it is unknown which values are good."""

    title: str
    series: Sequence[Series]
    best: Callable[[Iterable[float]], float] | None = None
    width: int = CELL_WIDTH
    about: str | None = None
    """The line above the plot, in place of the numbers of each curve"""


def curves_svg(history: Sequence[Row], title: str = "") -> str:
    """Draw a training history: the loss, every metric, and the learning rate where it changes.

    history   rows with the columns of ``history.csv``; a row may lack a column or hold None there
    Returns   an SVG document in ASCII, valid in a file or a page of any encoding
    """
    x_name, panels = _panels(history)
    limits = _x_limits([x for panel in panels for one in panel.series for x, _ in one.points])
    top = 34 if title else 0
    rows = [panels[i : i + CELLS_A_ROW] for i in range(0, len(panels), CELLS_A_ROW)]
    width = max((sum(panel.width for panel in row) for row in rows), default=CELL_WIDTH)
    height = top + (len(rows) * CELL_HEIGHT or 90)
    parts = []
    if title:
        parts.append(svg.text(16, 26, svg.cut(title, width // 11), size=15, weight="bold"))
    if not panels:
        parts.append(svg.text(width / 2, top + 50, "nothing to draw yet", size=13, anchor="middle", fill=QUIET))
    for i, panel in enumerate(panels):
        place = f"{i % CELLS_A_ROW * CELL_WIDTH} {top + i // CELLS_A_ROW * CELL_HEIGHT}"
        parts += [f'<g transform="translate({place})">', *_draw(panel, x_name, limits), "</g>"]
    return svg.document(width, height, title or "training curves", parts)


def curve_panels(history: Sequence[Row]) -> list[str]:
    """The panels of ``curves_svg``, each as a document, for a page that puts as many in a row as fit.

    >>> len(curve_panels([{"epoch": 1, "loss": 2.0, "accuracy": 0.5}, {"epoch": 2, "loss": 1.0, "accuracy": 0.8}]))
    2
    """
    x_name, panels = _panels(history)
    limits = _x_limits([x for panel in panels for one in panel.series for x, _ in one.points])
    return [
        svg.document(panel.width, CELL_HEIGHT, f"{panel.title} by {x_name}", _draw(panel, x_name, limits)[1:])
        for panel in panels
    ]


def overlaid_panels(histories: Mapping[str, Sequence[Row]], styles: Sequence[tuple[str, str]]) -> list[str]:
    """The curves of several trainings over one another: a document for the loss, and for each metric of all of them.

    A curve is of the validation part if all have one, else of the training part.

    styles    the colour and the dash attribute of each training
    """
    found = {name: _panels(history) for name, history in histories.items()}
    x_name = "epoch" if all(x == "epoch" for x, _ in found.values()) else "step"
    columns = [{panel.title: panel for panel in panels} for _, panels in found.values()]
    limits = _x_limits([x for column in columns for panel in column.values() for x, _ in panel.series[0].points])
    drawn = []
    for title in dict.fromkeys(title for column in columns for title in column):
        panels = [column.get(title) for column in columns]
        if title == "learning rate" or None in panels:
            continue
        held_out = all(panel is not None and panel.series[-1].name == "validation" for panel in panels)
        series, best = [], _best(title)
        for name, panel, (colour, dash) in zip(found, panels, styles, strict=False):
            assert panel is not None
            series.append(Series(name, colour, panel.series[-1 if held_out else 0].points, dash=dash))
        ends = [(best(y for _, y in _finite(one.points)), one.name) for one in series if best and _finite(one.points)]
        about = "" if best is None or not ends else "best {} by {}".format(*_least_or_most(best, ends))
        part = "validation" if held_out else "training"
        panel = Panel(f"{title}, {part}", series, best, about=about)
        drawn.append(
            svg.document(panel.width, CELL_HEIGHT, f"{panel.title} by {x_name}", _draw(panel, x_name, limits)[1:])
        )
    return drawn


def _least_or_most(best: Callable[..., Any], ends: Sequence[tuple[float, str]]) -> tuple[str, str]:
    """The best value and its name."""
    value, name = best(ends, key=lambda pair: pair[0])
    return svg.short(value), svg.cut(name, 24)


# From the history to panels


def _panels(history: Sequence[Row]) -> tuple[str, list[Panel]]:
    """The name of the x axis, and the panels in the order of the columns."""
    x_name, xs = _positions(history)

    def points(key: str) -> list[Point]:
        ys = [_number(row.get(key)) for row in history]
        return [(x, y) for x, y in zip(xs, ys, strict=True) if x is not None and abs(x) < 1e15 and y is not None]

    panels = []
    for name in dict.fromkeys(["loss", *(key.removeprefix("validation/") for row in history for key in row)]):
        if name not in ("step", "epoch", "learning_rate", "seconds"):
            best, held_out = _best(name), points(f"validation/{name}")
            marked = best(y for _, y in _finite(held_out)) if best and len(_finite(held_out)) > 1 else None
            mark = next((point for point in held_out if point[1] == marked), None)
            both = (Series("training", TRAINING, points(name)), Series("validation", VALIDATION, held_out, mark))
            panels.append(Panel(name, [one for one in both if one.points], best))
    rate = points("learning_rate")
    if len({y for _, y in _finite(rate)}) > 1:
        panels.append(Panel("learning rate", [Series("final", RATE, rate)], width=SMALL_WIDTH))
    return x_name, [panel for panel in panels if panel.series]


def _best(name: str) -> Callable[[Iterable[float]], float] | None:
    """Whether the minimum or the maximum of a metric is best, guessed from its name."""
    if LESS_IS_BETTER.search(name.lower()):
        return min
    return max if MORE_IS_BETTER.search(name.lower()) else None


def _number(value: Any) -> float | None:
    """A value as a number: None if it is not one, NaN if it is not finite or too large to compute with."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    if abs(number) < 1e-300:
        return 0.0
    return number if abs(number) < 1e300 else math.nan


def _positions(history: Sequence[Row]) -> tuple[str, list[float | None]]:
    """The name of the x axis, and the x of each row: its epoch, which may be a fraction, or its step."""
    epochs = [_number(row.get("epoch")) for row in history]
    if any(epoch is not None and abs(epoch) < 1e15 for epoch in epochs):
        return "epoch", epochs
    return "step", [_number(row.get("step")) for row in history]


def _finite(points: Iterable[Point]) -> list[Point]:
    return [point for point in points if math.isfinite(point[1])]


def _thin(points: Sequence[Point]) -> Sequence[Point]:
    """At most MOST_POINTS points: the minimum, the maximum and the first gap of every block."""
    if len(points) <= MOST_POINTS:
        return points
    kept = {0, len(points) - 1}
    a_block = 2 if len(_finite(points)) == len(points) else 3
    size = math.ceil(len(points) / ((MOST_POINTS - 2) // a_block))
    for start in range(0, len(points), size):
        block = range(start, min(start + size, len(points)))
        order = sorted((i for i in block if math.isfinite(points[i][1])), key=lambda i: points[i][1])
        kept |= {*order[:1], *order[-1:], *[i for i in block if not math.isfinite(points[i][1])][:1]}
    return [points[i] for i in sorted(kept)]


# Scales


def _x_limits(xs: Sequence[float]) -> Point:
    """The ends of the x axis: from 0 if that is near, and with room on both sides of a single x."""
    low, high = min(xs, default=0.0), max(xs, default=1.0)
    if low == high:
        half = min(0.5, low) if low > 0.0 else 0.5
        return low - half, high + half
    return (0.0 if 0.0 < low <= 0.5 * high else low), high


def _y_axis(panel: Panel) -> Axis:
    """An axis for all values, with a margin; log if less is better and positive values span 1.5 decades."""
    columns = [[y for _, y in _finite(one.points)] or [0.0, 1.0] for one in panel.series]
    low, high = min(map(min, columns)), max(map(max, columns))
    log = panel.best is min and low > 0.0 and math.log10(high) - math.log10(low) > 1.5
    if log:
        low, high = math.log10(low), math.log10(high)
    elif panel.best is not None:
        fences = [_fence(sorted(values)) for values in columns]
        near = min(fence[0] for fence in fences), max(fence[1] for fence in fences)
        low, high = near if near[1] - near[0] < (high - low) / 5 else (low, high)
    size = max(abs(low), abs(high))
    pad = 0.05 * (high - low) if high - low > 1e-4 * size else 0.1 * size or 1.0  # labels have room for 5 digits
    top = 1.0 + 0.2 * pad if panel.best is max and low >= 0.0 and high <= 1.0 < high + pad else high + pad
    return Axis(low - pad, top, BOTTOM, TOP, log)  # an accuracy is at most 1


def _fence(values: Sequence[float]) -> Point:
    """Limits without far outliers, such as an R² of -500 at the start, which would flatten all the rest."""
    first, third = values[len(values) // 4], values[-1 - len(values) // 4]
    reach = 3.0 * (third - first) or math.inf
    return max(values[0], first - reach), min(values[-1], third + reach)


# Drawing


def _draw(panel: Panel, x_name: str, limits: Point) -> list[str]:
    """One panel at the origin: the title, the numbers of each curve, the plot, and notes on what it leaves out."""
    right, y_axis = panel.width - RIGHT, _y_axis(panel)
    x_axis = Axis(*limits, LEFT, right)
    parts = [f"<title>{svg.xml(panel.title)}</title>"]
    parts.append(svg.text(16, 24, svg.cut(panel.title, 30) + " (log scale)" * y_axis.log, size=13, weight="bold"))
    if panel.about is not None:
        parts.append(svg.text(16, 43, panel.about, fill=QUIET))
    for i, one in enumerate(panel.series if panel.about is None else ()):
        y = 43 + 16 * i
        parts += [svg.line(16, y - 4, 34, y - 4, one.colour, 2.5), svg.text(40, y, _numbers(one, x_name))]
    whole = limits[1] - limits[0] >= 2.0 or all(x.is_integer() for one in panel.series for x, _ in one.points)
    for value, label in svg.ticks(x_axis, 6 if panel.width == CELL_WIDTH else 4, whole):
        at = x_axis(value)
        parts += [svg.line(at, TOP, at, BOTTOM), svg.text(at, BOTTOM + 14, label, 10, "middle", QUIET)]
    for value, label in svg.ticks(y_axis, 7):
        at, size = y_axis(value), round(min(10.0, 90 / len(label)), 1)  # the longest labels just fit
        parts += [svg.line(LEFT, at, right, at), svg.text(LEFT - 6, at + 3.5, label, size, "end", QUIET)]
    x, width, height = LEFT - 6, right - LEFT + 12, BOTTOM - TOP
    parts.append(
        svg.rect(LEFT, TOP, right - LEFT, height, f'class="frame" fill="none" stroke="{QUIET}" stroke-width="0.7"')
    )
    parts.append(svg.text((LEFT + right) / 2, BOTTOM + 30, x_name, anchor="middle", fill=QUIET))
    # An inner svg clips its contents at its edges.
    parts.append(f'<svg x="{x}" y="{TOP}" width="{width}" height="{height}" viewBox="{x} {TOP} {width} {height}">')
    parts += [shape for one in panel.series for shape in _curve(one, x_axis, y_axis)]
    return [*parts, "</svg>", *_notes(panel, y_axis)]


def _curve(series: Series, x_axis: Axis, y_axis: Axis) -> list[str]:
    """A polyline for every run of finite values, a dot for a run of one, and a ring at the best."""
    runs: list[list[Point]] = [[]]
    for x, y in _thin(series.points):
        if math.isfinite(y):
            runs[-1].append((x_axis(x), y_axis(y)))
        else:
            runs.append([])
    style = f'fill="none" stroke="{series.colour}" stroke-width="{1 if len(series.points) > 100 else 1.6}"{series.dash}'
    shapes = []
    for run in runs:
        if len(run) > 1:
            places = " ".join(f"{x:.1f},{y:.1f}" for x, y in run)
            shapes.append(f'<polyline points="{places}" {style} stroke-linejoin="round"/>')
        shapes += [svg.circle("point", x, y, 2.5, f'fill="{series.colour}"') for x, y in run if len(run) == 1]
    if series.best is not None:
        ring = f'fill="#ffffff" stroke="{series.colour}" stroke-width="1.6"'
        shapes.append(svg.circle("best", x_axis(series.best[0]), y_axis(series.best[1]), 4, ring))
    return shapes


def _numbers(series: Series, x_name: str) -> str:
    """The last value of a curve, and the best one if it is known."""
    text = f"{series.name} {svg.short(series.points[-1][1])}"
    best = series.best
    return text if best is None else f"{text}, best {svg.short(best[1])} at {x_name} {svg.short(best[0], 7)}"


def _notes(panel: Panel, y_axis: Axis) -> list[str]:
    """Notes on values that the plot does not show, beyond its edges or not finite."""
    values = [y for one in panel.series for _, y in one.points]
    finite = [y for y in values if math.isfinite(y)]
    low, high = min(finite, default=0.0), max(finite, default=0.0)
    notes = []
    if not y_axis.log and finite and (low < y_axis.low or high > y_axis.high):
        end = f"down to {svg.short(low)}" if low < y_axis.low else f"up to {svg.short(high)}"
        notes.append(svg.text(16, BOTTOM + 30, f"cut off: {end}", 10, fill=QUIET))
    if len(finite) < len(values):
        text = f"{len(values) - len(finite)} not finite"
        notes.append(svg.text(panel.width - RIGHT, BOTTOM + 30, text, 10, "end", QUIET))
    return notes
