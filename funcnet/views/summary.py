"""A network as a table, from shapes alone: layers, output shapes, parameters, multiply-adds, and what a batch costs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import singledispatch
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from funcnet.combinators.ensemble import Ensemble
from funcnet.combinators.repeat import Repeat
from funcnet.layers.activations import Elementwise, LogSoftmax, Softmax
from funcnet.layers.base import Call, Layer, count_parameters, listen, reach
from funcnet.layers.dense import Dense
from funcnet.layers.normalization import BatchNorm
from funcnet.shapes import Shape, is_shape


class Line(NamedTuple):
    """One layer of the table; a combinator's figures are those of everything inside it.

    The last five are those of a batch: None where none is asked for, operations also where they are unknown.
    ``activation_bytes`` is the memory of what the layer gives, which the backward pass may need.
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
    activation_bytes: int | None = None


class Summary(list[Line]):
    """The lines of a network's table; as text it is the table, in a notebook too."""

    columns = ("layer", "type", "output", "parameters", "forward FLOPs", "backward FLOPs", "activations")

    def rows(self) -> list[list[str]]:
        """The cells of the table, the last row the whole network's."""
        whole = self[0]
        counted = whole.activation_bytes is not None
        rows = []
        for name, line in [*((_indented(line), line) for line in self[1:] or self), ("total", whole)]:
            row = [name, "" if name == "total" else line.layer, _shape_text(line.out_shape), f"{line.parameters:,}"]
            if counted:
                row += [_count(line.forward_flops), _count(line.backward_flops), _bytes(line.activation_bytes)]
            rows.append(row)
        return rows

    def __str__(self) -> str:
        rows = self.rows()
        head = list(self.columns[: len(rows[0])])
        widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]

        def text(row: list[str]) -> str:
            cells = [
                cell.ljust(w) if i < 3 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
            ]
            return "  ".join(cells).rstrip()

        return "\n".join([text(head), text(["-" * width for width in widths]), *map(text, rows)])

    def _repr_html_(self) -> str:
        from funcnet.views.html import table

        rows = self.rows()
        return table(self.columns[: len(rows[0])], rows, numbers=3)


def _indented(line: Line) -> str:
    return "  " * max(0, line.depth - 1) + (line.path.rpartition("/")[2] or "network")


def _shape_text(shape: Shape) -> str:
    if isinstance(shape, dict):
        return "{" + ", ".join(f"{name}: {_shape_text(inner)}" for name, inner in shape.items()) + "}"
    return str(shape).replace(",)", ")") if is_shape(shape) else "(" + ", ".join(map(_shape_text, shape)) + ")"


def _count(figure: int | None) -> str:
    return "?" if figure is None else f"{figure:,}"


def _bytes(figure: int | None) -> str:
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if figure is not None and figure >= size:
            return f"{figure / size:.3g} {unit}"
    return f"{figure} B"


def _entries(shape: Shape) -> int:
    if isinstance(shape, dict):
        return sum(map(_entries, shape.values()))
    return math.prod(shape) if is_shape(shape) else sum(map(_entries, shape))


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


@singledispatch
def copies(layer: Layer) -> int:
    """How often a combinator runs what is inside it, for one run of its own."""
    return 1


@copies.register
def _(layer: Repeat) -> int:
    return layer.times


@copies.register
def _(layer: Ensemble) -> int:
    return layer.members


@multiply_adds.register(Elementwise)
@multiply_adds.register(Softmax)
@multiply_adds.register(LogSoftmax)
def _(layer: Layer, in_shape: Shape) -> int | None:
    return 0


def summary(net: Layer, in_shape: Shape, batch: int | None = 1, dtype: npt.DTypeLike = np.float32) -> Summary:
    """The layers in forward order, each combinator before what is inside it: a list of lines that prints as a table.

    Each line tells what ``batch`` rows cost, forward and backward, as ``fn.cost`` counts it; with None it does not,
    which takes shapes alone and so less time.
    Raises   ShapeError with the path of the first layer that does not fit

    >>> [(line.path, line.parameters) for line in fn.summary(fn.serial(fn.Dense(3), fn.Relu()), (2,))]
    [('', 9), ('dense_0', 9), ('relu_0', 0)]
    """
    events: dict[tuple[str, int], Call] = {}  # some ask a layer more than once

    def notify(call: Call) -> None:
        if call.method == "out_shape":
            events[call.path, call.depth] = call

    with listen(notify):
        reach("", net, "out_shape", in_shape)
    work = {} if batch is None else _work(net, in_shape, batch, dtype)
    done: list[list[Line]] = []  # finished subtrees, each with its root first
    for event in events.values():  # a combinator's comes right after those of its children, which are deeper
        (shape,) = event.args
        layer = event.layer
        inside: list[list[Line]] = []
        while done and done[-1][0].depth > event.depth:
            inside.insert(0, [_times(copies(layer), line) for line in done.pop()])
        roots = [subtree[0] for subtree in inside]
        products = _sum([line.multiply_adds for line in roots]) if layer.children else multiply_adds(layer, shape)
        costs: list[int | None] = []
        if batch is not None:
            own = work[event.path, layer]
            costs = [_sum(column) for column in zip(own, *(line[-5:-1] for line in roots), strict=True)]
        if batch is not None:
            own_bytes = batch * _entries(event.result) * np.dtype(dtype).itemsize
            costs.append(_sum([line.activation_bytes for line in roots]) if layer.children else own_bytes)
        parameters = count_parameters(layer.leaves(shape))
        line = Line(event.path, type(layer).__name__, event.depth, event.result, parameters, products, *costs)
        done.append([line, *(line for subtree in inside for line in subtree)])
    return Summary(done[0])


def _times(count: int, line: Line) -> Line:
    """A line for several runs; what its work costs was counted over all of them."""
    each = {name: getattr(line, name) for name in ("multiply_adds", "activation_bytes")}
    return line._replace(**{name: figure and count * figure for name, figure in each.items()})


def _sum(figures: Sequence[int | None]) -> int | None:
    """The sum; None where one is unknown."""
    return None if None in figures else sum(filter(None, figures))


def _work(net: Layer, in_shape: Shape, batch: int, dtype: npt.DTypeLike) -> dict[Any, tuple[int | None, ...]]:
    """What each layer costs by itself."""
    from funcnet.networks.cost import cost  # it looks at every plan, which a table of shapes need not load

    layers = cost(net, in_shape, batch, dtype=dtype).layers
    return {(one.path, one.layer): (*one.forward, *one.backward) for one in layers}
