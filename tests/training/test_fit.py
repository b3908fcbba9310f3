"""The training loop: its order, its history, going on from anywhere, and every way of ending."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import funcnet as fn
from funcnet import losses, metrics, optim, tree
from funcnet.training.batches import batches, class_weights
from tests.table import same

KEY = fn.Key(21)
NET = fn.serial(fn.Dense(6), fn.BatchNorm(), fn.Tanh(), fn.Dropout(0.2), fn.Dense(3))
PLAIN = fn.serial(fn.Dense(4), fn.Tanh(), fn.Dense(3))
SOFTMAX, MSE = losses.SoftmaxCrossEntropy(), losses.MeanSquaredError()
RULE = optim.chain(optim.ClipByGlobalNorm(5.0), optim.Adam(optim.Cosine(0.02)))
N = 23
X, LABELS = KEY.fold("x").normal((N, 4), np.float32), KEY.fold("y").integers(3, (N,))
Y = KEY.fold("targets").normal((N, 3), np.float32)
WEIGHT = (0.5 + KEY.fold("w").uniform((N,))).astype(np.float32)
HELD_OUT = (KEY.fold("vx").normal((9, 4)), KEY.fold("vy").integers(3, (9,)))
DATA = (X, LABELS)


def fit(data: Any = DATA, net: fn.Layer = NET, **options: Any) -> fn.Fit:
    options = {"loss": SOFTMAX, "optimizer": RULE, "key": KEY, "batch_size": 5, **options}
    return fn.fit(net, data, **options)


def everything(ts: fn.TrainState) -> tuple[Any, ...]:
    return ts.params, ts.state, ts.opt_state, ts.key.digest.hex(), np.int64(ts.step)


def bound(total: int) -> optim.Optimizer:
    """RULE for a run of this length."""
    return optim.chain(optim.ClipByGlobalNorm(5.0), optim.Adam(optim.Cosine(0.02, total_steps=total)))


def by_hand(steps: int, size: int, *, data: Any = DATA, net: fn.Layer = NET) -> tuple[Any, list[float]]:
    """The documented loop: epoch e in the order of ``key.fold("epoch", e)``, the last batch keeping the rest."""
    opt = bound(steps)
    ts, step = fn.train_state(net, opt, KEY, (4,)), fn.train_step(net, SOFTMAX, opt)
    values: list[float] = []
    epoch = 0
    while len(values) < steps:
        order = KEY.fold("epoch", epoch).permutation(N)
        for begin in range(0, N, size):
            chosen = order[begin : begin + size]
            ts, out = step(ts, tuple(part[chosen] for part in data))
            values.append(out["loss"])
            if len(values) == steps:
                break
        epoch += 1
    return ts, values


# ----- order --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [DATA, (X, LABELS, WEIGHT)])
@pytest.mark.parametrize(("net", "size"), [(NET, 5), (NET, 21), (PLAIN, 1), (PLAIN, 22)])
def test_epochs_are_the_documented_loop_to_the_bit(net: fn.Layer, size: int, data: Any) -> None:
    expected, _ = by_hand(3 * -(-N // size), size, data=data, net=net)
    assert same(everything(fit(data, net, epochs=3, batch_size=size).train_state), everything(expected))


def test_a_remainder_of_one_is_refused_by_batch_statistics() -> None:
    with pytest.raises(fn.ShapeError) as caught:
        fit(epochs=1, batch_size=22)
    assert str(caught.value) == (
        "batch_norm_0 (BatchNorm): expected at least 2 values per feature in a training batch, got 1; "
        "use a larger batch, or a batch size that leaves no remainder of one "
        "(the last batch of an epoch has 1 of 22 rows; remainder='drop' leaves it out)"
    )


def test_a_remainder_may_be_left_out() -> None:
    """The same batches but for the last of each epoch; the others are drawn by the same keys."""
    result = fit(epochs=2, batch_size=22, remainder="drop")
    assert result.train_state.step == 2 * (N // 22)
    assert [row["epoch"] for row in result.history] == [1, 2]
    kept = [len(batch[0]) for batch in batches(X, LABELS, None, 22, fn.Key(3))]
    dropped = [len(batch[0]) for batch in batches(X, LABELS, None, 22, fn.Key(3), drop=True)]
    assert kept == [*dropped, 1]
    assert len(list(batches(X, LABELS, None, 5, fn.Key(3), 2, drop=True))) == N // 5 - 2
    one = fit(steps=3, batch_size=22, remainder="drop").train_state.step
    assert one == 3
    whole = fit(epochs=2, batch_size=N + 5, remainder="drop")  # one batch of all rows has no remainder
    assert whole.train_state.step == 2


def test_another_remainder_is_refused() -> None:
    with pytest.raises(fn.DataError) as caught:
        fit(epochs=1, remainder="pad")
    assert str(caught.value) == "expected a remainder of 'keep' or 'drop', got 'pad'"


@pytest.mark.parametrize("steps", [1, 4, 5, 6, 13])
def test_steps_end_anywhere(steps: int) -> None:
    result = fit(steps=steps)
    expected, _ = by_hand(steps, 5)
    assert result.train_state.step == steps
    assert same(everything(result.train_state), everything(expected))
    assert [row["step"] for row in result.history] == [*range(5, steps, 5), steps]


def test_a_full_batch_is_all_rows_as_they_stand() -> None:
    result = fit(epochs=4, batch_size="full", optimizer=optim.SGD(0.1))
    ts, step = fn.train_state(NET, optim.SGD(0.1), KEY, (4,)), fn.train_step(NET, SOFTMAX, optim.SGD(0.1))
    for _ in range(4):
        ts, _ = step(ts, DATA)
    assert same(everything(result.train_state), everything(ts))
    assert [row["epoch"] for row in result.history] == [1, 2, 3, 4]


def test_another_key_is_another_run_and_the_same_key_the_same() -> None:
    first, again, other = (fit(epochs=2, key=key).train_state for key in (KEY, KEY, fn.Key(22)))
    assert same(everything(first), everything(again))
    assert not same(first.params, other.params)


def test_no_epochs_is_the_start() -> None:
    result = fit(epochs=0)
    assert same(everything(result.train_state), everything(fn.train_state(NET, RULE, KEY, (4,))))
    assert (result.history, result.stopped) == ([], None)


# ----- going on -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", [1, 5, 7, 10])
def test_going_on_is_the_uninterrupted_run_to_the_bit(cut: int) -> None:
    """Mid-epoch too, with dropout, batch statistics and a schedule of the whole length."""
    opt = bound(15)
    whole = fit(epochs=3, optimizer=opt)
    half = fit(steps=cut, optimizer=opt).train_state
    rest = fit(epochs=3, optimizer=opt, start=half, key=fn.Key(999))  # its own key is the start's
    assert same(everything(rest.train_state), everything(whole.train_state))
    assert [row["step"] for row in rest.history] == [step for step in (5, 10, 15) if step > cut]
    later = {row["step"]: row["loss"] for row in whole.history}
    for row in rest.history[1 if cut % 5 else 0 :]:
        assert row["loss"] == later[row["step"]]


def test_going_on_from_the_end_is_the_end(caplog: Any) -> None:
    done = fit(epochs=2)
    end, again = done.train_state, fit(epochs=2, start=done)
    assert [record.getMessage() for record in caplog.records] == [
        "start has 2 epochs behind it already, so there is nothing left to train; epochs count from step 0: "
        "give epochs=4 to continue, or start=(params, state) to start over"
    ]
    assert same(everything(again.train_state), everything(end))
    assert again.history == []


def test_params_to_begin_with() -> None:
    params, state = NET.init(fn.Key(5), (4,))
    result = fit(epochs=1, start=(params, state))
    opt = bound(5)
    ts, step = fn.train_state(NET, opt, KEY, (4,), params=params), fn.train_step(NET, SOFTMAX, opt)
    order = KEY.fold("epoch", 0).permutation(N)
    for begin in range(0, N, 5):
        chosen = order[begin : begin + 5]
        ts, _ = step(ts, (X[chosen], LABELS[chosen]))
    assert same(everything(result.train_state), everything(ts))
    assert same(params, NET.init(fn.Key(5), (4,))[0])


def test_params_in_float64_train_in_float64() -> None:
    """What is given decides the dtype, as everywhere."""
    result = fit(epochs=1, start=NET.init(fn.Key(5), (4,), np.float64))
    assert {leaf.dtype for leaf in tree.leaves(result.train_state.params)} == {np.dtype(np.float64)}


def test_a_start_of_another_optimizer_is_an_error_of_ours() -> None:
    end = fit(epochs=1, optimizer=optim.SGD(0.1)).train_state
    with pytest.raises(fn.FuncnetError):
        fit(epochs=2, optimizer=optim.Adam(), start=end)


# ----- history ------------------------------------------------------------------------------------------


def test_a_row_of_history_for_each_epoch() -> None:
    result = fit(epochs=3)
    _, values = by_hand(15, 5)
    rows = np.array([5, 5, 5, 5, 3])
    assert [sorted(row) for row in result.history] == [["epoch", "learning_rate", "loss", "seconds", "step"]] * 3
    for i, row in enumerate(result.history):
        assert (row["step"], row["epoch"]) == (5 * (i + 1), i + 1)
        assert type(row["epoch"]) is int
        batch_losses = np.array(values[5 * i : 5 * i + 5])
        assert row["loss"] == pytest.approx(float(batch_losses @ rows) / N, rel=1e-14)  # the mean over all rows
        assert row["learning_rate"] == optim.Cosine(0.02, total_steps=15)(5 * i + 4)
    seconds = [row["seconds"] for row in result.history]
    assert seconds == sorted(seconds)
    assert seconds[0] > 0.0


def test_the_mean_of_weighted_batches_is_weighted() -> None:
    result = fit((X, LABELS, WEIGHT), epochs=1)
    _, values = by_hand(5, 5, data=(X, LABELS, WEIGHT))
    order = KEY.fold("epoch", 0).permutation(N)
    shares = [float(WEIGHT[order[begin : begin + 5]].sum()) for begin in range(0, N, 5)]
    expected = float(np.dot(values, shares) / np.sum(shares))
    assert result.history[0]["loss"] == pytest.approx(expected, rel=1e-6)


def test_the_last_row_of_a_run_that_ends_within_an_epoch() -> None:
    row = fit(steps=7).history[-1]
    assert (row["step"], row["epoch"]) == (7, 1.4)
    _, values = by_hand(7, 5)
    assert row["loss"] == pytest.approx((values[5] + values[6]) / 2, rel=1e-14)


@pytest.mark.parametrize(
    ("opt", "expected"),
    [
        (optim.SGD(0.25), [0.25, 0.25]),
        (optim.SGD(optim.StepDecay(1.0, every=5)), [1.0, 0.1]),
        (optim.chain(optim.ClipByGlobalNorm(1.0), rule=optim.RMSprop(optim.ConstantRate(0.5))), [0.5, 0.5]),
        (optim.chain(optim.chain(optim.ClipByGlobalNorm(1.0)), optim.chain(optim.Adam(0.125))), [0.125, 0.125]),
    ],
)
def test_the_learning_rate_of_the_last_update_of_an_epoch(opt: optim.Optimizer, expected: list[Any]) -> None:
    assert [row["learning_rate"] for row in fit(epochs=2, optimizer=opt).history] == expected


def test_scores_are_of_whole_parts_after_each_epoch() -> None:
    chosen = (metrics.Accuracy(), metrics.LogLoss())
    result = fit(epochs=2, validation=HELD_OUT, metrics=chosen)
    names = ["step", "epoch", "loss", "learning_rate", "seconds", "accuracy", "log_loss"]
    held_out = ["validation/loss", "validation/accuracy", "validation/log_loss"]
    for epoch, row in enumerate(result.history, 1):
        ts = fit(steps=5 * epoch, optimizer=bound(10)).train_state
        assert list(row) == names + held_out
        for start, (x, y) in (("", DATA), ("validation/", HELD_OUT)):
            z = fn.predict(NET, ts.params, ts.state, x)
            q = SOFTMAX.link(z)
            assert row[f"{start}accuracy"] == chosen[0](q, y)
            assert row[f"{start}log_loss"] == chosen[1](q, y)
        assert row["validation/loss"] == float(SOFTMAX.apply(z, y)[0])


def test_validation_weights_count() -> None:
    weight = np.array([0.0] * 4 + [1.0] * 5)
    rows = [
        fit(epochs=1, validation=validation, metrics=[metrics.Accuracy()]).history[0]
        for validation in ((*HELD_OUT, weight), tuple(part[4:] for part in HELD_OUT))
    ]
    for name in ("validation/loss", "validation/accuracy"):
        assert rows[0][name] == pytest.approx(rows[1][name], rel=1e-6)


def test_watching_changes_nothing() -> None:
    """Validation, metrics, logs and callbacks leave every bit of the run as it is."""
    expected = everything(fit(epochs=2).train_state)
    watched = fit(epochs=2, validation=HELD_OUT, metrics=[metrics.Accuracy()], log_every=2, callbacks=[Recorder()])
    assert same(everything(watched.train_state), expected)


def test_evaluate_is_in_parts_what_it_is_at_once() -> None:
    params, state = NET.init(KEY, (4,))
    chosen = [metrics.Accuracy()]
    whole = fn.evaluate(NET, SOFTMAX, params, state, (X, LABELS, WEIGHT), chosen, batch_size=None)
    parts = fn.evaluate(NET, SOFTMAX, params, state, (X, LABELS, WEIGHT), chosen, batch_size=4)
    assert parts == pytest.approx(whole, rel=1e-6)
    assert list(whole) == ["loss", "accuracy"]


# ----- log_every ----------------------------------------------------------------------------------------


def test_log_every_writes_a_line_and_a_row(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="funcnet"):
        result = fit(epochs=2, log_every=2)
    _, values = by_hand(10, 5)
    lines = [f"{step} {values[step - 1]:.10g}" for step in (2, 4, 6, 8, 10)]
    assert [record.getMessage() for record in caplog.records] == lines
    assert {record.name for record in caplog.records} == {"funcnet"}
    assert [row["step"] for row in result.history] == [2, 4, 5, 6, 8, 10]
    assert [row["epoch"] for row in result.history] == [0.4, 0.8, 1, 1.2, 1.6, 2]
    by_step = {row["step"]: row["loss"] for row in result.history}  # each the mean since the row before
    assert by_step[2] == pytest.approx((values[0] + values[1]) / 2, rel=1e-14)
    assert by_step[5] == pytest.approx(values[4], rel=1e-14)
    assert by_step[6] == pytest.approx(values[5], rel=1e-14)
    assert by_step[10] == pytest.approx((5 * values[8] + 3 * values[9]) / 8, rel=1e-14)


def test_nothing_is_printed_or_logged_unasked(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.DEBUG):
        fit(epochs=1)
    assert caplog.records == []
    assert capsys.readouterr() == ("", "")


# ----- callbacks ----------------------------------------------------------------------------------------


class Recorder:
    """Keeps every event; stops after a step."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.stop_at = stop_at

    def init(self) -> list[Any]:
        return []

    def update(self, state: list[Any], event: Any) -> tuple[list[Any], bool]:
        self.events = [*state, event]
        return self.events, event.step == self.stop_at


