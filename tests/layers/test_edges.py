"""What differences cannot see: kinks, tails, empty batches, extremes, and what is refused; each against its value."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import funcnet as fn
from funcnet import initializers, losses, tree
from funcnet.shapes import batched
from tests.table import ACTIVATIONS, LAYERS, LOSSES, same

DTYPES = [np.float32, np.float64]
FAR = 1e4
TRAIN = fn.Context(True, fn.Key(3))


def run(layer: fn.Layer, x: Any, dy: Any, ctx: fn.Context = fn.EVAL) -> tuple[Any, Any]:
    """Output and cotangent of the input of a layer without params."""
    y, _, residuals = layer.apply({}, {}, x, ctx)
    dparams, dx = layer.vjp({}, residuals, dy)
    assert dparams == {}
    return y, dx


# ----- activations --------------------------------------------------------------------------------------


def test_sigmoid_keeps_its_tail() -> None:
    """e^-700 is a number like any other: nothing small is flushed, forward or backward."""
    x = np.array([[-700.0, -100.0, -37.0]])
    y, dx = run(fn.Sigmoid(), x, np.ones_like(x))
    np.testing.assert_allclose(y, np.exp(x), rtol=1e-15)
    np.testing.assert_allclose(dx, np.exp(x), rtol=1e-15)


def test_gelu_agrees_with_the_error_function_of_the_standard_library() -> None:
    x = np.linspace(-8.0, 8.0, 1601)
    phi = np.array([0.5 * (1.0 + math.erf(v / math.sqrt(2.0))) for v in x])
    density = np.exp(-0.5 * x * x) / math.sqrt(2.0 * math.pi)
    y, dx = run(fn.Gelu(), x[:, None], np.ones((1601, 1)))
    np.testing.assert_allclose(y[:, 0], x * phi, rtol=1e-14, atol=2e-15)
    np.testing.assert_allclose(dx[:, 0], phi + x * density, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("dtype", DTYPES)
def test_softmax_at_its_edges(dtype: Any) -> None:
    x = np.array([[FAR, -FAR, 0.0], [7.0, 7.0, 7.0], [FAR, FAR, -FAR], [-FAR, -FAR, -FAR], [0.0, -np.inf, 0.0]], dtype)
    third = 1.0 / 3.0
    expected = np.array([[1, 0, 0], [third] * 3, [0.5, 0.5, 0], [third] * 3, [0.5, 0, 0.5]], dtype)
    dy = np.array([[1.0, 2.0, 3.0]] * 5, dtype)
    y, dx = run(fn.Softmax(), x, dy)
    np.testing.assert_array_equal(y, expected)
    slopes = [[0, 0, 0], [-third, 0, third], [-0.25, 0.25, 0], [-third, 0, third], [-0.5, 0, 0.5]]
    np.testing.assert_allclose(dx, np.array(slopes, dtype), atol=4 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", DTYPES)
def test_log_softmax_at_its_edges(dtype: Any) -> None:
    x = np.array([[FAR, -FAR, 0.0], [7.0, 7.0, 7.0], [FAR, FAR, -FAR], [-FAR, -FAR, -FAR]], dtype)
    log2, log3 = math.log(2.0), math.log(3.0)
    expected = [[0.0, -2e4, -1e4], [-log3] * 3, [-log2, -log2, -2e4 - log2], [-log3] * 3]
    dy = np.array([[1.0, 2.0, 3.0]] * 4, dtype)
    y, dx = run(fn.LogSoftmax(), x, dy)
    np.testing.assert_allclose(y, np.array(expected), rtol=4 * np.finfo(dtype).eps)
    slopes = [[-5.0, 2.0, 3.0], [-1.0, 0.0, 1.0], [-2.0, -1.0, 3.0], [-1.0, 0.0, 1.0]]
    np.testing.assert_allclose(dx, np.array(slopes), atol=16 * np.finfo(dtype).eps)


def test_softmax_of_one_class_is_certain() -> None:
    x = np.array([[5.0], [-FAR]])
    y, dx = run(fn.Softmax(), x, np.array([[3.0], [4.0]]))
    np.testing.assert_array_equal(y, [[1.0], [1.0]])
    np.testing.assert_array_equal(dx, [[0.0], [0.0]])
    y, dx = run(fn.LogSoftmax(), x, np.array([[3.0], [4.0]]))
    np.testing.assert_array_equal(y, [[0.0], [0.0]])
    np.testing.assert_array_equal(dx, [[0.0], [0.0]])


# ----- dropout, batch norm ------------------------------------------------------------------------------


def test_dropout_drops_the_fraction_that_it_says_and_keeps_the_mean() -> None:
    x = np.ones((1000, 200))
    y, dx = run(fn.Dropout(0.3), x, x, TRAIN)
    assert abs(np.mean(y == 0.0) - 0.3) < 3e-3  # three deviations of 200 000 draws
    np.testing.assert_allclose(y[y != 0.0], 1.0 / 0.7, rtol=1e-15)
    np.testing.assert_array_equal(dx, y)


def test_dropout_in_training_wants_a_key() -> None:
    with pytest.raises(fn.KeyRequired) as caught:
        fn.Dropout(0.3).apply({}, {}, np.ones((2, 2)), fn.Context(True))
    assert str(caught.value) == (
        "draws random numbers in training and the context has no key; "
        "expected Context(train=True, key=fn.Key(seed)), got key=None"
    )


@pytest.mark.parametrize("rate", [0.0, 0.5])
def test_dropout_gives_the_input_itself_where_it_does_nothing(rate: float) -> None:
    x = np.ones((2, 3))
    y, _, residuals = fn.Dropout(rate).apply({}, {}, x, fn.EVAL if rate else TRAIN)
    assert y is x
    assert fn.Dropout(rate).vjp({}, residuals, x)[1] is x


def test_dropout_passes_nothing_of_what_it_dropped_not_even_infinity() -> None:
    x = np.full((1, 400), np.inf)
    y, _, residuals = fn.Dropout(0.5).apply({}, {}, x, TRAIN)
    assert set(np.unique(y).tolist()) == {0.0, np.inf}
    np.testing.assert_array_equal(fn.Dropout(0.5).vjp({}, residuals, x)[1], y)


def test_batch_norm_of_two_rows() -> None:
    """The least batch: x̂ = ±1 (eps aside), and the unbiased variance twice the biased one."""
    layer = fn.BatchNorm(momentum=0.75, eps=1e-12)
    params = {"scale": np.array([2.0, 1.0]), "bias": np.array([10.0, 0.0])}
    state = {"running_mean": np.array([4.0, 0.0]), "running_var": np.array([1.0, 1.0])}
    x = np.array([[1.0, 5.0], [3.0, 5.0]])
    y, new, residuals = layer.apply(params, state, x, fn.Context(True))
    np.testing.assert_allclose(y, [[8.0, 0.0], [12.0, 0.0]], rtol=1e-11)
    np.testing.assert_allclose(new["running_mean"], [0.75 * 4.0 + 0.25 * 2.0, 0.25 * 5.0])
    np.testing.assert_allclose(new["running_var"], [0.75 + 0.25 * 2.0, 0.75])
    dparams, dx = layer.vjp(params, residuals, np.array([[1.0, 0.0], [2.0, 0.0]]))
    np.testing.assert_allclose(dparams["scale"], [1.0, 0.0], rtol=1e-11)
    np.testing.assert_allclose(dparams["bias"], [3.0, 0.0])
    np.testing.assert_allclose(dx, np.zeros((2, 2)), atol=1e-10)  # two points always land on ±1


def test_batch_norm_of_a_constant_feature_is_its_bias() -> None:
    layer = fn.BatchNorm()
    params, state = layer.init(fn.Key(0), (1,), np.float64)
    x = np.full((5, 1), 123.5)
    y, new, residuals = layer.apply(params, state, x, fn.Context(True))
    np.testing.assert_array_equal(y, np.zeros((5, 1)))
    np.testing.assert_allclose(new["running_var"], [0.9])
    _, dx = layer.vjp(params, residuals, np.arange(5.0)[:, None])
    np.testing.assert_allclose(dx[:, 0], np.array([-2, -1, 0, 1, 2]) / math.sqrt(1e-5), rtol=1e-12)


@pytest.mark.parametrize("rows", [0, 1])
def test_batch_norm_refuses_a_training_batch_of_one_value(rows: int) -> None:
    net = fn.serial(fn.Dense(3), norm=fn.BatchNorm())
    params, state = net.init(fn.Key(0), (2,))
    x, y = np.zeros((rows, 2), np.float32), np.zeros((rows, 3), np.float32)
    with pytest.raises(fn.ShapeError) as caught:
        fn.value_and_grad(net, losses.MeanSquaredError())(params, state, x, y, fn.Context(True))
    assert str(caught.value) == (
        f"norm (BatchNorm): expected at least 2 values per feature in a training batch, got {rows}; "
        "use a larger batch, or a batch size that leaves no remainder of one"
    )
    assert fn.predict(net, params, state, x).shape == (rows, 3)


def test_batch_norm_counts_every_axis_but_the_last() -> None:
    """One image has many values per feature."""
    layer = fn.BatchNorm(momentum=0.0)
    params, state = layer.init(fn.Key(0), (2, 2, 1), np.float64)
    _, new, _ = layer.apply(params, state, np.array([[[[1.0], [2.0]], [[3.0], [6.0]]]]), fn.Context(True))
    assert new["running_mean"].tolist() == [3.0]
    np.testing.assert_allclose(new["running_var"], [14.0 / 3.0])


# ----- empty batches, all-zero values ---------------------------------------------------------------------


def holds_batch_norm(layer: fn.Layer) -> bool:
    return isinstance(layer, fn.BatchNorm) or any(map(holds_batch_norm, layer.children.values()))


def floats(value: Any) -> Any:
    """A value with None in place of integers and booleans."""
    return tree.map(lambda leaf: leaf if leaf.dtype.kind == "f" else None, value)


@pytest.mark.parametrize("name", LAYERS)
def test_an_empty_batch_goes_through_every_layer(name: str) -> None:
    layer, in_shape, coupled, _ = LAYERS[name]
    params, state = layer.init(fn.Key(0), in_shape)
    modes = [fn.EVAL] if coupled and (holds_batch_norm(layer) or name == "function_nested") else [fn.EVAL, TRAIN]
    for ctx in modes:
        x = LAYERS[name].input(fn.Key(1), batch=0, dtype=np.float32)
        y, new, residuals = layer.apply(params, state, x, ctx)
        assert tree.map(np.shape, y) == batched(layer.out_shape(in_shape), 0)
        assert same(new, state)
        dparams, dx = layer.vjp(params, residuals, floats(y))
        assert same(dparams, tree.zeros_like(params))
        assert same(dx, floats(x))


@pytest.mark.parametrize("name", LOSSES)
def test_an_empty_batch_has_loss_zero(name: str) -> None:
    loss, prediction, target = LOSSES[name]
    for weight in (None, np.ones(0)):
        value, residuals = loss.apply(prediction[:0], target[:0], weight)
        assert same(value, np.float64(0.0))
        assert same(loss.vjp(residuals), prediction[:0])


@pytest.mark.parametrize("name", LOSSES)
def test_weights_that_are_all_zero_give_loss_and_gradient_zero(name: str) -> None:
    loss, prediction, target = LOSSES[name]
    value, residuals = loss.apply(prediction, target, np.zeros(len(prediction)))
    assert same(value, np.float64(0.0))
    np.testing.assert_array_equal(loss.vjp(residuals), np.zeros_like(prediction))


@pytest.mark.parametrize("shards", [1, 3])
def test_a_step_on_an_empty_batch_changes_nothing_but_the_count(shards: int) -> None:
    net, rule = fn.serial(fn.Dense(3), fn.Relu(), fn.Dense(2)), fn.optim.SGD(0.1)
    start = fn.train_state(net, rule, fn.Key(0), (4,))
    step = fn.train_step(net, losses.MeanSquaredError(), rule, shards=shards)
    end, out = step(start, (np.zeros((0, 4)), np.zeros((0, 2))))
    assert out == {"loss": 0.0}
    assert same(end.params, start.params)
    assert end.step == 1


def test_a_network_of_zeros_learns_its_last_bias_alone() -> None:
    zero = initializers.Zeros()
    net = fn.serial(fn.Dense(3, weight_init=zero), fn.Relu(), fn.Dense(2, weight_init=zero))
    params, state = net.init(fn.Key(0), (4,), np.float64)
    x, y = fn.Key(1).normal((5, 4)), fn.Key(2).normal((5, 2))
    value, _, grads = fn.value_and_grad(net, losses.MeanSquaredError())(params, state, x, y, fn.EVAL)
    assert value == pytest.approx(np.mean(y**2), rel=1e-14)
    for path, leaf in tree.flatten(grads).items():
        expected = -y.mean(axis=0) if path == "dense_1/bias" else np.zeros_like(leaf)
        np.testing.assert_allclose(leaf, expected, rtol=1e-14, err_msg=path)


# ----- losses at extremes -------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
def test_sigmoid_cross_entropy_far_out(dtype: Any) -> None:
    z = np.array([FAR, FAR, -FAR, -FAR, 0.0, FAR], dtype)
    t = np.array([1.0, 0.0, 1.0, 0.0, 1.0, 0.25], dtype)
    value, residuals = losses.SigmoidCrossEntropy().apply(z, t)
    terms = [0.0, 1e4, 1e4, 0.0, math.log(2.0), 7500.0]
    assert value == pytest.approx(sum(terms) / 6, rel=1e-6 if dtype == np.float32 else 1e-14)
    np.testing.assert_allclose(
        losses.SigmoidCrossEntropy().vjp(residuals), np.array([0, 1, -1, 0, -0.5, 0.75]) / 6, rtol=1e-6
    )


@pytest.mark.parametrize("dtype", DTYPES)
def test_softmax_cross_entropy_far_out(dtype: Any) -> None:
    z = np.array([[FAR, -FAR, 0.0], [FAR, -FAR, 0.0], [FAR, FAR, FAR], [-FAR, -FAR, -FAR]], dtype)
    value, residuals = losses.SoftmaxCrossEntropy().apply(z, np.array([0, 1, 2, 0]))
    terms = [0.0, 2e4, math.log(3.0), math.log(3.0)]
    assert value == pytest.approx(sum(terms) / 4, rel=1e-6 if dtype == np.float32 else 1e-14)
    third = 1.0 / 3.0
    slopes = [[0, 0, 0], [1, -1, 0], [third, third, third - 1], [third - 1, third, third]]
    np.testing.assert_allclose(losses.SoftmaxCrossEntropy().vjp(residuals), np.array(slopes) / 4, atol=1e-7)


def test_softmax_cross_entropy_with_smoothing_far_out() -> None:
    value, residuals = losses.SoftmaxCrossEntropy(0.3).apply(np.array([[FAR, -FAR, 0.0]]), np.array([1]))
    assert value == pytest.approx(0.8 * 2e4 + 0.1 * 1e4, rel=1e-14)
    slope = losses.SoftmaxCrossEntropy(0.3).vjp(residuals)
    np.testing.assert_allclose(slope, [[0.9, -0.8, -0.1]], rtol=1e-14)


def test_a_class_that_is_masked_by_minus_infinity_costs_nothing_where_it_is_not_the_target() -> None:
    z = np.array([[1.0, -np.inf, 1.0]])
    value, residuals = losses.SoftmaxCrossEntropy().apply(z, np.array([0]))
    assert value == pytest.approx(math.log(2.0), rel=1e-15)
    np.testing.assert_allclose(losses.SoftmaxCrossEntropy().vjp(residuals), [[-0.5, 0.0, 0.5]], rtol=1e-15)


@pytest.mark.parametrize("dtype", DTYPES)
def test_binary_cross_entropy_at_0_and_1(dtype: Any) -> None:
    """Logarithms are clipped at -100 and the derivative's denominator at 1e-12, as the docstring says."""
    p, t = np.array([0.0, 0.0, 1.0, 1.0, 0.5], dtype), np.array([0.0, 1.0, 0.0, 1.0, 1.0], dtype)
    value, residuals = losses.BinaryCrossEntropy().apply(p, t)
    assert value == pytest.approx((100.0 + 100.0 + math.log(2.0)) / 5, rel=1e-6)
    slope = losses.BinaryCrossEntropy().vjp(residuals)
    np.testing.assert_allclose(slope, np.array([0.0, -1e12, 1e12, 0.0, -2.0]) / 5, rtol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("loss", [losses.BinaryCrossEntropy(), losses.SigmoidCrossEntropy()])
def test_every_loss_of_probabilities_is_finite_over_its_whole_range(loss: losses.Loss, dtype: Any) -> None:
    smallest = float(np.finfo(dtype).smallest_subnormal)
    p = np.array([0.0, smallest, 1e-30, 1e-12, 0.5, 1.0 - np.finfo(dtype).epsneg, 1.0], dtype)
    z = np.array([-FAR, -800.0, -90.0, 0.0, 90.0, 800.0, FAR], dtype)
    for target in (0.0, 0.5, 1.0):
        value, residuals = loss.apply(p if isinstance(loss, losses.BinaryCrossEntropy) else z, np.full(7, target))
        assert np.isfinite(value)
        assert np.isfinite(loss.vjp(residuals)).all()


CONFIDENT: dict[str, tuple[losses.Loss, Any, Any]] = {
    "sigmoid_zeros": (losses.SigmoidCrossEntropy(), lambda z: z, lambda z: np.zeros(len(z))),
    "sigmoid_ones": (losses.SigmoidCrossEntropy(), lambda z: z, lambda z: np.ones(len(z))),
    "softmax": (losses.SoftmaxCrossEntropy(), lambda z: np.stack([z, -z, 0 * z], -1), lambda z: np.zeros(len(z), int)),
    "softmax_not_normalized": (
        losses.SoftmaxCrossEntropy(),
        lambda z: np.stack([z, -z], -1),
        lambda z: np.tile([1e-6, 0.0], (len(z), 1)),
    ),
    "softmax_smoothing": (
        losses.SoftmaxCrossEntropy(0.1),
        lambda z: np.stack([z, -z, 0 * z], -1),
        lambda z: np.zeros(len(z), int),
    ),
}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CONFIDENT)
def test_confident_predictions_leave_no_subnormal_gradients(name: str, dtype: Any, weighted: bool) -> None:
    """They would slow every matrix product behind them a hundred times."""
    loss, prediction, target = CONFIDENT[name]
    z = np.linspace(-1000.0, 1000.0, 20_001).astype(dtype)
    weight = np.full(len(z), 1e-3, dtype) if weighted else None
    _, residuals = loss.apply(prediction(z), target(z), weight)
    slope = loss.vjp(residuals)
    assert slope.dtype == dtype
    tiny = np.finfo(dtype).tiny
    assert not np.any((slope != 0.0) & (np.abs(slope) < tiny))
    if "smoothing" not in name:  # smoothed targets are never reached, so nothing is negligible there
        assert np.any(slope == 0.0)
    assert np.any(np.abs(slope) > 0.0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_nor_do_small_weights_in_a_large_batch(dtype: Any) -> None:
    """What is left of a term after its weight and the divisor, a million pixels, is what must not be subnormal."""
    z = np.linspace(-100.0 if dtype == np.float32 else -720.0, 0.0, 2001).astype(dtype)
    weight = np.full(len(z), 1e-3, dtype)
    for loss, prediction, target in (
        (losses.SigmoidCrossEntropy(), z, np.zeros(len(z))),
        (losses.SoftmaxCrossEntropy(), np.stack([z, 0 * z], -1), np.ones(len(z), int)),
    ):
        _, residuals = loss.apply(prediction, target, weight, divisor=1e6)
        slope = loss.vjp(residuals)
        assert not np.any((slope != 0.0) & (np.abs(slope) < np.finfo(dtype).tiny)), type(loss).__name__


@pytest.mark.parametrize("dtype", DTYPES)
def test_root_mean_squared_error_of_a_perfect_prediction_has_gradient_zero(dtype: Any) -> None:
    loss, p = losses.RootMeanSquaredError(), np.array([[1.0], [2.0]], dtype)
    for weight in (None, np.array([1.0, 0.0], dtype)):
        value, residuals = loss.apply(p, p.copy(), weight)
        assert same(value, dtype(0.0))
        assert same(loss.vjp(residuals), np.zeros_like(p))


def test_root_mean_squared_error_by_hand() -> None:
    value, residuals = losses.RootMeanSquaredError().apply(np.array([3.0, 4.0]), np.zeros(2))
    assert value == math.sqrt(12.5)
    np.testing.assert_allclose(losses.RootMeanSquaredError().vjp(residuals), np.array([3.0, 4.0]) / 2 / math.sqrt(12.5))


def test_mean_absolute_error_has_derivative_0_at_0() -> None:
    _, residuals = losses.MeanAbsoluteError().apply(np.array([1.0, 2.0, 3.0, 0.0]), np.array([1.0, 3.0, 1.0, -0.0]))
    np.testing.assert_array_equal(losses.MeanAbsoluteError().vjp(residuals), [0.0, -0.25, 0.25, 0.0])


def test_huber_at_its_corners() -> None:
    loss = losses.Huber(delta=2.0)
    value, residuals = loss.apply(np.array([0.0, 1.0, 2.0, -2.0, 3.0, -FAR]), np.zeros(6))
    assert value == (0.0 + 0.5 + 2.0 + 2.0 + 4.0 + 2.0 * (FAR - 1.0)) / 6
    np.testing.assert_allclose(loss.vjp(residuals), np.array([0.0, 1.0, 2.0, -2.0, 2.0, -2.0]) / 6, rtol=1e-15)


# ----- targets that are refused ---------------------------------------------------------------------------

LOGITS = np.zeros((4, 3))
EITHER = "expected labels of shape (4,) or probabilities of shape (4, 3), got "
RESHAPE = "; reshape the target, or change the last layer's units"
RENUMBER = "; renumber the labels, or give the last layer one unit for each class"

BAD_CLASSES: dict[str, tuple[Any, Any, type[Exception], str]] = {
    "too large": (
        LOGITS,
        np.array([0, 1, 3, 2]),
        fn.DataError,
        f"expected labels from 0 to 2, got 3 at row 2{RENUMBER}",
    ),
    "negative": (
        LOGITS,
        np.array([0, -1, 1, 2]),
        fn.DataError,
        "expected labels from 0 to 2, got -1 at row 1; renumber the labels, or ignore this one with ignore_label=-1",
    ),
    "too large in a sequence": (
        np.zeros((2, 3, 4)),
        np.array([[0, 1, 2], [0, 4, 1]]),
        fn.DataError,
        f"expected labels from 0 to 3, got 4 at row 1{RENUMBER}",
    ),
    "floats": (
        LOGITS,
        np.array([0.0, 1.0, 2.0, 1.0]),
        fn.DataError,
        "expected integer labels, got float64; give whole numbers of an integer type, or for values use another loss, "
        "such as MeanSquaredError",
    ),
    "one-hot integers": (
        LOGITS,
        np.eye(3, dtype=int)[[0, 1, 2, 0]],
        fn.DataError,
        "expected target probabilities as floats, got int64; give one label for each row, a whole number, or these "
        "numbers as floats",
    ),
    "a column": (
        LOGITS,
        np.zeros((4, 1), int),
        fn.ShapeError,
        f"{EITHER}(4, 1); leave out the last axis of the labels",
    ),
    "a column of floats": (
        LOGITS,
        np.zeros((4, 1)),
        fn.ShapeError,
        f"{EITHER}(4, 1); leave out the last axis of the labels",
    ),
    "fewer classes": (LOGITS, np.zeros((4, 2)), fn.ShapeError, f"{EITHER}(4, 2){RESHAPE}"),
    "fewer rows": (LOGITS, np.zeros(3, int), fn.ShapeError, f"{EITHER}(3,){RESHAPE}"),
    "one label for all": (LOGITS, np.zeros(1, int), fn.ShapeError, f"{EITHER}(1,){RESHAPE}"),
    "one row for all": (LOGITS, np.full((1, 3), 1 / 3), fn.ShapeError, f"{EITHER}(1, 3){RESHAPE}"),
    "above 1": (
        LOGITS,
        np.full((4, 3), 1.5),
        fn.DataError,
        "expected target probabilities between 0 and 1, got 1.5; for class labels give integers",
    ),
    "below 0": (
        LOGITS,
        np.full((4, 3), -0.5),
        fn.DataError,
        "expected target probabilities between 0 and 1, got -0.5; for class labels give integers",
    ),
    "no axis of classes": (
        np.zeros(4),
        np.zeros(4, int),
        fn.ShapeError,
        f"expected labels of shape () or probabilities of shape (4,), got (4,){RESHAPE}",
    ),
}


@pytest.mark.parametrize("name", BAD_CLASSES)
def test_softmax_cross_entropy_refuses(name: str) -> None:
    prediction, target, kind, message = BAD_CLASSES[name]
    with pytest.raises(kind) as caught:
        losses.SoftmaxCrossEntropy().apply(prediction, target)
    assert str(caught.value) == f"SoftmaxCrossEntropy: {message}"


def test_softmax_cross_entropy_never_takes_the_batch_for_classes() -> None:
    """Logits (n,) beside floats (n,) would be one row of n classes."""
    with pytest.raises(fn.ShapeError):
        losses.SoftmaxCrossEntropy().apply(np.zeros(4), np.full(4, 0.25))


def test_boolean_labels_are_0_and_1() -> None:
    z, labels = fn.Key(0).normal((4, 2)), np.array([0, 1, 1, 0])
    loss = losses.SoftmaxCrossEntropy()
    assert same(loss.apply(z, labels.astype(bool))[0], loss.apply(z, labels)[0])


ELEMENTWISE = [
    losses.MeanSquaredError(),
    losses.HalfMeanSquaredError(),
    losses.SumSquaredError(),
    losses.HalfSumSquaredError(),
    losses.RootMeanSquaredError(),
    losses.MeanAbsoluteError(),
    losses.Huber(),
    losses.BinaryCrossEntropy(),
    losses.SigmoidCrossEntropy(),
]
NEVER_BROADCAST = [
    ((4,), (4, 3)), ((4, 3), (4,)), ((4, 1), (4, 3)), ((4, 3), (4, 1)), ((4,), (1, 4)), ((4,), (1,)), ((1,), (4,)),
    ((4,), ()), ((4, 4), (4,)), ((4,), (4, 4)), ((2, 3), (3, 2)), ((4, 1), (1, 4)), ((2, 3), (6,)), ((4, 1, 1), (4,)),
    ((2, 3, 1), (2, 3)),
]  # fmt: skip


@pytest.mark.parametrize("loss", ELEMENTWISE, ids=lambda loss: type(loss).__name__)
def test_prediction_and_target_are_never_broadcast(loss: losses.Loss) -> None:
    for p, t in NEVER_BROADCAST:
        with pytest.raises(fn.ShapeError) as caught:
            loss.apply(np.full(p, 0.5), np.full(t, 0.5))
        advice = "reshape one of them, or change the last layer's units"
        if t == p[:-1]:
            advice = "give the last layer one unit for one value, or for labels of classes use SoftmaxCrossEntropy"
        assert str(caught.value) == (
            f"{type(loss).__name__}: expected a target of the prediction's shape {p}, got {t}; {advice}"
        )


@pytest.mark.parametrize("loss", ELEMENTWISE, ids=lambda loss: type(loss).__name__)
@pytest.mark.parametrize("rows", [1, 4])
def test_a_column_and_a_vector_count_as_one(loss: losses.Loss, rows: int) -> None:
    p, t = 0.1 + 0.8 * fn.Key(1).uniform((rows,)), 0.1 + 0.8 * fn.Key(2).uniform((rows,))
    value, residuals = loss.apply(p, t)
    slope = loss.vjp(residuals)
    for prediction, target in ((p[:, None], t), (p, t[:, None]), (p[:, None], t[:, None])):
        other, residuals = loss.apply(prediction, target)
        assert same(other, value)
        assert same(loss.vjp(residuals), slope.reshape(prediction.shape))


@pytest.mark.parametrize(
    ("loss", "prediction", "target", "message"),
    [
        (
            losses.BinaryCrossEntropy(),
            np.array([0.5, 1.5]),
            np.array([1.0, 0.0]),
            "expected probabilities between 0 and 1, got 1.5; for logits use SigmoidCrossEntropy",
        ),
        (
            losses.BinaryCrossEntropy(),
            np.array([-0.5, 0.5]),
            np.array([1.0, 0.0]),
            "expected probabilities between 0 and 1, got -0.5; for logits use SigmoidCrossEntropy",
        ),
        (
            losses.BinaryCrossEntropy(),
            np.array([0.5, 0.5]),
            np.array([1, 2]),
            "expected targets between 0 and 1, got 2.0; give 0 and 1, or probabilities",
        ),
        (
            losses.SigmoidCrossEntropy(),
            np.array([5.0, -5.0]),
            np.array([1, -1]),
            "expected targets between 0 and 1, got -1.0; give 0 and 1, or probabilities",
        ),
    ],
)
def test_what_is_no_probability_is_refused(loss: losses.Loss, prediction: Any, target: Any, message: str) -> None:
    with pytest.raises(fn.DataError) as caught:
        loss.apply(prediction, target)
    assert str(caught.value) == f"{type(loss).__name__}: {message}"


# ----- inputs and shapes that are refused -----------------------------------------------------------------

FEATURES = (
    "expected an input with at least 1 axis after the batch axis, got shape (); "
    "give each sample an axis of features, also for a single one"
)
TUPLE = "; put a Branch before it, or pass a tuple"
JOIN_FIRST = "; combine them with Concat or Sum first"
GRAPH = fn.Graph(("a", "b"), {"s": (fn.Sum(), ("a", "b"))}, "s")

BAD_SHAPES: dict[str, tuple[fn.Layer, Any, str]] = {
    "dense without features": (fn.Dense(2), (), f"Dense: {FEATURES}"),
    "batch norm without features": (fn.BatchNorm(), (), f"BatchNorm: {FEATURES}"),
    "softmax without features": (fn.Softmax(), (), f"Softmax: {FEATURES}"),
    "log softmax without features": (fn.LogSoftmax(), (), f"LogSoftmax: {FEATURES}"),
    "dense of a tuple": (
        fn.Dense(2),
        ((3,), (2,)),
        f"Dense: expected one array, got the shapes ((3,), (2,)){JOIN_FIRST}",
    ),
    "relu of a dict": (fn.Relu(), {"a": (3,)}, "Relu: expected one array, got the shapes {'a': (3,)}" + JOIN_FIRST),
    "no entries": (fn.Dense(2), (3, 0), "Dense: expected axes of length 1 or more, got shape (3, 0)"),
    "sum of one array": (fn.Sum(), (3,), f"Sum: expected a tuple of inputs, got one of shape (3,){TUPLE}"),
    "sum of a dict": (
        fn.Sum(),
        {"a": (3,)},
        "Sum: expected a tuple of inputs, got one of shape {'a': (3,)}" + TUPLE,
    ),
    "sum that would broadcast": (
        fn.Sum(),
        ((3,), (3, 1)),
        "Sum: expected inputs of one shape, got (3,), (3, 1); project them to one first",
    ),
    "concat of one array": (fn.Concat(), (3,), f"Concat: expected a tuple of inputs, got one of shape (3,){TUPLE}"),
    "concat without the axis": (
        fn.Concat(-2),
        ((3,), (2,)),
        "Concat: expected inputs with an axis -2, got ((3,), (2,))",
    ),
    "concat of scalars": (fn.Concat(), ((), ()), "Concat: expected inputs with an axis -1, got ((), ())"),
    "concat that does not fit": (
        fn.Concat(),
        ((2, 3), (4, 3)),
        "Concat: expected inputs that differ only in axis -1, got (2, 3), (4, 3); make the other axes equal",
    ),
    "reshape to another size": (
        fn.Reshape((3, 2)),
        (7,),
        "Reshape: expected an input of 6 entries for shape (3, 2), got shape (7,) of 7; change one of them",
    ),
    "reshape with a remainder": (
        fn.Reshape((2, -1)),
        (7,),
        "Reshape: expected an input of a multiple of 2 entries for shape (2, -1), got shape (7,) of 7; "
        "change one of them",
    ),
    "reshape of too little": (
        fn.Reshape((2, -1)),
        (1,),
        "Reshape: expected an input of a multiple of 2 entries for shape (2, -1), got shape (1,) of 1; "
        "change one of them",
    ),
    "parallel with too few": (
        fn.parallel(fn.Relu(), fn.Tanh()),
        ((3,),),
        "Parallel: expected 2 inputs, a tuple or a dict of relu_0, tanh_0, got ((3,),); give one input for each layer",
    ),
    "parallel with a shape of as many axes": (
        fn.parallel(fn.Relu(), fn.Tanh()),
        (3, 4),
        "Parallel: expected 2 inputs, a tuple or a dict of relu_0, tanh_0, got (3, 4); give one input for each layer",
    ),
    "parallel with other names": (
        fn.parallel(a=fn.Relu(), b=fn.Tanh()),
        {"a": (3,), "c": (3,)},
        "Parallel: expected 2 inputs, a tuple or a dict of a, b, got {'a': (3,), 'c': (3,)}; "
        "give one input for each layer",
    ),
    "residual that changes the shape": (
        fn.Residual(fn.Dense(2)),
        (3,),
        "Residual: expected the layer to give the shortcut's shape (3,), got (2,); "
        "change the layer, or give a projection=Dense(…) to that shape",
    ),
    "graph with one input": (
        GRAPH,
        (3,),
        "Graph: expected the inputs a, b, as a tuple in this order or a dict, got (3,)",
    ),
    "graph with other names": (
        GRAPH,
        {"a": (3,), "c": (3,)},
        "Graph: expected the inputs a, b, as a tuple in this order or a dict, got {'a': (3,), 'c': (3,)}",
    ),
    "deep inside": (
        fn.serial(stem=fn.Flatten(), body=fn.Residual(fn.serial(fn.Relu(), out=fn.Reshape((5,))))),
        (3,),
        "body/out (Reshape): expected an input of 5 entries for shape (5,), got shape (3,) of 3; change one of them",
    ),
}


@pytest.mark.parametrize("name", BAD_SHAPES)
def test_a_shape_that_does_not_fit_is_refused(name: str) -> None:
    layer, in_shape, message = BAD_SHAPES[name]
    for call in (layer.out_shape, lambda shape: fn.serial(layer).init(fn.Key(0), shape)):
        with pytest.raises(fn.ShapeError) as caught:
            call(in_shape)
        path, class_name = type(layer).tag, type(layer).__name__
        inside = message.replace(f"{class_name}:", f"{path}_0 ({class_name}):").replace("body/", "serial_0/body/")
        assert str(caught.value) == (message if call == layer.out_shape else inside)


FLOATS_ONLY = [fn.Dense(2), fn.BatchNorm(), fn.Dropout(0.5), *ACTIVATIONS]


@pytest.mark.parametrize("layer", FLOATS_ONLY, ids=lambda layer: type(layer).__name__)
def test_integers_are_refused_where_numbers_are_computed(layer: fn.Layer) -> None:
    net = fn.serial(flat=fn.Flatten(), head=layer)
    params, state = net.init(fn.Key(0), (4,))
    for x, dtype in ((np.arange(8).reshape(2, 4), "int64"), (np.ones((2, 4), bool), "bool")):
        with pytest.raises(fn.ShapeError) as caught:
            fn.predict(net, params, state, x)
        assert str(caught.value) == (
            f"head ({type(layer).__name__}): expected floating-point input, got {dtype}; "
            "give floats, and scale pixels by 1 / 255"
        )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: fn.Concat(0), "Concat.axis: expected a negative axis, counted from the last, -1, got 0"),
        (
            lambda: fn.Reshape((-1, -1)),
            "Reshape.shape: expected positive integers, one of them -1 at most, got [-1, -1]",
        ),
        (lambda: fn.Reshape((0, 2)), "Reshape.shape: expected positive integers, one of them -1 at most, got [0, 2]"),
        (lambda: fn.Dropout(1.0), "Dropout.rate: must be at least 0 and below 1, got 1.0"),
        (lambda: fn.Dropout(-0.1), "Dropout.rate: must be at least 0 and below 1, got -0.1"),
        (lambda: fn.Dense(0), "Dense.units: must be positive, got 0"),
        (lambda: fn.BatchNorm(eps=0.0), "BatchNorm.eps: must be positive, got 0.0"),
        (lambda: fn.BatchNorm(momentum=1.5), "BatchNorm.momentum: must be between 0 and 1, got 1.5"),
        (lambda: fn.LeakyRelu(-0.1), "LeakyRelu.slope: must be zero or more, got -0.1"),
        (lambda: fn.branch(), "Branch.layers: expected at least one layer"),
        (lambda: losses.Huber(0.0), "Huber.delta: must be positive, got 0.0"),
        (
            lambda: losses.SoftmaxCrossEntropy(1.0),
            "SoftmaxCrossEntropy.label_smoothing: must be at least 0 and below 1, got 1.0",
        ),
        (
            lambda: fn.Graph("x", {"a": (fn.Relu(), "b"), "b": (fn.Relu(), "a")}, ("a", "x")),
            "Graph.nodes: the nodes a, b wait for one another in a cycle",
        ),
        (
            lambda: fn.Graph("x", {"left": (fn.Relu(), "x")}, "lift"),
            "Graph.outputs: nothing is called 'lift', did you mean 'left'?; there are x, left\n"
            "Graph.nodes.left: nothing uses 'left'; connect it or leave it out",
        ),
    ],
)
def test_a_field_out_of_range_is_refused(make: Any, message: str) -> None:
    with pytest.raises(fn.SpecError) as caught:
        make()
    assert str(caught.value) == message


