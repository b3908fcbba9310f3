"""The recorded program as one readable NumPy file: forward, loss, backward and update, an expression a line."""

from __future__ import annotations

import ast
import inspect
import math
import operator
import re
import textwrap
import unicodedata
from collections.abc import Callable
from functools import singledispatch
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from funcnet import ops, tree
from funcnet.compile.graph import (
    CALL,
    CAST,
    CONCAT,
    CONST,
    INPUT,
    MATMUL,
    NUMBER,
    PART,
    PROBE,
    REDUCE,
    SETTLE,
    UFUNC,
    VIEW,
    WHERE,
    Graph,
    Node,
    fill,
    leaves,
    map_nodes,
)
from funcnet.compile.helpers import HELPERS
from funcnet.compile.passes import share, simplify
from funcnet.compile.plan import Plan, constant_shift
from funcnet.compile.trace import trace
from funcnet.errors import FuncnetError
from funcnet.key import Key
from funcnet.layer import Context, Layer, Shape, apply_child, batched, vjp_child, zeros_of
from funcnet.losses import Loss, SoftmaxCrossEntropy
from funcnet.optim.rules import Optimizer
from funcnet.optim.schedules import Constant, Cosine, Schedule, Step, WarmupCosine
from funcnet.optim.transforms import clip_factor
from funcnet.training.program import gradients, training_step

WIDTH = 88
"""Where the margin with the shapes begins, at the latest"""
ATOM, POWER, UNARY, TIMES, PLUS, BITS, COMPARE = 9, 8, 7, 6, 5, 4, 3
"""How strongly an expression holds together"""
OPERATORS: dict[Any, tuple[str, int]] = {
    np.add: ("+", PLUS),
    np.subtract: ("-", PLUS),
    np.multiply: ("*", TIMES),
    np.divide: ("/", TIMES),
    np.greater: (">", COMPARE),
    np.greater_equal: (">=", COMPARE),
    np.less: ("<", COMPARE),
    np.less_equal: ("<=", COMPARE),
    np.equal: ("==", COMPARE),
    np.not_equal: ("!=", COMPARE),
    np.bitwise_and: ("&", BITS),
    np.bitwise_or: ("|", BITS),
    operator.add: ("+", PLUS),
    operator.sub: ("-", PLUS),
    operator.mul: ("*", TIMES),
    operator.truediv: ("/", TIMES),
    operator.pow: ("**", POWER),
}
REDUCTIONS = {
    np.add: "np.sum",
    np.multiply: "np.prod",
    np.maximum: "np.max",
    np.minimum: "np.min",
    np.logical_or: "np.any",
    np.logical_and: "np.all",
}
LETTERS = {"Σ": "sum ", "ᵀ": ".T", "√": "sqrt", "η": "rate", "∂": "d", "·": "*", "²": "**2", "½": "0.5 ", "∞": "inf"}
LETTERS |= {"←": "=", "≤": "<=", "≥": ">=", "μ": "mean", "σ": "sigma", "Φ": "Phi", "π": "pi", "≈": "~=", "x̂": "x_hat"}
LETTERS |= {"δ": "delta", "⁻": "-", "¹": "1", "₁": "1", "Π": "prod ", "−": "-", "‖": "|", "…": "...", "û": "u"}


class Text(NamedTuple):
    """An expression and how strongly it holds together."""

    text: str
    strength: int

    def within(self, strength: int) -> str:
        """The expression as an operand."""
        return self.text if self.strength >= strength else f"({self.text})"


def ascii_text(text: str) -> str:
    """The text in plain ASCII, its mathematical letters spelt out."""
    for letter, plain in LETTERS.items():
        text = text.replace(letter, plain)
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()


def equations(layer: Layer) -> tuple[str, str]:
    """What a layer's docstring says of its forward and backward pass."""
    text = ascii_text(type(layer).__doc__ or "")
    forward = next(iter(re.findall(r"``([^`]*=[^`]*)``", text)), "")
    backward = re.search(r"VJP +((?:.|\n)*?)(?:\n\s*\n|\n *[A-Z][a-z]+ {2,}|\n *\"|\Z)", text)
    parts = re.split(r",\s+from |;|\n", backward.group(1)) if backward else [""]
    return " ".join(forward.split()), " ".join(parts[0].split()).rstrip(",.")


