"""A table that is larger than memory, in temporary files: its columns as they are read, and its prepared rows.

The files have no name, so they are gone when the table is, and when the process ends in whatever way.
"""

from __future__ import annotations

import math
import mmap
import tempfile
import threading
from bisect import bisect_right
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from funcnet.data.lazy_array import Piece, Stream
from funcnet.errors import DataError
from funcnet.key import Array

ROOM = 2**26
"""Bytes of a table's prepared rows above which they are kept in a temporary file"""
MAPPED = 2**24
"""Bytes of a file that are mapped into memory at a time"""


class Shelf:
    """Bytes in a temporary file.

    Raises   DataError for a folder of temporary files that has no room
    """

    def __init__(self) -> None:
        self._lock, self._end = threading.Lock(), 0
        try:
            self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  # closed with the shelf
        except OSError as error:
            raise self._no_room(error) from None

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            self._file.close()

    def put(self, data: Any) -> int:
        """Append an array or bytes; its place."""
        view = memoryview(data).cast("B")
        with self._lock:
            begin = self._end
            try:
                self._file.seek(begin)
                while len(view):
                    written = self._file.write(view)
                    view, self._end = view[written:], self._end + written
            except OSError as error:
                raise self._no_room(error) from None
        return begin

    def get(self, begin: int, size: int) -> bytearray:
        """The bytes at a place."""
        data = bytearray(size)
        view = memoryview(data)
        with self._lock:
            self._file.seek(begin)
            while len(view):
                count = self._file.readinto(view)
                if not count:
                    raise DataError(f"{tempfile.gettempdir()}: a temporary file was cut short; start again")
                view = view[count:]
        return data

    def map(self) -> mmap.mmap:
        """The whole file, mapped into memory to be read."""
        return mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)

    def _no_room(self, error: OSError) -> DataError:
        try:
            folder = tempfile.gettempdir()
        except OSError:  # there is none that can be written to
            folder = "the folder of temporary files"
        return DataError(
            f"{folder}: has no room for this table, {self._end / 1e6:,.0f} MB so far ({error.strerror}); "
            "set the environment variable TMPDIR to a folder on a larger disk"
        )


# ----- columns -------------------------------------------------------------------------------------------------------


class Column:
    """A column of numbers on a shelf, which reads like an array: ``column[:]``, or some rows by slice or numbers."""

    def __init__(self, shelf: Shelf, dtype: npt.DTypeLike) -> None:
        self.shelf, self.dtype = shelf, np.dtype(dtype)
        self.missing = 0
        """How many values are missing"""
        self._begins, self._places, self._rows = list[int](), list[int](), 0

    def __len__(self) -> int:
        return self._rows

    def add(self, values: Array) -> None:
        """Append values."""
        self._begins.append(self._rows)
        self._places.append(self.shelf.put(np.ascontiguousarray(values, self.dtype)))
        self._rows += len(values)
        self.missing += int(np.isnan(values).sum()) if self.dtype.kind == "f" else 0

    def __getitem__(self, rows: Any) -> Any:
        if not isinstance(rows, slice):
            return self[:][rows] if isinstance(rows, np.ndarray) else self[int(rows) : int(rows) + 1][0]
        first, end, step = rows.indices(self._rows)
        values, size = np.empty(max(0, end - first), self.dtype), self.dtype.itemsize
        at = first
        while at < end:
            piece = bisect_right(self._begins, at) - 1
            begin, after = self._begins[piece], [*self._begins[piece + 1 : piece + 2], self._rows][0]
            stop = min(end, after)
            data = self.shelf.get(self._places[piece] + (at - begin) * size, (stop - at) * size)
            values[at - first : stop - first] = np.frombuffer(data, self.dtype)
            at = stop
        return values if step == 1 else values[::step]


