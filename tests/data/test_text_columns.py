"""Columns as places in a block: the numbers, words and gaps that each text alone has."""

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from funcnet.data.number_texts import read_number
from funcnet.data.sources import grid
from funcnet.data.sources.csv import MISSING
from funcnet.data.sources.grid import Grid
from funcnet.data.text_columns import TextColumn, columns_of, gaps_of, numbers_of, words_of
from funcnet.errors import DataError

ROWS = 600
"""Enough rows for a block to be read as arrays"""
TEXTS = [
    "0", "-0", "+0", "-0.0", "1", "-2.5", "+.5", ".5", "5.", "+5.", "-.0", "007", "00.50", "12345678", "123456789",
    "0.1", "0.3", "1.1", "2.675", "1.005", "9007199254740991", "9007199254740992", "9007199254740993",
    "900719925474099.3", "0.1234567890123456789", "123456789012345678901234",
    "0.00000000000000000000001", ".0000000000000000000000001",
    "1234567890.12345", "-123456.654321", "4.35", "8.41", "0.000001", "179769313486231570000", "99999999.99999999",
    "1e3", "-1E-5", "1e999", "inf", "-Infinity", "nan", "NaN", "NA", "N/A", "", " ", "?", "null", "-999", "-999.0",
    "x", "1;5", "1_000", "1_0.5", "٣", "１２", "1 5", "- 5", "--5", "+-5", "-", "+", ".", "..", "1.2.3", "-.",
    "0x1", "1\0", "\0", "1f", "1d5", " 7 ", "\t7", "7\x1c", "\x1f7\x0b", "\u20037", "7\xa0", "\x857",
    "/5", ":5", "5/", "5:", "1.", "1./", "é", "yes", "a" * 25, "1" * 25, " " * 30 + "8", "8" + " " * 30, " " * 50,
]  # fmt: skip


def block(texts: list[str]) -> tuple[TextColumn, list[str]]:
    """The texts as a column of a block between two others, and as they are without spaces around them."""
    columns = columns_of("".join(f"a,{text},b\n" for text in texts), ",", 3)
    assert columns is not None
    column = columns[1]
    assert isinstance(column, TextColumn)
    return column, [text.strip() for text in texts]


def alone(text: str, missing: tuple[str, ...]) -> float | None:
    """The number of one text, NaN for a missing one."""
    return float("nan") if text in missing else read_number(text)


def same_numbers(texts: list[str], missing: tuple[str, ...]) -> None:
    column, stripped = block(texts)
    found, expected = numbers_of(column, missing), [alone(text, missing) for text in stripped]
    if None in expected:
        assert found is None
    else:
        assert [value.hex() for value in found.tolist()] == [value.hex() for value in expected if value is not None]


