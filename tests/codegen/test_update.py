"""The update of a printed step: which value of an array each statement reads."""

import attrs
import numpy as np
import pytest

import funcnet as fn
from funcnet import ops, optim, tree
from tests.compiler.test_source import steps_agree

MSE = fn.losses.MeanSquaredError()


@attrs.frozen
class Made(optim.Optimizer):
    """Two trees of state, and an update that a function gives."""

    change: object = None

    def init(self, params):
        return {"step": np.zeros((), np.int64), "m": tree.map(np.array, params)}

    def update(self, grads, opt_state, params, value=None):
        updates, m = self.change(grads, opt_state["m"], params, ops.number(opt_state["step"]))
        return updates, {"step": opt_state["step"] + 1, "m": m}


def descent(grads, rate=0.1):
    return tree.map(lambda g: -rate * g, grads)


def later(grads, m, params, step):
    """The next state reads the params after a norm of all gradients."""
    norm = ops.norm(*tree.leaves(grads))
    return descent(grads), tree.map(lambda old, p: 0.5 * old + norm * p, m, params)


def sorted_old(grads, m, params, step):
    """A call of the old state is written behind the new one."""
    new = tree.map(lambda g: 0.5 * g, grads)
    return tree.map(lambda old, n: -0.1 * n - 0.05 * np.sort(old) * n, m, new), new


@pytest.mark.parametrize(
    "change",
    [
        lambda grads, m, params, step: (descent(grads), params),
        lambda grads, m, params, step: (descent(grads), grads),
        lambda grads, m, params, step: (tree.map(np.zeros_like, grads), params),
        lambda grads, m, params, step: (descent(grads, 0.1 + 0.01 * (1.0 + (-step) // 3)), m),
        lambda grads, m, params, step: (descent(grads, 0.1 + 0.01 * (1.0 + (-step) % 3)), m),
        later,
        sorted_old,
    ],
    ids=["params", "grads", "no_update", "floor", "remainder", "later", "call"],
)
def test_old_values_are_read_while_they_are_wanted(change):
    net, x, y = fn.serial(a=fn.Dense(3), c=fn.Dense(1)), fn.Key(1).normal((6, 2)), fn.Key(2).normal((6, 1))
    steps_agree(net, MSE, Made(change), (2,), 6, x, y, np.float64, False, steps=4)


def test_a_joint_value_of_the_params_is_that_of_the_old_ones():
    def change(grads, m, params, step):
        return descent(grads), tree.map(lambda old: old + params["a"]["bias"] - params["c"]["bias"], m)

    net, x, y = fn.serial(a=fn.Dense(3), c=fn.Dense(3)), fn.Key(1).normal((6, 2)), fn.Key(2).normal((6, 3))
    steps_agree(net, MSE, Made(change), (2,), 6, x, y, np.float64, False)


def reciprocal(number):
    """Not the library's."""
    return 1.0 / (1.0 + number)


def test_a_function_is_known_by_more_than_its_name():
    def change(grads, m, params, step):
        return descent(grads, ops.scalar(reciprocal, step)), m

    expected = "cannot print a call of reciprocal: only NumPy's functions and the library's can be printed"
    with pytest.raises(fn.FuncnetError) as error:
        fn.source(fn.Dense(1), (2,), 4, MSE, Made(change))
    assert str(error.value) == expected


def test_gradients_in_another_dtype_give_params_in_their_own():
    table = np.linspace(0.0, 1.0, 3)  # float64
    layer = fn.layer(
        lambda key, shape, dtype: ({}, {}),
        lambda params, state, x, ctx: (x * table, state, None),
        lambda params, residuals, dy: ({}, dy * table),
        lambda shape: shape,
    )
    x, y = fn.Key(1).normal((4, 2), np.float32), fn.Key(2).normal((4, 3), np.float32)
    steps_agree(fn.serial(fn.Dense(3), layer), MSE, optim.Adam(), (2,), 4, x, y, np.float32, False)
