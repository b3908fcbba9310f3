"""Formulas of pages in a terminal."""

import re

import pytest

from funcnet.cli.formulas import formulas_as_text, plain
from funcnet.cli.guide import pages, read


@pytest.mark.parametrize(
    ("tex", "text"),
    [
        (r"dW_{ij} = \sum_n X_{ni} dY_{nj}", "dW_ij = sum_n X_ni dY_nj"),
        (r"y_{ij} = \sum_{a,b} x_{i+a, j+b}", "y_ij = sum_(a,b) x_(i+a, j+b)"),
        (r"p = \frac{e^z}{\sum_j e^{z_j}}, \quad L = -\log p", "p = e^z / (sum_j e^z_j),   L = -log p"),
        (r"x \to h \leftarrow y", "x -> h <- y"),
        (r"\hat{x} = \frac{x - \text{mean}(x)}{\sqrt{v + \epsilon}}", "x_hat = (x - mean(x)) / sqrt(v + epsilon)"),
        (r"P \cdot dP", "P * dP"),
    ],
)
def test_plain(tex, text):
    assert plain(tex) == text


def test_only_lines_of_formulas_change():
    page = "# Title\n\nIt is `$$x$$` here.\n\n$$y = x^{2n}$$\n\n```python\nprint(1)\n```\n"
    assert formulas_as_text(page) == page.replace("$$y = x^{2n}$$", "    y = x^2n")


@pytest.mark.parametrize("name", pages())
def test_no_commands_are_left(name):
    lines = set(formulas_as_text(read(name)).splitlines()) - set(read(name).splitlines())
    assert len(lines) == len(set(re.findall(r"^\$\$.*\$\$$", read(name), re.M)))
    assert not [line for line in lines if re.search(r"[\\{}$]", line)]
