"""What user code reads besides its arguments: it is listed, seen to change, and put back."""

from __future__ import annotations

import operator
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import funcnet as fn
from funcnet.compiler.hidden import Hidden

ALPHA: Any = 2.0
TABLE = [1.0, 2.0]


class Slots:
    __slots__ = ("scale",)

    def __init__(self) -> None:
        self.scale: Any = 2.0


class Scaled:
    scale: Any = 2.0

    def __call__(self, x: Any) -> Any:
        return x * self.scale


def set_alpha(value: Any) -> None:
    global ALPHA
    ALPHA = value


def a_global() -> Any:
    return lambda x: x * ALPHA, set_alpha, lambda: ALPHA


def a_closure() -> Any:
    alpha: Any = 2.0

    def change(value: Any) -> None:
        nonlocal alpha
        alpha = value

    return lambda x: x * alpha, change, lambda: alpha


def a_default() -> Any:
    f = lambda x, alpha=2.0: x * alpha  # noqa: E731
    return f, lambda value: setattr(f, "__defaults__", (value,)), None


def held(holder: Any, key: Any) -> Any:
    """Something that is read by ``holder[key]`` from a closure."""
    return lambda x: x * holder[key], partial(holder.__setitem__, key), lambda: holder[key]


def a_list_that_is_a_default() -> Any:
    table: Any = [1.0, 2.0]
    return lambda x, table=table: x * table[1], partial(table.__setitem__, 1), lambda: table[1]


def a_keyword_default() -> Any:
    table: Any = {"a": 2.0}
    return lambda x, *, table=table: x * table["a"], partial(table.__setitem__, "a"), lambda: table["a"]


def attribute(owner: Any) -> Any:
    return lambda x: x * owner.scale, partial(setattr, owner, "scale"), lambda: owner.scale


def a_method() -> Any:
    owner = Scaled()
    return owner, partial(setattr, owner, "scale"), None


def a_view_that_cannot_be_written_to() -> Any:
    whole = np.array([1.0, 2.0, 3.0])
    part = whole[1:2]
    part.flags.writeable = False
    return lambda x: x * part, partial(whole.__setitem__, 1), lambda: float(part[0])


def a_partial() -> Any:
    table: Any = [2.0]
    return partial(lambda table, x: x * table[0], table), partial(table.__setitem__, 0), lambda: table[0]


READ: dict[str, Callable[[], Any]] = {
    "a global": a_global,
    "a closure": a_closure,
    "a default": a_default,
    "a list": lambda: held([1.0, 2.0], 1),
    "a dict": lambda: held({"a": 2.0}, "a"),
    "a deque": lambda: held(deque([1.0, 2.0]), 1),
    "an array": lambda: held(np.array([1.0, 2.0]), 1),
    "an array of integers": lambda: held(np.array([[1, 2]]), (0, 1)),
    "a list that is a default": a_list_that_is_a_default,
    "a keyword's default": a_keyword_default,
    "an attribute": lambda: attribute(Scaled()),
    "a namespace": lambda: attribute(SimpleNamespace(scale=2.0)),
    "a slot": lambda: attribute(Slots()),
    "a class": lambda: attribute(Scaled),
    "an object that is called": a_method,
    "a view that cannot be written to": a_view_that_cannot_be_written_to,
    "a partial": a_partial,
}


@pytest.fixture(autouse=True)
def as_it_was():
    yield
    set_alpha(2.0)
    Scaled.scale = 2.0


@pytest.mark.parametrize("name", READ)
def test_what_changes_is_seen_and_put_back(name: str) -> None:
    f, change, read = READ[name]()
    hidden = Hidden(f)
    assert hidden.foreign
    assert not hidden.problem
    assert hidden.unchanged()
    change(3.0)
    assert not hidden.unchanged()
    assert hidden.changed()
    if name not in ("a default", "a view that cannot be written to"):
        hidden.restore()
        assert hidden.unchanged()
        assert read is None or read() == 2.0
        assert f(1.0) == 2.0


@pytest.mark.parametrize("name", READ)
def test_a_compiled_function_follows(name: str) -> None:
    f, change, _ = READ[name]()
    x, fast = np.array([1.0, -2.0]), fn.compile(f)
    for value in (2.0, 2.0, 3.0, 3.0, 2.0):
        change(value)
        assert fast(x).tolist() == f(x).tolist()


