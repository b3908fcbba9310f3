"""Primitives beyond NumPy's functions of arrays, and functions that several layers share.

Layers are written with ``np.*`` and operators. Operations that draw random numbers, depend on values, or are
missing from NumPy go through a function here, so that the compiler recognises them: errors (``check``), Python
numbers (``number``, ``scalar``), tables (``take``), ``erf``, ``norm``. The other functions are plain NumPy.
"""

from __future__ import annotations

import contextlib
import functools
import math
import sys
from collections.abc import Callable, Iterator
from contextvars import copy_context
from typing import Any, NamedTuple, TypeVar

import numpy as np

from funcnet.errors import FuncnetError
from funcnet.key import Array, Key
from funcnet.originals import ReplaceableModule

F = TypeVar("F", bound=Callable[..., Any])


class Primitive(NamedTuple):
    """A function that is recorded as one call."""

    function: Callable[..., Any]
    needs: tuple[Any, ...]
    flops: Callable[..., int] | None
    fresh: bool


PRIMITIVES: dict[str, Primitive] = {}
_HOMES: dict[str, str] = {}  # the module of each name that primitives bring into a printed program


def silencer() -> tuple[Callable[[], Any], Callable[[Any], Any]]:
    """Two functions that begin and end a block without NumPy's warnings; the second takes what the first returns.

    NumPy keeps its treatment of floating-point errors in a context variable. Setting this takes a tenth of the time
    of ``np.errstate``, which the prediction of a small network would notice.
    """
    before = copy_context()
    with np.errstate(all="ignore"):
        inside = copy_context()
    found = [(variable, value) for variable, value in inside.items() if before.get(variable) is not value]
    if len(found) == 1:
        [(variable, value)] = found
        return functools.partial(variable.set, value), variable.reset
    return functools.partial(np.seterr, all="ignore"), lambda given: np.seterr(**given)  # a NumPy that does not


silence, unsilence = silencer()


class quiet:
    """A block, or a function, without NumPy's warnings: what is not finite is refused in words, or seen in the result.

    Where microseconds count, ``silence`` and ``unsilence`` do the same.
    """

    __slots__ = ("before",)

    def __enter__(self) -> None:
        self.before = silence()

    def __exit__(self, *error: object) -> None:
        unsilence(self.before)

    def __call__(self, function: F) -> F:
        @functools.wraps(function)
        def call(*args: Any, **named: Any) -> Any:
            with quiet():  # one for each call: calls are nested, and run in several threads
                return function(*args, **named)

        return call  # type: ignore[return-value]


def recorder(*values: Any) -> Any:
    """The tracer that records these values, or None (``funcnet.compiler``)."""
    return next((value.tracer for value in values if hasattr(type(value), "tracer")), None)


def vectorizer(*values: Any) -> Any:
    """The function that maps over the members of an ensemble, if these are its values, or None (``funcnet.vmap``)."""
    return next((type(value).each_member for value in values if hasattr(type(value), "each_member")), None)


def primitive(
    needs: tuple[Any, ...] = (), flops: Callable[..., int] | None = None, fresh: bool = False
) -> Callable[[F], F]:
    """Decorator for a function of arrays and plain values that is recorded as one call.

    The function may loop, write into arrays that it made, and branch on values. It takes its arguments by position,
    does not change them, and returns an array or a tuple of arrays, whose shapes depend only on the arguments' shapes.
    ``needs`` lists the functions of its module that it uses, and the ``"NAME"``s of constants, which a printed program
    has to define; besides them it may use only NumPy and built-in functions. A program has one of each name, so names
    of different modules differ; else it is a ``ValueError``.
    ``flops`` counts its floating-point operations from arguments whose shapes are known, not their values. ``fresh``
    says that the result shares no memory with the arguments, so a plan can reuse their memory sooner.
    """

    def decorate(function: F) -> F:
        for one in (function, *needs):
            name, home = (one, function.__module__) if isinstance(one, str) else (one.__name__, one.__module__)
            if _HOMES.setdefault(name, home) != home:
                raise ValueError(
                    f"primitive {function.__name__} brings {name} of {home} into printed programs, and there is a "
                    f"{name} of {_HOMES[name]} already; a program has one of each name: rename it"
                )
        made = PRIMITIVES[function.__name__] = Primitive(function, needs, flops, fresh)

        @functools.wraps(function)
        def call(*values: Any) -> Any:
            each_member = vectorizer(*values)
            if each_member is not None:
                return each_member(call, values, {})
            tracer = recorder(*values)
            return function(*values) if tracer is None else tracer.primitive(made, values)

        return call  # type: ignore[return-value]

    return decorate


@contextlib.contextmanager
def anew(*values: Any) -> Iterator[None]:
    """Compute everything inside the block anew, even if the same call was recorded before (``Remat``)."""
    tracer = recorder(*values)
    with contextlib.nullcontext() if tracer is None else tracer.scope():
        yield


