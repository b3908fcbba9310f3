"""Values for the laws, and their comparison."""

from __future__ import annotations

import contextlib
import pickle
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from funcnet import ops, tree
from funcnet.compiler.function import compile
from funcnet.compiler.hidden import Hidden
from funcnet.errors import CompileWarning, LawError, SpecError
from funcnet.key import Array, Key
from funcnet.layers.base import Layer, zeros_for
from funcnet.shapes import Shape, Value
from funcnet.spec.base import Spec, nested
from funcnet.spec.codec import from_json, to_json
from funcnet.spec.kinds import base_of
from funcnet.spec.registry import own_tag

EPS = 1e-6
RTOL = 1e-6
BATCH = 4
DIGITS = 8
"""Significant digits of a number in an error; seven would tell any two apart that do not agree"""


def expect(holds: Any, law: str, subject: Any, detail: str = "") -> None:
    """Raise LawError naming the law unless it holds."""
    if not holds:
        raise LawError(f"breaks the law {law!r}{': ' + detail if detail else ''}", layer=type(subject).__name__)


@contextlib.contextmanager
def guarded(subject: Any) -> Iterator[None]:
    """Turn an attempt to write to an argument into a LawError."""
    try:
        with ops.quiet():
            yield
    except ValueError as error:
        if "read-only" not in str(error):
            raise
        raise LawError(
            f"breaks the law 'pure': writes to its arguments ({error})", layer=type(subject).__name__
        ) from None


def random_like(value: Value, key: Key) -> Value:
    """Normal draws in the structure, shapes and dtypes of a value; ``None`` for leaves other than floats."""
    counter = iter(range(10**6))

    def one(leaf: Any) -> Any:
        array = np.asarray(leaf)
        return key.fold(next(counter)).normal(array.shape, array.dtype) if array.dtype.kind == "f" else None

    return tree.map(one, value)


def random_input(layer: Layer, in_shape: Shape, key: Key, batch: int = BATCH, dtype: Any = np.float64) -> Value:
    """A batch for a layer: normal draws, integers 0 and 1, or booleans whose first along the last axis is true."""
    counter = iter(range(10**6))

    def one(leaf: Array) -> Array:
        draw = key.fold(next(counter))
        if leaf.dtype.kind == "f":
            return draw.normal(leaf.shape, leaf.dtype)
        bits = draw.bits(leaf.shape, np.uint8) % 2
        return bits.astype(np.int64) if leaf.dtype.kind == "i" else (bits + (np.arange(leaf.shape[-1]) == 0)) > 0

    return tree.map(one, zeros_for(layer, in_shape, batch, dtype))


def frozen_copy(value: Value) -> Value:
    """A read-only copy; ``None`` leaves stay."""

    def one(leaf: Any) -> Any:
        if leaf is None:
            return None
        copy = np.array(leaf)
        copy.flags.writeable = False
        return copy

    return tree.map(one, value)


def turned(value: Any) -> Any:
    """The same value with the keys of every dict in reverse order."""
    if isinstance(value, dict):
        return {name: turned(value[name]) for name in reversed(value)}
    return tuple(map(turned, value)) if isinstance(value, tuple) else value


def inner(a: Value, b: Value) -> float:
    """The inner product of two values of one structure, over the leaves that both have."""
    if a is None or b is None:
        return 0.0
    if isinstance(a, dict):
        return sum(inner(a[name], b[name]) for name in a)
    if isinstance(a, tuple):
        return sum(inner(x, y) for x, y in zip(a, b, strict=True))
    return float(np.vdot(a, b))


def moved(value: Value, direction: Value, by: float) -> Value:
    """``value + by · direction``; leaves without a direction stay."""
    if isinstance(value, dict):
        return {name: moved(leaf, direction[name], by) for name, leaf in value.items()}
    if isinstance(value, tuple):
        return tuple(moved(a, b, by) for a, b in zip(value, direction, strict=True))
    return value if direction is None else value + by * direction


