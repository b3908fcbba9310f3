"""Activations: elementwise functions, and the softmaxes, functions of the last axis.

An elementwise activation is two lines, the function and its derivative. The chain rule for all of them is
``dx = f'(x) · dy``, since y_i depends on x_i alone. Here ``dy = ∂L/∂y`` comes from the layer above, and
``dx = ∂L/∂x`` goes to the layer below (``dense.py`` explains how to read a layer).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
from attrs import field

from funcnet import ops
from funcnet.errors import NotDefined, Problem, ShapeError
from funcnet.initializers import Constant, Initializer
from funcnet.key import Array
from funcnet.layers.base import Context, Layer, Leaf, Params, State
from funcnet.ranges import Range, Ranges, always, kept
from funcnet.shapes import Shape, Value, array_shape, floating
from funcnet.spec.base import register
from funcnet.spec.fields import frozen, non_negative, positive

LEAST = {"gelu": -0.171, "silu": -0.279, "mish": -0.309, "hard_swish": -0.375}
"""The minimum of the activations that dip below 0, rounded down"""


@frozen
class Elementwise(Layer):
    """Base of the elementwise activations: ``y = f(x)``.

    Input    any shape
    Output   the same shape
    VJP      dx = f'(x) dy

    Where x is NaN, so is y, and dx is PyTorch's: NaN for a smooth function, and for one in pieces that of the
    last piece, so that dy is passed on; only ``HardSigmoid`` gives 0, as there.
    """

    stepwise = True

    def function(self, x: Array) -> Array:
        """f(x)"""
        raise NotDefined(f"{type(self).__name__} does not define function(x)")

    def derivative(self, x: Array, y: Array) -> Array:
        """f'(x); y = f(x) is given because it often makes f'(x) cheaper"""
        raise NotDefined(f"{type(self).__name__} does not define derivative(x, y)")

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
    """``y = x`` for any x, the neutral element of composition.

    VJP      dx = dy
    """

    stepwise = True
    out_range = kept

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
    passes nothing back. In code the whole derivative is the comparison ``y != 0``, which equals ``x > 0``
    without keeping x, and also lets dy pass where x is NaN.
    Source   Nair and Hinton (2010)

    >>> y, _, _ = fn.Relu().apply({}, {}, np.array([[-1.0, 0.0, 2.0]]), fn.EVAL)
    >>> y.tolist()
    [[0.0, 0.0, 2.0]]
    """

    out_range = always(0.0)

    def function(self, x: Array) -> Array:
        return np.maximum(x, 0.0)

    def derivative(self, x: Array, y: Array) -> Array:
        return np.not_equal(y, 0.0)  # true and false count as 1 and 0 in the product with dy


@register("leaky_relu")
@frozen
class LeakyRelu(Elementwise):
    """``y = x`` where x > 0, else ``slope · x``; at 0 the derivative is ``slope``, as in PyTorch.

    VJP      dx = dy where x > 0, else slope · dy
    Source   Maas et al. (2013)
    """

    slope: float = field(default=0.01, validator=non_negative)

    def out_range(self, given: Ranges) -> Ranges:
        return Range(low=0.0) if self.slope == 0.0 else Range()

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

    out_range = always(0.0, 1.0)

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

    out_range = always(-1.0, 1.0)

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

    out_range = always(LEAST["gelu"])

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


@register("relu6")
@frozen
class Relu6(Elementwise):
    """``y = min(max(x, 0), 6)``.

    VJP      dx = dy where 0 < x < 6, else 0; so 0 at 0 and at 6, as in PyTorch
    Source   Krizhevsky (2010)
    """

    out_range = always(0.0, 6.0)

    def function(self, x: Array) -> Array:
        return np.clip(x, 0.0, 6.0)

    def derivative(self, x: Array, y: Array) -> Array:
        return np.logical_and(y != 0.0, y != 6.0)  # y stays within them


