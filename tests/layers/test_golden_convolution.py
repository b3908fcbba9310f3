"""Convolutions against PyTorch: outputs and gradients recorded in ``tests/golden/convolution.npz``."""

import numpy as np
import pytest

import funcnet as fn
from funcnet.layers import convolution_kernels
from tests.golden import assert_agrees, cast, load_golden

GOLDEN = load_golden("convolution")

CASES: dict[str, fn.Layer] = {
    "conv_1d_same": fn.Conv1D(4, 3),
    "conv_1d_causal": fn.Conv1D(2, 3, padding="causal", dilation=2),
    "conv_1d_groups": fn.Conv1D(6, 4, strides=2, padding=((1, 2),), groups=2),
    "conv_2d_same": fn.Conv2D(3, 3),
    "conv_2d_same_strides": fn.Conv2D(3, 3, strides=2),
    "conv_2d_valid_strides": fn.Conv2D(2, (3, 2), strides=(2, 3), padding="valid", use_bias=False),
    "conv_2d_asymmetric": fn.Conv2D(3, (2, 3), padding=((0, 2), (3, 1))),
    "conv_2d_wide_padding": fn.Conv2D(2, 2, padding=3),
    "conv_2d_dilation": fn.Conv2D(2, (3, 2), padding=(2, 0), dilation=(2, 3)),
    "conv_2d_groups": fn.Conv2D(9, 3, groups=3),
    "conv_2d_depthwise": fn.Conv2D(4, 3, groups=4),
    "conv_2d_one_by_one": fn.Conv2D(3, 1),
    "conv_3d_same": fn.Conv3D(2, 3),
    "conv_3d_options": fn.Conv3D(
        4, (2, 3, 2), strides=(1, 2, 1), padding=((1, 0), 0, (0, 2)), dilation=(1, 1, 2), groups=2
    ),
    "conv_transpose_1d_same": fn.ConvTranspose1D(3, 3),
    "conv_transpose_1d_strides": fn.ConvTranspose1D(3, 4, strides=3, padding=1, output_padding=1),
    "conv_transpose_1d_groups": fn.ConvTranspose1D(
        6, 2, strides=2, padding=((1, 0),), output_padding=1, dilation=2, groups=2
    ),
    "conv_transpose_2d_same": fn.ConvTranspose2D(3, 2, strides=2),
    "conv_transpose_2d_valid": fn.ConvTranspose2D(2, (3, 2), strides=2, padding="valid", use_bias=False),
    "conv_transpose_2d_options": fn.ConvTranspose2D(
        4, (3, 2), strides=(2, 1), padding=((1, 0), (2, 1)), output_padding=1, dilation=(1, 2), groups=2
    ),
}
TOLERANCES = {np.float64: (1e-10, 1e-13), np.float32: (1e-5, 1e-5)}


def test_every_recorded_case_is_run():
    assert sorted(GOLDEN) == sorted(CASES)


@pytest.mark.parametrize("block", [2**18, 40, 1])
@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("name", CASES)
def test_layer_agrees_with_pytorch(monkeypatch, name, dtype, block):
    """In one block, in blocks of a few images, and row by row."""
    monkeypatch.setattr(convolution_kernels, "ENTRIES", block)
    if block < 2**18:
        monkeypatch.setattr(convolution_kernels, "WINDOWS", 1)
    layer, case = CASES[name], cast(GOLDEN[name], dtype)
    assert layer.out_shape(case["x"].shape[1:]) == case["y"].shape[1:]
    y, _, residuals = layer.apply(case["params"], {}, case["x"], fn.EVAL)
    dparams, dx = layer.vjp(case["params"], residuals, case["dy"])
    rtol, atol = TOLERANCES[dtype]
    expected = {"y": GOLDEN[name]["y"], "dx": GOLDEN[name]["dx"], "dparams": GOLDEN[name]["dparams"]}
    assert_agrees({"y": y, "dx": dx, "dparams": dparams}, expected, rtol=rtol, atol=atol)
    assert {array.dtype for array in fn.tree.leaves((y, dx, dparams))} == {np.dtype(dtype)}
    shapes = {path: leaf.shape for path, leaf in layer.leaves(case["x"].shape[1:]).items()}
    assert shapes == {path: array.shape for path, array in case["params"].items()}


@pytest.mark.parametrize(
    ("shape", "filters"),
    [((2, 62, 62, 16), 3), ((2, 122, 122, 16), 3), ((3, 9, 9, 256), 8)],
    ids=["4 blocks", "16 blocks", "more channels than a block has room for"],
)
def test_many_blocks_agree_with_the_sum_over_taps(shape, filters):
    layer, x = fn.Conv2D(filters, 3, padding="valid"), fn.Key(1).normal(shape)
    params, state = layer.init(fn.Key(0), shape[1:], np.float64)
    weight, (rows, columns) = params["weight"], (shape[1] - 2, shape[2] - 2)
    assert rows * columns * shape[0] * weight[..., 0].size > convolution_kernels.ENTRIES
    y, _, residuals = layer.apply(params, state, x, fn.EVAL)
    dy = fn.Key(2).normal(y.shape)
    dparams, dx = layer.vjp(params, residuals, dy)
    exact_y, exact_dx, exact_dw = np.zeros_like(y), np.zeros_like(x), np.zeros_like(weight)
    for i, j in np.ndindex(3, 3):
        part = (slice(None), slice(i, i + rows), slice(j, j + columns))
        exact_y += x[part] @ weight[i, j]
        exact_dx[part] += dy @ weight[i, j].T
        exact_dw[i, j] = x[part].reshape(-1, shape[3]).T @ dy.reshape(-1, filters)
    for found, exact in ((y, exact_y), (dx, exact_dx), (dparams["weight"], exact_dw)):
        np.testing.assert_allclose(found, exact, rtol=1e-10, atol=1e-11)
