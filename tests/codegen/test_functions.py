"""The functions that a printed file defines."""

import pytest

import funcnet as fn
from funcnet import ops
from tests.codegen.test_constants import of


@pytest.mark.parametrize("planned", [False, True])
def test_a_primitive_with_the_name_of_another_thing_is_refused(planned):
    def kept(x):
        return 2.0 * x

    primitive = ops.primitive()(kept)
    try:
        with pytest.raises(fn.FuncnetError) as error:
            fn.source(of(primitive), (3,), planned=planned)
    finally:
        del ops.PRIMITIVES["kept"]
    expected = "cannot print the primitive kept: a printed file has another thing of that name; rename it"
    assert str(error.value) == expected
