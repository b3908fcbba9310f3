"""Rearranging and the affine layers of one number a feature, by hand, and every mistake in its words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import funcnet as fn
from tests.table import same


def run(layer: fn.Layer, x: Any, dy: Any, params: Any = None) -> tuple[Any, Any, Any]:
    y, _, residuals = layer.apply(params or {}, {}, x, fn.EVAL)
    return y, *layer.vjp(params or {}, residuals, dy)


def test_permute_counts_from_the_first_axis_after_the_batch() -> None:
    x, dy = fn.Key(1).normal((4, 2, 3, 5)), fn.Key(2).normal((4, 5, 2, 3))
    y, dparams, dx = run(fn.Permute((2, 0, 1)), x, dy)
    np.testing.assert_array_equal(y, np.moveaxis(x, 3, 1))  # its own inverse it is not
    np.testing.assert_array_equal(dx, np.moveaxis(dy, 1, 3))
    assert dparams == {}
    assert fn.Permute((2, 0, 1)).out_shape((2, 3, 5)) == (5, 2, 3)


def test_permute_rearranges_integers_too() -> None:
    x = np.arange(12).reshape(2, 2, 3)
    y, _, residuals = fn.Permute((1, 0)).apply({}, {}, x, fn.EVAL)
    assert y.dtype == x.dtype
    np.testing.assert_array_equal(y, x.swapaxes(1, 2))
    assert fn.serial(fn.Permute((1, 0))).vjp({}, (residuals,), None)[1] is None


def test_pad_by_hand() -> None:
    x = np.array([[[[1.0], [2.0]]]])
    dy = np.arange(1.0, 13.0).reshape(1, 3, 4, 1)
    y, dparams, dx = run(fn.Pad(((0, 2), 1), value=9.0), x, dy)
    np.testing.assert_array_equal(y[0, ..., 0], [[9, 1, 2, 9], [9, 9, 9, 9], [9, 9, 9, 9]])
    np.testing.assert_array_equal(dx[0, ..., 0], [[2, 3]])
    assert dparams == {}


def test_crop_by_hand() -> None:
    x = np.arange(12.0).reshape(1, 3, 4, 1)
    y, dparams, dx = run(fn.Crop(((1, 0), (0, 3))), x, np.array([[[[5.0]], [[7.0]]]]))
    np.testing.assert_array_equal(y[0, ..., 0], [[4], [8]])
    np.testing.assert_array_equal(dx[0, ..., 0], [[0, 0, 0, 0], [5, 0, 0, 0], [7, 0, 0, 0]])
    assert dparams == {}


@pytest.mark.parametrize("margins", [1, (2, 1), ((1, 0), (0, 2)), 0, ((0, 0), 3)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_crop_takes_off_what_pad_put_on_and_each_is_the_others_vjp(margins: Any, dtype: Any) -> None:
    x = fn.Key(1).normal((2, 3, 4, 2), dtype)
    pad, crop = fn.Pad(margins), fn.Crop(margins)
    wide, _, padded = pad.apply({}, {}, x, fn.EVAL)
    back, _, cropped = crop.apply({}, {}, wide, fn.EVAL)
    assert same(back, x)
    assert same(pad.vjp({}, padded, wide)[1], x)
    assert same(crop.vjp({}, cropped, x)[1], wide)
    assert np.sum(wide) == pytest.approx(np.sum(x), rel=1e-5)


def test_pad_and_crop_leave_the_features_alone() -> None:
    assert fn.Pad(1).out_shape((2, 3)) == (4, 3)
    assert fn.Pad((1, (0, 2))).out_shape((2, 5, 3)) == (4, 7, 3)
    assert fn.Crop((1, (0, 2))).out_shape((4, 7, 3)) == (2, 5, 3)


def test_bias_and_scale_by_hand() -> None:
    x, dy = np.array([[[1.0, 2.0], [3.0, 4.0]]]), np.array([[[1.0, 10.0], [100.0, 1000.0]]])
    y, dparams, dx = run(fn.Bias(), x, dy, {"bias": np.array([0.5, -1.0])})
    np.testing.assert_array_equal(y, [[[1.5, 1.0], [3.5, 3.0]]])
    np.testing.assert_array_equal(dparams["bias"], [101.0, 1010.0])
    np.testing.assert_array_equal(dx, dy)
    y, dparams, dx = run(fn.Scale(), x, dy, {"scale": np.array([0.5, -1.0])})
    np.testing.assert_array_equal(y, [[[0.5, -2.0], [1.5, -4.0]]])
    np.testing.assert_array_equal(dparams["scale"], [301.0, 4020.0])
    np.testing.assert_array_equal(dx, [[[0.5, -10.0], [50.0, -1000.0]]])


def test_bias_and_scale_start_as_the_identity() -> None:
    x = fn.Key(1).normal((4, 3), np.float32)
    for layer in (fn.Bias(), fn.Scale()):
        assert same(layer.apply(*layer.init(fn.Key(0), (3,)), x, fn.EVAL)[0], x)


# ----- what is refused ------------------------------------------------------------------------------------

FEATURES = (
    "expected an input with at least 1 axis after the batch axis, got shape (); "
    "give each sample an axis of features, also for a single one"
)
VECTOR = (
    "expected an input of one or more axes and features, got shape {}; the last axis is never changed, "
    "so put a Reshape((…, 1)) before it to change a vector"
)
NO_SUCH_AXES = "expected an input of {} axes and features, got shape {}; give one entry for each axis but the last"

BAD_SHAPES: dict[str, tuple[fn.Layer, Any, str]] = {
    "permute of fewer axes": (
        fn.Permute((1, 0)),
        (2,),
        "Permute: expected an input of 2 axes for axes=(1, 0), got shape (2,); name every axis",
    ),
    "permute of more axes": (
        fn.Permute((1, 0)),
        (2, 3, 4),
        "Permute: expected an input of 2 axes for axes=(1, 0), got shape (2, 3, 4); name every axis",
    ),
    "pad of a vector": (fn.Pad(1), (5,), f"Pad: {VECTOR.format((5,))}"),
    "pad of a scalar": (fn.Pad(1), (), f"Pad: {VECTOR.format(())}"),
    "crop of a vector": (fn.Crop(1), (5,), f"Crop: {VECTOR.format((5,))}"),
    "pad of other axes": (fn.Pad((1, 2)), (5, 3), f"Pad: {NO_SUCH_AXES.format(2, (5, 3))}"),
    "crop of other axes": (fn.Crop((1,)), (5, 4, 3), f"Crop: {NO_SUCH_AXES.format(1, (5, 4, 3))}"),
    "crop of all there is": (
        fn.Crop(1),
        (3, 2, 1),
        "Crop: expected an input larger than the cropping, ((1, 1), (1, 1)), got shape (3, 2, 1); crop less",
    ),
    "bias without features": (fn.Bias(), (), f"Bias: {FEATURES}"),
    "scale without features": (fn.Scale(), (), f"Scale: {FEATURES}"),
    "pad of a tuple": (
        fn.Pad(1),
        ((3, 2),),
        "Pad: expected one array, got the shapes ((3, 2),); combine them with Concat or Sum first",
    ),
}


@pytest.mark.parametrize("name", BAD_SHAPES)
def test_a_shape_that_does_not_fit_is_refused(name: str) -> None:
    layer, in_shape, message = BAD_SHAPES[name]
    for call in (layer.out_shape, lambda shape: layer.init(fn.Key(0), shape)):
        with pytest.raises(fn.ShapeError) as caught:
            call(in_shape)
        assert str(caught.value) == message


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: fn.Permute((1, 2)), "Permute.axes: expected each of 0 to 1 once, got [1, 2]"),
        (lambda: fn.Permute((0, 0)), "Permute.axes: expected each of 0 to 1 once, got [0, 0]"),
        (lambda: fn.Permute((-1, 0)), "Permute.axes: expected each of 0 to 1 once, got [-1, 0]"),
        (lambda: fn.Pad(-1), "Pad.padding: must be zero or more, got -1"),
        (lambda: fn.Pad(((1, -2),)), "Pad.padding: must be zero or more, got ((1, -2),)"),
        (lambda: fn.Pad(((1, 2, 3),)), "Pad.padding[0]: expected an integer or a list of 2 items, got (1, 2, 3)"),
        (
            lambda: fn.Pad("same"),
            'Pad.padding: expected an integer or a list, each item an integer or a list of 2 items, got "same"',
        ),
        (lambda: fn.Crop((1, -1)), "Crop.cropping: must be zero or more, got (1, -1)"),
    ],
)
def test_a_field_out_of_range_is_refused(make: Any, message: str) -> None:
    with pytest.raises(fn.SpecError) as caught:
        make()
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "layer", [fn.Pad(1), fn.Crop(0), fn.Bias(), fn.Scale()], ids=lambda layer: type(layer).__name__
)
def test_integers_are_refused(layer: fn.Layer) -> None:
    params, state = layer.init(fn.Key(0), (2, 3))
    with pytest.raises(fn.ShapeError) as caught:
        layer.apply(params, state, np.ones((4, 2, 3), np.int64), fn.EVAL)
    assert str(caught.value) == (
        f"{type(layer).__name__}: expected floating-point input, got int64; give floats, and scale pixels by 1 / 255"
    )
