"""Predictions as text: the digits that ``str`` gives each number, and the rows that the csv module writes."""

import csv
import io
import json

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from funcnet.data.answer_texts import csv_text, eight_characters, json_text, number_columns, shortest_texts


def check(values: object) -> None:
    numbers = np.asarray(values, np.float32)
    assert shortest_texts(numbers) == list(map(str, numbers))


def test_the_digits_of_a_number_are_the_fewest_that_give_it_back() -> None:
    rng = np.random.default_rng(0)
    powers = 2.0 ** np.arange(-149, 128)
    check(np.concatenate([powers, -powers]))
    check(
        [0.0, -0.0, np.nan, np.inf, -np.inf, 0.5, 1.0, 0.1, 0.3, 1 / 3, 1e-4, 999999.9, 1e6, 16777216.0, 1e-45, 3.4e38]
    )
    near = np.float32(2.0 ** np.arange(-14, 21)).view(np.int32)[:, None] + np.arange(-150, 150, dtype=np.int32)
    check(near.reshape(-1).view(np.float32))  # where the gap between numbers changes
    tens = np.float32(10.0 ** np.arange(-5, 8)).view(np.int32)[:, None] + np.arange(-150, 150, dtype=np.int32)
    check(tens.reshape(-1).view(np.float32))
    check(rng.random(10_000))
    check(1.0 - rng.random(2_000) ** 8)
    check(np.round(1000 * rng.normal(size=2_000), 2))
    check(rng.integers(-200, 200, 500))
    check(rng.integers(0, 2**32, 5_000, dtype=np.uint32).view(np.float32))  # any float32


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(width=32), min_size=1, max_size=50))
def test_any_number_is_written_as_str_writes_it(values: list[float]) -> None:
    check(values)


def test_integers_are_written_with_eight_digits() -> None:
    numbers = np.array([0, 1, 9, 10, 99, 100, 9999, 10000, 99999999, 12345678, 90909090, 5050505])
    written = eight_characters(numbers.astype(np.uint64)).tobytes().decode()
    assert written == "".join(f"{number:08}" for number in numbers)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
def test_columns_of_numbers_are_the_texts_of_each(dtype: str) -> None:
    for rows in (0, 1, 3, 300):
        values = (10 * np.random.default_rng(0).random((rows, 3))).astype(dtype)
        assert number_columns(values) == [list(map(str, column)) for column in values.T]


@pytest.mark.parametrize("label", ["plain", 'a "quote"', "a, b", "two\nlines", "a\rb", "", " x ", "é", "'"])
def test_rows_are_those_of_the_csv_module(label: str) -> None:
    for columns in ([["x", label, "y"], ["1", "2", "3"]], [["x", label, "y"]]):
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([["label", "a,b"], *zip(*columns, strict=True)])
        assert csv_text(["label", "a,b"], columns) == text.getvalue()
        assert csv_text([], columns) == text.getvalue().split("\n", 1)[1]


def test_json_has_numbers_that_are_not_finite_as_python_writes_them() -> None:
    text = json_text(["a", "b"], [], [["0.5", "1e-04", "nan"], ["1.0", "2.0", "-inf"]], "values", "", True)
    assert text == '{"a": 0.5, "b": 1.0}\n{"a": 0.0001, "b": 2.0}\n{"a": NaN, "b": -Infinity}\n'
    assert [json.loads(line)["b"] for line in text.splitlines()] == [1.0, 2.0, -np.inf]
