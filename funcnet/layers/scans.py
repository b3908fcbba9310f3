"""The loops over time of the recurrent layers, and their backward passes.

Arrays are time-major inside, ``(time, batch, …)``, so that each step is one piece of memory; everything is made
before the loop and written in place. ``z`` holds what the input gives to each gate at every step, without the bias;
``weight`` is the recurrent one. ``order`` are the steps in the order in which they run. Where ``mask`` (time, batch,
1) is false the carry stays as it is.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from funcnet import ops
from funcnet.key import Array


def loop_flops(z: Array, weight: Array) -> int:
    """The operations of the products of one pass."""
    return int(2 * z.shape[0] * z.shape[1] * weight.shape[0] * weight.shape[1])


def halves(gates: int, units: int, straight: int, dtype: Any) -> tuple[Array, Array]:
    """Factor and shift that make ``σ(x) = tanh(x / 2) / 2 + 1 / 2`` of every gate but one, which stays a tanh."""
    factor, shift = np.full((gates, units), 0.5, dtype), np.full((gates, units), 0.5, dtype)
    factor[straight], shift[straight] = 1.0, 0.0
    return factor.ravel(), shift.ravel()


@ops.primitive(flops=lambda z, bias, weight, h, mask, order, relu: loop_flops(z, weight))
def rnn_scan(
    z: Array, bias: Array | None, weight: Array, h: Array, mask: Array | None, order: range, relu: bool
) -> Array:
    """``h' = f(z + bias + h @ weight)``: hidden states (time + 1, batch, units) in running order, the first given."""
    hidden = np.empty((len(order) + 1, *h.shape), z.dtype)
    hidden[0] = h
    for i, t in enumerate(order):
        new = hidden[i + 1]
        np.dot(hidden[i], weight, out=new)
        new += z[t]
        if bias is not None:
            new += bias
        if relu:
            np.maximum(new, 0.0, out=new)
        else:
            np.tanh(new, out=new)
        if mask is not None:
            np.copyto(new, hidden[i], where=~mask[t])
    return hidden


@ops.primitive(flops=lambda dy, hidden, weight, dh, mask, order, relu: loop_flops(dy, weight))
def rnn_scan_vjp(
    dy: Array, hidden: Array, weight: Array, dh: Array, mask: Array | None, order: range, relu: bool
) -> tuple[Array, Array]:
    """``(dz, dh)`` for the cotangents dy of every step's output and dh of the last carry."""
    dz = np.zeros_like(dy)
    back = np.ascontiguousarray(weight.T)
    dh = dh.copy()
    for i in range(len(order) - 1, -1, -1):
        t, h = order[i], hidden[i + 1]
        kept = None if mask is None else np.where(mask[t], 0.0, dh)  # where nothing ran the carry passes
        dh += dy[t]
        np.multiply(dh, h > 0.0 if relu else 1.0 - h * h, out=dz[t])
        if mask is not None:
            dz[t] *= mask[t]
        np.dot(dz[t], back, out=dh)
        if kept is not None:
            dh += kept
    return dz, dh


@ops.primitive(needs=(halves,), flops=lambda z, bias, weight, h, c, mask, order: loop_flops(z, weight))
def lstm_scan(
    z: Array, bias: Array | None, weight: Array, h: Array, c: Array, mask: Array | None, order: range
) -> tuple[Array, Array, Array, Array]:
    """``(hidden, cells, gates, tanhs)``; hidden and cells (time + 1, batch, units) in running order.

    ``c' = f c + i g`` and ``h' = o tanh(c')``, the gates i, f, o a sigmoid and g a tanh of ``z + bias + h @ weight``.
    """
    units = h.shape[1]
    hidden, cells = (np.empty((len(order) + 1, *h.shape), z.dtype) for _ in range(2))
    gates, tanhs = np.empty_like(z), np.empty((len(order), *h.shape), z.dtype)
    hidden[0], cells[0] = h, c
    factor, shift = halves(4, units, 2, z.dtype)
    through = np.empty(h.shape, z.dtype)
    for s, t in enumerate(order):
        a, cell = gates[s], cells[s + 1]
        np.dot(hidden[s], weight, out=a)
        a += z[t]
        if bias is not None:
            a += bias
        a *= factor
        np.tanh(a, out=a)
        a *= factor
        a += shift
        i, f, g, o = a[:, :units], a[:, units : 2 * units], a[:, 2 * units : 3 * units], a[:, 3 * units :]
        np.multiply(f, cells[s], out=cell)
        np.multiply(i, g, out=through)
        cell += through
        np.tanh(cell, out=tanhs[s])
        np.multiply(o, tanhs[s], out=hidden[s + 1])
        if mask is not None:
            np.copyto(cell, cells[s], where=~mask[t])
            np.copyto(hidden[s + 1], hidden[s], where=~mask[t])
    return hidden, cells, gates, tanhs


