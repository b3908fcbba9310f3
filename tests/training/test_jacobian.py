"""Jacobians against central differences and one row at a time; least squares by them against ``numpy.linalg``."""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
import pytest

import funcnet as fn
from funcnet import losses, tree
from funcnet.laws.values import slope

KEY = fn.Key(11)


@attrs.frozen
class Sorted(fn.Layer):
    """Looks at values, so that rows cannot go together: y = scale · x where x has a positive first entry."""

    def leaves(self, in_shape: Any) -> dict[str, fn.Leaf]:
        return {"scale": fn.Leaf(in_shape, fn.initializers.Ones())}

    def out_shape(self, in_shape: Any) -> Any:
        return in_shape

    def apply(self, params: Any, state: Any, x: Any, ctx: fn.Context) -> Any:
        sign = 1.0 if len(x) == 1 and float(x[0, 0]) > 0 else -1.0
        return sign * params["scale"] * x, state, (sign, x)

    def vjp(self, params: Any, residuals: Any, dy: Any) -> Any:
        sign, x = residuals
        return {"scale": np.sum(sign * x * dy, axis=0)}, sign * params["scale"] * dy


CASES: dict[str, tuple[fn.Layer, Any]] = {
    "one layer": (fn.Dense(2), (3,)),
    "chain": (fn.serial(fn.Dense(4), fn.Tanh(), fn.LayerNorm(), fn.Dense(3)), (2,)),
    "one number": (fn.serial(fn.Dense(4), fn.Gelu(), fn.Dense(1)), (1,)),
    "convolution": (
        fn.serial(fn.Conv2D(2, 3), fn.BatchNorm(), fn.MaxPool2D(2), fn.Flatten(), fn.Dense(2)), (4, 4, 1)
    ),
    "recurrent": (fn.serial(fn.LSTM(2), fn.Dense(2)), (3, 2)),
    "attention": (fn.serial(fn.MultiHeadAttention(2), fn.Dense(1)), (3, 4)),
    "noise, off": (fn.serial(fn.Dropout(0.5), fn.Dense(2)), (3,)),
    "frozen": (fn.serial(fn.Frozen(fn.Dense(3)), fn.Dense(2)), (2,)),
    "shared": (fn.serial(fn.Repeat(fn.serial(fn.Dense(2), fn.Tanh()), 3)), (2,)),
    "ensemble": (fn.serial(fn.Ensemble(fn.Dense(2), 5), fn.Flatten()), (2,)),
    "two inputs": (fn.serial(fn.Parallel((fn.Dense(2), fn.Dense(2))), fn.Sum(), fn.Tanh()), ((3,), (1,))),
    "looks at values": (fn.serial(fn.Dense(2), Sorted()), (2,)),
    "without params": (fn.Tanh(), (2,)),
}  # fmt: skip


def made(net: fn.Layer, in_shape: Any, rows: int = 5) -> tuple[Any, Any, Any]:
    params, state = net.init(KEY, in_shape, np.float64)
    shapes = in_shape if isinstance(in_shape[0], tuple) else (in_shape,)
    drawn = tuple(KEY.fold("x", i).normal((rows, *shape)) for i, shape in enumerate(shapes))
    return params, state, drawn if len(drawn) > 1 else drawn[0]


@pytest.mark.parametrize("name", CASES)
def test_columns_are_central_differences(name: str) -> None:
    net, in_shape = CASES[name]
    params, state, x = made(net, in_shape)
    vector, unravel = tree.ravel(params)
    matrix = fn.jacobian(net, params, state, x)

    def outputs(v: Any) -> Any:
        each = [tree.map(lambda a: a[i : i + 1], x) for i in range(5)]
        return np.concatenate([net.apply(unravel(v), state, one, fn.EVAL)[0].reshape(-1) for one in each])

    assert matrix.shape == (outputs(vector).size, vector.size)
    assert matrix.dtype == np.float64
    for column, unit in zip(matrix.T, np.eye(vector.size), strict=True):
        numeric = (outputs(vector + 1e-6 * unit) - outputs(vector - 1e-6 * unit)) / 2e-6
        np.testing.assert_allclose(column, numeric, atol=1e-8)


def test_a_row_is_a_gradient_like_the_params() -> None:
    net, in_shape = CASES["chain"]
    params, state, x = made(net, in_shape)
    matrix = fn.jacobian(net, params, state, x)
    dy = KEY.fold("dy").normal((5, 3))
    _, _, residuals = net.apply(params, state, x, fn.EVAL)
    expected, _ = net.vjp(params, residuals, dy)
    found = tree.ravel(params).unravel(dy.reshape(-1) @ matrix)
    for path, leaf in tree.flatten(expected).items():
        np.testing.assert_allclose(tree.flatten(found)[path], leaf, rtol=1e-12, atol=1e-14)


def test_a_softmax_regression_by_hand() -> None:
    """Of the logits ``x @ W + b`` by W[i, k] it is x_i at output k, and 0 at the others."""
    params, state, x = made(fn.Dense(2), (3,), rows=2)
    expected = np.zeros((2, 2, 8))
    for row in range(2):
        for k in range(2):
            expected[row, k, k] = 1.0  # bias comes before weight
            expected[row, k, 2 + k :: 2] = x[row]
    np.testing.assert_array_equal(fn.jacobian(fn.Dense(2), params, state, x), expected.reshape(4, 8))


