"""The IDX format of MNIST."""

from __future__ import annotations

import contextlib
import gzip
import math
import os
import struct
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from funcnet.data.paths import inside
from funcnet.data.sources.arrays import AT_ONCE, check_form, opened
from funcnet.data.sources.base import Inputs, Source, Table
from funcnet.errors import DataError
from funcnet.files import MOST_AXES, is_bomb
from funcnet.key import Array, Key
from funcnet.shapes import Shape
from funcnet.spec.base import register
from funcnet.spec.fields import frozen

IDX = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}


def read_idx(path: Path) -> Array:
    """An array in the IDX format, plain or gzipped.

    Layout   two zero bytes, the code of the type, the number of axes, each axis as four bytes, the numbers; all
             big-endian
    Source   LeCun, Cortes and Burges, the MNIST database
    Raises   DataError for another kind of file, or a size that contradicts the header
    """
    with _idx(path) as (file, shape, dtype, packed):
        expected, size = math.prod(shape) * dtype.itemsize, os.path.getsize(path)
        if packed and is_bomb(size, expected):
            raise DataError(f"{path}: has {size} bytes and declares {expected} unpacked; unpack it first")
        content = bytearray()
        while (packed or expected <= size) and len(content) <= expected:
            some = file.read(min(AT_ONCE, expected + 1 - len(content)))  # allocate only for bytes that exist
            if not some:
                break
            content += some
    if len(content) != expected:
        found = "more" if len(content) > expected else str(len(content)) if content else "fewer"
        raise DataError(f"{path}: its header says {' x '.join(map(str, shape))}, {expected} bytes, but it has {found}")
    return np.frombuffer(content, dtype).reshape(shape).astype(dtype.newbyteorder("="), copy=False)


def idx_shape(path: Path) -> tuple[int, ...]:
    """The shape in the header of an IDX file.

    Raises   DataError for another kind of file
    """
    with _idx(path) as (_, shape, _, _):
        return shape


@contextlib.contextmanager
def _idx(path: Path) -> Iterator[tuple[Any, tuple[int, ...], np.dtype[Any], bool]]:
    """The open file, positioned after its header, with the shape and dtype from it, and whether it is gzipped."""
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

    The test part is two more files, given by ``split.given``. The columns that a split names are files too.
    Raises   DataError as ``read_idx`` does
    """

    endings = ("", ".gz", ".idx", ".idx2-ubyte", ".idx3-ubyte", ".idx4-ubyte")

    images: str
    labels: str

    @classmethod
    def inputs_in(cls, path: Path, source: Source, preprocess: Mapping[str, Any]) -> Inputs:
        return read_idx(path)

    def in_shape(self, base: Path) -> Shape | None:
        return idx_shape(inside(base, self.images))[1:]

    def table(self, base: Path, key: Key) -> Table:
        columns = {name: read_idx(inside(base, name)) for name in self.split_columns()}
        return Table(read_idx(inside(base, self.images)), read_idx(inside(base, self.labels)), columns=columns)
