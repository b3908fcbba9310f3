"""The cost of a network, from shapes alone: operations, bytes moved and memory, read off the plans that run it.

FLOPs    a product of (m, k) and (k, n) is 2 m k n; an elementwise call 1 for each entry of its result,
         ``exp`` like ``+``; a reduction 1 for each entry of its input; a cast, a copy, a choice (``where``)
         and a random number 0
Bytes    what calls read from memory and write to it; a view moves none, nor does a value inside a loop
         over blocks of rows, which stays in cache
Memory   the peak of a call: arguments, results, scratch memory and constants, without Python's own objects and
         the scratch memory of opaque functions (``ops.erf``)

The work of ``ops.settle`` on every 32nd step is left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from funcnet import ops, tree
from funcnet.compiler import layout, structure
from funcnet.compiler.graph import Node, NodeGraph, Place, map_nodes
from funcnet.compiler.kinds import CONCAT, CONST, INPUT, NUMBER, PART, SETTLE, VIEW
from funcnet.compiler.plan import Plan
from funcnet.compiler.record import trace as recorded
from funcnet.errors import FuncnetError, ShapeError, TraceError
from funcnet.inputs import instance, whole_number
from funcnet.key import Array, Key
from funcnet.layers.base import (
    EVAL,
    Context,
    Layer,
    Leaf,
    Params,
    State,
    apply_child,
    check_size,
    reach,
    vjp_child,
    zeros_for,
)
from funcnet.layers.calls import Call, Caller, listen, listen_between, path_of
from funcnet.losses.base import Loss
from funcnet.optim.base import Optimizer, OptState
from funcnet.optim.schedules import LONG, bind
from funcnet.padding import compared_shape
from funcnet.shapes import ROWS, Shape, Value, batched, entries, is_shape, zeros_of
from funcnet.training.programs import gradients, prediction, training_step
from funcnet.vmap import Members


class Work(NamedTuple):
    """Operations and bytes; ``flops`` is None if the cost of any part is unknown."""

    flops: int | None
    bytes: int


class Figures(NamedTuple):
    """Operations and bytes of a call, and the bytes of memory that it needs."""

    flops: int | None
    bytes: int
    peak: int


class LayerCost(NamedTuple):
    """The work of one layer, over all its runs; a combinator's excludes that of its layers.

    ``activation_bytes`` is the memory of the layer's output, which the backward pass may need; 0 for a combinator,
    whose output is that of a layer.
    """

    path: str
    layer: Layer
    forward: Work
    backward: Work
    activation_bytes: int


class Cost(NamedTuple):
    """The cost of a batch: ``predict``, the backward pass, the training step, and each layer, inner ones first."""

    batch: int
    forward: Figures
    backward: Figures
    step: Figures | None
    layers: list[LayerCost]


@ops.quiet()
def cost(
    net: Layer,
    in_shape: Shape,
    batch: int = ROWS,
    loss: Loss | None = None,
    optimizer: Optimizer | None = None,
    dtype: npt.DTypeLike = np.float32,
) -> Cost:
    """The cost of a network for ``batch`` rows of inputs of shape ``in_shape``; no array is allocated.

    ``forward`` is ``predict``: in evaluation mode dropout costs nothing. ``backward`` is the layers' ``vjp``,
    without the input's gradient, which is not needed; its memory includes the residuals of the forward
    pass. It runs in training mode, or in evaluation mode if the batch is too small to train on. ``step``, with a
    loss and an optimizer, is everything: forward in training, loss, backward, update.
    Targets are labels where the loss takes them, else like the outputs.
    Raises   ShapeError for a network that does not fit the shape, or is too large
    """
    instance(net, Layer, "a network", "fn.serial(fn.Dense(10))")
    for value, kind, what, example in (
        (loss, Loss, "a loss", "fn.losses.MeanSquaredError()"),
        (optimizer, Optimizer, "an optimizer", "fn.optim.Adam()"),
    ):
        if value is not None:
            instance(value, kind, what, example)
    if optimizer is not None and loss is None:
        raise FuncnetError("a step needs a loss; give loss=… with optimizer=…")
    rows = whole_number(batch, 1, "a batch of 1 or more rows")
    if np.dtype(dtype).kind != "f":
        raise ShapeError(f"expected a float dtype, such as np.float32, got {np.dtype(dtype)}")
    layers: list[Call] = []
    with listen(lambda call: layers.append(call) if call.method == "out_shape" else None):
        out_shape = reach("", net, "out_shape", in_shape)
    check_size(net, in_shape)
    params, state = (abstract_leaves(net, in_shape, kind, dtype) for kind in ("param", "state"))
    x = zeros_for(net, in_shape, rows, dtype, abstract)
    heard = Activations(layers, rows * np.dtype(dtype).itemsize)
    ahead = Plan(trace(heard.during(prediction(net)), (params, state, x), ("params", "state", "x")))
    context = Context(True, Key(0))
    if loss is None:
        dy = abstract(batched(out_shape, rows), dtype)
        names = ("params", "state", "x", "dy", "ctx")
        try:
            back = Plan(trace(backward(net), (params, state, x, dy, context), names))
        except ShapeError:
            back = Plan(trace(backward(net), (params, state, x, dy, EVAL), names))
    else:
        y = target_of(loss, out_shape, rows, dtype)
        back = Plan(trace(gradients(net, loss), (params, state, x, y, context, None, None)))
    forward_work, backward_work = account(ahead), account(back)
    step = None
    if loss is not None and optimizer is not None:
        rule = bind(optimizer, LONG)
        given = ("params", "state", "opt_state", "key", "step", "x", "y", "weight")
        args = (params, state, abstract_opt_state(rule, params), Key(0), 0, x, y, None)
        whole = Plan(trace(training_step(net, loss, rule), args, given))
        step = Figures(*total(account(whole).values()), peak(whole))
    way_back = {place: work for place, work in backward_work.items() if place.section == "backward"}
    return Cost(
        rows,
        Figures(*total(forward_work.values()), peak(ahead)),
        Figures(*total(way_back.values()), peak(back)),
        step,
        [
            LayerCost(
                path,
                layer,
                forward_work.get(Place("forward", path, layer), Work(0, 0)),
                way_back.get(Place("backward", path, layer), Work(0, 0)),
                heard.bytes_of(path, layer),
            )
            for path, layer in dict.fromkeys((call.path, call.layer) for call in layers)
        ],
    )


# ----- arguments without memory ------------------------------------------------------------------------------


def trace(f: Any, args: tuple[Any, ...], names: tuple[str, ...] = ()) -> NodeGraph:
    """The graph of a function of arrays without memory, which are treated as arrays in C order."""

    def laid(leaf: Any) -> Any:
        if not isinstance(leaf, np.ndarray):
            return leaf
        strides = layout.row_major(leaf.shape, leaf.itemsize)
        return layout.abstract(layout.Form(leaf.shape, strides, leaf.itemsize), leaf.dtype)

    return recorded(f, tuple(structure.replaced(laid, arg) for arg in args), names)


def abstract(shapes: Any, dtype: npt.DTypeLike) -> Value:
    """A value of arrays without memory, with a nest of full shapes."""
    if isinstance(shapes, dict):
        return {name: abstract(shape, dtype) for name, shape in shapes.items()}
    if not is_shape(shapes):
        return tuple(abstract(shape, dtype) for shape in shapes)
    return np.broadcast_to(np.zeros((), dtype), shapes)


def abstract_leaves(net: Layer, in_shape: Shape, kind: str, dtype: npt.DTypeLike) -> Params:
    """The params or the state of a network, without memory."""
    flat: dict[str, Leaf] = tree.flatten(net.leaves(in_shape))
    return tree.unflatten({path: abstract(leaf.shape, dtype) for path, leaf in flat.items() if leaf.kind == kind})


def abstract_opt_state(rule: Optimizer, params: Params) -> OptState:
    """The optimizer's state before the first step, without memory where its ``init`` can be recorded."""
    try:
        outputs = trace(rule.init, (params,)).outputs
    except TraceError:
        return rule.init(params)
    found: OptState = map_nodes(lambda node: abstract(node.shape, node.dtype), outputs)
    return found


