"""What is done to a recorded graph before memory is planned. Each pass is a function from graph to graph.

None of them changes a result by a single bit: they leave out, share and reorder, and reassociate nothing.
"""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

from funcnet import ops
from funcnet.compile.graph import (
    CALL,
    CAST,
    CONCAT,
    CONST,
    INPUT,
    MATMUL,
    NUMBER,
    PROBE,
    REDUCE,
    SETTLE,
    UFUNC,
    VIEW,
    WHERE,
    Graph,
    Node,
    contiguous,
    is_elementwise,
    leaves,
    map_nodes,
    ufunc_dtypes,
    with_args,
)

FOLDED_BYTES = 1 << 16
"""Constants above this are left to be computed"""
PACKED_SIZE = 4096
"""Leaves with at most so many entries are updated together"""


def constant(value: Any, like: Node) -> Node:
    """A constant in the place of another node."""
    if isinstance(value, np.ndarray | np.generic):
        value = np.asarray(value)
        return Node(CONST, None, (), value, value.shape, value.dtype, like.place)
    return Node(CONST, None, (), value, (), type(value), like.place)


def evaluate(node: Node, values: list[Any]) -> Any:
    """What a node gives for the values of its arguments."""
    if node.kind in (UFUNC, MATMUL, NUMBER, WHERE):
        return node.f(*values)
    if node.kind == CAST:
        return np.asarray(values[0]).astype(node.dtype)
    if node.kind == REDUCE:
        axes, keepdims = node.static
        return node.f.reduce(values[0], axis=axes, keepdims=keepdims)
    if node.kind == CONCAT:
        return np.concatenate(values, axis=node.static)
    return view(values[0], node)


def view(array: Any, node: Node) -> Any:
    """The view of an array that a node of that kind stands for."""
    method, how = node.static
    if method == "reshape":
        return array.reshape(how)
    if method == "transpose":
        return array.transpose(how)
    return array[(*how, ...)] if method == "index" else np.broadcast_to(array, how)  # never a scalar, a copy


def is_one(node: Node) -> bool:
    """Whether a node is the constant 1."""
    return node.kind == CONST and node.shape == () and bool(node.static == 1)


def simplify(graph: Graph) -> Graph:
    """Fold constants, and leave out what does nothing: products with 1, views of views, casts to the same."""

    def change(node: Node, args: tuple[Node, ...]) -> Node:
        node = with_args(node, args)
        if node.effect:
            return node
        if node.kind == UFUNC:
            if node.f is np.multiply:
                for x, other in (args, args[::-1]):
                    if is_one(other) and x.is_array and x.dtype == node.dtype and x.shape == node.shape:
                        return x
            plain = tuple(_scalar_of(arg, node, args) for arg in args)
            node = with_args(node, plain)
        elif node.kind == WHERE:
            node = with_args(node, (args[0], *(_scalar_of(arg, node, args) for arg in args[1:])))
        elif node.kind == VIEW:
            (base,) = args
            if base.kind == VIEW and base.static[0] == node.static[0] == "reshape":
                node = Node(VIEW, None, base.args, node.static, node.shape, node.dtype, node.place)
            if node.static[0] == "reshape" and node.args[0].shape == node.shape:
                return node.args[0]
            if node.static[0] == "transpose" and base.kind == VIEW and base.static[0] == "transpose":
                order = tuple(base.static[1][axis] for axis in node.static[1])
                if order == tuple(range(len(order))):
                    return base.args[0]
            whole = node.static[0] == "index" and node.shape == base.shape
            if whole and all(isinstance(item, slice) and item.step in (None, 1) for item in node.static[1]):
                return base
        elif node.kind == NUMBER and node.f is operator.mul:
            for x, other in (args, args[::-1]):
                if is_one(other) and x.dtype is node.dtype:
                    return x
        foldable = (UFUNC, WHERE, CAST, REDUCE, MATMUL, CONCAT, NUMBER, VIEW)
        known = node.kind in foldable and node.args and all(arg.kind == CONST for arg in node.args)
        if known and node.nbytes <= FOLDED_BYTES and not (node.kind == VIEW and node.static[0] == "broadcast"):
            with np.errstate(all="ignore"):
                return constant(evaluate(node, [arg.static for arg in node.args]), node)
        return node

    return graph.rebuilt(change)