@singledispatch
def schedule_text(schedule: Schedule, step: str) -> tuple[str, str | None]:
    """``(expression, the helper it needs)`` of a schedule's value.

    Raises   FuncnetError for a schedule of a user's own
    """
    name = type(schedule).__name__
    raise FuncnetError(
        f"cannot print the schedule {name}: only the library's own can be; use one of those, or a number"
    )


@schedule_text.register
def _(schedule: Constant, step: str) -> tuple[str, str | None]:
    return f"float({schedule.value!r})", None


@schedule_text.register
def _(schedule: Step, step: str) -> tuple[str, str | None]:
    return f"float({schedule.initial!r} * {schedule.factor!r} ** ({step} // {schedule.every!r}))", None


@schedule_text.register
def _(schedule: Cosine, step: str) -> tuple[str, str | None]:
    return f"half_cosine({schedule.peak!r}, {schedule.end!r}, {step} / {schedule.total_steps!r})", "half_cosine"


@schedule_text.register
def _(schedule: WarmupCosine, step: str) -> tuple[str, str | None]:
    warmup, total = schedule.warmup_steps, schedule.total_steps or 0
    later = f"half_cosine({schedule.peak!r}, {schedule.end!r}, ({step} - {warmup}) / {max(1, total - warmup)})"
    if not warmup:
        return later, "half_cosine"
    return f"{schedule.peak!r} * {step} / {warmup} if {step} < {warmup} else {later}", "half_cosine"


