"""How rows are divided into training, validation and test parts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar, NamedTuple

import numpy as np
from attrs import field

from funcnet.data.in_time import in_time, not_a_time
from funcnet.errors import DataError, Problem
from funcnet.hints import did_you_mean
from funcnet.key import Array, Key
from funcnet.spec.base import Spec, register
from funcnet.spec.fields import fraction, frozen, positive

PARTS = ("train", "validation", "test")


class Parts(NamedTuple):
    """Row numbers of each part."""

    train: Array
    validation: Array
    test: Array


@register("split")
@frozen
class Split(Spec):
    """Random fractions of the rows, held out for validation and testing; the rest is the training part.

    With ``stratify`` every class is divided in these proportions, to the nearest row; where that gives the parts too
    many or too few rows, the largest remainders decide. With ``group``, the name of a column, rows of one group stay
    together, and the fractions are of groups. With ``time`` nothing is drawn: the last rows are the test part, those
    before them the validation part, ordered by the column of that name, which holds numbers or ISO 8601 dates and
    times, or in file order if true.
    ``given`` describes parts in separate files, each by the source's fields that differ:
    ``{"test": {"path": "test.csv"}}``; fractions are then of the other rows. With ``bootstrap``, that many training
    rows are drawn with replacement and the rows never drawn are the test part.
    """

    kind: ClassVar[str] = "split"

    validation: float = field(default=0.0, validator=fraction)
    test: float = field(default=0.0, validator=fraction)
    stratify: bool = False
    group: str | None = None
    time: str | bool = False
    given: Mapping[str, Mapping[str, str]] = field(factory=dict)
    bootstrap: int | None = field(default=None, validator=positive)

    def validate(self) -> Iterator[Problem]:
        if self.validation + self.test >= 1.0:
            yield Problem(".test", f"must leave rows to train on, got validation {self.validation}, test {self.test}")
        others = {"stratify": self.stratify, "group": self.group, "time": self.time}
        chosen = [name for name, value in others.items() if value]
        if self.bootstrap is not None and (self.validation or self.test or chosen or self.given):
            yield Problem(".bootstrap", "already divides the rows; leave out the other fields")
        if len(chosen) > 1:
            yield Problem(f".{chosen[1]}", f"does not go with {chosen[0]}; choose one")
        if chosen and not (self.validation or self.test):
            yield Problem(f".{chosen[0]}", "divides nothing; give a fraction for validation or test")
        for name in self.given:
            if name not in PARTS[1:]:
                yield Problem(f".given.{name}", "expected validation or test" + did_you_mean(name, PARTS[1:]))
            elif not self.given[name]:
                yield Problem(f".given.{name}", 'expected the fields that differ, such as {"path": "test.csv"}')
            elif getattr(self, name):
                yield Problem(f".{name}", f"is already in a separate file; leave out the fraction or given.{name}")

    @property
    def columns(self) -> list[str]:
        """The columns that rows are grouped or ordered by."""
        return [name for name in (self.group, self.time) if isinstance(name, str)]

    def parts(self, y: Array, key: Key, columns: Mapping[str, Array] | None = None, part: Array | None = None) -> Parts:
        """Row numbers of each part, a pure function of the targets, the columns and the key.

        ``part`` is 1 or 2 for rows that already belong to the validation or test part, and 0 for all others.
        Raises   DataError for an empty part, stratified targets other than labels, or a column that is missing
        """
        rows = len(y)
        if self.bootstrap is not None:
            hopeless = self.bootstrap > 100 * rows  # a row is then left with a probability of e^-100
            drawn = key.integers(rows, (0 if hopeless else self.bootstrap,))
            left = np.setdiff1d(np.arange(rows), drawn)
            if hopeless or len(left) == 0:
                raise DataError(
                    f"split.bootstrap: no rows out of {rows} remain to test on; draw fewer than {self.bootstrap}"
                )
            return Parts(drawn, drawn[:0], left)
        codes = np.zeros(rows, np.int8) if part is None else part
        free, held_out = np.flatnonzero(codes == 0), (np.flatnonzero(codes == 1), np.flatnonzero(codes == 2))
        fixed = Parts(free[:0], *held_out)
        if self.stratify:
            if y.ndim != 1 or y.dtype.kind not in "iub":
                raise DataError(f"stratify: expected integer class labels, got {y.dtype} of shape {y.shape}")
            order = free[key.permutation(len(free))]
            labels, sizes = np.unique(y[free], return_counts=True)
            counts = self.per_class(sizes, key.fold("ties").permutation(len(labels)))
            pieces = [_cut(order[y[order] == label], *held) for label, held in zip(labels, counts, strict=True)]
            parts = Parts(*(np.concatenate(same) for same in zip(*pieces, strict=True)))
            parts = Parts(*(part[key.fold("mix", i).permutation(len(part))] for i, part in enumerate(parts)))
        elif self.group is not None:
            groups, member = np.unique(self.groups(columns, rows)[free], return_inverse=True)
            parts = self._cut(key.permutation(len(groups)))
            parts = Parts(*(free[np.flatnonzero(np.isin(member, chosen))] for chosen in parts))
        elif self.time:
            parts = self._cut(self.in_order(free, columns, rows)[::-1])
            parts = Parts(*(part[::-1] for part in parts))
        else:
            parts = self._cut(free[key.permutation(len(free))])
        for name, drawn in parts._asdict().items():
            if len(drawn) == 0 and (name == "train" or getattr(self, name) > 0):
                raise DataError(f"split.{name}: gets no rows out of {rows}; use more data or other fractions")
        return Parts(*(np.concatenate(pair) if len(pair[1]) else pair[0] for pair in zip(parts, fixed, strict=True)))

    def groups(self, columns: Mapping[str, Array] | None, rows: int) -> Array:
        """The group of each row.

        Raises   DataError for a column that is missing or unsuitable
        """
        return _column(str(self.group), "group", columns, rows)

    def in_order(self, free: Array, columns: Mapping[str, Array] | None, rows: int) -> Array:
        """Some of the rows in the order of time: by the column ``time``, or as they are.

        Raises   DataError for a column that is missing or unsuitable
        """
        if not isinstance(self.time, str):
            return free
        times = _column(self.time, "time", columns, rows)[free]
        wrong = not_a_time(times)
        if wrong is not None:
            raise DataError(f"split.time: {self.time!r}, row {free[wrong[0]]}: {wrong[1]}")
        return free[in_time(times)]

    def per_class(self, sizes: Array, ties: Array) -> list[tuple[int, int]]:
        """The validation and test rows of classes of these sizes; the numbers ``ties``, one for each, decide ties."""
        test = apportion(self.test, sizes, sizes, ties)
        validation = apportion(self.validation, sizes, sizes - test, ties)
        return list(zip(validation.tolist(), test.tolist(), strict=True))

    def _cut(self, order: Array) -> Parts:
        return _cut(order, round(self.validation * len(order)), round(self.test * len(order)))


def _cut(order: Array, validation: int, test: int) -> Parts:
    return Parts(order[test + validation :], order[test : test + validation], order[:test])


def apportion(share: float, sizes: Array, room: Array, ties: Array) -> Array:
    """How many rows of each class belong to a part that is a share of all rows; at most ``room``.

    It is the nearest number if these add up to the nearest number for all rows. Else each class gets the whole rows of
    its share, and the largest remainders get those left over, but not a class's last row while another class has more;
    ties are decided by the numbers ``ties``.
    Source   Hamilton (1792), the largest remainder method
    """
    total = round(share * int(sizes.sum()))
    nearest = np.array([round(share * size) for size in sizes.tolist()])
    if nearest.sum() == total and np.all(nearest <= room):
        return nearest
    counts = np.minimum(np.floor(share * sizes), room).astype(np.int64)
    while counts.sum() < total:
        remainders = np.round(share * sizes - counts, 9)  # equal ones may differ by rounding
        order = np.lexsort((ties, -remainders))
        spare = (room - counts)[order]
        order = order[spare > 1] if np.any(spare > 1) else order[spare > 0]
        counts[order[: total - counts.sum()]] += 1
    return counts


def _column(name: str, what: str, columns: Mapping[str, Array] | None, rows: int) -> Array:
    """The values of a column.

    Raises   DataError for a column that the source lacks, or one without exactly one value per row
    """
    known = columns or {}
    if name not in known:
        there = f"it has {', '.join(known)}" if known else "it has no named columns"
        raise DataError(f"split.{what}: the source has no column {name!r}{did_you_mean(name, known)}; {there}")
    values = known[name]
    if values.shape != (rows,):
        raise DataError(f"split.{what}: expected one value for each of {rows} rows in {name!r}, got {values.shape}")
    if values.dtype.kind not in ("fiubUM" if what == "time" else "fiubU"):
        raise DataError(f"split.{what}: expected numbers or texts in {name!r}, got {values.dtype}")
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values))[0])
        raise DataError(f"split.{what}: expected finite numbers in {name!r}, got {values[row]} in row {row}")
    return values
