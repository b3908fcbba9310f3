"""A small network as columns of units: the inputs, then a dense layer and the activations after it, and so on."""

from __future__ import annotations

from typing import Any

from attrs import frozen

from funcnet.combinators.serial import Serial
from funcnet.errors import Problem, SpecError
from funcnet.layers.base import Layer
from funcnet.layers.dense import Dense
from funcnet.shapes import Shape

MOST_UNITS = 64
MOST_STAGES = 9
MOST_INPUTS = 16
OTHERWISE = "; play draws a serial of Dense layers and of layers that keep the number of units, such as Tanh"


@frozen
class Stage:
    """A column of units. ``layers`` maps paths to layers in order; the inputs have a Dense layer in none."""

    units: int
    layers: dict[str, Layer]

    @property
    def dense(self) -> str | None:
        """The path of the column's Dense layer."""
        return next((path for path, layer in self.layers.items() if isinstance(layer, Dense)), None)

    def about(self) -> dict[str, Any]:
        """The column as JSON."""
        layers = [{"path": path, "type": type(layer).__name__} for path, layer in self.layers.items()]
        return {"units": self.units, "dense": self.dense, "layers": layers}


def stages(model: Layer, in_shape: Shape) -> tuple[Stage, ...]:
    """The columns of a network.

    Raises   SpecError for a network of another kind, and for one too large to look at
    """
    if not isinstance(model, Serial):
        raise _refused(".model", f"expected a serial, got {type(model).__name__}")
    if len(in_shape) != 1 or not 1 <= in_shape[0] <= MOST_INPUTS:
        wanted = f"expected 1 to {MOST_INPUTS} inputs for each row, so that each has a place in the page"
        raise _refused(".data", f"{wanted}, got the shape {in_shape}", "; see a larger network with funcnet report")
    found, shape = [Stage(in_shape[0], {})], in_shape
    for i, (name, layer) in enumerate(model.children.items()):
        where, before = f".model.layers[{i}]", shape
        if layer.children:
            raise _refused(where, f"{type(layer).__name__} has layers inside")
        shape = layer.out_shape(shape)
        if isinstance(layer, Dense):
            found.append(Stage(shape[-1], {}))
        elif shape != before:
            raise _refused(where, f"{type(layer).__name__} makes the shape {shape} of {before}")
        if shape[-1] > MOST_UNITS:
            raise _refused(where, f"has {shape[-1]} units, and a column at most {MOST_UNITS}", "; make it smaller")
        found[-1].layers[name] = layer
    if not 2 <= len(found) <= MOST_STAGES:
        raise _refused(".model", f"expected 1 to {MOST_STAGES - 1} Dense layers, got {len(found) - 1}", "")
    return tuple(found)


def _refused(path: str, message: str, otherwise: str = OTHERWISE) -> SpecError:
    return SpecError([Problem(path, message + otherwise)])
