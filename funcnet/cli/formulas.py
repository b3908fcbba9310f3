r"""Formulas of a page as a terminal shows them: ``$$\frac{dL}{dx_{ij}}$$`` becomes ``dL/dx_ij``."""

from __future__ import annotations

import re
from collections.abc import Iterator

SIGNS = {
    **dict.fromkeys(("cdot", "odot", "times"), "*"),
    **{"partial": "d", "le": "<=", "ge": ">=", "to": "->", "leftarrow": "<-"},
    **{"left": "", "right": "", ",": "", "quad": " ", "qquad": "   "},
}
"""Commands that are not shown by their names"""


def formulas_as_text(page: str) -> str:
    """The Markdown with each formula between ``$$`` as an indented line; blocks of code stay as they are."""
    return re.sub(r"^(```.*?^```|\$\$.+?\$\$(\n\n\$\$.+?\$\$)*)$", _shown, page, flags=re.M | re.S)


def _shown(match: re.Match[str]) -> str:
    """A block of code, or formulas one below the other."""
    formulas = [] if match[0].startswith("```") else re.findall(r"\$\$(.+?)\$\$", match[0], re.S)
    return "\n".join(f"    {plain(formula)}" for formula in formulas) or match[0]


def plain(tex: str) -> str:
    """A formula in LaTeX as a line of text."""
    return _all(iter(re.findall(r"\\[a-zA-Z]+|\\.|\s+|.", tex.strip()))).strip()


def _all(tokens: Iterator[str]) -> str:
    """The text up to the end of the group that the tokens are in."""
    shown = ""
    for token in tokens:
        if token == "}":
            break
        shown += _one(token, tokens)
    return shown


def _one(token: str, tokens: Iterator[str]) -> str:
    """The text of a token, with those that belong to it."""
    match token:
        case "{":
            return _all(tokens)
        case "_" | "^":
            index = _next(tokens)
            return token + (index if index.replace("'", "").isalnum() else f"({index})")
        case r"\frac":
            over, under = _next(tokens), _next(tokens)
            return f"{over}/{under}" if re.fullmatch(r"\w+", over + under) else f"{_factor(over)} / {_factor(under)}"
        case r"\sqrt":
            return f"sqrt({_next(tokens)})"
        case r"\hat":
            return f"{_next(tokens)}_hat"
        case r"\text" | r"\mathrm":
            return _next(tokens)
    if token.startswith("\\"):
        return SIGNS.get(token[1:], token[1:])
    return " " if token.isspace() else token


def _next(tokens: Iterator[str]) -> str:
    """The text of the next token or group."""
    return next((_one(token, tokens) for token in tokens if not token.isspace()), "")


def _factor(text: str) -> str:
    """The text as a factor: in parentheses if an operator or a space is outside those that it has."""
    outside = text
    while (inner := re.sub(r"\([^()]*\)", "", outside)) != outside:
        outside = inner
    return f"({text})" if re.search(r"[ +*/-]", outside) else text