def same(a: Value, b: Value, rtol: float = 0.0) -> bool:
    """Whether two values agree in structure, dtypes, and numbers: to the last bit, or to a tolerance."""
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same(a[name], b[name], rtol) for name in a)
    if isinstance(a, tuple):
        return isinstance(b, tuple) and len(a) == len(b) and all(same(x, y, rtol) for x, y in zip(a, b, strict=True))
    if a is None or b is None:
        return a is b
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    if rtol == 0.0 or a.dtype.kind != "f":
        return bool(np.array_equal(a, b, equal_nan=a.dtype.kind == "f"))
    scale = float(np.max(np.abs(b), initial=0.0, where=np.isfinite(b)))
    with np.errstate(invalid="ignore"):  # the difference of equal infinities is NaN
        return bool(np.all((a == b) | (np.abs(a - b) <= rtol * max(scale, 1.0))))


def slope(f: Callable[[float], float], eps: float = EPS) -> float:
    """The derivative of a function of one number at 0, by central differences."""
    return (f(eps) - f(-eps)) / (2.0 * eps)


def slope_like(f: Callable[[float], float], analytic: float, scale: float) -> tuple[float, bool]:
    """The slope, and whether it agrees with a derivative.

    Where the first differences do not, smaller ones are taken: in a large network they may cross a kink, such as that
    of a ReLU or of a maximum.
    """
    for eps in (EPS, EPS / 10.0):
        numeric = slope(f, eps)
        if agree(numeric, analytic, scale, eps):
            return numeric, True
    return numeric, False


def shown(number: float) -> float:
    """A number without the digits that a difference does not have."""
    return float(f"{number:.{DIGITS}g}")


def agree(numeric: float, analytic: float, scale: float, eps: float = EPS) -> bool:
    """Whether two slopes agree to RTOL, allowing for the rounding of differences of size ``scale``."""
    rounding = 1e-15 * scale / eps
    return abs(numeric - analytic) <= RTOL * max(abs(numeric), abs(analytic)) + 8.0 * rounding + 1e-10


def one_leaf(values: Value, path: str) -> Value:
    """A tree of values with zeros everywhere except at one leaf."""
    flat = tree.flatten(values)
    return tree.unflatten({name: leaf if name == path else np.zeros_like(leaf) for name, leaf in flat.items()})


def form(values: Any) -> dict[str, Any]:
    """``{path: (shape, dtype)}`` of a tree."""
    return {path: (np.shape(leaf), np.asarray(leaf).dtype.name) for path, leaf in tree.flatten(values).items()}


def check_bits(f: Callable[..., Any], args: tuple[Any, ...], subject: Any) -> None:
    """Compiled, a function gives the bits that it gives plain; arguments are first copied to writable arrays.

    It is run only where some of the code is not the library's, whose tests compare all of its layers, losses and rules.
    """
    if not Hidden(subject).foreign:
        return
    args = tree.map(lambda leaf: leaf if leaf is None else np.array(leaf), args)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CompileWarning)  # what cannot be recorded runs plain
        fast = compile(f)
        for _ in range(2):
            expect(same(fast(*args), f(*args)), "compiled, it gives the same bits", subject)


def check_copies(spec: Spec, values: Callable[[Any], Any]) -> None:
    """Copies of a spec by pickle and, if it is registered, by JSON are equal to it and compute the same."""
    copies = []
    try:
        copies.append(from_json(to_json(spec), base_of(spec.kind)))
    except SpecError:
        expect(not all(own_tag(type(one)) for one in nested(spec)), "a registered spec round-trips through JSON", spec)
    else:
        with contextlib.suppress(pickle.PicklingError, AttributeError):  # a class inside a function cannot be pickled
            copies.append(pickle.loads(pickle.dumps(spec)))
    for copy in copies:
        expect(copy == spec and hash(copy) == hash(spec), "a copy is equal", spec)
        expect(same(values(copy), values(spec)), "a copy computes the same", spec)


def strided(array: Array) -> Array:
    """The same values with a gap after each along the last axis."""
    return np.repeat(array, 2, axis=-1)[..., ::2] if array.ndim else array


def backwards(array: Array) -> Array:
    """The same values with rows in reverse order in memory."""
    return np.ascontiguousarray(array[::-1])[::-1] if array.ndim else array


LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "Fortran order": lambda array: np.array(array, order="F"),
    "strided": strided,
    "reversed": backwards,
}
"""Memory layouts: functions that keep an array's values"""
