"""Activations beyond those of ``core.py``."""

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
