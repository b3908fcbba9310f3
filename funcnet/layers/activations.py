"""Activations: functions of each entry, and the softmaxes, functions of the last axis.

An elementwise one is two lines, the function and its derivative; the chain rule for all of them is
``dx = f'(x) · dy``, since the entry y_i depends on x_i alone. Here ``dy = ∂L/∂y`` comes from the layer
above, and ``dx = ∂L/∂x`` goes to the layer below (``dense.py`` says how a layer is read).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from attrs import field

from funcnet import ops
from funcnet.key import Array
from funcnet.layer import Context, Layer, Params, Shape, State, Value, array_shape, floating
from funcnet.spec import frozen, non_negative, register


@frozen
class Elementwise(Layer):
    """Base of the elementwise activations: ``y = f(x)``.

    Input    any shape
    Output   the same shape
    VJP      dx = f'(x) dy
    """

    def function(self, x: Array) -> Array:
        """f(x)"""
        raise TypeError(f"{type(self).__name__} does not define function(x)")

    def derivative(self, x: Array, y: Array) -> Array:
        """f'(x), where y = f(x) may be of use"""
        raise TypeError(f"{type(self).__name__} does not define derivative(x, y)")

    def out_shape(self, in_shape: Shape) -> Shape:
        return array_shape(self, in_shape)

    def apply(self, params: Params, state: State, x: Value, ctx: Context) -> tuple[Value, State, Any]:
        y = self.function(floating(self, x))
        return y, state, (x, y)

    def vjp(self, params: Params, residuals: Any, dy: Value) -> tuple[Params, Value]:
        x, y = residuals
        return {}, self.derivative(x, y) * dy


@register("identity")
@frozen
class Identity(Layer):
    """``y = x``, whatever x is: what composition does not notice.

    VJP      dx = dy
    """

    def out_shape(self, in_shape: Shape) -> Shape:
        return in_shape

    def apply(self, params: Params, state: State, x: Value, ctx: Context) -> tuple[Value, State, Any]:
        return x, state, None

    def vjp(self, params: Params, residuals: Any, dy: Value) -> tuple[Params, Value]:
        return {}, dy


@register("relu")
@frozen
class Relu(Elementwise):
    """Rectified linear unit: ``y = max(x, 0)``.

    VJP      dx = dy where x > 0, else 0

    How does one differentiate it? Left of 0 the function is constant, so the slope is 0; right of 0 it
    is the identity, so the slope is 1. At 0 itself there is no derivative: the slopes 0 and 1 meet, and
    any number between them is a subgradient. Like PyTorch we take 0, so a unit that is exactly off
    passes nothing back. In code the whole derivative is the comparison ``x > 0``.
    Source   Nair and Hinton (2010)
    """

    def function(self, x: Array) -> Array:
        return np.maximum(x, 0.0)

    def derivative(self, x: Array, y: Array) -> Array:
        return np.greater(x, 0.0)  # true and false count as 1 and 0 in the product with dy


@register("leaky_relu")
@frozen
class LeakyRelu(Elementwise):
    """``y = x`` where x > 0, else ``slope · x``; at 0 the derivative is ``slope``, as in PyTorch.

    VJP      dx = dy where x > 0, else slope · dy
    Source   Maas et al. (2013)
    """

    slope: float = field(default=0.01, validator=non_negative)

    def function(self, x: Array) -> Array:
        return np.where(x > 0.0, x, self.slope * x)

    def derivative(self, x: Array, y: Array) -> Array:
        return np.where(x > 0.0, np.ones_like(x), self.slope)


@register("sigmoid")
@frozen
class Sigmoid(Elementwise):
    """Logistic function: ``y = 1 / (1 + exp(-x))``, computed so that nothing overflows.

    VJP      dx = y (1 - y) dy,   from y' = exp(-x) / (1 + exp(-x))² = y · (1 - y)
    """

    def function(self, x: Array) -> Array:
        return ops.sigmoid(x)

    def derivative(self, x: Array, y: Array) -> Array:
        return y * (1.0 - y)


@register("tanh")
@frozen
class Tanh(Elementwise):
    """Hyperbolic tangent: ``y = tanh(x) = sinh(x) / cosh(x)``.

    VJP      dx = (1 - y²) dy,   from y' = (cosh² - sinh²) / cosh² by the rule for quotients
    """

    def function(self, x: Array) -> Array:
        return np.tanh(x)

    def derivative(self, x: Array, y: Array) -> Array:
        return 1.0 - y * y


@register("gelu")
@frozen
class Gelu(Elementwise):
    """Gaussian error linear unit: ``y = x Φ(x)``, Φ the standard normal distribution function.

    With ``approximate``, Φ(x) ≈ (1 + tanh(√(2/π) (x + 0.044715 x³))) / 2.
    VJP      dx = (Φ(x) + x Φ'(x)) dy
    Source   Hendrycks and Gimpel (2016)
    """

    approximate: bool = False

    def function(self, x: Array) -> Array:
        return x * self.phi(x)

    def phi(self, x: Array) -> Array:
        """Φ(x), exact or approximate"""
        if self.approximate:
            return 0.5 * (1.0 + np.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * (x * x * x))))
        return 0.5 * (1.0 + ops.erf(x * math.sqrt(0.5)))

    def derivative(self, x: Array, y: Array) -> Array:
        phi = self.phi(x)
        if self.approximate:  # Φ = σ(2u), whose derivative is 2 u' Φ (1 - Φ)
            slope = 2.0 * math.sqrt(2.0 / math.pi) * (1.0 + 3.0 * 0.044715 * (x * x))
            return phi + x * (slope * (phi * (1.0 - phi)))
        return phi + x * ops.normal_density(x)


@register("softmax")
@frozen
class Softmax(Layer):
    """Probabilities along the last axis: ``y_i = exp(x_i) / Σ_j exp(x_j)``.

    Input    (*, n)
    Output   (*, n), positive, each row summing to 1
    VJP      dx = y (dy - Σ_j y_j dy_j),   from ∂y_j/∂x_i = y_j (δ_ij - y_i)
    """

    def out_shape(self, in_shape: Shape) -> Shape:
        return array_shape(self, in_shape, least_axes=1)

    def apply(self, params: Params, state: State, x: Value, ctx: Context) -> tuple[Value, State, Any]:
        y = ops.softmax(floating(self, x))
        return y, state, y

    def vjp(self, params: Params, residuals: Any, dy: Value) -> tuple[Params, Value]:
        y = residuals
        return {}, ops.flush(y * (dy - np.sum(y * dy, axis=-1, keepdims=True)))


@register("log_softmax")
@frozen
class LogSoftmax(Layer):
    """Log-probabilities along the last axis: ``y_i = x_i - log Σ_j exp(x_j)``.

    Input    (*, n)
    Output   (*, n)
    VJP      dx = dy - exp(y) Σ_j dy_j,   from ∂y_j/∂x_i = δ_ij - softmax(x)_i, and softmax(x) = exp(y)
    """

    def out_shape(self, in_shape: Shape) -> Shape:
        return array_shape(self, in_shape, least_axes=1)

    def apply(self, params: Params, state: State, x: Value, ctx: Context) -> tuple[Value, State, Any]:
        y = ops.log_softmax(floating(self, x))
        return y, state, y

    def vjp(self, params: Params, residuals: Any, dy: Value) -> tuple[Params, Value]:
        y = residuals
        return {}, dy - np.exp(y) * np.sum(dy, axis=-1, keepdims=True)
