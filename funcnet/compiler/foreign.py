"""User code: how to recognise it, the errors of its signal handlers, and the global random generators it may use."""

from __future__ import annotations

import functools
import os
import random
import signal
import sys
import sysconfig
import types
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from funcnet.spec.base import Spec

LIBRARY = str(Path(__file__).parents[1]) + os.sep
STANDARD = tuple({sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib")})
TRUSTED = ("numpy", "scipy", "attr", "attrs", "funcnet")


def is_foreign(f: Any) -> bool:
    """Whether a function, a layer's method or a callable object runs code from outside the library."""
    owner = getattr(f, "__self__", None)
    if owner is not None and not isinstance(owner, type | types.ModuleType):
        if not of_library(type(owner)):
            return True
        return isinstance(owner, Spec) and any(
            isinstance(value, types.FunctionType | functools.partial | types.MethodType) for value in own_fields(owner)
        )
    code = getattr(f, "__code__", None)
    return not code.co_filename.startswith(LIBRARY) if code is not None else not of_library(type(f))


def from_signal(error: BaseException) -> bool:
    """Whether an error was raised by a signal handler, which may interrupt any code."""
    handlers = {getattr(signal.getsignal(number), "__code__", None) for number in signal.valid_signals()} - {None}
    frame = error.__traceback__
    while frame is not None:
        if frame.tb_frame.f_code in handlers:
            return True
        frame = frame.tb_next
    return False


def of_library(kind: type) -> bool:
    """Whether a class is the library's own."""
    return kind.__module__.partition(".")[0] == "funcnet"


def is_trusted(module: str, file: str | None) -> bool:
    """Whether code counts as fixed: that of Python, NumPy, and the other packages in ``TRUSTED``."""
    top = str(module).partition(".")[0]
    if top in TRUSTED or (file or "").startswith((LIBRARY, "<attrs generated", "<frozen")):
        return True
    if top in sys.stdlib_module_names or top == "builtins":
        return file is None or file.startswith((*STANDARD, "<"))
    standard = file is not None and file.startswith(STANDARD)
    return standard and "site-packages" not in str(file) and "dist-packages" not in str(file)


def own_fields(spec: Any) -> list[Any]:
    """The values of a spec's fields."""
    return [getattr(spec, field.name, None) for field in attrs.fields(type(spec))]


def random_states() -> Any:
    """The states of the two global generators."""
    return np.random.get_state(legacy=False), random.getstate()  # noqa: NPY002 - user code may use it


def set_random_states(states: Any) -> None:
    """Set the two global generators."""
    np.random.set_state(states[0])  # noqa: NPY002
    random.setstate(states[1])


def same_states(a: Any, b: Any) -> bool:
    """Whether the states of the two global generators are equal."""
    first, second = a[0]["state"], b[0]["state"]
    return bool(
        first["pos"] == second["pos"] and np.array_equal(first["key"], second["key"]) and a[1] == b[1]
        and a[0].get("has_gauss") == b[0].get("has_gauss")
    )  # fmt: skip
