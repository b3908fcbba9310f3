"""Texts in pictures."""

import pytest

from funcnet.views.svg import fitted, width_of


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
