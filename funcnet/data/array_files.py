"""Sources of arrays in files: npy, npz, HDF5, and the IDX format of MNIST."""

from __future__ import annotations

import gzip
import math
import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np

from funcnet.data.paths import inside
from funcnet.data.sources import Source, Table
from funcnet.data.streams import LARGE, Piece, Stream
from funcnet.errors import CheckpointError, DataError, did_you_mean, require
from funcnet.files import read_npz
from funcnet.key import Array, Key
from funcnet.layer import Shape
from funcnet.spec import frozen, register


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


# ----- npy -------------------------------------------------------------------------------------------------------


def npy_piece(path: Path) -> Piece:
    """An ``.npy`` file, looked at from its header alone.

    Raises   DataError for another kind of file, objects, a single number, or a size that the file does not have
    """
    with opened(path) as file:
        try:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, fortran, dtype = read(file)
        except Exception as error:
            raise DataError(f"{path}: is not an .npy file ({error}); np.save makes one") from None
        offset, size = file.tell(), os.path.getsize(path)
    if dtype.hasobject:
        raise DataError(f"{path}: holds objects, which only a pickle can; save an array of numbers")
    if not shape:
        raise DataError(f"{path}: holds a single number, expected rows")
    expected = offset + math.prod(shape) * dtype.itemsize
    if size < expected:
        raise DataError(f"{path}: is cut short: its header says {expected} bytes, the file has {size}")

    def rows(begin: int, end: int) -> Array:
        whole = np.memmap(path, dtype, "r", offset, shape, "F" if fortran else "C")  # closed again with the call
        return np.array(whole[begin:end])

    if math.prod(shape) == 0:
        return Piece(shape[0], shape[1:], dtype, lambda begin, end: np.empty((end - begin, *shape[1:]), dtype))
    return Piece(shape[0], shape[1:], dtype, rows)


@register("npy")
@frozen
class Npy(Source):
    """Arrays in ``.npy`` files of their own: ``x`` (rows, …), ``y`` (rows,) or (rows, outputs), ``weight`` (rows,).

    With ``stream`` the rows of x stay in the file and are read in blocks; by default those of more than 256 MB do.
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
        return Table(loaded(npy_piece(inside(base, self.x)), self.stream), y, weight=weight)


def _whole(path: Path) -> Array:
    piece = npy_piece(path)
    return piece.read(0, piece.rows)


# ----- npz -------------------------------------------------------------------------------------------------------


@register("npz")
@frozen
class Npz(Source):
    """Members of an ``.npz`` archive: ``x`` (rows, …), ``y`` (rows,) or (rows, outputs), and ``weight`` (rows,).

    All other members of one axis are columns that a split may name.
    Raises   DataError for a file that is missing or damaged, or without these members
    """

    path: str
    x: str = "x"
    y: str = "y"
    weight: str | None = None

    def in_shape(self, base: Path) -> Shape | None:
        """Read from the header of the member alone."""
        path = inside(base, self.path)
        try:
            with zipfile.ZipFile(path) as archive, archive.open(f"{self.x}.npy") as member:
                version = np.lib.format.read_magic(member)
                read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
                return tuple(read(member)[0][1:])
        except Exception:
            return _members(path, self.x)[self.x].shape[1:]  # whose errors say what is wrong

    def table(self, base: Path, key: Key) -> Table:
        path = inside(base, self.path)
        wanted = [name for name in (self.x, self.y, self.weight) if name is not None]
        members = _members(path, *wanted)
        columns = {name: array for name, array in members.items() if name not in wanted and array.ndim == 1}
        weight = None if self.weight is None else members[self.weight]
        return Table(members[self.x], members[self.y], weight=weight, columns=columns)


def _members(path: Path, *wanted: str) -> dict[str, Array]:
    """The arrays of an archive.

    Raises   DataError where one that is wanted is not among them
    """
    try:
        members = read_npz(path)
    except CheckpointError as error:
        raise DataError(str(error)) from None
    for name in wanted:
        if name not in members:
            raise DataError(f"{path}: has no member {name!r}{did_you_mean(name, members)}; it has {', '.join(members)}")
    return members


# ----- HDF5 ------------------------------------------------------------------------------------------------------


def hdf5_piece(path: Path, name: str) -> Piece:
    """A dataset of an HDF5 file, looked at from its description alone.

    Raises   DataError for a file that is missing, damaged or of another kind, a dataset that is not there, holds no
             numbers or texts, or keeps its values in other files
    """
    h5py = require("h5py", "hdf5", f"{path.name}: reading HDF5")
    opened(path).close()

    def found(file: Any) -> Any:
        node: Any = file
        for step in filter(None, name.split("/")):
            kind = node.get(step, getlink=True) if isinstance(node, h5py.Group) else None
            if kind is None:
                known = _names(h5py, file)
                raise DataError(
                    f"{path}: has no dataset {name!r}{did_you_mean(name, known)}; it has {', '.join(known)}"
                )
            if isinstance(kind, h5py.ExternalLink):
                raise DataError(
                    f"{path}: {name!r} is a link to another file, {kind.filename!r}; give that file instead"
                )
            node = node[step]
        if not isinstance(node, h5py.Dataset):
            known = _names(h5py, file)
            raise DataError(f"{path}: {name!r} is a group, expected a dataset; it has {', '.join(known)}")
        if node.external or node.is_virtual:
            raise DataError(f"{path}: {name!r} keeps its values in other files; copy them into this one")
        if not node.shape:
            raise DataError(f"{path}: {name!r} holds a single value, expected rows")
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
        if node.dtype.kind not in "fiubSO":
            raise DataError(f"{path}: {name!r} holds {node.dtype}, expected numbers")
        stored, whole = node.id.get_storage_size(), node.size * node.dtype.itemsize
        if node.chunks is None and node.dtype.kind != "O" and stored < whole:
            raise DataError(f"{path}: {name!r} is cut short: it says {whole} bytes, the file has {stored}")
        return node.shape, node.dtype

    shape, dtype = read(describe)
    return Piece(shape[0], shape[1:], dtype, lambda begin, end: read(lambda node: np.asarray(node[begin:end])))


def _names(h5py: Any, file: Any) -> list[str]:
    names: list[str] = []
    file.visititems(lambda name, node: names.append(name) if isinstance(node, h5py.Dataset) else None)
    return names


@register("hdf5")
@frozen
class Hdf5(Source):
    """Datasets of an HDF5 file: ``x`` (rows, …), ``y`` (rows,) or (rows, outputs), ``weight`` (rows,).

    ``classes`` is a dataset with the names of the labels, as bytes or text. Needs h5py, the extra hdf5. With
    ``stream`` the rows of x stay in the file and are read in blocks; by default those of more than 256 MB do.
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
        classes = None if names is None else tuple(map(text_of, names.tolist()))
        return Table(loaded(hdf5_piece(path, self.x), self.stream), y, classes, weight)