@pytest.mark.parametrize("missing", [(), MISSING, ("-999", "NA", "0.3", "7")])
def test_every_text_is_the_number_that_it_is_alone(missing: tuple[str, ...]) -> None:
    for text in TEXTS:
        same_numbers([text] + ["1.25"] * ROWS, missing)
    right = [text for text in TEXTS if alone(text.strip(), missing) is not None]
    same_numbers(right * (ROWS // len(right) + 1), missing)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.from_regex(r"[+-]?[0-9]{0,12}(\.[0-9]{0,14})?", fullmatch=True), min_size=20, max_size=20))
def test_digits_round_as_float_rounds_them(texts: list[str]) -> None:
    right = [text for text in texts if read_number(text) is not None] or ["1"]
    same_numbers(right * (ROWS // len(right) + 1), ())


def test_numbers_of_many_digits_round_as_float_rounds_them() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=4000) * 10.0 ** rng.integers(-6, 12, 4000)
    for form in (repr, "{:.0f}".format, "{:.3f}".format, "{:.9f}".format, "{:.15f}".format, "{:+.6f}".format):
        same_numbers([form(value) for value in values.tolist()], ())


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text("a1.-NA \té\u2003?", max_size=6) | st.sampled_from(MISSING), min_size=12, max_size=12))
def test_words_and_gaps_are_those_of_the_texts(texts: list[str]) -> None:
    column, stripped = block(texts * (ROWS // len(texts)))
    assert list(column) == stripped
    assert [column[i] for i in range(5)] == list(column[:5]) == stripped[:5]
    for missing in ((), MISSING):
        assert gaps_of(stripped, missing).tolist() == [text in missing for text in stripped]
        assert words_of(column, missing).tolist() == words_of(stripped, missing).tolist()
        assert gaps_of(column, missing).tolist() == gaps_of(stripped, missing).tolist()
    assert words_of(column).tolist() == stripped


P = [0.15, 0.15, 0.1, 0.1, 0.1, 0.1, 0.1, 0.05, 0.05, 0.05, 0.05]
LINES = {
    "too short": "1,2\n3\n",
    "too long": "1,2\n3,4,5\n",
    "make up for each other": "1\n2,3,4\n",
    "an empty line": "1,2\n\n",
    "a quote amid": '1,2"3\n3,4\n',
    "quoted in part": '1,"2"3\n3,4\n',
    "spaces around quotes": '1, "2"\n3,4\n',
    "a quote in quotes": '1,"2""3"\n3,4\n',
    "a delimiter in quotes": '"1,2",3\n3,4\n',
    "a line break in quotes": '1,"2\n"\n3,4\n',
    "a long value": f"1,{'2' * (2**17 + 1)}\n",
}


@pytest.mark.parametrize("name", LINES)
def test_other_lines_are_left_to_the_csv_module(name: str) -> None:
    for count in (1, ROWS):
        assert columns_of("1,2\n" * count + LINES[name], ",", 2) is None
        assert columns_of(LINES[name] + "1,2\n" * count, ",", 2) is None


def test_values_in_quotes_are_those_of_the_csv_module() -> None:
    rng, read = np.random.default_rng(0), 0
    for _ in range(300):
        cells = rng.choice(['"a"', "b", '""', '" c "', '"1.5"', "", " ", 'd"', '"e', '"f,g"', "\n"], size=(2, 2), p=P)
        text = "\n".join(",".join(row) for row in cells.tolist()) + "\n"
        columns = columns_of(text + "1,2\n" * ROWS, ",", 2)
        if columns is not None:
            read += 1
            rows = [[cell.strip() for cell in row] for row in csv.reader(io.StringIO(text, newline=""), strict=True)]
            expected = [list(column) for column in zip(*rows, strict=True)]
            assert [list(column[: len(rows)]) for column in columns] == expected
            assert [words_of(column)[: len(rows)].tolist() for column in columns] == expected
            assert len(columns[0]) == len(rows) + ROWS
    assert read > 50


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", ".", "-", "5", " ", "é"])
def test_any_delimiter_parts_the_values(delimiter: str) -> None:
    for count in (2, ROWS):
        for end in ("\n", "\r\n", "\r"):
            text = "".join(f"{i % 4}{delimiter}{delimiter}x{end}" for i in range(count))
            for whole in (text, text.removesuffix(end)):
                columns = columns_of(whole, delimiter, 3)
                assert columns is not None
                assert [list(column) for column in columns] == [
                    [str(i % 4) for i in range(count)],
                    [""] * count,
                    ["x"] * count,
                ]
                assert numbers_of(columns[0], ()).tolist() == [float(i % 4) for i in range(count)]


def test_a_number_that_is_wrong_is_told_by_its_line(tmp_path: Path, monkeypatch: Any) -> None:
    path = tmp_path / "t.csv"
    for bad, size in (("1.2.3", 2**18), ("1_0", 2**18), ("1_0", 2**14), ("٣x", 2**18)):
        monkeypatch.setattr(grid, "AT_ONCE", size)
        path.write_text("a,b\n" + "1.5,x\n" * 5000 + f"{bad},y\n" + "2,z\n" * 5000, encoding="utf-8")
        message = f"{path}: line 5002, column 'a': expected a number, got {bad!r}; hint"
        with pytest.raises(DataError) as caught:
            Grid(path).numbers("a", (), "hint")
        assert str(caught.value) == message
        blocks = Grid.blocks(path, ",", True)
        with pytest.raises(DataError) as caught:
            [block.numbers("a", (), "hint") for block in blocks]
        assert str(caught.value) == message


def test_a_label_that_is_too_long_is_told_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,b\n" + "1,x\n" * ROWS + f"2,{'é' * 1000}\n3,{'y' * 1001}\n" + "4,z\n" * 5 * ROWS, "utf-8")
    with pytest.raises(DataError, match="line 603, column 'b': expected a label of at most 1000 characters, got one"):
        [block.words("b") for block in Grid.blocks(path, ",", True)]


@pytest.mark.parametrize("rows", [3, ROWS])
def test_a_label_that_ends_in_nul_is_told_by_its_line(rows: int, tmp_path: Path) -> None:
    """An array of texts would drop the character, and take the label for another, or for a missing one."""
    path = tmp_path / "t.csv"
    path.write_text("a,b\n" + "1,x\0y\n" * rows + "2,x\0\n" + "3,z\n" * rows, "utf-8")
    said = rf"line {rows + 2}, column 'b': expected a text, got 'x\\x00'; remove the NUL at its end"
    with pytest.raises(DataError, match=said):
        [block.words("b") for block in Grid.blocks(path, ",", True)]
