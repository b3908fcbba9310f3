"""Whether a compiled function is its plain self: structure, bits, errors, and memory that nobody else holds."""

from __future__ import annotations

import contextlib
import importlib
import pkgutil
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np

import funcnet as fn
from funcnet.compiler.function import Compiled

Array = np.ndarray[Any, Any]

SMALL = ({"BLOCK": 64, "LARGE": 16, "RECYCLED": 16, "PACKED_SIZE": 6}, {"BLOCK": 16, "LARGE": 4, "RECYCLED": 4})
"""Sizes from which arrays are blocked, recycled and packed, so that small ones are"""


class Difference(AssertionError):
    """How a compiled function differs: one of a few kinds, and the details."""

    def __init__(self, kind: str, detail: str = "") -> None:
        super().__init__(f"{kind}: {detail}" if detail else kind)
        self.kind, self.detail = kind, detail


# ----- the compiler's modules -------------------------------------------------------------------------------


@cache
def modules() -> list[Any]:
    """All modules of the compiler."""
    package = importlib.import_module("funcnet.compiler")
    found = pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    return [importlib.import_module(name) for _, name, _ in found]


def options() -> tuple[str, ...]:
    """What may be switched off by ``without``."""
    passes: Any = next((module.PASSES for module in modules() if hasattr(module, "PASSES")), ())
    return (*passes, "block", "reuse", "recycle")


@contextlib.contextmanager
def thresholds(sizes: dict[str, int]) -> Iterator[None]:
    """Other values for the constants of these names, in whichever modules have them."""
    changed = [(m, name, getattr(m, name)) for m in modules() for name in sizes if hasattr(m, name)]
    try:
        for module, name, _ in changed:
            setattr(module, name, sizes[name])
        yield
    finally:
        for module, name, value in changed:
            setattr(module, name, value)


# ----- arrays in any layout -----------------------------------------------------------------------------------


def placed(shape: tuple[int, ...], dtype: Any, strides: tuple[int, ...], shift: int = 0) -> Array:
    """An array of zeros with these strides, which may be negative or 0, ``shift`` entries into memory of its own."""
    steps = [(n - 1) * stride for n, stride in zip(shape, strides, strict=True)] if 0 not in shape else []
    low, high = sum(s for s in steps if s < 0), sum(s for s in steps if s > 0)
    itemsize = np.dtype(dtype).itemsize
    memory = np.zeros(high - low + (1 + shift) * itemsize, np.uint8)
    return np.ndarray(shape, dtype, memory, shift * itemsize - low, strides)


def clone(x: Any, shift: int = 0) -> Any:
    """A copy of arguments; arrays keep their strides."""
    if isinstance(x, np.ndarray):
        new = placed(x.shape, x.dtype, x.strides, shift)
        new[...] = x
        return new
    if isinstance(x, dict):
        return {name: clone(inner, shift) for name, inner in x.items()}
    if isinstance(x, tuple) and hasattr(x, "_fields"):
        return type(x)(*(clone(inner, shift) for inner in x))
    return type(x)(clone(inner, shift) for inner in x) if isinstance(x, tuple | list) else x


