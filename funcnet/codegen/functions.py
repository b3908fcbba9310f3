"""The functions that a printed program defines: their names and their texts."""

from __future__ import annotations

import pprint
from typing import Any

import numpy as np

from funcnet import ops
from funcnet.codegen.constants import alike, entries, in_memory
from funcnet.codegen.library_source import library_text
from funcnet.codegen.printed_helpers import HELPERS
from funcnet.codegen.schedules import schedule_text
from funcnet.compiler.fallback import Opaque
from funcnet.compiler.graph import plain_text
from funcnet.compiler.kinds import dtype_text
from funcnet.compiler.numpy_table import CLIP, Keywords
from funcnet.compiler.tracer import Float
from funcnet.errors import FuncnetError
from funcnet.key import Key
from funcnet.layers.base import Layer
from funcnet.layers.embedding import rotate
from funcnet.losses.base import reciprocal
from funcnet.optim.schedules import Schedule, half_cosine, in_cycle, polynomial, restarting
from funcnet.optim.transforms.average import due, even, unbiased
from funcnet.optim.transforms.clip import clip_factor
from funcnet.optim.transforms.decay import deviation


def key_text(key: Key) -> str:
    """A known key as code: its digest."""
    return f'bytes.fromhex("{key.digest.hex()}")'


def helper_text(name: str) -> str:
    """The text of a helper."""
    if name in HELPERS:
        return HELPERS[name][1].strip()
    if name in ops.PRIMITIVES:
        return library_text(ops.PRIMITIVES[name].function)
    return library_text(PLAIN[name][0]) if name in PLAIN else NEEDED[name]


NEEDED: dict[str, str] = {}  # the texts of constants and functions that primitives need, by name


def need(name: str, helpers: dict[str, None]) -> str:
    """The name of a function, which is added to the helpers with those that it needs."""
    for other in HELPERS[name][0] if name in HELPERS else PLAIN[name][1] if name in PLAIN else ():
        need(other, helpers)
    if name not in HELPERS and name in ops.PRIMITIVES:
        function, needs = ops.PRIMITIVES[name][:2]
        for needed in needs:
            if isinstance(needed, str):
                value = function.__globals__[needed]
                NEEDED[needed] = f"{needed} = {pprint.pformat(value, width=100, compact=True)}"
                helpers[needed] = None
            else:
                inner = getattr(needed, "__wrapped__", needed)
                NEEDED.setdefault(inner.__name__, library_text(inner))
                need(inner.__name__, helpers)
    helpers[name] = None
    return name


PLAIN: dict[str, tuple[Any, tuple[str, ...]]] = {
    "half_cosine": (half_cosine, ()),
    "polynomial": (polynomial, ()),
    "in_cycle": (in_cycle, ()),
    "restarting": (restarting, ("half_cosine", "in_cycle")),
    "clip_factor": (clip_factor, ()),
    "deviation": (deviation, ()),
    "unbiased": (unbiased, ()),
    "even": (even, ()),
    "due": (due, ()),
}
"""Functions of numbers whose source is printed unchanged, each with the helpers that it needs"""

NAMED: dict[Any, str] = {
    **{function: name for name, (function, _) in PLAIN.items()},
    Key.fold: "fold",
    Key.bits: "bits",
    Key.uniform: "uniform",
    Key.normal: "normal",
    ops.check: "check",
    reciprocal: "reciprocal",
    rotate: "rotate",
}
"""The printed names of the library's functions"""


MODULES = {"np": np, "np.linalg": np.linalg, "np.lib.stride_tricks": np.lib.stride_tricks}
"""Where NumPy's functions are"""


def of_library(f: Any) -> bool:
    """Whether a function is the primitive of its name."""
    known = ops.PRIMITIVES.get(getattr(f, "__name__", ""))
    return known is not None and known.function is f


def helper_name(f: Any) -> str:
    """The name of a function in a printed file.

    Raises   FuncnetError for a function that cannot be printed
    """
    name = getattr(f, "__name__", type(f).__name__)
    for home, part in MODULES.items():
        if getattr(part, name, None) is f or f is CLIP:
            return f"{home}.{name}"
    if f in NAMED or of_library(f):
        return NAMED.get(f, name)
    owner = getattr(f.function if isinstance(f, Opaque) else f, "__self__", None)
    if isinstance(owner, Layer):
        raise FuncnetError(
            f"cannot print {type(owner).__name__}: it cannot be recorded; "
            "write it with NumPy functions, without branches on the values of arrays"
        )
    raise FuncnetError(f"cannot print a call of {name}: only NumPy's functions and the library's can be printed")


def constant_text(value: Any, helpers: dict[str, None]) -> str:
    """A constant of a planned program as code."""
    if isinstance(value, np.ndarray):
        dtype = dtype_text(value.dtype)
        value, back = in_memory(value)
        if alike(value):
            return f"np.full({value.shape}, {plain_text(value.flat[0].item())}, {dtype}){back}"
        return f"np.array({entries(value)}, {dtype}){back}"
    if isinstance(value, np.dtype):
        return f"np.dtype({value.name!r})"
    if isinstance(value, Key):
        return key_text(value)
    if isinstance(value, Float):
        return f"lambda *numbers: float(({constant_text(value.function, helpers)})(*numbers))"
    if isinstance(value, Schedule):
        text, needs = schedule_text(value, "step")
        for helper in needs:
            need(helper, helpers)
        return f"lambda step: {text}"
    if isinstance(value, tuple | range | str | int | float | None):
        return plain_text(value)
    if isinstance(value, Keywords):
        return f"lambda args, keywords: {constant_text(value.function, helpers)}(*args, **keywords)"
    if value is ops.PRIMITIVES["take"].function:
        return "lambda table, indices: np.take(table, indices, axis=0)"
    if getattr(value, "__qualname__", "").endswith("<locals>.error"):
        return "None"  # the printed check has its own message
    name = helper_name(value)
    return name if name.startswith("np.") else need(name, helpers)
