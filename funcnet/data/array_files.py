"""Sources of arrays in files: npy, npz, HDF5, and the IDX format of MNIST."""

from __future__ import annotations

import contextlib
import gzip
import math
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from funcnet.data.paths import inside
from funcnet.data.sources import Source, Table
from funcnet.data.streams import LARGE, Piece, Stream
from funcnet.errors import CheckpointError, DataError, did_you_mean, listed, require
from funcnet.files import MOST_AXES, is_bomb, npy_header, npz_shape, read_npz
from funcnet.key import Array, Key
from funcnet.layer import Shape
from funcnet.spec import frozen, register

MOST_LINKS = 64
"""Links and groups on the way to a dataset of an HDF5 file"""

AT_ONCE = 2**20
"""Bytes that are unpacked together"""


def loaded(piece: Piece, stream: bool | None) -> Array | Stream:
    """A piece as a stream where that is asked for, or it is large, else as an array in memory."""
    size = piece.rows * math.prod(piece.shape) * piece.dtype.itemsize
    return Stream([piece]) if stream or (stream is None and size > LARGE) else piece.read(0, piece.rows)


def opened(path: Path, mode: str = "rb") -> IO[Any]:
    """A file.

    Raises   DataError for one that is missing, empty or cannot be read
    """
    try:
        if os.path.getsize(path) == 0:
            raise DataError(f"{path}: is empty")
        return open(path, mode)
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:  # a name that no file can have
        raise DataError(f"{str(path)!r}: cannot be read: {error}") from None


