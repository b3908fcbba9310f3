"""A target that is the label to ignore has weight 0 everywhere: training, scores, class weights, runs and commands.

The expected values are those of the same rows with any other label and an explicit weight of 0, or of the remaining
rows alone; ``tests/test_golden_losses.py`` compares the loss with PyTorch.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest

import funcnet as fn
from funcnet import losses, metrics, optim
from funcnet.cli import main
from funcnet.experiments.cross_validation import folds_of
from funcnet.training.batches import class_weights
from tests.table import IGNORING, same

KEY = fn.Key(11)
PLAIN = losses.SoftmaxCrossEntropy()
IGNORING_100 = losses.SoftmaxCrossEntropy(ignore_label=-100)
ADAM = optim.Adam(0.01)
SCORES = [
    *(metrics.Accuracy(), metrics.F1(), metrics.BalancedAccuracy(), metrics.TopKAccuracy(k=2), metrics.LogLoss()),
    *(metrics.Perplexity(), metrics.Brier(), metrics.RocAuc(), metrics.AveragePrecision()),
]

X = KEY.fold("x").normal((30, 4), np.float32)
CLASS = np.argmax(X[:, :3], axis=1)
COUNTS = KEY.fold("counts").uniform((30,)) > 0.3
Y, W = np.where(COUNTS, CLASS, -100), COUNTS.astype(np.float32)
NET = fn.serial(fn.Dense(8), fn.Tanh(), fn.Dense(3))

STEPS = KEY.fold("steps").integers(9, (8, 5)), np.arange(5) < np.array([[5], [3], [1], [4], [5], [2], [5], [3]])
TAGS, TAGGED = KEY.fold("tags").integers(4, (8, 5)), KEY.fold("tagged").uniform((8, 5)) > 0.4
TAGGER = fn.serial(fn.Embedding(9, 4), fn.LSTM(6, return_sequences=True), fn.Dense(4))
MAPS, SOLID = KEY.fold("maps").normal((8, 6, 6, 1), np.float32), KEY.fold("solid").uniform((8, 6, 6)) > 0.2

# network, inputs, labels, which of them count, the label to ignore
KINDS: dict[str, tuple[fn.Layer, Any, Any, Any, int]] = {
    "rows": (NET, X, CLASS, COUNTS, -100),
    "steps": (TAGGER, STEPS[0], TAGS, TAGGED, -100),
    "padded steps": (TAGGER, STEPS, TAGS, TAGGED, -100),
    "pixels": (fn.Conv2D(2, 3), MAPS, (MAPS[..., 0] > 0).astype(np.uint8), SOLID, 255),
}


def given(name: str) -> tuple[fn.Layer, losses.Loss, tuple[Any, ...], tuple[Any, ...]]:
    """A network, a loss, its data with a label to ignore, and the same with weights of 0 instead."""
    net, x, labels, counts, ignore = KINDS[name]
    y = np.where(counts, labels, ignore).astype(labels.dtype)
    return net, losses.SoftmaxCrossEntropy(ignore_label=ignore), (x, y), (x, labels, counts.astype(np.float32))


def start(net: fn.Layer, x: Any) -> fn.TrainState:
    return fn.train_state(net, ADAM, KEY, tuple(a.shape[1:] for a in x) if isinstance(x, tuple) else x.shape[1:])


# ----- the loss ---------------------------------------------------------------------------------------------------


SINGLE = [name for name in IGNORING if "each" not in name and "dice" not in name]  # a term of Dice is a sample


@pytest.mark.parametrize("name", SINGLE)
def test_the_loss_is_that_of_the_other_terms(name: str) -> None:
    loss, prediction, target = IGNORING[name]
    rows = isinstance(loss, losses.ClassLoss)
    counts = (target if rows else target.reshape(prediction.shape)) != loss.ignore_label
    spoilt = np.where(counts[..., None] if rows else counts, prediction, np.inf)
    value, residuals = loss.apply(spoilt, target)
    alone, kept = loss.apply(prediction[counts], target.reshape(counts.shape)[counts])
    assert value == pytest.approx(float(alone), rel=1e-15)
    assert loss.divisor(target) == counts.sum()
    slope = loss.vjp(residuals)
    np.testing.assert_allclose(slope[counts], loss.vjp(kept), rtol=1e-15)
    assert not slope[~counts].any()
    weight = 0.5 + KEY.uniform((len(target),))
    value, _ = loss.apply(spoilt, target, weight)
    each = np.broadcast_to(weight.reshape(-1, *(1,) * (counts.ndim - 1)), counts.shape)[counts]
    alone, _ = loss.apply(prediction[counts], target.reshape(counts.shape)[counts], each)
    assert value == pytest.approx(float(alone), rel=1e-14)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int64])
def test_a_label_that_a_type_cannot_hold_is_ignored_nowhere(dtype: Any) -> None:
    for ignore in (-100, 255, 2**53):
        loss = losses.SoftmaxCrossEntropy(ignore_label=ignore)
        step = fn.train_step(NET, loss, ADAM)
        assert same(
            step(start(NET, X), (X, CLASS.astype(dtype))), fn.train_step(NET, PLAIN, ADAM)(start(NET, X), (X, CLASS))
        )


@pytest.mark.parametrize("compile_", [False, True])
def test_a_batch_of_ignored_labels_changes_nothing(compile_: bool) -> None:
    step = fn.train_step(NET, IGNORING_100, optim.SGD(0.1), compile=compile_)
    before = fn.train_state(NET, optim.SGD(0.1), KEY, (4,))
    after, out = step(before, (X, np.full(30, -100)))
    assert out == {"loss": 0.0}
    assert same(after.params, before.params)


def test_a_column_and_a_vector_are_one_thing() -> None:
    loss = losses.SigmoidCrossEntropy(ignore_label=-1)
    p, t, w = np.array([0.5, -1.0, 2.0, np.nan]), np.array([1, -1, 0, -1]), np.array([1.0, 2.0, 3.0, 4.0])
    expected = losses.SigmoidCrossEntropy().apply(p[[0, 2]], t[[0, 2]], w[[0, 2]])[0]
    for prediction in (p, p[:, None]):
        for target in (t, t[:, None], t.astype(float)):
            assert loss.apply(prediction, target, w)[0] == pytest.approx(float(expected), rel=1e-15)
            answer = np.where(np.isnan(prediction), prediction, 0.75)
            assert metrics.Accuracy()(answer, target.reshape(prediction.shape), loss.counted(target)) == 0.5


def test_what_counts_of_lists_and_probabilities() -> None:
    assert IGNORING_100.counted([0, -100]).tolist() == [True, False]
    assert IGNORING_100.counted([0, -100], [2.0, 3.0]).tolist() == [2.0, 0.0]
    assert IGNORING_100.counted(np.eye(3)) is None
    assert PLAIN.counted([0, -100]) is None
    assert IGNORING_100.counted([[0, -100], [1, 2]], [2.0, np.nan]).tolist()[0] == [2.0, 0.0]


# ----- training, scores -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", KINDS)
def test_a_step_is_that_of_weights_of_0(name: str) -> None:
    net, loss, ignored, weighted = given(name)
    if name == "padded steps":  # the mask that training makes a weight
        weighted = (*weighted[:2], weighted[2] * STEPS[1])
    for shards in (1, 3):
        expected = fn.train_step(net, PLAIN, ADAM, shards=shards)(start(net, ignored[0]), weighted)
        for compile_ in (False, True):
            step = fn.train_step(net, loss, ADAM, shards=shards, compile=compile_)
            assert same(step(start(net, ignored[0]), ignored), expected)
    ts = start(net, ignored[0])
    gradients = [
        fn.value_and_grad(net, one)(ts.params, ts.state, *data[:2], fn.EVAL, *data[2:])
        for one, data in ((loss, ignored), (PLAIN, weighted))
    ]
    assert same(gradients[0], gradients[1])


@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize("name", KINDS)
def test_a_fit_is_that_of_weights_of_0(name: str, balanced: bool) -> None:
    net, loss, ignored, weighted = given(name)
    how: dict[str, Any] = {"optimizer": ADAM, "epochs": 2, "batch_size": 3, "key": 1, "metrics": SCORES}
    how |= {"class_weight": "balanced"} if balanced else {}
    done = fn.fit(net, ignored, loss=loss, validation=ignored, **how)
    other = fn.fit(net, weighted, loss=PLAIN, validation=weighted, **how)
    assert same(done.train_state.params, other.train_state.params)
    for row, expected in zip(done.history, other.history, strict=True):
        assert {**row, "seconds": 0} == pytest.approx({**expected, "seconds": 0}, rel=1e-12)


def test_scores_are_those_of_the_other_rows() -> None:
    params, state = NET.init(KEY, (4,))
    found = fn.evaluate(NET, IGNORING_100, params, state, (X, Y), SCORES)
    expected = fn.evaluate(NET, PLAIN, params, state, (X[COUNTS], Y[COUNTS]), SCORES)
    assert found == pytest.approx(expected, rel=1e-6)
    inside = fn.compile(lambda p, x, y: fn.evaluate(NET, IGNORING_100, p, {}, (x, y), SCORES))
    assert inside(params, X, Y) == found


def test_scores_of_several_labels_leave_out_unknown_ones() -> None:
    labels = KEY.fold("labels").integers(2, (30, 3))
    known = KEY.fold("known").uniform((30, 3)) > 0.3
    params, state = NET.init(KEY, (4,))
    loss, weight = losses.SigmoidCrossEntropy(ignore_label=-1), 0.5 + KEY.uniform((30,))
    data = X, np.where(known, labels, -1), weight
    expected = X, labels, weight[:, None] * known
    some = [metrics.Accuracy(), metrics.F1(), metrics.LogLoss(), metrics.Brier(), metrics.RocAuc()]
    found = fn.evaluate(NET, loss, params, state, data, some)
    assert found == fn.evaluate(NET, losses.SigmoidCrossEntropy(), params, state, expected, some)


def test_class_weights_know_no_class_that_is_ignored() -> None:
    y = np.array([[0, 1, -100, -100], [1, -100, -100, -100]])
    expected = np.array([[1.5, 0.75, 0, 0], [0.75, 0, 0, 0]])
    for given_weights in ("balanced", {0: 1.5, 1: 0.75}):
        np.testing.assert_array_equal(class_weights(y, None, given_weights, IGNORING_100), expected)  # type: ignore[arg-type]


def test_a_mask_of_booleans_counts_in_whole_numbers() -> None:
    matrix = metrics.confusion_matrix(
        np.array([0, 1, 1, 2]), np.array([0, 1, -100, 1]), 3, np.array([1, 1, 0, 1], bool)
    )
    assert matrix.dtype.kind == "i"
    assert matrix.tolist() == [[1, 0, 0], [0, 1, 1], [0, 0, 0]]


def test_several_losses_each_ignore_their_label() -> None:
    net = fn.branch(fn.Dense(3), fn.Dense(1))
    y2 = np.where(COUNTS[::-1], CLASS > 0, -1)[:, None]
    loss = losses.Multi((IGNORING_100, losses.SigmoidCrossEntropy(ignore_label=-1)))
    plain = losses.Multi((PLAIN, losses.SigmoidCrossEntropy()))
    ts = start(net, X)
    value, _, _ = fn.value_and_grad(net, loss)(ts.params, ts.state, X, (Y, y2), fn.EVAL)
    alone = [
        fn.value_and_grad(net, losses.Multi(plain.losses, factors))(
            ts.params, ts.state, X[rows], (CLASS[rows], (CLASS > 0)[rows, None]), fn.EVAL
        )[0]
        for rows, factors in ((COUNTS, (1.0, 0.0)), (COUNTS[::-1], (0.0, 1.0)))
    ]
    assert value == pytest.approx(sum(alone), rel=1e-6)
    steps = [fn.train_step(net, loss, ADAM, shards=n)(ts, (X, (Y, y2)))[1]["loss"] for n in (1, 4)]
    assert steps == pytest.approx([value, value], rel=1e-6)


def test_a_loss_of_a_user_with_the_field_ignores_too() -> None:
    @attrs.frozen
    class Hinge(losses.ElementwiseLoss):
        """The mean of ``max(0, 1 - s p)``, s = 2 t - 1."""

        ignore_label: int | None = None  # type: ignore[misc]

        def term(self, p: Any, t: Any) -> Any:
            return np.maximum(0.0, 1.0 - (2.0 * t - 1.0) * p)

        def slope(self, p: Any, t: Any) -> Any:
            s = 2.0 * t - 1.0
            return np.where(s * p < 1.0, -s, 0.0)

    p, t = KEY.normal((6,)), np.array([1, 0, -1, 1, -1, 0])
    fn.check_loss(Hinge(-1), p, t)
    assert Hinge(-1).apply(p, t)[0] == Hinge().apply(p[t >= 0], t[t >= 0])[0]


def test_an_augmentation_sees_labels_and_no_weights() -> None:
    def flipped(batch: Any, key: fn.Key) -> Any:
        x, y, weight = batch
        assert weight is None
        return x[:, :, ::-1], y[:, :, ::-1], weight

    net, loss, (x, y), _ = given("pixels")
    how: dict[str, Any] = {"loss": loss, "optimizer": ADAM, "epochs": 1, "batch_size": "full", "key": 1}
    done = fn.fit(net, (x, y), augment=[flipped], **how)
    other = fn.fit(net, (x[:, :, ::-1], y[:, :, ::-1]), **how)
    assert same(done.train_state.params, other.train_state.params)


# ----- what one is told ---------------------------------------------------------------------------------------------

NONE_COUNTS = (
    "SoftmaxCrossEntropy: expected at least one target that counts, "
    "got only the label to ignore and targets of weight 0"
)


@pytest.mark.parametrize(
    ("data", "validation", "where"),
    [
        ((X, np.full(30, -100)), None, ""),
        ((X, Y, 1.0 - W), None, ""),
        ((X, Y), (X, np.full(30, -100)), " (in the validation part)"),
    ],
    ids=["every label", "weights on ignored labels alone", "validation"],
)
def test_a_part_where_nothing_counts_is_refused(data: Any, validation: Any, where: str) -> None:
    with pytest.raises(fn.DataError) as caught:
        fn.fit(NET, data, loss=IGNORING_100, optimizer=ADAM, epochs=1, key=0, validation=validation)
    assert str(caught.value) == NONE_COUNTS + where
    if not where:
        params, state = NET.init(KEY, (4,))
        with pytest.raises(fn.DataError) as caught:
            fn.evaluate(NET, IGNORING_100, params, state, data)
        assert str(caught.value) == NONE_COUNTS


def test_a_batch_where_nothing_counts_is_not() -> None:
    y = np.full(30, -100)
    y[3] = 1
    done = fn.fit(NET, (X, y), loss=IGNORING_100, optimizer=ADAM, epochs=2, batch_size=4, key=0, metrics=["accuracy"])
    alone = fn.evaluate(NET, PLAIN, done.train_state.params, {}, (X[[3]], y[[3]]), [metrics.Accuracy()])
    assert done.history[-1]["accuracy"] == alone["accuracy"]


TOLD = {
    "a class": (NET, losses.SoftmaxCrossEntropy(ignore_label=2), CLASS, 2, "SoftmaxCrossEntropy", "3 classes, 0 to 2"),
    "present": (
        NET, losses.SigmoidCrossEntropy(ignore_label=0), (CLASS[:, None] == np.arange(3)) * 1, 0, "SigmoidCrossEntropy",
        "2 classes, 0 to 1",
    ),
    "of members": (
        fn.Ensemble(NET, 2), losses.EachMember(losses.SoftmaxCrossEntropy(ignore_label=1)), CLASS, 1,
        "SoftmaxCrossEntropy", "3 classes, 0 to 2",
    ),
    "of several": (
        fn.branch(fn.Dense(3), fn.Dense(1)),
        losses.Multi((losses.SoftmaxCrossEntropy(ignore_label=0), losses.MeanSquaredError())), (CLASS, X[:, :1]), 0,
        "SoftmaxCrossEntropy", "3 classes, 0 to 2",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TOLD)
def test_one_is_told_of_a_class_that_is_ignored(name: str, caplog: pytest.LogCaptureFixture) -> None:
    net, loss, y, label, owner, classes = TOLD[name]
    fn.fit(net, (X, y), loss=loss, optimizer=ADAM, epochs=1, key=0)
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING] == [
        f"{owner} ignores the label {label}, which is also one of the {classes}: that class counts in neither the loss "
        "nor the metrics; to keep it, set ignore_label to another number, such as -100"
    ]


def test_no_word_of_a_label_that_is_no_class(caplog: pytest.LogCaptureFixture) -> None:
    for name in KINDS:
        net, loss, data, _ = given(name)
        fn.fit(net, data, loss=loss, optimizer=ADAM, epochs=1, key=0)
    assert not caplog.records


def test_labels_to_ignore_cannot_be_mixed() -> None:
    with pytest.raises(fn.DataError) as caught:
        fn.data.Mixup(0.2, 3)((X, Y, None), KEY)
    assert str(caught.value) == (
        "Mixup: expected labels from 0 to 2, got -100; leave out the rows whose label is ignored"
    )


@pytest.mark.parametrize("value", [-100.0, True, "-100", 10**40])
def test_the_label_is_an_integer(value: Any) -> None:
    with pytest.raises(fn.SpecError, match=r"^SoftmaxCrossEntropy.ignore_label: "):
        losses.SoftmaxCrossEntropy(ignore_label=value)


# ----- specs, data, runs ----------------------------------------------------------------------------------------------


def test_the_field_is_the_last_and_may_be_absent() -> None:
    assert losses.SoftmaxCrossEntropy(0.1, -100) == losses.SoftmaxCrossEntropy(label_smoothing=0.1, ignore_label=-100)
    text = fn.to_json(IGNORING_100)
    assert json.loads(text)["loss"] == {"type": "softmax_cross_entropy", "ignore_label": -100}
    assert fn.from_json(text) == IGNORING_100
    assert json.loads(fn.to_json(PLAIN))["loss"] == {"type": "softmax_cross_entropy"}


def experiment(source: fn.data.Source, **training: Any) -> fn.Experiment:
    return fn.Experiment(
        data=source,
        model=fn.Dense(3),
        loss=IGNORING_100,
        metrics=(metrics.Accuracy(),),
        optimizer=ADAM,
        training=fn.Training(epochs=2, **training),
    )


@pytest.mark.parametrize("form", ["npz", "csv"])
def test_a_run_on_files(form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The validation part has the label to ignore, the training part lacks it, and the counts are whole numbers."""
    split = fn.data.Split(time=True, test=0.2)
    y = np.where(np.arange(30) < 24, CLASS, Y)
    assert -100 in y
    source: fn.data.Source
    if form == "npz":
        np.savez(tmp_path / "d.npz", x=X, y=y)
        source = fn.data.Npz(path="d.npz", split=split)
    else:
        rows = [",".join(map(repr, [*row.tolist(), label])) for row, label in zip(X, y.tolist(), strict=True)]
        (tmp_path / "d.csv").write_text("\n".join(["a,b,c,d,y", *rows]))
        source = fn.data.Csv(path="d.csv", target="y", split=split)
    run = fn.run(experiment(source, class_weight={"0": 1.0, "1": 2.0, "2": 1.0}), out=tmp_path / "run", base=tmp_path)
    kept = (np.arange(30) >= 24) & (y >= 0)
    answer = fn.predict(fn.Dense(3), run.params, {}, X[kept]).argmax(axis=1)
    assert run.metrics["test"]["accuracy"] == pytest.approx(np.mean(answer == y[kept]))
    capsys.readouterr()
    assert main(["evaluate", str(tmp_path / "run"), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["metrics"]["test"] == run.metrics["test"]
    expected = metrics.confusion_matrix(answer, y[kept], 3).tolist()
    assert json.dumps(facts["confusion"]) == json.dumps(expected)
    assert main(["evaluate", str(tmp_path / "run"), "--data", str(tmp_path / f"d.{form}"), "--json"]) == 0
    assert np.sum(json.loads(capsys.readouterr().out)["confusion"]) == np.sum(y >= 0)


def test_evaluate_counts_known_labels_of_several(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = (CLASS[:, None] == np.arange(3)).astype(int)
    known = KEY.fold("known").uniform((30, 3)) > 0.3
    np.savez(tmp_path / "d.npz", x=X, y=np.where(known, labels, -1))
    several = attrs.evolve(experiment(fn.data.Npz(path="d.npz")), loss=losses.SigmoidCrossEntropy(ignore_label=-1))
    fn.run(several, out=tmp_path / "run", base=tmp_path)
    assert main(["evaluate", str(tmp_path / "run"), "--json"]) == 0
    per_label = json.loads(capsys.readouterr().out)["per_label"]
    assert per_label["support"] == np.sum(labels * known, axis=0).tolist()


def test_the_name_of_a_class_is_no_label(tmp_path: Path) -> None:
    rows = [",".join(map(repr, [*row.tolist(), label])) for row, label in zip(X, Y.tolist(), strict=True)]
    (tmp_path / "d.csv").write_text("\n".join(["a,b,c,d,y", *rows]))
    source = fn.data.Csv(path="d.csv", target="y", categorical=("y",))
    with pytest.raises(fn.DataError) as caught:
        fn.run(experiment(source), base=tmp_path)
    assert str(caught.value) == (
        "SoftmaxCrossEntropy: the label to ignore is -100, but the data has a class of that name, whose label is 0; "
        "give ignore_label=0 to ignore this class"
    )


def test_folds_do_not_count_the_label_to_ignore() -> None:
    y = np.array([0, 1, 0, 1, 0, 1, -100])
    folds = folds_of(y, 3, KEY, ignore_label=-100)
    assert all(sorted(set(y[rows]) - {-100}) == [0, 1] for rows in folds)
    with pytest.raises(fn.DataError, match="got 1 of class -100"):
        folds_of(y, 3, KEY)
    done = fn.cross_validate(
        NET,
        (X, np.where(np.arange(30) == 4, -100, CLASS)),
        folds=3,
        key=KEY,
        loss=IGNORING_100,
        optimizer=ADAM,
        epochs=1,
    )
    assert len(done.scores) == 3
