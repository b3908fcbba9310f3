"""Normalization layers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from attrs import field

from funcnet import ops
from funcnet.errors import NotDefined, ShapeError
from funcnet.initializers import Initializer, Ones, Zeros
from funcnet.layers.base import Context, Layer, Leaf, Params, State
from funcnet.layers.sequence import cotangent_of, join_mask, kinds_of_sequence, masked_shape, real, split_mask
from funcnet.ranges import always
from funcnet.shapes import Shape, Value, array_shape, floating, is_shape
from funcnet.spec.base import register
from funcnet.spec.fields import Range, frozen, positive

momentum_range = Range("between 0 and 1", lambda value: 0.0 <= value <= 1.0, minimum=0, maximum=1)


@register("batch_norm")
@frozen
class BatchNorm(Layer):
    """Each feature normalized to mean 0 and variance 1 over the batch, then to a trained mean and scale.

    ``x̂ = (x - mean) / √(var + eps)``,   ``y = scale · x̂ + bias``

    In training, mean and (biased) variance are those of the batch, over every axis but the last; the
    running ones move towards them: ``new = momentum · old + (1 - momentum) · batch``, with the unbiased
    variance, as in PyTorch (whose ``momentum`` is one minus this). Evaluation uses the running ones. With
    ``frozen``, training uses them, too, and does not change them. The padding of a masked sequence counts in none of
    them.

    Input    (*, n), or the pair of a sequence (time, *, n) and its mask (time,)
    Output   (*, n), with the mask if there was one, 0 at masked steps
    Params   scale (n,), bias (n,)
    State    running_mean (n,), running_var (n,)
    VJP      dscale = Σ x̂ dy,   dbias = Σ dy;   with g = scale · dy and r = 1 / √(var + eps),
             dx = r (g - mean(g) - x̂ mean(x̂ g)) in training, where mean and variance depend on x too,
             dx = r g in evaluation
    Raises   ShapeError for a training batch with a single value per feature
    Source   Ioffe and Szegedy (2015)
    """

    stepwise = True
    out_range = always()

    momentum: float = field(default=0.9, validator=momentum_range)
    eps: float = field(default=1e-5, validator=positive)
    use_scale: bool = True
    use_bias: bool = True
    scale_init: Initializer = Ones()
    bias_init: Initializer = Zeros()
    frozen: bool = False

    def leaves(self, in_shape: Shape) -> dict[str, Any]:
        shape = (self.shape(in_shape)[-1],)
        params = {"scale": Leaf(shape, self.scale_init)} if self.use_scale else {}
        if self.use_bias:
            params["bias"] = Leaf(shape, self.bias_init)
        return params | {
            "running_mean": Leaf(shape, Zeros(), "state"),
            "running_var": Leaf(shape, Ones(), "state"),
        }

    def shape(self, in_shape: Shape) -> tuple[int, ...]:
        """The shape of the input without its mask."""
        padded = masked_shape(in_shape) and len(in_shape[0]) > 1
        return array_shape(self, in_shape[0] if padded else in_shape, least_axes=1)

    def in_kinds(self, in_shape: Shape) -> Any:
        return kinds_of_sequence(in_shape)

    def out_shape(self, in_shape: Shape) -> Shape:
        shape = self.shape(in_shape)
        return shape if is_shape(in_shape) else (shape, shape[:1])

    def count(self, x: Value, mask: Any) -> Any:
        """The number of real values per feature.

        Raises   ShapeError for fewer than 2
        """

        def error(count: Any) -> ShapeError:
            return ShapeError(
                f"expected at least 2 values per feature in a training batch, got {int(count)}; "
                "use a larger batch, or a batch size that leaves no remainder of one",
                layer="BatchNorm",
            )

        if mask is None:
            count = x.size // x.shape[-1]
            if count < 2:
                raise error(count)
            return count
        per_step = math.prod(x.shape[2:-1])
        real_values = np.sum(mask.astype(x.dtype)) * per_step
        ops.check(real_values >= 2.0, error, real_values)
        return real_values

    def apply(self, params: Params, state: State, x: Value, ctx: Context) -> tuple[Value, State, Any]:
        x, mask = split_mask(self, x)
        axes = tuple(range(floating(self, x).ndim - 1))
        x = real(x, mask)
        train, count = ctx.train and not self.frozen, None
        if train:
            count = self.count(x, mask)
            mean = mean_over(x, axes, count, mask)
            centred = real(x - mean, mask)
            var = mean_over(centred * centred, axes, count, mask)
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
        return join_mask(real(y, mask), mask), state, (x_hat, r, train, count, mask)

    def vjp(self, params: Params, residuals: Any, dy: Value) -> tuple[Params, Value]:
        x_hat, r, train, count, mask = residuals
        dy = real(cotangent_of(dy), mask)
        axes = tuple(range(dy.ndim - 1))
        dparams = {}
        g = dy
        if self.use_scale:
            dparams["scale"] = np.sum(x_hat * dy, axis=axes)
            g = params["scale"] * dy
        if self.use_bias:
            dparams["bias"] = np.sum(dy, axis=axes)
        if not train:
            dx = r * g
        elif mask is None:
            dx = normalized_vjp(x_hat, r, g, axes)
        else:
            mean, along = mean_over(g, axes, count, mask), mean_over(x_hat * g, axes, count, mask)
            dx = real(r * (g - mean - x_hat * along), mask)
        return dparams, dx if mask is None else (dx, None)


def mean_over(x: Value, axes: tuple[int, ...], count: Any, mask: Any) -> Value:
    """The mean over some axes; with a mask that of the ``count`` real values, where the others are 0."""
    return np.mean(x, axis=axes) if mask is None else np.sum(x, axis=axes) * (1.0 / count)


def normalized(x: Value, axes: tuple[int, ...], eps: float) -> tuple[Value, Value]:
    """``x̂ = (x - mean) r`` and ``r = 1 / √(var + eps)``, mean and variance over some axes."""
    centred = x - np.mean(x, axis=axes, keepdims=True)
    r = 1.0 / np.sqrt(np.mean(centred * centred, axis=axes, keepdims=True) + eps)
    return centred * r, r


def normalized_vjp(x_hat: Value, r: Value, g: Value, axes: tuple[int, ...]) -> Value:
    """``dx = r (g - mean(g) - x̂ mean(x̂ g))``: g without its mean and its component along x̂."""
    mean, along = np.mean(g, axis=axes, keepdims=True), np.mean(x_hat * g, axis=axes, keepdims=True)
    return r * (g - mean - x_hat * along)


@frozen
class Normalization(Layer):
    """Base of the normalizations within each sample: ``y = scale · x̂ + bias``.

    A subclass gives the axes to normalize over. VJP: with g = scale · dy, dscale = Σ x̂ dy, dbias = Σ dy, and dx as in
    ``normalized_vjp``.
    """

    out_range = always()

    eps: float = field(default=1e-5, validator=positive)
    use_scale: bool = True
    use_bias: bool = True
    scale_init: Initializer = Ones()
    bias_init: Initializer = Zeros()

    def affine_shape(self, in_shape: Shape) -> tuple[int, ...]:
        """The shape of scale and bias: one for each feature of the last axis."""
        return array_shape(self, in_shape, least_axes=1)[-1:]

    def mixes_steps(self, shape: tuple[int, ...]) -> bool:
        """Whether the first axis of a sample is among those that are normalized over."""
        return True

    def over(self, x: Value) -> tuple[Value, tuple[int, ...]]:
        """x in the shape to normalize in, and the axes to normalize over."""
        raise NotDefined(f"{type(self).__name__} does not define over(x)")

    def normalize(self, x: Value, axes: tuple[int, ...]) -> tuple[Value, Value]:
        """x̂ and r"""
        return normalized(x, axes, self.eps)

    def normalize_vjp(self, x_hat: Value, r: Value, g: Value, axes: tuple[int, ...]) -> Value:
        """The cotangent of x, given that of x̂"""
        return normalized_vjp(x_hat, r, g, axes)

    def leaves(self, in_shape: Shape) -> dict[str, Any]:
        shape = self.affine_shape(in_shape)
        leaves = {"scale": Leaf(shape, self.scale_init)} if self.use_scale else {}
        return leaves | ({"bias": Leaf(shape, self.bias_init)} if self.use_bias else {})

    def out_shape(self, in_shape: Shape) -> Shape:
        self.affine_shape(in_shape)
        return in_shape

    def apply(self, params: Params, state: State, x: Value, ctx: Context) -> tuple[Value, State, Any]:
        grouped, axes = self.over(floating(self, x))
        x_hat, r = self.normalize(grouped, axes)
        y = x_hat.reshape(x.shape)
        y = y * params["scale"] if self.use_scale else y
        y = y + params["bias"] if self.use_bias else y
        return y, state, (x_hat, r, axes)

    def vjp(self, params: Params, residuals: Any, dy: Value) -> tuple[Params, Value]:
        x_hat, r, axes = residuals
        shape = self.affine_shape(dy.shape[1:])
        samples = tuple(range(dy.ndim - len(shape)))
        dparams, g = {}, dy
        if self.use_scale:
            dparams["scale"] = np.sum(x_hat.reshape(dy.shape) * dy, axis=samples)
            g = params["scale"] * dy
        if self.use_bias:
            dparams["bias"] = np.sum(dy, axis=samples)
        return dparams, self.normalize_vjp(x_hat, r, g.reshape(x_hat.shape), axes).reshape(dy.shape)


@register("layer_norm")
@frozen
class LayerNorm(Normalization):
    """Each sample (and time step, pixel, …) normalized to mean 0 and variance 1 over its features.

    ``x̂ = (x - mean) / √(var + eps)``,   ``y = scale · x̂ + bias``; over the last axis, or the last ``axes``.

    Input    (*, n)
    Output   (*, n)
    Params   scale (n,), bias (n,); in general the shape of the last ``axes`` axes
    VJP      with g = scale · dy: dx = r (g - mean(g) - x̂ mean(x̂ g)),   dscale = Σ x̂ dy,   dbias = Σ dy
    Raises   ShapeError for an input with fewer axes
    Source   Ba et al. (2016)
    """

    axes: int = field(default=1, validator=positive)

    @property
    def stepwise(self) -> bool:  # type: ignore[override]
        """Whether it normalizes the features of each step alone; over more axes one of them may be time."""
        return self.axes == 1

    def affine_shape(self, in_shape: Shape) -> tuple[int, ...]:
        shape = array_shape(self, in_shape, least_axes=1)
        if len(shape) < self.axes:
            raise ShapeError(
                f"expected an input of {self.axes} or more axes after the batch axis for axes={self.axes}, "
                f"got shape {shape}; normalize over fewer axes",
                layer=type(self).__name__,
            )
        return shape[-self.axes :]

    def mixes_steps(self, shape: tuple[int, ...]) -> bool:
        return self.axes >= len(shape)

    def over(self, x: Value) -> tuple[Value, tuple[int, ...]]:
        return x, tuple(range(-self.axes, 0))


@register("rms_norm")
@frozen
class RMSNorm(LayerNorm):
    """Each sample divided by the root mean square of its features: ``y = scale · x / √(mean(x²) + eps)``.

    Input    (*, n)
    Output   (*, n)
    Params   scale (n,), and bias (n,) with ``use_bias``
    VJP      with g = scale · dy: dx = r (g - x̂ mean(x̂ g)),   dscale = Σ x̂ dy
    Source   Zhang and Sennrich (2019)
    """

    eps: float = field(default=1e-6, validator=positive)
    use_scale: bool = True
    use_bias: bool = False
    scale_init: Initializer = Ones()
    bias_init: Initializer = Zeros()
    axes: int = field(default=1, validator=positive)

    def normalize(self, x: Value, axes: tuple[int, ...]) -> tuple[Value, Value]:
        r = 1.0 / np.sqrt(np.mean(x * x, axis=axes, keepdims=True) + self.eps)
        return x * r, r

    def normalize_vjp(self, x_hat: Value, r: Value, g: Value, axes: tuple[int, ...]) -> Value:
        return r * (g - x_hat * np.mean(x_hat * g, axis=axes, keepdims=True))


@register("group_norm")
@frozen
class GroupNorm(Normalization):
    """Each sample normalized to mean 0 and variance 1, over all positions and one group of features at a time.

    Input    (*, n)
    Output   (*, n)
    Params   scale (n,), bias (n,)
    VJP      as LayerNorm's, with the means over positions and the features of a group
    Raises   ShapeError for features that the groups do not divide, and for groups of a single value
    Source   Wu and He (2018)
    """

    groups: int = field(default=32, validator=positive)
    eps: float = field(default=1e-5, validator=positive)
    use_scale: bool = True
    use_bias: bool = True
    scale_init: Initializer = Ones()
    bias_init: Initializer = Zeros()

    def affine_shape(self, in_shape: Shape) -> tuple[int, ...]:
        shape = array_shape(self, in_shape, least_axes=1)
        if shape[-1] % self.groups:
            raise ShapeError(
                f"expected features divisible by {self.groups} groups, got {shape[-1]}; change groups or the features",
                layer="GroupNorm",
            )
        if math.prod(shape) == self.groups:
            raise ShapeError(
                f"expected at least 2 values in a group to normalize over, got shape {shape} in {self.groups} groups, "
                "whose values would all become 0; use fewer groups",
                layer="GroupNorm",
            )
        return shape[-1:]

    def over(self, x: Value) -> tuple[Value, tuple[int, ...]]:
        positions = math.prod(x.shape[1:-1])
        return x.reshape(x.shape[0], positions, self.groups, x.shape[-1] // self.groups), (1, 3)


@register("instance_norm")
@frozen
class InstanceNorm(Normalization):
    """Each feature of each sample normalized to mean 0 and variance 1 over its positions.

    Input    (positions, …, n)
    Output   (positions, …, n)
    Params   scale (n,), bias (n,)
    VJP      as LayerNorm's, with the means over positions
    Raises   ShapeError for an input with fewer than 2 positions, whose features would all become 0
    Source   Ulyanov et al. (2016)
    """

    def affine_shape(self, in_shape: Shape) -> tuple[int, ...]:
        shape = array_shape(self, in_shape, least_axes=1)
        if math.prod(shape[:-1]) < 2:
            raise ShapeError(
                f"expected at least 2 positions to normalize over, got shape {shape}, whose features would all "
                "become 0; use LayerNorm",
                layer="InstanceNorm",
            )
        return shape[-1:]

    def over(self, x: Value) -> tuple[Value, tuple[int, ...]]:
        return x, tuple(range(1, x.ndim - 1))
