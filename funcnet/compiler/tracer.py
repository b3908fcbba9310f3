"""The tracer: it collects the nodes of a graph while a function runs on stand-ins.

Code that depends on unknown values (an ``if`` on an array, ``float(x)``, a boolean mask as an index) is refused with
a ``TraceError`` that names the line and says what to write instead. A refusal is remembered, so a function that
catches it is refused all the same.
"""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any, NoReturn

import attr
import numpy as np

from funcnet import ops
from funcnet.compiler import numpy_table, standins, structure
from funcnet.compiler.foreign import is_foreign
from funcnet.compiler.graph import Node, Place, Ref, Struct
from funcnet.compiler.kinds import (
    CALL,
    CAST,
    CONST,
    INPUT,
    NUMBER,
    PART,
    PROBE,
    REDUCE,
    SETTLE,
    UFUNC,
    VIEW,
    Arguments,
)
from funcnet.compiler.steady import Steady
from funcnet.errors import TraceError
from funcnet.key import Key
from funcnet.spec.base import Spec


class Tracer:
    """Collects nodes while a function runs."""

    def __init__(self, strict: bool = False, foreign: bool = True, careful: bool = False) -> None:
        self.nodes: list[Node] = []
        self.inputs: list[Node] = []
        self.place = Place()
        self.strict = strict
        self.foreign = foreign  # whether there is user code
        self.careful = careful  # whether user code is checked at every call
        self.dropped: set[Node] = set()  # nodes of failed attempts
        self.refusal: TraceError | None = None
        self.names: list[str] = []  # the layers that are being called, outermost first
        self.warnings: list[str] = []  # warnings to give once the plan has run
        self.opaque = False  # whether there are opaque calls
        self.checked: list[tuple[str, Callable[..., Any], Any, Any]] = []  # user code, with its arguments and results
        self.arrays: dict[int, tuple[Any, bytes, Node]] = {}
        self.numbers: dict[Any, Node] = {}
        self.functions: dict[int, Any] = {}  # the functions of NumPy that were called, by identity
        self.errors, self.filters = np.geterr(), warnings.filters

    def add(self, node: Node, scalar: bool = False) -> Any:
        """Record a call and return the stand-in for its result; ``scalar`` makes shape () a NumPy scalar."""
        self.nodes.append(node)
        return standins.of(self, node, scalar and not node.shape)

    def emit(self, node: Node) -> Node:
        """Record a call."""
        self.nodes.append(node)
        return node

    def input(self, name: str, value: Any) -> Any:
        """A stand-in for an argument: an array, a Python number or a key."""
        if isinstance(value, Key):
            node = Node(INPUT, None, (), name, (), Key, self.place)
        elif type(value) in (int, float):
            node = Node(INPUT, None, (), name, (), type(value), self.place)
        else:
            node = Node(INPUT, None, (), name, value.shape, value.dtype, self.place, value.strides)
        self.inputs.append(node)
        return self.add(node, scalar=isinstance(value, np.generic))

    def node(self, value: Any) -> Node:
        """The node of a recorded value or a constant."""
        kind = type(value)
        if kind in standins.CLASSES:
            if value.tracer is not self:
                raise TraceError("a value of another recording was kept; return it, and pass it in as an argument")
            found: Node = value.node
            return found
        if kind is np.ndarray or isinstance(value, np.generic):
            return self._array(value)
        if kind is bool:
            return self.node(np.bool_(value))  # as NumPy takes it
        if isinstance(value, int | float):
            known = kind, value, repr(value)
            if known not in self.numbers:
                self.numbers[known] = self.emit(CONST.node(value, self.place))
            return self.numbers[known]
        if kind is list or kind is tuple:
            return self.node(np.asarray(value))
        raise TraceError(
            f"{line_at_fault()}: expected an array or a number, got a {kind.__name__}; make it an array, np.asarray(…)"
        )

    def _array(self, value: Any) -> Node:
        """The node of a constant array, which is copied: the code may write to it later."""
        if value.dtype.hasobject:
            raise TraceError(f"{line_at_fault()}: expected an array of numbers, got an array of objects")
        content = value.tobytes()
        known = self.arrays.get(id(value))
        if known is None or known[1] != content or known[2].shape != value.shape:
            node = self.emit(CONST.node(np.array(value), self.place))
            known = self.arrays[id(value)] = value, content, node
        return known[2]

    def array_function(self, f: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Record a NumPy function."""
        self.functions[id(f)] = f
        return numpy_table.call(self, f, args, kwargs)

    def array_ufunc(self, f: Any, method: str, values: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Record a ufunc, or a method of one."""
        self.functions[id(f)] = f
        return numpy_table.call_ufunc(self, f, method, values, kwargs)

    # ----- calls -------------------------------------------------------------------------------------------------

    def ufunc(self, f: Any, *values: Any) -> Any:
        """An elementwise call of arrays and numbers."""
        self.check_errors()
        return self.add(UFUNC.node(f, tuple(map(self.node, values)), self.place), scalar=True)

    def view(self, x: Any, method: str, how: Any, scalar: bool = False) -> Any:
        """A view of an array."""
        base = self.node(x)
        node = VIEW.node(base, method, how, self.place)
        if node.args[0] is not base:  # NumPy has to copy
            self.emit(node.args[0])
        return self.add(node, scalar)

    def reduce(self, f: Any, x: Any, axes: Any, keepdims: bool, dtype: Any) -> Any:
        """``f.reduce`` over the given axes, None for all."""
        self.check_errors()
        return self.add(REDUCE.node(f, self.node(x), axes, keepdims, dtype, self.place), scalar=True)

    def cast(self, x: Any, dtype: Any, order: str = "K") -> Any:
        """A copy in another dtype, or in C order."""
        scalar = type(x) is standins.TracedArray and x.scalar
        return self.add(CAST.node(self.node(x), dtype, self.place, order), scalar)

    def call(
        self, f: Callable[..., Any], args: tuple[Any, ...], like: Any, effect: bool = False, fresh: bool = False
    ) -> Any:
        """A call of any function; ``like`` is the structure of its result, with a ``Struct`` for each leaf."""
        nodes: list[Node] = []

        def stripped(value: Any) -> Any:
            if type(value) in standins.CLASSES or type(value) is np.ndarray:
                nodes.append(self.node(value))
                return Ref(len(nodes) - 1)
            inner = structure.parts(value)
            if inner is None:
                if not may_be_constant(value) and not callable(value):
                    raise TraceError(f"a {type(value).__name__} is passed to uncompiled code; use a tuple or a dict")
                return value
            return structure.with_parts(value, [stripped(part) for _, part in inner])

        static = Arguments(stripped(args), fresh)
        if isinstance(like, Struct):
            node = Node(CALL, f, tuple(nodes), static, like.shape, like.dtype, self.place, like.strides, effect)
            return self.add(node, like.scalar)
        node = self.emit(Node(CALL, f, tuple(nodes), static, (), object, self.place, (), effect))

        def parts(like: Any, path: tuple[Any, ...]) -> Any:
            if isinstance(like, Struct):
                part = Node(PART, None, (node,), path, like.shape, like.dtype, self.place, like.strides)
                return self.add(part, like.scalar)
            if like is None:
                return None
            steps = like.items() if isinstance(like, dict) else enumerate(like)
            inner = [parts(part, (*path, step)) for step, part in steps]
            if isinstance(like, tuple) and not hasattr(like, "_fields"):
                return tuple(inner)
            return structure.with_parts(like, inner)

        return parts(like, ())

    def primitive(self, known: ops.Primitive, values: tuple[Any, ...]) -> Any:
        """A call of a primitive (``ops.primitive``), recorded as one call."""
        own = self.careful and is_foreign(known.function)
        function = Steady(known.function) if own else known.function
        return numpy_table.sampled(self, function, values, {}, fresh=known.fresh, numbers=True)

    def check(self, ok: Any, error: Callable[..., Exception], values: tuple[Any, ...]) -> None:
        """An error that depends on values."""
        self.call(ops.check, (ok, error, *values), Struct((), object), effect=True, fresh=True)

    def is_view(self, x: Any) -> bool:
        """``ops.is_view``"""
        return self.node(x).kind is VIEW

    def number(self, x: Any) -> Any:
        """``ops.number``: the Python number in an array of shape ()."""
        node = self.node(x)
        if node.is_array and node.size != 1:
            raise ValueError("can only convert an array of size 1 to a Python scalar")
        if node.is_array and node.dtype.kind not in "fiu":
            self.refuse("turns an array of " + str(node.dtype) + " into a Python number", "cast it to floats first")
        integer = node.is_array and node.dtype.kind in "iu"
        return self.add(NUMBER.node(ops.number, (node,), int if integer else float, self.place))

    def scalar(self, f: Callable[..., float], numbers: tuple[Any, ...]) -> Any:
        """A function of Python numbers."""
        if isinstance(f, ops.Blank) and f.steady:
            numbers = ()
        return self.add(NUMBER.node(as_float(f), tuple(map(self.node, numbers)), float, self.place))

    def fold(self, key: Any, words: tuple[Any, ...]) -> Any:
        """``ops.fold``"""
        return self.call(Key.fold, (key, *words), Struct((), Key), fresh=True)

    def probe(self, a: Any, b: Any) -> Any:
        """``ops.probe``"""
        return self.add(PROBE.node(self.node(a), self.node(b), self.place))

    def settle(self, x: Any, step: Any) -> Any:
        """``ops.settle``"""
        node = self.node(x)
        if node.dtype.kind != "f":
            self.refuse("settles an array of integers", "settle averages of floats")
        return self.add(SETTLE.node(node, self.node(step), self.place))

    @contextlib.contextmanager
    def scope(self) -> Iterator[None]:
        """Nodes recorded inside the block are never shared with nodes outside it."""
        outer = self.place
        self.place = outer._replace(scope=len(self.nodes) + 1)
        try:
            yield
        finally:
            self.place = outer

    # ----- refusals ----------------------------------------------------------------------------------------------

    def refused(self, what: str, instead: str) -> TraceError:
        """A TraceError that names the line at fault; it is remembered."""
        when = "while it is recorded, when arrays have no values yet"
        self.refusal = TraceError(f"{line_at_fault()}: {what} {when}; {instead}")
        return self.refusal

    def refuse(self, what: str, instead: str) -> NoReturn:
        """Raise a TraceError that names the line at fault, and remember it."""
        raise self.refused(what, instead)

    def check_errors(self) -> None:
        """Refuse code that handles floating-point errors or warnings: recording computes no values."""
        if not self.foreign:
            return
        if warnings.filters is not self.filters:
            self.refuse("handles warnings (warnings.catch_warnings)", "test the values, such as np.isfinite(x)")
        now = np.geterr()
        if now != self.errors and set(now.values()) - set(self.errors.values()) - {"ignore", "warn"}:
            self.refuse("handles floating-point errors (np.errstate)", "test the values, such as np.isfinite(x)")

    @contextlib.contextmanager
    def attempted(self) -> Iterator[None]:
        """Raise the refusals inside the block at its end, and forget them."""
        outer, self.refusal = self.refusal, None
        try:
            yield
        except TraceError:
            raise
        except Exception:
            if self.refusal is not None:  # NumPy or user code has turned the refusal into another error
                raise self.refusal from None
            raise
        else:
            if self.refusal is not None:
                raise self.refusal
        finally:
            self.refusal = outer


class Float:
    """A user-defined function whose result is converted to a float."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.__name__ = getattr(function, "__name__", type(function).__name__)

    def __call__(self, *numbers: Any) -> float:
        """The function's result as a float."""
        return float(self.function(*numbers))


def as_float(function: Callable[..., Any]) -> Callable[..., float]:
    """A function of numbers whose result is a Python float, as those of the library are."""
    return Float(function) if is_foreign(function) else function


def may_be_constant(value: Any) -> bool:
    """Whether a leaf of arguments or results is a constant, which contains no arrays: a string, a number, a spec."""
    return isinstance(value, CONSTANTS) or type(value) in (int, float, Key, slice, range, type(...))


CONSTANTS = (type(None), bool, str, bytes, complex, np.dtype, type, Spec, np.ufunc, np.generic)


LIBRARY = str(Path(__file__).parents[1]) + os.sep
RECORDER = str(Path(__file__).with_name("record.py"))


def line_at_fault() -> str:
    """``file:line `the line's text` `` of the innermost frame of user code, else of the library's own."""
    frame: Any = sys._getframe(1)
    found = "the function"
    libraries = (np.__file__, attr.__file__, __file__)
    passed = (*(str(Path(file).parent) + os.sep for file in libraries), ops.__file__, "<attrs", "<frozen")
    while frame is not None:
        name = frame.f_code.co_filename
        if name == RECORDER and frame.f_code.co_name == "record":  # further out is the caller of the compiled function
            break
        if not name.startswith(passed) and (found == "the function" or not name.startswith(LIBRARY)):
            summary = traceback.extract_stack(frame, limit=1)[-1]
            found = f"{Path(name).name}:{summary.lineno} `{summary.line}`" if summary.line else f"{name}"
            if not name.startswith(LIBRARY):
                break
        frame = frame.f_back
    return found


current: ContextVar[Tracer | None] = ContextVar("tracer", default=None)
"""The tracer of the current recording, if any"""
