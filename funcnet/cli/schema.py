"""``funcnet schema``"""

from __future__ import annotations

import argparse
import codecs
import json
import sys
from pathlib import Path

from funcnet.files import write_bytes
from funcnet.spec.codec import layout
from funcnet.spec.json_schema import json_schema


def arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``funcnet schema``."""
    parser.add_argument("--out", metavar="FILE", help="write the schema instead of printing it")


def run(options: argparse.Namespace) -> int:
    """Print the JSON Schema of every spec document, or write it."""
    text = layout(json_schema(), width=150) + "\n"  # wide enough for a tag's case to stay on its line
    if options.out is None:
        if codecs.lookup(sys.stdout.encoding or "ascii").name != "utf-8":  # JSON in a file is UTF-8
            text = "".join(c if c.isascii() else json.dumps(c)[1:-1] for c in text)
        print(text, end="")
    else:
        write_bytes(Path(options.out), text.encode())
        print(f"written to {options.out}")
    return 0
