"""The base of data sources, specs that give a table of inputs and targets; and arrays written out in a spec."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import attrs
import numpy as np

from funcnet.data.lazy_array import Stream
from funcnet.data.split import Split
from funcnet.errors import DataError, NotDefined, Problem
from funcnet.key import Array, Key
from funcnet.shapes import Shape
from funcnet.spec.base import Spec, evolve, register
from funcnet.spec.fields import frozen, positive
from funcnet.spec.registry import tags

if TYPE_CHECKING:
    from funcnet.data.sources.grid import Grid

Scale = Literal["standard", "minmax", "robust"]
TargetScale = Literal["standard", "minmax", "robust", "mean"]


class Frame(NamedTuple):
    """Inputs in columns of different kinds: numbers, NaN if missing, or texts and ISO dates, empty if missing."""

    columns: dict[str, Any]
    """Arrays, or columns on a shelf, which read like them"""
    lines: Any
    """The line number of each row in its file, or its number in a table in memory"""
    gaps: Mapping[str, Mapping[str, int]] = {}
    """By column the texts that were read as missing, and how often"""
    unit: str = "line"
    """What ``lines`` counts: the lines of a file, or the rows of a table in memory"""

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(self.lines)

    def take(self, rows: Array | slice) -> Frame:
        """Some of the rows."""
        return self._replace(
            columns={name: values[rows] for name, values in self.columns.items()}, lines=self.lines[rows]
        )

    def place(self, row: int) -> str:
        """Where a row is, for messages."""
        return f"{self.unit} {int(self.lines[row])}"


def joined(frames: Sequence[Frame]) -> Frame:
    """The rows of several frames with the same columns."""
    first, parts = frames[0], [dict(frame.columns) for frame in frames]
    columns = {name: np.concatenate([part.pop(name) for part in parts]) for name in first.columns}
    gaps = {name: sum((Counter(frame.gaps.get(name)) for frame in frames), Counter()) for name in columns}
    return Frame(columns, np.concatenate([frame.lines for frame in frames]), gaps, first.unit)


Inputs = Array | Frame | Stream


class Table(NamedTuple):
    """Inputs and targets by row, with classes, weights and further columns."""

    x: Inputs
    y: Array
    """Labels as integers or texts, or numbers; (rows,) or (rows, outputs)"""
    classes: tuple[str, ...] | None = None
    """The names of labels that are integers"""
    weight: Array | None = None
    columns: Mapping[str, Array] = {}
    """Further values of each row, by which a split may group or order them"""
    part: Array | None = None
    """The part of each row if the files define it: 0 for training, 1 for validation, 2 for testing"""
    outputs: tuple[str, ...] = ()
    """The names of the targets"""
    present: bool = False
    """Whether several targets are labels, some of them written as yes and no: 1 for present, 0 for absent"""
    left_out: Array | None = None
    """For each row of the data, of which the table has the others, whether it is left out; None if all are used"""


@frozen
class Source(Spec):
    """Base of every source. All have these fields:

    ``split``         how rows are divided into training, validation and test parts
    ``impute``        the value for a missing number: the "mean", "median" or "most_frequent" of the training part, or
                      a number; a missing category becomes a separate category, or the most frequent one if the
                      training part has none missing. Without it missing values are errors
    ``flatten``       each input becomes a vector
    ``divide``        a number that inputs are divided by, such as 255 for pixels
    ``scale``         shifts and scales each input over the training part: "standard" to mean 0 and deviation 1,
                      "minmax" to 0 and 1, "robust" to median 0 and an interquartile range of 1
    ``target_scale``  the same for targets that are numbers; predictions and metrics come back in their units. "mean"
                      divides them by the mean of their sizes and keeps 0 and signs, for counts and amounts: a network
                      that predicts the logarithm of a mean then starts at their mean
    ``block``         rows per block; rows are shuffled in blocks, so that data larger than memory can be read
    """

    kind: ClassVar[str] = "data"
    integers: ClassVar[bool] = False
    """Whether inputs are indices, such as those of characters, and stay integers"""
    endings: ClassVar[tuple[str, ...]] = ()
    """Endings of the files that ``inputs_in`` reads; "" for a name without one"""
    image: ClassVar[tuple[int, ...] | None] = None
    """The shape of the image whose pixels an input is, if it is flat"""

    split: Split | None = attrs.field(default=None, kw_only=True)
    impute: Literal["mean", "median", "most_frequent"] | float | None = attrs.field(default=None, kw_only=True)
    flatten: bool = attrs.field(default=False, kw_only=True)
    divide: float | None = attrs.field(default=None, kw_only=True, validator=positive)
    scale: Scale | None = attrs.field(default=None, kw_only=True)
    target_scale: TargetScale | None = attrs.field(default=None, kw_only=True)
    block: int | None = attrs.field(default=None, kw_only=True, validator=positive)

    def split_columns(self) -> list[str]:
        """The columns that the split names."""
        return [] if self.split is None else self.split.columns

    def in_shape(self, base: Path) -> Shape | None:
        """The shape of one input before preprocessing; None if only the data determines it."""
        raise NotDefined(f"{type(self).__name__} does not define in_shape(base)")

    def table(self, base: Path, key: Key) -> Table:
        """The data; paths are relative to ``base``, draws come from ``key``."""
        raise NotDefined(f"{type(self).__name__} does not define table(base, key)")

    # ----- other files, for a network that was trained on this source -----------------------------------------------

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The names of an input's numbers, if the source fixes them."""
        return ()

    @property
    def array_names(self) -> tuple[str, ...]:
        """Names of the array of inputs in an archive; the first one present is read."""
        return ("x",)

    def elsewhere(self, path: Path, preprocess: Mapping[str, Any]) -> Source | None:
        """A copy of this source that reads another file; None for a source without files."""
        changes: dict[str, Any] = {"path": str(path.resolve()), "split": None}
        return evolve(self, **changes) if hasattr(self, "path") and not self.integers else None

    def new_inputs(self, path: Path, preprocess: Mapping[str, Any]) -> Inputs:
        """The raw inputs in a file of any format, chosen by its ending.

        Raises   DataError for an unknown ending, or a file in another form than the training data
        """
        if self.integers:
            raise DataError(f"{path}: the run was trained on text; continue one with funcnet generate")
        formats, ending = by_ending(), path.suffix.lower()
        if ending not in formats:
            raise DataError(f"{path}: expected a file called {', '.join(filter(None, formats))}, got {ending!r}")
        return formats[ending].inputs_in(path, self, preprocess)

    def input_blocks(self, path: Path | str, preprocess: Mapping[str, Any], file: Any = None) -> Iterator[Inputs]:
        """The raw inputs in a file, some rows at a time if it is text.

        An open binary ``file`` of CSV or JSON lines, such as a pipe, takes its place; messages call it ``path``.
        Raises   DataError as ``new_inputs`` does
        """
        text: Any = by_ending()[".csv"]
        if (file is None and by_ending().get(Path(path).suffix.lower()) is not text) or self.integers:
            yield self.new_inputs(Path(path), preprocess)
        else:
            yield from text.blocks_in(path, self, preprocess, file)

    def inputs_of(self, grid: Grid, preprocess: Mapping[str, Any]) -> Inputs | None:
        """The raw inputs in a table in memory, by the names of the features; None if they have none.

        Raises   DataError for a missing column, and a value that is not a number
        """
        names = self.feature_names
        if not names:
            return None
        grid.require(names)
        missing = grid.gaps if preprocess.get("fill") else ()
        return np.stack([grid.numbers(name, missing, "all inputs must be numbers") for name in names], axis=1)

    @classmethod
    def inputs_in(cls, path: Path, source: Source, preprocess: Mapping[str, Any]) -> Inputs:
        """The inputs in a file with one of the ``endings``, in the form that they had in ``source``."""
        raise NotDefined(f"{cls.__name__} does not define inputs_in(path, source, preprocess)")


