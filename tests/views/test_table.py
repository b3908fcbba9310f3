"""A table as text and HTML: sides, totals, and line breaks where it has to be narrow."""

import pytest

from funcnet.views.table import Table, wrapped

SCORES = Table(
    ["name", "f1", "rows"],
    [["setosa", "0.97", "1,200"], ["virginica", "nan", ""], ["total", "1e-05", "?"]],
    "scores",
    totals=1,
)


def test_figures_stand_to_the_right_and_totals_below_a_line():
    assert str(SCORES) == (
        "scores\n"
        "name          f1   rows\n"
        "---------  -----  -----\n"
        "setosa      0.97  1,200\n"
        "virginica    nan\n"
        "---------  -----  -----\n"
        "total      1e-05      ?"
    )


@pytest.mark.parametrize("cell", ["", "?", "-3", "1,234", "0.5", "1e-05", "-2.5e+10", "inf", "-inf", "nan", "3.14 kB"])
def test_figures(cell):
    assert Table(["a"], [[cell]]).figures == [True]


@pytest.mark.parametrize("cell", ["a", "8 x 8", "()", "1 NaN!", "float32", "3 apples", "e5", "-"])
def test_what_is_no_figure(cell):
    assert Table(["a"], [["1"], [cell]]).figures == [False]


def test_html():
    text = Table(["<a>", "n"], [["x & y", "1"], ["all", "2"]], totals=1).html()
    assert text.count("<tr>") == 3
    assert '<td style="padding:0 0.8em 0 0;white-space:pre;text-align:left">x &amp; y</td>' in text
    assert '<td style="padding:0 0.8em 0 0;white-space:pre;text-align:right;border-top:1px solid">2</td>' in text
    assert "&lt;a&gt;" in text


@pytest.mark.parametrize(
    ("cell", "width", "lines"),
    [
        ("one two three", 9, ["one two", "  three"]),
        ("one two", 7, ["one two"]),
        ("up_2 ConvTranspose2D", 18, ["up_2", "  ConvTranspose2D"]),  # between words before within one
        ("    multi_head_attention_0 X", 18, ["    multi_head_", "      attention_0", "      X"]),
        ("MultiHeadAttention", 12, ["MultiHead", "  Attention"]),
        ("a 8 x 8 x 16", 11, ["a 8 x 8 x", "  16"]),
        ("abcdefgh", 4, ["abcd", "  ef", "  gh"]),
        ("first\nsecond line", 8, ["first", "second", "  line"]),
        ("", 3, [""]),
        ("word", 1, ["w", "o", "r", "d"]),
    ],
)
def test_wrapped(cell, width, lines):
    assert wrapped(cell, width).split("\n") == lines


WIDE = Table(["name", "forward FLOPs"], [["conv_2d_0 Conv2D", "1,000,000"], ["head Dense", "20"]])


@pytest.mark.parametrize(
    ("width", "text"),
    [
        (31, str(WIDE)),
        (27, "name                forward\n                      FLOPs\n----------------  ---------\n"
             "conv_2d_0 Conv2D  1,000,000\nhead Dense               20"),
        (22, "name          forward\n                FLOPs\n----------  ---------\n"
             "conv_2d_0   1,000,000\n  Conv2D\nhead Dense         20"),
    ],
)  # fmt: skip
def test_headers_give_way_before_words_and_figures_never(width, text):
    assert "\n".join(line.rstrip() for line in WIDE.text(width).split("\n")) == text
    assert WIDE.fitted(width).width <= width


def test_a_table_that_cannot_be_narrower_is_wider():
    assert WIDE.fitted(5).width == 8 + 2 + 9
    assert "1,000,000" in WIDE.text(5)


def test_no_rows():
    assert str(Table(["a", "b"], [])) == "a  b\n-  -"
