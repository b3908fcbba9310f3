"""A network as a table, from shapes alone: layers, output shapes, parameters, and the cost of a batch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from funcnet.hints import explained
from funcnet.inputs import instance
from funcnet.layers.base import Layer, count_parameters, reach
from funcnet.layers.calls import Call, listen
from funcnet.shapes import ROWS, Shape, shape_text
from funcnet.views.table import Table

FIGURES = ("forward_flops", "backward_flops", "activation_bytes")


class Line(NamedTuple):
    """One layer of the table; a combinator's figures include everything inside it.

    The last five are for a batch: None without a batch, and FLOPs also if they are unknown. A layer that runs several
    times, as in Repeat, counts each time.
    ``activation_bytes`` is the memory of the layer's output, which the backward pass may need.
    """

    path: str
    layer: str
    depth: int
    out_shape: Shape
    parameters: int
    forward_flops: int | None = None
    forward_bytes: int | None = None
    backward_flops: int | None = None
    backward_bytes: int | None = None
    activation_bytes: int | None = None


class Summary(list[Line]):
    """The lines of a network's table, shown as a table by ``print`` and in notebooks."""

    def __init__(self, lines: Iterable[Line], title: str = "") -> None:
        super().__init__(lines)
        self.title = title

    def table(self, figures: Sequence[str] = FIGURES, title: str = "", narrow: bool = False) -> Table:
        """The table with some figures of a batch, if they were counted; the last row is the whole network.

        A ``narrow`` table has names and types in one column.
        """
        whole = self[0]
        shown = figures if whole.activation_bytes is not None else ()
        columns = ["layer", "type", "output", "parameters", *map(heading, shown)]
        columns = ["layer type", *columns[2:]] if narrow else columns

        def row(name: str, kind: str, line: Line) -> list[str]:
            counts = [figure_text(figure, getattr(line, figure)) for figure in shown]
            names = [f"{name} {kind}".rstrip()] if narrow else [name, kind]
            return [*names, shape_text(line.out_shape), f"{line.parameters:,}", *counts]

        rows = [row(indented(line), line.layer, line) for line in self[1:] or self]
        return Table(columns, [*rows, row("total", "", whole)], title or self.title, totals=1)

    def __str__(self) -> str:
        return str(self.table())

    def _repr_html_(self) -> str:
        return self.table().html()


def indented(line: Line) -> str:
    """The last name of a path, indented by the depth of the layer."""
    return "  " * max(0, line.depth - 1) + (line.path.rpartition("/")[2] or "network")


def heading(figure: str) -> str:
    """``forward FLOPs`` for ``forward_flops``."""
    return "activations" if figure == "activation_bytes" else figure.replace("_", " ").replace("flops", "FLOPs")


def figure_text(figure: str, value: int | None) -> str:
    """A figure of a line, ``?`` if it is unknown."""
    if value is None:
        return "?"
    return unit_text(value, "B") if figure == "activation_bytes" else f"{value:,}"


def unit_text(value: int | None, unit: str) -> str:
    """A quantity in thousands, millions, … of a unit: ``1.23 MB``; ``? B`` if it is unknown."""
    if value is None:
        return f"? {unit}"
    power = next((i for i in range(6, 0, -1) if value >= 1000**i), 0)
    return f"{value / 1000**power:.2f} {'kMGTPE'[power - 1]}{unit}" if power else f"{value} {unit}"


@explained
def summary(net: Layer, in_shape: Shape, batch: int | None = ROWS, dtype: npt.DTypeLike = np.float32) -> Summary:
    """The layers in forward order, each combinator before its layers: a list of lines that prints as a table.

    Each line has the cost of ``batch`` rows, forward and backward, as counted by ``fn.cost``; with a batch of None it
    has none, which is faster.
    Raises   ShapeError with the path of the first layer that does not fit

    >>> [(line.path, line.parameters) for line in fn.summary(fn.serial(fn.Dense(3), fn.Relu()), (2,))]
    [('', 9), ('dense_0', 9), ('relu_0', 0)]
    """
    instance(net, Layer, "a network", "fn.serial(fn.Dense(10))")
    events: dict[tuple[str, int], Call] = {}  # some combinators ask a layer more than once

    def notify(call: Call) -> None:
        if call.method == "out_shape":
            events[call.path, call.depth] = call

    with listen(notify):
        reach("", net, "out_shape", in_shape)
    work = {} if batch is None else _work(net, in_shape, batch, dtype)
    done: list[list[Line]] = []  # finished subtrees, each with its root first
    for event in events.values():  # a combinator's event comes right after those of its children, which are deeper
        (shape,) = event.args
        layer = event.layer
        inside: list[list[Line]] = []
        while done and done[-1][0].depth > event.depth:
            inside.insert(0, done.pop())
        costs: list[int | None] = []
        if batch is not None:
            own = work[event.path, layer]
            costs = [_sum(column) for column in zip(own, *(subtree[0][5:] for subtree in inside), strict=True)]
        parameters = count_parameters(layer.leaves(shape))
        line = Line(event.path, type(layer).__name__, event.depth, event.result, parameters, *costs)
        done.append([line, *(line for subtree in inside for line in subtree)])
    title = "" if batch is None else f"input {shape_text(in_shape)}, batch of {batch:,}, {np.dtype(dtype)}"
    return Summary(done[0], title)


def _sum(figures: Sequence[int | None]) -> int | None:
    """The sum; None if any is unknown."""
    return None if None in figures else sum(filter(None, figures))


def _work(net: Layer, in_shape: Shape, batch: int, dtype: npt.DTypeLike) -> dict[Any, tuple[int | None, ...]]:
    """The cost of each layer without the layers inside it."""
    from funcnet.networks.cost import cost  # loads the compiler, which a table of shapes does not need

    layers = cost(net, in_shape, batch, dtype=dtype).layers
    return {(one.path, one.layer): (*one.forward, *one.backward, one.activation_bytes) for one in layers}
