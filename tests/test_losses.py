"""Divisors, weights, additive parts and links of losses; what they compute stands in test_golden_losses.py."""

from __future__ import annotations

import math
from typing import Any

import attrs
import numpy as np
import pytest

import funcnet as fn
from funcnet import losses, metrics
from tests.table import LOSSES, SMOOTH, SOFTMAX, same

KEY = fn.Key(4)
SUMS = (losses.SumSquaredError, losses.HalfSumSquaredError)
SQUARED = losses.MeanSquaredError()
P, T = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]), np.zeros((2, 3))


def terms_of(loss: losses.Loss, target: Any) -> tuple[int, ...]:
    """The shape of the terms: rows for losses of rows, else elements."""
    if isinstance(loss, losses.Quantile):
        return target.shape[:-1] if target.shape[-1] == 1 else target.shape
    if isinstance(loss, losses.RowLoss):
        return target.shape[:-1] if target.dtype.kind == "f" else target.shape
    return target.shape


# ----- the value by hand --------------------------------------------------------------------------------

BY_HAND: dict[str, tuple[losses.Loss, Any, Any, Any, float, Any]] = {
    "mse": (SQUARED, P, T, None, 91 / 6, 2 * P / 6),
    "half mse": (losses.HalfMeanSquaredError(), P, T, None, 91 / 12, P / 6),
    "sse": (losses.SumSquaredError(), P, T, None, 91.0, 2 * P),
    "half sse": (losses.HalfSumSquaredError(), P, T, None, 45.5, P),
    "rmse": (losses.RootMeanSquaredError(), P, T, None, math.sqrt(91 / 6), P / 6 / math.sqrt(91 / 6)),
    "mae": (losses.MeanAbsoluteError(), P, T, None, 3.5, np.full((2, 3), 1 / 6)),
    "huber": (losses.Huber(2.0), P, T, None, (0.5 + 2 + 4 + 6 + 8 + 10) / 6, np.minimum(P, 2.0) / 6),
    "bce": (
        losses.BinaryCrossEntropy(), np.array([0.25, 0.5]), np.array([1, 0]), None,
        (math.log(4) + math.log(2)) / 2, np.array([-4.0, 2.0]) / 2,
    ),
    "sigmoid": (
        losses.SigmoidCrossEntropy(), np.array([math.log(3), 0.0]), np.array([1, 0]), None,
        (math.log(4 / 3) + math.log(2)) / 2, np.array([-0.25, 0.5]) / 2,
    ),
    "softmax": (
        SOFTMAX, np.array([[math.log(2), 0.0, 0.0], [0.0, 0.0, math.log(6)]]), np.array([0, 1]), None,
        (math.log(2) + math.log(8)) / 2, np.array([[-0.5, 0.25, 0.25], [0.125, -0.875, 0.75]]) / 2,
    ),
    "softmax of probabilities": (
        SOFTMAX, np.array([[math.log(2), 0.0, 0.0]]), np.array([[0.5, 0.5, 0.0]]), None,
        0.5 * math.log(2) + 0.5 * math.log(4), np.array([[0.0, -0.25, 0.25]]),
    ),
    "softmax smoothed": (
        losses.SoftmaxCrossEntropy(0.3), np.array([[math.log(2), 0.0, 0.0]]), np.array([0]), None,
        0.8 * math.log(2) + 0.2 * math.log(4), np.array([[-0.3, 0.15, 0.15]]),
    ),
    "mse, a weight per sample": (
        SQUARED, P, T, np.array([1.0, 3.0]), (14 + 3 * 77) / 12, 2 * P * np.array([[1.0], [3.0]]) / 12,
    ),
    "mse, a weight per term": (
        SQUARED, P, T, np.array([[1.0, 0, 2], [0, 0, 1]]), (1 + 18 + 36) / 4,
        2 * P * np.array([[1.0, 0, 2], [0, 0, 1]]) / 4,
    ),
    "sse, a weight per sample": (
        losses.SumSquaredError(), P, T, np.array([1.0, 3.0]), 14 + 3 * 77.0, 2 * P * np.array([[1.0], [3.0]]),
    ),
    "rmse, a weight per sample": (
        losses.RootMeanSquaredError(), P, T, np.array([1.0, 3.0]), math.sqrt(245 / 12),
        P * np.array([[1.0], [3.0]]) / 12 / math.sqrt(245 / 12),
    ),
    "softmax, a weight per sample": (
        SOFTMAX, np.array([[math.log(2), 0.0, 0.0], [0.0, 0.0, math.log(6)]]), np.array([0, 1]), np.array([3.0, 1.0]),
        (3 * math.log(2) + math.log(8)) / 4, np.array([[-1.5, 0.75, 0.75], [0.125, -0.875, 0.75]]) / 4,
    ),
    "softmax, a weight per step": (
        SOFTMAX, np.zeros((2, 2, 2)), np.array([[0, 1], [1, 0]]), np.array([[1.0, 0.0], [0.5, 0.0]]), math.log(2),
        np.array([[[-1.0, 1.0], [0, 0]], [[0.5, -0.5], [0, 0]]]) / 2 / 1.5,
    ),
    "softmax, a weight per sequence": (
        SOFTMAX, np.zeros((2, 2, 2)), np.array([[0, 1], [1, 0]]), np.array([1.0, 3.0]), math.log(2),
        np.array([[[-1.0, 1.0], [1, -1]], [[3, -3], [-3, 3]]]) / 2 / 8,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BY_HAND)
def test_value_and_cotangent_by_hand(name: str) -> None:
    loss, prediction, target, weight, value, slope = BY_HAND[name]
    got, residuals = loss.apply(prediction, target, weight)
    assert np.shape(got) == ()
    assert got == pytest.approx(value, rel=1e-14)
    np.testing.assert_allclose(loss.vjp(residuals), slope, rtol=1e-13, atol=1e-16)
    np.testing.assert_allclose(loss.vjp(residuals, -2.0), -2.0 * slope, rtol=1e-13, atol=1e-16)


# ----- divisors -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LOSSES)
def test_the_divisor_counts_terms_or_adds_their_weights(name: str) -> None:
    loss, _, target = LOSSES[name]
    shape = terms_of(loss, target)
    per_sample = 0.5 + KEY.uniform(shape[:1])
    per_term = 0.5 + KEY.uniform(shape)
    expected = {
        "none": 1.0 if isinstance(loss, SUMS) else math.prod(shape),
        "sample": 1.0 if isinstance(loss, SUMS) else per_sample.sum() * math.prod(shape[1:]),
        "term": 1.0 if isinstance(loss, SUMS) else per_term.sum(),
    }
    got = {
        "none": loss.divisor(target),
        "sample": loss.divisor(target, per_sample),
        "term": loss.divisor(target, per_term),
    }
    assert {type(value) for value in got.values()} == {float}
    assert got == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("name", LOSSES)
def test_a_given_divisor_takes_the_place_of_its_own(name: str) -> None:
    loss, prediction, target = LOSSES[name]
    value, residuals = loss.apply(prediction, target)
    same_value, same_residuals = loss.apply(prediction, target, divisor=loss.divisor(target))
    assert same(same_value, value)
    assert same(loss.vjp(same_residuals), loss.vjp(residuals))
    factor = 0.5 if loss.additive else math.sqrt(0.5)
    value2, residuals2 = loss.apply(prediction, target, divisor=2.0 * loss.divisor(target))
    assert value2 == pytest.approx(factor * value, rel=1e-14)
    np.testing.assert_allclose(loss.vjp(residuals2), factor * loss.vjp(residuals), rtol=1e-13)


def test_only_the_root_is_not_additive() -> None:
    assert {type(case.loss) for case in LOSSES.values() if not case.loss.additive} == {losses.RootMeanSquaredError}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", [name for name, case in LOSSES.items() if case.loss.additive])
def test_parts_with_the_divisor_of_the_whole_add_up(name: str, weighted: bool) -> None:
    loss, prediction, target = LOSSES[name]
    weight = 0.5 + KEY.uniform((len(target),)) if weighted else None
    value, residuals = loss.apply(prediction, target, weight)
    divisor = loss.divisor(target, weight)
    parts = []
    for part in (slice(0, 1), slice(1, 3), slice(3, None)):
        w = None if weight is None else weight[part]
        parts.append(loss.apply(prediction[part], target[part], w, divisor))
    assert sum(float(v) for v, _ in parts) == pytest.approx(float(value), rel=1e-14)
    joined = np.concatenate([loss.vjp(part_residuals) for _, part_residuals in parts])
    np.testing.assert_allclose(joined, loss.vjp(residuals), rtol=1e-14)


# ----- weights --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LOSSES)
def test_a_weight_per_sample_counts_for_each_of_its_terms(name: str) -> None:
    loss, prediction, target = LOSSES[name]
    shape = terms_of(loss, target if isinstance(loss, losses.RowLoss) else prediction)
    per_sample = 0.5 + KEY.uniform(shape[:1])
    spread = np.broadcast_to(per_sample.reshape(-1, *(1,) * (len(shape) - 1)), shape)
    value, residuals = loss.apply(prediction, target, per_sample)
    other, other_residuals = loss.apply(prediction, target, spread)
    assert other == pytest.approx(float(value), rel=1e-14)
    np.testing.assert_allclose(loss.vjp(other_residuals), loss.vjp(residuals), rtol=1e-13)


@pytest.mark.parametrize("name", LOSSES)
def test_a_weight_of_0_leaves_a_sample_out(name: str) -> None:
    loss, prediction, target = LOSSES[name]
    weight = np.ones(len(target))
    weight[1] = 0.0
    kept = weight > 0.0
    value, residuals = loss.apply(prediction, target, weight)
    other, other_residuals = loss.apply(prediction[kept], target[kept])
    assert value == pytest.approx(float(other), rel=1e-14)
    slope = loss.vjp(residuals)
    np.testing.assert_allclose(slope[kept], loss.vjp(other_residuals), rtol=1e-13)
    np.testing.assert_array_equal(slope[1], np.zeros_like(slope[1]))


@pytest.mark.parametrize("spoilt", [(np.nan, 0.5), (0.5, np.nan), (np.inf, np.inf), (-np.inf, np.inf), (2e300, -2e300)])
@pytest.mark.parametrize("name", LOSSES)
def test_a_sample_of_weight_0_may_hold_anything(name: str, spoilt: tuple[float, float]) -> None:
    """Without a warning on the way: those are errors here."""
    loss, prediction, target = LOSSES[name]
    weight = np.ones(len(target))
    weight[1] = 0.0
    value, residuals = loss.apply(prediction, target, weight)
    p, t = np.array(prediction), np.array(target)
    p[1], t[1] = spoilt[0], spoilt[1] if t.dtype.kind == "f" else -100
    got, got_residuals = loss.apply(p, t, weight)
    assert same(got, value)
    assert same(loss.vjp(got_residuals), loss.vjp(residuals))
    if not isinstance(loss, losses.RowLoss):
        weight = np.ones(prediction.shape)
        weight.reshape(-1)[1] = 0.0
        p, t = np.array(prediction), np.array(target, float)
        p.reshape(-1)[1], t.reshape(-1)[1] = spoilt
        got, got_residuals = loss.apply(p, t, weight)
        value, residuals = loss.apply(prediction, target, weight)
        assert same(got, value)
        assert same(loss.vjp(got_residuals), loss.vjp(residuals))


@pytest.mark.parametrize("compile_", [False, True])
def test_training_leaves_out_a_target_of_weight_0(compile_: bool) -> None:
    net, x = fn.Dense(3), KEY.normal((4, 2)).astype(np.float32)
    weight = np.array([1.0, 0.0, 2.0, 1.0], np.float32)
    for loss, y, bad in (
        (SQUARED, KEY.fold("y").normal((4, 3)).astype(np.float32), np.nan),
        (SOFTMAX, np.array([0, 1, 2, 1]), -100),
    ):
        step = fn.train_step(net, loss, fn.optim.SGD(0.1), compile=compile_)
        ts = fn.train_state(net, fn.optim.SGD(0.1), KEY, (2,))
        expected, _ = step(ts, (x, y, weight))
        y = y.copy()
        y[1] = bad
        got, _ = step(ts, (x, y, weight))
        assert same(got.params["weight"], expected.params["weight"])


@pytest.mark.parametrize("name", LOSSES)
def test_a_whole_weight_is_a_repetition(name: str) -> None:
    loss, prediction, target = LOSSES[name]
    times = np.arange(len(target)) % 3 + 1
    value, _ = loss.apply(prediction, target, times.astype(float))
    repeated, _ = loss.apply(np.repeat(prediction, times, axis=0), np.repeat(target, times, axis=0))
    assert value == pytest.approx(float(repeated), rel=1e-13)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("weight_type", [np.float64, np.int64, np.bool_])
def test_weights_of_any_type_leave_float32_as_it_is(name: str, weight_type: Any) -> None:
    loss, prediction, target = LOSSES[name]
    weight = (np.arange(len(target)) % 2).astype(weight_type)
    narrow = target.astype(np.float32) if target.dtype.kind == "f" else target
    value, residuals = loss.apply(prediction.astype(np.float32), narrow, weight)
    assert np.asarray(value).dtype == loss.vjp(residuals).dtype == np.float32
    assert float(value) == pytest.approx(float(loss.apply(prediction, target, weight.astype(float))[0]), rel=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_nothing_is_written_to(name: str) -> None:
    loss, prediction, target = LOSSES[name]
    weight = 0.5 + KEY.uniform((len(target),))
    expected, expected_residuals = loss.apply(prediction, target, weight)
    slope = loss.vjp(expected_residuals)
    copies = [np.array(a) for a in (prediction, target, weight)]
    for copy in copies:
        copy.flags.writeable = False
    value, residuals = loss.apply(*copies)
    first, second = loss.vjp(residuals), loss.vjp(residuals)
    first += 1.0
    assert same(value, expected)
    assert same(second, slope)
    assert same(loss.vjp(residuals), slope)


ELEMENTS, ROWS = "(4,) or (4, 3)", "(4,)"


@pytest.mark.parametrize("shape", [(3,), (1,), (4, 1), (4, 2), (3, 4), (), (4, 3, 1)])
def test_a_weight_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    for loss in (SQUARED, losses.RootMeanSquaredError(), losses.SumSquaredError(), losses.SigmoidCrossEntropy()):
        with pytest.raises(fn.ShapeError) as caught:
            loss.apply(np.zeros((4, 3)), np.zeros((4, 3)), np.ones(shape))
        assert str(caught.value) == (
            f"{type(loss).__name__}: expected a weight of shape (4,) or (4, 3), got {shape}; "
            "give one weight per sample or term"
        )


@pytest.mark.parametrize("shape", [(3,), (4, 3), (4, 1)])
def test_a_weight_that_does_not_fit_rows_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(fn.ShapeError) as caught:
        SOFTMAX.apply(np.zeros((4, 3)), np.zeros(4, int), np.ones(shape))
    assert str(caught.value) == (
        f"SoftmaxCrossEntropy: expected a weight of shape (4,), got {shape}; give one weight per sample or term"
    )


def test_a_weight_for_each_class_is_no_weight_for_each_term() -> None:
    with pytest.raises(fn.ShapeError) as caught:
        SOFTMAX.apply(np.zeros((2, 3, 4)), np.zeros((2, 3), int), np.ones((2, 3, 4)))
    assert str(caught.value) == (
        "SoftmaxCrossEntropy: expected a weight of shape (2,) or (2, 3), got (2, 3, 4); "
        "give one weight per sample or term"
    )


# ----- targets --------------------------------------------------------------------------------------------


def test_labels_are_one_hot_probabilities() -> None:
    z, labels = KEY.normal((6, 4)), np.array([0, 3, 1, 2, 2, 0])
    for loss in (SOFTMAX, SMOOTH):
        (value, residuals), (other, other_residuals) = (loss.apply(z, t) for t in (labels, np.eye(4)[labels]))
        assert same(value, other)
        assert same(loss.vjp(residuals), loss.vjp(other_residuals))


def test_labels_of_every_integer_type_are_one_thing() -> None:
    z, labels = KEY.normal((6, 4)), np.array([0, 3, 1, 2, 2, 0])
    expected = SOFTMAX.apply(z, labels)[0]
    for dtype in (np.int8, np.uint8, np.int16, np.int32, np.uint64):
        assert same(SOFTMAX.apply(z, labels.astype(dtype))[0], expected)


def test_smoothing_spreads_over_all_classes_the_right_one_too() -> None:
    z = KEY.normal((5, 4))
    labels = np.array([0, 3, 1, 2, 2])
    q = 0.8 * np.eye(4)[labels] + 0.2 / 4
    assert SMOOTH.apply(z, labels)[0] == pytest.approx(float(SOFTMAX.apply(z, q)[0]), rel=1e-14)


def test_regression_takes_integers_and_booleans_as_numbers() -> None:
    p = KEY.normal((4,))
    assert same(SQUARED.apply(p, np.array([0, 1, 1, 0]))[0], SQUARED.apply(p, np.array([0.0, 1, 1, 0]))[0])
    assert same(SQUARED.apply(p, np.array([0, 1, 1, 0], bool))[0], SQUARED.apply(p, np.array([0.0, 1, 1, 0]))[0])


# ----- links ----------------------------------------------------------------------------------------------


def test_links_are_probabilities_where_predictions_are_logits() -> None:
    z = np.array([[math.log(3.0), 0.0], [-1e4, 1e4]])
    np.testing.assert_allclose(SOFTMAX.link(z), [[0.75, 0.25], [0.0, 1.0]], rtol=1e-15)
    np.testing.assert_allclose(losses.SigmoidCrossEntropy().link(z), [[0.75, 0.5], [0.0, 1.0]], rtol=1e-15)


@pytest.mark.parametrize("loss", [case.loss for case in LOSSES.values()], ids=list(LOSSES))
def test_other_links_are_the_prediction_itself(loss: losses.Loss) -> None:
    z = KEY.normal((3, 6))
    logits = isinstance(loss, losses.SoftmaxCrossEntropy | losses.SigmoidCrossEntropy | losses.KullbackLeibler)
    log_means = isinstance(loss, losses.Poisson | losses.Gamma | losses.Tweedie)
    several = isinstance(loss, losses.Quantile) and len(loss.levels) > 1
    assert (loss.link(z) is z) == (not logits and not log_means and not several)


def test_a_loss_is_a_spec() -> None:
    assert losses.Huber(2.0) == losses.Huber(delta=2.0) != losses.Huber()
    assert hash(losses.Huber(2.0)) == hash(losses.Huber(delta=2.0))
    assert losses.MeanSquaredError() != losses.HalfMeanSquaredError()
    with pytest.raises(fn.SpecError) as caught:
        losses.Huber("1")  # type: ignore[arg-type]
    assert str(caught.value) == 'Huber.delta: expected a number, got "1"'


def test_a_loss_without_definitions_says_what_it_lacks() -> None:
    @attrs.frozen
    class Nothing(losses.Loss):
        """A loss that defines none of what it must."""

    for call, name in (
        (lambda: Nothing().divisor(T), "divisor(target, weight)"),
        (lambda: Nothing().apply(P, T), "apply(prediction, target, weight, divisor)"),
        (lambda: Nothing().vjp(None), "vjp(residuals, dy)"),
    ):
        with pytest.raises(TypeError) as caught:
            call()
        assert str(caught.value) == f"Nothing does not define {name}"


# ----- predictions in other types -------------------------------------------------------------------------

INTEGERS = np.array([[1, 2, 3], [3, 2, 5]])
PARTS = np.array([[0.5, 0.25, 0.25], [0.0, 0.2, 0.8]])
TYPED: dict[str, Any] = {
    "mean_squared_error": (losses.MeanSquaredError(), INTEGERS, INTEGERS + 0.5),
    "root_mean_squared_error": (losses.RootMeanSquaredError(), INTEGERS, INTEGERS - 0.5),
    "mean_absolute_error": (losses.MeanAbsoluteError(), INTEGERS, INTEGERS + 0.75),
    "huber": (losses.Huber(), INTEGERS, INTEGERS * 1.5),
    "sum_squared_error": (losses.SumSquaredError(), INTEGERS, INTEGERS * 1.5),
    "sigmoid_cross_entropy": (losses.SigmoidCrossEntropy(), INTEGERS, PARTS),
    "softmax_cross_entropy": (losses.SoftmaxCrossEntropy(), INTEGERS, PARTS),
    "smoothing": (losses.SoftmaxCrossEntropy(0.1), INTEGERS, np.array([0, 2])),
    "negative_log_likelihood": (losses.NegativeLogLikelihood(), -INTEGERS, PARTS),
}


@pytest.mark.parametrize("name", TYPED)
@pytest.mark.parametrize("weight", [None, np.array([0.3, 0.7])], ids=["no weight", "weights"])
def test_predictions_of_integers_are_numbers(name: str, weight: Any) -> None:
    """Targets and weights take the prediction's dtype: they must not be rounded. The oracle is the same in float64."""
    loss, prediction, target = TYPED[name]
    right, saved = loss.apply(prediction.astype(np.float64), target, weight)
    small = prediction.astype(np.int8)
    for given in (prediction, small, prediction.tolist(), prediction.view(np.matrix)):
        value, residuals = loss.apply(given, target, weight)
        assert value == pytest.approx(right, rel=1e-14)
        np.testing.assert_allclose(loss.vjp(residuals), loss.vjp(saved), rtol=1e-14)


def test_unsigned_and_boolean_predictions_do_not_wrap() -> None:
    below = np.array([1, 2, 3], np.uint8), np.array([2, 3, 4], np.uint8)
    assert losses.MeanAbsoluteError().apply(*below)[0] == 1.0
    assert losses.MeanSquaredError().apply(np.array([True, False]), np.array([False, False]))[0] == 0.5


def test_the_sum_of_many_terms_in_float16_does_not_overflow() -> None:
    many = np.full(70_000, 200.0, np.float16)
    assert losses.MeanSquaredError().apply(many, np.zeros_like(many))[0] == 40_000.0
    logits = np.zeros((70_000, 3), np.float16)
    assert losses.SoftmaxCrossEntropy().apply(logits, np.zeros(70_000, int))[0] == pytest.approx(math.log(3), rel=1e-6)


@pytest.mark.parametrize("values", [np.array([1j, 2.0]), np.array(["1", "2"]), np.array([1, None])], ids=str)
def test_what_is_no_real_number_is_refused(values: Any) -> None:
    right = np.array([1.0, 2.0])
    for pair in ((values, right), (right, values)):
        for call in (losses.MeanSquaredError().apply, metrics.RMSE(), metrics.R2()):
            with pytest.raises(fn.DataError, match="expected an array of real numbers, got "):
                call(*pair)


def test_members_and_several_outputs_are_read_as_arrays() -> None:
    each = losses.EachMember(losses.MeanSquaredError())
    for prediction in (
        [[1.0, 2.0], [3.0, 4.0]],
        np.array([[1.0, 2.0], [3.0, 4.0]]).view(np.matrix),
        np.array([[1, 2], [3, 4]]),
    ):
        assert each.apply(prediction, [1.5, 2.0])[0] == (0.25 + 1.0) / 2 + (0.25 + 4.0) / 2
    two = losses.Multi((SQUARED, SQUARED))
    assert two.apply(([1, 2], [3, 4]), ([1.5, 2.0], [3.0, 5.0]))[0] == 0.125 + 0.5
    with pytest.raises(fn.ShapeError) as caught:
        two.apply((P, P), (T, T), None, 4.0)  # type: ignore[arg-type]
    assert str(caught.value) == "Multi: expected a tuple of 2 divisors, one for each loss, got 4.0"
