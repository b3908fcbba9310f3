"""Full-batch training: against SciPy called by hand, least squares in closed form, and every way of ending."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

import attrs
import numpy as np
import pytest

import funcnet as fn
from funcnet import losses, metrics, optim, tree
from funcnet.training.minimize import METHODS
from tests.table import same

optimize = pytest.importorskip("scipy.optimize")  # an extra, and the tests run without it too

KEY = fn.Key(4)
MSE, SOFTMAX = losses.MeanSquaredError(), losses.SoftmaxCrossEntropy()
NET = fn.serial(fn.Dense(4), fn.Tanh(), fn.Dense(1))
X = KEY.fold("x").normal((30, 2))
Y = np.sin(2.0 * X[:, :1]) + 0.5 * X[:, 1:]
WEIGHT = 0.5 + KEY.fold("w").uniform((30,))
DATA = (X, Y)


def minimize(
    net: fn.Layer = NET, loss: losses.Loss = MSE, data: Any = DATA, method: str = "BFGS", **rest: Any
) -> fn.Fit:
    return fn.minimize(net, loss, data, method, **{"key": KEY, "options": limit(method, 8), **rest})


def limit(method: str, count: int) -> dict[str, int]:
    return {"maxfun" if method == "TNC" else "maxiter": count}


def by_hand(net: fn.Layer, loss: losses.Loss, data: Any, method: str, **rest: Any) -> tuple[Any, Any, list[Any]]:
    """The params that SciPy finds for the loss through the layers as they stand, and all that it passes."""
    params, state = net.init(KEY.fold("init"), data[0].shape[1:], np.float64)
    vector, unravel = tree.ravel(params)
    passed: list[Any] = []

    def f(v: Any) -> tuple[float, Any]:
        y, _, residuals = net.apply(unravel(v), state, data[0], fn.Context(True))
        value, saved = loss.apply(y, *data[1:])
        return float(value), tree.ravel(net.vjp(unravel(v), residuals, loss.vjp(saved))[0]).vector

    done = optimize.minimize(f, vector, jac=True, method=method, callback=lambda v, *_: passed.append(v.copy()), **rest)
    return done, unravel, passed


@pytest.mark.parametrize("data", [DATA, (X, Y, WEIGHT)], ids=["plain", "weighted"])
@pytest.mark.parametrize("method", [method for method, needs in METHODS.items() if needs is None])
def test_a_method_is_that_of_scipy_called_by_hand(method: str, data: Any) -> None:
    result = minimize(data=data, method=method)
    done, unravel, passed = by_hand(NET, MSE, data, method, options=limit(method, 8))
    assert result.train_state.step == len(passed) == len(result.history)
    assert {leaf.dtype for leaf in tree.leaves(result.train_state.params)} == {np.dtype(np.float64)}
    for path, leaf in tree.flatten(result.train_state.params).items():
        np.testing.assert_allclose(leaf, tree.flatten(unravel(done.x))[path], rtol=1e-9, atol=1e-11)
    assert result.history[-1]["loss"] == pytest.approx(done.fun, rel=1e-10)
    assert result.stopped == (None if done.success else done.message)


@pytest.mark.slow
@pytest.mark.parametrize("method", [method for method in METHODS if method != "dogleg"])
def test_every_method_goes_down(method: str) -> None:
    start = fn.evaluate(NET, MSE, *NET.init(KEY.fold("init"), (2,), np.float64), DATA)["loss"]
    result = minimize(method=method, options=limit(method, 60))
    values = [row["loss"] for row in result.history]
    assert values[-1] < 0.05 * start
    assert values[-1] == pytest.approx(evaluated(NET, result), rel=1e-12)


def evaluated(net: fn.Layer, result: fn.Fit, data: Any = DATA) -> float:
    ts = result.train_state
    return fn.evaluate(net, MSE, ts.params, ts.state, data)["loss"]


@pytest.mark.parametrize("method", METHODS)
def test_a_linear_network_is_least_squares(method: str) -> None:
    """``numpy.linalg.lstsq`` knows the answer, also for targets of several columns."""
    net, targets = fn.Dense(2), np.concatenate([Y, X[:, :1] ** 2], axis=1)
    with_one = np.concatenate([X, np.ones((30, 1))], axis=1)
    answer = np.linalg.lstsq(with_one, targets)[0]
    options = {"TNC": {"maxfun": 500}, "trust-constr": {"gtol": 1e-10, "xtol": 1e-14}, "SLSQP": {"ftol": 1e-15}}
    result = minimize(net, data=(X, targets), method=method, options=options.get(method, {}))
    found = np.concatenate([result.train_state.params["weight"], result.train_state.params["bias"][None]])
    np.testing.assert_allclose(found, answer, atol=2e-5)
    assert result.stopped is None


def test_a_quadratic_takes_one_newton_step() -> None:
    """The Hessian from differences of gradients is the matrix ``2 AᵀA / n`` of least squares."""
    result = minimize(
        fn.Dense(1), method="trust-exact", options={"initial_trust_radius": 100.0, "max_trust_radius": 1e3}
    )
    assert result.train_state.step <= 2
    assert result.history[-1]["gradient_norm"] < 1e-8


@pytest.mark.parametrize("count", [1, 2])
def test_a_last_iterate_that_the_method_does_not_report_counts(count: int) -> None:
    """SLSQP at its limit ends one point beyond the last that its callback hears of."""
    net = fn.Dense(1)
    result = minimize(net, method="SLSQP", options={"maxiter": count})
    done, _, passed = by_hand(net, MSE, DATA, "SLSQP", options={"maxiter": count})
    np.testing.assert_allclose(tree.ravel(result.train_state.params).vector, done.x, rtol=1e-12)
    assert len(result.history) == len(passed) + (not np.array_equal(passed[-1], done.x))
    assert result.history[-1]["loss"] == pytest.approx(done.fun, rel=1e-12)


# ----- what comes back


def test_the_history_has_a_row_for_each_iteration() -> None:
    result = minimize(metrics=[metrics.RMSE()], validation=(X[:9], Y[:9]), options={"maxiter": 3})
    assert [row["step"] for row in result.history] == [row["epoch"] for row in result.history] == [1, 2, 3]
    assert list(result.history[0]) == [
        "step", "epoch", "loss", "gradient_norm", "seconds", "rmse", "validation/loss", "validation/rmse",
    ]  # fmt: skip
    last, ts = result.history[-1], result.train_state
    _, _, grads = fn.value_and_grad(NET, MSE)(ts.params, ts.state, *DATA, fn.EVAL)
    assert last["gradient_norm"] == pytest.approx(np.linalg.norm(tree.ravel(grads).vector), rel=1e-12)
    assert last["rmse"] == pytest.approx(last["loss"] ** 0.5, rel=1e-12)
    assert last["validation/loss"] == pytest.approx(evaluated(NET, result, (X[:9], Y[:9])), rel=1e-12)
    assert 0.0 < result.history[0]["seconds"] <= last["seconds"]
    assert result.stopped == "Maximum number of iterations has been exceeded."


def test_converged_is_no_early_end() -> None:
    result = minimize(method="L-BFGS-B", options={"maxiter": 2000, "maxfun": 5000})
    assert result.stopped is None


def test_the_result_is_saved_and_gone_on_from(tmp_path: Any) -> None:
    first = minimize(options={"maxiter": 2})
    second = minimize(start=first.train_state, options={"maxiter": 3})
    assert [row["step"] for row in second.history] == [3, 4, 5]
    assert second.history[-1]["loss"] < first.history[-1]["loss"]
    fn.save(tmp_path / "net.npz", NET, second.train_state.params, second.train_state.state)
    assert same(fn.load(tmp_path / "net.npz")[1], second.train_state.params)
    onward = fn.fit(NET, DATA, loss=MSE, optimizer=optim.SGD(1e-3), steps=2, key=KEY, start=second.train_state.params)
    assert onward.history[-1]["loss"] < first.history[-1]["loss"]


def test_the_state_is_gone_on_from_too() -> None:
    net = fn.serial(fn.Dense(4), fn.BatchNorm(momentum=0.9), fn.Tanh(), fn.Dense(1))
    first = minimize(net, options={"maxiter": 3})
    second = minimize(net, start=first.train_state, options={"maxiter": 1})
    before, after = (one.train_state.state["batch_norm_0"]["running_mean"] for one in (first, second))
    dense = second.train_state.params["dense_0"]
    mean = (X @ dense["weight"] + dense["bias"]).mean(axis=0)
    np.testing.assert_allclose(after, 0.9 * before + 0.1 * mean, rtol=1e-10)


def test_the_start_may_be_params_of_any_float_type() -> None:
    params = NET.init(fn.Key(9), (2,), np.float32)[0]
    result = minimize(start=params)
    wide = minimize(start=tree.map(lambda leaf: leaf.astype(np.float64), params))
    assert same(result.train_state.params, wide.train_state.params)
    assert {leaf.dtype.name for leaf in tree.leaves(params)} == {"float32"}


def test_the_same_twice_is_the_same_to_the_bit() -> None:
    first, again = minimize(), minimize()
    assert same(first.train_state.params, again.train_state.params)
    assert [row["loss"] for row in first.history] == [row["loss"] for row in again.history]


def test_batch_statistics_are_those_of_all_rows() -> None:
    """What is minimised is the loss in training mode; running statistics move once an iteration."""
    net = fn.serial(fn.Dense(4), fn.BatchNorm(momentum=0.5), fn.Tanh(), fn.Dense(1))
    result = minimize(net, options={"maxiter": 40})
    done, _, _ = by_hand(net, MSE, DATA, "BFGS", options={"maxiter": 40})
    assert result.history[-1]["loss"] == pytest.approx(done.fun, rel=1e-6)
    ts = result.train_state
    features = X @ ts.params["dense_0"]["weight"] + ts.params["dense_0"]["bias"]
    np.testing.assert_allclose(ts.state["batch_norm_0"]["running_mean"], features.mean(axis=0), atol=0.05)
    assert evaluated(net, result) == pytest.approx(result.history[-1]["loss"], abs=0.01)


def test_labels_and_a_frozen_layer() -> None:
    labels = (Y[:, 0] > 0).astype(int)
    net = fn.serial(fn.Frozen(fn.Dense(40)), fn.Tanh(), fn.Dense(2))
    result = minimize(net, SOFTMAX, (X, labels), metrics=[metrics.Accuracy()], options={"maxiter": 100})
    assert result.history[-1]["accuracy"] > 0.9
    assert list(tree.flatten(result.train_state.params)) == ["dense_0/weight", "dense_0/bias"]


def test_several_inputs() -> None:
    net = fn.serial(fn.Parallel((fn.Dense(3), fn.Dense(3))), fn.Sum(), fn.Tanh(), fn.Dense(1))
    result = minimize(net, data=((X, X[:, :1]), Y))
    assert result.history[-1]["loss"] < result.history[0]["loss"]


# ----- ways of ending


class StopAt:
    """Counts steps in its state; asks for an end at one of them."""

    def __init__(self, step: int) -> None:
        self.step, self.heard = step, []

    def init(self) -> int:
        return 0

    def update(self, state: int, event: Any) -> tuple[int, bool]:
        self.heard.append((state, event.step, event.total_steps, event.loss, event.row["loss"]))
        return state + 1, event.step == self.step


@pytest.mark.parametrize("method", [method for method in METHODS if method != "dogleg"])
def test_a_callback_ends_every_method(method: str) -> None:
    callback = StopAt(2)
    options = {} if method == "TNC" else {"maxiter": 7}
    result = minimize(method=method, callbacks=[callback], options=options)
    assert (result.stopped, result.train_state.step) == ("StopAt", 2)
    values = [row["loss"] for row in result.history]
    most = 7 if options else None
    assert callback.heard == [(i, i + 1, most or i + 1, values[i], values[i]) for i in range(2)]
    assert values[-1] == pytest.approx(evaluated(NET, result), rel=1e-12)


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT to itself")
def test_ctrl_c_keeps_what_was_learnt() -> None:
    class Interrupt(StopAt):
        def update(self, state: int, event: Any) -> tuple[int, bool]:
            if event.step == self.step:
                os.kill(os.getpid(), signal.SIGINT)
            return state, False

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background process ignores it
    try:
        result = minimize(callbacks=[Interrupt(3)])
    finally:
        signal.signal(signal.SIGINT, before)
    assert (result.stopped, result.train_state.step, len(result.history)) == ("interrupted", 3, 3)


def test_an_error_of_a_callback_has_what_was_reached() -> None:
    class Broken(StopAt):
        def update(self, state: int, event: Any) -> tuple[int, bool]:
            if event.step == self.step:
                raise fn.DataError("broken")
            return state, False

    with pytest.raises(fn.DataError) as caught:
        minimize(callbacks=[Broken(3)])
    assert (caught.value.fit.train_state.step, len(caught.value.fit.history)) == (3, 3)


def test_a_loss_that_becomes_infinite_in_the_course_has_the_last_good_state() -> None:
    """Without a line search to take it back: a trust region of any size, on a loss that explodes beyond 1."""

    @attrs.frozen
    class Cliff(losses.MeanSquaredError):
        def term(self, prediction: Any, target: Any) -> Any:
            return prediction * np.where(prediction < -1.0, np.nan, 1.0)

        def slope(self, prediction: Any, target: Any) -> Any:
            return np.ones_like(prediction)

    with pytest.raises(fn.NonFiniteError) as caught:
        minimize(fn.Dense(1), Cliff(), method="SLSQP")
    assert "a loss or gradient is not finite; it arose first in the loss itself (Cliff). " in str(caught.value)


METHOD = (
    "the methods that use a gradient are CG, BFGS, L-BFGS-B, TNC, SLSQP, trust-constr, "
    "Newton-CG, trust-ncg, dogleg, trust-exact"
)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"method": "LBFGS-B"}, fn.FuncnetError, f"unknown method 'LBFGS-B', did you mean 'L-BFGS-B'?; {METHOD}"),
        ({"method": "Nelder-Mead"}, fn.FuncnetError, f"unknown method 'Nelder-Mead'; {METHOD}"),
        (
            {"method": "trust-krylov"},
            fn.FuncnetError,
            "SciPy's trust-krylov does not give the same result twice; use trust-ncg",
        ),
        ({"method": None}, fn.FuncnetError, f"unknown method None; {METHOD}"),
        (
            {"options": {"epochs": 3}},
            fn.FuncnetError,
            "BFGS has no option epochs; see scipy.optimize.show_options('minimize')",
        ),
        ({"loss": MSE.__class__}, fn.FuncnetError,
         "expected a loss, such as fn.losses.MeanSquaredError(), got the class MeanSquaredError"),
        ({"metrics": [3]}, fn.FuncnetError, "expected a metric, such as fn.metrics.Accuracy(), got 3"),
        ({"metrics": ["rmsee"]}, fn.SpecError, "metric: unknown metric 'rmsee', did you mean 'rmse'?"),
        ({"key": "3"}, fn.FuncnetError, "expected a key, such as fn.Key(0), got '3'"),
        ({"start": 3}, fn.FuncnetError,
         "expected start as a Fit, a Run, a TrainState, (params, state), or the params of a network without state, "
         "got 3"),
        ({"net": fn.Tanh(), "data": (X, X)}, fn.ShapeError,
         "expected a network with parameters to fit, got none; add a layer such as Dense"),
        (
            {"net": fn.serial(fn.Dense(3), fn.Dropout(0.5), fn.Dense(1))},
            fn.KeyRequired,
            "dropout_0 (Dropout): draws random numbers in training, so the loss would change at every evaluation; "
            "take the layer out of the network, or train with fit",
        ),
        (
            {"data": (X, Y[:7])},
            fn.DataError,
            "expected x, y (and weight) with the same number of rows, at least 1, got [30, 7]",
        ),
        (
            {"validation": (X, X)},
            fn.ShapeError,
            "MeanSquaredError: expected a target of the prediction's shape (30, 1), got (30, 2); reshape one of them, "
            "or change the last layer's units (in the validation part)",
        ),
        (
            {"start": {"dense_0": {"weight": np.full((2, 4), 1e200), "bias": np.zeros(4)},
                       "dense_1": {"weight": np.full((4, 1), 1e300), "bias": np.zeros(1)}}},
            fn.NonFiniteError,
            "step 0: a loss or gradient is not finite; it arose first in the loss itself (MeanSquaredError). "
            "Start from smaller params, or look at the data",
        ),
    ],
)  # fmt: skip
def test_mistakes(change: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        minimize(**change)
    assert str(caught.value) == message


def test_without_scipy_the_extra_is_named(monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    with pytest.raises(fn.ExtraRequired) as caught:
        minimize()
    assert str(caught.value) == (
        'minimize needs scipy.optimize, which is not installed; install it with: python -m pip install "funcnet[scipy]"'
    )
