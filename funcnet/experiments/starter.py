"""A first experiment for a new table: reasonable, not the best."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from funcnet.combinators.serial import serial
from funcnet.data.sniff import Findings
from funcnet.data.sources.csv import MISSING, Csv, read_number
from funcnet.data.split import Split
from funcnet.experiments.experiment import Experiment, Training
from funcnet.layers.activations import Relu
from funcnet.layers.base import Layer
from funcnet.layers.dense import Dense
from funcnet.losses.base import Loss
from funcnet.losses.classification import SoftmaxCrossEntropy
from funcnet.losses.regression import MeanSquaredError
from funcnet.metrics.base import Metric
from funcnet.metrics.decisions import Accuracy, BalancedAccuracy
from funcnet.metrics.ranking import RocAuc
from funcnet.metrics.regression import MAE, R2, RMSE
from funcnet.optim.adam import AdamW
from funcnet.optim.schedules import Cosine

UNEQUAL = 5
"""Ratio of the largest to the smallest class from which class weights are balanced"""
LEAST = 10
"""Minimum rows for held-out parts"""
FRACTIONS = ((0.1, 0.2), (0.2, 0.2))
"""Fractions of the validation and the test part; the second is for classes of three to five rows"""


def source(found: Findings, path: str) -> Csv:
    """The table as a data source; ``path`` is the one to write into the spec."""

    def number(label: str) -> bool:
        return read_number(label, found.decimal, found.thousands) is not None

    categorical = [column.name for column in found.inputs if column.kind == "category"]
    if found.target.kind == "labels" and any(map(number, found.counts)):
        categorical.append(found.target.name)  # numeric labels
    return Csv(
        path=path,
        target=found.target.name,
        inputs=tuple(column.name for column in found.inputs) if found.left_out else None,
        categorical=tuple(categorical),
        missing=(*MISSING, *found.missing),
        delimiter=found.delimiter,
        header=found.header,
        decimal=found.decimal,
        thousands=found.thousands,
        marks=found.marks,
        dates=tuple(column.name for column in found.inputs if column.kind == "date"),
        split=split(len(found.grid.lines), found.counts),
        impute="median" if any(column.missing for column in found.inputs) else None,
        scale="standard",
        target_scale="standard" if found.target.kind == "values" else None,
    )


def split(rows: int, counts: dict[str, int]) -> Split | None:
    """Fractions that leave every class in every part if possible; None for few rows."""
    if rows < LEAST:
        return None
    if not counts:
        return Split(*FRACTIONS[0])
    sizes = np.array(list(counts.values()))
    chosen = [pair for pair in FRACTIONS if np.min(Split(*pair).per_class(sizes, np.arange(len(sizes)))) >= 1]
    held_out = [pair for pair in FRACTIONS if all(round(part * sum(counts.values())) >= 1 for part in pair)]
    for validation, test in [*chosen, *held_out]:
        return Split(validation, test, stratify=True)
    return None


class Size(NamedTuple):
    """The size of a network and of its training."""

    hidden: tuple[int, ...]
    weight_decay: float
    batch_size: int
    steps: int


def size(rows: int, features: int) -> Size:
    """The size for a number of training rows, also by their ratio to the features.

    Few rows call for a small network, regularised by a weight decay far stronger than usual.
    """
    if rows >= 10_000:
        return Size((128, 128), 0.1, 128, 6000)
    few = rows < 70 * features
    if rows >= 1000:
        return Size((64, 64), 1.0 if few else 0.3, 64, 2500)
    return Size((32,), 1.0, 32, 1000) if rows < 35 * features else Size((64, 64), 1.0 if few else 0.3, 32, 1500)


def experiment(found: Findings, data: Csv, rows: int, features: int) -> Experiment:
    """The experiment for a table, given its training rows and its features after preprocessing."""
    labels = found.target.kind == "labels"
    of = size(rows, features)
    hidden: list[Layer] = [layer for units in of.hidden for layer in (Dense(units), Relu())]
    loss: Loss = SoftmaxCrossEntropy() if labels else MeanSquaredError()
    return Experiment(
        data=data,
        model=serial(*hidden, head=Dense(len(found.counts) or 1)),
        loss=loss,
        metrics=_metrics(found),
        optimizer=AdamW(Cosine(peak=0.01), weight_decay=of.weight_decay),
        training=Training(
            epochs=min(300, max(5, round(of.steps / -(-rows // of.batch_size)))),
            batch_size=of.batch_size,
            class_weight="balanced" if labels and unequal(found.counts) else None,
        ),
    )


def unequal(counts: dict[str, int]) -> bool:
    """Whether one class has far more rows than another."""
    return max(counts.values()) >= UNEQUAL * min(counts.values())


def _metrics(found: Findings) -> tuple[Metric, ...]:
    if found.target.kind == "values":
        return RMSE(), MAE(), R2()
    balanced = (BalancedAccuracy(),) if unequal(found.counts) else ()
    return Accuracy(), *balanced, *((RocAuc(),) if len(found.counts) == 2 else ())
