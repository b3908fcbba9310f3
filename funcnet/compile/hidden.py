"""What user code reads besides its arguments: globals, closures, attributes, and what these hold.

A plan is right only as long as they stay as they were when it was recorded. So they are listed, looked at before
every call, and put back where recording itself has changed them. Code that reads what cannot be watched (a
generator, a clock) is not recorded. The library's own code reads constants alone and is not looked into.
"""

from __future__ import annotations

import dis
import enum
import functools
import operator
import random
import re
import sys
import sysconfig
import types
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path, PurePath
from typing import Any

import attrs
import numpy as np

from funcnet.key import Key
from funcnet.spec import Spec

LIBRARY = str(Path(__file__).parents[1])
INSTALLED = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})
IMPURE = frozenset(
    [
        "time",
        "os",
        "datetime",
        "uuid",
        "secrets",
        "socket",
        "subprocess",
        "threading",
        "multiprocessing",
        "urllib",
        "requests",
        "io",
        "tempfile",
        "shutil",
        "sys",
        "platform",
        "getpass",
        "glob",
        "sqlite3",
        "select",
        "signal",
        "asyncio",
    ]
)
"""Modules of Python whose functions give something else at each call"""
IMPURE_BUILTINS = frozenset(("open", "input", "id", "globals", "locals", "vars", "eval", "exec"))
IMMUTABLE = (
    type(None), bool, int, float, complex, str, bytes, range, slice, type(...), np.generic, np.dtype, np.ufunc, Key,
    enum.Enum, re.Pattern, PurePath, types.BuiltinFunctionType, types.MethodDescriptorType, types.WrapperDescriptorType,
    types.GenericAlias,
)  # fmt: skip
MOST = 2000
"""Things that are looked into before code counts as too far-reaching"""
LARGE = 1 << 20
"""Bytes of an array that may be compared before every call; a larger one has to be read-only"""
MISSING: Any = object()


class Unwatchable(Exception):
    """User code reads something that cannot be watched."""


def code_of(f: Any) -> types.CodeType | None:
    """The code of a function or method written in Python."""
    return getattr(f, "__code__", None)


def is_foreign(f: Any) -> bool:
    """Whether a function, a layer's method, or an object that is called, runs code from outside the library."""
    owner = getattr(f, "__self__", None)
    if owner is not None and not isinstance(owner, type | types.ModuleType):
        kind = type(owner)
        if not of_library(kind):
            return True
        return isinstance(owner, Spec) and any(
            isinstance(value, types.FunctionType | functools.partial | types.MethodType) for value in own_fields(owner)
        )
    code = code_of(f)
    return not code.co_filename.startswith(LIBRARY) if code is not None else not of_library(type(f))


def of_library(kind: type) -> bool:
    """Whether a class is the library's own."""
    return kind.__module__.partition(".")[0] == "funcnet"


def own_fields(spec: Any) -> list[Any]:
    """The values of a spec's fields."""
    return [getattr(spec, field.name, None) for field in attrs.fields(type(spec))]


class Slot:
    """A place that a name is bound in: a global, a cell, an attribute."""

    def __init__(self, name: str, read: Callable[[], Any], write: Callable[[Any], None]) -> None:
        self.name, self.read, self.write = name, read, write
        self.was = read()

    def same(self) -> bool:
        """Whether the name is bound to what it was."""
        return same(self.read(), self.was)

    def restore(self) -> None:
        """Bind it to that again."""
        self.write(self.was)


