"""The scores of a cross-validation beside a run: one row for each fold, their mean and their deviation."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from funcnet.experiments.folder import FOLDS
from funcnet.files import read_bytes
from funcnet.training.progress import number
from funcnet.views import page
from funcnet.views.page import Section
from funcnet.views.table import Table

LARGEST = 2**20
"""The most bytes of the file"""
MOST = 60
"""The most folds of the table"""
ABOUT = (
    "Each fold is a network of the same spec, scored on the rows that it held out. The deviation tells how much a "
    "score depends on the rows."
)


def section(folder: Path) -> Section | None:
    """The scores of the folds; None for a run without them, and for a file that is damaged."""
    try:
        names, rows = read_scores(folder)
    except (OSError, ValueError, csv.Error):
        return None
    cells = [
        [f"{fold:.0f}", f"{held_out:,.0f}", *map(number, scores)] for fold, held_out, *scores in rows[:MOST].tolist()
    ]
    scores = rows[:, 2:]
    cells.append(["mean", "", *map(number, scores.mean(axis=0).tolist())])
    cells.append(["deviation", "", *map(number, scores.std(axis=0).tolist())])
    left = len(rows) - MOST
    caption = f"Scores of {len(rows)} folds" + (f", the first {MOST} of them" if left > 0 else "")
    return Section("folds", "How it does on other rows", ABOUT, [page.table(Table(names, cells, totals=2), caption)])


def read_scores(folder: Path) -> tuple[list[str], np.ndarray]:
    """The columns ``fold``, ``rows`` and the scores, and a row of numbers for each fold.

    Raises   OSError, ValueError, csv.Error for a file that is missing, or of another form
    """
    names, *lines = csv.reader(read_bytes(folder / FOLDS, LARGEST).decode().splitlines())
    rows = np.array(lines, np.float64)
    if names[:2] != ["fold", "rows"] or rows.ndim != 2 or rows.shape[1] != len(names) or len(names) < 3:
        raise ValueError(f"{FOLDS}: expected the columns fold, rows and scores")
    return names, rows
