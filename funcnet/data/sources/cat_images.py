"""Is it a cat? Images in two HDF5 files, or rings among other shapes in their place."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from attrs import field

from funcnet.data.paths import inside
from funcnet.data.sources.base import Source, Table
from funcnet.data.sources.generators import check_size
from funcnet.data.sources.hdf5 import dataset, opened_hdf5
from funcnet.data.sources.ring_images import CLASSES, SIDE, pictures
from funcnet.errors import DataError, Problem
from funcnet.key import Array, Key
from funcnet.shapes import Shape
from funcnet.spec.base import register
from funcnet.spec.fields import frozen, positive

IMAGE = (SIDE, SIDE, 3)


@register("cat_images")
@frozen
class CatImages(Source):
    """Colour images of 64 x 64 pixels in two classes, 1 for the positive one, with given training and test parts.

    ``folder`` holds ``train_catvnoncat.h5`` with the datasets train_set_x (m, 64, 64, 3) uint8, train_set_y (m,)
    integers and list_classes (names as bytes), and ``test_catvnoncat.h5`` with the same but the prefix test_. It
    needs h5py, the extra hdf5. Without a folder, ``train`` and ``test`` images of shapes are drawn instead, and rings
    are the positive class.
    Inputs (64, 64, 3) uint8, targets labels.
    Raises   DataError for a file that is missing, damaged, or of another layout
    """

    folder: str | None = None
    train: int = field(default=400, validator=positive)
    test: int = field(default=200, validator=positive)

    @property
    def array_names(self) -> tuple[str, ...]:
        return "test_set_x", "train_set_x", "x"

    def validate(self) -> Iterator[Problem]:
        yield from check_size(".train", self.train, SIDE * SIDE * 3)
        yield from check_size(".test", self.test, SIDE * SIDE * 3)

    def in_shape(self, base: Path) -> Shape | None:
        return IMAGE

    def table(self, base: Path, key: Key) -> Table:
        if self.folder is None:
            train = Images(*pictures(key.fold("train"), self.train), CLASSES)
            test = Images(*pictures(key.fold("test"), self.test), CLASSES)
        else:
            folder = Path(self.folder)
            train, test = (
                read(inside(base, str(folder / f"{part}_catvnoncat.h5")), part) for part in ("train", "test")
            )
            if train.classes != test.classes:
                raise DataError(
                    f"{base / self.folder}: expected the same list_classes in both files, "
                    f"got {', '.join(train.classes)} for training and {', '.join(test.classes)} for testing"
                )
        x, y = np.concatenate([train.x, test.x]), np.concatenate([train.y, test.y])
        part = np.repeat(np.array([0, 2], np.int8), [len(train.y), len(test.y)])
        return Table(x, y, train.classes, part=part)


class Images(NamedTuple):
    """One file: images (m, 64, 64, 3) uint8, labels (m,) int64, and the names of the classes."""

    x: Array
    y: Array
    classes: tuple[str, ...]


def read(path: Path, part: str) -> Images:
    """The images of one file; ``part`` is the prefix of its dataset names.

    Raises   DataError
    """
    with opened_hdf5(path) as file:
        names, x, y = (dataset(file, name) for name in ("list_classes", f"{part}_set_x", f"{part}_set_y"))
        if x.dtype != np.uint8 or len(x.shape) != 4 or x.shape[1:] != IMAGE or len(x) == 0:
            raise DataError(
                f"{path}: {part}_set_x: expected uint8 images of shape (m, 64, 64, 3), got {x.dtype} of {x.shape}"
            )
        if y.dtype.kind not in "iu" or y.shape != x.shape[:1]:
            raise DataError(
                f"{path}: {part}_set_y: expected integer labels of shape {x.shape[:1]}, one for each image, "
                f"got {y.dtype} of {y.shape}"
            )
        if names.dtype.kind not in "SO" or len(names.shape) != 1 or len(names) == 0:
            raise DataError(
                f"{path}: list_classes: expected names as bytes of shape (classes,), got {names.dtype} of {names.shape}"
            )
        classes = tuple(decoded(name, path) for name in names[()].tolist())
        labels = y[()]
        wrong = np.flatnonzero((labels < 0) | (labels >= len(classes)))
        if len(wrong):
            raise DataError(
                f"{path}: {part}_set_y: expected labels from 0 to {len(classes) - 1}, "
                f"got {labels[wrong[0]]} at row {wrong[0]}"
            )
        return Images(x[()], labels.astype(np.int64), classes)


def decoded(name: object, path: Path) -> str:
    """The name of a class from its bytes.

    Raises   DataError for a name other than UTF-8 bytes
    """
    if isinstance(name, bytes):
        with contextlib.suppress(UnicodeDecodeError):
            return name.decode("utf-8")
    raise DataError(f"{path}: list_classes: expected names in UTF-8, got {name!r:.60}")
