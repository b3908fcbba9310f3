"""What the texts of a column are, by their nature: numbers, dates, categories, missing values.

A column is added by blocks, and takes little memory however many rows it has and however many texts differ.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from funcnet.data.categories import presence
from funcnet.data.dates import day_of
from funcnet.data.number_forms import COMMA, says_missing, spaced, split_mark
from funcnet.data.number_texts import Form, plain_numbers, read_number, to_number
from funcnet.data.shelf import Column, Shelf
from funcnet.key import Array

MANY = 2**13
"""Different texts of a column that are counted one by one"""
HELD = 2**20
"""Further texts of which the hashes are held in memory"""
DATE = re.compile(r"(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4})([T ].*)?")
CLOCK = re.compile(r"\d{1,2}:\d{2}(:\d{2})?")


class Nature(NamedTuple):
    """What a text can be read as."""

    gap: str | None
    """The text, if it usually means a missing value"""
    number: bool
    """Whether it is a number in the form of its column"""
    plain: bool = False
    """Whether it is a number in the usual form"""
    whole: bool = False
    mark: str | None = None
    """What is beside a number; None for what is not a number in any form"""
    day: bool = False
    date: bool = False
    clock: bool = False
    comma: bool = False
    decimal: bool = False
    """Whether it is a number in another than the usual form, and has the decimal separator"""
    thousands: bool = False
    present: bool = False
    """Whether it says that a label is present or absent"""
    timed: bool = False


def nature_of(text: str, form: Form) -> Nature:
    """The nature of a text in a column of this form."""
    plain, found, day = to_number(text) is not None, split_mark(text), day_of(text)
    number = read_number(text, *form) is not None
    return Nature(
        gap=text if says_missing(text) else None,
        number=number,
        plain=plain,
        whole=number and _whole(text),
        mark=None if found is None else found[0],
        day=day is not None,
        date=bool(DATE.fullmatch(text)),
        clock=bool(CLOCK.fullmatch(text)),
        comma=bool(COMMA.fullmatch(text)),
        decimal=not plain and form.decimal in text,
        thousands=not plain and bool(form.thousands) and form.thousands in spaced(text),
        present=presence(text) is not None,
        timed=len(text) > len("2024-05-31"),
    )


def _whole(text: str) -> bool:
    return text.lstrip("+").isdigit()


class Some(NamedTuple):
    """The texts of one nature in a column: in how many rows, the first of them, and the first and last row."""

    nature: Nature
    rows: int
    text: str
    line: int
    first: int
    last: int


def rows_of(natures: Iterable[Some]) -> int:
    """The rows that have them."""
    return sum(some.rows for some in natures)


def first_of(natures: Iterable[Some]) -> Some:
    """The one that is first in the table."""
    return min(natures, key=lambda some: some.first)


class Seen:
    """The texts of a column so far."""

    def __init__(self, form: Form, target: bool) -> None:
        self.form, self.target, self.rows = form, target, 0
        self.natures: list[Some] = []
        self.counts: Counter[str] | None = Counter()
        """The rows of each text; None if there are too many to count each"""
        self.one_day: object = None
        """The day of all dates, False for several"""
        self.numbers_rows = [True] * 4
        """Whether the texts number these rows from 0, or from 1, and the same for the rows of the whole table"""
        self._places: dict[Nature, int] = {}
        self._known: dict[str, int] = {}
        self._hashes = _Hashes()

    def add(self, texts: Sequence[str], lines: Sequence[int], rows: Sequence[int]) -> None:
        """Append some rows, with their lines in the file and their numbers in the whole table."""
        counts = Counter(texts)
        self._add_natures(texts, counts, lines)
        if self.counts is not None:
            self.counts.update(counts)
            if len(self.counts) > MANY:
                counts, self.counts = self.counts, None
        if self.counts is None:
            self._hashes.add(counts)
        self._number(texts, rows)
        self.rows += len(texts)

    @property
    def distinct(self) -> int:
        """How many texts differ."""
        return self._hashes.distinct if self.counts is None else len(self.counts)

    def common(self, missing: Collection[str], most: int) -> list[tuple[str, int]]:
        """The most frequent texts that are not missing, with their rows; none if there are too many to count each."""
        counts = Counter() if self.counts is None else self.counts
        return [(text, n) for text, n in counts.most_common(most + len(missing)) if text not in missing][:most]

    def there(self, missing: Collection[str]) -> list[Some]:
        """The texts that are not missing, by their natures."""
        return [some for some in self.natures if some.nature.gap not in missing]

    def _add_natures(self, texts: Sequence[str], counts: Counter[str], lines: Sequence[int]) -> None:
        known = self._known
        new = [text for text in counts if text not in known]
        natures = self._natures(new)
        different = {id(one): one for one in natures}  # plain numbers share theirs
        placed = {which: self._place(one) for which, one in different.items()}
        known.update(zip(new, (placed[id(one)] for one in natures), strict=True))
        places = np.array([known[text] for text in texts])
        if len(known) > MANY:
            self._known = {}
        found, first, rows = np.unique(places, return_index=True, return_counts=True)
        last = len(places) - 1 - np.unique(places[::-1], return_index=True)[1]
        for place, begin, end, count in zip(found.tolist(), first.tolist(), last.tolist(), rows.tolist(), strict=True):
            before = self.natures[place]
            if before.rows == 0:
                before = before._replace(text=texts[begin], line=lines[begin], first=self.rows + begin)
            self.natures[place] = before._replace(rows=before.rows + count, last=self.rows + end)

    def _natures(self, texts: list[str]) -> list[Nature]:
        """The natures of texts, plain numbers all at once."""
        usual = self.form.decimal == "." and self.form.mark != "%"
        values = [text for text in texts if not says_missing(text)] if usual else []
        if values and plain_numbers(values, ()) is not None:
            plain = {
                (whole, timed): Nature(None, True, True, whole, "", timed=timed)
                for whole in (False, True)
                for timed in (False, True)
            }
            present = self.target and any(presence(text) is not None for text in values)
            found = {text: plain[_whole(text), len(text) > len("2024-05-31")] for text in values}
            if present:
                found = {text: one._replace(present=presence(text) is not None) for text, one in found.items()}
            return [found[text] if text in found else nature_of(text, self.form) for text in texts]
        found = {text: nature_of(text, self.form) for text in texts}
        if self.one_day is not False:
            days = {day_of(text) for text in texts if found[text].day} | ({self.one_day} - {None})
            self.one_day = False if len(days) > 1 else next(iter(days), None)
        return list(found.values())

    def _place(self, nature: Nature) -> int:
        place = self._places.setdefault(nature, len(self.natures))
        if place == len(self.natures):
            self.natures.append(Some(nature, 0, "", 0, 0, 0))
        return place

    def _number(self, texts: Sequence[str], rows: Sequence[int]) -> None:
        if any(self.numbers_rows):
            own = list(map(int, texts)) if all(map(_whole, texts)) and plain_numbers(texts, ()) is not None else None
            begins = range(self.rows, self.rows + len(texts))
            each = [list(begins), [row + 1 for row in begins], list(rows), [row + 1 for row in rows]]
            self.numbers_rows = [before and own == one for before, one in zip(self.numbers_rows, each, strict=True)]


class _Hashes:
    """The hashes of texts, to count how many differ. Of a million, two are equal with a probability of 3e-8."""

    def __init__(self) -> None:
        self._held: list[Array] = []
        self._count = 0
        self._column: Column | None = None
        self._distinct: int | None = None

    def add(self, texts: Iterable[str]) -> None:
        """Append texts."""
        self._held.append(np.fromiter(map(hash, texts), np.int64))
        self._count, self._distinct = self._count + len(self._held[-1]), None
        if self._count > HELD:
            self._column = Column(Shelf(), np.int64) if self._column is None else self._column
            self._column.add(np.concatenate(self._held))
            self._held, self._count = [], 0

    @property
    def distinct(self) -> int:
        """How many differ."""
        if self._distinct is None:
            written = [] if self._column is None else [self._column[:]]
            whole = np.concatenate([*written, *self._held])
            whole.sort()
            self._distinct = int(np.count_nonzero(whole[1:] != whole[:-1])) + 1
        return self._distinct