def test_sum_adds_tuples_part_by_part() -> None:
    """``+`` on tuples themselves would join them."""
    pair, shapes = (np.ones((2, 3)), np.ones((2, 1))), (((3,), (1,)), ((3,), (1,)))
    assert fn.Sum().out_shape(shapes) == ((3,), (1,))
    y = fn.predict(fn.Sum(), {}, {}, (pair, pair))
    assert same(y, (np.full((2, 3), 2.0), np.full((2, 1), 2.0)))


def test_sum_by_hand() -> None:
    x = (np.array([[1.0, 2.0]]), np.array([[10.0, 20.0]]), np.array([[100.0, 200.0]]))
    y, dx = run(fn.Sum(), x, np.array([[1.0, -1.0]]))
    np.testing.assert_array_equal(y, [[111.0, 222.0]])
    assert same(dx, (np.array([[1.0, -1.0]]),) * 3)


def test_concat_by_hand() -> None:
    x = (np.array([[[1.0], [2.0]]]), np.array([[[3.0]]]))
    dy = np.array([[[10.0], [20.0], [30.0]]])
    y, dx = run(fn.Concat(axis=-2), x, dy)
    np.testing.assert_array_equal(y, [[[1.0], [2.0], [3.0]]])
    assert same(dx, (dy[:, :2], dy[:, 2:]))


