"""A whole column of numbers with a decimal comma or thousands separators at once."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcnet.data.text_columns import TextColumn, digits_of, without_spaces


def separated_numbers(column: TextColumn, decimal: str, thousands: str) -> tuple[Any, Any]:
    """The numbers of a column with these separators, and which of its values are plainly written, as ``digits_of``.

    The values are read from a copy of the block, in which the decimal separator is a point, and thousands have none.
    """
    codes, (starts, ends) = column.codes, without_spaces(column)
    marks = np.flatnonzero(codes == ord(decimal))
    first, behind = np.searchsorted(marks, starts), np.searchsorted(marks, ends)
    points = np.where(behind - first == 1, np.append(marks, 0)[first], np.where(behind == first, len(codes), -1))
    plain = np.ones(len(starts), bool)
    if "." not in (decimal, thousands):
        others = np.flatnonzero(codes == ord("."))
        plain = np.searchsorted(others, starts) == np.searchsorted(others, ends)
    if decimal != ".":
        codes = codes.copy()
        codes[marks] = ord(".")
    if thousands:
        between = np.flatnonzero(column.codes == ord(thousands))
        whole = np.minimum(points, ends)
        plain &= grouped(column.codes, starts, whole, between)
        plain &= np.searchsorted(between, whole) == np.searchsorted(between, ends)  # none behind the point
        codes = np.delete(codes, between)
        starts, ends, points = (places - np.searchsorted(between, places) for places in (starts, ends, points))
    numbers, written = digits_of(TextColumn(codes.tobytes(), starts, ends, points))
    return numbers, plain & written


def grouped(codes: Any, starts: Any, ends: Any, between: Any) -> Any:
    """Whether three digits follow each separator in a value, up to its decimal point, and one to three come first."""
    begins = starts + ((codes[starts] == ord("-")) | (codes[starts] == ord("+")))
    first, behind = np.searchsorted(between, starts), np.searchsorted(between, ends)
    several = np.flatnonzero(behind > first)
    good = ends >= 0  # several decimal points are none
    ahead = between[first[several]] - begins[several]
    good[several] &= (ahead >= 1) & (ahead <= 3) & (ends[several] - between[behind[several] - 1] == 4)
    steps = np.cumsum(np.append(0, np.diff(between) != 4))  # of separators that are not 4 apart
    good[several] &= steps[behind[several] - 1] == steps[first[several]]
    return good
