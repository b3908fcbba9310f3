"""k-fold cross-validation: its folds beside scikit-learn's sizes, and each fold beside a run by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import funcnet as fn
from funcnet import data, losses, metrics, optim
from funcnet.data.split import Parts
from funcnet.experiments.cross_validation import CrossValidation, folds_of
from funcnet.spec.base import evolve
from tests.table import same

KEY = fn.Key(8)
CE, MSE = losses.SoftmaxCrossEntropy(), losses.MeanSquaredError()
NET = fn.serial(fn.Dense(6), fn.Tanh(), fn.Dropout(0.1), fn.Dense(3))
IRIS = fn.Experiment(
    data=data.Iris(split=data.Split(test=0.2, stratify=True), scale="standard"),
    model=NET,
    loss=CE,
    metrics=(metrics.Accuracy(), metrics.LogLoss()),
    optimizer=optim.Adam(0.02),
    training=fn.Training(epochs=4),
    seed=5,
)
X, Y = KEY.fold("x").normal((23, 4)), KEY.fold("y").normal((23, 1))
RECIPE: dict[str, Any] = {"loss": MSE, "optimizer": optim.SGD(0.05), "epochs": 2, "key": KEY}
LINEAR = fn.Dense(1)


# ----- folds


@pytest.mark.parametrize(
    ("y", "expected"),
    [
        (data.Iris, [[8, 7, 7], [7, 8, 7], [7, 7, 8], [7, 7, 7], [7, 7, 7], [7, 7, 7], [7, 7, 7]]),
        (data.Wine, [[12, 14, 10], [12, 14, 10], [12, 14, 10], [12, 14, 9], [11, 15, 9]]),
        (data.BreastCancer, [[53, 90], [53, 89], [53, 89], [53, 89]]),
        (data.Digits, [
            [36, 36, 36, 36, 37, 36, 36, 36, 35, 36],
            [36, 36, 36, 36, 36, 37, 36, 36, 35, 36],
            [36, 36, 35, 37, 36, 37, 36, 36, 34, 36],
            [35, 37, 35, 37, 36, 36, 37, 35, 35, 36],
            [35, 37, 35, 37, 36, 36, 36, 36, 35, 36],
        ]),
        (np.array([2, 0, 0, 1, 2, 2, 1, 0, 0, 1, 2, 2, 2, 0, 1]), [[1, 1, 2], [1, 1, 2], [2, 1, 1], [1, 1, 1]]),
    ],
)  # fmt: skip
def test_classes_are_divided_as_by_stratified_k_fold(y: Any, expected: list[list[int]]) -> None:
    """Class counts of each fold, from scikit-learn 1.9.1."""
    labels = y if isinstance(y, np.ndarray) else data.prepare(y(), KEY).train.y
    folds = folds_of(labels, len(expected), KEY)
    assert [np.bincount(labels[rows]).tolist() for rows in folds] == expected
    assert np.array_equal(np.sort(np.concatenate(folds)), np.arange(len(labels)))


@pytest.mark.parametrize("y", [np.zeros(45), np.zeros((45, 2)), np.arange(45), (np.zeros(45), np.ones(45))])
def test_other_targets_are_only_shuffled(y: Any) -> None:
    """The sizes of scikit-learn's KFold."""
    folds = folds_of(y, 7, KEY, stratify=False)
    assert [len(rows) for rows in folds] == [7, 7, 7, 6, 6, 6, 6]
    assert np.array_equal(np.sort(np.concatenate(folds)), np.arange(45))
    assert all((np.diff(rows) > 0).all() for rows in folds)
    assert not same(folds[0], folds_of(y, 7, fn.Key(9), stratify=False)[0])
    if not isinstance(y, np.ndarray) or y.dtype.kind == "f":
        assert same(tuple(folds), tuple(folds_of(y, 7, KEY)))


def test_which_rows_go_together_is_random() -> None:
    """Two rows of one class share a fold as often as chance has it, 1 in 4 or so."""
    labels = np.repeat([0, 1], 21)
    together = [sum({3, 7} <= set(rows) for rows in folds_of(labels, 4, KEY.fold(i))) for i in range(400)]
    assert np.mean(together) == pytest.approx(0.24, abs=0.06)


