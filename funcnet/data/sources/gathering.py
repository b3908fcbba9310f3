"""The blocks of a table, gathered: in memory, or on a shelf once they are large."""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from funcnet.data.shelf import Column, Shelf, Texts
from funcnet.data.sources.base import Frame, joined
from funcnet.data.sources.grid import Grid

HELD = 2**25
"""Bytes of blocks above which they are kept in a temporary file"""
WRITTEN = 2**22
"""Bytes of blocks that are written at a time, and rows that are taken from a table at a time"""
TEXT = 64
"""Bytes of a text in memory"""


class Gathering:
    """The inputs of a table that is added by blocks, and its other columns, ``for grid in gathering``."""

    def __init__(self, room: float | None = None) -> None:
        self._room = HELD if room is None else room
        self._frames: list[Frame] = []
        self._grids: list[Grid] = []
        self._size = 0
        self._shelved: _Shelved | None = None

    def add(self, frame: Frame, grid: Grid | None = None) -> None:
        """Append a block: its inputs, and its other columns."""
        self._frames.append(frame)
        self._size += frame.lines.nbytes + sum(values.nbytes for values in frame.columns.values())
        if grid is not None:
            self._grids.append(grid)
            self._size += TEXT * len(grid.lines) * len(grid.names)
        if self._size > (self._room if self._shelved is None else WRITTEN):
            self._put_away()

    def frame(self) -> Frame:
        """The inputs of all blocks."""
        if self._shelved is None:
            return joined(self._frames)
        if self._frames:
            self._put_away()
        return self._shelved.frame()

    def __iter__(self) -> Iterator[Grid]:
        if self._shelved is not None:
            yield from self._shelved.grids()
        yield from self._grids

    def _put_away(self) -> None:
        """Write the blocks in memory to the shelf."""
        if self._shelved is None:
            self._shelved = _Shelved(self._frames[0])
        self._shelved.add(self._frames, self._grids)
        self._frames, self._grids, self._size = [], [], 0


class _Shelved:
    """The blocks of a table on a shelf."""

    def __init__(self, like: Frame) -> None:
        self.shelf, self.unit = Shelf(), like.unit
        self.columns: dict[str, Column | Texts] = {
            name: Texts(self.shelf) if values.dtype.kind == "U" else Column(self.shelf, values.dtype)
            for name, values in like.columns.items()
        }
        self.lines = Column(self.shelf, like.lines.dtype)
        self.gaps: dict[str, Counter[str]] = {name: Counter() for name in like.columns}
        self.places: list[tuple[int, int]] = []

    def add(self, frames: Sequence[Frame], grids: Sequence[Grid]) -> None:
        """Append blocks."""
        for name, column in self.columns.items():
            column.add(np.concatenate([frame.columns[name] for frame in frames]))
            for frame in frames:
                self.gaps[name].update(frame.gaps.get(name, {}))
        self.lines.add(np.concatenate([frame.lines for frame in frames]))
        for grid in grids:
            data = pickle.dumps(grid, pickle.HIGHEST_PROTOCOL)
            self.places.append((self.shelf.put(data), len(data)))

    def frame(self) -> Frame:
        """The inputs of all blocks."""
        return Frame(dict(self.columns), self.lines, self.gaps, self.unit)

    def grids(self) -> Iterator[Grid]:
        """The other columns, by block."""
        for place, size in self.places:
            yield pickle.loads(self.shelf.get(place, size))  # written by this process alone


def gathered(frames: Sequence[Frame]) -> Frame:
    """The rows of several frames with the same columns, which may be on shelves."""
    whole = Gathering()
    for frame in frames:
        at_once = max(1, WRITTEN // (8 * (1 + len(frame.columns))))
        for begin in range(0, frame.rows, at_once):
            some = frame.take(slice(begin, begin + at_once))
            whole.add(some if begin == 0 else some._replace(gaps={}))
    return whole.frame()
