"""Other inputs and targets, of a file or a table in memory, in the form of the source that a network was trained on."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import numpy.typing as npt

from funcnet.data.labels import check_targets, known_numbers
from funcnet.data.paths import Trusted
from funcnet.data.preparation import Dataset, check, left_out, without_target
from funcnet.data.preprocess import Preprocess, transform
from funcnet.data.scaling import scale_targets
from funcnet.data.sources.arrays import Npz
from funcnet.data.sources.base import Source, Table
from funcnet.data.sources.memory import Cells
from funcnet.data.sources.table import in_memory
from funcnet.data.usable import as_targets
from funcnet.errors import DataError
from funcnet.key import Key

log = logging.getLogger("funcnet")


def dataset(source: Source, preprocess: Preprocess, data: Path | Cells | Table, dtype: npt.DTypeLike) -> Dataset:
    """Preprocessed inputs and targets of a file, or of rows in memory, in the form of the training data.

    Raises   DataError for a file or a table in another form, or a class that the training data lacks
    """
    where: Path | str
    if isinstance(data, Table):
        where, table = "the targets", data
    elif isinstance(data, Cells):
        where, table = data.path, in_memory(source).again(preprocess).treated(data)
    else:
        where, table = data, _in_file(source, preprocess, data)
    name = type(source).__name__
    check(table, name, missing=source.impute is not None)
    check_targets(table, preprocess, where)
    for sentence in left_out(without_target(table)):
        log.warning("%s: %s", where, sentence)
    y = table.y
    if y.dtype.kind == "U" or (preprocess["classes"] and table.outputs):  # the labels of a table are names
        y = known_numbers(y.reshape(-1).astype(str), list(preprocess["classes"] or ()), where).reshape(y.shape)
    if preprocess.get("targets") is not None:
        y = scale_targets(preprocess, y.astype(np.float64))
    y = as_targets(y, dtype, name)
    return Dataset(transform(preprocess, table.x, dtype, name, roomy=isinstance(data, Path)), y, table.weight)


def _in_file(source: Source, preprocess: Preprocess, path: Path) -> Table:
    other = source.elsewhere(path, preprocess)
    if other is None:
        if path.suffix.lower() != ".npz":
            raise DataError(f"{path}: expected an .npz archive with the members x and y for a run on {source.tag}")
        other = Npz(path=str(path.resolve()))
    return other.table(Trusted(), Key(0))  # the user names the file
