"""The kernels of attention: the softmax of queries times keys, times values, and its backward pass.

Arrays are (batch, time, heads, features). There may be fewer key and value heads than query heads, which then share
them in groups: query head h uses key head ``h // (heads / key heads)``. Scores are computed in pieces that stay in
cache; for more than LARGE queries they are recomputed in the backward pass instead of kept, so memory grows linearly
with the length, not with its square.

The kernels write only into arrays that they made themselves, never into an argument from outside.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from funcnet import ops
from funcnet.key import Array

LARGE, BLOCK = 1024, 2**17


def by_head(x: Array, groups: int) -> Array:
    """A view of (batch, time, heads, features) as (batch, key heads, groups, time, features)."""
    batch, time, heads, features = x.shape
    return x.reshape(batch, time, heads // groups, groups, features).transpose(0, 2, 3, 1, 4)


def pieces(batch: int, heads: int, queries: int, keys: int) -> list[tuple[slice, slice]]:
    """Slices of the batch and the queries, each with about BLOCK scores."""
    step = queries if heads * queries * keys <= BLOCK else max(BLOCK // max(heads * keys, 1), 1)
    samples = max(BLOCK // max(heads * queries * keys, 1), 1)
    return [
        (slice(first, min(first + samples, batch)), slice(row, min(row + step, queries)))
        for first in range(0, batch, samples)
        for row in range(0, queries, max(step, 1))
    ]


def scores_shape(bias: Array, heads: int) -> Array:
    """An additive bias (batch, heads or 1, queries, keys) by key head and group."""
    batch, given, queries, keys = bias.shape
    return bias.reshape(batch, *((1, 1) if given == 1 else (heads, given // heads)), queries, keys)


def attention_weights(q: Array, k: Array, mask: Any, bias: Any, later: Any, s: Any) -> Array:
    """The softmax over the keys, written to s; zeros for a query that sees no key."""
    s = np.matmul(q, k.swapaxes(-1, -2), out=s)
    if bias is not None:
        s += bias
    if mask is not None:
        np.copyto(s, -np.inf, where=~mask[:, None, None, None, :])
    if later is not None:
        s += later
    largest = np.max(s, axis=-1, keepdims=True, initial=-np.inf)
    largest[largest == -np.inf] = 0.0
    s -= largest
    np.exp(s, out=s)
    total = np.matmul(s, np.ones((s.shape[-1], 1), s.dtype))  # a sum; the product is faster
    total[total == 0.0] = 1.0
    s *= 1.0 / total
    return s


def later_keys(queries: int, keys: int, dtype: Any) -> Array:
    """-inf for keys after the query, else 0."""
    return np.where(np.arange(keys) > np.arange(queries)[:, None], -np.inf, 0.0).astype(dtype)


def attention_flops(q: Array, k: Array, *rest: Any) -> int:
    """The operations of the two products of the forward pass."""
    batch, time, heads, features = q.shape
    return int(4 * batch * heads * time * k.shape[1] * features)


NEEDS = ("LARGE", "BLOCK", by_head, pieces, scores_shape, attention_weights, later_keys)


@ops.primitive(needs=NEEDS, flops=attention_flops)
def attend(
    q: Array, k: Array, v: Array, mask: Any, bias: Any, keep: Any, scale: float, causal: bool, kept: float
) -> tuple[Any, Any]:
    """``(softmax(scale · q kᵀ + bias) v, the softmax)``; the softmax is None for more than LARGE queries.

    ``mask`` (batch, keys) is true for real keys; ``keep`` (batch, heads, queries, keys) is true for the weights
    that dropout keeps, which are multiplied by ``kept``.
    """
    (batch, time, heads, _), keys = q.shape, k.shape[1]
    groups = heads // k.shape[2]
    y = np.empty((batch, time, heads, v.shape[3]), q.dtype)
    queries, ks, vs, out = by_head(q * scale, groups), by_head(k, 1), by_head(v, 1), by_head(y, groups)
    biases = None if bias is None else scores_shape(bias, k.shape[2])
    keeps = None if keep is None else scores_shape(keep, k.shape[2])
    later = later_keys(time, keys, q.dtype) if causal else None
    whole = np.empty((batch, k.shape[2], groups, time, keys), q.dtype) if time <= LARGE else None
    for some, rows in pieces(batch, heads, time, keys):
        p = attention_weights(
            queries[some, :, :, rows],
            ks[some],
            None if mask is None else mask[some],
            None if biases is None else biases[some, :, :, rows],
            None if later is None else later[rows],
            None if whole is None else whole[some, :, :, rows],
        )
        if keeps is not None:
            p = np.where(keeps[some, :, :, rows], p, 0.0) * kept
        np.matmul(p, vs[some], out=out[some, :, :, rows])
    return y, whole


@ops.primitive(needs=NEEDS, flops=lambda dy, y, q, k, *rest: 2 * attention_flops(q, k))
def attend_vjp(
    dy: Array,
    y: Array,
    q: Array,
    k: Array,
    v: Array,
    whole: Any,
    mask: Any,
    bias: Any,
    keep: Any,
    scale: float,
    causal: bool,
    kept: float,
) -> tuple[Any, Any, Any, Any]:
    """``(dq, dk, dv, dbias)``; with p the softmax, ``dv = pᵀ dy`` and ``ds = p (dy vᵀ - Σ y dy)``."""
    (batch, time, heads, _), keys = q.shape, k.shape[1]
    groups = heads // k.shape[2]
    dq, dk, dv = np.empty_like(q), np.zeros(k.shape, k.dtype), np.zeros(v.shape, v.dtype)
    queries, ks, vs = by_head(q * scale, groups), by_head(k, 1), by_head(v, 1)
    dys, dqs, dks, dvs = by_head(dy, groups), by_head(dq, groups), by_head(dk, 1), by_head(dv, 1)
    inner = by_head(np.sum(dy * y, axis=-1, keepdims=True), groups)
    biases = None if bias is None else scores_shape(bias, k.shape[2])
    keeps = None if keep is None else scores_shape(keep, k.shape[2])
    later = later_keys(time, keys, q.dtype) if causal else None
    dbias: Any = None if bias is None else np.zeros(bias.shape, bias.dtype)
    dbiases = None if bias is None else scores_shape(dbias, k.shape[2])
    for some, rows in pieces(batch, heads, time, keys):
        part, up = queries[some, :, :, rows], dys[some, :, :, rows]
        if whole is not None:
            p = whole[some, :, :, rows]
        else:
            p = attention_weights(
                part,
                ks[some],
                None if mask is None else mask[some],
                None if biases is None else biases[some, :, :, rows],
                None if later is None else later[rows],
                None,
            )
        left = None if keeps is None else np.where(keeps[some, :, :, rows], kept, 0.0).astype(p.dtype)
        dvs[some] += np.matmul((p if left is None else p * left).swapaxes(-1, -2), up).sum(axis=2, keepdims=True)
        ds = np.matmul(up, vs[some].swapaxes(-1, -2))
        if left is not None:
            ds *= left
        ds -= inner[some, :, :, rows]
        ds *= p
        np.matmul(ds, ks[some], out=dqs[some, :, :, rows])
        dks[some] += np.matmul(ds.swapaxes(-1, -2), part).sum(axis=2, keepdims=True)
        if dbiases is not None:
            shared = dbiases.shape[1:3] != ds.shape[1:3]
            dbiases[some, :, :, rows] = ds.sum(axis=(1, 2), keepdims=True) if shared else ds
    dq *= scale
    return dq, dk, dv, dbias
