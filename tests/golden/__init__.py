"""Values recorded from other libraries: ``make_golden.py`` wrote them, tests read them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import funcnet as fn
from funcnet import tree


def load_golden(name: str) -> dict[str, Any]:
    """An archive as a nested dict: ``load_golden("layers")["dense"]["params"]["weight"]``."""
    with np.load(Path(__file__).with_name(f"{name}.npz")) as archive:
        return tree.unflatten({path: archive[path] for path in archive.files if path != "versions"})


def cast(value: Any, dtype: type) -> Any:
    """A tree with its floating-point arrays in another dtype; labels stay as they are."""
    return tree.map(lambda array: array.astype(dtype) if array.dtype.kind == "f" else array, value)


def assert_agrees(actual: Any, expected: Any, *, rtol: float, atol: float) -> None:
    """Trees of equal paths, shapes and values, entry by entry; the message names the path."""
    found, wanted = tree.flatten({"": actual}), tree.flatten({"": expected})
    assert found.keys() == wanted.keys()
    for path, array in wanted.items():
        assert np.shape(found[path]) == array.shape, path
        np.testing.assert_allclose(found[path], array, rtol=rtol, atol=atol, err_msg=path)


# By dtype: relative, and absolute around 0
TOLERANCES: dict[Any, tuple[float, float]] = {np.float64: (1e-10, 1e-13), np.float32: (1e-5, 1e-5)}


def assert_layer_agrees(layer: fn.Layer, case: dict[str, Any], dtype: Any, ctx: fn.Context = fn.EVAL) -> None:
    """A layer's output, gradients, shapes and dtypes are those of a recorded case, of one input or a tuple."""
    given = cast(case, dtype)
    params, x = given.get("params", {}), in_order(given["x"])
    y, _, residuals = layer.apply(params, {}, x, ctx)
    dparams, dx = layer.vjp(params, residuals, in_order(given["dy"]))
    actual = {"y": y, "dx": dx, **({"dparams": dparams} if "dparams" in case else {})}
    expected = {name: in_order(case[name]) for name in actual}
    rtol, atol = TOLERANCES[dtype]
    assert_agrees(_numbered(actual), _numbered(expected), rtol=rtol, atol=atol)
    assert {array.dtype for array in tree.leaves(actual) if array.dtype.kind == "f"} == {np.dtype(dtype)}
    in_shape = tree.map(lambda array: array.shape[1:], x)
    shapes = {path: leaf.shape for path, leaf in tree.flatten(layer.leaves(in_shape)).items()}
    assert shapes == {path: array.shape for path, array in tree.flatten(params).items()}
    assert layer.out_shape(in_shape) == tree.map(lambda array: array.shape[1:], y)


def in_order(value: Any) -> Any:
    """The tuple that members ``0``, ``1``, … stand for; any other value itself. ``none`` stands for None."""
    if isinstance(value, dict) and value.keys() == set(map(str, range(len(value)))):
        return tuple(in_order(value[str(i)]) for i in range(len(value)))
    return None if isinstance(value, np.ndarray) and value.dtype.kind == "U" else value


def _numbered(value: Any) -> Any:
    """A dict in place of every tuple; what is absent is left out."""
    if isinstance(value, tuple):
        return {str(i): _numbered(part) for i, part in enumerate(value) if part is not None}
    return {name: _numbered(part) for name, part in value.items()} if isinstance(value, dict) else value
