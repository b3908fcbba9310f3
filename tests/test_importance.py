"""Permutation importance: beside scikit-learn's, beside columns shuffled by hand, and by its expected value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.inspection import permutation_importance

import funcnet as fn
from funcnet import data, losses, metrics, optim
from funcnet.experiments.importance import Importance
from funcnet.spec.base import evolve

KEY = fn.Key(11)
ROWS = 200
TABLE: dict[str, Any] = {
    "a": KEY.fold("a").normal((ROWS,)),
    "b": KEY.fold("b").normal((ROWS,)),
    "c": KEY.fold("c").normal((ROWS,)),
    "城市": [["Bern", "Oslo", "Rome"][i] for i in KEY.fold("city").integers(3, (ROWS,)).tolist()],
    "born": [
        str(np.datetime64("2001-01-01") + np.timedelta64(i, "D"))
        for i in KEY.fold("born").integers(900, (ROWS,)).tolist()
    ],
}
TABLE["y"] = 3.0 * TABLE["a"] + TABLE["b"]
INPUTS = list(TABLE)[:-1]
MSE = losses.MeanSquaredError()


def experiment(**changes: Any) -> fn.Experiment:
    return evolve(
        fn.Experiment(
            data=data.Columns("y", inputs=("a", "b", "c")),
            model=fn.Dense(1),
            loss=MSE,
            metrics=(metrics.R2(), metrics.RMSE()),
            optimizer=optim.Adam(0.1),
            training=fn.Training(steps=200, batch_size="full"),
            dtype="float64",
            seed=4,
        ),
        **changes,
    )


@pytest.fixture(scope="module")
def linear() -> fn.Run:
    """A run that has learned y = 3 a + b + 0 c."""
    return fn.run(experiment(), data=TABLE)


@pytest.fixture(scope="module")
def mixed() -> fn.Run:
    """A run on all columns, scaled, with a test part."""
    source = data.Columns(
        "y",
        categorical=("城市",),
        dates=("born",),
        scale="standard",
        target_scale="standard",
        split=data.Split(test=0.3, validation=0.1),
    )
    return fn.run(experiment(data=source, training=fn.Training(epochs=2), dtype="float32"), data=TABLE)


def test_a_linear_model_has_the_known_importances_and_scikit_learn_finds_the_same(linear: fn.Run) -> None:
    """The expected rise of the squared error is 2 w² Var(x), since a shuffled value is any of the rows'."""
    found = fn.importance(linear, TABLE, metric="loss", repeats=50)
    assert found.metric == "loss"
    x = np.stack([TABLE[name] for name in "abc"], axis=1)

    class Estimator:
        def fit(self, x: Any, y: Any) -> None: ...

    def scored(_: Estimator, x: Any, y: Any) -> float:
        return -float(np.mean((linear.predict(dict(zip("abc", x.T, strict=True)))[:, 0] - y) ** 2))

    theirs = permutation_importance(Estimator(), x, TABLE["y"], scoring=scored, n_repeats=50, random_state=0)
    for i, (name, weight) in enumerate((("a", 3.0), ("b", 1.0), ("c", 0.0))):
        error = 4.0 * found.deviation[name] / 50**0.5 + 1e-3
        assert found.mean[name] == pytest.approx(2.0 * weight**2 * np.var(TABLE[name]), abs=error)
        assert found.mean[name] == pytest.approx(theirs.importances_mean[i], abs=2.0 * error)
        assert found.deviation[name] == pytest.approx(theirs.importances_std[i], rel=0.5, abs=1e-3)
    assert found.order == ["a", "b", "c"]


def test_a_column_is_shuffled_as_a_whole(mixed: fn.Run) -> None:
    """A category with all its features, and a date with its parts; to the bit as if the table had it so."""
    found = fn.importance(mixed, TABLE, repeats=2, key=7)
    score = mixed.evaluate(TABLE)["r2"]
    assert (found.metric, found.score, list(found.drops)) == ("r2", score, INPUTS)
    for name in INPUTS:
        for repeat in range(2):
            order = fn.Key(7).fold("importance", name, repeat).permutation(ROWS)
            shuffled = mixed.evaluate(TABLE | {name: [TABLE[name][i] for i in order]})["r2"]
            assert found.drops[name][repeat] == score - shuffled


def test_the_sign_of_an_error_and_the_rows_of_a_part(mixed: fn.Run) -> None:
    """By default the last part there is; below 0 the network does better without an input."""
    source, key = mixed.experiment.data, fn.Key(mixed.experiment.seed)
    prepared = data.prepare(source, key, dtype=np.float32, fitted=mixed.preprocess, data=TABLE)
    assert prepared.test is not None
    before = prepared.test.x.copy()
    on_test = fn.importance(mixed, prepared.test, metric="rmse", repeats=3)
    assert np.array_equal(prepared.test.x, before)
    again = fn.importance(mixed, TABLE, metric=metrics.RMSE(), part="test", repeats=3, key=4)
    assert (on_test.score, on_test.mean) == (mixed.metrics["test"]["rmse"], again.mean)
    assert on_test.mean["a"] > 10.0 * abs(on_test.mean["城市"])
    order = key.fold("importance", "a", 0).permutation(len(before))
    shuffled = before.copy()
    shuffled[:, 0] = before[order, 0]
    worse = mixed.evaluate(prepared.test._replace(x=shuffled))["rmse"]
    assert on_test.drops["a"][0] == worse - on_test.score
    assert fn.importance(mixed, TABLE, part="validation", repeats=1).score == mixed.metrics["validation"]["r2"]