@pytest.mark.parametrize(
    ("y", "folds", "message"),
    [
        (np.zeros(4), 5, "expected at most as many folds as rows, 4, got 5"),
        (
            np.array([0, 0, 0, 1, 1, 0]),
            3,
            "expected at least 3 rows of every class, one for each fold, got 2 of class 1; "
            "use fewer folds, or stratify=False",
        ),
    ],
)
def test_folds_that_cannot_be_made(y: Any, folds: int, message: str) -> None:
    with pytest.raises(fn.DataError) as caught:
        folds_of(y, folds, KEY)
    assert str(caught.value) == message


# ----- an experiment


def test_a_fold_is_a_run_on_the_other_rows() -> None:
    """Scaled by what it trains on, from the key of its own."""
    result = fn.cross_validate(IRIS, folds=3, repeats=2)
    key = fn.Key(5).fold("repeat", 1)
    table = IRIS.data.table(None, KEY)  # type: ignore[arg-type]
    test = folds_of(table.y, 3, key)[2]
    assert same(result.held_out[5], test)
    train = np.setdiff1d(np.arange(150), test)
    mean, deviation = table.x[train].mean(axis=0), table.x[train].std(axis=0)
    x = ((table.x - mean) / deviation).astype(np.float32)
    own = key.fold("fold", 2, "train")
    done = fn.fit(NET, (x[train], table.y[train]), loss=CE, optimizer=optim.Adam(0.02), epochs=4, key=own)
    ts = done.train_state
    by_hand = fn.evaluate(NET, CE, ts.params, ts.state, (x[test], table.y[test]), IRIS.metrics)
    assert result.scores[5] == pytest.approx(by_hand, rel=1e-6)
    assert len(result.scores) == len(result.held_out) == 6


def test_every_row_is_held_out_once_a_repeat_and_repeats_differ() -> None:
    result = fn.cross_validate(evolve(IRIS, training=fn.Training(steps=1)), folds=4, repeats=2)
    for repeat in (0, 4):
        rows = np.concatenate(result.held_out[repeat : repeat + 4])
        assert np.array_equal(np.sort(rows), np.arange(150))
    assert not same(result.held_out[0], result.held_out[4])


def test_the_same_again_to_the_bit_and_another_key_otherwise() -> None:
    first, again = fn.cross_validate(IRIS, folds=3), fn.cross_validate(IRIS, folds=3)
    assert (first.scores, str(first)) == (again.scores, str(again))
    assert first.scores != fn.cross_validate(IRIS, folds=3, key=KEY).scores
    assert first.scores == fn.cross_validate(IRIS, folds=3, key=fn.Key(5)).scores
    assert first.scores == fn.cross_validate(IRIS, folds=3, repeats=2).scores[:3]


def test_the_validation_fraction_comes_out_of_the_training_rows(monkeypatch: Any) -> None:
    import funcnet.experiments.cross_validation as module

    parts: list[Parts] = []
    given = module.prepared
    monkeypatch.setattr(module, "prepared", lambda *args: parts.append(args[3]) or given(*args))
    split = data.Split(validation=0.25, test=0.2, stratify=True)
    experiment = evolve(IRIS, data=data.Iris(split=split, scale="standard"), training=fn.Training(steps=1))
    fn.cross_validate(experiment, folds=5)
    labels = IRIS.data.table(None, KEY).y  # type: ignore[arg-type]
    for one in parts:
        assert [len(part) for part in one] == [90, 30, 30]
        assert np.array_equal(np.sort(np.concatenate(one)), np.arange(150))
        assert np.bincount(labels[one.validation]).tolist() == [10, 10, 10]


def test_targets_are_scaled_by_the_training_rows_and_scored_in_their_units() -> None:
    experiment = fn.Experiment(
        data=data.Diabetes(scale="standard", target_scale="standard"),
        model=fn.Dense(1),
        loss=MSE,
        metrics=(metrics.R2(), metrics.RMSE()),
        optimizer=optim.Adam(0.02),
        training=fn.Training(epochs=30),
        dtype="float64",
    )
    result = fn.cross_validate(experiment, folds=4)
    assert 0.4 < result.mean["r2"] < 0.55
    assert 50.0 < result.mean["rmse"] < 60.0
    assert [len(rows) for rows in result.held_out] == [111, 111, 110, 110]


