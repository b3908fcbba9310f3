"""The Jacobian of a network's outputs by its params, and the residuals of a least-squares problem."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from funcnet import ops, tree
from funcnet.combinators.ensemble import Ensemble
from funcnet.errors import ShapeError
from funcnet.inputs import cast, check_network, dtype_of, instance, unpack
from funcnet.key import Array
from funcnet.layers.base import EVAL, Layer, Params, State, apply_child, vjp_child
from funcnet.losses.base import spread as spread_weight
from funcnet.shapes import Value, numeric, shape_of
from funcnet.signatures import check_signatures
from funcnet.spec.base import nested
from funcnet.training.step import predict
from funcnet.vmap import Members, Unvectorized, spread


@ops.quiet()
def jacobian(net: Layer, params: Params, state: State, x: Value) -> Array:
    """``∂y_i/∂p_j`` in evaluation mode: a matrix (rows · outputs, parameters).

    Its rows are those of ``predict(net, params, state, x).reshape(-1)``, its columns those of
    ``fn.tree.ravel(params).vector``, whose ``unravel`` turns one of its rows into a tree like params.
    It takes one forward pass, and one backward pass with a unit cotangent for each output of a row, each for
    all rows at once.
    Raises   ShapeError for inputs, params or state that do not fit, or a network of several outputs
    """
    instance(net, Layer, "a network", "fn.serial(fn.Dense(10))")
    check_signatures(net)
    x = cast(x, dtype_of(params, state))
    check_network(net, params, state, x)
    if not any(isinstance(one, Ensemble) for one in nested(net)):  # whose members would be mistaken for the rows
        with contextlib.suppress(Unvectorized):  # a layer that inspects values gets one row at a time
            return _of_rows(net, params, state, x)
    parts = [
        _of_one(net, params, state, tree.map(lambda a: a[i : i + 1], x))  # noqa: B023
        for i in range(len(tree.leaves(x)[0]))
    ]
    return np.concatenate(parts) if parts else np.zeros((0, tree.ravel(params).vector.size))


def _of_rows(net: Layer, params: Params, state: State, x: Value) -> Array:
    """The Jacobian for all rows at once: each row is a member, a batch of one, with shared params."""
    rows = len(tree.leaves(x)[0])
    y, _, residuals = apply_child("", net, params, state, tree.map(lambda a: Members(a[:, None]), x), EVAL)
    shape, dtype = _one_output(y).shape[1:], y.dtype
    units = int(np.prod(shape))
    by_output = []
    for k in range(units):
        dy = np.zeros((rows, 1, units), dtype)
        dy[:, 0, k] = 1.0
        dparams, _ = vjp_child("", net, params, residuals, Members(dy.reshape(rows, 1, *shape)))
        flat = tree.flatten(dparams)
        parts = [spread(flat[path], rows).reshape(rows, np.size(p)) for path, p in sorted(tree.flatten(params).items())]
        by_output.append(np.concatenate(parts, axis=1) if parts else np.zeros((rows, 0), dtype))
    width = sum(np.size(leaf) for leaf in tree.leaves(params))
    return np.stack(by_output, axis=1).reshape(rows * units, width) if units else np.zeros((0, width), dtype)


def _of_one(net: Layer, params: Params, state: State, x: Value) -> Array:
    """The Jacobian for a batch of one row."""
    y, _, residuals = apply_child("", net, params, state, x, EVAL)
    units = np.eye(_one_output(y).size, dtype=y.dtype)
    return np.stack([tree.ravel(vjp_child("", net, params, residuals, e.reshape(y.shape))[0]).vector for e in units])


def _one_output(y: Any) -> Any:
    if isinstance(y, tuple | dict):
        raise ShapeError(f"expected a network of one output, got the shapes {shape_of(y)}; join them with Concat()")
    return y


class LeastSquares(NamedTuple):
    """A least-squares problem as ``scipy.optimize.least_squares(fun, x0, jac)`` takes it, in float64."""

    fun: Callable[[Array], Array]
    """``√w (prediction - target)`` at a vector of params, one number for each output of each row"""
    x0: Array
    """The params as a vector"""
    jac: Callable[[Array], Array]
    """Its Jacobian, (residuals, parameters)"""
    unravel: Callable[[Array], Params]
    """The params from a vector"""


def least_squares(net: Layer, params: Params, state: State, data: tuple[Any, ...]) -> LeastSquares:
    """The residuals of a network on ``(x, y)`` or ``(x, y, weight)``, as functions of its params as a vector.

    Half the sum of their squares is the loss ``HalfSumSquaredError()``. To fit it by the Levenberg-Marquardt method::

        problem = fn.least_squares(net, *net.init(key, in_shape), (x, y))
        done = scipy.optimize.least_squares(problem.fun, problem.x0, problem.jac, method="lm")
        params = problem.unravel(done.x)

    Raises   ShapeError for targets in another shape than the prediction, except (rows,) for (rows, 1)
    """
    x, y, weight = unpack(data)
    params, state = (cast(part, np.float64) for part in (params, state))
    x, target = cast(x, np.float64), numeric(y).astype(np.float64)
    prediction = _one_output(predict(net, params, state, x))
    if target.shape != prediction.shape and {target.shape, prediction.shape} != {(len(target),), (len(target), 1)}:
        raise ShapeError(
            f"expected a target of the prediction's shape {prediction.shape}, got {target.shape}; "
            "reshape one of them, or change the last layer's units"
        )
    vector, unravel = tree.ravel(params)
    root = None
    if weight is not None:
        whole = spread_weight(numeric(weight), prediction.shape, np.float64, net)
        root = np.sqrt(np.broadcast_to(whole, prediction.shape)).reshape(-1)

    def fun(vector: Array) -> Array:
        errors = (predict(net, unravel(vector), state, x) - target.reshape(prediction.shape)).reshape(-1)
        return errors if root is None else root * errors

    def jac(vector: Array) -> Array:
        matrix = jacobian(net, unravel(vector), state, x)
        return matrix if root is None else root[:, None] * matrix

    return LeastSquares(fun, vector, jac, unravel)