def saved(path: Path, **arrays: Any) -> Path:
    """The folder of an archive with these arrays."""
    np.savez(path, **arrays)
    return path.parent


def test_arrays_by_the_name_or_the_number_of_a_feature(tmp_path: Path) -> None:
    """Rows of a file that are read by blocks give the bits of those in memory, and so do the raw arrays."""
    x, y = KEY.normal((60, 3)).astype(np.float32), KEY.fold("labels").integers(2, (60,))
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)
    one = experiment(
        data=data.Npy("x.npy", "y.npy", stream=True, scale="standard"),
        model=fn.Dense(2),
        loss=losses.SoftmaxCrossEntropy(),
        metrics=(metrics.Accuracy(),),
        training=fn.Training(epochs=1),
        dtype="float32",
    )
    run = fn.run(one, base=tmp_path)
    streamed, given = fn.importance(run, base=tmp_path, repeats=2), fn.importance(run, (x, y), repeats=2)
    assert list(streamed.drops) == ["0", "1", "2"]
    assert {name: drops.tolist() for name, drops in streamed.drops.items()} == {
        name: drops.tolist() for name, drops in given.drops.items()
    }
    weighted = fn.importance(run, (x, y, np.arange(60.0) < 30.0), repeats=1)
    assert weighted.score == run.evaluate((x[:30], y[:30]))["accuracy"]

    iris = data.Iris()
    flowers = fn.run(evolve(one, data=iris, model=fn.Dense(3)))
    assert list(fn.importance(flowers, repeats=1).drops) == list(iris.feature_names)
    raw = iris.table(Path(), KEY)
    names = np.array(flowers.classes, object)[raw.y]
    assert flowers.evaluate((raw.x, names)) == flowers.evaluate((raw.x, raw.y)) == flowers.metrics["train"]

    named = fn.run(
        evolve(one, data=data.Npz("named.npz")), base=saved(tmp_path / "named.npz", x=x, y=(y + 1).astype(str))
    )
    score = named.evaluate((x, (y + 1).astype(str)))  # classes "1" and "2"
    assert score == named.metrics["train"] == named.evaluate((x, (y + 1).tolist()))
    with pytest.raises(fn.DataError, match="has the class '3', which the training data lacks"):
        named.evaluate((x, y + 2))

    images = KEY.normal((20, 2, 3, 4)).astype(np.float32)
    np.savez(tmp_path / "images.npz", x=images, y=y[:20])
    net = fn.serial(fn.Flatten(), fn.Dense(2))
    seen = fn.run(evolve(one, data=data.Npz("images.npz"), model=net), base=tmp_path)
    channels = fn.importance(seen, (images, y[:20]), repeats=1)
    assert list(channels.drops) == ["0", "1", "2", "3"]


def test_the_table_and_the_picture() -> None:
    drops = {"b": [0.1, 0.3], "c<d": [-0.5, 0.0], "nothing": [np.nan, 1.0], "age": [0.4, 0.4]}
    found = Importance("accuracy", 0.75, {name: np.array(values) for name, values in drops.items()})
    assert found.mean["b"] == pytest.approx(0.2)
    assert found.deviation["b"] == pytest.approx(0.1)
    assert str(found) == (
        "accuracy 0.75; importance is how much worse it gets when the input is shuffled\n"
        "input    importance  deviation\n"
        "-------  ----------  ---------  --------------------\n"
        "age             0.4          0  ####################\n"
        "b               0.2        0.1  ##########\n"
        "c<d           -0.25       0.25\n"
        "nothing         nan        nan"
    )
    picture = found.svg("年龄")
    shown = ("c&lt;d", "&#24180;&#40836;", "0.2 &#177; 0.1", "nothing")
    assert [text in picture for text in shown] == [True, True, True, False]
    assert picture.count('class="bar"') == 3
    assert "and 1 more" in picture
    with pytest.raises(TypeError):
        found.drops["b"] = np.zeros(2)  # type: ignore[index]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda run: fn.importance("runs/a"), "expected a run, such as fn.load_run('runs/table-1'), got 'runs/a'"),
        (lambda run: fn.importance(run, TABLE, repeats=0), "expected repeats of 1 or more, got 0"),
        (lambda run: fn.importance(run, TABLE, metric="acuracy"),
         "metric: unknown metric 'acuracy', did you mean 'accuracy'?"),
        (lambda run: fn.importance(run, TABLE, part="tset"), "the run has no tset part; it has train"),
        (lambda run: fn.importance(run, {"a": [1.0], "b": [1.0]}),
         "the table: has no column 'y' (target); it has a, b"),
        (lambda run: fn.importance(run, (np.zeros((3, 3)), np.zeros(3))),
         "expected a table: a dict of columns, a list of dicts, or a data frame, got a tuple"),
        (lambda run: fn.importance(run),
         "the rows of this table are in no file: give them in Python, as in fn.run(experiment, data=table); "
         "for rows in a file, give a source that names it, such as csv"),
    ],
)  # fmt: skip
def test_mistakes(linear: fn.Run, call: Any, message: str) -> None:
    with pytest.raises(fn.FuncnetError) as caught:
        call(linear)
    assert str(caught.value) == message


def test_a_mean_of_drops_that_cancel_is_zero() -> None:
    """In binary, 0.1 + 0.2 - 0.3 is not 0."""
    drops = np.array([0.1, 0.2, -0.3])
    assert 0.0 < np.mean(drops) < 1e-16
    mean = Importance("accuracy", 0.98, {"a": drops, "b": drops + 1e-12}).mean
    assert mean["a"] == 0.0 < mean["b"]
