"""Recording: a pure function of arrays, numbers and keys is run once on stand-ins, which gives its graph.

It uses NumPy's own protocols, so the code of layers needs no changes. ``tracer.py`` collects the nodes,
``standins.py`` has the stand-ins, ``numpy_table.py`` handles NumPy's functions, and ``fallback.py`` turns a layer
that cannot be recorded into a single call.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from funcnet.compiler import standins, structure
from funcnet.compiler.fallback import LayerRecorder
from funcnet.compiler.foreign import of_library
from funcnet.compiler.graph import Node, NodeGraph, Place
from funcnet.compiler.kinds import CALL, NUMBER, UFUNC
from funcnet.compiler.numpy_table import RAISING
from funcnet.compiler.tracer import Tracer, current, may_be_constant
from funcnet.errors import TraceError
from funcnet.key import Key
from funcnet.layers.calls import listen_with


@contextlib.contextmanager
def section(name: str) -> Iterator[None]:
    """Mark the nodes recorded inside the block as part of a section, such as the loss or the update."""
    tracer = current.get()
    if tracer is None:
        yield
        return
    outer = tracer.place
    tracer.place = Place(name, "", None, outer.scope)
    try:
        yield
    finally:
        tracer.place = outer


def is_input(value: Any) -> bool:
    """Whether a leaf of the arguments may change from call to call: an array, a number or a key."""
    return isinstance(value, np.ndarray | np.generic | Key | float) or (
        isinstance(value, int) and not isinstance(value, bool)
    )


class Recording(NamedTuple):
    """A graph and the tracer that recorded it."""

    graph: NodeGraph
    tracer: Tracer


def trace(f: Callable[..., Any], args: tuple[Any, ...], names: tuple[str, ...] = (), strict: bool = False) -> NodeGraph:
    """The graph of ``f(*args)``: arrays, numbers and keys in the arguments are its inputs, in order.

    Raises   TraceError for a function that cannot be recorded
    """
    return record(f, args, names, strict).graph


def record(
    f: Callable[..., Any],
    args: tuple[Any, ...],
    names: tuple[str, ...] = (),
    strict: bool = False,
    foreign: bool = True,
    careful: bool = False,
) -> Recording:
    """The graph as by ``trace``, with its tracer.

    ``careful`` keeps the errors of user code, and checks at every call that its primitives return the same shapes.
    """
    tracer = Tracer(strict, foreign, careful)
    token = current.set(tracer)
    try:
        names = names or tuple(str(i) for i in range(len(args)))
        stand_ins = [
            structure.named(lambda path, leaf: tracer.input(path, leaf) if is_input(leaf) else leaf, arg, name)
            for name, arg in zip(names, args, strict=True)
        ]
        given = [id(leaf) for leaf in structure.leaves(stand_ins)]
        with listen_with(LayerRecorder(tracer)), tracer.attempted():
            result = f(*stand_ins)
            if given != [id(leaf) for leaf in structure.leaves(stand_ins)]:
                raise TraceError("writes into a dict or list that it is given; make a new one")
            outputs = structure.replaced(lambda leaf: _output(tracer, leaf), result)
    finally:
        current.reset(token)
    graph = NodeGraph(tracer.nodes, tracer.inputs, outputs)
    if careful:
        keep_errors(graph, tracer.dropped)
    return Recording(graph, tracer)


def keep_errors(graph: NodeGraph, dropped: set[Node]) -> None:
    """Keep unused calls of user code that may raise an error, such as ``x[labels]``."""
    used = set(graph.used().nodes)
    for node in graph.nodes:
        layer = node.place.layer
        own = layer is None or not of_library(type(layer))
        if own and node not in used and node not in dropped and may_raise(node):
            node.effect = True


def may_raise(node: Node) -> bool:
    """Whether a call may raise an error that depends on values."""
    if node.kind is CALL:
        return getattr(node.f, "function", node.f) in RAISING
    return node.kind is NUMBER or (node.kind is UFUNC and node.f is np.power and node.dtype.kind in "iu")


def _output(tracer: Tracer, leaf: Any) -> Any:
    """The node of a recorded value or an array; a constant stays itself."""
    if type(leaf) in standins.CLASSES or type(leaf) is np.ndarray or isinstance(leaf, np.generic):
        return tracer.node(leaf)
    if may_be_constant(leaf):
        return leaf
    raise TraceError(
        f"the result contains a {type(leaf).__name__}; return arrays and numbers, in dicts, tuples and lists"
    )
