"""Constant arrays as code."""

from __future__ import annotations

from typing import Any

from funcnet.compiler.kinds import dtype_text


def table_text(value: Any, layer: Any) -> str:
    """A constant array as an expression."""
    return f"np.array({value.tolist()!r}, {dtype_text(value.dtype)})"
