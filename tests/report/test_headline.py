"""The top of a page: the question, then the answer beside the baselines."""

import re

import attrs
import pytest

from funcnet.experiments.report.headline import figure, verdict
from tests.reports import plain, rows_of, table, text_of


@pytest.mark.parametrize(
    ("name", "question"),
    [
        ("hostile", "Is <i>等级</i> "),
        ("numbers", "How large is the target?"),
        ("plane", "Is it upper or lower?"),
        ("images", "Which 8 x 8 x 1 pixels belong to the input?"),
        ("steps", "Which of 96 classes is it, at each of 6 steps?"),
    ],
)
def test_the_question_comes_first(runs, name, question):
    (h1,) = re.findall("<h1>(.*?)</h1>", text_of(runs[name][0]))
    assert plain(h1).startswith(question)


def test_then_the_answer_beside_the_baselines(runs):
    folder, run = runs["hostile"]
    text = text_of(folder)
    score = run.metrics["test"]["accuracy"]
    (said,) = re.findall('<span class="figure">(.*?)</span>', text)
    assert said == f"{100 * score:.3g} %"
    assert f"of {len(table()['日期']) * 3 // 10} test rows are answered right." in plain(text)
    for kind in ("constant", "linear"):
        assert f"{100 * run.baseline[kind]['test']['accuracy']:.3g} %" in text
    rows = rows_of(text, "Scores by part")
    assert rows[0] == ["part", "loss", "accuracy"]
    assert [row[0] for row in rows[1:]] == [
        "train", "validation", "test", "validation, constant answer", "validation, linear model",
        "test, constant answer", "test, linear model",
    ]  # fmt: skip
    assert rows[3] == ["test", *(f"{value:.5g}" for value in run.metrics["test"].values())]


def test_all_rows_are_said_to_be_right_only_if_they_are():
    shown = {1.0: "100 %", 1.0 - 1e-15: "100 %", 0.99996: "99.996 %", 0.9996: "99.96 %", 0.9994: "99.9 %", 0.0: "0 %"}
    assert {value: figure("accuracy", value) for value in shown} == shown
    assert figure("accuracy", None) == figure("accuracy", float("nan")) == "not defined"


@pytest.mark.parametrize(
    ("stopped", "said"),
    [
        (None, []),
        ("interrupted", ["Training was interrupted after step 100."]),
        ("EarlyStopping", ["Training was ended by EarlyStopping after step 100."]),
        ("not finite", ["Training failed (not finite) after step 100; this is the last good state."]),
        ("an error", ["Training failed (an error) after step 100; this is the last good state."]),
        ("x" * 10_000, [f"Training was ended by {'x' * 40}…{'x' * 39} after step 100."]),
    ],
)
def test_how_a_training_ended_is_said(runs, stopped, said):
    _, run = runs["plane"]
    assert verdict(attrs.evolve(run, stopped=stopped)) == said


def test_a_temperature_is_that_of_probabilities_alone(runs):
    _, run = runs["plane"]
    heat = "Its probabilities have the temperature 1.5, fitted on the validation part; its losses are without it."
    assert verdict(attrs.evolve(run, temperature=1.5)) == [heat]
