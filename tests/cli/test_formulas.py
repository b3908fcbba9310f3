"""Formulas of the guide on a terminal."""

import re

import pytest

from funcnet.cli.formulas import formulas_as_text, plain
from funcnet.cli.guide import pages, read


@pytest.mark.parametrize(
    ("formula", "shown"),
    [
        (r"\frac{dL}{dx_{ij}}", "dL/dx_ij"),
        (r"dx = \frac{c p}{|p|^2}", "dx = (c p) / |p|^2"),
        (
            r"\frac{\text{rate}}{\sqrt{t + 1}} \cdot \frac{g}{|g| + \epsilon}",
            "rate / sqrt(t + 1) * g / (|g| + epsilon)",
        ),
        (r"\delta_l = (W_{l+1}^T \delta_{l+1}) \odot s'(z_l)", "delta_l = (W_(l+1)^T delta_(l+1)) * s'(z_l)"),
        (r"y_j = -\gamma \sum_i (x_i - c_{ji})^2", "y_j = -gamma sum_i (x_i - c_ji)^2"),
        (r"\log \left( \frac{1 + \exp(-2 |e|)}{2} \right)", "log ( (1 + exp(-2 |e|)) / 2 )"),
        (r"a \qquad \text{if }b \le 0", "a     if b <= 0"),
        (r"\frac 1 n \{x\}", "1/n {x}"),
        ("a\n  b", "a b"),
        (r"y_{ij} = \sum_{a,b} x_{i+a, j+b}", "y_ij = sum_(a,b) x_(i+a, j+b)"),
        (r"p = \frac{e^z}{\sum_j e^{z_j}}, \quad L = -\log p", "p = e^z / (sum_j e^(z_j)),   L = -log p"),
        (r"x \to h \leftarrow y", "x -> h <- y"),
        (r"\hat{x} = r (x - \text{mean}(x))", "x_hat = r (x - mean(x))"),
        (r"P \, dP \cdot 2", "P  dP * 2"),
        (r"x^{\frac{1}{2}}, x^", "x^(1/2), x^()"),
        (r"\frac", "/"),
        ("}", ""),
    ],
)
def test_formula_in_a_line(formula, shown):
    assert plain(formula) == shown


def test_formulas_of_a_page():
    page = "# T\n\nIt costs $$5.\n\n$$\n\\frac{a}{b}\n$$\n\n```bash\n$$x$$\n```\n\n$$y_{ij}$$\n\n$$z$$\n\nend\n"
    shown = "# T\n\nIt costs $$5.\n\n    a/b\n\n```bash\n$$x$$\n```\n\n    y_ij\n    z\n\nend\n"
    assert formulas_as_text(page) == shown


@pytest.mark.parametrize("name", pages())
def test_pages_show_no_commands(name):
    """Nothing of LaTeX is left in a page, and a formula is not so long that a terminal breaks it."""
    formulas = [line for line in formulas_as_text(read(name)).split("\n") if line not in read(name).split("\n")]
    assert not re.search(r"^\$\$|\$\$$", formulas_as_text(read(name)), re.M)
    for formula in formulas:
        assert not re.search(r"[\\{}$]", formula)
        assert len(formula) <= 80
