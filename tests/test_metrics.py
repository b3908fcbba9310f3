"""Metrics against written-out formulas, and against values that scikit-learn 1.9.1 (NumPy 2.4.6) gave."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import funcnet as fn
from funcnet import losses, metrics

P, T = np.array([2.5, 0.0, 2.0, 8.0]), np.array([3.0, -0.5, 2.0, 7.0])
W = np.array([1.0, 2.0, 0.5, 4.0])
P2, T2 = np.array([[0.5, 1.0], [-1.0, 1.0], [7.0, -6.0]]), np.array([[0.0, 2.0], [-1.0, 2.0], [8.0, -5.0]])
W2 = np.array([1.0, 3.0, 2.0])
Q = np.array([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.3, 0.3, 0.4], [0.2, 0.5, 0.3]])
LABELS = np.array([0, 1, 2, 0])
WQ = np.array([1.0, 2.0, 0.5, 4.0])
B, BINARY = np.array([0.9, 0.2, 0.6, 0.4]), np.array([1, 0, 0, 1])

# metric, prediction, target, weight, the value of scikit-learn 1.9.1
SKLEARN: dict[str, tuple[metrics.Metric, Any, Any, Any, float]] = {
    "rmse": (metrics.RMSE(), P, T, None, 0.6123724356957945),
    "rmse weighted": (metrics.RMSE(), P, T, W, 0.7958224257542215),
    "rmse columns": (metrics.RMSE(), P2, T2, None, 0.8416254115301732),
    "rmse columns weighted": (metrics.RMSE(), P2, T2, W2, 0.82915619758885),
    "mae": (metrics.MAE(), P, T, None, 0.5),
    "mae weighted": (metrics.MAE(), P, T, W, 0.7333333333333333),
    "mae columns": (metrics.MAE(), P2, T2, None, 0.75),
    "mae columns weighted": (metrics.MAE(), P2, T2, W2, 0.7083333333333334),
    "r2": (metrics.R2(), P, T, None, 0.9486081370449679),
    "r2 weighted": (metrics.R2(), P, T, W, 0.9401511969760605),
    "r2 columns": (metrics.R2(), P2, T2, None, 0.9412391668996365),
    "r2 columns weighted": (metrics.R2(), P2, T2, W2, 0.9431416002381503),
    "r2 constant met": (metrics.R2(), np.array([2.0, 2.0, 2.0]), np.array([2.0, 2.0, 2.0]), None, 1.0),
    "r2 constant missed": (metrics.R2(), np.array([2.0, 2.0, 3.0]), np.array([2.0, 2.0, 2.0]), None, 0.0),
    "r2 one column constant": (metrics.R2(), np.array([[1.0, 2], [2, 3]]), np.array([[1.0, 2], [1, 3]]), None, 0.5),
    "log loss": (metrics.LogLoss(), Q, LABELS, None, 0.8483073030032446),
    "log loss weighted": (metrics.LogLoss(), Q, LABELS, WQ, 1.103229760952559),
    "log loss binary": (metrics.LogLoss(), B, BINARY, None, 0.5402713826800865),
    "log loss binary weighted": (metrics.LogLoss(), B, BINARY, WQ, 0.6233274548959924),
    "log loss clipped": (metrics.LogLoss(), np.array([0.0, 1, 1, 0]), BINARY, None, 36.04365338911715),
    "log loss clipped in float32": (
        metrics.LogLoss(), np.array([0, 1, 1, 0], np.float32), BINARY, None, 15.942384719848633,
    ),
    "log loss clipped classes": (metrics.LogLoss(), np.eye(2)[[1, 0]], np.array([0, 0]), None, 18.021826694558577),
    "log loss clipped classes in float32": (
        metrics.LogLoss(), np.eye(2, dtype=np.float32)[[1, 0]], np.array([0, 0]), None, 7.971192359924316,
    ),
    "accuracy": (metrics.Accuracy(), Q, LABELS, None, 0.75),
    "accuracy weighted": (metrics.Accuracy(), Q, LABELS, WQ, 0.4666666666666667),
    "accuracy binary": (metrics.Accuracy(), B, BINARY, None, 0.5),
    "accuracy binary weighted": (metrics.Accuracy(), B, BINARY, WQ, 0.4),
}  # fmt: skip


@pytest.mark.parametrize("name", SKLEARN)
def test_metric_agrees_with_scikit_learn(name: str) -> None:
    metric, prediction, target, weight, expected = SKLEARN[name]
    score = metric(prediction, target, weight)
    assert type(score) is float
    assert score == pytest.approx(expected, rel=1e-7 if "float32" in name else 1e-13)


def test_the_formulas_written_out() -> None:
    e = P - T
    assert metrics.RMSE()(P, T) == pytest.approx(math.sqrt((0.25 + 0.25 + 0.0 + 1.0) / 4), rel=1e-15)
    assert metrics.MAE()(P, T, W) == pytest.approx(np.sum(W * np.abs(e)) / np.sum(W), rel=1e-15)
    centre = np.sum(W * T) / np.sum(W)
    r2 = 1.0 - np.sum(W * e**2) / np.sum(W * (T - centre) ** 2)
    assert metrics.R2()(P, T, W) == pytest.approx(r2, rel=1e-14)
    nll = -(math.log(0.7) + math.log(0.6) + math.log(0.4) + math.log(0.2)) / 4
    assert metrics.LogLoss()(Q, LABELS) == pytest.approx(nll, rel=1e-14)
    binary = -(math.log(0.9) + math.log(0.8) + math.log(0.4) + math.log(0.4)) / 4
    assert metrics.LogLoss()(B, BINARY) == pytest.approx(binary, rel=1e-14)


EVERY = [metrics.Accuracy(), metrics.RMSE(), metrics.MAE(), metrics.R2(), metrics.LogLoss()]


def test_every_registered_metric_is_here() -> None:
    classes = {cls for tag, cls in fn.spec.tags("metric").items() if "." not in tag}
    assert classes == {type(metric) for metric in EVERY}


@pytest.mark.parametrize("metric", EVERY, ids=lambda metric: metric.tag)
@pytest.mark.parametrize("weight", [None, WQ])
def test_a_column_and_a_vector_count_as_one(metric: metrics.Metric, weight: Any) -> None:
    expected = metric(B, BINARY, weight)
    column = BINARY.astype(float)[:, None]
    for prediction, target in ((B[:, None], BINARY), (B, BINARY[:, None]), (B[:, None], column)):
        assert metric(prediction, target, weight) == expected


@pytest.mark.parametrize("metric", [metrics.Accuracy(), metrics.LogLoss()], ids=lambda metric: metric.tag)
@pytest.mark.parametrize("weight", [None, WQ])
def test_one_hot_rows_are_labels(metric: metrics.Metric, weight: Any) -> None:
    for one_hot in (np.eye(3)[LABELS], np.eye(3, dtype=int)[LABELS]):
        assert metric(Q, one_hot, weight) == pytest.approx(metric(Q, LABELS, weight), rel=1e-14)


@pytest.mark.parametrize("metric", EVERY, ids=lambda metric: metric.tag)
def test_whole_weights_are_repetitions(metric: metrics.Metric) -> None:
    times = np.array([1, 3, 0, 2])
    prediction, target = (Q, LABELS) if metric.tag in ("accuracy", "log_loss") else (P, T)
    repeated = metric(np.repeat(prediction, times, axis=0), np.repeat(target, times, axis=0))
    assert metric(prediction, target, times.astype(float)) == pytest.approx(repeated, rel=1e-13)


@pytest.mark.parametrize("metric", EVERY, ids=lambda metric: metric.tag)
def test_the_scale_and_the_dtype_of_weights_do_not_matter(metric: metrics.Metric) -> None:
    expected = metric(B, BINARY, WQ)
    assert metric(B, BINARY, 8.0 * WQ) == pytest.approx(expected, rel=1e-14)
    assert metric(B, BINARY, WQ.astype(np.float32)) == pytest.approx(expected, rel=1e-14)
    assert metric(B, BINARY, np.ones(4)) == pytest.approx(metric(B, BINARY), rel=1e-14)


def test_a_weight_for_each_term_weighs_that_term() -> None:
    """A mask over outputs, or over the steps of padded sequences."""
    p, t = np.array([[1.0, 5.0], [2.0, 0.0]]), np.zeros((2, 2))
    w = np.array([[1.0, 0.0], [2.0, 1.0]])
    assert metrics.RMSE()(p, t, w) == pytest.approx(math.sqrt((1.0 + 2.0 * 4.0) / 4.0), rel=1e-14)
    assert metrics.MAE()(p, t, w) == pytest.approx((1.0 + 2.0 * 2.0) / 4.0, rel=1e-14)


def test_a_mask_over_the_steps_of_sequences() -> None:
    q = np.array([[[0.9, 0.1], [0.4, 0.6]], [[0.2, 0.8], [0.5, 0.5]]])
    labels, mask = np.array([[0, 1], [0, 1]]), np.array([[1.0, 1.0], [1.0, 0.0]])
    assert metrics.Accuracy()(q, labels) == 0.5
    assert metrics.Accuracy()(q, labels, mask) == pytest.approx(2.0 / 3.0, rel=1e-15)
    nll = -(math.log(0.9) + math.log(0.6) + math.log(0.2)) / 3.0
    assert metrics.LogLoss()(q, labels, mask) == pytest.approx(nll, rel=1e-14)


def test_r2_with_a_weight_for_each_term() -> None:
    p, t = np.array([[1.0, 9.0], [2.0, 3.0], [4.0, 7.0]]), np.array([[1.0, 1.0], [3.0, 3.0], [4.0, 6.0]])
    w = np.array([[1.0, 0.0], [1.0, 1.0], [1.0, 1.0]])
    first = metrics.R2()(p[:, 0], t[:, 0])
    second = metrics.R2()(p[1:, 1], t[1:, 1])
    assert metrics.R2()(p, t, w) == pytest.approx((first + second) / 2.0, rel=1e-14)


def test_ties_go_to_the_first_class_and_one_half_to_yes() -> None:
    q = np.array([[0.5, 0.5], [0.5, 0.5]])
    assert metrics.Accuracy()(q, np.array([0, 1])) == 0.5
    assert metrics.Accuracy()(np.array([0.5, 0.4999]), np.array([1, 0])) == 1.0
    assert metrics.Accuracy()(np.array([0.5, 0.4999]), np.array([0, 1])) == 0.0


def test_the_log_loss_is_the_loss_where_nothing_is_clipped() -> None:
    z, labels = fn.Key(0).normal((20, 4)), fn.Key(1).integers(4, (20,))
    loss = losses.SoftmaxCrossEntropy()
    assert metrics.LogLoss()(loss.link(z), labels) == pytest.approx(float(loss.apply(z, labels)[0]), rel=1e-13)
    binary, sides = losses.SigmoidCrossEntropy(), fn.Key(2).integers(2, (20,))
    value, _ = binary.apply(z[:, 0], sides, None)
    assert metrics.LogLoss()(binary.link(z[:, 0]), sides) == pytest.approx(float(value), rel=1e-13)


def test_scores_are_sums_in_float64() -> None:
    """A million float32 errors of 0.1 do not lose digits."""
    p = np.full(1_000_000, 0.1, np.float32)
    exact = float(np.float32(0.1))
    assert metrics.MAE()(p, np.zeros(1_000_000, np.float32)) == pytest.approx(exact, rel=1e-12)
    assert metrics.RMSE()(p, np.zeros(1_000_000, np.float32)) == pytest.approx(exact, rel=1e-12)


NEVER_BROADCAST = [((4,), (4, 3)), ((4, 3), (4,)), ((4,), (1,)), ((4,), (1, 4)), ((4, 4), (4,)), ((2, 3), (3, 2))]


@pytest.mark.parametrize("metric", EVERY, ids=lambda metric: metric.tag)
@pytest.mark.parametrize(("p", "t"), NEVER_BROADCAST)
def test_shapes_are_never_broadcast(metric: metrics.Metric, p: Any, t: Any) -> None:
    with pytest.raises(fn.ShapeError) as caught:
        metric(np.full(p, 0.5), np.full(t, 0.5))
    assert str(caught.value) == (
        f"{type(metric).__name__}: expected a target of the prediction's shape {p}, got {t}; "
        "reshape one of them, or change the last layer's units"
    )


@pytest.mark.parametrize("metric", [metrics.Accuracy(), metrics.LogLoss()], ids=lambda metric: metric.tag)
@pytest.mark.parametrize("labels", [np.array([0]), np.array([0, 1, 2]), np.zeros(5, int)])
def test_labels_are_never_broadcast(metric: metrics.Metric, labels: Any) -> None:
    with pytest.raises(fn.ShapeError):
        metric(Q, labels)


@pytest.mark.parametrize("label", [-1, 3])
def test_the_log_loss_of_a_label_that_is_no_class_is_an_error(label: int) -> None:
    """-1 would count from the end."""
    with pytest.raises(fn.DataError):
        metrics.LogLoss()(Q, np.array([0, 1, label, 0]))


@pytest.mark.parametrize("metric", EVERY, ids=lambda metric: metric.tag)
@pytest.mark.parametrize("shape", [(3,), (2,), (4, 2)])
def test_a_weight_of_another_shape_is_an_error(metric: metrics.Metric, shape: Any) -> None:
    with pytest.raises(fn.ShapeError):
        metric(B, BINARY, np.ones(shape))


@pytest.mark.parametrize("metric", EVERY, ids=lambda metric: metric.tag)
def test_nothing_is_written_to(metric: metrics.Metric) -> None:
    arrays = [np.array(a) for a in (B, BINARY, WQ)]
    for array in arrays:
        array.flags.writeable = False
    assert metric(*arrays) == metric(B, BINARY, WQ)