def check_form(where: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Refuse arrays that are no rows of numbers, before anything is allocated for them.

    Raises   DataError
    """
    if not shape:
        raise DataError(f"{where} holds a single value, expected rows")
    if 0 in shape[1:] or dtype.itemsize == 0:
        raise DataError(f"{where} holds nothing: {dtype} of shape {shape}")


# ----- npy -------------------------------------------------------------------------------------------------------


def npy_piece(path: Path) -> Piece:
    """An ``.npy`` file, looked at from its header alone.

    Raises   DataError for another kind of file, objects, a single number, or a size that the file does not have
    """
    with opened(path) as file:
        try:
            shape, fortran, dtype = npy_header(file)
        except Exception as error:  # NumPy's reader of headers has half a dozen kinds
            raise DataError(f"{path}: is not an .npy file ({error}); np.save makes one") from None
        offset, size = file.tell(), os.path.getsize(path)
    if dtype.hasobject:
        raise DataError(f"{path}: holds objects, which only a pickle can; save an array of numbers")
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
    """Arrays in ``.npy`` files of their own: ``x`` (rows, …), ``y`` (rows,) or (rows, outputs), ``weight`` (rows,).

    With ``stream`` the rows of x stay in the file and are read in blocks; by default those of more than 256 MB do.
    The columns that a split names are files of their own, too.
    Raises   DataError for a file that is missing, damaged or of another kind
    """

    x: str
    y: str
    weight: str | None = None
    stream: bool | None = None

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

    path: str
    x: str = "x"
    y: str = "y"
    weight: str | None = None

    def in_shape(self, base: Path) -> Shape | None:
        """Read from the header of the member alone."""
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

    Raises   DataError as ``read_npz`` does, and for one that holds nothing
    """
    with _as_data():
        members = read_npz(path, wanted)
    for name, array in members.items():
        if array.ndim:  # a single number is told of with the number of rows
            check_form(f"{path}: {name!r}", array.shape, array.dtype)
    return members


@contextlib.contextmanager
def _as_data() -> Iterator[None]:
    try:
        yield
    except CheckpointError as error:
        raise DataError(str(error)) from None


# ----- HDF5 ------------------------------------------------------------------------------------------------------


def hdf5_piece(path: Path, name: str) -> Piece:
    """A dataset of an HDF5 file, looked at from its description alone.

    Raises   DataError for a file that is missing, damaged or of another kind, a dataset that is not there, holds no
             numbers or texts, or keeps its values in other files
    """
    h5py = require("h5py", "hdf5", f"{path.name}: reading HDF5")
    opened(path).close()
    if not h5py.is_hdf5(path):
        raise DataError(f"{path}: is not an HDF5 file")

    def found(file: Any) -> Any:
        node = _follow(h5py, file, name, path)
        if not isinstance(node, h5py.Dataset):
            known = _names(h5py, file)
            raise DataError(f"{path}: {name!r} is no dataset; it has {listed(known)}")
        if node.external or node.is_virtual:
            raise DataError(f"{path}: {name!r} keeps its values in other files; copy them into this one")
        return node

    def read(use: Callable[[Any], Any]) -> Any:
        try:
            with h5py.File(path, "r") as file:
                return use(found(file))
        except DataError:
            raise
        except Exception as error:  # what h5py raises for a damaged file is of half a dozen kinds
            raise DataError(f"{path}: is not a whole HDF5 file ({error})") from None

    def describe(node: Any) -> tuple[tuple[int, ...], np.dtype[Any]]:
        texts = h5py.check_string_dtype(node.dtype) is not None
        if node.dtype.kind not in "fiub" and not texts:
            raise DataError(f"{path}: {name!r} holds {node.dtype}, expected numbers or texts")
        shape: tuple[int, ...] = node.shape or ()  # None for a dataset that has no values at all
        check_form(f"{path}: {name!r}", shape, node.dtype)
        stored, whole = node.id.get_storage_size(), math.prod(shape) * node.dtype.itemsize
        if node.chunks is None and node.dtype.kind != "O" and stored < whole:
            raise DataError(f"{path}: {name!r} is cut short: it says {whole} bytes, the file has {stored}")
        whole = max(whole, math.prod(node.chunks or ()) * node.dtype.itemsize)  # a chunk is unpacked as a whole
        if is_bomb(os.path.getsize(path), whole):
            raise DataError(
                f"{path}: {name!r} says {whole} bytes, in a file of {os.path.getsize(path)}; save it uncompressed"
            )
        return shape, node.dtype

    shape, dtype = read(describe)
    return Piece(shape[0], shape[1:], dtype, lambda begin, end: read(lambda node: np.asarray(node[begin:end])))


def _follow(h5py: Any, file: Any, name: str, path: Path) -> Any:
    """What a name stands for: links within the file are followed one by one, so that none of them leads out of it.

    Raises   DataError
    """
    node, steps = file, _steps(name)
    for _ in range(MOST_LINKS):
        if not steps:
            return node
        step = steps.pop(0)
        link = node.get(step, getlink=True) if isinstance(node, h5py.Group) else None
        if link is None:
            known = _names(h5py, file)
            raise DataError(f"{path}: has no dataset {name!r}{did_you_mean(name, known)}; it has {listed(known)}")
        if isinstance(link, h5py.ExternalLink):
            raise DataError(f"{path}: {name!r} is a link to another file, {link.filename!r}; give that file instead")
        if isinstance(link, h5py.SoftLink):
            node, steps = file if link.path.startswith("/") else node, [*_steps(link.path), *steps]
        else:
            node = node[step]
    raise DataError(f"{path}: {name!r} is a circle of links, or {MOST_LINKS} groups deep")


def _steps(name: str) -> list[str]:
    return [step for step in name.split("/") if step not in ("", ".")]


def _names(h5py: Any, file: Any) -> list[str]:
    names: list[str] = []
    file.visititems(lambda name, node: names.append(name) if isinstance(node, h5py.Dataset) else None)
    return names


@register("hdf5")
@frozen
class Hdf5(Source):
    """Datasets of an HDF5 file: ``x`` (rows, …), ``y`` (rows,) or (rows, outputs), ``weight`` (rows,).

    ``classes`` is a dataset with the names of the labels, as bytes or text; labels that are texts need none. The
    columns that a split names are datasets, too. Needs h5py, the extra hdf5. With ``stream`` the rows of x stay in the
    file and are read in blocks; by default those of more than 256 MB do.
    Raises   DataError as ``hdf5_piece`` does
    """

    path: str
    x: str = "x"
    y: str = "y"
    weight: str | None = None
    classes: str | None = None
    stream: bool | None = None

    def in_shape(self, base: Path) -> Shape | None:
        return hdf5_piece(inside(base, self.path), self.x).shape

    def table(self, base: Path, key: Key) -> Table:
        path = inside(base, self.path)
        y, weight, names = (
            None if name is None else whole_dataset(path, name) for name in (self.y, self.weight, self.classes)
        )
        assert y is not None
        classes = None if names is None else tuple(map(text_of, names.reshape(-1).tolist()))
        columns = {name: whole_dataset(path, name) for name in self.split_columns()}
        return Table(loaded(hdf5_piece(path, self.x), self.stream), y, classes, weight, columns)


def whole_dataset(path: Path, name: str) -> Array:
    """A dataset as an array; bytes as texts."""
    piece = hdf5_piece(path, name)
    values = piece.read(0, piece.rows)
    if values.dtype.kind not in "SO":
        return values
    return np.array([text_of(value) for value in values.reshape(-1).tolist()]).reshape(values.shape)


def text_of(value: Any) -> str:
    """A name that may be bytes."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


# ----- IDX -------------------------------------------------------------------------------------------------------

IDX = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}


def read_idx(path: Path) -> Array:
    """An array in the IDX format, plain or gzipped.

    Layout   two zero bytes, the code of the type, the number of axes, each axis as four bytes, the numbers, all of
             them with the high byte first
    Source   LeCun, Cortes and Burges, the MNIST database
    Raises   DataError for another kind of file, or one whose size is not what its header says
    """
    with _idx(path) as (file, shape, dtype, packed):
        expected, size = math.prod(shape) * dtype.itemsize, os.path.getsize(path)
        if packed and is_bomb(size, expected):
            raise DataError(f"{path}: says that its {size} bytes become {expected}; unpack it first")
        content = bytearray()
        while (packed or expected <= size) and len(content) <= expected:
            some = file.read(min(AT_ONCE, expected + 1 - len(content)))  # no more room than there are bytes
            if not some:
                break
            content += some
    if len(content) != expected:
        found = "more" if len(content) > expected else str(len(content)) if content else "fewer"
        raise DataError(f"{path}: its header says {' x '.join(map(str, shape))}, {expected} bytes, it has {found}")
    return np.frombuffer(content, dtype).reshape(shape).astype(dtype.newbyteorder("="), copy=False)


def idx_shape(path: Path) -> tuple[int, ...]:
    """What the header of an IDX file says.

    Raises   DataError for another kind of file
    """
    with _idx(path) as (_, shape, _, _):
        return shape


@contextlib.contextmanager
def _idx(path: Path) -> Iterator[tuple[Any, tuple[int, ...], np.dtype[Any], bool]]:
    """The file behind its header, the shape and dtype in that, and whether it is packed."""
    with opened(path) as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        try:
            stream: Any = gzip.GzipFile(fileobj=file) if packed else file
            head = stream.read(4)
            if len(head) < 4 or head[:2] != b"\0\0" or head[2] not in IDX or not 0 < head[3] <= MOST_AXES:
                raise DataError(f"{path}: is not an IDX file: it begins with the bytes {head.hex(' ')}")
            axes = stream.read(4 * head[3])
            if len(axes) < 4 * head[3]:
                raise DataError(f"{path}: is cut short within its header")
            shape, dtype = struct.unpack(f">{head[3]}I", axes), np.dtype(IDX[head[2]])
            check_form(f"{path}:", shape, dtype)
            yield stream, shape, dtype, packed
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"{path}: is not a whole gzip file ({error})") from None


@register("idx")
@frozen
class Idx(Source):
    """Images (rows, height, width) and labels (rows,) in the IDX format of MNIST, plain or gzipped.

    The test part is two files of its own: ``split.given``. The columns that a split names are files, too.
    Raises   DataError as ``read_idx`` does
    """

    images: str
    labels: str

    def in_shape(self, base: Path) -> Shape | None:
        return idx_shape(inside(base, self.images))[1:]

    def table(self, base: Path, key: Key) -> Table:
        columns = {name: read_idx(inside(base, name)) for name in self.split_columns()}
        return Table(read_idx(inside(base, self.images)), read_idx(inside(base, self.labels)), columns=columns)
