"""Methods and functions of the library that have been replaced, as ``unittest.mock`` does for a test.

A recorded program does not call them again, so it does not run while one of them is replaced. Classes and modules
note it when their attributes are set, which costs a call nothing.
"""

from __future__ import annotations

import abc
import types
from collections.abc import Callable
from typing import Any

REPLACED: dict[tuple[Any, str], Any] = {}
"""The originals by their class or module and name; empty unless something is replaced"""
KINDS = (
    types.FunctionType, types.BuiltinFunctionType, types.MethodType, types.MethodWrapperType,
    property, staticmethod, classmethod,
)  # fmt: skip
"""The types of functions and methods; other attributes, such as a field's default, may change"""


def _change(owner: Any, name: str, act: Callable[[], None]) -> None:
    """Do ``act``, which sets or deletes an attribute, and note whether it differs from the original now."""
    library = getattr(owner, "__module__", owner.__name__).partition(".")[0] == "funcnet"
    if not library or name.startswith("__"):
        act()
        return
    before = _found(owner, name)
    act()
    now = _found(owner, name)
    code = isinstance(before, KINDS) or (before is not None and isinstance(now, KINDS))
    if (owner, name) in REPLACED or code:
        original = REPLACED.setdefault((owner, name), before)
        if now is original:
            del REPLACED[owner, name]


def _found(owner: Any, name: str) -> Any:
    """The attribute as a class or its bases hold it, or None."""
    return next((vars(base)[name] for base in getattr(owner, "__mro__", (owner,)) if name in vars(base)), None)


class Replaceable(abc.ABCMeta):
    """The class of the library's classes whose methods run in a step.

    User classes may be abstract, too. No class is registered, so ``isinstance`` takes as long as for other classes.
    """

    def __setattr__(cls, name: str, value: Any) -> None:
        _change(cls, name, lambda: super(Replaceable, cls).__setattr__(name, value))

    def __delattr__(cls, name: str) -> None:
        _change(cls, name, lambda: super(Replaceable, cls).__delattr__(name))

    __instancecheck__ = type.__instancecheck__
    __subclasscheck__ = type.__subclasscheck__


class ReplaceableModule(types.ModuleType):
    """The class of a module whose functions run in a step."""

    def __setattr__(self, name: str, value: Any) -> None:
        _change(self, name, lambda: super(ReplaceableModule, self).__setattr__(name, value))

    def __delattr__(self, name: str) -> None:
        _change(self, name, lambda: super(ReplaceableModule, self).__delattr__(name))


def replaced() -> str:
    """The name of something that is replaced, such as ``Dense.apply``; empty if nothing is."""
    return next((f"{owner.__name__}.{name}" for owner, name in REPLACED), "")
