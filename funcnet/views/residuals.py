"""How residuals, observed less predicted, are distributed."""

from __future__ import annotations

import numpy as np

from funcnet.key import Array
from funcnet.views import svg
from funcnet.views.svg import INK, QUIET, Axis

COLOUR = "#0072b2"
LEFT, SIDE, RIGHT, TOP, FOOT = 70, 320, 20, 40, 44
TALL = 200
BINS = 30


def residuals_svg(residuals: Array, title: str, weight: Array | None = None, unit: str = "rows") -> str:
    """Draw the histogram of residuals, with a line at 0 and a dashed one at their mean.

    weight    by which they count; those that are not finite are left out
    unit      what the bars count without weights
    Returns   an SVG document in ASCII, valid in a file or a page of any encoding
    """
    found = np.asarray(residuals, np.float64)
    finite = np.isfinite(found)
    found, weight = found[finite], None if weight is None else np.asarray(weight, np.float64)[finite]
    reach = float(np.abs(found).max()) * 1.001 if len(found) else 1.0
    counts, _ = np.histogram(found, BINS, (-(reach or 1.0), reach or 1.0), weights=weight)
    x = Axis(-(reach or 1.0), reach or 1.0, LEFT, LEFT + SIDE)
    y = Axis(0.0, 1.08 * (float(counts.max()) or 1.0), TOP + TALL, TOP)
    parts = [svg.text(LEFT, 24, svg.fitted(title, SIDE, 13), 13, weight="bold"), *svg.grid(x, y, TOP + TALL)]
    wide = SIDE / BINS
    for i in np.flatnonzero(counts).tolist():
        top = y(float(counts[i]))
        place = round(LEFT + i * wide + 0.5, 1), round(top, 1), round(wide - 1.0, 1), round(TOP + TALL - top, 1)
        parts.append(svg.rect(*place, f'class="bar" fill="{COLOUR}" fill-opacity="0.6"'))
    parts.append(svg.line(x(0.0), TOP, x(0.0), TOP + TALL, INK, 1.2))
    if len(found):
        mean = x(float(np.average(found, weights=weight)))
        parts.append(f'<path d="M{mean:.1f} {TOP}v{TALL}" stroke="#d55e00" stroke-width="1.4" stroke-dasharray="5 3"/>')
    frame = f'class="frame" fill="none" stroke="{QUIET}" stroke-width="0.7"'
    parts.append(svg.rect(LEFT, TOP, SIDE, TALL, frame))
    parts.append(svg.text(LEFT + SIDE / 2, TOP + TALL + 32, "observed - predicted", anchor="middle", fill=QUIET))
    parts.append(svg.turned(16, TOP + TALL / 2, unit if weight is None else "weight", anchor="middle", fill=QUIET))
    return svg.document(LEFT + SIDE + RIGHT, TOP + TALL + FOOT, title, parts)
