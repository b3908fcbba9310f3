"""Layers that draw random numbers in training."""

from __future__ import annotations

from typing import Any

import numpy as np
from attrs import field

from funcnet import ops
from funcnet.errors import NotDefined
from funcnet.layers.base import Context, Layer, Params, State
from funcnet.ranges import kept
from funcnet.shapes import Shape, Value, array_shape, floating
from funcnet.spec.base import register
from funcnet.spec.fields import fraction, frozen, non_negative


@frozen
class Masking(Layer):
    """Base of the layers that set parts of their input to 0 in training; a subclass gives the shape of the mask."""

    stepwise = True
    out_range = kept

    rate: float = field(validator=fraction)

    def mask_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of the mask for a batch of a shape, 1 along axes that are masked together."""
        raise NotDefined(f"{type(self).__name__} does not define mask_shape(shape)")

    def out_shape(self, in_shape: Shape) -> Shape:
        return array_shape(self, in_shape)

    def apply(self, params: Params, state: State, x: Value, ctx: Context) -> tuple[Value, State, Any]:
        floating(self, x)
        if not ctx.train or self.rate == 0.0:
            return x, state, None
        mask = ops.bernoulli(ctx.draw(), 1.0 - self.rate, self.mask_shape(x.shape))
        return self.masked(x, mask), state, mask

    def vjp(self, params: Params, residuals: Any, dy: Value) -> tuple[Params, Value]:
        mask = residuals
        return {}, dy if mask is None else self.masked(dy, mask)

    def masked(self, x: Value, mask: Value) -> Value:
        """``mask · x / (1 - rate)``, linear in x"""
        return np.where(mask, x * (1.0 / (1.0 - self.rate)), 0.0)


@register("dropout")
@frozen
class Dropout(Masking):
    """In training each entry becomes 0 with probability ``rate``; the others are multiplied by 1 / (1 - rate).

    Input    any shape
    Output   the same shape; in evaluation the input itself
    VJP      dx = mask / (1 - rate) · dy, with the mask of the forward pass
    Raises   KeyRequired in training without a key
    Source   Srivastava et al. (2014), in the inverted form; probabilities are multiples of 2⁻¹⁶

    >>> x = np.ones((2, 3))
    >>> fn.predict(fn.Dropout(0.5), {}, {}, x).tolist()
    [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]
    >>> y, _, _ = fn.Dropout(0.5).apply({}, {}, x, fn.Context(train=True, key=fn.Key(0)))
    >>> set(y.ravel()) <= {0.0, 2.0}
    True
    """

    def mask_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return shape


@register("spatial_dropout")
@frozen
class SpatialDropout(Masking):
    """In training each feature of a sample becomes 0 at all its positions with probability ``rate``, as in Dropout.

    Input    (*, n)
    Output   (*, n)
    VJP      dx = mask / (1 - rate) · dy
    Raises   KeyRequired in training without a key
    Source   Tompson et al. (2014)
    """

    def out_shape(self, in_shape: Shape) -> Shape:
        return array_shape(self, in_shape, least_axes=1)

    def mask_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (shape[0], *(1 for _ in shape[1:-1]), shape[-1])


@register("stochastic_depth")
@frozen
class StochasticDepth(Masking):
    """In training a whole sample becomes 0 with probability ``rate``; the others are multiplied by 1 / (1 - rate).

    Put it at the end of a Residual's layer, so that the sample takes only the shortcut.
    VJP      dx = mask / (1 - rate) · dy
    Raises   KeyRequired in training without a key
    Source   Huang et al. (2016), in the inverted form
    """

    def mask_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (shape[0], *(1 for _ in shape[1:]))


@register("gaussian_noise")
@frozen
class GaussianNoise(Layer):
    """In training ``y = x + noise``, normal with mean 0 and the given standard deviation.

    Input    any shape
    Output   the same shape; in evaluation the input itself
    VJP      dx = dy
    Raises   KeyRequired in training without a key
    """

    stepwise = True
    out_range = kept

    deviation: float = field(validator=non_negative)

    def out_shape(self, in_shape: Shape) -> Shape:
        return array_shape(self, in_shape)

    def apply(self, params: Params, state: State, x: Value, ctx: Context) -> tuple[Value, State, Any]:
        floating(self, x)
        if not ctx.train or self.deviation == 0.0:
            return x, state, None
        return x + self.deviation * ctx.draw().normal(x.shape, x.dtype), state, None

    def vjp(self, params: Params, residuals: Any, dy: Value) -> tuple[Params, Value]:
        return {}, dy
