"""Packing: small leaves with the same update become one vector, which is updated once."""

from __future__ import annotations

from collections import Counter
from typing import Any

from funcnet import ops
from funcnet.compiler.graph import Node, NodeGraph, leaves, map_nodes, with_args
from funcnet.compiler.kinds import CALL, CONCAT, PROBE, SETTLE, VIEW, is_elementwise
from funcnet.compiler.simplify import constant

PACKED_SIZE = 4096
"""The largest leaf to pack, in entries"""


def pack(graph: NodeGraph) -> NodeGraph:
    """Replace the same update of many small arrays by one update of their concatenation.

    The pass works backwards from dicts of outputs, and from ``ops.norms``: if all their small leaves come from the same
    elementwise call, and so do its arguments, the calls become one call on the concatenated arguments. Where an
    optimizer has several rules, the leaves of each rule form one vector.
    """
    if not isinstance(graph.outputs, tuple):
        return graph
    ways = _ways(graph)
    vectors: dict[tuple[Node, ...], Node | None] = {}

    def vector(nodes: tuple[Node, ...]) -> Node | None:
        """One node for the concatenation of several, built from its arguments up; None where the calls differ."""
        stack = [nodes]
        while stack:
            top = stack[-1]
            if top in vectors:
                stack.pop()
                continue
            columns = _columns(top) if _alike(top) else []
            waiting = [column for column in columns if not isinstance(column, Node) and column not in vectors]
            if waiting:
                stack += waiting
                continue
            vectors[top] = _joined(top, [c if isinstance(c, Node) else vectors[c] for c in columns])
        return vectors[nodes]

    roots: list[Node] = []

    def joined(nodes: tuple[Node, ...]) -> bool:
        """Join leaves into one vector; False where that is not possible."""
        flat = vector(nodes) if len(nodes) > 1 and _alike(nodes) else None
        roots.extend([] if flat is None else [flat])
        return flat is not None

    def begin(found: list[Node]) -> bool:
        small = tuple(dict.fromkeys(node for node in found if node.is_array and node.size <= PACKED_SIZE))
        groups: dict[int, list[Node]] = {}
        for node in small:
            groups.setdefault(ways.get(node, 0), []).append(node)
        done = {way for way, nodes in groups.items() if way and joined(tuple(nodes))}
        return joined(tuple(node for node in small if ways.get(node, 0) not in done)) or bool(done)

    def visit(part: Any) -> None:
        if isinstance(part, dict) and not begin(leaves(part)):
            for inner in part.values():
                visit(inner)

    for part in graph.outputs:
        visit(part)
    for node in graph.nodes:
        if node.kind is CALL and node.f is ops.PRIMITIVES["norms"].function:
            begin(list(node.args))
    outputs = graph.outputs
    probes = {id(p): p for p in leaves(outputs) if p.kind is PROBE}
    together = [p for p in probes.values() if all(arg.size <= PACKED_SIZE for arg in p.args)]
    if len(together) > 1:
        flats = [flat for column in zip(*(p.args for p in together), strict=True) if (flat := vector(tuple(column)))]
        if len(flats) == 2:
            one = PROBE.node(flats[0], flats[1], together[0].place)
            zero, others = constant(0.0, one), set(together[1:])
            outputs = map_nodes(lambda node: one if node is together[0] else zero if node in others else node, outputs)
            roots.append(one)
    return _shared(graph, outputs, roots, {flat: nodes for nodes, flat in vectors.items() if flat is not None})


def _columns(nodes: tuple[Node, ...]) -> list[Any]:
    """The arguments of identical calls, by position: the number that they share, or one array for each call."""
    return [
        column[0] if column[0].shape == () and all(arg is column[0] for arg in column) else column
        for column in zip(*(node.args for node in nodes), strict=True)
    ]


def _joined(nodes: tuple[Node, ...], args: list[Node | None]) -> Node | None:
    """The vector of all entries: the same call on vectors, or a concatenation where there are no arguments."""
    first, size = nodes[0], sum(node.size for node in nodes)
    if any(node.dtype != first.dtype for node in nodes) or None in args:
        return None
    if args:
        given = tuple(arg for arg in args if arg is not None)
        strides = (first.dtype.itemsize,)
        return Node(first.kind, first.f, given, first.static, (size,), first.dtype, first.place, strides)
    return CONCAT.node(nodes, None, first.place)


