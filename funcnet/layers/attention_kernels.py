"""The kernels of attention: the softmax of queries times keys, times values, and its backward pass.

Arrays are (batch, time, heads, features). There may be fewer key and value heads than query heads, which then share
them in groups: query head h uses key head ``h // (heads / key heads)``. Scores are computed in pieces that stay in
cache. Up to LARGE² scores of a head, their softmax is kept for the backward pass. More scores are cut into tiles, which
continue a running maximum, sum and mean, and which the backward pass computes again (Dao et al., 2022), as it draws
again what dropout keeps of them: memory grows linearly with the length, except that an additive bias has an entry for
each score.

The kernels write only into arrays that they made themselves, never into an argument from outside.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from funcnet import ops
from funcnet.key import Array

# Measured for 1 to 32 heads of 16 to 128 features, causal or not: tiles are faster than kept weights from 400 to 600
# queries on; of 2048 and 4096 queries, tiles of 2¹⁶ to 2¹⁸ scores together take the same time within a tenth.
LARGE, BLOCK = 512, 2**17


def by_head(x: Array, groups: int) -> Array:
    """A view of (batch, time, heads, features) as (batch, key heads, groups, time, features)."""
    batch, time, heads, features = x.shape
    return x.reshape(batch, time, heads // groups, groups, features).transpose(0, 2, 3, 1, 4)


def scores_by_head(x: Array, heads: int, groups: int) -> Array:
    """A view of (batch, heads or 1, queries, keys) as (batch, key heads, groups, queries, keys)."""
    batch, given, queries, keys = x.shape
    shape = (batch, heads, groups, queries, keys)
    return x.reshape(shape) if given > 1 else np.broadcast_to(x[:, None], shape)


def pieces(batch: int, heads: int, queries: int, keys: int) -> list[tuple[slice, slice]]:
    """Slices of the batch and the queries, each with about BLOCK scores."""
    step = queries if heads * queries * keys <= BLOCK else max(BLOCK // max(heads * keys, 1), 1)
    samples = max(BLOCK // max(heads * queries * keys, 1), 1)
    return [
        (slice(first, min(first + samples, batch)), slice(row, min(row + step, queries)))
        for first in range(0, batch, samples)
        for row in range(0, queries, max(step, 1))
    ]


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


def in_tiles(queries: int, keys: int) -> bool:
    """Whether a head has too many scores to keep."""
    return queries * keys > LARGE**2


def tiles(k: Array, groups: int, queries: int, mask: Any, causal: bool) -> Iterator[tuple[Any, Any, Any, list[Any]]]:
    """Slices of the batch, the key heads and the queries, with those of the keys that some of these queries see.

    A head has BLOCK / 2 scores in a tile, at best a square: its products are then fast, and little of it lies on
    the diagonal. Tiles of as many heads and samples are computed at once as have BLOCK scores together.
    """
    batch, heads, _, keys, _ = k.shape
    rows = min(queries, max(int((BLOCK // 2) ** 0.5), 1))
    columns = max(BLOCK // 2 // rows, 1)
    some, samples = max(BLOCK // (groups * rows * columns), 1), max(BLOCK // (heads * groups * rows * columns), 1)
    for i in range(0, batch, samples):
        for head in range(0, heads, some):
            for row in range(0, queries, rows):
                sample, last = slice(i, i + samples), min(row + rows, queries)
                seen = min(last, keys) if causal else keys
                parts = [slice(j, min(j + columns, seen)) for j in range(0, seen, columns)]
                parts = [part for part in parts if mask is None or mask[sample, part].any()]
                yield sample, slice(head, head + some), slice(row, last), parts


def tile_scores(q: Array, k: Array, mask: Any, bias: Any, causal: bool, place: Any) -> Array:
    """The scores of a tile, -inf for keys that a query does not see."""
    samples, heads, _, rows, columns = place
    s = np.matmul(q[samples, heads, :, rows], k[samples, heads, :, columns].swapaxes(-1, -2))
    if bias is not None:
        s += bias[place]
    if mask is not None:
        np.copyto(s, -np.inf, where=~mask[samples, None, None, None, columns])
    if causal and columns.stop > rows.start + 1:
        later = np.arange(columns.start, columns.stop) > np.arange(rows.start, rows.stop)[:, None]
        np.copyto(s, -np.inf, where=later)
    return s


def tile_kept(keep: Array, place: Any, number: int, shape: tuple[int, ...], kept: float) -> Array:
    """Which weights of a tile dropout keeps: a part of ``keep``, or drawn from its words and the tile's number."""
    if keep.ndim > 1:
        part: Array = keep[place]
        return part
    count = int(np.prod(shape))
    words = np.random.SFC64([*keep.tolist(), number]).random_raw(-(-count // 4))
    drawn: Array = words.view(np.uint16)[:count].reshape(shape) >= round((1.0 - 1.0 / kept) * 65536)
    return drawn


def attention_flops(q: Array, k: Array, *rest: Any) -> int:
    """The operations of the two products of the forward pass."""
    batch, time, heads, features = q.shape
    return int(4 * batch * heads * time * k.shape[1] * features)


NEEDS = (
    "LARGE",
    "BLOCK",
    by_head,
    scores_by_head,
    pieces,
    attention_weights,
    later_keys,
    in_tiles,
    tiles,
    tile_scores,
    tile_kept,
)


@ops.primitive(needs=NEEDS, flops=attention_flops)
def attend(
    q: Array, k: Array, v: Array, mask: Any, bias: Any, keep: Any, scale: float, causal: bool, kept: float
) -> tuple[Array, Array]:
    """``softmax(scale · q kᵀ + bias) v``, and the softmax; in tiles, each query's largest score and 1 / Σ exp instead.

    ``mask`` (batch, keys) is true for real keys; ``keep`` (batch, heads, queries, keys) is true for the weights
    that dropout keeps, which are multiplied by ``kept``. In tiles it may be random words (n,) that they are drawn from.
    """
    (batch, time, heads, _), (keys, shared) = q.shape, k.shape[1:3]
    groups = heads // shared
    y = np.empty((batch, time, heads, v.shape[3]), q.dtype)
    queries, ks, vs, out = by_head(q * scale, groups), by_head(k, 1), by_head(v, 1), by_head(y, groups)
    biases = None if bias is None else scores_by_head(bias, shared, groups)
    keeps = keep if keep is None or keep.ndim == 1 else scores_by_head(keep, shared, groups)
    if in_tiles(time, keys):
        totals, number = np.empty((batch, shared, groups, time, 2), q.dtype), 0
        for samples, some, rows, parts in tiles(ks, groups, time, mask, causal):
            mean = np.zeros_like(out[samples, some, :, rows])
            total = np.zeros_like(mean[..., :1])
            largest = np.full_like(total, -np.inf)
            shift = np.zeros_like(total)
            for columns in parts:
                place = (samples, some, slice(None), rows, columns)
                s = tile_scores(queries, ks, mask, biases, causal, place)
                before, largest = largest, np.maximum(largest, np.max(s, axis=-1, keepdims=True))
                shift = np.where(largest == -np.inf, largest.dtype.type(0.0), largest)
                s -= shift
                np.exp(s, out=s)
                fade = np.exp(before - shift)
                total = total * fade + np.matmul(s, np.ones((s.shape[-1], 1), s.dtype))
                if keeps is not None:
                    s = np.where(tile_kept(keeps, place, number, s.shape, kept), s, 0.0) * kept
                number += 1
                mean = mean * fade + np.matmul(s, vs[samples, some, :, columns])
            total[total == 0.0] = 1.0
            totals[samples, some, :, rows, :1], totals[samples, some, :, rows, 1:] = shift, 1.0 / total
            out[samples, some, :, rows] = mean / total
        return y, totals
    later = later_keys(time, keys, q.dtype) if causal else None
    whole = np.empty((batch, shared, groups, time, keys), q.dtype)
    for samples, rows in pieces(batch, heads, time, keys):
        p = attention_weights(
            queries[samples, :, :, rows],
            ks[samples],
            None if mask is None else mask[samples],
            None if biases is None else biases[samples, :, :, rows],
            None if later is None else later[rows],
            whole[samples, :, :, rows],
        )
        if keeps is not None:
            p = np.where(keeps[samples, :, :, rows], p, 0.0) * kept
        np.matmul(p, vs[samples], out=out[samples, :, :, rows])
    return y, whole


@ops.primitive(needs=NEEDS, flops=lambda dy, y, q, k, *rest: 2 * attention_flops(q, k))
def attend_vjp(
    dy: Array,
    y: Array,
    q: Array,
    k: Array,
    v: Array,
    whole: Array,
    mask: Any,
    bias: Any,
    keep: Any,
    scale: float,
    causal: bool,
    kept: float,
) -> tuple[Any, Any, Any, Any]:
    """``(dq, dk, dv, dbias)``; with p the softmax, ``dv = pᵀ dy`` and ``ds = p (dy vᵀ - Σ y dy)``.

    In tiles p is ``exp(score - largest)``, and dy is divided by ``Σ exp`` instead.
    """
    (batch, time, heads, _), (keys, shared) = q.shape, k.shape[1:3]
    groups = heads // shared
    dq, dk, dv = np.zeros(q.shape, q.dtype), np.zeros(k.shape, k.dtype), np.zeros(v.shape, v.dtype)
    queries, ks, vs = by_head(q * scale, groups), by_head(k, 1), by_head(v, 1)
    dys, dqs, dks, dvs = by_head(dy, groups), by_head(dq, groups), by_head(dk, 1), by_head(dv, 1)
    inner = by_head(np.sum(dy * y, axis=-1, keepdims=True), groups)
    biases = None if bias is None else scores_by_head(bias, shared, groups)
    keeps = keep if keep is None or keep.ndim == 1 else scores_by_head(keep, shared, groups)
    dbias: Any = None if bias is None else np.zeros(bias.shape, bias.dtype)
    every, places = slice(None), []
    if in_tiles(time, keys):
        dys, inner = dys * whole[..., 1:], inner * whole[..., 1:]
        for samples, some, rows, parts in tiles(ks, groups, time, mask, causal):
            places += [(samples, some, every, rows, columns) for columns in parts]
    else:
        places = [(samples, every, every, rows, every) for samples, rows in pieces(batch, heads, time, keys)]
    for number, place in enumerate(places):
        samples, some, _, rows, columns = place
        part, up = queries[samples, some, :, rows], dys[samples, some, :, rows]
        if in_tiles(time, keys):
            p = tile_scores(queries, ks, mask, biases, causal, place)
            p -= whole[samples, some, :, rows, :1]
            np.exp(p, out=p)
        else:
            p = whole[place]
        left = None
        if keeps is not None:
            left = np.where(tile_kept(keeps, place, number, p.shape, kept), kept, 0.0).astype(p.dtype)
        kept_p = p if left is None else p * left
        dvs[samples, some, :, columns] += np.matmul(kept_p.swapaxes(-1, -2), up).sum(axis=2, keepdims=True)
        ds = np.matmul(up, vs[samples, some, :, columns].swapaxes(-1, -2))
        if left is not None:
            ds *= left
        ds -= inner[samples, some, :, rows]
        ds *= p
        dqs[samples, some, :, rows] += np.matmul(ds, ks[samples, some, :, columns])
        dks[samples, some, :, columns] += np.matmul(ds.swapaxes(-1, -2), part).sum(axis=2, keepdims=True)
        if dbias is not None and dbias.shape[1] == 1:
            dbias[samples, 0, rows, columns] += ds.sum(axis=(1, 2))
        elif dbias is not None:
            scores_by_head(dbias, shared, groups)[place] = ds
    dq *= scale
    return dq, dk, dv, dbias
