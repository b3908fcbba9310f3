"""Pictures of numbers: their scores are those of NumPy, by weight, of the middle quantile, of what is finite."""

import re

import numpy as np
import pytest

import funcnet as fn
from funcnet import data, losses, metrics, optim
from funcnet.data.preparation import prepare
from funcnet.experiments.report import values
from funcnet.experiments.report.answers import Answers
from tests.reports import plain, rows_of, text_of

ROWS = 90
AGE = np.arange(ROWS) * 7 % 50
TABLE = {
    "age": AGE.tolist(),
    "w": np.where(AGE % 3 == 0, 0, 1 + AGE % 4).tolist(),
    "y": (2.0 * AGE + AGE % 5).tolist(),
    "z": (1000.0 - AGE).tolist(),
}


def run_of(folder, loss, units, target="y", **fields):
    source = data.Columns(target, inputs=("age",), split=data.Split(test=0.4), scale="standard", **fields)
    experiment = fn.Experiment(
        data=source,
        model=fn.Dense(units),
        loss=loss,
        metrics=() if units == 3 else (metrics.RMSE(), metrics.R2()),
        optimizer=optim.Adam(0.5),
        training=fn.Training(epochs=15),
    )
    return fn.run(experiment, folder, data=TABLE)


def held_out(run):
    """The test rows of the table."""
    return prepare(run.experiment.data, fn.Key(0), data=TABLE, fitted=run.preprocess).parts.test


def columns(rows):
    return {name: np.array(values, float)[rows] for name, values in TABLE.items()}


def test_scores_have_the_weights_of_the_rows(tmp_path):
    run = run_of(tmp_path / "run", losses.MeanSquaredError(), 1, weight="w")
    rows = columns(held_out(run))
    predicted = run.predict({"age": rows["age"]})[:, 0]
    residuals, w = rows["y"] - predicted, rows["w"]
    rmse = np.average(residuals**2, weights=w) ** 0.5
    assert run.metrics["test"]["rmse"] == pytest.approx(rmse, rel=1e-5)
    text = plain(text_of(tmp_path / "run"))
    counts = int((w > 0).sum())
    assert f"RMSE {rmse:.4g} of {counts} rows" in text
    mean = float(np.average(residuals, weights=w))
    side = "low" if mean > 0.0 else "high"
    assert f"On average the answer is too {side} by {abs(mean):.3g}, by the weights of the rows" in text
    assert f"on {counts} test rows, by their weights." in text
    worst = [int(row[0]) for row in rows_of(text_of(tmp_path / "run"), "The worst 12")[1:]]
    counted = np.where(w > 0, residuals**2, -1.0)
    assert worst == held_out(run)[np.argsort(-counted, kind="stable")[:12]].tolist()


def test_of_several_quantiles_the_middle_one_counts_and_the_outer_ones_cover(tmp_path):
    run = run_of(tmp_path / "run", losses.Quantile((0.1, 0.5, 0.9)), 3, target_scale="standard")
    rows = columns(held_out(run))
    answer = run.predict({"age": rows["age"]})
    rmse = np.mean((rows["y"] - answer[:, 1]) ** 2) ** 0.5
    inside = np.mean((rows["y"] >= answer[:, 0]) & (rows["y"] <= answer[:, 2]))
    text = plain(text_of(tmp_path / "run"))
    (found,) = re.findall(r"RMSE ([0-9.]+) of 36 rows", text)
    assert float(found) == pytest.approx(rmse, rel=1e-3)
    assert (
        f"The answer is the quantile 0.5. {100 * inside:.3g} % of the observations lie between those of 0.1 and 0.9"
        in text
    )


def test_many_numbers_of_a_row_are_counted_as_numbers(tmp_path):
    x = fn.Key(0).normal((20, 3))
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", np.tile(x, 2))
    experiment = fn.Experiment(
        data=data.Npy(x="x.npy", y="y.npy"),
        model=fn.Dense(6),
        loss=losses.MeanSquaredError(),
        optimizer=optim.SGD(0.1),
        training=fn.Training(epochs=1),
    )
    fn.run(experiment, tmp_path / "run", base=tmp_path)
    assert "of 120 numbers of 20 rows" in text_of(tmp_path / "run")


def test_quantiles_of_many_targets_cover_all_numbers(tmp_path):
    run = run_of(tmp_path / "run", losses.Quantile((0.1, 0.5, 0.9)), 3)
    y = np.arange(10.0).reshape(2, 5)
    answer = np.stack([y - 1.0, y + 1.0, y + 2.0], axis=2)
    answer[0, 0] = 5.0, 6.0, 7.0
    found = Answers("test", 2, np.arange(2), y, y, None, answer.reshape(2, 15), answer.reshape(2, 15))
    text = plain("".join(values.pictures(run, found)))
    assert f"all 5 numbers: R2 {1 - (9 + 36) / 82.5:.4g}, RMSE {4.5**0.5:.4g} of 10 numbers of 2 rows" in text
    assert "90 % of the observations lie between those of 0.1 and 0.9." in text


def test_answers_that_are_not_finite_are_left_out_and_counted(tmp_path):
    run = run_of(tmp_path / "run", losses.MeanSquaredError(), 1)
    y, answer = np.array([1.0, 2.0, 3.0, 4.0]), np.array([[2.0], [np.inf], [3.0], [np.nan]])
    found = Answers("test", 4, np.arange(4), answer, y, None, answer, answer)
    text = plain("".join(values.pictures(run, found)))
    assert "RMSE 0.7071 of 2 rows" in text
    assert "2 answers of 4 are left out, which are not finite" in text
    assert "On average the answer is too high by 0.5, the dashed line." in text


def test_scaling_leaves_no_rounding_error_where_0_was(tmp_path):
    run_of(tmp_path / "run", losses.MeanSquaredError(), 1)
    rows = rows_of(text_of(tmp_path / "run"), "The worst 12")
    assert rows[0][-1] == "age"
    for row in rows[1:]:
        assert row[-1] == str(AGE[int(row[0])])