def _scalar_of(arg: Node, node: Node, args: tuple[Node, ...]) -> Node:
    """The single constant of an array full of it, where the other arguments have the shape of the result."""
    if arg.kind == VIEW and arg.static[0] == "broadcast" and arg.args[0].kind == CONST and arg.args[0].shape == ():
        others = [other.shape for other in args if other is not arg]
        if others and np.broadcast_shapes(*others) == node.shape:
            return arg.args[0]
    return arg


def share(graph: Graph) -> Graph:
    """Compute each expression once within its scope."""
    seen: dict[Any, Node] = {}
    numbers: dict[Node, int] = {}

    def change(node: Node, args: tuple[Node, ...]) -> Node:
        node = with_args(node, args)
        if node.kind == INPUT:
            return node
        if node.kind == CONST:
            value = node.static
            small = isinstance(value, np.ndarray) and value.nbytes <= FOLDED_BYTES
            static: Any = (value.shape, value.tobytes()) if small else id(value)
            if not isinstance(value, np.ndarray):
                static = repr(value)
        else:
            static = repr(node.static)
        identity = tuple(numbers[arg] for arg in args)
        key = (node.kind, id(node.f), identity, static, node.shape, node.dtype, node.effect, node.place.scope)
        found = seen.setdefault(key, node)
        numbers.setdefault(found, len(numbers))
        return found

    for node in graph.inputs:
        numbers[node] = len(numbers)
    return graph.rebuilt(change)


def reshaped(node: Node, shape: tuple[int, ...]) -> Node:
    """A node's entries in another shape."""
    if node.shape == shape:
        return node
    return Node(VIEW, None, (node,), ("reshape", shape), shape, node.dtype, node.place)


def squeeze(graph: Graph) -> Graph:
    """Compute without axes of length 1 where that lets a ufunc run one plain loop, as for a batch of one."""

    def change(node: Node, args: tuple[Node, ...]) -> Node:
        node = with_args(node, args)
        if node.kind == REDUCE and args[0].size == node.size and node.size and args[0].dtype == node.dtype:
            whole = reshaped(args[0], tuple(n for n in node.shape if n != 1))  # over axes of length 1
            if node.f is np.add:  # a sum starts at 0, which makes 0 of -0
                zero = constant(0 if node.dtype.kind in "iu" else 0.0, node)
                whole = Node(UFUNC, np.add, (whole, zero), None, whole.shape, node.dtype, node.place)
            return reshaped(whole, node.shape)
        alike = all(arg.shape in ((), node.shape) for arg in args) and (node.size != 1 or not node.shape)
        if node.kind != UFUNC or alike:
            return node
        short = tuple(n for n in node.shape if n != 1)
        shapes = [tuple(n for n in arg.shape if n != 1) for arg in args]
        if len(short) == len(node.shape) or any(shape not in ((), short) for shape in shapes):
            return node
        new = tuple(arg if arg.is_number else reshaped(arg, shape) for arg, shape in zip(args, shapes, strict=True))
        return reshaped(Node(UFUNC, node.f, new, None, short, node.dtype, node.place), node.shape)

    return graph.rebuilt(change)


def copied(graph: Graph) -> Graph:
    """Copy what has gaps or another order before it is reshaped; a view of scratch memory must stay one."""

    def change(node: Node, args: tuple[Node, ...]) -> Node:
        node = with_args(node, args)
        if node.kind == VIEW and node.static[0] == "reshape" and not contiguous(args[0]):
            (base,) = args
            return with_args(node, (Node(CAST, None, args, None, base.shape, base.dtype, node.place),))
        return node

    return graph.rebuilt(change)


def widen(graph: Graph) -> Graph:
    """Cast by a call of its own where a ufunc would cast in its buffer, which is slower."""

    def change(node: Node, args: tuple[Node, ...]) -> Node:
        node = with_args(node, args)
        if node.kind != UFUNC:
            return node
        dtypes = ufunc_dtypes(node.f, tuple(arg.dtype for arg in args))
        new = []
        for arg, dtype in zip(args, dtypes, strict=False):
            if arg.is_array and arg.shape and arg.dtype != dtype and arg.dtype.kind != "V":
                arg = Node(CAST, None, (arg,), None, arg.shape, dtype, node.place)
            new.append(arg)
        return with_args(node, tuple(new))

    return graph.rebuilt(change)


# ----- many small leaves as one vector ---------------------------------------------------------------------------