@register("elu")
@frozen
class Elu(Elementwise):
    """Exponential linear unit: ``y = x`` where x > 0, else ``alpha (exp(x) - 1)``.

    VJP      dx = dy where x > 0, else alpha exp(x) dy
    Source   Clevert et al. (2015)
    """

    alpha: float = field(default=1.0, validator=positive)

    def out_range(self, given: Ranges) -> Ranges:
        return Range(low=-self.alpha)

    def function(self, x: Array) -> Array:
        below = self.alpha * np.expm1(np.minimum(x, 0.0))  # for large x, exp(x) would overflow although it is unused
        return np.where(x > 0.0, x, below)

    def derivative(self, x: Array, y: Array) -> Array:
        below = self.alpha * np.exp(np.minimum(x, 0.0))
        return np.where(x <= 0.0, below, np.ones_like(x))


SELU_ALPHA, SELU_SCALE = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946


@register("selu")
@frozen
class Selu(Elementwise):
    """Scaled exponential linear unit: ``y = s x`` where x > 0, else ``s α (exp(x) - 1)``.

    s = 1.0507… and α = 1.6733… keep the mean and variance of normal activations from layer to layer.
    VJP      dx = s dy where x > 0, else s α exp(x) dy
    Source   Klambauer et al. (2017)
    """

    out_range = always(-SELU_SCALE * SELU_ALPHA)

    def function(self, x: Array) -> Array:
        below = (SELU_SCALE * SELU_ALPHA) * np.expm1(np.minimum(x, 0.0))
        return np.where(x > 0.0, SELU_SCALE * x, below)

    def derivative(self, x: Array, y: Array) -> Array:
        below = (SELU_SCALE * SELU_ALPHA) * np.exp(np.minimum(x, 0.0))
        return np.where(x <= 0.0, below, np.full_like(x, SELU_SCALE))


@register("celu")
@frozen
class Celu(Elementwise):
    """Continuously differentiable ELU: ``y = x`` where x > 0, else ``alpha (exp(x / alpha) - 1)``.

    VJP      dx = dy where x > 0, else exp(x / alpha) dy
    Source   Barron (2017)
    """

    alpha: float = field(default=1.0, validator=positive)

    def out_range(self, given: Ranges) -> Ranges:
        return Range(low=-self.alpha)

    def function(self, x: Array) -> Array:
        below = self.alpha * np.expm1(np.minimum(x, 0.0) * (1.0 / self.alpha))
        return np.where(x > 0.0, x, below)

    def derivative(self, x: Array, y: Array) -> Array:
        below = np.exp(np.minimum(x, 0.0) * (1.0 / self.alpha))
        return np.where(x <= 0.0, below, np.ones_like(x))


@register("silu")
@frozen
class Silu(Elementwise):
    """Sigmoid linear unit, or swish: ``y = x σ(x)``.

    VJP      dx = σ(x) (1 + x (1 - σ(x))) dy
    Source   Elfwing et al. (2017); Ramachandran et al. (2017)
    """

    out_range = always(LEAST["silu"])

    def function(self, x: Array) -> Array:
        return x * ops.sigmoid(x)

    def derivative(self, x: Array, y: Array) -> Array:
        s = ops.sigmoid(x)
        return s * (1.0 + x * (1.0 - s))


@register("mish")
@frozen
class Mish(Elementwise):
    """``y = x tanh(softplus(x))``.

    VJP      dx = (t + x (1 - t²) σ(x)) dy, where t = tanh(softplus(x))
    Source   Misra (2019)
    """

    out_range = always(LEAST["mish"])

    def function(self, x: Array) -> Array:
        return x * np.tanh(ops.softplus(x))

    def derivative(self, x: Array, y: Array) -> Array:
        t = np.tanh(ops.softplus(x))
        return t + x * (1.0 - t * t) * ops.sigmoid(x)


