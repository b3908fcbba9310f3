"""The hidden inputs of user code: globals, closures, attributes, and their contents.

A plan is valid only while they keep the values they had when it was recorded. So they are listed, checked before
every call, and restored where recording itself has changed them. Code that reads something that cannot be watched
(a generator, a clock, a file) is not recorded. Python's own modules, NumPy, SciPy, attrs and the library are
trusted; all other code is inspected, and a value that is not known to be harmless counts as not watchable.
"""

from __future__ import annotations

import abc
import builtins
import collections
import dis
import enum
import functools
import operator
import random
import sys
import types
from typing import Any

import attrs
import numpy as np

from funcnet.compiler.foreign import LIBRARY, from_signal, is_trusted, of_library, own_fields
from funcnet.compiler.lookups import is_kept, loaded
from funcnet.compiler.purity import (
    BY_NAME,
    IMPURE_NAMES,
    NAMED,
    home_of,
    is_pure,
    names_in,
    on_objects,
    reads_clock,
)
from funcnet.compiler.watched import (
    CONTAINERS,
    MISSING,
    ClassContents,
    Contents,
    Members,
    Slot,
    contents_of,
    is_harmless,
    is_immutable,
    keeps_state,
    set_attribute,
    set_contents,
    slots_of,
)
from funcnet.originals import Replaceable
from funcnet.spec.base import Spec
from funcnet.spec.fields import FrozenDict

MOST = 2000
"""The most objects to inspect, and the most entries to compare; code that reads more is not recorded"""
LARGE = 1 << 20
"""The most bytes of arrays to compare before every call; larger arrays must be immutable"""


TYPE = "compares the result of type(…); use isinstance"


class Unwatchable(Exception):
    """User code reads something that cannot be watched."""