def test_flatten_and_reshape_are_row_major() -> None:
    x = np.arange(12.0).reshape(2, 2, 3)
    np.testing.assert_array_equal(run(fn.Flatten(), x, np.zeros((2, 6)))[0], np.arange(12.0).reshape(2, 6))
    y, dx = run(fn.Reshape((3, -1)), x, np.arange(12.0).reshape(2, 3, 2))
    np.testing.assert_array_equal(y, np.arange(12.0).reshape(2, 3, 2))
    np.testing.assert_array_equal(dx, x)


# ----- residual and its names -------------------------------------------------------------------------------


def test_residual_passes_everything_back_beside_a_dead_layer() -> None:
    net = fn.Residual(fn.serial(fn.Dense(3, weight_init=initializers.Zeros())))
    params, state = net.init(fn.Key(0), (3,), np.float64)
    x, dy = fn.Key(1).normal((4, 3)), fn.Key(2).normal((4, 3))
    y, _, residuals = net.apply(params, state, x, fn.EVAL)
    assert same(y, x)
    assert same(net.vjp(params, residuals, dy)[1], dy)


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_state_in_the_projection_beside_a_plain_layer(mode: str) -> None:
    """A layer without a name must not be handed, and hand back, the projection's state as its own."""
    shortcut = fn.serial(fn.Dense(2), fn.BatchNorm())
    net = fn.Residual(fn.Dense(2), projection=shortcut)
    params, state = net.init(fn.Key(0), (3,), np.float64)
    x, ctx = fn.Key(1).normal((4, 3)), fn.EVAL if mode == "eval" else fn.Context(True)
    y, new, _ = net.apply(params, state, x, ctx)
    projected, inner_state, _ = shortcut.apply(params["projection"], state["projection"], x, ctx)
    np.testing.assert_allclose(y, x @ params["weight"] + projected, rtol=1e-14)
    assert same(new, {"projection": inner_state})