def test_callbacks_hear_of_every_step() -> None:
    first, second = Recorder(), Recorder()
    result = fit(steps=7, callbacks=[first, second])
    _, values = by_hand(7, 5)
    for recorder in (first, second):
        assert [event.step for event in recorder.events] == [1, 2, 3, 4, 5, 6, 7]
        assert [event.epoch for event in recorder.events] == [0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.4]
        assert {event.total_steps for event in recorder.events} == {7}
        assert [event.loss for event in recorder.events] == values
        assert [event.train_state.step for event in recorder.events] == [1, 2, 3, 4, 5, 6, 7]
    rows = [event.row for event in first.events]
    assert [i for i, row in enumerate(rows, 1) if row is not None] == [5, 7]
    assert [row for row in rows if row is not None] == result.history
    assert result.stopped is None


@pytest.mark.parametrize("step", [3, 5, 10])
def test_a_callback_stops(step: int) -> None:
    result = fit(epochs=2, callbacks=[Recorder(stop_at=step), Recorder()])
    assert result.train_state.step == step
    assert result.stopped == "Recorder"
    expected = fit(steps=step, optimizer=bound(10)).train_state
    assert same(everything(result.train_state), everything(expected))


def test_a_run_may_be_fitted_again_with_the_same_callbacks() -> None:
    recorder = Recorder()
    for _ in range(2):
        fit(steps=3, callbacks=[recorder])
        assert len(recorder.events) == 3