class Printer:
    """Writes one graph as the body of a function."""

    def __init__(self, graph: Graph, names: dict[str, str], finals: dict[Node, str]) -> None:
        self.graph, self.finals = graph, finals
        self.helpers: dict[str, None] = {}
        self.lines: list[tuple[str, str]] = []
        self.texts: dict[Node, Text] = {}
        self.taken: set[str] = {"np", *names.values(), *finals.values()}
        self.counts: dict[str, int] = {}
        self.uses: dict[Node, int] = {}
        for node in [*(arg for node in graph.nodes for arg in node.args), *leaves(graph.outputs)]:
            self.uses[node] = self.uses.get(node, 0) + 1
        for node in graph.inputs:
            self.texts[node] = Text(names[node.static], ATOM)
        self.flush_steps = {node.args[0] for node in graph.nodes if self.flushed(node) is not None}
        self.pending = [node for node in graph.nodes if node.kind not in (INPUT, CONST)]

    # names

    def unique(self, wanted: str) -> str:
        """A name that is not taken yet."""
        name = re.sub(r"\W", "_", wanted)
        n = 2
        while name in self.taken:
            name = f"{re.sub(chr(92) + 'W', '_', wanted)}_{n}"
            n += 1
        self.taken.add(name)
        return name

    def called(self, node: Node) -> str:
        """What a value is called: by its path, else by what it is part of."""
        if node.name:
            return self.unique(node.name)
        letter = {"backward": "g", "update": "u"}.get(node.place.section, "t")
        if not node.is_array:
            letter = "key" if node.dtype is Key else "s"
        self.counts[letter] = self.counts.get(letter, 0) + 1
        return self.unique(f"{letter}{self.counts[letter]}")

    # expressions

    def text(self, node: Node) -> Text:
        """The expression for a value."""
        if node not in self.texts:
            if node.kind == CONST:
                self.texts[node] = self.constant(node)
            else:
                return self.expression(node)
        return self.texts[node]

    def constant(self, node: Node) -> Text:
        value = node.static
        if not isinstance(value, np.ndarray):
            text = f'float("{value!r}")' if isinstance(value, float) and not math.isfinite(value) else repr(value)
            return Text(text, UNARY if text.startswith("-") else ATOM)
        kind = f"np.{value.dtype.name}" if value.dtype != np.bool_ else "bool"
        if value.shape == ():
            return Text(f"{kind}({value.item()!r})", ATOM)
        if value.ndim == 1 and value.dtype == np.int64 and np.array_equal(value, np.arange(len(value))):
            return Text(f"np.arange({len(value)})", ATOM)
        return Text(f"np.array({value.tolist()!r}, {kind})", ATOM)

    def need(self, name: str) -> str:
        """Note that a helper is used."""
        for other in HELPERS[name][0]:
            self.need(other)
        self.helpers[name] = None
        return name

    def flushed(self, node: Node) -> Node | None:
        """What ``ops.flush`` was called with, for the subtraction it ends in."""
        if node.kind == UFUNC and node.f is np.subtract and node.args[0].kind == UFUNC and node.args[0].f is np.add:
            inner, shift = node.args
            if shift.kind == CONST and inner.args[1] is shift and shift.static == constant_shift(node.dtype):
                return inner.args[0]
        return None

    def infix(self, symbol: str, strength: int, a: Node, b: Node) -> Text:
        x, y = self.text(a), self.text(b)
        if symbol == "+" and y.text.startswith("-") and y.strength in (UNARY, TIMES):
            return Text(f"{x.within(PLUS)} - {y.text[1:]}", PLUS)  # p + -r * g is p - r * g, to the last bit
        left = strength + 1 if symbol == "**" or strength == COMPARE else strength
        return Text(f"{x.within(left)} {symbol} {y.within(strength + 1)}", strength)

    def expression(self, node: Node) -> Text:
        """The expression that computes a node."""
        args, kind = node.args, node.kind
        inner = self.flushed(node)
        if inner is not None:
            return Text(f"{self.need('flush')}({self.text(inner).text})", ATOM)
        if kind in (UFUNC, NUMBER) and node.f in OPERATORS and len(args) == 2:
            return self.infix(*OPERATORS[node.f], *args)
        if kind == MATMUL:
            return self.infix("@", TIMES, *args)
        if (kind == UFUNC and node.f is np.negative) or (kind == NUMBER and node.f is operator.neg):
            return Text(f"-{self.text(args[0]).within(UNARY)}", UNARY)
        plain = [self.text(arg).text for arg in args]
        if kind == UFUNC:
            return Text(f"np.{node.f.__name__}({', '.join(plain)})", ATOM)
        if kind == REDUCE:
            axes, keepdims = node.static
            options = "" if axes is None else f", axis={axes[0] if len(axes) == 1 else axes}"
            name = REDUCTIONS.get(node.f, f"np.{node.f.__name__}.reduce")
            return Text(f"{name}({plain[0]}{options}{', keepdims=True' if keepdims else ''})", ATOM)
        if kind == VIEW:
            return self.view(node)
        if kind == CAST:
            return Text(f"{self.text(args[0]).within(ATOM)}.astype({dtype_text(node.dtype)})", ATOM)
        if kind == WHERE:
            return Text(f"np.where({', '.join(plain)})", ATOM)
        if kind == CONCAT:
            return Text(f"np.concatenate([{', '.join(plain)}], axis={node.static})", ATOM)
        if kind == SETTLE:
            return Text(f"{self.need('settle')}({', '.join(plain)})", ATOM)
        if kind == PART:
            path = "".join(f"[{step!r}]" for step in node.static)
            return Text(f"{plain[0]}{path}", ATOM)
        if kind == NUMBER:
            if node.f is ops.number:
                return Text(f"{'int' if node.dtype is int else 'float'}({plain[0]})", ATOM)
            if isinstance(node.f, Schedule):
                text, helper = schedule_text(node.f, self.text(args[0]).within(ATOM))
                if helper:
                    self.need(helper)
                return Text(text, 0 if " if " in text else ATOM)
            return Text(f"{self.helper(node.f)}({', '.join(plain)})", ATOM)
        return self.call(node)

    def view(self, node: Node) -> Text:
        method, how = node.static
        base = self.text(node.args[0])
        if method == "broadcast":
            return Text(f"np.broadcast_to({base.text}, {how})", ATOM)
        if method == "reshape":
            return Text(f"{base.within(ATOM)}.reshape({', '.join(map(str, how)) or '()'})", ATOM)
        if method == "transpose":
            return Text(f"{base.within(ATOM)}{'.T' if how == (1, 0) else f'.transpose{how}'}", ATOM)
        items = ["..." if item is Ellipsis else _slice(item) for item in how]
        return Text(f"{base.within(ATOM)}[{', '.join(items)}]", ATOM)

    def helper(self, f: Any) -> str:
        """The printed name of a function.

        Raises   FuncnetError for one that the file cannot bring along
        """
        name = getattr(f, "__name__", type(f).__name__)
        if getattr(np, name, None) is f:
            return f"np.{name}"
        known = {clip_factor: "clip_factor", Key.fold: "fold", Key.bits: "bits", Key.uniform: "uniform"}
        known[Key.normal] = "normal"
        if f in known or name in ("norm", "reciprocal") or name in ("erf",):
            return self.need(known.get(f, name))
        raise FuncnetError(f"cannot print a call of {name}: only NumPy's functions and the library's own can be")

    def call(self, node: Node) -> Text:
        args = fill(node.static, [Quoted(self.text(arg).text) for arg in node.args])
        if node.f is operator.getitem:
            return Text(f"{args[0]!r}[{args[1]!r}]", ATOM)
        if getattr(node.f, "__name__", "") == "take" and node.f is not np.take:
            return Text(f"np.take({args[0]!r}, {args[1]!r}, axis=0)", ATOM)
        owner = getattr(node.f, "__self__", None)
        if isinstance(owner, Layer):
            raise FuncnetError(
                f"cannot print {type(owner).__name__}: it is not recorded but runs as it is; "
                "write it in NumPy functions of arrays, without decisions by their values"
            )
        texts = [dtype_text(arg) if isinstance(arg, np.dtype) else repr(arg) for arg in args]
        return Text(f"{self.helper(node.f)}({', '.join(texts)})", ATOM)

    # statements

    def inlined(self, node: Node) -> bool:
        """Whether the expression may stand inside the one that uses it."""
        if node.effect or node in self.finals or node.name or node.dtype is object:
            return False
        if node.kind == VIEW:
            return node.static[0] != "broadcast" or self.uses.get(node, 0) == 1
        if node.kind == NUMBER and node.f is ops.number and node.args[0].kind == INPUT:
            return False
        if self.uses.get(node, 0) != 1 or node.kind in (SETTLE, CALL):
            return False
        if node in self.flush_steps:
            return True
        return len(self.expression(node).text) <= 44

    def run(self) -> None:
        """Write all statements, in sections and by layer."""
        here: tuple[str, str] = ("", "")
        for node in self.pending:
            if node.kind == PROBE or (not self.uses.get(node) and not node.effect):
                continue
            if self.inlined(node):
                self.texts[node] = self.expression(node)
                continue
            place = node.place
            if (place.section, place.path) != here and place.section:
                if place.section != here[0]:
                    self.lines += [("", ""), (f"# ----- {place.section} " + "-" * (70 - len(place.section)), "")]
                if place.layer is not None and not place.layer.children:
                    self.lines.append((self.comment(node), ""))
                here = (place.section, place.path)
            if node.kind == CALL and node.f is ops.check:
                ok = self.text(node.args[0])
                error = "a value is out of range: a label, or a probability"
                self.lines.append((f'if not np.all({ok.text}):\n        raise ValueError("{error}")', ""))
                continue
            expression = self.expression(node).text
            name = self.finals.get(node) or self.called(node)
            self.texts[node] = Text(name, ATOM)
            self.lines.append((f"{name} = {expression}", shape_text(node)))

    def comment(self, node: Node) -> str:
        forward, backward = equations(node.place.layer)
        layer, path = type(node.place.layer).__name__, node.place.path or "the layer"
        equation = forward if node.place.section == "forward" else backward
        return f"# {path} ({layer}){': ' + equation if equation else ''}"


