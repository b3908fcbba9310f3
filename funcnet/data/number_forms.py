"""How the numbers of a table are written: their separators, and the mark beside them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable

from funcnet.data.number_texts import to_number
from funcnet.data.sources.csv import MISSING

OTHER_MISSING = (
    "-", "--", ".", "..", "n/a", "n.a.", "#n/a", "na", "nan", "nil", "none", "null", "missing", "unknown", "0000-00-00",
)  # fmt: skip
"""Further texts for a missing value, in a column of numbers or dates, in any case"""
CURRENCIES = ("EUR", "USD", "GBP", "CHF", "JPY")
"""Currencies in letters, beside those with a sign"""
COMMA = re.compile(r"[+-]?\d*,\d+|[+-]?\d{1,3}(,\d{3})+(\.\d+)?")
BARE = re.compile(r"[+-]?([0-9.,]+)")
"""A number without a mark or a space, as most are"""
CORE = re.compile(r"\d{1,3}([ .,']\d{3})+([.,]\d+)?|\d*[.,]\d+|\d+[.,]?")
"""An unsigned number with any separators"""
EVIDENCE = {
    "decimal .": re.compile(r"\d*\.(\d{1,2}|\d{4,})|(0?|\d{4,})\.\d{3}|.*,\d{3}\.\d+"),
    "decimal ,": re.compile(r"\d*,(\d{1,2}|\d{4,})|(0?|\d{4,}),\d{3}|.*\.\d{3},\d+"),
    "thousands .": re.compile(r"\d{1,3}(\.\d{3}){2,}|\d{1,3}(\.\d{3})+,\d+"),
    "thousands ,": re.compile(r"\d{1,3}(,\d{3}){2,}|\d{1,3}(,\d{3})+\.\d+"),
    "thousands  ": re.compile(r"\d{1,3}( \d{3})+([.,]\d+)?"),
    "thousands '": re.compile(r"\d{1,3}('\d{3})+([.,]\d+)?"),
}
"""Numbers that can be read in only one way; 1,234 and 1.234 can be read in two"""


def like_number(text: str) -> bool:
    """Whether a text is a number, with a decimal comma or thousands separators too."""
    return to_number(text) is not None or split_mark(text) is not None


def spaced(text: str) -> str:
    """A text with plain single spaces."""
    return " ".join(text.split())


def split_mark(text: str) -> tuple[str, str] | None:
    """The mark of a number, "%" or a currency or none, and the number without its sign; None for any other text."""
    bare = BARE.fullmatch(text)
    body = bare[1] if bare else spaced(text)
    body = body[1:].strip() if body[:1] in ("+", "-") else body
    for mark in () if bare else (*CURRENCIES, "%", body[:1], body[-1:]):
        if mark and (mark in CURRENCIES or mark == "%" or unicodedata.category(mark) == "Sc"):
            inner = body.removeprefix(mark) if mark != "%" and body.startswith(mark) else body.removesuffix(mark)
            if inner != body:
                core = inner.strip().lstrip("+-")
                return (mark, core) if CORE.fullmatch(core) else None
    return ("", body) if CORE.fullmatch(body) or to_number(text) is not None else None


class Written:
    """How the numbers of a column are written, by its texts so far."""

    def __init__(self) -> None:
        self.numbers = True
        """Whether all texts are numbers in some form, but for missing values"""
        self.seen: set[str] = set()
        """The evidence that they give"""
        self.marks: set[str] = set()
        """The marks beside them, "" for none"""

    def add(self, texts: Collection[str], *, plain: bool = False) -> None:
        """Append different texts; ``plain`` ones are numbers with a decimal point, if with any."""
        if not self.numbers:
            return
        if plain:
            cores = [text.lstrip("+-") for text in texts]
            self.marks.add("")
        else:
            found = [split_mark(text) for text in texts if not says_missing(text)]
            cores = [one[1] for one in found if one is not None]
            self.numbers = len(cores) == len(found)
            self.marks.update(one[0] for one in found if one is not None)
        characters = set("".join(cores))  # whose last one is in every number that a form matches
        forms = {what: form for what, form in EVIDENCE.items() if what not in self.seen and what[-1] in characters}
        self.seen |= {what for what, form in forms.items() if any(map(form.fullmatch, cores))}

    @property
    def mark(self) -> str:
        """The one mark beside the numbers; none if there are several, or texts."""
        marks = self.marks - {""}
        fits = self.numbers and len(marks) == 1 and not ("" in self.marks and marks == {"%"})
        return next(iter(marks)) if fits else ""


def separators(columns: Iterable[Written]) -> tuple[str, str]:
    """The decimal and the thousands separator of a file's numbers, if all of them can be read with these."""
    seen: set[str] = set().union(*(column.seen for column in columns if column.numbers))
    comma, point = seen & {"decimal ,", "thousands ."}, seen & {"decimal .", "thousands ,"}
    decimal = "," if comma and not point else "."
    groups = [c for c in ".,' " if f"thousands {c}" in seen and c != decimal]
    groups = [c for c in groups if f"decimal {c}" not in seen]
    return decimal, groups[0] if len(groups) == 1 else ""


def says_missing(text: str) -> bool:
    """Whether a text usually means a missing value."""
    return text in MISSING or text.lower() in OTHER_MISSING
