"""Permutation importance: how much worse a run scores when the values of one input are shuffled among the rows."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from funcnet.data.columns import feature_places
from funcnet.data.lazy_array import Stream, pieces_of
from funcnet.data.preparation import Dataset, prepare
from funcnet.data.sources.memory import as_table
from funcnet.errors import DataError
from funcnet.experiments.result import Run
from funcnet.experiments.units import in_units
from funcnet.hints import explained
from funcnet.inputs import as_key, as_metrics, instance, whole_number
from funcnet.key import Array, Key
from funcnet.metrics import Metric
from funcnet.read_only import read_only
from funcnet.training.evaluate import evaluate
from funcnet.training.progress import number
from funcnet.views.bars import bar, bars_svg
from funcnet.views.table import Table


@attrs.frozen(eq=False, repr=False)
class Importance:
    """How much worse the score is without each input, in the order of the inputs; ``str`` is a table, largest first."""

    metric: str
    score: float
    """The score of the rows as they are"""
    drops: Mapping[str, Array] = attrs.field(converter=read_only)
    """``{input: (repeats,)}``: by how much each repeat scores worse; below 0 it scores better"""

    @property
    def mean(self) -> dict[str, float]:
        """The importance of each input: its mean drop over the repeats, 0 where it is no more than a rounding error."""
        rounding = 8.0 * float(np.finfo(np.float64).eps) * abs(self.score)
        means = {name: float(np.mean(drops)) for name, drops in self.drops.items()}
        return {name: 0.0 if abs(mean) < rounding else mean for name, mean in means.items()}

    @property
    def deviation(self) -> dict[str, float]:
        """The standard deviation of these drops, ``np.std`` (not the sample estimate)."""
        return {name: float(np.std(drops)) for name, drops in self.drops.items()}

    @property
    def order(self) -> list[str]:
        """The inputs, the most important first; equal ones in the order of the inputs, NaN last."""
        mean = self.mean
        return sorted(mean, key=lambda name: (np.isnan(mean[name]), -mean[name]))

    def table(self) -> Table:
        """The inputs in this order, each with a bar."""
        mean, deviation = self.mean, self.deviation
        most = max((value for value in mean.values() if np.isfinite(value)), default=0.0)
        rows = [[name, number(mean[name]), number(deviation[name]), bar(mean[name], most)] for name in self.order]
        title = f"{self.metric} {number(self.score)}; importance is how much worse it gets when the input is shuffled"
        return Table(["input", "importance", "deviation", ""], rows, title)

    def svg(self, title: str = "") -> str:
        """The same as a picture, an SVG document."""
        mean, deviation = self.mean, self.deviation
        rows = [(name, mean[name], deviation[name]) for name in self.order]
        unit = f"how much worse {self.metric} gets, from {number(self.score)}, when the input is shuffled"
        return bars_svg(rows, title or "permutation importance", unit)

    def __repr__(self) -> str:
        return str(self.table().visible())

    def _repr_html_(self) -> str:
        return self.table().html()


@explained
def importance(
    run: Run,
    data: Any = None,
    *,
    metric: Metric | str | None = None,
    part: str | None = None,
    repeats: int = 5,
    key: Key | int | None = None,
    base: str | os.PathLike[str] | None = None,
) -> Importance:
    """The permutation importance of each input of a run, as scikit-learn's ``permutation_importance`` defines it.

    The values of an input are shuffled among the rows, ``repeats`` times, and the importance is the drop of the score:
    ``score - shuffled`` of a metric that is better when higher, and ``shuffled - score`` of an error or the loss, so
    above 0 the input helps. Of two inputs that say the same, each may seem unimportant, since the other is left.

    An input is a column of a table, as a whole: a category with all its features, a date with its year, month and
    weekday. Of arrays it is a number of a row; of rows with several axes, an index of the last, such as a channel.

    data      rows with targets: a table, the name of a file, arrays ``(x, y)`` or ``(x, y, weight)`` as ``predict``
              takes them, or a ``Dataset``; by default the run's own
    part      "train", "validation" or "test" of the run's own data, which may be given again as a table; by default the
              last of these that there is
    metric    a metric, its tag, or "loss"; by default the first of the experiment's, or the loss if it has none
    key       for the permutations, which are those of ``key.fold("importance", input, repeat)``, whatever the other
              inputs are; by default that of the experiment's seed
    base      the folder that paths in the spec are relative to, by default the current one

    Raises   DataError for data in another form, a part that the run lacks, and a run whose inputs are indices;
             SpecError for an unknown metric
    Source   Breiman, "Random forests" (2001), section 10

    >>> table = {"a": np.arange(40.0) % 8, "b": np.arange(40.0) // 8}
    >>> experiment = fn.Experiment(
    ...     data=fn.data.Columns("y"),
    ...     model=fn.Dense(1),
    ...     loss=fn.losses.MeanSquaredError(),
    ...     optimizer=fn.optim.Adam(0.1),
    ...     training=fn.Training(epochs=100),
    ... )
    >>> table["y"] = 3.0 * table["a"]
    >>> found = fn.importance(fn.run(experiment, data=table), table)
    >>> found.mean["a"] > 100.0 * abs(found.mean["b"])
    True
    """
    instance(run, Run, "a run", "fn.load_run('runs/table-1')")
    whole_number(repeats, 1, "repeats of 1 or more")
    key = Key(run.experiment.seed) if key is None else as_key(key)
    metrics, sign = _measure(run, metric)
    name = metrics[0].name if metrics else "loss"
    x, y, weight = _rows(run, data, part, Path(base or "."))
    places = _inputs(run, x)

    def scored(x: Any) -> float:
        experiment, state = run.experiment, run.train_state.state
        return evaluate(experiment.model, run.loss, run.params, state, Dataset(x, y, weight), metrics)[name]

    score = scored(x)
    drops = {}
    for one, place in places.items():
        orders = (key.fold("importance", one, repeat).permutation(len(y)) for repeat in range(repeats))
        drops[one] = np.array([sign * (score - scored(shuffled)) for shuffled in _shuffled(x, place, orders)])
    return Importance(name, score, drops)


def _measure(run: Run, metric: Metric | str | None) -> tuple[list[Metric], float]:
    """The metric in the units of the data, none for the loss; and -1 for an error, else 1."""
    own = {one.name: one for one in run.experiment.metrics}
    if metric is None:
        metric = next(iter(own), "loss")
    if metric == "loss":
        return [], -1.0
    (chosen,) = [own[metric]] if isinstance(metric, str) and metric in own else as_metrics([metric])
    return in_units([chosen], run.preprocess), 1.0 if chosen.higher_is_better else -1.0


def _rows(run: Run, data: Any, part: str | None, base: Path) -> Dataset:
    """The rows to score. Their inputs belong to the caller, who may write to them."""
    if isinstance(data, Dataset) and part is None:
        return data._replace(x=data.x if isinstance(data.x, Stream) else np.array(data.x))
    if data is not None and part is None:
        return run.dataset(data)
    experiment, table = run.experiment, None if data is None else as_table(data)
    key = Key(experiment.seed)
    parts = prepare(experiment.data, key, base, experiment.dtype, run.preprocess, table).parts_by_name()
    chosen = list(parts)[-1] if part is None else part
    if chosen not in parts:
        raise DataError(f"the run has no {chosen} part; it has {', '.join(parts)}")
    return parts[chosen]


def _inputs(run: Run, x: Any) -> dict[str, Any]:
    """Where the features of each input are: by the name of a column or a feature, or its number."""
    source, columns = run.experiment.data, run.preprocess.get("columns")
    if source.integers:
        raise DataError(f"expected a run with numbers or columns as inputs; those of {source.tag} are indices")
    if x.ndim == 1:
        return {"0": ...}
    count = x.shape[-1]
    names: Sequence[str] = source.feature_names
    names = names if x.ndim == 2 and len(names) == count else [str(i) for i in range(count)]
    places = {name: slice(i, i + 1) for i, name in enumerate(names)} if columns is None else feature_places(columns)
    return {name: (..., place) for name, place in places.items()}


def _shuffled(x: Any, place: Any, orders: Iterator[Array]) -> Iterator[Any]:
    """The inputs with the features of a place in each of these orders. An array is changed in place, and restored."""
    if isinstance(x, Stream):
        values = np.concatenate([piece[place] for piece in pieces_of(x)])
        for order in orders:
            yield _Exchanged(x, place, values[order])
        return
    values = x[place].copy()
    for order in orders:
        x[place] = values[order]
        yield x
    x[place] = values


class _Exchanged(Stream):
    """A stream with other values in the features of a place."""

    def __init__(self, x: Stream, place: Any, values: Array) -> None:
        super().__init__(x.pieces, x.chosen, x.changes, x.form)
        self.place, self.values = place, values

    def __getitem__(self, key: Any) -> Array:
        rows = np.array(super().__getitem__(key))
        rows[self.place] = self.values[key].reshape(rows[self.place].shape)
        return rows