def check(ok: Any, error: Callable[..., FuncnetError], *values: Any) -> None:
    """Raise ``error(*values)`` unless every entry of ``ok`` is true: for errors that depend on values."""
    each_member = vectorizer(ok, *values)
    if each_member is not None:
        each_member(lambda *one: check(one[0], error, *one[1:]), (ok, *values), {})
        return
    tracer = recorder(ok)
    if tracer is not None:
        tracer.check(ok, error, values)
    elif not np.all(ok):
        raise error(*values)


def array(x: Any) -> Array:
    """The value as an array: NumPy returns scalars instead of arrays of shape ()."""
    whole: Array = np.asarray(x) if recorder(x) is None and vectorizer(x) is None else x
    return whole


def is_view(x: Array) -> bool:
    """Whether an array is a view of another."""
    tracer = recorder(x)
    return x.base is not None if tracer is None else bool(tracer.is_view(x))


def identity(x: Any) -> int:
    """The identity of an array, as by ``id``, also while it is recorded."""
    return id(x.node) if recorder(x) is not None else id(x)


def number(x: Any) -> Any:
    """An array of shape () as a Python number: an int for integers, else a float."""
    tracer = recorder(x)
    return np.asarray(x).item() if tracer is None else tracer.number(x)


class Blank:
    """A hyperparameter that a recorded program leaves open, so that several optimizers share the program.

    Each of them fills it in with its own function of the step, which for a ``steady`` one is the same number at every
    step. A blank is not 0; code that compares it with anything else cannot be recorded with blanks.
    """

    __slots__ = ("index", "steady")

    def __init__(self, index: int, steady: bool) -> None:
        self.index, self.steady = index, steady

    def __call__(self, step: int) -> float:
        """Only the function that fills it in has a value."""
        raise TypeError("a blank has no value")

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Blank):
            return (self.index, self.steady) == (other.index, other.steady)
        if isinstance(other, int | float) and other == 0:
            return False
        raise TypeError("a blank is compared with a value other than 0")

    def __hash__(self) -> int:
        return hash((self.index, self.steady))

    def __repr__(self) -> str:
        return f"Blank({self.index}, {self.steady})"


def scalar(function: Callable[..., float], *numbers: Any) -> float:
    """A Python float computed from numbers, such as a learning rate from the step.

    A printed program can define the function if it is a ``primitive`` or one of the library's schedules.
    """
    tracer = recorder(*numbers)
    if tracer is not None:
        known = PRIMITIVES.get(getattr(function, "__name__", ""))
        if known is not None and known.function is getattr(function, "__wrapped__", None):
            function = known.function
    result: float = float(function(*numbers)) if tracer is None else tracer.scalar(function, numbers)
    return result


@primitive(flops=lambda table, indices: 0)
def take(table: Array, indices: Array) -> Array:
    """``table[indices]``: rows of a table by integers of any shape."""
    return np.take(table, indices, axis=0)


@primitive(flops=lambda values, indices, size: values.size)
def scatter_add(values: Array, indices: Array, size: int) -> Array:
    """``table[indices[i]] += values[i]`` into a table of zeros with ``size`` rows: the adjoint of ``take``.

    Rows are sorted by index, and those of one index summed without a loop.
    """
    rows = values.reshape(indices.size, values.shape[-1])
    table = np.zeros((size, rows.shape[1]), values.dtype)
    if indices.size:
        order = np.argsort(indices, axis=None, kind="stable")
        found = indices.reshape(-1)[order]
        starts = np.flatnonzero(np.concatenate([[True], found[1:] != found[:-1]]))
        table[found[starts]] = np.add.reduceat(rows[order], starts, axis=0)
    return table


@primitive(flops=lambda *arrays: 2 * sum(a.size for a in arrays))
def norm(*arrays: Array) -> float:
    """The Euclidean norm of all arrays together, summed in float64; it overflows only if it must."""
    with np.errstate(over="ignore"):
        total = math.sqrt(sum(float(np.sum(np.square(x, dtype=np.float64))) for x in arrays))
    if not math.isinf(total):
        return total
    largest = max((float(np.max(np.abs(x), initial=0.0)) for x in arrays), default=0.0)
    return total if math.isinf(largest) else largest * norm(*(x / largest for x in arrays))


TOGETHER = 4096


