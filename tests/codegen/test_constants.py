"""Constants of user code in a printed program: every bit, and the order in memory."""

import numpy as np
import pytest

import funcnet as fn
from funcnet.codegen.constants import alike, entries, in_memory
from tests.compiler.test_source import called, loaded

ZEROS = np.array([0.0, -0.0, 0.0])
TABLE = fn.Key(1).normal((40, 30))


def of(f, shape=lambda shape: shape):
    """A layer that applies a function."""
    return fn.layer(
        lambda key, in_shape, dtype: ({}, {}),
        lambda params, state, x, ctx: (f(x), state, x),
        lambda params, x, dy: ({}, np.ones_like(x)),
        shape,
    )


@pytest.mark.parametrize("planned", [False, True])
@pytest.mark.parametrize(
    "f",
    [
        lambda x: np.minimum(x, np.float32(np.inf)) + np.maximum(x, np.array([-np.inf] * 2 + [1.0] * 28)),
        lambda x: np.fmax(x, np.where(np.arange(30) % 3, np.nan, 0.5)),
        lambda x: np.copysign(x, np.tile(ZEROS, 10)),
        lambda x: x @ np.asfortranarray(TABLE[:30]),
        lambda x: x * np.sum(TABLE[:30].T * 1.5, axis=1),
        lambda x: x / np.linalg.norm(x),
    ],
    ids=["infinite", "nan", "minus_zero", "fortran", "turned", "norm"],
)
def test_constants_keep_their_bits(f, planned):
    x = fn.Key(2).normal((9, 30))
    printed = loaded(fn.source(of(f), (30,), 9, dtype=np.float64, planned=planned))["forward_backward"]
    y = called(printed, {"params": {}, "state": {}, "x": x, "dy": x})[0]
    assert y.tobytes() == f(x).tobytes()


def test_arrays_as_code():
    assert entries(np.array([[np.inf, -np.inf], [np.nan, -0.0]])) == "[[np.inf, -np.inf], [np.nan, -0.0]]"
    assert [alike(np.array(x)) for x in ([1.0, 1.0], [0.0, -0.0], [np.nan, np.nan], [])] == [True, False, True, False]
    turned, back = in_memory(np.zeros((2, 3, 4)).transpose(2, 0, 1))
    assert (turned.shape, back) == ((2, 3, 4), ".transpose(2, 0, 1)")
    assert in_memory(np.zeros((2, 3)).T)[1] == ".T"
    assert in_memory(np.zeros((2, 3)))[1] == ""


def test_a_ufunc_that_is_not_numpys_is_refused():
    special = pytest.importorskip("scipy.special", reason="its ufuncs are those of another package")
    expected = "cannot print a call of expit: only NumPy's functions and the library's can be printed"
    with pytest.raises(fn.FuncnetError) as error:
        fn.source(of(special.expit), (3,))
    assert str(error.value) == expected
