"""How far the predictions of numbers are from the truth: each beside its target, and the distribution of the errors."""

from __future__ import annotations

import numpy as np

from funcnet.key import Array
from funcnet.views import svg
from funcnet.views.svg import INK, QUIET, Axis

COLOUR = "#0072b2"
MOST_POINTS = 1500
"""The most points of a picture, evenly spaced among the rows"""
LEFT, SIDE, RIGHT, TOP, FOOT = 70, 320, 20, 40, 44
TALL = 200
"""The height of the plot of errors"""
BINS = 30


def predicted_svg(target: Array, predicted: Array, title: str) -> str:
    """Draw predictions (n,) over their targets (n,), with the line on which both are equal.

    Returns   an SVG document in ASCII, valid in a file or a page of any encoding
    """
    both = np.isfinite(target) & np.isfinite(predicted)
    t, p = np.asarray(target, np.float64)[both], np.asarray(predicted, np.float64)[both]
    low, high = (float(min(t.min(), p.min())), float(max(t.max(), p.max()))) if len(t) else (0.0, 1.0)
    pad = 0.04 * (high - low) or 0.1 * abs(high) or 1.0
    x = Axis(low - pad, high + pad, LEFT, LEFT + SIDE)
    y = Axis(low - pad, high + pad, TOP + SIDE, TOP)
    parts = [svg.text(LEFT, 24, svg.fitted(title, SIDE, 13), 13, weight="bold"), *svg.grid(x, y, TOP + SIDE)]
    parts.append(svg.line(x(x.low), y(x.low), x(x.high), y(x.high), QUIET, 1.2))
    chosen: Array = (
        np.unique(np.linspace(0, len(t) - 1, min(len(t), MOST_POINTS)).astype(int)) if len(t) else np.zeros(0, int)
    )
    dots = "".join(f"M{x(float(t[i])):.1f} {y(float(p[i])):.1f}h0" for i in chosen.tolist())
    size = 5 if len(chosen) < 200 else 3.5
    style = f'fill="none" stroke="{COLOUR}" stroke-opacity="0.55" stroke-width="{size}" stroke-linecap="round"'
    parts.append(f'<path class="points" d="{dots}" {style}/>')
    frame = f'class="frame" fill="none" stroke="{QUIET}" stroke-width="0.7"'
    parts.append(svg.rect(LEFT, TOP, SIDE, SIDE, frame))
    parts.append(svg.text(LEFT + SIDE / 2, TOP + SIDE + 32, "true", anchor="middle", fill=QUIET))
    parts.append(svg.turned(16, TOP + SIDE / 2, "predicted", anchor="middle", fill=QUIET))
    return svg.document(LEFT + SIDE + RIGHT, TOP + SIDE + FOOT, title, parts)


def errors_svg(errors: Array, title: str) -> str:
    """Draw the histogram of errors, predicted - true, with a line at 0 and one at their mean.

    Returns   an SVG document in ASCII, valid in a file or a page of any encoding
    """
    found = np.asarray(errors, np.float64)
    found = found[np.isfinite(found)]
    reach = float(np.abs(found).max()) * 1.001 if len(found) else 1.0
    counts, _ = np.histogram(found, BINS, (-(reach or 1.0), reach or 1.0))
    x = Axis(-(reach or 1.0), reach or 1.0, LEFT, LEFT + SIDE)
    y = Axis(0.0, 1.08 * max(1, int(counts.max())), TOP + TALL, TOP)
    parts = [svg.text(LEFT, 24, svg.fitted(title, SIDE, 13), 13, weight="bold"), *svg.grid(x, y, TOP + TALL)]
    wide = SIDE / BINS
    for i in np.flatnonzero(counts).tolist():
        top = y(int(counts[i]))
        place = round(LEFT + i * wide + 0.5, 1), round(top, 1), round(wide - 1.0, 1), round(TOP + TALL - top, 1)
        parts.append(svg.rect(*place, f'class="bar" fill="{COLOUR}" fill-opacity="0.6"'))
    parts.append(svg.line(x(0.0), TOP, x(0.0), TOP + TALL, INK, 1.2))
    if len(found):
        mean = x(float(found.mean()))
        parts.append(f'<path d="M{mean:.1f} {TOP}v{TALL}" stroke="#d55e00" stroke-width="1.4" stroke-dasharray="5 3"/>')
    frame = f'class="frame" fill="none" stroke="{QUIET}" stroke-width="0.7"'
    parts.append(svg.rect(LEFT, TOP, SIDE, TALL, frame))
    parts.append(svg.text(LEFT + SIDE / 2, TOP + TALL + 32, "predicted - true", anchor="middle", fill=QUIET))
    parts.append(svg.turned(16, TOP + TALL / 2, "rows", anchor="middle", fill=QUIET))
    return svg.document(LEFT + SIDE + RIGHT, TOP + TALL + FOOT, title, parts)