def target_of(loss: Loss, out_shape: Shape, rows: int, dtype: npt.DTypeLike) -> Value:
    """Targets that the loss takes: labels where the outputs may be classes, else values like the outputs.

    Raises   FuncnetError for outputs that the loss cannot take
    """
    out_shape = compared_shape(loss, out_shape)
    kinds: list[tuple[Shape, Any]] = [(out_shape, dtype)]
    if is_shape(out_shape) and out_shape and out_shape[-1] > 1:
        kinds.insert(0, (out_shape[:-1], np.int64))
    for shape, kind in kinds:
        try:
            loss.apply(zeros_of(batched(out_shape, 2), dtype), zeros_of(batched(shape, 2), kind))
        except FuncnetError:
            if (shape, kind) == kinds[-1]:
                raise
        else:
            return abstract(batched(shape, rows), kind)
    raise AssertionError(kinds)


def backward(net: Layer) -> Any:
    """``(params, state, x, dy, ctx) -> grads``: forward and backward, without a loss."""

    def program(params: Params, state: State, x: Value, dy: Value, ctx: Context) -> Params:
        _, _, residuals = apply_child("", net, params, state, x, ctx)
        grads, _ = vjp_child("", net, params, residuals, dy)
        return grads

    return program


class Activations:
    """Counts the output bytes of layers without children while a program runs; the outer caller makes every call.

    A layer that runs several times, as in Repeat, counts each time. A layer inside an opaque call, which the program
    does not reach, counts once, by its output shape.
    """

    outer: Caller

    def __init__(self, calls: Iterable[Call], bytes_an_entry: int) -> None:
        self.expected = {(call.path, call.layer): bytes_an_entry * entries(call.result) for call in calls}
        self.given: list[tuple[str, Layer, int]] = []
        self.names: list[str] = []

    def during(self, program: Any) -> Any:
        """The program, with this as its caller."""

        def heard(*args: Any) -> Any:
            with listen_between(self):
                return program(*args)

        return heard

    def call(self, name: str, layer: Layer, method: str, args: tuple[Any, ...]) -> Any:
        """Call a layer's method; if it fails, its outputs are computed again, and are counted only then."""
        self.names.append(name)
        before = len(self.given)
        try:
            result = self.outer.call(name, layer, method, args)
        except BaseException:
            del self.given[before:]
            raise
        else:
            if method == "apply" and not layer.children:
                self.given.append((path_of(self.names), layer, sum(map(bytes_of, tree.leaves(result[0])))))
            return result
        finally:
            self.names.pop()

    def bytes_of(self, path: str, layer: Layer) -> int:
        """The bytes of a layer's outputs."""
        if layer.children:
            return 0
        return sum(size for *place, size in self.given if place == [path, layer]) or self.expected[path, layer]


