"""The statements of a printed program."""

import ast

import numpy as np
import pytest

import funcnet as fn
from tests.compiler.test_source import called, loaded, steps_agree

MSE = fn.losses.MeanSquaredError()


def test_the_params_of_a_layer_are_its_own_between_statements_of_another():
    """In evaluation the dropout has no statement, but the views of its repetition are between those of the GRU."""
    net = fn.serial(fn.Dense(3), again=fn.Repeat(fn.serial(fn.Dropout(0.2), fn.GRU(3)), 2))
    params, state = net.init(fn.Key(0), (5, 2), np.float64)
    x, dy = fn.Key(1).normal((4, 5, 2)), fn.Key(2).normal((4, 5, 3))
    y, _, residuals = net.apply(params, state, x, fn.EVAL)
    text = fn.source(net, (5, 2), 4, dtype=np.float64, train=False)
    printed = called(loaded(text)["forward_backward"], {"params": params, "x": x, "dy": dy})
    assert printed[0].tobytes() == y.tobytes()
    assert np.array_equal(printed[2], net.vjp(params, residuals, dy)[1])


def test_a_loss_that_does_not_read_its_targets():
    net = fn.serial(fn.Dense(12), fn.Reshape((3, 4)))
    x = fn.Key(1).normal((32, 3))
    steps_agree(net, fn.losses.Triplet(), fn.optim.SGD(0.1), (3,), 32, x, np.zeros(32), np.float64, False)


@pytest.mark.parametrize("depth", [4, 8])
def test_lines_are_short_at_any_depth(depth):
    layer = fn.serial(fn.LayerNorm(), fn.Dense(4, use_bias=False), fn.WeightNorm(fn.Dense(4)), fn.Gelu())
    for _ in range(depth):
        layer = fn.serial(("a_layer_with_a_name", layer), fn.Residual(fn.Dense(4)))
    net = fn.serial(fn.Dense(4), layer, fn.Dense(1))
    opt = fn.optim.partition({"*bias": fn.optim.Adam(), "*": fn.optim.SGD(0.001, momentum=0.9)})
    lines = fn.source(net, (3,), 4, MSE, opt, dtype=np.float64).splitlines()
    assert [line for line in lines if len(line) > 100] == []
    ast.parse("\n".join(lines))


def test_predict_gets_its_own_arguments_and_gives_several_outputs(capsys):
    x, y = fn.Key(1).normal((4, 2), np.float32), fn.Key(2).normal((4, 1), np.float32)
    plain, two = fn.serial(fn.Dense(1), fn.BatchNorm(momentum=0.0)), fn.branch(fn.Dense(1), fn.Dense(1))
    for net, loss, target in ((plain, MSE, y), (two, fn.losses.Multi((MSE, MSE)), (y, y))):
        params, state = net.init(fn.Key(0), (2,))
        start = {"params": params, "state": state, "x": x, "y": target}
        text = fn.source(net, (2,), 4, loss, fn.optim.SGD(0.1), target=target, start=start)
        names = {"__name__": "printed"}
        exec(text, names)
        found, expected = called(names["predict"], start), fn.predict(net, params, state, x)
        assert all(map(np.array_equal, fn.tree.leaves(found), fn.tree.leaves(expected)))
        exec(text, {"__name__": "__main__"})
        assert len(capsys.readouterr().out) > 0
