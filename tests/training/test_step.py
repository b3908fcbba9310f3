"""The pure step: what it computes, what it owns, what it refuses, and where it says that a NaN began."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from typing import Any, ClassVar

import attrs
import numpy as np
import pytest

import funcnet as fn
from funcnet import losses, optim, tree
from funcnet.laws import values
from funcnet.laws.values import frozen_copy, turned
from funcnet.spec import base as spec
from tests.rows.core import GAIN
from tests.table import LAYERS, TRAINED, same

KEY = fn.Key(9)
NET = fn.serial(fn.Dense(5), fn.Tanh(), fn.Dense(2))
STATEFUL = fn.serial(fn.Dense(6), fn.BatchNorm(), fn.Relu(), fn.Dropout(0.3), fn.Dense(2))
MSE, SOFTMAX = losses.MeanSquaredError(), losses.SoftmaxCrossEntropy()
X, Y = KEY.fold("x").normal((12, 4), np.float32), KEY.fold("y").normal((12, 2), np.float32)
LABELS = KEY.fold("labels").integers(2, (12,))
WEIGHT = (0.5 + KEY.fold("w").uniform((12,))).astype(np.float32)
TRAIN = fn.Context(True, KEY)


def start_of(net: fn.Layer, opt: optim.Optimizer, **options: Any) -> fn.TrainState:
    return fn.train_state(net, opt, KEY, (4,), **options)


def everything(ts: fn.TrainState) -> tuple[Any, ...]:
    return ts.params, ts.state, ts.opt_state, ts.key.digest.hex(), np.int64(ts.step)


def apart(*values: Any) -> bool:
    """Whether no two arrays of these values share memory."""
    leaves = [leaf for value in values for leaf in tree.leaves(value)]
    return not any(np.shares_memory(a, b) for a, b in combinations(leaves, 2))


# ----- value and gradient -------------------------------------------------------------------------------


@pytest.mark.parametrize("ctx", [fn.EVAL, TRAIN])
@pytest.mark.parametrize(
    ("loss", "y", "weight"),
    [(MSE, Y, None), (MSE, Y, WEIGHT), (SOFTMAX, LABELS, None), (losses.RootMeanSquaredError(), Y, WEIGHT)],
)
def test_value_and_grad_is_the_composition(ctx: fn.Context, loss: losses.Loss, y: Any, weight: Any) -> None:
    params, state = STATEFUL.init(KEY, (4,))
    prediction, new_state, residuals = STATEFUL.apply(params, state, X, ctx)
    value, loss_residuals = loss.apply(prediction, y, weight)
    grads, _ = STATEFUL.vjp(params, residuals, loss.vjp(loss_residuals))
    got = fn.value_and_grad(STATEFUL, loss)(params, state, X, y, ctx, weight)
    assert type(got[0]) is float
    assert same(got, (float(value), new_state, grads))


def test_value_and_grad_by_hand() -> None:
    """One unit, three samples: the whole of backpropagation on paper."""
    net = fn.serial(fn.Dense(1))
    params = {"dense_0": {"weight": np.array([[2.0], [-1.0]]), "bias": np.array([0.5])}}
    x, y = np.array([[1.0, 1.0], [2.0, 0.0], [0.0, 3.0]]), np.array([[1.0], [4.0], [-2.0]])
    error = np.array([[0.5], [0.5], [-0.5]])
    value, state, grads = fn.value_and_grad(net, MSE)(params, {}, x, y, fn.EVAL)
    assert value == 0.25
    assert state == {}
    by_hand = {"dense_0": {"weight": 2.0 / 3.0 * x.T @ error, "bias": np.array([1.0 / 3.0])}}
    assert values.same(grads, by_hand, rtol=1e-15)  # sums of three terms, in any order


@pytest.mark.parametrize("name", [name for name, row in LAYERS.items() if isinstance(row.in_shape, dict)])
def test_inputs_and_outputs_nest(name: str) -> None:
    layer, in_shape, *_ = LAYERS[name]
    params, state = layer.init(KEY, in_shape)
    x = LAYERS[name].input(KEY, batch=3)
    y = fn.predict(layer, params, state, x)
    parts = [fn.predict(layer, params, state, tree.map(lambda a: a[i : i + 1], x)) for i in range(3)]
    joined = tree.map(lambda *rows: np.concatenate(rows), *parts)
    tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), y, joined)
    assert {leaf.dtype for leaf in tree.leaves(y)} == {np.dtype(np.float32 if params else np.float64)}


@pytest.mark.parametrize("batch_size", [1, 5, 12, 100, None])
def test_predict_in_parts(batch_size: int | None) -> None:
    params, state = STATEFUL.init(KEY, (4,))
    expected, _, _ = STATEFUL.apply(params, state, X, fn.EVAL)
    y = fn.predict(STATEFUL, params, state, X, batch_size)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)
    assert y.dtype == np.float32


@pytest.mark.parametrize("batch_size", [0, -2])
def test_predict_refuses_a_batch_size_below_1(batch_size: int) -> None:
    """It would give no rows, or too many."""
    params, state = NET.init(KEY, (4,))
    with pytest.raises(fn.FuncnetError):
        fn.predict(NET, params, state, X, batch_size)


# ----- the step -----------------------------------------------------------------------------------------


def test_a_step_is_a_gradient_and_an_update() -> None:
    rule = optim.SGD(0.1)
    ts = start_of(NET, rule)
    new, out = fn.train_step(NET, MSE, rule)(ts, (X, Y))
    value, _, grads = fn.value_and_grad(NET, MSE)(ts.params, ts.state, X, Y, TRAIN)
    assert out == {"loss": value}
    assert same(new.params, tree.map(lambda p, g: p - np.float32(0.1) * g, ts.params, grads))
    assert (new.step, new.key) == (1, ts.key)
    assert same(new.opt_state, {"step": np.int64(1)})


def test_the_step_number_alone_is_the_random_state() -> None:
    rule = optim.Adam()
    ts = start_of(STATEFUL, rule)
    step = fn.train_step(STATEFUL, MSE, rule)
    first, out = step(ts, (X, Y))
    again, out_again = step(ts, (X, Y))
    assert same(everything(first), everything(again))
    assert out == out_again
    ctx = fn.Context(True, KEY.fold("step", 0, "shard", 0))
    assert out["loss"] == fn.value_and_grad(STATEFUL, MSE)(ts.params, ts.state, X, Y, ctx)[0]
    later = fn.TrainState(ts.params, ts.state, ts.opt_state, ts.key, 7)
    assert step(later, (X, Y))[1] != out
    ctx = fn.Context(True, KEY.fold("step", 7, "shard", 0))
    assert step(later, (X, Y))[1]["loss"] == fn.value_and_grad(STATEFUL, MSE)(ts.params, ts.state, X, Y, ctx)[0]


@pytest.mark.parametrize("shards", [1, 3])
def test_a_step_is_pure(shards: int) -> None:
    rule = optim.chain(optim.ClipByGlobalNorm(1.0), optim.Adam())
    step = fn.train_step(STATEFUL, MSE, rule, shards=shards)
    ts = step(start_of(STATEFUL, rule), (X, Y))[0]
    frozen = fn.TrainState(frozen_copy(ts.params), frozen_copy(ts.state), frozen_copy(ts.opt_state), ts.key, ts.step)
    batch = frozen_copy((X, Y, WEIGHT))
    new, out = step(frozen, batch)
    again, out_again = step(ts, (X, Y, WEIGHT))
    assert same(everything(new), everything(again))
    assert out == out_again
    assert all(leaf.flags.writeable for leaf in tree.leaves((new.params, new.state, new.opt_state)))


def test_a_step_owns_what_it_returns() -> None:
    rule = optim.SGD(0.1, momentum=0.9)
    step = fn.train_step(STATEFUL, MSE, rule)
    first = step(start_of(STATEFUL, rule), (X, Y))[0]
    x, y = X.copy(), Y.copy()
    second = step(first, (x, y))[0]
    assert apart(first.params, first.state, first.opt_state, second.params, second.state, second.opt_state, x, y)
    kept = tree.map(np.array, (second.params, second.state, second.opt_state))
    for leaf in tree.leaves((first.params, first.state, first.opt_state)):
        leaf[...] = 0
    x[...], y[...] = 0.0, 0.0
    assert same((second.params, second.state, second.opt_state), kept)


def test_mutating_what_was_returned_changes_no_later_result() -> None:
    params, state = STATEFUL.init(KEY, (4,))
    f = fn.value_and_grad(STATEFUL, MSE)
    expected = tree.map(np.array, f(params, state, X, Y, TRAIN))
    _, new_state, grads = f(params, state, X, Y, TRAIN)
    for leaf in tree.leaves((new_state, grads)):
        leaf += 1.0
    assert same(tree.map(np.array, f(params, state, X, Y, TRAIN)), expected)


@pytest.mark.parametrize("ctx", [fn.EVAL, TRAIN])
def test_value_and_grad_owns_state_and_gradients(ctx: fn.Context) -> None:
    params, state = STATEFUL.init(KEY, (4,))
    _, new_state, grads = fn.value_and_grad(STATEFUL, MSE)(params, state, X, Y, ctx)
    assert apart(params, state, new_state, grads, X, Y)


def test_a_step_owns_a_state_that_did_not_change() -> None:
    def init(key: Any, in_shape: Any, dtype: Any = np.float32) -> Any:
        return {}, {"table": np.ones(3, dtype)}

    keeper = fn.layer(init, lambda p, s, x, ctx: (x, s, None), lambda p, r, dy: ({}, dy), lambda shape: shape)
    net, rule = fn.serial(fn.Dense(2), keeper), optim.SGD(0.1)
    ts = start_of(net, rule)
    new, _ = fn.train_step(net, MSE, rule)(ts, (X, Y))
    assert same(new.state, ts.state)
    assert apart(new.state, ts.state)


def test_gradients_are_owned_even_where_a_layer_hands_out_its_params_or_input() -> None:
    def vjp(params: Any, residuals: Any, dy: Any) -> Any:
        return {"a": params["a"], "b": params["a"]}, dy

    shifted = fn.layer(
        lambda key, shape, dtype=np.float32: ({"a": np.ones(2, dtype), "b": np.ones(2, dtype)}, {}),
        lambda p, s, x, ctx: (x, s, None),
        vjp,
        lambda shape: shape,
    )
    net = fn.serial(fn.Dense(2), shifted)
    params, state = net.init(KEY, (4,))
    _, _, grads = fn.value_and_grad(net, MSE)(params, state, X, Y, fn.EVAL)
    assert apart(params, grads)


OWNED: dict[str, tuple[fn.Layer, Any]] = {
    "identity": (fn.Identity(), X),
    "serial of nothing": (fn.serial(), X),
    "flatten": (fn.Flatten(), X.reshape(12, 2, 2)),
    "flatten what is flat": (fn.Flatten(), X),
    "reshape": (fn.Reshape((2, 2)), X),
    "dropout": (fn.Dropout(0.5), X),
    "sum of one": (fn.Sum(), (X,)),
    "identity of a tuple": (fn.Identity(), (X, {"y": Y})),
    "views of one array": (fn.branch(fn.Identity(), fn.Flatten(), fn.Identity()), X),
    "one array twice": (fn.serial(fn.Relu(), fn.branch(fn.Identity(), fn.Identity(), fn.Flatten())), X),
    "graph that passes its input on": (fn.Graph("x", {"a": (fn.Relu(), "x")}, ("a", "x", "a")), X),
}


@pytest.mark.parametrize("batch_size", [None, 5])
@pytest.mark.parametrize("name", OWNED)
def test_predict_owns_its_outputs(name: str, batch_size: int | None) -> None:
    net, x = OWNED[name]
    y = fn.predict(net, {}, {}, x, batch_size)
    assert apart(y, tree.leaves(x)[0])
    for leaf in tree.leaves(y):
        leaf += 1.0
    again = fn.predict(net, {}, {}, frozen_copy(x), batch_size)
    assert same(tree.map(lambda leaf: leaf + np.float32(1.0), again), y)


def test_predict_does_not_hand_out_params() -> None:
    table = fn.layer(
        lambda key, shape, dtype=np.float32: ({"rows": np.ones((12, 2), dtype)}, {}),
        lambda p, s, x, ctx: (p["rows"], s, None),
        lambda p, r, dy: ({"rows": dy}, None),
        lambda shape: (2,),
    )
    params, state = table.init(KEY, (4,))
    assert apart(fn.predict(table, params, state, X), params)


# ----- what comes in is cast ----------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_floats_are_cast_to_the_dtype_of_the_params(dtype: Any) -> None:
    rule = optim.Adam()
    step, ts = fn.train_step(STATEFUL, MSE, rule), start_of(STATEFUL, rule, dtype=dtype)
    expected = step(ts, (X.astype(dtype), Y.astype(dtype), WEIGHT.astype(dtype)))
    assert {leaf.dtype for leaf in tree.leaves((expected[0].params, expected[0].state))} == {np.dtype(dtype)}
    for x, y, w in (
        (X.astype(np.float64), Y.astype(np.float64), WEIGHT.astype(np.float64)),
        (X, Y.astype(np.longdouble), WEIGHT),
        (X.astype(np.float64).tolist(), Y.astype(np.float64).tolist(), WEIGHT.astype(np.float64).tolist()),
        (np.asfortranarray(X), Y[::-1][::-1], WEIGHT),
    ):
        new, out = step(ts, (x, y, w))
        assert same(everything(new), everything(expected[0]))
        assert out == expected[1]


@pytest.mark.parametrize("shards", [1, 3])
def test_lists_are_arrays(shards: int) -> None:
    rule = optim.SGD(0.1)
    step, ts = fn.train_step(NET, MSE, rule, shards=shards), start_of(NET, rule)
    expected = step(ts, (X, Y, WEIGHT))
    lists = tuple(a.astype(np.float64).tolist() for a in (X, Y, WEIGHT))
    new, out = step(ts, lists)
    assert out == expected[1]
    assert same(new.params, expected[0].params)


def test_integer_targets_and_weights_train_in_float32() -> None:
    rule = optim.SGD(0.1)
    new, _ = fn.train_step(NET, MSE, rule)(start_of(NET, rule), (X, np.ones((12, 2), int), np.ones(12, int)))
    assert {leaf.dtype for leaf in tree.leaves(new.params)} == {np.dtype(np.float32)}


# ----- what is refused ----------------------------------------------------------------------------------

OTHER = fn.serial(fn.Dense(7), fn.Tanh(), fn.Dense(2), fn.Dense(1))
PARAMS, STATE = NET.init(KEY, (4,))
FIT = "give inputs of the shape that the params were initialised for, or the params of this network"
PAIR = "; pair them row by row"
ROWS = "expected as many targets (and weights) as inputs, got "


def f(params: Any, x: Any, y: Any = Y, weight: Any = None, net: fn.Layer = NET, state: Any = STATE) -> Any:
    return fn.value_and_grad(net, MSE)(params, state, x, y, TRAIN, weight)


REFUSED: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "another width": (
        lambda: f(PARAMS, X[:, :3]),
        fn.ShapeError,
        "expected inputs of shape (4,), which the params were made for, got (3,); "
        "give the same features as in training",
    ),
    "one sample": (
        lambda: f(PARAMS, X[0], Y[0]),
        fn.ShapeError,
        "expected a batch of samples, got one sample of shape (4,); give it a batch axis: x[None] (and y[None])",
    ),
    "one number": (
        lambda: f(PARAMS, np.float32(2.5), Y[0]),
        fn.ShapeError,
        "expected a batch of samples, got a single number; wrap it: np.array([[2.5]])",
    ),
    "params of another network": (
        lambda: f(OTHER.init(KEY, (4,))[0], X),
        fn.ShapeError,
        "params and state do not fit the network for inputs of shape (4,):\n"
        "  dense_0/weight: expected param of shape (4, 5), got (4, 7)\n"
        "  dense_0/bias: expected param of shape (5,), got (7,)\n"
        "  dense_1/weight: expected param of shape (5, 2), got (7, 2)\n"
        "  dense_2/weight: expected no such param, got shape (2, 1)\n"
        f"  dense_2/bias: expected no such param, got shape (1,)\n{FIT}",
    ),
    "state of another network": (
        lambda: f(PARAMS, X, state={"batch_norm_0": {"running_mean": np.zeros(5, np.float32)}}),
        fn.ShapeError,
        "params and state do not fit the network for inputs of shape (4,):\n"
        f"  batch_norm_0/running_mean: expected no such state, got shape (5,)\n{FIT}",
    ),
    "no params": (
        lambda: f({}, X, net=fn.Dense(2)),
        fn.ShapeError,
        "params and state do not fit the network for inputs of shape (4,):\n"
        "  weight: expected param of shape (4, 2), got none\n"
        f"  bias: expected param of shape (2,), got none\n{FIT}",
    ),
    "mixed dtypes": (
        lambda: f(tree.at(PARAMS, "dense_0/bias").apply(lambda b: b.astype(np.float64)), X),
        fn.ShapeError,
        "expected params of one float type, got dense_0/bias float64, dense_0/weight float32, dense_1/bias float32, "
        "dense_1/weight float32; convert them with tree.map",
    ),
    "integer params": (
        lambda: f({"weight": np.ones((4, 2), int), "bias": np.ones(2, int)}, X, net=fn.Dense(2)),
        fn.ShapeError,
        "expected params of one float type, got bias int64, weight int64; convert them with tree.map",
    ),
    "fewer targets": (lambda: f(PARAMS, X, Y[:3]), fn.ShapeError, f"{ROWS}12 inputs and (3, 2){PAIR}"),
    "more targets": (lambda: f(PARAMS, X[:3]), fn.ShapeError, f"{ROWS}3 inputs and (12, 2){PAIR}"),
    "one target": (lambda: f(PARAMS, X, 3.0), fn.ShapeError, f"{ROWS}12 inputs and (){PAIR}"),
    "fewer weights": (
        lambda: f(PARAMS, X, Y, WEIGHT[:3]),
        fn.ShapeError,
        f"{ROWS}12 inputs and (12, 2), (3,){PAIR}",
    ),
    "a target of another shape": (
        lambda: f(PARAMS, X, Y[:, 0]),
        fn.ShapeError,
        "MeanSquaredError: expected a target of the prediction's shape (12, 2), got (12,); "
        "give the last layer one unit for one value, or for labels of classes use SoftmaxCrossEntropy",
    ),
    "text": (
        lambda: f(PARAMS, X, np.array(["yes"] * 12)),
        fn.DataError,
        "y: expected an array of real numbers, got <U3; number the texts, from 0 up, or convert them if they are "
        "numbers",
    ),
    "nothing": (
        lambda: f(PARAMS, X, None),
        fn.DataError,
        "y: expected an array of real numbers, got None; give an array, or a list of numbers",
    ),
    "complex numbers": (
        lambda: f(PARAMS, X.astype(complex)),
        fn.DataError,
        "x: expected an array of real numbers, got complex128; encode or convert it first",
    ),
    "ragged rows": (
        lambda: f(PARAMS, [[1.0, 2.0], [3.0]]),
        fn.DataError,
        "x: expected rows of one length, got different ones; pad or cut them, or give several inputs as a tuple",
    ),
    "integers": (
        lambda: f(PARAMS, np.ones((12, 4), int)),
        fn.ShapeError,
        "dense_0 (Dense): expected floating-point input, got int64; give floats, and scale pixels by 1 / 255",
    ),
    "labels out of range": (
        lambda: fn.value_and_grad(NET, SOFTMAX)(PARAMS, {}, X, np.arange(12), fn.EVAL),
        fn.DataError,
        "SoftmaxCrossEntropy: expected labels from 0 to 1, got 2 at row 2; "
        "renumber the labels, or give the last layer one unit for each class",
    ),
    "no key": (
        lambda: fn.value_and_grad(fn.serial(body=fn.serial(fn.Dropout(0.5))), MSE)({}, {}, X, X, fn.Context(True)),
        fn.KeyRequired,
        "body/dropout_0 (Dropout): draws random numbers in training and the context has no key; "
        "expected Context(train=True, key=fn.Key(seed)), got key=None",
    ),
    "one sample to predict": (
        lambda: fn.predict(NET, PARAMS, {}, X[0]),
        fn.ShapeError,
        "expected a batch of samples, got one sample of shape (4,); give it a batch axis: x[None] (and y[None])",
    ),
    "layers that do not fit": (
        lambda: fn.train_state(fn.serial(fn.Dense(3), head=fn.Reshape((2,))), optim.SGD(0.1), KEY, (4,)),
        fn.ShapeError,
        "head (Reshape): expected an input of 2 entries for shape (2,), got shape (3,) of 3; change one of them",
    ),
    "no batch": (
        lambda: fn.train_step(NET, MSE, optim.SGD(0.1))(start_of(NET, optim.SGD(0.1)), X),
        fn.ShapeError,
        "expected data as a tuple (x, y) or (x, y, weight), got a ndarray; write (x, y), the inputs and the targets",
    ),
    "a batch of four": (
        lambda: fn.train_step(NET, MSE, optim.SGD(0.1))(start_of(NET, optim.SGD(0.1)), (X, Y, X, Y)),
        fn.ShapeError,
        "expected data as a tuple (x, y) or (x, y, weight), got a tuple of 4",
    ),
    "no shards": (
        lambda: fn.train_step(NET, MSE, optim.SGD(0.1), shards=0),
        fn.DataError,
        "expected shards of 1 or more, got 0",
    ),
    "shards of a root": (
        lambda: fn.train_step(NET, losses.RootMeanSquaredError(), optim.SGD(0.1), shards=2),
        fn.ShapeError,
        "RootMeanSquaredError of a batch is not a sum over its parts, so shards must be 1, got 2; "
        "use MeanSquaredError, whose minimum is the same",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_refused(name: str) -> None:
    call, kind, message = REFUSED[name]
    with pytest.raises(kind) as caught:
        call()
    assert str(caught.value) == message


REFUSED_IN_SHARDS = {
    "more targets than inputs": (X[:8], Y),
    "more weights than inputs": (X[:8], Y[:8], WEIGHT),
    "fewer targets than inputs": (X, Y[:8]),
    "one number": (np.float32(2.5), Y),
    "one sample": (X[0], Y[0]),
    "another width": (X[:, :3], Y),
}


@pytest.mark.parametrize("name", REFUSED_IN_SHARDS)
def test_shards_refuse_what_a_whole_batch_refuses(name: str) -> None:
    rule = optim.SGD(0.1)
    for shards in (1, 2):
        with pytest.raises(fn.ShapeError):
            fn.train_step(NET, MSE, rule, shards=shards)(start_of(NET, rule), REFUSED_IN_SHARDS[name])


def test_predict_refuses_inputs_of_different_length() -> None:
    """One row beside five would be added to each."""
    with pytest.raises(fn.ShapeError):
        fn.predict(fn.Sum(), {}, {}, (X[:5], X[:1]))


def test_a_state_of_another_dtype_does_not_change_the_params() -> None:
    """A float64 statistic would turn outputs, gradients and params into float64."""
    params, state = STATEFUL.init(KEY, (4,))
    wide = tree.map(lambda leaf: leaf.astype(np.float64), state)
    with pytest.raises(fn.ShapeError):
        fn.value_and_grad(STATEFUL, MSE)(params, wide, X, Y, fn.EVAL)


# ----- where runs start ---------------------------------------------------------------------------------


def test_train_state_draws_from_its_key() -> None:
    rule = optim.Adam()
    ts = start_of(STATEFUL, rule)
    params, state = STATEFUL.init(KEY.fold("init"), (4,))
    zeros = tree.zeros_like(params)
    assert same((ts.params, ts.state), (params, state))
    assert same(ts.opt_state, {"step": np.int64(0), "mean": zeros, "square": zeros})
    assert (ts.key, ts.step) == (KEY, 0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_train_state_takes_values_and_owns_them(dtype: Any) -> None:
    params, state = STATEFUL.init(fn.Key(77), (4,), np.float64)
    ts = start_of(STATEFUL, optim.SGD(0.1), params=params, state=state, dtype=dtype)
    assert same(ts.params, tree.map(lambda leaf: leaf.astype(dtype), params))
    assert same(ts.state, tree.map(lambda leaf: leaf.astype(dtype), state))
    assert apart(ts.params, ts.state, params, state)
    lists = tree.map(lambda leaf: leaf.tolist(), params)
    assert same(start_of(STATEFUL, optim.SGD(0.1), params=lists, dtype=dtype).params, ts.params)


def test_train_state_refuses_values_that_do_not_fit() -> None:
    params = {"dense_0": {"weight": np.zeros((4, 5)), "bias": np.zeros(6)}, "head": {"weight": np.zeros((5, 2))}}
    with pytest.raises(fn.ShapeError) as caught:
        start_of(NET, optim.SGD(0.1), params=params)
    assert str(caught.value) == (
        "the starting values do not fit the network for inputs of shape (4,):\n"
        "  dense_0/bias: expected param of shape (5,), got (6,)\n"
        "  dense_1/weight: expected param of shape (5, 2), got none\n"
        "  dense_1/bias: expected param of shape (2,), got none\n"
        "  head/weight: expected no such param, got shape (5, 2)\n"
        "give the params and state of this network"
    )


# ----- shards -------------------------------------------------------------------------------------------

SMALL = {
    "mse": (NET, MSE, (X, Y)),
    "mse weighted": (NET, MSE, (X, Y, WEIGHT)),
    "mse weighted by term": (NET, MSE, (X, Y, np.stack([WEIGHT, 2 * WEIGHT], -1))),
    "sum": (NET, losses.SumSquaredError(), (X, Y, WEIGHT)),
    "softmax": (NET, SOFTMAX, (X, LABELS, WEIGHT)),
    "sigmoid": (NET, losses.SigmoidCrossEntropy(), (X, (Y > 0).astype(float))),
    "tuple": (
        fn.serial(fn.parallel(fn.Dense(3), fn.Dense(3)), fn.Sum(), fn.Dense(2)),
        MSE,
        ((X, X[:, :2]), Y, WEIGHT),
    ),
}


@pytest.mark.parametrize("shards", [2, 3, 8, 12, 50])
@pytest.mark.parametrize("name", SMALL)
def test_shards_agree_with_the_whole(name: str, shards: int) -> None:
    net, loss, batch = SMALL[name]
    rule = optim.SGD(1.0)
    in_shape = tree.map(lambda a: a.shape[1:], batch[0])
    ts = fn.train_state(net, rule, KEY, in_shape, dtype=np.float64)
    whole, out = fn.train_step(net, loss, rule)(ts, batch)
    parts, parts_out = fn.train_step(net, loss, rule, shards=shards)(ts, batch)
    assert parts_out["loss"] == pytest.approx(out["loss"], rel=1e-12)
    tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12), parts.params, whole.params)


@pytest.mark.parametrize("weight", [None, WEIGHT])
@pytest.mark.parametrize("rows", [12, 11, 7])
@pytest.mark.parametrize("shards", [1, 2, 3])
def test_shards_are_parts_added_by_hand(shards: int, rows: int, weight: Any) -> None:
    """With dropout and batch statistics, to the bit: contiguous parts, folded keys, one divisor, the mean state."""
    rule = optim.SGD(0.1)
    x, y = X[:rows], Y[:rows]
    w = None if weight is None else weight[:rows]
    ts = fn.train_step(STATEFUL, MSE, rule)(start_of(STATEFUL, rule), (X, Y))[0]
    gradient, divisor = fn.value_and_grad(STATEFUL, MSE), MSE.divisor(y, w)
    values, states, grads = [], [], []
    for shard in range(shards):
        part = slice(shard * rows // shards, (shard + 1) * rows // shards)
        ctx = fn.Context(True, KEY.fold("step", 1, "shard", shard))
        out = gradient(ts.params, ts.state, x[part], y[part], ctx, None if w is None else w[part], divisor)
        for kept, value in zip((values, states, grads), out, strict=True):
            kept.append(value)
    total, state = grads[0], states[0]
    for other_state, other in zip(states[1:], grads[1:], strict=True):
        state, total = tree.map(np.add, state, other_state), tree.map(np.add, total, other)
    params = tree.map(lambda p, g: p - np.float32(0.1) * g, ts.params, total)
    new, out = fn.train_step(STATEFUL, MSE, rule, shards=shards)(ts, (x, y) if w is None else (x, y, w))
    assert out == {"loss": sum(values[1:], values[0])}
    assert same(new.params, params)
    mean = tree.map(lambda leaf: leaf * np.float32(1.0 / shards), state)
    tree.map(lambda got, want: np.testing.assert_allclose(got, want, rtol=1e-6), new.state, mean)
    assert {leaf.dtype for leaf in tree.leaves(new.state)} == {np.dtype(np.float32)}


def test_a_batch_smaller_than_the_shards_has_a_part_for_each_row() -> None:
    rule = optim.SGD(0.1)
    net = fn.serial(fn.Dense(2), fn.Dropout(0.5))
    ts = start_of(net, rule)
    new, out = fn.train_step(net, MSE, rule, shards=8)(ts, (X[:3], Y[:3]))
    gradient, total, value = fn.value_and_grad(net, MSE), None, 0.0
    for row, shard in enumerate((2, 5, 7)):  # s · 3 // 8 passes from row to row at these
        part = slice(row, row + 1)
        ctx = fn.Context(True, KEY.fold("step", 0, "shard", shard))
        one, _, grads = gradient(ts.params, ts.state, X[part], Y[part], ctx, None, 6.0)
        value, total = value + one, grads if total is None else tree.map(np.add, total, grads)
    assert out["loss"] == value
    assert same(new.params, tree.map(lambda p, g: p - np.float32(0.1) * g, ts.params, total))


def test_weights_of_0_in_a_whole_shard() -> None:
    rule = optim.SGD(0.1)
    weight = np.array([0.0] * 6 + [1.0] * 6)
    ts = start_of(NET, rule, dtype=np.float64)
    half = fn.train_step(NET, MSE, rule)(ts, (X[6:], Y[6:]))
    shards = fn.train_step(NET, MSE, rule, shards=2)(ts, (X, Y, weight))
    assert shards[1]["loss"] == pytest.approx(half[1]["loss"], rel=1e-13)
    tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12), shards[0].params, half[0].params)


# ----- where a NaN began --------------------------------------------------------------------------------

ADVICE = "Lower the learning rate, clip gradients (ClipByGlobalNorm), or look at the data"


def spoiled(*, forward: bool = False, backward: bool = False) -> fn.Layer:
    """The identity, but for a NaN in its output or its cotangent."""

    def spoil(value: Any) -> Any:
        return np.where(np.arange(value.size).reshape(value.shape) == 1, np.nan, value).astype(value.dtype)

    return fn.layer(
        lambda key, shape, dtype=np.float32: ({}, {}),
        lambda p, s, x, ctx: (spoil(x) if forward else x, s, None),
        lambda p, r, dy: ({}, spoil(dy) if backward else dy),
        lambda shape: shape,
    )


@fn.register("test_step.reciprocal")
@attrs.frozen
class Reciprocal(fn.Layer):
    """1 / x, infinite where relu before it gave 0."""

    def out_shape(self, in_shape: Any) -> Any:
        return in_shape

    def apply(self, params: Any, state: Any, x: Any, ctx: Any) -> Any:
        y = 1.0 / x
        return y, state, y

    def vjp(self, params: Any, residuals: Any, dy: Any) -> Any:
        return {}, -(residuals**2) * dy


def with_bad(bad: fn.Layer) -> fn.Layer:
    return fn.serial(stem=fn.Dense(3), body=fn.serial(fn.Tanh(), bad=bad), head=fn.Dense(2))


def said(
    net: fn.Layer, batch: Any = (X, Y), loss: Any = MSE, shards: int = 1, change: Any = None, step: int = 5
) -> str:
    rule = optim.SGD(0.1)
    ts = start_of(net, rule)
    params = ts.params if change is None else change(ts.params)
    ts = fn.TrainState(frozen_copy(params), frozen_copy(ts.state), frozen_copy(ts.opt_state), ts.key, step)
    with pytest.raises(fn.NonFiniteError) as caught:
        fn.train_step(net, loss, rule, shards=shards)(ts, batch)
    return str(caught.value)


def not_finite(where: str, step: int = 5) -> str:
    return f"step {step}: a loss or gradient is not finite; it arose first in {where}. {ADVICE}"


def spoil_one(array: Any, value: float) -> Any:
    out = array.copy()
    out.flat[1] = value
    return out


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("shards", [1, 3])
def test_a_value_that_is_not_finite_is_found_where_it_came_in(value: float, shards: int) -> None:
    assert said(NET, (spoil_one(X, value), Y), shards=shards) == not_finite("the input batch")
    assert said(NET, (X, spoil_one(Y, value)), shards=shards) == not_finite("the targets")
    assert said(NET, (X, Y, spoil_one(WEIGHT, value)), shards=shards) == not_finite("the weights")
    for path in ("dense_1/weight", "dense_1/bias"):

        def change(params: Any, path: str = path) -> Any:
            return tree.at(params, path).apply(lambda leaf: spoil_one(leaf, value))

        assert said(NET, shards=shards, change=change) == not_finite(f"params {path}")


@pytest.mark.parametrize("shards", [1, 3])
def test_a_layer_that_is_not_finite_is_named_with_its_path_and_direction(shards: int) -> None:
    forward = not_finite("the forward pass of body/bad (FunctionLayer)")
    assert said(with_bad(spoiled(forward=True)), shards=shards) == forward
    assert said(with_bad(spoiled(forward=True, backward=True)), shards=shards) == forward
    backward = not_finite("the backward pass of body/bad (FunctionLayer)")
    assert said(with_bad(spoiled(backward=True)), shards=shards) == backward


def test_a_registered_layer_is_named_by_its_class() -> None:
    net = fn.serial(stem=fn.Dense(3), body=fn.serial(fn.Relu(), bad=Reciprocal()), head=fn.Dense(2))
    assert said(net) == not_finite("the forward pass of body/bad (Reciprocal)")


def test_the_layer_inside_a_wrapper_is_named_by_the_wrappers_path() -> None:
    net = fn.serial(fn.Dense(3), skip=fn.Residual(spoiled(forward=True)), head=fn.Dense(2))
    assert said(net) == not_finite("the forward pass of skip (FunctionLayer)")


def test_a_network_of_one_layer_is_the_network() -> None:
    assert said(spoiled(forward=True), (X, X)) == not_finite("the forward pass of the network (FunctionLayer)")


def test_a_combinator_may_be_the_first() -> None:
    """Two large halves are finite, and their sum is not: the head is not to blame."""
    net = fn.serial(skip=fn.Residual(fn.Identity()), head=fn.Dense(2))
    where = said(net, (np.full((12, 4), 3e38, np.float32), Y))
    assert where == not_finite("the forward pass of skip (Residual)")


@pytest.mark.parametrize("shards", [1, 3])
def test_a_loss_that_overflows_comes_before_any_backward_pass(shards: int) -> None:
    """(1e25)² is infinite in float32, and so is the weight's gradient, later."""
    net = fn.serial(fn.Dense(2))
    huge = np.full((12, 4), 1e25, np.float32)
    assert said(net, (huge, Y), shards=shards) == not_finite("the loss itself (MeanSquaredError)")