def pack(graph: Graph) -> Graph:
    """Do once, on one vector, what the update does alike to each of many small arrays.

    Goes back from dicts of outputs, and from ``ops.norms``: where all their small leaves come from the same
    elementwise call, on arguments for which the same holds, the calls become one on the concatenated arguments. Leaves
    of one rule go together, where an optimizer has several rules.
    """
    if not isinstance(graph.outputs, tuple):
        return graph
    ways = _ways(graph)
    vectors: dict[tuple[Node, ...], Node | None] = {}

    def vector(nodes: tuple[Node, ...]) -> Node | None:
        if nodes not in vectors:
            vectors[nodes] = _vector(nodes)
        return vectors[nodes]

    def _vector(nodes: tuple[Node, ...]) -> Node | None:
        first, size = nodes[0], sum(node.size for node in nodes)
        if any(node.dtype != first.dtype for node in nodes):
            return None
        if _alike(nodes):
            args: list[Node] = []
            for column in zip(*(node.args for node in nodes), strict=True):
                if all(arg is column[0] and arg.shape == () for arg in column):
                    args.append(column[0])
                    continue
                inner = vector(column)
                if inner is None:
                    return None
                args.append(inner)
            return Node(first.kind, first.f, tuple(args), first.static, (size,), first.dtype, first.place)
        return Node(CONCAT, np.concatenate, nodes, None, (size,), first.dtype, first.place)

    roots: list[Node] = []

    def joined(nodes: tuple[Node, ...]) -> bool:
        """Whether leaves could be made one vector."""
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
        if node.kind == CALL and node.f is ops.PRIMITIVES["norms"].function:
            begin(list(node.args))
    outputs = graph.outputs
    probes = {id(p): p for p in leaves(outputs) if p.kind == PROBE}
    together = [p for p in probes.values() if all(arg.size <= PACKED_SIZE for arg in p.args)]
    if len(together) > 1:
        flats = [flat for column in zip(*(p.args for p in together), strict=True) if (flat := vector(tuple(column)))]
        if len(flats) == 2:
            one = Node(PROBE, together[0].f, tuple(flats), None, (), float, together[0].place)
            zero = constant(0.0, one)
            outputs = map_nodes(
                lambda node: one if node is together[0] else zero if node in together else node, outputs
            )
            roots.append(one)
    return _shared(graph, outputs, roots, {flat: nodes for nodes, flat in vectors.items() if flat is not None})


def _shared(graph: Graph, outputs: Any, roots: list[Node], vectors: dict[Node, tuple[Node, ...]]) -> Graph:
    """The graph with pieces of vectors in the place of what they hold, wherever the vector comes first.

    A vector comes right after the last thing that it is made of, in the order recorded. What comes later takes
    pieces of it; what comes before computes an array by itself, so that nothing waits for itself.
    """
    index = {node: i for i, node in enumerate(graph.nodes)}
    needed = set(_sorted(Graph([], [], ()), tuple(roots))) - index.keys()
    place: dict[Node, int] = {}
    home: dict[Node, tuple[Node, int]] = {}
    for flat in [*vectors, *roots]:  # inner ones were made first
        if flat in needed and flat not in place:
            place[flat] = max((place.get(arg, index.get(arg, -1)) for arg in flat.args), default=-1)
            start = 0
            for node in vectors.get(flat, ()) if flat.kind != CONCAT else ():
                home.setdefault(node, (flat, start))
                start += node.size
    made: dict[Node, Node] = {}
    pieces: dict[Node, Node] = {}

    def piece(node: Node) -> Node:
        if node not in pieces:
            flat, start = home[node]
            index = (slice(start, start + node.size),)
            part = Node(VIEW, None, (made[flat],), ("index", index), (node.size,), node.dtype, node.place)
            pieces[node] = Node(VIEW, None, (part,), ("reshape", node.shape), node.shape, node.dtype, node.place)
        return pieces[node]

    def change(node: Node, at: float) -> Node:
        args = tuple(
            piece(arg) if arg in home and place[home[arg][0]] < at else made.get(arg, arg) for arg in node.args
        )
        return node if all(new is old for new, old in zip(args, node.args, strict=True)) else with_args(node, args)

    order = sorted([*((i, 0, node) for node, i in index.items()), *((i, 1, flat) for flat, i in place.items())],
                   key=lambda entry: entry[:2])  # fmt: skip
    for at, _, node in order:
        made[node] = change(node, at)
    outputs = map_nodes(lambda node: piece(node) if node in home else made.get(node, node), outputs)
    return Graph(_sorted(Graph([made[node] for node in graph.nodes], [], ()), outputs), graph.inputs, outputs)


