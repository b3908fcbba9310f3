"""``funcnet report``"""

from __future__ import annotations

import argparse
import json
import sys

from funcnet.cli.arguments import add_base
from funcnet.experiments.folder import REPORT
from funcnet.experiments.report.again import SEVERAL, write


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
    page, notes = write(options.runs, options.out, options.base, options.allow_outside)
    for note in notes:
        print(f"funcnet: {note}", file=sys.stderr)
    print(json.dumps({"report": str(page)}) if options.json else f"report {page}")
    return 0