def test_a_loss_whose_cotangent_is_not_finite_is_to_blame_itself() -> None:
    @attrs.frozen
    class Steep(losses.MeanSquaredError):
        def vjp(self, residuals: Any, dy: Any = 1.0) -> Any:
            return np.full_like(super().vjp(residuals, dy), np.inf)

    where = said(NET, loss=Steep())
    assert "(Steep)" in where
    assert "dense_1" not in where


def test_an_update_that_is_not_finite_stops_at_its_own_step() -> None:
    rule = optim.SGD(1e38)
    ts = start_of(NET, rule)
    with pytest.raises(fn.NonFiniteError) as caught:
        fn.train_step(NET, MSE, rule)(ts, (100.0 * X, 1000.0 * Y))
    match = str(caught.value).replace("dense_0/weight", "PATH").replace("dense_1/weight", "PATH")
    assert match == (f"step 0: an update is not finite; it arose first in the step of params PATH by SGD. {ADVICE}")


def test_a_state_that_is_not_finite_stops_too() -> None:
    """The variance of 1e30 is infinite in float32; every evaluation from here on would be of zeros."""
    net, rule = fn.serial(fn.BatchNorm(), fn.Dense(2)), optim.SGD(0.1)
    with pytest.raises(fn.NonFiniteError):
        fn.train_step(net, MSE, rule)(start_of(net, rule), (1e30 * X, Y))


