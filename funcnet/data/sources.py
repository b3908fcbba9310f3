"""Where data comes from: a source is a spec that gives a table of inputs and targets."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

import attrs
import numpy as np

from funcnet.data.split import Split
from funcnet.errors import CheckpointError, DataError, Problem, did_you_mean
from funcnet.files import read_npz
from funcnet.key import Array, Key
from funcnet.layer import Shape
from funcnet.spec import Spec, frozen, register


class Table(NamedTuple):
    """Inputs and targets row by row, the names of the classes if the targets are labels.

    ``part`` is 0 for a row that trains, 1 for one of the validation part, 2 of the test part, where the files say so.
    """

    x: Array
    y: Array
    classes: tuple[str, ...] | None = None
    part: Array | None = None


@frozen
class Source(Spec):
    """Base of every source.

    Every source has ``split``, how rows are divided into training, validation and test parts, and
    ``scale``: ``"standard"`` shifts and scales each feature to mean 0 and deviation 1 over the training
    part.
    """

    kind: ClassVar[str] = "data"
    integers: ClassVar[bool] = False
    """Whether inputs are indices, such as those of characters, and stay integers"""

    split: Split | None = attrs.field(default=None, kw_only=True)
    scale: Literal["standard"] | None = attrs.field(default=None, kw_only=True)

    def in_shape(self, base: Path) -> Shape:
        """The shape of one input, known before the data is read."""
        raise TypeError(f"{type(self).__name__} does not define in_shape(base)")

    def table(self, base: Path, key: Key) -> Table:
        """The data; paths are relative to ``base``, draws come from ``key``."""
        raise TypeError(f"{type(self).__name__} does not define table(base, key)")


@register("arrays")
@frozen
class Arrays(Source):
    """Rows written out in the spec: ``x`` (rows, features), ``y`` labels (rows,) or numbers (rows,) or (rows, outputs).

    In Python they may be arrays; for more than a few thousand rows give the arrays to ``fit`` instead.
    """

    x: tuple[tuple[float, ...], ...]
    y: tuple[int, ...] | tuple[float, ...] | tuple[tuple[float, ...], ...] = attrs.field(eq=lambda y: (type(y[0]), y))

    def validate(self) -> Iterator[Problem]:
        for name, rows in (("x", self.x), ("y", self.y)):
            if len({len(row) if isinstance(row, tuple) else -1 for row in rows}) != 1:
                yield Problem(f".{name}", "expected at least one row, and all rows of one length")
        if len(self.x) != len(self.y):
            yield Problem(".y", f"expected as many rows as x has, {len(self.x)}, got {len(self.y)}")

    def in_shape(self, base: Path) -> Shape:
        return (len(self.x[0]),)

    def table(self, base: Path, key: Key) -> Table:
        return Table(np.array(self.x), np.array(self.y))


@register("npz")
@frozen
class Npz(Source):
    """Two members of an ``.npz`` archive: ``x`` (rows, …) and ``y`` (rows,) or (rows, outputs).

    Raises   DataError for a file that is missing or damaged, or without these members
    """

    path: str
    x: str = "x"
    y: str = "y"

    def in_shape(self, base: Path) -> Shape:
        """Read from the header of the member alone."""
        try:
            with zipfile.ZipFile(base / self.path) as archive, archive.open(f"{self.x}.npy") as member:
                version = np.lib.format.read_magic(member)
                read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
                return tuple(read(member)[0][1:])
        except Exception:
            return self.table(base, Key(0)).x.shape[1:]  # whose errors say what is wrong

    def table(self, base: Path, key: Key) -> Table:
        try:
            members = read_npz(base / self.path)
        except CheckpointError as error:
            raise DataError(str(error)) from None
        for name in (self.x, self.y):
            if name not in members:
                raise DataError(
                    f"{base / self.path}: has no member {name!r}{did_you_mean(name, members)}; "
                    f"it has {', '.join(members)}"
                )
        return Table(members[self.x], members[self.y])
