"""Files that are written whole or not at all, and arrays in ``.npz`` archives."""

from __future__ import annotations

import contextlib
import io
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from funcnet.errors import CheckpointError
from funcnet.key import Array


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


def read_npz(path: Path) -> dict[str, Array]:
    """All arrays of an archive; objects are refused, checksums verified.

    Raises   CheckpointError for a file that is missing, truncated, altered, or no archive of arrays
    """
    try:
        with open(path, "rb") as file:  # ours to close: np.load leaves its own open when the archive is damaged
            if not file.read(6).startswith((b"PK", b"\x93NUMPY")):
                raise ValueError("another kind of file; np.savez makes one")
            file.seek(0)
            archive = np.load(file, allow_pickle=False)
            if isinstance(archive, np.ndarray):
                raise CheckpointError(f"{path}: expected an .npz archive, got a single array")
            members = {name: archive[name] for name in archive.files}
    except CheckpointError:
        raise
    except FileNotFoundError:
        raise CheckpointError(f"{path}: there is no such file") from None
    except Exception as error:  # zipfile, zlib, tokenize and NumPy's reader have a dozen kinds between them
        raise CheckpointError(f"{path}: not a whole .npz archive of numbers ({error})") from None
    for name, member in members.items():
        if not isinstance(member, np.ndarray):
            raise CheckpointError(f"{path}: not a whole .npz archive of numbers ({name!r} is no array)")
    return members
