"""The loops over time of the recurrent layers, and their backward passes.

Sequences ``x`` (time, batch, features) are in the order of the loop. ``hidden`` (time + 1, batch, units) has the
state before each step, and the state after the last. ``saved`` (time, parts, batch, units) has the other residuals of
each step, in one array. Where ``mask`` (time, batch, 1) is false, the carry is unchanged.

A step is a few dozen calls on small arrays, so gates with the same function share a call, and a sigmoid is computed
as ``tanh(x / 2) / 2 + 1 / 2``, so that one call computes the tanh of all gates.
"""

from __future__ import annotations

import numpy as np

from funcnet import ops
from funcnet.key import Array


def forward_flops(x: Array, weight: Array, recurrent: Array) -> int:
    """The operations of the products with inputs and states."""
    return int(2 * x.shape[0] * x.shape[1] * (weight.shape[0] + recurrent.shape[0]) * recurrent.shape[1])


def backward_flops(dy: Array, recurrent: Array) -> int:
    """The operations of the products with the cotangents."""
    return int(2 * dy.shape[0] * dy.shape[1] * recurrent.shape[0] * recurrent.shape[1])


def by_gate(weight: Array, gates: int) -> Array:
    """``(n, gates · units)`` as ``(gates, n, units)``: the product of one gate is small enough to stay in cache."""
    return np.ascontiguousarray(np.swapaxes(weight.reshape(len(weight), gates, -1), 0, 1))


def projected(x: Array, weight: Array, gates: int) -> Array:
    """``x @ weight`` of all steps at once, by gate: (gates, time, batch, units)."""
    time, batch, features = x.shape
    z = np.matmul(x.reshape(time * batch, features), by_gate(weight, gates))
    return z.reshape(gates, time, batch, z.shape[2])


def halved(weight: Array) -> Array:
    """The weights or bias of the gates i, f, g, o as those of i / 2, f / 2, o / 2 and g; halves are exact.

    A sigmoid begins with half its argument. Side by side, the three share their calls.
    """
    parts = weight.reshape(*weight.shape[:-1], 4, -1)[..., [0, 1, 3, 2], :]
    return (parts * np.array([[0.5], [0.5], [0.5], [1.0]], weight.dtype)).reshape(weight.shape)


def memory(z: Array, parts: int) -> tuple[Array, Array]:
    """Memory for ``hidden`` and for ``saved`` with a number of parts, in one block.

    The allocator keeps the block for the next call. Memory beyond twice its largest block goes back to the system, and
    would have to be mapped and cleared anew.
    """
    _, time, batch, units = z.shape
    block = np.empty((time + 1 + parts * time, batch, units), z.dtype)
    return block[: time + 1], block[time + 1 :].reshape(time, parts, batch, units)


@ops.primitive(flops=lambda x, weight, bias, recurrent, h, mask, relu: forward_flops(x, weight, recurrent))
def rnn_scan(
    x: Array, weight: Array, bias: Array | None, recurrent: Array, h: Array, mask: Array | None, relu: bool
) -> Array:
    """``h' = f(x @ weight + h @ recurrent + bias)``: the states (time + 1, batch, units), the first of them h."""
    time, batch, features = x.shape
    hidden = np.empty((time + 1, *h.shape), np.result_type(x, weight))
    hidden[0] = h
    np.matmul(x.reshape(time * batch, features), weight, out=hidden[1:].reshape(time * batch, h.shape[1]))
    through = np.empty_like(hidden[0])
    for t in range(time):
        old, new = hidden[t], hidden[t + 1]
        np.matmul(old, recurrent, out=through)
        new += through
        if bias is not None:
            new += bias
        if relu:
            np.maximum(new, 0.0, out=new)
        else:
            np.tanh(new, out=new)
        if mask is not None:
            np.copyto(new, old, where=~mask[t])
    return hidden


@ops.primitive(flops=lambda dy, hidden, recurrent, dh, mask, relu: backward_flops(dy, recurrent))
def rnn_scan_vjp(
    dy: Array, hidden: Array, recurrent: Array, dh: Array, mask: Array | None, relu: bool
) -> tuple[Array, Array]:
    """``(dz, dh)``, given the cotangents dy of all states but the first, and dh of the last; z is the argument of f."""
    dz = np.empty(dy.shape, hidden.dtype)
    back = np.ascontiguousarray(recurrent.T)
    dh = dh.copy()
    for t in range(len(dy) - 1, -1, -1):
        d, new = dz[t], hidden[t + 1]
        dh += dy[t]
        if relu:
            np.greater(new, 0.0, out=d)
        else:
            np.multiply(new, new, out=d)
            np.subtract(1.0, d, out=d)
        d *= dh
        if mask is None:
            np.matmul(d, back, out=dh)
        else:
            d *= mask[t]
            dh = np.where(mask[t], np.matmul(d, back), dh)  # a masked step passes dh on unchanged
    return dz, dh


