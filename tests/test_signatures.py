"""Methods of a user's own class that take, or return, something else than the library's."""

from __future__ import annotations

import warnings
from typing import Any

import attrs
import numpy as np
import pytest

import funcnet as fn
from funcnet import losses, optim
from funcnet.signatures import check_functions, check_signatures
from funcnet.spec import base as spec

X, Y = np.ones((5, 3), np.float32), np.ones((5, 2), np.float32)
MSE, SGD = losses.MeanSquaredError(), optim.SGD(0.1)


def message(f: Any) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(fn.FuncnetError) as caught:
            f()
    assert type(caught.value) is fn.FuncnetError
    return str(caught.value)


@attrs.frozen
class Descent(optim.Optimizer):
    def update(self, grads, params):
        return grads


@attrs.frozen
class Distance(losses.Loss):
    def divisor(self, target, weight=None):
        return 1.0

    def apply(self, prediction, target, weight=None):
        return 0.0, None

    def vjp(self, residuals):
        return residuals


@attrs.frozen
class Gate(fn.Layer):
    def out_shape(self, in_shape):
        return in_shape

    def apply(self, params, state, x):
        return x, state, None

    def vjp(self, residuals, dy):
        return {}, dy


@attrs.frozen
class OnlyForward(fn.Layer):
    def out_shape(self, in_shape):
        return in_shape

    def apply(self, *args):
        _, state, x, _ = args
        return x, state, None


HEAD, TAIL = "expected other parameters:\n  ", "\ngive all of them, in this order; the names are free"
GATE_APPLY = "Gate: expected apply(self, params, state, x, ctx), got apply(self, params, state, x)"
GATE_VJP = "Gate: expected vjp(self, params, residuals, dy), got vjp(self, residuals, dy)"
LOSS_APPLY = (
    "Distance: expected apply(self, prediction, target, weight=None, divisor=None), "
    "got apply(self, prediction, target, weight=None)"
)
LOSS_VJP = "Distance: expected vjp(self, residuals, dy=1.0), got vjp(self, residuals)"
UPDATE = "Descent: expected update(self, grads, opt_state, params, value=None), got update(self, grads, params)"
NET = fn.serial(fn.Dense(2), fn.Residual(Gate()), Gate())
DATA = {"data": (X, Y), "key": fn.Key(0), "steps": 1}
PLACES: dict[str, tuple[Any, tuple[str, ...]]] = {
    "train_step": (
        lambda: fn.train_step(NET, Distance(), optim.chain(optim.ClipByValue(1.0), Descent())),
        (GATE_APPLY, GATE_VJP, LOSS_APPLY, LOSS_VJP, UPDATE),
    ),
    "fit": (
        lambda: fn.fit(NET, loss=Distance(), optimizer=Descent(), **DATA),
        (GATE_APPLY, GATE_VJP, LOSS_APPLY, LOSS_VJP, UPDATE),
    ),
    "value_and_grad": (lambda: fn.value_and_grad(NET, MSE), (GATE_APPLY, GATE_VJP)),
    "train_state": (lambda: fn.train_state(fn.Dense(2), Descent(), fn.Key(0), (3,)), (UPDATE,)),
    "predict": (lambda: fn.predict(Gate(), {}, {}, X), (GATE_APPLY,)),
    "jacobian": (lambda: fn.jacobian(Gate(), {}, {}, X), (GATE_APPLY, GATE_VJP)),
    "minimize": (lambda: fn.minimize(NET, MSE, (X, Y), key=fn.Key(0)), (GATE_APPLY, GATE_VJP)),
    "check_layer": (lambda: fn.check_layer(fn.Residual(Gate()), (3,)), (GATE_APPLY, GATE_VJP)),
    "check_loss": (lambda: fn.check_loss(Distance(), np.ones((2, 1)), np.ones((2, 1))), (LOSS_APPLY, LOSS_VJP)),
    "check_optimizer": (lambda: fn.check_optimizer(Descent()), (UPDATE,)),
    "a method that is missing": (
        lambda: fn.value_and_grad(OnlyForward(), MSE),
        ("OnlyForward: expected vjp(self, params, residuals, dy), got none",),
    ),
    "layer": (
        lambda: fn.layer(lambda k, s: ({}, {}), lambda p, x: x, lambda p, r, dy: ({}, dy), None),
        (
            "expected init(key, in_shape, dtype), got <lambda>(k, s)",
            "expected apply(params, state, x, ctx), got <lambda>(p, x)",
            "expected out_shape(in_shape), got None",
        ),
    ),
}


