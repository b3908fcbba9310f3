"""The Python blocks of Markdown pages, as programs."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from funcnet.spec import base as spec


class Block(NamedTuple):
    """A Python block: its page, the line it begins on, the second-level heading it stands under, its code."""

    page: Path
    line: int
    heading: str
    code: str

    def run(self, space: dict[str, Any]) -> None:
        """Execute it in a namespace that the page's blocks share; a failure names the page and its line."""
        exec(compile("\n" * self.line + self.code, str(self.page), "exec"), space)


def python_blocks(page: Path) -> list[Block]:
    """Every ``python`` block of a page in order."""
    return blocks(page, "python")


def blocks(page: Path, language: str) -> list[Block]:
    """Every block of a page in a language, in order; blocks in ``text`` are code that only other libraries run."""
    text = page.read_text(encoding="utf-8")
    found, heading = [], ""
    for match in re.finditer(rf"^## ([^\n]*)$|^```{language}\n(.*?)^```", text, re.M | re.S):
        if match[1] is not None:
            heading = match[1]
        else:
            found.append(Block(page, text.count("\n", 0, match.start()) + 1, heading, match[2]))
    return found


@contextlib.contextmanager
def tags_end() -> Iterator[None]:
    """The tags that are registered inside the block end with it; later tests in this process do not meet them."""
    before = [set(registry) for registry in (spec._REGISTRY, spec._EARLIER)]
    try:
        yield
    finally:
        for registry, known in zip((spec._REGISTRY, spec._EARLIER), before, strict=True):
            for key in registry.keys() - known:
                if not registry[key].__module__.startswith("funcnet."):  # modules of the library stay imported
                    del registry[key]
