"""Raw rows from other files, in the form of the source that a network was trained on."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from funcnet.data.paths import Trusted
from funcnet.data.preparation import Dataset, check
from funcnet.data.preprocess import Preprocess, scale_targets, transform
from funcnet.data.sources.arrays import Npz, loaded, members_of, npy_piece
from funcnet.data.sources.base import Inputs, Source, Table
from funcnet.data.sources.cat_images import CatImages
from funcnet.data.sources.csv import Csv, Grid, is_number
from funcnet.data.sources.hdf5 import Hdf5, hdf5_piece, opened_hdf5
from funcnet.data.sources.idx import read_idx
from funcnet.errors import DataError, did_you_mean
from funcnet.key import Array, Key
from funcnet.spec.base import evolve

TEXT = (".csv", ".tsv", ".txt")


def raw_inputs(source: Source, preprocess: Preprocess, path: Path) -> Inputs:
    """The inputs in a file, read by its ending: a table as text, ``.npy``, ``.npz``, HDF5 or IDX.

    The columns of a table are matched by their names in training, if they had any.
    Raises   DataError for a file in another form than the training data
    """
    if source.integers:
        raise DataError(f"{path}: the run was trained on text; continue one with funcnet generate")
    ending = path.suffix.lower()
    if isinstance(source, Csv):
        return source.read(path, [column["name"] for column in preprocess["columns"]])
    if ending == ".npy":
        return loaded(npy_piece(path), None)
    if ending == ".npz":
        name = source.x if isinstance(source, Npz) else "x"
        return members_of(path, name)[name]
    if ending in (".h5", ".hdf5", ".hdf"):
        return loaded(hdf5_piece(path, _dataset_name(source, path)), None)
    if ending in TEXT:
        return _numbers(source, preprocess, path)
    if ending in (".gz", "") or "idx" in path.name:
        return read_idx(path)
    raise DataError(f"{path}: expected a .csv, .tsv, .npy, .npz, .h5 or IDX file, got {ending!r}")


def _dataset_name(source: Source, path: Path) -> str:
    """The name of the input dataset in a file: from the spec, or as in the source's own files."""
    if isinstance(source, Hdf5):
        return source.x
    with opened_hdf5(path) as file:
        names = ("test_set_x", "train_set_x") if isinstance(source, CatImages) else ()
        return next((name for name in names if name in file), "x")


def _numbers(source: Source, preprocess: Preprocess, path: Path) -> Array:
    """A table of numbers, one row per input, in the shape that inputs had in training."""
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    grid = Grid(path, delimiter, header=False)
    names = grid.names
    if not all(map(is_number, grid.rows[0])):
        grid = Grid(path, delimiter)
        names = list(source.names_of_inputs() or grid.names)
        lost = [name for name in names if name not in grid.names]
        if lost:
            near = did_you_mean(lost[0], grid.names)
            raise DataError(f"{path}: has no column {', '.join(map(repr, lost))}{near}; it has {', '.join(grid.names)}")
    shape = tuple(preprocess["shape"])
    if len(names) != math.prod(shape):
        raise DataError(f"{path}: expected {math.prod(shape)} columns of inputs, as in training, got {len(names)}")
    hint = "all inputs must be numbers"
    missing = ("", "nan", "NaN", "NA") if preprocess.get("fill") else ()
    columns = [grid.numbers(name, missing, hint) for name in names]
    return np.stack(columns, axis=1).reshape(-1, *shape)


def dataset(source: Source, preprocess: Preprocess, path: Path, dtype: npt.DTypeLike) -> Dataset:
    """Preprocessed inputs and targets of a file in the form of the training data.

    Raises   DataError for a file in another form, or a class that the training data lacks
    """
    table = _table(source, preprocess, path)
    name = type(source).__name__
    check(table, name, missing=source.impute is not None)
    y = table.y
    if y.dtype.kind == "U":
        number = {label: i for i, label in enumerate(preprocess["classes"] or ())}
        unknown = sorted(set(y.reshape(-1).tolist()) - set(number))
        if unknown:
            near = did_you_mean(unknown[0], number)
            raise DataError(
                f"{path}: has the class {unknown[0]!r}, which the training data lacks{near}; it has {', '.join(number)}"
            )
        y = np.array([number[label] for label in y.tolist()], np.int64)
    if preprocess.get("targets") is not None:
        y = scale_targets(preprocess, y.astype(np.float64))
    y = y.astype(dtype) if y.dtype.kind == "f" else y.astype(np.int64)
    return Dataset(transform(preprocess, table.x, dtype, name), y, table.weight)


def _table(source: Source, preprocess: Preprocess, path: Path) -> Table:
    changes: dict[str, Any] = {"path": str(path.resolve()), "split": None}
    if isinstance(source, Csv):
        changes["inputs"] = tuple(column["name"] for column in preprocess["columns"])
    elif not isinstance(source, Npz | Hdf5):
        if path.suffix.lower() != ".npz":
            raise DataError(f"{path}: expected an .npz archive with the members x and y for a run on {source.tag}")
        source = Npz(path="")
    return evolve(source, **changes).table(Trusted(), Key(0))  # the user names the file
