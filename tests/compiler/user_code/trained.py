"""Rows of user code in training steps: how one is written, and what is common to them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import funcnet as fn
from funcnet.layers.base import Combinator
from funcnet.losses.base import Loss
from funcnet.optim import Optimizer, Schedule

APPLY, VJP = "apply of FunctionLayer", "vjp of FunctionLayer"


class Trained(NamedTuple):
    """What a training step is expected to do with some user's code."""

    fate: str
    make: Callable[[], Any]
    """Gives a layer, loss, optimizer or schedule; or a ``Setup``"""
    what: str | None
    line: bool


@dataclasses.dataclass
class Setup:
    """Everything that a few steps need; ``change(i)`` comes before step number i."""

    net: Any = None
    loss: Any = dataclasses.field(default_factory=fn.losses.MeanSquaredError)
    optimizer: Any = dataclasses.field(default_factory=lambda: fn.optim.SGD(0.02, momentum=0.5))
    in_shape: Any = (4,)
    shards: int = 1
    dtype: Any = np.float32
    weighted: bool = False
    change: Callable[[int], Any] | None = None

    def __post_init__(self) -> None:
        if self.net is None:
            self.net = fn.serial(fn.Dense(6), fn.Tanh(), fn.Dense(1))
        elif not isinstance(self.net, Combinator):
            self.net = around(self.net)


def around(layer: fn.Layer) -> fn.Layer:
    """A network with a layer in its middle."""
    return fn.serial(fn.Dense(6), layer, fn.Dense(1))


TRAINED: dict[str, Trained] = {}


def trained(fate: str, what: str | None = None, line: bool = True) -> Callable[..., Any]:
    """Decorator of a function that makes a row."""

    def decorate(make: Callable[[], Any]) -> Callable[[], Any]:
        assert make.__name__ not in TRAINED, f"two rows are called {make.__name__}"
        TRAINED[make.__name__] = Trained(fate, make, what, line)
        return make

    return decorate


def setup_of(made: Any) -> Setup:
    """The setup for what a row makes."""
    if isinstance(made, Setup):
        return made
    if isinstance(made, Loss):
        return Setup(loss=made)
    if isinstance(made, Optimizer):
        return Setup(optimizer=made)
    if isinstance(made, Schedule):
        return Setup(optimizer=fn.optim.SGD(made))
    return Setup(made)


def no_params(key: Any, in_shape: Any, dtype: Any = np.float32) -> Any:
    return {}, {}


def same_shape(in_shape: Any) -> Any:
    return in_shape


def own(apply: Any, vjp: Any, init: Any = no_params, out_shape: Any = same_shape) -> fn.Layer:
    """Bare functions as a layer."""
    return fn.layer(init, apply, vjp, out_shape)


def elementwise(f: Callable[[Any], Any], slope: Callable[[Any], Any]) -> fn.Layer:
    """An activation that keeps its input."""
    return own(lambda p, s, x, c: (f(x), s, x), lambda p, x, dy: ({}, dy * slope(x)))