class Quoted:
    """An expression that stands for itself inside a printed structure."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def _slice(item: Any) -> str:
    if isinstance(item, slice):
        text = f"{'' if item.start is None else item.start}:{'' if item.stop is None else item.stop}"
        return text if item.step is None else f"{text}:{item.step}"
    return "None" if item is None else str(int(item))


def dtype_text(dtype: Any) -> str:
    """``np.float32``"""
    return "bool" if dtype == np.bool_ else f"np.{np.dtype(dtype).name}"


def shape_text(node: Node) -> str:
    """What stands at the margin."""
    if not node.is_array:
        return ""
    return str(node.shape) if node.shape else "a number"


def library_text(*functions: Any) -> str:
    """Functions of the library as plain code: without annotations, decorators and all that is not ASCII."""
    texts = []
    for function in functions:
        parsed = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(function))))
        (definition,) = parsed.body
        assert isinstance(definition, ast.FunctionDef)
        definition.decorator_list, definition.returns = [], None
        for argument in definition.args.args:
            argument.annotation = None
        definition.body = [
            ast.Assign([part.target], part.value, lineno=0) if isinstance(part, ast.AnnAssign) and part.value else part
            for part in definition.body
        ]
        texts.append(ascii_text(ast.unparse(parsed)))
    return "\n\n\n".join(texts)


def helper_text(name: str) -> str:
    """The text of a helper."""
    if name == "erf":
        constants = f"_ERF = {ops._ERF!r}\n_ERF_AT_ONE = {ops._ERF_AT_ONE!r}"
        return f"{constants}\n\n\n{library_text(ops._horner, ops._ratio, ops.erf)}"
    return HELPERS[name][1].strip()


# ----- the file --------------------------------------------------------------------------------------------


def source(
    net: Layer,
    in_shape: Shape,
    batch: int = 32,
    loss: Loss | None = None,
    optimizer: Optimizer | None = None,
    *,
    dtype: npt.DTypeLike = np.float32,
    train: bool = True,
    target: Any = None,
    planned: bool = False,
) -> str:
    """A network as one NumPy file to read and to run: forward, backward, and with loss and optimizer a whole step.

    The file gives the library's numbers to the last bit. ``target`` is an example of the targets, by default
    labels for ``SoftmaxCrossEntropy`` and else floats in the shape of the output. With ``planned`` it is the
    program that really runs, with its memory.
    Raises   ShapeError; FuncnetError for what cannot be printed, such as a layer that cannot be recorded
    """
    if optimizer is not None and loss is None:
        raise FuncnetError("expected a loss with the optimizer, got none; give loss=fn.losses.MeanSquaredError()")
    net.out_shape(in_shape)
    recorded = _Program(net, in_shape, batch, loss, optimizer, np.dtype(dtype), train, target)
    return recorded.planned() if planned else recorded.readable()


class _Program:
    """A recorded program and what its file says about it."""

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
        self.dtype = dtype
        params, state = _zeros(net, in_shape, dtype)
        x, y = (zeros_of(batched(shape, batch), dtype) for shape in (in_shape, net.out_shape(in_shape)))
        key = Key(0)
        if loss is None:
            names: tuple[str, ...] = ("params", "state", "x", "dy", "key")
            args: tuple[Any, ...] = (params, state, x, y, key)

            def program(params: Any, state: Any, x: Any, dy: Any, key: Any) -> Any:
                out, new_state, residuals = apply_child(
                    "", net, params, state, x, Context(train, key if train else None)
                )
                dparams, dx = vjp_child("", net, params, residuals, dy)
                return out, new_state, dparams, dx

            self.results = ("y", "state", "d_params", "dx")
        else:
            if target is not None:
                y = target
            elif isinstance(loss, SoftmaxCrossEntropy):
                y = np.zeros(y.shape[:-1], np.int64)
            if optimizer is None:
                names, args = ("params", "state", "key", "x", "y"), (params, state, key, x, y)

                def program(params: Any, state: Any, key: Any, x: Any, y: Any) -> Any:
                    return gradients(net, loss)(params, state, x, y, Context(train, key if train else None), None, None)

                self.results = ("loss", "state", "d_params")
            else:
                names = ("params", "state", "opt_state", "key", "step", "x", "y")
                args = (params, state, optimizer.init(params), key, 0, x, y)

                def program(*args: Any) -> Any:
                    value, params, state, opt_state, _ = training_step(net, loss, optimizer)(*args, None)
                    return value, state, params, opt_state

                self.results = ("loss", "state", "params", "opt_state")
        self.args = dict(zip(names, args, strict=True))
        self.graph = trace(program, args, names).used()

    # the readable form

    def readable(self) -> str:
        graph = _by_leaf(share(simplify(self.graph).used()).used())
        names = _variables([node.static for node in graph.inputs])
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
            (f"{names[node.static]} = {_lookup(node.static)}", shape_text(node))
            for node in graph.inputs
            if node in used and "/" in node.static
        ]
        back = []
        for name, part in zip(self.results, trees, strict=True):
            if name == "state" and not part:
                continue
            back.append(_tree_text(map_nodes(lambda node: Quoted(printer.text(node).text), part)))
        body = [*unpacked, *printer.lines, ("", ""), (f"return {', '.join(back)}", "")]
        title = "step" if self.optimizer else "gradients" if self.loss else "forward_backward"
        lines = [f"def {title}({', '.join(given)}):", f'    """{self.purpose()}"""']
        lines += _margins(body)
        helpers = [helper_text(name) for name in printer.helpers]
        parts = [self.header(given, back), "import numpy as np", *_spaced(helpers), "\n\n" + "\n".join(lines)]
        text = "\n".join([parts[0], parts[1], *parts[2:]]) + "\n" + self.demonstration(title, given, back)
        return ascii_text(text)

    def finals(self, graph: Graph, names: dict[str, str]) -> tuple[dict[Node, str], tuple[Any, ...]]:
        """Names for what is returned: new params under their old names, gradients and the loss under theirs."""
        position = {node: i for i, node in enumerate(graph.nodes)}
        last = {arg: i for i, node in enumerate(graph.nodes) for arg in node.args}
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
            return f"One training step with {type(self.optimizer).__name__}: new values of all that it changes."
        return "The loss and its gradients." if self.loss else "The output, and the gradients of sum(output * dy)."

    def header(self, given: list[str], back: list[str]) -> str:
        """The docstring of the file: the network in a line, and how to use it."""
        layers = [type(layer).__name__ for layer in _leaves_of(self.net)]
        said = f"{_shape(self.in_shape)} -> " + " -> ".join(layers)
        extra = [type(spec).__name__ for spec in (self.loss, self.optimizer) if spec is not None]
        wrapped = textwrap.fill(said + (f"; {', '.join(extra)}" if extra else ""), 100)
        returns = ", ".join(name for name in self.results if name != "state" or len(back) == len(self.results))
        about = (
            "params" + (" and opt_state" if self.optimizer else "") + " are nested dicts of arrays, as in the library. "
            f"A batch\nhas {self.batch} rows. Nothing that is passed in is changed. Run the file to see it work."
        )
        return f'"""{wrapped}\n\n{self.call_text(given, returns)}\n\n{about}\n"""\n'

    def call_text(self, given: list[str], returns: str) -> str:
        title = "step" if self.optimizer else "gradients" if self.loss else "forward_backward"
        return f"    {returns} = {title}({', '.join(given)})"

    def demonstration(self, title: str, given: list[str], back: list[str]) -> str:
        """What the file does when it is run."""
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
        """An expression for a value of an argument."""
        value = self.args[name]
        if name == "params":
            return _tree_text(_named_map(lambda path, x: Quoted(_weights(path, x)), value))
        if name in ("x", "y", "dy") and tree.leaves(value)[0].dtype.kind == "f":
            leaf = lambda x: Quoted(f"rng.standard_normal({x.shape}).astype({dtype_text(x.dtype)})")  # noqa: E731
            if name == "y" and type(self.loss).__name__ in ("BinaryCrossEntropy", "SigmoidCrossEntropy"):
                leaf = lambda x: Quoted(f"rng.integers(2, size={x.shape}).astype({dtype_text(x.dtype)})")  # noqa: E731
        elif name == "y":
            classes = self.net.out_shape(self.in_shape)[-1]
            leaf = lambda x: Quoted(f"rng.integers({classes}, size={x.shape})")  # noqa: E731
        elif name == "key":
            return 'b"0123456789abcdefghijklmn"'
        elif name == "step":
            return "0"
        else:
            fill_with = {"running_var": "ones"}
            return _tree_text(
                _named_map(
                    lambda path, x: Quoted(
                        f"np.{fill_with.get(path.split('/')[-1], 'zeros')}({x.shape}, {dtype_text(x.dtype)})"
                    ),
                    value,
                )
            )
        return _tree_text(tree.map(leaf, value))

    # the planned form

    def planned(self) -> str:
        plan = Plan(self.graph, frozenset({"recycle"}))
        return ascii_text(planned_text(plan, self))


def _by_leaf(graph: Graph) -> Graph:
    """The update leaf by leaf, where it was recorded rule by rule."""
    update = {node for node in graph.nodes if node.place.section == "update" and node.kind != PROBE}
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
    return Graph(order, graph.inputs, graph.outputs)


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


def _leaves_of(layer: Layer) -> list[Layer]:
    """The plain layers of a network, in order."""
    if not layer.children:
        return [layer]
    return [leaf for child in layer.children.values() for leaf in _leaves_of(child)]


def _shape(shape: Any) -> str:
    return str(shape) if not isinstance(shape, dict) else ", ".join(f"{name} {inner}" for name, inner in shape.items())


def _root(node: Node) -> str:
    return str(node.static).split("/")[0]


def _variables(paths: list[str]) -> dict[str, str]:
    """Names of the inputs: a param's is its path, a moment's that in front of it, a count's is count."""
    names: dict[str, str] = {}
    for path in paths:
        root, _, rest = path.partition("/")
        words = (rest if root in ("params", "state", "opt_state") and rest else path).split("/")
        if root == "opt_state":
            words = ["count"] if words[-1] == "step" else words[1:] if f"opt_state/{words[0]}/step" in paths else words
        name = wanted = re.sub(r"\W", "_", "_".join(words))
        n = 2
        while name in names.values():
            name, n = f"{wanted}_{n}", n + 1
        names[path] = name
    return names


