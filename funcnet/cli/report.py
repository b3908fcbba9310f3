"""``funcnet report``"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from funcnet.cli.arguments import add_base, base_of, data_of
from funcnet.cli.pages import check_page
from funcnet.errors import DataError
from funcnet.experiments.digests import data_digest
from funcnet.experiments.folder import REPORT
from funcnet.experiments.origin import SPEC
from funcnet.experiments.report.comparison import comparison_html
from funcnet.experiments.report.report import report_html
from funcnet.experiments.stored import keeps_rows, load_run, read_facts
from funcnet.files import write_bytes

SEVERAL = "comparison.html"


def arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``funcnet report``."""
    parser.add_argument("runs", metavar="RUN", nargs="+", help="the folder of a run; several are compared")
    parser.add_argument(
        "--out", metavar="FILE", help=f"the page to write (default: RUN/{REPORT}; of several runs {SEVERAL})"
    )
    parser.add_argument("--json", action="store_true", help="print the name of the page as JSON")
    add_base(parser)


def run(options: argparse.Namespace) -> int:
    """Write a run as a page to look at, or several beside one another, and print the name of the file."""
    folders = [Path(one) for one in options.runs]
    out = Path(options.out or (SEVERAL if len(folders) > 1 else folders[0] / REPORT))
    check_page(out)
    html = _one(folders[0], options) if len(folders) == 1 else _several(folders)
    if html is not None:
        write_bytes(out, html.encode())
    print(json.dumps({"report": str(out)}) if options.json else f"report {out}")
    return 0


def _several(folders: Sequence[Path]) -> str:
    """The page that compares runs.

    Raises   DataError for a folder that is named twice
    """
    twice = [one for i, one in enumerate(folders) if one.resolve() in [other.resolve() for other in folders[:i]]]
    if twice:
        raise DataError(f"expected different runs to compare, got {twice[0]} twice")
    return comparison_html([(folder, load_run(folder), read_facts(folder)) for folder in folders])


def _one(folder: Path, options: argparse.Namespace) -> str | None:
    """The page of a run, with its rows read again; None if they are in no file, and there is a page with them."""
    found = load_run(folder)
    file = folder / SPEC
    if not keeps_rows(folder, found.experiment):
        there = options.out is None and os.path.isfile(folder / REPORT)
        what = "so its page stays as it is" if there else "so the page has no answers to them"
        print(f"funcnet: {folder}: the rows were given in Python and are in no file, {what}", file=sys.stderr)
        return None if there else report_html(folder, found, None)
    data = data_of(file, found.experiment, base_of(file, options), found.preprocess)
    if data_digest(data) != read_facts(folder)["data"]:
        print(f"funcnet: {folder}: the data is not what the run was trained on; it has changed since", file=sys.stderr)
    return report_html(folder, found, data)
