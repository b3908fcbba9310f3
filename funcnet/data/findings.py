"""What is found about a table that nobody has described: its form, its columns and their roles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from funcnet.data.blocks import Blocks
from funcnet.data.sources.grid import Grid

Kind = Literal["number", "category", "date", "left out", "labels", "values"]
Task = Literal["labels", "values"]

INPUTS = ("number", "category", "date")


class Column(NamedTuple):
    """A column and its role."""

    name: str
    kind: Kind
    distinct: int
    missing: int
    example: str
    """The first value that is not missing"""
    reason: str = ""
    """Why the column is left out"""


class Findings(NamedTuple):
    """A table: how to read it, its columns, and its target."""

    table: Blocks
    rows: int
    """Its rows, without those that are left out"""
    missing: tuple[str, ...]
    """Texts for a missing value, beyond the usual ones"""
    columns: tuple[Column, ...]
    target: Column
    counts: dict[str, int]
    """The rows of each label, or those in which each of several labels is present; empty for values"""
    decimal: Any = "."
    thousands: Any = ""
    marks: dict[str, str] = {}
    """The mark beside each number of a column, such as "%" """
    delimiter: str = ","
    header: bool = True
    more: tuple[Column, ...] = ()
    """Further targets; all of them are values, or labels that are present or absent"""
    gaps: Mapping[str, int] = {}
    """How many rows are left out since a target is missing, by its text"""
    max_categories: int | None = None
    """The categories to keep of each column, if one has more: its most frequent ones"""
    incomplete: bool = False
    """Whether a row that is left out lacks a value of an input"""
    timed: frozenset[str] = frozenset()
    """The columns of dates in which some have a time of the day"""

    @property
    def grid(self) -> Grid:
        """All rows in memory, without those that are left out."""
        return self.table.whole()

    @property
    def targets(self) -> tuple[Column, ...]:
        """All targets."""
        return (self.target, *self.more)

    @property
    def inputs(self) -> list[Column]:
        """The columns to learn from."""
        return [column for column in self.columns if column.kind in INPUTS]

    @property
    def left_out(self) -> list[Column]:
        """The columns that are not inputs, each with a reason."""
        return [column for column in self.columns if column.kind == "left out"]