# ----- class weights ------------------------------------------------------------------------------------


def test_class_weights_are_sample_weights() -> None:
    given = {0: 2.0, 1: 0.5, 2: 1.0}
    by_class = np.array([given[int(k)] for k in LABELS])
    expected = fit((X, LABELS, by_class), epochs=2).train_state
    assert same(everything(fit(epochs=2, class_weight=given).train_state), everything(expected))
    both = fit((X, LABELS, WEIGHT), epochs=2, class_weight=given).train_state
    assert same(everything(both), everything(fit((X, LABELS, by_class * WEIGHT), epochs=2).train_state))


def test_balanced_classes_weigh_the_same() -> None:
    counts = np.bincount(LABELS)
    assert len(set(counts)) > 1
    expected = fit((X, LABELS, N / (3 * counts[LABELS])), epochs=2).train_state
    assert same(everything(fit(epochs=2, class_weight="balanced").train_state), everything(expected))


@pytest.mark.parametrize("steps", [2, 23])
def test_class_weights_of_sequences_spread_the_weights_of_samples(steps: int) -> None:
    """With as many steps as samples nothing but the values would tell a transposed weight."""
    net = fn.serial(fn.Reshape((4, 1)), fn.Dense(steps), fn.Reshape((steps, 4)), fn.Dense(3))
    labels = KEY.fold("steps").integers(3, (N, steps))
    given = {0: 2.0, 1: 0.5, 2: 1.0}
    table = np.array([2.0, 0.5, 1.0])[labels]
    options = {"net": net, "epochs": 1, "optimizer": optim.SGD(0.1)}
    got = fit((X, labels, WEIGHT), class_weight=given, **options).train_state
    expected = fit((X, labels, table * WEIGHT[:, None]), **options).train_state
    assert same(everything(got), everything(expected))


