"""Values as horizontal bars: in the text of a table, and as a picture with their deviations."""

from __future__ import annotations

import math
from collections.abc import Sequence

from funcnet.views import svg
from funcnet.views.svg import INK, QUIET, Axis

LONGEST = 20
"""The characters of the longest bar in a table"""
MOST_BARS = 40
"""The most bars of a picture"""
ROW, SIDE, NAME, NUMBER, PAD = 22, 320, 190, 140, 16  # pixels of a row, of the plot, and of what is beside it
TOP, BOTTOM = 56, 30
COLOUR, BELOW = "#0072b2", "#d55e00"


def bar(value: float, most: float) -> str:
    """A bar of ``#`` for a value above 0, beside a bar of full length for ``most``."""
    return "#" * max(0, round(LONGEST * value / most)) if most > 0.0 and math.isfinite(value) else ""


def bars_svg(rows: Sequence[tuple[str, float, float]], title: str, unit: str) -> str:
    """Draw values with their deviations, in the order given; of very many the first.

    rows      ``(name, value, deviation)``
    Returns   an SVG document in ASCII, valid in a file or a page of any encoding
    """
    shown = [row for row in rows if math.isfinite(row[1]) and math.isfinite(row[2])][:MOST_BARS]
    left, right = PAD + NAME, PAD + NAME + SIDE
    bottom = TOP + ROW * max(1, len(shown))
    ends = [value + side * deviation for _, value, deviation in shown for side in (-1.0, 1.0)]
    low, high = min([0.0, *ends]), max([0.0, *ends])
    axis = Axis(low, high if high > low else low + 1.0, left, right)
    parts = [svg.text(PAD, 26, svg.fitted(title, right + NUMBER - 2 * PAD, 15), 15, weight="bold")]
    parts.append(svg.text(PAD, 44, svg.fitted(unit, right + NUMBER - 2 * PAD, 11), fill=QUIET))
    for value, label in svg.ticks(axis, 5):
        at = axis(value)
        parts += [svg.line(at, TOP, at, bottom), svg.text(at, bottom + 14, label, 10, "middle", QUIET)]
    for i, (name, value, deviation) in enumerate(shown):
        middle = TOP + ROW * (i + 0.5)
        begin, end = sorted((axis(0.0), axis(value)))
        place = round(begin, 1), middle - 7, round(end - begin, 1), 14
        parts.append(svg.rect(*place, f'class="bar" fill="{BELOW if value < 0.0 else COLOUR}"'))
        parts.append(svg.line(axis(value - deviation), middle, axis(value + deviation), middle, INK, 1.2))
        parts.append(svg.text(left - 8, middle + 4, svg.fitted(name, NAME - 8, 11), anchor="end"))
        figures = f"{svg.short(value, 3)} ± {svg.short(deviation, 2)}"
        parts.append(svg.text(right + 8, middle + 4, figures, 10, fill=QUIET))
    parts.append(svg.line(axis(0.0), TOP, axis(0.0), bottom, QUIET, 1))
    if len(shown) < len(rows):
        parts.append(svg.text(PAD, bottom + 14, f"and {len(rows) - len(shown)} more", 10, fill=QUIET))
    return svg.document(right + NUMBER, bottom + BOTTOM, title, parts)
