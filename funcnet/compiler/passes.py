"""The passes over a recorded graph, in order, before memory is planned."""

from __future__ import annotations

from collections.abc import Callable

from funcnet.compiler.again import again
from funcnet.compiler.graph import NodeGraph
from funcnet.compiler.order import ordered
from funcnet.compiler.pack import pack
from funcnet.compiler.simplify import apart, share, simplify, squeeze, widen

Pass = Callable[[NodeGraph], NodeGraph]
PASSES: dict[str, Pass] = {
    "simplify": simplify,
    "share": share,
    "pack": pack,
    "squeeze": squeeze,
    "widen": widen,
    "order": ordered,
    "again": again,
}
"""The passes by name, in order; each is optional"""


def optimized(graph: NodeGraph, without: frozenset[str] = frozenset()) -> NodeGraph:
    """The graph after all passes except those in ``without``; unused nodes are always removed."""
    graph = graph.used()
    for name, one in PASSES.items():
        if name not in without:
            graph = one(graph)
            if one is share or one is pack:
                graph = graph.used()
    return apart(graph.used())
