"""Pooling and upsampling against PyTorch: outputs and gradients recorded in ``tests/golden/pooling.npz``."""

import itertools

import numpy as np
import pytest

import funcnet as fn
from tests.golden import assert_layer_agrees, load_golden

GOLDEN = load_golden("pooling")
WIDE = {"pool_size": (3, 2), "strides": (2, 3), "padding": (1, 0), "ceil_mode": True}

CASES: dict[str, fn.Layer] = {
    "max_1d": fn.MaxPool1D(3),
    "max_1d_options": fn.MaxPool1D(3, 2, padding=1, dilation=2, ceil_mode=True),
    "max_2d": fn.MaxPool2D(2),
    "max_2d_ties": fn.MaxPool2D(3, 1, padding="same"),
    "max_2d_ties_apart": fn.MaxPool2D(2),
    "max_2d_ceil": fn.MaxPool2D(**WIDE),
    "max_2d_dilation": fn.MaxPool2D(2, 1, dilation=(2, 3)),
    "max_3d": fn.MaxPool3D(2, 1, padding=1),
    "average_1d": fn.AveragePool1D(3),
    "average_1d_ceil": fn.AveragePool1D(4, 3, padding=2, ceil_mode=True),
    "average_2d": fn.AveragePool2D(2),
    "average_2d_True": fn.AveragePool2D(**WIDE),
    "average_2d_False": fn.AveragePool2D(**WIDE, count_padding=False),
    "average_3d": fn.AveragePool3D(2, padding=1, count_padding=False),
    "adaptive_1d": fn.AdaptiveAveragePool1D(4),
    "adaptive_2d": fn.AdaptiveAveragePool2D((4, 10)),
    "adaptive_3d": fn.AdaptiveAveragePool3D((3, 1, 2)),
    "global_max": fn.GlobalMaxPool(),
    "global_average": fn.GlobalAveragePool(),
    "nearest": fn.Upsample(3),
    "linear": fn.Upsample(2, mode="linear"),
    "bilinear": fn.Upsample((2, 3), mode="linear"),
    "trilinear": fn.Upsample(2, mode="linear"),
}


def test_every_recorded_case_is_run():
    assert sorted(GOLDEN) == sorted(CASES)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", CASES)
def test_layer_agrees_with_pytorch(name, dtype):
    assert_layer_agrees(CASES[name], GOLDEN[name], dtype)


@pytest.mark.parametrize(
    ("layer", "in_shape", "message"),
    [
        (
            fn.MaxPool2D(3),
            (2, 4, 1),
            "MaxPool2D: expected windows no longer than the padded input, got a window of 3 over axis 0 of length 2 "
            "with padding (0, 0); make the window or its dilation smaller, or pad more",
        ),
        (
            fn.MaxPool1D(2, strides=1, padding=2),
            (4, 1),
            "MaxPool1D: expected every window to contain an entry of the input, got one all in the padding of axis 0: "
            "padding (2, 2), window 2; pad less",
        ),
        (
            fn.GlobalMaxPool(),
            (3,),
            "GlobalMaxPool: expected positions to pool over before the features, got shape (3,); leave the layer out",
        ),
        (
            fn.Upsample((2, 2)),
            (3, 1),
            "Upsample: expected an input of 2 spatial axes and features, got shape (3, 1)",
        ),
        (
            fn.AveragePool3D(2),
            (4, 4, 1),
            "AveragePool3D: expected inputs of shape (depth, height, width, channels), got (4, 4, 1); "
            "for one channel put a Reshape to (4, 4, 1, 1) before it",
        ),
    ],
    ids=str,
)
def test_inputs_that_do_not_fit(layer, in_shape, message):
    with pytest.raises(fn.ShapeError) as caught:
        layer.out_shape(in_shape)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: fn.MaxPool2D(0), "MaxPool2D.pool_size: must be 1 or more, got 0"),
        (lambda: fn.MaxPool2D(2, strides=0), "MaxPool2D.strides: must be 1 or more, got 0"),
        (lambda: fn.AveragePool1D(2, padding=-1), "AveragePool1D.padding: must be zero or more, got -1"),
        (lambda: fn.AdaptiveAveragePool2D((1, 0)), "AdaptiveAveragePool2D.out_size: must be 1 or more, got [1, 0]"),
        (lambda: fn.Upsample(0), "Upsample.scale: must be 1 or more, got 0"),
    ],
)
def test_fields_that_make_no_sense(make, message):
    with pytest.raises(fn.SpecError) as caught:
        make()
    assert message in str(caught.value)


@pytest.mark.parametrize("count", [True, False])
@pytest.mark.parametrize("ceil", [True, False])
@pytest.mark.parametrize(("before", "after"), [(0, 0), (1, 0), (0, 1), (2, 1), (1, 2), (3, 0)])
def test_an_average_counts_padding_on_either_side(before, after, ceil, count):
    """Against the mean written as a loop over windows, of padded entries that count or do not."""
    for n, size, stride, dilation in itertools.product((5, 8), (2, 4), (1, 2, 3), (1, 2)):
        layer = fn.AveragePool1D(size, stride, ((before, after),), dilation, ceil, count)
        x = fn.Key(n).normal((1, n, 1))
        try:
            y = fn.predict(layer, {}, {}, x)[0, :, 0]
        except fn.ShapeError:  # a window all in the padding
            continue
        for i, value in enumerate(y):
            taps = [i * stride - before + k * dilation for k in range(size)]
            real = [x[0, at, 0] for at in taps if 0 <= at < n]
            counted = [at for at in taps if -before <= at < n + after] if count else real
            assert value == pytest.approx(sum(real) / len(counted), rel=1e-12)


def test_causal_padding_counts():
    layer = fn.AveragePool1D(2, 1, padding="causal")
    np.testing.assert_array_equal(fn.predict(layer, {}, {}, np.ones((1, 4, 1)))[0, :, 0], [0.5, 1, 1, 1])
