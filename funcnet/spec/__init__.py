"""Specs: immutable data that compares by value, hashes, pickles and round-trips through JSON."""

from funcnet.spec.base import Spec, evolve, register
from funcnet.spec.fields import FrozenDict, Named, Range, Words, fraction, frozen, non_negative, positive

__all__ = [
    "FrozenDict",
    "Named",
    "Range",
    "Spec",
    "Words",
    "evolve",
    "fraction",
    "frozen",
    "non_negative",
    "positive",
    "register",
]
