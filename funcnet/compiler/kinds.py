"""The kinds of nodes, each defined in one place.

A kind defines how its nodes are made (shape, dtype and strides of the result), how they are evaluated, which arguments
the result may alias (all, unless the kind overrides ``aliases``), how a plan runs them, how they are printed, and how
many operations they cost.

A new kind is a subclass of ``Kind``, one instance of it, and a line in ``numpy_table.py`` that records it.
"""

from __future__ import annotations

import operator
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from funcnet import ops
from funcnet.compiler import layout
from funcnet.compiler.graph import Node, Place, fill, plain_text
from funcnet.compiler.kind import ATOM, BITS, COMPARE, PLUS, POWER, TIMES, UNARY, Kind, Printer, Text, Writer
from funcnet.compiler.layout import Form, Shape, Strides
from funcnet.key import Key

NOWHERE = Place()
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
    operator.floordiv: ("//", TIMES),
    operator.mod: ("%", TIMES),
    operator.pow: ("**", POWER),
}


def forms(args: tuple[Node, ...]) -> list[Form]:
    """The forms of the arrays among the arguments."""
    return [arg.form for arg in args if arg.shape]


class _Input(Kind):
    """An argument of the program; static: its name."""

    name = "input"


class _Const(Kind):
    """A known value; static: an array or a number."""

    name = "const"

    def node(self, value: Any, place: Place = NOWHERE) -> Node:
        """A constant array or number."""
        if isinstance(value, np.ndarray | np.generic):
            value = np.asarray(value)
            return Node(self, None, (), value, value.shape, value.dtype, place, value.strides)
        return Node(self, None, (), value, (), type(value), place)

    def evaluate(self, node: Node, values: list[Any]) -> Any:
        return node.static

    def aliases(self, node: Node) -> tuple[Node, ...]:
        return ()

    def expression(self, node: Node, printer: Printer) -> Text:
        return printer.constant(node)


class _Ufunc(Kind):
    """An elementwise ufunc with one result."""

    name = "ufunc"
    writes = folds = True

    def node(self, f: Any, args: tuple[Node, ...], place: Place) -> Node:
        """``f(*args)``; a Python number takes the dtype of the arrays, as in NumPy."""
        dtype = ufunc_dtypes(f, tuple([arg.dtype for arg in args]))[-1]
        shape = broadcast(*[arg.shape for arg in args])
        if all(arg.row_major or not arg.shape for arg in args):
            strides: Strides | None = layout.row_major(shape, dtype.itemsize)
        else:
            strides = layout.of_elementwise(forms(args), shape, dtype.itemsize)
        return Node(self, f, args, None, shape, dtype, place, strides)

    def evaluate(self, node: Node, values: list[Any]) -> Any:
        return node.f(*values)

    def aliases(self, node: Node) -> tuple[Node, ...]:
        return ()

    def overwrites(self, node: Node, arg: Node) -> bool:
        return node.f is not np.sign  # ten times slower when it overwrites its argument

    def lines(self, node: Node, out: str, w: Writer) -> list[str]:
        keyword = "out=" if node.f in (np.maximum, np.minimum) else ""  # a third position is deprecated there
        return [f"{w.constant(node.f, 'f')}({', '.join(self._operands(node, w))}, {keyword}{out})"]

    def value_text(self, node: Node, w: Writer) -> str:
        return f"{w.constant(node.f, 'f')}({', '.join(self._operands(node, w))})"

    def _operands(self, node: Node, w: Writer) -> list[str]:
        dtypes = ufunc_dtypes(node.f, tuple(arg.dtype for arg in node.args))
        return [w.operand(node, arg, dtype) for arg, dtype in zip(node.args, dtypes, strict=False)]

    def expression(self, node: Node, printer: Printer) -> Text:
        if node.f in OPERATORS and len(node.args) == 2:
            return infix(*OPERATORS[node.f], *map(printer.text, node.args))
        if node.f is np.negative:
            return Text(f"-{printer.text(node.args[0]).within(UNARY)}", UNARY)
        return call_text(printer.function(node.f), node, printer)

    def flops(self, node: Node) -> int | None:
        return node.size


