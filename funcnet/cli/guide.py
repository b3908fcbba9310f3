"""``funcnet guide``"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import Counter
from importlib.resources import files
from typing import Any, ClassVar

from funcnet.cli.console import has_rich
from funcnet.cli.door import raw_output
from funcnet.cli.formulas import formulas_as_text
from funcnet.cli.language import DEFAULT, preferred
from funcnet.errors import FuncnetError, Problem, SpecError
from funcnet.hints import did_you_mean

FOLDER = files("funcnet") / "guide"
ORDER = (
    *("README", "concept", "course", *(f"course_{i}" for i in range(1, 9))),
    *("loops", "loops_half_plane", "loops_relu", "loops_cat", "play"),
    *("algebra", "tables", "data", "networks", "training", "recipes", "sklearn", "optimizers", "layer", "loss"),
    *("spec", "deploy", "speed", "trust", "experiments", "reference", "errors"),
)
SOFT_BREAK = re.compile("(?<=[\u3001-\u9fff\uff01-\uff5e])\n(?=[\u3001-\u9fff\uff01-\uff5e])")
"""A line that ends within a Chinese sentence; Markdown makes a space of it, and Chinese has none"""
PICTURE = re.compile('<img src="([^"]+)" alt="([^"]+)"[^>]*>')
MOST_NAMED = 3
"""Pages that an error names as those that mention an unknown topic"""


def pages() -> list[str]:
    """The names of all pages in reading order; a translation has its language after a dot: ``concept.zh``."""
    found = [file.name.removesuffix(".md") for file in FOLDER.iterdir() if file.name.endswith(".md")]
    return sorted(found, key=lambda name: (name.partition(".")[2], ORDER.index(name.partition(".")[0])))


def read(name: str) -> str:
    """The Markdown text of a page."""
    return (FOLDER / f"{name}.md").read_text(encoding="utf-8")


def title(name: str) -> str:
    """The title of a page, from its first line."""
    return read(name).partition("\n")[0].removeprefix("# ")


def arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``funcnet guide``."""
    parser.add_argument("topic", nargs="?", help="a page, such as concept (default: the list of pages)")
    parser.add_argument("--lang", metavar="LANG", help="the page's language: en or zh (default: that of the locale)")
    parser.add_argument("--markdown", action="store_true", help="print the page's file as it is, formulas in LaTeX")
    parser.add_argument("--json", action="store_true", help="print the page's file, or the list of pages, as JSON")


def run(options: argparse.Namespace) -> int:
    """Print a page of the guide, or the list of pages with a line each.

    Raises   SpecError for an unknown page; FuncnetError for one that the console cannot show
    """
    if options.topic is not None:
        _print_page(_page(options.topic, options.lang), options.json, options.markdown)
        return 0
    found = _listed(options.lang, options.json)
    if not found:
        known = ", ".join(sorted({_language(name) for name in pages()}))
        raise SpecError([Problem("", f"no page is written in {options.lang!r}; there are {known}")], root="guide")
    titles = {name: title(name) for name in found}
    if options.json:
        print(json.dumps({"pages": titles}))
        return 0
    width = max(map(len, found))
    for name, text in titles.items():
        print(f"{name:{width}}  {text if _shows(text) else f'in the language {_language(name)!r}'}")
    return 0


def _listed(language: str | None, as_json: bool) -> list[str]:
    """The pages of a language; without one each in that of the locale if it is translated, else every page."""
    known = pages()
    if language is not None:
        return [name for name in known if _language(name) == language]
    topics = sorted({name.partition(".")[0] for name in known}, key=ORDER.index)
    best = [name for topic in topics if (name := _translated(topic, known)) in known]
    return known if as_json or all(_language(name) == DEFAULT for name in best) else best


def _language(name: str) -> str:
    return name.partition(".")[2] or DEFAULT


def _page(topic: str, language: str | None) -> str:
    """The name of the page on a topic, in a language or else in that of the locale."""
    known = pages()
    if "." in topic or language == DEFAULT:
        name = topic
    else:
        name = _translated(topic, known) if language is None else f"{topic}.{language}"
    if name not in known:
        near = did_you_mean(topic if topic in known else name, known)  # the same page in another language
        raise SpecError(
            [Problem("", f"unknown page {name!r}{near}{_mentions(topic)}; 'funcnet guide' lists the pages")],
            root="guide",
        )
    return name


def _mentions(word: str) -> str:
    """``"; course_3, loss mention it"``: the pages that have a word, or its beginning, most often in all languages."""
    if not re.fullmatch(r"[\w -]+", word):
        return ""
    counts: Counter[str] = Counter()
    for name in pages():
        counts[name.partition(".")[0]] += len(re.findall(rf"(?<![a-z]){re.escape(word)}", read(name), re.I))
    found = [topic for topic, count in counts.most_common() if count and topic in pages()][:MOST_NAMED]
    return f"; {', '.join(found)} mention{'s' * (len(found) == 1)} it" if found else ""


def _translated(topic: str, known: list[str]) -> str:
    """The page on a topic in the first preferred language that it is written in and that the output can show."""
    for language in preferred():
        name = topic if language == DEFAULT else f"{topic}.{language}"
        if name in known and (language == DEFAULT or _shows(title(name))):
            return name
    return topic


def _print_page(name: str, as_json: bool, as_markdown: bool) -> None:
    text = read(name)
    if as_json:
        print(json.dumps({"page": name, "text": text}))
        return
    if not _shows(title(name)):
        raise FuncnetError(
            f"guide: the output's encoding, {sys.stdout.encoding}, cannot show the page {name!r}; "
            f"set PYTHONIOENCODING=utf-8, or read {FOLDER / f'{name}.md'}"
        )
    if as_markdown:
        print(text, end="")
        return
    text = PICTURE.sub(lambda image: f"[{image[2]}: {FOLDER / image[1]}]", formulas_as_text(text))
    if sys.stdout.isatty() and has_rich():
        _render(SOFT_BREAK.sub("", text))
    else:
        print(text, end="")


def _render(text: str) -> None:
    """Render Markdown for a terminal, at most 100 columns wide."""
    from rich.console import Console
    from rich.markdown import Markdown, TableDataElement

    class Cell(TableDataElement):
        def __init__(self, justify: Any) -> None:
            super().__init__(justify)
            self.content.overflow = "fold"  # Chinese has no spaces, and rich would cut a cell at its first line

    class Page(Markdown):
        elements: ClassVar = Markdown.elements | {"th_open": Cell, "td_open": Cell}

    with raw_output() as out:
        console = Console(file=out)
        console.print(Page(text, code_theme="ansi_dark", hyperlinks=False), width=min(console.width, 100))


def _shows(text: str) -> bool:
    """Whether the output can show every character: a page of question marks says nothing."""
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return True
