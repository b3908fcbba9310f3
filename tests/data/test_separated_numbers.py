"""A column with a decimal comma or thousands separators: each number as it is read alone, to the bit."""

import random
from pathlib import Path

import numpy as np
import pytest

import funcnet as fn
from funcnet.data.number_texts import Form, read_number
from funcnet.data.separated_numbers import separated_numbers
from funcnet.data.sources.grid import Grid
from funcnet.data.text_columns import TextColumn, columns_of

FORMS = [(",", ""), (",", "."), (",", "'"), (",", " "), (".", ","), (".", "'"), (".", " ")]
TEXTS = [
    "1,5", "1.5", "-1.234,5", "1.234", "1,234", "+1.234.567", "1.23.456", "12345.678", ".123", "1.", ",5", "5,", ",",
    "1,5.5", "1.5,5", "1,234.5", "1.234,5,6", "1'234", "1 234", "1  234", "1\u00a0234", "- 5", "-", "+", "1e3", "1,5e3",
    "NA", "-999", "-.234", "1.-23", "0.000", "007", "12345678901234567890", "9.007.199.254.740.993", "1.234.", "..",
    "x", "1234.567.890", "1.234.567,89", "123.456,789", "0,1", "-0,0", "-0", "1.2345", "\u0661", "1,\u0665",
]  # fmt: skip


@pytest.mark.parametrize(("decimal", "thousands"), FORMS)
def test_each_number_is_the_one_that_is_read_alone(decimal: str, thousands: str) -> None:
    rng = random.Random(0)
    texts = [text.replace(";", "") for text in TEXTS for _ in range(2)]
    for _ in range(900):
        number = f"{rng.choice((rng.uniform(-2, 2), rng.uniform(-1e9, 1e9))):,.{rng.randrange(5)}f}"
        text = list(number.translate(str.maketrans({".": decimal, ",": thousands})))
        if rng.random() < 0.2 and text:
            text[rng.randrange(len(text))] = rng.choice("0123456789.,' +-")
        texts.append("".join(text))
    rng.shuffle(texts)
    columns = columns_of("".join(f'{text};"{text}"\n' for text in texts), ";", 2)
    assert columns is not None
    for column in columns:
        numbers, plain = separated_numbers(column, decimal, thousands)  # type: ignore[arg-type]
        right = [read_number(text.strip(), decimal, thousands) for text in texts]
        found = [(text, number) for text, number, known in zip(texts, numbers.tolist(), plain, strict=True) if known]
        assert found == [(text, one) for text, one, known in zip(texts, right, plain, strict=True) if known]
        assert all(np.signbit(a) == np.signbit(b) for (_, a), b in zip(found, np.array(right)[plain], strict=True))
        usual = [one is not None and "e" not in text for text, one in zip(texts, right, strict=True)]
        assert np.count_nonzero(plain) > 0.95 * np.count_nonzero(usual)  # the others are read one by one


@pytest.mark.parametrize(
    ("form", "missing"),
    [(Form(",", "."), ("NA", "-999", "", "1  234")), (Form(",", " "), ("NA", "-999", "", "1.234,5"))],
)
def test_a_column_of_them(form: Form, missing: tuple[str, ...], tmp_path: Path) -> None:
    """With missing values, one among them a number, and spaces that only the slow way reads."""
    path = tmp_path / "t.csv"
    texts = ["1.234,5", "NA", "-999", "1  234", "", "-2,25"] * 20_000
    path.write_text("a;b\n" + "".join(f"{text};1\n" for text in texts), encoding="utf-8")
    expected = [np.nan if text in missing else read_number(text, *form) for text in texts]
    blocks = list(Grid.blocks(path, ";", True))
    assert isinstance(blocks[1].values("a"), TextColumn)
    found = [block.numbers("a", missing, "", form) for block in blocks]
    assert np.array_equal(np.concatenate(found), np.array(expected, float), equal_nan=True)
    line = blocks[1].lines[blocks[1].texts("a").index("NA")]
    said = f"line {line}, column 'a': expected a number, got 'NA'; the spec says decimal ',' and thousands"
    with pytest.raises(fn.DataError, match=said):
        blocks[1].numbers("a", missing[1:], "", form)
