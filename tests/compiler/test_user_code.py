"""Every row of the tables of user code: recorded or not, compiled code gives what plain code gives."""

from __future__ import annotations

import copy
import dataclasses
import functools
import inspect
import itertools
import linecache
import random
import signal
import threading
import time
import types
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import attrs
import numpy as np
import pytest

import funcnet as fn
from funcnet.compiler import fallback
from tests.compiler.user_code import ROWS, TRAINED
from tests.compiler.user_code.grid import FAULTS, PLACES, RESIDUALS, faulty
from tests.compiler.user_code.hidden_in_layers import TimesAlpha, set_alpha
from tests.compiler.user_code.rows import EITHER, FALLS_BACK, RECORDED, Row, With
from tests.compiler.user_code.trained import Setup, elementwise, setup_of

SLOWER = " is not compiled and runs slower: "


@pytest.fixture(autouse=True)
def forget():
    """Every test hears its warnings."""
    fallback._warned.clear()


# What two results are compared by.


def seen(value: Any) -> Any:
    """A result as arrays in dicts and tuples, whatever it is made of; arrays are the result's own."""
    if value is None or isinstance(value, bool | int | float | complex | str | bytes | type | np.dtype | np.generic):
        return value
    if isinstance(value, np.ma.MaskedArray):
        return "masked", value.data, np.ma.getmaskarray(value)
    if isinstance(value, np.ndarray):
        return value if type(value) is np.ndarray else (type(value).__name__, value)
    if isinstance(value, fn.Key):
        return "key", value.bits((2,))
    if isinstance(value, dict | types.MappingProxyType):
        return type(value).__name__, tuple((seen(key), seen(inner)) for key, inner in value.items())
    if isinstance(value, set | frozenset):
        return type(value).__name__, tuple(sorted(map(repr, value)))
    if isinstance(value, types.BuiltinMethodType | functools.partial | types.FunctionType | types.MethodType):
        return type(value).__name__, seen(value()) if not isinstance(value, functools.partial) else seen(value.args)
    if isinstance(value, np.nditer):
        return "nditer"
    if isinstance(value, Iterator) or (hasattr(value, "__iter__") and not attrs.has(type(value))):
        return type(value).__name__, tuple(map(seen, value))
    if dataclasses.is_dataclass(value) or isinstance(value, types.SimpleNamespace) or hasattr(value, "__dict__"):
        return type(value).__name__, seen(vars(value))
    if attrs.has(type(value)):
        return type(value).__name__, tuple(seen(getattr(value, field.name)) for field in attrs.fields(type(value)))
    return type(value).__name__, repr(value)


def difference(a: Any, b: Any, path: str = "") -> str:
    """Where what was ``seen`` differs in structure, dtype or bits, NaN being NaN; empty where it does not."""
    arrays = np.ndarray | np.generic
    if isinstance(a, arrays) and isinstance(b, arrays):
        a, b = np.asarray(a), np.asarray(b)
        if (a.shape, a.dtype) != (b.shape, b.dtype):
            return f"{path}: {a.dtype}{a.shape}, plain {b.dtype}{b.shape}"
        if a.dtype == object:
            return difference(tuple(map(seen, a.ravel())), tuple(map(seen, b.ravel())), path)
        if a.tobytes() == b.tobytes() or np.array_equal(bits(a), bits(b)):
            return ""
        return f"{path}: {a.ravel()[:4]}, plain {b.ravel()[:4]}"
    if type(a) is not type(b):
        return f"{path}: {type(a).__name__} {a!r:.80}, plain {type(b).__name__} {b!r:.80}"
    if isinstance(a, tuple):
        if len(a) != len(b):
            return f"{path}: {len(a)} parts, plain {len(b)}"
        return next(
            filter(None, (difference(*pair, f"{path}.{i}") for i, pair in enumerate(zip(a, b, strict=True)))), ""
        )
    if isinstance(a, float | complex) and a != a and b != b:
        return ""
    return "" if a == b and repr(a) == repr(b) else f"{path}: {a!r:.80}, plain {b!r:.80}"


