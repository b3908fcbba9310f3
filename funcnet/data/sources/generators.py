"""Synthetic data, generated rather than read."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from attrs import field

from funcnet.data.sources.base import Source, Table
from funcnet.errors import Problem
from funcnet.key import Array, Key
from funcnet.shapes import Shape
from funcnet.spec.base import register
from funcnet.spec.fields import Range, fraction, frozen, non_negative, positive


@register("half_plane_grid")
@frozen
class HalfPlaneGrid(Source):
    """All integer points of [low, high)², labelled 1 where the second coordinate is 0 or more, else 0."""

    low: int = -100
    high: int = 100

    def validate(self) -> Iterator[Problem]:
        yield from check_limits(self.low, self.high)
        yield from check_size(".high", (self.high - self.low) ** 2, 2)

    def in_shape(self, base: Path) -> Shape | None:
        return (2,)

    def table(self, base: Path, key: Key) -> Table:
        line = np.arange(self.low, self.high)
        points = np.stack(np.meshgrid(line, line, indexing="ij"), axis=-1).reshape(-1, 2)
        return Table(points.astype(np.float64), (points[:, 1] >= 0).astype(np.int64), ("below", "above"))


MAX_NUMBERS = 2**28  # 2 GB, and several times that on the way; a larger size in a spec is most likely a mistake


def check_size(path: str, rows: int, columns: int) -> Iterator[Problem]:
    """A problem if a table would have more numbers than fit into memory."""
    if rows * columns > MAX_NUMBERS:
        yield Problem(path, f"gives {rows * columns} numbers; the limit is {MAX_NUMBERS}")


def mean_sine(x: Array) -> Array:
    """The mean of the sines of the inputs."""
    return np.sin(x).mean(axis=1)


def sum_of_squares(x: Array) -> Array:
    """The sum of the squares of the inputs."""
    return (x * x).sum(axis=1)


several = Range("2 or more", lambda value: value >= 2, minimum=2)


def check_limits(low: float, high: float) -> Iterator[Problem]:
    """A problem if an interval is empty."""
    if low >= high:
        yield Problem(".high", f"must be more than low, {low}, got {high}")


def check_classes(rows: int, classes: int) -> Iterator[Problem]:
    """A problem if some class would have no row."""
    if rows < classes:
        yield Problem(".rows", f"must be at least the number of classes, {classes}, got {rows}")


def numbered(name: str, count: int) -> tuple[str, ...]:
    """``("arm_1", "arm_2", …)``"""
    return tuple(f"{name}_{i}" for i in range(1, count + 1))


def ring(angle: Array) -> Array:
    """Points (rows, 2) of the unit circle."""
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


TARGETS = {"mean_sine": mean_sine, "sum_of_squares": sum_of_squares}


@register("function")
@frozen
class Function(Source):
    """``rows`` samples of a named function, the ``inputs`` drawn uniformly from [low, high).

    ``mean_sine`` is the mean of the inputs' sines, ``sum_of_squares`` the sum of their squares.
    """

    target: Literal["mean_sine", "sum_of_squares"]
    inputs: int = field(default=1, validator=positive)
    rows: int = field(default=1000, validator=positive)
    low: float = -1.0
    high: float = 1.0

    def validate(self) -> Iterator[Problem]:
        yield from check_limits(self.low, self.high)
        yield from check_size(".rows", self.rows, self.inputs)

    def in_shape(self, base: Path) -> Shape | None:
        return (self.inputs,)

    def table(self, base: Path, key: Key) -> Table:
        x = key.uniform((self.rows, self.inputs), np.float64, self.low, self.high)
        return Table(x, TARGETS[self.target](x))


@register("normal_noise")
@frozen
class NormalNoise(Source):
    """Standard normal inputs and targets, independent of each other."""

    rows: int = field(validator=positive)
    inputs: int = field(validator=positive)
    outputs: int = field(validator=positive)

    def validate(self) -> Iterator[Problem]:
        yield from check_size(".rows", self.rows, self.inputs + self.outputs)

    def in_shape(self, base: Path) -> Shape | None:
        return (self.inputs,)

    def table(self, base: Path, key: Key) -> Table:
        x = key.fold("x").normal((self.rows, self.inputs))
        return Table(x, key.fold("y").normal((self.rows, self.outputs)))


@register("moons")
@frozen
class Moons(Source):
    """Two interleaved half circles, one class each, with Gaussian noise of deviation ``noise``."""

    rows: int = field(default=500, validator=positive)
    noise: float = field(default=0.1, validator=non_negative)

    def validate(self) -> Iterator[Problem]:
        yield from check_size(".rows", self.rows, 2)

    def in_shape(self, base: Path) -> Shape | None:
        return (2,)

    def table(self, base: Path, key: Key) -> Table:
        y = np.arange(self.rows) % 2
        angle = np.pi * key.fold("angle").uniform((self.rows,))
        upper = ring(angle)
        lower = np.array([1.0, 0.5]) - upper
        x = np.where((y == 0)[:, None], upper, lower)
        return Table(x + self.noise * key.fold("noise").normal((self.rows, 2)), y, ("upper", "lower"))


@register("circles")
@frozen
class Circles(Source):
    """Two rings around the origin, of radius 1 and ``factor``, with Gaussian noise of deviation ``noise``."""

    rows: int = field(default=500, validator=positive)
    noise: float = field(default=0.1, validator=non_negative)
    factor: float = field(default=0.5, validator=fraction)

    def validate(self) -> Iterator[Problem]:
        yield from check_size(".rows", self.rows, 2)

    def in_shape(self, base: Path) -> Shape | None:
        return (2,)

    def table(self, base: Path, key: Key) -> Table:
        y = np.arange(self.rows) % 2
        radius = np.where(y == 0, 1.0, self.factor)
        x = radius[:, None] * ring(2.0 * np.pi * key.fold("angle").uniform((self.rows,)))
        return Table(x + self.noise * key.fold("noise").normal((self.rows, 2)), y, ("outer", "inner"))


@register("spirals")
@frozen
class Spirals(Source):
    """Interleaved Archimedean spirals, one class each, with Gaussian noise of deviation ``noise``.

    At radius r, arm k has the angle ``2π (turns r + k / classes)``. Radii range from 0.1, where the arms are
    apart, to 1, and are drawn for a uniform density over the disc; negative ``turns`` reverse the direction.
    """

    rows: int = field(default=600, validator=positive)
    classes: int = field(default=3, validator=several)
    turns: float = 1.0
    noise: float = field(default=0.03, validator=non_negative)

    def validate(self) -> Iterator[Problem]:
        yield from check_classes(self.rows, self.classes)
        yield from check_size(".rows", self.rows, 2)

    def in_shape(self, base: Path) -> Shape | None:
        return (2,)

    def table(self, base: Path, key: Key) -> Table:
        y = np.arange(self.rows) % self.classes
        radius = np.sqrt(key.fold("radius").uniform((self.rows,), low=0.01))  # the area within r grows as r²
        x = radius[:, None] * ring(2.0 * np.pi * (self.turns * radius + y / self.classes))
        return Table(x + self.noise * key.fold("noise").normal((self.rows, 2)), y, numbered("arm", self.classes))


@register("blobs")
@frozen
class Blobs(Source):
    """Clouds of points, one class each: normal with ``deviation`` around centres drawn uniformly from [-10, 10)."""

    rows: int = field(default=300, validator=positive)
    classes: int = field(default=3, validator=several)
    features: int = field(default=2, validator=positive)
    deviation: float = field(default=1.0, validator=non_negative)

    def validate(self) -> Iterator[Problem]:
        yield from check_classes(self.rows, self.classes)
        yield from check_size(".rows", self.rows, self.features)

    def in_shape(self, base: Path) -> Shape | None:
        return (self.features,)

    def table(self, base: Path, key: Key) -> Table:
        y = np.arange(self.rows) % self.classes
        centres = key.fold("centres").uniform((self.classes, self.features), low=-10.0, high=10.0)
        x = centres[y] + self.deviation * key.fold("noise").normal((self.rows, self.features))
        return Table(x, y, numbered("blob", self.classes))


@register("sine")
@frozen
class Sine(Source):
    """``sin(x)`` with Gaussian noise of deviation ``noise``, the one input drawn uniformly from [low, high)."""

    rows: int = field(default=500, validator=positive)
    noise: float = field(default=0.1, validator=non_negative)
    low: float = -math.pi
    high: float = math.pi

    def validate(self) -> Iterator[Problem]:
        yield from check_limits(self.low, self.high)
        yield from check_size(".rows", self.rows, 2)

    def in_shape(self, base: Path) -> Shape | None:
        return (1,)

    def table(self, base: Path, key: Key) -> Table:
        x = key.fold("x").uniform((self.rows, 1), low=self.low, high=self.high)
        return Table(x, np.sin(x[:, 0]) + self.noise * key.fold("noise").normal((self.rows,)))
