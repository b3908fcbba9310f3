"""What the experiments on small real tables reach, over several seeds: each draws its own split and weights."""

import functools
from pathlib import Path

import numpy as np
import pytest

import funcnet as fn
from funcnet.spec.base import evolve

SPECS = Path(__file__).parents[1] / "specs"


@functools.cache
def scores(name, seeds=5):
    """The metrics of the test part for each seed."""
    experiment = fn.load_spec(SPECS / f"{name}.json")
    runs = (fn.run(evolve(experiment, seed=seed), base=SPECS) for seed in range(seeds))
    return [run.metrics["test"] for run in runs]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "metric", "least", "mean"),
    [
        ("iris_csv", "accuracy", 0.9, 0.95),
        ("wine", "accuracy", 0.94, 0.97),
        ("wine", "balanced_accuracy", 0.94, 0.97),
        ("diabetes", "r2", 0.38, 0.45),
    ],
)
def test_scores(name, metric, least, mean):
    found = [metrics[metric] for metrics in scores(name)]
    assert min(found) >= least
    assert np.mean(found) >= mean


def test_diabetes_scores_in_the_units_of_the_data():
    experiment = fn.load_spec(SPECS / "diabetes.json")
    run = fn.run(experiment)
    test = run.metrics["test"]
    deviation = run.preprocess["targets"]["deviation"]
    assert 70 < deviation < 85
    assert test["rmse"] == pytest.approx(test["loss"] ** 0.5 * deviation, rel=1e-5)  # the loss is of scaled targets
    assert 35 < test["mae"] < test["rmse"] < 70
    table = experiment.data.table(SPECS, fn.Key(0))
    predicted = run.predict(table.x)[:, 0]
    assert abs(predicted.mean() - table.y.mean()) < 10


def test_iris_csv_is_the_bundled_iris():
    source = fn.load_spec(SPECS / "iris_csv.json").data
    text, own = source.table(SPECS, fn.Key(0)), fn.data.Iris().table(SPECS, fn.Key(0))
    assert tuple(text.x.columns) == fn.data.Iris.features
    np.testing.assert_array_equal(np.stack(list(text.x.columns.values()), axis=1), own.x)
    np.testing.assert_array_equal(text.y, np.array(own.classes)[own.y])


def test_wine_weighs_its_classes_as_equal():
    experiment = fn.load_spec(SPECS / "wine.json")
    assert experiment.training.class_weight == "balanced"
    plain = evolve(experiment, training=evolve(experiment.training, class_weight=None, epochs=1))
    weighed = evolve(experiment, training=evolve(experiment.training, epochs=1))
    assert fn.run(plain).metrics["train"]["loss"] != fn.run(weighed).metrics["train"]["loss"]