def whole_dataset(path: Path, name: str) -> Array:
    """A dataset as an array."""
    piece = hdf5_piece(path, name)
    return piece.read(0, piece.rows)


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
    with opened(path) as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        try:
            stream: Any = gzip.GzipFile(fileobj=file) if packed else file
            head = stream.read(4)
            if len(head) < 4 or head[:2] != b"\0\0" or head[2] not in IDX or head[3] == 0:
                raise DataError(f"{path}: is not an IDX file: it begins with the bytes {head.hex(' ')}")
            axes = stream.read(4 * head[3])
            if len(axes) < 4 * head[3]:
                raise DataError(f"{path}: is cut short within its header")
            shape = struct.unpack(f">{head[3]}I", axes)
            dtype = np.dtype(IDX[head[2]])
            expected = math.prod(shape) * dtype.itemsize
            most = 1100 * os.path.getsize(path) if packed else os.path.getsize(path)  # deflate packs 1032 to 1 at best
            content = stream.read(expected + 1) if expected <= most else b""
        except (OSError, EOFError) as error:
            raise DataError(f"{path}: is not a whole gzip file ({error})") from None
    if len(content) != expected:
        found = f"{len(content)}" if content else "fewer"
        found = "more" if len(content) > expected else found
        raise DataError(f"{path}: its header says {' x '.join(map(str, shape))}, {expected} bytes, it has {found}")
    return np.frombuffer(content, dtype).reshape(shape).astype(dtype.newbyteorder("="))


@register("idx")
@frozen
class Idx(Source):
    """Images (rows, height, width) and labels (rows,) in the IDX format of MNIST, plain or gzipped.

    The test part is two files of its own: ``split.given``.
    Raises   DataError as ``read_idx`` does
    """

    images: str
    labels: str

    def in_shape(self, base: Path) -> Shape | None:
        return read_idx(inside(base, self.images)).shape[1:]

    def table(self, base: Path, key: Key) -> Table:
        return Table(read_idx(inside(base, self.images)), read_idx(inside(base, self.labels)))
