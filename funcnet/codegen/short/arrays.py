"""Small kernels on arrays: the error function, a norm, and sums of rows by index."""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np

from funcnet.codegen.short.form import Simple
from funcnet.ops import PRIMITIVES

ERF = '''
def erf_32(x):
    """The error function in float32: x times a ratio of polynomials in x**2; beyond 4 it is 1."""
    x = np.clip(x, -4, 4)
    return x * np.polyval(ABOVE, x * x) / np.polyval(BELOW, x * x)


{above}
{below}
'''
NORM = '''
def norm(*arrays):
    """The Euclidean norm of all arrays together, summed in float64."""
    squares = [float(np.sum(np.square(x, dtype=np.float64))) for x in arrays]
    return float(np.sqrt(sum(squares)))
'''
SCATTER_ADD = '''
def scatter_add(values, indices, size):
    """The sums of the rows of values that have each index, the adjoint of a table's lookup."""
    rows, order = values.reshape(indices.size, -1), np.argsort(indices, axis=None, kind="stable")
    found = indices.reshape(-1)[order]
    starts = np.flatnonzero(np.concatenate([[True], found[1:] != found[:-1]]))
    table = np.zeros((size, rows.shape[1]), values.dtype)
    table[found[starts]] = np.add.reduceat(rows[order], starts, axis=0)
    return table
'''


def erf(nodes: list[Any], args: list[str]) -> Simple | None:
    """``erf`` of float32."""
    if nodes[0].dtype != np.float32 or not nodes[0].row_major or not nodes[0].shape:
        return None
    names, coefficients = ("ABOVE", "BELOW"), PRIMITIVES["erf"].function.__globals__["_ERF_SINGLE"]
    above, below = (_numbers(name, numbers) for name, numbers in zip(names, coefficients, strict=True))
    return Simple("erf_32", args, ERF.format(above=above, below=below))


def _numbers(name: str, numbers: tuple[float, ...]) -> str:
    """The statement of a table of coefficients in float32, the highest power first."""
    text = ", ".join(str(np.float32(number)) for number in reversed(numbers))
    begin = f"{name} = np.float32(["
    return textwrap.fill(f"{begin}{text}])", 100, subsequent_indent=" " * len(begin), break_on_hyphens=False)


def norm(nodes: list[Any], args: list[str]) -> Simple | None:
    """``norm`` of float32, whose squares do not overflow in float64."""
    return Simple("norm", args, NORM) if all(node.dtype == np.float32 for node in nodes) else None


def scatter_add(nodes: list[Any], args: list[str]) -> Simple | None:
    """``scatter_add`` of at least one row."""
    return Simple("scatter_add", args, SCATTER_ADD) if nodes[1].size and nodes[0].size else None
