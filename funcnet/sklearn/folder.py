"""The run folder of an estimator, which keeps no data."""

from __future__ import annotations

import os
from pathlib import Path

from funcnet.experiments.claim import begin, check_free, claimed
from funcnet.experiments.folder import write
from funcnet.experiments.result import Run


def write_run(run: Run, folder: str | os.PathLike[str]) -> None:
    """Write a run into an empty folder, or one that it makes.

    Raises   CheckpointError for a folder that is not empty or not writable
    """
    path = Path(folder)
    check_free(path)
    with claimed(path, None):
        begin(path, run.experiment, path, None)
        write(path, run, None, path)