@pytest.mark.parametrize("place", PLACES)
def test_every_method_with_other_parameters_is_named_before_anything_runs(place):
    call, lines = PLACES[place]
    assert message(call) == HEAD + "\n  ".join(lines) + TAIL


def test_a_layer_without_a_backward_pass_predicts():
    assert np.array_equal(fn.predict(OnlyForward(), {}, {}, X), X)


def test_names_and_kinds_of_parameters_are_free():
    @attrs.frozen
    class Free(fn.Layer):
        @staticmethod
        def out_shape(shape):
            return shape

        def apply(self, p, s, value, context, extra=None):
            return value, s, None

        def vjp(self, *args):
            return {}, args[-1]

        @classmethod
        def in_kinds(cls, shape):
            return "f"

    check_signatures(Free())
    check_functions(fn.Layer, {"init": lambda *args: None, "apply": max, "out_shape": lambda shape, more=0: shape})


def test_what_is_no_method_is_shown():
    @attrs.frozen
    class Wrong(fn.Layer):
        apply = 3

        def out_shape(in_shape):
            return in_shape

        def vjp(self, params, residuals, dy, *, more):
            return {}, dy

    assert message(lambda: check_signatures(Wrong())) == (
        f"{HEAD}Wrong: expected out_shape(self, in_shape), got out_shape(in_shape)\n  "
        "Wrong: expected apply(self, params, state, x, ctx), got 3\n  "
        f"Wrong: expected vjp(self, params, residuals, dy), got vjp(self, params, residuals, dy, *, more){TAIL}"
    )


@pytest.mark.parametrize("kind", ["layer", "loss", "optimizer"])
def test_the_librarys_own_methods_take_what_they_are_called_with(kind):
    from funcnet.signatures import _problems

    own = [cls for cls in spec.tags(kind).values() if cls.__module__.startswith("funcnet.")]
    assert {cls: _problems(cls) for cls in own if _problems(cls)} == {}


# ----- what methods return -------------------------------------------------------------------------------------


@attrs.frozen
class Returning(fn.Layer):
    """Returns one of several things."""

    what: str

    def out_shape(self, in_shape):
        return in_shape

    def init(self, key, in_shape, dtype=np.float32):
        return {} if self.what == "params" else ({}, {})

    def apply(self, params, state, x, ctx):
        return {"y": x, "y and state": (x, state), "state first": (state, x, None)}.get(self.what, (x, state, None))

    def vjp(self, params, residuals, dy):
        return {"dx": dy, "dx first": (dy, {})}.get(self.what, ({}, dy))


@attrs.frozen
class OnlyUpdates(optim.SGD):
    def update(self, grads, opt_state, params, value=None):
        return super().update(grads, opt_state, params, value)[0]


@attrs.frozen
class OnlyValue(losses.MeanSquaredError):
    def apply(self, prediction, target, weight=None, divisor=None):
        return super().apply(prediction, target, weight, divisor)[0]


@attrs.frozen
class NoState(optim.SGD):
    def init(self, params):
        return None


def step(net=None, loss=MSE, opt=SGD, compile=False):
    net = fn.serial(fn.Dense(2)) if net is None else net
    ts = fn.train_state(net, opt, fn.Key(0), (3,))
    return fn.train_step(net, loss, opt, compile=compile)(ts, (X, Y))