class _Matmul(Kind):
    """``np.matmul`` or ``np.dot``, which use other kernels for vectors and for matrices that are not contiguous.

    Static: whether both operands share memory, since BLAS computes ``x @ x.T`` with another kernel.
    """

    name = "matmul"
    writes = folds = True

    def node(self, f: Any, args: tuple[Node, ...], place: Place) -> Node:
        """``a @ b``, or ``np.dot(a, b)`` of at most two axes each."""
        x, y = args
        if not (x.shape and y.shape):
            raise ValueError("matmul: operands need at least one axis")
        left, right = (x.shape if len(x.shape) > 1 else (1, *x.shape)), (y.shape if len(y.shape) > 1 else (*y.shape, 1))
        if left[-1] != right[-2]:
            raise ValueError(f"matmul: shapes {x.shape} and {y.shape} do not fit")
        core = (*left[-2:-1] * (len(x.shape) > 1), *right[-1:] * (len(y.shape) > 1))
        shape = (*np.broadcast_shapes(left[:-2], right[:-2]), *core)
        dtype = np.result_type(x.dtype, y.dtype)
        if len(core) == 2:
            strides = layout.of_product(x.form, y.form, shape, dtype.itemsize)
        else:  # products with a vector: known where there is no order of batch axes to keep
            plain = len(shape) < 3 and (len(shape) < 2 or all(layout.contiguous(arg.form) for arg in args))
            strides = layout.row_major(shape, dtype.itemsize) if plain else None
        return Node(self, f, args, memory_of(x) is memory_of(y), shape, dtype, place, strides)

    def evaluate(self, node: Node, values: list[Any]) -> Any:
        return node.f(*values)

    def aliases(self, node: Node) -> tuple[Node, ...]:
        return ()

    def lines(self, node: Node, out: str, w: Writer) -> list[str]:
        a, b = node.args
        if node.f is np.dot or self._one_kernel(node):  # calling the method is faster
            return [f"{w.bound(a, 'dot') or f'{w.ref(a)}.dot'}({w.ref(b)}, {out})"]
        return [f"{w.constant(node.f)}({w.ref(a)}, {w.ref(b)}, {out})"]

    def value_text(self, node: Node, w: Writer) -> str:
        return f"{w.constant(node.f)}({', '.join(map(w.ref, node.args))})"

    @staticmethod
    def _one_kernel(node: Node) -> bool:
        """Whether ``dot`` and ``matmul`` use the same kernel, as they do for two contiguous matrices.

        For a matrix of one entry they do not, and differ in the sign of zero.
        """
        a, b = node.args
        plain = all(
            len(arg.shape) == 2
            and arg.dtype == node.dtype
            and (arg.row_major or (arg.strides == layout.packed(arg.shape, (1, 0), arg.dtype.itemsize)))
            for arg in (a, b)
        )
        return plain and min(a.size, b.size) > 1 and node.dtype.kind == "f" and node.dtype.itemsize > 2

    def expression(self, node: Node, printer: Printer) -> Text:
        a, b = map(printer.text, node.args)
        return infix("@", TIMES, a, b) if node.f is np.matmul else Text(f"np.dot({a.text}, {b.text})", ATOM)

    def flops(self, node: Node) -> int | None:
        return 2 * node.size * node.args[0].shape[-1]


