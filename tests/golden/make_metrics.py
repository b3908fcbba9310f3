"""Record scikit-learn's scores: ``python tests/golden/make_metrics.py`` writes ``metrics.npz``.

In an environment with scikit-learn 1.9.1 and numpy 2.4.6, which ``versions`` names. Members are called
``<case>/prediction``, ``/target``, ``/weight`` where there is one, and ``/<tag>``, the score, for a metric with
fields ``/<tag>-<value>``. Many scores are tied: they are multiples of 1/8.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import archive
import numpy as np
import sklearn  # type: ignore[import-not-found]
from sklearn import metrics

AVERAGES = ("micro", "macro", "weighted")


def one_hot(labels: Any, classes: int) -> Any:
    return (labels[:, None] == np.arange(classes)).astype(int)


def averaged(target: Any, decisions: Any, w: Any) -> dict[str, float]:
    of = {"precision": metrics.precision_score, "recall": metrics.recall_score, "f1": metrics.f1_score}
    return {
        f"{tag}-{average}": score(target, decisions, average=average, sample_weight=w)
        for tag, score in of.items()
        for average in AVERAGES
    }


def several(p: Any, target: Any, w: Any) -> dict[str, Any]:
    classes = np.arange(p.shape[1])
    decisions, hot = p.argmax(axis=1), one_hot(target, len(classes))
    second = p.shape[1] == 2
    return {
        "accuracy": metrics.accuracy_score(target, decisions, sample_weight=w),
        "balanced_accuracy": metrics.balanced_accuracy_score(target, decisions, sample_weight=w),
        **averaged(target, decisions, w),
        **{
            f"top_k_accuracy-{k}": metrics.top_k_accuracy_score(target, p, k=k, labels=classes, sample_weight=w)
            for k in range(1, p.shape[1] + (not second))
            if not second
        },
        "roc_auc": metrics.roc_auc_score(target, p[:, 1], sample_weight=w)
        if second
        else metrics.roc_auc_score(target, p, multi_class="ovr", labels=classes, sample_weight=w),
        "average_precision": metrics.average_precision_score(
            target if second else hot, p[:, 1] if second else p, sample_weight=w
        ),
        "log_loss": metrics.log_loss(target, p, labels=classes, sample_weight=w),
        "brier": metrics.brier_score_loss(target, p, labels=classes, sample_weight=w),
        "confusion": metrics.confusion_matrix(target, decisions, labels=classes, sample_weight=w),
        "per_class": np.stack(
            metrics.precision_recall_fscore_support(target, decisions, labels=classes, sample_weight=w)
        ),
    }


def binary(p: Any, target: Any, w: Any) -> dict[str, Any]:
    decisions = (p >= 0.5).astype(int)
    positive = {"precision": metrics.precision_score, "recall": metrics.recall_score, "f1": metrics.f1_score}
    return {
        "accuracy": metrics.accuracy_score(target, decisions, sample_weight=w),
        "balanced_accuracy": metrics.balanced_accuracy_score(target, decisions, sample_weight=w),
        **{f"{tag}-macro": score(target, decisions, sample_weight=w) for tag, score in positive.items()},
        "top_k_accuracy-1": metrics.top_k_accuracy_score(target, p, k=1, labels=[0, 1], sample_weight=w),
        "roc_auc": metrics.roc_auc_score(target, p, sample_weight=w),
        "average_precision": metrics.average_precision_score(target, p, sample_weight=w),
        "log_loss": metrics.log_loss(target, p, labels=[0, 1], sample_weight=w),
        "brier": metrics.brier_score_loss(target, p, labels=[0, 1], sample_weight=w),
        "confusion": metrics.confusion_matrix(target, decisions, labels=[0, 1], sample_weight=w),
        "per_class": np.stack(
            metrics.precision_recall_fscore_support(target, decisions, labels=[0, 1], sample_weight=w)
        ),
    }


def labels(p: Any, target: Any, w: Any) -> dict[str, Any]:
    decisions = (p >= 0.5).astype(int)
    return {
        "accuracy": metrics.accuracy_score(target, decisions, sample_weight=w),
        **averaged(target, decisions, w),
        "roc_auc": metrics.roc_auc_score(target, p, sample_weight=w),
        "average_precision": metrics.average_precision_score(target, p, sample_weight=w),
        "per_class": np.stack(metrics.precision_recall_fscore_support(target, decisions, sample_weight=w)),
    }


def values(p: Any, target: Any, w: Any) -> dict[str, Any]:
    return {
        "rmse": metrics.root_mean_squared_error(target, p, sample_weight=w)
        if p.ndim == 1
        else metrics.mean_squared_error(target, p, sample_weight=w) ** 0.5,
        "mae": metrics.mean_absolute_error(target, p, sample_weight=w),
        "r2": metrics.r2_score(target, p, sample_weight=w),
        "explained_variance": metrics.explained_variance_score(target, p, sample_weight=w),
    }


def main() -> None:
    draw = np.random.RandomState(0)
    eighths = draw.multinomial(8, [0.3, 0.3, 0.2, 0.2], size=60) / 8.0
    smooth = draw.dirichlet(np.ones(5), size=80)
    few = draw.randint(0, 9, 50) / 8.0
    column, two = draw.uniform(size=70), draw.dirichlet(np.ones(2), size=30)
    flat = np.full((12, 3), 1.0 / 3.0)
    y = draw.standard_normal((40, 3))
    cases: dict[str, tuple[Any, Any, Any]] = {
        "classes_tied": (several, eighths, draw.randint(0, 4, 60)),
        "classes": (several, smooth, draw.randint(0, 5, 80)),
        "class_absent": (several, smooth, draw.choice([0, 1, 3, 4], 80)),
        "class_absent_and_never_decided": (several, smooth * [1, 1, 0, 1, 1], draw.choice([0, 1, 3, 4], 80)),
        "class_never_decided": (several, smooth * [1, 1, 0.01, 1, 1], draw.randint(0, 5, 80)),
        "one_class": (several, smooth[:20], np.full(20, 2)),
        "constant": (several, flat, draw.randint(0, 3, 12)),
        "two_columns": (several, two, draw.randint(0, 2, 30)),
        "column_tied": (binary, few, draw.randint(0, 2, 50)),
        "column": (binary, column, draw.randint(0, 2, 70)),
        "column_constant": (binary, np.full(9, 0.25), np.arange(9) % 2),
        "column_all_zero": (binary, np.zeros(9), np.arange(9) % 2),
        "column_no_positives": (binary, column[:20], np.zeros(20, int)),
        "column_all_positives": (binary, column[:20], np.ones(20, int)),
        "values": (values, y[:, 0] + 0.3 * draw.standard_normal(40) + 1.0, y[:, 0]),
        "values_columns": (values, y + 0.3 * draw.standard_normal((40, 3)) + 1.0, y),
        "values_constant_missed": (values, y[:, 0], np.full(40, 2.0)),
        "values_constant_error": (values, np.full(40, 3.0), np.full(40, 2.0)),
    }
    more = np.random.RandomState(1)
    chances, present = more.uniform(size=(60, 4)), more.randint(0, 2, (60, 4))
    rare = present * [1, 1, 0, 1]
    rare[:, 3] = 1
    cases |= {
        "labels": (labels, chances, present),
        "labels_tied": (labels, more.randint(0, 9, (60, 3)) / 8.0, more.randint(0, 2, (60, 3))),
        "labels_two": (labels, chances[:, :2], present[:, :2]),
        "labels_one_hot": (labels, chances, one_hot(more.randint(0, 4, 60), 4)),
        "labels_never_or_always": (labels, chances * [1, 0.4, 1, 1], rare),
    }
    arrays: dict[str, Any] = {}
    for name, (score, p, target) in cases.items():
        if score is several:
            p = p / p.sum(axis=1, keepdims=True)
        for suffix, w in (("", None), ("_weighted", draw.randint(1, 9, len(p)) / 4.0)):
            found = {"prediction": p, "target": target, **({} if w is None else {"weight": w}), **score(p, target, w)}
            arrays |= {f"{name}{suffix}/{member}": np.asarray(value) for member, value in found.items()}
    versions = f"scikit-learn {sklearn.__version__}, numpy {np.__version__}"
    archive.save(Path(__file__).with_name("metrics.npz"), arrays, versions)


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # scikit-learn warns where a score is undefined
    main()
