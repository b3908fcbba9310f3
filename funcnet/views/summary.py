"""A network as a table, from shapes alone: layers, output shapes, parameters, multiply-adds, and what a batch costs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import singledispatch
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from funcnet.layer import Call, Layer, Shape, count_parameters, listen, reach
from funcnet.layers.activations import Elementwise, LogSoftmax, Softmax
from funcnet.layers.dense import Dense
from funcnet.layers.normalization import BatchNorm


class Line(NamedTuple):
    """One layer of the table; a combinator's figures are those of everything inside it.

    The last four are those of a batch: None where none is asked for, operations also where they are unknown.
    """

    path: str
    layer: str
    depth: int
    out_shape: Shape
    parameters: int
    multiply_adds: int | None
    forward_flops: int | None = None
    forward_bytes: int | None = None
    backward_flops: int | None = None
    backward_bytes: int | None = None


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


def summary(net: Layer, in_shape: Shape, batch: int | None = None, dtype: npt.DTypeLike = np.float32) -> list[Line]:
    """The layers in forward order, each combinator before what is inside it.

    With ``batch`` each line tells what so many rows cost, forward and backward, as ``fn.cost`` counts it.
    Raises   ShapeError with the path of the first layer that does not fit
    """
    events: list[Call] = []
    with listen(events.append):
        reach("", net, "out_shape", in_shape)
    work = {} if batch is None else _work(net, in_shape, batch, dtype)
    done: list[list[Line]] = []  # finished subtrees, each with its root first
    for event in events:  # a combinator's comes right after those of its children, which are deeper
        (shape,) = event.args
        layer = event.layer
        inside: list[list[Line]] = []
        while done and done[-1][0].depth > event.depth:
            inside.insert(0, done.pop())
        roots = [subtree[0] for subtree in inside]
        products = _sum([line.multiply_adds for line in roots]) if layer.children else multiply_adds(layer, shape)
        costs: list[int | None] = []
        if batch is not None:
            own = work[event.path, layer]
            costs = [_sum(column) for column in zip(own, *(line[-4:] for line in roots), strict=True)]
        parameters = count_parameters(layer.leaves(shape))
        line = Line(event.path, type(layer).__name__, event.depth, event.result, parameters, products, *costs)
        done.append([line, *(line for subtree in inside for line in subtree)])
    return done[0]


def _sum(figures: Sequence[int | None]) -> int | None:
    """The sum; None where one is unknown."""
    return None if None in figures else sum(filter(None, figures))


def _work(net: Layer, in_shape: Shape, batch: int, dtype: npt.DTypeLike) -> dict[Any, tuple[int | None, ...]]:
    """What each layer costs by itself."""
    from funcnet.compile.cost import cost  # it looks at every plan, which a table of shapes need not load

    layers = cost(net, in_shape, batch, dtype=dtype).layers
    return {(one.path, one.layer): (*one.forward, *one.backward) for one in layers}
