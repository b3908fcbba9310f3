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


@pytest.mark.parametrize("page", FILES, ids=lambda page: page.stem)
def test_blocks_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = python_blocks(page)
    assert len(blocks) >= 5
    space = {"__name__": f"guide_{page.stem.replace('.', '_')}"}
    for block in blocks:
        block.run(space)
