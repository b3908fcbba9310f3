"""The answers in a page are those of the run, in the words and the units of the data."""

import numpy as np
import pytest

import funcnet as fn
from funcnet import data, losses, optim
from funcnet.data.preparation import prepare
from funcnet.experiments.report import answers
from funcnet.experiments.report.answers import answers_of
from tests.reports import COLUMNS, rows_of, table, text_of


def test_worst_rows_are_those_of_the_largest_losses_in_the_words_of_the_data(runs):
    folder, _ = runs["hostile"]
    rows = rows_of(text_of(folder), "The worst 12 of the test part (36 rows)")
    assert rows[0][:6] == ["row", "loss", "true", "answer", "its probability", "that of the true"]
    assert rows[0][6:9] == COLUMNS
    found, whole = [float(row[1]) for row in rows[1:]], table()
    assert found == sorted(found, reverse=True)
    for row in rows[1:]:
        at = int(row[0])
        assert row[2] == fn.errors.one_line(whole["<i>等级</i>"][at])
        assert row[6] == f"{whole[COLUMNS[0]][at]:.5g}"
        assert row[9:] == [whole["城区"][at], "2020", str(int(whole["日期"][at][5:7])), row[12]]
        if float(row[5]) > 0.02:  # it has three decimals
            assert float(row[1]) == pytest.approx(-np.log(float(row[5])), rel=0.02)


def test_rare_categories_and_rows_without_a_target(tmp_path):
    given = {
        "number": [i / 7 for i in range(120)],
        "street": ["abcd"[i % 4] if i % 5 else f"rare {i}" for i in range(120)],
        "y": ["" if i % 9 == 0 else "up" if i % 4 > 1 else "down" for i in range(120)],
    }
    experiment = fn.Experiment(
        data=data.Columns("y", categorical=("street",), max_categories=3, missing_target="drop"),
        model=fn.Dense(2),
        loss=losses.SoftmaxCrossEntropy(),
        optimizer=optim.SGD(0.01),
        training=fn.Training(epochs=1),
    )
    fn.run(experiment, tmp_path / "run", data=given)
    text = text_of(tmp_path / "run")
    assert "left out (" not in text
    assert rows_of(text, "The inputs")[2] == ["street", "frequent categories", "3", "a, b, c"]
    for row in rows_of(text, "The worst")[1:]:
        at, street = int(row[0]), given["street"][int(row[0])]
        assert row[2] == given["y"][at]
        assert row[-2:] == [f"{given['number'][at]:.5g}", street if street in ("a", "b", "c") else "another"]


def test_labels_that_the_loss_ignores_are_not_counted(tmp_path):
    rng = fn.Key(0)
    np.save(tmp_path / "x.npy", rng.normal((60, 3)))
    np.save(tmp_path / "y.npy", np.where(np.arange(60) % 4 == 3, -1, np.arange(60) % 4))
    experiment = fn.Experiment(
        data=data.Npy(x="x.npy", y="y.npy"),
        model=fn.Dense(3),
        loss=losses.SoftmaxCrossEntropy(ignore_label=-1),
        optimizer=optim.SGD(0.1),
        training=fn.Training(epochs=1),
    )
    fn.run(experiment, tmp_path / "run", base=tmp_path)
    text = text_of(tmp_path / "run")
    assert "of 45 rows" in text[text.index(">What is taken for what<") :]
    assert "-1" not in {row[2] for row in rows_of(text, "The worst 12")[1:]}


def test_predictions_of_numbers_are_in_their_units(runs):
    folder, run = runs["numbers"]
    rows = rows_of(text_of(folder), "The worst 12")
    target = data.Diabetes().table(folder, fn.Key(0)).y.ravel()
    assert rows[0][:5] == ["row", "loss", "true", "answer", "residual"]
    for row in rows[1:]:
        at, true, answer, residual = int(row[0]), *map(float, row[2:5])
        assert true == target[at]
        assert residual == pytest.approx(true - answer, abs=1.0)
    assert f"RMSE {run.metrics['test']['rmse']:.4g} of 88 rows" in text_of(folder)


def test_dear_answers_are_few(runs, monkeypatch):
    _, run = runs["plane"]
    parts = prepare(run.experiment.data, fn.Key(0))
    assert answers_of(run, parts, 10.0).rows == len(parts.test.y) == 100
    few = answers_of(run, parts, answers.MOST_FLOPS / 20)
    assert (few.rows, few.said) == (20, "20 of 100 rows, evenly spaced")
    assert np.array_equal(few.y, parts.test.y[::5])
    monkeypatch.setattr(answers, "MOST_NUMBERS", 60)
    assert answers_of(run, parts, None).rows == 30
