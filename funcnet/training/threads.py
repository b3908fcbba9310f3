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
import threading
from collections.abc import Callable
from functools import cache, wraps
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from funcnet import tree
from funcnet.errors import FuncnetError
from funcnet.layers.base import Params
from funcnet.shapes import Value

F = TypeVar("F", bound=Callable[..., Any])
VARIABLE = "FUNCNET_THREADS"
SMALL = 2**20
"""Multiply-adds from which a second thread pays. Measured: on an idle machine two threads need 1.1 times one's time for
2¹⁹ multiply-adds, 0.85 times for 2²⁰ and 0.7 for 2²²; beside other processes, where they wait for each other, 3 to 10
times."""
CGROUPS = Path("/sys/fs/cgroup")
log = logging.getLogger("funcnet")


@cache
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


def largest_product(params: Params, x: Value, rows: int) -> int:
    """About the most multiply-adds of one product of a step: the largest param for each position of each row."""
    inputs = [leaf.shape[1:-1] if leaf.dtype.kind == "f" else leaf.shape[1:] for leaf in tree.leaves(x)]
    weights = [math.prod(leaf.shape) for leaf in tree.leaves(params)]
    return rows * max(map(math.prod, inputs), default=1) * max(weights, default=1)


def chosen(threads: int | None = None, small: bool = False) -> int | None:
    """The number to use: ``threads``, else FUNCNET_THREADS, else 1 for small products and in a worker process, else a
    container's limit.

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
    if small or multiprocessing.parent_process() is not None:
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


class _Block(threading.local):
    """The innermost block of this thread: its number, and whether the number was given."""

    number: int | None = None
    given = False


_block = _Block()
_lock = threading.Lock()
_entered: list[tuple[int, Any]] = []  # by all threads of the process, which share the setting: the latest counts
_before: list[int] = []  # the setting outside of all blocks


class limited:
    """A block whose matrix products run on ``chosen(threads, small)`` threads; it may be around each small step.

    A number that was given holds for the blocks inside. Once no thread is in a block, the setting is as it was before.
    """

    def __init__(self, threads: int | None = None, small: bool = False) -> None:
        self.number, self.given, self.quiet = chosen(threads, small), threads is not None, small
        self.outer: tuple[int | None, bool] | None = None

    def __enter__(self) -> None:
        number = self.number
        if number is None or number == _block.number or (_block.given and not self.given):
            return
        library = _library()
        if not library:
            if not self.quiet:
                _cannot_limit()
            return
        with _lock:
            if not _entered:
                _before[:] = [library["get_num_threads"]()]
            self.outer = _block.number, _block.given
            _entered.append((number, self))
            library["set_num_threads"](number)
        _block.number, _block.given = number, self.given

    def __exit__(self, *error: object) -> None:
        if self.outer is None:
            return
        _block.number, _block.given = self.outer
        self.outer = None
        with _lock:
            _entered[:] = [entry for entry in _entered if entry[1] is not self]
            _library()["set_num_threads"](_entered[-1][0] if _entered else _before[0])


def limited_for(params: Params, x: Value, rows: int) -> limited:
    """``limited``, to one thread if the products of a step are small: threads wait for each other on a busy machine."""
    return limited(small=largest_product(params, x, rows) < SMALL)


@cache
def _cannot_limit() -> None:
    log.warning("this BLAS library's threads cannot be set from here; set its environment variable")


def obedient(function: F) -> F:
    """The function on ``chosen()`` threads; the function itself where that is None now, so it costs nothing."""
    number = chosen()
    if number is None:
        return function

    @wraps(function)
    def call(*args: Any, **named: Any) -> Any:
        if _block.number is not None:
            return function(*args, **named)
        with limited(number):
            return function(*args, **named)

    return call  # type: ignore[return-value]
