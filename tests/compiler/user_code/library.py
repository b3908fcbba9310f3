"""The library inside of compiled functions."""

# Code as users write it, which linters would write otherwise.
# ruff: noqa: B905

from __future__ import annotations

import functools
import operator

import numpy as np

import funcnet as fn
from tests.compiler.user_code.rows import X, either, recorded, sets

NET = fn.serial(fn.Dense(3), fn.Tanh(), fn.Dense(2))
NET_PARAMS, NET_STATE = NET.init(fn.Key(0), (5,), np.float64)
NETS = tuple((fn.tree.map(lambda leaf, i=i: leaf + 0.1 * i, NET_PARAMS), x) for i, (x,) in enumerate(X))
TARGETS = tuple((*args, y) for args, (y,) in zip(NETS, sets((4, 2))))
GRADIENTS = fn.value_and_grad(NET, fn.losses.MeanSquaredError())
INNER = fn.compile(lambda x: x * 2 + 1)
ADAM = fn.optim.Adam(0.1)
recorded(
    NETS,
    predicts=lambda p, x: fn.predict(NET, p, NET_STATE, x) * 3,
    applies=lambda p, x: NET.apply(p, NET_STATE, x, fn.EVAL)[0] ** 2,
    updates=lambda p, x: ADAM.update(p, ADAM.init(p), p)[0],
)
recorded(TARGETS, takes_gradients=lambda p, x, y: GRADIENTS(p, NET_STATE, x, y, fn.EVAL)[2])
recorded(X, compiled_inside=lambda x: INNER(x) * 3)
either(
    TARGETS,
    gradient_step=lambda p, x, y: fn.apply_updates(
        p, fn.tree.map(lambda g: -0.1 * g, GRADIENTS(p, {}, x, y, fn.EVAL)[2])
    ),
)
recorded(X, number_op=lambda x: fn.ops.number(x.sum()) * x, take_op=lambda x: fn.ops.take(x, np.array([2, 0])))
either(
    X,
    check_op=lambda x: (fn.ops.check(x > -2.5, lambda: fn.DataError("below")), x * 2)[1],
    erf_op=lambda x: fn.ops.erf(x),
)


@either(X)
def partial_inside(x):
    scaled = functools.partial(np.multiply, 2.0)
    return scaled(x) + operator.itemgetter(0)(x) + operator.methodcaller("sum")(x)
