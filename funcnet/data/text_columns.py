"""Columns of a block of lines: where their values lie in it, and those values as arrays, a whole column at once.

Making a text of each value takes most of the time of reading a table. So only those values become texts that have to be
compared with the texts for a missing value, or are not plainly a number.

Printed into deployed programs, so it uses only NumPy and the standard library.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np

from funcnet.data.number_texts import plain_numbers, to_number


class TextColumn(Sequence):  # type: ignore[type-arg]
    """The values of a column as places in the UTF-8 text of a block, which has 24 bytes before them and 1000 behind.

    ``points`` has the place of each value's decimal point: beyond its end if it has none, -1 if it has several.
    """

    def __init__(self, block: bytes, starts: Any, ends: Any, points: Any) -> None:
        self.block, self.starts, self.ends, self.points = block, starts, ends, points
        self.codes = np.frombuffer(block, np.uint8)

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, slice):
            return TextColumn(self.block, self.starts[key], self.ends[key], self.points[key])
        return self.block[int(self.starts[key]) : int(self.ends[key])].decode().strip()

    def __iter__(self) -> Iterator[str]:
        places = zip(self.starts.tolist(), self.ends.tolist(), strict=True)
        return (self.block[start:end].decode().strip() for start, end in places)

    def texts(self, rows: Any) -> list[str]:
        """The values of some rows."""
        return list(TextColumn(self.block, self.starts[rows], self.ends[rows], self.points[rows]))


def columns_of(text: str, delimiter: str, count: int) -> Sequence[Sequence[str]] | None:
    """The columns of whole lines with ``count`` values each, quoted as a whole or not at all; None for other lines.

    Those of a few lines are lists of texts: below 500 values, arrays cost more than they save.
    """
    if count < 2:
        return None
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    text += "" if text.endswith("\n") else "\n"
    lines = text.count("\n")
    if lines < 500 or not delimiter.isascii():
        if '"' in text:
            return None
        text = text.replace("\n", f"{delimiter}\n{delimiter}")  # an end of line as a value, which is in step
        cells = text.split(delimiter)[:-1]
        even = len(cells) == lines * (count + 1) and cells[count :: count + 1] == ["\n"] * lines
        if not even or max(map(len, cells)) > 2**17:  # the longest value that the csv module takes
            return None
        return [list(map(str.strip, cells[i :: count + 1])) for i in range(count)]
    block = bytes(24) + text.encode() + bytes(1000)
    codes = np.frombuffer(block, np.uint8)
    mark, point = ord(delimiter), ord(".")
    marks = np.flatnonzero((codes == mark) | (codes == ord("\n")) | (codes == point))
    at = np.flatnonzero(codes[marks] != point) if mark != point else np.arange(len(marks))
    ends = marks[at]
    starts = np.concatenate([[24], ends[:-1] + 1])
    last = codes[ends] == ord("\n")
    if len(ends) != lines * count or not last[count - 1 :: count].all() or (ends - starts).max() > 2**17:
        return None
    if '"' in text:
        quote = ord('"')
        begun = codes[starts] == quote
        quoted = begun & (codes[ends - 1] == quote) & (ends - starts > 1)
        if (begun & ~quoted).any() or np.count_nonzero(codes == quote) != 2 * np.count_nonzero(quoted):
            return None
        starts, ends = starts + quoted, ends - quoted
    between = np.diff(at, prepend=-1)  # 1 more than the points of a value
    points = np.where(between == 1, len(block), np.where(between == 2, marks[at - 1], -1))
    places = [np.ascontiguousarray(each.reshape(lines, count).T) for each in (starts, ends, points)]
    return [TextColumn(block, *column) for column in zip(*places, strict=True)]


def is_space(codes: Any) -> Any:
    """Whether characters are spaces of ASCII, such as line breaks and tabs, as ``str.strip`` takes them."""
    return (codes == 32) | (codes - 9 < 5) | (codes - 28 < 4)


def without_spaces(column: TextColumn) -> tuple[Any, Any]:
    """The starts and the ends of a column's values, without the ASCII spaces around them."""
    codes, starts, ends = column.codes, column.starts, column.ends
    if not ((codes[starts] <= 32).any() or (codes[ends - 1] <= 32).any()):
        return starts, ends
    for _ in range(20):
        first = is_space(codes[starts]) & (starts < ends)
        starts = starts + first
        last = is_space(codes[ends - 1]) & (starts < ends)
        ends = ends - last
        if not (first | last).any():
            return starts, ends
    for row in np.flatnonzero(first | last).tolist():
        value = column.block[starts[row] : ends[row]]
        starts[row] += len(value) - len(value.lstrip(b" \t\n\r\x0b\x0c\x1c\x1d\x1e\x1f"))
        ends[row] = starts[row] + len(value.strip(b" \t\n\r\x0b\x0c\x1c\x1d\x1e\x1f"))
    return starts, ends


