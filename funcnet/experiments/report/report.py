"""``report.html``: a run as one page, written when all else is; a part that fails is left out with a word about why."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import TypeVar

from funcnet.data.preparation import Prepared
from funcnet.data.preprocess import prepared_shape
from funcnet.errors import one_line
from funcnet.experiments.folder import REPORT
from funcnet.experiments.report import facts, headline, learning, right
from funcnet.experiments.report.answers import answers_of
from funcnet.experiments.result import Run
from funcnet.experiments.stored import read_facts
from funcnet.files import write_bytes
from funcnet.shapes import Shape
from funcnet.version import __version__
from funcnet.views import page

log = logging.getLogger("funcnet")
T = TypeVar("T")

LONGEST = 15.0
"""Seconds after which no part is begun that may take long"""
FOOT = "Written by funcnet {version}. Each file of the run lies beside this one."


def write_report(folder: Path, run: Run, data: Prepared | None) -> bool:
    """Write the report of a run into its folder; one that fails is logged, and costs nothing but itself."""
    try:
        write_bytes(folder / REPORT, report_html(folder, run, data).encode())
    except Exception as error:
        said = str(error).partition("\n")[0]
        log.warning("%s: is left out (%s: %s); the run is whole", folder / REPORT, type(error).__name__, said)
        return False
    return True


def report_html(folder: Path, run: Run, data: Prepared | None, why: str = "") -> str:
    """The page of a run; without its ``data``, what needs the rows is left out.

    why   why there is no data, or what is to be known about it
    """
    trials, title = Trials(), folder.resolve().name
    in_shape = shape_of_inputs(run, data)
    layers = trials("the layers", lambda: None if in_shape is None else facts.layers_of(run, in_shape))
    flops = None if layers is None else facts.flops_of_row(run, layers)
    answers = trials.in_time("the answers", lambda: None if data is None else answers_of(run, data, flops))
    plane = (folder / "boundary.svg").is_file()
    notes = [one_line(f"{why[:1].upper()}{why[1:]}.")] if why else []
    if data is None:
        notes.append("The page is without the parts that need the rows: the answers, and those that are most wrong.")
    above = trials("the answer", lambda: headline.header(run, title, data, notes))
    sections = [
        trials.in_time("the answers", lambda: None if data is None else right.section(run, answers, data, plane)),
        trials.in_time("the worst rows", lambda: right.worst(run, answers)),
        trials("the curves", lambda: learning.curves(run)),
        trials("the distributions", lambda: learning.distributions(folder)),
        trials("the layers", lambda: None if layers is None else facts.network(run, layers, in_shape)),
        trials("the data", lambda: facts.data(run, read_facts(folder)["found"])),
        trials("the spec", lambda: facts.spec(run)),
        trials("the origin", lambda: facts.origin(run, folder)),
    ]
    below = page.paragraph(FOOT.format(version=__version__))
    for one in trials.failed:
        log.warning("%s: %s; the run is whole", folder / REPORT, one)
        below += page.paragraph(one)
    shown = [one for one in sections if one is not None]
    return page.page(f"{title}: report", above or f"<h1>{page.name(title)}</h1>", shown, below)


def shape_of_inputs(run: Run, data: Prepared | None) -> Shape | None:
    """The shape of an input, which is known without the data unless inputs are indices."""
    if data is not None:
        return data.train.x.shape[1:]
    return prepared_shape(run.preprocess)


class Trials:
    """Calls that may fail, each of which costs the page a part."""

    def __init__(self) -> None:
        self.began = perf_counter()
        self.failed: list[str] = []

    def __call__(self, name: str, make: Callable[[], T | None]) -> T | None:
        """The result, or None if it fails."""
        try:
            return make()
        except Exception as error:
            said = str(error).partition("\n")[0]
            self.failed.append(f"{name}: left out ({type(error).__name__}: {said})")
            return None

    def in_time(self, name: str, make: Callable[[], T | None]) -> T | None:
        """The same for a call that may take long, which is not begun after ``LONGEST`` seconds."""
        if perf_counter() - self.began > LONGEST:
            self.failed.append(f"{name}: left out, since other parts took {LONGEST:g} s")
            return None
        return self(name, make)
