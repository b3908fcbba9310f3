"""A plan's program: its compiled source and the memory it runs in."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from funcnet.compiler import layout
from funcnet.compiler.memory import ALIGNMENT
from funcnet.ops import Blank

if TYPE_CHECKING:
    from funcnet.compiler.plan import Plan


class Program:
    """The compiled code of a plan and its constants."""

    def __init__(self, plan: Plan, source: list[str] | None = None, extra: dict[str, Any] | None = None) -> None:
        self.source = source or plan.source
        self.code = [compile(piece, "<funcnet plan>", "exec") for piece in self.source]
        self.names = plan.constants | (extra or {})
        self.nbytes = plan.scratch_bytes + ALIGNMENT
        self.new = plan.new
        self.blanks = {name: value.index for name, value in self.names.items() if isinstance(value, Blank)}

    def bind(self, memory: Any, take: Any, given: Sequence[Callable[..., float]] = ()) -> Callable[..., Any]:
        """A function that runs the program in some memory; ``take[i]()`` allocates its i-th new array.

        ``given`` are the functions that fill in its blanks.
        """
        names = {"np": np, **self.names, "arena": memory[-memory.ctypes.data % ALIGNMENT :], "take": take}
        names |= {name: given[index] for name, index in self.blanks.items()}
        for code in self.code:
            exec(code, names)
        run: Callable[..., Any] = names["run"]
        return run


def function_text(name: str, inputs: list[str], body: list[str]) -> str:
    """The text of a function."""
    return "\n".join([f"def {name}({', '.join(inputs)}):", *(f"    {line}" for line in body)]) + "\n"


def listed(names: list[str]) -> str:
    """A tuple of names."""
    return f"({''.join(name + ', ' for name in names)})"


def unused(arrays: list[Any], references: int) -> Any:
    """The first array with the given reference count, or None."""
    for array in arrays:
        if sys.getrefcount(array) == references:
            return array
    return None


UNUSED = next(n for n in range(1, 9) if unused([np.empty(1)], n) is not None)
"""The reference count of an array that only its list refers to, which depends on the interpreter"""


class Recycler:
    """Memory for one result, reused once nothing refers to it."""

    def __init__(self, shape: tuple[int, ...], dtype: Any, strides: Any = None) -> None:
        self.shape, self.dtype, self.strides = shape, dtype, strides
        self.kept: list[Any] = []

    def __call__(self) -> Any:
        array = unused(self.kept, UNUSED)
        if array is None:
            array = layout.empty(self.shape, self.dtype, self.strides)
            self.kept = [*self.kept[-2:], array]
        return array
