"""Calls that a plan does not look into, held to the shapes that the plan was made for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from funcnet.compiler import structure


class Unlike(Exception):
    """A result that the rest of a plan was not made for."""


class Steady:
    """A user's primitive, whose every result has the structure, shapes and dtypes of its first."""

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
            raise Unlike(f"the primitive {self.__name__} gives a shape or dtype that depends on values")
        return result


def _form(leaf: Any) -> Any:
    return (leaf.shape, leaf.dtype.str) if isinstance(leaf, np.ndarray | np.generic) else type(leaf)