@register("hard_sigmoid")
@frozen
class HardSigmoid(Elementwise):
    """A sigmoid of three straight lines: ``y = min(max(slope · x + offset, 0), 1)``; by default as in PyTorch.

    VJP      dx = slope · dy where 0 < slope · x + offset < 1, else 0
    """

    out_range = always(0.0, 1.0)

    slope: float = field(default=1.0 / 6.0, validator=positive)
    offset: float = 0.5

    def function(self, x: Array) -> Array:
        return np.clip(self.slope * x + self.offset, 0.0, 1.0)

    def derivative(self, x: Array, y: Array) -> Array:
        return self.slope * np.logical_and(y > 0.0, y < 1.0).astype(x.dtype)


@register("hard_swish")
@frozen
class HardSwish(Elementwise):
    """``y = x min(max(x + 3, 0), 6) / 6``: silu of straight lines.

    VJP      dx = 0 where x ≤ -3, dy where x ≥ 3, else (x / 3 + 1/2) dy, as in PyTorch
    Source   Howard et al. (2019)
    """

    out_range = always(LEAST["hard_swish"])

    def function(self, x: Array) -> Array:
        return x * (np.clip(x + 3.0, 0.0, 6.0) * (1.0 / 6.0))

    def derivative(self, x: Array, y: Array) -> Array:
        inside = np.where(x < 3.0, x * (1.0 / 3.0) + 0.5, np.ones_like(x))
        return np.where(x <= -3.0, 0.0, inside)


@register("hard_tanh")
@frozen
class HardTanh(Elementwise):
    """``y = min(max(x, low), high)``.

    VJP      dx = dy where low < x < high, else 0; so 0 at both ends, as in PyTorch
    """

    low: float = -1.0
    high: float = 1.0

    def validate(self) -> Iterator[Problem]:
        if self.low >= self.high:
            yield Problem(".high", f"must be more than low, {self.low}, got {self.high}")

    def out_range(self, given: Ranges) -> Ranges:
        return Range(self.low, self.high)

    def function(self, x: Array) -> Array:
        return np.clip(x, self.low, self.high)

    def derivative(self, x: Array, y: Array) -> Array:
        return np.logical_and(y != self.low, y != self.high)  # y stays within them


@register("softplus")
@frozen
class Softplus(Elementwise):
    """``y = log(1 + exp(x))``, a smooth relu, without overflow.

    VJP      dx = σ(x) dy; also beyond 20, where PyTorch uses 1
    """

    out_range = always(0.0)

    def function(self, x: Array) -> Array:
        return ops.softplus(x)

    def derivative(self, x: Array, y: Array) -> Array:
        return ops.sigmoid(x)


@register("log_sigmoid")
@frozen
class LogSigmoid(Elementwise):
    """``y = log σ(x) = -log(1 + exp(-x))``, exact where σ(x) is zero to rounding.

    VJP      dx = (1 - σ(x)) dy = σ(-x) dy
    """

    out_range = always(high=0.0)

    def function(self, x: Array) -> Array:
        return -ops.softplus(-x)

    def derivative(self, x: Array, y: Array) -> Array:
        return ops.sigmoid(-x)


@register("softsign")
@frozen
class Softsign(Elementwise):
    """``y = x / (1 + |x|)``.

    VJP      dx = dy / (1 + |x|)², which is 0 at ±∞, where PyTorch has NaN
    """

    out_range = always(-1.0, 1.0)

    def function(self, x: Array) -> Array:
        return x / (1.0 + np.abs(x))

    def derivative(self, x: Array, y: Array) -> Array:
        below = 1.0 / (1.0 + np.abs(x))
        return below * below


