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
"""By name, in order; each may be left out"""


def optimized(graph: NodeGraph, without: frozenset[str] = frozenset()) -> NodeGraph:
    """The graph after all passes but those left out; what nobody uses is always left out."""
    graph = graph.used()
    for name, one in PASSES.items():
        if name not in without:
            graph = one(graph)
            if one is share or one is pack:
                graph = graph.used()
    return apart(graph.used())
