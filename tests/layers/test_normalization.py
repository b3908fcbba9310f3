"""Normalizations by hand, far from 0, where they are degenerate, frozen, and every mistake in its words."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import funcnet as fn
from tests.table import same

TRAIN = fn.Context(True, fn.Key(3))
BARE = {"use_scale": False, "use_bias": False}
WITHIN: dict[str, tuple[fn.Layer, tuple[int, ...]]] = {
    "layer_norm": (fn.LayerNorm(**BARE), (3,)),
    "layer_norm_axes": (fn.LayerNorm(axes=2, **BARE), (2, 3)),
    "group_norm": (fn.GroupNorm(2, **BARE), (1, 3)),
    "instance_norm": (fn.InstanceNorm(**BARE), (1, 2)),
}
"""A normalization within each sample, and the axes of (batch, 3, 4, 6) or of its groups that it takes together"""


def run(layer: fn.Layer, x: Any, dy: Any, params: Any = None, ctx: fn.Context = fn.EVAL) -> tuple[Any, Any, Any]:
    y, _, residuals = layer.apply(params or {}, {}, x, ctx)
    return y, *layer.vjp(params or {}, residuals, dy)


# ----- by hand --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WITHIN)
def test_what_is_normalized_together_has_mean_0_and_variance_1(name: str) -> None:
    layer, axes = WITHIN[name]
    x = 3.0 * fn.Key(1).normal((5, 3, 4, 6)) + 2.0
    y = layer.apply({}, {}, x, fn.EVAL)[0]
    grouped = y.reshape(5, 12, 2, 3) if name == "group_norm" else y
    np.testing.assert_allclose(grouped.mean(axis=axes), 0.0, atol=1e-13)
    np.testing.assert_allclose(grouped.var(axis=axes), 1.0, rtol=1e-4)


def test_layer_norm_by_hand() -> None:
    """x̂ = ±1, and dx = r (g - mean(g) - x̂ mean(x̂ g)) is 0 for two values, which always land on ±1."""
    layer = fn.LayerNorm(eps=1e-12)
    params = {"scale": np.array([2.0, 3.0]), "bias": np.array([10.0, 0.0])}
    y, dparams, dx = run(layer, np.array([[1.0, 5.0]]), np.array([[1.0, 7.0]]), params)
    np.testing.assert_allclose(y, [[8.0, 3.0]], rtol=1e-11)
    np.testing.assert_allclose(dparams["scale"], [-1.0, 7.0], rtol=1e-11)
    np.testing.assert_allclose(dparams["bias"], [1.0, 7.0])
    np.testing.assert_allclose(dx, [[0.0, 0.0]], atol=1e-10)


def test_rms_norm_by_hand() -> None:
    """The root of the mean square of (3, 4) with eps 12 ½: √(12.5 + 12.5) = 5."""
    layer = fn.RMSNorm(eps=12.5)
    y, dparams, dx = run(layer, np.array([[3.0, 4.0]]), np.array([[1.0, 1.0]]), {"scale": np.array([10.0, 100.0])})
    np.testing.assert_allclose(y, [[6.0, 80.0]], rtol=1e-15)
    np.testing.assert_allclose(dparams["scale"], [0.6, 0.8], rtol=1e-15)
    along = (0.6 * 10.0 + 0.8 * 100.0) / 2
    np.testing.assert_allclose(dx, [[(10.0 - 0.6 * along) / 5, (100.0 - 0.8 * along) / 5]], rtol=1e-14)


def test_rms_norm_leaves_the_mean_in() -> None:
    y = fn.RMSNorm(**BARE).apply({}, {}, np.full((1, 4), 7.0), fn.EVAL)[0]
    np.testing.assert_allclose(y, 1.0, rtol=1e-7)


@pytest.mark.parametrize("positions", [(), (3,), (2, 3)])
def test_one_group_and_layer_norm_over_everything_agree(positions: tuple[int, ...]) -> None:
    x = fn.Key(1).normal((4, *positions, 6))
    dy = fn.Key(2).normal(x.shape)
    one, every = fn.GroupNorm(1, **BARE), fn.LayerNorm(axes=len(positions) + 1, **BARE)
    for got, expected in zip(run(one, x, dy), run(every, x, dy), strict=True):
        if isinstance(got, np.ndarray):
            np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-14)


def test_as_many_groups_as_features_and_instance_norm_agree() -> None:
    x, dy = fn.Key(1).normal((4, 3, 2, 6)), fn.Key(2).normal((4, 3, 2, 6))
    pairs = zip(run(fn.GroupNorm(6, **BARE), x, dy), run(fn.InstanceNorm(**BARE), x, dy), strict=True)
    for got, expected in pairs:
        if isinstance(got, np.ndarray):
            np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-14)


def test_groups_are_of_neighbouring_features() -> None:
    x = np.array([[0.0, 2.0, 10.0, 14.0]])
    y = fn.GroupNorm(2, eps=1e-12, **BARE).apply({}, {}, x, fn.EVAL)[0]
    np.testing.assert_allclose(y, [[-1.0, 1.0, -1.0, 1.0]], rtol=1e-10)


# ----- edges ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WITHIN)
def test_variance_is_that_of_centred_values(name: str) -> None:
    """mean(x²) - mean(x)² would be all rounding, in float32 beside 4096."""
    layer, _ = WITHIN[name]
    small = np.round(64 * fn.Key(1).normal((2, 3, 4, 6))) / 64  # with 4096 added they are exact in float32
    far, near = (layer.apply({}, {}, (small + shift).astype(np.float32), fn.EVAL)[0] for shift in (4096.0, 0.0))
    np.testing.assert_allclose(far, near, atol=2e-3)


@pytest.mark.parametrize("name", WITHIN)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_constant_sample_gives_0_and_bounded_gradients(name: str, dtype: Any) -> None:
    layer, _ = WITHIN[name]
    x = np.full((2, 3, 4, 6), 0.5, dtype)
    y, _, dx = run(layer, x, fn.Key(2).normal(x.shape, dtype))
    np.testing.assert_array_equal(y, np.zeros_like(x))
    assert np.abs(dx).max() < 10.0 / math.sqrt(1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rms_norm_of_zeros(dtype: Any) -> None:
    x = np.zeros((2, 3), dtype)
    y, _, dx = run(fn.RMSNorm(**BARE), x, np.ones_like(x))
    np.testing.assert_array_equal(y, x)
    np.testing.assert_allclose(dx, 1.0 / math.sqrt(1e-6), rtol=1e-6)


def test_layer_norm_of_one_feature_is_its_bias() -> None:
    params = {"scale": np.array([2.0]), "bias": np.array([0.25])}
    y, _, dx = run(fn.LayerNorm(), np.array([[5.0], [-3.0]]), np.ones((2, 1)), params)
    np.testing.assert_array_equal(y, [[0.25], [0.25]])
    np.testing.assert_array_equal(dx, [[0.0], [0.0]])


# ----- frozen batch norm ----------------------------------------------------------------------------------


def test_frozen_batch_norm_trains_as_it_evaluates() -> None:
    frozen, plain = fn.BatchNorm(frozen=True), fn.BatchNorm()
    params = {"scale": np.array([2.0, 0.5]), "bias": np.array([1.0, -1.0])}
    state = {"running_mean": np.array([3.0, 0.0]), "running_var": np.array([4.0, 0.25])}
    x, dy = fn.Key(1).normal((5, 2)), fn.Key(2).normal((5, 2))
    y, new, residuals = frozen.apply(params, state, x, TRAIN)
    expected, _, evaluated = plain.apply(params, state, x, fn.EVAL)
    assert same(y, expected)
    assert same(new, state)
    assert same(frozen.vjp(params, residuals, dy), plain.vjp(params, evaluated, dy))
    trained = plain.apply(params, state, x, TRAIN)
    assert not same(trained[0], y)
    assert not same(trained[1], state)


def test_frozen_batch_norm_takes_a_batch_of_one() -> None:
    layer = fn.BatchNorm(frozen=True)
    params, state = layer.init(fn.Key(0), (2,), np.float64)
    y, new, _ = layer.apply(params, state, np.array([[3.0, -1.0]]), fn.Context(True))
    np.testing.assert_allclose(y, np.array([[3.0, -1.0]]) / math.sqrt(1.0 + 1e-5), rtol=1e-15)
    assert same(new, state)


# ----- what is refused ------------------------------------------------------------------------------------

FEATURES = (
    "expected an input with at least 1 axis after the batch axis, got shape (); "
    "give each sample an axis of features, also for a single one"
)
POSITIONS = (
    "InstanceNorm: expected at least 2 positions to normalize over, got shape {}, whose features would all "
    "become 0; use LayerNorm"
)
LONE = (
    "GroupNorm: expected at least 2 values in a group to normalize over, got shape {} in 6 groups, "
    "whose values would all become 0; use fewer groups"
)

BAD_SHAPES: dict[str, tuple[fn.Layer, Any, str]] = {
    "layer norm without features": (fn.LayerNorm(), (), f"LayerNorm: {FEATURES}"),
    "rms norm without features": (fn.RMSNorm(), (), f"RMSNorm: {FEATURES}"),
    "group norm without features": (fn.GroupNorm(1), (), f"GroupNorm: {FEATURES}"),
    "instance norm without features": (fn.InstanceNorm(), (), f"InstanceNorm: {FEATURES}"),
    "layer norm over too many axes": (
        fn.LayerNorm(axes=2),
        (3,),
        "LayerNorm: expected an input of 2 or more axes after the batch axis for axes=2, got shape (3,); "
        "normalize over fewer axes",
    ),
    "rms norm over too many axes": (
        fn.RMSNorm(axes=3),
        (2, 3),
        "RMSNorm: expected an input of 3 or more axes after the batch axis for axes=3, got shape (2, 3); "
        "normalize over fewer axes",
    ),
    "groups that do not divide": (
        fn.GroupNorm(4),
        (2, 6),
        "GroupNorm: expected features divisible by 4 groups, got 6; change groups or the features",
    ),
    "more groups than features": (
        fn.GroupNorm(),
        (16,),
        "GroupNorm: expected features divisible by 32 groups, got 16; change groups or the features",
    ),
    "groups of one value": (fn.GroupNorm(6), (6,), LONE.format((6,))),
    "groups of one value at one position": (fn.GroupNorm(6), (1, 1, 6), LONE.format((1, 1, 6))),
    "instance norm without positions": (fn.InstanceNorm(), (6,), POSITIONS.format((6,))),
    "instance norm of one position": (fn.InstanceNorm(), (1, 1, 6), POSITIONS.format((1, 1, 6))),
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
        (lambda: fn.LayerNorm(eps=0.0), "LayerNorm.eps: must be positive, got 0.0"),
        (lambda: fn.LayerNorm(axes=0), "LayerNorm.axes: must be positive, got 0"),
        (lambda: fn.RMSNorm(eps=-1e-6), "RMSNorm.eps: must be positive, got -1e-06"),
        (lambda: fn.GroupNorm(0), "GroupNorm.groups: must be positive, got 0"),
        (lambda: fn.GroupNorm(2.0), "GroupNorm.groups: expected an integer, got 2.0"),
        (lambda: fn.InstanceNorm(eps=0.0), "InstanceNorm.eps: must be positive, got 0.0"),
        (lambda: fn.BatchNorm(frozen=None), "BatchNorm.frozen: expected true or false, got null"),
    ],
)
def test_a_field_out_of_range_is_refused(make: Any, message: str) -> None:
    with pytest.raises(fn.SpecError) as caught:
        make()
    assert str(caught.value) == message


LAYERS = [fn.LayerNorm(), fn.RMSNorm(), fn.GroupNorm(1), fn.InstanceNorm(), fn.BatchNorm(frozen=True)]


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: type(layer).__name__)
def test_integers_are_refused(layer: fn.Layer) -> None:
    params, state = layer.init(fn.Key(0), (2, 3))
    with pytest.raises(fn.ShapeError) as caught:
        layer.apply(params, state, np.ones((4, 2, 3), np.int64), TRAIN)
    assert str(caught.value) == (
        f"{type(layer).__name__}: expected floating-point input, got int64; give floats, and scale pixels by 1 / 255"
    )
