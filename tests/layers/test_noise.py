"""Noise: what falls together, how often, how large it is, where it does nothing, and every mistake in its words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import funcnet as fn

TRAIN = fn.Context(True, fn.Key(3))
NOISE = [fn.SpatialDropout(0.3), fn.StochasticDepth(0.3), fn.GaussianNoise(0.3)]
IDLE = [fn.SpatialDropout(0.0), fn.StochasticDepth(0.0), fn.GaussianNoise(0.0)]


def name_of(layer: fn.Layer) -> str:
    return type(layer).__name__


def run(layer: fn.Layer, x: Any, dy: Any, ctx: fn.Context = TRAIN) -> tuple[Any, Any]:
    y, state, residuals = layer.apply({}, {}, x, ctx)
    dparams, dx = layer.vjp({}, residuals, dy)
    assert (dparams, state) == ({}, {})
    return y, dx


@pytest.mark.parametrize("positions", [(), (5,), (3, 4), (2, 3, 2)])
def test_spatial_dropout_drops_whole_feature_maps(positions: tuple[int, ...]) -> None:
    x = 1.0 + fn.Key(1).uniform((200, *positions, 50))
    y, dx = run(fn.SpatialDropout(0.25), x, x)
    axes = tuple(range(1, x.ndim - 1))
    kept = (y != 0.0).all(axis=axes)
    np.testing.assert_array_equal(kept, (y != 0.0).any(axis=axes))  # of one map all or nothing
    assert abs(kept.mean() - 0.75) < 3 * np.sqrt(0.25 * 0.75 / kept.size)
    assert len({row.tobytes() for row in kept}) == 200  # each sample its own maps
    np.testing.assert_allclose(y[y != 0.0], x[y != 0.0] / 0.75, rtol=1e-15)
    np.testing.assert_array_equal(dx, y)


@pytest.mark.parametrize("shape", [(), (5,), (3, 4, 2)])
def test_stochastic_depth_drops_whole_samples(shape: tuple[int, ...]) -> None:
    x = 1.0 + fn.Key(1).uniform((10_000, *shape))
    y, dx = run(fn.StochasticDepth(0.2), x, x)
    axes = tuple(range(1, x.ndim))
    kept = (y != 0.0).all(axis=axes)
    np.testing.assert_array_equal(kept, (y != 0.0).any(axis=axes))
    assert abs(kept.mean() - 0.8) < 3 * np.sqrt(0.2 * 0.8 / 10_000)
    np.testing.assert_allclose(y[kept], x[kept] / 0.8, rtol=1e-15)
    np.testing.assert_array_equal(dx, y)


def test_stochastic_depth_in_a_residual_leaves_the_shortcut() -> None:
    net = fn.Residual(fn.serial(fn.Dense(3), fn.StochasticDepth(0.5)))
    params, state = net.init(fn.Key(0), (3,), np.float64)
    x = fn.Key(1).normal((400, 3))
    y = net.apply(params, state, x, TRAIN)[0]
    branch = 2.0 * (x @ params["dense_0"]["weight"] + params["dense_0"]["bias"])
    shortcut = (y == x).all(axis=1)
    assert 140 < shortcut.sum() < 260
    np.testing.assert_allclose(y[~shortcut], (x + branch)[~shortcut], rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gaussian_noise_has_its_deviation(dtype: Any) -> None:
    x = np.full((1000, 200), 5.0, dtype)
    dy = fn.Key(2).normal(x.shape, dtype)
    y, dx = run(fn.GaussianNoise(0.25), x, dy)
    noise = (y - x).astype(np.float64)
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, x + 0.25 * TRAIN.draw().normal(x.shape, dtype))
    assert abs(noise.mean()) < 3 * 0.25 / np.sqrt(noise.size)
    assert abs(noise.std() - 0.25) < 3 * 0.25 / np.sqrt(2 * noise.size)
    assert dx is dy


@pytest.mark.parametrize(
    ("layer", "ctx"), [*((layer, fn.EVAL) for layer in NOISE), *((layer, TRAIN) for layer in IDLE)]
)
def test_the_input_itself_passes_where_nothing_is_done(layer: fn.Layer, ctx: fn.Context) -> None:
    x = np.ones((2, 3, 4))
    y, dx = run(layer, x, x, ctx)
    assert y is x
    assert dx is x


@pytest.mark.parametrize("layer", [fn.SpatialDropout(0.5), fn.StochasticDepth(0.5)], ids=name_of)
def test_nothing_passes_of_what_is_dropped_not_even_infinity(layer: fn.Layer) -> None:
    x = np.full((400, 1, 2), np.inf)
    y, dx = run(layer, x, x)
    assert set(np.unique(y).tolist()) == {0.0, np.inf}
    np.testing.assert_array_equal(dx, y)


# ----- what is refused ------------------------------------------------------------------------------------


@pytest.mark.parametrize("layer", NOISE, ids=name_of)
def test_training_wants_a_key(layer: fn.Layer) -> None:
    with pytest.raises(fn.KeyRequired) as caught:
        layer.apply({}, {}, np.ones((2, 3)), fn.Context(True))
    assert str(caught.value) == (
        "draws random numbers in training and the context has no key; "
        "expected Context(train=True, key=fn.Key(seed)), got key=None"
    )


@pytest.mark.parametrize("layer", NOISE, ids=name_of)
@pytest.mark.parametrize("ctx", [fn.EVAL, TRAIN], ids=["eval", "train"])
def test_integers_are_refused(layer: fn.Layer, ctx: fn.Context) -> None:
    with pytest.raises(fn.ShapeError) as caught:
        layer.apply({}, {}, np.ones((2, 3), np.int64), ctx)
    assert str(caught.value) == (
        f"{name_of(layer)}: expected floating-point input, got int64; give floats, and scale pixels by 1 / 255"
    )


def test_spatial_dropout_wants_features() -> None:
    with pytest.raises(fn.ShapeError) as caught:
        fn.SpatialDropout(0.5).out_shape(())
    assert str(caught.value) == (
        "SpatialDropout: expected an input with at least 1 axis after the batch axis, got shape (); "
        "give each sample an axis of features, also for a single one"
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: fn.SpatialDropout(1.0), "SpatialDropout.rate: must be at least 0 and below 1, got 1.0"),
        (lambda: fn.SpatialDropout(-0.1), "SpatialDropout.rate: must be at least 0 and below 1, got -0.1"),
        (lambda: fn.StochasticDepth(1.5), "StochasticDepth.rate: must be at least 0 and below 1, got 1.5"),
        (lambda: fn.GaussianNoise(-1.0), "GaussianNoise.deviation: must be zero or more, got -1.0"),
    ],
)
def test_a_field_out_of_range_is_refused(make: Any, message: str) -> None:
    with pytest.raises(fn.SpecError) as caught:
        make()
    assert str(caught.value) == message
