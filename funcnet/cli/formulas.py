r"""The formulas of pages, ``$$…$$``, as text for a terminal: ``\frac{a}{b}`` is shown as ``a / b``."""

from __future__ import annotations

import re

SIGNS = {"leftarrow": "<-", "to": "->", "cdot": "*", "odot": "*", "quad": " "}
"""Commands that a sign stands for; the others, such as ``\\sum`` and ``\\beta``, are shown by their name"""
GROUP = r"\{([^{}]*)\}"  # without groups inside: the innermost are replaced first


def formulas_as_text(page: str) -> str:
    """A page in Markdown with each formula, a line of its own, as an indented line of text."""
    return re.sub(r"^\$\$(.*)\$\$$", lambda found: "    " + plain(found[1]), page, flags=re.M)


def plain(tex: str) -> str:
    r"""A formula as text.

    >>> from funcnet.cli.formulas import plain
    >>> plain(r"p_k = \frac{e^{z_k}}{\sum_j e^{z_j}}, \quad L = -\log p_c")
    'p_k = e^z_k / (sum_j e^z_j),   L = -log p_c'
    """
    before = ""
    while before != tex:
        before = tex
        tex = re.sub(rf"\\text{GROUP}", r"\1", tex)
        tex = re.sub(rf"\\hat{GROUP}", r"\1_hat", tex)
        tex = re.sub(rf"\\sqrt{GROUP}", r"sqrt(\1)", tex)
        tex = re.sub(rf"([_^]){GROUP}", lambda found: found[1] + _joined(found[2]), tex)
        tex = re.sub(rf"\\frac{GROUP}{GROUP}", lambda found: f"{_joined(found[1])} / {_joined(found[2])}", tex)
    return re.sub(r"\\([A-Za-z]+)", lambda found: SIGNS.get(found[1], found[1]), tex)


def _joined(part: str) -> str:
    """A part of a formula, in parentheses if it has a space or a comma outside of parentheses."""
    part = part.strip()
    return f"({part})" if re.search(r"[\s,]", re.sub(r"\([^()]*\)", "", part)) else part