@register("prelu")
@frozen
class PRelu(Layer):
    """``y = x`` where x > 0, else ``slope · x``, with a trained slope for each feature, or one for all.

    Input    (*, n)
    Output   (*, n)
    Params   slope (n,), or () if shared
    VJP      dx = dy where x > 0, else slope · dy;   dslope = Σ x dy over x ≤ 0
    Source   He et al. (2015), Delving Deep into Rectifiers
    """

    stepwise = True
    out_range = always()

    shared: bool = False
    slope_init: Initializer = Constant(0.25)

    def leaves(self, in_shape: Shape) -> dict[str, Any]:
        shape = array_shape(self, in_shape, least_axes=0 if self.shared else 1)
        return {"slope": Leaf(() if self.shared else shape[-1:], self.slope_init)}

    def out_shape(self, in_shape: Shape) -> Shape:
        return array_shape(self, in_shape, least_axes=0 if self.shared else 1)

    def apply(self, params: Params, state: State, x: Value, ctx: Context) -> tuple[Value, State, Any]:
        return np.where(floating(self, x) > 0.0, x, params["slope"] * x), state, x

    def vjp(self, params: Params, residuals: Any, dy: Value) -> tuple[Params, Value]:
        x, slope = residuals, params["slope"]
        axes = tuple(range(x.ndim if self.shared else x.ndim - 1))
        dslope = np.sum(np.where(x > 0.0, 0.0, x * dy), axis=axes)
        return {"slope": ops.array(dslope)}, np.where(x > 0.0, dy, slope * dy)


@frozen
class Gated(Layer):
    """Base of the gated linear units: ``y = a · f(b)``, a and b the halves of the last axis.

    Input    (*, 2 n)
    Output   (*, n)
    VJP      da = f(b) dy,   db = a f'(b) dy
    Raises   ShapeError for an odd number of features
    """

    stepwise = True

    gate: ClassVar[Elementwise]

    def out_shape(self, in_shape: Shape) -> Shape:
        shape = array_shape(self, in_shape, least_axes=1)
        if shape[-1] % 2:
            raise ShapeError(
                f"expected an even number of features, a value and a gate for each output, got shape {shape}; "
                "make the layer before it twice as wide as the output",
                layer=type(self).__name__,
            )
        return (*shape[:-1], shape[-1] // 2)

    def apply(self, params: Params, state: State, x: Value, ctx: Context) -> tuple[Value, State, Any]:
        a, b = np.split(floating(self, x), 2, axis=-1)
        gate = self.gate.function(b)
        return a * gate, state, (a, b, gate)

    def vjp(self, params: Params, residuals: Any, dy: Value) -> tuple[Params, Value]:
        a, b, gate = residuals
        return {}, np.concatenate([gate * dy, a * (self.gate.derivative(b, gate) * dy)], axis=-1)


@register("glu")
@frozen
class Glu(Gated):
    """Gated linear unit: ``y = a σ(b)``, a and b the halves of the last axis. Dauphin et al. (2016)."""

    out_range = always()

    gate: ClassVar[Elementwise] = Sigmoid()


@register("swiglu")
@frozen
class SwiGlu(Gated):
    """``y = a silu(b)``, a and b the halves of the last axis. Shazeer (2020)."""

    out_range = always()

    gate: ClassVar[Elementwise] = Silu()


@register("geglu")
@frozen
class GeGlu(Gated):
    """``y = a gelu(b)``, a and b the halves of the last axis. Shazeer (2020)."""

    out_range = always()

    gate: ClassVar[Elementwise] = Gelu()


@register("softmax")
@frozen
class Softmax(Layer):
    """Probabilities along the last axis: ``y_i = exp(x_i) / Σ_j exp(x_j)``.

    Input    (*, n)
    Output   (*, n), positive, each row summing to 1
    VJP      dx = y (dy - Σ_j y_j dy_j),   from ∂y_j/∂x_i = y_j (δ_ij - y_i)
    """

    stepwise = True
    out_range = always(0.0, 1.0, "probabilities")

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

    stepwise = True
    out_range = always(high=0.0, form="log-probabilities")

    def out_shape(self, in_shape: Shape) -> Shape:
        return array_shape(self, in_shape, least_axes=1)

    def apply(self, params: Params, state: State, x: Value, ctx: Context) -> tuple[Value, State, Any]:
        y = ops.log_softmax(floating(self, x))
        return y, state, y

    def vjp(self, params: Params, residuals: Any, dy: Value) -> tuple[Params, Value]:
        y = residuals
        return {}, dy - np.exp(y) * np.sum(dy, axis=-1, keepdims=True)