def test_after_an_error_the_last_state_goes_on_as_if_nothing_had_happened() -> None:
    rule = optim.Adam()
    step, ts = fn.train_step(STATEFUL, MSE, rule), start_of(STATEFUL, rule)
    ts = step(ts, (X, Y))[0]
    kept = tree.map(np.array, (ts.params, ts.state, ts.opt_state))
    with pytest.raises(fn.NonFiniteError):
        step(ts, (spoil_one(X, np.nan), Y))
    assert same((ts.params, ts.state, ts.opt_state), kept)
    assert same(everything(step(ts, (X, Y))[0]), everything(fn.train_step(STATEFUL, MSE, rule)(ts, (X, Y))[0]))


def test_large_and_finite_is_no_error() -> None:
    """A sum of squares that overflows is not a NaN in a gradient."""
    net, rule = fn.serial(fn.Dense(2, use_bias=False)), optim.SGD(1e-30)
    x = np.full((12, 4), 1e10, np.float32)
    new, out = fn.train_step(net, losses.MeanAbsoluteError(), rule)(start_of(net, rule), (1e12 * x, Y))
    assert math.isfinite(out["loss"])
    assert all(np.isfinite(leaf).all() for leaf in tree.leaves(new.params))


# ----- the order of keys ---------------------------------------------------------------------------------


