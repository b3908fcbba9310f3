"""Padded sequences at the door, in losses and metrics, and in training: equal to their real steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import funcnet as fn
from funcnet import losses, metrics, optim
from funcnet.losses.base import column_of, share, spread, total_weight
from funcnet.spec.fields import frozen
from tests.table import same

LENGTHS = np.array([5, 2, 4, 0, 3, 1])
MASK = np.arange(5) < LENGTHS[:, None]
KEY = fn.Key(7)
LOGITS = KEY.fold("logits").normal((6, 5, 3))
SHARES = 0.05 + 0.9 * KEY.fold("shares").uniform((6, 5, 3))
LABELS = KEY.fold("labels").integers(3, (6, 5))
WEIGHT = {
    "none": None,
    "samples": 0.5 + KEY.fold("w").uniform((6,)),
    "steps": 0.5 + KEY.fold("w").uniform((6, 5)),
}


def poisoned(values: Any) -> Any:
    """Values that hold NaN, or -1 where they are integers, at padded steps."""
    mask = MASK.reshape(*MASK.shape, *(1,) * (values.ndim - 2))
    return np.where(mask, values, np.nan if values.dtype.kind == "f" else -1)


def real_weight(weight: Any) -> Any:
    """The weights of the real steps."""
    if weight is None:
        return None
    return (np.broadcast_to(weight[:, None], (6, 5)) if weight.ndim == 1 else weight)[MASK]


# ----- losses and metrics ----------------------------------------------------------------------------------------

COMPARED: dict[str, tuple[losses.Loss, Any, Any]] = {
    "softmax": (losses.SoftmaxCrossEntropy(), LOGITS, LABELS),
    "softmax of probabilities": (
        losses.SoftmaxCrossEntropy(label_smoothing=0.1),
        LOGITS,
        SHARES / SHARES.sum(-1, keepdims=True),
    ),
    "likelihood": (losses.NegativeLogLikelihood(), LOGITS, LABELS),
    "sigmoid": (losses.SigmoidCrossEntropy(), LOGITS, SHARES),
    "probabilities": (losses.BinaryCrossEntropy(), SHARES, SHARES[::-1]),
    "squares": (losses.MeanSquaredError(), LOGITS, SHARES),
    "squares of one number": (losses.MeanSquaredError(), LOGITS[..., 0], SHARES[..., 0]),
    "sum of squares": (losses.SumSquaredError(), LOGITS, SHARES),
    "root": (losses.RootMeanSquaredError(), LOGITS, SHARES),
    "huber": (losses.Huber(0.5), LOGITS, SHARES),
    "absolute": (losses.MeanAbsoluteError(), LOGITS, SHARES),
}


@pytest.mark.parametrize("weight", WEIGHT)
@pytest.mark.parametrize("masks", ["prediction", "target", "both"])
@pytest.mark.parametrize("name", COMPARED)
def test_a_loss_of_padded_sequences_is_that_of_their_real_steps(name: str, masks: str, weight: str) -> None:
    loss, p, t = COMPARED[name]
    paired = masks != "target"
    prediction = (poisoned(p), MASK) if paired else poisoned(p)
    target = poisoned(t) if masks == "prediction" else (poisoned(t), MASK)
    value, residuals = loss.apply(prediction, target, WEIGHT[weight])
    real_value, real_residuals = loss.apply(p[MASK], t[MASK], real_weight(WEIGHT[weight]))
    np.testing.assert_allclose(value, real_value, rtol=1e-14)
    dp = loss.vjp(residuals, 2.0)
    assert isinstance(dp, tuple) is paired
    dp = dp[0] if paired else dp
    np.testing.assert_allclose(dp[MASK], loss.vjp(real_residuals, 2.0), rtol=1e-13, atol=1e-17)
    assert not np.any(dp[~MASK])
    if masks != "prediction":
        divisor = loss.divisor(target, WEIGHT[weight])
        assert divisor == pytest.approx(loss.divisor(t[MASK], real_weight(WEIGHT[weight])), rel=1e-14)
        assert loss.apply(prediction, target, WEIGHT[weight], divisor)[0] == value


def test_masks_that_differ_are_both_kept() -> None:
    other = MASK & (np.arange(5) != 1)
    loss = losses.SoftmaxCrossEntropy()
    value, _ = loss.apply((LOGITS, MASK), (LABELS, other))
    np.testing.assert_allclose(value, loss.apply(LOGITS[other], LABELS[other])[0], rtol=1e-14)


def test_a_link_keeps_the_mask() -> None:
    for loss in (losses.SoftmaxCrossEntropy(), losses.SigmoidCrossEntropy(), losses.NegativeLogLikelihood()):
        values, mask = loss.link((poisoned(LOGITS), MASK))
        assert mask is MASK
        assert same(values, np.where(MASK[..., None], loss.link(LOGITS), 0.0))


Q = losses.SoftmaxCrossEntropy().link(LOGITS)
CLASSES = [
    metrics.Accuracy(), metrics.BalancedAccuracy(), metrics.F1(), metrics.RocAuc(), metrics.LogLoss(), metrics.Brier(),
    metrics.Perplexity(),
]  # fmt: skip
NUMBERS = [metrics.RMSE(), metrics.MAE()]
SCORED = [(metric, Q, LABELS) for metric in CLASSES] + [(metric, LOGITS, SHARES) for metric in NUMBERS]


@pytest.mark.parametrize("weight", WEIGHT)
@pytest.mark.parametrize(("metric", "p", "t"), SCORED, ids=[metric.name for metric, _, _ in SCORED])
def test_a_metric_of_padded_sequences_is_that_of_their_real_steps(
    metric: metrics.Metric, p: Any, t: Any, weight: str
) -> None:
    expected = metric(p[MASK], t[MASK], real_weight(WEIGHT[weight]))
    for prediction, target in (
        ((poisoned(p), MASK), poisoned(t)),
        (poisoned(p), (poisoned(t), MASK)),
        ((poisoned(p), MASK), (poisoned(t), MASK)),
    ):
        assert metric(prediction, target, WEIGHT[weight]) == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize("metric", [metrics.R2(), metrics.ExplainedVariance()])
def test_a_metric_of_columns_weighs_real_steps(metric: metrics.Metric) -> None:
    """Each step and feature is a column, as without a mask; padding weighs nothing."""
    expected = metric(LOGITS, SHARES, np.repeat(MASK[..., None], 3, axis=-1).astype(np.float64))
    assert metric((poisoned(LOGITS), MASK), poisoned(SHARES)) == pytest.approx(expected, rel=1e-13)
    assert metric((LOGITS, np.ones_like(MASK)), SHARES) == pytest.approx(metric(LOGITS, SHARES), rel=1e-13)


def test_a_target_for_each_sample_does_not_fit_masked_outputs() -> None:
    with pytest.raises(fn.ShapeError) as caught:
        losses.SoftmaxCrossEntropy().apply((LOGITS, MASK), LABELS[:, 0])
    assert str(caught.value) == (
        "SoftmaxCrossEntropy: expected labels of shape (6, 5) or probabilities of shape (6, 5, 3), got (6,); "
        "for one label for each sample put a Flatten, a pooling or the last step before the last layer"
    )


# ----- training --------------------------------------------------------------------------------------------------

X = KEY.fold("x").normal((6, 5, 2))
SEQUENCES = [x[:n] for x, n in zip(X, LENGTHS, strict=True)]
STEPS = [labels[:n] for labels, n in zip(LABELS, LENGTHS, strict=True)]
PADDED = (poisoned(X), MASK)
NET = fn.serial(fn.LSTM(4), fn.Dropout(0.1), fn.BatchNorm(), fn.Dense(3))
SCE = losses.SoftmaxCrossEntropy()
WAYS = {
    "lists": (SEQUENCES, STEPS),
    "lists of lists": ([x.tolist() for x in SEQUENCES], [labels.tolist() for labels in STEPS]),
    "arrays of objects": (np.array([*SEQUENCES], object), np.array([*STEPS], object)),
    "masks": (PADDED, poisoned(LABELS)),
    "masks of both": (PADDED, (poisoned(LABELS), MASK)),
    "lists and labels": (SEQUENCES, LABELS),
}


def fitted(data: Any, net: fn.Layer = NET, **how: Any) -> fn.Fit:
    how = {"epochs": 3, "batch_size": 3, "key": KEY, "loss": SCE, "optimizer": optim.Adam(0.01)} | how
    return fn.fit(net, data, **how)


def without_seconds(rows: Any) -> Any:
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


@pytest.mark.parametrize("class_weight", [None, "balanced", {0: 1.0, 1: 2.0, 2: 0.5}])
@pytest.mark.parametrize("way", WAYS)
def test_every_form_of_padded_data_trains_the_same(way: str, class_weight: Any) -> None:
    how = {"class_weight": class_weight, "metrics": [metrics.Accuracy(), metrics.LogLoss()]}
    expected = fitted(WAYS["masks of both"], validation=WAYS["masks of both"], **how)
    done = fitted(WAYS[way], validation=WAYS[way], **how)
    assert same(done.train_state.params, expected.train_state.params)
    assert same(done.train_state.state, expected.train_state.state)
    assert without_seconds(done.history) == without_seconds(expected.history)
    assert np.isfinite(done.history[-1]["loss"])


def test_the_history_is_the_mean_over_real_steps() -> None:
    """Batches of equal rows and unequal numbers of steps count by their steps."""
    net = fn.serial(fn.GRU(4), fn.Dense(3))
    done = fitted((PADDED, LABELS), net, epochs=1, optimizer=optim.SGD(1e-30), metrics=[metrics.LogLoss()])
    row = done.history[-1]
    assert row["loss"] == pytest.approx(row["log_loss"], rel=1e-5)
    q, mask = fn.predict(net, done.train_state.params, done.train_state.state, PADDED)
    assert row["loss"] == pytest.approx(float(SCE.apply(q[mask], LABELS[MASK])[0]), rel=1e-5)


@pytest.mark.parametrize("shards", [2, 3, 6])
@pytest.mark.parametrize("target", [LABELS, (LABELS, MASK)], ids=["plain", "paired"])
def test_shards_of_padded_sequences_add_up(shards: int, target: Any) -> None:
    net, opt = fn.serial(fn.GRU(4), fn.Dense(3)), optim.SGD(0.1)
    ts = fn.train_state(net, opt, KEY, ((5, 2), (5,)), np.float64)
    whole, one = fn.train_step(net, SCE, opt)(ts, (PADDED, target))
    parts, other = fn.train_step(net, SCE, opt, shards=shards)(ts, (PADDED, target))
    assert other["loss"] == pytest.approx(one["loss"], rel=1e-13)
    fn.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-15), parts.params, whole.params)


@pytest.mark.parametrize("compile", [False, True])
def test_a_step_is_that_of_the_real_steps(compile: bool) -> None:
    """A layer on each step alone trains on padded sequences as on their steps as rows."""
    net, opt = fn.serial(fn.Dense(4), fn.BatchNorm(), fn.Tanh(), fn.Dense(3)), optim.SGD(0.1)
    ts = fn.train_state(net, opt, KEY, (2,), np.float64)
    rows, rows_out = fn.train_step(net, SCE, opt, compile=compile)(ts, (X[MASK], LABELS[MASK]))
    for x, y in WAYS.values():
        steps, out = fn.train_step(net, SCE, opt, compile=compile)(ts, (x, y))
        assert out["loss"] == pytest.approx(rows_out["loss"], rel=1e-13)
        for a, b in ((steps.params, rows.params), (steps.state, rows.state)):
            fn.tree.map(lambda u, v: np.testing.assert_allclose(u, v, rtol=1e-11, atol=1e-14), a, b)
        value, _, _ = fn.value_and_grad(net, SCE)(ts.params, ts.state, x, y, fn.Context(True, KEY))
        assert value == out["loss"]


@frozen
class Cubes(losses.Loss):
    """``Σ w |p - t|³ / Σ w``, which knows weights, and nothing of masks."""

    def divisor(self, target: Any, weight: Any = None) -> float:
        return total_weight(target.shape, weight)

    def apply(self, prediction: Any, target: Any, weight: Any = None, divisor: Any = None) -> Any:
        divisor = self.divisor(target, weight) if divisor is None else divisor
        error = prediction - column_of(prediction, target, self)
        w = np.ones_like(error) if weight is None else spread(weight, error.shape, error.dtype, self)
        return np.sum(w * np.abs(error) ** 3) * share(divisor), (error, w, divisor)

    def vjp(self, residuals: Any, dy: Any = 1.0) -> Any:
        error, w, divisor = residuals
        return 3.0 * w * error * np.abs(error) * (dy * share(divisor))


@frozen
class Largest(metrics.Metric):
    """The largest error of positive weight."""

    def __call__(self, prediction: Any, target: Any, weight: Any = None) -> float:
        return float(np.max(np.abs(prediction - target)[np.asarray(weight) > 0.0]))


@pytest.mark.parametrize("shards", [1, 3])
def test_a_loss_and_a_metric_that_know_nothing_of_masks_get_weights(shards: int) -> None:
    net, loss = fn.serial(fn.Dense(3)), Cubes()
    data = (PADDED, poisoned(SHARES)), (SEQUENCES, [t[:n] for t, n in zip(SHARES, LENGTHS, strict=True)])
    how = {"loss": loss, "batch_size": "full", "shards": shards}
    rows = fitted((X[MASK], SHARES[MASK]), net, **how)
    for each in data:
        done = fitted(each, net, **how)
        assert done.history[-1]["loss"] == pytest.approx(rows.history[-1]["loss"], rel=1e-5)
        params = done.train_state.params
        score = fn.evaluate(net, loss, params, {}, each, [Largest()])["Largest"]
        y, mask = fn.predict(net, params, {}, PADDED)
        assert score == pytest.approx(np.max(np.abs(y - SHARES)[mask]), rel=1e-5)


def test_a_loss_without_weights_gets_the_pairs() -> None:
    def apply(prediction: Any, target: Any) -> Any:
        values, mask = prediction
        error = np.where(mask[..., None], values - target, 0.0)
        return np.sum(error * error), error

    loss = fn.loss(apply, lambda error, dy=1.0: (2.0 * error * dy, None))
    net = fn.serial(fn.Dense(3))
    params, state = net.init(KEY, ((5, 2), (5,)), np.float64)
    value, _, grads = fn.value_and_grad(net, loss)(params, state, PADDED, SHARES, fn.EVAL)
    other, _, expected = fn.value_and_grad(net, losses.SumSquaredError())(params, state, PADDED, SHARES, fn.EVAL)
    assert value == pytest.approx(other, rel=1e-14)
    fn.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-13), grads, expected)


def test_several_masks_need_that_of_the_targets() -> None:
    graph = fn.Graph(("a", "b"), {"c": (fn.Sum(), ("a", "b")), "d": (fn.Dense(3), "c")}, "d")
    x = (PADDED, (X, np.ones_like(MASK)))
    with pytest.raises(fn.ShapeError) as caught:
        fitted((x, LABELS), graph)
    assert str(caught.value) == (
        "cannot tell which of 2 masks belongs to the targets; give the targets with theirs, (y, mask)"
    )
    done = fitted((x, (LABELS, MASK)), graph, epochs=1)
    assert np.isfinite(done.history[-1]["loss"])


# ----- class weights -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["padded", "weighted"])
def test_balanced_counts_real_steps(way: str) -> None:
    """Six steps of class 0 and two of class 1; padding holds class 0 and counts for none."""
    from funcnet.training.batches import class_weights

    labels = np.array([[0, 1, 0, 0], [0, 0, 0, 0], [0, 1, 0, 0]])
    mask = np.array([[1, 1, 1, 1], [1, 0, 0, 0], [1, 1, 1, 0]], bool)
    found = (
        class_weights((labels, mask), None, "balanced")
        if way == "padded"
        else class_weights(labels, mask.astype(np.float64), "balanced")
    )
    np.testing.assert_allclose(found, np.where(mask, np.where(labels == 1, 8 / (2 * 2), 8 / (2 * 6)), 0.0), rtol=1e-15)
    totals = [found[labels == k].sum() for k in (0, 1)]
    assert totals == pytest.approx([4.0, 4.0])


# ----- at the door -----------------------------------------------------------------------------------------------


def test_lists_of_sequences_are_padded_for_predictions() -> None:
    params, state = NET.init(KEY, ((5, 2), (5,)))
    expected = fn.predict(NET, params, state, (X.astype(np.float32), MASK))
    for x in (SEQUENCES, [x.tolist() for x in SEQUENCES], (X, MASK), PADDED):
        assert same(fn.predict(NET, params, state, x), expected)
    for i, x in enumerate(SEQUENCES[:3]):
        alone = fn.predict(NET, params, state, x[None])
        np.testing.assert_allclose(expected[0][i, : len(x)], alone[0], rtol=1e-5, atol=1e-6)
    batched = fn.predict(NET, params, state, SEQUENCES, batch_size=2)
    np.testing.assert_allclose(batched[0], expected[0], rtol=1e-5, atol=1e-6)
    proba, mask = fn.predict_proba(NET, SCE, params, state, SEQUENCES)
    labels, _ = fn.predict_label(NET, SCE, params, state, SEQUENCES)
    assert same(labels, np.argmax(proba, axis=-1))
    assert same(mask, MASK)


def test_lists_of_words_are_padded() -> None:
    net = fn.serial(fn.Embedding(9, 4), fn.GRU(4), fn.SequencePool(), fn.Dense(2))
    words, y = [[1, 2, 3], [4], [], [2, 2]], np.array([0, 1, 0, 1])
    done = fitted((words, y), net, metrics=[metrics.Accuracy()])
    params, state = done.train_state.params, done.train_state.state
    one_by_one = [fn.predict(net, params, state, np.array([row])) for row in words if row]
    np.testing.assert_allclose(fn.predict(net, params, state, words)[[0, 1, 3]], np.concatenate(one_by_one), rtol=1e-5)
    assert fn.evaluate(net, SCE, params, state, (words, y), [metrics.Accuracy()]).keys() == {"loss", "accuracy"}


def test_lists_in_a_tuple_of_inputs_are_padded() -> None:
    net = fn.serial(fn.Parallel((fn.GRU(2, return_sequences=False), fn.Dense(2))), fn.Concat(), fn.Dense(3))
    other = KEY.fold("other").normal((6, 4), np.float32)
    params, state = net.init(KEY, (((5, 2), (5,)), (4,)))
    expected = fn.predict(net, params, state, (PADDED, other))
    assert same(fn.predict(net, params, state, (SEQUENCES, other)), expected)


def test_lists_of_sequences_are_cross_validated() -> None:
    net, y = fn.serial(fn.GRU(2, return_sequences=False), fn.Dense(3)), np.arange(6) % 2
    how = {"folds": 2, "key": KEY, "epochs": 1, "loss": SCE, "optimizer": optim.Adam()}
    lists, pairs = (fn.cross_validate(net, (x, y), **how) for x in (SEQUENCES, PADDED))
    assert str(lists) == str(pairs)


def test_every_step_of_a_padded_sequence_is_predicted_out_of_fold() -> None:
    net, steps = fn.serial(fn.GRU(2), fn.Dense(3)), np.arange(6) % 2
    y = np.repeat(steps[:, None], PADDED[0].shape[1], axis=1)
    how = {"folds": 2, "key": KEY, "epochs": 1, "loss": SCE, "optimizer": optim.Adam(), "predictions": True}
    found = fn.cross_validate(net, (PADDED, y), **how)
    values, mask = found.predictions
    assert np.array_equal(mask, PADDED[1])
    np.testing.assert_allclose(values[mask].sum(axis=-1), 1.0, rtol=1e-6)
    assert np.array_equal(found.labels[0][mask], values.argmax(axis=-1)[mask])


RAGGED = "expected rows of one length, got different ones; pad or cut them, or give several inputs as a tuple"


@pytest.mark.parametrize(
    ("net", "data", "name"),
    [
        (fn.serial(fn.Flatten(), fn.Dense(3)), (SEQUENCES, LABELS[:, 0]), "x"),
        (fn.serial(fn.Conv1D(3, 2)), (SEQUENCES, LABELS), "x"),
        (fn.Dense(3), ([[1.0, 2.0], [3.0]], LABELS[:2, 0]), "x"),
        (fn.serial(fn.GRU(2), fn.SequencePool(), fn.Dense(3)), (X, STEPS), "y"),
        (NET, ([np.ones((2, 3)), np.ones((3, 2))], LABELS[:2]), "x"),
    ],
    ids=["no mask", "a convolution", "a table", "targets of samples", "features that differ"],
)
def test_other_rows_of_different_lengths_are_refused(net: fn.Layer, data: Any, name: str) -> None:
    with pytest.raises(fn.DataError) as caught:
        fitted(data, net)
    assert str(caught.value) == f"{name}: {RAGGED}"


def test_targets_have_the_lengths_of_their_sequences() -> None:
    steps = [*STEPS[:2], STEPS[2][:3], *STEPS[3:]]
    with pytest.raises(fn.DataError) as caught:
        fitted((SEQUENCES, steps))
    assert str(caught.value) == "expected a target for each of the 4 steps of row 2, got 3; give lists of equal lengths"


def test_real_steps_are_finite() -> None:
    x = X.copy()
    x[1, 1, 0] = np.nan
    with pytest.raises(fn.DataError) as caught:
        fitted(((x, MASK), LABELS))
    assert str(caught.value).startswith("expected finite inputs, got nan in row 1")


def test_padding_is_not_blamed() -> None:
    net, opt = fn.serial(fn.GRU(4), fn.Dense(3)), optim.SGD(0.1)
    ts = fn.train_state(net, opt, KEY, ((5, 2), (5,)))
    broken = evolve_params(ts, np.inf)
    with pytest.raises(fn.NonFiniteError) as caught:
        fn.train_step(net, SCE, opt)(broken, (PADDED, LABELS))
    assert "it arose first in params dense_0/bias" in str(caught.value)


def evolve_params(ts: Any, fill: float) -> Any:
    params = fn.tree.at(ts.params, "dense_0/bias").set(np.full(3, fill, np.float32))
    return type(ts)(params, ts.state, ts.opt_state, ts.key, ts.step)
