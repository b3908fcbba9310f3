"""The blocks of a table that is read several times, and what a first look at them says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

from funcnet.data.number_forms import Written
from funcnet.data.sources.csv import MISSING
from funcnet.data.sources.grid import Grid


class Blocks:
    """The blocks of a table: the rows that have all ``targets``, and the numbers of these rows."""

    def __init__(self, blocks: Callable[[], Iterable[Grid]], targets: Sequence[str] = ()) -> None:
        self.blocks, self.targets = blocks, targets

    def __iter__(self) -> Iterator[tuple[Grid, Sequence[int]]]:
        begin = 0
        for grid in self.blocks():
            rows = complete(grid, self.targets)
            if len(rows) == len(grid.lines):
                yield grid, range(begin, begin + len(rows))
            elif rows:
                yield grid.taken(rows, grid.names), [begin + row for row in rows]
            begin += len(grid.lines)

    def whole(self) -> Grid:
        """All these rows in memory."""
        first, *others = (grid for grid, _ in self)
        return first.joined(others, first.names)

    def counts(self, name: str) -> Counter[str]:
        """The rows of each text of a column."""
        counts: Counter[str] = Counter()
        for grid, _ in self:
            counts.update(grid.texts(name))
        return counts


def complete(grid: Grid, targets: Sequence[str]) -> Sequence[int]:
    """The rows that have all targets."""
    texts = [grid.texts(name) for name in targets]
    if all(set(MISSING).isdisjoint(column) for column in texts):
        return range(len(grid.lines))
    return [row for row in range(len(grid.lines)) if all(column[row] not in MISSING for column in texts)]


def without_target(table: Blocks, names: Sequence[str]) -> Counter[str]:
    """How many rows lack a target, by the text of the first that each lacks.

    It is empty if half of the rows or more lack one, which is refused.
    """
    gaps: Counter[str] = Counter()
    count = 0
    for grid, _ in table:
        texts, there = [grid.texts(name) for name in names], set(complete(grid, names))
        gone = (row for row in range(len(grid.lines)) if row not in there)
        gaps.update(next(column[row] for column in texts if column[row] in MISSING) for row in gone)
        count += len(grid.lines)
    return gaps if gaps.total() * 2 < count else Counter()


def incomplete(table: Blocks, names: Sequence[str], missing: Collection[str]) -> bool:
    """Whether a row that lacks a target lacks a value of one of these columns too."""
    for grid in table.blocks():
        gone = set(range(len(grid.lines))).difference(complete(grid, table.targets))
        for name in names if gone else ():
            texts = grid.texts(name)
            if any(texts[row] in missing for row in gone):
                return True
    return False


class FirstLook:
    """How the numbers of a column are written, whether all of it is plain numbers, and whether some are missing."""

    def __init__(self) -> None:
        self.written, self.plain, self.full, self.gaps = Written(), True, False, False

    def add(self, grid: Grid, name: str) -> None:
        """Append a block."""
        texts = set(grid.texts(name))
        self.plain = self.plain and grid.plain(name) is not None
        self.full = self.full or not texts <= set(MISSING)
        self.gaps = self.gaps or not texts.isdisjoint(MISSING)
        self.written.add(texts, plain=self.plain)


def first_look(table: Blocks) -> tuple[Grid, dict[str, FirstLook]]:
    """The first block, and a look at each column."""
    first: Grid | None = None
    found: dict[str, FirstLook] = {}
    for grid, _ in table:
        if first is None:
            first, found = grid, {name: FirstLook() for name in grid.names}
        for name, look in found.items():
            look.add(grid, name)
    assert first is not None
    return first, found
