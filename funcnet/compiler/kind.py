"""The interface of a kind of node, and of the plan and the printer that its methods write to."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from funcnet.compiler.graph import Node
from funcnet.compiler.layout import Shape


class Writer(Protocol):
    """Writes a plan: it names values, constants and scratch arrays."""

    def ref(self, node: Node) -> str:
        """The expression for a node's value."""

    def operand(self, node: Node, arg: Node, dtype: Any) -> str:
        """The expression for an argument of a ufunc, a number as an array of shape ()."""

    def constant(self, value: Any, prefix: str = "k") -> str:
        """The name of a constant of the program."""

    def filled(self, value: Any, dtype: Any, shape: Shape) -> str:
        """The name of a constant array filled with one number."""

    def bound(self, node: Node, method: str) -> str | None:
        """The name of a bound method of a scratch array; None for an array that is not the same at every call."""

    def copied(self, node: Node) -> list[tuple[str, Node]] | None:
        """The slices and pieces of a vector that must be copied into it; None where all must be."""


class Printer(Protocol):
    """Prints a graph for readers."""

    def text(self, node: Node) -> Text:
        """The expression for a value."""

    def need(self, name: str) -> str:
        """The name of a function, which the file then defines."""

    def function(self, f: Any) -> str:
        """The printed name of a function."""

    def constant(self, node: Node) -> Text:
        """A constant as code."""

    def number(self, f: Any, args: tuple[Node, ...]) -> Text:
        """A function of Python numbers."""

    def call(self, node: Node) -> Text:
        """A call of any function."""


class Text(NamedTuple):
    """An expression and its operator precedence."""

    text: str
    strength: int

    def within(self, strength: int) -> str:
        """The expression as an operand, in parentheses if needed."""
        return self.text if self.strength >= strength else f"({self.text})"


ATOM, POWER, UNARY, TIMES, PLUS, BITS, COMPARE = 9, 8, 7, 6, 5, 4, 3


class Kind:
    """The base class of the kinds of nodes."""

    name = ""
    writes = False
    """Whether it can write its result into a given array"""
    folds = False
    """Whether it may be computed in advance if all its arguments are constants"""

    def __repr__(self) -> str:
        return self.name

    def evaluate(self, node: Node, values: list[Any]) -> Any:
        """The node's value for the values of its arguments."""
        raise AssertionError(self)

    def aliases(self, node: Node) -> tuple[Node, ...]:
        """The arguments whose memory the result may share."""
        return node.args

    def overwrites(self, node: Node, arg: Node) -> bool:
        """Whether the result may be written over an argument of the same shape and dtype."""
        return False

    def lines(self, node: Node, out: str, w: Writer) -> list[str]:
        """The statements of a plan that write the value to the array ``out``, for a kind with ``writes``."""
        raise AssertionError(self)

    def value_text(self, node: Node, w: Writer) -> str:
        """The expression of a plan that computes the value in new memory, as plain NumPy does."""
        raise AssertionError(self)

    def expression(self, node: Node, printer: Printer) -> Text:
        """The printed expression of the value."""
        raise AssertionError(self)

    def flops(self, node: Node) -> int | None:
        """The number of floating-point operations, None if unknown."""
        return 0
