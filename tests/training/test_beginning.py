"""The experiment that a table begins with: how its rows are divided, and its recipe."""

import runpy

import attrs
import numpy as np
import pytest

import funcnet as fn
from funcnet.cli import main
from funcnet.data.sniff import look
from funcnet.experiments.starter import experiment, source, split
from funcnet.networks.tabular import auto

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
    assert experiment(found, data, 42) == fn.Experiment(
        data=data,
        model=auto(42, 2).model,
        loss=fn.losses.EachMember(fn.losses.SoftmaxCrossEntropy()),
        metrics=(fn.metrics.Accuracy(), fn.metrics.BalancedAccuracy(), fn.metrics.RocAuc()),
        optimizer=fn.optim.AdamW(fn.optim.Cosine(peak=0.01), weight_decay=1.0),
        training=fn.Training(epochs=150, batch_size="full", class_weight="balanced"),
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
    assert experiment(found, data, 20_000) == fn.Experiment(
        data=data,
        model=fn.serial(
            views=fn.Ensemble(fn.Scale(fn.initializers.Normal()), 8),
            dense_0=fn.Dense(128),
            relu_0=fn.Relu(),
            dense_1=fn.Dense(128),
            relu_1=fn.Relu(),
            head=fn.Ensemble(fn.Dense(1), 8, own_inputs=True),
        ),
        loss=fn.losses.EachMember(fn.losses.MeanSquaredError()),
        metrics=(fn.metrics.RMSE(), fn.metrics.MAE(), fn.metrics.R2()),
        optimizer=fn.optim.AdamW(fn.optim.Cosine(peak=0.01), weight_decay=0.3),
        training=fn.Training(epochs=25, batch_size=128),
    )


def test_rows_without_a_validation_part_have_the_recipe_of_few(tmp_path):
    found = table(tmp_path, 60, lambda i: i * i % 59 / 4)
    data = source(found, "mine.csv")
    assert experiment(found, data, 3000).training.early_stopping is not None
    whole = attrs.evolve(data, split=None)
    expected = experiment(found, data, 250)
    training = attrs.evolve(expected.training, batch_size=256)
    assert experiment(found, whole, 3000) == attrs.evolve(expected, data=whole, training=training)


def test_equal_classes_are_not_weighed(tmp_path):
    found = table(tmp_path, 60, lambda i: "abc"[i % 3])
    made = experiment(found, source(found, "mine.csv"), 42)
    assert made.training.class_weight is None
    assert made.metrics == (fn.metrics.Accuracy(),)
    assert made.model.out_shape((4,)) == (8, 3)


@pytest.mark.parametrize("target", [lambda i: i * i % 59 / 4, lambda i: "abc"[i % 3]], ids=["values", "labels"])
def test_the_printed_program_answers_as_the_run(tmp_path, target):
    """To the bit: a mean over members rounds by its order, which is that in memory."""
    found = table(tmp_path, 60, target, odd="-")
    whole = experiment(found, source(found, "mine.csv"), 42)
    short = attrs.evolve(whole, training=attrs.evolve(whole.training, epochs=2))
    run = fn.run(short, out=tmp_path / "run", base=tmp_path)
    assert main(["source", str(tmp_path / "run"), "--inference"]) == 0
    program = runpy.run_path(str(tmp_path / "run" / "inference.py"))
    rows = [dict(zip(found.grid.names, row, strict=True)) for row in zip(*found.grid.columns, strict=True)]
    assert program["predict"](rows).tobytes() == run.predict(rows).tobytes()
