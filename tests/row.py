"""A row of the table of layers, and values to try it on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import funcnet as fn
from funcnet import tree
from funcnet.laws.values import random_input


class Row(NamedTuple):
    """A layer, the shape of its input, and whether rows depend on one another in training."""

    layer: fn.Layer
    in_shape: Any
    coupled: bool = False
    x: Callable[[fn.Key, int], Any] | None = None
    """A batch in float64 where not any will do: ``x(key, rows)``"""

    def input(self, key: fn.Key, batch: int = 4, dtype: Any = np.float64) -> Any:
        """A batch of inputs, its floats in a dtype."""
        if self.x is None:
            return random_input(self.layer, self.in_shape, key, batch, dtype)
        return tree.map(lambda leaf: leaf.astype(dtype) if leaf.dtype.kind == "f" else leaf, self.x(key, batch))


def random_like(value: Any, key: fn.Key) -> Any:
    """Normal draws in the structure, shapes and dtypes of a value; None where it holds no floats."""
    counter = iter(range(10**6))

    def one(leaf: Any) -> Any:
        draw = key.fold(next(counter))
        return draw.normal(np.shape(leaf), leaf.dtype) if np.asarray(leaf).dtype.kind == "f" else None

    return tree.map(one, value)