def arrays(value: Any) -> list[Array]:
    """The arrays in a structure."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, tuple | list):
        return [array for inner in value for array in arrays(inner)]
    return [value] if isinstance(value, np.ndarray) else []


def scribble(value: Any) -> None:
    """Write garbage into every array that can be written to."""
    for array in arrays(value):
        if array.flags.writeable:
            array[...] = np.logical_not(array) if array.dtype == np.bool_ else 77


# ----- what is equal --------------------------------------------------------------------------------------------


def check_same(found: Any, expected: Any, where: str = "result") -> None:
    """Raise a Difference unless two values have the same structure and the same bits.

    Any NaN equals any other, -0.0 is not 0.0, and a NumPy scalar equals an array of shape ().
    """
    if isinstance(expected, dict | tuple | list):
        if type(found) is not type(expected) or len(found) != len(expected):
            raise Difference("structure", f"{where}: {type(found).__name__} for {type(expected).__name__}")
        if isinstance(expected, dict) and list(found) != list(expected):
            raise Difference("structure", f"{where}: keys {list(found)} for {list(expected)}")
        for name in expected if isinstance(expected, dict) else range(len(expected)):
            check_same(found[name], expected[name], f"{where}[{name!r}]")
    elif isinstance(expected, np.ndarray | np.generic):
        if not isinstance(found, np.ndarray | np.generic):
            raise Difference("structure", f"{where}: {type(found).__name__} for an array")
        check_array(np.asarray(found), np.asarray(expected), where)
    elif type(found) is not type(expected):
        raise Difference("structure", f"{where}: {type(found).__name__} for {type(expected).__name__}")
    elif isinstance(expected, float):  # often of an array in float32
        check_array(np.asarray(found), np.asarray(expected), where, np.finfo(np.float32).eps)
    elif found != expected:
        raise Difference("values", f"{where}: {found!r} for {expected!r}")


def check_array(found: Array, expected: Array, where: str, eps: Any = None) -> None:
    if found.shape != expected.shape:
        raise Difference("shape", f"{where}: {found.shape} for {expected.shape}")
    if found.dtype != expected.dtype:
        raise Difference("dtype", f"{where}: {found.dtype} for {expected.dtype}")
    if found.tobytes() == expected.tobytes():
        return
    if expected.dtype.kind != "f":
        unequal = found.view(np.uint8) != expected.view(np.uint8) if found.dtype == np.bool_ else found != expected
        raise Difference("values", f"{where}: {shown(found, unequal)} for {shown(expected, unequal)}")
    nan = np.isnan(expected)
    if not np.array_equal(np.isnan(found), nan):
        unequal = np.isnan(found) != nan
        raise Difference("NaN", f"{where}: {shown(found, unequal)} for {shown(expected, unequal)}")
    unequal = ~nan & ((found != expected) | (np.signbit(found) != np.signbit(expected)))
    if not unequal.any():
        return
    a, b = (np.asarray(x[unequal], np.longdouble) for x in (found, expected))
    scale = np.max(np.abs(b), where=np.isfinite(b), initial=0.0)
    near = scale * min(0.01, 2e3 * float(np.finfo(found.dtype).eps if eps is None else eps))
    kind = "values"
    if np.array_equal(a, b):
        kind = "sign of zero"
    elif np.all(np.isfinite(a) & np.isfinite(b)) and np.max(np.abs(a - b)) <= near:
        kind = "last bits"
    raise Difference(kind, f"{where}: {shown(found, unequal)} for {shown(expected, unequal)}")


def shown(x: Array, unequal: Array) -> str:
    """The first entry that is unequal, and how many there are."""
    first = x[unequal][0]
    return f"{first!r} ({int(unequal.sum())} of {x.size})"


def check_apart(kind: str, some: list[Array], others: list[Array]) -> None:
    for a in some:
        for b in others:
            if a is b or (np.may_share_memory(a, b) and np.shares_memory(a, b)):
                raise Difference("shared memory", kind)


# ----- both ways --------------------------------------------------------------------------------------------------


def outcome(f: Callable[..., Any], args: Any) -> tuple[Any, Exception | None]:
    """The result, or the error; a TraceError is passed on."""
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", fn.CompileWarning)
            return f(*args), None
    except fn.TraceError as error:
        if "it gives other values" in str(error):  # the comparison of a first call, which hides a fault of a plan
            raise Difference("a first call differs", str(error)) from None
        raise
    except Exception as error:
        return None, error


def compare(f: Callable[..., Any], args_list: Any, without: frozenset[str] = frozenset()) -> None:
    """Call a function plain and compiled with each of the arguments, and hold every promise to its word.

    Arguments and results are overwritten with garbage between calls, some results after the next call alone.
    Raises   Difference; TraceError for what cannot be recorded
    """
    fast = Compiled(f, strict=True, without=without)
    earlier, copies = None, None
    for i, args in enumerate(args_list):
        plain_args, given = clone(args), clone(args)
        expected, plain_error = outcome(f, plain_args)
        found, error = outcome(fast, given)
        if error is not None or plain_error is not None:
            if plain_error is None:
                raise Difference(f"raises {type(error).__name__}", str(error).strip().split("\n")[0])
            if error is None:
                raise Difference(f"does not raise {type(plain_error).__name__}", str(plain_error))
            if not isinstance(error, type(plain_error)):
                kind = f"raises {type(error).__name__} for {type(plain_error).__name__}"
                raise Difference(kind, f"{error} for {plain_error}")
            continue
        try:
            check_same(given, args, "input")
        except Difference as difference:
            raise Difference("an input is written to", difference.detail) from None
        leaves = arrays(found)
        check_apart("a result and an input", leaves, arrays(given))
        check_apart("a result and an earlier result", leaves, arrays(earlier))
        for j, leaf in enumerate(leaves):
            check_apart("two results", [leaf], leaves[:j])
        scribble(given)
        check_same(found, expected)
        if earlier is not None:
            try:
                check_same(earlier, copies)
            except Difference as difference:
                raise Difference("an earlier result changes", difference.detail) from None
            scribble(earlier)
        earlier, copies = (found, clone(found)) if i % 2 == 0 else (None, None)
        if earlier is None:
            scribble(found)
        del found, leaves


def repeats_itself(f: Callable[..., Any], args_list: Any) -> bool:
    """Whether the plain function gives the same bits wherever in memory its arguments lie."""
    for args in args_list:
        first, _ = outcome(f, clone(args))
        for shift in range(6):
            again, _ = outcome(f, clone(args, shift))
            try:
                check_same(again, first)
            except Difference:
                return False
    return True


def report(**tallies: Counter[str]) -> None:
    """Print how often what was seen, the most frequent first."""
    for title, counts in tallies.items():
        print(f"{title}:")
        for name, count in counts.most_common():
            print(f"{count:7d}  {name}")
