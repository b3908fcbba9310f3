"""Parts of SVG shared by the pictures: axes with round ticks, and shapes as text."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Sequence
from html import escape

from attrs import frozen

INK, QUIET, GRID = "#1a1a1a", "#5c5c5c", "#e3e3e3"


@frozen
class Axis:
    """A map from values to pixels: ``low`` goes to ``start`` and ``high`` to ``end``, both log10 if ``log``."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        at = math.log10(value) if self.log else value
        pixel = self.start + (at - self.low) / (self.high - self.low) * (self.end - self.start)
        return min(max(pixel, -5000.0), 5000.0)  # viewers draw larger coordinates wrong


def ticks(axis: Axis, most: int, whole: bool = False) -> list[tuple[float, str]]:
    """About ``most`` round values on an axis, 1, 2 or 5 times a power of ten apart, each with its label."""
    span = axis.high - axis.low
    if axis.log:
        stride, digits = math.ceil(span / most), (1, 2, 5) if span < 2.2 else (1,)
        powers = [p for p in range(math.floor(axis.low), math.ceil(axis.high) + 1) if p % stride == 0]
        values = [float(f"{digit}e{p}") for p in powers for digit in digits]
        return [(v, scientific(v)) for v in values if v > 0.0 and axis.low <= math.log10(v) <= axis.high]
    power = 10.0 ** math.floor(math.log10(span / most))
    step = next(power * m for m in (1, 2, 5, 10) if power * m * 1.0001 >= span / most)
    step = max(step, 1.0) if whole else step
    values = [i * step for i in range(math.ceil(axis.low / step), math.floor(axis.high / step) + 1)]
    largest = max((abs(v) for v in values), default=0.0)
    exponent = 0 if 1e-3 <= largest < 1e6 or not largest else math.floor(math.log10(largest) + 1e-9)
    decimals = max(0, exponent - math.floor(math.log10(step) + 1e-9))
    suffix = f"e{exponent}" if exponent else ""
    return [(v, f"{v / 10.0**exponent:.{decimals}f}{suffix}" if v else "0") for v in values]


def document(width: float, height: float, title: str, parts: Iterable[str]) -> str:
    """A document on white, in ASCII, valid in a file or a page of any encoding."""
    size = f'width="{width:g}" height="{height:g}" viewBox="0 0 {width:g} {height:g}"'
    start = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" font-family="system-ui, sans-serif">'
    ground = rect(0, 0, width, height, 'fill="#ffffff"')
    lines = [start, f"<title>{xml(title)}</title>", ground, *parts, "</svg>\n"]
    return "\n".join(lines).encode("ascii", "xmlcharrefreplace").decode("ascii")


def line(x1: float, y1: float, x2: float, y2: float, colour: str = GRID, width: float = 0.7) -> str:
    """A straight line."""
    ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {ends} stroke="{colour}" stroke-width="{width}"/>'


def rect(x: float, y: float, width: float, height: float, style: str) -> str:
    """A rectangle with its top left corner at (x, y)."""
    return f'<rect x="{x}" y="{y}" width="{width}" height="{height}" {style}/>'


def circle(kind: str, x: float, y: float, radius: float, style: str) -> str:
    """A circle of a class, by which it can be selected."""
    return f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="{radius}" {style}/>'


def text(
    x: float, y: float, text: str, size: float = 11, anchor: str = "start", fill: str = INK, weight: str = "normal"
) -> str:
    """Text on a baseline at y, escaped."""
    style = f'font-size="{size}" text-anchor="{anchor}" fill="{fill}" font-weight="{weight}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{xml(text)}</text>'


def turned(x: float, y: float, words: str, anchor: str = "start", fill: str = INK) -> str:
    """Text that runs upwards from (x, y), or has its middle there."""
    return f'<g transform="translate({x:.1f} {y:.1f}) rotate(-90)">{text(0, 0, words, anchor=anchor, fill=fill)}</g>'


def grid(x: Axis, y: Axis, below: float, whole: bool = False) -> list[str]:
    """Lines at round values of both axes; the labels are on the left of the plot, and under the height ``below``.

    whole   whether the values of y are counts
    """
    parts = []
    for value, label in ticks(x, 6):
        at = x(value)
        parts += [line(at, y.end, at, y.start), text(at, below + 14, label, 10, "middle", QUIET)]
    for value, label in ticks(y, 6, whole):
        at = y(value)
        parts += [line(x.start, at, x.end, at), text(x.start - 6, at + 3.5, label, 10, "end", QUIET)]
    return parts


def short(value: float, digits: int = 4) -> str:
    """A number as people write it: ``1e-5``, not ``1e-05``; and a sum of money as ``20171``, not ``2.017e4``."""
    if 10.0 ** (digits - 1) <= abs(value) < 1e9:
        return f"{value:.0f}"
    return scientific(value, digits)


def scientific(value: float, digits: int = 4) -> str:
    """A number with few digits, with a power of ten where it is large or small: ``1e4``, ``1e-5``."""
    return re.sub(r"e([+-])0*", lambda found: "e" + found[1].replace("+", ""), f"{value:.{digits}g}")


def cut(text: str, length: int) -> str:
    """A text, or the start of one that is too long, with an ellipsis."""
    return text if len(text) <= length else text[: length - 1] + "…"


def shortened(text: str, length: int) -> str:
    """A text without its middle if it is too long: names that begin alike often differ at the end."""
    if len(text) <= length:
        return text
    end = (length - 1) // 2
    return f"{text[: length - 1 - end]}…{text[len(text) - end :]}"


def width_of(text: str, size: float) -> float:
    """About how wide a text is in pixels: a letter takes 0.6 of the size, a Chinese character all of it."""
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return size * (0.6 * len(text) + 0.4 * wide)


def fitted(text: str, width: float, size: float) -> str:
    """A text, cut to a width in pixels and ended with an ellipsis if it is wider."""
    if width_of(text, size) <= width:
        return text
    length = min(len(text), int(width / (0.6 * size)) + 2)  # more do not fit, whatever they are
    while length > 1 and width_of(text[: length - 1] + "…", size) > width:
        length -= 1
    return cut(text, length)


def told_apart(names: Sequence[str], width: float, size: float) -> list[str]:
    """Names cut to a width in pixels; all keep their ends if some of them would become equal."""
    found = [fitted(name, width, size) for name in names]
    if len(set(found)) == len(set(names)):
        return found
    lengths = range(int(width / (0.6 * size)) + 1, 1, -1)
    return [
        next((cut for cut in (shortened(name, n) for n in lengths) if width_of(cut, size) <= width), "…")
        for name in names
    ]


def xml(text: str) -> str:
    """Text escaped for XML; control characters and lone surrogates, which XML forbids, are replaced."""
    return escape(re.sub("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", text))