@fn.register("test_step.affine")
@attrs.frozen
class Affine(fn.Layer):
    """``(x * scale) @ weight``, whose gradients, state and params stand in orders of their own."""

    def leaves(self, in_shape: Any) -> Any:
        n = in_shape[-1]
        return {
            "scale": fn.Leaf((n,), fn.initializers.Ones()),
            "weight": fn.Leaf((n, n), fn.initializers.GlorotUniform()),
            "seen": fn.Leaf((n,), fn.initializers.Zeros(), "state"),
            "last": fn.Leaf((), fn.initializers.Zeros(), "state"),
        }

    def out_shape(self, in_shape: Any) -> Any:
        return in_shape

    def apply(self, params: Any, state: Any, x: Any, ctx: Any) -> Any:
        moved = {"last": np.sum(x) * 0.5, "seen": state["seen"] + np.sum(x, axis=0)}
        return (x * params["scale"]) @ params["weight"], moved if ctx.train else state, x

    def vjp(self, params: Any, x: Any, dy: Any) -> Any:
        back = dy @ params["weight"].T
        return {"weight": (x * params["scale"]).T @ dy, "scale": np.sum(back * x, axis=0)}, back * params["scale"]


@attrs.frozen
class Disordered(optim.SGD):
    """SGD with momentum whose updates and state stand in another order than the params."""

    tag: ClassVar[None] = None

    def update(self, grads: Any, opt_state: Any, params: Any, value: Any = None) -> Any:
        return turned(super().update(grads, opt_state, params, value))


