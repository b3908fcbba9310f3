"""Params as a table: the shape, the dtype and the statistics of each array."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcnet.errors import PathError
from funcnet.key import Array
from funcnet.shapes import shape_text
from funcnet.views.table import Table

COLUMNS = ("path", "shape", "dtype", "mean", "deviation", "least", "largest", "note")


class Description:
    """A tree of arrays, shown as a table by ``print`` and in notebooks."""

    def __init__(self, values: Any) -> None:
        self.flat = {path: np.asarray(leaf) for path, leaf in _flat(values)}

    @property
    def table(self) -> Table:
        """The table, with the totals in its last row."""
        rows = [[path, shape_text(leaf.shape), leaf.dtype.name, *_figures(leaf)] for path, leaf in self.flat.items()]
        numbers, size = (sum(getattr(leaf, what) for leaf in self.flat.values()) for what in ("size", "nbytes"))
        total = [f"{len(self.flat)} arrays", f"{numbers:,}", f"{size:,} B", "", "", "", "", ""]
        return Table(COLUMNS, [*rows, total], totals=1)

    def __str__(self) -> str:
        return str(self.table)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.table.html()


def describe(values: Any) -> Description:
    """Params, state, gradients or any nest of arrays as a table: shape, dtype, mean, deviation, range of each.

    The table counts and marks entries that are not finite.
    Raises   PathError for a value that is not a nest of arrays
    """
    return Description(values)


def _flat(values: Any, path: str = "") -> list[tuple[str, Any]]:
    if isinstance(values, dict):
        items = list(values.items())
    elif isinstance(values, tuple | list):
        items = [(str(i), inner) for i, inner in enumerate(values)]
    elif values is None:
        return []
    elif isinstance(values, np.ndarray | np.generic | int | float):
        return [(path or "value", values)]
    else:
        raise PathError(f"expected a nest of arrays, got a {type(values).__name__} at {path or 'the root'!r}")
    return [leaf for name, inner in items for leaf in _flat(inner, f"{path}/{name}" if path else str(name))]


def _figures(leaf: Array) -> list[str]:
    if leaf.dtype.kind not in "fiub" or leaf.size == 0:
        return ["", "", "", "", "empty" if leaf.size == 0 else ""]
    wide = leaf.astype(np.float64).ravel()
    finite = wide[np.isfinite(wide)]
    counts = {"NaN": int(np.isnan(wide).sum()), "infinite": int(np.isinf(wide).sum())}
    note = ", ".join(f"{n} {what}!" for what, n in counts.items() if n)
    if not finite.size:
        return ["", "", "", "", note]
    if not note and leaf.size > 1 and not wide.any():
        note = "all zero"
    figures = (finite.mean(), finite.std(), finite.min(), finite.max())
    return [*(f"{figure:.4g}" for figure in figures), note]
