"""What a score counts, in words: rows, steps, labels or weights."""

import numpy as np
import pytest

import funcnet as fn
from funcnet import data, losses, metrics, optim
from funcnet.data.preparation import Dataset
from funcnet.experiments.report.counted import counted, is_uneven
from funcnet.experiments.report.headline import meaning, question
from funcnet.experiments.report.report import report_html
from tests.reports import plain

X = np.zeros((6, 5, 3), np.float32)
FLAT, LABELS, STEPS = X[:, 0], np.arange(6) % 3, np.arange(30).reshape(6, 5) % 3
UNEVEN, EVEN = np.array([0.0, 1, 1, 1, 1, 2]), np.array([0.0, 2, 2, 2, 2, 2])
SOFTMAX, SIGMOID, SQUARED = losses.SoftmaxCrossEntropy(), losses.SigmoidCrossEntropy(), losses.MeanSquaredError()
IGNORING = losses.SoftmaxCrossEntropy(ignore_label=2)


class Plan:
    """As much of a run as the words need."""

    classes = None

    def __init__(self, loss, units):
        self.loss = loss
        self.preprocess = {}
        self.experiment = fn.Experiment(
            data=data.Moons(),
            model=fn.Dense(units),
            loss=loss,
            optimizer=optim.SGD(0.1),
            training=fn.Training(epochs=1),
        )


@pytest.mark.parametrize(
    ("loss", "units", "x", "y", "weight", "said"),
    [
        (SOFTMAX, 3, FLAT, LABELS, None, "of 6 test rows are answered right"),
        (SOFTMAX, 3, FLAT[:1], LABELS[:1], None, "of 1 test row is answered right"),
        (SOFTMAX, 3, FLAT, LABELS, UNEVEN, "of the weight of 5 test rows is answered right"),
        (SOFTMAX, 3, FLAT, LABELS, EVEN, "of 5 test rows are answered right"),
        (IGNORING, 3, FLAT, LABELS, None, "of 4 test rows are answered right"),
        (SOFTMAX, 3, X, STEPS, None, "of 30 steps of 6 test rows are answered right"),
        (IGNORING, 3, X, STEPS, None, "of 20 steps of 6 test rows are answered right"),
        (SOFTMAX, 3, X, STEPS, EVEN, "of 25 steps of 5 test rows are answered right"),
        (SIGMOID, 2, FLAT, FLAT[:, :2], None, "of 6 test rows have every label right"),
        (SIGMOID, 2, FLAT, FLAT[:, :2], UNEVEN, "of the weight of 5 test rows has every label right"),
    ],
)
def test_an_accuracy_says_what_it_counts(loss, units, x, y, weight, said):
    assert meaning("accuracy", "test", counted(Plan(loss, units), Dataset(x, y, weight))) == said


def test_other_scores_say_it_too():
    what = counted(Plan(SQUARED, 1), Dataset(FLAT, FLAT[:, :1], UNEVEN))
    rmse = "is the typical error, the root of the mean squared error, on 5 test rows, by their weights"
    assert meaning("rmse", "test", what) == rmse
    assert meaning("huber", "test", None) == "is the huber on the test rows"


def test_weights_are_uneven_if_two_above_0_differ():
    assert [is_uneven(w) for w in (None, UNEVEN, EVEN, EVEN > 0.0, np.zeros(3))] == [False, True, False, False, False]


def test_two_classes_of_one_output_are_not_two_labels(tmp_path):
    names = np.where(np.arange(40) % 4 < 2, "<no>", "yes").tolist()
    table = {"x": (np.arange(40) % 4).astype(float).tolist(), "y": names}
    run = fn.run(
        fn.Experiment(
            data=data.Columns("y", split=data.Split(test=0.25)),
            model=fn.Dense(1),
            loss=SIGMOID,
            metrics=(metrics.Accuracy(),),
            optimizer=optim.Adam(0.1),
            training=fn.Training(epochs=1),
        ),
        tmp_path / "run",
        data=table,
    )
    assert plain(question(run, None)) == "Is y <no> or yes?"
    assert "Is y &lt;no&gt; or yes?" not in report_html(tmp_path / "run", run, None)  # each name is isolated
    assert "Is y <no> or yes?" in plain(report_html(tmp_path / "run", run, None))
