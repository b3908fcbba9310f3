"""Data that is drawn or counted out rather than read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from attrs import field

from funcnet.data.sources import Source, Table
from funcnet.errors import Problem
from funcnet.key import Array, Key
from funcnet.layer import Shape
from funcnet.spec import frozen, non_negative, positive, register


@register("half_plane_grid")
@frozen
class HalfPlaneGrid(Source):
    """All integer points of [low, high)², labelled 1 where the second coordinate is 0 or more, else 0."""

    low: int = -100
    high: int = 100

    def validate(self) -> Iterator[Problem]:
        if self.low >= self.high:
            yield Problem(".high", f"must be more than low, {self.low}, got {self.high}")
        yield from check_size(".high", (self.high - self.low) ** 2, 2)

    def in_shape(self, base: Path) -> Shape | None:
        return (2,)

    def table(self, base: Path, key: Key) -> Table:
        line = np.arange(self.low, self.high)
        points = np.stack(np.meshgrid(line, line, indexing="ij"), axis=-1).reshape(-1, 2)
        return Table(points.astype(np.float64), (points[:, 1] >= 0).astype(np.int64), ("below", "above"))


MAX_NUMBERS = 2**31  # 16 GB: beyond it a size in the spec is far likelier a mistake


def check_size(path: str, rows: int, columns: int) -> Iterator[Problem]:
    """A problem where a table would have more numbers than fit into memory."""
    if rows * columns > MAX_NUMBERS:
        yield Problem(path, f"gives {rows * columns} numbers; the limit is {MAX_NUMBERS}")


def mean_sine(x: Array) -> Array:
    """The mean of the sines of the inputs."""
    return np.sin(x).mean(axis=1)


def sum_of_squares(x: Array) -> Array:
    """The sum of the squares of the inputs."""
    return (x * x).sum(axis=1)


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
        if self.low >= self.high:
            yield Problem(".high", f"must be more than low, {self.low}, got {self.high}")
        yield from check_size(".rows", self.rows, self.inputs)

    def in_shape(self, base: Path) -> Shape | None:
        return (self.inputs,)

    def table(self, base: Path, key: Key) -> Table:
        x = key.uniform((self.rows, self.inputs), np.float64, self.low, self.high)
        return Table(x, TARGETS[self.target](x))


@register("normal_noise")
@frozen
class NormalNoise(Source):
    """Inputs and targets that are standard normal and have nothing to do with each other."""

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
        upper = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        lower = np.stack([1.0 - np.cos(angle), 0.5 - np.sin(angle)], axis=1)
        x = np.where((y == 0)[:, None], upper, lower)
        return Table(x + self.noise * key.fold("noise").normal((self.rows, 2)), y, ("upper", "lower"))
