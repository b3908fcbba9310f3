"""Sources of arrays in files: npy and npz."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from funcnet.data.lazy_array import LARGE, Piece, Stream
from funcnet.data.paths import inside
from funcnet.data.sources.base import Inputs, Source, Table
from funcnet.errors import CheckpointError, DataError
from funcnet.files import npy_header, npz_shape, open_file, read_npz
from funcnet.key import Array, Key
from funcnet.shapes import Shape
from funcnet.spec.base import register
from funcnet.spec.fields import frozen

AT_ONCE = 2**20
"""Bytes unpacked at a time"""


def loaded(piece: Piece, stream: bool | None) -> Array | Stream:
    """A piece as a stream if ``stream`` asks for it, or by default if it is large, else as an array in memory."""
    size = piece.rows * math.prod(piece.shape) * piece.dtype.itemsize
    return Stream([piece]) if stream or (stream is None and size > LARGE) else piece.read(0, piece.rows)


def opened(path: Path) -> IO[bytes]:
    """Open a regular file.

    Raises   DataError for a file that is missing, empty or unreadable, and for a pipe, a device or a folder
    """
    try:
        file = open_file(path)
        if os.fstat(file.fileno()).st_size > 0:
            return file
        file.close()
        raise DataError(f"{path}: is empty")
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None


def check_form(where: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Refuse arrays without rows or without entries, before any memory is allocated for them.

    Raises   DataError
    """
    if not shape:
        raise DataError(f"{where} holds a single value, expected rows")
    too_wide = math.prod(shape[1:]) * dtype.itemsize > np.iinfo(np.intp).max  # NumPy has none, even without rows
    if 0 in shape[1:] or dtype.itemsize == 0 or (shape[0] == 0 and too_wide):
        raise DataError(f"{where} holds nothing: {dtype} of shape {shape}")


# ----- npy -------------------------------------------------------------------------------------------------------


def npy_piece(path: Path) -> Piece:
    """The rows of an ``.npy`` file, described by its header alone.

    Raises   DataError for another kind of file, objects, a single number, or a size that contradicts the header
    """
    with opened(path) as file:
        try:
            shape, fortran, dtype = npy_header(file)
        except Exception as error:  # NumPy's header reader raises half a dozen kinds
            raise DataError(f"{path}: is not an .npy file ({error}); np.save makes one") from None
        offset, size = file.tell(), os.path.getsize(path)
    if dtype.hasobject:
        raise DataError(f"{path}: holds pickled objects, which are never loaded; save an array of numbers")
    check_form(f"{path}:", shape, dtype)
    expected = offset + math.prod(shape) * dtype.itemsize
    if size != expected:
        state = "is cut short" if size < expected else "is too long"
        raise DataError(f"{path}: {state}: its header says {expected} bytes, the file has {size}")

    def rows(begin: int, end: int) -> Array:
        try:
            whole = np.memmap(path, dtype, "r", offset, shape, "F" if fortran else "C")  # closed with the call
            return np.array(whole[begin:end], order="C")
        except (OSError, ValueError) as error:
            raise DataError(f"{path}: cannot be read any more: {error}") from None

    if math.prod(shape) == 0:
        return Piece(shape[0], shape[1:], dtype, lambda begin, end: np.empty((end - begin, *shape[1:]), dtype))
    return Piece(shape[0], shape[1:], dtype, rows)


@register("npy")
@frozen
class Npy(Source):
    """Arrays in separate ``.npy`` files: ``x`` (rows, …), ``y`` (rows,) or (rows, outputs), ``weight`` (rows,).

    With ``stream`` the rows of x stay in the file and are read in blocks, the default above 256 MB.
    The columns that a split names are separate files too.
    Raises   DataError for a file that is missing, damaged or of another kind
    """

    endings = (".npy",)

    x: str
    y: str
    weight: str | None = None
    stream: bool | None = None

    @classmethod
    def inputs_in(cls, path: Path, source: Source, preprocess: Mapping[str, Any]) -> Inputs:
        return loaded(npy_piece(path), None)

    def in_shape(self, base: Path) -> Shape | None:
        return npy_piece(inside(base, self.x)).shape

    def table(self, base: Path, key: Key) -> Table:
        y, weight = (None if path is None else _whole(inside(base, path)) for path in (self.y, self.weight))
        assert y is not None
        columns = {path: _whole(inside(base, path)) for path in self.split_columns()}
        return Table(loaded(npy_piece(inside(base, self.x)), self.stream), y, weight=weight, columns=columns)


def _whole(path: Path) -> Array:
    piece = npy_piece(path)
    return piece.read(0, piece.rows)


# ----- npz -------------------------------------------------------------------------------------------------------


@register("npz")
@frozen
class Npz(Source):
    """Members of an ``.npz`` archive: ``x`` (rows, …), ``y`` (rows,) or (rows, outputs), and ``weight`` (rows,).

    The columns that a split names are members, too.
    Raises   DataError for a file that is missing or damaged, or without these members
    """

    endings = (".npz",)

    path: str
    x: str = "x"
    y: str = "y"
    weight: str | None = None

    @property
    def array_names(self) -> tuple[str, ...]:
        return (self.x,)

    @classmethod
    def inputs_in(cls, path: Path, source: Source, preprocess: Mapping[str, Any]) -> Inputs:
        name = source.array_names[-1]
        return members_of(path, name)[name]

    def in_shape(self, base: Path) -> Shape | None:
        """The shape from the member's header alone."""
        path = inside(base, self.path)
        with _as_data():
            return npz_shape(path, self.x)[1:]

    def table(self, base: Path, key: Key) -> Table:
        path = inside(base, self.path)
        named = self.split_columns()
        wanted = [name for name in (self.x, self.y, self.weight, *named) if name is not None]
        members = members_of(path, *wanted)
        weight = None if self.weight is None else members[self.weight]
        columns = {name: members[name] for name in named}
        return Table(members[self.x], members[self.y], weight=weight, columns=columns)


def members_of(path: Path, *wanted: str) -> dict[str, Array]:
    """Arrays of an archive.

    Raises   DataError as ``read_npz`` does, and for an array without entries
    """
    with _as_data():
        members = read_npz(path, wanted)
    for name, array in members.items():
        if array.ndim:  # a single number is reported with the number of rows
            check_form(f"{path}: {name!r}", array.shape, array.dtype)
    return members


@contextlib.contextmanager
def _as_data() -> Iterator[None]:
    try:
        yield
    except CheckpointError as error:
        raise DataError(str(error)) from None