def by_ending() -> dict[str, type[Source]]:
    """The source that reads new inputs from files of each ending."""
    sources: list[Any] = list(tags("data").values())
    return {ending: source for source in sources for ending in source.endings}


@register("arrays")
@frozen
class Arrays(Source):
    """Rows written out in the spec: ``x`` (rows, features), ``y`` labels (rows,) or numbers (rows,) or (rows, outputs).

    In Python they may be arrays; for more than a few thousand rows give the arrays to ``fit`` instead.
    """

    x: tuple[tuple[float, ...], ...]
    y: tuple[int, ...] | tuple[float, ...] | tuple[tuple[float, ...], ...]
    weight: tuple[float, ...] | None = None

    def validate(self) -> Iterator[Problem]:
        for name, rows in (("x", self.x), ("y", self.y)):
            if len({len(row) if isinstance(row, tuple) else -1 for row in rows}) != 1:
                yield Problem(f".{name}", "expected at least one row, and all rows of one length")
        for name, other in (("y", self.y), ("weight", self.weight)):
            if other is not None and len(self.x) != len(other):
                yield Problem(f".{name}", f"expected as many rows as x has, {len(self.x)}, got {len(other)}")

    def in_shape(self, base: Path) -> Shape | None:
        return (len(self.x[0]),)

    def table(self, base: Path, key: Key) -> Table:
        weight = None if self.weight is None else np.array(self.weight)
        return Table(np.array(self.x), np.array(self.y), weight=weight)
