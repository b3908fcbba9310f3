"""A stand-in does what the real thing does, or refuses: every name of arrays, NumPy's scalars, numbers and keys."""

from __future__ import annotations

import copy
import math
import numbers
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import funcnet as fn
from funcnet.compiler import structure
from funcnet.compiler.plan import Plan
from funcnet.compiler.record import is_input, trace
from tests.compiler.comparison import check_same

VALUES: dict[str, Any] = {
    "float": 2.5,
    "int": 3,
    "array": np.array([[1.5, -2.0, 3.0], [0.5, 0.0, -0.0]]),
    "transposed array": np.arange(6, dtype=np.float32).reshape(3, 2).T,
    "array of integers": np.array([2, 0, 1]),
    "array of booleans": np.array([True, False]),
    "array of shape ()": np.array(2.5),
    "array of one entry": np.array([2.5], np.float32),
    "float64": np.float64(2.5),
    "float32": np.float32(0.3),
    "int64": np.int64(3),
    "bool": np.bool_(True),
    "key": fn.Key(7),
}
NAMES = {
    name: sorted({*dir(value), *(dir(np.ndarray) if isinstance(value, np.generic) else ())})
    for name, value in VALUES.items()
}
GIVEN: tuple[tuple[Any, ...], ...] = ((), (2,), (0,), (-1.5,), (0, 1), ("f",), (None,), ((2, 3),), (np.arange(2.0),))
"""What each of them is called with, where it can be called"""
OF_EVERY_OBJECT = {
    "__doc__", "__dir__", "__init__", "__new__", "__init_subclass__", "__subclasshook__", "__getattribute__",
    "__setattr__", "__delattr__", "__module__", "__dict__", "__weakref__", "__slots__",
    "__annotations__", "__hash__", "__array_priority__", "__array_ufunc__",
    "__array_function__", "__array_struct__", "__array_interface__", "__array_finalize__",
    "__firstlineno__", "__static_attributes__",
}  # fmt: skip
"""About the class, or asked by NumPy of any object: a stand-in has its own"""

KNOWN = {
    "mean": ((0,),),  # of shape (), where NumPy finds no axis
    "reshape": ((), (None,)),
    "conj": ((None,), "array"),  # where to write
    "conjugate": ((None,), "array"),
    "choose": ((0, 1),),
    "permutation": (((2, 3),),),
    "__pow__": ((0, 1),),  # pow(x, 0, 1)
    "__rpow__": ((0, 1),),
}
"""What a stand-in does otherwise, or not, by what it is called with; no result of a compiled function is wrong"""
KNOWN_OF_SCALARS = frozenset(("dot", "argpartition"))
"""What one of two has, scalars of NumPy and their stand-ins"""
KNOWN_OF_KEYS = frozenset(("__class__",))


def recorded(f: Callable[..., Any], *args: Any) -> Any:
    """What a function gives once it is recorded, without a comparison that would hide what is wrong."""
    graph = trace(f, args, strict=True)
    return Plan(graph).make()(*(leaf for leaf in structure.leaves(args) if is_input(leaf)))


def outcome(how: Callable[..., Any], f: Callable[[Any], Any], value: Any) -> tuple[Any, type | None]:
    """The result, or the class of the error."""
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return how(f, copy.deepcopy(value)), None
    except Exception as error:
        return None, type(error)


def fault(f: Callable[[Any], Any], value: Any) -> str:
    """How a recorded function differs from a plain one; empty where it does not, or is refused."""
    found, error = outcome(recorded, f, value)
    if error is fn.TraceError:
        return ""
    expected, plain_error = outcome(lambda f, value: f(value), f, value)
    if expected is NotImplemented:
        return ""  # by way of an operator it is an error, or the other operand's
    if error or plain_error:
        return "" if error and plain_error else f"{error or found!r}, plain {plain_error or expected!r}"
    try:
        check_same(found, expected)
    except AssertionError as difference:
        return str(difference)
    return ""


