"""A network as a table, from shapes alone: layers, output shapes, parameters, multiply-adds."""

from __future__ import annotations

import math
from functools import singledispatch
from typing import NamedTuple

from funcnet.layer import Call, Layer, Shape, count_parameters, listen, reach
from funcnet.layers.activations import Elementwise, LogSoftmax, Softmax
from funcnet.layers.dense import Dense
from funcnet.layers.normalization import BatchNorm


class Line(NamedTuple):
    """One layer of the table; a combinator's figures are those of everything inside it."""

    path: str
    layer: str
    depth: int
    out_shape: Shape
    parameters: int
    multiply_adds: int | None


@singledispatch
def multiply_adds(layer: Layer, in_shape: Shape) -> int | None:
    """Multiplications followed by an addition, for one sample, forward; None where nobody has said.

    Layers without parameters count as 0: they cost no products.
    """
    return None if layer.leaves(in_shape) else 0


@multiply_adds.register
def _(layer: Dense, in_shape: Shape) -> int | None:
    return math.prod(in_shape) * layer.units


@multiply_adds.register
def _(layer: BatchNorm, in_shape: Shape) -> int | None:
    return math.prod(in_shape)


@multiply_adds.register(Elementwise)
@multiply_adds.register(Softmax)
@multiply_adds.register(LogSoftmax)
def _(layer: Layer, in_shape: Shape) -> int | None:
    return 0


def summary(net: Layer, in_shape: Shape) -> list[Line]:
    """The layers in forward order, each combinator before what is inside it.

    Raises   ShapeError with the path of the first layer that does not fit
    """
    events: list[Call] = []
    with listen(events.append):
        reach("", net, "out_shape", in_shape)
    done: list[list[Line]] = []  # finished subtrees, each with its root first
    for event in events:  # a combinator's comes right after those of its children, which are deeper
        (shape,) = event.args
        layer = event.layer
        inside: list[list[Line]] = []
        while done and done[-1][0].depth > event.depth:
            inside.insert(0, done.pop())
        if layer.children:
            costs = [subtree[0].multiply_adds for subtree in inside]
            total = None if None in costs else sum(filter(None, costs))
        else:
            total = multiply_adds(layer, shape)
        parameters = count_parameters(layer.leaves(shape))
        line = Line(event.path, type(layer).__name__, event.depth, event.result, parameters, total)
        done.append([line, *(line for subtree in inside for line in subtree)])
    return done[0]
