"""Answers that are numbers: in the units of the data, beside the observations, and how far off they are."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from attrs import frozen

from funcnet.data.scaling import restore_targets
from funcnet.errors import one_line
from funcnet.experiments.report.answers import Answers
from funcnet.experiments.report.counted import is_uneven, plural
from funcnet.experiments.result import Run
from funcnet.key import Array
from funcnet.views import page
from funcnet.views.predicted import Target, predicted_svg
from funcnet.views.residuals import residuals_svg
from funcnet.views.svg import short, xml

MOST_TARGETS = 4
MOST_POINTS = 600
"""The most points of all targets"""


@frozen(eq=False)
class Values:
    """Targets and predictions in the units of the data, (rows, targets)."""

    true: Array
    predicted: Array
    names: list[str]
    """The names of the targets"""
    quantiles: Array | None = None
    """The predictions of all quantiles, (rows, targets, quantiles), if a target has several: ``predicted`` has the
    middle one"""
    levels: tuple[str, ...] = ()
    """The quantiles, in words"""


def values_of(run: Run, found: Answers) -> Values:
    """The targets and the predictions of some rows; their shapes differ if no prediction belongs to a target."""
    count = len(found.y)
    true = np.asarray(restore_targets(run.preprocess, found.y), np.float64).reshape(count, -1)
    predicted = np.asarray(restore_targets(run.preprocess, found.answer), np.float64).reshape(count, -1)
    names = list(run.preprocess.get("outputs") or ())
    if len(names) != true.shape[1]:
        names = ["target"] if true.shape[1] == 1 else [f"number {i}" for i in range(true.shape[1])]
    levels = tuple(one.lstrip("_") for one in run.loss.outputs([""]))
    if len(levels) > 1 and predicted.shape[1] == true.shape[1] * len(levels):
        each = predicted.reshape(count, true.shape[1], len(levels))
        return Values(true, each[:, :, len(levels) // 2], names, each, levels)
    return Values(true, predicted, names)


def pictures(run: Run, found: Answers) -> Iterator[str]:
    """For each target the predictions by the observations, and the histogram of the residuals."""
    values = values_of(run, found)
    if values.true.shape != values.predicted.shape:
        return
    weight, unit = _weights(run, found, values.true.shape), "rows"
    rows, count = values.true.shape
    if count > MOST_TARGETS:
        values, unit = _flat(values), f"numbers of {plural(rows, 'row')}"
        weight = None if weight is None else weight.reshape(-1, 1)
    for i in range(len(values.names)):
        yield from _of_target(values, i, None if weight is None else weight[:, i], unit)


def _flat(values: Values) -> Values:
    """All numbers of all targets as those of one."""
    quantiles = None if values.quantiles is None else values.quantiles.reshape(-1, 1, len(values.levels))
    names = [f"all {values.true.shape[1]:,} numbers"]
    return Values(values.true.reshape(-1, 1), values.predicted.reshape(-1, 1), names, quantiles, values.levels)


def _weights(run: Run, found: Answers, shape: tuple[int, ...]) -> Array | None:
    """The weights of the numbers, in the shape of the targets; None if all count the same."""
    weight = found.counted(run.loss)
    if weight is None:
        return None
    each = weight.reshape(len(weight), -1).astype(np.float64)
    return np.broadcast_to(each, shape) if each.shape[1] in (1, shape[1]) else None


def _of_target(values: Values, i: int, weight: Array | None, unit: str) -> Iterator[str]:
    """The pictures of one target, in which numbers of weight 0 do not count."""
    name, true, predicted = values.names[i], values.true[:, i], values.predicted[:, i]
    counts = np.ones(len(true), bool) if weight is None else weight != 0
    true, predicted = true[counts], predicted[counts]
    weight = None if weight is None or not is_uneven(weight) else weight[counts]
    target, most = Target(one_line(name), predicted, true, weight, unit), MOST_POINTS // len(values.names)
    drawn = predicted_svg([target], "How far off it is", most)
    if drawn is None:
        return
    said = ["predicted against observed, and the residuals, observed less predicted"]
    if values.quantiles is not None:
        said += [f"The answer is the quantile {values.levels[len(values.levels) // 2]}", _coverage(values, i, counts)]
    finite = np.isfinite(true) & np.isfinite(predicted)
    if not finite.all():
        answers = plural(int((~finite).sum()), "answer")
        said.append(f"{answers} of {len(true):,} are left out, which are not finite")
    words = f": {'. '.join(said)}."
    yield page.picture(drawn, f"{name}{words}", page.name(name) + xml(words), wide=True)
    residuals = (true - predicted)[finite]
    mean = float(np.average(residuals, weights=None if weight is None else weight[finite]))
    side = "low" if mean > 0.0 else "high"
    by_weight = ", by the weights of the rows" if weight is not None else ""
    caption = f"On average the answer is too {side} by {short(abs(mean), 3)}{by_weight}, the dashed line."
    histogram = residuals_svg(
        residuals, f"Residuals of {one_line(name)}", None if weight is None else weight[finite], unit.partition(" ")[0]
    )
    yield page.picture(histogram, f"Histogram of the residuals. {caption}", page.name(caption), wide=True)


def _coverage(values: Values, i: int, counts: Array) -> str:
    """How many observations lie between the outer quantiles."""
    assert values.quantiles is not None
    low, high = values.quantiles[counts, i, 0], values.quantiles[counts, i, -1]
    true = values.true[counts, i]
    inside = int(((true >= low) & (true <= high)).sum())
    share = short(100.0 * inside / max(1, len(true)), 3)
    return f"{share} % of the observations lie between those of {values.levels[0]} and {values.levels[-1]}"