class _Reduce(Kind):
    """A ufunc's ``reduce``; static: (axes or None for all, keepdims, the dtype to compute in or None)."""

    name = "reduce"
    writes = folds = True
    NAMES = {
        np.add: "np.sum",
        np.multiply: "np.prod",
        np.maximum: "np.max",
        np.minimum: "np.min",
        np.logical_or: "np.any",
        np.logical_and: "np.all",
    }

    def node(self, f: Any, x: Node, axes: Shape | None, keepdims: bool, dtype: Any, place: Place) -> Node:
        """``f.reduce(x, axes, dtype, keepdims=keepdims)``"""
        gone = set(range(len(x.shape)) if axes is None else axes)
        if f.identity is None and any(x.shape[axis] == 0 for axis in gone):
            raise ValueError(f"zero-size array to reduction operation {f.__name__} which has no identity")
        result = reduced_dtype(f, x.dtype, dtype)
        shape = tuple([1 if i in gone else n for i, n in enumerate(x.shape) if keepdims or i not in gone])
        strides = layout.of_reduction(x.form, axes, keepdims, result.itemsize)
        return Node(self, f, (x,), (axes, keepdims, dtype), shape, result, place, strides)

    def evaluate(self, node: Node, values: list[Any]) -> Any:
        axes, keepdims, dtype = node.static
        return node.f.reduce(values[0], axis=axes, dtype=dtype, keepdims=keepdims)

    def aliases(self, node: Node) -> tuple[Node, ...]:
        return ()

    def lines(self, node: Node, out: str, w: Writer) -> list[str]:
        strides = node.args[0].strides
        if strides is None or min(strides, default=0) < 0:
            # before NumPy 2.2 a given array turns such axes round: another order of sums, and a wrong np.max
            return [f"{out}[...] = {self.value_text(node, w)}"]
        return [self._text(node, out, w)]

    def value_text(self, node: Node, w: Writer) -> str:
        return self._text(node, "None", w)

    def _text(self, node: Node, out: str, w: Writer) -> str:
        axes, keepdims, dtype = node.static
        axis = axes[0] if axes is not None and len(axes) == 1 else axes
        kind = "None" if dtype is None else w.constant(dtype)
        rest = ", True" if keepdims else ""
        return f"{w.constant(node.f, 'f')}.reduce({w.ref(node.args[0])}, {axis}, {kind}, {out}{rest})"

    def expression(self, node: Node, printer: Printer) -> Text:
        axes, keepdims, dtype = node.static
        options = "" if axes is None else f", axis={axes[0] if len(axes) == 1 else axes}"
        options += "" if dtype is None else f", dtype={dtype_text(dtype)}"
        options += ", keepdims=True" if keepdims else ""
        name = self.NAMES.get(node.f) or f"{printer.function(node.f)}.reduce"
        return Text(f"{name}({printer.text(node.args[0]).text}{options})", ATOM)

    def flops(self, node: Node) -> int | None:
        return node.args[0].size


class _View(Kind):
    """A view: a selection or another arrangement of the entries of the same memory.

    Static: ("reshape", shape), ("transpose", axes), ("index", a basic index without ``...``), ("broadcast", shape)
    """

    name = "view"
    folds = True

    def node(self, base: Node, method: str, how: Any, place: Place) -> Node:
        """A view of an array; a reshape that needs a copy is a view of a copy in C order."""
        itemsize = base.dtype.itemsize
        strides: Strides | None
        if method == "reshape":
            shape = how
            strides = layout.of_reshape(base.form, how)
            if strides is None and base.strides is not None:
                base, strides = CAST.node(base, base.dtype, place, "C"), layout.row_major(how, itemsize)
        elif method == "index" and len(base.shape) == 1 and len(how) == 1 and type(how[0]) is slice and base.strides:
            start, stop, step = how[0].indices(base.shape[0])
            shape, strides = (len(range(start, stop, step)),), (base.strides[0] * step,)
        elif base.row_major and method == "transpose":
            shape, strides = tuple([base.shape[a] for a in how]), tuple([base.strides[a] for a in how])  # type: ignore[index]
        else:
            seen = view_of(layout.abstract(base.form, base.dtype), method, how)
            shape, strides = seen.shape, None if base.strides is None else seen.strides
        return Node(self, None, (base,), (method, how), shape, base.dtype, place, strides)

    def evaluate(self, node: Node, values: list[Any]) -> Any:
        return view_of(values[0], *node.static)

    def lines(self, node: Node, out: str, w: Writer) -> list[str]:
        raise AssertionError(node)

    def value_text(self, node: Node, w: Writer) -> str:
        return self.text_on(w.ref(node.args[0]), node, w)

    def text_on(self, base: str, node: Node, w: Writer) -> str:
        """The expression of the view of ``base``, an expression itself."""
        method, how = node.static
        if method == "broadcast":
            return f"{w.constant(np.broadcast_to)}({base}, {how})"
        if method == "reshape":
            return f"{base}.reshape({how!r})"
        if method == "transpose":
            return f"{base}.T" if how == (1, 0) else f"{base}.transpose({how!r})"
        return f"{base}[{', '.join([*map(item_text, how), '...'])}]"  # with ... it is never a scalar, which is a copy

    def expression(self, node: Node, printer: Printer) -> Text:
        method, how = node.static
        base = printer.text(node.args[0])
        if method == "broadcast":
            return Text(f"np.broadcast_to({base.text}, {how})", ATOM)
        if method == "reshape":
            return Text(f"{base.within(ATOM)}.reshape({', '.join(map(str, how)) or '()'})", ATOM)
        if method == "transpose":
            return Text(f"{base.within(ATOM)}{'.T' if how == (1, 0) else f'.transpose{how}'}", ATOM)
        return Text(f"{base.within(ATOM)}[{', '.join(map(item_text, how)) or '...'}]", ATOM)


