"""The quantile loss: what is predicted lies above the target with a given probability."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
from attrs import field

from funcnet.errors import Problem, ShapeError
from funcnet.key import Array
from funcnet.layers.sequence import mask_of
from funcnet.losses.base import Form, column_of, on_values, one_array, plain
from funcnet.losses.rows import RowLoss
from funcnet.spec.base import Spec, register
from funcnet.spec.fields import frozen


def levels_of(value: Any) -> Any:
    """A level alone as a tuple of one; anything else as it is."""
    alone = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    return (value,) if alone else value


def check_levels(levels: Sequence[float]) -> Iterator[Problem]:
    """The problems of levels that are not between 0 and 1 and ascending."""
    if not levels or any(not 0.0 < level < 1.0 for level in levels):
        yield Problem(".levels", f"expected probabilities above 0 and below 1, at least one, got {list(levels)}")
    elif any(a >= b for a, b in pairwise(levels)):
        yield Problem(".levels", f"expected ascending levels, got {list(levels)}")


def without_column(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape of targets without a last axis of one number."""
    return shape[:-1] if len(shape) > 1 and shape[-1] == 1 else shape


def by_level(prediction: Array, target: Array, levels: int, owner: Spec) -> tuple[Array, Array]:
    """The prediction with an axis for the levels, (…, levels), and the target (…) without a last axis of one number.

    Raises   ShapeError for any other number of predictions
    """
    shape = one_array(prediction, "output", owner).shape
    whole = without_column(target.shape)
    fits = [(*whole, levels)]
    if len(whole) > 1:
        fits.append((*whole[:-1], whole[-1] * levels))
    if levels == 1:
        fits.append(whole)
    if shape not in fits and levels == 1:
        column_of(prediction, target, owner)  # the error of all losses that compare one number with one
    if shape not in fits:
        units = levels * (whole[-1] if len(whole) > 1 else 1)
        raise ShapeError(
            f"expected {levels} predictions for each target, {' or '.join(map(str, fits))} for targets {target.shape}, "
            f"got {shape}; give the last layer {units} units, or change the levels",
            layer=type(owner).__name__,
        )
    return prediction.reshape(*whole, levels), target.reshape(whole).astype(prediction.dtype, copy=False)


@register("quantile")
@frozen
class Quantile(RowLoss):
    """Quantiles of the targets, by the pinball loss: the mean over targets and levels of ``max(a e, (a - 1) e)``.

    Here ``e = t - p``, and a is one of the ``levels``: trained, p lies above the target with the probability a. With
    ``levels=(0.05, 0.5, 0.95)`` a network gives the median and an interval for 90 % of the targets. ``Quantile(0.9)``
    has one level.

    Outputs are the levels of the first target, then those of the second, and so on: k levels of m targets take
    ``m · k`` units, and for one target the outputs are (batch, k). ``link`` gives the quantiles of each target in
    ascending order, so that they do not cross; that never raises the loss.

    Shapes   target (batch, …), prediction (batch, …, levels), or (batch, …, m · levels) for targets (batch, …, m);
             weight (batch,) or the target's without a last axis of one number
    VJP      dp = dy · w / Σ w / levels · (1 - a where p > t, -a where p < t, 0 where they are equal)
    Raises   ShapeError for another number of predictions
    Source   Koenker and Bassett (1978), as mean_pinball_loss in scikit-learn, averaged over the levels; the order:
             Chernozhukov, Fernández-Val and Galichon (2010)

    >>> loss = fn.losses.Quantile((0.1, 0.9))
    >>> value, residuals = loss.apply(np.array([[1.0, 5.0]]), np.array([3.0]))
    >>> round(float(value), 6), loss.vjp(residuals).tolist(), loss.link(np.array([[5.0, 1.0]])).tolist()
    (0.2, [[-0.05, 0.05]], [[1.0, 5.0]])
    """

    expects: ClassVar[Form | None] = "values"

    additive: ClassVar[bool] = True

    levels: tuple[float, ...] = field(default=(0.5,), converter=levels_of)

    def validate(self) -> Iterator[Problem]:
        yield from check_levels(self.levels)

    def rows(self, target: Array) -> tuple[int, ...]:
        return without_column(target.shape)

    def paired(self, prediction: Array, target: Array) -> tuple[Array, Array]:
        return by_level(prediction, target, len(self.levels), self)

    def terms(self, prediction: Array, target: Array) -> tuple[Array, tuple[Any, ...]]:
        levels = np.array(self.levels, prediction.dtype)
        error = target[..., None] - prediction
        return np.mean(np.maximum(levels * error, (levels - 1.0) * error), axis=-1), (error,)

    def slopes(self, error: Array) -> Array:
        levels = np.array(self.levels, error.dtype)
        return ((error < 0.0) - levels * (error != 0.0)) * (1.0 / len(self.levels))

    def apply(
        self, prediction: Any, target: Any, weight: Array | None = None, divisor: float | None = None
    ) -> tuple[Any, Any]:
        value, residuals = super().apply(prediction, target, weight, divisor)
        values = plain(prediction)
        return value, (residuals, (values if mask_of(values) is None else values[0]).shape)

    def vjp(self, residuals: Any, dy: Any = 1.0) -> Any:
        residuals, shape = residuals
        slope = super().vjp(residuals, dy)
        return (slope[0].reshape(shape), None) if isinstance(slope, tuple) else slope.reshape(shape)

    def link(self, prediction: Any) -> Any:
        count = len(self.levels)
        if count == 1:
            return prediction

        def ascending(values: Array) -> Array:
            ordered: Array = np.sort(values.reshape(*values.shape[:-1], -1, count), axis=-1).reshape(values.shape)
            return ordered

        return on_values(ascending, prediction)

    def outputs(self, targets: Sequence[str]) -> list[str]:
        return [f"{name}_{level:g}" for name in targets for level in self.levels]
