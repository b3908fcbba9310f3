"""Embeddings of indices and of positions."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from attrs import field

from funcnet import ops
from funcnet.errors import DataError, NotDefined, Problem, ShapeError, place
from funcnet.initializers import Initializer, Normal
from funcnet.key import Array
from funcnet.layers.base import Context, Layer, Leaf, Params, State
from funcnet.layers.sequence import cotangent_of, join_mask, kinds_of_sequence, real, sequence_shape, split_mask
from funcnet.ranges import always
from funcnet.shapes import Shape, Value, array_shape, floating, integers, is_shape
from funcnet.spec.base import register
from funcnet.spec.fields import frozen, positive


@register("embedding")
@frozen
class Embedding(Layer):
    """A trained vector for each index: ``y = weight[x]``.

    The vector of ``padding_index`` is always 0 and is never trained.

    Input    (*,) integers from 0 to size - 1, or the pair of (time,) and a mask (time,)
    Output   (*, features), with the mask if there was one, 0 at masked steps, which may hold any integer
    Params   weight (size, features)
    VJP      dweight[i] = Σ dy over all places where x is i
    Raises   ShapeError for floats; DataError naming the first index out of range, and its place
    """

    stepwise = True
    out_range = always()

    size: int = field(validator=positive)
    features: int = field(validator=positive)
    padding_index: int | None = None
    weight_init: Initializer = Normal(1.0)

    def validate(self) -> Iterator[Problem]:
        if self.padding_index is not None and not 0 <= self.padding_index < self.size:
            yield Problem(".padding_index", f"must be from 0 to {self.size - 1}, got {self.padding_index}")

    def in_kinds(self, in_shape: Shape) -> Any:
        return kinds_of_sequence(in_shape, "i")

    def leaves(self, in_shape: Shape) -> dict[str, Any]:
        self.out_shape(in_shape)
        return {"weight": Leaf((self.size, self.features), self.weight_init)}

    def out_shape(self, in_shape: Shape) -> Shape:
        if is_shape(in_shape):
            return (*array_shape(self, in_shape), self.features)
        shape, _ = sequence_shape(self, in_shape, axes=1)
        return (*shape, self.features), shape

    def apply(self, params: Params, state: State, x: Value, ctx: Context) -> tuple[Value, State, Any]:
        x, mask = split_mask(self, x)
        x = real(integers(self, x), mask)
        fits = (x >= 0) & (x < self.size)

        def error(fits: Array, x: Array) -> DataError:
            at = tuple(np.argwhere(~np.asarray(fits))[0].tolist())
            return DataError(
                f"expected indices from 0 to {self.size - 1}, got {x[at]} in {place(at)}; "
                "make size larger, or check the encoding",
                layer="Embedding",
            )

        ops.check(fits, error, fits, x)
        y = ops.take(params["weight"], x)
        if self.padding_index is not None:
            y = np.where(np.expand_dims(x == self.padding_index, -1), 0.0, y)
        return join_mask(real(y, mask), mask), state, (x, mask)

    def vjp(self, params: Params, residuals: Any, dy: Value) -> tuple[Params, Value]:
        x, mask = residuals
        dy = real(cotangent_of(dy), mask)
        if self.padding_index is not None:
            dy = np.where(np.expand_dims(x == self.padding_index, -1), 0.0, dy)
        return {"weight": ops.scatter_add(dy, x, self.size)}, None if mask is None else (None, None)


@frozen
class Positions(Layer):
    """Base of the position embeddings, for sequences with or without a mask."""

    def in_kinds(self, in_shape: Shape) -> Any:
        return kinds_of_sequence(in_shape)

    def out_shape(self, in_shape: Shape) -> Shape:
        self.check(sequence_shape(self, in_shape)[0])
        return in_shape

    def check(self, shape: tuple[int, ...]) -> None:
        """Raise ShapeError for a shape (time, features) that does not fit."""

    def marked(self, params: Params, x: Array, start: int = 0) -> Array:
        """x (batch, time, features) with its positions embedded, the first step at position ``start``."""
        raise NotDefined(f"{type(self).__name__} does not define marked(params, x, start)")

    def apply(self, params: Params, state: State, x: Value, ctx: Context) -> tuple[Value, State, Any]:
        x, mask = split_mask(self, x)
        y = self.marked(params, real(floating(self, x), mask))
        return join_mask(real(y, mask), mask), state, mask


@register("learned_positions")
@frozen
class LearnedPositions(Positions):
    """A trained vector for each position, added: ``y[t] = x[t] + weight[t]``.

    Input    (time, n), time up to ``length``, or the pair with a mask (time,)
    Output   the same shape, 0 at masked steps
    Params   weight (length, n)
    VJP      dweight[t] = Σ dy[t] over the batch,   dx = dy
    Raises   ShapeError for a sequence longer than ``length``
    """

    length: int = field(validator=positive)
    weight_init: Initializer = Normal(0.02)

    def check(self, shape: tuple[int, ...]) -> None:
        if shape[0] > self.length:
            raise ShapeError(
                f"expected sequences of up to {self.length} steps, got {shape[0]}; make length larger",
                layer="LearnedPositions",
            )

    def leaves(self, in_shape: Shape) -> dict[str, Any]:
        shape, _ = sequence_shape(self, in_shape)
        return {"weight": Leaf((self.length, shape[1]), self.weight_init)}

    def marked(self, params: Params, x: Array, start: int = 0) -> Array:
        return x + params["weight"][start : start + x.shape[1]]

    def vjp(self, params: Params, residuals: Any, dy: Value) -> tuple[Params, Value]:
        mask, dy = residuals, real(cotangent_of(dy), residuals)
        used = np.sum(dy, axis=0)
        unused = np.zeros_like(params["weight"][dy.shape[1] :])
        return {"weight": np.concatenate([used, unused], axis=0)}, dy if mask is None else (dy, None)


def sinusoid(positions: Array, features: int) -> Array:
    """``sin(p / 10000^(2i/n))`` in the even columns and the cosines in the odd ones, a row for each position p."""
    pairs = -(-features // 2)
    angles = positions[:, None] * np.exp(np.arange(pairs) * (-2.0 * math.log(10000.0) / features))
    return np.stack([np.sin(angles), np.cos(angles)], axis=-1).reshape(len(positions), 2 * pairs)[:, :features]


@register("sinusoidal_positions")
@frozen
class SinusoidalPositions(Positions):
    """Sines and cosines of the position at falling frequencies, added: ``y[t] = x[t] + sinusoid(t)``.

    Input    (time, n), or the pair with a mask (time,)
    Output   the same shape, 0 at masked steps
    VJP      dx = dy
    Source   Vaswani et al. (2017), sines in even and cosines in odd features
    """

    def marked(self, params: Params, x: Array, start: int = 0) -> Array:
        table = sinusoid(np.arange(start, start + x.shape[1], dtype=np.float64), x.shape[2])
        return x + table.astype(x.dtype)

    def vjp(self, params: Params, residuals: Any, dy: Value) -> tuple[Params, Value]:
        dy = real(cotangent_of(dy), residuals)
        return {}, dy if residuals is None else (dy, None)


def rotation(positions: Array, features: int, base: float) -> tuple[Array, Array]:
    """The cosines and sines (positions, features / 2) of the angles ``p · base^(-2i/n)``."""
    angles = positions[:, None] * np.exp(np.arange(features // 2) * (-2.0 * math.log(base) / features))
    return np.cos(angles), np.sin(angles)


def rotate(x: Array, cos: Array, sin: Array, interleaved: bool) -> Array:
    """Each pair of features (a, b) rotated to ``(a cos - b sin, b cos + a sin)``; further features are unchanged.

    Pairs are features i and i + n/2, or with ``interleaved`` neighbours. ``-sin`` gives the inverse rotation.
    """
    turned = 2 * cos.shape[-1]
    part, rest = x[..., :turned], x[..., turned:]
    if interleaved:
        a, b = part[..., 0::2], part[..., 1::2]
        pairs = np.stack([a * cos - b * sin, b * cos + a * sin], axis=-1).reshape(part.shape)
    else:
        a, b = part[..., : turned // 2], part[..., turned // 2 :]
        pairs = np.concatenate([a * cos - b * sin, b * cos + a * sin], axis=-1)
    return np.concatenate([pairs, rest], axis=-1) if rest.shape[-1] else pairs


@register("rotary_positions")
@frozen
class RotaryPositions(Positions):
    """Rotary position embedding (RoPE): pairs of features rotated by an angle proportional to the position.

    ``(a, b)`` becomes ``(a cos φ - b sin φ, b cos φ + a sin φ)``, ``φ = t · base^(-2i/n)`` for the i-th pair: features
    i and i + n/2 as in GPT-NeoX, or with ``interleaved`` 2i and 2i + 1. The first ``features`` are rotated, by default
    all. Products of rotated queries and keys depend only on the difference of their positions.

    Input    (time, n), or the pair with a mask (time,)
    Output   the same shape, 0 at masked steps
    VJP      dx is dy rotated back
    Raises   ShapeError for an odd number of features, or fewer than ``features``
    Source   Su et al. (2021)
    """

    base: float = field(default=10000.0, validator=positive)
    interleaved: bool = False
    features: int | None = field(default=None, validator=positive)

    def validate(self) -> Iterator[Problem]:
        if self.features is not None and self.features % 2:
            yield Problem(".features", f"must be even, two for each pair, got {self.features}")

    def check(self, shape: tuple[int, ...]) -> None:
        turned = shape[-1] if self.features is None else self.features
        if turned % 2 or turned > shape[-1]:
            raise ShapeError(
                f"expected an even number of features, {turned} or more, got shape {shape}; they are rotated in pairs",
                layer="RotaryPositions",
            )

    def angles(self, x: Array, time: int, start: int = 0) -> tuple[Array, Array]:
        """Cosines and sines for steps of x, in its dtype."""
        positions = np.arange(start, start + time, dtype=np.float64)
        cos, sin = rotation(positions, x.shape[-1] if self.features is None else self.features, self.base)
        return cos.astype(x.dtype), sin.astype(x.dtype)

    def marked(self, params: Params, x: Array, start: int = 0) -> Array:
        cos, sin = self.angles(x, x.shape[-2], start)
        return rotate(x, cos, sin, self.interleaved)

    def unmarked(self, dy: Array) -> Array:
        """The cotangent of x, given that of ``marked(x)``."""
        cos, sin = self.angles(dy, dy.shape[-2])
        return rotate(dy, cos, -sin, self.interleaved)

    def vjp(self, params: Params, residuals: Any, dy: Value) -> tuple[Params, Value]:
        dx = self.unmarked(real(cotangent_of(dy), residuals))
        return {}, dx if residuals is None else (dx, None)
