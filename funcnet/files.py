"""Reading of regular files, atomic writing, and arrays in ``.npz`` archives."""

from __future__ import annotations

import contextlib
import errno
import io
import math
import os
import secrets
import stat
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from funcnet.errors import CheckpointError, FuncnetError, listed
from funcnet.hints import did_you_mean
from funcnet.key import Array

HARMLESS = 2**28
"""Unpacked bytes that are always allowed"""
MOST = 100
"""Maximum ratio of unpacked to packed size beyond that"""
LONGEST_HEADER = 10_000
"""Maximum bytes of an ``.npy`` header, as in NumPy"""
MOST_AXES = 32
LARGEST_JSON = 2**28
"""Maximum bytes of a JSON file of a run"""
OTHER_FILES = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
}


def open_file(path: str | os.PathLike[str]) -> io.BufferedReader:
    """Open a regular file to read.

    Raises   OSError for a file that is missing or unreadable, and for a pipe, a device or a folder, which may never
             end; for an impossible name too
    """
    try:
        file = open(path, "rb", opener=_without_waiting)  # noqa: SIM115 - the caller closes it
    except ValueError as error:  # a null character, or half of a surrogate pair
        raise OSError(errno.EINVAL, str(error)) from None
    other = other_file(os.fstat(file.fileno()))
    if other is not None:
        file.close()
        raise OSError(errno.EINVAL, f"it is {other}, not a regular file")
    return file


def is_inside(folder: Path, path: Path) -> bool:
    """Whether a path stays in a folder, symlinks included."""
    try:
        return path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError, ValueError):  # a loop of links, or an impossible name
        return False


def other_file(found: os.stat_result) -> str | None:
    """The kind of a file that is not a regular one."""
    kind = stat.S_IFMT(found.st_mode)
    return None if kind == stat.S_IFREG else OTHER_FILES.get(kind, "something else")


def reason(error: OSError | ValueError) -> str:
    """Why a file cannot be used, in the system's words."""
    return getattr(error, "strerror", None) or str(error)


def _without_waiting(path: str, flags: int) -> int:
    """Open a pipe without a writer, too, instead of waiting for one."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def read_bytes(path: str | os.PathLike[str], most: int | None = None) -> bytes:
    """The content of a regular file of at most ``most`` bytes.

    Raises   OSError as ``open_file`` does, and for a larger file
    """
    with open_file(path) as file:
        content = file.read(-1 if most is None else most + 1)
        size = os.fstat(file.fileno()).st_size
    if most is not None and len(content) > most:
        raise OSError(errno.EFBIG, f"the file has {max(size, len(content))} bytes; the limit is {most}")
    return content


def write_bytes(path: Path, content: bytes) -> None:
    """Replace a file in one step, as ``replacing`` does.

    Raises   CheckpointError
    """
    with replacing(path) as file:
        file.write(content)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file to write, which takes the place of another in one step once all is written.

    It is a temporary file beside it: flush, fsync, rename, fsync the folder.
    Raises   CheckpointError if the folder cannot be written, and for a pipe, a device or a folder, which would be
             lost; what is there is then unchanged, as it is after any other error
    """
    with contextlib.suppress(OSError, ValueError):  # nothing is there, or the reason is told below
        other = other_file(os.stat(path))
        if other is not None:
            raise CheckpointError(f"{path}: is {other}; expected the name of a file to write")
    temporary = path.parent / f".{path.name}.{secrets.token_hex(6)}.tmp"
    try:
        try:
            with open(temporary, "xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError, ValueError):
                os.unlink(temporary)
            raise
        if os.name == "posix":  # elsewhere a folder cannot be opened
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
    except FuncnetError:  # of what is written
        raise
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{path}: cannot be written ({reason(error)}); choose a writable folder, or free some space"
        ) from None


