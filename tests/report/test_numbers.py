"""The numbers of a page, each computed again with NumPy from the network's outputs."""

import re

import numpy as np
import pytest

import funcnet as fn
from funcnet import data, losses, metrics, optim
from funcnet.data.preparation import prepare
from tests.reports import plain, rows_of, text_of

ROWS = 90
DRAWS = fn.Key(5).normal((ROWS, 3)).astype(float)
SPLIT = data.Split(validation=0.2, test=0.3)


def trained(folder, source, table, units, loss, *chosen, calibrate=False):
    """The page of a run, the run, and its test part with the outputs of the network in float64."""
    experiment = fn.Experiment(
        data=source,
        model=fn.serial(fn.Dense(6), fn.Tanh(), fn.Dense(units)),
        loss=loss,
        metrics=chosen,
        optimizer=optim.Adam(0.05),
        training=fn.Training(epochs=4, calibrate=calibrate),
    )
    run = fn.run(experiment, folder, data=table)
    part = prepare(experiment.data, fn.Key(0), data=table).test
    outputs = fn.predict(experiment.model, run.params, run.train_state.state, np.asarray(part.x[:], np.float32))
    return text_of(folder), run, part, np.asarray(outputs, np.float64)


def texts(text, title):
    """The texts of the picture with a title."""
    found = text[text.index(f"{title}</title>") :]
    return [plain(one) for one in re.findall("<text[^>]*>(.*?)</text>", found[: found.index("</svg>")])]


def captions(text):
    return " ".join(plain(one) for one in re.findall("<figcaption>(.*?)</figcaption>", text))


def calibration_error(sure, right, weight, bins=15):
    at = np.clip(np.ceil(sure * bins).astype(int) - 1, 0, bins - 1)
    gaps = [abs(np.sum((weight * (right - sure))[at == i])) for i in range(bins)]
    return sum(gaps) / weight.sum()


def inputs():
    return {f"x{i}": DRAWS[:, i].tolist() for i in range(2)}


def test_weighted_classes_with_a_temperature(tmp_path):
    table = {
        **inputs(),
        "w": [i % 3 / 2 for i in range(ROWS)],
        "y": ["yes" if a + 0.8 * b > 0 else "no" for a, _, b in DRAWS.tolist()],
    }
    source = data.Columns("y", weight="w", split=SPLIT)
    text, run, part, z = trained(
        tmp_path / "run", source, table, 1, losses.SigmoidCrossEntropy(), metrics.Accuracy(), calibrate=True
    )
    z, y, w = z.ravel(), part.y.ravel(), part.weight.astype(float)
    p = 1.0 / (1.0 + np.exp(-z / run.temperature))
    right, sure = (z > 0.0) == y, np.maximum(p, 1.0 - p)
    accuracy = (w * right).sum() / w.sum()
    counted = np.count_nonzero(w)
    answer = plain(re.search('<p class="answer">(.*?)</p>', text)[1])
    assert answer == f"{100.0 * accuracy:.3g} % of the weight of {counted} test rows is answered right."
    cells = texts(text, "What is taken for what")
    matrix = [[(w * ((y == a) & ((z > 0.0) == b))).sum() for b in (0, 1)] for a in (0, 1)]
    assert [float(cell) for cell in cells if re.fullmatch(r"[0-9.]+", cell)] == [
        pytest.approx(value, rel=1e-3) for value in np.ravel(matrix) if value
    ]
    assert f"accuracy {accuracy:.4g}" in " ".join(texts(text, "How sure it is, and how often right"))
    error = calibration_error(sure, right, w)
    assert f"expected calibration error is {error:.2g}." in captions(text)
    assert f"by {abs((w * (sure - right)).sum() / w.sum()):.2g};" in captions(text)
    pairs = w[y == 1][:, None] * w[y == 0]
    above = p[y == 1][:, None] - p[y == 0]
    area = (pairs * ((above > 0.0) + 0.5 * (above == 0.0))).sum() / pairs.sum()
    assert f"area {area:.4f}" in texts(text, "ROC curve of test")
    rows = rows_of(text, "The worst 12 of the test part")
    assert "before their temperature" in text
    each = np.where(w > 0.0, np.logaddexp(0.0, z) - y * z, -1.0)
    for row, at in zip(rows[1:], np.argsort(-each), strict=False):
        assert float(row[1]) == pytest.approx(each[at], rel=0.01)
        assert row[2] == ["no", "yes"][int(y[at])]
        assert float(row[4]) == pytest.approx(sure[at], abs=0.001)


