"""The reprs of results are a screenful, in a terminal and in a notebook."""

import pytest

import funcnet as fn

NET = fn.serial(fn.Dense(300), fn.BatchNorm(), fn.Relu(), fn.Dense(3))
EXPERIMENT = fn.Experiment(
    data=fn.data.Iris(split=fn.data.Split(validation=0.2, test=0.2), scale="standard"),
    model=NET,
    loss=fn.losses.SoftmaxCrossEntropy(),
    metrics=(fn.metrics.Accuracy(),),
    optimizer=fn.optim.Adam(),
    training=fn.Training(epochs=30),
)


@pytest.fixture(scope="module")
def results():
    prepared = fn.data.prepare(EXPERIMENT.data, fn.Key(0))
    how = {"loss": EXPERIMENT.loss, "optimizer": EXPERIMENT.optimizer, "key": 0}
    fit = fn.fit(NET, prepared.train, epochs=30, validation=prepared.validation, **how)
    pair = NET.init(fn.Key(1), (4,))
    return {
        "fit": fit,
        "run": fn.run(EXPERIMENT),
        "prepared": prepared,
        "train state": fit.train_state,
        "transfer": fn.transfer(pair, pair),
        "summary": fn.summary(NET, (4,)),
    }


@pytest.mark.parametrize("name", ["fit", "run", "prepared", "train state", "transfer", "summary"])
def test_a_repr_is_a_screenful(results, name):
    text = str(results[name])
    assert len(text.splitlines()) <= 24
    assert len(text) <= 1600
    assert "array([" not in text


def test_a_fit_shows_its_history(results):
    lines = repr(results["fit"]).splitlines()
    assert lines[0] == "Fit: 90 steps"
    assert lines[1] == "params: 6 arrays of 3,003 numbers, float32"
    assert lines[2].split() == ["epoch", "loss", "validation/loss"]
    assert [line.split()[0] for line in (lines[3], lines[-1])] == ["1", "30"]
    assert len(lines) == 3 + 12
    assert results["fit"]._repr_html_().startswith("<pre>Fit: 90 steps")


def test_the_others_say_what_they_hold(results):
    assert str(results["run"]).splitlines()[0] == "Run: 90 steps; params: 6 arrays of 3,003 numbers, float32"
    assert results["run"]._repr_html_().startswith("<table")
    assert repr(results["prepared"]) == (
        "Prepared(train 90 rows, validation 30 rows, test 30 rows, inputs of (4,); "
        "classes setosa, versicolor, virginica)"
    )
    assert repr(results["transfer"]) == "Transfer(taken 8, reshaped 0, missing 0, unused 0)"
    assert repr(results["train state"]).startswith("TrainState(step=90; params: 6 arrays of 3,003 numbers")
