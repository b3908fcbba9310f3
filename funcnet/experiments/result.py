"""The result of a run: its final state, its scores, and its answers to new rows."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from funcnet import tree
from funcnet.data.columns import Unknown, column_names
from funcnet.data.labels import numbers_of
from funcnet.data.lazy_array import Stream, in_batches
from funcnet.data.new_rows import dataset
from funcnet.data.preparation import Dataset
from funcnet.data.preprocess import log_unknown, transform
from funcnet.data.scaling import restore_targets
from funcnet.data.sources.base import Frame, Table as RawTable
from funcnet.data.sources.memory import as_table, table_of
from funcnet.data.usable import check_finite
from funcnet.errors import DataError
from funcnet.experiments.baseline import Baseline, baseline_rows
from funcnet.experiments.experiment import Experiment
from funcnet.experiments.units import in_units
from funcnet.inputs import unpack
from funcnet.key import Array
from funcnet.layers.base import Params
from funcnet.losses.base import Loss
from funcnet.losses.tempered import tempered
from funcnet.losses.wrapped import unwrapped
from funcnet.read_only import read_only
from funcnet.shapes import Output, numeric, shape_of
from funcnet.training.callbacks import Row
from funcnet.training.evaluate import evaluate, rows_of_answer
from funcnet.training.probabilities import label_of, proba_of
from funcnet.training.progress import number
from funcnet.training.step import TrainState, predicted
from funcnet.views.table import Table

Scores = dict[str, dict[str, float]]


@attrs.frozen(eq=False, repr=False)
class Run:
    """The result of a run: the final state, the history, and ``{"train": {…}, "validation": {…}, "test": {…}}``."""

    train_state: TrainState
    history: list[Row] = attrs.field(converter=read_only)
    metrics: Scores = attrs.field(converter=read_only)
    experiment: Experiment
    preprocess: dict[str, Any] = attrs.field(converter=read_only)
    params: Params
    """The params that were evaluated and saved: those of the final state, or the optimizer's average of them"""
    stopped: str | None = None
    temperature: float | None = None
    """That of the probabilities of ``loss``, fitted on the validation part; None for a run that is not calibrated"""
    baseline: Baseline | None = attrs.field(default=None, converter=read_only)
    """``{"constant": {"test": {…}}, "linear": {"test": {…}}, …}``, if it was asked for and makes sense"""

    def __repr__(self) -> str:
        return str(self.table())

    def _repr_html_(self) -> str:
        return self.table().html()

    def table(self) -> Table:
        """The scores of every part."""
        names = list(next(iter(self.metrics.values()), {}))
        rows = [[part, *(number(scores[name]) for name in names)] for part, scores in self.metrics.items()]
        rows += baseline_rows(self.baseline, names)
        ended = f", ended by {self.stopped}" if self.stopped else ""
        title = f"Run: {self.train_state.step:,} steps{ended}; params: {tree.brief(self.params)}"
        return Table(["part", *names], rows, title)

    @property
    def loss(self) -> Loss:
        """The loss of the experiment, whose answers have the temperature of the run."""
        return tempered(self.experiment.loss, self.temperature)

    @property
    def classes(self) -> list[str] | None:
        """The names of the classes, in the order of their labels."""
        return self.preprocess["classes"]

    def predict(self, x: Any, batch_size: int | None = 1024) -> Output:
        """Predictions for raw inputs (rows, …), in the form of the data: probabilities, or values in their units.

        Inputs with named columns may be a table: a dict of columns, a list of dicts, or a data frame of pandas, polars
        or pyarrow. Columns are matched by name, other columns are ignored, and values count as in a file. The name of
        a file stands for its rows.
        The inputs are preprocessed as in training, and the loss's link is applied to the network's output.
        Column k is the class with label k, named ``classes[k]``. At most ``batch_size`` rows are computed at a time,
        fewer if they are wide.
        """
        return self._predicted(lambda answer: answer, x, batch_size)

    def predict_blocks(self, x: Any, batch_size: int = 1024, *, as_they_come: bool = False) -> Iterator[Output]:
        """The predictions of ``predict``, a batch at a time, for a file that may be larger than memory.

        ``x`` is the name of a file, or an iterable of raw inputs. Batches are full, so that the numbers are those of
        all rows at once, to the last bit. With ``as_they_come`` each of the raw inputs is answered before the next one
        is asked for. Unknown categories are logged once, at the end.

        >>> run = fn.run(
        ...     fn.Experiment(
        ...         data=fn.data.Columns("y"),
        ...         model=fn.Dense(1),
        ...         loss=fn.losses.MeanSquaredError(),
        ...         optimizer=fn.optim.Adam(0.1),
        ...         training=fn.Training(epochs=1),
        ...     ),
        ...     data={"x": [0.0, 1.0], "y": [1.0, 3.0]},
        ... )
        >>> [len(answer) for answer in run.predict_blocks([{"x": [4.0]}, {"x": [5.0, 6.0]}], batch_size=2)]
        [2, 1]
        """
        return self._answered(lambda answer: answer, x, batch_size, as_they_come)

    def _answered(self, f: Callable[[Any], Any], x: Any, batch_size: int, as_they_come: bool = False) -> Iterator[Any]:
        """A function of the predictions for the rows of a file, or of an iterable of raw inputs, by batches."""
        named, unknown = isinstance(x, str | os.PathLike), Unknown()
        blocks = self.experiment.data.input_blocks(Path(x), self.preprocess) if named else x
        prepared = self._prepared_blocks(blocks, unknown)
        shape: Any = None
        size = 0
        try:
            for inputs in prepared if as_they_come else in_batches(prepared, batch_size):
                if shape != shape_of(inputs):  # the first one, as a rule
                    shape = shape_of(inputs)
                    size = self._rows_at_once(shape, batch_size)
                yield self._answer(f, inputs, size)
        finally:
            log_unknown(unknown)

    def _predicted(self, f: Callable[[Any], Any], x: Any, batch_size: int | None) -> Any:
        """A function of the predictions for raw inputs, which is called for each batch."""
        if isinstance(x, str | os.PathLike) and batch_size is not None:
            return tree.map(lambda *parts: np.concatenate(parts), *self._answered(f, x, batch_size))
        inputs = self._prepared(x)
        size = None if batch_size is None else self._rows_at_once(shape_of(inputs), batch_size)
        return self._answer(f, inputs, size)

    def _rows_at_once(self, shape: Any, batch_size: int) -> int:
        """The rows of a batch of prepared inputs, fewer if they are wide."""
        return min(batch_size, rows_of_answer(self.experiment.model, shape))

    def _prepared_blocks(self, blocks: Iterable[Any], unknown: Unknown) -> Iterator[Any]:
        """Blocks of raw inputs as the network takes them."""
        first = 0
        for raw in blocks:
            inputs = self._prepared(raw, unknown, first)
            first += len(inputs)
            yield inputs

    def _prepared(self, x: Any, unknown: Unknown | None = None, first: int = 0) -> Any:
        """Raw inputs as the network takes them; ``first`` is the number of the first row, for messages."""
        x = self._inputs(x)
        if not isinstance(x, Frame | Stream):
            x = numeric(x)
            if not self.preprocess.get("fill"):
                check_finite(x, "inputs", "predict")
        return transform(self.preprocess, x, self.experiment.dtype, "predict", unknown, first)

    def _answer(self, f: Callable[[Any], Any], inputs: Any, batch_size: int | None) -> Any:
        """A function of the predictions for prepared inputs."""

        def answer(y: Any) -> Any:
            return f(restore_targets(self.preprocess, self.loss.answer(y)))

        return predicted(answer, self.experiment.model, self.params, self.train_state.state, inputs, batch_size)

    def _inputs(self, x: Any) -> Any:
        """The raw inputs in a table or a file; anything else as it is."""
        source = self.experiment.data
        if isinstance(x, Frame | Stream):
            return x
        if isinstance(x, str | os.PathLike):
            return source.new_inputs(Path(x), self.preprocess)
        columns = self.preprocess.get("columns")
        table = table_of(x) if columns is None else as_table(x, column_names(columns))
        inputs = None if table is None else source.inputs_of(table, self.preprocess)
        return x if inputs is None else inputs

    def evaluate(self, data: Any) -> dict[str, float]:
        """``{"loss": …, <metric>: …}`` on other rows with targets: a table, the name of a file, or a ``Dataset``.

        A run on arrays takes the raw arrays ``(x, y)`` or ``(x, y, weight)``, labels by name, as ``predict_label`` has
        them, or by number if no name is one.
        Raises   DataError for rows in another form, or a class that the training data lacks

        >>> table = {"x": [0.0, 1.0, 2.0, 3.0], "y": [1.0, 3.0, 5.0, 7.0]}
        >>> experiment = fn.Experiment(
        ...     data=fn.data.Columns("y"),
        ...     model=fn.Dense(1),
        ...     loss=fn.losses.MeanSquaredError(),
        ...     optimizer=fn.optim.Adam(0.1),
        ...     training=fn.Training(epochs=300),
        ... )
        >>> run = fn.run(experiment, data=table)
        >>> run.evaluate([{"y": 9.0, "x": 4.0}])["loss"] < 0.1
        True
        """
        experiment, state = self.experiment, self.train_state.state
        part = data if isinstance(data, Dataset) else self.dataset(data)
        metrics = in_units(experiment.metrics, self.preprocess)
        return evaluate(experiment.model, self.loss, self.params, state, part, metrics)

    def dataset(self, data: Any) -> Dataset:
        """The preprocessed inputs and targets of a table, of raw arrays ``(x, y)``, or of the file with this name."""
        rows: Any
        if isinstance(data, str | os.PathLike):
            rows = Path(data)
        elif isinstance(data, tuple) and self.preprocess.get("columns") is None:
            x, y, weight = unpack(data)
            x = self._inputs(x)
            x = x if isinstance(x, Stream) else numeric(x)
            rows = RawTable(x, self._targets(y), weight=None if weight is None else numeric(weight))
        else:
            rows = as_table(data)
        return dataset(self.experiment.data, self.preprocess, rows, self.experiment.dtype)

    def _targets(self, y: Any) -> Array:
        """Targets given as an array: numbers, or names of classes as texts, also those that are numbers, such as 2."""
        texts = np.asarray(y)
        if self.classes is None or texts.dtype.kind not in "UO":
            numbers = numeric(y)
            if self.classes is None or not (numbers_of(numbers.astype(str).reshape(-1), self.classes) >= 0).any():
                return numbers
        return texts.astype(str)

    def predict_proba(self, x: Any, batch_size: int | None = 1024) -> Array:
        """The probability of each class for raw inputs, (rows, classes).

        Raises   ShapeError for a loss without probabilities
        """
        return self._predicted(partial(proba_of, self.experiment.loss), x, batch_size)

    def predict_label(self, x: Any, batch_size: int | None = 1024) -> Array:
        """The likeliest class of each raw input, by name if the data has names; of several labels each, 0 or 1.

        Raises   DataError for a run on scaled targets, or with several quantiles, which have no classes
        """
        loss = self.experiment.loss
        if "targets" in self.preprocess or len(loss.outputs([""])) > 1:
            name = type(unwrapped(loss)).__name__
            raise DataError(f"expected a run that tells classes apart; {name} predicts values: use predict")
        labels = self._predicted(partial(label_of, self.experiment.loss), x, batch_size)
        return labels if self.classes is None else np.array(self.classes)[labels]
