"""Normalization layers."""

from __future__ import annotations

from typing import Any

import numpy as np
from attrs import field

from funcnet.errors import ShapeError
from funcnet.initializers import Initializer, Ones, Zeros
from funcnet.layer import Context, Layer, Leaf, Params, Shape, State, Value, array_shape, floating
from funcnet.spec import Range, frozen, positive, register

momentum_range = Range("between 0 and 1", lambda value: 0.0 <= value <= 1.0)


@register("batch_norm")
@frozen
class BatchNorm(Layer):
    """Each feature shifted and scaled to mean 0 and variance 1, then to a learnt mean and scale.

    ``x̂ = (x - mean) / √(var + eps)``,   ``y = scale · x̂ + bias``

    In training mean and (biased) variance are those of the batch, over every axis but the last; the
    running ones move towards them: ``new = momentum · old + (1 - momentum) · batch``, with the unbiased
    variance, as in PyTorch (whose ``momentum`` is one minus this). Evaluation uses the running ones.

    Input    (*, n)
    Output   (*, n)
    Params   scale (n,), bias (n,)
    State    running_mean (n,), running_var (n,)
    VJP      dscale = Σ x̂ dy,   dbias = Σ dy;   with g = scale · dy and r = 1 / √(var + eps),
             dx = r (g - mean(g) - x̂ mean(x̂ g)) in training, where mean and variance depend on x too,
             dx = r g in evaluation
    Raises   ShapeError for a training batch with a single value per feature
    Source   Ioffe and Szegedy (2015)
    """

    momentum: float = field(default=0.9, validator=momentum_range)
    eps: float = field(default=1e-5, validator=positive)
    use_scale: bool = True
    use_bias: bool = True
    scale_init: Initializer = Ones()
    bias_init: Initializer = Zeros()

    def leaves(self, in_shape: Shape) -> dict[str, Any]:
        shape = (array_shape(self, in_shape, least_axes=1)[-1],)
        params = {"scale": Leaf(shape, self.scale_init)} if self.use_scale else {}
        if self.use_bias:
            params["bias"] = Leaf(shape, self.bias_init)
        return params | {
            "running_mean": Leaf(shape, Zeros(), "state"),
            "running_var": Leaf(shape, Ones(), "state"),
        }

    def out_shape(self, in_shape: Shape) -> Shape:
        return array_shape(self, in_shape, least_axes=1)

    def apply(self, params: Params, state: State, x: Value, ctx: Context) -> tuple[Value, State, Any]:
        axes = tuple(range(floating(self, x).ndim - 1))
        if ctx.train:
            count = x.size // x.shape[-1]
            if count < 2:
                raise ShapeError(
                    f"expected at least 2 values per feature in a training batch, got {count}; "
                    "use a larger batch, or a batch size that leaves no remainder of one",
                    layer="BatchNorm",
                )
            mean = np.mean(x, axis=axes)
            centred = x - mean
            var = np.mean(centred * centred, axis=axes)
            keep, new = self.momentum, 1.0 - self.momentum
            state = {
                "running_mean": keep * state["running_mean"] + new * mean,
                "running_var": keep * state["running_var"] + (new * count / (count - 1)) * var,
            }
        else:
            centred, var = x - state["running_mean"], state["running_var"]
        r = 1.0 / np.sqrt(var + self.eps)
        x_hat = centred * r
        y = x_hat * params["scale"] if self.use_scale else x_hat
        y = y + params["bias"] if self.use_bias else y
        return y, state, (x_hat, r, ctx.train)

    def vjp(self, params: Params, residuals: Any, dy: Value) -> tuple[Params, Value]:
        x_hat, r, train = residuals
        axes = tuple(range(dy.ndim - 1))
        dparams = {}
        g = dy
        if self.use_scale:
            dparams["scale"] = np.sum(x_hat * dy, axis=axes)
            g = params["scale"] * dy
        if self.use_bias:
            dparams["bias"] = np.sum(dy, axis=axes)
        if train:
            g = g - np.mean(g, axis=axes) - x_hat * np.mean(x_hat * g, axis=axes)
        return dparams, r * g
