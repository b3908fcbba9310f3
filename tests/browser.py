"""A headless Chromium for the tests of pages, and what a page did in it: its errors and the requests it made."""

import contextlib
import importlib.util
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
MISSING = "playwright, of the extra browser" if importlib.util.find_spec("playwright") is None else "a Chromium"
NEEDS_BROWSER = pytest.mark.skipif(
    CHROMIUM is None or importlib.util.find_spec("playwright") is None,
    reason=f"{MISSING} is not installed, and nothing else shows what a page looks like",
)


class Visit(NamedTuple):
    """A page of playwright that is open, the errors it has logged or raised, and the addresses it has asked for."""

    page: Any
    errors: list[str]
    requests: list[str]

    def overflow(self) -> float:
        """By how many pixels the page is wider than its window."""
        return float(self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


@contextlib.contextmanager
def chromium() -> Iterator[Any]:
    """A browser of playwright, closed at the end."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """One browser for the tests of a file: ``from tests.browser import NEEDS_BROWSER, browser  # noqa: F401``."""
    with chromium() as found:
        yield found


@contextlib.contextmanager
def visit(
    browser: Any, address: Path | str, width: int = 1600, scheme: str = "light", **options: Any
) -> Iterator[Visit]:
    """A file, or an address, in a new window of a width and a colour scheme; ``options`` are those of playwright."""
    where = address.resolve().as_uri() if isinstance(address, Path) else address
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, **options)
    page, errors, requests = context.new_page(), [], []  # type: Any, list[str], list[str]
    page.on("console", lambda message: errors.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("dialog", lambda dialog: (errors.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    page.on("request", lambda request: None if request.url == where else requests.append(request.url))
    try:
        page.goto(where, wait_until="load")
        yield Visit(page, errors, requests)
    finally:
        context.close()
