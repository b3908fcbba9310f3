"""The answers of a network that predicts numbers: predicted against observed, and the residuals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from attrs import frozen

from funcnet.key import Array
from funcnet.views import svg
from funcnet.views.svg import QUIET, Axis

POINT = 'fill="#0072b2" fill-opacity="0.45"'
MOST_POINTS, MOST_TARGETS = 1500, 4
LEFT, SIDE, BETWEEN, PAD, HEAD, FOOT = 72, 300, 76, 16, 66, 48


@frozen(eq=False)
class Target:
    """The predictions and the observations of one target, (rows,) each, in its units, and the weights of the rows."""

    name: str
    predicted: Array
    observed: Array
    weight: Array | None = None
    unit: str = "rows"

    def said(self, most: int) -> str:
        """The scores of the rows by their weights, as those of the metrics, and how many of them are drawn."""
        rows = len(self.observed)
        with np.errstate(over="ignore"):
            mean = np.average(self.observed, weights=self.weight)
            error = float(np.average((self.observed - self.predicted) ** 2, weights=self.weight))
            spread = float(np.average((self.observed - mean) ** 2, weights=self.weight))
        share = f"R2 {svg.short(1.0 - error / spread)}, " if 0.0 < spread < np.inf else ""
        drawn = f"; {most:,} of them drawn" if rows > most else ""
        unit = self.unit.removesuffix("s") if rows == 1 else self.unit
        return f"{self.name}: {share}RMSE {svg.short(error**0.5)} of {rows:,} {unit}{drawn}"


def predicted_svg(targets: Sequence[Target], title: str = "", most: int = MOST_POINTS) -> str | None:
    """Draw for each target the predictions by the observations, and the residuals, observed less predicted.

    Of more than four targets the first are drawn, and of many rows at most ``most``, evenly spaced. Rows with a number
    that is not finite are left out; without any other the result is None.
    Returns   an SVG document in ASCII, valid in a file or a page of any encoding
    """
    known = [_finite(one) for one in targets]
    shown = [one for one in known if len(one.observed)][:MOST_TARGETS]
    if not shown:
        return None
    width, height = LEFT + 2 * SIDE + BETWEEN + PAD + 12, 40 + len(shown) * (HEAD + SIDE + FOOT) - 26
    title = title or "predictions"
    more = f", the first {len(shown)} of {len(targets)} targets" if len(shown) < len(targets) else ""
    parts = [svg.text(PAD, 26, svg.fitted(title + more, width - 2 * PAD, 15), 15, weight="bold")]
    for i, one in enumerate(shown):
        top = 40 + i * (HEAD + SIDE + FOOT)
        parts.append(svg.text(PAD, top + 5, svg.fitted(one.said(most), width - 2 * PAD, 11)))
        parts += _panels(one, top + HEAD - 40, most)
    return svg.document(width, height, title, parts)


def _panels(one: Target, top: float, most: int) -> list[str]:
    count = len(one.observed)
    rows = np.arange(min(count, most)) * count // min(count, most)
    predicted, observed = one.predicted[rows], one.observed[rows]
    residual = observed - predicted
    both = _limits(np.concatenate([observed, predicted]))
    left = LEFT + SIDE + BETWEEN
    first = Axis(*both, LEFT, LEFT + SIDE), Axis(*both, top + SIDE, top)
    second = Axis(*_limits(predicted), left, left + SIDE), Axis(*_limits(np.append(residual, 0.0)), top + SIDE, top)
    parts = _panel(first, observed, predicted, "observed", "predicted", "predicted")
    parts.append(svg.line(first[0](both[0]), first[1](both[0]), first[0](both[1]), first[1](both[1]), QUIET))
    parts += _panel(second, predicted, residual, "predicted", "observed - predicted", "residual")
    zero = second[1](0.0)
    return [*parts, svg.line(left, zero, left + SIDE, zero, QUIET)]


def _panel(axes: tuple[Axis, Axis], across: Array, up: Array, x_name: str, y_name: str, kind: str) -> list[str]:
    """A frame with its grid, names and points."""
    x, y = axes
    parts = svg.grid(x, y, y.start)
    parts += [svg.circle(kind, x(a), y(b), 2.4, POINT) for a, b in zip(across.tolist(), up.tolist(), strict=True)]
    edges = f'class="frame" fill="none" stroke="{QUIET}" stroke-width="0.7"'
    parts.append(svg.rect(x.start, y.end, x.end - x.start, y.start - y.end, edges))
    parts.append(svg.text((x.start + x.end) / 2, y.start + 32, x_name, anchor="middle", fill=QUIET))
    parts.append(svg.turned(x.start - 54, (y.start + y.end) / 2, y_name, anchor="middle", fill=QUIET))
    return parts


def _limits(values: Array) -> tuple[float, float]:
    """An interval around some values, with a margin."""
    low, high = float(values.min()), float(values.max())
    margin = 0.04 * (high - low) or max(abs(high), 1.0) * 0.1
    return low - margin, high + margin


def _finite(one: Target) -> Target:
    """The rows whose prediction and observation are finite."""
    kept = np.isfinite(one.predicted) & np.isfinite(one.observed)
    weight = None if one.weight is None or not one.weight[kept].any() else one.weight[kept].astype(np.float64)
    return Target(
        one.name, one.predicted[kept].astype(np.float64), one.observed[kept].astype(np.float64), weight, one.unit
    )
