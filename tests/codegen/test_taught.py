"""The page for learners draws with NumPy's generator, once where the library draws the same numbers again."""

import inspect

import numpy as np

import funcnet as fn
from tests.compiler.test_source import called, loaded

MSE, SGD = fn.losses.MeanSquaredError(), fn.optim.SGD(0.1)


def test_a_block_that_draws_takes_the_generator():
    def part():
        return fn.Residual(fn.serial(fn.LayerNorm(), fn.Dense(4), fn.Tanh(), fn.Dropout(0.5)))

    net = fn.serial(fn.Dense(4), part(), part(), fn.Dense(1))
    text = fn.source(net, (3,), 4, MSE, SGD, teach=True)
    assert "def block(params, x, rng):" in text
    step = loaded(text)["step"]  # without the script, there is no generator but the argument
    assert list(inspect.signature(step).parameters) == ["params", "opt_state", "x", "y", "rng"]
    begun = fn.train_state(net, SGD, fn.Key(0), (3,))
    values = {"params": begun.params, "opt_state": begun.opt_state, "x": np.ones((4, 3)), "y": np.ones((4, 1))}
    first, again, other = (called(step, values | {"rng": np.random.default_rng(seed)})[0] for seed in (0, 0, 1))
    assert first == again != other


def test_remat_computes_the_gradient_of_its_own_draws():
    net = fn.serial(fn.Dense(6), fn.Remat(fn.serial(fn.Dense(6), fn.Dropout(0.5), fn.Tanh())), fn.Dense(1))
    text = fn.source(net, (3,), 4, MSE, teach=True, dtype=np.float64)
    assert text.count("rng.random(") == 1
    gradients = loaded(text)["gradients"]
    params, _ = net.init(fn.Key(0), (3,), np.float64)
    x, y = fn.Key(1).normal((4, 3)), fn.Key(2).normal((4, 1))

    def loss(bias):
        moved = fn.tree.at(params, "dense_0/bias").set(bias)
        return gradients(moved, x, y, np.random.default_rng(0))[0]

    bias, step = params["dense_0"]["bias"], 1e-6 * np.eye(6)
    numeric = [(loss(bias + d) - loss(bias - d)) / 2e-6 for d in step]
    found = gradients(params, x, y, np.random.default_rng(0))[1]["dense_0"]["bias"]
    assert np.allclose(found, numeric, rtol=1e-6)
