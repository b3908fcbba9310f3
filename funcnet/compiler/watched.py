"""Variables and containers that are compared with their earlier contents, and restored."""

from __future__ import annotations

import math
import operator
import re
import types
from collections import OrderedDict, deque
from collections.abc import Callable
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np

from funcnet.key import Key
from funcnet.ops import Blank

HARMLESS = frozenset(
    (
        type(None), bool, int, float, complex, str, bytes, range, slice, type(...), type(NotImplemented), Key,
        re.Pattern, types.MethodDescriptorType, types.WrapperDescriptorType, PurePosixPath, PureWindowsPath,
        types.GenericAlias, types.GetSetDescriptorType, types.MemberDescriptorType, types.CodeType, Blank,
    )
)  # fmt: skip
"""Classes of immutable values that refer to nothing mutable"""
CONTAINERS = (list, dict, set, deque, bytearray, OrderedDict, types.MappingProxyType)
MISSING: Any = object()


def is_harmless(value: Any) -> bool:
    """Whether a value is immutable and refers to nothing mutable."""
    kind = type(value)
    return kind in HARMLESS or (isinstance(value, np.generic | np.dtype) and kind is not np.void)


class Slot:
    """A variable: a global, a closure cell or an attribute."""

    def __init__(self, name: str, read: Callable[[], Any], write: Callable[[Any], None]) -> None:
        self.name, self.read, self.write = name, read, write
        self.was = read()

    def same(self) -> bool:
        """Whether the variable has its earlier value."""
        return same(self.read(), self.was)

    def changed(self) -> list[str]:
        """The name of the variable, as a list."""
        return [self.name]

    def restore(self) -> None:
        """Set the variable to its earlier value."""
        self.write(self.was)


class Contents:
    """The contents of a mutable object: a list, a dict, a set, an array."""

    def __init__(self, name: str, holder: Any) -> None:
        self.name, self.holder = name, holder
        self.was: Any = self.now()

    def now(self) -> Any:
        """A copy of the contents, one level deep, in order."""
        holder = self.holder
        if isinstance(holder, np.ndarray):
            return holder.shape, holder.strides, holder.dtype.str, holder.tobytes()
        return list(holder.items()) if isinstance(holder, dict | types.MappingProxyType) else list(holder)

    def same(self) -> bool:
        """Whether the contents are unchanged."""
        now, was = self.now(), self.was
        return bool(now == was) if isinstance(now, tuple) else len(now) == len(was) and all(map(same, now, was))

    def changed(self) -> list[str]:
        """The name of the object, as a list."""
        return [self.name]

    def restore(self) -> None:
        """Restore the earlier contents."""
        holder = self.holder
        if isinstance(holder, np.ndarray):
            if holder.flags.writeable:
                holder[...] = np.frombuffer(self.was[3], holder.dtype).reshape(holder.shape)
        elif isinstance(holder, list):
            holder[:] = self.was
        elif isinstance(holder, dict | set | deque | bytearray):
            holder.clear()
            holder.update(self.was) if isinstance(holder, dict | set) else holder.extend(self.was)


INTERNAL = frozenset(("__dict__", "__weakref__", "__annotations__", "__annotations_cache__", "__annotate_func__"))
"""Entries of a class that Python makes when they are first read"""


class Members:
    """Functions, classes and variables of a trusted module or class, which a test may replace."""

    def __init__(self, name: str, owner: Any, names: list[str]) -> None:
        self.name, self.owner, self.names = name, owner, names
        self.read = operator.attrgetter(*names, names[0])  # at least two, so that it gives a tuple
        self.was = self.read(owner)

    def same(self) -> bool:
        """Whether none of them has been replaced."""
        return bool(self.read(self.owner) == self.was)

    def changed(self) -> list[str]:
        """The names of the replaced ones."""
        pairs = zip(self.names, self.read(self.owner), self.was, strict=False)
        return [f"{self.name}.{name}" for name, now, was in pairs if now is not was and now != was]

    def restore(self) -> None:
        """Put them back."""
        for name, now, was in zip(self.names, self.read(self.owner), self.was, strict=False):
            if now is not was:
                setattr(self.owner, name, was)


class ClassContents:
    """The attributes of a class, and its bases."""

    def __init__(self, kind: type) -> None:
        self.name, self.kind = kind.__name__, kind
        self.bases, self.names, self.entries = kind.__bases__, (kind.__name__, kind.__qualname__), dict(vars(kind))
        self.was = self.now()

    def now(self) -> dict[str, Any]:
        """The attributes, without Python's internal ones."""
        return {
            name: value
            for name, value in vars(self.kind).items()
            if not name.startswith("_abc_") and name not in INTERNAL
        }

    def same(self) -> bool:
        """Whether the attributes and bases are unchanged."""
        entries, held, kind = self.entries, vars(self.kind), self.kind
        if (
            kind.__bases__ is self.bases
            and (kind.__name__, kind.__qualname__) == self.names
            and len(held) == len(entries)
        ):
            get = held.get
            if all(get(name, MISSING) is value for name, value in entries.items()):
                return True
        return not self.changed()

    def changed(self) -> list[str]:
        """The names of the changed attributes."""
        now, was = self.now(), self.was
        names = [name for name in {**was, **now} if not same(now.get(name, MISSING), was.get(name, MISSING))]
        kind = self.kind
        names += [] if kind.__bases__ == self.bases else ["__bases__"]
        names += [] if (kind.__name__, kind.__qualname__) == self.names else ["__name__"]
        return [f"{self.name}.{name}" for name in names]

    def restore(self) -> None:
        """Restore the earlier attributes."""
        now = self.now()
        for name in now.keys() - self.was.keys():
            delattr(self.kind, name)
        for name, value in self.was.items():
            if now.get(name, MISSING) is not value:
                setattr(self.kind, name, value)


def same(a: Any, b: Any) -> bool:
    """Whether two values are the same object, or harmless and equal to the last bit."""
    if a is b:
        return True
    if type(a) is not type(b):
        return False
    if type(a) is tuple:
        return len(a) == len(b) and all(map(same, a, b))
    if type(a) is float:
        return (a == b and math.copysign(1.0, a) == math.copysign(1.0, b)) or (a != a and b != b)
    if type(a) is complex:
        return repr(a) == repr(b)  # repr distinguishes -0.0 from 0.0
    if type(a) is slice:
        return same((a.start, a.stop, a.step), (b.start, b.stop, b.step))
    if isinstance(a, np.generic):
        return bool(a.dtype == b.dtype) and a.tobytes() == b.tobytes()
    return is_harmless(a) and bool(a == b)


def contents_of(cell: Any) -> Any:
    """The contents of a closure cell, MISSING if it is empty."""
    try:
        return cell.cell_contents
    except ValueError:
        return MISSING


def set_contents(cell: Any, content: Any) -> None:
    """Set the contents of a closure cell; MISSING empties it."""
    if content is MISSING:
        del cell.cell_contents
    else:
        cell.cell_contents = content


def set_attribute(owner: Any, name: str, value: Any) -> None:
    """Set an attribute; MISSING deletes it."""
    if value is not MISSING:
        setattr(owner, name, value)
    elif hasattr(owner, name):
        delattr(owner, name)
