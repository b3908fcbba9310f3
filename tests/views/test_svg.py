"""Numbers and names as text on pictures and pages."""

from __future__ import annotations

import pytest

from funcnet.views.svg import Axis, fitted, short, shortened, ticks, told_apart, width_of


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (0.000012345, 4, "1.234e-5"),
        (0.46602, 4, "0.466"),
        (999.96, 4, "1000"),
        (20171.4, 4, "20171"),
        (-39026.0, 3, "-39026"),
        (123456789.0, 5, "123456789"),
        (2.5e9, 4, "2.5e9"),
        (float("inf"), 4, "inf"),
        (float("nan"), 4, "nan"),
    ],
)
def test_a_number_has_a_power_of_ten_only_where_it_is_very_large_or_small(value, digits, text):
    assert short(value, digits) == text


def test_a_logarithmic_axis_is_labelled_with_powers_of_ten():
    assert [label for _, label in ticks(Axis(3.0, 6.0, 0.0, 100.0, log=True), 5)] == ["1000", "1e4", "1e5", "1e6"]


@pytest.mark.parametrize("text", ["a name", "x" * 200, "面积" * 60, "a面" * 60, "abc面积" + "z" * 90, ""])
@pytest.mark.parametrize("width", [3.0, 20.0, 66.0, 70.0, 150.0])
def test_a_text_is_cut_to_the_longest_start_that_fits(text, width):
    found = fitted(text, width, 11)
    if width_of(text, 11) <= width:
        assert found == text
        return
    assert found.endswith("…")
    assert found[:-1] == text[: len(found) - 1]
    assert width_of(found, 11) <= width or len(found) == 1
    assert width_of(text[: len(found)] + "…", 11) > width


def test_a_text_of_any_length_is_cut_at_once():
    assert fitted("x" * 3_000_000, 100.0, 11) == "x" * 14 + "…"


def test_names_that_begin_alike_keep_their_ends():
    assert shortened("abcdefgh", 8) == "abcdefgh"
    assert shortened("abcdefgh", 7) == "abc…fgh"
    assert shortened("abcdefgh", 6) == "abc…gh"
    short_enough = ["cat", "dog"]
    assert told_apart(short_enough, 66.0, 11) == short_enough
    assert told_apart(["a long name", "cat"], 66.0, 11) == ["a long na…", "cat"]
    assert told_apart(["images/train/cat", "images/train/dog"], 66.0, 11) == ["image…/cat", "image…/dog"]
    assert told_apart(["same", "same"], 66.0, 11) == ["same", "same"]
    wide = told_apart(["面积面积面积一", "面积面积面积二"], 66.0, 11)
    assert wide == ["面积面…积一", "面积面…积二"]
    assert all(width_of(name, 11) <= 66.0 for name in wide)