def test_float32_gives_float32_and_no_rows_none() -> None:
    net, in_shape = CASES["chain"]
    params, state = net.init(KEY, in_shape)
    x = KEY.normal((4, 2))
    matrix = fn.jacobian(net, params, state, x)
    assert (matrix.dtype, matrix.shape) == (np.float32, (12, tree.ravel(params).vector.size))
    assert fn.jacobian(net, params, state, x[:0]).shape == (0, tree.ravel(params).vector.size)
    assert fn.jacobian(*CASES["looks at values"][:1], *made(*CASES["looks at values"])[:2], x[:0]).shape[0] == 0


@pytest.mark.parametrize(
    ("net", "x", "message"),
    [
        (
            fn.serial(fn.Branch((fn.Dense(2), fn.Dense(3)))),
            np.ones((2, 4)),
            "expected a network of one output, got the shapes ((2,), (3,)); join them with Concat()",
        ),
        (
            fn.Dense(2),
            np.ones((2, 3)),
            "expected inputs of shape (4,), which the params were made for, got (3,); "
            "give the same features as in training",
        ),
    ],
)
def test_mistakes(net: fn.Layer, x: Any, message: str) -> None:
    params, state = net.init(KEY, (4,))
    with pytest.raises(fn.ShapeError) as caught:
        fn.jacobian(net, params, state, x)
    assert str(caught.value) == message


# ----- residuals


@pytest.mark.parametrize("weight", [None, 0.5 + KEY.fold("w").uniform((12,)), 0.5 + KEY.fold("w").uniform((12, 2))])
def test_half_their_squares_are_the_loss_and_their_jacobian_its_gradient(weight: Any) -> None:
    net = fn.serial(fn.Dense(3), fn.Tanh(), fn.Dense(2))
    params, state, x = made(net, (2,), rows=12)
    y = KEY.fold("y").normal((12, 2))
    problem = fn.least_squares(net, params, state, (x, y, weight))
    value, _, grads = fn.value_and_grad(net, losses.HalfSumSquaredError())(params, state, x, y, fn.EVAL, weight)
    errors = problem.fun(problem.x0)
    assert 0.5 * errors @ errors == pytest.approx(value, rel=1e-12)
    np.testing.assert_allclose(problem.jac(problem.x0).T @ errors, tree.ravel(grads).vector, rtol=1e-11, atol=1e-13)
    direction = KEY.fold("d").normal(problem.x0.shape)
    along = problem.jac(problem.x0) @ direction
    for i in (0, 7, 23):
        numeric = slope(lambda t: problem.fun(problem.x0 + t * direction)[i])
        assert numeric == pytest.approx(along[i], rel=1e-7)


def test_a_gauss_newton_step_of_a_linear_network_is_least_squares() -> None:
    net = fn.Dense(1)
    params, state, x = made(net, (3,), rows=20)
    y = KEY.fold("y").normal((20,))
    problem = fn.least_squares(net, params, state, (x, y))
    step = np.linalg.lstsq(problem.jac(problem.x0), -problem.fun(problem.x0))[0]
    found = problem.unravel(problem.x0 + step)
    answer = np.linalg.lstsq(np.concatenate([x, np.ones((20, 1))], axis=1), y)[0]
    np.testing.assert_allclose([*found["weight"][:, 0], found["bias"][0]], answer, rtol=1e-10)


def test_a_curve_fit_by_levenberg_and_marquardt() -> None:
    """A tanh unit's four numbers come back from what it gave, to ten digits."""
    optimize = pytest.importorskip("scipy.optimize")  # an extra, and the tests run without it too
    net = fn.serial(fn.Dense(1), fn.Tanh(), fn.Dense(1))
    truth = {
        "dense_0": {"weight": np.array([[1.5]]), "bias": np.array([-0.5])},
        "dense_1": {"weight": np.array([[2.0]]), "bias": np.array([0.25])},
    }
    x = np.linspace(-2.0, 2.0, 25)[:, None]
    y = fn.predict(net, truth, {}, x)
    start = tree.map(np.ones_like, truth)
    problem = fn.least_squares(net, start, {}, (x, y))
    done = optimize.least_squares(problem.fun, problem.x0, problem.jac, method="lm", xtol=1e-15, ftol=1e-15)
    np.testing.assert_allclose(done.x, tree.ravel(truth).vector, rtol=1e-10)
    assert done.cost < 1e-24
    np.testing.assert_allclose(problem.unravel(done.x)["dense_1"]["weight"], [[2.0]], rtol=1e-10)
    assert done.njev <= 12


def test_targets_that_do_not_fit() -> None:
    params, state, x = made(fn.Dense(1), (3,), rows=4)
    with pytest.raises(fn.ShapeError) as caught:
        fn.least_squares(fn.Dense(1), params, state, (x, np.ones((4, 2))))
    assert str(caught.value) == (
        "expected a target of the prediction's shape (4, 1), got (4, 2); "
        "reshape one of them, or change the last layer's units"
    )
    with pytest.raises(fn.ShapeError) as caught:
        fn.least_squares(fn.Dense(1), params, state, (x, np.ones(4), np.ones(3)))
    assert str(caught.value) == (
        "Dense: expected a weight of shape (4,) or (4, 1), got (3,); give one weight per sample or term"
    )
