"""The recorded program as one readable NumPy file: forward, loss, backward and update, one expression per line."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from funcnet import ops, tree
from funcnet.codegen.library_source import ascii_text
from funcnet.codegen.lines import lookup, margins, tree_text, variables
from funcnet.codegen.printer import (
    Printer,
    Quoted,
    constant_text,
    helper_text,
    shape_text,
)
from funcnet.compiler.graph import Node, NodeGraph, leaves, map_nodes
from funcnet.compiler.kinds import CALL, CONST, INPUT, PROBE, SETTLE, VIEW, dtype_text
from funcnet.compiler.memory import ALIGNMENT
from funcnet.compiler.plan import Plan
from funcnet.compiler.record import trace
from funcnet.compiler.simplify import share, simplify
from funcnet.errors import FuncnetError
from funcnet.key import Key
from funcnet.layers.base import Context, Layer, apply_child, check_size, vjp_child, zeros_for
from funcnet.losses.base import Loss
from funcnet.losses.classification import SoftmaxCrossEntropy
from funcnet.losses.combined import EachMember
from funcnet.losses.wrapped import unwrapped
from funcnet.networks.surgery import walk
from funcnet.optim.base import Optimizer
from funcnet.padding import compared_shape
from funcnet.shapes import ROWS, Shape, batched, zeros_of
from funcnet.training.programs import gradients, training_step


@ops.quiet()
def source(
    net: Layer,
    in_shape: Shape,
    batch: int = ROWS,
    loss: Loss | None = None,
    optimizer: Optimizer | None = None,
    *,
    dtype: npt.DTypeLike = np.float32,
    train: bool = True,
    target: Any = None,
    planned: bool = False,
) -> str:
    """A network as one NumPy file to read and run: forward and backward, with loss and optimizer a training step.

    The file gives the library's numbers to the last bit. ``target`` is an example of the targets, by default
    labels for ``SoftmaxCrossEntropy`` and otherwise floats in the shape of the output. ``planned`` prints the
    program as it runs, with its memory.
    Raises   ShapeError; FuncnetError for a program that cannot be printed, such as one with user code

    >>> "tanh_0 = np.tanh(dense_0)" in fn.source(fn.serial(fn.Dense(3), fn.Tanh()), (2,), batch=5)
    True
    """
    if optimizer is not None and loss is None:
        raise FuncnetError("expected a loss with the optimizer, got none; give loss=fn.losses.MeanSquaredError()")
    check_size(net, in_shape)
    recorded = _Program(net, in_shape, batch, loss, optimizer, np.dtype(dtype), train, target)
    return recorded.planned() if planned else recorded.readable()


def _target(loss: Loss, y: Any) -> Any:
    """An example of the targets, for zeros in the form of the output."""
    if isinstance(loss, EachMember):
        return _target(loss.loss, tree.map(lambda leaf: np.take(leaf, 0, loss.axis), y))
    return np.zeros(y.shape[:-1], np.int64) if isinstance(loss, SoftmaxCrossEntropy) else y


class _Program:
    """A recorded program and the texts of its file."""

    def __init__(
        self,
        net: Layer,
        in_shape: Shape,
        batch: int,
        loss: Loss | None,
        optimizer: Optimizer | None,
        dtype: Any,
        train: bool,
        target: Any,
    ) -> None:
        self.net, self.in_shape, self.batch, self.loss, self.optimizer = net, in_shape, batch, loss, optimizer
        self.plain_loss, self.dtype = None if loss is None else unwrapped(loss), dtype
        params, state = _zeros(net, in_shape, dtype)
        out_shape = net.out_shape(in_shape) if loss is None else compared_shape(loss, net.out_shape(in_shape))
        x, y = zeros_for(net, in_shape, batch, dtype), zeros_of(batched(out_shape, batch), dtype)
        key = Key(0)
        self.results: tuple[str, ...]
        if loss is None:
            names: tuple[str, ...] = ("params", "state", "x", "dy", "key")
            args: tuple[Any, ...] = (params, state, x, y, key)
            self.results = ("y", "state", "d_params", "dx")
        else:
            y = target if target is not None else _target(loss, y)
            if optimizer is None:
                names, args = ("params", "state", "key", "x", "y"), (params, state, key, x, y)
                self.results = ("loss", "state", "d_params")
            else:
                names = ("params", "state", "opt_state", "key", "step", "x", "y")
                args = (params, state, optimizer.init(params), key, 0, x, y)
                self.results = ("loss", "state", "params", "opt_state")

        def program(*args: Any) -> Any:
            if loss is None:
                params, state, x, dy, key = args
                out, new_state, residuals = apply_child(
                    "", net, params, state, x, Context(train, key if train else None)
                )
                dparams, dx = vjp_child("", net, params, residuals, dy)
                return out, new_state, dparams, dx
            if optimizer is None:
                params, state, key, x, y = args
                return gradients(net, loss)(params, state, x, y, Context(train, key if train else None), None, None)
            value, new_params, new_state, opt_state, _ = training_step(net, loss, optimizer)(*args, None)
            return value, new_state, new_params, opt_state

        self.args = dict(zip(names, args, strict=True))
        self.graph = trace(program, args, names).used()

    # the readable form

    def readable(self) -> str:
        graph = _by_leaf(share(simplify(self.graph).used()).used())
        names = variables([node.static for node in graph.inputs])
        used = {arg for node in graph.nodes for arg in node.args} | set(leaves(graph.outputs))
        finals, trees = self.finals(graph, names)
        printer = Printer(graph, names, finals)
        printer.run()
        given = [name for name in self.args if any(_root(node) == name for node in graph.inputs if node in used)]
        for name in ("params", "opt_state"):
            if name in self.args and name not in given and self.args[name]:
                given.append(name)
        given = [name for name in self.args if name in given]
        unpacked = [
            (f"{names[node.static]} = {lookup(node.static)}", shape_text(node))
            for node in graph.inputs
            if node in used and "/" in node.static
        ]
        back = []
        for name, part in zip(self.results, trees, strict=True):
            if name == "state" and not part:
                continue
            back.append(tree_text(map_nodes(lambda node: Quoted(printer.text(node).text), part)))
        body = [*unpacked, *printer.lines, ("", ""), (f"return {', '.join(back)}", "")]
        title = "step" if self.optimizer else "gradients" if self.loss else "forward_backward"
        lines = [f"def {title}({', '.join(given)}):", f'    """{self.purpose()}"""']
        lines += margins(body)
        helpers = [helper_text(name) for name in printer.helpers]
        parts = [self.header(given, back), "import numpy as np", *_spaced(helpers), "\n\n" + "\n".join(lines)]
        text = "\n".join([parts[0], parts[1], *parts[2:]]) + "\n" + self.demonstration(title, given, back)
        return ascii_text(text)

    def finals(self, graph: NodeGraph, names: dict[str, str]) -> tuple[dict[Node, str], tuple[Any, ...]]:
        """Names of the results: new params have the names of the old ones, gradients and the loss their own."""
        position = {node: i for i, node in enumerate(graph.nodes)}
        last = _last_uses(graph)
        by_name = {node.static: node for node in graph.inputs}
        finals: dict[Node, str] = {}
        for name, part in zip(self.results, graph.outputs, strict=True):
            flat = tree.flatten({name: part} if not isinstance(part, tuple) else {})
            for path, node in flat.items():
                if not isinstance(node, Node) or node.kind in (INPUT, CONST) or node in finals:
                    continue
                old = by_name.get(path)
                if old is not None:
                    free = last.get(old, -1) <= position[node]
                    finals[node] = names[path] if free else f"new_{names[path]}"
                elif name == "loss":
                    finals[node] = "loss"
                elif name == "d_params":
                    finals[node] = "d_" + names["params/" + path.split("/", 1)[1]]
        return finals, graph.outputs

    def purpose(self) -> str:
        if self.optimizer is not None:
            return f"One training step with {type(self.optimizer).__name__}: the loss and the new values."
        return "The loss and its gradients." if self.loss else "The output, and the gradients of sum(output * dy)."

    def header(self, given: list[str], back: list[str]) -> str:
        """The docstring of the file: the network in one line, and its use."""
        layers = [type(layer).__name__ for _, layer in walk(self.net) if not layer.children]
        said = f"{_shape(self.in_shape)} -> " + " -> ".join(layers)
        extra = [type(spec).__name__ for spec in (self.plain_loss, self.optimizer) if spec is not None]
        wrapped = textwrap.fill(said + (f"; {', '.join(extra)}" if extra else ""), 100)
        returns = ", ".join(name for name in self.results if name != "state" or len(back) == len(self.results))
        rows = f"{self.batch} row{'s' * (self.batch != 1)}"
        trees = "params and opt_state" if self.optimizer else "params"
        about = (
            f"{trees} are nested dicts of arrays, as in the library. A batch has {rows}.\n"
            "No argument is changed. Run the file to see it work."
        )
        return f'"""{wrapped}\n\n{self.call_text(given, returns)}\n\n{about}\n"""\n'

    def call_text(self, given: list[str], returns: str) -> str:
        title = "step" if self.optimizer else "gradients" if self.loss else "forward_backward"
        return f"    {returns} = {title}({', '.join(given)})"

    def demonstration(self, title: str, given: list[str], back: list[str]) -> str:
        """The demonstration that the file runs as a script."""
        lines = ["", "", 'if __name__ == "__main__":', "    rng = np.random.default_rng(0)"]
        kept = [name for name in self.results if name != "state" or len(back) == len(self.results)]
        for name in given:
            lines.append(f"    {name} = {self.example(name)}")
        call = f"{', '.join(kept)} = {title}({', '.join(given)})"
        if self.optimizer is None:
            return "\n".join([*lines, f"    {call}", f"    print({kept[0]})"]) + "\n"
        if "step" in given:
            lines.remove("    step = 0")
        lines += ["    for step_number in range(20):"]
        call = call.replace("step,", "step_number,") if "step" in given else call
        call = call.replace("step_number(", "step(")
        return "\n".join([*lines, f"        {call}", "        print(step_number, loss)"]) + "\n"

    def example(self, name: str) -> str:
        """The expression of an example value for an argument."""
        value = self.args[name]
        if name == "params":
            return tree_text(_named_map(lambda path, x: Quoted(_weights(path, x)), value))
        if name == "x" and any(leaf.dtype.kind != "f" for leaf in tree.leaves(value)):
            leaf = lambda x: Quoted(_integers(x) if x.dtype.kind != "f" else _normal(x))  # noqa: E731
        elif name in ("x", "y", "dy") and tree.leaves(value)[0].dtype.kind == "f":
            leaf = lambda x: Quoted(f"rng.standard_normal({x.shape}).astype({dtype_text(x.dtype)})")  # noqa: E731
            if name == "y" and type(self.plain_loss).__name__ in ("BinaryCrossEntropy", "SigmoidCrossEntropy"):
                leaf = lambda x: Quoted(f"rng.integers(2, size={x.shape}).astype({dtype_text(x.dtype)})")  # noqa: E731
        elif name == "y":
            classes = 2
            if self.loss is not None and isinstance(self.plain_loss, SoftmaxCrossEntropy):
                classes = compared_shape(self.loss, self.net.out_shape(self.in_shape))[-1]
            leaf = lambda x: Quoted(f"rng.integers({classes}, size={x.shape})")  # noqa: E731
        elif name == "key":
            return 'b"0123456789abcdefghijklmn"'
        elif name == "step":
            return "0"
        else:
            fill_with = {"running_var": "ones"}
            return tree_text(
                _named_map(
                    lambda path, x: Quoted(
                        f"np.{fill_with.get(path.split('/')[-1], 'zeros')}({x.shape}, {dtype_text(x.dtype)})"
                    ),
                    value,
                )
            )
        return tree_text(tree.map(leaf, value))

    # the planned form

    def planned(self) -> str:
        plan = Plan(self.graph, frozenset({"recycle"}))
        program, helpers = "\n\n\n".join(plan.source), dict[str, None]()
        constants = [f"{name} = {constant_text(value, helpers)}" for name, value in plan.constants.items()]
        used = {arg for node in plan.graph.nodes for arg in node.args} | set(leaves(plan.graph.outputs))
        kept = [node for node in plan.graph.inputs if node in used]
        given = [name for name in self.args if any(_root(node) == name for node in kept)]
        flat = [lookup(node.static) if node in used else "None" for node in plan.graph.inputs]
        results = [
            name for name, part in zip(self.results, plan.graph.outputs, strict=False) if name != "state" or part
        ]
        every = ", ".join([*self.results, *["_"] * (len(plan.graph.outputs) - len(self.results))])
        title = "step" if self.optimizer else "gradients" if self.loss else "forward_backward"
        wrapper = [
            f"def {title}({', '.join(given)}):",
            f'    """{self.purpose()}"""',
            f"    {every} = run({', '.join(flat)})",
            f"    return {', '.join(results)}",
        ]
        parts = [
            self.header(given, results),
            "import numpy as np",
            *_spaced([helper_text(name) for name in helpers]),
            "\n\n" + "\n".join(constants),
            f"\n\narena = np.empty({plan.scratch_bytes + ALIGNMENT}, np.uint8)",
            f"arena = arena[-arena.ctypes.data % {ALIGNMENT} :]",
            program.rstrip(),
            "\n\n" + "\n".join(wrapper),
        ]
        return ascii_text("\n".join(parts) + "\n" + self.demonstration(title, given, results))


def _last_uses(graph: NodeGraph) -> dict[Node, int]:
    """The last read of each value; an expression that may be written inside another is read with it."""
    users: dict[Node, list[Node]] = {}
    for node in graph.nodes:
        for arg in node.args:
            users.setdefault(arg, []).append(node)
    read: dict[Node, int] = {}
    last: dict[Node, int] = {}
    for i, node in reversed(list(enumerate(graph.nodes))):
        alone = node.kind is VIEW or (len(users.get(node, ())) == 1 and node.kind not in (SETTLE, CALL))
        read[node] = max([i, *(read[user] for user in users.get(node, ()) if alone and not node.name)])
        for arg in node.args:
            last[arg] = max(last.get(arg, -1), read[node])
    return last


def _by_leaf(graph: NodeGraph) -> NodeGraph:
    """The graph with the update ordered leaf by leaf."""
    update = {node for node in graph.nodes if node.place.section == "update" and node.kind is not PROBE}
    order = [node for node in graph.nodes if node not in update]
    done: set[Node] = set(order)

    def add(node: Node) -> None:
        if node not in done:
            done.add(node)
            for arg in node.args:
                add(arg)
            order.append(node)

    parts = graph.outputs if isinstance(graph.outputs, tuple) else (graph.outputs,)
    for part in parts:
        for node in leaves(part):
            add(node)
    for node in graph.nodes:
        add(node)
    return NodeGraph(order, graph.inputs, graph.outputs)


def _normal(x: Any) -> str:
    return f"rng.standard_normal({x.shape}).astype({dtype_text(x.dtype)})"


def _integers(x: Any) -> str:
    return f"rng.integers(2, size={x.shape}){' > 0' if x.dtype.kind == 'b' else ''}"


def _weights(path: str, x: Any) -> str:
    if x.ndim < 2:
        return f"np.{'ones' if path.endswith('scale') else 'zeros'}({x.shape}, {dtype_text(x.dtype)})"
    return f"rng.standard_normal({x.shape}).astype({dtype_text(x.dtype)}) / {round(math.sqrt(x.shape[0]), 3)}"


def _named_map(f: Callable[[str, Any], Any], value: Any, path: str = "") -> Any:
    if isinstance(value, dict):
        return {name: _named_map(f, inner, f"{path}/{name}") for name, inner in value.items()}
    return f(path, value)


def _zeros(net: Layer, in_shape: Shape, dtype: Any) -> tuple[Any, Any]:
    """Params and state of zeros."""
    flat = tree.flatten(net.leaves(in_shape))
    made = {
        kind: {path: np.zeros(leaf.shape, dtype) for path, leaf in flat.items() if leaf.kind == kind}
        for kind in ("param", "state")
    }
    return tree.unflatten(made["param"]), tree.unflatten(made["state"])


def _shape(shape: Any) -> str:
    return str(shape) if not isinstance(shape, dict) else ", ".join(f"{name} {inner}" for name, inner in shape.items())


def _root(node: Node) -> str:
    return str(node.static).split("/")[0]


def _spaced(parts: list[str]) -> list[str]:
    return [f"\n\n{part}" for part in parts]
