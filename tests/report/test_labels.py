"""Pictures of classes and labels: their counts are those of scikit-learn, by weight, also of one-hot targets."""

import numpy as np
import pytest
from sklearn import metrics as expected

import funcnet as fn
from funcnet import data, losses, metrics, optim
from funcnet.data.preparation import prepare
from funcnet.experiments.report.labels import mistaken
from tests.reports import plain, rows_of, text_of

ROWS = 120
RANDOM = fn.Key(5)
X = RANDOM.fold("x").normal((ROWS, 3))
NOISY = X + 0.7 * RANDOM.fold("noise").normal((ROWS, 3))
WEIGHT = np.arange(ROWS) % 5 / 2.0


def made(folder, target, loss, **arrays):
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    experiment = fn.Experiment(
        data=data.Npy(**{name: f"{name}.npy" for name in arrays}, split=data.Split(test=0.4)),
        model=fn.Dense(target),
        loss=loss,
        metrics=(metrics.Accuracy(),),
        optimizer=optim.Adam(0.1),
        training=fn.Training(epochs=3),
    )
    run = fn.run(experiment, folder / "run", base=folder)
    test = prepare(experiment.data, fn.Key(0), folder).parts.test
    return run, test, text_of(folder / "run")


def test_a_matrix_has_the_weights_of_the_rows(tmp_path):
    y = np.argmax(NOISY, axis=1)
    run, test, page = made(tmp_path, 3, losses.SoftmaxCrossEntropy(), x=X, y=y, weight=WEIGHT)
    w, predicted = WEIGHT[test], run.predict_label(X[test])
    matrix = expected.confusion_matrix(y[test], predicted, sample_weight=w)
    right = np.trace(matrix) / matrix.sum()
    assert f"accuracy {right:.4g} of a weight of {w.sum():g}" in page
    assert f"{100 * right:.3g} % of the weight of {int((w > 0).sum())} test rows is answered right." in plain(page)
    wrong = matrix - np.diag(np.diag(matrix))
    a, b = np.unravel_index(np.argmax(wrong), wrong.shape)
    assert f"By weight, most often {a} is taken for {b}: {wrong[a, b]:g}." in plain(page)


def test_one_hot_targets_are_classes(tmp_path):
    y = np.eye(3)[np.argmax(NOISY, axis=1)]
    run, test, page = made(tmp_path, 3, losses.SoftmaxCrossEntropy(), x=X, y=y)
    predicted, true = run.predict_label(X[test]), np.argmax(y[test], axis=1)
    accuracy = np.mean(predicted == true)
    assert f"accuracy {accuracy:.4g} of 48 rows" in page
    assert "Reliability diagram" in page
    rows = rows_of(page, "The worst 12")
    assert rows[0][2:4] == ["true", "answer"]
    for row in rows[1:]:
        at = np.flatnonzero(test == int(row[0]))[0]
        assert row[2:4] == [str(true[at]), str(predicted[at])]


def test_each_of_several_labels_has_its_counts(tmp_path):
    y = (NOISY > 0.0) * 1.0
    run, test, page = made(tmp_path, 3, losses.SigmoidCrossEntropy(), x=X, y=y, weight=WEIGHT)
    w, held = WEIGHT[test], y[test]
    decided = run.predict_proba(X[test]) >= 0.5
    scores = expected.precision_recall_fscore_support(held, decided, sample_weight=w)
    rows = rows_of(page, "Each label by itself, by the weights of the rows")
    assert rows[0] == ["label", "present", "predicted", "both", "precision", "recall", "F1"]
    for i, row in enumerate(rows[1:]):
        both = w @ (decided[:, i] * held[:, i])
        assert row[:4] == [str(i), f"{w @ held[:, i]:g}", f"{w @ decided[:, i]:g}", f"{both:g}"]
        assert [float(cell) for cell in row[4:]] == pytest.approx([float(score[i]) for score in scores[:3]], abs=6e-4)
    assert "each label by itself" in page
    assert "residual" not in plain(page[page.index('id="worst-rows"') : page.index('id="learning"')])
    share = expected.accuracy_score(held, decided, sample_weight=w)
    assert f"{100 * share:.3g} % of the weight of {int((w > 0).sum())} test rows has every label right." in plain(page)


def test_labels_by_scores_are_present_from_0_up(tmp_path):
    y = (NOISY > 0.0) * 1.0
    run, test, page = made(tmp_path, 3, losses.Hinge(), x=X, y=y)
    decided = run.predict(X[test]) >= 0.0
    rows = rows_of(page, "Each label by itself, in rows")
    assert [row[2] for row in rows[1:]] == [f"{decided[:, i].sum()}" for i in range(3)]
    assert "score number 0" in rows_of(page, "The worst 12")[0]


def test_the_pair_that_is_mistaken_most_often():
    matrix = np.array([[3, 1, 0], [0, 4, 2], [0, 0, 5]])
    assert mistaken(matrix, "abc") == "Most often, b is taken for c: 2 times."
    assert mistaken(matrix / 4, "abc", "weight") == "By weight, most often b is taken for c: 0.5."
    assert mistaken(np.eye(3), "abc", "steps") == "No step is taken for another class."
