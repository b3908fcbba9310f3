"""Activations at their kinks, their tails and ±1e4, gates, trained slopes, and every mistake in their words."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import funcnet as fn
from funcnet import ops
from tests.golden import cast
from tests.rows.activations import EDGES
from tests.table import ACTIVATIONS

DTYPES = [np.float32, np.float64]


def run(layer: fn.Layer, x: Any, dy: Any, params: Any = None) -> tuple[Any, Any, Any]:
    y, _, residuals = layer.apply(params or {}, {}, x, fn.EVAL)
    return y, *layer.vjp(params or {}, residuals, dy)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", EDGES)
def test_activation_at_its_edges(name: str, dtype: Any) -> None:
    layer, table, exact = EDGES[name]
    entries = [(-0.0, table[0.0]), *table.items()]
    x = np.array([[entry for entry, _ in entries]], dtype)
    y, dparams, dx = run(layer, x, np.full_like(x, 3.0))
    assert dparams == {}
    assert y.dtype == dx.dtype == dtype
    eps = 0.0 if exact else 4 * float(np.finfo(dtype).eps)
    values, slopes = (np.array([[pair[i] for _, pair in entries]], dtype) for i in (0, 1))
    np.testing.assert_allclose(y, values, rtol=eps, atol=0)
    np.testing.assert_allclose(dx, 3.0 * slopes, rtol=eps, atol=0)


AT_NAN: dict[fn.Layer, float] = {  # dx for dy = 3, from PyTorch 2.13
    fn.Relu(): 3.0,
    fn.LeakyRelu(): 0.03,
    fn.Relu6(): 3.0,
    fn.Elu(): 3.0,
    fn.Selu(): 3.1521029620664414,
    fn.Celu(2.0): 3.0,
    fn.HardSigmoid(): 0.0,
    fn.HardSwish(): 3.0,
    fn.HardTanh(): 3.0,
}
SMOOTH = (
    fn.Sigmoid(), fn.Tanh(), fn.Gelu(), fn.Gelu(True), fn.Silu(), fn.Mish(), fn.Softplus(), fn.LogSigmoid(),
    fn.Softsign(),
)  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "layer",
    [*AT_NAN, *SMOOTH],
    ids=str,
)
def test_nan_stays_nan_and_its_slope_is_pytorchs(layer: fn.Layer, dtype: Any) -> None:
    y, _, dx = run(layer, np.full((1, 1), np.nan, dtype), np.full((1, 1), 3.0, dtype))
    assert np.isnan(y).all()
    np.testing.assert_allclose(dx, np.full((1, 1), AT_NAN.get(layer, np.nan)), rtol=4 * float(np.finfo(dtype).eps))


@pytest.mark.parametrize("layer", ACTIVATIONS, ids=lambda layer: type(layer).__name__)
def test_float32_is_finite_and_near_float64_all_the_way(layer: fn.Layer) -> None:
    """Without a warning on the way: those are errors here."""
    x = np.concatenate([s * np.logspace(-6, 4, 101) for s in (-1, 1)]).astype(np.float32).reshape(1, -1)
    params, _ = layer.init(fn.Key(0), (x.shape[-1],))
    y, _, _ = layer.apply(params, {}, x, fn.EVAL)
    narrow = run(layer, x, np.ones_like(y), params)
    wide = run(layer, x.astype(np.float64), np.ones(y.shape), cast(params, np.float64))
    for got, exact in zip(narrow, wide, strict=True):
        if isinstance(got, np.ndarray):
            assert got.dtype == np.float32
            np.testing.assert_allclose(got, exact, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("sign", [-1, 1])
def test_tails_keep_what_is_small(sign: int) -> None:
    """log σ and softplus fall off as exp(-|x|), which is not rounded to 0 beside 1."""
    x = np.array([[50.0, 200.0, 700.0]])
    layer = fn.LogSigmoid() if sign > 0 else fn.Softplus()
    y, _, dx = run(layer, sign * x, np.ones_like(x))
    np.testing.assert_allclose(y, -sign * np.exp(-x), rtol=1e-14)
    np.testing.assert_allclose(dx, np.exp(-x), rtol=1e-14)


def test_expm1_keeps_what_is_near_zero() -> None:
    x = np.array([[-1e-12]])
    for layer in (fn.Elu(), fn.Celu(2.0)):
        np.testing.assert_allclose(run(layer, x, x)[0], x, rtol=1e-11)


def test_erf_is_that_of_the_standard_library() -> None:
    x = np.concatenate([np.linspace(-7.0, 7.0, 2801), [0.84375, 1.25, 1 / 0.35, 6.0, 1e-300, -1e-300, np.inf, -np.inf]])
    np.testing.assert_allclose(ops.erf(x), [math.erf(v) for v in x], rtol=1e-15, atol=1e-15)


# ----- a trained slope ------------------------------------------------------------------------------------


def test_prelu_by_hand() -> None:
    x, dy = np.array([[-2.0, 0.0, 3.0], [-1.0, -4.0, 0.0]]), np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    y, dparams, dx = run(fn.PRelu(), x, dy, {"slope": np.array([0.5, 0.25, -1.0])})
    np.testing.assert_array_equal(y, [[-1.0, 0.0, 3.0], [-0.5, -1.0, 0.0]])
    np.testing.assert_array_equal(dx, [[0.5, 0.5, 3.0], [2.0, 1.25, -6.0]])  # at 0 the slope, as in PyTorch
    np.testing.assert_array_equal(dparams["slope"], [-6.0, -20.0, 0.0])


def test_prelu_shared_by_hand() -> None:
    x, dy = np.array([[-2.0, 1.0], [3.0, -1.0]]), np.array([[1.0, 2.0], [3.0, 4.0]])
    y, dparams, dx = run(fn.PRelu(shared=True), x, dy, {"slope": np.array(0.5)})
    np.testing.assert_array_equal(y, [[-1.0, 1.0], [3.0, -0.5]])
    np.testing.assert_array_equal(dx, [[0.5, 2.0], [3.0, 2.0]])
    assert (dparams["slope"].shape, float(dparams["slope"])) == ((), -6.0)


@pytest.mark.parametrize(("layer", "shape"), [(fn.PRelu(), (3,)), (fn.PRelu(shared=True), ())])
def test_prelu_starts_at_a_quarter(layer: fn.Layer, shape: Any) -> None:
    params, state = layer.init(fn.Key(0), (2, 3))
    assert (params["slope"].shape, state) == (shape, {})
    np.testing.assert_array_equal(params["slope"], np.full(shape, 0.25, np.float32))


# ----- gates ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layer", "gate"), [(fn.Glu(), fn.Sigmoid()), (fn.SwiGlu(), fn.Silu()), (fn.GeGlu(), fn.Gelu())]
)
def test_the_second_half_is_the_gate(layer: fn.Layer, gate: fn.Layer) -> None:
    x, dy = fn.Key(1).normal((4, 3, 6)), fn.Key(2).normal((4, 3, 3))
    a, b = x[..., :3], x[..., 3:]
    f, _, df = run(gate, b, a * dy)
    y, dparams, dx = run(layer, x, dy)
    assert dparams == {}
    np.testing.assert_allclose(y, a * f, rtol=1e-15)
    np.testing.assert_allclose(dx, np.concatenate([f * dy, df], axis=-1), rtol=1e-14)


# ----- what is refused ------------------------------------------------------------------------------------

FEATURES = (
    "expected an input with at least 1 axis after the batch axis, got shape (); "
    "give each sample an axis of features, also for a single one"
)


@pytest.mark.parametrize(
    ("layer", "in_shape", "message"),
    [
        *(
            (
                layer,
                (2, 3),
                f"{type(layer).__name__}: expected an even number of features, a value and a gate for each output, "
                "got shape (2, 3); make the layer before it twice as wide as the output",
            )
            for layer in (fn.Glu(), fn.SwiGlu(), fn.GeGlu())
        ),
        (fn.Glu(), (), f"Glu: {FEATURES}"),
        (fn.PRelu(), (), f"PRelu: {FEATURES}"),
        (
            fn.Mish(),
            ((3,),),
            "Mish: expected one array, got the shapes ((3,),); combine them with Concat or Sum first",
        ),
    ],
)  # fmt: skip
def test_a_shape_that_does_not_fit_is_refused(layer: fn.Layer, in_shape: Any, message: str) -> None:
    for call in (layer.out_shape, lambda shape: layer.init(fn.Key(0), shape)):
        with pytest.raises(fn.ShapeError) as caught:
            call(in_shape)
        assert str(caught.value) == message


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: fn.Elu(0.0), "Elu.alpha: must be positive, got 0.0"),
        (lambda: fn.Celu(-1.0), "Celu.alpha: must be positive, got -1.0"),
        (lambda: fn.HardSigmoid(slope=0.0), "HardSigmoid.slope: must be positive, got 0.0"),
        (lambda: fn.HardTanh(1.0, 1.0), "HardTanh.high: must be more than low, 1.0, got 1.0"),
        (lambda: fn.HardTanh(2.0), "HardTanh.high: must be more than low, 2.0, got 1.0"),
        (lambda: fn.PRelu(shared=1), "PRelu.shared: expected true or false, got 1"),
        (lambda: fn.PRelu(slope_init=0.25), "PRelu.slope_init: expected an initializer, got 0.25"),
        (lambda: fn.Elu("1"), 'Elu.alpha: expected a number, got "1"'),
    ],
)
def test_a_field_out_of_range_is_refused(make: Any, message: str) -> None:
    with pytest.raises(fn.SpecError) as caught:
        make()
    assert str(caught.value) == message


@pytest.mark.parametrize("layer", ACTIVATIONS, ids=lambda layer: type(layer).__name__)
@pytest.mark.parametrize("dtype", ["int64", "bool"])
def test_integers_and_booleans_are_refused(layer: fn.Layer, dtype: str) -> None:
    params, state = layer.init(fn.Key(0), (4,))
    with pytest.raises(fn.ShapeError) as caught:
        layer.apply(params, state, np.ones((2, 4), dtype), fn.EVAL)
    assert str(caught.value) == (
        f"{type(layer).__name__}: expected floating-point input, got {dtype}; give floats, and scale pixels by 1 / 255"
    )
