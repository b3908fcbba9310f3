"""Plain values and arrays as constants of a printed program."""

from __future__ import annotations

import textwrap
from typing import Any

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
        texts = f"np.array({value.tolist()!r})" if value.ndim else f"np.float64({value.item()!r})"
        if len(texts) > 100:
            texts = "np.array(\n" + textwrap.indent(filled_list(value.tolist()), "    ") + "\n)"
        self.lines.append(f"{name} = {texts}")
        return name


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
