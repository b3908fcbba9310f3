"""The number of threads of the matrix products.

The rest of a step runs on one core: measurements show that it is too small a part for a second core to pay
(``funcnet guide speed``). NumPy has no function for its BLAS library's threads, so the library's own is called.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import math
import multiprocessing
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from funcnet.errors import FuncnetError

VARIABLE = "FUNCNET_THREADS"
CGROUPS = Path("/sys/fs/cgroup")
log = logging.getLogger("funcnet")


def quota(root: Path = CGROUPS) -> int | None:
    """A container's CPU limit in whole cores, rounded up; None without a limit."""
    with contextlib.suppress(OSError, ValueError):
        allowed, period = (root / "cpu.max").read_text().split()
        return None if allowed == "max" else max(1, math.ceil(int(allowed) / int(period)))
    with contextlib.suppress(OSError, ValueError):
        allowed = (root / "cpu" / "cpu.cfs_quota_us").read_text()
        period = (root / "cpu" / "cpu.cfs_period_us").read_text()
        return None if int(allowed) <= 0 else max(1, math.ceil(int(allowed) / int(period)))
    return None


def chosen(threads: int | None = None) -> int | None:
    """The number to use: ``threads``, else FUNCNET_THREADS, else 1 in a worker process, else a container's limit.

    None leaves the setting unchanged.
    Raises   FuncnetError for a FUNCNET_THREADS that is not a number
    """
    if threads is not None:
        return threads
    text = os.environ.get(VARIABLE)
    if text:
        if not (text.isascii() and text.isdigit() and int(text)):
            raise FuncnetError(f"{VARIABLE}: expected a number of threads, such as 2, got {text!r}")
        return int(text)
    if multiprocessing.parent_process() is not None:
        return 1
    limit = quota()
    return limit if limit is not None and limit < (os.cpu_count() or 1) else None


@cache
def _library() -> Any:
    """NumPy's own OpenBLAS, as ``{what: function}``; empty for any other library."""
    folder = Path(np.__file__).parent
    places = [folder.parent / "numpy.libs", folder / ".dylibs"]
    for path in (path for place in places if place.is_dir() for path in place.glob("*openblas*")):
        library = ctypes.CDLL(str(path))
        for prefix, suffix in (("scipy_", "64_"), ("", "64_"), ("scipy_", ""), ("", "")):
            name = f"{prefix}openblas_{{}}{suffix}"
            if hasattr(library, name.format("set_num_threads")):
                return {
                    what: getattr(library, name.format(what))
                    for what in ("set_num_threads", "get_num_threads", "get_corename")
                }
    return {}


def blas() -> dict[str, Any]:
    """``{"threads": …, "kernel": …}`` of NumPy's OpenBLAS; the last bits of products depend on them."""
    library = _library()
    if not library:
        return {}
    library["get_corename"].restype = ctypes.c_char_p
    return {"threads": library["get_num_threads"](), "kernel": library["get_corename"]().decode()}


@contextlib.contextmanager
def limited(threads: int | None = None) -> Iterator[None]:
    """Run matrix products on ``chosen(threads)`` threads inside the block."""
    number, library = chosen(threads), _library()
    if number is None:
        yield
        return
    if not library:
        log.warning("this BLAS library's threads cannot be set from here; set its environment variable")
        yield
        return
    before = library["get_num_threads"]()
    library["set_num_threads"](number)
    try:
        yield
    finally:
        library["set_num_threads"](before)
