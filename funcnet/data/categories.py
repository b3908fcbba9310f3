"""Categories and labels as texts: equal numbers, such as 1 and 1.0, are one category.

Printed into deployed programs, so it uses only NumPy and the standard library.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

PRESENT = {
    "1": 1.0, "yes": 1.0, "y": 1.0, "true": 1.0, "t": 1.0, "present": 1.0,
    "0": 0.0, "no": 0.0, "n": 0.0, "false": 0.0, "f": 0.0, "absent": 0.0,
}  # fmt: skip
"""The texts, in any case, that say whether a label is present"""


def presence(text: str) -> float | None:
    """1 for a text that says that a label is present, 0 for absent; None for any other."""
    return PRESENT.get(shortest(text.strip().lower()))


def shortest(text: str) -> str:
    """The shortest form of a plain number, such as 1 for 1.0; any other text, such as 007 or 1e3, as it is."""
    digits = text[1:] if text[:1] in ("+", "-") else text
    whole, _, rest = digits.partition(".")
    if not (whole + rest).isdigit() or not text.isascii() or not whole or (whole[0] == "0" and len(whole) > 1):
        return text
    rest = rest.rstrip("0")
    sign = "-" if text[0] == "-" and whole + rest != "0" else ""
    return sign + whole + ("." + rest if rest else "")


def positions(texts: Sequence[str], categories: Sequence[str]) -> Any:
    """The position of each text among the categories, as the same text or an equal number; -1 if it has none."""
    found = {category: i for i, category in enumerate(categories)}
    try:  # most texts are categories
        return np.fromiter(map(found.__getitem__, texts), np.int64, len(texts))
    except KeyError:
        others = set(texts) - found.keys()
    equal: dict[str, list[int]] = {}
    for category, i in found.items():
        equal.setdefault(shortest(category), []).append(i)
    for text in others:
        alike = equal.get(shortest(text), [])
        found[text] = alike[0] if len(alike) == 1 else -1
    return np.fromiter(map(found.__getitem__, texts), np.int64, len(texts))


def distinct(texts: Iterable[str]) -> list[str]:
    """The categories of some texts, in numeric order if all are numbers, else in alphabetical order.

    1 and 1.0 are one category, and so are -0.0 and 0.0. 3.1 and 3.10 side by side are two, which versions are.
    """
    different = set(texts)
    different -= {text for text in different if shortest(text) != text and shortest(text) in different - {text}
                  and "." not in shortest(text)}  # fmt: skip
    signed = {text for text in different if text[:1] in ("+", "-") and text[1:] in different
              and shortest(text) == shortest(text[1:])}  # fmt: skip
    if signed:  # a third text of the same number would leave none to which they belong
        alike = Counter(map(shortest, different))
        different -= {text for text in signed if alike[shortest(text)] == 2}
    try:
        return sorted(sorted(different), key=float)
    except ValueError:
        return sorted(different)
