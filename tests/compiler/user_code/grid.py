"""The grid: a layer that keeps its input in some form, is not recorded for some reason, somewhere in a network."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

import funcnet as fn
from tests.compiler.user_code.trained import Setup, own


def keep_in_object(x):
    return type("Kept", (), {"x": x})()


@dataclasses.dataclass
class Kept:
    x: Any


RESIDUALS: dict[str, tuple[Callable[..., Any], Callable[[Any], Any]]] = {
    "x": (lambda x, y: x, lambda r: r),
    "transposed": (lambda x, y: x.T, lambda r: r.T),
    "reversed": (lambda x, y: x[::-1], lambda r: r[::-1]),
    "tuple": (lambda x, y: (x, None, (y,)), lambda r: r[0]),
    "dict": (lambda x, y: {"x": x, "more": {"y": y}}, lambda r: r["x"]),
    "y": (lambda x, y: y, lambda r: r),
    "object": (lambda x, y: keep_in_object(x), lambda r: r.x),
    "closure": (lambda x, y: lambda: x, lambda r: r()),
    "dataclass": (lambda x, y: Kept(x), lambda r: r.x),
    "nothing": (lambda x, y: None, lambda r: None),
}
"""What is kept of the input, and how it is had back"""


def branching(x):
    return x if x.sum() > 0 else 0.5 * x


def in_place(x):
    y = x * 1
    y[y < 0] = 0
    return y


def by_float(x):
    return x / (1.0 + float(np.abs(x).max()))


def doubled(x):
    return x * 2.0


FAULTS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "apply branches": (branching, doubled),
    "apply in place": (in_place, doubled),
    "apply by float": (by_float, doubled),
    "vjp branches": (doubled, branching),
    "vjp in place": (doubled, in_place),
    "both branch": (branching, branching),
    "both in place and by float": (in_place, by_float),
}
"""What apply does to the input, and vjp to the cotangent"""


def faulty(fault: str, residual: str) -> fn.Layer:
    """A layer that cannot be recorded whole."""
    forward, backward = FAULTS[fault]
    keep, back = RESIDUALS[residual]

    def apply(params, state, x, ctx):
        y = forward(x)
        return y, state, keep(x, y)

    def vjp(params, kept, dy):
        x = back(kept)
        return {}, backward(dy) if x is None else backward(dy) * (x > -0.2)

    return own(apply, vjp)


PLACES: dict[str, Callable[[Callable[[], fn.Layer]], Setup]] = {
    "first and last": lambda made: Setup(fn.serial(made(), fn.Dense(1), made())),
    "two deep": lambda made: Setup(fn.serial(fn.Dense(6), made(), fn.Dense(5), made(), fn.Dense(1))),
    "three in a row": lambda made: Setup(fn.serial(fn.Dense(6), made(), made(), made(), fn.Dense(1))),
    "in Residual": lambda made: Setup(fn.serial(fn.Dense(6), fn.Residual(made()), fn.Relu(), fn.Dense(1))),
    "in Repeat": lambda made: Setup(fn.serial(fn.Dense(6), fn.Repeat(fn.serial(fn.Dense(6), made()), 2), fn.Dense(1))),
    "in Branch": lambda made: Setup(fn.serial(fn.Dense(6), fn.branch(made(), fn.Tanh()), fn.Concat(), fn.Dense(1))),
    "in shards": lambda made: Setup(fn.serial(fn.Dense(6), made(), fn.Dense(1)), shards=2),
}
"""Where the layer stands"""