APPLY = "expected apply to return (y, state, residuals), got {}; return all three; residuals are whatever vjp needs"
VJP = "expected vjp to return (dparams, dx), got {}; return both, the params' gradients first, {{}} for none"
BOTH = "expected update to return (updates, opt_state), got one dict; return both; updates are added to the params"
LAYERS = {
    "y": APPLY.format("one ndarray"),
    "y and state": APPLY.format("a tuple of ndarray, dict"),
    "state first": APPLY.format("a tuple of dict, ndarray, NoneType"),
    "dx": VJP.format("one ndarray"),
    "dx first": VJP.format("a tuple of ndarray, dict"),
    "params": "expected init to return (params, state), got one dict; return both, {} for none",
}


@pytest.mark.parametrize("what", LAYERS)
def test_a_layer_that_returns_something_else_is_named(what):
    net = fn.serial(fn.Dense(2), body=fn.serial(a=Returning(what)))
    assert message(lambda: step(net)) == f"body/a (Returning): {LAYERS[what]}"
    root = fn.serial(fn.Dense(2)) >> fn.Residual(Returning(what))
    assert message(lambda: step(root)) == f"residual_0 (Returning): {LAYERS[what]}"


@pytest.mark.parametrize("what", ["y", "y and state", "state first"])
def test_a_forward_pass_that_returns_something_else_is_named_while_it_is_compiled(what):
    assert message(lambda: step(fn.serial(fn.Dense(2), a=Returning(what)), compile=True)) == (
        f"a (Returning): {LAYERS[what]}"
    )


@pytest.mark.parametrize("compile", [False, True])
def test_losses_and_optimizers_that_return_something_else_are_named(compile):
    assert message(lambda: step(opt=OnlyUpdates(0.1), compile=compile)) == f"OnlyUpdates: {BOTH}"
    for outer in (
        optim.chain(OnlyUpdates(0.1)),
        optim.Freeze(OnlyUpdates(0.1), "*bias"),
        optim.Lookahead(OnlyUpdates(0.1)),
    ):
        assert message(lambda outer=outer: step(opt=outer, compile=compile)) == f"OnlyUpdates: {BOTH}"
    assert message(lambda: step(loss=OnlyValue(), compile=compile)).startswith(
        "OnlyValue: expected apply to return (value, residuals), got one "
    )
    assert message(lambda: step(opt=NoState(0.1))) == (
        "NoState: expected init to return opt_state, a dict of arrays, got one NoneType; "
        "return {} for a rule without state"
    )


def test_functions_that_return_something_else_are_named():
    def net(init=({}, {})):
        return fn.layer(lambda k, s, d: init, lambda p, s, x, c: (x, s), lambda p, r, dy: ({}, dy), lambda shape: shape)

    assert message(lambda: step(fn.serial(fn.Dense(2), net()))) == (
        f"layer_0 (FunctionLayer): {APPLY.format('a tuple of ndarray, dict')}"
    )
    assert message(lambda: net(init={}).init(fn.Key(0), (3,))) == f"FunctionLayer: {LAYERS['params']}"


def test_gradients_of_another_structure_or_shape_are_refused():
    @attrs.frozen
    class Wrong(fn.Dense):
        tag = None
        how: str = "lost"

        def vjp(self, params, residuals, dy):
            dparams, dx = super().vjp(params, residuals, dy)
            bias = {} if self.how == "lost" else {"bias": dparams["bias"][:1]}
            return {"weight": dparams["weight"], **bias}, dx

    for how, kind, text in (
        ("lost", fn.PathError, "the gradients do not have the params' structure: trees differ at 'a': expected the "
         "entries ['bias', 'weight'], got ['weight']; give trees of equal structure"),
        ("short", fn.ShapeError, "the gradients do not have the params' shapes:\n  a/bias: expected (2,), got (1,)"),
    ):  # fmt: skip
        with pytest.raises(kind) as caught:
            step(fn.serial(a=Wrong(2, how=how)))
        assert str(caught.value) == text