SEQUENCES = KEY.fold("sequences").normal((12, 5, 3), np.float32)
ORDERED = {
    "gru": (fn.serial(fn.GRU(4, return_sequences=False), fn.Dense(2)), SEQUENCES),
    "bidirectional": (fn.serial(fn.Bidirectional(fn.GRU(3, return_sequences=False)), fn.Dense(2)), SEQUENCES),
    "ensemble": (
        fn.serial(fn.Ensemble(fn.GRU(3, return_sequences=False), 2), fn.Reshape((6,)), fn.Dense(2)),
        SEQUENCES,
    ),
    "a layer of one's own": (fn.serial(fn.Dense(4), Affine(), fn.Dense(2)), X),
}


def trained(net: fn.Layer, x: Any, opt: optim.Optimizer, steps: int = 3, listener: Any = None, **options: Any) -> Any:
    """Everything that some steps lead to."""
    step, ts = fn.train_step(net, MSE, opt, **options), fn.train_state(net, opt, KEY, x.shape[1:])
    with contextlib.nullcontext() if listener is None else fn.listen(listener):
        for _ in range(steps):
            ts, out = step(ts, (x, Y))
    return ts, out["loss"]


@pytest.mark.parametrize(
    "opt", [optim.Adam(0.1), Disordered(0.1, 0.9), optim.chain(optim.ClipByGlobalNorm(0.1), optim.SGD(0.1))]
)
@pytest.mark.parametrize("name", ORDERED)
def test_the_order_of_keys_matters_nowhere(name: str, opt: optim.Optimizer) -> None:
    net, x = ORDERED[name]
    ts, value = trained(net, x, opt, compile=False)
    for other in (trained(net, x, opt), trained(net, x, opt, listener=lambda call: None)):
        assert same((*everything(other[0]), np.float64(other[1])), (*everything(ts), np.float64(value)))
    parts = [trained(net, x, opt, shards=3, compile=compile) for compile in (False, True)]
    assert same(everything(parts[0][0]), everything(parts[1][0]))
    assert values.same(parts[0][0].params, ts.params, 1e-3)
    params, state = net.init(KEY.fold("init"), x.shape[1:])
    back = fn.value_and_grad(net, MSE)
    for result in (back(params, state, x, Y, TRAIN)[1:] for _ in range(3)):
        assert [list(tree.flatten(part)) for part in result] == [list(tree.flatten(part)) for part in (state, params)]
    for result in (ts, parts[0][0], parts[1][0], trained(net, x, opt)[0]):
        assert list(tree.flatten(result.params)) == list(tree.flatten(params))
        assert list(tree.flatten(result.state)) == list(tree.flatten(state))
        assert list(tree.flatten(result.opt_state)) == list(tree.flatten(opt.init(params)))


