"""Scales of inputs and targets: ``(x - shift) / factor``, with a shift and a factor for each feature."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcnet.data.lazy_array import pieces_of
from funcnet.data.shelf import Turned
from funcnet.errors import DataError
from funcnet.key import Array
from funcnet.shapes import for_outputs

SCALES = {
    "standard": ("mean", "deviation"),
    "minmax": ("low", "width"),
    "robust": ("median", "iqr"),
    "mean": ("origin", "mean"),
}
"""The names of shift and factor of each scale"""
NOISE = 8.0
"""The largest spread of a constant column, in units of its last place: that of a few roundings"""
TINY = 2.0**-500
"""The range of a column whose squares may be 0 in float64"""


def shift_and_factor(scaler: dict[str, Any]) -> tuple[Array, Array]:
    """The shift and the factor of a scale, in (x - shift) / factor."""
    shift, factor = (np.array(scaler[name], np.float64) for name in SCALES[scaler["scale"]])
    return shift, factor


def scaler(scale: str, shift: Array, factor: Array) -> dict[str, Any]:
    """A fitted scale as it is recorded."""
    names = SCALES[scale]
    return {"scale": scale, names[0]: shift.tolist(), names[1]: factor.tolist()}


def scale_targets(preprocess: dict[str, Any], y: Array) -> Array:
    """Targets, scaled as the network learns them."""
    return _linear(preprocess, y, forward=True)


def restore_targets(preprocess: dict[str, Any], y: Any) -> Any:
    """Predictions in the units of the data."""
    return _linear(preprocess, y, forward=False)


def _linear(preprocess: dict[str, Any], y: Any, *, forward: bool) -> Any:
    targets = preprocess.get("targets")
    if targets is None:
        return y
    shift, factor = (for_outputs(part, y.shape[1:]) for part in shift_and_factor(targets))
    return (y - shift) / factor if forward else (y * factor + shift).astype(y.dtype, copy=False)


# ----- fitting -------------------------------------------------------------------------------------------------------


def statistics(
    x: Any, rows: Array | None, scale: str | None, name: str, change: Any = None
) -> tuple[Array, Array, Array, Array]:
    """Minimum, maximum, shift and factor of each feature; the factor of a constant is 1.

    A feature is constant if its range, or what its scale divides by, is no more than ``NOISE`` roundings of its size:
    dividing by it would turn the last bits of its numbers into a feature. If these bits are large themselves, as those
    of 1e9 in float32, the factor is the size.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        found = _moments(x, rows, scale, change)
        low, high, shift, factor = found
        tiny = (high > low) & (high - low < TINY)
        if scale == "standard" and tiny.any():
            times = np.where(tiny, 1.0 / TINY, 1.0)
            _, _, larger, wider = _moments(x, rows, scale, lambda raw: times * (raw if change is None else change(raw)))
            found = low, high, np.where(tiny, larger / times, shift), np.where(wider == 1.0, factor, wider / times)
    for statistic in found[2:] if scale is not None else ():
        if not np.isfinite(statistic).all():
            raise DataError(f"the numbers are too large for scale {scale!r}; divide them first", layer=name)
    return found


def _moments(x: Any, rows: Array | None, scale: str | None, change: Any) -> tuple[Array, Array, Array, Array]:
    """What ``statistics`` gives, of numbers whose squares are in the range of float64."""
    count, low, high, eps = 0, None, None, 0.0
    mean: Any = 0.0
    squares: Any = 0.0
    everything = None
    for piece in pieces_of(x, rows):
        eps = float(np.finfo(np.float32 if piece.dtype == np.float32 else np.float64).eps)
        values = (piece if change is None else change(piece)).astype(np.float64)
        own_low, own_high = values.min(axis=0), values.max(axis=0)
        low = own_low if low is None else np.minimum(low, own_low)
        high = own_high if high is None else np.maximum(high, own_high)
        if scale == "standard":  # combine two sets: Chan, Golub and LeVeque (1979)
            own, n = values.mean(axis=0), len(values)
            between = own - mean
            squares = squares + values.var(axis=0) * n + between**2 * (count * n / (count + n))
            mean = own if count == 0 else mean + between * (n / (count + n))
            count += n
        elif scale == "mean":
            mean, count = mean + (np.abs(values) - mean).sum(axis=0) / (count + len(values)), count + len(values)
        elif scale == "robust":
            if everything is None:
                everything = Turned((len(x) if rows is None else len(rows)) * values[:1].nbytes)
            everything.add(values)
    assert low is not None
    assert high is not None
    size = np.maximum(np.abs(low), np.abs(high))
    shift, factor, near = low, high - low, size
    if scale == "standard":
        shift, factor = np.clip(mean, low, high), np.sqrt(squares / count)
    elif scale == "mean":
        return low, high, np.zeros_like(low), np.where(mean > 0.0, mean, 1.0)
    elif scale == "robust":
        assert everything is not None
        found = [np.quantile(some, [0.25, 0.5, 0.75], axis=1) for some in everything.columns()]
        quarters = np.concatenate(found, axis=1).reshape(3, *everything.shape)
        shift, factor = quarters[1], quarters[2] - quarters[0]
        near = np.maximum(np.abs(quarters[0]), np.abs(quarters[2]))
    varies = (high - low > NOISE * eps * size) & ~(factor <= NOISE * eps * near)
    large = (high > low) & (NOISE * eps * near > 1.0)
    return low, high, shift, np.where(varies, factor, np.where(large, near, 1.0))
