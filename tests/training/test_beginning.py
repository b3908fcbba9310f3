"""The experiment that a table begins with: how its rows are divided, how large its network is."""

import numpy as np
import pytest

import funcnet as fn
from funcnet.data.sniff import look
from funcnet.experiments.starter import Size, experiment, size, source, split

SPLITS = {  # rows and the rows of each class, to fractions of the validation and the test part
    "values": (40, {}, (0.1, 0.2)),
    "a handful of values": (9, {}, None),
    "labels": (100, {"a": 50, "b": 50}, (0.1, 0.2)),
    "six of a class": (40, {"a": 34, "b": 6}, (0.1, 0.2)),
    "five of a class": (40, {"a": 35, "b": 5}, (0.2, 0.2)),
    "three of a class": (40, {"a": 37, "b": 3}, (0.2, 0.2)),
    "two of a class": (40, {"a": 38, "b": 2}, (0.1, 0.2)),
    "three of each": (12, {"a": 3, "b": 3, "c": 3, "d": 3}, (0.1, 0.2)),
    "two of each": (12, dict.fromkeys("abcdef", 2), (0.1, 0.2)),
    "a handful of labels": (8, {"a": 4, "b": 4}, None),
}


@pytest.mark.parametrize("name", SPLITS)
def test_split(name):
    rows, counts, fractions = SPLITS[name]
    expected = None if fractions is None else fn.data.Split(*fractions, stratify=bool(counts))
    assert split(rows, counts) == expected


@pytest.mark.parametrize("counts", [(7, 6), (50, 5), (20, 3), (20, 4, 4), (997, 3)])
def test_every_class_is_in_every_part(counts):
    y = np.repeat(np.arange(len(counts)), counts)
    parts = split(len(y), {str(i): n for i, n in enumerate(counts)}).parts(y, fn.Key(0))
    for part in parts:
        assert set(y[part]) == set(range(len(counts)))


@pytest.mark.parametrize(
    ("rows", "features", "expected"),
    [
        (105, 4, Size((32,), 1.0, 32, 1000)),
        (350, 10, Size((64, 64), 1.0, 32, 1500)),
        (349, 10, Size((32,), 1.0, 32, 1000)),
        (700, 10, Size((64, 64), 0.3, 32, 1500)),
        (1000, 60, Size((64, 64), 1.0, 64, 2500)),
        (9999, 10, Size((64, 64), 0.3, 64, 2500)),
        (10000, 500, Size((128, 128), 0.1, 128, 6000)),
    ],
)
def test_size(rows, features, expected):
    assert size(rows, features) == expected


def table(folder, count, target, odd=""):
    lines = [f"{i / 2},{'north' if i % 3 else 'south'},{odd if i % 5 == 0 else i},{target(i)}" for i in range(count)]
    path = folder / "mine.csv"
    path.write_text("\n".join(["size,side,gaps,t", *lines]), encoding="utf-8")
    return look(path)


def test_an_experiment_of_labels(tmp_path):
    found = table(tmp_path, 60, lambda i: 3 if i % 6 == 0 else 2, odd="-")
    data = source(found, "mine.csv")
    assert data == fn.data.Csv(
        path="mine.csv",
        target="t",
        categorical=("side", "t"),
        missing=(*fn.data.Csv("a", "b").missing, "-"),
        split=fn.data.Split(0.1, 0.2, stratify=True),
        impute="median",
        scale="standard",
    )
    assert experiment(found, data, 42, 4) == fn.Experiment(
        data=data,
        model=fn.serial(fn.Dense(32), fn.Relu(), head=fn.Dense(2)),
        loss=fn.losses.SoftmaxCrossEntropy(),
        metrics=(fn.metrics.Accuracy(), fn.metrics.BalancedAccuracy(), fn.metrics.RocAuc()),
        optimizer=fn.optim.AdamW(fn.optim.Cosine(peak=0.01), weight_decay=1.0),
        training=fn.Training(epochs=300, batch_size=32, class_weight="balanced"),
    )


def test_an_experiment_of_values(tmp_path):
    found = table(tmp_path, 60, lambda i: i * i % 59 / 4, odd=7)
    data = source(found, "mine.csv")
    assert data == fn.data.Csv(
        path="mine.csv",
        target="t",
        categorical=("side",),
        split=fn.data.Split(0.1, 0.2),
        scale="standard",
        target_scale="standard",
    )
    assert experiment(found, data, 20_000, 4) == fn.Experiment(
        data=data,
        model=fn.serial(fn.Dense(128), fn.Relu(), fn.Dense(128), fn.Relu(), head=fn.Dense(1)),
        loss=fn.losses.MeanSquaredError(),
        metrics=(fn.metrics.RMSE(), fn.metrics.MAE(), fn.metrics.R2()),
        optimizer=fn.optim.AdamW(fn.optim.Cosine(peak=0.01), weight_decay=0.1),
        training=fn.Training(epochs=38, batch_size=128),
    )


@pytest.mark.parametrize(("rows", "epochs"), [(30, 300), (200, 143), (100_000, 8), (10_000_000, 5)])
def test_epochs(tmp_path, rows, epochs):
    found = table(tmp_path, 60, lambda i: i * i % 59 / 4)
    assert experiment(found, source(found, "mine.csv"), rows, 6).training.epochs == epochs


def test_equal_classes_are_not_weighed(tmp_path):
    found = table(tmp_path, 60, lambda i: "abc"[i % 3])
    made = experiment(found, source(found, "mine.csv"), 42, 4)
    assert made.training.class_weight is None
    assert made.metrics == (fn.metrics.Accuracy(),)
    assert made.model.children["head"] == fn.Dense(3)