class Contents:
    """The contents of something that may be changed: a list, a dict, a set, an array."""

    def __init__(self, name: str, holder: Any) -> None:
        self.name, self.holder = name, holder
        self.was: Any = self.now()

    def now(self) -> Any:
        """A copy of the contents, one level deep."""
        if isinstance(self.holder, np.ndarray):
            return self.holder.tobytes()
        return dict(self.holder) if isinstance(self.holder, dict) else list(self.holder)

    def same(self) -> bool:
        """Whether it holds what it held."""
        now, was = self.now(), self.was
        if isinstance(now, bytes):
            return bool(now == was)
        if len(now) != len(was):
            return False
        if isinstance(now, dict):
            return all(name in was and same(value, was[name]) for name, value in now.items())
        return all(map(same, now, was))

    def restore(self) -> None:
        """Let it hold that again."""
        holder = self.holder
        if isinstance(holder, np.ndarray):
            if holder.flags.writeable:
                holder[...] = np.frombuffer(self.was, holder.dtype).reshape(holder.shape)
        elif isinstance(holder, list):
            holder[:] = self.was
        elif isinstance(holder, dict | set | deque | bytearray):
            holder.clear()
            holder.update(self.was) if isinstance(holder, dict | set) else holder.extend(self.was)


def same(a: Any, b: Any) -> bool:
    """Whether two values are one, or equal and immutable."""
    if a is b:
        return True
    if type(a) is not type(b):
        return False
    if isinstance(a, tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return isinstance(a, IMMUTABLE) and bool(a == b or (a != a and b != b))


class Hidden:
    """All that the user code reachable from some functions and specs reads besides its arguments.

    ``foreign`` says whether there is user code at all; ``draws`` whether it mentions a random module. ``problem``
    names what cannot be watched, if there is something.
    """

    def __init__(self, *roots: Any) -> None:
        self.watched: list[Slot | Contents] = []
        self.foreign = self.draws = False
        self.problem = ""
        self.seen: dict[int, Any] = {}
        try:
            for root in roots:
                self._look(root, "")
        except Unwatchable as error:
            self.foreign, self.problem = True, str(error)
        self.seen.clear()

    def changed(self) -> list[str]:
        """The names of what is not as it was."""
        return [one.name for one in self.watched if not one.same()]

    def unchanged(self) -> bool:
        """Whether everything is as it was."""
        return all(one.same() for one in self.watched)

    def restore(self) -> None:
        """Put back what has changed."""
        for one in self.watched:
            if not one.same():
                one.restore()

    # ----- looking -----------------------------------------------------------------------------------------------

    def _look(self, value: Any, name: str) -> None:
        """List what a value depends on."""
        if isinstance(value, IMMUTABLE) and type(value) is not types.BuiltinFunctionType:
            return
        if id(value) in self.seen:
            return
        self.seen[id(value)] = value
        if len(self.seen) > MOST * (1 if self.foreign else 100):
            raise Unwatchable("reads more than can be watched")
        if isinstance(value, types.FunctionType):
            self._function(value)
        elif isinstance(value, types.BuiltinFunctionType):
            self._builtin(value, name)
        elif isinstance(value, types.MethodType):
            self._look(value.__func__, name)
            self._look(value.__self__, name)
        elif isinstance(value, functools.partial):
            for part in (value.func, *value.args, *value.keywords.values()):
                self._look(part, name)
        elif isinstance(value, types.ModuleType):
            self._module(value, name, ())
        elif isinstance(value, type):
            self._class(value)
        elif isinstance(value, np.ndarray):
            self._array(value, name)
        elif isinstance(value, list | dict | set | deque | bytearray):
            self.watched.append(Contents(name, value))
            for part in [*value.values(), *value.keys()] if isinstance(value, dict) else list(value):
                self._look(part, name)
        elif isinstance(value, tuple | frozenset | types.MappingProxyType):
            for part in value.values() if isinstance(value, types.MappingProxyType) else value:
                self._look(part, name)
        elif isinstance(value, property | classmethod | staticmethod | functools.cached_property):
            inner = (value.fget, value.fset) if isinstance(value, property) else (getattr(value, "__func__", None),)
            for part in inner:
                self._look(part, name)
        elif hasattr(value, "__wrapped__"):  # a compiled function, a cached one
            self._look(value.__wrapped__, name)
        else:
            self._object(value, name)

    def _function(self, f: types.FunctionType) -> None:
        code = f.__code__
        if code.co_filename.startswith(LIBRARY):
            for cell, name in zip(f.__closure__ or (), code.co_freevars, strict=True):
                content = contents_of(cell)
                if isinstance(content, Spec | types.FunctionType):
                    self._look(content, name)
            return
        if code.co_filename.startswith(INSTALLED):
            self._installed(f.__module__ or "", f.__qualname__)
            return
        self.foreign = True
        names = set(names_in(code)) - {"__name__", "__class__"}
        self.draws = self.draws or any("rand" in name or name in ("choice", "shuffle", "normal") for name in names)
        self.watched.append(Slot(f.__name__, functools.partial(FUNCTION, f), lambda parts: None))
        for name in sorted(set(loaded_names(code))):
            value = f.__globals__.get(name, MISSING)
            if isinstance(value, types.ModuleType):
                self._module(value, name, names)
                continue
            if value is MISSING and name in IMPURE_BUILTINS:
                raise Unwatchable(f"calls {name}()")
            self._slot(name, f.__globals__, value)
        for cell, name in zip(f.__closure__ or (), code.co_freevars, strict=True):
            self.watched.append(Slot(name, functools.partial(contents_of, cell), functools.partial(set_contents, cell)))
            content = contents_of(cell)
            if isinstance(content, types.ModuleType):
                self._module(content, name, names)
            else:
                self._look(content, name)
        for part in (*(f.__defaults__ or ()), *(f.__kwdefaults__ or {}).values()):
            self._look(part, f.__name__)
        if not hasattr(f, "__wrapped__"):
            self.watched.append(Contents(f.__name__, f.__dict__))

    def _slot(self, name: str, namespace: dict[str, Any], value: Any) -> None:
        def write(was: Any) -> None:
            namespace.pop(name, None) if was is MISSING else namespace.__setitem__(name, was)

        self.watched.append(Slot(name, functools.partial(namespace.get, name, MISSING), write))
        self._look(value, name)

    def _builtin(self, f: Any, name: str) -> None:
        owner = f.__self__
        if isinstance(owner, types.ModuleType) or owner is None:
            self._installed(f.__module__ or "", f.__name__)
        else:
            self._look(owner, name)

    def _installed(self, module: str, name: str) -> None:
        if module.partition(".")[0] in IMPURE or module.startswith("numpy.random"):
            raise Unwatchable(f"calls {module}.{name}, which gives something else at each call")

    def _module(self, module: types.ModuleType, name: str, names: Any) -> None:
        top = module.__name__.partition(".")[0]
        if top in IMPURE:
            raise Unwatchable(f"reads the module {module.__name__}")
        file = getattr(module, "__file__", None) or ""
        if top == "funcnet" or file.startswith(INSTALLED) or top in sys.stdlib_module_names:
            return
        for inner in sorted(set(names) & vars(module).keys()):
            value = vars(module)[inner]
            if isinstance(value, types.ModuleType):
                self._look(value, inner)
            else:
                self._attribute(module, name, inner)

    def _attribute(self, owner: Any, name: str, inner: str) -> None:
        value = getattr(owner, inner)
        self.watched.append(
            Slot(
                f"{name}.{inner}",
                functools.partial(getattr, owner, inner, MISSING),
                functools.partial(setattr, owner, inner),
            )
        )
        self._look(value, f"{name}.{inner}")

    def _class(self, kind: type) -> None:
        if of_library(kind) or kind.__module__ == "builtins" or kind.__module__.partition(".")[0] in ("numpy", "attr"):
            return
        file = getattr(sys.modules.get(kind.__module__), "__file__", None)
        if file is not None and file.startswith(INSTALLED):
            return
        self.foreign = True
        for name, value in list(vars(kind).items()):
            if (name.startswith("__") and name != "__call__") or name.startswith("_abc_"):
                continue
            if isinstance(
                value, types.FunctionType | property | classmethod | staticmethod | functools.cached_property
            ):
                read = functools.partial(vars(kind).get, name, MISSING)
                self.watched.append(Slot(f"{kind.__name__}.{name}", read, functools.partial(setattr, kind, name)))
                self._look(value, f"{kind.__name__}.{name}")
            elif not (
                hasattr(type(value), "__get__")
                and type(value).__module__ in ("builtins", "collections", "_collections")
            ):
                self._attribute(kind, kind.__name__, name)
        for base in kind.__bases__:
            self._look(base, base.__name__)

    def _array(self, array: Any, name: str) -> None:
        if type(array) is not np.ndarray:
            raise Unwatchable(f"reads {name}, a {type(array).__name__}")
        if not array.flags.writeable and (
            array.base is None or not getattr(array.base, "flags", array.flags).writeable
        ):
            return
        if array.nbytes > LARGE:
            raise Unwatchable(
                f"reads {name}, an array of {array.nbytes} bytes that may change; pass it in, "
                f"or make it read-only: {name}.flags.writeable = False"
            )
        self.watched.append(Contents(name, array))

    def _object(self, value: Any, name: str) -> None:
        """An instance: its class, and what it holds."""
        kind = type(value)
        self._look(kind, kind.__name__)
        if isinstance(value, Spec):
            for part in own_fields(value):
                self._look(part, name or kind.__name__)
            return
        if value is getattr(random, "_inst", None):
            return  # whose state is looked at
        top = kind.__module__.partition(".")[0]
        if top in ("funcnet", "typing", "abc", "attr", "functools") or value is MISSING:
            return
        if isinstance(value, np.vectorize):
            self._look(value.pyfunc, name)
            return
        held = getattr(value, "__dict__", None)
        slots = [slot for base in kind.__mro__ for slot in getattr(base, "__slots__", ()) if slot != "__weakref__"]
        python = isinstance(held, dict) or bool(slots)
        if not python or top in ("numpy", "random", "threading", "io", "_io") or hasattr(value, "__next__"):
            raise Unwatchable(f"reads {name}, a {kind.__name__}, which cannot be watched")
        read = functools.partial(getattr, value, "__class__")
        self.watched.append(Slot(f"{name}.__class__", read, functools.partial(setattr, value, "__class__")))
        if isinstance(held, dict):
            self._look(held, name)
        for slot in slots if isinstance(slots, list) else ():
            if hasattr(value, slot):
                self._attribute(value, name, slot)


def contents_of(cell: Any) -> Any:
    """The contents of a cell, MISSING for an empty one."""
    try:
        return cell.cell_contents
    except ValueError:
        return MISSING


def set_contents(cell: Any, content: Any) -> None:
    """Set the contents of a cell, or empty it."""
    if content is MISSING:
        del cell.cell_contents
    else:
        cell.cell_contents = content


FUNCTION = operator.attrgetter("__code__", "__defaults__", "__kwdefaults__")


def names_in(code: types.CodeType) -> Iterator[str]:
    """All names that a function, and those inside it, look up."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from names_in(constant)


def loaded_names(code: types.CodeType) -> Iterator[str]:
    """The names that are looked up as globals or builtins, not as attributes."""
    for instruction in dis.get_instructions(code):
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            yield instruction.argval
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from loaded_names(constant)


def random_states() -> Any:
    """The states of the two global generators."""
    return np.random.get_state(legacy=False), random.getstate()  # noqa: NPY002 - user code may use it


def set_random_states(states: Any) -> None:
    """Set the two global generators."""
    np.random.set_state(states[0])  # noqa: NPY002
    random.setstate(states[1])


def same_states(a: Any, b: Any) -> bool:
    """Whether the generators are where they were."""
    first, second = a[0]["state"], b[0]["state"]
    return bool(
        first["pos"] == second["pos"] and np.array_equal(first["key"], second["key"]) and a[1] == b[1]
        and a[0].get("has_gauss") == b[0].get("has_gauss")
    )  # fmt: skip