def test_rows_of_another_part_take_no_part(tmp_path: Any) -> None:
    x, y = KEY.normal((20, 2)), KEY.integers(2, (20,))
    for name, rows in (("a", slice(0, 12)), ("b", slice(12, 20))):
        np.savez(tmp_path / f"{name}.npz", x=x[rows], y=y[rows])
    experiment = evolve(
        IRIS,
        data=data.Npz("a.npz", split=data.Split(given={"test": {"path": "b.npz"}})),
        model=fn.Dense(2),
        training=fn.Training(steps=1),
    )
    result = fn.cross_validate(experiment, folds=3, base=tmp_path, stratify=False)
    assert np.array_equal(np.sort(np.concatenate(result.held_out)), np.arange(12))


# ----- arrays


@pytest.mark.parametrize("weight", [None, 1.0 + KEY.uniform((23,))])
def test_a_network_with_arrays_is_fitted_to_the_other_rows(weight: Any) -> None:
    arrays = (X, Y) if weight is None else (X, Y, weight)
    result = fn.cross_validate(LINEAR, arrays, folds=5, metrics=[metrics.R2()], **RECIPE)
    key = KEY.fold("repeat", 0)
    test = folds_of(Y, 5, key)[3]
    train = np.setdiff1d(np.arange(23), test)
    done = fn.fit(LINEAR, tuple(a[train] for a in arrays), **{**RECIPE, "key": key.fold("fold", 3)})
    ts = done.train_state
    held_out = tuple(a[test] for a in arrays)
    assert result.scores[3] == fn.evaluate(LINEAR, MSE, ts.params, ts.state, held_out, [metrics.R2()])
    assert [len(rows) for rows in result.held_out] == [5, 5, 5, 4, 4]


def test_several_inputs_are_divided_alike() -> None:
    net = fn.serial(fn.Parallel((fn.Dense(2), fn.Dense(2))), fn.Sum(), fn.Dense(1))
    result = fn.cross_validate(net, ((X, X[:, :1]), Y), folds=23, **RECIPE)
    assert [rows.tolist() for rows in sorted(result.held_out, key=lambda rows: rows[0])] == [[i] for i in range(23)]


# ----- predictions of the held-out rows