@pytest.mark.parametrize("name", ORDERED)
def test_params_in_another_order_train_to_the_same_bits(name: str) -> None:
    net, x = ORDERED[name]
    opt = optim.chain(optim.ClipByGlobalNorm(0.1), optim.Adam(0.1))
    ts = fn.train_state(net, opt, KEY, x.shape[1:])
    other = fn.TrainState(turned(ts.params), turned(ts.state), turned(ts.opt_state), ts.key, ts.step)
    for compile in (False, True):
        step = fn.train_step(net, MSE, opt, compile=compile)
        assert same(*(everything(step(start, (x, Y))[0]) for start in (ts, other)))


def test_all_functions_of_a_network_pair_leaves_by_path() -> None:
    net, x = fn.serial(fn.GRU(3, return_sequences=False), fn.Dense(2)), np.asarray(SEQUENCES, np.float64)
    params, state = net.init(KEY, x.shape[1:], np.float64)
    matrix = fn.jacobian(net, params, state, x)
    assert same(fn.jacobian(net, turned(params), state, x), matrix)
    fit = fn.fit(net, (x, Y), loss=MSE, optimizer=optim.Adam(), steps=2, key=KEY, shards=2)
    assert math.isfinite(fit.history[-1]["loss"])


@pytest.mark.parametrize("compile", [True, False])
@pytest.mark.parametrize("name", ["gru", "a layer of one's own"])
def test_a_layer_of_another_order_that_diverges_is_named(name: str, compile: bool) -> None:
    net, x = ORDERED[name]
    step, ts = (
        fn.train_step(net, MSE, optim.SGD(1e25), compile=compile),
        fn.train_state(net, optim.SGD(1e25), KEY, x.shape[1:]),
    )
    ts, _ = step(ts, (x, Y))
    with pytest.raises(fn.NonFiniteError) as caught:
        step(ts, (x, Y))
    assert str(caught.value).startswith("step 1: a loss or gradient is not finite; it arose first in ")
    assert "(MeanSquaredError)" in str(caught.value) or "pass of" in str(caught.value)


