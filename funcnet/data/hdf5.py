"""HDF5 files read with care: nothing from other files, and datasets that hold what they say."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from funcnet.data import array_files
from funcnet.errors import DataError, did_you_mean, require

PACKED = 1100
"""Beyond this ratio a size is a lie: deflate packs 1032 to 1 at best"""


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """An HDF5 file to read from; needs h5py, the extra hdf5.

    Raises   DataError for a file that is missing, of another kind, or damaged, also where that shows later
    """
    h5py = require("h5py", "hdf5", f"reading {path.name}")
    array_files.opened(path).close()
    if not h5py.is_hdf5(path):
        raise DataError(f"{path}: is not an HDF5 file")
    try:
        with h5py.File(path, "r") as file:
            yield file
    except DataError:
        raise
    except Exception as error:  # h5py raises half a dozen kinds for what is damaged
        raise DataError(f"{path}: is not a whole HDF5 file ({error}); copy it again") from None


def dataset(file: Any, name: str) -> Any:
    """A dataset at the top of an open file, not yet read.

    Raises   DataError for one that is not there, lies in another file, or says that it is larger than it can be
    """
    h5py, path = require("h5py", "hdf5", "reading HDF5"), file.filename
    link = file.get(name, getlink=True)
    if link is None:
        raise DataError(
            f"{path}: has no dataset {name!r}{did_you_mean(name, file)}; it has {', '.join(file) or 'nothing'}"
        )
    if not isinstance(link, h5py.HardLink):  # a soft link may lead to one that leaves the file
        target = link.filename if isinstance(link, h5py.ExternalLink) else link.path
        raise DataError(f"{path}: {name!r} is a link to {target!r}, expected the dataset itself; copy it to its place")
    node = file[name]
    if not isinstance(node, h5py.Dataset):
        raise DataError(f"{path}: {name!r} is not a dataset but a {type(node).__name__.lower()}")
    if node.external or node.is_virtual:
        raise DataError(f"{path}: {name!r} keeps its values in other files; copy them into this one")
    stored = node.id.get_storage_size()
    if node.nbytes > stored * (PACKED if node.id.get_create_plist().get_nfilters() else 1):
        raise DataError(
            f"{path}: {name!r} says that it holds {node.nbytes} bytes, and the file has {stored}; "
            "not all of it was written"
        )
    return node
