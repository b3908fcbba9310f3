"""Checks of the parameters and results of a spec's methods.

They come before a raw TypeError, or a failed unpacking, from deep inside the library.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NamedTuple

from funcnet.errors import FuncnetError
from funcnet.spec.base import Spec, nested

METHODS = {
    "layer": ("leaves", "in_kinds", "wire", "out_shape", "init", "apply", "vjp"),
    "loss": ("divisor", "apply", "vjp", "link"),
    "optimizer": ("untouched", "init", "update", "observe", "eval_params"),
}
"""The methods of each kind that the library calls, always by position"""
REQUIRED = ("wire", "out_shape", "divisor", "apply", "vjp", "update")
"""The methods that a class must define, if its kind has them"""


class Form(NamedTuple):
    """The expected result of a method: the names of its parts, the index of the dict among them, and advice."""

    parts: tuple[str, ...]
    tree: int
    advice: str


FORMS = {
    ("layer", "init"): Form(("params", "state"), 0, "return both, {} for none"),
    ("layer", "apply"): Form(("y", "state", "residuals"), 1, "return all three; residuals are whatever vjp needs"),
    ("layer", "vjp"): Form(("dparams", "dx"), 0, "return both, the params' gradients first, {} for none"),
    ("loss", "apply"): Form(("value", "residuals"), -1, "return both; residuals are whatever vjp needs"),
    ("optimizer", "update"): Form(("updates", "opt_state"), 0, "return both; updates are added to the params"),
}


# ----- parameters ----------------------------------------------------------------------------------------------


def check_signatures(*specs: Spec, without: tuple[str, ...] = ()) -> None:
    """Check the methods of all layers, losses and optimizers in some specs, except those in ``without``.

    Raises   FuncnetError listing every method with other parameters, and every missing method
    """
    classes: dict[Any, None] = dict.fromkeys(type(one) for spec in specs for one in nested(spec))
    wrong = [line for cls in classes for name, line in _problems(cls) if name not in without]
    if wrong:
        raise FuncnetError(_listed(wrong))


def check_functions(cls: type[Spec], functions: Mapping[str, Any]) -> None:
    """Check bare functions that replace the methods of a class.

    Raises   FuncnetError listing every function with other parameters
    """
    wrong = []
    for name, function in functions.items():
        expected = _as_function(inspect.signature(getattr(cls, name)))
        if not callable(function):
            wrong.append(f"expected {name}{_text(expected)}, got {function!r:.60}")
        elif not accepts(function, _counts(expected)):
            wrong.append(f"expected {name}{_text(expected)}, got {_name(function)}{_text(inspect.signature(function))}")
    if wrong:
        raise FuncnetError(_listed(wrong))


def _listed(wrong: list[str]) -> str:
    return "\n  ".join(["expected other parameters:", *wrong]) + "\ngive all of them, in this order; the names are free"


@cache
def _problems(cls: Any) -> tuple[tuple[str, str], ...]:
    """The methods of a class that cannot be called like its base's, each with a message."""
    found = []
    for name in METHODS.get(cls.kind, ()):
        bases = [base for base in cls.__mro__ if issubclass(base, Spec) and name in base.__dict__]
        if not bases:
            continue
        own, base = inspect.getattr_static(cls, name), bases[-1].__dict__[name]
        expected = inspect.signature(base)
        text = f"{cls.__name__}: expected {name}{_text(expected)}, got"
        if own is base:
            if name in REQUIRED and base.__module__.partition(".")[0] == "funcnet" and _is_base(bases[-1]):
                found.append((name, f"{text} none"))
        elif not callable(own) and not isinstance(own, staticmethod | classmethod | property):
            found.append((name, f"{text} {own!r:.60}"))
        elif not isinstance(own, property):
            given = own.__func__ if isinstance(own, staticmethod | classmethod) else own
            counts = _counts(expected)
            if isinstance(own, staticmethod):
                counts = {n - 1 for n in counts}
            if not accepts(given, counts):
                found.append((name, f"{text} {name}{_text(inspect.signature(given))}"))
    return tuple(found)


def _is_base(cls: type[Spec]) -> bool:
    """Whether a class is the base of its kind, or of combinators; their required methods only raise."""
    return cls.__dict__.get("kind") == cls.kind or cls.__name__ == "Combinator"


def _counts(expected: inspect.Signature) -> set[int]:
    """The numbers of arguments that a method is called with: without optional ones, and all."""
    given = expected.parameters.values()
    return {sum(one.default is one.empty for one in given), len(given)}


def accepts(function: Callable[..., Any], counts: set[int]) -> bool:
    """Whether a function can be called with each of these numbers of arguments."""
    try:
        signature = inspect.signature(function)
    except ValueError:  # a C function without a signature
        return True
    try:
        for count in counts:
            signature.bind(*range(count))
    except TypeError:
        return False
    return True


def _as_function(signature: inspect.Signature) -> inspect.Signature:
    """The signature of a bare function in the place of a method: without self and defaults."""
    _, *rest = signature.parameters.values()
    return signature.replace(parameters=[one.replace(default=one.empty) for one in rest])


class _Shown:
    """A default value; its repr is readable."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __repr__(self) -> str:
        return self.value.__name__ if isinstance(self.value, type) else repr(self.value)


def _text(signature: inspect.Signature) -> str:
    """``(self, grads, value=None)``, without annotations."""
    bare = [
        one.replace(annotation=one.empty, default=one.default if one.default is one.empty else _Shown(one.default))
        for one in signature.parameters.values()
    ]
    return str(signature.replace(parameters=bare, return_annotation=inspect.Signature.empty))


def _name(function: Any) -> str:
    return getattr(function, "__name__", type(function).__name__)


# ----- results -------------------------------------------------------------------------------------------------


def returned(spec: Spec, method: str, result: Any, name: str = "") -> Any:
    """The result of a method as the expected tuple; ``name`` is the name of the child, for the message.

    Raises   FuncnetError with the expected tuple and the actual result
    """
    parts, tree, advice = FORMS[spec.kind, method]
    fits = isinstance(result, tuple | list) and len(result) == len(parts)
    if fits and (tree < 0 or result[tree] is None or isinstance(result[tree], dict)):
        return tuple(result)
    raise FuncnetError(
        f"expected {method} to return ({', '.join(parts)}), got {kinds(result)}; {advice}",
        layer=type(spec).__name__,
        path=(name,) if name else (),
    )


def kinds(result: Any) -> str:
    """The types in a method's result, for messages."""
    if isinstance(result, tuple):
        return f"a tuple of {', '.join(map(_kind, result)) or 'nothing'}"
    return f"one {_kind(result)}"


def _kind(value: Any) -> str:
    return "ndarray" if hasattr(type(value), "tracer") else type(value).__name__  # a stand-in of the compiler
