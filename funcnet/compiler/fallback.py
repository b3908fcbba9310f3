"""Opaque calls: a method of a layer, a loss or an optimizer that cannot be recorded is called unchanged.

An opaque call may return views of its arguments, keep them, branch on values, and break the laws. So a plan passes
it arrays that are never written again (``memory.py``), and checks the structure of its result.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from funcnet import tree
from funcnet.compiler.foreign import from_signal, is_foreign, random_states, same_states, set_random_states
from funcnet.compiler.graph import Place, Struct
from funcnet.compiler.standins import TracedArray, TracedObject
from funcnet.compiler.steady import Unlike
from funcnet.compiler.tracer import Tracer, current
from funcnet.errors import CompileWarning, FuncnetError, TraceError
from funcnet.layers.base import Layer
from funcnet.layers.calls import path_of
from funcnet.signatures import returned
from funcnet.vmap import Unvectorized, members_in


class Opaque:
    """An opaque call and the structure that its result must have."""

    def __init__(self, function: Callable[..., Any], like: Any, what: str) -> None:
        self.function, self.like, self.what = function, like, what
        self.__name__ = getattr(function, "__name__", what)

    def __call__(self, *args: Any) -> Any:
        """The result.

        Raises   Unlike for a structure, shape or dtype other than the plan's
        """
        result = self.function(*args)
        if not fits(result, self.like):
            raise Unlike(f"{self.what} gives {text_of(result)}, expected {text_of(self.like)}")
        return result


def fits(value: Any, like: Any) -> bool:
    """Whether a result has the structure, shapes and dtypes of ``like``."""
    if isinstance(like, Struct):
        if like.dtype is object:
            return True
        array = type(value) is np.ndarray or isinstance(value, np.generic)
        return array and value.shape == like.shape and value.dtype == like.dtype
    if isinstance(like, dict):
        return type(value) is dict and value.keys() == like.keys() and all(fits(value[k], like[k]) for k in like)
    if isinstance(like, tuple):
        return type(value) is tuple and len(value) == len(like) and all(map(fits, value, like))
    return value is None


def text_of(value: Any) -> str:
    """The shapes and dtypes of a result or of a structure, for messages."""
    if isinstance(value, Struct):
        return "anything" if value.dtype is object else f"{value.dtype}{list(value.shape)}"
    if isinstance(value, np.ndarray | np.generic):
        return f"{value.dtype}{list(value.shape)}"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {text_of(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, tuple):
        return f"({', '.join(map(text_of, value))})"
    return type(value).__name__


def attempt(f: Callable[..., Any], args: tuple[Any, ...], like: Callable[[], Any], what: str) -> Any:
    """``f(*args)``, recorded, or an opaque call whose result has the structure ``like()``.

    Raises   TraceError in a strict recording; the library's own errors; the errors of signal handlers
    """
    tracer = current.get()
    if tracer is None:
        return f(*args)
    own = is_foreign(f)
    mark, said, checked, place = len(tracer.nodes), len(tracer.warnings), len(tracer.checked), tracer.place
    before = random_states() if own else None
    reason: Exception | None = None
    try:
        if not any(type(arg) is TracedObject for arg in args):  # the residuals of an opaque call
            with tracer.attempted():
                result = f(*args)
                if before is not None and not same_states(before, random_states()):
                    raise TraceError("draws random numbers from a global generator; draw them from the key: ctx.draw()")
            if own:
                tracer.checked.append((what, f, args, result))
            return result
    except TraceError as error:
        reason = error
    except FuncnetError:
        raise
    except Unvectorized as error:  # the ensemble catches it, and calls its members one by one
        reason = error
    except Exception as error:
        if not own or from_signal(error):
            raise
        reason = TraceError(f"{type(error).__name__}: {error}")
    if before is not None:
        set_random_states(before)
    alone = isinstance(reason, Unvectorized)
    if reason is not None and not alone and (tracer.strict or any(members_in(args))):
        raise reason  # members are one call with their ensemble
    tracer.place = place
    del tracer.warnings[said:], tracer.checked[checked:]
    for node in tracer.nodes[mark:]:
        node.effect = False  # the nodes of the failed attempt have no users
    tracer.dropped.update(tracer.nodes[mark:])
    if reason is not None and alone:
        raise reason
    if reason is not None:
        tracer.warnings.append(runs_as_it_is(what, reason))
    tracer.opaque = True
    expected = like()
    return tracer.call(Opaque(f, expected, what), args, expected, effect=True)


def structs(value: Any) -> Any:
    """The shapes and dtypes of a value's arrays, with unknown strides."""
    return tree.map(lambda leaf: Struct(leaf.shape, leaf.dtype), value)


