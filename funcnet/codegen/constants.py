"""Plain values and arrays as constants of a printed program."""

from __future__ import annotations

import math
import re
import textwrap
from typing import Any

from funcnet.compiler import layout

LISTED = 32
"""Arrays with more entries go into the archive"""


class Constants:
    """The lines with the constants of a program, and the members of its archive."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.members: dict[str, Any] = {}

    def array(self, name: str, value: Any) -> str:
        """The expression of an array of the preprocessing, a constant of the program or a member of the archive."""
        if value.size > LISTED:
            self.members[f"prepare/{name.lower()}"] = value
            return f'WEIGHTS["prepare/{name.lower()}"]'
        texts = f"np.array({entries(value)})" if value.ndim else f"np.float64({entries(value)})"
        if len(texts) > 100:
            texts = "np.array(\n" + textwrap.indent(filled_list(value.tolist()), "    ") + "\n)"
        self.lines.append(f"{name} = {texts}")
        return name


def entries(array: Any) -> str:
    """The entries of an array as code, in nested lists."""
    return re.sub(r"\b(inf|nan)\b", r"np.\1", repr(array.tolist()))


def alike(array: Any) -> bool:
    """Whether all entries of an array are the same number, to the last bit: 0 and -0 are not."""
    return bool(array.size) and array.tobytes() == array.flat[0].tobytes() * array.size


def in_memory(array: Any) -> tuple[Any, str]:
    """An array as it lies in memory, and the code that gives its axes their order again.

    The order of a sum, and the kernel of a product, follow from the layout.
    """
    axes = layout.outermost_first(layout.Form(array.shape, array.strides, array.itemsize))
    back = tuple([axes.index(axis) for axis in range(array.ndim)])
    if back == tuple(range(array.ndim)):
        return array, ""
    return array.transpose(axes), ".T" if array.ndim == 2 else f".transpose{back}"


def rows_text(shape: tuple[int, ...]) -> str:
    """The shape of an array with one row per raw row."""
    return f"(rows, {', '.join(map(str, shape))})" if shape else "(rows,)"


def one_line(text: str) -> str:
    """A text on one line, for a comment."""
    return repr(text)[1:-1] if not text.isprintable() else text


def code(value: Any) -> str:
    """A plain value as code, with double quotes where possible."""
    if isinstance(value, list):
        return f"[{', '.join(map(code, value))}]"
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value).replace("inf", "np.inf").replace("nan", "np.nan")
    text = repr(value)
    return f'"{text[1:-1]}"' if text.startswith("'") and '"' not in text and "\\'" not in text else text


def assigned(name: str, values: list[Any]) -> str:
    """The assignment of a list to a constant, wrapped."""
    whole = f"{name} = {code(values)}"
    return whole if len(whole) <= 112 else f"{name} = {filled_list(values)}"


def filled_list(values: list[Any]) -> str:
    """A list as code, wrapped."""
    lines, line = ["["], "   "
    for value in values:
        if len(line) + len(code(value)) > 108:
            lines.append(line)
            line = "   "
        line += f" {code(value)},"
    return "\n".join([*lines, line, "]"])
