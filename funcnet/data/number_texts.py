"""Numbers written as texts: their forms, and how they are read."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import numpy as np


class Form(NamedTuple):
    """How the numbers of a column are written."""

    decimal: str = "."
    thousands: str = ""
    mark: str = ""

    @property
    def hint(self) -> str:
        """How they are written, for messages; nothing if as everywhere."""
        if self.mark:
            return f"the spec says that numbers of this column have the mark {self.mark!r}"
        if self == PLAIN:
            return ""
        return f"the spec says decimal {self.decimal!r} and thousands {self.thousands!r}"


PLAIN = Form()


# ----- printed into deployed programs, so it uses only NumPy and the standard library ---------------------------------


def is_number(text: str) -> bool:
    """Whether a text is a number rather than a column name."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def to_number(value: Any) -> float | None:
    """A value or text as a finite number, or None."""
    try:
        number = float(value)
    except (OverflowError, TypeError, ValueError):
        return None
    finite = number - number == 0.0
    return number if finite and "_" not in str(value) else None  # data files do not write 1_000


def plain_numbers(texts: Sequence[str], missing: Collection[str]) -> Any:
    """Texts as finite numbers, all at once, NaN for those in ``missing``; None if any other is not a plain number."""
    known = frozenset(missing)
    gaps = np.zeros(0, bool)
    if not known.isdisjoint(texts):
        gaps = np.fromiter(map(known.__contains__, texts), bool, len(texts))
        texts = ["0" if text in known else text for text in texts]
    try:
        numbers = np.array(texts, np.float64)
    except (TypeError, ValueError):
        return None
    if not np.isfinite(numbers).all() or "_" in "".join(texts):  # data files do not write 1_000
        return None
    numbers[np.flatnonzero(gaps)] = np.nan
    return numbers


def read_number(value: Any, decimal: str = ".", thousands: str = "", mark: str = "") -> float | None:
    """A value or text as a finite number, or None: 1234.5 for "$1,234.50" with thousands "," and the mark "$".

    A mark is before or after the number. A currency may be left out; a number without its % may be a fraction.
    """
    if not isinstance(value, str):
        return None if mark == "%" else to_number(value)
    if (decimal, thousands, mark) == (".", "", ""):
        return to_number(value)
    text = " ".join(value.split())  # a space may be one that does not break
    sign = text[:1] if text[:1] in ("+", "-") else ""
    body = text[len(sign) :].strip()
    if mark and body.startswith(mark):
        body = body[len(mark) :].strip()
    elif mark and body.endswith(mark):
        body = body[: -len(mark)].strip()
    elif mark == "%":
        return None
    whole, point, rest = body.partition(decimal)
    if decimal != "." and "." in rest:
        return None
    groups = whole.split(thousands) if thousands else [whole]
    if len(groups) > 1 and not (0 < len(groups[0]) < 4 and all(len(group) == 3 for group in groups[1:])):
        return None
    joined = "".join(groups)
    if decimal != "." and "." in joined:
        return None
    return to_number(sign + joined + ("." + rest if point else ""))