def test_several_labels(tmp_path):
    table = {**inputs(), **{f"y{i}": (DRAWS[:, i] + 0.5 * DRAWS[:, 2] > 0.2).astype(int).tolist() for i in range(2)}}
    text, _, part, z = trained(
        tmp_path / "run",
        data.Columns(("y0", "y1"), split=SPLIT),
        table,
        2,
        losses.SigmoidCrossEntropy(),
        metrics.Accuracy(),
    )
    y, p = part.y, 1.0 / (1.0 + np.exp(-z))
    right = (z > 0.0) == y
    answer = plain(re.search('<p class="answer">(.*?)</p>', text)[1])
    assert answer == f"{100.0 * right.all(axis=1).mean():.3g} % of 27 test rows have every label right."
    error = calibration_error(np.maximum(p, 1.0 - p).ravel(), right.ravel(), np.ones(right.size))
    assert f"expected calibration error is {error:.2g}." in captions(text)
    areas = [np.mean(p[y[:, i] == 1, i][:, None] > p[y[:, i] == 0, i]) for i in range(2)]
    assert f"mean area {np.mean(areas):.4f}, each label by itself" in texts(text, "ROC curve of test")
    shares = {f"y{i}": sum(table[f"y{i}"]) for i in range(2)}
    assert {row[0]: int(row[1]) for row in rows_of(text, "The 2 labels, the most frequent first")[1:]} == shares


def test_scaled_targets_are_in_their_units(tmp_path):
    table = {**inputs(), "a": (100.0 * DRAWS[:, 0]).tolist(), "b": (5.0 + DRAWS[:, 1]).tolist()}
    source = data.Columns(("a", "b"), target_scale="standard", split=SPLIT)
    text, run, part, z = trained(tmp_path / "run", source, table, 2, losses.MeanSquaredError(), metrics.RMSE())
    scale = run.preprocess["targets"]
    true, predicted = (v * np.array(scale["deviation"]) + np.array(scale["mean"]) for v in (part.y, z))
    residuals = true - predicted
    for i, name in enumerate("ab"):
        r2 = 1.0 - (residuals[:, i] ** 2).sum() / ((true[:, i] - true[:, i].mean()) ** 2).sum()
        rmse = np.sqrt(np.mean(residuals[:, i] ** 2))
        assert f"{name}: R2 {r2:.4g}, RMSE {rmse:.4g} of 27 rows" in text
        mean = residuals[:, i].mean()
        assert f"too {'low' if mean > 0.0 else 'high'} by {abs(mean):.3g}, the dashed line" in captions(text)
    answer = plain(re.search('<p class="answer">(.*?)</p>', text)[1])
    assert answer.startswith(f"{np.sqrt(np.mean(residuals**2)):.4g} is the typical error")


def test_steps_with_a_label_that_is_ignored(tmp_path):
    x = fn.Key(7).normal((60, 4, 2)).astype(np.float32)
    y = np.where(x[..., 1] > 1.0, -1, (x[..., 0] > 0.0) + (x[..., 0] > 0.8))
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)
    experiment = fn.Experiment(
        data=data.Npy(x="x.npy", y="y.npy", split=data.Split(test=0.3)),
        model=fn.Dense(3),
        loss=losses.SoftmaxCrossEntropy(ignore_label=-1),
        metrics=(metrics.Accuracy(),),
        optimizer=optim.Adam(0.1),
        training=fn.Training(epochs=3),
    )
    run = fn.run(experiment, tmp_path / "run", base=tmp_path)
    text, part = text_of(tmp_path / "run"), prepare(experiment.data, fn.Key(0), tmp_path).test
    answers = fn.predict(experiment.model, run.params, run.train_state.state, part.x).argmax(-1)
    counts = part.y >= 0
    right = (answers == part.y)[counts]
    said = plain(re.search('<p class="answer">(.*?)</p>', text)[1])
    assert said == f"{100.0 * right.mean():.3g} % of {counts.sum()} steps of 18 test rows are answered right."
    matrix = np.bincount(3 * part.y[counts] + answers[counts], minlength=9)
    shown = [cell for cell in texts(text, "What is taken for what") if re.fullmatch("[0-9]+", cell)]
    assert [int(cell) for cell in shown[6:]] == [count for count in matrix if count]  # after both names of each class