def make_folder(path: Path) -> None:
    """Make a folder and those above it, unless it is there.

    Raises   CheckpointError
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{path}: this folder cannot be made ({reason(error)}); choose a writable place, or free some space"
        ) from None


def text_of(array: Array) -> str:
    """The text of an array of one text.

    Raises   ValueError for any other array, and for codes that are no characters
    """
    if array.dtype.kind != "U" or array.shape != ():
        raise ValueError(f"expected a text, got {array.dtype} of {array.shape}")
    return array.astype(array.dtype.newbyteorder("<")).tobytes().decode("utf-32-le").rstrip("\0")


def npz_bytes(members: Mapping[str, Any]) -> bytes:
    """An uncompressed ``.npz`` archive of arrays.

    Raises   CheckpointError for arrays of objects, which would need pickle
    """
    arrays = {name: np.asarray(member) for name, member in members.items()}
    for name, array in arrays.items():
        if array.dtype.hasobject:
            raise CheckpointError(f"{name}: expected an array of numbers, got objects")
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def is_bomb(packed: int, unpacked: int) -> bool:
    """Whether the declared unpacked size is suspiciously large for the compressed size.

    Real data compresses two- to tenfold; deflate can reach a thousandfold, so a small file could fill the memory.
    """
    return unpacked > max(HARMLESS, MOST * packed)


def npy_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, Fortran order and dtype of an ``.npy`` file; the file is then positioned at its first number.

    Source   NumPy Enhancement Proposal 1
    Raises   ValueError for another kind of file, a long header, or an impossible shape
    """
    start = file.read(8)
    version = (start[6], start[7]) if len(start) == 8 else None
    if start[:6] != np.lib.format.MAGIC_PREFIX or version not in ((1, 0), (2, 0), (3, 0)):
        raise ValueError(f"it begins with the bytes {start.hex(' ')}" if start else "it is empty")
    length = file.read(2 if version == (1, 0) else 4)
    if int.from_bytes(length, "little") > LONGEST_HEADER:
        raise ValueError(f"its header declares a length of {int.from_bytes(length, 'little')} bytes")
    rest = io.BytesIO(length + file.read(int.from_bytes(length, "little")))
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    try:
        shape, fortran, dtype = read(rest)
    except ValueError:
        raise
    except Exception as error:  # Python's own parser: MemoryError and RecursionError for what is nested too deep
        raise ValueError(f"its header cannot be read ({type(error).__name__})") from None
    if len(shape) > MOST_AXES or any(isinstance(n, bool) or not 0 <= n < 2**63 for n in shape):
        raise ValueError(f"its header has the shape {shape!r:.80}")
    return shape, fortran, dtype


def read_npz(path: Path, names: Sequence[str] | None = None) -> dict[str, Array]:
    """The arrays of an archive, all or the named ones; objects are refused, checksums verified.

    The headers and the directory are checked against the file's size before any memory is allocated.
    Raises   CheckpointError for a file that is missing, truncated, altered, or not an archive of arrays, and for a
             missing name
    """
    with _archive(path) as archive:
        members = _members(archive)
        if names is not None:
            _check_names(path, names, members)
        return {name: _read(archive, members[name]) for name in (members if names is None else names)}


def npz_shape(path: Path, name: str) -> tuple[int, ...]:
    """The shape of one array of an archive, from its header.

    Raises   CheckpointError as ``read_npz`` does
    """
    with _archive(path) as archive:
        members = _members(archive)
        _check_names(path, [name], members)
        return _header(archive, members[name])[0]


@contextlib.contextmanager
def _archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """The archive in a file; every error while it is open becomes a CheckpointError."""
    try:
        with open_file(path) as file:
            start = file.read(6)
            file.seek(0)
            if start == np.lib.format.MAGIC_PREFIX:
                npy_header(file)
                raise CheckpointError(f"{path}: expected an .npz archive, got a single array")
            if not start.startswith(b"PK"):
                raise ValueError("another kind of file; np.savez makes one")
            with zipfile.ZipFile(file) as archive:
                total = sum(info.file_size for info in archive.infolist())
                size = os.path.getsize(path)
                if is_bomb(size, total):
                    raise ValueError(f"{size} bytes that declare {total} unpacked; save it uncompressed: np.savez")
                yield archive
    except FuncnetError:
        raise
    except FileNotFoundError:
        raise CheckpointError(f"{path}: there is no such file") from None
    except MemoryError:
        raise
    except Exception as error:  # zipfile, zlib, tokenize and NumPy's reader raise a dozen kinds
        raise CheckpointError(f"{path}: not a whole .npz archive of numbers ({error})") from None


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """The members of an archive by array name."""
    members: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        name = info.filename.removesuffix(".npy")
        if name in members:
            raise ValueError(f"two members are called {name!r}")
        members[name] = info
    return members


def _check_names(path: Path, names: Sequence[str], known: Mapping[str, Any]) -> None:
    for name in names:
        if name not in known:
            near = did_you_mean(name, known)
            raise CheckpointError(f"{path}: has no member {name!r}{near}; it has {listed(known)}")


def _header(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and dtype of a member, checked against its size.

    Raises   ValueError
    """
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{info.filename!r} uses a compression that np.savez does not")
    with archive.open(info) as member:
        try:
            shape, _, dtype = npy_header(member)
        except ValueError as error:
            raise ValueError(f"{info.filename!r} is not an array: {error}") from None
        begin = member.tell()
    if dtype.hasobject:
        raise ValueError(f"{info.filename!r} holds pickled objects, which are never loaded")
    expected = begin + math.prod(shape) * dtype.itemsize
    if info.file_size != expected:
        raise ValueError(f"{info.filename!r} declares {expected} bytes, but has {info.file_size}")
    return shape, dtype


def _read(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Array:
    _header(archive, info)
    with archive.open(info) as member:
        array: Array = np.lib.format.read_array(member, allow_pickle=False)
        member.read(1)  # reach the end, where the checksum is compared
    return array