def _lookup(path: str) -> str:
    root, *rest = path.split("/")
    return root + "".join(
        f"[{int(step)}]" if root in ("x", "y", "dy") and step.isdigit() else f'["{step}"]' for step in rest
    )


def _tree_text(value: Any, indent: int = 4, used: int = 20) -> str:
    """A structure as code; one entry a line where it would be too long."""
    if isinstance(value, dict):
        inside = [f'"{name}": {_tree_text(inner, indent + 4, len(name) + 4)}' for name, inner in value.items()]
        whole = "{" + ", ".join(inside) + "}"
        if len(whole) + indent + used <= 112 and "\n" not in whole:
            return whole
        margin = " " * (indent + 4)
        return "{\n" + "".join(f"{margin}{entry},\n" for entry in inside) + " " * indent + "}"
    if isinstance(value, tuple):
        return "(" + "".join(f"{_tree_text(inner, indent)}, " for inner in value) + ")"
    return repr(value)


def _margins(body: list[tuple[str, str]]) -> list[str]:
    """Indented lines with their shapes in one column."""
    widths = [len(text) for text, shape in body if shape and len(text) <= WIDTH]
    column = max(widths, default=0)
    lines = []
    for text, shape in body:
        line = f"    {text.ljust(column) if shape else text}{f'  # {shape}' if shape else ''}"
        lines.append(line.rstrip())
    return lines


def _spaced(parts: list[str]) -> list[str]:
    return [f"\n\n{part}" for part in parts]
