"""What wrappers of one layer share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from funcnet.layers.base import Combinator, Layer, out_shape_child
from funcnet.shapes import Shape
from funcnet.spec.fields import frozen


@frozen
class Wrapper(Combinator):
    """Base of combinators of one layer, which keeps its path: its params stand where the wrapper stands."""

    layer: Layer

    @property
    def children(self) -> Mapping[str, Layer]:
        return {"": self.layer}

    def wire(self, in_shape: Shape) -> tuple[dict[str, Shape], Shape]:
        return {"": in_shape}, out_shape_child("", self.layer, in_shape)

    def in_kinds(self, in_shape: Shape) -> Any:
        return self.layer.in_kinds(in_shape)
