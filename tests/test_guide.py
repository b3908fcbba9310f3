"""The guide: its code runs, its errors are the real ones, its translations have the same code."""

import re
from pathlib import Path

import pytest

import funcnet as fn
from funcnet.cli.guide import ORDER, pages
from tests.pages import python_blocks

GUIDE = Path(fn.__file__).parent / "guide"
FILES = sorted(GUIDE.glob("*.md"))
TRANSLATIONS = [page for page in FILES if "." in page.stem]


def code(page):
    return [block.code for block in python_blocks(page)]


def test_pages_are_the_files():
    assert pages() == [page.stem for page in sorted(FILES, key=lambda p: ("." in p.stem, ORDER.index(p.stem[:-3] if "." in p.stem else p.stem)))]


@pytest.mark.parametrize("page", [page for page in FILES if page.stem != "errors"], ids=lambda page: page.stem)
def test_blocks_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = python_blocks(page)
    assert len(blocks) >= 5
    space = {"__name__": f"guide_{page.stem.replace('.', '_')}"}
    for block in blocks:
        block.run(space)


def test_errors_are_the_ones_that_the_code_raises(tmp_path, monkeypatch):
    """The first block of a section raises the text above it, the others run."""
    monkeypatch.chdir(tmp_path)
    space = {"__name__": "guide_errors"}
    raised = set()
    for block in python_blocks(GUIDE / "errors.md"):
        if not block.heading or block.heading in raised:
            block.run(space)
            continue
        with pytest.raises(fn.FuncnetError) as caught:
            block.run(space)
        text, said = block.heading.strip("`"), str(caught.value)
        place = r"errors\.md:\d+ `.*`: "  # an error in the user's own code begins with the line
        assert said == text or re.fullmatch(place + re.escape(text), said), f"line {block.line} raises: {said}"
        raised.add(block.heading)
    assert len(raised) >= 30
