"""The short forms of kernels give the bits of the kernels, whatever the sizes, the layouts and the dtype."""

from __future__ import annotations

import random

import numpy as np
import pytest

import funcnet as fn
from funcnet.codegen.short import convolution, recurrent
from funcnet.codegen.short.form import Simple
from funcnet.layers.convolution_kernels import correlate, correlate_input, correlate_weight
from funcnet.layers.recurrent_kernels import (
    gru_scan,
    gru_scan_vjp,
    lstm_scan,
    lstm_scan_vjp,
    rnn_scan,
    rnn_scan_vjp,
)
from tests.compiler.test_source import steps_agree
from tests.table import same as equal

LSTM_FORMS = "lstm_steps", "lstm_steps_vjp"
MSE = fn.losses.MeanSquaredError()


class Leaf:
    """What a short form asks of a recorded array."""

    def __init__(self, x):
        self.shape, self.dtype, self.strides = x.shape, x.dtype, x.strides


def run(make, *values):
    """The results of a short form of a call with these values; None where there is no short form."""
    names = [f"v{i}" if isinstance(value, np.ndarray) else repr(value) for i, value in enumerate(values)]
    found = make([Leaf(value) if isinstance(value, np.ndarray) else value for value in values], names)
    if found is None:
        return None
    assert isinstance(found, Simple)
    defined = {"np": np, **{f"v{i}": value for i, value in enumerate(values)}}
    for text in (*found.needs, found.text):
        exec(text, defined)
    return eval(f"{found.name}({', '.join(found.args)}){found.end}", defined)


def same(a, b):
    """Whether arrays agree in every bit, signs of zeros too."""
    pairs = zip(*(value if isinstance(value, tuple) else (value,) for value in (a, b)), strict=True)
    return equal(a, b) and all(first.tobytes() == second.tobytes() for first, second in pairs)


def layout(x, rnd):
    """The same array in one of several layouts."""
    last = (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2)[-x.ndim :]
    order = rnd.choice([range(x.ndim), last, range(x.ndim)[::-1]])
    return np.ascontiguousarray(x.transpose(order)).transpose(np.argsort(order))


