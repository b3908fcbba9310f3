"""One layer after another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from funcnet.errors import Problem, SpecError
from funcnet.hints import explained
from funcnet.layers.base import (
    Combinator,
    Context,
    Layer,
    Params,
    State,
    apply_child,
    out_shape_child,
    range_of,
    vjp_child,
)
from funcnet.ranges import Ranges
from funcnet.shapes import Shape, Value
from funcnet.spec.base import register
from funcnet.spec.fields import Named, frozen
from funcnet.spec.names import automatic_names


@register("serial")
@frozen
class Serial(Combinator):
    """Composition: ``y = f_n(… f_2(f_1(x)))``.

    VJP      dx = (… (dy J_n) J_{n-1} …) J_1: the chain rule, last layer first; each layer passes the
             cotangent of its input to the one before, and no Jacobian J_i is ever formed
    """

    stepwise = True

    layers: Named[Layer] = ()

    @property
    def children(self) -> Mapping[str, Layer]:
        return dict(self.layers)

    def wire(self, in_shape: Shape) -> tuple[dict[str, Shape], Shape]:
        shapes = {}
        for name, layer in self.layers:
            shapes[name] = in_shape
            in_shape = out_shape_child(name, layer, in_shape)
        return shapes, in_shape

    def in_kinds(self, in_shape: Shape) -> Any:
        return self.layers[0][1].in_kinds(in_shape) if self.layers else super().in_kinds(in_shape)

    def out_range(self, given: Ranges) -> Ranges:
        for _, layer in self.layers:
            given = range_of(layer, given)
        return given

    @explained
    def apply(self, params: Params, state: State, x: Value, ctx: Context) -> tuple[Value, State, Any]:
        states, residuals = {}, []
        for name, layer in self.layers:
            x, new_state, residual = apply_child(name, layer, params, state, x, ctx)
            residuals.append(residual)
            if new_state:
                states[name] = new_state
        return x, states, tuple(residuals)

    @explained
    def vjp(self, params: Params, residuals: Any, dy: Value) -> tuple[Params, Value]:
        dparams = {}
        for (name, layer), residual in zip(reversed(self.layers), reversed(residuals), strict=True):
            # the cotangent of this layer's input is that of the output of the layer before
            gradients, dy = vjp_child(name, layer, params, residual, dy)
            if gradients:
                dparams[name] = gradients
        return dict(reversed(dparams.items())), dy


def serial(*layers: Layer | tuple[str, Layer], **named: Layer) -> Serial:
    """``serial(Dense(64), Relu(), head=Dense(10))``: layers in order, named, as pairs or by count.

    >>> net = fn.serial(fn.Dense(64), fn.Relu(), head=fn.Dense(10))
    >>> list(net.children)
    ['dense_0', 'relu_0', 'head']
    >>> net.out_shape((784,))
    (10,)
    """
    if len(layers) == 1 and isinstance(layers[0], list):
        message = "expected layers one by one, got a list; write serial(*layers)"
        raise SpecError([Problem("", message)], root="serial")
    return Serial((*layers, *named.items()))  # type: ignore[arg-type]


def chain(first: Layer, second: Layer) -> Serial:
    """``first >> second``: the layers of Serials on either side become one Serial, so ``>>`` is associative.

    Given names are kept, automatic ones counted anew. Subclasses of Serial are layers like others.
    Raises   SpecError for a name that both sides give
    """
    items = [*_items(first), *_items(second)]
    given = Counter(name for name, _ in items if name is not None)
    for name, count in given.items():
        if count > 1:
            message = f"both sides have a layer named {name!r}; rename one, or nest them: fn.serial(a, b)"
            raise SpecError([Problem("", message)], root="a >> b")
    return Serial(tuple(items))  # type: ignore[arg-type]


def _items(layer: Layer) -> Iterator[tuple[str | None, Layer]]:
    """The layers of a Serial with their given names, or the layer itself."""
    if type(layer) is not Serial:
        yield None, layer
        return
    automatic = automatic_names(layer.layers)
    for (name, child), other in zip(layer.layers, automatic, strict=True):
        yield (None if name == other else name), child
