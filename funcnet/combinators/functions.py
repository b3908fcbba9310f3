"""Combinators from bare functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from funcnet.errors import FuncnetError
from funcnet.layers.base import Combinator, Context, Layer, Params, State
from funcnet.shapes import Shape, Value
from funcnet.signatures import accepts
from funcnet.spec.fields import Named, frozen


@frozen
class FunctionCombinator(Combinator):
    """Layers and bare functions as a combinator; made by ``fn.combinator``."""

    layers: Named[Layer]
    wire_function: Callable[..., Any]
    apply_function: Callable[..., Any]
    vjp_function: Callable[..., Any]

    @property
    def children(self) -> Mapping[str, Layer]:
        return dict(self.layers)

    def wire(self, in_shape: Shape) -> tuple[dict[str, Shape], Shape]:
        wired: tuple[dict[str, Shape], Shape] = self.wire_function(self.children, in_shape)
        return wired

    def apply(self, params: Params, state: State, x: Value, ctx: Context) -> tuple[Value, State, Any]:
        result: tuple[Value, State, Any] = self.apply_function(self.children, params, state, x, ctx)
        return result

    def vjp(self, params: Params, residuals: Any, dy: Value) -> tuple[Params, Value]:
        result: tuple[Params, Value] = self.vjp_function(self.children, params, residuals, dy)
        return result


def combinator(
    children: Mapping[str, Layer],
    wire: Callable[..., tuple[dict[str, Shape], Shape]],
    apply: Callable[..., tuple[Value, State, Any]],
    vjp: Callable[..., tuple[Params, Value]],
) -> Layer:
    """Layers by name and bare functions as a combinator. It composes like any other, but cannot be saved as JSON.

    The functions get the layers first: ``wire(children, in_shape) -> ({name: its in_shape}, out_shape)``,
    ``apply(children, params, state, x, ctx) -> (y, state, residuals)``, ``vjp(children, params, residuals, dy) ->
    (dparams, dx)``. They call the layers with ``fn.apply_child`` and ``fn.vjp_child`` only, and return a state and
    gradients for each by its name.
    Raises   FuncnetError for functions with other parameters

    >>> def wire(children, in_shape):
    ...     return {"inner": in_shape}, fn.out_shape_child("inner", children["inner"], in_shape)
    >>> def apply(children, params, state, x, ctx):
    ...     y, inner, residuals = fn.apply_child("inner", children["inner"], params, state, x, ctx)
    ...     return 0.5 * y, fn.nest({"inner": inner}), residuals
    >>> def vjp(children, params, residuals, dy):
    ...     dparams, dx = fn.vjp_child("inner", children["inner"], params, residuals, 0.5 * dy)
    ...     return fn.nest({"inner": dparams}), dx
    >>> half = fn.combinator({"inner": fn.serial(fn.Dense(3), fn.Tanh())}, wire, apply, vjp)
    >>> fn.check_layer(half, (4,))
    """
    if not isinstance(children, Mapping) or not all(isinstance(child, Layer) for child in children.values()):
        raise FuncnetError(f"expected a dict of layers, such as {{'inner': fn.Dense(3)}}, got {children!r:.60}")
    forms = {
        "wire": (wire, "(children, in_shape)", 2),
        "apply": (apply, "(children, params, state, x, ctx)", 5),
        "vjp": (vjp, "(children, params, residuals, dy)", 4),
    }
    for name, (function, form, count) in forms.items():
        if not callable(function) or not accepts(function, {count}):
            raise FuncnetError(f"expected {name}{form}, got {function!r:.60}; give all parameters, in this order")
    return FunctionCombinator(tuple(children.items()), wire, apply, vjp)
