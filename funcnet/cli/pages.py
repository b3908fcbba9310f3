"""Pages that commands write, and write again."""

from __future__ import annotations

import os
from pathlib import Path

from funcnet.errors import DataError
from funcnet.files import read_bytes, reason
from funcnet.views.page import MARK


def check_page(path: Path) -> None:
    """Refuse to write over a file that is not a page of funcnet.

    Raises   DataError
    """
    if not os.path.lexists(path):
        return
    try:
        ours = MARK.encode() in read_bytes(path)[:2000]
    except OSError as error:
        raise DataError(f"{path}: cannot be written over ({reason(error)}); choose another --out") from None
    if not ours:
        raise DataError(f"{path}: is not a page that funcnet wrote; choose another --out, or remove it")
