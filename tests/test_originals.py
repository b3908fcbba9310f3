"""Replaced functions of the library and of NumPy: compiled code gives what plain code gives, after a warning."""

from __future__ import annotations

import abc
import functools
import importlib
import pkgutil
import random
import warnings
from typing import Any
from unittest import mock

import attrs
import numpy as np
import pytest

import funcnet as fn
from funcnet import ops
from funcnet.compiler import fallback
from funcnet.compiler.hidden import Hidden
from funcnet.key import Key
from funcnet.originals import REPLACED, replaced

LOSS, OPTIMIZER = fn.losses.MeanSquaredError(), fn.optim.SGD(0.1, momentum=0.5)


@attrs.frozen
class Own(fn.Layer):
    """``tanh x`` by NumPy"""

    def out_shape(self, in_shape):
        return in_shape

    def apply(self, params, state, x, ctx):
        y = np.tanh(x)
        return y, state, y

    def vjp(self, params, y, dy):
        return {}, dy * (1.0 - y * y)


def halved(f: Any) -> Any:
    @functools.wraps(f)
    def half(*args: Any, **named: Any) -> Any:
        found = f(*args, **named)
        return (found[0] * 0.5, *found[1:]) if isinstance(found, tuple) else found * 0.5

    return half


def halved_update(self: Any, grads: Any, opt_state: Any, params: Any, value: Any = None) -> Any:
    return fn.tree.map(lambda g: -0.01 * g, grads), opt_state


REPLACEMENTS = {
    "Tanh.apply": (fn.Tanh, "apply", halved(fn.Tanh.apply)),
    "Tanh.derivative": (fn.Tanh, "derivative", halved(fn.Tanh.derivative)),
    "Dense.apply": (fn.Dense, "apply", halved(fn.Dense.apply)),
    "MeanSquaredError.apply": (fn.losses.MeanSquaredError, "apply", halved(fn.losses.MeanSquaredError.apply)),
    "SGD.update": (fn.optim.SGD, "update", halved_update),
    "Key.normal": (Key, "normal", halved(Key.normal)),
    "funcnet.ops.sigmoid": (ops, "sigmoid", halved(ops.sigmoid)),
    "np.tanh": (np, "tanh", halved(np.tanh)),
}


def steps(net: fn.Layer, compiled: bool, change: Any, undo: Any, count: int = 8) -> list[Any]:
    """Losses, params and predictions; the function is replaced for steps 4 and 5."""
    ts = fn.train_state(net, OPTIMIZER, fn.Key(0), (4,))
    step = fn.train_step(net, LOSS, OPTIMIZER, compile=compiled)
    found = []
    for i in range(count):
        if i == 4:
            change()
        if i == 6:
            undo()
        x, y = np.random.default_rng(i).normal(size=(2, 6, 4)).astype(np.float32)
        y = y[:, :1]
        ts, figures = step(ts, (x, y))
        plain = net.apply(ts.params, ts.state, x, fn.EVAL)[0]
        found += [figures["loss"], *fn.tree.leaves(ts.params), fn.predict(net, ts.params, ts.state, x), plain]
    return found


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("name", REPLACEMENTS)
def test_a_function_that_is_replaced_for_a_time(name, own):
    tanh = Own() if own else fn.Tanh()
    net = fn.serial(fn.Dense(6), tanh, fn.GaussianNoise(0.1), fn.Sigmoid(), fn.Dense(1))
    owner, attribute, new = REPLACEMENTS[name]
    found = []
    for compiled in (True, False):
        fallback._warned.clear()
        patch = mock.patch.object(owner, attribute, new)
        with warnings.catch_warnings(record=True) as heard:
            warnings.simplefilter("always")
            found.append(steps(net, compiled, patch.start, patch.stop))
        if compiled:
            messages = [str(one.message) for one in heard if issubclass(one.category, fn.CompileWarning)]
            assert any(name in message for message in messages), messages
    assert all(np.array_equal(a, b) for a, b in zip(*found, strict=True))
    assert not REPLACED


def test_a_mock_is_called_at_every_step():
    net = fn.serial(fn.Dense(6), fn.Tanh(), fn.Dense(1))
    x, y = np.ones((6, 4), np.float32), np.ones((6, 1), np.float32)
    ts, step = fn.train_state(net, OPTIMIZER, fn.Key(0), (4,)), fn.train_step(net, LOSS, OPTIMIZER)
    step(ts, (x, y))
    apply = fn.Tanh.apply
    with (
        warnings.catch_warnings(),
        mock.patch.object(fn.Tanh, "apply", autospec=True, side_effect=lambda *args: apply(*args)) as called,
    ):
        warnings.simplefilter("ignore")
        step(ts, (x, y))
        step(ts, (x, y))
    assert called.call_count == 2


def test_a_method_set_on_an_instance():
    x = fn.Key(1).normal((6, 4), np.float32)
    nets = [fn.serial(fn.Dense(6), fn.Tanh()) for _ in range(2)]
    params, state = nets[0].init(fn.Key(0), (4,))
    first = [fn.predict(nets[0], params, state, x) for _ in range(3)][-1]
    layer = nets[1].children["tanh_0"]
    object.__setattr__(layer, "apply", lambda params, state, x, ctx: (x * 2.0, state, x))
    expected = nets[1].apply(params, state, x, fn.EVAL)[0]
    assert not np.array_equal(first, expected)
    for _ in range(5):
        assert np.array_equal(fn.predict(nets[1], params, state, x), expected)


def test_nothing_is_replaced_in_the_library_itself():
    for module in pkgutil.walk_packages(fn.__path__, "funcnet."):
        if "__main__" not in module.name:
            try:
                importlib.import_module(module.name)
            except ImportError:  # an extra that is not installed
                continue
    assert not REPLACED


def test_originals_put_back_in_any_way():
    original = fn.Tanh.apply
    fn.Tanh.apply = halved(original)
    assert list(REPLACED) == [(fn.Tanh, "apply")]
    fn.Tanh.apply = original  # inherited before, and its own now
    assert not REPLACED
    del fn.Tanh.apply
    assert fn.Tanh.apply is original
    assert not REPLACED


def test_user_classes_may_be_abstract():
    class Own(fn.Layer, abc.ABC):
        """A base of layers."""

        @abc.abstractmethod
        def out_shape(self, in_shape): ...

    assert isinstance(fn.Dense(3), fn.Layer)
    assert not isinstance(fn.losses.MeanSquaredError(), fn.Layer)
    assert issubclass(Own, fn.Layer)
    Own.out_shape = lambda self, in_shape: in_shape
    assert not REPLACED


@pytest.mark.parametrize(
    ("f", "problem"),
    [
        (lambda x: x * random.Random().random(), "makes a random generator (Random)"),
        (lambda x: x * np.random.PCG64().random_raw(), "makes a random generator (PCG64)"),
        (lambda x: x * (np.datetime64("now") > x), "reads the clock (np.datetime64 of now or today)"),
    ],
)
def test_code_that_gives_something_different_at_each_call(f, problem):
    assert Hidden(f).problem == problem


def test_a_function_in_the_place_of_an_object_that_is_called_is_put_back(monkeypatch):
    with monkeypatch.context() as replaced_for_now:
        replaced_for_now.setattr(ops, "unsilence", lambda token: None)  # a function of Python for one of C
        replaced_for_now.setattr(ops, "silence", lambda: None)  # and for a partial one
        assert replaced() != ""
    assert replaced() == ""