def _ways(graph: Graph) -> dict[Node, int]:
    """A number for the way in which each node is computed, the same for those computed alike from first to last.

    It is 0 for what is no elementwise call, in the update, on arrays of its own shape and numbers that others use too.
    """
    uses = Counter(arg for node in graph.nodes for arg in set(node.args))
    known: dict[Any, int] = {}
    ways: dict[Node, int] = {}
    for node in graph.nodes:
        way: list[Any] | None = [node.kind, node.f, node.dtype]
        if node.place.section in ("forward", "loss", "backward") or not (is_elementwise(node) or node.kind == SETTLE):
            way = None
        for arg in node.args if way else ():
            if arg.is_array and arg.shape == node.shape:
                way = way and [*way, arg.dtype, ways[arg]]
            else:
                way = way and ([*way, arg] if arg.shape == () and uses[arg] > 1 else None)
        ways[node] = known.setdefault(tuple(way), len(known) + 1) if way else 0
    return ways


def _alike(nodes: tuple[Node, ...]) -> bool:
    """Whether the nodes are the same elementwise call, each on arguments of its own shape or on shared numbers."""
    first = nodes[0]
    if len(set(nodes)) != len(nodes):
        return False
    for node in nodes:
        if not (is_elementwise(node) or node.kind == SETTLE) or node.kind != first.kind or node.f is not first.f:
            return False
        if node.dtype != first.dtype or len(node.args) != len(first.args):
            return False
        for arg, model in zip(node.args, first.args, strict=True):
            shared = arg is model and arg.shape == ()
            own = arg.is_array and arg.shape == node.shape and arg.dtype == model.dtype and model.shape == first.shape
            if not shared and not own:
                return False
    return True


def _sorted(graph: Graph, outputs: Any) -> list[Node]:
    """All nodes that the outputs and effects need, arguments first, otherwise in the order they had."""
    done: set[Node] = set()
    order: list[Node] = []

    def add(node: Node) -> None:
        stack = [(node, iter(node.args))]
        while stack:
            top, rest = stack[-1]
            if top in done:
                stack.pop()
                continue
            following = next(rest, None)
            if following is None:
                done.add(top)
                order.append(top)
                stack.pop()
            elif following not in done:
                stack.append((following, iter(following.args)))

    for node in [*graph.nodes, *leaves(outputs)]:
        add(node)
    return order


def ordered(graph: Graph) -> Graph:
    """Each update as soon as its gradient is there, while that is in cache; the rest in the order recorded.

    What an update needs besides the gradient waits until it is asked for.
    """
    users: dict[Node, list[Node]] = {node: [] for node in graph.nodes}
    lazy: set[Node] = set()
    for node in graph.nodes:
        for arg in dict.fromkeys(node.args):
            users[arg].append(node)
        free = all(arg in lazy or arg.kind in (INPUT, CONST) for arg in node.args)
        if node.place.section == "update" and free and not node.effect:
            lazy.add(node)
    done: set[Node] = set()
    order: list[Node] = []

    def emit(node: Node) -> None:
        if node in done:
            return
        for arg in node.args:
            emit(arg)  # only what is lazy is left to do
        if node in done:  # the last of them made it ready
            return
        done.add(node)
        order.append(node)
        for user in users[node]:
            if user.place.section == "update" and user not in lazy and user not in done and ready(user):
                emit(user)

    def ready(node: Node) -> bool:
        return all(arg in done or arg in lazy for arg in node.args)

    for node in graph.nodes:
        if node not in lazy and (node in done or ready(node)):
            emit(node)
    for node in graph.nodes:
        emit(node)
    return Graph(order, graph.inputs, graph.outputs)


Pass = Callable[[Graph], Graph]
PASSES: dict[str, Pass] = {
    "simplify": simplify,
    "share": share,
    "pack": pack,
    "squeeze": squeeze,
    "widen": widen,
    "order": ordered,
}
"""By name, in order; each may be left out"""


def optimized(graph: Graph, without: frozenset[str] = frozenset()) -> Graph:
    """The graph after all passes but those left out; what nobody uses is always left out."""
    graph = copied(graph.used())
    for name, one in PASSES.items():
        if name not in without:
            graph = one(graph).used()
    return graph