def digits_of(column: TextColumn) -> tuple[Any, Any]:
    """The numbers of a column, and which of its values are plainly written: with up to 24 digits, a point and a sign.

    A value is its digits as an integer, by a power of ten: exact below 2**53, so that one division rounds it, as
    ``float`` does.
    """
    (starts, ends), codes = without_spaces(column), column.codes
    first = codes[starts]
    negative = first == ord("-")
    lengths = ends - starts - (negative | (first == ord("+")))
    size = 8 if lengths.max() <= 8 else 16 if lengths.max() <= 16 else 24
    behind = np.maximum(ends - column.points, 0)  # the point and the digits behind it
    plain = (lengths > (behind > 0)) & (lengths <= size) & (column.points >= 0) & (behind <= 23)
    lengths, behind = np.where(plain, lengths, 0), np.where(plain, behind, 0)
    digits = (bytes_at(column.block, ends - size, size) ^ ord("0")) * first_ones(size, lengths)[:, ::-1]
    digits *= digits != ord(".") ^ ord("0")
    if (digits > 9).any():
        plain &= ~(digits > 9).any(axis=1)
    whole = digits.astype(np.float64) @ np.array([float(10**i) for i in reversed(range(size))])
    plain &= whole < 2.0**53
    powers = np.array([1.0] + [float(10**i) for i in range(24)])
    before = np.floor(whole / np.where(behind > 0, powers[1:][behind], np.inf))  # where the point takes a place
    numbers = (whole - 9.0 * powers[behind] * before) / powers[behind]
    return np.where(negative, -numbers, numbers), plain


def bytes_at(block: bytes, starts: Any, count: int) -> Any:
    """The bytes of a block that begin at some places, (places, count)."""
    windows = np.ndarray((len(block) - count + 1,), f"V{count}", block, 0, (1,))
    return windows[starts].view(np.uint8).reshape(-1, count)


def first_ones(size: int, counts: Any) -> Any:
    """For each count as many ones, and zeros behind them, (counts, size)."""
    return np.tri(size + 1, size, -1, np.uint8).view(f"V{size}").reshape(-1)[counts].view(np.uint8).reshape(-1, size)


def numbers_of(values: Sequence[str], missing: Collection[str]) -> Any:
    """Texts as finite numbers, NaN for those in ``missing``; None if any other is not a plain number."""
    if not isinstance(values, TextColumn):
        return plain_numbers(values, missing)
    numbers, plain = digits_of(values)
    for number in set(map(to_number, missing)) - {None}:  # such as -999, whose text is looked at
        plain &= numbers != number
    rest = np.flatnonzero(~plain)
    if len(rest):
        others = plain_numbers(values.texts(rest), missing)
        if others is None:
            return None
        numbers[rest] = others
    return numbers


def longest(values: Sequence[str]) -> int:
    """The characters of the longest text, or more."""
    return int((values.ends - values.starts).max()) if isinstance(values, TextColumn) else max(map(len, values))


def gaps_of(values: Sequence[str], missing: Collection[str]) -> Any:
    """Which texts are in ``missing``."""
    known = frozenset(missing)
    if not isinstance(values, TextColumn):
        return np.fromiter(map(known.__contains__, values), bool, len(values))
    starts, ends = without_spaces(values)
    found = (starts == ends) & ("" in known)
    for text in known - {""}:
        code = text.encode("utf-8", "surrogatepass")
        alike = np.flatnonzero(ends - starts == len(code))
        if len(alike):
            same = bytes_at(values.block, starts[alike], len(code)) == np.frombuffer(code, np.uint8)
            found[alike] |= np.all(same, axis=1)
    other = np.flatnonzero((values.codes[starts] > 127) | (values.codes[ends - 1] > 127))  # perhaps spaces
    found[other] = [text in known for text in values.texts(other)]
    return found


def ends_in_nul(values: Sequence[str]) -> int | None:
    """The first text that ends in the character NUL, which an array of texts would drop; None if none does."""
    if isinstance(values, TextColumn):
        if values.block.find(b"\0", 24, -1000) < 0:
            return None
        values = list(values)
    if "\0\n" not in "\n".join([*values, ""]):
        return None
    return next((row for row, text in enumerate(values) if text.endswith("\0")), None)


def words_of(values: Sequence[str], missing: Collection[str] = ()) -> Any:
    """Texts as an array, in which each takes as much room as the longest; empty if in ``missing``."""
    if isinstance(values, TextColumn):
        gaps, (starts, ends) = gaps_of(values, missing), without_spaces(values)
        lengths = np.where(gaps, 0, ends - starts)
        size = max(1, int(lengths.max()))
        if size <= 1000:  # as many bytes are behind the text of a block
            codes = bytes_at(values.block, starts, size) * first_ones(size, lengths)
            if codes.max() < 128:
                return codes.astype(np.uint32).view(f"U{size}").reshape(-1)
        values = list(values)
    known = frozenset(missing)
    return np.array(values if known.isdisjoint(values) else ["" if text in known else text for text in values])