def test_balanced_counts_sample_weights() -> None:
    """The totals are those of scikit-learn 1.9, ``compute_class_weight("balanced", …, sample_weight=w)``: 10 each."""
    y, w = np.repeat([0, 1], [90, 10]), np.ones(100)
    w[:80] = 0.0
    got = class_weights(y, w, "balanced")
    np.testing.assert_array_equal(got, w)
    w[80:90] = [0.5, 1.5] * 5
    w[90:] = 3.0
    got = class_weights(y, w, "balanced")
    np.testing.assert_allclose(got[80:], np.concatenate([np.array([0.5, 1.5] * 5) * 2.0, np.full(10, 2.0)]), rtol=1e-15)
    assert np.bincount(y, got).tolist() == pytest.approx([20.0, 20.0], rel=1e-15)


def test_labels_of_weight_0_are_no_class() -> None:
    """Padding with any label, here one of the classes and one that is none."""
    for pad in (0, -100, 7):
        y, w = np.array([[0, 1, pad, pad], [1, pad, pad, pad]]), np.array([[1.0, 1, 0, 0], [1, 0, 0, 0]])
        expected = np.array([[1.5, 0.75, 0, 0], [0.75, 0, 0, 0]])
        np.testing.assert_array_equal(class_weights(y, w, "balanced"), expected)
        np.testing.assert_array_equal(class_weights(y, w, {0: 1.5, 1: 0.75}), expected)


