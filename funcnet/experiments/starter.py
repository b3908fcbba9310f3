"""A first experiment for a new table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcnet.data.number_texts import read_number
from funcnet.data.preparation import prepare
from funcnet.data.sniff import Findings, Task, describe
from funcnet.data.sources.csv import Csv
from funcnet.data.sources.memory import as_table
from funcnet.data.sources.table import MISSING, Columns
from funcnet.data.split import Split
from funcnet.errors import FuncnetError
from funcnet.experiments.experiment import Experiment, Training
from funcnet.key import Key
from funcnet.losses.base import Loss
from funcnet.losses.classification import SigmoidCrossEntropy, SoftmaxCrossEntropy
from funcnet.losses.combined import EachMember
from funcnet.losses.regression import MeanSquaredError
from funcnet.metrics.base import Metric
from funcnet.metrics.decisions import F1, Accuracy, BalancedAccuracy
from funcnet.metrics.probability import LogLoss
from funcnet.metrics.ranking import RocAuc
from funcnet.metrics.regression import MAE, R2, RMSE
from funcnet.networks.tabular import FEW, auto

UNEQUAL = 5
"""Ratio of the largest to the smallest class from which recall is measured by class too"""
LEAST = 10
"""Minimum rows for held-out parts"""
FRACTIONS = ((0.1, 0.2), (0.2, 0.2))
"""Fractions of the validation and the test part; the second is for classes of three to five rows"""


def suggest(data: Any, target: str | int | Sequence[str] | None = None, task: Task | None = None) -> Experiment:
    """A first experiment for a table in memory, as ``funcnet init`` writes one for a file.

    ``data`` is a dict of columns, a list of dicts, or a data frame. ``target`` is the column to predict, by name or
    number, or a list of several; by default the last. ``task``, "labels" or "values", says what it has; by default its
    values say so.
    ``fn.run(suggest(data), data=data)`` trains.
    Rows without their target are left out, ``missing_target="drop"``, unless they are half of the rows or more.
    Raises   DataError for anything but a table, a target that is absent, mostly missing or unsuitable, and a table
             without a column to learn from
    """
    if task not in (None, "labels", "values"):
        raise FuncnetError(f"task: expected 'labels' or 'values', got {task!r}")
    asked = [target] if isinstance(target, str | int) else target
    if asked is not None:
        if not isinstance(asked, list | tuple) or not asked or not all(isinstance(one, str | int) for one in asked):
            raise FuncnetError(f"target: expected the name of a column, or a list of several, got {target!r:.60}")
        asked = [str(one) for one in asked]
    table = as_table(data)
    found = describe(table, asked, task)
    source = treatment(found)
    return experiment(found, source, len(prepare(source, Key(0), data=table).train.x))


def source(found: Findings, path: str) -> Csv:
    """The table in a file as a data source; ``path`` is the one to write into the spec."""
    columns = treatment(found)
    return Csv(path=path, delimiter=found.delimiter, header=found.header, **columns.treatment)


def treatment(found: Findings) -> Columns:
    """How the columns of a table are used."""

    def number(label: str) -> bool:
        return read_number(label, found.decimal, found.thousands) is not None

    categorical = [column.name for column in found.inputs if column.kind == "category"]
    if found.target.kind == "labels" and not found.more and any(map(number, found.counts)):
        categorical.append(found.target.name)  # numeric labels
    return Columns(
        target=tuple(column.name for column in found.targets) if found.more else found.target.name,
        inputs=tuple(column.name for column in found.inputs) if found.left_out else None,
        categorical=tuple(categorical),
        missing=(*MISSING, *found.missing),
        decimal=found.decimal,
        thousands=found.thousands,
        marks=found.marks,
        dates=tuple(column.name for column in found.inputs if column.kind == "date"),
        split=split(found.rows, {} if found.more else found.counts),
        max_categories=found.max_categories,
        missing_target="drop" if found.gaps else "error",
        impute="median" if found.incomplete or any(column.missing for column in found.inputs) else None,
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


def experiment(found: Findings, data: Columns, rows: int) -> Experiment:
    """The experiment for a table, given its training rows. Without a validation part it is that of few rows."""
    labels = found.target.kind == "labels"
    outputs = len(found.counts) or len(found.targets)
    recipe = auto(rows if data.split is not None else min(rows, FEW), outputs)
    loss: Loss = SoftmaxCrossEntropy() if labels else MeanSquaredError()
    if labels and found.more:
        loss = SigmoidCrossEntropy()
    return Experiment(
        data=data,
        model=recipe.model,
        loss=EachMember(loss),
        metrics=_metrics(found),
        optimizer=recipe.optimizer,
        training=Training(
            epochs=recipe.epochs,
            batch_size="full" if rows <= recipe.batch_size else recipe.batch_size,
            early_stopping=recipe.early_stopping,
        ),
    )


def unequal(counts: dict[str, int]) -> bool:
    """Whether one class has far more rows than another."""
    return max(counts.values()) >= UNEQUAL * min(counts.values())


def _metrics(found: Findings) -> tuple[Metric, ...]:
    if found.target.kind == "values":
        return RMSE(), MAE(), R2()
    if found.more:
        return F1(), Accuracy()
    balanced = (BalancedAccuracy(),) if unequal(found.counts) else ()
    ranking = (RocAuc(),) if len(found.counts) == 2 else ()
    return Accuracy(), LogLoss(), *balanced, *ranking  # the log loss, since the loss is a sum over members
