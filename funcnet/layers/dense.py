"""Affine layers.

How to read a layer: ``leaves`` says what it owns, from which its params are initialised. ``apply`` is the
forward pass, ``y = f(params, x)``; its last result, the residuals, is whatever the backward pass will need
again, here x. ``vjp`` (vector-Jacobian product) is the backward pass: in comes ``dy = ∂L/∂y``, how the loss
changes with this layer's output, and out go ``dparams = ∂L/∂params`` and ``dx = ∂L/∂x``. The dx of a layer is
the dy of the one before it; the first dy of all comes from the loss (``funcnet/losses/base.py``), and the dparams
go to the optimizer (``funcnet/optim/base.py``), whose simplest form is ``params - rate * dparams``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from attrs import field

from funcnet.initializers import GlorotUniform, Initializer, Ones, Zeros
from funcnet.layers.base import Context, Layer, Leaf, Params, State
from funcnet.ranges import always
from funcnet.shapes import Shape, Value, array_shape, floating
from funcnet.spec.base import register
from funcnet.spec.fields import frozen, positive


@register("dense")
@frozen
class Dense(Layer):
    """Affine map of the last axis: ``y = x @ weight + bias``.

    Input    (*, n), any rank
    Output   (*, units)
    Params   weight (n, units), bias (units,)
    VJP      dweight = xᵀ dy,   dbias = Σ dy,   dx = dy weightᵀ
    Raises   ShapeError for an input without features

    How the three equations come about, for a scalar loss L and one sample, with dy = ∂L/∂y:
    y_j = Σ_i x_i w_ij + b_j depends on w_ij through y_j alone, so ∂L/∂w_ij = x_i dy_j; on b_j
    likewise, so ∂L/∂b_j = dy_j; and x_i reaches every y_j, so ∂L/∂x_i = Σ_j dy_j w_ij.
    Over a batch the first two are summed, which is what the matrix product and the sum do.

    >>> params, state = fn.Dense(3).init(fn.Key(0), (4,))
    >>> params["weight"].shape, params["bias"].shape
    ((4, 3), (3,))
    """

    stepwise = True
    out_range = always()

    units: int = field(validator=positive)
    use_bias: bool = True
    weight_init: Initializer = GlorotUniform()
    bias_init: Initializer = Zeros()

    def leaves(self, in_shape: Shape) -> dict[str, Any]:
        features = array_shape(self, in_shape, least_axes=1)[-1]
        weight = Leaf((features, self.units), self.weight_init)
        bias = Leaf((self.units,), self.bias_init)
        return {"weight": weight, "bias": bias} if self.use_bias else {"weight": weight}

    def out_shape(self, in_shape: Shape) -> Shape:
        return (*array_shape(self, in_shape, least_axes=1)[:-1], self.units)

    def apply(self, params: Params, state: State, x: Value, ctx: Context) -> tuple[Value, State, Any]:
        y = floating(self, x) @ params["weight"]
        if self.use_bias:
            y = y + params["bias"]
        return y, state, x

    def vjp(self, params: Params, residuals: Any, dy: Value) -> tuple[Params, Value]:
        weight, x = params["weight"], residuals
        rows_x, rows_dy = x.reshape(-1, x.shape[-1]), dy.reshape(-1, dy.shape[-1])  # every leading axis is a batch axis
        dparams = {"weight": rows_x.T @ rows_dy}
        if self.use_bias:
            dparams["bias"] = np.sum(rows_dy, axis=0)
        return dparams, dy @ weight.T


@register("bias")
@frozen
class Bias(Layer):
    """A trained number added to each feature of the last axis: ``y = x + bias``.

    Input    (*, n)
    Output   (*, n)
    Params   bias (n,)
    VJP      dbias = Σ dy,   dx = dy
    """

    stepwise = True
    out_range = always()

    bias_init: Initializer = Zeros()

    def leaves(self, in_shape: Shape) -> dict[str, Any]:
        return {"bias": Leaf(array_shape(self, in_shape, least_axes=1)[-1:], self.bias_init)}

    def out_shape(self, in_shape: Shape) -> Shape:
        return array_shape(self, in_shape, least_axes=1)

    def apply(self, params: Params, state: State, x: Value, ctx: Context) -> tuple[Value, State, Any]:
        return floating(self, x) + params["bias"], state, None

    def vjp(self, params: Params, residuals: Any, dy: Value) -> tuple[Params, Value]:
        return {"bias": np.sum(dy, axis=tuple(range(dy.ndim - 1)))}, dy


@register("scale")
@frozen
class Scale(Layer):
    """Each feature of the last axis multiplied by a trained number: ``y = scale · x``.

    Input    (*, n)
    Output   (*, n)
    Params   scale (n,)
    VJP      dscale = Σ x dy,   dx = scale · dy
    """

    stepwise = True
    out_range = always()

    scale_init: Initializer = Ones()

    def leaves(self, in_shape: Shape) -> dict[str, Any]:
        return {"scale": Leaf(array_shape(self, in_shape, least_axes=1)[-1:], self.scale_init)}

    def out_shape(self, in_shape: Shape) -> Shape:
        return array_shape(self, in_shape, least_axes=1)

    def apply(self, params: Params, state: State, x: Value, ctx: Context) -> tuple[Value, State, Any]:
        return floating(self, x) * params["scale"], state, x

    def vjp(self, params: Params, residuals: Any, dy: Value) -> tuple[Params, Value]:
        x = residuals
        return {"scale": np.sum(x * dy, axis=tuple(range(dy.ndim - 1)))}, params["scale"] * dy