def bytes_of(leaf: Any) -> int:
    """The bytes of an array, or of the arrays of all members."""
    while isinstance(leaf, Members):
        leaf = leaf.value
    return math.prod(leaf.shape) * np.dtype(leaf.dtype).itemsize


# ----- the account of a plan ---------------------------------------------------------------------------------


def account(plan: Plan) -> dict[Place, Work]:
    """The work of a plan by section and layer; copies of the results have no section."""
    found: dict[Place, Work] = {}
    cached: dict[Node, set[Node]] = {}  # the values that each loop over blocks has in cache, by its first call

    def add(place: Place, flops: int | None, moved: int) -> None:
        place = Place(place.section, place.path, place.layer)
        found[place] = total([found.get(place, Work(0, 0)), Work(flops, moved)])

    for node in plan.nodes:
        if node.kind not in (INPUT, CONST, VIEW, NUMBER):
            chain = plan.memory.chain_of.get(node)
            near = set() if chain is None else cached.setdefault(chain.anchor, set())
            add(node.place, node.kind.flops(node), moved(plan, node, near))
    given: set[Node] = set()
    for node in plan.outputs:
        root = plan.memory.root(node)
        if node.is_array and (root not in plan.memory.fresh or root in given):
            add(Place(), 0, 2 * node.nbytes)
        given.add(root)
    return found


def total(works: Iterable[Work]) -> Work:
    """The sum; ``flops`` is None if any is unknown."""
    works = list(works)
    flops = [work.flops for work in works]
    return Work(None if None in flops else sum(filter(None, flops)), sum(work.bytes for work in works))


def moved(plan: Plan, node: Node, near: set[Node]) -> int:
    """The bytes that a call reads from memory and writes to it; ``near`` is in cache, and grows."""
    memory = plan.memory
    if node.kind is PART:
        return node.nbytes
    if node.kind is SETTLE and memory.in_place(node):
        near.add(memory.root(node))
        return 0
    args = dict.fromkeys(node.args)
    if node.kind is CONCAT:
        args = dict.fromkeys(arg for arg in args if memory.placed.get(arg) is not node)
    in_block = node in memory.chain_of
    count = 0
    for arg in args:
        root = memory.root(arg)
        if arg.is_array and arg not in memory.interior and root not in near:
            count += min(arg.nbytes, root.nbytes)  # a broadcast array is smaller in memory
        if in_block:
            near.add(root)
    if node.kind is CONCAT:
        return count + sum(arg.nbytes for arg in args)
    if in_block:
        near.add(memory.root(node))
    return count + (0 if node in memory.interior else node.nbytes)


def peak(plan: Plan) -> int:
    """The bytes of memory while a plan runs, its arguments included."""
    graph: NodeGraph = plan.graph
    constants: Iterable[Array] = (value for value in plan.constants.values() if isinstance(value, np.ndarray))
    arrays = sum(node.nbytes for node in [*graph.inputs, *plan.outputs]) + plan.most_made()
    return arrays + plan.scratch_bytes + sum(math.prod(a.shape) * a.itemsize for a in constants)