@ops.primitive(flops=lambda dy, cells, gates, tanhs, weight, dh, dc, mask, order: loop_flops(gates, weight))
def lstm_scan_vjp(
    dy: Array,
    cells: Array,
    gates: Array,
    tanhs: Array,
    weight: Array,
    dh: Array,
    dc: Array,
    mask: Array | None,
    order: range,
) -> tuple[Array, Array, Array]:
    """``(dz, dh, dc)`` for the cotangents dy of every step's output, dh and dc of the last carry."""
    units = dh.shape[1]
    dz, slopes = np.empty_like(gates), np.empty(gates.shape[1:], gates.dtype)
    back = np.ascontiguousarray(weight.T)
    dh, dc = dh.copy(), dc.copy()
    through = np.empty_like(dh)
    for s in range(len(order) - 1, -1, -1):
        t, a, d = order[s], gates[s], dz[order[s]]
        kept = None if mask is None else (np.where(mask[t], 0.0, dh), np.where(mask[t], 0.0, dc))
        dh += dy[t]
        if mask is not None:
            dh *= mask[t]
            dc *= mask[t]
        np.multiply(dh, tanhs[s], out=d[:, 3 * units :])
        np.multiply(tanhs[s], tanhs[s], out=through)
        np.subtract(1.0, through, out=through)
        through *= a[:, 3 * units :]
        through *= dh
        dc += through
        np.multiply(dc, a[:, 2 * units : 3 * units], out=d[:, :units])
        np.multiply(dc, cells[s], out=d[:, units : 2 * units])
        np.multiply(dc, a[:, :units], out=d[:, 2 * units : 3 * units])
        dc *= a[:, units : 2 * units]
        np.multiply(a, a, out=slopes)
        straight = slopes[:, 2 * units : 3 * units]
        np.subtract(1.0, straight, out=straight)  # of the tanh, 1 - g²; of the sigmoids, a - a²
        np.subtract(a[:, : 2 * units], slopes[:, : 2 * units], out=slopes[:, : 2 * units])
        np.subtract(a[:, 3 * units :], slopes[:, 3 * units :], out=slopes[:, 3 * units :])
        d *= slopes
        np.dot(d, back, out=dh)
        if kept is not None:
            dh += kept[0]
            dc += kept[1]
    return dz, dh, dc


@ops.primitive(needs=(halves,), flops=lambda z, bias, inner_bias, weight, h, mask, order, after: loop_flops(z, weight))
def gru_scan(
    z: Array,
    bias: Array | None,
    inner_bias: Array | None,
    weight: Array,
    h: Array,
    mask: Array | None,
    order: range,
    after: bool,
) -> tuple[Array, Array, Array]:
    """``(hidden, gates, inner)``; hidden (time + 1, batch, units) in running order.

    ``h' = (1 - z) n + z h`` with gates r and z; n is the tanh of its input plus ``r (h @ weight + inner_bias)``,
    or, not ``after``, plus ``(r h) @ weight``. ``inner`` is what r multiplies, or what it gives.
    """
    units = h.shape[1]
    hidden = np.empty((len(order) + 1, *h.shape), z.dtype)
    gates, inner = np.empty_like(z), np.empty((len(order), *h.shape), z.dtype)
    hidden[0] = h
    last = np.ascontiguousarray(weight[:, 2 * units :])
    first = np.ascontiguousarray(weight[:, : 2 * units])
    through = np.empty((h.shape[0], 2 * units), z.dtype)
    for s, t in enumerate(order):
        a, old, new = gates[s], hidden[s], hidden[s + 1]
        np.dot(old, first, out=through)
        through += z[t][:, : 2 * units]
        if bias is not None:
            through += bias[: 2 * units]
        through *= 0.5
        np.tanh(through, out=through)
        through *= 0.5
        through += 0.5
        a[:, : 2 * units] = through
        r, u, n = a[:, :units], a[:, units : 2 * units], a[:, 2 * units :]
        if after:
            np.dot(old, last, out=inner[s])
            if inner_bias is not None:
                inner[s] += inner_bias
            np.multiply(r, inner[s], out=n)
        else:
            np.multiply(r, old, out=inner[s])
            n[...] = np.dot(inner[s], last)
        n += z[t][:, 2 * units :]
        if bias is not None:
            n += bias[2 * units :]
        np.tanh(n, out=n)
        np.subtract(old, n, out=new)
        new *= u
        new += n
        if mask is not None:
            np.copyto(new, old, where=~mask[t])
    return hidden, gates, inner


@ops.primitive(flops=lambda dy, hidden, gates, inner, weight, dh, mask, order, after: loop_flops(gates, weight))
def gru_scan_vjp(
    dy: Array,
    hidden: Array,
    gates: Array,
    inner: Array,
    weight: Array,
    dh: Array,
    mask: Array | None,
    order: range,
    after: bool,
) -> tuple[Array, Array, Array]:
    """``(dz, dinner, dh)``: dinner is the cotangent of ``h @ weight + bias`` of n where the reset comes after."""
    units = dh.shape[1]
    dz, dinner = np.zeros_like(gates), np.zeros_like(inner)
    first = np.ascontiguousarray(weight[:, : 2 * units].T)
    last = np.ascontiguousarray(weight[:, 2 * units :].T)
    dh = dh.copy()
    for s in range(len(order) - 1, -1, -1):
        t, a, old, d = order[s], gates[s], hidden[s], dz[order[s]]
        r, u, n = a[:, :units], a[:, units : 2 * units], a[:, 2 * units :]
        kept = None if mask is None else np.where(mask[t], 0.0, dh)
        dh += dy[t]
        if mask is not None:
            dh *= mask[t]
        d[:, 2 * units :] = dh * (1.0 - u) * (1.0 - n * n)
        d[:, units : 2 * units] = dh * (old - n) * (u * (1.0 - u))
        dh *= u
        if after:
            np.multiply(d[:, 2 * units :], r, out=dinner[t])
            d[:, :units] = d[:, 2 * units :] * inner[s] * (r * (1.0 - r))
            dh += np.dot(dinner[t], last)
        else:
            dreset = np.dot(d[:, 2 * units :], last)
            d[:, :units] = dreset * old * (r * (1.0 - r))
            dh += dreset * r
        dh += np.dot(d[:, : 2 * units], first)
        if kept is not None:
            dh += kept
    return dz, dinner, dh
