"""Calibration: the temperature of a network's probabilities, fitted on rows that it was not trained on."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from funcnet import ops
from funcnet.key import Array
from funcnet.layers.base import Layer, Params, State, numbers_made
from funcnet.losses.base import Loss, column_of, on_values, real_terms, spread
from funcnet.losses.tempered import is_logit, logits
from funcnet.shapes import shape_of
from funcnet.training.evaluate import blocks, cut
from funcnet.training.step import predict

STEPS = 200
"""The most steps of Newton's method; about ten are needed"""

LEAST = -1e30
"""Stands in for a logit of minus infinity"""

log = logging.getLogger("funcnet")


def fit_temperature(net: Layer, loss: Loss, params: Params, state: State, data: tuple[Any, ...]) -> float:
    """The temperature T for which the probabilities ``softmax(z / T)``, or ``σ(z / T)``, have the least log loss.

    The log loss is convex in 1 / T; its minimum is found by Newton's method. It is 1, with a warning, where no
    temperature is best: if all rows are right, lower ones always score better, and if the outputs tell less than
    nothing, higher ones.
    Source   Guo et al. (2017)
    """
    found = slopes(*outputs(net, loss, params, state, data))
    with ops.quiet():
        cold, warm = found(math.inf)[0], found(0.0)[0]
        if not warm < 0.0 < cold:
            known = math.isfinite(warm) and math.isfinite(cold)
            why = "every row of it is right" if warm < 0.0 else "the outputs do not tell its classes apart"
            log.warning(
                "the validation part fits no temperature, because %s; probabilities are left as they are",
                why if known else "outputs are not finite",
            )
            return 1.0
        return 1.0 / minimum(found)


def outputs(
    net: Layer, loss: Loss, params: Params, state: State, data: tuple[Any, ...]
) -> tuple[Array, Array, Array, bool]:
    """The logits of all rows that count, their targets, their weights, and whether each logit is alone.

    A logit alone, ``(terms,)``, has a probability as its target, and a row of logits, ``(terms, classes)``, a row
    of probabilities.
    """
    x, y, weight = data
    kept: list[tuple[Array, Array, Array]] = []
    alone = False
    for rows, size in blocks(x, numbers_made(net, shape_of(x))):
        prediction = on_values(partial(logits, loss), predict(net, params, state, cut(x, rows), size))
        z, target, some, _ = real_terms(prediction, cut(y, rows), cut(weight, rows))
        some, z, alone = loss.counted(target, some), z.astype(np.float64), is_logit(loss, z)
        if alone:
            target = column_of(z, target, loss)
        elif target.shape != z.shape:
            target = (target[..., None] == np.arange(z.shape[-1])).astype(np.float64)
        terms = z.shape if alone else z.shape[:-1]
        w = np.ones(terms) if some is None else np.broadcast_to(spread(some, terms, np.float64, loss), terms)
        counts = w > 0.0
        kept.append((z[counts], target[counts], w[counts]))
    z, target, w = (np.concatenate(parts) for parts in zip(*kept, strict=True))
    return z, target, w, alone


def slopes(z: Array, target: Array, weight: Array, alone: bool) -> Callable[[float], tuple[float, float]]:
    """The first and second derivative of the log loss by ``b = 1 / T``, as a function of b, which may be infinite."""
    z = np.maximum(z, LEAST)
    right = z * target if alone else np.sum(z * target, axis=-1)

    def found(b: float) -> tuple[float, float]:
        if math.isinf(b):
            mean, variance = np.maximum(z, 0.0) if alone else np.max(z, axis=-1), np.zeros_like(right)
        elif alone:
            p = ops.sigmoid(b * z)
            mean, variance = p * z, p * (1.0 - p) * z * z
        else:
            p = ops.softmax(b * z)
            mean = np.sum(p * z, axis=-1)
            variance = np.sum(p * (z - mean[:, None]) ** 2, axis=-1)
        return float(weight @ (mean - right)), float(weight @ variance)

    return found


def minimum(found: Callable[[float], tuple[float, float]]) -> float:
    """The b above 0 at which the first derivative, which rises, is 0: Newton's method between two bounds."""
    low, high, b = 0.0, math.inf, 1.0
    for _ in range(STEPS):
        first, second = found(b)
        low, high = (b, high) if first < 0.0 else (low, b)
        step = b - first / second if second > 0.0 else math.inf
        inside = low < step < high and step < 2.0 * b
        new = step if inside else 2.0 * b if math.isinf(high) else 0.5 * (low + high)
        if first == 0.0 or abs(new - b) <= 1e-12 * b:
            return b
        b = new
    return b
