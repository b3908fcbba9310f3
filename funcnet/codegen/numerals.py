"""Numbers as people write them: ``1 - 0.9`` for 0.09999999999999998, ``1 / len(y)`` for 0.03125.

An expression replaces a number only if Python computes the number from it, to the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from typing import Any

import attrs
import numpy as np

from funcnet.compiler.graph import plain_text
from funcnet.compiler.kind import ATOM, PLUS, POWER, TIMES, UNARY, Text

SHORT = 4
"""The most digits of a number that is written as it is"""
ROOTS = ("0.5 ** 0.5", "2 ** 0.5", "(2 / np.pi) ** 0.5", "(2 * np.pi) ** -0.5", "1 / (2 * np.pi) ** 0.5")


def digits(value: float) -> int:
    """How many digits a number has, without zeros at either end."""
    return len(repr(abs(value)).partition("e")[0].replace(".", "").strip("0"))


def number_text(
    value: Any, given: Iterable[float] = (), counts: Iterable[int] = (), names: Mapping[int, str] | None = None
) -> Text:
    """A Python number as code; ``given`` are the fields of its layer, ``names`` those of some counts."""
    names = names or {}
    if type(value) is not float or not math.isfinite(value):
        text = plain_text(value)
        return Text(text, UNARY if text.startswith("-") else ATOM)
    if value < 0.0:
        inner = number_text(-value, given, counts, names)
        return Text(f"-{inner.within(UNARY)}", UNARY)
    count = round(1.0 / value) if 1e-9 < value < 1.0 else 0
    if count > 2 and value == 1.0 / count and (count in names or (digits(value) > 2 and count != 8)):
        return Text(f"1 / {names.get(count, count)}", TIMES)
    if digits(value) <= SHORT:
        return Text(repr(value), ATOM)
    for text, strength in _expressions(value, given, counts):
        if eval(text, {"np": np}) == value:  # its own text
            return Text(text, strength)
    return Text(repr(value), ATOM)


def _expressions(value: float, given: Iterable[float], counts: Iterable[int]) -> Iterator[tuple[str, int]]:
    """The expressions that are tried, with their strengths."""
    for number in given:
        yield f"1 - {number!r}", PLUS
        yield f"1 / (1 - {number!r})", TIMES
        if number:
            yield f"1 / {number!r}", TIMES
        for n in counts:
            if n > 1:
                yield f"(1 - {number!r}) * {n} / {n - 1}", TIMES
                yield f"(1 - {number!r}) * ({n} / {n - 1})", TIMES
    for text in ROOTS:
        yield text, TIMES if text.startswith("1 /") else POWER
    square = round(min(value**-2.0, 1e9))
    yield f"1 / {square} ** 0.5" if square else "0.0", TIMES
    root = Fraction(min(value * value, 1e9)).limit_denominator(1000)
    top, bottom = root.numerator, root.denominator
    yield f"{top} ** 0.5" if bottom == 1 else f"({top} / {bottom}) ** 0.5", POWER
    count = round(1.0 / value)
    for top in range(2, 10):
        yield f"{top} / {round(top / value)}" if value < 1.0 else "0.0", TIMES
    yield f"1 / {count}" if count else "0.0", TIMES


def fields_of(layer: Any) -> list[float]:
    """The numbers between 0 and 1, or so, among a layer's fields."""
    if layer is None or not attrs.has(type(layer)):
        return []
    values = [getattr(layer, field.name) for field in attrs.fields(type(layer)) if hasattr(layer, field.name)]
    return [float(value) for value in values if isinstance(value, float)]


def power_of_two(value: Any) -> bool:
    """Whether dividing by a number is multiplying by its inverse, to the last bit."""
    return math.frexp(value)[0] == 0.5


def integral(value: Any) -> str | None:
    """A float without a fraction as an integer, which NumPy takes for the same number; else None."""
    plain = (
        type(value) is float
        and value.is_integer()
        and abs(value) < 1000
        and (value != 0.0 or math.copysign(1.0, value) > 0)
    )
    return str(int(value)) if plain else None