@ops.primitive(
    needs=(by_gate, projected, memory, halved),
    flops=lambda x, weight, bias, recurrent, h, c, mask: forward_flops(x, weight, recurrent),
)
def lstm_scan(
    x: Array, weight: Array, bias: Array | None, recurrent: Array, h: Array, c: Array, mask: Array | None
) -> tuple[Array, Array, Array]:
    """``c' = f c + i g`` and ``h' = o tanh(c')``: hidden, the last c', and saved: i, f, o, g, c and tanh(c').

    The gates i, f, o are a sigmoid and g a tanh of ``x @ weight + h @ recurrent + bias``.
    """
    z, recurrents = projected(x, halved(weight), 4), by_gate(halved(recurrent), 4)
    if bias is not None:
        z += halved(bias).reshape(4, 1, 1, -1)
    hidden, saved = memory(z, 6)
    through, last = np.empty_like(z[:2, 0]), c.copy()
    hidden[0], saved[0, 4] = h, c
    for t in range(len(x)):
        old, new, cell = hidden[t], hidden[t + 1], saved[t + 1, 4] if t + 1 < len(x) else last
        gates, sigmoids, squashed = saved[t, :4], saved[t, :3], saved[t, 5]
        np.matmul(old, recurrents, out=gates)
        gates += z[:, t]
        np.tanh(gates, out=gates)
        sigmoids *= 0.5
        sigmoids += 0.5
        np.multiply(gates[:2], saved[t, 3:5], out=through)  # i g and f c
        np.add(through[0], through[1], out=cell)
        np.tanh(cell, out=squashed)
        np.multiply(gates[2], squashed, out=new)
        if mask is not None:
            np.copyto(cell, saved[t, 4], where=~mask[t])
            np.copyto(new, old, where=~mask[t])
    return hidden, last, saved


@ops.primitive(needs=(by_gate,), flops=lambda dy, hidden, saved, recurrent, dh, dc, mask: backward_flops(dy, recurrent))
def lstm_scan_vjp(
    dy: Array, hidden: Array, saved: Array, recurrent: Array, dh: Array, dc: Array, mask: Array | None
) -> tuple[Array, Array, Array]:
    """``(dz, dh, dc)``, given the cotangents dy of every h', and dh, dc of the last; z (4, …) are the gates' inputs."""
    dz = np.empty((4, *dy.shape), saved.dtype)
    back = np.ascontiguousarray(np.swapaxes(by_gate(recurrent, 4), 1, 2))
    d, parts = (np.empty_like(saved[0, :4]) for _ in range(2))
    slopes = np.empty_like(saved[0, :3])
    slope, dh, dc = np.empty_like(saved[0, 0]), dh.copy(), dc.copy()
    both, dg, do = d[:2], d[2], d[3]
    for t in range(len(dy) - 1, -1, -1):
        sigmoids, new = saved[t, :3], hidden[t + 1]
        i, f, o, g, _, squashed = saved[t]
        dh += dy[t]
        if mask is not None:
            kept = np.where(mask[t], 0.0, dh), np.where(mask[t], 0.0, dc)  # a masked step passes them on unchanged
            dh *= mask[t]
            dc *= mask[t]
        np.multiply(new, squashed, out=slope)
        np.subtract(o, slope, out=slope)  # o (1 - tanh²(c')), since h' = o tanh(c')
        slope *= dh
        dc += slope
        np.subtract(1.0, sigmoids, out=slopes)
        np.multiply(sigmoids[:2], saved[t, 3:5], out=both)  # i g and f c
        np.multiply(d[0], g, out=dg)
        np.subtract(i, dg, out=dg)  # i (1 - g²)
        both *= slopes[:2]
        d[:3] *= dc
        np.multiply(slopes[2], new, out=do)  # o (1 - o) tanh(c')
        do *= dh
        dc *= f
        dz[:, t] = d
        np.matmul(d, back, out=parts)
        np.add.reduce(parts, axis=0, out=dh)
        if mask is not None:
            dh += kept[0]
            dc += kept[1]
    return dz, dh, dc


