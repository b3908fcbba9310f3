"""What runs as it is: its results are looked at, and said once."""

from __future__ import annotations

import random
import re
import warnings
from typing import Any

import numpy as np
import pytest

import funcnet as fn
from funcnet.compiler import fallback
from funcnet.compiler.fallback import Opaque, Unlike, fits
from funcnet.compiler.graph import Struct
from tests.compiler.user_code.trained import own

F4 = np.dtype(np.float32)
LIKE = ({"a": Struct((2, 3), F4)}, None, Struct((), object))
GOOD = {"a": np.zeros((2, 3), np.float32)}


@pytest.fixture(autouse=True)
def forget():
    fallback._warned.clear()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ((GOOD, None, "anything"), ""),
        (({"a": np.zeros((2, 3), np.float64)}, None, 1), "({a: float64[2, 3]}, NoneType, int)"),
        (({"a": np.zeros((3, 2), np.float32)}, None, 1), "({a: float32[3, 2]}, NoneType, int)"),
        (({"b": np.zeros((2, 3), np.float32)}, None, 1), "({b: float32[2, 3]}, NoneType, int)"),
        (({"a": [0.0]}, None, 1), "({a: list}, NoneType, int)"),
        ((GOOD, 1, 1), "({a: float32[2, 3]}, int, int)"),
        ((GOOD, None), "({a: float32[2, 3]}, NoneType)"),
        ([GOOD, None, 1], "list"),
        (({"a": np.ma.masked_array(np.zeros((2, 3), np.float32))}, None, 1), "({a: float32[2, 3]}, NoneType, int)"),
    ],
)
def test_a_result_has_the_structure_that_the_plan_was_made_for(value: Any, text: str) -> None:
    assert fits(value, LIKE) == (not text)
    call = Opaque(lambda: value, LIKE, "apply of Mine")
    if text:
        message = f"apply of Mine gives {text}, expected ({{a: float32[2, 3]}}, NoneType, anything)"
        with pytest.raises(Unlike, match=f"^{re.escape(message)}$"):
            call()
    else:
        assert call() is value


@pytest.mark.filterwarnings("ignore::funcnet.CompileWarning")
def test_a_layer_that_depends_on_values() -> None:
    def apply(params: Any, state: Any, x: Any, ctx: Any) -> Any:
        return (x * 2.0).astype(np.float32 if x.sum() > 0 else np.float16).astype(x.dtype), state, None

    net = fn.serial(own(apply, lambda params, residuals, dy: ({}, dy)), fn.Tanh())
    fast, x = fn.compile(lambda x: net.apply({}, {}, x, fn.EVAL)[0]), np.array([[0.3, 0.7]], np.float32)
    for value in (x, x, -x, x):
        assert fast(value).tobytes() == net.apply({}, {}, value, fn.EVAL)[0].tobytes()


def test_a_layer_that_is_tried_and_given_up_draws_once() -> None:
    def apply(params: Any, state: Any, x: Any, ctx: Any) -> Any:
        y = x * random.random() + np.random.normal()  # noqa: NPY002
        return (y if y.sum() > 0 else -y), state, None

    net = fn.serial(own(apply, lambda params, residuals, dy: ({}, dy)), fn.Tanh())
    x, found = np.array([[0.3, 0.7]]), []
    for compiled in (True, False):
        random.seed(3)
        np.random.seed(3)  # noqa: NPY002
        f = lambda x: net.apply({}, {}, x, fn.EVAL)[0]  # noqa: E731
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", fn.CompileWarning)
            fast = fn.compile(f) if compiled else f
            found.append([*(fast(x).tolist() for _ in range(3)), random.random()])
        assert not compiled or fast.last is not None, "all of it runs as it is"
    assert found[0] == found[1]


@pytest.mark.filterwarnings("ignore::funcnet.CompileWarning")
def test_what_a_layer_changes_once_it_runs_is_changed_once() -> None:
    """It is not seen while it is recorded, since the branch comes before."""
    calls: list[int] = []
    total = np.zeros(1)

    def apply(params: Any, state: Any, x: Any, ctx: Any) -> Any:
        y = x if x.sum() > 0 else -x
        calls.append(len(calls))
        total[...] += 1.0
        return y * float(total[0]), state, None

    net = fn.serial(own(apply, lambda params, residuals, dy: ({}, dy)), fn.Tanh())
    fast = fn.compile(lambda x: net.apply({}, {}, x, fn.EVAL)[0])
    for i in range(1, 4):
        assert fast(np.full((1, 2), 0.1)).tolist() == np.tanh(np.full((1, 2), 0.1) * i).tolist()
        assert calls == list(range(i))
        assert total[0] == i
        assert fast.last is None, "a plan that was given up runs on"


def test_a_warning_is_said_once() -> None:
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        for text in ("one", "two", "one"):
            fallback.warn(text)
    assert [str(warning.message) for warning in heard] == ["one", "two"]
