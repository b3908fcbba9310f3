"""A kind of node: the methods that say all about it, and those that a plan and a printer offer them."""

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
        """The name of something that the program finds in its surroundings."""

    def filled(self, value: Any, dtype: Any, shape: Shape) -> str:
        """The name of a constant array full of one number."""

    def bound(self, node: Node, method: str) -> str | None:
        """The name of a method of a scratch array, looked up once; None for an array that is another at each call."""

    def copied(self, node: Node) -> list[tuple[str, Node]] | None:
        """Where the pieces of a vector lie that have to be copied into it, None for all of them."""


class Printer(Protocol):
    """Prints a graph for readers."""

    def text(self, node: Node) -> Text:
        """The expression for a value."""

    def need(self, name: str) -> str:
        """The name of a function that the file has to bring along."""

    def function(self, f: Any) -> str:
        """The printed name of a function."""

    def constant(self, node: Node) -> Text:
        """A constant as code."""

    def number(self, f: Any, args: tuple[Node, ...]) -> Text:
        """A function of Python numbers."""

    def call(self, node: Node) -> Text:
        """A call of any function."""


class Text(NamedTuple):
    """An expression and how strongly it holds together."""

    text: str
    strength: int

    def within(self, strength: int) -> str:
        """The expression as an operand."""
        return self.text if self.strength >= strength else f"({self.text})"


ATOM, POWER, UNARY, TIMES, PLUS, BITS, COMPARE = 9, 8, 7, 6, 5, 4, 3


class Kind:
    """The base class of the kinds of nodes."""

    name = ""
    writes = False
    """Whether a plan can tell it where to write its result"""
    folds = False
    """Whether it may be computed beforehand where all its arguments are constants"""

    def __repr__(self) -> str:
        return self.name

    def evaluate(self, node: Node, values: list[Any]) -> Any:
        """The node's value for the values of its arguments."""
        raise AssertionError(self)

    def aliases(self, node: Node) -> tuple[Node, ...]:
        """The arguments that the result may share memory with."""
        return node.args

    def overwrites(self, node: Node, arg: Node) -> bool:
        """Whether the result may be written over an argument of the same shape and dtype."""
        return False

    def lines(self, node: Node, out: str, w: Writer) -> list[str]:
        """The statements of a plan that write the value to ``out``, an array, for kinds that ``writes``."""
        raise AssertionError(self)

    def value_text(self, node: Node, w: Writer) -> str:
        """The expression of a plan that gives the value in new memory, as plain NumPy does."""
        raise AssertionError(self)

    def expression(self, node: Node, printer: Printer) -> Text:
        """The printed expression of the value."""
        raise AssertionError(self)

    def flops(self, node: Node) -> int | None:
        """The floating-point operations, None if unknown."""
        return 0