def bits(a: Any) -> Any:
    """An array as bytes, with one NaN for all."""
    if a.dtype.kind in "fc":
        parts = np.stack([a.real, a.imag]) if a.dtype.kind == "c" else a
        parts = np.where(np.isnan(parts), np.nan, parts).astype(parts.dtype.newbyteorder("="))
        if parts.dtype.itemsize > 8:  # whose last bytes are unused
            return np.stack([np.nan_to_num(parts), np.isnan(parts), np.signbit(parts)])
        return np.ascontiguousarray(parts).view(np.uint8) if parts.ndim else parts.reshape(1).view(np.uint8)
    return np.ascontiguousarray(a)


def overwrite(value: Any) -> None:
    """Fill every array of a value with other numbers."""
    if isinstance(value, With):
        overwrite((value.args, value.keywords))
    elif isinstance(value, np.ndarray):
        if value.flags.writeable and value.dtype.kind in "fiubc":
            value.fill(False if value.dtype.kind == "b" else 77)
    elif isinstance(value, dict):
        overwrite(tuple(value.values()))
    elif isinstance(value, tuple | list):
        for inner in value:
            overwrite(inner)


def fresh(call: Any) -> With:
    """The arguments of a call, copied; what is one array stays one."""
    if callable(call):
        call = call()
    elif isinstance(call, With):
        call = With(*copy.deepcopy(call.args), **copy.deepcopy(call.keywords))
    else:
        call = copy.deepcopy(call)
    return call if isinstance(call, With) else With(*call)


# Running a row.


class Record(NamedTuple):
    """One call: its result, or the type of its error; its arguments afterwards; both once those are overwritten."""

    result: Any
    arguments: Any
    after: Any


def run(f: Callable[..., Any], change: Callable[[int], Any] | None, calls: Any) -> tuple[list[Record], list[Any]]:
    """What the calls give, twice over: first results are overwritten, then they are kept and looked at in the end."""
    records, kept = [], []
    for i, call in enumerate(itertools.chain(calls, calls)):
        if i and change is not None:
            change(i)
        random.seed(i)
        np.random.seed(i)  # noqa: NPY002
        given = fresh(call)
        try:
            result = seen(f(*given.args, **given.keywords))
        except Exception as error:
            result = "raised", error if type(error) is Exception else type(error).__name__
        records.append(Record(*copy.deepcopy((result, seen((given.args, given.keywords)))), None))
        overwrite(given)
        records[-1] = records[-1]._replace(after=copy.deepcopy(result))
        if i < len(calls):
            overwrite(result)
        else:
            kept.append((i, result))
    return records, [(i, copy.deepcopy(result)) for i, result in kept]


def quietly(f: Callable[..., Any], *args: Any) -> tuple[Any, list[str]]:
    """A result, and the CompileWarnings on the way."""
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        result = f(*args)
    return result, [str(warning.message) for warning in heard if issubclass(warning.category, fn.CompileWarning)]


def made(row: Row) -> tuple[Any, Any]:
    """The row's function, and what changes its hidden inputs."""
    found = row.make()
    return found if isinstance(found, tuple) else (found, None)


def lines_of(f: Any) -> set[str]:
    """The lines at fault in a function: those marked, else all of its lines."""
    codes, lines = [inspect.unwrap(f).__code__], set()
    for code in codes:
        codes += [inner for inner in code.co_consts if isinstance(inner, types.CodeType)]
        numbers = {number for *_, number in code.co_lines() if number}
        lines |= {linecache.getline(code.co_filename, number).strip() for number in numbers}
    return {line for line in lines if line.endswith("# at fault")} or lines


def is_of(message: str, what: str | None) -> bool:
    """Whether a warning is about a function or method."""
    return SLOWER in message if what is None else message.startswith((f"{what}{SLOWER}", f"the training step{SLOWER}"))


def names_a_line(message: str, lines: set[str]) -> bool:
    """Whether a warning holds the text of one of these lines."""
    return any(f" `{line}`" in message for line in lines)


