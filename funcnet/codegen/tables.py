"""Constant arrays as code: by a formula where one gives the array to the last bit, else entry by entry."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from typing import Any

import numpy as np

from funcnet.codegen.constants import entries
from funcnet.compiler.kinds import dtype_text
from funcnet.key import Array

WIDTH = 96


def table(value: Array, layer: Any) -> tuple[str, str]:
    """The name of a constant array of a layer, to which a number may be added, and its expression."""
    kind = dtype_text(value.dtype)
    for name, text in _formulas(value.shape, layer):
        with np.errstate(all="ignore"):
            made = np.asarray(eval(text, {"np": np})).astype(value.dtype)  # its own text
        if made.shape == value.shape and made.tobytes() == value.tobytes():
            return name, text if made.dtype == np.float64 else f"{kind}({text})"
    name = re.sub(r"(?<=[a-z\d])(?=[A-Z])", "_", type(layer).__name__).upper() if layer is not None else "TABLE"
    return name, array_text(value, kind)


def _formulas(shape: tuple[int, ...], layer: Any) -> Iterator[tuple[str, str]]:
    """Expressions of tables that the library's layers use."""
    if len(shape) != 2:
        return
    rows, columns = shape
    base = getattr(getattr(layer, "rotary", None) or layer, "base", 10000.0)
    for features in (2 * columns, 2 * columns + 1, columns):
        pairs = -(-features // 2) if features == columns else features // 2
        angles = f"np.arange({rows})[:, None] * np.exp(np.arange({pairs}) * (-2 * np.log({base:g}) / {features}))"
        if pairs == columns:
            yield "COS", f"np.cos({angles})"
            yield "SIN", f"np.sin({angles})"
        else:
            both = f"np.stack([np.sin({angles}), np.cos({angles})], axis=-1)"
            yield "SINUSOID", f"{both}.reshape({rows}, {2 * pairs})[:, :{columns}]"


def array_text(value: Array, kind: str) -> str:
    """An array with all its entries, wrapped."""
    whole = f"np.array({entries(value)}, {kind})"
    if len(whole) <= WIDTH - 24:
        return whole
    inner = textwrap.fill(entries(value) + ",", WIDTH, break_long_words=False, break_on_hyphens=False)
    return f"np.array(\n{textwrap.indent(inner, '    ')}\n    {kind},\n)"
