"""The answers of a run to the rows of one part, few enough to cost little, and its inputs as people wrote them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from attrs import frozen

from funcnet import ops
from funcnet.data.columns import HOT, title, width
from funcnet.data.preparation import Prepared
from funcnet.data.preprocess import restore_inputs
from funcnet.errors import FuncnetError, one_line
from funcnet.experiments.report.counted import is_stepwise, plural
from funcnet.experiments.result import Run
from funcnet.key import Array
from funcnet.losses.base import Loss, compared, on_values
from funcnet.shapes import entries
from funcnet.training.evaluate import cut as rows_of, of_dtype, rows_of_answer
from funcnet.training.step import predict
from funcnet.views.svg import cut, short

MOST_ROWS, MOST_NUMBERS, MOST_FLOPS = 20_000, 2**21, 4e9
"""The most rows that are answered, numbers of their answers, and operations for them"""
FEW = 256
"""The rows that are answered by a network whose cost is unknown"""
MOST_LOSSES = 1000
"""The most rows whose losses are computed one by one"""
MOST_COLUMNS = 10
LONGEST = 80
"""The most letters of a class's name"""


@frozen(eq=False)
class Answers:
    """Answers to some rows of a part."""

    part: str
    of: int
    """The rows of the whole part"""
    numbers: Array
    """The number of each row in the data"""
    x: Array
    y: Array
    weight: Array | None
    outputs: Any
    """What the network makes of them: an array, or several"""
    answer: Any
    """The answers of the loss's link, an array for a network of one output"""

    @property
    def rows(self) -> int:
        """The rows that were answered."""
        return len(self.y)

    @property
    def said(self) -> str:
        """The rows in words."""
        return self.words(self.rows)

    def words(self, count: int) -> str:
        """A number of rows of the part, in words."""
        if count == self.of:
            return plural(count, "row")
        return f"{count:,} of {self.of:,} rows, evenly spaced"

    @property
    def looked_at(self) -> int:
        """The rows whose losses are computed."""
        return min(self.rows, MOST_LOSSES)

    @property
    def stepwise(self) -> bool:
        """Whether each row has a label at each of its steps."""
        return self.single and is_stepwise(self.y, self.answer.shape[1:])

    @property
    def single(self) -> bool:
        """Whether there is one answer to a row, rather than one for each of several outputs."""
        return isinstance(self.answer, np.ndarray)

    def counted(self, loss: Loss) -> Array | None:
        """The weights of the rows, 0 for a label that the loss ignores; None if all count the same."""
        weight: Array | None = loss.counted(self.y, self.weight)
        return weight

    def worst(self, loss: Loss, most: int) -> list[tuple[int, float]]:
        """The rows of the largest losses, and these, the largest first; of many rows some are looked at.

        A row of weight 0 does not count. The losses are those of the rows alone, whatever they weigh; the steps of a
        row have their weights.
        """
        weight = self.counted(loss)
        some = (np.arange(self.looked_at) * self.rows // self.looked_at).tolist()
        kept = [i for i in some if weight is None or np.any(weight[i] != 0)]
        each = weight if weight is not None and weight.ndim > 1 else None
        found = [
            (i, row_loss(loss, rows_of(self.outputs, at), self.y[at], None if each is None else each[at]))
            for i in kept
            for at in [slice(i, i + 1)]
        ]
        known = [pair for pair in found if not math.isnan(pair[1])]
        return sorted(known, key=lambda pair: -pair[1])[:most]


def last_part(data: Prepared) -> str:
    """The part that scores are judged by: the last that there is."""
    return list(data.parts_by_name())[-1]


def answers_of(run: Run, data: Prepared, flops: float | None) -> Answers:
    """The answers to evenly spaced rows of the last part.

    flops   the operations of a row, if they are known
    """
    part = last_part(data)
    x, y, weight = data.parts_by_name()[part]
    net, state, in_shape = run.experiment.model, run.train_state.state, x.shape[1:]
    out_shape = net.out_shape(in_shape)
    count = FEW if flops is None else int(MOST_FLOPS // max(flops, 1.0))
    count = max(1, min(len(y), MOST_ROWS, MOST_NUMBERS // max(1, entries(out_shape)), max(count, 16)))
    chosen = np.arange(count) * len(y) // count
    inputs, targets = x[chosen], y[chosen]
    size = rows_of_answer(net, in_shape)
    with ops.quiet():
        outputs = predict(net, run.params, state, inputs, size)
        answer = on_values(run.loss.answer, outputs)
    numbers = data.parts._asdict()[part][chosen]
    return Answers(part, len(y), numbers, inputs, targets, None if weight is None else weight[chosen], outputs, answer)


def row_loss(loss: Loss, output: Any, target: Array, weight: Array | None = None) -> float:
    """The loss of one row; NaN where a row alone has none."""
    try:
        with ops.quiet():
            p, t, w, _ = compared(loss, output, target, of_dtype(weight, output))
            return float(loss.apply(p, t, w)[0])
    except FuncnetError:
        return math.nan


# ----- inputs --------------------------------------------------------------------------------------------------------


def image_shape(run: Run) -> tuple[int, ...] | None:
    """The shape of an input as it came, which may be that of an image."""
    if run.experiment.data.image is not None:
        return run.experiment.data.image
    shape = run.preprocess.get("shape")
    return None if shape is None else tuple(shape)


def columns_of(run: Run, x: Array) -> tuple[list[str], list[list[str]]]:
    """The inputs of some rows as texts: the names of the columns, at most ten, and the cells of each row."""
    preprocess = run.preprocess
    if preprocess.get("integers"):
        return ["input"], [[sequence(run.classes, row)] for row in x]
    raw = zeros_restored(run, restore_inputs(preprocess, x))
    columns = preprocess.get("columns")
    if columns is None:
        flat = raw.reshape(len(raw), -1)
        names = list(run.experiment.data.feature_names)
        if len(names) != flat.shape[1]:
            names = [f"input {i}" for i in range(flat.shape[1])]
        return names[:MOST_COLUMNS], [[short(value) for value in row[:MOST_COLUMNS]] for row in flat.tolist()]
    names, cells = [], [list[str]() for _ in raw]
    begin = 0
    for column in columns[:MOST_COLUMNS]:
        end = begin + width(column)
        names.append(title(column))
        for cell, values in zip(cells, raw[:, begin:end].tolist(), strict=True):
            cell.append(_cell(column, values))
        begin = end
    return names, cells


def zeros_restored(run: Run, raw: Array) -> Array:
    """Inputs with 0 in place of the rounding errors that scaling left there, tiny beside the training part's range."""
    seen = run.preprocess.get("range")
    if seen is None:
        return raw
    size = np.maximum(np.abs(seen["low"]), np.abs(seen["high"])) * run.preprocess.get("divide", 1.0)
    noise = 4.0 * float(np.finfo(run.experiment.dtype).eps) * size
    return np.where(np.abs(raw) <= noise, 0.0, raw) if noise.shape in ((), raw.shape[1:]) else raw


def _cell(column: dict[str, Any], values: Sequence[float]) -> str:
    """A value of a column, from the features that it has become."""
    if column["kind"] == "number":
        return short(values[0], 5)
    hot = column["kind"] in HOT
    at = int(np.argmax(values)) if hot else round(values[0])
    if 0 <= at < len(column["categories"]) and (not hot or values[at] > 0.5):
        return column["categories"][at] or "missing"
    return "another" if column["kind"] == "frequent" else "unknown"


def sequence(classes: Sequence[str] | None, indices: Array, most: int = 48) -> str:
    """A sequence of indices: as a text if the classes are characters, else as numbers."""
    flat = np.asarray(indices).reshape(-1)[:most].tolist()
    if classes and all(len(one) == 1 for one in classes) and max(flat, default=0) < len(classes):
        return "".join(classes[i] if i >= 0 else "?" for i in flat)  # a label to ignore has no name
    return " ".join(map(str, flat[: most // 3]))


def class_name(text: str) -> str:
    """The name of a class that can be seen in one line, also if it is a space or a line feed; a long one is cut."""
    return cut(one_line(text), LONGEST) if text.strip() else repr(text)
