"""Files that are written whole or not at all, and arrays in ``.npz`` archives."""

from __future__ import annotations

import contextlib
import io
import os
import secrets
import zipfile
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
    """An uncompressed ``.npz`` archive of arrays."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **members)
    return buffer.getvalue()


def read_npz(path: Path) -> dict[str, Array]:
    """All arrays of an archive; objects are refused, checksums verified.

    Raises   CheckpointError for a file that is missing, truncated, altered, or no archive of arrays
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise CheckpointError(f"{path}: expected an .npz archive, got a single array")
            return {name: archive[name] for name in archive.files}
    except FileNotFoundError:
        raise CheckpointError(f"{path}: there is no such file") from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise CheckpointError(f"{path}: not a whole .npz archive of numbers ({error})") from None
