"""Short forms of the library's kernels, for the calls of a printed program that they cover."""

from __future__ import annotations

from typing import Any

from funcnet.compiler.graph import Node


def simple_call(node: Node, args: Any, defined: Any) -> str | None:
    return None