class _Cast(Kind):
    """A copy of an array in another dtype or another memory order; static: None, or "C" for C order."""

    name = "cast"
    writes = folds = True

    def node(self, x: Node, dtype: Any, place: Place, order: str = "K") -> Node:
        """``x.astype(dtype, order)``, always a copy; the order is "K" or "C"."""
        if order == "C":
            return Node(self, None, (x,), "C", x.shape, dtype, place, layout.row_major(x.shape, dtype.itemsize))
        return Node(self, None, (x,), None, x.shape, dtype, place, layout.of_copy(x.form, dtype.itemsize))

    def evaluate(self, node: Node, values: list[Any]) -> Any:
        return np.asarray(values[0]).astype(node.dtype, order=node.static or "K")

    def aliases(self, node: Node) -> tuple[Node, ...]:
        return ()

    def overwrites(self, node: Node, arg: Node) -> bool:
        return True

    def lines(self, node: Node, out: str, w: Writer) -> list[str]:
        safe = np.can_cast(node.args[0].dtype, node.dtype, "same_kind")
        casting = "" if safe else ", casting='unsafe'"
        return [f"{w.constant(np.copyto)}({out}, {w.ref(node.args[0])}{casting})"]

    def value_text(self, node: Node, w: Writer) -> str:
        return f"{w.ref(node.args[0])}.astype({w.constant(node.dtype)}, {node.static or 'K'!r})"

    def expression(self, node: Node, printer: Printer) -> Text:
        x = printer.text(node.args[0]).within(ATOM)
        number = number_of(node)
        if number is not None:
            axes = layout.outermost_first(node.form)
            shape = tuple([node.shape[axis] for axis in axes])
            text = filled_text(shape, number.item(), node.dtype)
            back = tuple([axes.index(axis) for axis in range(len(axes))])
            return Text(text if back == tuple(range(len(back))) else f"{text}.transpose{back}", ATOM)
        if node.static == "C" and node.dtype == node.args[0].dtype:
            return Text(f"{x}.copy()", ATOM)
        order = ', order="C"' if node.static == "C" and not node.args[0].row_major else ""
        return Text(f"{x}.astype({dtype_text(node.dtype)}{order})", ATOM)


class _Where(Kind):
    """``np.where(condition, a, b)``"""

    name = "where"
    writes = folds = True

    def node(self, args: tuple[Node, ...], place: Place) -> Node:
        """A choice between two values, arrays or numbers."""
        dtype = np.result_type(*(arg.dtype if arg.is_array else arg.dtype(0) for arg in args[1:]))
        shape = broadcast(*[arg.shape for arg in args])
        strides = layout.of_elementwise(forms(args), shape, dtype.itemsize, ufunc=False)
        return Node(self, np.where, args, None, shape, dtype, place, strides)

    def evaluate(self, node: Node, values: list[Any]) -> Any:
        return np.where(*values)

    def aliases(self, node: Node) -> tuple[Node, ...]:
        return ()

    def lines(self, node: Node, out: str, w: Writer) -> list[str]:
        condition, a, b = node.args
        copyto = w.constant(np.copyto)
        mask = w.ref(condition) if condition.dtype == np.bool_ else f"{w.ref(condition)} != 0"
        values = [self._value(x, node, w) for x in (a, b)]
        return [f"{copyto}({out}, {values[1]})", f"{copyto}({out}, {values[0]}, where={mask})"]

    @staticmethod
    def _value(x: Node, node: Node, w: Writer) -> str:
        if x.kind is CONST and x.is_number:
            return w.filled(np.asarray(x.static).astype(node.dtype).item(), node.dtype, ())
        return w.ref(x)

    def value_text(self, node: Node, w: Writer) -> str:
        return f"{w.constant(np.where)}({', '.join(map(w.ref, node.args))})"

    def expression(self, node: Node, printer: Printer) -> Text:
        return call_text("np.where", node, printer)