# ----- layers --------------------------------------------------------------------------------------------------


class LayerRecorder:
    """A listener that marks nodes with their layer, and turns methods that cannot be recorded into opaque calls."""

    def __init__(self, tracer: Tracer) -> None:
        self.tracer = tracer
        self.names: list[str] = []
        self.inputs: dict[str, Any] = {}  # the structure of each layer's input, which its dx shares

    def call(self, name: str, layer: Layer, method: str, args: tuple[Any, ...]) -> Any:
        """Record the call of a layer's method."""
        if method not in ("apply", "vjp"):
            return getattr(layer, method)(*args)
        tracer, outer = self.tracer, self.tracer.place
        self.names.append(name)
        path = path_of(self.names)
        tracer.place = Place("forward" if method == "apply" else "backward", path, layer, outer.scope)
        what = f"{method} of {type(layer).__name__}"
        try:
            if method == "apply":
                self.inputs[path] = structs(args[2])
                result = attempt(layer.apply, args, lambda: self.outputs_of(layer, args), what)
                result = returned(layer, method, result)
                if not layer.children:
                    name_nodes(path or "output", result[0])
            else:
                like = structs(args[0]), self.inputs[path]
                if not layer.children:
                    name_nodes(f"d_{path or 'output'}", args[2])
                result = returned(layer, method, attempt(layer.vjp, args, lambda: like, what))
                for leaf, gradient in tree.flatten(result[0]).items():
                    name_nodes(f"d_{path}/{leaf}" if path else f"d_{leaf}", gradient)
            return result
        finally:
            self.names.pop()
            tracer.place = outer

    def outputs_of(self, layer: Layer, args: tuple[Any, ...]) -> Any:
        """The result of ``apply`` by the laws: an array of shape ``out_shape``, and a state of the same structure."""
        _, state, x, _ = args
        out_shape = layer.out_shape(tree.map(lambda leaf: leaf.shape[1:], x))
        first = tree.leaves(x)[0]

        def struct(shape: Any) -> Any:
            if isinstance(shape, dict):
                return {name: struct(inner) for name, inner in shape.items()}
            if all(isinstance(n, int) for n in shape):
                return Struct((first.shape[0], *shape), first.dtype)
            return tuple(map(struct, shape))

        return struct(out_shape), structs(state), Struct((), object)


def name_nodes(name: str, value: Any) -> None:
    """Name the nodes of a value after a path, unless they have a name."""
    leaves = tree.leaves(value)
    for i, leaf in enumerate(leaves):
        if type(leaf) is TracedArray and not leaf.node.name:
            leaf.node.name = name if len(leaves) == 1 else f"{name}_{i}"


# ----- warnings ------------------------------------------------------------------------------------------------

_warned: set[str] = set()


def warn(text: str) -> None:
    """Warn that something is not compiled, once for each text."""
    if text not in _warned:
        _warned.add(text)
        warnings.warn(text, CompileWarning, stacklevel=2)


def runs_as_it_is(what: str, reason: Any) -> str:
    """The text of the warning for a call that is not compiled."""
    return f"{what} is not compiled and runs slower: {reason}"
