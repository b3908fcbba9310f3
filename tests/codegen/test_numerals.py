"""Numbers as people write them, to the last bit."""

import numpy as np
import pytest

from funcnet.codegen.numerals import integral, number_text


@pytest.mark.parametrize(
    ("value", "given", "counts", "text"),
    [
        (1.25, (), (), "1.25"),
        (1e-8, (), (), "1e-08"),
        (-0.5, (), (), "-0.5"),
        (1 / 32, (), (), "1 / 32"),
        (1 - 0.9, (0.9,), (), "1 - 0.9"),
        (1 / (1 - 0.05), (0.05,), (), "1 / (1 - 0.05)"),
        ((1 - 0.9) * 512 / 511, (0.9,), (512,), "(1 - 0.9) * 512 / 511"),
        (1 / 3**0.5, (), (), "1 / 3 ** 0.5"),
        (1.5**0.5, (), (), "(3 / 2) ** 0.5"),
        ((2 * np.pi) ** -0.5, (), (), "(2 * np.pi) ** -0.5"),
        (0.044715, (), (), "0.044715"),
        (0.123456789, (), (), "0.123456789"),
        (float("inf"), (), (), 'float("inf")'),
        (7, (), (), "7"),
    ],
)
def test_a_number_as_code(value, given, counts, text):
    found = number_text(value, given, counts).text
    assert found == text
    assert eval(found, {"np": np}) == value


def test_a_count_has_its_name():
    assert number_text(1 / 6, names={6: "len(y)"}).text == "1 / len(y)"
    assert number_text(1 / 7, names={6: "len(y)"}).text == "1 / 7"


def test_a_float_without_a_fraction():
    assert [integral(value) for value in (2.0, -3.0, 0.0, -0.0, 0.5, 1e9, 2)] == [
        "2", "-3", "0", None, None, None, None
    ]  # fmt: skip