@primitive(needs=(norm, "TOGETHER"), flops=lambda *arrays: 2 * sum(a.size for a in arrays))
def norms(*arrays: Array) -> Array:
    """The norm of each array, as by ``norm``, in one vector; small arrays are processed together."""
    found = np.zeros(len(arrays))
    small = [i for i, x in enumerate(arrays) if 0 < x.size <= TOGETHER]
    if small:
        vector = np.concatenate([arrays[i].reshape(-1) for i in small]).astype(np.float64)
        starts = np.cumsum([0, *(arrays[i].size for i in small)])[:-1]
        with np.errstate(over="ignore"):
            found[small] = np.sqrt(np.add.reduceat(vector * vector, starts))
    for i, x in enumerate(arrays):
        if x.size > TOGETHER or not np.isfinite(found[i]):
            found[i] = norm(x)
    return found


def fold(key: Key, *words: Any) -> Key:
    """``key.fold(*words)``, where a word may be a number that is recorded, such as the step."""
    tracer = recorder(*words)
    folded: Key = key.fold(*words) if tracer is None else tracer.fold(key, words)
    return folded


def probe(a: Array, b: Array) -> float:
    """A number that is finite only if all entries of both arrays are: the sum of their products."""
    tracer = recorder(a, b)
    result: float = float(np.vdot(a, b)) if tracer is None else tracer.probe(a, b)
    return result


def bernoulli(key: Key, probability: float, shape: tuple[int, ...]) -> Array:
    """Booleans that are true with the given probability, rounded to a multiple of 2⁻¹⁶.

    Raw 16-bit words take a quarter of the time of uniform floats.
    """
    return np.greater_equal(key.bits(shape, np.uint16), round((1.0 - probability) * 65536))


def flush(x: Array) -> Array:
    """``x`` rounded to a multiple of about 1e-31 (in float64 1e-292), so that no entry is subnormal.

    Confident predictions have gradients near the smallest float, where many processors are a hundred times
    slower; relative to ordinary gradients they are zero. Adding and subtracting a number that is ``1/eps``
    times the smallest kept value rounds smaller entries to zero; ordinary entries do not change. In float16, whose
    smallest numbers are ordinary gradients, nothing is rounded.
    """
    shift = flush_shift(x.dtype)
    return (x + shift) - shift


def flush_shift(dtype: Any) -> float:
    """The number that ``flush`` adds and subtracts."""
    info = np.finfo(dtype)
    return float(info.tiny) / float(info.eps) ** 2 if info.bits > 16 else 0.0


SETTLE_EVERY = 32


def settle(x: Array, step: int) -> Array:
    """``x``, flushed at every 32nd step: for running averages, which decay towards subnormal numbers.

    An average whose gradient has become zero shrinks by a constant factor per step. Starting at the smallest
    value that ``flush`` keeps, it does not become subnormal within 32 steps if the factor is 0.6 or more.
    """
    tracer = recorder(x, step)
    if tracer is not None:
        settled: Array = tracer.settle(x, step)
        return settled
    return flush(x) if step % SETTLE_EVERY == 0 else x


def softmax(x: Array) -> Array:
    """``exp(x) / Σ exp(x)`` over the last axis, shifted by the maximum so that nothing overflows."""
    e = np.exp(x - np.max(x, axis=-1, keepdims=True))
    return e / np.sum(e, axis=-1, keepdims=True)


def log_softmax(x: Array) -> Array:
    """``x - log Σ exp(x)`` over the last axis, without overflow or the log of zero."""
    shifted = x - np.max(x, axis=-1, keepdims=True)
    return shifted - np.log(np.sum(np.exp(shifted), axis=-1, keepdims=True))


def sigmoid(x: Array) -> Array:
    """``1 / (1 + exp(-x))``, accurate in its tail: small values are not rounded to zero early.

    ``exp(-|x|)`` never overflows: σ(x) = 1/(1+e) for x ≥ 0 and e/(1+e) below.
    """
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0, e) / (1.0 + e)


def softplus(x: Array) -> Array:
    """``log(1 + exp(x)) = max(x, 0) + log(1 + exp(-|x|))``, which never overflows."""
    return np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(x)))


