"""The scores of a cross-validation, from the file that ``funcnet train --folds`` writes beside a run."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from funcnet.files import read_bytes
from funcnet.key import Array
from funcnet.training.progress import number
from funcnet.views import page
from funcnet.views.page import Section
from funcnet.views.table import Table

FOLDS = "folds.csv"
LARGEST = 2**20
"""The most bytes of the file"""


def folds(folder: Path) -> Section | None:
    """The scores of each fold, their mean and their standard deviation; None for a run without folds."""
    found = read_folds(folder)
    if found is None:
        return None
    names, rows, scores = found
    with np.errstate(over="ignore", invalid="ignore"):
        ends = [("mean", scores.mean(axis=0)), ("deviation", scores.std(axis=0))]
    cells = [[str(i + 1), f"{rows[i]:,}", *map(number, one.tolist())] for i, one in enumerate(scores)]
    cells += [[what, "", *map(number, values.tolist())] for what, values in ends]
    about = f"{len(scores)} networks like this one, each trained without the rows of a fold and scored on them."
    table = Table(["fold", "rows", *names], cells, totals=len(ends))
    caption = "Scores of the folds, their mean and their standard deviation"
    return Section("folds", "How much the scores vary", about, [page.table(table, caption)])


def read_folds(folder: Path) -> tuple[Sequence[str], list[int], Array] | None:
    """The names of the scores, the rows of each fold, and its scores, (folds, scores); None of any other file."""
    try:
        head, *lines = csv.reader(io.StringIO(read_bytes(folder / FOLDS, LARGEST).decode(), newline=""))
        rows = [int(line[1]) for line in lines]
        scores = np.array([[float(cell) for cell in line[2:]] for line in lines])
    except (OSError, ValueError, IndexError, csv.Error):
        return None
    fits = head[:2] == ["fold", "rows"] and scores.ndim == 2 and scores.shape[1] == len(head) - 2 > 0
    return (head[2:], rows, scores) if fits else None
