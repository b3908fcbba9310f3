"""Convolutions: where windows fall, and what is said of sizes that do not fit."""

import numpy as np
import pytest

import funcnet as fn
from funcnet.layers.windows import Window, axes_of


def line(layer: fn.Layer, x: list[float], kernel: list[float]) -> list[float]:
    """A layer of one filter on one channel, with a kernel given tap by tap."""
    y, _, _ = layer.apply(
        {"weight": np.reshape(kernel, (-1, 1, 1))}, {}, np.reshape(np.array(x, float), (1, -1, 1)), fn.EVAL
    )
    assert y.shape[1:] == layer.out_shape((len(x), 1))
    return y.ravel().tolist()


def conv(size: int, **options) -> fn.Conv1D:
    return fn.Conv1D(1, size, use_bias=False, **options)


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (conv(3), [210, 321, 432, 543, 54]),
        (conv(3, padding="valid"), [321, 432, 543]),
        (conv(3, padding="causal"), [100, 210, 321, 432, 543]),
        (conv(3, padding=1), [210, 321, 432, 543, 54]),
        (conv(3, padding=((0, 2),)), [321, 432, 543, 54, 5]),
        (conv(3, padding=((3, 0),)), [0, 100, 210, 321, 432, 543]),
        (conv(3, strides=2), [210, 432, 54]),
        (conv(3, strides=2, padding="valid"), [321, 543]),
        (conv(3, strides=3, padding="valid"), [321]),  # a remainder of two inputs that no window reaches
        (conv(3, strides=4), [210, 54]),
        (conv(3, dilation=2, padding="valid"), [531]),
        (conv(3, dilation=2, padding="causal"), [100, 200, 310, 420, 531]),
    ],
    ids=str,
)
def test_windows(layer, expected):
    assert line(layer, [1, 2, 3, 4, 5], [1, 10, 100]) == expected


def test_an_even_kernel_with_same_padding_pads_the_odd_entry_after():
    assert line(conv(2), [1, 2, 3], [1, 10]) == [21, 32, 3]
    assert axes_of(conv(4), (4,), 4, 3, "same") == (Window(4, 3, 1, 1, 2, 2),)


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (fn.ConvTranspose1D(1, 3, use_bias=False), [12, 123, 230]),
        (fn.ConvTranspose1D(1, 3, padding="valid", use_bias=False), [1, 12, 123, 230, 300]),
        (fn.ConvTranspose1D(1, 3, strides=2, padding="valid", use_bias=False), [1, 10, 102, 20, 203, 30, 300]),
        (fn.ConvTranspose1D(1, 3, strides=2, use_bias=False), [1, 10, 102, 20, 203, 30]),
        (fn.ConvTranspose1D(1, 3, strides=4, use_bias=False), [1, 10, 100, 0, 2, 20, 200, 0, 3, 30, 300, 0]),
        (
            fn.ConvTranspose1D(1, 3, strides=2, padding=1, output_padding=1, use_bias=False),
            [10, 102, 20, 203, 30, 300],
        ),
    ],
    ids=str,
)
def test_transposed_windows(layer, expected):
    assert line(layer, [1, 2, 3], [1, 10, 100]) == expected