@pytest.mark.parametrize("name", ROWS)
def test_functions(name):
    row = ROWS[name]
    f, change = made(row)
    (expected, kept), _ = quietly(run, f, change, row.calls)
    f, change = made(row)
    (found, held), messages = quietly(run, fn.compile(f), change, row.calls)
    for i, (a, b) in enumerate(zip(found, expected, strict=True)):
        assert not difference(a.result, b.result), f"call {i} {difference(a.result, b.result)}; {messages}"
        assert not difference(a.arguments, b.arguments), f"call {i} leaves its arguments otherwise; {messages}"
        shared = difference(a.after, a.result)
        assert not shared or (row.fate != RECORDED and difference(b.after, b.result)), f"call {i} shares its arguments"
    for (i, a), (_, b) in zip(held, kept, strict=True):
        changed = difference(a, found[i].after)
        assert not changed or (row.fate != RECORDED and difference(b, expected[i].after)), f"result {i} has changed"
    what = getattr(f, "__name__", None)
    if row.fate == RECORDED:
        assert not messages
    if row.fate == FALLS_BACK:
        assert len(messages) == 1, messages
        assert is_of(messages[0], what), messages
        assert not row.line or names_a_line(messages[0], lines_of(f)), messages


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.fate != EITHER])
def test_strict_functions(name):
    row = ROWS[name]
    f, _ = made(row)
    given = fresh(row.calls[0])
    fast = fn.compile(f, strict=True)

    def attempt() -> Any:
        try:
            return fast(*given.args, **given.keywords)
        except fn.TraceError as error:
            return error
        except Exception:
            return None

    result, messages = quietly(attempt)
    assert isinstance(result, fn.TraceError) == (row.fate == FALLS_BACK), result
    assert not messages


# Training steps.


def batches(setup: Setup, count: int) -> Iterator[tuple[Any, ...]]:
    """Batches of six rows, made anew, of means above and below zero."""
    for i in range(count):
        key = fn.Key(100 + i)
        x = (key.fold("x").normal((6, *setup.in_shape)) * (1 + 0.2 * i) + (-1) ** i).astype(setup.dtype)
        y = key.fold("y").normal((6, 1)).astype(setup.dtype)
        yield (x, y, np.arange(1.0, 7.0)) if setup.weighted else (x, y)


class Steps(NamedTuple):
    """What five steps give: params, state, opt_state and loss after each, or the type of the error."""

    records: list[Any]
    kept: list[Any]
    """The same, looked at in the end"""
    shared: list[set[int]]
    """Which leaves of a step's state are handed on to the next as they are"""


def leaves_of(ts: fn.TrainState) -> list[Any]:
    return fn.tree.leaves((ts.params, ts.state, ts.opt_state))


def train(setup: Setup, compiled: bool, spoil: list[set[int]] | None = None, count: int = 5) -> Steps:
    """Take the steps. Batches are overwritten after their step; so is the state before, except what ``spoil`` lists."""
    ts = fn.train_state(setup.net, setup.optimizer, fn.Key(0), setup.in_shape, setup.dtype)
    step = fn.train_step(setup.net, setup.loss, setup.optimizer, shards=setup.shards, compile=compiled)
    steps, states = Steps([], [], []), []
    for i, batch in enumerate(batches(setup, count)):
        if i and setup.change is not None:
            setup.change(i)
        random.seed(i)
        np.random.seed(i)  # noqa: NPY002
        try:
            new, figures = step(ts, batch)
        except Exception as error:
            steps.records.append(("raised", type(error).__name__))
            break
        overwrite(batch)
        states.append(seen((new.params, new.state, new.opt_state, figures["loss"])))
        steps.records.append(copy.deepcopy(states[-1]))
        before, after = leaves_of(ts), leaves_of(new)
        steps.shared.append({j for j, a in enumerate(before) if any(np.shares_memory(a, b) for b in after)})
        if spoil is not None:
            overwrite([leaf for j, leaf in enumerate(before) if j not in spoil[i]])
        ts = new
    steps.kept.extend(states)
    return steps


@functools.cache
def plain(name: str) -> Steps:
    """The steps of a row, uncompiled."""
    return quietly(train, setup_of(TRAINED[name].make()), False)[0]


def compare(found: Steps, expected: Steps, note: Any = "") -> None:
    assert len(found.records) == len(expected.records), (
        f"{found.records[-1]!s:.200}, plain {expected.records[-1]!s:.200}; {note}"
    )
    for i, (a, b) in enumerate(zip(found.records, expected.records, strict=True)):
        assert not difference(a, b), f"step {i} {difference(a, b)}; {note}"