def used(name: str, given: tuple[Any, ...]) -> Callable[[Any], Any]:
    """The use of a name of an object: an attribute, or a method that is called."""

    def use(x: Any) -> Any:
        value = getattr(x, name)
        return value(*copy.deepcopy(given)) if callable(value) and not isinstance(value, type) else value

    return use


@pytest.mark.parametrize("kind", VALUES)
def test_every_name(kind: str) -> None:
    value, faults = VALUES[kind], []
    left_out = OF_EVERY_OBJECT
    left_out |= KNOWN_OF_SCALARS if isinstance(value, np.generic) else KNOWN_OF_KEYS if kind == "key" else set()
    for name in NAMES[kind]:
        if name not in left_out:
            for given in GIVEN:
                shown = "array" if given and isinstance(given[0], np.ndarray) else given
                text = "" if shown in KNOWN.get(name, ()) else fault(used(name, given), value)
                faults += [f"{name}{given}: {text}"] if text else []
    assert not faults, "\n".join(faults)


OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "==": lambda x, y: x == y, "!=": lambda x, y: x != y, "<": lambda x, y: x < y, "<=": lambda x, y: x <= y,
    ">": lambda x, y: x > y, ">=": lambda x, y: x >= y, "+": lambda x, y: x + y, "-": lambda x, y: x - y,
    "*": lambda x, y: x * y, "/": lambda x, y: x / y, "//": lambda x, y: x // y, "%": lambda x, y: x % y,
    "**": lambda x, y: x**y, "@": lambda x, y: x @ y, "&": lambda x, y: x & y, "|": lambda x, y: x | y,
    "^": lambda x, y: x ^ y, "<<": lambda x, y: x << y, ">>": lambda x, y: x >> y, "divmod": divmod,
    "in": lambda x, y: x in y, "[]": lambda x, y: x[y], "is": lambda x, y: x is y,
}  # fmt: skip
OTHERS = (2, 2.0, 0.5, -1, True, None, np.float32(1.5), np.int64(2), np.arange(1.0, 4.0), np.array(2), "text")


@pytest.mark.parametrize("operator", OPERATORS)
def test_operators(operator: str) -> None:
    f, faults = OPERATORS[operator], []
    for kind, value in VALUES.items():
        for other in OTHERS:
            ways = (lambda x, y=other: f(x, y)), (lambda x, y=other: f(y, x))
            for way, text in zip(ways, (f"{kind} {operator} {other!r}", f"{other!r} {operator} {kind}"), strict=True):
                found = fault(way, value)
                faults += [f"{text}: {found}"] if found else []
    assert not faults, "\n".join(faults)


BUILTINS: dict[str, Callable[[Any], Any]] = {
    f.__name__: f
    for f in (abs, bool, complex, float, hash, int, len, list, max, min, repr, reversed, round, sorted, str, sum, tuple)
} | {
    "in Python": lambda x: x if x else -x,
    "format": lambda x: f"{x:.2f}",
    "negated": lambda x: -x,
    "inverted": lambda x: ~x,
    "positive": lambda x: +x,
    "a range": lambda x: list(range(x)),
    "an index": lambda x: [1, 2, 3, 4][x],
    "a key of a dict": lambda x: {x: 1},
    "copied": copy.copy,
    "copied deeply": copy.deepcopy,
    "rounded down": math.floor,
    "rounded up": math.ceil,
    "cut off": math.trunc,
    "first": lambda x: x[0],
    "the first, with dots": lambda x: isinstance(x[0, ...], np.generic),
    "a scalar": lambda x: isinstance(x.sum(), np.generic),
    "an array": np.array,
    "vars": vars,
}  # fmt: skip


@pytest.mark.parametrize("name", BUILTINS)
def test_functions_of_python(name: str) -> None:
    faults = {kind: text for kind in VALUES if (text := fault(BUILTINS[name], VALUES[kind]))}
    assert not faults