@pytest.mark.parametrize("seed", range(4))
def test_convolutions(seed):
    rnd, draw, compared = random.Random(seed), np.random.default_rng(seed), 0
    for _ in range(150):
        dtype = rnd.choice([np.float32, np.float64])
        batch, channels, filters = rnd.choice([1, 2, 3, 32]), rnd.choice([1, 2, 5]), rnd.choice([1, 2, 8])
        lengths = rnd.choice([1, 2, 4, 5, 8, 30]), rnd.choice([1, 3, 6, 7])
        size, stride = ([rnd.choice([1, 2, 3]) for _ in range(2)] for _ in range(2))
        before = [rnd.choice(range(n)) for n in size]
        room = [n + p + rnd.choice([0, p]) for n, p in zip(lengths, before, strict=True)]
        count = [(n - k) // s + 1 for n, k, s in zip(room, size, stride, strict=True)]
        if min(count) < 1:
            continue
        axes = tuple((k, s, 1, p, n) for k, s, p, n in zip(size, stride, before, count, strict=True))
        if rnd.random() < 0.3:  # a sequence
            axes, size, lengths, count = axes[1:], size[1:], lengths[1:], count[1:]
        weight = layout(draw.standard_normal((*size, channels, filters)).astype(dtype), rnd)
        x = layout(draw.standard_normal((batch, *lengths, channels)).astype(dtype), rnd)
        dy = layout(draw.standard_normal((batch, *count, filters)).astype(dtype), rnd)
        sizes = weight.shape
        assert same(run(convolution.conv, x, weight, axes, 1), correlate(x, weight, axes, 1))
        assert same(run(convolution.conv_weight, x, dy, sizes, axes, 1), correlate_weight(x, dy, sizes, axes, 1))
        assert same(
            run(convolution.conv_input, dy, weight, lengths, axes, 1), correlate_input(dy, weight, lengths, axes, 1)
        )
        compared += 1
    assert compared > 100


@pytest.mark.parametrize("seed", range(4))
def test_recurrent_layers(seed):
    rnd, draw = random.Random(seed), np.random.default_rng(seed)
    for _ in range(80):
        dtype = rnd.choice([np.float32, np.float64])
        steps, batch, features, units = (rnd.choice(n) for n in ([1, 2, 9, 50], [1, 2, 5, 32], [1, 8, 17], [1, 2, 33]))

        def normal(*shape, dtype=dtype):
            x = draw.standard_normal(shape).astype(dtype)
            return np.ascontiguousarray(np.swapaxes(x, 0, 1)).swapaxes(0, 1) if len(shape) == 3 else x

        x, dy = normal(steps, batch, features), normal(steps, batch, units)
        h, c, dh, dc = (normal(batch, units) for _ in range(4))
        if rnd.random() < 0.5:
            h = np.broadcast_to(np.zeros((batch, 1), dtype), h.shape)

        mask = draw.random((steps, batch, 1)) < 0.7 if rnd.random() < 0.5 else None
        relu, after, biased = rnd.random() < 0.5, rnd.random() < 0.5, rnd.random() < 0.7

        def weights(gates, biased=biased):
            recurrent = 0.3 * normal(units, gates * units)
            return 0.3 * normal(features, gates * units), normal(gates * units) if biased else None, recurrent

        w, b, u = weights(1)
        hidden = rnn_scan(x, w, b, u, h, mask, relu)
        assert same(run(recurrent.rnn, x, w, b, u, h, mask, relu), hidden)
        assert same(run(recurrent.rnn_vjp, dy, hidden, u, dh, mask, relu), rnn_scan_vjp(dy, hidden, u, dh, mask, relu))
        w, b, u = weights(4)
        hidden, last, saved = lstm_scan(x, w, b, u, h, c, mask)
        assert same(run(recurrent.lstm, x, w, b, u, h, c, mask), (hidden, last, saved))
        back = dy, hidden, saved, u, dh, dc, mask
        assert same(run(recurrent.lstm_vjp, *back), lstm_scan_vjp(*back))
        w, b, u = weights(3)
        forward = x, w, b, u, normal(units) if after and b is not None else None, h, mask, after
        hidden, saved = gru_scan(*forward)
        assert same(run(recurrent.gru, *forward), (hidden, saved))
        back = dy, hidden, saved, u, dh, mask, after
        assert same(run(recurrent.gru_vjp, *back), gru_scan_vjp(*back))


@pytest.mark.parametrize(
    ("net", "in_shape", "names"),
    [
        (fn.serial(fn.LSTM(5), fn.Bidirectional(fn.LSTM(3)), fn.SequencePool("last")), (9, 4), LSTM_FORMS),
        (fn.serial(fn.LSTM(64), fn.SequencePool("mean")), (40, 4), LSTM_FORMS),
        (fn.serial(fn.GRU(3, reset_after=False), fn.GRU(3), fn.SequencePool("last")), (5, 4),
         ("gru_steps", "gru_steps_2")),
        (fn.serial(fn.RNN(6, activation="relu"), fn.SequencePool("mean")), (5, 4), ("rnn_steps", "rnn_steps_vjp")),
        (fn.serial(fn.Conv2D(3, 3, strides=2), fn.Conv2D(2, 2, padding="valid"), fn.Flatten()), (9, 8, 2),
         ("conv_strided", "conv_strided_weight", "conv_strided_input")),
        (fn.serial(fn.Conv1D(3, 3), fn.ConvTranspose1D(2, 3, strides=2), fn.Flatten()), (9, 2), ("conv_strided",)),
        (fn.serial(fn.ConvTranspose2D(3, 2, strides=2), fn.Flatten()), (4, 5, 2), ("conv_strided_input",)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("batch", [1, 32])
def test_a_page_has_the_short_form(net, in_shape, names, batch):
    net = fn.serial(*(layer for _, layer in net.layers), fn.Dense(2))
    text = fn.source(net, in_shape, batch, MSE, fn.optim.SGD(0.1))
    assert all(f"def {name}(" in text for name in names)
    assert not any(name in text for name in ("_scan", "correlate", "as_strided"))
    x, y = fn.Key(1).normal((batch, *in_shape), np.float32), fn.Key(2).normal((batch, 2), np.float32)
    steps_agree(net, MSE, fn.optim.SGD(0.1), in_shape, batch, x, y, np.float32, planned=False)


@pytest.mark.parametrize("name", ["conv_strided", "conv_strided_weight", "lstm_steps", "rnn_steps_vjp"])
def test_a_layer_may_have_the_name_of_a_short_form(name):
    net = fn.serial((name, fn.Conv1D(3, 3, strides=2)), fn.LSTM(2), fn.RNN(2), fn.SequencePool("last"), fn.Dense(2))
    x, y = fn.Key(1).normal((4, 9, 2), np.float32), fn.Key(2).normal((4, 2), np.float32)
    steps_agree(net, MSE, fn.optim.SGD(0.1), (9, 2), 4, x, y, np.float32, planned=False)