@pytest.mark.parametrize("target", ["kind", "size"])
def test_each_row_is_predicted_by_the_run_of_its_fold(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the bit, in the order of the table: labels by name, calibrated probabilities, and values in their units."""
    import funcnet.experiments.cross_validation as module

    table: dict[str, Any] = {
        "x": X[:, 0],
        "city": ["Bern", "Oslo", "Köln"] * 7 + ["Bern", "Oslo"],
        "kind": ["no", "yes"] * 11 + ["no"],
        "size": 100.0 + 7.0 * X[:, 1],
    }
    labels = target == "kind"
    experiment = fn.Experiment(
        data=data.Columns(target, inputs=("x", "city"), categorical=("city",), scale="standard",
                          target_scale=None if labels else "standard", split=data.Split(validation=0.3)),
        model=fn.serial(fn.Dense(4), fn.Tanh(), fn.Dense(2 if labels else 1)),
        loss=CE if labels else MSE,
        optimizer=optim.Adam(0.05),
        training=fn.Training(epochs=2, calibrate=labels),
    )  # fmt: skip
    runs: list[fn.Run] = []
    given = module.held_out_scores

    def kept(*args: Any) -> Any:
        end, preprocess, heat = args[4].train_state, args[6], getattr(args[1], "temperature", None)
        assert (heat is not None) == labels
        runs.append(fn.Run(end, [], {}, experiment, preprocess, end.params, temperature=heat))
        return given(*args)

    monkeypatch.setattr(module, "held_out_scores", kept)
    found = fn.cross_validate(experiment, table, folds=4, predictions=True)
    assert isinstance(found.predictions, np.ndarray)
    for run, rows in zip(runs, found.held_out, strict=True):
        own = {name: [values[i] for i in rows] for name, values in table.items()}
        assert found.predictions[rows].tobytes() == run.predict(own).tobytes()
        if labels:
            assert found.labels is not None
            assert found.labels[rows].tolist() == run.predict_label(own).tolist()
    assert found.predictions.shape == (23, 2 if labels else 1)
    assert (found.labels is None) != labels
    assert labels or abs(found.predictions.mean() - 100.0) < 30.0
    assert found.scores == fn.cross_validate(experiment, table, folds=4).scores
    assert fn.cross_validate(experiment, table, folds=4).predictions is None


def test_the_predictions_of_several_repeats_are_their_mean() -> None:
    one, two = (fn.cross_validate(LINEAR, (X, Y), folds=5, repeats=n, predictions=True, **RECIPE) for n in (1, 2))
    again = next(fold for fold, rows in enumerate(two.held_out) if fold >= 5 and 7 in rows)
    key = KEY.fold("repeat", 1)
    train = np.setdiff1d(np.arange(23), two.held_out[again])
    done = fn.fit(LINEAR, (X[train], Y[train]), **{**RECIPE, "key": key.fold("fold", again - 5)})
    other = fn.predict(LINEAR, done.train_state.params, done.train_state.state, X[two.held_out[again]])
    row = np.flatnonzero(two.held_out[again] == 7)[0]
    assert isinstance(one.predictions, np.ndarray)
    assert isinstance(two.predictions, np.ndarray)
    assert two.predictions[7] == np.mean([one.predictions[7], other[row]], axis=0)
    assert two.labels is None


def test_a_row_of_another_part_has_no_prediction(tmp_path: Any) -> None:
    for name, rows in (("a", slice(0, 12)), ("b", slice(12, 20))):
        np.savez(tmp_path / f"{name}.npz", x=X[rows], y=np.array(["no", "yes"])[np.arange(20) % 2][rows])
    source = data.Npz("a.npz", split=data.Split(given={"test": {"path": "b.npz"}}))
    experiment = evolve(IRIS, data=source, model=fn.Dense(2), training=fn.Training(steps=1))
    found = fn.cross_validate(experiment, folds=3, base=tmp_path, predictions=True)
    assert isinstance(found.predictions, np.ndarray)
    assert found.labels is not None
    assert np.isnan(found.predictions).all(axis=1).tolist() == [False] * 12 + [True] * 8
    assert found.labels[12:].tolist() == [""] * 8
    assert set(found.labels[:12]) <= {"no", "yes"}


@pytest.mark.parametrize("loss", [CE, losses.CategoricalHinge()])
def test_arrays_have_the_labels_of_the_likeliest_class_or_the_highest_score(loss: Any) -> None:
    found = fn.cross_validate(
        fn.Dense(2), (X, np.arange(23) % 2), folds=3, predictions=True, **{**RECIPE, "loss": loss}
    )
    assert found.labels is not None
    assert found.labels.tolist() == np.argmax(found.predictions, axis=1).tolist()  # type: ignore[arg-type]


def test_members_ignore_the_label_that_their_loss_ignores() -> None:
    """Two rows of it are fewer than the folds, but it is not a class of which each fold needs a row."""
    labels = np.where(np.arange(23) < 2, -1, np.arange(23) % 2)
    loss = losses.EachMember(losses.SoftmaxCrossEntropy(ignore_label=-1))
    net = fn.Ensemble(fn.Dense(2), members=2)
    assert len(fn.cross_validate(net, (X, labels), folds=5, **{**RECIPE, "loss": loss}).scores) == 5


# ----- what comes back


def test_mean_and_deviation_and_the_table() -> None:
    scores = [{"loss": 0.5, "accuracy": 0.75}, {"loss": 1.5, "accuracy": 1.0}]
    scores += [{"loss": 1.0, "accuracy": 0.5}, {"loss": 1.0, "accuracy": 0.123456}]
    result = CrossValidation(scores, [np.arange(n) for n in (3, 2, 3, 2)], folds=2)
    assert result.mean == {"loss": 1.0, "accuracy": pytest.approx(0.593364)}
    assert result.deviation == {"loss": 0.125**0.5, "accuracy": pytest.approx(np.std([0.75, 1.0, 0.5, 0.123456]))}
    assert str(result) == (
        "   repeat  fold  rows     loss  accuracy\n"
        "---------  ----  ----  -------  --------\n"
        "        1     1     3      0.5      0.75\n"
        "        1     2     2      1.5         1\n"
        "        2     1     3        1       0.5\n"
        "        2     2     2        1   0.12346\n"
        "---------  ----  ----  -------  --------\n"
        "     mean                    1   0.59336\n"
        "deviation              0.35355   0.32381"
    )


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: fn.cross_validate(IRIS, (X, Y), epochs=3, batch_size=2), fn.FuncnetError,
         "an experiment defines its own training; leave out data, batch_size, epochs, or evolve it"),
        (lambda: fn.cross_validate(LINEAR, (X, Y), loss=MSE, optimizer=optim.SGD(0.1), epochs=1), fn.FuncnetError,
         "expected data and a key with a network: cross_validate(net, (x, y), key=fn.Key(0), …)"),
        (lambda: fn.cross_validate(LINEAR, **RECIPE), fn.FuncnetError,
         "expected data and a key with a network: cross_validate(net, (x, y), key=fn.Key(0), …)"),
        (lambda: fn.cross_validate(LINEAR, (X, Y), key=KEY, optimizer=optim.SGD(0.1)), fn.FuncnetError,
         "expected a loss, such as fn.losses.MeanSquaredError(), got None"),
        (lambda: fn.cross_validate(LINEAR, (X, Y), key=KEY, loss=MSE), fn.FuncnetError,
         "expected an optimizer, such as fn.optim.Adam(), got None"),
        (lambda: fn.cross_validate("iris"), fn.FuncnetError,  # type: ignore[arg-type]
         "expected an experiment or a network, such as fn.load_spec('specs/digits_mlp.json'), got 'iris'"),
        (lambda: fn.cross_validate(IRIS, folds=1), fn.DataError, "expected folds of 2 or more, got 1"),
        (lambda: fn.cross_validate(IRIS, repeats=0), fn.DataError, "expected repeats of 1 or more, got 0"),
        (lambda: fn.cross_validate(IRIS, key="3"), fn.FuncnetError,  # type: ignore[arg-type]
         "expected a key, such as fn.Key(0), got '3'"),
        (lambda: fn.cross_validate(evolve(IRIS, data=data.Iris(split=data.Split(test=0.2, time=True)))), fn.DataError,
         "Iris: the test part has the class 'versicolor', which the training part lacks; stratify the split, or use "
         "more rows of it"),
        (lambda: fn.cross_validate(evolve(IRIS, data=data.Iris(split=data.Split(bootstrap=9)))), fn.DataError,
         "split.bootstrap: cannot be used with folds, which are drawn row by row; leave it out"),
        (lambda: fn.cross_validate(evolve(IRIS, model=fn.Dense(2))), fn.ShapeError,
         "SoftmaxCrossEntropy: expected 3 units, one for each class, got 2; the data has 3 classes, "
         "'setosa', 'versicolor', 'virginica': change the units of the last layer"),
    ],
)  # fmt: skip
def test_mistakes(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == message


def test_a_warning_of_every_fold_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    """Though its numbers differ from fold to fold; and again in another cross-validation."""
    net = fn.serial(fn.Dense(1), fn.Sigmoid())
    how: dict[str, Any] = {"loss": "mean_squared_error", "optimizer": "adam", "epochs": 1, "stratify": False}
    y = np.linspace(2.0, 9.0, len(X))[:, None]
    for _ in range(2):
        caplog.clear()
        with caplog.at_level("WARNING", "funcnet"):
            found = fn.cross_validate(net, (X, y), key=0, folds=4, **how)
        assert len(found.scores) == 4
        (line,) = [record.getMessage() for record in caplog.records]
        assert line.startswith("the last layer, Sigmoid, gives numbers from 0 to 1, and the targets are numbers from ")


@pytest.mark.parametrize("what", [IRIS, LINEAR])
def test_ctrl_c_ends_all_of_it(what: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The scores of half a training are no answer, and the folds after it are not wanted."""
    began = []

    def interrupted(*args: Any, **kwargs: Any) -> Any:
        began.append(args)
        raise KeyboardInterrupt

    monkeypatch.setattr("funcnet.training.fit._located", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fn.cross_validate(what, None if what is IRIS else (X, Y), folds=3, **({} if what is IRIS else RECIPE))
    assert len(began) == 1