# ----- threads, optimizers ------------------------------------------------------------------------------


def test_eight_threads_give_equal_bits() -> None:
    rule = optim.chain(optim.ClipByGlobalNorm(1.0), optim.AdamW())
    step, ts = fn.train_step(STATEFUL, SOFTMAX, rule, shards=2), start_of(STATEFUL, rule)

    def train(_: int) -> Any:
        now = ts
        for _ in range(20):
            now, _ = step(now, (X, LABELS, WEIGHT))
        return everything(now)

    with ThreadPoolExecutor(8) as pool:
        first, *others = pool.map(train, range(8))
    assert int(first[-1]) == 20
    for other in others:
        assert same(other, first)


ONE_OF = {trained.rule: tag for tag, trained in TRAINED.items()}  # a chain may be the rule of several classes
RULES: dict[str, optim.Optimizer] = {
    **{tag: rule for rule, tag in ONE_OF.items()},
    "sgd_plain": optim.SGD(0.1),
    "sgd_nesterov": optim.SGD(0.03, momentum=0.9, nesterov=True),
    "sgd_step": optim.SGD(optim.StepDecay(0.2, every=40, factor=0.5)),
    "adam_cosine": optim.Adam(optim.Cosine(0.05)),
    "adamw_warmup": optim.AdamW(optim.WarmupCosine(0.05, warmup_steps=10), weight_decay=1e-4),
    "rmsprop_plain": optim.RMSprop(0.01),
}