@pytest.mark.parametrize(("before", "after"), [(1, 1.0), (1, True), (1.0, np.float32(1.0)), ("a", b"a"), ((1,), [1])])
def test_a_type_that_changes(before: Any, after: Any) -> None:
    _, change, _ = made = a_closure()
    change(before)
    hidden = Hidden(made[0])
    change(after)
    assert not hidden.unchanged()
    change(before)
    assert hidden.unchanged()


def test_the_sign_of_a_zero_that_changes() -> None:
    f, change, _ = a_closure()
    change(0.0)
    hidden = Hidden(f)
    change(-0.0)
    assert not hidden.unchanged()


def test_a_list_keeps_its_length_and_its_identity() -> None:
    inner = [1.0]
    table: Any = [inner, 2.0]
    hidden = Hidden(lambda x: x * table[1])
    table.append(3.0)
    table[0] = [1.0]
    inner.append(2.0)
    hidden.restore()
    assert table == [[1.0], 2.0]
    assert table[0] is inner


def test_a_set_and_an_array_are_put_back() -> None:
    members, weights = {1, 2}, np.array([[1.0, 2.0]], np.float32)
    hidden = Hidden(lambda x: x * weights if 1 in members else x)
    members.add(3)
    members.discard(1)
    weights[...] = 0.0
    assert len(hidden.changed()) == 2
    hidden.restore()
    assert members == {1, 2}
    assert weights.tolist() == [[1.0, 2.0]]


PROBLEMS: dict[str, tuple[Callable[..., Any], str]] = {
    "a clock": (lambda x: x * time.perf_counter(), "reads the module time"),
    "a file": (lambda x: x * len(open("/dev/null").read()), "calls open()"),  # noqa: SIM115
    "a generator": (partial(lambda rest, x: x * next(rest), (i for i in range(9))), "a generator, which cannot be"),
    "a large array": (
        partial(lambda table, x: x * table[0], np.zeros(1 << 18)),
        "more than 1048576 bytes in all",
    ),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_what_cannot_be_watched(name: str) -> None:
    f, problem = PROBLEMS[name]
    assert problem in Hidden(f).problem
    with pytest.raises(fn.TraceError, match="pass the value in as an argument"):
        fn.compile(f, strict=True)(np.ones(2))


def test_a_large_array_that_cannot_be_written_to() -> None:
    table = np.frombuffer(np.zeros(1 << 18).tobytes()).reshape(-1, 2)
    assert not Hidden(lambda x: x * table[0]).problem
    locked = np.zeros(1 << 18)
    locked.flags.writeable = False  # which can be undone
    assert (
        "or keep them in bytes: locked = np.frombuffer(locked.tobytes(), locked.dtype)"
        in Hidden(lambda x: x * locked[0]).problem
    )


def test_the_library_reads_constants_alone() -> None:
    net = fn.serial(fn.Dense(3), fn.Relu(), fn.Dense(1))
    hidden = Hidden(net.apply, fn.losses.MeanSquaredError().apply, fn.optim.Adam(0.1).update)
    assert not hidden.foreign
    assert Hidden(lambda x: x * 2.0).foreign


class Bare:
    """An object without attributes, for now."""


def test_attributes_that_an_object_gets() -> None:
    for f in (
        lambda x: x * getattr(one, "scale", 2.0),
        lambda x: x * 3.0 if hasattr(one, "scale") else x,
        lambda x: x * vars(one).get("scale", 2.0),
    ):
        one = Bare()
        hidden = Hidden(f)
        assert hidden.problem or hidden.unchanged()
        one.scale = 3.0  # type: ignore[attr-defined]
        assert hidden.problem or not hidden.unchanged()
        fast = fn.compile(f)
        for value in (3.0, 5.0):
            one.scale = value  # type: ignore[attr-defined]
            assert [fast(np.ones(2)).tolist() for _ in range(3)] == [f(np.ones(2)).tolist()] * 3


def test_attributes_that_a_pattern_reads() -> None:
    one = SimpleNamespace(mode="twice")

    def f(x: Any) -> Any:
        match one:
            case SimpleNamespace(mode="twice"):
                return x * 2.0
        return x

    fast = fn.compile(f)
    assert [fast(np.ones(2)).tolist() for _ in range(4)] == [[2.0, 2.0]] * 4
    one.mode = "once"
    assert fast(np.ones(2)).tolist() == [1.0, 1.0]


def test_an_itemgetter_depends_on_its_keys_alone() -> None:
    """Old versions of attrs make one for every field."""
    assert Hidden(operator.itemgetter(0, "name")).problem == ""
    assert "open" in Hidden(operator.itemgetter(open)).problem
