"""The cross-validation of ``funcnet train --folds``: its table, and its files in the run folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from funcnet.cli.console import number, table
from funcnet.cli.predict import answers
from funcnet.data.answer_texts import csv_text
from funcnet.experiments.cross_validation import CrossValidation
from funcnet.experiments.result import Run
from funcnet.files import write_bytes

SCORES = "folds.csv"
PREDICTIONS = "out_of_fold.csv"


def write(folder: Path, found: CrossValidation, run: Run) -> list[Path]:
    """Write the scores of the folds, and what each row was predicted by the network of the fold that held it out.

    Networks of several outputs, whose predictions no table can hold, have the scores alone.
    """
    names = list(found.scores[0])
    scores = [[repr(one[name]) for one in found.scores] for name in names]
    counts = [list(map(str, range(1, len(scores[0]) + 1))), [str(len(rows)) for rows in found.held_out]]
    texts = {SCORES: csv_text(["fold", "rows", *names], counts + scores)}
    if isinstance(found.predictions, np.ndarray):
        rows = np.concatenate(found.held_out)
        fold = np.repeat(np.arange(1, len(found.held_out) + 1), [len(own) for own in found.held_out])
        order = np.argsort(rows)
        head, labels, numbers = answers(run, found.predictions[rows[order]])
        where = [list(map(str, column[order].tolist())) for column in (rows, fold)]
        texts[PREDICTIONS] = csv_text(["row", "fold", *head], where + labels + numbers)
    for name, text in texts.items():
        write_bytes(folder / name, text.encode())
    return [folder / name for name in texts]


def report(found: CrossValidation) -> None:
    """Print the scores of each fold, their mean and their standard deviation."""
    names = list(found.scores[0])
    rows = [
        [str(i + 1), f"{len(held_out):,}", *(number(one[name]) for name in names)]
        for i, (one, held_out) in enumerate(zip(found.scores, found.held_out, strict=True))
    ]
    rows += [[what, "", *(number(of[name]) for name in names)]
             for what, of in (("mean", found.mean), ("deviation", found.deviation))]  # fmt: skip
    table(["fold", "rows", *names], rows, "cross-validation: a network for each fold, scored on the rows it held out")


def facts(found: CrossValidation) -> dict[str, Any]:
    """The scores of all folds, their mean and their standard deviation, for JSON."""
    return {"scores": found.scores, "mean": found.mean, "deviation": found.deviation}
