"""Guards: the signature of arguments that a plan was made for, and a fast test whether new arguments match it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from funcnet.compiler import structure
from funcnet.compiler.foreign import is_trusted
from funcnet.compiler.record import is_input
from funcnet.compiler.tracer import CONSTANTS
from funcnet.key import Key

MISS: Any = object()
"""A missing argument, or the result of a plan that does not fit"""


def signature(args: Any) -> Any:
    """The structure, shapes, dtypes, strides and constants of arguments: the key by which a plan is found.

    None if some part is not an array, a number, a key or a known constant.
    """
    inner = structure.parts(args)
    if inner is not None:
        forms = [signature(part) for _, part in inner]
        steps = tuple(step if type(step) is str else (type(step), step) for step, _ in inner)
        return None if None in forms else (type(args), steps, tuple(forms))
    if type(args) is np.ndarray:
        return args.shape, args.dtype, args.strides
    if isinstance(args, np.generic):
        return type(args), args.dtype  # a datetime64 has units
    if isinstance(args, Key) or type(args) in (int, float):
        return type(args)
    if type(args) is complex:
        return complex, repr(args)  # repr distinguishes -0.0 from 0.0
    known = isinstance(args, CONSTANTS) and is_trusted(getattr(args, "__module__", type(args).__module__), None)
    return (type(args), args) if known else None


def alike_arrays(arrays: list[Any]) -> tuple[int, ...]:
    """Which arrays are the same object: for each, the index of its first occurrence."""
    first: dict[int, int] = {}
    return tuple([first.setdefault(id(array), i) for i, array in enumerate(arrays)])


LEAVES = 200
"""The most leaves that one function checks; larger dicts are split among several"""


class Guard:
    """Generates functions that return the flat inputs of matching arguments, and None for others.

    They are generated code, because a walk over the structure would cost more than a small network's step.
    """

    def __init__(self, exact: bool = False) -> None:
        self.exact = exact  # user code may depend on the order of a dict, or on two arguments being the same array
        self.names: dict[str, Any] = {"ndarray": np.ndarray, "MISSING": MISS}
        self.same: tuple[int, ...] = ()

    def of(self, args: tuple[Any, ...], code: Mapping[tuple[Any, str], Any] | None = None) -> Callable[..., Any]:
        """The function for arguments like these, while ``code`` has not been replaced: functions by owner and name."""
        first, known = ["more"], dict[int, str]()
        for (owner, name), value in (code or {}).items():
            owned = known.get(id(owner)) or f"(of{len(known)} := {self.constant(owner)})"
            known.setdefault(id(owner), f"of{len(known)}")
            first.append(f"{owned}.{name} is not {self.constant(value)}")
        given = "".join(f"a{i}=MISSING, " for i in range(len(args)))
        if self.exact:
            self.same = alike_arrays([leaf for leaf in structure.leaves(args) if type(leaf) is np.ndarray])
            self.names["alike_arrays"] = alike_arrays
        parts = [(f"a{i}", arg) for i, arg in enumerate(args)]
        return self.function(f"{given}*more", f"if {' or '.join(first)}: return None", parts)

    def constant(self, value: Any) -> str:
        """The name of a value to compare with."""
        name = f"c{len(self.names)}"
        self.names[name] = value
        return name

    def function(self, given: str, first: str, parts: list[tuple[str, Any]]) -> Callable[..., Any]:
        """A function that checks expressions against the given values."""
        body, flat = [first], list[str]()
        for text, value in parts:
            self.look(value, text, body, flat)
        if self.exact and given != "v":
            arrays = f"[x for x in ({''.join(name + ', ' for name in flat)}) if type(x) is ndarray]"
            body.append(f"if alike_arrays({arrays}) != {self.same}: return None")
        lines = [f"def flat({given}):", "    try:", *(f"        {line}" for line in body)]
        lines.append(f"        return ({''.join(name + ', ' for name in flat)})")
        lines += ["    except (KeyError, TypeError, AttributeError):", "        return None"]
        exec("\n".join(lines), self.names)
        found: Callable[..., Any] = self.names.pop("flat")
        return found

    def look(self, value: Any, text: str, body: list[str], flat: list[str]) -> None:
        """Add the lines that check an expression against a value."""
        here = f"v{len(body)}"
        inner = structure.parts(value)
        if inner is not None and not isinstance(value, dict | tuple | list):
            body.append(f"{here} = {text}")
            body.append(f"if type({here}) is not {self.constant(type(value))}: return None")
            for step, part in inner:
                self.look(part, f"{here}.{step}", body, flat)
        elif inner is not None:
            kind = self.constant(type(value))
            body.append(f"{here} = {text}")
            body.append(f"if type({here}) is not {kind} or len({here}) != {len(inner)}: return None")
            if self.exact and isinstance(value, dict):
                body.append(f"if tuple({here}) != {self.constant(tuple(value))}: return None")
                if any(type(key) is not str for key in value):  # 1 == 1.0, so the types are compared, too
                    kinds = self.constant(tuple(map(type, value)))
                    body.append(f"if tuple(map(type, {here})) != {kinds}: return None")
            steps = [(repr(step) if isinstance(value, dict) else str(i), part) for i, (step, part) in enumerate(inner)]
            if len(steps) > LEAVES // 4:
                for start in range(0, len(steps), LEAVES // 4):
                    some = [(f"v[{step}]", part) for step, part in steps[start : start + LEAVES // 4]]
                    name = self.constant(self.function("v", "", some))
                    body.append(f"{here}_{start} = {name}({here})")
                    body.append(f"if {here}_{start} is None: return None")
                    flat.append(f"*{here}_{start}")
            else:
                for step, part in steps:
                    self.look(part, f"{here}[{step}]", body, flat)
        elif type(value) is np.ndarray:
            shape, dtype, strides = self.constant(value.shape), self.constant(value.dtype), self.constant(value.strides)
            lies = f" or {here}.strides != {strides}" if value.ndim else ""
            body.append(f"{here} = {text}")
            body.append(
                f"if type({here}) is not ndarray or {here}.shape != {shape}{lies} "
                f"or ({here}.dtype is not {dtype} and {here}.dtype != {dtype}): return None"
            )
            flat.append(here)
        elif is_input(value):
            body.append(f"{here} = {text}")
            body.append(f"if type({here}) is not {self.constant(type(value))}: return None")
            if isinstance(value, np.datetime64 | np.timedelta64):
                body.append(f"if {here}.dtype != {self.constant(value.dtype)}: return None")
            flat.append(here)
        elif value is None or isinstance(value, bool):
            body.append(f"if {text} is not {value}: return None")
        elif type(value) is complex:
            body.append(f"if type({text}) is not complex or repr({text}) != {repr(value)!r}: return None")
        else:
            same, kind = self.constant(value), self.constant(type(value))
            body.append(f"{here} = {text}")
            body.append(f"if {here} is not {same} and (type({here}) is not {kind} or {here} != {same}): return None")