class _Concat(Kind):
    """``np.concatenate``; static: the axis, None to flatten all arrays into one vector."""

    name = "concat"
    writes = folds = True

    def node(self, args: tuple[Node, ...], axis: int | None, place: Place) -> Node:
        """Arrays joined along an axis."""
        dtype = np.result_type(*(arg.dtype for arg in args))
        if axis is None:
            shape: Shape = (sum(arg.size for arg in args),)
            return Node(self, np.concatenate, args, None, shape, dtype, place, (dtype.itemsize,))
        whole = list(args[0].shape)
        rest = (*whole[:axis], *whole[axis + 1 :])
        if any(len(n.shape) != len(whole) or (*n.shape[:axis], *n.shape[axis + 1 :]) != rest for n in args):
            raise ValueError(f"concatenate: shapes {[n.shape for n in args]} do not fit")
        whole[axis] = sum(arg.shape[axis] for arg in args)
        shape = tuple(whole)
        strides = layout.of_concatenation([arg.form for arg in args], shape, dtype.itemsize)
        return Node(self, np.concatenate, args, axis, shape, dtype, place, strides)

    def evaluate(self, node: Node, values: list[Any]) -> Any:
        return np.concatenate(values, axis=node.static)

    def aliases(self, node: Node) -> tuple[Node, ...]:
        return ()

    def lines(self, node: Node, out: str, w: Writer) -> list[str]:
        copied = w.copied(node) if node.static is None else None
        if copied is not None:
            return [f"{w.constant(np.copyto)}({slot}, {w.ref(arg)})" for slot, arg in copied]
        return [f"{w.constant(np.concatenate)}(({', '.join(map(w.ref, node.args))},), {node.static}, {out})"]

    def value_text(self, node: Node, w: Writer) -> str:
        return f"{w.constant(np.concatenate)}(({', '.join(map(w.ref, node.args))},), {node.static})"

    def expression(self, node: Node, printer: Printer) -> Text:
        return Text(
            f"np.concatenate([{', '.join(printer.text(arg).text for arg in node.args)}], axis={node.static})", ATOM
        )


class _Settle(Kind):
    """``ops.settle``: every 32nd step flushes small entries to zero, in place if the array has no other user."""

    name = "settle"

    def node(self, x: Node, step: Node, place: Place) -> Node:
        """``ops.settle(x, step)``"""
        strides = layout.of_elementwise(forms((x,)), x.shape, x.dtype.itemsize)
        return Node(self, ops.settle, (x, step), None, x.shape, x.dtype, place, strides)

    def evaluate(self, node: Node, values: list[Any]) -> Any:
        return ops.settle(*values)

    def aliases(self, node: Node) -> tuple[Node, ...]:
        return node.args[:1]

    def lines(self, node: Node, out: str, w: Writer) -> list[str]:
        x, step = node.args
        lines = [] if out == w.ref(x) else [f"{w.constant(np.copyto)}({out}, {w.ref(x)})"]
        cell = w.filled(ops.flush_shift(node.dtype), node.dtype, ())
        add, subtract = w.constant(np.add), w.constant(np.subtract)
        work = f"{add}({out}, {cell}, {out}); {subtract}({out}, {cell}, {out})"
        return [*lines, f"if not {w.ref(step)} % {ops.SETTLE_EVERY}: {work}"]

    def value_text(self, node: Node, w: Writer) -> str:
        return f"{w.constant(ops.settle)}({', '.join(map(w.ref, node.args))})"

    def expression(self, node: Node, printer: Printer) -> Text:
        return call_text(printer.need("settle"), node, printer)