# ----- composition ----------------------------------------------------------------------------------------

A, B, C = fn.Dense(5), fn.BatchNorm(), fn.Dense(2)
X, DY = fn.Key(1).normal((6, 4)), fn.Key(2).normal((6, 2))


def outcome(net: fn.Layer, params: Any, state: Any, ctx: fn.Context) -> tuple[Any, ...]:
    y, new, residuals = net.apply(params, state, X, ctx)
    return y, tuple(tree.flatten(new).values()), *(net.vjp(params, residuals, DY))


@pytest.mark.parametrize("ctx", [fn.EVAL, fn.Context(True)])
def test_composition_is_associative(ctx: fn.Context) -> None:
    left, right, flat = (A >> B) >> C, A >> (B >> C), fn.serial(A, B, C)
    assert left == right == flat
    nested = (fn.serial(fn.serial(A, B), C), fn.serial(A, fn.serial(B, C)))
    params, state = flat.init(fn.Key(0), (4,), np.float64)
    expected = outcome(flat, params, state, ctx)
    for net, paths in (
        (nested[0], {"dense_0": "serial_0/dense_0", "batch_norm_0": "serial_0/batch_norm_0", "dense_1": "dense_0"}),
        (nested[1], {"dense_0": "dense_0", "batch_norm_0": "serial_0/batch_norm_0", "dense_1": "serial_0/dense_0"}),
    ):

        def moved(values: Any, paths: Any = paths) -> Any:
            flat_values = tree.flatten(values)
            return tree.unflatten({f"{paths[p.split('/')[0]]}/{p.split('/')[1]}": v for p, v in flat_values.items()})

        assert net.out_shape((4,)) == flat.out_shape((4,))
        y, new, dparams, dx = outcome(net, moved(params), moved(state), ctx)
        assert same((y, new, dx), (expected[0], expected[1], expected[3]))
        assert same(dparams, moved(expected[2]))


