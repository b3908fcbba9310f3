"""Arrays larger than memory: rows of files, read on demand."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from funcnet.errors import DataError, place
from funcnet.key import Array, Key

LARGE = 2**28
"""Bytes above which an array is read row by row and shuffled in blocks, unless the spec says otherwise"""
BLOCK = 1024
"""Maximum rows of a block, unless the spec says otherwise"""
BLOCK_BYTES = 2**22
"""Maximum bytes of a block, unless the spec says otherwise or a single row is larger"""
WINDOW = 8
"""Blocks whose rows are shuffled together"""
AHEAD = 2**23
"""Bytes of rows that are read together, for several batches, if these are not shuffled in blocks"""
GAP = 2**18
"""Maximum bytes of a gap between rows that is read rather than skipped"""
NUMBERS = 2**21
"""Numbers in a chunk when a whole array is scanned"""


class Piece(NamedTuple):
    """Rows of one file: their number, the shape and dtype of each, and ``read(begin, end)``."""

    rows: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    read: Callable[[int, int], Array]
    take: Callable[[Array], Array] | None = None
    """Some rows by their numbers, which increase, if that is faster than ``read``"""


class Stream:
    """An array whose rows stay in files; ``stream[rows]`` reads some of them, by slice or row numbers.

    Raises   DataError for NaN or infinity, when the rows are read
    """

    def __init__(
        self,
        pieces: Sequence[Piece],
        chosen: Array | None = None,
        changes: tuple[Callable[[Array, Array], Array], ...] = (),
        form: tuple[tuple[int, ...], np.dtype[Any]] | None = None,
    ) -> None:
        self.pieces, self.chosen, self.changes = tuple(pieces), chosen, changes
        self.raw = self.pieces[0].shape, np.result_type(*(piece.dtype for piece in self.pieces))
        self.form = form or self.raw

    def __len__(self) -> int:
        return sum(piece.rows for piece in self.pieces) if self.chosen is None else len(self.chosen)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the whole array, rows first."""
        return (len(self), *self.form[0])

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the rows."""
        return self.form[1]

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    def select(self, rows: Array) -> Stream:
        """A stream of some of the rows."""
        chosen = rows if self.chosen is None else self.chosen[rows]
        return Stream(self.pieces, chosen, self.changes, self.form)

    def map(self, change: Callable[[Array], Array]) -> Stream:
        """A stream with ``change`` applied; it takes several rows and treats each independently."""
        return self.map_numbered(lambda rows, numbers: change(rows))

    def map_numbered(self, change: Callable[[Array, Array], Array]) -> Stream:
        """A stream with ``change`` applied, which takes the numbers of the rows as well, for messages."""
        sample = change(self[:1], np.arange(1) if self.chosen is None else self.chosen[:1])
        return Stream(self.pieces, self.chosen, (*self.changes, change), (sample.shape[1:], sample.dtype))

    def __getitem__(self, key: Any) -> Array:
        if self.chosen is not None:
            rows = np.atleast_1d(self.chosen[key])
        elif isinstance(key, slice):
            rows = np.arange(*key.indices(len(self)))
        else:
            rows = np.atleast_1d(np.arange(len(self))[key])
        x = self._read(rows)
        if x.dtype.kind == "f" and not np.isfinite(x).all():
            at = tuple(np.argwhere(~np.isfinite(x))[0].tolist())
            where = place((int(rows[at[0]]), *at[1:]))
            raise DataError(f"expected finite inputs, got {x[at]} in {where}; remove or fill it")
        return self._changed(x, rows) if self.changes else x

    def _changed(self, x: Array, rows: Array) -> Array:
        """Apply the changes to some rows at a time, since intermediate rows may be wider than the final ones."""
        y = np.empty((len(x), *self.form[0]), self.form[1])
        size = rows_at_once(x)
        for begin in range(0, len(x), size):
            some = x[begin : begin + size]
            for change in self.changes:
                some = change(some, rows[begin : begin + size])
            y[begin : begin + size] = some
        return y

    def _read(self, rows: Array) -> Array:
        """Read rows given in any order, in file order."""
        shape, dtype = self.raw
        x = np.empty((len(rows), *shape), dtype)
        order = np.argsort(rows, kind="stable")
        ordered = rows[order]
        width = max(1, x[:1].nbytes)
        begin = 0
        for piece in self.pieces:
            here = slice(*np.searchsorted(ordered, [begin, begin + piece.rows]))
            own, to = ordered[here] - begin, order[here]
            begin += piece.rows
            if piece.take is not None:
                x[to] = piece.take(own)
                continue
            ends = np.flatnonzero(np.diff(own) * width > GAP) + 1
            for run, there in zip(np.split(own, ends), np.split(to, ends), strict=True):
                for first in range(0, len(run), BLOCK):
                    some = run[first : first + BLOCK]
                    low, high = int(some[0]), int(some[-1]) + 1
                    x[there[first : first + BLOCK]] = piece.read(low, high)[some - low]
        return x


def take(x: Any, rows: Array) -> Any:
    """Some rows of an array as an array, or of a stream as a stream."""
    return x.select(rows) if isinstance(x, Stream) else x[rows]


def rows_at_once(x: Any) -> int:
    """The number of rows in a chunk."""
    return max(1, NUMBERS // max(1, math.prod(x.shape[1:])))


def pieces_of(x: Any, rows: Array | None = None) -> Iterator[Array]:
    """All rows, or some, in chunks whose size is the same for arrays and streams."""
    count = len(x) if rows is None else len(rows)
    size = rows_at_once(x)
    for begin in range(0, count, size):
        piece = x[begin : begin + size] if rows is None else x[rows[begin : begin + size]]
        yield np.ascontiguousarray(piece)  # sums depend on the order in memory, in their last bits


def in_batches(arrays: Iterable[Any], size: int) -> Iterator[Array]:
    """The rows of several arrays or streams, ``size`` at a time, fewer only at the end."""
    held: list[Array] = []
    room = size
    for array in arrays:
        begin, rows = 0, len(array)
        while begin < rows:
            piece = array[begin : begin + room]
            begin, room = begin + len(piece), room - len(piece)
            held.append(piece)
            if room == 0:
                yield held[0] if len(held) == 1 else np.concatenate(held)
                held, room = [], size
    if held:
        yield held[0] if len(held) == 1 else np.concatenate(held)


def look_through(x: Stream, rows: Array) -> None:
    """Read rows once, so that errors in them show before training.

    Raises   DataError as the stream does
    """
    deque(pieces_of(x, rows), maxlen=0)


def order_of(rows: int, key: Key, block: int | None = None) -> Array:
    """The order in which an epoch visits rows.

    With ``block``, rows are shuffled in two stages: the order of blocks, then the rows within each group of eight
    blocks. So all rows read at a time lie in eight places of the file.
    """
    if block is None:
        return key.permutation(rows)
    starts = key.fold("blocks").permutation(-(-rows // block)) * block
    windows = []
    for w in range(0, len(starts), WINDOW):
        window = np.concatenate([np.arange(begin, min(begin + block, rows)) for begin in starts[w : w + WINDOW]])
        windows.append(window[key.fold("window", w).permutation(len(window))])
    return np.concatenate(windows) if windows else np.arange(0)
