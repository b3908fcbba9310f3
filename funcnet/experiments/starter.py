"""A first experiment for a new table."""

from __future__ import annotations

import numpy as np

from funcnet.data.sniff import Findings
from funcnet.data.sources.csv import MISSING, Csv, read_number
from funcnet.data.split import Split
from funcnet.experiments.experiment import Experiment, Training
from funcnet.losses.classification import SoftmaxCrossEntropy
from funcnet.losses.combined import EachMember
from funcnet.losses.regression import MeanSquaredError
from funcnet.metrics.base import Metric
from funcnet.metrics.decisions import Accuracy, BalancedAccuracy
from funcnet.metrics.ranking import RocAuc
from funcnet.metrics.regression import MAE, R2, RMSE
from funcnet.networks.tabular import FEW, auto

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
        split=split(len(found.grid.rows), found.counts),
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


def experiment(found: Findings, data: Csv, rows: int) -> Experiment:
    """The experiment for a table, given its training rows. Without a validation part it is that of few rows."""
    labels = found.target.kind == "labels"
    recipe = auto(rows if data.split is not None else min(rows, FEW), len(found.counts) or 1)
    return Experiment(
        data=data,
        model=recipe.model,
        loss=EachMember(SoftmaxCrossEntropy() if labels else MeanSquaredError()),
        metrics=_metrics(found),
        optimizer=recipe.optimizer,
        training=Training(
            epochs=recipe.epochs,
            batch_size="full" if rows <= recipe.batch_size else recipe.batch_size,
            early_stopping=recipe.early_stopping,
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
