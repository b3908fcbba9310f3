"""Metrics against written-out formulas, and against values that scikit-learn 1.9.1 (NumPy 2.4.6) gave."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import funcnet as fn
from funcnet import losses, metrics
from funcnet.metrics.base import ClassMetric
from funcnet.spec.base import tags
from tests.golden import load_golden

P, T = np.array([2.5, 0.0, 2.0, 8.0]), np.array([3.0, -0.5, 2.0, 7.0])
W = np.array([1.0, 2.0, 0.5, 4.0])
P2, T2 = np.array([[0.5, 1.0], [-1.0, 1.0], [7.0, -6.0]]), np.array([[0.0, 2.0], [-1.0, 2.0], [8.0, -5.0]])
W2 = np.array([1.0, 3.0, 2.0])
Q = np.array([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.3, 0.3, 0.4], [0.2, 0.5, 0.3]])
LABELS = np.array([0, 1, 2, 0])
WQ = np.array([1.0, 2.0, 0.5, 4.0])
B, BINARY = np.array([0.9, 0.2, 0.6, 0.4]), np.array([1, 0, 0, 1])
MEANS, AMOUNTS = np.array([0.5, 2.0, 1e-30, 4.0]), np.array([0.0, 3.0, 1e-30, 2.5])

# metric, prediction, target, weight, the value of scikit-learn 1.9.1
SKLEARN: dict[str, tuple[metrics.Metric, Any, Any, Any, float]] = {
    "rmse": (metrics.RMSE(), P, T, None, 0.6123724356957945),
    "rmse weighted": (metrics.RMSE(), P, T, W, 0.7958224257542215),
    "rmse columns": (metrics.RMSE(), P2, T2, None, 0.8416254115301732),
    "rmse columns weighted": (metrics.RMSE(), P2, T2, W2, 0.82915619758885),
    "deviance": (metrics.Deviance(), MEANS, AMOUNTS, None, 0.5206931256050772),
    "deviance weighted": (metrics.Deviance(), MEANS, AMOUNTS, MEANS, 0.6100782634435788),
    "deviance tweedie": (metrics.Deviance(1.5), MEANS, AMOUNTS, None, 0.8662614118131516),
    "deviance gamma": (metrics.Deviance(2.0), MEANS[1::2], AMOUNTS[1::2], None, 0.1895385211375713),
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


GOLDEN = load_golden("metrics")
SCORES = [
    (case, name) for case, found in GOLDEN.items() for name in found if name not in ("prediction", "target", "weight")
]


def made(name: str) -> metrics.Metric:
    """``top_k_accuracy-3`` as a metric, whose only field is 3."""
    tag, _, value = name.partition("-")
    return tags("metric")[tag](*([int(value) if value.isdigit() else value] if value else []))


@pytest.mark.parametrize(("case", "name"), [pair for pair in SCORES if pair[1] not in ("confusion", "per_class")])
def test_metric_agrees_with_a_recorded_score(case: str, name: str) -> None:
    given, metric = GOLDEN[case], made(name)
    of = metric.multilabel if case.startswith("labels") else metric
    score = of(given["prediction"], given["target"], given.get("weight"))
    assert score == pytest.approx(float(given[name]), rel=1e-12, abs=1e-15, nan_ok=True)


@pytest.mark.parametrize("case", sorted({case for case, _ in SCORES if case.startswith("labels")}))
def test_each_label_agrees_with_scikit_learn(case: str) -> None:
    given = GOLDEN[case]
    found = metrics.per_label(given["prediction"], given["target"], given.get("weight"))
    expected = given["per_class"]
    np.testing.assert_allclose(np.stack(found), expected, rtol=1e-12)


def test_every_metric_of_scikit_learn_is_recorded() -> None:
    """Perplexity is ours, and the exponential of log-loss; the deviance has its rows in SKLEARN, and the calibration
    error of torchmetrics its own test."""
    tags = {name.partition("-")[0] for _, name in SCORES} - {"confusion", "per_class"}
    assert tags | {"perplexity", "deviance", "calibration_error"} == {metric.tag for metric in EVERY}


@pytest.mark.parametrize("case", sorted({case for case, name in SCORES if name == "confusion"}))
def test_confusion_and_each_class_agree_with_scikit_learn(case: str) -> None:
    given = GOLDEN[case]
    p, target, weight, expected = given["prediction"], given["target"], given.get("weight"), given["confusion"]
    matrix = metrics.confusion_matrix(p, target, len(expected), weight)
    np.testing.assert_allclose(matrix, expected, rtol=1e-12)
    assert matrix.dtype == (np.int64 if weight is None else np.float64)
    found = metrics.per_class(matrix)
    np.testing.assert_allclose(np.stack(found), given["per_class"], rtol=1e-12)
    assert found._fields == ("precision", "recall", "f1", "support")
    decided = (p >= 0.5).astype(int) if p.ndim == 1 else p.argmax(axis=1)
    np.testing.assert_array_equal(metrics.confusion_matrix(decided, target, len(expected), weight), matrix)


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
    assert metrics.Perplexity()(Q, LABELS) == pytest.approx((0.7 * 0.6 * 0.4 * 0.2) ** -0.25, rel=1e-14)
    assert metrics.Perplexity()(B, BINARY) == pytest.approx((0.9 * 0.8 * 0.4 * 0.4) ** -0.25, rel=1e-14)
    assert metrics.Brier()(B, BINARY) == pytest.approx((0.01 + 0.04 + 0.36 + 0.36) / 4, rel=1e-14)
    first = 0.3**2 + 0.2**2 + 0.1**2
    assert metrics.Brier()(Q[:1], LABELS[:1]) == pytest.approx(first, rel=1e-14)
    assert metrics.ExplainedVariance()(P, T) == pytest.approx(1.0 - np.var(e) / np.var(T), rel=1e-14)
    assert metrics.RocAuc()(B, BINARY) == (1 + 1 + 1 + 0) / 4  # of the pairs .9 .2, .9 .6, .4 .2 and .4 .6
    assert metrics.AveragePrecision()(B, BINARY) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3, rel=1e-15)
    assert metrics.confusion_matrix(Q, LABELS, 3).tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 1]]
    assert metrics.confusion_matrix(Q, LABELS, 3, WQ).tolist() == [[1.0, 4.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 0.5]]
    assert metrics.confusion_matrix(B, BINARY, 2).tolist() == [[1, 1], [1, 1]]
    assert metrics.BalancedAccuracy()(Q, LABELS) == pytest.approx((1 / 2 + 1 + 1) / 3, rel=1e-15)
    assert metrics.Precision()(Q, LABELS) == pytest.approx((1 + 1 / 2 + 1) / 3, rel=1e-15)
    assert metrics.F1("weighted")(Q, LABELS, WQ) == pytest.approx((5 * 2 / 6 + 2 * 4 / 8 + 0.5 * 1) / 7.5, rel=1e-15)


def test_the_calibration_error_is_that_of_torchmetrics_and_of_its_formula() -> None:
    """multiclass_calibration_error(p, y, 3, n_bins=…) of torchmetrics 1.9.0, which computes in float32."""
    i = np.arange(60)
    z = 3.0 * np.stack([np.sin(i), np.cos(2.0 * i), np.sin(3.0 * i)], axis=1)
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    y = np.where(i % 4 == 0, (i // 4) % 3, p.argmax(axis=1))
    for bins, expected in ((15, 0.2251984030008316), (5, 0.20968091487884521)):
        assert metrics.CalibrationError(bins)(p, y) == pytest.approx(expected, abs=2e-7)
    two, labels = p[:, :2] / p[:, :2].sum(axis=1, keepdims=True), np.where(i % 3 == 0, 0, 1)
    for prediction in (two, two[:, 1]):  # one probability is that of two classes
        score = metrics.CalibrationError()(prediction, labels)
        assert score == pytest.approx(0.32040566205978394, abs=2e-7)
    weight, top, right = 1.0 + i % 5, p.max(axis=1), p.argmax(axis=1) == y
    inside = [(top > b / 4) & (top <= (b + 1) / 4) for b in range(4)]
    gaps = [abs(np.average(right[a], weights=weight[a]) - np.average(top[a], weights=weight[a])) for a in inside[1:]]
    expected = np.dot(gaps, [weight[a].sum() for a in inside[1:]]) / weight.sum()
    error = metrics.CalibrationError(4)
    assert error(p, y, weight) == pytest.approx(expected, rel=1e-12)
    assert error(np.array([0.5, 1.0, 0.0]), np.array([1, 1, 1])) == pytest.approx((0.5 + 0.0 + 1.0) / 3)
    several, there = np.array([[0.9, 0.2], [0.4, 0.7]]), np.array([[1, 0], [1, 1]])
    assert error.multilabel(several, there) == pytest.approx((abs(2 - 1.7) + abs(1 - 1.3)) / 4)
    with pytest.raises(fn.DataError) as refused:
        error(np.array([0.5, 2.0]), np.array([1, 1]))
    assert str(refused.value).endswith(
        "expected probabilities between 0 and 1, got 2.0; for other values use RMSE, MAE or R2"
    )


OF_VALUES: list[metrics.Metric] = [metrics.RMSE(), metrics.MAE(), metrics.R2(), metrics.ExplainedVariance()]
OF_CLASSES: list[metrics.Metric] = [
    metrics.Accuracy(), metrics.BalancedAccuracy(), metrics.TopKAccuracy(), metrics.Precision(), metrics.Recall(),
    metrics.F1(), metrics.RocAuc(), metrics.AveragePrecision(), metrics.LogLoss(), metrics.Perplexity(),
    metrics.Brier(), metrics.CalibrationError(),
]  # fmt: skip
OF_AMOUNTS: list[metrics.Metric] = [metrics.Deviance()]
EVERY = [*OF_VALUES, *OF_AMOUNTS, *OF_CLASSES]
OF_PROBABILITIES = [metric for metric in OF_CLASSES if not isinstance(metric, ClassMetric)]
OF_ROWS = [metric for metric in OF_CLASSES if isinstance(metric, ClassMetric)]


def named(metric: Any) -> str | None:
    return metric.tag if isinstance(metric, metrics.Metric) else None


def test_every_registered_metric_is_here() -> None:
    classes = {cls for tag, cls in tags("metric").items() if "." not in tag}
    assert classes == {type(metric) for metric in EVERY}


@pytest.mark.parametrize("metric", EVERY, ids=named)
@pytest.mark.parametrize("weight", [None, WQ])
def test_a_column_and_a_vector_count_as_one(metric: metrics.Metric, weight: Any) -> None:
    expected = metric(B, BINARY, weight)
    column = BINARY.astype(float)[:, None]
    for prediction, target in ((B[:, None], BINARY), (B, BINARY[:, None]), (B[:, None], column)):
        assert metric(prediction, target, weight) == expected


@pytest.mark.parametrize("metric", OF_CLASSES, ids=named)
@pytest.mark.parametrize("weight", [None, WQ])
def test_one_hot_rows_are_labels(metric: metrics.Metric, weight: Any) -> None:
    for one_hot in (np.eye(3)[LABELS], np.eye(3, dtype=int)[LABELS]):
        assert metric(Q, one_hot, weight) == pytest.approx(metric(Q, LABELS, weight), rel=1e-14)


@pytest.mark.parametrize("metric", EVERY, ids=named)
def test_whole_weights_are_repetitions(metric: metrics.Metric) -> None:
    times = np.array([1, 3, 0, 2])
    if metric in OF_AMOUNTS:
        prediction, target = np.abs(P), np.abs(T)
    else:
        prediction, target = (P, T) if metric in OF_VALUES else (Q, LABELS)
    repeated = metric(np.repeat(prediction, times, axis=0), np.repeat(target, times, axis=0))
    assert metric(prediction, target, times.astype(float)) == pytest.approx(repeated, rel=1e-13, nan_ok=True)


@pytest.mark.parametrize("metric", EVERY, ids=named)
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


@pytest.mark.parametrize("metric", OF_CLASSES, ids=named)
def test_sequences_are_rows_laid_end_to_end(metric: metrics.Metric) -> None:
    q, labels, mask = (
        np.stack([Q, Q[::-1]]),
        np.array([[0, 1, 2, 0], [2, 1, 0, 0]]),
        np.array([[1, 2, 1, 1], [3, 1, 1, 0]]),
    )
    flat = q.reshape(8, 3), labels.reshape(8)
    assert metric(q, labels) == metric(*flat)
    assert metric(q, labels, mask) == pytest.approx(metric(*flat, mask.reshape(8)), rel=1e-14)
    assert metric(q, np.eye(3)[labels], mask) == pytest.approx(metric(q, labels, mask), rel=1e-14)
    assert metric(q, labels, np.array([2.0, 1.0])) == pytest.approx(metric(*flat, np.repeat([2.0, 1.0], 4)), rel=1e-14)
    assert metric(B.reshape(2, 2, 1), BINARY.reshape(2, 2, 1)) == metric(B, BINARY)


@pytest.mark.parametrize("metric", OF_CLASSES, ids=named)
def test_a_row_without_weight_counts_for_nothing(metric: metrics.Metric) -> None:
    """Such as padding, on which a network may say anything."""
    q, labels, weight = (
        np.vstack([Q, [[np.nan] * 3], [[0.0, 0.0, 1.0]]]),
        np.append(LABELS, [2, 0]),
        np.append(WQ, [0.0, 0.0]),
    )
    one_hot = np.vstack([np.eye(3)[LABELS], np.zeros((2, 3))])
    for target in (labels, one_hot):
        assert metric(q, target, weight) == pytest.approx(metric(Q, LABELS, WQ), rel=1e-14)


@pytest.mark.parametrize("spoilt", [np.nan, np.inf, -1e300])
@pytest.mark.parametrize("metric", EVERY, ids=named)
def test_a_row_without_weight_may_hold_anything(metric: metrics.Metric, spoilt: float) -> None:
    """In its prediction and in its target; without a warning on the way: those are errors here."""
    weight = np.append(WQ, 0.0)
    expected = metric(B, BINARY, WQ)
    assert metric(np.append(B, spoilt), np.append(BINARY, spoilt), weight) == pytest.approx(expected, rel=1e-14)
    if metric in OF_CLASSES:
        q, expected = np.vstack([Q, np.full(3, spoilt)]), metric(Q, LABELS, WQ)
        for target in (np.append(LABELS, -100), np.vstack([np.eye(3)[LABELS], np.full(3, spoilt)])):
            assert metric(q, target, weight) == pytest.approx(expected, rel=1e-14)
    else:
        own = (np.abs(P2), np.abs(T2)) if metric in OF_AMOUNTS else (P2, T2)
        p, t = (np.vstack([values, values[:1]]) for values in own)
        w = np.ones(p.shape)
        w[-1] = 0.0
        p[-1], t[-1] = spoilt, -spoilt
        assert metric(p, t, w) == pytest.approx(metric(*own), rel=1e-14)


def test_a_class_of_weight_0_is_left_out_of_the_mean() -> None:
    """scikit-learn 1.9 counts it as 0, and gives 0.5 here; its score without the row is 1."""
    q, labels = np.array([[0.9, 0.1, 0.0], [0.1, 0.9, 0.0], [0.1, 0.0, 0.9]]), np.array([0, 1, 2])
    for metric in (metrics.F1(), metrics.Precision(), metrics.Recall()):
        assert metric(q, labels, np.array([1.0, 1.0, 0.0])) == metric(q[:2], labels[:2]) == 1.0


# ----- several labels per row ---------------------------------------------------------------------------------

LABELLED = [metric for metric in OF_CLASSES if metric.tag not in ("balanced_accuracy", "top_k_accuracy")]
SEVERAL = np.array([[0.9, 0.2, 0.5], [0.4, 0.8, 0.1]]), np.array([[1, 0, 1], [1, 1, 0]])


def test_several_labels_by_hand() -> None:
    p, t = SEVERAL
    scores = {
        metrics.Accuracy(): 0.5, metrics.F1("micro"): 6 / 7, metrics.F1(): (2 / 3 + 1 + 1) / 3,
        metrics.F1("weighted"): (2 * 2 / 3 + 1 + 1) / 4, metrics.Precision("micro"): 1.0,
        metrics.Recall("micro"): 0.75, metrics.Brier(): np.mean((p - t) ** 2),
        metrics.LogLoss(): -np.mean(np.log([0.9, 0.8, 0.5, 0.4, 0.8, 0.9])),
        metrics.Perplexity(): np.exp(-np.mean(np.log([0.9, 0.8, 0.5, 0.4, 0.8, 0.9]))),
    }  # fmt: skip
    for metric, expected in scores.items():
        assert metric.multilabel(p, t) == pytest.approx(expected, rel=1e-14)
        assert metric.multilabel(p[:, None], t[:, None], np.ones((2, 1))) == pytest.approx(expected, rel=1e-14)
    found = metrics.per_label(p, t)
    assert [part.tolist() for part in found] == [[1, 1, 1], [0.5, 1, 1], [2 / 3, 1, 1], [2, 1, 1]]
    assert math.isnan(metrics.Accuracy().multilabel(p * [1, 1, np.nan], t))


@pytest.mark.parametrize("metric", OF_CLASSES, ids=named)
def test_one_label_per_row_is_one_probability(metric: metrics.Metric) -> None:
    for weight in (None, WQ):
        assert metric.multilabel(B[:, None], BINARY[:, None], weight) == metric(B, BINARY, weight)


@pytest.mark.parametrize("metric", [*LABELLED, metrics.F1("micro"), metrics.F1("weighted")], ids=named)
def test_a_missing_label_has_weight_0(metric: metrics.Metric) -> None:
    p, t = GOLDEN["labels"]["prediction"][:8], GOLDEN["labels"]["target"][:8]
    more = np.vstack([p, np.full(4, np.nan)]), np.vstack([t, [7, -1, 0, 0]]), np.append(np.ones(8), 0.0)
    assert metric.multilabel(*more) == pytest.approx(metric.multilabel(p, t), rel=1e-14)
    w = np.ones(p.shape)
    w[:, 2] = 0.0
    if metric.tag not in ("precision", "recall", "f1"):  # a label without rows is a label that scores 0
        rest = [0, 1, 3]
        expected = metric.multilabel(p[:, rest], t[:, rest])
        assert metric.multilabel(np.where(w == 0, np.nan, p), t, w) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("loss", [losses.SigmoidCrossEntropy(), losses.BinaryCrossEntropy()], ids=named)
def test_training_scores_several_labels(loss: losses.Loss) -> None:
    given, every = GOLDEN["labels_weighted"], [metrics.Accuracy(), metrics.F1(), metrics.F1("micro"), metrics.RocAuc()]
    z = (
        given["prediction"]
        if isinstance(loss, losses.BinaryCrossEntropy)
        else np.log(1 / (1 / given["prediction"] - 1))
    )
    data = z, given["target"], given["weight"]
    found = fn.evaluate(fn.Identity(), loss, {}, {}, data, [*every, metrics.AveragePrecision(), metrics.LogLoss()])
    for metric, name in zip(every, ("accuracy", "f1-macro", "f1-micro", "roc_auc"), strict=True):
        assert found[metric.name] == pytest.approx(float(given[name]), rel=1e-12)
    assert found["average_precision"] == pytest.approx(float(given["average_precision"]), rel=1e-12)
    assert found["log_loss"] == pytest.approx(found["loss"], rel=1e-6)


@pytest.mark.parametrize("metric", EVERY, ids=named)
def test_a_prediction_of_nan_scores_nan(metric: metrics.Metric) -> None:
    """A network that diverged has no accuracy, not that of the first class."""
    prediction = np.where(np.arange(4) == 1, np.nan, B)
    assert math.isnan(metric(prediction, BINARY))
    if metric in OF_CLASSES:
        assert math.isnan(metric(np.where(np.arange(3) == 1, np.nan, Q), LABELS))


@pytest.mark.parametrize("metric", EVERY, ids=named)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_constant_scores_are_no_error(metric: metrics.Metric, dtype: Any) -> None:
    """Training tries the metrics at 0 before it begins, and warnings are errors here."""
    assert type(metric(np.zeros((4, 1), dtype), BINARY)) is float
    if metric in OF_CLASSES:
        assert type(metric(np.full((4, 3), 1.0 / 3.0, dtype), LABELS)) is float
        assert type(metric(np.zeros((4, 3), dtype), LABELS)) is float


@pytest.mark.parametrize("metric", OF_ROWS, ids=named)
def test_two_columns_are_two_classes_of_one(metric: metrics.Metric) -> None:
    """But for averages, which one probability has none of."""
    columns = np.stack([1.0 - B, B], axis=1)
    expected = 0.5 if metric.tag in ("precision", "recall", "f1") else metric(B, BINARY, WQ)
    weight = None if metric.tag in ("precision", "recall", "f1") else WQ
    assert metric(columns, BINARY, weight) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("metric", OF_PROBABILITIES, ids=named)
def test_two_columns_of_probabilities_are_one(metric: metrics.Metric) -> None:
    columns = np.stack([1.0 - B, B], axis=1)
    assert metric(columns, BINARY, WQ) == pytest.approx(metric(B, BINARY, WQ), rel=1e-14)
    t = np.array([0.25, 0.5, 0.0, 1.0])
    assert metric(columns, np.stack([1.0 - t, t], axis=1)) == pytest.approx(metric(B, t), rel=1e-14)


@pytest.mark.parametrize("metric", [metrics.Precision, metrics.Recall, metrics.F1])
def test_one_probability_gives_the_positive_class_whatever_the_average(metric: Any) -> None:
    p, t = np.array([0.9, 0.8, 0.7, 0.1]), np.array([1, 1, 0, 1])
    for average in ("micro", "macro", "weighted"):
        assert metric(average)(p, t) == pytest.approx(2.0 / 3.0, rel=1e-15)


def test_an_average_is_one_of_three() -> None:
    with pytest.raises(fn.SpecError) as caught:
        metrics.F1("binary")  # type: ignore[arg-type]
    assert caught.value.problems == ('F1.average: expected "micro" or "macro" or "weighted", got "binary"',)


def test_what_is_undefined() -> None:
    """No positives, no negatives, a class without rows."""
    ones, zeros = np.ones(4, int), np.zeros(4, int)
    assert math.isnan(metrics.RocAuc()(B, ones))
    assert math.isnan(metrics.RocAuc()(B, zeros))
    assert math.isnan(metrics.RocAuc()(Q, np.array([0, 1, 0, 1])))
    assert metrics.AveragePrecision()(B, zeros) == 0.0
    assert metrics.AveragePrecision()(B, ones) == 1.0
    assert [metric(np.zeros(4), ones) for metric in (metrics.Precision(), metrics.Recall(), metrics.F1())] == [0.0] * 3
    assert [metric(np.zeros(4), zeros) for metric in (metrics.Precision(), metrics.Recall(), metrics.F1())] == [0.0] * 3
    assert metrics.F1()(np.eye(3)[[0, 0]], np.array([0, 0])) == 1.0  # the other two are in no row


@pytest.mark.parametrize("scores", [lambda p: p, lambda p: 5.0 * p - 9.0, lambda p: p**3, lambda p: np.log(p)])
def test_order_alone_counts_in_a_ranking(scores: Any) -> None:
    case = GOLDEN["column_tied_weighted"]
    p = case["prediction"] + 0.125
    for metric in (metrics.RocAuc(), metrics.AveragePrecision()):
        assert metric(scores(p), case["target"], case["weight"]) == metric(p, case["target"], case["weight"])


def test_the_later_of_equals_is_the_likelier_for_top_k() -> None:
    q, labels = np.full((3, 3), 1.0 / 3.0), np.array([0, 1, 2])
    assert [metrics.TopKAccuracy(k)(q, labels) for k in (1, 2, 3)] == pytest.approx([1 / 3, 2 / 3, 1.0], rel=1e-15)
    assert metrics.TopKAccuracy(1)(q[:1], np.array([2])) == 1.0
    assert metrics.TopKAccuracy(1)(q[:1], np.array([0])) == 0.0
    half, labels = np.array([0.5, 0.4999]), np.array([1, 0])
    assert (metrics.TopKAccuracy(1)(half, labels), metrics.Accuracy()(half, labels)) == (0.5, 1.0)
    assert metrics.TopKAccuracy(1)(half, np.array([0, 1])) == 0.5
    assert metrics.TopKAccuracy(1)(np.nextafter(half, 1.0), labels) == 1.0


def test_perplexity_is_not_clipped() -> None:
    q = np.array([[1.0, 0.0], [0.5, 0.5]])
    assert metrics.Perplexity()(q, np.array([1, 0])) == math.inf
    assert metrics.Perplexity()(q, np.array([0, 0])) == pytest.approx(math.sqrt(2.0), rel=1e-15)
    assert metrics.Perplexity()(np.array([0.0, 1.0]), np.array([0, 1])) == 1.0
    assert metrics.Perplexity()(np.array([0.0, 1.0]), np.array([1, 1])) == math.inf
    assert metrics.Perplexity()(np.array([[1.0, 5e-324]]), np.array([1])) == math.inf  # which overflows, unwarned
    small = np.array([[1.0, 1e-30]], np.float32)
    assert metrics.Perplexity()(small, np.array([1])) == pytest.approx(1e30, rel=1e-6)
    assert metrics.LogLoss()(small, np.array([1])) == pytest.approx(-math.log(np.finfo(np.float32).eps), rel=1e-6)


@pytest.mark.parametrize("case", ["classes", "classes_weighted", "column", "column_weighted"])
def test_perplexity_is_the_exponential_of_the_log_loss(case: str) -> None:
    given = GOLDEN[case]
    score = metrics.Perplexity()(given["prediction"], given["target"], given.get("weight"))
    assert score == pytest.approx(math.exp(given["log_loss"]), rel=1e-12)


@pytest.mark.parametrize("weight", [None, np.array([0.7, 0.9, 1.3])])
def test_a_constant_target_whose_mean_is_rounded(weight: Any) -> None:
    """The mean of 0.1, 0.1 and 0.1 is not 0.1."""
    t = np.full(3, 0.1)
    for metric in (metrics.R2(), metrics.ExplainedVariance()):
        assert metric(t, t, weight) == 1.0
        assert metric(t + np.arange(3), t, weight) == 0.0
    assert metrics.R2()(t + 1.0, t, weight) == 0.0
    assert metrics.ExplainedVariance()(t + 1.0, t, weight) == 1.0


@pytest.mark.parametrize(
    ("loss", "units", "y", "chosen"),
    [
        (losses.SoftmaxCrossEntropy(), 3, LABELS, OF_CLASSES),
        (losses.SoftmaxCrossEntropy(), 3, np.eye(3)[LABELS], OF_CLASSES),
        (losses.SigmoidCrossEntropy(), 1, BINARY, EVERY),
        (losses.MeanSquaredError(), 2, np.stack([P, T], axis=1), OF_VALUES),
    ],
    ids=["labels", "one-hot", "binary", "values"],
)
def test_metrics_in_training(loss: losses.Loss, units: int, y: Any, chosen: list[metrics.Metric]) -> None:
    """On the whole of each part, one of which has rows of one class alone."""
    x = np.arange(8.0).reshape(4, 2) / 8.0
    net, validation = fn.serial(fn.Dense(units)), (x[:1], y[:1])
    options: Any = {"loss": loss, "optimizer": fn.optim.SGD(0.1), "key": fn.Key(0), "metrics": chosen}
    result = fn.fit(net, (x, y, WQ), epochs=2, batch_size=2, validation=validation, **options)
    ts, row = result.train_state, result.history[-1]
    p = loss.link(fn.predict(net, ts.params, ts.state, x))
    for metric in chosen:
        given = y if y.dtype.kind == "i" else y.astype(np.float32)
        assert row[str(metric.tag)] == metric(p, given, WQ)
        assert row[f"validation/{metric.tag}"] == pytest.approx(metric(p[:1], given[:1]), rel=1e-5, nan_ok=True)
    undefined = {name for name, value in row.items() if value is not None and math.isnan(value)}
    assert undefined == {f"validation/{tag}" for tag in {"roc_auc"} & {metric.tag for metric in chosen}}


@pytest.mark.parametrize("metric", [*EVERY, metrics.F1("micro"), metrics.TopKAccuracy(5)], ids=named)
def test_metrics_are_specs(metric: metrics.Metric) -> None:
    assert fn.from_json(fn.to_json(metric)) == metric
    assert fn.from_json({"metric": metric.tag}) == type(metric)()


def test_k_is_above_0() -> None:
    with pytest.raises(fn.SpecError) as caught:
        metrics.TopKAccuracy(0)
    assert caught.value.problems == ("TopKAccuracy.k: must be positive, got 0",)


def test_a_large_vocabulary_needs_no_square_matrix() -> None:
    classes = 40_000  # whose square is 13 GB
    q, labels = np.zeros((3, classes), np.float32), np.array([0, 7, 39_999])
    q[np.arange(3), [0, 7, 8]] = 1.0
    assert metrics.Recall("weighted")(q, labels) == pytest.approx(2 / 3, rel=1e-15)
    assert metrics.BalancedAccuracy()(q, labels) == pytest.approx(2 / 3, rel=1e-15)


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
    assert metrics.Accuracy()(np.array([0.9, 0.1]), np.array([0.5, 0.4999])) == 1.0  # of targets too


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


@pytest.mark.parametrize("metric", EVERY, ids=named)
@pytest.mark.parametrize(("p", "t"), NEVER_BROADCAST)
def test_shapes_are_never_broadcast(metric: metrics.Metric, p: Any, t: Any) -> None:
    if metric in OF_VALUES or metric in OF_AMOUNTS or len(p) == 1:
        error, message = (
            fn.ShapeError,
            (
                f"expected a target of the prediction's shape {p}, got {t}; "
                "reshape one of them, or change the last layer's units"
            ),
        )
    elif t == p[:-1]:
        error, message = fn.DataError, "expected integer labels, got float64; give whole numbers of an integer type"
    else:
        error, message = (
            fn.ShapeError,
            (
                f"expected labels of shape {p[:-1]} or one-hot rows of shape {p}, got {t}; "
                "reshape the target, or change the last layer's units"
            ),
        )
    with pytest.raises(fn.FuncnetError) as caught:
        metric(np.full(p, 0.5), np.full(t, 0.5))
    assert (type(caught.value), str(caught.value)) == (error, f"{type(metric).__name__}: {message}")


# what is wrong: metrics, prediction, target, weight, the error and what it says after the metric's name
WRONG: dict[str, tuple[list[metrics.Metric], Any, Any, Any, type[fn.FuncnetError], str]] = {
    "a label above the classes": (
        OF_CLASSES, Q, np.array([0, 1, 3, 0]), None, fn.DataError,
        "expected labels from 0 to 2, got 3 at row 2; "
        "renumber the labels, or give the last layer one unit for each class",
    ),
    "a label below 0": (  # which would count from the end
        OF_CLASSES, Q, np.array([0, 1, -1, 0]), None, fn.DataError,
        "expected labels from 0 to 2, got -1 at row 2; "
        "renumber the labels, or ignore this one with weight=(target != -1)",
    ),
    "labels that are floats": (
        OF_CLASSES, Q, LABELS.astype(float), None, fn.DataError,
        "expected integer labels, got float64; give whole numbers of an integer type",
    ),
    "labels for other rows": (
        OF_CLASSES, Q, np.zeros(5, int), None, fn.ShapeError,
        "expected labels of shape (4,) or one-hot rows of shape (4, 3), got (5,); "
        "reshape the target, or change the last layer's units",
    ),
    "one label": (
        OF_CLASSES, Q, np.array([0]), None, fn.ShapeError,
        "expected labels of shape (4,) or one-hot rows of shape (4, 3), got (1,); "
        "reshape the target, or change the last layer's units",
    ),
    "a class for one probability": (
        OF_CLASSES, B, np.array([0, 1, 2, 1]), None, fn.DataError,
        "expected targets between 0 and 1, got 2.0; for other values use RMSE, MAE or R2",
    ),
    "one-hot rows of something else": (
        OF_CLASSES, Q, np.full((4, 3), 2), None, fn.DataError,
        "expected targets between 0 and 1, got 2.0; for other values use RMSE, MAE or R2",
    ),
    "several classes in a row": (
        OF_ROWS, Q, np.array([[1, 0, 0], [1, 0, 1], [0, 1, 0], [1, 0, 0]]), None, fn.DataError,
        "expected target rows that add up to 1, got 2 in row 1; "
        "give integer labels or one-hot rows, one class per row; for several labels per row use "
        "multilabel(prediction, target), as training with SigmoidCrossEntropy() does",
    ),
    "a probability above 1": (
        OF_PROBABILITIES, np.array([0.5, 1.5, 0.2, 0.1]), BINARY, None, fn.DataError,
        "expected probabilities between 0 and 1, got 1.5; for other values use RMSE, MAE or R2",
    ),
    "a probability below 0": (
        OF_PROBABILITIES, Q - 0.25, LABELS, None, fn.DataError,
        f"expected probabilities between 0 and 1, got {0.2 - 0.25}; for other values use RMSE, MAE or R2",
    ),
    "k above the classes": (
        [metrics.TopKAccuracy(4)], Q, LABELS, None, fn.ShapeError,
        "expected k of at most 3, the number of classes, got 4; lower k",
    ),
    "k above the classes of one probability": (
        [metrics.TopKAccuracy(3)], B, BINARY, None, fn.ShapeError,
        "expected k of at most 2, the number of classes, got 3; lower k",
    ),
    "several outputs": (
        EVERY, (B, B), BINARY, None, fn.ShapeError,
        "expected one output to compare, got the shapes ((), ()); join outputs with Concat or Sum, "
        "or give each its loss with Multi",
    ),
    "no rows": (EVERY, B[:0], BINARY[:0], None, fn.DataError, "expected at least one row, got shape (0,)"),
    "no rows of classes": (
        OF_CLASSES, Q[:0], LABELS[:0], None, fn.DataError, "expected at least one row, got shape (0, 3)",
    ),
    "a weight below 0": (
        EVERY, B, BINARY, np.array([1.0, -1.0, 1.0, 1.0]), fn.DataError, "expected weights of 0 or more, got -1.0",
    ),
    "no weight": (
        EVERY, B, BINARY, np.zeros(4), fn.DataError,
        "expected weights with a sum above 0; give some row a weight",
    ),
    "a weight too few": (
        EVERY, B, BINARY, np.ones(3), fn.ShapeError,
        "expected a weight of shape (4,), got (3,); give one weight per sample or term",
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("metric", "what"), [(metric, what) for what in WRONG for metric in WRONG[what][0]], ids=lambda v: named(v) or v
)
def test_bad_input_is_one_clear_error(metric: metrics.Metric, what: str) -> None:
    _, prediction, target, weight, error, message = WRONG[what]
    with pytest.raises(error) as caught:
        metric(prediction, target, weight)
    assert (type(caught.value), str(caught.value)) == (error, f"{type(metric).__name__}: {message}")


CONFUSED: dict[str, tuple[Any, Any, int, type[fn.FuncnetError], str]] = {
    "labels": (
        Q, np.array([0, 1, 3, 0]), 3, fn.DataError,
        "expected labels from 0 to 2, got 3 at row 2; "
        "renumber the labels, or give the last layer one unit for each class",
    ),
    "decisions": (
        np.array([0, 1, 3, 0]), LABELS, 3, fn.DataError,
        "expected labels from 0 to 2, got 3 at row 2; "
        "renumber the labels, or give the last layer one unit for each class",
    ),
    "more classes": (
        Q, LABELS, 5, fn.ShapeError,
        "expected predictions of 5 classes, got the shape (4, 3), which has 3; "
        "give classes=3, or change the last layer's units",
    ),
    "one probability": (
        B, BINARY, 3, fn.ShapeError,
        "expected predictions of 3 classes, got the shape (4,), which has 2; "
        "give classes=2, or change the last layer's units",
    ),
    "nan": (
        Q * np.nan, LABELS, 3, fn.DataError,
        "expected predictions that are numbers, got nan, which has no class",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", CONFUSED)
def test_a_confusion_matrix_of_bad_input_is_an_error(what: str) -> None:
    prediction, target, classes, error, message = CONFUSED[what]
    with pytest.raises(error) as caught:
        metrics.confusion_matrix(prediction, target, classes)
    assert (type(caught.value), str(caught.value)) == (error, f"confusion_matrix: {message}")


def test_each_class_of_what_is_not_square_is_an_error() -> None:
    with pytest.raises(fn.ShapeError) as caught:
        metrics.per_class(np.zeros((2, 3)))
    assert str(caught.value) == "per_class: expected a square confusion matrix, got shape (2, 3)"


@pytest.mark.parametrize("metric", EVERY, ids=named)
@pytest.mark.parametrize("shape", [(3,), (2,), (4, 2)])
def test_a_weight_of_another_shape_is_an_error(metric: metrics.Metric, shape: Any) -> None:
    with pytest.raises(fn.ShapeError):
        metric(B, BINARY, np.ones(shape))


@pytest.mark.parametrize("metric", EVERY, ids=named)
def test_nothing_is_written_to(metric: metrics.Metric) -> None:
    arrays = [np.array(a) for a in (B, BINARY, WQ)]
    for array in arrays:
        array.flags.writeable = False
    assert metric(*arrays) == metric(B, BINARY, WQ)