class Texts:
    """A column of texts on a shelf, of which few differ: ``known`` has each once, ``codes`` which one a row has."""

    dtype = np.dtype(str)

    def __init__(self, shelf: Shelf) -> None:
        self.codes = Column(shelf, np.int32)
        self._places: dict[str, int] = {}
        self._known: Array | None = None
        self.missing = 0

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def known(self) -> Array:
        """The texts that there are, once each."""
        if self._known is None:
            self._known = np.array(list(self._places))
        return self._known

    def add(self, values: Array) -> None:
        """Append texts."""
        places = self._places
        self.codes.add(np.array([places.setdefault(text, len(places)) for text in values.tolist()], np.int32))
        self.missing += int((values == "").sum())
        self._known = None

    def __getitem__(self, rows: Any) -> Any:
        return self.known[self.codes[rows]]


def missing_in(values: Any) -> int:
    """How many values of a column are missing."""
    if isinstance(values, Column | Texts):
        return values.missing
    return int((values == "").sum() if values.dtype.kind == "U" else np.isnan(values).sum())


# ----- prepared rows -------------------------------------------------------------------------------------------------


class Rows:
    """Rows of numbers on a shelf, which are written in order, ``rows[0:1024] = …``, and read as a stream in any."""

    def __init__(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> None:
        self.shape, self.dtype, self._shelf = shape, np.dtype(dtype), Shelf()
        self._width = max(1, math.prod(shape[1:]) * self.dtype.itemsize)
        self._map: mmap.mmap | None = None

    def __setitem__(self, rows: slice, values: Array) -> None:
        self._shelf.put(np.ascontiguousarray(values, self.dtype))

    def stream(self) -> Stream:
        """These rows as a stream."""
        return Stream([Piece(self.shape[0], self.shape[1:], self.dtype, self.read, self.take)])

    def read(self, begin: int, end: int) -> Array:
        """Rows that follow one another."""
        data = self._shelf.get(begin * self._width, (end - begin) * self._width)
        return np.frombuffer(data, self.dtype).reshape(-1, *self.shape[1:])

    def take(self, rows: Array) -> Array:
        """Rows in increasing order. Pages of the file are mapped, and let go of, some at a time."""
        if self._map is None:
            self._map = self._shelf.map()
        whole = np.frombuffer(self._map, self.dtype).reshape(self.shape)
        some, step, at = np.empty((len(rows), *self.shape[1:]), self.dtype), max(1, MAPPED // self._width), 0
        while at < len(rows):
            end = int(np.searchsorted(rows, rows[at] + step))
            some[at:end] = whole[rows[at:end]]
            at = end
            if hasattr(self._map, "madvise"):
                self._map.madvise(mmap.MADV_DONTNEED)
        return some


def empty(shape: tuple[int, ...], dtype: npt.DTypeLike) -> Any:
    """An array to be filled in order, or if it is large ``Rows``."""
    return Rows(shape, dtype) if math.prod(shape) * np.dtype(dtype).itemsize > ROOM else np.empty(shape, dtype)


# ----- many columns, to be read one at a time -------------------------------------------------------------------------


class Turned:
    """Rows of numbers that are added in pieces and read by column: on a shelf if they are large."""

    def __init__(self, size: int) -> None:
        self._shelf = Shelf() if size > ROOM else None
        self._pieces: list[tuple[Any, int]] = []
        self.shape: tuple[int, ...] = ()

    def add(self, values: Array) -> None:
        """Append rows of float64."""
        self.shape = values.shape[1:]
        turned = np.ascontiguousarray(values.reshape(len(values), -1).T)
        self._pieces.append((turned if self._shelf is None else self._shelf.put(turned), len(values)))

    def columns(self) -> Iterator[Array]:
        """All values of some columns at a time, (columns, rows)."""
        width, rows = math.prod(self.shape), sum(count for _, count in self._pieces)
        at_once = max(1, ROOM // 8 // max(1, 8 * rows))
        for first in range(0, width, at_once):
            end = min(width, first + at_once)
            yield np.concatenate([self._piece(piece, count, first, end) for piece, count in self._pieces], axis=1)

    def _piece(self, piece: Any, count: int, first: int, end: int) -> Array:
        if self._shelf is None:
            some: Array = piece[first:end]
            return some
        data = self._shelf.get(piece + first * count * 8, (end - first) * count * 8)
        return np.frombuffer(data, np.float64).reshape(end - first, count)
