"""Values recorded from other libraries: ``make_golden.py`` wrote them, tests read them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

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