def _shared(graph: NodeGraph, outputs: Any, roots: list[Node], vectors: dict[Node, tuple[Node, ...]]) -> NodeGraph:
    """The graph with arrays replaced by slices of vectors, wherever the vector is computed before.

    In the order recorded, a vector comes right after the last of its arguments. Later calls read slices of it;
    earlier calls keep the separate array, so that the graph has no cycles.
    """
    index = {node: i for i, node in enumerate(graph.nodes)}
    needed: set[Node] = set()
    stack = [flat for flat in roots if flat not in index]
    while stack:
        flat = stack.pop()
        if flat not in needed:
            needed.add(flat)
            stack += [arg for arg in flat.args if arg not in index]
    place: dict[Node, int] = {}
    home: dict[Node, tuple[Node, int]] = {}
    for flat in [*vectors, *roots]:  # arguments come before their users
        if flat in needed and flat not in place:
            place[flat] = max((place.get(arg, index.get(arg, -1)) for arg in flat.args), default=-1)
            start = 0
            for node in vectors.get(flat, ()) if flat.kind is not CONCAT else ():
                home.setdefault(node, (flat, start))
                start += node.size
    made: dict[Node, Node] = {}
    pieces: dict[Node, Node] = {}
    nodes: list[Node] = []

    def piece(node: Node) -> Node:
        if node not in pieces:
            flat, start = home[node]
            part = VIEW.node(made[flat], "index", (slice(start, start + node.size),), node.place)
            pieces[node] = VIEW.node(part, "reshape", node.shape, node.place)
            nodes.extend((part, pieces[node]))
        return pieces[node]

    def changed(arg: Node, at: float) -> Node:
        return piece(arg) if arg in home and place[home[arg][0]] < at else made.get(arg, arg)

    order = sorted([*((i, 0, node) for node, i in index.items()), *((i, 1, flat) for flat, i in place.items())],
                   key=lambda entry: entry[:2])  # fmt: skip
    for at, _, node in order:
        made[node] = with_args(node, tuple([changed(arg, at) for arg in node.args]))
        nodes.append(made[node])
    outputs = map_nodes(lambda node: changed(node, len(index)), outputs)
    known = set(nodes)
    nodes += dict.fromkeys(node for node in leaves(outputs) if node not in known)  # constants
    return NodeGraph(nodes, graph.inputs, outputs)


def _ways(graph: NodeGraph) -> dict[Node, int]:
    """A number for the expression that computes each node: equal numbers mean equal expressions.

    It is 0 unless the node is an elementwise call of the update, on arrays of the node's shape and shared numbers.
    """
    uses = Counter(arg for node in graph.nodes for arg in set(node.args))
    known: dict[Any, int] = {}
    ways: dict[Node, int] = {}
    for node in graph.nodes:
        way: list[Any] | None = [node.kind, node.f, node.dtype]
        if node.place.section in ("forward", "loss", "backward") or not (is_elementwise(node) or node.kind is SETTLE):
            way = None
        for arg in node.args if way else ():
            if arg.is_array and arg.shape == node.shape:
                way = way and [*way, arg.dtype, ways[arg]]
            else:
                way = way and ([*way, arg] if arg.shape == () and uses[arg] > 1 else None)
        ways[node] = known.setdefault(tuple(way), len(known) + 1) if way else 0
    return ways


def _alike(nodes: tuple[Node, ...]) -> bool:
    """Whether the nodes are the same elementwise call on arrays of their own shapes and the same numbers."""
    first = nodes[0]
    if len(set(nodes)) != len(nodes):
        return False
    for node in nodes:
        if not (is_elementwise(node) or node.kind is SETTLE) or node.kind is not first.kind or node.f is not first.f:
            return False
        if node.dtype != first.dtype or len(node.args) != len(first.args) or not node.row_major:
            return False
        for arg, model in zip(node.args, first.args, strict=True):
            shared = arg is model and arg.shape == ()
            own = arg.is_array and arg.shape == node.shape and arg.dtype == model.dtype and model.shape == first.shape
            if not shared and not own:
                return False
    return True
