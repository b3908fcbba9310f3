"""Counting on platforms whose ``intp`` has 32 bits, such as a browser: ``np.bincount`` refuses int64 there.

``np.int64`` is replaced by the other integer type of 64 bits, which can be told from ``intp`` on any platform.
"""

import ast
from pathlib import Path

import numpy as np
import pytest

import funcnet as fn
from funcnet.metrics import confusion_matrix
from funcnet.training.batches import class_weights

pytestmark = pytest.mark.filterwarnings("ignore:.*np.bincount has been replaced")
ROOT = Path(fn.__file__).parent
INTP = np.dtype(np.intp).char
LABELS = [2, 0, 1, 1, 0, 2]
WEIGHT = np.array([1.0, 0.5, 0.0, 1.0, 2.0, 1.0])

bincount = np.bincount


def counted(x, weights=None, minlength=0):
    """``np.bincount`` where ``intp`` is not int64."""
    given = np.asarray(x).dtype
    if given.char != INTP:
        raise TypeError(f"Cannot cast array data from {given} to {np.dtype(np.intp)} according to the rule 'safe'")
    return bincount(x, weights, minlength)


@pytest.fixture(autouse=True)
def apart(monkeypatch):
    other = np.longlong if np.dtype(np.longlong).char != INTP else np.int_
    monkeypatch.setattr(np, "int64", other)
    monkeypatch.setattr(np, "bincount", counted)
    return other


def test_the_stand_in_refuses_other_integers(apart):
    with pytest.raises(TypeError, match="according to the rule 'safe'"):
        np.bincount(np.array(LABELS, np.int64))


def test_every_module_that_counts_is_covered_below():
    texts = {path: path.read_text("utf-8") for path in sorted(ROOT.rglob("*.py"))}
    found = [
        path.relative_to(ROOT).as_posix()
        for path, text in texts.items()
        if "bincount" in text
        and any(isinstance(node, ast.Attribute) and node.attr == "bincount" for node in ast.walk(ast.parse(text)))
    ]
    metrics = [f"metrics/{name}.py" for name in ("calibration", "confusion", "ranking")]
    codes = ["data/columns.py"]  # which are int32, and become intp on any platform
    assert found == [*codes, "data/preparation.py", "experiments/report/labels.py", *metrics, "training/batches.py"]


def test_a_classification_trains_is_scored_and_reported(tmp_path):
    model = fn.serial(fn.Dense(4), fn.Tanh(), fn.Dense(2))
    data = fn.data.Moons(rows=60, split=fn.data.Split(validation=0.2, stratify=True))
    metrics = (fn.metrics.Accuracy(), fn.metrics.F1(), fn.metrics.RocAuc(), fn.metrics.CalibrationError())
    training = fn.Training(epochs=2, class_weight="balanced")
    parts = {"loss": fn.losses.SoftmaxCrossEntropy(), "optimizer": fn.optim.Adam(), "metrics": metrics}
    spec = fn.Experiment(model=model, data=data, training=training, **parts)
    scores = fn.run(spec, out=tmp_path / "run").metrics
    assert all(np.isfinite(value) for part in scores.values() for value in part.values())
    page = (tmp_path / "run" / "report.html").read_text("utf-8")
    assert "What is taken for what" in page
    assert ": left out (" not in page


def test_labels_are_counted():
    p = np.eye(3)[LABELS]
    target = np.array(LABELS, np.int64)
    assert confusion_matrix(p, target, 3).tolist() == [[2, 0, 0], [0, 2, 0], [0, 0, 2]]
    assert confusion_matrix(target, target, 3, WEIGHT).tolist() == [[2.5, 0, 0], [0, 1, 0], [0, 0, 2]]
    for metric in (fn.metrics.F1(), fn.metrics.RocAuc(), fn.metrics.AveragePrecision()):
        assert metric(p, target, WEIGHT) == 1.0
    assert fn.metrics.CalibrationError()(p, target, WEIGHT) == 0.0
    weights = class_weights(target, WEIGHT, "balanced")
    assert [weights[target == k].sum() for k in range(3)] == pytest.approx([5.5 / 3] * 3)
