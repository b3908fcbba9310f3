"""The gradient of any function against central differences: what it finds, and what it says."""

import re
from typing import Any

import numpy as np
import pytest

import funcnet as fn
from funcnet import losses, tree

KEY = fn.Key(5)


def quadratic(params: Any) -> float:
    return float(np.sum(params["head"]["weight"] ** 2) + 3.0 * params["gain"] + np.sum(params["head"]["bias"] ** 3))


def quadratic_gradient(params: Any) -> Any:
    head = params["head"]
    return {"head": {"weight": 2.0 * head["weight"], "bias": 3.0 * head["bias"] ** 2}, "gain": np.array(3.0)}


POINT = {
    "head": {"weight": np.array([[0.5, -1.0, 2.0], [1.5, 0.25, -0.75]]), "bias": np.array([1.0, -2.0])},
    "gain": np.array(0.5),
}


def test_accepts_the_right_one() -> None:
    fn.check_gradient(quadratic, POINT, quadratic_gradient(POINT))


@pytest.mark.parametrize(
    ("path", "entry", "wrong", "right"),
    [("head/weight", (1, 2), -1.5015, -1.5), ("head/bias", (0,), 0.0, 3.0), ("gain", (), -3.0, 3.0)],
)
def test_names_the_leaf_and_the_entry(path: str, entry: Any, wrong: float, right: float) -> None:
    grads = tree.map(np.array, quadratic_gradient(POINT))
    tree.flatten(grads)[path][entry] = wrong
    with pytest.raises(fn.LawError) as caught:
        fn.check_gradient(quadratic, POINT, grads)
    assert str(caught.value) == f"the gradient of {path} is wrong at {entry}: expected {right}, got {wrong}"


def test_wants_one_gradient_a_leaf() -> None:
    with pytest.raises(fn.LawError) as caught:
        fn.check_gradient(quadratic, POINT, {"gain": np.array(3.0)})
    assert str(caught.value) == (
        "expected gradients of the shapes {'head/weight': (2, 3), 'head/bias': (2,), 'gain': ()}, got {'gain': ()}"
    )


def test_sees_an_error_spread_over_many_entries() -> None:
    """Beside a large constant no single entry stands out of the rounding, and their sum does."""

    def f(params: Any) -> float:
        return 1e6 + float(np.sum(params["weight"]))

    params = {"weight": np.zeros(10_000)}
    fn.check_gradient(f, params, {"weight": np.ones(10_000)})
    with pytest.raises(fn.LawError, match="the gradient of weight is wrong"):
        fn.check_gradient(f, params, {"weight": np.full(10_000, 1.001)})


def test_checks_a_whole_network() -> None:
    net, loss = fn.serial(fn.Dense(3), fn.Tanh(), fn.Dense(2)), losses.MeanSquaredError()
    params, state = net.init(KEY, (4,), np.float64)
    x, y = KEY.fold("x").normal((5, 4)), KEY.fold("y").normal((5, 2))
    f = fn.value_and_grad(net, loss)
    grads = f(params, state, x, y, fn.EVAL)[2]
    fn.check_gradient(lambda p: f(p, state, x, y, fn.EVAL)[0], params, grads)
    wrong = tree.at(grads, "dense_1/bias").apply(lambda g: g * np.array([1.0, 1.01]))
    with pytest.raises(fn.LawError, match=r"^the gradient of dense_1/bias is wrong at \(1,\): expected "):
        fn.check_gradient(lambda p: f(p, state, x, y, fn.EVAL)[0], params, wrong)


W = np.array([1.0, 2.0, 3.0])


def cubes(p: Any) -> Any:
    return np.sum(p["w"] ** 3)


def writes(p: Any) -> Any:
    p["w"] *= 2.0
    return cubes(p)


UNCHANGED = "expected 0.0, got 3.0; f does not change with w at all: does it use its argument, in float64?"


@pytest.mark.parametrize(
    ("f", "params", "grads", "message"),
    [
        (cubes, {"w": W}, {"w": 3 * W}, "the gradient of w is wrong at (1,): expected 12.0, got 6.0"),
        (cubes, {"w": W}, {"w": W * np.nan}, "the gradient of w is wrong at (0,): expected 3.0, got nan"),
        (
            lambda p: np.sum(p["w"]) / 3,
            {"w": W},
            {"w": np.full(3, 0.333334)},
            "the gradient of w is wrong at (0,): expected 0.33333333, got 0.333334",
        ),
        (lambda p: cubes({"w": W}), {"w": W}, {"w": 3 * W**2}, f"the gradient of w is wrong at (0,): {UNCHANGED}"),
        (
            lambda p: p["w"] ** 3,
            {"w": W},
            {"w": W},
            "expected f to return one number, got the shape (3,); return a loss",
        ),
        (lambda p: None, {"w": W}, {"w": W}, "expected f to return one number, got NoneType; return a loss"),
        (lambda p: np.log(-cubes(p)), {"w": W}, {"w": W}, "expected f to be finite at the params, got nan"),
        (writes, {"w": W}, {"w": W}, "expected f to leave its argument as it is, but it writes to it"),
        (cubes, W, {"w": W}, "expected params in a dict of arrays, such as {'w': w}, got ndarray"),
        (cubes, {"w": W}, [W], "expected gradients in a dict of arrays, such as {'w': w}, got list"),
        (cubes, {"w": [{"a": W}]}, {"w": W}, "expected params of numbers at 'w', got list"),
    ],
)
def test_says_what_is_wrong(f: Any, params: Any, grads: Any, message: str) -> None:
    before = W.copy()
    with pytest.raises(fn.LawError, match=f"^{re.escape(message)}"):
        fn.check_gradient(f, params, grads)
    assert np.array_equal(W, before)


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
def test_one_number_may_have_axes(shape: tuple[int, ...]) -> None:
    fn.check_gradient(lambda p: np.reshape(cubes(p), shape), {"w": W}, {"w": 3 * W**2})


def test_a_number_of_another_library_is_one() -> None:
    class Scalar:
        size = property(lambda self: lambda: ())  # a method, as that of a tensor in PyTorch

        def __init__(self, value: float) -> None:
            self.value = value

        def __float__(self) -> float:
            return self.value

    fn.check_gradient(lambda p: Scalar(float(cubes(p))), {"w": W}, {"w": 3 * W**2})


def test_lists_and_numbers_are_arrays() -> None:
    fn.check_gradient(lambda p: np.sum(p["w"] ** 3) * p["a"], {"w": [1, 2], "a": 2}, {"w": [6, 24], "a": 9})


def test_empty_dicts_are_kept_for_the_function() -> None:
    params = {"dense": {"w": W}, "tanh": {}}
    fn.check_gradient(lambda p: cubes(p["dense"]) + len(p["tanh"]), params, {"dense": {"w": 3 * W**2}})


def test_an_error_of_the_function_stays_as_it_is() -> None:
    with pytest.raises(ValueError, match="matmul"):
        fn.check_gradient(lambda p: p["w"] @ np.ones(2), {"w": W}, {"w": W})
