"""Layers and combinators to build random networks of, for whatever shape comes in.

Each takes a random generator and the shape of a sample; what does not fit the shape raises an error of the library's,
and another one is drawn.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import funcnet as fn
from tests.rows.core import GAIN
from tests.table import ACTIVATIONS

Shape = tuple[int, ...]
Make = Callable[[random.Random, Shape], Any]


def yes(r: random.Random) -> bool:
    return r.random() < 0.5


def width(r: random.Random, shape: Shape) -> int:
    """A number of features near those that come in."""
    return r.choice((1, 2, 3, 4, 6, 8)) if shape[-1] < 24 else r.choice((16, 32, 48, 64, 1))


def divisor(r: random.Random, n: int) -> int:
    return r.choice([d for d in range(1, n + 1) if n % d == 0])


def permuted(r: random.Random, shape: Shape) -> Any:
    return fn.Permute(tuple(r.sample(range(len(shape)), len(shape))))


def reshaped(r: random.Random, shape: Shape) -> Any:
    first = divisor(r, math.prod(shape))
    return fn.Reshape(r.choice(((first, -1), (-1, first), (first, 1, -1))))


def windows(r: random.Random) -> dict[str, Any]:
    return {"strides": r.choice((1, 1, 2)), "padding": r.choice(("same", "valid", 1)), "dilation": r.choice((1, 1, 2))}


def convolution(r: random.Random, shape: Shape) -> Any:
    layer = (fn.Conv1D, fn.Conv2D, fn.Conv3D)[len(shape) - 2]
    groups = r.choice((1, 1, divisor(r, shape[-1])))
    return layer(groups * r.choice((1, 2, 3)), r.choice((1, 2, 3)), groups=groups, use_bias=yes(r), **windows(r))


def transposed_convolution(r: random.Random, shape: Shape) -> Any:
    layer = (fn.ConvTranspose1D, fn.ConvTranspose2D)[len(shape) - 2]
    return layer(
        r.choice((1, 2, 3)), r.choice((1, 2, 3)), strides=r.choice((1, 2)), padding=r.choice(("same", "valid"))
    )


def pooling(r: random.Random, shape: Shape) -> Any:
    maximum = fn.MaxPool1D, fn.MaxPool2D, fn.MaxPool3D
    average = fn.AveragePool1D, fn.AveragePool2D, fn.AveragePool3D
    return r.choice((maximum, average))[len(shape) - 2](r.choice((1, 2, 3)), ceil_mode=yes(r), **windows(r))


def adaptive(r: random.Random, shape: Shape) -> Any:
    layers = fn.AdaptiveAveragePool1D, fn.AdaptiveAveragePool2D, fn.AdaptiveAveragePool3D
    return layers[len(shape) - 2](r.choice((1, 2)))


def recurrent(r: random.Random, shape: Shape) -> Any:
    layer, units = r.choice((fn.RNN, fn.LSTM, fn.GRU)), width(r, shape)
    return layer(units, return_sequences=r.random() < 0.7, reverse=yes(r), use_bias=r.random() < 0.8)


def attention(r: random.Random, shape: Shape) -> Any:
    heads = divisor(r, shape[-1])
    rotary = fn.RotaryPositions() if r.random() < 0.3 else None
    return fn.MultiHeadAttention(
        heads,
        causal=yes(r),
        key_value_heads=divisor(r, heads) if yes(r) else None,
        dropout=r.choice((0.0, 0.3)),
        rotary=rotary,
        use_bias=yes(r),
    )


ANY_ACTIVATION = (*ACTIVATIONS, fn.Identity())
NORMS = (
    lambda r, s: fn.BatchNorm(use_scale=yes(r), use_bias=yes(r)),
    lambda r, s: fn.LayerNorm(axes=r.randint(1, len(s))),
    lambda r, s: fn.RMSNorm(use_bias=yes(r)),
    lambda r, s: fn.GroupNorm(divisor(r, s[-1])),
    lambda r, s: fn.InstanceNorm(),
)
NOISE = (
    lambda r, s: fn.Dropout(0.3),
    lambda r, s: fn.SpatialDropout(0.3),
    lambda r, s: fn.GaussianNoise(0.1),
    lambda r, s: fn.Residual(fn.serial(fn.Dense(s[-1]), fn.StochasticDepth(0.3))),
)
POSITIONS = (fn.SinusoidalPositions, lambda: fn.LearnedPositions(64), fn.RotaryPositions)

SINGLE: tuple[tuple[float, Make], ...] = (
    (4, lambda r, s: fn.Dense(width(r, s), use_bias=r.random() < 0.8)),
    (5, lambda r, s: r.choice(ANY_ACTIVATION)),
    (3, lambda r, s: r.choice(NORMS)(r, s)),
    (1, lambda r, s: r.choice(NOISE)(r, s)),
    (1, lambda r, s: r.choice((fn.Bias(), fn.Scale(), GAIN))),
    (2, permuted),
    (1, reshaped),
    (0.5, lambda r, s: fn.Flatten()),
    (0.5, lambda r, s: r.choice((fn.Pad(1), fn.Crop(1), fn.Upsample(2), fn.Upsample(2, mode="linear")))),
    (2, convolution),
    (1, transposed_convolution),
    (1.5, pooling),
    (0.5, adaptive),
    (0.5, lambda r, s: r.choice((fn.GlobalMaxPool, fn.GlobalAveragePool))()),
    (2, recurrent),
    (1, lambda r, s: fn.Bidirectional(recurrent(r, s), merge=r.choice(("concat", "sum")))),
    (2, attention),
    (1, lambda r, s: r.choice(POSITIONS)()),
    (1, lambda r, s: fn.SequencePool(r.choice(("mean", "last", "max")))),
)

# ----- combinators -----------------------------------------------------------------------------------------------


def residual(r: random.Random, s: Shape) -> Any:
    body = block(r, s)
    out = body.out_shape(s)
    return fn.Residual(body) if out == s else fn.Residual(body, projection=fn.Dense(out[-1]))


def repeated(r: random.Random, s: Shape) -> Any:
    return fn.Repeat(fn.serial(block(r, s), fn.Dense(s[-1])), r.choice((1, 2, 3)), shared=yes(r))


def branches(r: random.Random, s: Shape) -> Any:
    parts = [block(r, s) for _ in range(r.choice((2, 2, 3)))]
    if yes(r):
        return fn.serial(fn.branch(*parts), fn.Concat(r.choice((-1, -1, -2))))
    features = width(r, s)
    parts = [fn.serial(part, fn.Dense(features)) for part in parts]
    return fn.serial(fn.branch(*parts), r.choice((fn.Sum, fn.Multiply))())


def tied(r: random.Random, s: Shape) -> Any:
    a, b = fn.Dense(s[-1]), fn.Dense(s[-1])
    return fn.Tied(fn.serial(a=a, m=block(r, s), b=b), {"b/weight": r.choice(("a/weight", "a/weight.T"))})


def graph(r: random.Random, s: Shape) -> Any:
    features = width(r, s)
    nodes = {
        "first": (fn.Dense(features), "x"),
        "left": (fn.serial(block(r, (*s[:-1], features)), fn.Dense(features)), "first"),
        "right": (r.choice(ANY_ACTIVATION), "first"),
        "join": (r.choice((fn.Sum, fn.Multiply, fn.Concat))(), ("left", "right", "first")),
    }
    return fn.Graph(inputs="x", nodes=nodes, outputs="join")


def captured(r: random.Random, s: Shape) -> Any:
    net = fn.Capture(fn.serial(a=block(r, s), b=block(r, s)), "a")
    return fn.serial(net, joined(net.out_shape(s)))


COMBINED: tuple[tuple[float, Make], ...] = (
    (3, residual),
    (2, repeated),
    (3, branches),
    (1, lambda r, s: fn.Remat(block(r, s))),
    (1, lambda r, s: fn.Frozen(block(r, s))),
    (1, lambda r, s: fn.WeightNorm(fn.serial(fn.Dense(width(r, s)), r.choice(ANY_ACTIVATION)))),
    (1, lambda r, s: fn.Ensemble(block(r, s), r.choice((1, 2, 3)))),
    (1, lambda r, s: fn.OnSequence(block(r, s))),
    (1, tied),
    (1, graph),
    (1, captured),
)
TO_REDRAW = (fn.FuncnetError, ValueError, TypeError, IndexError, ZeroDivisionError)


def block(r: random.Random, shape: Shape) -> Any:
    """One to three layers."""
    layers = []
    for _ in range(r.choice((1, 1, 2, 3))):
        layers.append(layer(r, shape, 0.15))
        shape = layers[-1].out_shape(shape)
    return layers[0] if len(layers) == 1 else fn.serial(*layers)


def layer(r: random.Random, shape: Shape, combined: float) -> Any:
    """A layer that takes this shape and gives one array."""
    for _ in range(200):
        table = COMBINED if r.random() < combined else SINGLE
        ((_, make),) = r.choices(table, [weight for weight, _ in table])
        try:
            found = make(r, shape)
            out = found.out_shape(shape)
        except TO_REDRAW:
            continue
        most = 3000 if math.prod(shape) < 500 else 6000
        if out and is_shape(out) and 0 < math.prod(out) <= most and len(out) <= 4:
            return found
    return fn.Identity()


def is_shape(shape: Any) -> bool:
    return isinstance(shape, tuple) and all(isinstance(n, int) for n in shape)


def joined(shape: Any) -> Any:
    """A layer that makes one vector of whatever a network gives."""
    if is_shape(shape):
        return fn.Flatten()
    if isinstance(shape, tuple):
        return fn.serial(fn.parallel(*map(joined, shape)), fn.Concat())
    nodes: dict[str, Any] = {f"flat_{name}": (joined(inner), name) for name, inner in shape.items()}
    if len(nodes) == 1:
        return fn.Graph(inputs=next(iter(shape)), nodes=nodes, outputs=next(iter(nodes)))
    nodes["all"] = (fn.Concat(), tuple(nodes))
    return fn.Graph(inputs=tuple(shape), nodes=nodes, outputs="all")