def unchanged(found: Steps, expected: Steps) -> None:
    """What was kept is as it was, unless plain steps change it too."""
    for i, (a, b) in enumerate(zip(found.kept, expected.kept, strict=True)):
        changed = difference(a, found.records[i])
        assert not changed or not difference(a, b), f"the state after step {i} has changed {changed}"


@pytest.mark.parametrize("name", TRAINED)
def test_training_steps(name):
    row = TRAINED[name]
    expected = plain(name)
    found, messages = quietly(train, setup_of(row.make()), True)
    compare(found, expected, messages)
    unchanged(found, expected)
    if row.fate == RECORDED:
        assert not messages
    if row.fate == FALLS_BACK:
        assert messages
        assert row.what is None or is_of(messages[0], row.what), messages
        assert not row.line or names_a_line(messages[0], lines_of(row.make)), messages


@pytest.mark.parametrize("name", TRAINED)
def test_states_that_are_overwritten_after_their_step(name):
    row = TRAINED[name]
    shared = plain(name).shared
    expected, _ = quietly(train, setup_of(row.make()), False, shared)
    found, messages = quietly(train, setup_of(row.make()), True, shared)
    compare(found, expected, messages)


@pytest.mark.parametrize("name", [name for name, row in TRAINED.items() if row.fate != EITHER])
def test_strict_training_steps(name):
    row = TRAINED[name]
    setup = setup_of(row.make())
    net, loss, opt = setup.net, setup.loss, setup.optimizer

    def whole(params: Any, state: Any, opt_state: Any, x: Any, y: Any, key: fn.Key) -> Any:
        prediction, state, residuals = net.apply(params, state, x, fn.Context(True, key))
        value, saved = loss.apply(prediction, y)
        grads, _ = net.vjp(params, residuals, loss.vjp(saved))
        return state, opt.update(grads, opt_state, params, fn.ops.number(value))

    def attempt() -> Any:
        ts = fn.train_state(net, opt, fn.Key(0), setup.in_shape, setup.dtype)
        x, y, *_ = next(batches(setup, 1))
        try:
            fn.compile(whole, strict=True)(ts.params, ts.state, ts.opt_state, x, y, ts.key)
        except fn.TraceError as error:
            return error
        return None

    result, messages = quietly(attempt)
    assert isinstance(result, fn.TraceError) == (row.fate == FALLS_BACK), result
    assert not messages


def grid() -> Iterator[Any]:
    """Every fault with every residual in every place; each fault in each place with one residual is not slow."""
    residuals = list(RESIDUALS)
    for i, fault in enumerate(FAULTS):
        for j, place in enumerate(PLACES):
            for residual in residuals:
                quick = residual == residuals[(i + j * len(FAULTS)) % len(residuals)]
                yield pytest.param(fault, residual, place, marks=() if quick else pytest.mark.slow)


@pytest.mark.parametrize(("fault", "residual", "place"), list(grid()))
def test_a_layer_that_runs_as_it_is_anywhere(fault, residual, place):
    setup = PLACES[place](lambda: faulty(fault, residual))
    expected, _ = quietly(train, setup, False, None, 3)
    found, messages = quietly(train, setup, True, None, 3)
    compare(found, expected, messages)
    unchanged(found, expected)
    assert messages
    assert any(is_of(messages[0], f"{method} of FunctionLayer") for method in ("apply", "vjp"))


def test_fits_of_equal_nets_see_a_global_that_changed_between_them():
    data = fn.Key(1).normal((12, 4), np.float32), fn.Key(2).normal((12, 1), np.float32)
    loss, opt = fn.losses.MeanSquaredError(), fn.optim.SGD(0.01)
    found = []
    for alpha in (1.0, 3.0, 1.0):
        set_alpha(alpha)
        net = fn.serial(fn.Dense(6), TimesAlpha(), fn.Dense(1))
        fit = functools.partial(fn.fit, net, data, loss=loss, optimizer=opt, epochs=3, batch_size=4, key=fn.Key(0))
        params = quietly(fit)[0].train_state.params
        ts, step = fn.train_state(net, opt, fn.Key(0), (4,)), fn.train_step(net, loss, opt, compile=False)
        for epoch in range(3):
            order = fn.Key(0).fold("epoch", epoch).permutation(12)
            for rows in np.split(order, 3):
                ts, _ = step(ts, tuple(part[rows] for part in data))
        assert not difference(seen(params), seen(ts.params)), alpha
        assert not difference(
            seen(quietly(fn.predict, net, params, {}, data[0])[0]), seen(net.apply(params, {}, data[0], fn.EVAL)[0])
        )
        found.append(seen(params))
    assert difference(found[0], found[1])
    assert not difference(found[0], found[2])