CLASSES = (
    int, float, complex, bool, str, list, tuple, dict, np.ndarray, np.generic, np.number, np.floating, np.integer,
    np.bool_, np.float64, np.float32, np.int64, np.int32, fn.Key, numbers.Number, numbers.Real, numbers.Integral,
)  # fmt: skip


@pytest.mark.parametrize("kind", VALUES)
def test_isinstance(kind: str) -> None:
    def answers(x: Any) -> Any:
        return [isinstance(x, cls) for cls in CLASSES]

    assert recorded(answers, VALUES[kind]) == answers(VALUES[kind])


@pytest.mark.parametrize("value", [VALUES["array"], VALUES["array of integers"]], ids=["floats", "integers"])
def test_isinstance_of_what_is_computed(value: Any) -> None:
    def answers(x: Any) -> Any:
        made = x.sum(), x.sum(axis=0), x[0], x[..., 0], x[0, ...], x.reshape(-1)[0], x.T, fn.ops.number(x.sum())
        return [[isinstance(y, cls) for cls in CLASSES] for y in made]

    assert recorded(answers, value) == answers(value)


@pytest.mark.parametrize("value", [3, 2.5])
def test_the_type_of_a_number_that_is_computed(value: Any) -> None:
    def made(n: Any) -> Any:
        found = [n / 2, n // 2, n % 2, n * 2, n + 1, n - 1.0, n * 2.0, n**2, n**-1, 2 / n, 7 // n, -n, abs(n), n + True]
        return [isinstance(y, int) for y in found], [np.arange(3) * y for y in found]

    check_same(recorded(made, value), made(value))


REFUSED: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "a branch": ("array", lambda x: x if x.sum() > 0 else -x),
    "a float": ("array", lambda x: float(x[0, 0])),
    "an entry set": ("array", lambda x: x.__setitem__(0, 1.0)),
    "an update": ("array", lambda x: x.__iadd__(1.0)),
    "values": ("array", np.asarray),
    "a mask": ("array", lambda x: x[x > 0]),
    "a shape": ("array", np.unique),
    "out": ("array", lambda x: np.exp(x, out=np.zeros((2, 3)))),
    "text": ("array", str),
    "a number compared": ("float", lambda x: x > 0),
    "a number equal": ("int", lambda x: x == 3),
    "a number as an index": ("int", range),
    "a key equal": ("key", lambda x: x == fn.Key(7)),
    "a key's digest": ("key", lambda x: x.digest),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_that_is_swallowed_sticks(name: str) -> None:
    kind, f = REFUSED[name]

    def swallowing(x: Any) -> Any:
        try:
            f(x)
        except Exception:
            return 1.0
        return 1.0

    with pytest.raises(fn.TraceError, match=r"^test_standins.py:\d+ `"):
        trace(swallowing, (VALUES[kind],))
    with pytest.raises(fn.TraceError, match=r"^test_standins.py:\d+ `"):
        fn.compile(swallowing, strict=True)(VALUES[kind])


@pytest.mark.parametrize("exponent", [2, -1, 0.5, 2.0, 3, 1.5, np.float32(2.0), np.float64(2.0)], ids=repr)
def test_powers_of_scalars_are_not_those_of_arrays(exponent: Any) -> None:
    """Of these the square as an array's, the root or the reciprocal differ in the last bit from the power."""
    for dtype, values in (
        (np.float32, (4.8759765625, 3.8814918994903564, 4.589092254638672)),
        (np.float64, (0.21045310849546348, 1.7688025160307965, 3.355901456410533, 0.9959011635797435)),
    ):
        for value in values:
            assert not fault(lambda x: x**exponent, dtype(value))
            assert not fault(lambda x: x[0] ** exponent, np.array([value], dtype))
            assert not fault(lambda x: x**exponent, np.array([value], dtype))
