"""Rules by class: what holds for a class and for its subclasses, until one of them overrides a method."""

from __future__ import annotations

from collections.abc import Mapping

from funcnet.spec.fields import T


def rule_of(rules: Mapping[type, T], cls: type, methods: str) -> T | None:
    """The rule for a class among rules by class. A class that overrides one of the methods does not inherit a rule."""
    for base in cls.__mro__[:-1]:
        if base in rules:
            return rules[base]
        if any(method in vars(base) for method in methods.split()):
            return None
    return None


def declares(cls: type, attribute: str, methods: str) -> bool:
    """Whether a class attribute is true of a class: no class that overrides one of the methods inherits it."""
    for base in cls.__mro__:
        if attribute in vars(base):
            return True
        if any(method in vars(base) for method in methods.split()):
            return False
    return False