# ----- what is refused ----------------------------------------------------------------------------------

REFUSED: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "neither epochs nor steps": (
        lambda: fit(),
        fn.FuncnetError,
        "expected either epochs or steps, got epochs=None and steps=None",
    ),
    "both epochs and steps": (
        lambda: fit(epochs=1, steps=2),
        fn.FuncnetError,
        "expected either epochs or steps, got epochs=1 and steps=2",
    ),
    "epochs below 0": (lambda: fit(epochs=-1), fn.FuncnetError, "expected epochs or steps of 0 or more, got -1"),
    "half an epoch": (lambda: fit(epochs=0.5), fn.FuncnetError, "expected epochs or steps of 0 or more, got 0.5"),
    "an empty batch": (
        lambda: fit(epochs=1, batch_size=0),
        fn.DataError,
        "expected a batch size of 1 or more, or 'full', got 0",
    ),
    "a batch size in other words": (
        lambda: fit(epochs=1, batch_size="all"),
        fn.DataError,
        "expected a batch size of 1 or more, or 'full', got 'all'",
    ),
    "half a row": (
        lambda: fit(epochs=1, batch_size=2.5),
        fn.DataError,
        "expected a batch size of 1 or more, or 'full', got 2.5",
    ),
    "no rows": (
        lambda: fit((X[:0], LABELS[:0]), epochs=1),
        fn.DataError,
        "expected x, y (and weight) with the same number of rows, at least 1, got [0, 0]",
    ),
    "fewer targets": (
        lambda: fit((X, LABELS[:5]), epochs=1),
        fn.DataError,
        "expected x, y (and weight) with the same number of rows, at least 1, got [23, 5]",
    ),
    "fewer weights": (
        lambda: fit((X, LABELS, WEIGHT[:5]), epochs=1),
        fn.DataError,
        "expected x, y (and weight) with the same number of rows, at least 1, got [23, 23, 5]",
    ),
    "fewer targets in validation": (
        lambda: fit(epochs=1, validation=(HELD_OUT[0], HELD_OUT[1][:2])),
        fn.DataError,
        "validation: expected x, y (and weight) with the same number of rows, at least 1, got [9, 2]",
    ),
    "no tuple": (
        lambda: fit([X, LABELS], epochs=1),
        fn.ShapeError,
        "expected data as a tuple (x, y) or (x, y, weight), got a list; write (x, y) in place of [x, y]",
    ),
    "a class without a weight": (
        lambda: fit(epochs=1, class_weight={0: 1.0, 2: 1.0}),
        fn.DataError,
        "expected a class_weight for every label, got none for [1]",
    ),
    "class weights of numbers": (
        lambda: fit((X, Y), epochs=1, loss=MSE, class_weight="balanced"),
        fn.DataError,
        "expected integer class labels with class_weight; give sample weights as data=(x, y, weight)",
    ),
    "a weight of another shape beside class weights": (
        lambda: fit((X, LABELS, WEIGHT[:, None]), epochs=1, class_weight="balanced"),
        fn.ShapeError,
        "expected a weight of shape (23,), got (23, 1); give one for each sample or label",
    ),
    "labels out of range": (
        lambda: fit((X, LABELS + 1), epochs=1, batch_size="full"),
        fn.DataError,
        f"SoftmaxCrossEntropy: expected labels from 0 to 2, got 3 at row {int(np.argmax(LABELS == 2))}; "
        "renumber the labels, or give the last layer one unit for each class",
    ),
    "a target of another shape": (
        lambda: fit((X, Y[:, 0]), epochs=1, loss=MSE, batch_size="full"),
        fn.ShapeError,
        "MeanSquaredError: expected a target of the prediction's shape (23, 3), got (23,); "
        "give the last layer one unit for one value, or for labels of classes use SoftmaxCrossEntropy",
    ),
    "a transform without a rule": (
        lambda: fit(epochs=1, optimizer=optim.ClipByGlobalNorm(1.0)),
        fn.SpecError,
        "ClipByGlobalNorm: is a transform, and its gradients point uphill; put a rule after it, "
        "such as chain(…, SGD(0.1))",
    ),
    "a start of another network": (
        lambda: fit(
            epochs=1, start={"dense_0": {"weight": np.zeros((4, 6)), "bias": np.zeros(6)}}, net=fn.serial(fn.Dense(3))
        ),
        fn.ShapeError,
        "the starting values do not fit the network for inputs of shape (4,):\n"
        "  dense_0/weight: expected param of shape (4, 3), got (4, 6)\n"
        "  dense_0/bias: expected param of shape (3,), got (6,)\n"
        "give the params and state of this network",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_refused(name: str) -> None:
    call, kind, message = REFUSED[name]
    with pytest.raises(kind) as caught:
        call()
    assert str(caught.value) == message


# ----- purity -------------------------------------------------------------------------------------------


def read_only(array: Any) -> Any:
    copy = np.array(array)
    copy.flags.writeable = False
    return copy


@pytest.mark.parametrize("batch_size", [5, "full"])
def test_data_and_start_are_never_written_to(batch_size: Any) -> None:
    arrays = tuple(map(read_only, (X, LABELS, WEIGHT)))
    held_out = tuple(map(read_only, HELD_OUT))
    begin = NET.init(fn.Key(5), (4,))
    start = tree.map(read_only, begin)
    options = {"epochs": 2, "batch_size": batch_size, "metrics": [metrics.Accuracy()], "class_weight": "balanced"}
    result = fit(arrays, start=start, validation=held_out, **options)
    expected = fit((X, LABELS, WEIGHT), start=begin, validation=HELD_OUT, **options)
    assert same(everything(result.train_state), everything(expected.train_state))
    for ours, theirs in zip((*arrays, *held_out), (X, LABELS, WEIGHT, *HELD_OUT), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    kept = fn.TrainState(
        *(tree.map(read_only, part) for part in everything(result.train_state)[:3]), KEY, result.train_state.step
    )
    assert fit(arrays, start=kept, **{**options, "epochs": 3}).train_state.step == kept.step + kept.step // 2


def test_inputs_of_several_parts_are_shuffled_together() -> None:
    net = fn.serial(fn.parallel(a=fn.Dense(3), b=fn.Dense(3)), fn.Graph(("a", "b"), {"s": (fn.Sum(), ("a", "b"))}, "s"))
    x = {"a": X, "b": X[:, :2]}
    opt = optim.SGD(0.1)
    result = fn.fit(net, (x, LABELS), loss=SOFTMAX, optimizer=opt, epochs=2, batch_size=5, key=KEY)
    ts = fn.train_state(net, opt, KEY, {"a": (4,), "b": (2,)})
    step = fn.train_step(net, SOFTMAX, opt)
    for epoch in range(2):
        order = KEY.fold("epoch", epoch).permutation(N)
        for begin in range(0, N, 5):
            chosen = order[begin : begin + 5]
            ts, _ = step(ts, ({"a": X[chosen], "b": X[chosen, :2]}, LABELS[chosen]))
    assert same(everything(result.train_state), everything(ts))


def test_lists_train_as_arrays_do() -> None:
    expected = fit((X, LABELS, WEIGHT), epochs=1, validation=HELD_OUT)
    lists = fit(
        (X.tolist(), LABELS.tolist(), WEIGHT.tolist()), epochs=1, validation=tuple(part.tolist() for part in HELD_OUT)
    )
    assert same(everything(lists.train_state), everything(expected.train_state))
    assert lists.history[0]["validation/loss"] == expected.history[0]["validation/loss"]


# ----- how runs end -------------------------------------------------------------------------------------


class Poison:
    """Spoils a row of the data itself after a step, so that the step that meets it is not finite."""

    def __init__(self, data: Any, after: int) -> None:
        self.data, self.after = data, after

    def init(self) -> None:
        return None

    def update(self, state: None, event: Any) -> tuple[None, bool]:
        if event.step == self.after:
            self.data[...] = np.nan
        return state, False


def test_a_loss_that_is_not_finite_leaves_the_last_good_state() -> None:
    x = X.copy()
    with pytest.raises(fn.NonFiniteError) as caught:
        fit((x, LABELS), epochs=2, callbacks=[Poison(x, after=7)])
    assert str(caught.value) == (
        "step 7: a loss or gradient is not finite; it arose first in the input batch. "
        "Lower the learning rate, clip gradients (ClipByGlobalNorm), or look at the data"
    )
    kept = caught.value.fit
    assert kept.stopped == "not finite"
    expected = fit(steps=7, optimizer=bound(10))
    assert same(everything(kept.train_state), everything(expected.train_state))
    assert [row["step"] for row in kept.history] == [5]
    rest = fit(epochs=2, start=kept.train_state, optimizer=bound(10))
    assert same(everything(rest.train_state), everything(fit(epochs=2).train_state))


@pytest.mark.parametrize("rate", [1e3, 1e20, 1e38])
def test_a_run_that_diverges_keeps_finite_params(rate: float) -> None:
    net = fn.serial(fn.Dense(8), fn.Relu(), fn.Dense(3))
    with pytest.raises(fn.NonFiniteError) as caught:
        fn.fit(net, (X, 100.0 * Y), loss=MSE, optimizer=optim.SGD(rate), epochs=50, batch_size=5, key=KEY)
    kept = caught.value.fit
    assert all(np.isfinite(leaf).all() for leaf in tree.leaves(kept.train_state.params))
    assert kept.train_state.step == int(str(caught.value).split(":")[0].removeprefix("step "))


class Interrupt:
    """Ctrl-C within a step's bookkeeping."""

    def init(self) -> None:
        return None

    def update(self, state: None, event: Any) -> tuple[None, bool]:
        if event.step == 6:
            raise KeyboardInterrupt
        return state, False


def test_ctrl_c_returns_what_was_learnt() -> None:
    result = fit(epochs=3, callbacks=[Interrupt()])
    assert result.stopped == "interrupted"
    assert same(everything(result.train_state), everything(fit(steps=6, optimizer=bound(15)).train_state))
    assert [row["step"] for row in result.history] == [5]


CHILD = """
import signal
import numpy as np
import funcnet as fn
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background process ignores it

class Ready:
    def init(self):
        return None

    def update(self, state, event):
        if event.step == 20:
            print("ready", flush=True)
        return state, False

key = fn.Key(0)
net = fn.serial(fn.Dense(4), fn.Tanh(), fn.Dense(1))
x = key.normal((64, 3))
result = fn.fit(net, (x, x[:, :1]), loss=fn.losses.MeanSquaredError(), optimizer=fn.optim.Adam(), steps=10**9,
                batch_size=8, key=key, callbacks=[Ready()])
ts = result.train_state
again = fn.fit(net, (x, x[:, :1]), loss=fn.losses.MeanSquaredError(), optimizer=fn.optim.Adam(), steps=ts.step,
               batch_size=8, key=key)
equal = all(np.array_equal(a, b) for a, b in zip(fn.tree.leaves(ts.params), fn.tree.leaves(again.train_state.params)))
behind = ts.step // 8 - len(result.history)  # it may come between the last step of an epoch and its row
print(result.stopped, ts.step >= 20, int(ts.opt_state["step"]) == ts.step, behind in (0, ts.step % 8 == 0), equal)
"""


@pytest.mark.skipif(os.name == "nt", reason="SIGINT cannot be sent to one child there")
def test_a_real_sigint_in_a_real_process() -> None:
    root = str(Path(__file__).parents[2])
    with subprocess.Popen(
        [sys.executable, "-c", CHILD],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": root},
    ) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
            child.send_signal(signal.SIGINT)
            out, err = child.communicate(timeout=60)
        finally:
            child.kill()
    assert (out, err, child.returncode) == ("interrupted True True True True\n", "", 0)


# ----- before the first step ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("weight", "least"), [(np.where(np.arange(N) == 4, -0.5, 1.0), "-0.5"), (np.zeros(N), "0.0")])
def test_weights_that_make_no_mean_are_refused(weight: Any, least: str) -> None:
    with pytest.raises(fn.DataError) as caught:
        fit((X, LABELS, weight), epochs=1)
    assert str(caught.value) == f"expected weights of 0 or more, at least one above 0, got a minimum of {least}"


def test_a_seed_is_a_key_for_fit() -> None:
    assert fit(epochs=1, key=7).train_state == fit(epochs=1, key=fn.Key(7)).train_state
    for wrong in ("0", 0.5, True, None):
        with pytest.raises(fn.FuncnetError, match=r"^expected a key, such as fn.Key\(0\), got"):
            fit(epochs=1, key=wrong)


def test_a_last_batch_that_is_too_small_is_found_before_training() -> None:
    net = fn.serial(fn.BatchNorm(), fn.Dense(3))
    with pytest.raises(fn.ShapeError) as caught:
        fit((X[:21], LABELS[:21]), net=net, epochs=1, batch_size=5)
    assert not hasattr(caught.value, "fit")
    assert str(caught.value) == (
        "batch_norm_0 (BatchNorm): expected at least 2 values per feature in a training batch, got 1; "
        "use a larger batch, or a batch size that leaves no remainder of one "
        "(the last batch of an epoch has 1 of 5 rows; remainder='drop' leaves it out)"
    )


def test_a_key_is_no_integer() -> None:
    for call in (lambda: NET.init(0, (4,)), lambda: fn.Dense(1).init(0, (4,))):
        with pytest.raises(fn.FuncnetError, match=r"^expected a key, such as fn.Key\(0\), got 0$"):
            call()


def test_a_last_batch_that_is_never_reached_is_no_mistake() -> None:
    net = fn.serial(fn.BatchNorm(), fn.Dense(3))
    assert fit((X[:21], LABELS[:21]), net=net, steps=4, batch_size=5).train_state.step == 4
    with pytest.raises(fn.ShapeError):
        fit((X[:21], LABELS[:21]), net=net, steps=5, batch_size=5)
