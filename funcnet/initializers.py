"""Initial values of parameters: pure functions of a key, a shape and a dtype.

The fans of a weight of shape ``(…, in, out)`` include its window: ``fan_in = … · in`` and
``fan_out = … · out``. Both fans of a vector are its length.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from attrs import field

from funcnet.errors import NotDefined, Problem
from funcnet.key import Array, Key, Normals
from funcnet.spec.base import Spec, register
from funcnet.spec.fields import frozen, positive

Shape = tuple[int, ...]


@frozen
class Initializer(Spec):
    """Base of every initializer: ``initializer(key, shape, dtype) -> array``."""

    kind: ClassVar[str] = "initializer"

    def __call__(self, key: Key, shape: Shape, dtype: npt.DTypeLike = np.float32) -> Array:
        """The initial value of one parameter."""
        raise NotDefined(f"{type(self).__name__} does not define __call__(key, shape, dtype)")


def fans(shape: Shape) -> tuple[int, int]:
    """``(fan_in, fan_out)`` of a weight ``(…, in, out)``."""
    if len(shape) < 2:
        length = math.prod(shape)
        return length, length
    window = math.prod(shape[:-2])
    return window * shape[-2], window * shape[-1]


@register("zeros")
@frozen
class Zeros(Initializer):
    """Every entry 0."""

    def __call__(self, key: Key, shape: Shape, dtype: npt.DTypeLike = np.float32) -> Array:
        return np.zeros(shape, dtype)


@register("ones")
@frozen
class Ones(Initializer):
    """Every entry 1."""

    def __call__(self, key: Key, shape: Shape, dtype: npt.DTypeLike = np.float32) -> Array:
        return np.ones(shape, dtype)


@register("constant")
@frozen
class Constant(Initializer):
    """Every entry ``value``."""

    value: float

    def __call__(self, key: Key, shape: Shape, dtype: npt.DTypeLike = np.float32) -> Array:
        return np.full(shape, self.value, dtype)


@register("normal")
@frozen
class Normal(Initializer):
    """Gaussian: ``mean + std · N(0, 1)``."""

    std: float = field(default=1.0, validator=positive)
    mean: float = 0.0

    def __call__(self, key: Key, shape: Shape, dtype: npt.DTypeLike = np.float32) -> Array:
        draws = key.normal(shape, dtype)
        draws *= self.std
        draws += self.mean
        return draws


@register("uniform")
@frozen
class Uniform(Initializer):
    """Uniform in [low, high)."""

    low: float = -1.0
    high: float = 1.0

    def validate(self) -> Iterator[Problem]:
        if self.low >= self.high:
            yield Problem(".high", f"must be more than low, {self.low}, got {self.high}")
        if math.isinf(self.high - self.low):
            yield Problem(".high", f"is too far from low, {self.low}, got {self.high}")

    def __call__(self, key: Key, shape: Shape, dtype: npt.DTypeLike = np.float32) -> Array:
        return key.uniform(shape, dtype, self.low, self.high)


@register("truncated_normal")
@frozen
class TruncatedNormal(Initializer):
    """Gaussian redrawn until within two standard deviations; ``std`` is that of the untruncated Gaussian.

    Rejected entries are drawn again from a new stream, so each entry has the exact distribution.
    """

    std: float = field(default=1.0, validator=positive)

    def __call__(self, key: Key, shape: Shape, dtype: npt.DTypeLike = np.float32) -> Array:
        floats = np.empty(shape, dtype)
        streams = [Normals(key, floats.size)]
        for start, *parts in streams[0].blocks(floats.reshape(-1)):
            draws, attempt = np.stack(streams[0].block(start)), 0
            while (outside := np.abs(draws) > 2.0).any():
                attempt += 1
                if attempt == len(streams):
                    streams.append(Normals(key.fold(attempt), floats.size))
                np.copyto(draws, np.stack(streams[attempt].block(start)), where=outside)
            draws *= self.std
            for part, drawn in zip(parts, draws, strict=True):
                part[...] = drawn[: part.size]
        return floats


@frozen
class _VarianceScaling(Initializer):
    """Zero mean and a variance of ``gain / fan``, the fan chosen by ``mode``."""

    mode: ClassVar[str] = "fan_in"
    gain: ClassVar[float] = 1.0

    def variance(self, shape: Shape) -> float:
        fan_in, fan_out = fans(shape)
        return self.gain / max(1.0, fan_in if self.mode == "fan_in" else (fan_in + fan_out) / 2)


@frozen
class _ScaledNormal(_VarianceScaling):
    def __call__(self, key: Key, shape: Shape, dtype: npt.DTypeLike = np.float32) -> Array:
        draws = key.normal(shape, dtype)
        draws *= math.sqrt(self.variance(shape))
        return draws


@frozen
class _ScaledUniform(_VarianceScaling):
    def __call__(self, key: Key, shape: Shape, dtype: npt.DTypeLike = np.float32) -> Array:
        limit = math.sqrt(3.0 * self.variance(shape))
        return key.uniform(shape, dtype, -limit, limit)


@register("glorot_uniform")
@frozen
class GlorotUniform(_ScaledUniform):
    """Xavier uniform: variance 2 / (fan_in + fan_out). Glorot and Bengio (2010)."""

    mode: ClassVar[str] = "fan_avg"


@register("glorot_normal")
@frozen
class GlorotNormal(_ScaledNormal):
    """Xavier normal: variance 2 / (fan_in + fan_out), not truncated. Glorot and Bengio (2010)."""

    mode: ClassVar[str] = "fan_avg"


@register("he_uniform")
@frozen
class HeUniform(_ScaledUniform):
    """Kaiming uniform: variance 2 / fan_in, which keeps the scale through ReLU. He et al. (2015)."""

    gain: ClassVar[float] = 2.0


@register("he_normal")
@frozen
class HeNormal(_ScaledNormal):
    """Kaiming normal: variance 2 / fan_in, not truncated. He et al. (2015)."""

    gain: ClassVar[float] = 2.0


@register("lecun_uniform")
@frozen
class LecunUniform(_ScaledUniform):
    """Variance 1 / fan_in, uniform. LeCun et al. (1998), Efficient BackProp."""


@register("lecun_normal")
@frozen
class LecunNormal(_ScaledNormal):
    """Variance 1 / fan_in, normal, not truncated. LeCun et al. (1998), Efficient BackProp."""


@register("orthogonal")
@frozen
class Orthogonal(Initializer):
    """Orthonormal rows or columns times ``gain``: the Q of a Gaussian matrix, with unique signs.

    A weight with more axes is treated as the matrix ``(all axes but the last, last axis)``.
    Source   Saxe et al. (2014); the sign convention of Mezzadri (2007) makes the distribution uniform
    """

    gain: float = field(default=1.0, validator=positive)

    def __call__(self, key: Key, shape: Shape, dtype: npt.DTypeLike = np.float32) -> Array:
        rows, columns = (math.prod(shape[:-1]), shape[-1]) if len(shape) > 1 else (math.prod(shape), 1)
        tall = key.normal((max(rows, columns), min(rows, columns)))
        q, r = np.linalg.qr(tall)
        q = q * np.where(np.diagonal(r) < 0, -1.0, 1.0)
        return (self.gain * (q if rows >= columns else q.T)).reshape(shape).astype(dtype)
