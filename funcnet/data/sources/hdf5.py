"""HDF5 files, read safely: links must stay inside the file, and datasets must hold the size they declare."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from funcnet.data.lazy_array import Piece
from funcnet.data.paths import inside
from funcnet.data.sources.arrays import check_form, loaded, opened
from funcnet.data.sources.base import Inputs, Source, Table
from funcnet.errors import DataError, listed, require
from funcnet.files import is_bomb
from funcnet.hints import did_you_mean
from funcnet.key import Array, Key
from funcnet.shapes import Shape
from funcnet.spec.base import register
from funcnet.spec.fields import frozen

MOST_LINKS = 64
"""Maximum links and groups on the path to a dataset"""

PACKED = 1100
"""Maximum compression ratio of a filter; deflate reaches 1032 to 1"""


@contextmanager
def opened_hdf5(path: Path) -> Iterator[Any]:
    """Open an HDF5 file to read; needs h5py, the extra hdf5.

    Raises   DataError for a file that is missing, of another kind, or damaged, even if the damage shows later
    """
    h5py = require("h5py", "hdf5", f"reading {path.name}")
    opened(path).close()
    if not h5py.is_hdf5(path):
        raise DataError(f"{path}: is not an HDF5 file")
    try:
        with h5py.File(path, "r") as file:
            yield file
    except DataError:
        raise
    except Exception as error:  # h5py raises half a dozen kinds for a damaged file
        raise DataError(f"{path}: is not a whole HDF5 file ({error}); copy it again") from None


def dataset(file: Any, name: str) -> Any:
    """A dataset of an open file, not yet read.

    Raises   DataError for a dataset that is missing, has no rows of numbers or texts, keeps its values in other
             files, was not written completely, or declares a size that its file cannot hold
    """
    h5py, path = require("h5py", "hdf5", "reading HDF5"), file.filename
    node = _follow(h5py, file, name)
    if not isinstance(node, h5py.Dataset):
        raise DataError(f"{path}: {name!r} is not a dataset; it has {listed(_names(h5py, file))}")
    if node.external or node.is_virtual:
        raise DataError(f"{path}: {name!r} keeps its values in other files; copy them into this one")
    if node.dtype.kind not in "fiub" and h5py.check_string_dtype(node.dtype) is None:
        raise DataError(f"{path}: {name!r} holds {node.dtype}, expected numbers or texts")
    shape: tuple[int, ...] = node.shape or ()  # None for a dataset without any values
    check_form(f"{path}: {name!r}", shape, node.dtype)
    whole, stored = math.prod(shape) * node.dtype.itemsize, node.id.get_storage_size()
    filters = node.id.get_create_plist().get_nfilters()
    if node.dtype.kind != "O" and whole > stored * (PACKED if filters else 1):
        raise DataError(
            f"{path}: {name!r} declares {whole} bytes, but the file holds {stored}; it was not written completely"
        )
    whole = max(whole, math.prod(node.chunks or ()) * node.dtype.itemsize)  # a chunk is unpacked as a whole
    if is_bomb(os.path.getsize(path), whole):
        raise DataError(
            f"{path}: {name!r} declares {whole} bytes, in a file of {os.path.getsize(path)}; save it uncompressed"
        )
    return node


def _follow(h5py: Any, file: Any, name: str) -> Any:
    """The object with a name. Links are followed one by one, to check that each stays inside the file.

    Raises   DataError
    """
    path, node, steps = file.filename, file, _steps(name)
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
    raise DataError(f"{path}: {name!r} is a loop of links, or {MOST_LINKS} groups deep")


def _steps(name: str) -> list[str]:
    return [step for step in name.split("/") if step not in ("", ".")]


def _names(h5py: Any, file: Any) -> list[str]:
    names: list[str] = []
    file.visititems(lambda name, node: names.append(name) if isinstance(node, h5py.Dataset) else None)
    return names


def hdf5_piece(path: Path, name: str) -> Piece:
    """The rows of a dataset, read from the file on demand.

    Raises   DataError as ``opened_hdf5`` and ``dataset`` do
    """

    def read(begin: int, end: int) -> Array:
        with opened_hdf5(path) as file:
            return np.asarray(dataset(file, name)[begin:end])

    with opened_hdf5(path) as file:
        node = dataset(file, name)
        return Piece(node.shape[0], node.shape[1:], node.dtype, read)


def whole_dataset(path: Path, name: str) -> Array:
    """A dataset as an array; bytes become texts."""
    piece = hdf5_piece(path, name)
    values = piece.read(0, piece.rows)
    if values.dtype.kind not in "SO":
        return values
    return np.array([text_of(value) for value in values.reshape(-1).tolist()]).reshape(values.shape)


def text_of(value: Any) -> str:
    """A name as text, decoded if it is bytes."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


@register("hdf5")
@frozen
class Hdf5(Source):
    """Datasets of an HDF5 file: ``x`` (rows, …), ``y`` (rows,) or (rows, outputs), ``weight`` (rows,).

    ``classes`` is a dataset with the names of the labels, as bytes or text; labels that are texts need none. The
    columns that a split names are datasets too. The source needs h5py, the extra hdf5. With ``stream`` the rows of x
    stay in the file and are read in blocks, the default above 256 MB.
    Raises   DataError as ``hdf5_piece`` does
    """

    endings = (".h5", ".hdf5", ".hdf")

    path: str
    x: str = "x"
    y: str = "y"
    weight: str | None = None
    classes: str | None = None
    stream: bool | None = None

    @property
    def array_names(self) -> tuple[str, ...]:
        return (self.x,)

    @classmethod
    def inputs_in(cls, path: Path, source: Source, preprocess: Mapping[str, Any]) -> Inputs:
        names = source.array_names
        with opened_hdf5(path) as file:
            name = next((name for name in names if name in file), names[-1])
        return loaded(hdf5_piece(path, name), None)

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
