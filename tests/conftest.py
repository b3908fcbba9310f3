"""What holds for the whole run: threads, the collector of garbage, and what a file that cannot be imported lacks."""

import gc
import os
from collections.abc import Generator

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Give each of several workers one thread for its products: more would wait for the same cores.

    A run in one process, ``-n 0``, has the threads of the machine.
    """
    if getattr(config.option, "numprocesses", None):
        for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
            os.environ.setdefault(name, "1")


def pytest_collection_finish() -> None:
    """Leave alone what collecting the tests made: else each collection of garbage looks through it again."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Beside an error about a name that a table of tests uses and no stub lists, the line of the stub."""
    report = yield
    if report.failed and "has no attribute" in report.longreprtext:
        from tests.classes import CLASSES, stub

        lines = [line for cls in CLASSES for line in stub(cls)]
        report.sections += [("Captured names that are not public", "\n".join(lines))] if lines else []
    return report