def inside(rule: optim.Optimizer) -> list[type]:
    return [type(rule), *(cls for child in rule.children.values() for cls in inside(child))]


@pytest.mark.parametrize("tag", TRAINED)
def test_a_rule_of_the_table_holds_its_class(tag: str) -> None:
    assert spec.tags("optimizer")[tag] in inside(TRAINED[tag].rule)


@pytest.mark.parametrize("name", RULES)
def test_one_network_trains_under_every_optimizer(name: str) -> None:
    x = KEY.fold("many").normal((64, 4), np.float32)
    y = np.tanh(x[:, :2] - x[:, 2:])
    fit = fn.fit(NET, (x, y), loss=MSE, optimizer=RULES[name], steps=200, batch_size="full", key=KEY)
    assert fit.train_state.step == 200
    before = fn.evaluate(NET, MSE, *NET.init(KEY.fold("init"), (4,)), (x, y))["loss"]
    after = fn.evaluate(NET, MSE, fit.train_state.params, fit.train_state.state, (x, y))["loss"]
    assert after < 0.15 * before


def test_a_leaf_of_shape_nothing_trains() -> None:
    net, rule = fn.serial(GAIN), optim.Adam(0.1)
    ts, step = start_of(net, rule), fn.train_step(net, MSE, rule, shards=2)
    for _ in range(150):
        ts, out = step(ts, (X, 3.0 * X))
    assert float(ts.params["layer_0"]["gain"]) == pytest.approx(3.0, abs=0.01)
    assert out["loss"] < 1e-3


def test_functions_of_specs_are_pickled_as_the_calls_that_made_them() -> None:
    import pickle

    net, opt = fn.serial(fn.Dense(4), fn.Tanh(), fn.Dense(1)), fn.optim.Adam()
    loss = fn.losses.MeanSquaredError()
    ts = fn.train_state(net, opt, fn.Key(0), (3,))
    x, y = fn.Key(1).normal((6, 3), np.float32), np.ones((6, 1), np.float32)
    for step in (fn.train_step(net, loss, opt), fn.train_step(net, loss, opt, shards=2, compile=False)):
        again = pickle.loads(pickle.dumps(step))
        assert again(ts, (x, y)) == step(ts, (x, y))
        assert pickle.loads(pickle.dumps(again))(ts, (x, y)) == step(ts, (x, y))
    gradient = fn.value_and_grad(net, loss)
    again = pickle.loads(pickle.dumps(gradient))
    assert tree.equal(again(ts.params, {}, x, y, fn.EVAL)[2], gradient(ts.params, {}, x, y, fn.EVAL)[2])
