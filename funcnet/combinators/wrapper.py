"""The base of combinators with one inner layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from funcnet.layers.base import Combinator, Layer, out_shape_child, range_of
from funcnet.ranges import Ranges
from funcnet.shapes import Shape
from funcnet.spec.fields import frozen


@frozen
class Wrapper(Combinator):
    """Base of combinators with one inner layer, which has the wrapper's path: no path segment is added."""

    layer: Layer

    @property
    def children(self) -> Mapping[str, Layer]:
        return {"": self.layer}

    def wire(self, in_shape: Shape) -> tuple[dict[str, Shape], Shape]:
        return {"": in_shape}, out_shape_child("", self.layer, in_shape)

    def in_kinds(self, in_shape: Shape) -> Any:
        return self.layer.in_kinds(in_shape)

    def out_range(self, given: Ranges) -> Ranges:
        return range_of(self.layer, given)
