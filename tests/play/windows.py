"""What a reader does in a window with the page."""

import contextlib
import threading
import time
from pathlib import Path

import numpy as np

from funcnet.play.server import Server


@contextlib.contextmanager
def serving(session):
    """A server of a session that answers in a thread, ended with its session."""
    with Server(session) as found:
        thread = threading.Thread(target=found.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield found
        found.shutdown()
        session.close()
        thread.join()


def begin(page, server, spec, base=Path()):
    """Begin again with an experiment, as the page would be opened with it."""
    server.session.opened = spec, base, ""
    do(page, "restart({ do: 'reset' })")


def until(page, condition, seconds=10):
    """Wait until a condition holds in the page, whose policy forbids the waiting of playwright."""
    end = time.monotonic() + seconds
    while not page.evaluate(condition):
        assert time.monotonic() < end, condition
        time.sleep(0.005)


def ready(page):
    """Wait until the page has its answer."""
    until(page, "S.frame !== null && !S.busy && !S.waiting && !S.walking")


def do(page, script):
    """Run a script that makes a request, and wait for the answer."""
    page.evaluate(script)
    ready(page)


def press(page, key, times=1):
    for _ in range(times):
        page.keyboard.press(key)
        ready(page)


def count(page):
    return page.inner_text("#count")


def shown(number):
    """A number as the page writes it: the shortest text that is this number and no other of its type."""
    return float(np.format_float_positional(number, unique=True))


def enter(page, selector, text):
    """Type a number, or set a slider, as a reader does."""
    if page.get_attribute(selector, "type") == "range":
        page.fill(selector, text)
    else:
        page.click(selector)
        page.keyboard.press("Control+a")
        page.keyboard.type(text)
        page.keyboard.press("Tab")