# Errors from outside.


@pytest.mark.parametrize(
    "f", [lambda x: 1.0 / x, lambda x: np.log(x) * 2, lambda x: np.sum(1.0 / x), lambda x: x * 1e308]
)
def test_the_error_state_of_the_caller(f):
    def outcome(g: Callable[..., Any], x: Any) -> Any:
        with np.errstate(all="raise"):
            try:
                return seen(g(x))
            except FloatingPointError:
                return "raised"

    fast = fn.compile(f)
    for x in (np.ones(3), np.zeros(3), np.full(3, 2.0), np.full(3, 1e10)):
        assert not difference(outcome(fast, x), outcome(f, x))


class Alarm(Exception):
    """What a signal handler raises."""


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timers that signal")
@pytest.mark.parametrize("alarms", [5, pytest.param(25, marks=pytest.mark.slow)])
@pytest.mark.parametrize("fault", ["nothing", "apply in place", "vjp branches"])
def test_what_a_signal_handler_raises_passes_out_of_a_recording(fault, alarms):
    assert threading.current_thread() is threading.main_thread()
    loss, opt = fn.losses.MeanSquaredError(), fn.optim.Adam(0.1)
    x, y = fn.Key(1).normal((6, 4), np.float32), fn.Key(2).normal((6, 1), np.float32)
    moments, fired, out, calls = random.Random(0), [], 0, 0

    def ring(*_: Any) -> None:
        fired.append(True)
        raise Alarm

    def made() -> fn.Layer:
        """A network equal to no other, which is recorded anew."""
        own = (
            elementwise(lambda x: np.tanh(x), lambda x: 1.0 - np.tanh(x) ** 2)
            if fault == "nothing"
            else faulty(fault, "x")
        )
        return fn.serial(fn.Dense(6), own, fn.Dense(5), fn.BatchNorm(), fn.Dense(1))

    def first(net: fn.Layer, delay: float) -> bool:
        """Whether the alarm passed out of the first call."""
        step, ts = fn.train_step(net, loss, opt), fn.train_state(net, opt, fn.Key(0), (4,))
        try:
            signal.setitimer(signal.ITIMER_REAL, delay)
            step(ts, (x, y))
            signal.setitimer(signal.ITIMER_REAL, 0.0)
        except Alarm:
            return True
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0.0)
        return False

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", fn.CompileWarning)
        start = time.perf_counter()
        first(made(), 100.0)
        took = time.perf_counter() - start
        before = signal.signal(signal.SIGALRM, ring)
        try:
            while out < alarms:
                fired.clear()
                net, start = made(), time.perf_counter()
                passed = first(net, moments.uniform(1e-4, took))
                assert passed == bool(fired), "the alarm was swallowed"
                out, calls = out + passed, calls + 1
                assert calls < 40 * alarms
                if not passed:  # the call before may have waited for a processor
                    took = min(took, time.perf_counter() - start)
                step, ts = fn.train_step(net, loss, opt), fn.train_state(net, opt, fn.Key(0), (4,))
                plain, other = fn.train_step(net, loss, opt, compile=False), ts
                for _ in range(2):
                    ts, figures = step(ts, (x, y))
                    other, expected = plain(other, (x, y))
                    assert figures == expected
                    assert not difference(seen(ts.params), seen(other.params))
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0.0)
            signal.signal(signal.SIGALRM, before)


def test_the_tables_have_rows_of_every_fate():
    for rows in (ROWS, TRAINED):
        assert {row.fate for row in rows.values()} == {RECORDED, FALLS_BACK, EITHER}
