"""Arrays as JSON: every bit comes back."""

import base64
import json

import numpy as np
import pytest

from funcnet.play.numbers import encoded, packed, picture, signed


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64", "bool"])
def test_packed_arrays_keep_every_bit(dtype):
    array = np.array([[0, 1, 7], [2, 3, 1]]).astype(dtype)[:, ::-1]
    if array.dtype.kind == "f":
        array = array / array.dtype.type(3)
    found = packed(array)
    kind = {"float32": "f4", "float64": "f8"}.get(dtype, "i4")
    assert (found["type"], found["shape"]) == (kind, [2, 3])
    back = np.frombuffer(base64.b64decode(found["data"]), f"<{kind}").reshape(2, 3)
    assert np.array_equal(back, array)


def test_a_float16_becomes_float32():
    assert packed(np.float16([0.1]))["type"] == "f4"


def levels(text):
    return list(base64.b64decode(text))


def test_pictures_have_a_byte_for_each_cell():
    assert levels(picture(np.array([-1.0, 0.0, 0.5, 1.0, 2.0, np.nan, np.inf]), 0.0, 1.0)) == [
        0,
        0,
        128,
        255,
        255,
        0,
        255,
    ]
    assert levels(signed(np.array([-9.0, -2.0, 0.0, 1.0, 2.0, np.nan]), 2.0)) == [0, 0, 127, 190, 254, 127]


def test_numbers_that_are_not_finite_become_texts():
    text = encoded({"a": [1.5, float("nan")], "b": (float("inf"), {"c": -float("inf")}), "d": None, "e": True, "f": 3})
    assert json.loads(text) == {"a": [1.5, "nan"], "b": ["inf", {"c": "-inf"}], "d": None, "e": True, "f": 3}