@pytest.mark.parametrize(
    "net",
    [
        fn.Identity() >> (A >> B >> C),
        (A >> B >> C) >> fn.Identity(),
        (A >> fn.Identity()) >> (B >> C),
        fn.serial() >> A >> B >> fn.serial() >> C,
    ],
)
@pytest.mark.parametrize("ctx", [fn.EVAL, fn.Context(True)])
def test_composition_has_an_identity(net: fn.Layer, ctx: fn.Context) -> None:
    """It draws the same params and gives the same outputs and gradients, to the bit."""
    alone = fn.serial(A, B, C)
    params, state = alone.init(fn.Key(0), (4,), np.float64)
    assert same(net.init(fn.Key(0), (4,), np.float64), (params, state))
    assert net.out_shape((4,)) == (2,)
    assert same(outcome(net, params, state, ctx), outcome(alone, params, state, ctx))


def test_a_serial_keeps_its_names() -> None:
    named = fn.serial(stem=A)
    assert (named >> C).children == {"stem": A, "dense_0": C}
    assert (C >> named).children == {"dense_0": C, "stem": A}
    assert fn.serial() >> A == fn.serial(A)


def test_three_layers_by_hand() -> None:
    """The chain rule written out."""
    net = fn.serial(fn.Dense(2), fn.Tanh(), fn.Dense(1))
    w, b, v, c = np.array([[1.0, -2.0], [0.5, 0.25]]), np.array([0.1, -0.1]), np.array([[3.0], [-1.0]]), np.array([0.5])
    params = {"dense_0": {"weight": w, "bias": b}, "dense_1": {"weight": v, "bias": c}}
    x, dy = np.array([[1.0, 2.0], [-1.0, 0.5]]), np.array([[1.0], [-2.0]])
    h = np.tanh(x @ w + b)
    y, _, residuals = net.apply(params, {}, x, fn.EVAL)
    np.testing.assert_allclose(y, h @ v + c, rtol=1e-15)
    dh = dy @ v.T * (1 - h**2)
    dparams, dx = net.vjp(params, residuals, dy)
    expected = {
        "dense_0": {"weight": x.T @ dh, "bias": dh.sum(axis=0)},
        "dense_1": {"weight": h.T @ dy, "bias": dy.sum(axis=0)},
    }
    tree.map(lambda got, want: np.testing.assert_allclose(got, want, rtol=1e-14), dparams, expected)
    np.testing.assert_allclose(dx, dh @ w.T, rtol=1e-14)
