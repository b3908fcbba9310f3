"""How a distribution changes while a network learns, as a fan: bands between its quantiles over the steps."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from attrs import frozen

from funcnet.key import Array
from funcnet.views import svg
from funcnet.views.svg import QUIET, Axis

WIDTH, HEIGHT = 208, 104
LEFT, RIGHT, TOP, BOTTOM = 44, 6, 6, 86  # edges of the plot
DECADES = 8.0
"""The most decades of a logarithmic axis, below the largest value"""
LARGEST = 1e300
"""The end of the largest axis, whose length is finite too"""


@frozen
class Fan:
    """The quantiles of one array at some steps, (steps, levels), lowest first; NaN where one is not finite."""

    title: str
    steps: Sequence[float]
    quantiles: Array


def common_axis(fans: Sequence[Fan], log: bool = False) -> Axis:
    """An axis for all of some fans, so that they can be compared; in powers of ten if ``log``.

    Of a linear axis, the ends are those of the middle of the fans, with room: an outlier would flatten all others.
    """
    inner = [fan.quantiles[:, 1:-1] if fan.quantiles.shape[1] > 4 else fan.quantiles for fan in fans]
    values = np.concatenate([part.ravel() for part in inner]) if inner else np.zeros(0)
    values = np.clip(values[np.isfinite(values)], -LARGEST, LARGEST)
    if log:
        values = values[values > 0.0]
        high = math.log10(values.max()) if values.size else 0.0
        low = max(math.log10(values.min()), high - DECADES) if values.size else -1.0
        return Axis(math.floor(low - 0.05), max(math.ceil(high + 0.3), math.floor(low) + 1), BOTTOM, TOP, log=True)
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
    pad = 0.25 * (high - low) or 0.5 * abs(high) or 1.0
    return Axis(low - pad, high + pad, BOTTOM, TOP)


def fan_svg(fan: Fan, axis: Axis, colour: str, last: float) -> str:
    """Draw a fan on a common axis, from step 0 to the ``last``.

    Returns   an SVG document in ASCII, valid in a file or a page of any encoding
    """
    x = Axis(0.0, max(last, 1.0), LEFT, WIDTH - RIGHT)
    parts = []
    marks = svg.ticks(axis, 4 if axis.log else 5)  # at least two
    for value, label in marks:
        at = axis(value)
        parts += [svg.line(LEFT, at, WIDTH - RIGHT, at), svg.text(LEFT - 4, at + 3.5, label, 9.5, "end", QUIET)]
    parts.append(svg.text(LEFT, BOTTOM + 13, "0", 9.5, "start", QUIET))
    parts.append(svg.text(WIDTH - RIGHT, BOTTOM + 13, f"step {last:,.0f}", 9.5, "end", QUIET))
    levels = np.array([[_pixel(axis, value) for value in row] for row in fan.quantiles.tolist()])
    pixels = [x(step) for step in fan.steps]
    box = f'x="{LEFT}" y="{TOP}" width="{WIDTH - RIGHT - LEFT}" height="{BOTTOM - TOP}"'
    parts.append(f'<svg {box} viewBox="{LEFT} {TOP} {WIDTH - RIGHT - LEFT} {BOTTOM - TOP}">')
    count = levels.shape[1]
    for i in range(count // 2):
        parts += _band(pixels, levels[:, i], levels[:, count - 1 - i], f'fill="{colour}" fill-opacity="0.2"')
    parts += _line(pixels, levels[:, count // 2], f'fill="none" stroke="{colour}" stroke-width="1.6"')
    frame = f'class="frame" fill="none" stroke="{QUIET}" stroke-width="0.7"'
    parts += ["</svg>", svg.rect(LEFT, TOP, WIDTH - RIGHT - LEFT, BOTTOM - TOP, frame)]
    return svg.document(WIDTH, HEIGHT, fan.title, parts)


def _pixel(axis: Axis, value: float) -> float:
    """Where a value is; one below a logarithmic axis is far below the plot, and NaN is nowhere."""
    if axis.log and value <= 0.0:
        return 3.0 * HEIGHT
    return min(max(axis(value), -2.0 * HEIGHT), 3.0 * HEIGHT) if math.isfinite(value) else math.nan


def _runs(*columns: Sequence[float]) -> list[list[int]]:
    """The places at which all columns are numbers, in runs."""
    runs: list[list[int]] = [[]]
    for i, values in enumerate(zip(*columns, strict=True)):
        if all(map(math.isfinite, values)):
            runs[-1].append(i)
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def _band(x: Sequence[float], low: Array, high: Array, style: str) -> list[str]:
    shapes = []
    for run in _runs(low.tolist(), high.tolist()):
        there = [f"{x[i]:.1f},{high[i]:.1f}" for i in run]
        back = [f"{x[i]:.1f},{low[i]:.1f}" for i in reversed(run)]
        shapes.append(f'<polygon points="{" ".join([*there, *back])}" {style}/>')
    return shapes


def _line(x: Sequence[float], y: Array, style: str) -> list[str]:
    return [
        f'<polyline points="{" ".join(f"{x[i]:.1f},{y[i]:.1f}" for i in run)}" {style}/>' for run in _runs(y.tolist())
    ]
