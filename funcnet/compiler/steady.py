"""User-defined primitives whose results must keep the shapes and dtypes of the plan."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from funcnet.compiler import structure


class Unlike(Exception):
    """A result whose structure, shape or dtype differs from the plan's."""


class Steady:
    """A user-defined primitive; every result must have the structure, shapes and dtypes of the first."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.__name__ = function.__name__
        self.form: Any = None

    def __call__(self, *args: Any) -> Any:
        """The result.

        Raises   Unlike for another shape or dtype
        """
        result = self.function(*args)
        form = structure.replaced(_form, result)
        if self.form is None:
            self.form = form
        elif form != self.form:
            raise Unlike(f"the primitive {self.__name__} returns a shape or dtype that depends on values")
        return result


def _form(leaf: Any) -> Any:
    return (leaf.shape, leaf.dtype.str) if isinstance(leaf, np.ndarray | np.generic) else type(leaf)