@ops.primitive(
    needs=(by_gate, projected, memory),
    flops=lambda x, weight, bias, recurrent, inner_bias, h, mask, after: forward_flops(x, weight, recurrent),
)
def gru_scan(
    x: Array,
    weight: Array,
    bias: Array | None,
    recurrent: Array,
    inner_bias: Array | None,
    h: Array,
    mask: Array | None,
    after: bool,
) -> tuple[Array, Array]:
    """``h' = (1 - z) n + z h``: hidden, and saved: r, z, the factor or product of r, and n.

    r and z are the sigmoid of ``x @ weight + bias + h @ recurrent``. n is the tanh of ``x @ weight + bias`` plus
    ``r (h @ recurrent + inner_bias)`` if the reset comes ``after`` the product, else plus ``(r h) @ recurrent``.
    """
    z, recurrents, units = projected(x, weight, 3), by_gate(recurrent, 3), h.shape[1]
    hidden, saved = memory(z, 4)
    shift = np.zeros_like(saved[0])
    if bias is not None:
        shift[:2] += bias[: 2 * units].reshape(2, 1, units)
        shift[3] += bias[2 * units :]
    if inner_bias is not None:
        shift[2] += inner_bias
    hidden[0] = h
    for t in range(len(x)):
        old, new, both, (r, update, inner, n) = hidden[t], hidden[t + 1], saved[t, :2], saved[t]
        if after:
            np.matmul(old, recurrents, out=saved[t, :3])
            inner += shift[2]
        else:
            np.matmul(old, recurrents[:2], out=both)
        both += z[:2, t]
        both += shift[:2]
        both *= 0.5
        np.tanh(both, out=both)
        both *= 0.5
        both += 0.5
        if after:
            np.multiply(r, inner, out=n)
        else:
            np.multiply(r, old, out=inner)
            np.matmul(inner, recurrents[2], out=n)
        n += z[2, t]
        n += shift[3]
        np.tanh(n, out=n)
        np.subtract(old, n, out=new)
        new *= update
        new += n
        if mask is not None:
            np.copyto(new, old, where=~mask[t])
    return hidden, saved


@ops.primitive(
    needs=(by_gate,), flops=lambda dy, hidden, saved, recurrent, dh, mask, after: backward_flops(dy, recurrent)
)
def gru_scan_vjp(
    dy: Array, hidden: Array, saved: Array, recurrent: Array, dh: Array, mask: Array | None, after: bool
) -> tuple[Array, Array]:
    """``(d, dh)``, given the cotangents dy of every h' and dh of the last.

    d (4, …) has the cotangents of the factor of r (zero if the reset comes before), and of the arguments of r, z and n.
    """
    whole = np.empty((4, *dy.shape), saved.dtype)
    back = np.ascontiguousarray(np.swapaxes(by_gate(recurrent, 3)[[2, 0, 1]], 1, 2))  # n, r, z, as in whole
    d, parts, slopes = np.zeros_like(saved[0]), np.empty_like(saved[0, :3]), np.empty_like(saved[0, :2])
    part, dh = np.empty_like(saved[0, 0]), dh.copy()
    dinner, dr, dupdate, dn = d
    for t in range(len(dy) - 1, -1, -1):
        old, (r, update, inner, n) = hidden[t], saved[t]
        dh += dy[t]
        if mask is not None:
            kept = np.where(mask[t], 0.0, dh)  # a masked step passes dh on unchanged
            dh *= mask[t]
        np.subtract(1.0, saved[t, :2], out=slopes)
        np.subtract(old, n, out=dupdate)
        dupdate *= update
        np.multiply(n, n, out=dn)
        np.subtract(1.0, dn, out=dn)
        d[2:] *= slopes[1]
        d[2:] *= dh
        dh *= update
        if after:
            np.multiply(dn, r, out=dinner)
            np.multiply(dinner, inner, out=dr)
            dr *= slopes[0]
            np.matmul(d[:3], back, out=parts)
            np.add.reduce(parts, axis=0, out=part)
        else:
            np.matmul(dn, back[0], out=part)
            part *= r
            np.multiply(part, old, out=dr)
            dr *= slopes[0]
            np.matmul(d[1:3], back[1:], out=parts[:2])
            part += parts[0]
            part += parts[1]
        whole[:, t] = d
        dh += part
        if mask is not None:
            dh += kept
    return whole, dh
