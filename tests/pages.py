"""The Python blocks of Markdown pages, as programs."""

import contextlib
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from funcnet.spec import base as spec

NUMBER = re.compile(r"-?\d+\.\d*(?:e[+-]?\d+)?")
ANY_NUMBER = re.compile(r"-?\d+(?:\.\d*)?(?:e[+-]?\d+)?")


class Block(NamedTuple):
    """A Python block: its page, the line it begins on, the second-level heading above it, its code, and its output.

    The output is the text of a fence that follows the block. One without a language is the same everywhere; one that
    says ``output`` has figures of a training, which differ a little from machine to machine.
    """

    page: Path
    line: int
    heading: str
    code: str
    output: str | None = None
    rough: bool = False

    def run(self, space: dict[str, Any]) -> None:
        """Execute it in a namespace that the page's blocks share; a failure names the page and its line."""
        exec(compile("\n" * self.line + self.code, str(self.page), "exec"), space)

    def prints(self, space: dict[str, Any]) -> None:
        """Execute it, and compare its output, if the page shows it, up to rounding."""
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            self.run(space)
        if self.output is not None:
            self.compare(printed.getvalue())

    def compare(self, printed: str) -> None:
        """Compare what the block printed with the output that the page shows."""
        assert self.output is not None
        compare = similar_output if self.rough else same_output
        compare(printed, self.output, f"{self.page.name}:{self.line}")


def same_output(printed: str, shown: str, where: str) -> None:
    """Compare a program's output with a page's, without spaces; numbers with a point may differ by rounding."""
    words, expected = ("".join(NUMBER.sub("#", text).split()) for text in (printed, shown))  # -0. and 0. are equal
    assert words == expected, f"{where} prints:\n{printed}"
    numbers = [[float(found) for found in NUMBER.findall(text)] for text in (printed, shown)]
    np.testing.assert_allclose(*numbers, rtol=1e-6, atol=1e-12, err_msg=f"{where} prints:\n{printed}")


def similar_output(printed: str, shown: str, where: str) -> None:
    """Compare the words of each line exactly and its numbers roughly, without rules, bars and the lines' order."""
    both = []
    for text in (printed, shown):
        lines = [re.sub(r"-{2,}|#+|…", "", line) for line in text.splitlines()]
        both.append(sorted(("".join(ANY_NUMBER.sub("N", line).split()), line) for line in lines if line.strip()))
    assert [words for words, _ in both[0]] == [words for words, _ in both[1]], f"{where} prints:\n{printed}"
    numbers = [[float(found) for _, line in one for found in ANY_NUMBER.findall(line)] for one in both]
    np.testing.assert_allclose(*numbers, rtol=0.15, atol=0.03, err_msg=f"{where} prints:\n{printed}")


def python_blocks(page: Path) -> list[Block]:
    """Every ``python`` block of a page in order."""
    return blocks(page, "python")


def blocks(page: Path, language: str) -> list[Block]:
    """Every block of a page in a language, in order; blocks in ``text`` are code that only other libraries run."""
    text = page.read_text(encoding="utf-8")
    found, heading = [], ""
    fence = rf"^```{language}\n(.*?)^```$(?:\n\n```(output)?\n(.*?)^```$)?"
    for match in re.finditer(rf"^## ([^\n]*)$|{fence}", text, re.M | re.S):
        if match[1] is not None:
            heading = match[1]
        else:
            found.append(
                Block(page, text.count("\n", 0, match.start()) + 1, heading, match[2], match[4], bool(match[3]))
            )
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
