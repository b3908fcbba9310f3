"""Dates as inputs: their year, month and weekday.

Printed into deployed programs, so it uses only NumPy and the standard library.
"""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np

from funcnet.data.in_time import ISO

DATE_PARTS = ("year", "month", "weekday")
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
FORM = "a date like 2024-05-31 or 2024-05-31T09:05"
"""The form of a date, for messages"""


def day_of(text: str) -> date | None:
    """The day of an ISO date, with a time and a time zone or without, as it is written; None for other texts."""
    found = ISO.fullmatch(text)
    day = None if found is None else found["day"]
    try:
        return date.fromisoformat(day) if day and len(day) == 10 else None
    except ValueError:
        return None


def date_part(text: str, part: str) -> float | str | None:
    """The year of a date as a number, its month, "1" to "12", or its weekday in English; None for other texts."""
    day = day_of(text)
    if day is None:
        return None
    if part == "year":
        return float(day.year)
    return str(day.month) if part == "month" else WEEKDAYS[day.weekday()]


def days_of(texts: Any) -> Any:
    """The days of an array of ISO dates alone, all at once, NaT for empty texts; None if it has any other text."""
    if texts.dtype != "U10":
        return None
    codes = np.ascontiguousarray(np.ascontiguousarray(texts).view(np.uint32).reshape(-1, 10).T).astype(np.int32)
    empty, digits = codes[0] == 0, codes[[0, 1, 2, 3, 5, 6, 8, 9]] - ord("0")
    plain = np.all((digits >= 0) & (digits <= 9) & (codes[[4, 4, 4, 4, 7, 7, 7, 7]] == ord("-")), axis=0)
    digits[:, ~plain] = np.array([2, 0, 0, 0, 0, 1, 0, 1])[:, None]
    year = digits[0] * 1000 + digits[1] * 100 + digits[2] * 10 + digits[3]
    month, day = digits[4] * 10 + digits[5], digits[6] * 10 + digits[7]
    months = (12 * (year - 1970) + month - 1).astype("M8[M]")
    days = months.astype("M8[D]") + (day - 1)
    plain &= (year > 0) & (month > 0) & (month < 13) & (day > 0) & (days.astype("M8[M]") == months)
    return np.where(empty, np.datetime64("NaT", "D"), days) if (plain | empty).all() else None


def part_of_days(days: Any, part: str) -> Any:
    """What ``date_part`` says of each day, NaN or an empty text for NaT."""
    if part == "year":
        return np.where(np.isnat(days), np.nan, days.astype("M8[Y]").astype(np.int64) + 1970)
    numbers = days.astype("M8[M]").astype(np.int64) % 12 if part == "month" else (days.astype(np.int64) + 3) % 7
    names = np.array([str(i + 1) for i in range(12)] if part == "month" else WEEKDAYS)
    return np.where(np.isnat(days), "", names[numbers])
