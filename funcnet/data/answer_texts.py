"""Predictions as text: rows of CSV, and JSON lines.

Printed into deployed programs, so it uses only NumPy and the standard library.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

import numpy as np


def number_columns(values: Any) -> list[list[str]]:
    """The columns of an array of numbers as texts, in the shortest digits of the dtype."""
    if values.dtype != np.float32 or values.size < 100:
        return [list(map(str, column)) for column in values.T]
    rows = len(values)
    texts = shortest_texts(values.T.reshape(-1))
    return [texts[begin : begin + rows] for begin in range(0, len(texts), rows)]


def shortest_texts(values: Any) -> list[str]:
    """The text of each float32, as ``str`` gives it: the fewest digits that are nearer to it than to any other.

    A value times up to 10**12 is exact in float64, as 24 bits by 28 are, and so is its distance from an integer.
    """
    with np.errstate(invalid="ignore"):  # of NaN
        sizes = np.abs(values.astype(np.float64))
    usual = (sizes >= 1e-4) & (sizes < 1e6)
    sizes = np.where(usual, sizes, 0.0)
    half = np.spacing(sizes.astype(np.float32)) / np.float64(2.0)
    powers = np.array([float(10**i) for i in range(17)])
    places = np.maximum(9 - np.searchsorted(powers[:9] / 1e3, sizes, "right"), 1)  # behind the point, for 6 digits
    six, power = places, powers[places]
    for _ in range(3):  # 9 digits are always enough
        scaled = sizes * power
        places, power = places + (np.abs(scaled - np.rint(scaled)) >= half * power), power * 10.0
    digits = np.rint(sizes * powers[places])
    left = np.flatnonzero(places == six)  # of 6 digits, only one number is that near
    while len(left):
        shorter = digits[left] / 10.0
        left = left[(shorter == np.floor(shorter)) & (places[left] > 1)]
        digits[left] /= 10.0
        places[left] -= 1
    whole = np.floor(digits / powers[places])
    behind = ((digits - whole * powers[places]) * powers[16 - places]).astype(np.uint64)
    before, most = len(str(int(whole.max()))), int(places.max())
    codes = np.zeros((len(values), before + most + 3), np.uint8)  # sign, digits, point, digits, end; 0 is no character
    codes[:, 0] = np.signbit(values) * ord("-")
    for i in range(before, 0, -1):
        ahead = np.floor(whole / 10.0)
        code = (whole - 10.0 * ahead).astype(np.uint8) + ord("0")
        codes[:, i] = code if i == before else code * (whole > 0)
        whole = ahead
    codes[:, before + 1] = ord(".")
    first = behind // 100000000
    words = eight_characters(first) & np.array([256**i - 1 for i in range(9)], np.uint64)[np.minimum(places, 8)]
    codes[:, before + 2 : before + 2 + min(most, 8)] = words.view(np.uint8).reshape(-1, 8)[:, :most]
    many = np.flatnonzero(places > 8)
    if len(many):
        last = eight_characters((behind - first * 100000000)[many]).view(np.uint8).reshape(-1, 8)
        last = last[:, : most - 8] * (np.arange(8, most) < places[many, None])
        codes[many, before + 10 : -1] = last
    codes[:, -1] = ord("\n")
    texts = codes.tobytes().translate(None, b"\0").decode().split("\n")[:-1]
    for row in np.flatnonzero(~usual).tolist():
        texts[row] = str(values[row])
    return texts


def eight_characters(numbers: Any) -> Any:
    """Integers below 10**8 as 8 digits each, which are the bytes of a little-endian word.

    The two halves of a number are divided in one operation, then its four quarters.
    """
    ahead = numbers // 10000
    words = ahead | (numbers - ahead * 10000) << 32
    ahead = (words * 10486 >> 20) & 0x0000007F0000007F  # by 100
    words = ahead | (words - ahead * 100) << 16
    ahead = (words * 103 >> 10) & 0x000F000F000F000F  # by 10
    return (ahead | (words - ahead * 10) << 8 | 0x3030303030303030).astype("<u8")


def csv_text(head: Sequence[str], columns: Sequence[Sequence[str]]) -> str:
    """Rows of CSV, below the names of the columns if there are any."""
    plain = len(columns) > 1 and not any(mark in "".join(column) for column in columns for mark in ',"\r\n')
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([head] if head else [])
    if plain and columns[0]:  # as the writer does, and faster
        return text.getvalue() + "\n".join(map(",".join, zip(*columns, strict=True))) + "\n"
    writer.writerows(zip(*columns, strict=True))
    return text.getvalue()


def json_text(
    names: Sequence[str],
    labels: Sequence[Sequence[str]],
    numbers: Sequence[Sequence[str]],
    form: str,
    what: str,
    texts: bool,
) -> str:
    """JSON lines with the columns of labels, texts or else 0 and 1, and of numbers; ``names`` are those of numbers.

    The form is "label", or "labels" of the same names, both with ``what`` the numbers are, such as "probabilities"; or
    "values", a label among them.
    """
    pairs = [json.dumps(name, ensure_ascii=False).replace("%", "%%") + ": %s" for name in names]
    each = f"{{{', '.join(pairs)}}}"
    first = {"label": "%s", "labels": each}.get(form)
    template = each if first is None else f'{{"{form}": {first}, "{what}": {each}}}'
    if first is None and labels:
        template = f'{{"label": %s, {each[1:]}'
    known = {text: json.dumps(text, ensure_ascii=False) if texts else text for text in set().union(*labels)}
    cells: list[Sequence[str]] = [[known[text] for text in column] for column in labels]
    for column in numbers:  # 0.0001 for 1e-04, NaN for nan
        if any(mark in "".join(column) for mark in "en"):
            column = [json.dumps(float(text)) if "e" in text or "n" in text else text for text in column]
        cells.append(column)
    return "".join(map((template + "\n").__mod__, zip(*cells, strict=True)))
