"""Scores and checks of a split go by blocks of rows: the same numbers, in memory that does not follow the rows."""

import numpy as np
import pytest

import funcnet as fn
from funcnet import losses, metrics, optim
from funcnet.layers.base import numbers_made
from funcnet.spec.fields import frozen
from funcnet.training import evaluate as module
from tests.benchmarks.follows import peak

KEY = fn.Key(0)
ROWS = 1001
X = KEY.fold("x").normal((ROWS, 5), np.float32)
LABELS = KEY.fold("labels").integers(4, (ROWS,))
WEIGHT = np.where(np.arange(ROWS) // 150 % 3 == 1, 0.0, KEY.fold("weight").uniform((ROWS,)))  # whole blocks of weight 0
CASES = {
    "classes": (
        4,
        losses.SoftmaxCrossEntropy(),
        LABELS,
        [
            metrics.Accuracy(),
            metrics.BalancedAccuracy(),
            metrics.TopKAccuracy(2),
            metrics.F1(),
            metrics.F1("micro"),
            metrics.Precision("weighted"),
            metrics.Recall(),
            metrics.RocAuc(),
            metrics.AveragePrecision(),
            metrics.LogLoss(),
            metrics.Perplexity(),
            metrics.Brier(),
        ],
    ),
    "two classes": (
        1,
        losses.SigmoidCrossEntropy(),
        (LABELS > 1).astype(np.int64),
        [metrics.Accuracy(), metrics.F1(), metrics.RocAuc(), metrics.AveragePrecision(), metrics.LogLoss()],
    ),
    "several labels": (
        3,
        losses.SigmoidCrossEntropy(),
        KEY.fold("held").integers(2, (ROWS, 3)),
        [
            metrics.Accuracy(),
            metrics.F1(),
            metrics.F1("micro"),
            metrics.Recall("weighted"),
            metrics.RocAuc(),
            metrics.AveragePrecision(),
            metrics.LogLoss(),
            metrics.Brier(),
        ],
    ),
    "values": (
        2,
        losses.MeanSquaredError(),
        np.stack([X[:, 0] ** 2 + 1e4, np.full(ROWS, 0.1, np.float32)], 1),
        [metrics.RMSE(), metrics.MAE(), metrics.R2(), metrics.ExplainedVariance()],
    ),
    "a sum": (2, losses.SumSquaredError(), X[:, :2], [metrics.RMSE()]),
    "a sum in units": (
        2,
        losses.HalfMeanSquaredError(),
        X[:, :2],
        [
            metrics.InUnits(metrics.RMSE(), (1.0, 2.0), (3.0, 0.5)),
            metrics.InUnits(metrics.R2(), (1.0, 2.0), (3.0, 0.5)),
        ],
    ),
    "no sum of parts": (2, losses.RootMeanSquaredError(), X[:, :2], [metrics.R2()]),
    "labels to ignore": (
        4,
        losses.SoftmaxCrossEntropy(ignore_label=-100),
        np.where(np.arange(ROWS) // 170 % 2, LABELS, -100),
        [metrics.Accuracy(), metrics.F1(), metrics.LogLoss()],
    ),
}


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["no weight", "weights"])
@pytest.mark.parametrize("name", CASES)
def test_scores_by_blocks_are_those_of_all_rows_at_once(name, weight, monkeypatch):
    units, loss, y, wanted = CASES[name]
    net = fn.Dense(units)
    params, state = net.init(KEY, (5,), np.float64)
    data = (X, y) if weight is None else (X, y, weight)
    whole = fn.evaluate(net, loss, params, state, data, wanted, batch_size=None)
    answer = loss.link(fn.predict(net, params, state, X))
    for metric in wanted:
        score = metric.multilabel if name == "several labels" else metric
        assert whole[metric.name] == score(answer, y, loss.counted(y, weight))
    for elements in (40, 700, 4096):
        monkeypatch.setattr(module, "ELEMENTS", elements)
        got = fn.evaluate(net, loss, params, state, data, wanted, batch_size=64)
        assert got == pytest.approx(whole, rel=1e-11)


def test_padded_sequences_by_blocks(monkeypatch):
    net = fn.serial(fn.Embedding(9, 4), fn.GRU(3), fn.Dense(5))
    ids, labels = KEY.integers(9, (200, 6)), KEY.fold("steps").integers(5, (200, 6))
    mask = np.arange(6) < KEY.fold("lengths").integers(7, (200,))[:, None]
    mask[64:128] = False  # whole blocks without a step
    params, state = net.init(KEY, ((6,), (6,)), np.float64)
    data, loss = ((ids, mask), labels), losses.SoftmaxCrossEntropy()
    wanted = [metrics.Accuracy(), metrics.F1(), metrics.LogLoss()]
    whole = fn.evaluate(net, loss, params, state, data, wanted, batch_size=None)
    monkeypatch.setattr(module, "ELEMENTS", 64)
    assert fn.evaluate(net, loss, params, state, data, wanted, batch_size=8) == pytest.approx(whole, rel=1e-12)
    module.check_targets(net, loss, wanted, (*data, None))


def test_a_number_that_is_not_one_makes_the_scores_of_all_blocks_nan(monkeypatch):
    monkeypatch.setattr(module, "ELEMENTS", 64)
    net, params = fn.Dense(4, use_bias=False), {"weight": np.ones((5, 4), np.float32)}
    params["weight"][0] = np.inf
    wanted = [metrics.Accuracy(), metrics.F1(), metrics.RocAuc(), metrics.TopKAccuracy(2)]
    x = np.where(np.arange(100)[:, None] == 77, X[:100], np.abs(X[:100]) * [0, 1, 1, 1, 1])
    scores = fn.evaluate(net, losses.SoftmaxCrossEntropy(), params, {}, (x, LABELS[:100]), wanted, batch_size=8)
    assert all(np.isnan(value) for value in scores.values())


@frozen
class Own(metrics.Accuracy):
    """A metric that scores in another way than its base."""

    def __call__(self, prediction, target, weight=None):
        return float(len(prediction))


@frozen
class Batched(losses.MeanSquaredError):
    """A loss whose terms are not those of its rows alone."""

    def apply(self, prediction, target, weight=None, divisor=None):
        return np.max(prediction) * np.float32(len(prediction)), None


def test_what_may_not_add_up_sees_all_rows(monkeypatch):
    monkeypatch.setattr(module, "ELEMENTS", 64)
    net = fn.Dense(4)
    params, state = net.init(KEY, (5,))
    assert fn.evaluate(net, losses.SoftmaxCrossEntropy(), params, state, (X, LABELS), [Own()])["accuracy"] == ROWS
    for loss in (Batched(), losses.Multi((Batched(),))):
        assert not losses.base.by_blocks(loss)
    y = np.zeros((ROWS, 4), np.float32)
    largest = float(fn.predict(net, params, state, X, 14).max())
    assert fn.evaluate(net, Batched(), params, state, (X, y))["loss"] == pytest.approx(largest * ROWS, rel=1e-6)


def test_memory_does_not_follow_rows_times_outputs():
    """20 000 rows of 2 000 outputs are 160 MB in float32, of which no score and no check needs more than a block."""
    net, loss = fn.Dense(2000), losses.SoftmaxCrossEntropy()
    x, y = X[:1000].repeat(20, 0), np.arange(20_000) % 2000
    params, state = net.init(KEY, (5,))
    wanted = [metrics.Accuracy(), metrics.F1(), metrics.LogLoss()]
    assert peak(lambda: fn.evaluate(net, loss, params, state, (x, y), wanted)) < 60.0
    assert peak(lambda: module.check_targets(net, loss, wanted, (x, y, None))) < 60.0
    assert peak(lambda: fn.predict_label(net, loss, params, state, x, 256)) < 30.0
    options = {"loss": loss, "optimizer": optim.SGD(0.1), "key": KEY, "steps": 1}
    assert peak(lambda: fn.fit(net, (x, y), validation=(x, y), metrics=wanted, **options)) < 60.0


HIDDEN = {
    "convolution": (fn.serial(fn.Conv2D(32, 3), fn.Relu(), fn.GlobalAveragePool()), (64, 64, 1), 64 * 64 * 32),
    "attention": (fn.serial(fn.MultiHeadAttention(8), fn.SequencePool()), (256, 8), 8 * 256 * 256),
    "attention in tiles": (fn.serial(fn.MultiHeadAttention(8), fn.SequencePool()), (1024, 8), 1024 * 8),
    "dot products": (fn.serial(fn.Branch((fn.Identity(),) * 3), fn.DotProductAttention()), (128, 8), 128 * 128),
    "lstm": (fn.LSTM(32, return_sequences=False), (200, 1), 200 * 4 * 32),
    "ensemble": (fn.Ensemble(fn.serial(fn.Dense(1000), fn.Dense(2)), 30), (5,), 30 * 1000),
    "nested": (fn.serial(fn.Ensemble(fn.Ensemble(fn.serial(fn.Dense(50), fn.Dense(2)), 3), 4)), (5,), 3 * 4 * 50),
}


@pytest.mark.parametrize("name", HIDDEN)
def test_the_most_numbers_that_a_layer_makes_of_a_row(name):
    net, in_shape, most = HIDDEN[name]
    assert numbers_made(net, in_shape) == most


def test_memory_of_scores_follows_neither_rows_nor_hidden_values():
    """400 rows with 64 000 hidden numbers each are 102 MB in float32, and training takes 4 rows."""
    net = fn.serial(fn.Dense(64), fn.GlobalAveragePool(), fn.Dense(3))
    x, y = np.zeros((400, 1000, 1), np.float32), np.arange(400) % 3
    options = {"loss": losses.SoftmaxCrossEntropy(), "optimizer": optim.SGD(0.1), "key": KEY, "steps": 1}
    assert peak(lambda: fn.fit(net, (x, y), validation=(x, y), metrics=["accuracy"], batch_size=4, **options)) < 30.0


def test_a_wrong_label_among_many_rows_is_found_before_training():
    net, loss = fn.Dense(2000), losses.SoftmaxCrossEntropy()
    for wrong in (2000, -1):
        y = np.arange(20_000) % 2000
        y[12_345] = wrong
        said = rf"expected labels from 0 to 1999, got {wrong}.* \(tried on \d of 20,000 rows\)"
        with pytest.raises(fn.DataError, match=said):
            module.check_targets(net, loss, (), (X[:1000].repeat(20, 0), y, None))


def test_training_holds_two_states_not_three():
    """The one before a step is dropped before the next step makes another."""
    net = fn.serial(fn.Dense(1000, use_bias=False), fn.Dense(1, use_bias=False))
    x, y = np.zeros((4, 1000), np.float32), np.zeros((4, 1), np.float32)
    size = 4e6 / 1e6
    options = {"loss": losses.MeanSquaredError(), "key": KEY, "steps": 4}
    options["optimizer"] = optim.SGD(0.1, momentum=0.9)
    fn.fit(fn.Dense(1), (x, y), **options)  # modules are imported at the first call
    taken = peak(lambda: fn.fit(net, (x, y), **options))
    assert taken < (2 * 2 + 1.5) * size  # two states of params and momentum, and the gradient


@pytest.mark.parametrize("compile", [False, True])
def test_training_holds_two_gradients_whatever_the_shards(compile):
    """The sum of those before, and that of a shard."""
    net, opt = fn.serial(fn.Dense(1000, use_bias=False), fn.Dense(1, use_bias=False)), optim.SGD(0.1)
    ts = fn.train_state(net, opt, KEY, (1000,))
    x, y, size = np.zeros((8, 1000), np.float32), np.zeros((8, 1), np.float32), 4e6 / 1e6
    step = fn.train_step(net, losses.MeanSquaredError(), opt, shards=8, compile=compile)
    assert peak(lambda: step(step(ts, (x, y))[0], (x, y))) < 4.5 * size


def test_a_wrong_label_of_a_later_block_has_its_row(monkeypatch):
    monkeypatch.setattr(module, "ELEMENTS", 300)
    net, y = fn.Dense(4), np.where(np.arange(ROWS) == 777, 9, LABELS)
    params, state = net.init(KEY, (5,))
    with pytest.raises(fn.DataError, match="expected labels from 0 to 3, got 9 at row 777; "):
        fn.evaluate(net, losses.SoftmaxCrossEntropy(), params, state, (X, y), batch_size=50)
