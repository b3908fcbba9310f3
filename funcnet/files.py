"""Files that are written whole or not at all, and arrays in ``.npz`` archives."""

from __future__ import annotations

import contextlib
import io
import math
import os
import secrets
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from funcnet.errors import CheckpointError, FuncnetError, did_you_mean, listed
from funcnet.key import Array

HARMLESS = 2**28
"""Bytes that anything may become when it is unpacked"""
MOST = 100
"""Times its size that a file may become beyond that"""
LONGEST_HEADER = 10_000
"""Bytes of an ``.npy`` header, as NumPy has it"""
MOST_AXES = 32


def write_bytes(path: Path, content: bytes) -> None:
    """Replace a file in one step: temporary file beside it, flush, fsync, rename, fsync the folder.

    Raises   CheckpointError when the folder cannot be written; the old file is then as it was
    """
    temporary = path.parent / f".{path.name}.{secrets.token_hex(6)}.tmp"
    try:
        try:
            with open(temporary, "xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        if os.name == "posix":  # elsewhere a folder cannot be opened
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
    except OSError as error:
        raise CheckpointError(
            f"{path}: cannot be written ({error.strerror}); choose a folder that can, or free some space"
        ) from None


def npz_bytes(members: Mapping[str, Any]) -> bytes:
    """An uncompressed ``.npz`` archive of arrays.

    Raises   CheckpointError for objects, which only a pickle could hold
    """
    arrays = {name: np.asarray(member) for name, member in members.items()}
    for name, array in arrays.items():
        if array.dtype.hasobject:
            raise CheckpointError(f"{name}: expected an array of numbers, got objects")
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def is_bomb(packed: int, unpacked: int) -> bool:
    """Whether so many packed bytes are refused because of what they say they become.

    Numbers that mean something pack two to ten times; deflate's best is a thousand, which is how a small file could
    fill a memory.
    """
    return unpacked > max(HARMLESS, MOST * packed)


def npy_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, Fortran order and dtype of an ``.npy`` file, which is left at its first number.

    Source   NumPy Enhancement Proposal 1
    Raises   ValueError for another kind of file, a long header, or a shape that no array has
    """
    start = file.read(8)
    version = (start[6], start[7]) if len(start) == 8 else None
    if start[:6] != np.lib.format.MAGIC_PREFIX or version not in ((1, 0), (2, 0), (3, 0)):
        raise ValueError(f"it begins with the bytes {start.hex(' ')}" if start else "it is empty")
    length = file.read(2 if version == (1, 0) else 4)
    if int.from_bytes(length, "little") > LONGEST_HEADER:
        raise ValueError(f"its header says that it is {int.from_bytes(length, 'little')} bytes long")
    rest = io.BytesIO(length + file.read(int.from_bytes(length, "little")))
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(rest)
    if len(shape) > MOST_AXES or any(isinstance(n, bool) or not 0 <= n < 2**63 for n in shape):
        raise ValueError(f"its header has the shape {shape!r:.80}")
    return shape, fortran, dtype


def read_npz(path: Path, names: Sequence[str] | None = None) -> dict[str, Array]:
    """The arrays of an archive, all or those named; objects are refused, checksums verified.

    What headers and the directory say is held against the file's size before anything is allocated.
    Raises   CheckpointError for a file that is missing, truncated, altered, no archive of arrays, or without a name
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
    """The archive in a file; whatever goes wrong while it is open is one kind of error."""
    try:
        with open(path, "rb") as file:
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
                    raise ValueError(f"{size} bytes that say they become {total}; save it uncompressed: np.savez")
                yield archive
    except FuncnetError:
        raise
    except FileNotFoundError:
        raise CheckpointError(f"{path}: there is no such file") from None
    except Exception as error:  # zipfile, zlib, tokenize and NumPy's reader have a dozen kinds between them
        raise CheckpointError(f"{path}: not a whole .npz archive of numbers ({error})") from None


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """What the archive holds, by the names of the arrays."""
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
    """Shape and dtype of a member, whose size is what they say.

    Raises   ValueError
    """
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{info.filename!r} is compressed in a way that np.savez does not know")
    with archive.open(info) as member:
        try:
            shape, _, dtype = npy_header(member)
        except ValueError as error:
            raise ValueError(f"{info.filename!r} is no array: {error}") from None
        begin = member.tell()
    if dtype.hasobject:
        raise ValueError(f"{info.filename!r} holds objects, which only a pickle can")
    expected = begin + math.prod(shape) * dtype.itemsize
    if info.file_size != expected:
        raise ValueError(f"{info.filename!r} says that it is {expected} bytes, and is {info.file_size}")
    return shape, dtype


def _read(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Array:
    _header(archive, info)
    with archive.open(info) as member:
        array: Array = np.lib.format.read_array(member, allow_pickle=False)
        member.read(1)  # the end, where the checksum is compared
    return array
