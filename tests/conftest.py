"""What holds for the whole run: the collector of garbage, and what a file that cannot be imported lacks."""

import gc
from collections.abc import Generator

import pytest


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
