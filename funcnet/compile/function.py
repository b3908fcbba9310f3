"""``fn.compile``: a pure function recorded once for each structure, shape and dtype of its arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from funcnet.compile.plan import Plan
from funcnet.compile.trace import TraceError, map_inputs, runs_as_it_is, trace
from funcnet.key import Key
from funcnet.layer import Context, listening

MISS: Any = object()
MOST_PLANS = 32
"""Plans that one function keeps; the oldest goes first"""


class Recorded:
    """A plan, and the test whether arguments fit it."""

    def __init__(self, f: Callable[..., Any], args: tuple[Any, ...], names: Any, strict: bool, without: Any) -> None:
        self.plan = Plan(trace(f, args, names, strict), without)
        self.flat = guard(args)


class Compiled:
    """A pure function of arrays, numbers, keys and dicts of them, run as a straight line of NumPy calls.

    Anything else in the arguments (None, strings, booleans, specs) is a constant that a plan depends on.
    """

    def __init__(
        self,
        f: Callable[..., Any],
        names: tuple[str, ...] = (),
        strict: bool = False,
        without: frozenset[str] = frozenset(),
        patient: bool = False,
    ) -> None:
        self.f, self.names, self.strict, self.without = f, names, strict, without
        self.seen: set[Any] | None = set() if patient else None  # what came once is recorded when it comes again
        self.plans: dict[Any, Recorded | None] = {}
        self.last: Recorded | None = None
        self.__doc__, self.__wrapped__ = f.__doc__, f

    def __call__(self, *args: Any) -> Any:
        """The function's result."""
        result = self.quickly(*args)
        return self.slowly(args) if result is MISS else result

    def quickly(self, *args: Any) -> Any:
        """The result by the plan that ran last, if the arguments fit it, else MISS."""
        last = self.last
        if last is None or listening():
            return MISS
        flat = last.flat(*args)
        return MISS if flat is None else last.plan(*flat)

    def slowly(self, args: tuple[Any, ...]) -> Any:
        """Find the plan for the arguments, or make it."""
        if listening():
            return self.f(*args)
        args = map_inputs(lambda _, leaf: np.asarray(leaf) if isinstance(leaf, np.ndarray | np.generic) else leaf, args)
        recorded = self.recorded(args)
        if recorded is None:
            return self.f(*args)
        flat = recorded.flat(*args)
        return self.f(*args) if flat is None else recorded.plan(*flat)

    def recorded(self, args: tuple[Any, ...]) -> Recorded | None:
        """The plan for the arguments; None for a function that cannot be recorded."""
        form = signature(args)
        if form not in self.plans:
            if self.seen is not None and form not in self.seen:
                if len(self.seen) >= MOST_PLANS:
                    self.seen.clear()
                self.seen.add(form)
                return None
            try:
                made: Recorded | None = Recorded(self.f, args, self.names, self.strict, self.without)
            except TraceError as error:
                if self.strict:
                    raise
                runs_as_it_is(getattr(self.f, "__name__", "the function"), error)
                made = None
            for oldest in list(self.plans)[: max(0, len(self.plans) - MOST_PLANS + 1)]:
                self.plans.pop(oldest, None)
            self.plans[form] = made
        found = self.plans.get(form)
        if found is not None:
            self.last = found
        return found


def compile(f: Callable[..., Any], *, strict: bool = False) -> Callable[..., Any]:
    """The same pure function of arrays and dicts, faster: recorded at the first call, and for each new shape.

    Arrays, floats, integers and keys in the arguments, and in dicts, tuples and Contexts among them, may
    change from call to call; anything else is a constant. What the function reads from elsewhere is
    recorded as it is at that moment. A function that cannot be recorded (it branches on a value) runs as it
    is, after a warning that names the line; with ``strict`` it raises.
    Raises   TraceError
    """
    return Compiled(f, strict=strict)


def signature(args: Any) -> Any:
    """Structure, shapes, dtypes and constants of arguments, to recognise those that a plan fits."""
    if isinstance(args, dict):
        return dict, tuple((name, signature(inner)) for name, inner in args.items())
    if isinstance(args, tuple | list):
        return type(args), tuple(map(signature, args))
    if isinstance(args, Context):
        return Context, args.train, signature(args.key)
    if isinstance(args, np.ndarray):
        return args.shape, args.dtype
    if isinstance(args, Key):
        return Key
    if isinstance(args, int | float) and not isinstance(args, bool):
        return type(args)
    return type(args), args


def guard(args: tuple[Any, ...]) -> Callable[..., Any]:
    """A function that gives the flat inputs of arguments like these, and None for any others.

    It is written out, because a walk over the structure would cost more than a small network's step.
    """
    names: dict[str, Any] = {"ndarray": np.ndarray, "Key": Key, "Context": Context}
    body: list[str] = []
    flat: list[str] = []

    def constant(value: Any) -> str:
        name = f"c{len(names)}"
        names[name] = value
        return name

    def walk(value: Any, text: str) -> None:
        here = f"v{len(body)}"
        if isinstance(value, dict):
            body.append(
                f"{here} = {text}; ok = type({here}) is {constant(type(value))} and len({here}) == {len(value)}"
            )
            body.append("if not ok: return None")
            for name, inner in value.items():
                walk(inner, f"{here}[{name!r}]")
        elif isinstance(value, tuple | list):
            body.append(
                f"{here} = {text}; ok = type({here}) is {constant(type(value))} and len({here}) == {len(value)}"
            )
            body.append("if not ok: return None")
            for i, inner in enumerate(value):
                walk(inner, f"{here}[{i}]")
        elif isinstance(value, Context):
            body.append(f"{here} = {text}")
            body.append(f"if type({here}) is not Context or {here}.train is not {value.train}: return None")
            walk(value.key, f"{here}.key")
        elif isinstance(value, np.ndarray):
            shape, dtype = constant(value.shape), constant(value.dtype)
            body.append(f"{here} = {text}")
            body.append(
                f"if type({here}) is not ndarray or {here}.shape != {shape} or {here}.dtype is not {dtype}: return None"
            )
            flat.append(here)
        elif isinstance(value, Key):
            body.append(f"{here} = {text}")
            body.append(f"if type({here}) is not Key: return None")
            flat.append(here)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            body.append(f"{here} = {text}")
            body.append(f"if type({here}) is not {constant(type(value))}: return None")
            flat.append(here)
        elif value is None or isinstance(value, bool):
            body.append(f"if {text} is not {value}: return None")
        else:
            body.append(f"if {text} != {constant(value)}: return None")

    for i, arg in enumerate(args):
        walk(arg, f"a{i}")
    lines = [f"def flat({', '.join(f'a{i}' for i in range(len(args)))}):", "    try:"]
    lines += [f"        {line}" for line in body]
    lines.append(f"        return ({''.join(name + ', ' for name in flat)})")
    lines += ["    except (KeyError, TypeError, AttributeError):", "        return None"]
    exec("\n".join(lines), names)
    found: Callable[..., Any] = names["flat"]
    return found