@pytest.mark.parametrize("strides", [1, 2, 3])
@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_same_padding_divides_the_length_by_the_strides_and_its_transpose_multiplies(size, strides):
    for length in (1, 5, 6):
        assert fn.Conv1D(2, size, strides).out_shape((length, 3)) == (-(-length // strides), 2)
        assert fn.ConvTranspose1D(2, size, strides).out_shape((length, 3)) == (length * strides, 2)


def test_a_depthwise_convolution_keeps_channels_apart():
    x = np.zeros((1, 3, 3, 2))
    x[0, 1, 1, 0] = 1.0
    layer = fn.Conv2D(2, 3, groups=2, use_bias=False)
    y, _, _ = layer.apply({"weight": np.arange(18.0).reshape(3, 3, 1, 2)}, {}, x, fn.EVAL)
    np.testing.assert_array_equal(y[0, :, :, 0], np.arange(0.0, 18.0, 2).reshape(3, 3)[::-1, ::-1])
    np.testing.assert_array_equal(y[0, :, :, 1], np.zeros((3, 3)))


SPEC_ERRORS = [
    (lambda: fn.Conv2D(0, 3), "Conv2D.filters: must be positive, got 0"),
    (lambda: fn.Conv2D(2, 0), "Conv2D.kernel_size: must be 1 or more, got 0"),
    (lambda: fn.Conv2D(2, (3, 0)), "Conv2D.kernel_size: must be 1 or more, got [3, 0]"),
    (lambda: fn.Conv2D(2, (3,)), "Conv2D.kernel_size: expected one integer or 2, got [3]"),
    (lambda: fn.Conv2D(2, 3, strides=-1), "Conv2D.strides: must be 1 or more, got -1"),
    (lambda: fn.Conv2D(2, 3, dilation=0), "Conv2D.dilation: must be 1 or more, got 0"),
    (lambda: fn.Conv2D(2, 3, padding=-1), "Conv2D.padding: must be zero or more, got -1"),
    (lambda: fn.Conv2D(2, 3, padding=((1, -2), 0)), "Conv2D.padding: must be zero or more, got ((1, -2), 0)"),
    (lambda: fn.Conv2D(2, 3, padding=(1,)), "Conv2D.padding: expected one entry for each of 2 axes, got 1"),
    (
        lambda: fn.Conv2D(2, 3, padding="causal"),
        "Conv2D.padding: 'causal' is for the time axis only; expected 'same', 'valid' or numbers",
    ),
    (lambda: fn.Conv2D(3, 3, groups=2), "Conv2D.groups: must divide the 3 filters, got 2"),
    (lambda: fn.ConvTranspose2D(3, 3, groups=2), "ConvTranspose2D.groups: must divide the 3 filters, got 2"),
    (
        lambda: fn.ConvTranspose1D(3, 3, strides=2, padding=1, output_padding=2),
        "ConvTranspose1D.output_padding: must be smaller than the strides or the dilation, got 2",
    ),
    (
        lambda: fn.ConvTranspose1D(3, 3, strides=2, output_padding=1),
        "ConvTranspose1D.output_padding: is fixed by padding 'same'; leave it out, or give the padding as numbers",
    ),
    (lambda: fn.ConvTranspose1D(3, 3, output_padding=-1), "ConvTranspose1D.output_padding: must be 0 or more, got -1"),
]


@pytest.mark.parametrize(("make", "message"), SPEC_ERRORS, ids=[message[:50] for _, message in SPEC_ERRORS])
def test_fields_that_make_no_sense(make, message):
    with pytest.raises(fn.SpecError) as caught:
        make()
    assert message in str(caught.value)


SHAPE_ERRORS = [
    (
        fn.Conv2D(2, 3, padding="valid"),
        (5, 2, 1),
        "Conv2D: expected windows no longer than the padded input, got a window of 3 over axis 1 of length 2 with "
        "padding (0, 0); make the window or its dilation smaller, or pad more",
    ),
    (
        fn.Conv1D(2, 3, dilation=4, padding=1),
        (6, 1),
        "Conv1D: expected windows no longer than the padded input, got a window of 9 over axis 0 of length 6 with "
        "padding (1, 1); make the window or its dilation smaller, or pad more",
    ),
    (
        fn.Conv2D(2, 3),
        (28, 28),
        "Conv2D: expected inputs of shape (height, width, channels), got (28, 28); "
        "for one channel put a Reshape to (28, 28, 1) before it",
    ),
    (fn.Conv1D(2, 3), (4, 4, 1), "Conv1D: expected inputs of shape (time, features), got (4, 4, 1)"),
    (
        fn.Conv2D(4, 3, groups=2),
        (4, 4, 3),
        "Conv2D: expected channels divisible by 2 groups, got 3; change groups or the channels",
    ),
    (
        fn.ConvTranspose1D(1, 3, padding=2),
        (1, 1),
        "ConvTranspose1D: expected an output of length 1 or more, got -1 over axis 0 of length 1: padding (2, 2) "
        "removes all of it; pad less",
    ),
    (
        fn.Conv2D(2, 3),
        ((4, 4, 1), (2,)),
        "Conv2D: expected one array, got the shapes ((4, 4, 1), (2,)); combine them with Concat or Sum first",
    ),
]


@pytest.mark.parametrize(("layer", "in_shape", "message"), SHAPE_ERRORS, ids=[str(e[0])[:40] for e in SHAPE_ERRORS])
def test_inputs_that_do_not_fit(layer, in_shape, message):
    for ask in (layer.out_shape, lambda shape: layer.init(fn.Key(0), shape)):
        with pytest.raises(fn.ShapeError) as caught:
            ask(in_shape)
        assert str(caught.value) == message


def test_integers_are_refused():
    layer = fn.Conv1D(1, 1)
    params, state = layer.init(fn.Key(0), (3, 1))
    with pytest.raises(fn.ShapeError) as caught:
        fn.predict(layer, params, state, np.ones((2, 3, 1), int))
    assert str(caught.value) == (
        "Conv1D: expected floating-point input, got int64; give floats, and scale pixels by 1 / 255"
    )
