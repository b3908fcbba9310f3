"""Linear models: the loss of all rows at once, minimised to convergence."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

import numpy as np

from funcnet.key import Array
from funcnet.layers.base import EVAL, Layer
from funcnet.losses.base import Loss, expected

STEPS, PAIRS, TRIES = 200, 10, 30
"""The most steps, the pairs that L-BFGS keeps, and the most lengths of a step that are tried"""
ENOUGH = 1e-12
"""The share of the loss that a step must promise"""


def fit_linear(
    x: Array, y: Array, weight: Array | None, loss: Loss, units: int, head: Layer | None = None
) -> tuple[Array, Array]:
    """The weight ``(features, units)`` and bias ``(units,)`` that minimise ``loss + ½ c ‖v‖²``, in float64.

    v are the weights of the standardised inputs. c is 1 / d, d the divisor of the loss, at least 1, or 2 / d for two
    classes with a unit each: a cross-entropy gives the logistic regression of scikit-learn with ``C=1``. For a loss
    that compares values as they are, c is its value for the mean target, divided by the weight of all rows and by the
    variance of the targets, the sum of those of several: a squared error gives ridge regression with the penalty ½,
    and other losses one in their units.
    The outputs are those of ``head`` behind the linear map. The method is L-BFGS in the metric of the inputs'
    covariance; it draws no random numbers.
    Source   Nocedal and Wright (2006), algorithm 7.4; the steps as in Lewis and Overton (2013), algorithm 2.6
    """
    mean, deviation = x.mean(axis=0, dtype=np.float64), x.std(axis=0, dtype=np.float64)
    deviation = np.where(deviation > 1e-12 * np.abs(mean), deviation, 1.0)
    rows, features = len(x), x.shape[1]
    inputs = np.concatenate([(x - mean) / deviation, np.ones((rows, 1))], axis=1)
    if y.dtype.kind == "f":
        y = y.astype(np.float64)
    weight = None if weight is None else weight.astype(np.float64)
    divisor = loss.divisor(y, weight)
    start = np.zeros((features + 1, units))
    two = units == 2 and expected(loss) in ("class logits", "class log-probabilities")
    share = (2.0 if two else 1.0) / max(divisor, 1.0)
    if type(loss).link is Loss.link and head is None:
        targets, total = y.reshape(rows, -1), rows * (1.0 if weight is None else float(weight.mean()))
        start[-1] = np.average(targets, axis=0, weights=weight)
        variance = float(np.sum(np.average((targets - start[-1]) ** 2, axis=0, weights=weight)))
        constant = float(loss.apply(np.broadcast_to(start[-1], (rows, units)), y, weight, divisor)[0])
        share = constant / (total * variance) if variance > 0.0 and constant > 0.0 else share
    penalty = np.append(np.full(features, share), 0.0)[:, None]

    def objective(v: Array) -> tuple[float, Array]:
        output, residuals = inputs @ v, None
        if head is not None:
            output, _, residuals = head.apply({}, {}, output, EVAL)
        value, saved = loss.apply(output, y, weight, divisor)
        slope = loss.vjp(saved)
        if head is not None:
            _, slope = head.vjp({}, residuals, slope)
        return float(value) + 0.5 * float(np.sum(penalty * v * v)), inputs.T @ slope + penalty * v

    metric = np.linalg.inv(inputs.T @ inputs / rows + np.eye(features + 1) / rows)
    v = minimised(objective, start, metric)
    found = v[:-1] / deviation[:, None]
    return found, v[-1] - mean @ found


def minimised(objective: Callable[[Array], tuple[float, Array]], start: Array, metric: Array) -> Array:
    """The point where a convex function is least, by L-BFGS; ``metric`` is the inverse Hessian but for a factor.

    A step is halved while it falls too little, and lengthened while the slope along it stays as steep.
    """
    point, (value, slope) = start, objective(start)
    pairs: deque[tuple[Array, Array]] = deque(maxlen=PAIRS)
    for _ in range(STEPS):
        step = -_turned(slope, pairs, metric)
        fall = float(np.sum(step * slope))
        if not -fall > ENOUGH * abs(value) + 1e-300:
            break
        low, high, length, best = 0.0, math.inf, 1.0, None
        for _ in range(TRIES):
            new_value, new_slope = objective(point + length * step)
            if not new_value <= value + 1e-4 * length * fall:
                high = length
            else:
                best = length * step, new_value, new_slope
                if not float(np.sum(step * new_slope)) < 0.9 * fall:
                    break
                low = length
            length = 2.0 * low if math.isinf(high) else 0.5 * (low + high)
        if best is None:
            break
        step, value, new_slope = best
        if float(np.sum(step * (new_slope - slope))) > 0.0:
            pairs.append((step, new_slope - slope))
        point, slope = point + step, new_slope
    return point


def _turned(slope: Array, pairs: deque[tuple[Array, Array]], metric: Array) -> Array:
    """The slope times the inverse Hessian that the pairs of steps and changes of slope tell."""
    turned, shares = slope, []
    for step, change in reversed(pairs):
        share = np.sum(step * turned) / np.sum(step * change)
        shares.append(share)
        turned = turned - share * change
    turned = metric @ turned
    if pairs:
        step, change = pairs[-1]
        turned = turned * (np.sum(step * change) / np.sum(change * (metric @ change)))
    for (step, change), share in zip(pairs, reversed(shares), strict=True):
        turned = turned + step * (share - np.sum(change * turned) / np.sum(step * change))
    return turned
