"""The loops over time of the recurrent layers, and their backward passes.

Sequences ``x`` (time, batch, features) are in the order of the loop. ``hidden`` (time + 1, batch, units) has the
state before each step, and the state after the last. ``saved`` (time, parts, batch, units) has the other residuals of
each step, in one array. Where ``mask`` (time, batch, 1) is false, the carry is unchanged. The dtype is that of the
inputs' products, whatever that of a carry or its cotangent.

A step is a dozen calls on small arrays, so gates with the same function share a call, and a sigmoid is computed as
``tanh(x / 2) / 2 + 1 / 2``, so that one call computes the tanh of all gates. What does not depend on the step before
is computed for a block of steps at once: the products with the inputs, and the slopes, by which a backward pass
multiplies its cotangents.
"""

from __future__ import annotations

import numpy as np

from funcnet import ops
from funcnet.key import Array

# Arrays of a block of steps have NUMBERS entries, so that they stay in the second-level cache.
NUMBERS = 2**16


def forward_flops(x: Array, weight: Array, recurrent: Array) -> int:
    """The operations of the products with inputs and states."""
    return int(2 * x.shape[0] * x.shape[1] * (weight.shape[0] + recurrent.shape[0]) * recurrent.shape[1])


def backward_flops(dy: Array, recurrent: Array) -> int:
    """The operations of the products with the cotangents."""
    return int(2 * dy.shape[0] * dy.shape[1] * recurrent.shape[0] * recurrent.shape[1])


