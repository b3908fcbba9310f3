"""Attention: every step takes a weighted mean over all steps."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from attrs import field

from funcnet import ops
from funcnet.errors import Problem, ShapeError
from funcnet.initializers import GlorotUniform, Initializer, Zeros
from funcnet.key import Array
from funcnet.layers.attention_kernels import attend, attend_vjp, in_tiles
from funcnet.layers.base import Context, Layer, Leaf, Params, State
from funcnet.layers.embedding import RotaryPositions
from funcnet.layers.limits import check_made
from funcnet.layers.sequence import cotangent_of, join_mask, kinds_of_sequence, real, sequence_shape, split_mask
from funcnet.ranges import always
from funcnet.shapes import Shape, Value, floating, is_shape, tuple_shapes
from funcnet.spec.base import register
from funcnet.spec.fields import fraction, frozen, positive


def check_weights(layer: Layer, heads: int, queries: int, keys: int) -> None:
    """Refuse more weights than any memory has room for, unless they are computed in tiles.

    Raises   ShapeError
    """
    if not in_tiles(queries, keys):
        check_made(layer, (heads, queries, keys), "weights")


@register("dot_product_attention")
@frozen
class DotProductAttention(Layer):
    """``y = softmax(scale · q kᵀ + bias) v`` over the keys, without params.

    Queries, keys and values are a tuple (q, k, v), each (time, features) or (time, heads, features); there may be
    fewer key and value heads, each shared by a group of query heads. An optional fourth input is a mask (keys,), True
    for real keys, or an additive bias (queries, keys) or (heads, queries, keys). With ``causal`` query i sees keys up
    to i. ``scale`` is 1 / √features by default. A query that sees no key gives zeros.

    Input    ((queries, n), (keys, n), (keys, m)), heads before the features, and optionally the mask or bias
    Output   (queries, m), heads before the features
    VJP      with p the softmax: dv = pᵀ dy,   ds = p (dy vᵀ - Σ y dy),   dq = scale · ds k,   dk = scale · dsᵀ q
    Raises   ShapeError for shapes that do not fit
    Source   Vaswani et al. (2017)
    """

    causal: bool = False
    scale: float | None = field(default=None, validator=positive)

    def in_kinds(self, in_shape: Shape) -> Any:
        kinds = ("f", "f", "f")
        return kinds if len(in_shape) == 3 else (*kinds, "b" if len(in_shape[3]) == 1 else "f")

    def out_shape(self, in_shape: Shape) -> Shape:
        shapes = tuple_shapes(self, in_shape)
        fits = len(shapes) in (3, 4) and all(is_shape(shape) for shape in shapes)
        if fits:
            q, k, v, *rest = shapes
            fits = len(q) == len(k) == len(v) in (2, 3) and q[-1] == k[-1] and k[:-1] == v[:-1]
            fits = fits and (len(q) == 2 or q[1] % k[1] == 0)
            heads = q[1:2] if len(q) == 3 else ()
            allowed = [k[:1], (q[0], k[0]), (*(heads or (1,)), q[0], k[0])]
            fits = fits and all(shape in allowed for shape in rest)
        if not fits:
            raise ShapeError(
                "expected queries, keys and values of shapes (queries, n), (keys, n), (keys, m), all with heads before "
                f"the features or all without, and optionally a mask (keys,) or a bias (queries, keys) or "
                f"(heads, queries, keys), got {in_shape}",
                layer="DotProductAttention",
            )
        check_weights(self, q[1] if len(q) == 3 else 1, q[0], k[0])
        return (*q[:-1], v[-1])

    def apply(self, params: Params, state: State, x: Value, ctx: Context) -> tuple[Value, State, Any]:
        q, k, v, *rest = x
        one = floating(self, q).ndim == 3
        q, k, v = (np.expand_dims(part, 2) if one else part for part in (q, k, v))
        mask = rest[0] if rest and rest[0].ndim == 2 else None
        k, v = real(k, mask), real(v, mask)
        bias = rest[0] if rest and mask is None else None
        if bias is not None and bias.ndim == 3:
            bias = np.expand_dims(bias, 1)
        scale = 1.0 / math.sqrt(q.shape[-1]) if self.scale is None else self.scale
        y, weights = attend(q, k, v, mask, bias, None, scale, self.causal, 1.0)
        form = (one, None if not rest else rest[0].ndim)
        return y.reshape(*y.shape[:2], y.shape[3]) if one else y, state, (q, k, v, mask, bias, y, weights, scale, form)

    def vjp(self, params: Params, residuals: Any, dy: Value) -> tuple[Params, Value]:
        q, k, v, mask, bias, y, weights, scale, (one, rest) = residuals
        dy = np.expand_dims(dy, 2) if one else dy
        *parts, dbias = attend_vjp(dy, y, q, k, v, weights, mask, bias, None, scale, self.causal, 1.0)
        dx = tuple(part.reshape(*part.shape[:2], part.shape[3]) if one else part for part in parts)
        if rest is None:
            return {}, dx
        return {}, (*dx, dbias.reshape(dbias.shape[0], *dbias.shape[2:]) if rest == 3 else dbias)


@register("multi_head_attention")
@frozen
class MultiHeadAttention(Layer):
    """Attention of several heads, each on its own projections of queries, keys and values.

    ``q, k, v = x W_q + b_q, m W_k + b_k, m W_v + b_v``, cut into heads, ``y = concat(softmax(q kᵀ / √d) v) W_o + b_o``,
    where m is x itself, or with ``cross`` a second input. With ``causal`` step i sees steps up to i. Each of fewer
    ``key_value_heads`` is shared by a group of query heads. ``rotary`` rotates queries and keys by their positions.
    ``dropout`` sets weights to 0 in training. With ``additive_bias`` the last input is added to the scores.

    Input    (time, n), or the pair with a mask (time,), True where real; with ``cross`` the pair (x, memory), each
             optionally with its mask; with ``additive_bias`` the tuple of these and (heads, queries, keys)
    Output   (time, n), with x's mask if there was one, 0 at masked steps; a query without real keys gives only the
             output bias
    Params   query_weight (n, heads · d), key_weight and value_weight (m, key_value_heads · d), out_weight
             (heads · d, n), and their biases; d = head_features, by default n / heads
    VJP      that of DotProductAttention, between the VJPs of four affine maps
    Raises   ShapeError for features that the heads do not divide, or inputs that do not fit; KeyRequired with dropout
    Source   Vaswani et al. (2017); grouped queries of Ainslie et al. (2023)
    """

    out_range = always()

    heads: int = field(validator=positive)
    causal: bool = False
    key_value_heads: int | None = field(default=None, validator=positive)
    head_features: int | None = field(default=None, validator=positive)
    rotary: RotaryPositions | None = None
    dropout: float = field(default=0.0, validator=fraction)
    cross: bool = False
    additive_bias: bool = False
    use_bias: bool = True
    weight_init: Initializer = GlorotUniform()
    bias_init: Initializer = Zeros()

    def validate(self) -> Iterator[Problem]:
        if self.heads % self.shared_heads:
            yield Problem(".key_value_heads", f"must divide the {self.heads} heads, got {self.key_value_heads}")
        if self.causal and self.cross:
            yield Problem(".causal", "orders the steps of one sequence; leave it out of cross attention")

    @property
    def shared_heads(self) -> int:
        """The number of key and value heads."""
        return self.heads if self.key_value_heads is None else self.key_value_heads

    # inputs

    def parts(self, value: Any) -> tuple[Any, Any, Any]:
        """x, the memory (None for self attention) and the additive bias (or None) of a value, a shape or kinds."""
        rest = value if self.cross or self.additive_bias else (value,)
        x, *others = rest
        return x, others[0] if self.cross else None, others[-1] if self.additive_bias else None

    def shapes(self, in_shape: Shape) -> tuple[tuple[int, ...], bool, tuple[int, ...], bool]:
        """The shape of x and of the sequence it attends to, and whether each has a mask."""
        count = 1 + self.cross + self.additive_bias
        if count > 1 and (is_shape(in_shape) or not isinstance(in_shape, tuple) or len(in_shape) != count):
            named = ", ".join(["x"] + ["memory"] * self.cross + ["bias"] * self.additive_bias)
            raise ShapeError(f"expected the tuple ({named}), got {in_shape}", layer="MultiHeadAttention")
        x, memory, bias = self.parts(in_shape)
        shape, masked = sequence_shape(self, x)
        looked, looked_masked = (shape, masked) if memory is None else sequence_shape(self, memory)
        if self.additive_bias and bias != (self.heads, shape[0], looked[0]):
            raise ShapeError(
                f"expected a bias (heads, queries, keys) = {(self.heads, shape[0], looked[0])}, got {bias}",
                layer="MultiHeadAttention",
            )
        if self.head_features is None and shape[1] % self.heads:
            raise ShapeError(
                f"expected features divisible by {self.heads} heads, got {shape[1]}; change heads or head_features",
                layer="MultiHeadAttention",
            )
        if self.rotary is not None:
            self.rotary.check((1, self.width(shape[1])))
        return shape, masked, looked, looked_masked

    def width(self, features: int) -> int:
        """The features of one head."""
        return features // self.heads if self.head_features is None else self.head_features

    def in_kinds(self, in_shape: Shape) -> Any:
        x, memory, _ = self.parts(in_shape)
        kinds = (kinds_of_sequence(x), *([kinds_of_sequence(memory)] if self.cross else []))
        kinds = (*kinds, *["f"] * self.additive_bias)
        return kinds if len(kinds) > 1 else kinds[0]

    def leaves(self, in_shape: Shape) -> dict[str, Any]:
        shape, _, looked, _ = self.shapes(in_shape)
        d = self.width(shape[1])
        sizes = {
            "query": (shape[1], self.heads * d),
            "key": (looked[1], self.shared_heads * d),
            "value": (looked[1], self.shared_heads * d),
            "out": (self.heads * d, shape[1]),
        }
        leaves = {}
        for name, size in sizes.items():
            leaves[f"{name}_weight"] = Leaf(size, self.weight_init)
            if self.use_bias:
                leaves[f"{name}_bias"] = Leaf(size[1:], self.bias_init)
        return leaves

    def out_shape(self, in_shape: Shape) -> Shape:
        shape, masked, looked, _ = self.shapes(in_shape)
        check_weights(self, self.heads, shape[0], looked[0])
        return (shape, shape[:1]) if masked else shape

    # forward

    def project(self, params: Params, name: str, x: Array, heads: int) -> Array:
        """``x W + b`` as (batch, time, heads, features)."""
        y = x @ params[f"{name}_weight"]
        y = y + params[f"{name}_bias"] if self.use_bias else y
        return y.reshape(x.shape[0], x.shape[1], heads, y.shape[-1] // heads)

    def turned(self, x: Array, start: int = 0) -> Array:
        """Queries or keys (batch, time, heads, features), rotated by their positions from ``start`` on if rotary."""
        if self.rotary is None:
            return x
        return np.swapaxes(self.rotary.marked({}, np.swapaxes(x, 1, 2), start), 1, 2)

    def turned_back(self, dx: Array) -> Array:
        """The cotangent of ``x``, given that of ``turned(x)``."""
        return dx if self.rotary is None else np.swapaxes(self.rotary.unmarked(np.swapaxes(dx, 1, 2)), 1, 2)

    def combine(self, params: Params, y: Array) -> Array:
        """The heads' outputs (batch, time, heads, features), concatenated and projected back."""
        out = y.reshape(y.shape[0], y.shape[1], y.shape[2] * y.shape[3]) @ params["out_weight"]
        return out + params["out_bias"] if self.use_bias else out

    def apply(self, params: Params, state: State, x: Value, ctx: Context) -> tuple[Value, State, Any]:
        given, memory, bias = self.parts(x)
        x, mask = split_mask(self, given)
        x = real(floating(self, x), mask)
        m, looked_mask = (x, mask) if memory is None else split_mask(self, memory)
        m = m if memory is None else real(floating(self, m), looked_mask)
        q = self.turned(self.project(params, "query", x, self.heads))
        k = self.turned(self.project(params, "key", m, self.shared_heads))
        v = self.project(params, "value", m, self.shared_heads)
        keep, kept = None, 1.0 / (1.0 - self.dropout)
        if ctx.train and self.dropout > 0.0:
            scores = (x.shape[0], self.heads, x.shape[1], m.shape[1])
            key = ctx.draw()
            keep = key.bits(3) if in_tiles(*scores[2:]) else ops.bernoulli(key, 1.0 - self.dropout, scores)
        scale = 1.0 / math.sqrt(q.shape[-1])
        y, weights = attend(q, k, v, looked_mask, bias, keep, scale, self.causal, kept)
        saved = (x, m, q, k, v, y, weights, looked_mask, bias, keep, mask)
        return join_mask(real(self.combine(params, y), mask), mask), state, saved

    # backward

    def project_vjp(self, params: Params, name: str, x: Array, dy: Array) -> tuple[Params, Array]:
        """The gradients of one affine map, and the cotangent of its input."""
        rows_x, rows_dy = x.reshape(-1, x.shape[-1]), dy.reshape(-1, params[f"{name}_weight"].shape[1])
        dparams = {f"{name}_weight": rows_x.T @ rows_dy}
        if self.use_bias:
            dparams[f"{name}_bias"] = np.sum(rows_dy, axis=0)
        return dparams, (rows_dy @ params[f"{name}_weight"].T).reshape(x.shape)

    def vjp(self, params: Params, residuals: Any, dy: Value) -> tuple[Params, Value]:
        x, m, q, k, v, y, weights, mask, bias, keep, own_mask = residuals
        flat = y.reshape(y.shape[0], y.shape[1], y.shape[2] * y.shape[3])
        dout, dflat = self.project_vjp(params, "out", flat, real(cotangent_of(dy), own_mask))
        scale, kept = 1.0 / math.sqrt(q.shape[-1]), 1.0 / (1.0 - self.dropout)
        dq, dk, dv, dbias = attend_vjp(
            dflat.reshape(y.shape), y, q, k, v, weights, mask, bias, keep, scale, self.causal, kept
        )
        dquery, dx = self.project_vjp(params, "query", x, self.turned_back(dq))
        dkey, through_key = self.project_vjp(params, "key", m, self.turned_back(dk))
        dvalue, through_value = self.project_vjp(params, "value", m, dv)
        merged = dquery | dkey | dvalue | dout
        dparams = {name: merged[name] for name in params}
        dm = through_key + through_value
        if not self.cross:
            dx = dx + dm
        parts: tuple[Any, ...] = (dx if own_mask is None else (dx, None),)
        if self.cross:
            parts = (*parts, dm if mask is None else (dm, None))
        if self.additive_bias:
            parts = (*parts, dbias)
        return dparams, parts if len(parts) > 1 else parts[0]
