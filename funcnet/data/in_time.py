"""The order of rows in time, by a column of numbers, or of ISO 8601 dates and times."""

from __future__ import annotations

import math
import re
from datetime import date, time

import numpy as np

from funcnet.key import Array

ISO = re.compile(
    r"(?P<day>\d{4}-\d\d(?:-\d\d)?)?"
    r"(?:(?:^|(?<=-\d\d-\d\d)[T ])(?P<clock>(?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d)?)"
    r"(?P<fraction>(?<=:\d\d:\d\d)[.,]\d{1,9})?(?P<zone>Z|[+-](?:[01]\d|2[0-3]):?[0-5]\d)?)?",
    re.ASCII,
)
ADVICE = "write all rows like 2024-05-31, 2024-05-31T09:05 or 09:05, or put them in order and set split.time to true"


def not_a_time(values: Array) -> tuple[int, str] | None:
    """The first row that cannot be ordered among the others, and why; None if all can."""
    if values.dtype.kind == "M":
        gaps = np.flatnonzero(np.isnat(values))
        return (int(gaps[0]), f"expected a date, got NaT; {ADVICE}") if len(gaps) else None
    if values.dtype.kind != "U":
        return None
    texts, rows = np.unique(values, return_index=True)
    kind = ""
    for row, text in sorted(zip(rows.tolist(), texts.tolist(), strict=True)):
        found = moment(text)
        if found is None:
            return row, f"expected a number, or an ISO date or time, got {text!r}; {ADVICE}"
        if found[0] != (kind := kind or found[0]):
            return row, f"expected a {kind} as in the rows before, got the {found[0]} {text!r}; {ADVICE}"
    return None


def in_time(values: Array) -> Array:
    """The rows in order of time; those of one time keep their order."""
    if values.dtype.kind == "U":
        texts, at = np.unique(values, return_inverse=True)
        moments = [found[1] for found in map(moment, texts.tolist()) if found is not None]
        ranks = {value: i for i, value in enumerate(sorted(set(moments)))}
        values = np.array([ranks[value] for value in moments])[at.reshape(-1)]
    return np.argsort(values, kind="stable")


def moment(text: str) -> tuple[str, float] | None:
    """What a text is, number, date, date with a time zone, or time, and its place among them; None for other texts.

    >>> from funcnet.data.in_time import moment
    >>> moment("10:00"), moment("9:05")
    (('time', 36000000000000), None)
    """
    found = ISO.fullmatch(text)
    if found is None or not text:
        return _number(text)
    day, clock, fraction, zone = found.group("day", "clock", "fraction", "zone")
    try:
        days = 0 if day is None else date.fromisoformat(day if len(day) == 10 else f"{day}-01").toordinal()
        of_day = time.fromisoformat(clock or "00:00")
    except ValueError:
        return None
    minutes = (days * 24 + of_day.hour) * 60 + of_day.minute
    if zone not in (None, "Z"):
        offset = int(zone[1:3]) * 60 + int(zone[-2:])
        minutes += -offset if zone[0] == "+" else offset
    kind = "time" if day is None else "date" if zone is None else "date with a time zone"
    return kind, (minutes * 60 + of_day.second) * 10**9 + int((fraction or "")[1:].ljust(9, "0"))


def _number(text: str) -> tuple[str, float] | None:
    try:
        number = float(text)
    except ValueError:
        return None
    exact = int(text) if text.isdecimal() else number
    return ("number", exact) if math.isfinite(number) else None