class _Probe(Kind):
    """``ops.probe``: a Python float that is finite only if all entries of two arrays of equal shape are."""

    name = "probe"

    def node(self, a: Node, b: Node, place: Place) -> Node:
        """``ops.probe(a, b)``"""
        return Node(self, ops.probe, (a, b), None, (), float, place)

    def evaluate(self, node: Node, values: list[Any]) -> Any:
        return ops.probe(*values)

    def aliases(self, node: Node) -> tuple[Node, ...]:
        return ()

    def value_text(self, node: Node, w: Writer) -> str:
        a, b = map(w.ref, node.args)
        flat = all(len(arg.shape) == 1 for arg in node.args)
        return f"{a}.dot({b})" if flat else f"{w.constant(np.vdot)}({a}, {b})"

    def flops(self, node: Node) -> int | None:
        return 2 * node.args[0].size


class _Number(Kind):
    """A function of Python numbers, or ``ops.number`` of an array of shape ()."""

    name = "number"
    folds = True
    INFIX = {
        operator.add: "+",
        operator.sub: "-",
        operator.mul: "*",
        operator.truediv: "/",
        operator.floordiv: "//",
        operator.mod: "%",
        operator.pow: "**",
    }

    def node(self, f: Any, args: tuple[Node, ...], dtype: Any, place: Place) -> Node:
        """A number, a float or an int."""
        return Node(self, f, args, None, (), dtype, place)

    def evaluate(self, node: Node, values: list[Any]) -> Any:
        return node.f(*values)

    def aliases(self, node: Node) -> tuple[Node, ...]:
        return ()

    def value_text(self, node: Node, w: Writer) -> str:
        texts = [f"({text})" if text.startswith("-") else text for text in map(w.ref, node.args)]
        if node.f in self.INFIX:
            return f"{texts[0]} {self.INFIX[node.f]} {texts[1]}"
        if node.f is operator.neg:
            return f"-{texts[0]}"
        if node.f is ops.number and node.args[0].is_array:
            return f"{texts[0]}.item()"
        return f"{w.constant(node.f, 'f')}({', '.join(texts)})"

    def expression(self, node: Node, printer: Printer) -> Text:
        if node.f in OPERATORS and len(node.args) == 2:
            return infix(*OPERATORS[node.f], *map(printer.text, node.args))
        if node.f is operator.neg:
            return Text(f"-{printer.text(node.args[0]).within(UNARY)}", UNARY)
        if node.f is ops.number:
            return Text(f"{'int' if node.dtype is int else 'float'}({printer.text(node.args[0]).text})", ATOM)
        return printer.number(node.f, node.args)


class Arguments(NamedTuple):
    """The arguments of a call, with a ``Ref`` for each node; ``fresh`` if the result shares no memory with them."""

    values: tuple[Any, ...]
    fresh: bool = False


class _Call(Kind):
    """Any function; static: its ``Arguments``."""

    name = "call"

    def evaluate(self, node: Node, values: list[Any]) -> Any:
        return node.f(*fill(node.static.values, values))

    def aliases(self, node: Node) -> tuple[Node, ...]:
        return () if node.static.fresh else node.args

    def expression(self, node: Node, printer: Printer) -> Text:
        return printer.call(node)

    def flops(self, node: Node) -> int | None:
        f = getattr(node.f, "function", node.f)  # Keywords wraps a function with keyword arguments
        if f in self.FLOPS:
            return self.FLOPS[f] * sum(arg.size for arg in node.args if arg.is_array)
        known = ops.PRIMITIVES.get(getattr(node.f, "__name__", ""))
        if known is None or known.function is not node.f or known.flops is None:
            return None
        return known.flops(*fill(node.static.values, node.args))

    FLOPS: dict[Any, int] = {
        **dict.fromkeys((Key.fold, Key.bits, Key.uniform, Key.normal, Key.permutation, Key.integers), 0),
        **dict.fromkeys((ops.check, np.cumsum, np.cumprod, np.argmax, np.argmin), 1),
    }
    """Operations per entry of the arguments, for opaque functions"""


class _Part(Kind):
    """A part of a call's result; static: the steps that lead to it."""

    name = "part"

    def evaluate(self, node: Node, values: list[Any]) -> Any:
        value = values[0]
        for step in node.static:
            value = value[step]
        return value

    def value_text(self, node: Node, w: Writer) -> str:
        return w.ref(node.args[0]) + "".join(f"[{step!r}]" for step in node.static)

    def expression(self, node: Node, printer: Printer) -> Text:
        return Text(printer.text(node.args[0]).text + "".join(f"[{step!a}]" for step in node.static), ATOM)