class Hidden:
    """The hidden inputs of all user code reachable from some functions and specs.

    ``foreign`` says whether there is any user code. ``problem`` names the input that cannot be watched, if any.
    """

    def __init__(self, *roots: Any) -> None:
        self.watched: list[Slot | Contents | ClassContents | Members] = []
        self.foreign = False
        self.problem = ""
        self.seen: dict[int, Any] = {}
        self.names: set[str] = set()  # all names in the code
        self.objects: list[tuple[Any, str, set[str]]] = []  # their attributes are watched where the code names them
        self.nbytes = 0
        self.abstract = False  # whether there are abstract classes
        try:
            for root in roots:
                self._look(root, "")
            while self._attributes():
                pass  # attribute values may bring in more code and more names
        except Unwatchable as error:
            self.foreign, self.problem = True, str(error)
        except Exception as error:  # raised by user-defined attribute access, comparison or iteration
            if from_signal(error):
                raise
            self.foreign, self.problem = True, f"cannot be inspected ({type(error).__name__}: {error})"
        self.seen.clear()
        self.objects.clear()

    def changed(self) -> list[str]:
        """The names of the hidden inputs that have changed."""
        return list(dict.fromkeys(name for one in self.watched if not one.same() for name in one.changed()))

    def unchanged(self) -> bool:
        """Whether no hidden input has changed."""
        return all(one.same() for one in self.watched)

    def restore(self) -> None:
        """Restore the hidden inputs that have changed."""
        for one in self.watched:
            if not one.same():
                one.restore()

    # ----- looking -----------------------------------------------------------------------------------------------

    def _look(self, value: Any, name: str) -> None:
        """List the hidden inputs that a value depends on."""
        if is_harmless(value) or value is MISSING or id(value) in self.seen:
            return
        self.seen[id(value)] = value
        if len(self.seen) > MOST * (1 if self.foreign else 100) or len(self.watched) > MOST:
            raise Unwatchable("reads more than can be watched")
        if isinstance(value, types.FunctionType):
            self._function(value)
        elif isinstance(value, types.BuiltinFunctionType):
            self._builtin(value, name)
        elif isinstance(value, types.MethodWrapperType):
            self._look(value.__self__, name)
        elif isinstance(value, np.ufunc):
            if on_objects(value):
                raise Unwatchable(f"calls {name}, which works on objects")
        elif isinstance(value, types.MethodType):
            self._look(value.__self__, name or type(value.__self__).__name__)
            self._look(value.__func__, name)
        elif isinstance(value, functools.partial):
            self._contents(value.keywords, name or "the arguments of a partial")
            for part in (value.func, *value.args):
                self._look(part, name or "an argument of a partial")
        elif isinstance(value, types.ModuleType):
            if not is_trusted(value.__name__, getattr(value, "__file__", None)):
                raise Unwatchable(f"passes the module {value.__name__} around")
            self._trusted(value.__name__, value.__name__)
        elif isinstance(value, type):
            self._class(value)
        elif isinstance(value, np.ndarray):
            self._array(value, name)
        elif type(value) in (tuple, frozenset, operator.itemgetter):
            for part in value.__reduce__()[1] if type(value) is operator.itemgetter else value:
                self._look(part, name)
        elif isinstance(value, property):
            for part in (value.fget, value.fset):
                self._look(part, name)
        elif isinstance(value, classmethod | staticmethod | functools.partialmethod | functools.cached_property):
            self._look(getattr(value, "__func__", None) or getattr(value, "func", None), name)
        elif type(value).__name__ in ("_ArrayFunctionDispatcher", "cython_function_or_method"):
            self._trusted(value.__module__ or "", name)
        elif isinstance(value, functools._lru_cache_wrapper):
            raise Unwatchable(f"calls {name}, which is cached: its earlier results may have been changed since")
        else:
            self._object(value, name)

    def _function(self, f: types.FunctionType) -> None:
        code = f.__code__
        home = f.__globals__.get("__name__") or ""  # functools.wraps sets __module__
        trusted = is_trusted(home, code.co_filename)
        cells = list(zip(f.__closure__ or (), code.co_freevars, strict=True))
        if trusted:  # a decorator, or one of the library's programs, which may hold user code
            library = code.co_filename.startswith(LIBRARY)
            for cell, name in cells:
                content = contents_of(cell)
                if not library or isinstance(content, HOLDERS) or hasattr(type(content), "roots"):
                    self._look(content, name)
            self._look(getattr(f, "__wrapped__", None), f.__name__)
            if not library and not code.co_filename.startswith("<attrs"):
                self._trusted(home, f.__qualname__)
            return
        self.foreign = True
        self.names |= set(names_in(code))
        self._refuse_code(code)
        for names, what in NAMED:
            named = self.names & names
            if named:
                raise Unwatchable(f"{what} ({', '.join(sorted(named))})")
        self.watched.append(Slot(f.__name__, functools.partial(FUNCTION, f), lambda parts: None))
        for name, attributes in loaded(code).items():
            value = f.__globals__.get(name, MISSING)
            if value is MISSING and name in IMPURE_NAMES:
                raise Unwatchable(f"calls {name}()")
            if value is type:
                raise Unwatchable(TYPE)
            if isinstance(value, types.ModuleType):
                self._module(value, name, attributes)
            else:
                self._slot(name, f.__globals__, value)
        for cell, name in cells:
            content = contents_of(cell)
            if content is type:
                raise Unwatchable(TYPE)
            self.watched.append(Slot(name, functools.partial(contents_of, cell), functools.partial(set_contents, cell)))
            if isinstance(content, types.ModuleType):
                self._module(content, name, loaded(code, closure=True).get(name, {""}))
            else:
                self._look(content, name)
        for part in f.__defaults__ or ():
            self._look(part, f.__name__)
        self._contents(f.__kwdefaults__ or {}, f.__name__)
        self._contents(f.__dict__, f.__name__)

    def _refuse_code(self, code: types.CodeType) -> None:
        """Refuse code that reads the clock, imports modules, or compares classes, which stand-ins cannot fake."""
        if reads_clock(code):
            raise Unwatchable("reads the clock (np.datetime64 of now or today)")
        steps = list(dis.get_instructions(code))
        for i, step in enumerate(steps):
            if step.opname == "IMPORT_NAME" and not is_pure(step.argval):
                raise Unwatchable(f"imports {step.argval} inside the function; import it at the top")
            if step.opname == "MATCH_CLASS":
                self.names.add("getattr")  # reads attributes that are named in a constant only
            if step.opname == "LOAD_GLOBAL" and step.argval == "type":
                near = {one.argrepr if one.opname == "BINARY_OP" else one.opname for one in steps[i : i + 9]}
                if near & {"IS_OP", "COMPARE_OP", "CONTAINS_OP", "BINARY_SUBSCR", "[]"} or is_kept(steps[i : i + 9]):
                    raise Unwatchable(TYPE)
        for constant in code.co_consts:
            if isinstance(constant, types.CodeType):
                self._refuse_code(constant)

    def _slot(self, name: str, namespace: dict[str, Any], value: Any, key: str = "") -> None:
        key = key or name

        def write(was: Any) -> None:
            namespace.pop(key, None) if was is MISSING else namespace.__setitem__(key, was)

        self.watched.append(Slot(name, functools.partial(namespace.get, key, MISSING), write))
        self._look(value, name)

    def _builtin(self, f: Any, name: str) -> None:
        owner = f.__self__
        if f.__name__ in BY_NAME:  # the code may call it by another name
            self.names.add(f.__name__)
        if owner is builtins and f.__name__ in IMPURE_NAMES:
            raise Unwatchable(f"calls {f.__name__}()")
        if isinstance(owner, types.ModuleType) or owner is None:
            self._trusted(home_of(f), f.__name__)
        else:
            self._look(owner, name)

    def _trusted(self, module: str, name: str) -> None:
        """Refuse a function or class of a module that may give something different at each call."""
        if not is_pure(module):
            where = f"reads {module}, which" if module else f"calls {name}, which"
            raise Unwatchable(f"{where} may give something different at each call ({name})")

    def _module(self, module: types.ModuleType, name: str, attributes: set[str]) -> None:
        file = getattr(module, "__file__", None)
        if is_trusted(module.__name__, file):
            if not is_pure(module.__name__, file) and module is not np.random:  # whose state is compared
                raise Unwatchable(f"reads the module {module.__name__}")
            for inner in sorted(attributes - {""}):
                self._check_member(module, name, inner)
            held = [inner for inner in sorted(attributes - {""}) if hasattr(module, inner)]
            if held:
                self.watched.append(Members(name, module, held))
            return
        if "" in attributes:
            raise Unwatchable(f"passes the module {module.__name__} around; read its attributes, such as {name}.rate")
        for inner in sorted(attributes):
            value = getattr(module, inner, MISSING)
            if isinstance(value, types.ModuleType) and not is_trusted(value.__name__, getattr(value, "__file__", None)):
                raise Unwatchable(f"reads {name}.{inner}, a module inside a module; import it by itself")
            self._attribute(module, name, inner)

    def _check_member(self, module: types.ModuleType, name: str, inner: str) -> None:
        """Refuse a function or class of a trusted module that may give something different at each call."""
        value = getattr(module, inner, None)
        if module is builtins and inner in IMPURE_NAMES:
            raise Unwatchable(f"calls {inner}()")
        if isinstance(value, types.ModuleType):
            if value is not np.random:  # whose state is compared
                self._trusted(value.__name__, inner)
        elif isinstance(value, types.FunctionType | types.BuiltinFunctionType | type) and not (
            module in (np.random, random) or is_pure(home_of(value))
        ):
            raise Unwatchable(f"calls {name}.{inner}, which may give something different at each call")

    def _registrations(self, kind: type) -> None:
        """Watch the registrations of abstract classes, which decide what isinstance says."""
        if isinstance(kind, abc.ABCMeta) and not isinstance(kind, Replaceable) and not self.abstract:
            self.abstract = True
            self.watched.append(Slot("a registered class", abc.get_cache_token, lambda token: None))

    def _attribute(self, owner: Any, name: str, inner: str) -> None:
        read = functools.partial(getattr, owner, inner, MISSING)
        self.watched.append(Slot(f"{name}.{inner}", read, functools.partial(set_attribute, owner, inner)))
        self._look(read(), f"{name}.{inner}")

    def _class(self, kind: type) -> None:
        file = getattr(sys.modules.get(kind.__module__), "__file__", None)
        made_by_exec = kind.__module__ == "builtins" and getattr(builtins, kind.__name__, None) is not kind
        if is_trusted(kind.__module__, file) and not made_by_exec:
            self._trusted(kind.__module__, kind.__name__)
            self._registrations(kind)
            return
        self.foreign = True
        self._registrations(kind)
        if type(kind) is not type:
            self._look(type(kind), type(kind).__name__)
        contents = ClassContents(kind)
        self.watched.append(contents)
        for name, value in contents.was.items():
            if type(value) is not NAMED_FIELD and type(value).__module__ != "enum":
                self._look(value, f"{kind.__name__}.{name}")
        for base in kind.__bases__:
            self._look(base, base.__name__)

    def _array(self, array: Any, name: str) -> None:
        if type(array) is not np.ndarray or array.dtype.hasobject:
            raise Unwatchable(f"reads {name}, which is not a plain array of numbers")
        if array.nbytes > LARGE and is_immutable(array):
            return
        self.nbytes += array.nbytes
        if self.nbytes > LARGE:
            raise Unwatchable(
                f"reads {name}: arrays of more than {LARGE} bytes in all that may change; pass them in, or keep them "
                f"in bytes: {name} = np.frombuffer({name}.tobytes(), {name}.dtype).reshape({name}.shape)"
            )
        self.watched.append(Contents(name, array))

    def _contents(self, holder: Any, name: str) -> None:
        """Watch a container and its entries."""
        if len(holder) > MOST:
            raise Unwatchable(f"reads {name}, which has {len(holder)} entries")
        self.watched.append(Contents(name, holder))
        mapping = isinstance(holder, dict | types.MappingProxyType)
        for part in [*holder.values(), *holder.keys()] if mapping else list(holder):
            self._look(part, name)

    def _object(self, value: Any, name: str) -> None:
        """An instance: its class, its contents, and the attributes that the code names."""
        kind = type(value)
        name = name or kind.__name__
        if value is getattr(random, "_inst", None):
            return  # the global generator, whose state is compared
        if isinstance(value, CONTAINERS):
            self._contents(value, name)
            if type(value) in CONTAINERS:
                return
            if isinstance(value, collections.defaultdict):
                self._attribute(value, name, "default_factory")
        elif isinstance(value, tuple):
            for part in value:
                self._look(part, name)
        self._look(kind, kind.__name__)
        if isinstance(value, Spec):
            for part in own_fields(value):
                self._look(part, name)
            if of_library(kind):
                for inner, part in vars(value).items():  # a method that was set on the instance
                    if isinstance(vars(kind).get(inner, getattr(kind, inner, None)), types.FunctionType):
                        self._slot(f"{name}.{inner}", vars(value), part, inner)
                return
        if isinstance(value, np.vectorize):
            self._attribute(value, name, "pyfunc")
            return
        if of_library(kind):
            self._library_object(value, name)
            return
        fixed = isinstance(value, enum.Enum) and is_trusted(kind.__module__, None)
        if fixed or kind.__module__.partition(".")[0] in ("typing", "abc", "attr"):
            self._look(getattr(value, "__wrapped__", None), name)
            return
        state = next((base for base in kind.__mro__ if base is not kind and keeps_state(base)), None)
        if state is not None:
            raise Unwatchable(
                f"reads {name}, a {kind.__name__}: the state of its base {state.__name__} cannot be watched"
            )
        held = getattr(value, "__dict__", None)
        slots = [slot for base in kind.__mro__ for slot in slots_of(base)]
        builtin = isinstance(value, (*CONTAINERS, tuple, int, float, str, bytes))
        outside = is_trusted(kind.__module__, None) and kind is not types.SimpleNamespace and not builtin
        if outside or not (isinstance(held, dict) or slots or builtin) or hasattr(value, "__next__"):
            raise Unwatchable(f"reads {name}, a {kind.__name__}, which cannot be watched")
        read = functools.partial(getattr, value, "__class__")
        self.watched.append(Slot(f"{name}.__class__", read, functools.partial(set_attribute, value, "__class__")))
        self.objects.append((value, name, set()))

    def _library_object(self, value: Any, name: str) -> None:
        """An object of the library other than a spec: a TrainState, a compiled function, a list of results."""
        if hasattr(type(value), "roots"):
            for root in value.roots:
                self._look(root, name)
        elif attrs.has(type(value)):
            for part in own_fields(value):
                self._look(part, name)
        elif isinstance(value, FrozenDict):
            for part in value.values():
                self._look(part, name)
        elif not isinstance(value, (*CONTAINERS, tuple)):
            raise Unwatchable(f"reads {name}, a {type(value).__name__}, which cannot be watched")

    def _attributes(self) -> bool:
        """Watch the attributes that the code names; return whether there were new ones."""
        new = False
        by_name = bool(self.names & BY_NAME)
        for value, name, known in list(self.objects):
            every = by_name or attrs.has(type(value)) or isinstance(value, types.SimpleNamespace)
            held = getattr(value, "__dict__", None)
            slots = {slot for base in type(value).__mro__ for slot in slots_of(base)}
            if every and isinstance(held, dict) and "" not in known:
                known.add("")
                self.watched.append(Contents(name, held))  # the names of all attributes
            wanted = self.names | slots | (held or {}).keys() if every else self.names
            for inner in sorted(wanted - known):
                known.add(inner)
                if inner in slots:
                    self._attribute(value, name, inner)
                elif isinstance(held, dict) and not hasattr(object, inner):  # set later, it would hide the class's
                    self._slot(f"{name}.{inner}", held, held.get(inner, MISSING), inner)
                else:
                    continue
                new = True
        return new


HOLDERS = (Spec, types.FunctionType, types.MethodType, functools.partial)
"""The types by which the library's own functions may hold user code"""


NAMED_FIELD = type(
    vars(collections.namedtuple("Pair", "first"))["first"]
)  # the module it names differs between versions
"""The class of a named tuple's fields, which only read the tuple"""
FUNCTION = operator.attrgetter("__code__", "__defaults__", "__kwdefaults__", "__name__", "__qualname__", "__doc__")
