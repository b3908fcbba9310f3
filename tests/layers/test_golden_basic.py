"""Activations and normalizations against PyTorch: outputs and gradients recorded in ``tests/golden/basic.npz``."""

import numpy as np
import pytest

import funcnet as fn
from tests.golden import assert_layer_agrees, load_golden

GOLDEN = load_golden("basic")
BARE = {"use_scale": False, "use_bias": False}

CASES: dict[str, fn.Layer] = {
    "relu6": fn.Relu6(),
    "elu": fn.Elu(),
    "elu_alpha": fn.Elu(0.5),
    "selu": fn.Selu(),
    "celu": fn.Celu(),
    "celu_alpha": fn.Celu(2.0),
    "silu": fn.Silu(),
    "mish": fn.Mish(),
    "hard_sigmoid": fn.HardSigmoid(),
    "hard_swish": fn.HardSwish(),
    "hard_tanh": fn.HardTanh(),
    "hard_tanh_options": fn.HardTanh(-0.5, 2.0),
    "log_sigmoid": fn.LogSigmoid(),
    "softplus": fn.Softplus(),
    "softsign": fn.Softsign(),
    "glu": fn.Glu(),
    "swiglu": fn.SwiGlu(),
    "geglu": fn.GeGlu(),
    "prelu": fn.PRelu(),
    "prelu_shared": fn.PRelu(shared=True),
    "layer_norm": fn.LayerNorm(),
    "layer_norm_axes": fn.LayerNorm(eps=0.1, axes=2),
    "layer_norm_bare": fn.LayerNorm(**BARE),
    "rms_norm": fn.RMSNorm(),
    "rms_norm_axes": fn.RMSNorm(eps=0.1, use_bias=True, axes=2),
    **{f"group_norm_{groups}": fn.GroupNorm(groups, eps=1e-3) for groups in (1, 2, 3, 6)},
    "group_norm_flat": fn.GroupNorm(2, **BARE),
    "instance_norm": fn.InstanceNorm(eps=1e-3),
    "instance_norm_bare": fn.InstanceNorm(**BARE),
}


def test_every_recorded_case_is_run():
    assert sorted(GOLDEN) == sorted(CASES)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", CASES)
def test_layer_agrees_with_pytorch(name, dtype):
    assert_layer_agrees(CASES[name], GOLDEN[name], dtype)
