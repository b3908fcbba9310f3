"""The Python blocks of Markdown pages, as programs."""

import re
from pathlib import Path
from typing import Any, NamedTuple


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
    text = page.read_text(encoding="utf-8")
    blocks, heading = [], ""
    for match in re.finditer(r"^## ([^\n]*)$|^```python\n(.*?)^```", text, re.M | re.S):
        if match[1] is not None:
            heading = match[1]
        else:
            blocks.append(Block(page, text.count("\n", 0, match.start()) + 1, heading, match[2]))
    return blocks
