"""k-fold cross-validation: every row is held out once, and the folds show how much the scores vary."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from funcnet import tree
from funcnet.data.paths import base_folder
from funcnet.data.preparation import labelled, prepared
from funcnet.data.scaling import restore_targets
from funcnet.data.sources.memory import Cells, as_table
from funcnet.data.split import Parts
from funcnet.errors import DataError, FuncnetError
from funcnet.experiments.checks import check_parts, fit_model
from funcnet.experiments.experiment import Experiment
from funcnet.experiments.folds import folds_of as folds_of, group_folds, time_folds
from funcnet.experiments.run import starting_state, temperature_of, train, watchers
from funcnet.experiments.units import in_units
from funcnet.inputs import as_key, as_loss, as_metrics, as_optimizer, instance, whole_number
from funcnet.key import Array, Key
from funcnet.layers.base import Layer
from funcnet.losses.base import Loss, classifies, on_values
from funcnet.losses.tempered import tempered
from funcnet.metrics import Metric
from funcnet.optim.base import Optimizer
from funcnet.shapes import Output, shape_of
from funcnet.spec.base import evolve
from funcnet.training.evaluate import arrays, evaluate, rows_of_answer
from funcnet.training.fit import Fit, fit, pass_interrupt_on
from funcnet.training.probabilities import label_of
from funcnet.training.step import predicted
from funcnet.training.threads import limited
from funcnet.views.table import Table

log = logging.getLogger("funcnet")


@attrs.frozen(eq=False)
class CrossValidation:
    """The scores of each fold on its held-out rows; ``str`` gives a table."""

    scores: list[dict[str, float]]
    """``[{"loss": …, <metric>: …}]``, the folds of the first repeat first"""
    held_out: list[Array]
    """The held-out rows of each fold, in ascending order"""
    folds: int
    predictions: Output | None = None
    """If asked for, for each row the answer of a network that was not trained on it, as ``Run.predict`` gives it

    It is NaN for a row that no fold held out, such as one without its target, and the mean over the repeats, of which
    each has another network.
    """
    labels: Array | None = None
    """With the predictions of a classifier the likeliest class of each row, by name if it has one

    It is "", or -1 for numbers, for a row that no fold held out.
    """

    @property
    def mean(self) -> dict[str, float]:
        """The mean of each score over all folds of all repeats."""
        return {name: float(np.mean([one[name] for one in self.scores])) for name in self.scores[0]}

    @property
    def deviation(self) -> dict[str, float]:
        """The standard deviation of each score over these folds, ``np.std`` (not the sample estimate)."""
        return {name: float(np.std([one[name] for one in self.scores])) for name in self.scores[0]}

    def __str__(self) -> str:
        names = list(self.scores[0])
        rows = []
        for i, (one, held_out) in enumerate(zip(self.scores, self.held_out, strict=True)):
            repeat, fold = divmod(i, self.folds)
            rows.append([str(repeat + 1), str(fold + 1), str(len(held_out)), *(f"{one[name]:.5g}" for name in names)])
        for what, values in (("mean", self.mean), ("deviation", self.deviation)):
            rows.append([what, "", "", *(f"{values[name]:.5g}" for name in names)])
        return str(Table(["repeat", "fold", "rows", *names], rows, totals=2))


def cross_validate(
    what: Experiment | Layer,
    data: Any = None,
    *,
    folds: int = 5,
    repeats: int = 1,
    key: Key | int | None = None,
    stratify: bool = True,
    predictions: bool = False,
    base: str | os.PathLike[str] | None = None,
    **training: Any,
) -> CrossValidation:
    """Train once for each fold, on all other rows, and score the fold's held-out rows; do this ``repeats`` times.

    ``what`` is an experiment, with a table as ``data`` if its rows are in memory, as for ``run``; or a network with
    ``data`` ``(x, y)`` or ``(x, y, weight)`` and the arguments of ``fit``:
    ``cross_validate(net, (x, y), loss=…, optimizer=…, epochs=…, metrics=…, key=…)``.

    The preprocessing of an experiment is fitted on the training rows of each fold. Its test fraction is ignored; its
    validation fraction is drawn by its split from the training rows of a fold. Rows that the source assigns to
    the validation or test part are not used. The default key is that of the seed.
    Arrays are used unchanged; preprocessing that must be fitted on the training rows needs an experiment.

    Repeat r divides the rows with ``key.fold("repeat", r)``, and its fold f trains with
    ``key.fold("repeat", r, "fold", f)``, so the same key gives the same scores to the bit. Fold sizes differ by at
    most one row. With ``stratify`` and class labels as targets, so do the counts of each class; other targets are
    only shuffled. Ctrl-C ends all of it.

    A split with ``group`` keeps the rows of a group in one fold. One with ``time`` holds out, fold by fold, the rows
    that follow those of training, so the first rows are held out by none, and repeats train other networks on the same
    folds. Both leave ``stratify`` aside.

    With ``predictions`` the result has the out-of-fold predictions too: of each row, in the order of the data, by the
    network of the fold that held it out, to the bit what that network predicts alone.
    Raises   FuncnetError for arguments that do not go together; DataError for more folds than rows, or than rows of
             some class, or groups, and a split with ``bootstrap``; the errors of ``fit`` and ``run``

    >>> x = fn.Key(0).normal((60, 2), np.float32)
    >>> how = {"loss": fn.losses.MeanSquaredError(), "optimizer": fn.optim.Adam(0.01), "epochs": 5}
    >>> found = fn.cross_validate(fn.Dense(1), (x, x[:, :1]), folds=3, stratify=False, key=fn.Key(1), **how)
    >>> len(found.scores)
    3
    """
    whole_number(folds, 2, "folds of 2 or more")
    whole_number(repeats, 1, "repeats of 1 or more")
    instance(what, (Experiment, Layer), "an experiment or a network", "fn.load_spec('specs/digits_mlp.json')")
    key = None if key is None else as_key(key)
    if isinstance(what, Experiment):
        if training:
            given = ["data"] * (data is not None) + sorted(training)
            raise FuncnetError(f"an experiment defines its own training; leave out {', '.join(given)}, or evolve it")
        key = Key(what.seed) if key is None else key
        run: Any = _Experiment(what, base_folder(base), key, None if data is None else as_table(data), predictions)
    else:
        if key is None or data is None:
            raise FuncnetError("expected data and a key with a network: cross_validate(net, (x, y), key=fn.Key(0), …)")
        training["loss"], training["optimizer"] = as_loss(training.get("loss")), as_optimizer(training.get("optimizer"))
        training["metrics"] = as_metrics(training.get("metrics", ()))
        run = _Arrays(what, data, training, predictions)
    scores, held_out, answers = [], [], []
    with _said_once():
        for repeat in range(repeats):
            own = key.fold("repeat", repeat)
            for fold, (kept, test) in enumerate(run.folds(folds, own, stratify)):
                score, answer = run.score(run.rows[kept], run.rows[test], own.fold("fold", fold))
                scores.append(score)
                answers.append(answer)
                held_out.append(run.places[run.rows[test]])
                shown = ", ".join(f"{name} {value:.5g}" for name, value in score.items())
                log.info("fold %d of %d: %s", repeat * folds + fold + 1, repeats * folds, shown)
    if not predictions:
        return CrossValidation(scores, held_out, folds)
    whole = _by_row(answers, held_out, folds, run.count)
    return CrossValidation(scores, held_out, folds, whole, _labels(whole, held_out, run))


def check_folds(experiment: Experiment, folds: int, base: Path) -> None:
    """Read the rows of an experiment and divide them into folds, without training.

    Raises   DataError as ``cross_validate`` does
    """
    key = Key(experiment.seed)
    _Experiment(experiment, base, key, None, predictions=False).folds(folds, key.fold("repeat", 0), stratify=True)


def _by_row(answers: list[Any], held_out: list[Array], folds: int, rows: int) -> Output:
    """The answers of all folds in the order of the rows, NaN for those of none; the mean over the repeats."""

    def joined(*pieces: Array) -> Array:
        mask = pieces[0].dtype == bool  # of padded steps, the same in every repeat
        repeats = []
        for begin in range(0, folds if mask else len(pieces), folds):
            own = slice(begin, begin + folds)
            whole = np.full((rows, *pieces[0].shape[1:]), False if mask else np.nan, pieces[0].dtype)
            for at, piece in zip(held_out[own], pieces[own], strict=True):
                whole[at] = piece
            repeats.append(whole)
        return repeats[0] if len(repeats) == 1 else np.mean(repeats, axis=0)

    whole: Output = tree.map(joined, *answers)
    return whole


def _labels(predictions: Output, held_out: list[Array], run: _Experiment | _Arrays) -> Array | None:
    """The labels of the predictions; None for a network that is not a classifier."""
    if not (classifies(run.loss) or run.classes):
        return None
    known = np.zeros(run.count, bool)
    known[np.concatenate(held_out)] = True

    def named(values: Array) -> Array:
        labels = label_of(run.loss, values)
        labels = labels if run.classes is None else np.array(run.classes)[labels]
        labels[~known] = -1 if run.classes is None else ""
        return labels

    labels: Array = on_values(named, predictions)
    return labels


@contextlib.contextmanager
def _said_once() -> Iterator[None]:
    """Log a warning once, though every fold repeats it, with other numbers perhaps."""
    said: set[str] = set()
    here = threading.get_ident()

    def new(record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING or record.thread != here:
            return True
        text = re.sub(r"[\d.]+", "0", record.getMessage())
        first = text not in said
        said.add(text)
        return first

    log.addFilter(new)
    try:
        yield
    finally:
        log.removeFilter(new)


def _others(held_out: list[Array], rows: int) -> list[tuple[Array, Array]]:
    """The training rows of each fold, all but those that it holds out, and these."""
    return [(np.setdiff1d(np.arange(rows), test), test) for test in held_out]


class _Experiment:
    """An experiment whose table is read once."""

    def __init__(self, experiment: Experiment, base: Path, key: Key, rows: Cells | None, predictions: bool) -> None:
        self.experiment, self.base, self.loss, self.predictions = experiment, base, experiment.loss, predictions
        split = experiment.data.split
        if split is not None and split.bootstrap:
            raise DataError("split.bootstrap: cannot be used with folds, which are drawn row by row; leave it out")
        self.table, self.classes = labelled(experiment.data, key, base, rows)
        part, used, gone = self.table.part, len(self.table.y), self.table.left_out
        self.places = np.arange(used) if gone is None else np.flatnonzero(~gone)
        self.count = used if gone is None else len(gone)
        self.rows = np.arange(used) if part is None else np.flatnonzero(part == 0)
        self.targets = self.table.y[self.rows]

    def folds(self, folds: int, key: Key, stratify: bool) -> list[tuple[Array, Array]]:
        """The training rows and the held-out rows of each fold, numbers among the ``rows``, as the split says."""
        split, count, used = self.experiment.data.split, len(self.rows), len(self.table.y)
        if split is not None and split.time:
            order = split.in_order(self.rows, self.table.columns, used)
            return time_folds(np.searchsorted(self.rows, order), folds)
        if split is not None and split.group is not None:
            return _others(group_folds(split.groups(self.table.columns, used)[self.rows], folds, key), count)
        stratify = stratify and (self.classes is not None or classifies(self.loss))  # whole numbers may be values
        return _others(folds_of(self.targets, folds, key, stratify, self.loss.ignore_label), count)

    def score(self, kept: Array, test: Array, key: Key) -> tuple[dict[str, float], Output | None]:
        """The scores of some rows, and their predictions if asked for, after training on others."""
        experiment, source = self.experiment, self.experiment.data
        parts = Parts(kept, kept[:0], test)
        if source.split is not None and source.split.validation:
            split = evolve(source.split, test=0.0)
            columns = {name: values[kept] for name, values in self.table.columns.items()}
            inner = split.parts(self.table.y[kept], key.fold("split"), columns)
            parts = Parts(kept[inner.train], kept[inner.validation], test)
        with limited(experiment.training.threads):
            data = prepared(source, self.table, self.classes, parts, experiment.dtype)
            fit_model(experiment, data.train.x.shape[1:])
            metrics = in_units(experiment.metrics, data.preprocess)
            check_parts(experiment, data, metrics)
            result = train(
                experiment, data, starting_state(experiment, key, data, self.base), metrics, watchers(experiment)
            )
            assert data.test is not None
            ts = result.train_state
            params = experiment.optimizer.eval_params(ts.params, ts.opt_state)
            loss = tempered(experiment.loss, temperature_of(experiment, data, params, ts.state))
            return held_out_scores(
                experiment.model,
                loss,
                experiment.optimizer,
                metrics,
                result,
                data.test,
                data.preprocess,
                self.predictions,
            )


class _Arrays:
    """A network with its arrays."""

    def __init__(self, net: Layer, data: tuple[Any, ...], training: dict[str, Any], predictions: bool) -> None:
        self.net, self.data, self.training, self.predictions = net, arrays(data, "", net), training, predictions
        self.loss: Loss = training["loss"]
        self.classes: list[str] | None = None
        self.targets = self.data[1]
        self.count = len(tree.leaves(self.targets)[0])
        self.rows = self.places = np.arange(self.count)

    def folds(self, folds: int, key: Key, stratify: bool) -> list[tuple[Array, Array]]:
        """The training rows and the held-out rows of each fold."""
        return _others(folds_of(self.targets, folds, key, stratify, self.loss.ignore_label), self.count)

    def score(self, kept: Array, test: Array, key: Key) -> tuple[dict[str, float], Output | None]:
        """The scores of some rows, and their predictions if asked for, after training on others."""
        x, y, weight = self.data

        def part(rows: Array) -> tuple[Any, ...]:
            return *(tree.map(lambda a: a[rows], value) for value in (x, y)), None if weight is None else weight[rows]

        result = fit(self.net, part(kept), key=key, **self.training)
        optimizer, metrics = self.training["optimizer"], self.training["metrics"]
        return held_out_scores(self.net, self.loss, optimizer, metrics, result, part(test), {}, self.predictions)


def held_out_scores(
    net: Layer,
    loss: Loss,
    optimizer: Optimizer,
    metrics: Sequence[Metric],
    result: Fit,
    part: tuple[Any, ...],
    preprocess: dict[str, Any],
    predictions: bool,
) -> tuple[dict[str, float], Output | None]:
    """The scores of a fold's held-out rows, and their predictions in their units if asked for.

    If its training was interrupted, that ends the cross-validation too.
    """
    pass_interrupt_on(result.stopped)
    ts = result.train_state
    params, x = optimizer.eval_params(ts.params, ts.opt_state), part[0]
    scores = evaluate(net, loss, params, ts.state, part, metrics)
    if not predictions:
        return scores, None

    def answer(y: Any) -> Any:
        return on_values(lambda values: restore_targets(preprocess, loss.answer(values)), y)

    return scores, predicted(answer, net, params, ts.state, x, rows_of_answer(net, shape_of(x)))
