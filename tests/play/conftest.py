"""A window of headless Chromium with the page in it, one for the tests of a file."""

import pytest

from funcnet.play.session import Session
from funcnet.play.settings import first
from tests.browser import browser, visit  # noqa: F401
from tests.play.windows import begin, ready, serving


@pytest.fixture(scope="module")
def server():
    with serving(Session(first())) as found:
        yield found


@pytest.fixture(scope="module")
def window(browser, server):  # noqa: F811
    """One page for all tests of this server."""
    with visit(browser, server.address) as found:
        ready(found.page)
        yield found


@pytest.fixture
def opened(window, server):
    """The page as it is opened; a test must not leave an error in its console."""
    begin(window.page, server, first())
    window.page.select_option("#pace", "1")
    window.page.evaluate("document.activeElement.blur()")
    yield window
    assert window.errors == []