def step_blocks(steps: int, numbers: int) -> list[slice]:
    """A number of steps in parts, given how many numbers a step holds."""
    most = max(1, NUMBERS // max(1, numbers))
    return [slice(start, min(start + most, steps)) for start in range(0, steps, most)]


def by_gate(weight: Array, gates: int) -> Array:
    """``(n, gates · units)`` as ``(gates, n, units)``: the product of one gate is small enough to stay in cache."""
    return np.ascontiguousarray(np.swapaxes(weight.reshape(len(weight), gates, -1), 0, 1))


def projected(x: Array, weights: Array, bias: Array | None) -> Array:
    """``x @ weights + bias`` of a block of steps, by step and gate: (steps, gates, batch, units)."""
    steps, batch, features = x.shape
    gates, _, units = weights.shape
    z = np.matmul(x.reshape(steps * batch, features), weights)
    if bias is not None:
        z += bias.reshape(gates, 1, units)
    return np.swapaxes(z.reshape(gates, steps, batch, units), 0, 1)


def halved(weight: Array) -> Array:
    """The weights or bias of the gates i, f, g, o as those of i / 2, f / 2, o / 2 and g; halves are exact.

    A sigmoid begins with half its argument. Side by side, the three share their calls.
    """
    parts = weight.reshape(*weight.shape[:-1], 4, -1)[..., [0, 1, 3, 2], :]
    return (parts * np.array([[0.5], [0.5], [0.5], [1.0]], weight.dtype)).reshape(weight.shape)


def memory(time: int, parts: int, shape: tuple[int, ...], dtype: np.dtype) -> tuple[Array, Array]:
    """Memory for ``hidden`` and for ``saved`` with a number of parts, in one block.

    The allocator keeps the block for the next call. Memory beyond twice its largest block goes back to the system, and
    would have to be mapped and cleared anew.
    """
    block = np.empty((time + 1 + parts * time, *shape), dtype)
    return block[: time + 1], block[time + 1 :].reshape(time, parts, *shape)


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
    new, back, dh = hidden[1:], np.ascontiguousarray(recurrent.T), dh.astype(hidden.dtype)
    dz = np.greater(new, 0.0).astype(hidden.dtype) if relu else 1.0 - new * new  # f', by which each step multiplies
    if mask is not None:
        dz *= mask
    for t in range(len(dy) - 1, -1, -1):
        d = dz[t]
        dh += dy[t]
        d *= dh
        if mask is None:
            np.matmul(d, back, out=dh)
        else:
            dh = np.where(mask[t], np.matmul(d, back), dh)  # a masked step passes dh on unchanged
    return dz, dh


@ops.primitive(
    needs=("NUMBERS", step_blocks, by_gate, projected, memory, halved),
    flops=lambda x, weight, bias, recurrent, h, c, mask: forward_flops(x, weight, recurrent),
)
def lstm_scan(
    x: Array, weight: Array, bias: Array | None, recurrent: Array, h: Array, c: Array, mask: Array | None
) -> tuple[Array, Array, Array]:
    """``c' = f c + i g`` and ``h' = o tanh(c')``: hidden, the last c', and saved: i, f, o, g, c and tanh(c').

    The gates i, f, o are a sigmoid and g a tanh of ``x @ weight + h @ recurrent + bias``.
    """
    weights, recurrents = by_gate(halved(weight), 4), by_gate(halved(recurrent), 4)
    bias = None if bias is None else halved(bias)
    hidden, saved = memory(len(x), 6, h.shape, np.result_type(x, weight))
    hidden[0], saved[0, 4] = h, c
    through, last = np.empty_like(saved[0, :4]), c.astype(saved.dtype)
    for block in step_blocks(len(x), 4 * h.size):
        saved[block, :4] = projected(x[block], weights, bias)
        for t in range(block.start, block.stop):
            old, new, cell = hidden[t], hidden[t + 1], saved[t + 1, 4] if t + 1 < len(x) else last
            gates, sigmoids, squashed = saved[t, :4], saved[t, :3], saved[t, 5]
            np.matmul(old, recurrents, out=through)
            gates += through
            np.tanh(gates, out=gates)
            sigmoids *= 0.5
            sigmoids += 0.5
            np.multiply(gates[:2], saved[t, 3:5], out=through[:2])  # i g and f c
            np.add(through[0], through[1], out=cell)
            np.tanh(cell, out=squashed)
            np.multiply(gates[2], squashed, out=new)
            if mask is not None:
                np.copyto(cell, saved[t, 4], where=~mask[t])
                np.copyto(new, old, where=~mask[t])
    return hidden, last, saved


def lstm_slopes(hidden: Array, saved: Array, steps: slice) -> Array:
    """(steps, 5, batch, units): the slopes of i, f and g, to be multiplied by dc', and of o and c', by dh'."""
    part, new = saved[steps], hidden[steps.start + 1 : steps.stop + 1]
    i, f, o, g, c, squashed = (part[:, k] for k in range(6))
    slopes = np.empty((len(part), 5, *new.shape[1:]), saved.dtype)
    di, df, dg, do, dc = (slopes[:, k] for k in range(5))
    np.multiply(i, g, out=di)
    np.multiply(f, c, out=df)
    np.multiply(di, g, out=dg)
    np.subtract(i, dg, out=dg)  # i (1 - g²)
    np.subtract(1.0, part[:, :2], out=slopes[:, 3:])
    slopes[:, :2] *= slopes[:, 3:]  # i g (1 - i) and f c (1 - f)
    np.subtract(1.0, o, out=do)
    do *= new  # o (1 - o) tanh(c'), since h' = o tanh(c')
    np.multiply(new, squashed, out=dc)
    np.subtract(o, dc, out=dc)  # o (1 - tanh²(c'))
    return slopes


@ops.primitive(
    needs=("NUMBERS", step_blocks, lstm_slopes),
    flops=lambda dy, hidden, saved, recurrent, dh, dc, mask: backward_flops(dy, recurrent),
)
def lstm_scan_vjp(
    dy: Array, hidden: Array, saved: Array, recurrent: Array, dh: Array, dc: Array, mask: Array | None
) -> tuple[Array, Array, Array]:
    """``(dz, dh, dc)``, given the cotangents dy of every h', and dh, dc of the last; z (4, …) are the gates' inputs."""
    steps, batch, units = dy.shape
    dz, back = np.empty((4, *dy.shape), saved.dtype), np.ascontiguousarray(recurrent.T)
    flat, part = np.empty((batch, 4 * units), saved.dtype), np.empty_like(saved[0, 0])
    dh, dc = dh.astype(saved.dtype), dc.astype(saved.dtype)
    beside = np.swapaxes(flat.reshape(batch, 4, units), 0, 1)  # side by side, the gates take one product
    for block in step_blocks(steps, 5 * batch * units)[::-1]:
        slopes = lstm_slopes(hidden, saved, block)
        for t in range(block.stop - 1, block.start - 1, -1):
            slope = slopes[t - block.start]
            dh += dy[t]
            if mask is not None:
                kept = np.where(mask[t], 0.0, dh), np.where(mask[t], 0.0, dc)  # a masked step passes them on unchanged
                dh *= mask[t]
                dc *= mask[t]
            np.multiply(slope[4], dh, out=part)
            dc += part
            slope[:3] *= dc
            slope[3] *= dh
            dc *= saved[t, 1]
            np.copyto(beside, slope[:4])
            np.matmul(flat, back, out=dh)
            if mask is not None:
                dh += kept[0]
                dc += kept[1]
        dz[:, block] = np.swapaxes(slopes[:, :4], 0, 1)
    return dz, dh, dc


@ops.primitive(
    needs=("NUMBERS", step_blocks, by_gate, projected, memory),
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
    weights, recurrents = by_gate(weight, 3), by_gate(recurrent, 3)
    hidden, saved = memory(len(x), 4, h.shape, np.result_type(x, weight))
    hidden[0] = h
    through, part = np.empty_like(saved[0, :3]), np.empty_like(saved[0, 0])
    for block in step_blocks(len(x), 3 * h.size):
        saved[block, [0, 1, 3]] = projected(x[block], weights, bias)
        for t in range(block.start, block.stop):
            old, new, both, (r, update, inner, n) = hidden[t], hidden[t + 1], saved[t, :2], saved[t]
            if after:
                np.matmul(old, recurrents, out=through)
            else:
                np.matmul(old, recurrents[:2], out=through[:2])
            both += through[:2]
            both *= 0.5
            np.tanh(both, out=both)
            both *= 0.5
            both += 0.5
            if after:
                np.add(through[2], 0.0 if inner_bias is None else inner_bias, out=inner)
                np.multiply(r, inner, out=part)
            else:
                np.multiply(r, old, out=inner)
                np.matmul(inner, recurrents[2], out=part)
            n += part
            np.tanh(n, out=n)
            np.subtract(old, n, out=new)
            new *= update
            new += n
            if mask is not None:
                np.copyto(new, old, where=~mask[t])
    return hidden, saved


def gru_slopes(hidden: Array, saved: Array, steps: slice, after: bool) -> Array:
    """(steps, 4, batch, units): the slopes of the factor of r, of r, z and n, to be multiplied by dh'.

    Where the reset comes before the product, r is multiplied with the cotangent of the factor instead, which has none.
    """
    part, old = saved[steps], hidden[steps]
    r, update, inner, n = (part[:, k] for k in range(4))
    slopes = np.empty_like(part)
    dinner, dr, dupdate, dn = (slopes[:, k] for k in range(4))
    np.subtract(1.0, part[:, :2], out=slopes[:, :2])
    np.multiply(n, n, out=dn)
    np.subtract(1.0, dn, out=dn)
    dn *= slopes[:, 1]  # (1 - z) (1 - n²)
    np.subtract(old, n, out=dupdate)
    dupdate *= slopes[:, 1]
    dupdate *= update  # (h - n) z (1 - z)
    np.multiply(r, slopes[:, 0], out=dr)
    dr *= inner if after else old
    if after:
        np.multiply(dn, r, out=dinner)
        dr *= dn  # r (1 - r) (h @ recurrent) (1 - z) (1 - n²)
    else:
        dinner[...] = 0.0
    return slopes


@ops.primitive(
    needs=("NUMBERS", step_blocks, gru_slopes),
    flops=lambda dy, hidden, saved, recurrent, dh, mask, after: backward_flops(dy, recurrent),
)
def gru_scan_vjp(
    dy: Array, hidden: Array, saved: Array, recurrent: Array, dh: Array, mask: Array | None, after: bool
) -> tuple[Array, Array]:
    """``(d, dh)``, given the cotangents dy of every h' and dh of the last.

    d (4, …) has the cotangents of the factor of r (zero if the reset comes before), and of the arguments of r, z and n.
    """
    steps, batch, units = dy.shape
    whole, back = np.empty((4, *dy.shape), saved.dtype), np.ascontiguousarray(np.roll(recurrent, units, axis=1).T)
    flat, part, dh = np.empty((batch, 3 * units), saved.dtype), np.empty_like(saved[0, 0]), dh.astype(saved.dtype)
    beside = np.swapaxes(flat.reshape(batch, 3, units), 0, 1)  # the factor or n, r and z, for one product
    for block in step_blocks(steps, 4 * batch * units)[::-1]:
        slopes = gru_slopes(hidden, saved, block, after)
        for t in range(block.stop - 1, block.start - 1, -1):
            d = slopes[t - block.start]
            dh += dy[t]
            if mask is not None:
                kept = np.where(mask[t], 0.0, dh)  # a masked step passes dh on unchanged
                dh *= mask[t]
            if after:
                d *= dh
                dh *= saved[t, 1]
                np.copyto(beside, d[:3])
                np.matmul(flat, back, out=part)
            else:
                d[2:] *= dh
                dh *= saved[t, 1]
                np.matmul(d[3], back[:units], out=part)
                d[1] *= part
                part *= saved[t, 0]
                dh += part
                np.copyto(beside[1:], d[1:3])
                np.matmul(flat[:, units:], back[units:], out=part)
            dh += part
            if mask is not None:
                dh += kept
        whole[:, block] = np.swapaxes(slopes, 0, 1)
    return whole, dh