INPUT, CONST, UFUNC, MATMUL, REDUCE = _Input(), _Const(), _Ufunc(), _Matmul(), _Reduce()
VIEW, CAST, WHERE, CONCAT, SETTLE = _View(), _Cast(), _Where(), _Concat(), _Settle()
PROBE, NUMBER, CALL, PART = _Probe(), _Number(), _Call(), _Part()


def memory_of(node: Node) -> Node:
    """The node that owns the memory of a view; for any other node, the node itself."""
    while node.kind is VIEW:
        (node,) = node.args
    return node


def number_of(node: Node) -> Any:
    """The number that fills an array, as an array of shape (); None if the entries are not known to be equal."""
    if node.kind is CAST and node.args[0].dtype == node.dtype:
        node = node.args[0]
    if node.kind is VIEW and node.static[0] == "broadcast" and node.args[0].kind is CONST and node.args[0].shape == ():
        return node.args[0].static
    return None


# ----- shapes, dtypes, texts -----------------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def ufunc_dtypes(f: Any, kinds: tuple[Any, ...]) -> tuple[Any, ...]:
    """The dtypes in which a ufunc with one result computes, inputs first; the kind of a Python number is its type."""
    found: tuple[Any, ...] = f.resolve_dtypes((*kinds, None))
    return found


@lru_cache(maxsize=4096)
def reduced_dtype(f: Any, dtype: Any, wanted: Any) -> Any:
    """The dtype of a reduction's result."""
    return f.reduce(np.ones(1, dtype), dtype=wanted).dtype


def broadcast(*shapes: Shape) -> Shape:
    """The shape of an elementwise call's result."""
    whole = [shape for shape in shapes if shape]
    if not whole:
        return ()
    first = whole[0]
    return first if all(shape == first for shape in whole) else np.broadcast_shapes(*whole)


def view_of(array: Any, method: str, how: Any) -> Any:
    """A view of an array: the evaluation of a ``_View`` node."""
    if method == "reshape":
        return array.reshape(how)
    if method == "transpose":
        return array.transpose(how)
    return array[(*how, ...)] if method == "index" else np.broadcast_to(array, how)  # never a scalar, a copy


def item_text(item: Any) -> str:
    """One item of a basic index as code."""
    if isinstance(item, slice):
        parts = ["" if part is None else str(part) for part in (item.start, item.stop, item.step)]
        return ":".join(parts if parts[2] else parts[:2])
    return str(item)


def dtype_text(dtype: Any) -> str:
    """``np.float32``"""
    return "bool" if dtype == np.bool_ else f"np.{np.dtype(dtype).name}"


def call_text(name: str, node: Node, printer: Printer) -> Text:
    """A call of a function by its printed name."""
    return Text(f"{name}({', '.join(printer.text(arg).text for arg in node.args)})", ATOM)


def filled_text(shape: tuple[int, ...], number: Any, dtype: np.dtype) -> str:
    """An array of one number as code."""
    text, kind = plain_text(number), dtype_text(dtype)
    name = {"0": "zeros", "0.0": "zeros", "1": "ones", "1.0": "ones"}.get(text)
    return f"np.{name}({shape}, {kind})" if name else f"np.full({shape}, {text}, {kind})"


def infix(symbol: str, strength: int, x: Text, y: Text) -> Text:
    """An expression with an operator between its operands."""
    if symbol == "+" and y.text.startswith("-") and y.strength in (UNARY, TIMES):
        return Text(f"{x.within(PLUS)} - {y.text[1:]}", PLUS)  # p + -r * g is p - r * g, to the last bit
    apart = symbol in ("//", "%", "@") and x.text.startswith("-")  # -a // b is not -(a // b)
    left = ATOM if symbol == "**" or apart else strength + (strength == COMPARE)
    return Text(f"{x.within(left)} {symbol} {y.within(strength + 1)}", strength)


def is_elementwise(node: Node) -> bool:
    """Whether each entry of the result depends only on the entries at the same index, not on their position."""
    if node.kind is UFUNC:
        return node.f is not np.fmax and node.f is not np.fmin  # whether they pick -0 or 0 depends on the position
    return node.kind is CAST or node.kind is WHERE