# The rational approximations of erf in FreeBSD's msun (Sun Microsystems, 1993): coefficients of the
# numerators and denominators on [0, 0.84375], [0.84375, 1.25], [1.25, 1/0.35] and [1/0.35, 6].
_ERF = (
    (
        (1.28379167095512558561e-01, -3.25042107247001499370e-01, -2.84817495755985104766e-02,
         -5.77027029648944159157e-03, -2.37630166566501626084e-05),
        (1.0, 3.97917223959155352819e-01, 6.50222499887672944485e-02, 5.08130628187576562776e-03,
         1.32494738004321644526e-04, -3.96022827877536812320e-06),
    ),
    (
        (-2.36211856075265944077e-03, 4.14856118683748331666e-01, -3.72207876035701323847e-01,
         3.18346619901161753674e-01, -1.10894694282396677476e-01, 3.54783043256182359371e-02,
         -2.16637559486879084300e-03),
        (1.0, 1.06420880400844228286e-01, 5.40397917702171048937e-01, 7.18286544141962662868e-02,
         1.26171219808761642112e-01, 1.36370839120290507362e-02, 1.19844998467991074170e-02),
    ),
    (
        (-9.86494403484714822705e-03, -6.93858572707181764372e-01, -1.05586262253232909814e01,
         -6.23753324503260060396e01, -1.62396669462573470355e02, -1.84605092906711035994e02,
         -8.12874355063065934246e01, -9.81432934416914548592e00),
        (1.0, 1.96512716674392571292e01, 1.37657754143519042600e02, 4.34565877475229228821e02,
         6.45387271733267880336e02, 4.29008140027567833386e02, 1.08635005541779435134e02,
         6.57024977031928170135e00, -6.04244152148580987438e-02),
    ),
    (
        (-9.86494292470009928597e-03, -7.99283237680523006574e-01, -1.77579549177547519889e01,
         -1.60636384855821916062e02, -6.37566443368389627722e02, -1.02509513161107724954e03,
         -4.83519191608651397019e02),
        (1.0, 3.03380607434824582924e01, 3.25792512996573918826e02, 1.53672958608443695994e03,
         3.19985821950859553908e03, 2.55305040643316442583e03, 4.74528541206955367215e02,
         -2.24409524465858183362e01),
    ),
)  # fmt: skip
_ERF_AT_ONE = 8.45062911510467529297e-01


def _ratio(region: int, x: Array) -> Array:
    numerator, denominator = _ERF[region]
    return _horner(numerator, x) / _horner(denominator, x)


def _horner(coefficients: tuple[float, ...], x: Array) -> Array:
    total: Array = np.full_like(x, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        total = total * x + coefficient
    return total


# A rational approximation of erf on [-4, 4] in float32, odd over even powers (Eigen, 2017); beyond 4 erf is 1.
_ERF_SINGLE = (
    (-1.60960333262415e-02, -2.95459980854025e-03, -7.34990630326855e-04, -5.69250639462346e-05,
     -2.10102402082508e-06, 2.77068142495902e-08, -2.72614225801306e-10),
    (-1.42647390514189e-02, -7.37332916720468e-03, -1.68282697438203e-03, -2.13374055278905e-04,
     -1.45660718464996e-05),
)  # fmt: skip


def _erf_single(x: Array, y: Array) -> None:
    """erf of a flat float32 array, written to y in pieces that stay in cache."""
    size = min(x.size, 8192)
    square, below, total = (np.empty(size, np.float32) for _ in range(3))
    for start in range(0, x.size, max(size, 1)):
        part, out = x[start : start + size], y[start : start + size]
        n = part.size
        np.clip(part, -4.0, 4.0, out=out)
        np.multiply(out, out, out=square[:n])
        for sums, coefficients in ((total[:n], _ERF_SINGLE[0]), (below[:n], _ERF_SINGLE[1])):
            sums.fill(coefficients[-1])
            for coefficient in coefficients[-2::-1]:
                sums *= square[:n]
                sums += np.float32(coefficient)
        out *= total[:n]
        out /= below[:n]


@primitive(
    needs=("_ERF", "_ERF_AT_ONE", "_ERF_SINGLE", _horner, _ratio, _erf_single), flops=lambda x: 24 * math.prod(x.shape)
)
def erf(x: Array) -> Array:
    """The error function, ``2/√π ∫₀ˣ exp(-t²) dt``, which NumPy lacks.

    Accurate to one unit in the last place in float64, to 2e-7 in float32.
    Source   the algorithm of FreeBSD's ``s_erf.c``; a rational approximation in float32
    """
    if x.dtype == np.float32:
        single = np.empty(x.shape, np.float32)
        _erf_single(np.ascontiguousarray(x).reshape(-1), single.reshape(-1))
        return single
    a = np.abs(x)
    y = np.ones_like(x)  # beyond 6 the difference from 1 is lost in rounding; NaN is restored below
    small, middle = a < 0.84375, (a >= 0.84375) & (a < 1.25)
    y[small] = a[small] + a[small] * _ratio(0, a[small] ** 2)
    y[middle] = _ERF_AT_ONE + _ratio(1, a[middle] - 1.0)
    for region, mask in ((2, (a >= 1.25) & (a < 1 / 0.35)), (3, (a >= 1 / 0.35) & (a < 6.0))):
        t = a[mask]
        y[mask] = 1.0 - np.exp(-t * t - 0.5625 + _ratio(region, 1.0 / (t * t))) / t
    return np.where(np.isnan(x), x, np.copysign(y, x))


def normal_density(x: Array) -> Array:
    """The standard normal density ``exp(-x²/2) / √(2π)``, the derivative of ``(1 + erf(x/√2)) / 2``."""
    return np.exp(-0.5 * x * x) * (1.0 / math.sqrt(2.0 * math.pi))


sys.modules[__name__].__class__ = ReplaceableModule
