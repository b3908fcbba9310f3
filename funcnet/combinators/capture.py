"""Outputs of inner layers, beside the network's output."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from funcnet import tree
from funcnet.combinators.wrapper import Wrapper
from funcnet.errors import PathError, Problem
from funcnet.hints import did_you_mean
from funcnet.layers.base import Context, Layer, Params, State, apply_child, out_shape_child, range_of, vjp_child
from funcnet.layers.calls import Caller, listen_between, path_of
from funcnet.ranges import Ranges
from funcnet.shapes import Shape, Value
from funcnet.spec.base import register
from funcnet.spec.fields import Words, frozen


@register("capture")
@frozen
class Capture(Wrapper):
    """``(layer(x), values)``: the outputs of the layers at some paths, beside the layer's output.

    The values are a dict nested by path, like params. Paths are relative to the layer. A wrapper and its inner layer
    share a path, which means the outermost wrapper; of copies it means the last.
    VJP      the cotangent of a value is added to the cotangent of its layer's output
    Raises   PathError for a path without a layer
    """

    stepwise = True

    paths: Words

    def validate(self) -> Iterator[Problem]:
        if not self.paths:
            yield Problem(".paths", "expected at least one path")
        for path in sorted(path for path, times in Counter(self.paths).items() if times > 1):
            yield Problem(".paths", f"names {path!r} twice")
        every = sorted(set(self.paths), key=lambda path: path.split("/"))  # a path comes right before those inside it
        for path, other in itertools.pairwise(every):
            if other.startswith(path + "/"):
                yield Problem(".paths", f"names {path!r} and {other!r} inside it; use a Capture for each")

    def wire(self, in_shape: Shape) -> tuple[dict[str, Shape], Shape]:
        caller = _Capturing("out_shape", self.paths)
        with listen_between(caller):
            out = out_shape_child("", self.layer, in_shape)
        for path in self.paths:
            if path not in caller.found:
                raise PathError(
                    f"Capture: no layer has the path {path!r}{did_you_mean(path, caller.seen)}; "
                    f"there are {', '.join(filter(None, caller.seen))}"
                )
        return {"": in_shape}, (out, nested({path: caller.found[path] for path in self.paths}))

    def out_range(self, given: Ranges) -> Ranges:
        return (range_of(self.layer, given), None)

    def apply(self, params: Params, state: State, x: Value, ctx: Context) -> tuple[Value, State, Any]:
        caller = _Capturing("apply", self.paths)
        with listen_between(caller):
            y, state, residuals = apply_child("", self.layer, params, state, x, ctx)
        form = tree.map(lambda leaf: (np.shape(leaf), leaf.dtype), y)
        return (y, nested({path: caller.found[path] for path in self.paths})), state, (residuals, form)

    def vjp(self, params: Params, residuals: Any, dy: Value) -> tuple[Params, Value]:
        (residuals, form), (dy, captured) = residuals, dy
        caller = _Capturing("vjp", self.paths, {path: value_at(captured, path) for path in self.paths})
        if dy is None:  # captured values may still have cotangents
            dy = _zeros(form)
        with listen_between(caller):
            return vjp_child("", self.layer, params, residuals, dy)


def nested(values: dict[str, Value]) -> dict[str, Value]:
    """``{path: value}`` as nested dicts."""
    return tree.unflatten(values)


def value_at(values: Any, path: str) -> Value:
    """The value at a path of nested dicts; None for a value of None."""
    for name in path.split("/"):
        values = None if values is None else values[name]
    return values


def _zeros(form: Any) -> Value:
    if isinstance(form, dict):
        return {name: _zeros(inner) for name, inner in form.items()}
    if isinstance(form[-1], np.dtype):
        return np.zeros(*form)
    return tuple(map(_zeros, form))


class _Capturing:
    """A caller that keeps the outputs of layers, or adds to their cotangents; the outer caller makes every call."""

    def __init__(self, method: str, paths: tuple[str, ...], cotangents: dict[str, Value] | None = None) -> None:
        self.method, self.paths, self.cotangents = method, paths, cotangents or {}
        self.names: list[str] = []
        self.found: dict[str, Any] = {}
        self.seen: list[str] = []
        self.outer: Caller | None = None

    def call(self, name: str, layer: Layer, method: str, args: tuple[Any, ...]) -> Any:
        if method != self.method:
            return self.through(name, layer, method, args)
        self.names.append(name)
        try:
            path = path_of(self.names)
            self.seen.append(path)
            if method == "vjp" and path in self.cotangents:
                params, residuals, dy = args
                args = (params, residuals, tree.add(dy, self.cotangents.pop(path)))
            result = self.through(name, layer, method, args)
            if path in self.paths:
                self.found[path] = result[0] if method == "apply" else result
            return result
        finally:
            self.names.pop()

    def through(self, name: str, layer: Layer, method: str, args: tuple[Any, ...]) -> Any:
        """Make the call, through the outer caller if there is one."""
        if self.outer is None:
            return getattr(layer, method)(*args)
        return self.outer.call(name, layer, method, args)
