"""The page of a finished run, written again from its folder, or the page that compares several."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path

from funcnet.data.paths import base_folder
from funcnet.data.preparation import Prepared, prepare
from funcnet.errors import DataError, FuncnetError
from funcnet.experiments.digests import data_digest
from funcnet.experiments.folder import REPORT
from funcnet.experiments.origin import recorded_base
from funcnet.experiments.report.comparison import comparison_html
from funcnet.experiments.report.report import report_html
from funcnet.experiments.result import Run
from funcnet.experiments.stored import keeps_rows, load_run, read_facts
from funcnet.files import write_bytes
from funcnet.inputs import instance
from funcnet.key import Key
from funcnet.views.page import check_page

log = logging.getLogger("funcnet")

SEVERAL = "comparison.html"
IN_PYTHON = "the rows were given in Python and are in no file"
CHANGED = "the data is not what the run was trained on; it has changed since"


def report(
    *runs: str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    base: str | os.PathLike[str] | None = None,
    allow_outside: bool = False,
) -> Path:
    """Write the page of a run again, or of several beside one another, and return its path.

    Each run has its page, ``report.html``, from its end on. This one reads the rows from the data files again. Without
    them, it has no answers, and says so; a page that is there already stays, unless ``out`` names another.

    runs      folders of finished runs
    out       the page to write; by default ``report.html`` in the folder of a run, ``comparison.html`` of several
    base      the folder that paths in the spec are relative to, by default the one where the run began
    Raises    DataError for no run, the same run twice, and a file at ``out`` that is not a page of funcnet;
              CheckpointError as ``load_run``

    >>> experiment = fn.Experiment(
    ...     data=fn.data.Moons(split=fn.data.Split(test=0.2)),
    ...     model=fn.serial(fn.Dense(16), fn.Tanh(), fn.Dense(2)),
    ...     loss=fn.losses.SoftmaxCrossEntropy(),
    ...     optimizer=fn.optim.Adam(0.02),
    ...     training=fn.Training(epochs=2),
    ... )
    >>> run = fn.run(experiment, out="crescents")
    >>> fn.report("crescents", out="page.html").name
    'page.html'
    """
    page, notes = write(runs, out, base, allow_outside)
    for note in notes:
        log.warning("%s", note)
    return page


def write(
    runs: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str] | None,
    base: str | os.PathLike[str] | None,
    allow_outside: bool,
) -> tuple[Path, list[str]]:
    """Write the page of one run or of several; returns its path, and what is to be said about it."""
    if not runs:
        raise DataError("expected the folder of a run, got none; write fn.report('runs/moons-1')")
    for one in runs:
        instance(one, (str, os.PathLike), "the folder of a run", "'runs/digits_mlp-1'")
    folders = [Path(one) for one in runs]
    page = Path(out or (SEVERAL if len(folders) > 1 else folders[0] / REPORT))
    check_page(page)
    html, notes = (_several(folders), []) if len(folders) > 1 else _one(folders[0], page, base, allow_outside)
    if html is not None:
        write_bytes(page, html.encode())
    return page, notes


def _several(folders: Sequence[Path]) -> str:
    twice = [one for i, one in enumerate(folders) if one.resolve() in [other.resolve() for other in folders[:i]]]
    if twice:
        raise DataError(f"expected different runs to compare, got {twice[0]} twice")
    return comparison_html([(folder, load_run(folder), read_facts(folder)) for folder in folders])


def _one(
    folder: Path, page: Path, base: str | os.PathLike[str] | None, allow_outside: bool
) -> tuple[str | None, list[str]]:
    """The page of a run, None if the one that is there says more, and what is to be said about it."""
    run = load_run(folder)
    try:
        data = _rows(folder, run, base, allow_outside)
    except FuncnetError as error:
        if base is not None:
            raise
        said = str(error)
        there = os.path.isfile(page) and page.resolve() == (folder / REPORT).resolve()
        without = "so the page has no answers to them" if said == IN_PYTHON else "so the page has no answers"
        what = "so its page stays as it is" if there else without
        note = f"{folder}: {said}, {what}"
        return None if there else report_html(folder, run, None, why=said), [note]
    if data_digest(data) != read_facts(folder)["data"]:
        return report_html(folder, run, data, why=CHANGED), [f"{folder}: {CHANGED}"]
    return report_html(folder, run, data), []


def _rows(folder: Path, run: Run, base: str | os.PathLike[str] | None, allow_outside: bool) -> Prepared:
    """The data of a run, read again.

    Raises   DataError for rows that are in no file
    """
    if not keeps_rows(folder, run.experiment):
        raise DataError(IN_PYTHON)
    where = base_folder(recorded_base(folder, allow_outside) if base is None else base, allow_outside)
    experiment = run.experiment
    return prepare(experiment.data, Key(experiment.seed), where, experiment.dtype, run.preprocess)
