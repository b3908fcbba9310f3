"""Activations beyond those of ``core.py``, and what every elementwise one is at its edges."""

from __future__ import annotations

import math
from typing import NamedTuple

import funcnet as fn
from funcnet import initializers
from tests.row import Row

ROWS: dict[str, Row] = {
    "relu6": Row(fn.Relu6(), (4,), x=lambda key, rows: 5.0 * key.normal((rows, 4))),
    "prelu": Row(fn.PRelu(), (2, 3)),
    "prelu_shared": Row(fn.PRelu(shared=True), (2, 3)),
    "prelu_init": Row(fn.PRelu(slope_init=initializers.Uniform(-1.0, 1.0)), (3,)),
    "elu": Row(fn.Elu(), (4,)),
    "elu_alpha": Row(fn.Elu(alpha=0.5), (2, 3)),
    "selu": Row(fn.Selu(), (4,)),
    "celu": Row(fn.Celu(), (4,)),
    "celu_alpha": Row(fn.Celu(alpha=2.0), (2, 3)),
    "silu": Row(fn.Silu(), (4,)),
    "mish": Row(fn.Mish(), (4,)),
    "hard_sigmoid": Row(fn.HardSigmoid(), (4,), x=lambda key, rows: 3.0 * key.normal((rows, 4))),
    "hard_sigmoid_options": Row(fn.HardSigmoid(slope=0.2, offset=0.3), (2, 3)),
    "hard_swish": Row(fn.HardSwish(), (4,), x=lambda key, rows: 3.0 * key.normal((rows, 4))),
    "hard_tanh": Row(fn.HardTanh(), (5,)),
    "hard_tanh_options": Row(fn.HardTanh(low=-0.5, high=0.25), (2, 3)),
    "log_sigmoid": Row(fn.LogSigmoid(), (4,)),
    "softplus": Row(fn.Softplus(), (4,)),
    "softsign": Row(fn.Softsign(), (4,)),
    "glu": Row(fn.Glu(), (2, 4)),
    "swiglu": Row(fn.SwiGlu(), (6,)),
    "geglu": Row(fn.GeGlu(), (2, 2)),
}

FAR = 1e4
SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805
SIXTH = 1.0 / 6.0


class Edges(NamedTuple):
    """An activation's values and slopes at 0, at its kinks and far out, ``{x: (y, dy/dx)}``; to rounding, or exact."""

    layer: fn.Layer
    at: dict[float, tuple[float, float]]
    exact: bool = False


EDGES: dict[str, Edges] = {
    "relu": Edges(fn.Relu(), {-FAR: (0, 0), -1: (0, 0), 0.0: (0, 0), 1e-30: (1e-30, 1), FAR: (FAR, 1)}, exact=True),
    "leaky_relu": Edges(fn.LeakyRelu(0.25), {-FAR: (-2500, 0.25), 0.0: (0, 0.25), FAR: (FAR, 1)}, exact=True),
    "leaky_relu_flat": Edges(fn.LeakyRelu(0.0), {-FAR: (0, 0), 0.0: (0, 0), 2.0: (2, 1)}, exact=True),
    "sigmoid": Edges(fn.Sigmoid(), {-FAR: (0, 0), 0.0: (0.5, 0.25), FAR: (1, 0)}, exact=True),
    "tanh": Edges(fn.Tanh(), {-FAR: (-1, 0), 0.0: (0, 1), FAR: (1, 0)}, exact=True),
    "gelu": Edges(fn.Gelu(), {-FAR: (0, 0), -40: (0, 0), 0.0: (0, 0.5), 40: (40, 1), FAR: (FAR, 1)}, exact=True),
    "gelu_approximate": Edges(
        fn.Gelu(approximate=True), {-FAR: (0, 0), -40: (0, 0), 0.0: (0, 0.5), 40: (40, 1), FAR: (FAR, 1)}, exact=True
    ),
    "relu6": Edges(fn.Relu6(), {-FAR: (0, 0), 0.0: (0, 0), 1e-30: (1e-30, 1), 5.5: (5.5, 1), 6: (6, 0), FAR: (6, 0)}),
    "elu": Edges(fn.Elu(2.0), {-FAR: (-2, 0), 0.0: (0, 2), 0.5: (0.5, 1), FAR: (FAR, 1)}),
    "selu": Edges(
        fn.Selu(),
        {
            -FAR: (-SELU_SCALE * SELU_ALPHA, 0),
            0.0: (0, SELU_SCALE * SELU_ALPHA),
            1.0: (SELU_SCALE, SELU_SCALE),
            FAR: (SELU_SCALE * FAR, SELU_SCALE),
        },
    ),
    "celu": Edges(fn.Celu(0.5), {-FAR: (-0.5, 0), 0.0: (0, 1), 0.5: (0.5, 1), FAR: (FAR, 1)}),
    "silu": Edges(fn.Silu(), {-FAR: (0, 0), 0.0: (0, 0.5), FAR: (FAR, 1)}),
    "mish": Edges(fn.Mish(), {-FAR: (0, 0), 0.0: (0, 0.6), FAR: (FAR, 1)}),
    "hard_sigmoid": Edges(fn.HardSigmoid(), {-FAR: (0, 0), -3: (0, 0), 0.0: (0.5, SIXTH), 3: (1, 0), FAR: (1, 0)}),
    "hard_sigmoid_options": Edges(
        fn.HardSigmoid(slope=0.25, offset=0.25),
        {-FAR: (0, 0), -1: (0, 0), 0.0: (0.25, 0.25), 2: (0.75, 0.25), 3: (1, 0), FAR: (1, 0)},
    ),
    "hard_swish": Edges(
        fn.HardSwish(),
        {-FAR: (0, 0), -3: (0, 0), -1.5: (-0.375, 0), 0.0: (0, 0.5), 1.5: (1.125, 1), 3: (3, 1), FAR: (FAR, 1)},
    ),
    "hard_tanh": Edges(
        fn.HardTanh(), {-FAR: (-1, 0), -1: (-1, 0), -0.5: (-0.5, 1), 0.0: (0, 1), 1: (1, 0), FAR: (1, 0)}
    ),
    "hard_tanh_options": Edges(
        fn.HardTanh(-0.25, 2.0), {-FAR: (-0.25, 0), -0.25: (-0.25, 0), 0.0: (0, 1), 1: (1, 1), 2: (2, 0), FAR: (2, 0)}
    ),
    "log_sigmoid": Edges(fn.LogSigmoid(), {-FAR: (-FAR, 1), 0.0: (-math.log(2.0), 0.5), FAR: (0, 0)}),
    "softplus": Edges(fn.Softplus(), {-FAR: (0, 0), 0.0: (math.log(2.0), 0.5), FAR: (FAR, 1)}),
    "softsign": Edges(
        fn.Softsign(),
        {-FAR: (-FAR / 10001, 1 / 10001**2), 0.0: (0, 1), 1: (0.5, 0.25), FAR: (FAR / 10001, 1 / 10001**2)},
    ),
}
"""Every elementwise activation has an entry; a 0 is exactly 0 in either case"""
