"""Dates as inputs: their year, month and weekday.

Printed into deployed programs, so it uses only NumPy and the standard library.
"""

from __future__ import annotations

from datetime import date

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
