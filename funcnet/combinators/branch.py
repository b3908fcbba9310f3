"""Parallel layers, and the layers that join several values into one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from funcnet import tree
from funcnet.errors import Problem, ShapeError
from funcnet.layers.base import (
    Combinator,
    Context,
    Layer,
    Params,
    State,
    apply_child,
    nest,
    out_shape_child,
    range_of,
    vjp_child,
)
from funcnet.ranges import Ranges, added, joined
from funcnet.shapes import Shape, Value, floating, is_shape, tuple_shapes
from funcnet.spec.base import register
from funcnet.spec.fields import Named, frozen


@register("branch")
@frozen
class Branch(Combinator):
    """Every layer on the same input: ``y = (f_1(x), …, f_n(x))``.

    VJP      dx = Σ_i dx_i, since x reaches the loss through every branch
    """

    stepwise = True

    layers: Named[Layer]

    def validate(self) -> Iterator[Problem]:
        if not self.layers:
            yield Problem(".layers", "expected at least one layer")

    @property
    def children(self) -> Mapping[str, Layer]:
        return dict(self.layers)

    def wire(self, in_shape: Shape) -> tuple[dict[str, Shape], Shape]:
        out_shapes = tuple(out_shape_child(name, layer, in_shape) for name, layer in self.layers)
        return {name: in_shape for name, _ in self.layers}, out_shapes

    def out_range(self, given: Ranges) -> Ranges:
        return tuple(range_of(layer, given) for _, layer in self.layers)

    def apply(self, params: Params, state: State, x: Value, ctx: Context) -> tuple[Value, State, Any]:
        outs = {name: apply_child(name, layer, params, state, x, ctx) for name, layer in self.layers}
        ys, states, residuals = zip(*outs.values(), strict=True)
        return ys, nest(dict(zip(outs, states, strict=True))), residuals

    def vjp(self, params: Params, residuals: Any, dy: Value) -> tuple[Params, Value]:
        dparams, dx = {}, None
        for (name, layer), residual, cotangent in zip(self.layers, residuals, dy, strict=True):
            dparams[name], through = vjp_child(name, layer, params, residual, cotangent)
            dx = tree.add(dx, through)
        return nest(dparams), dx


@register("parallel")
@frozen
class Parallel(Combinator):
    """The i-th layer on the i-th input: ``y = (f_1(x_1), …, f_n(x_n))``.

    Inputs are a tuple in the layers' order, or a dict by the layers' names; outputs nest the same way.
    VJP      dx_i from dy_i alone
    Raises   ShapeError when inputs and layers differ in number or name
    """

    stepwise = True

    layers: Named[Layer]

    @property
    def children(self) -> Mapping[str, Layer]:
        return dict(self.layers)

    def items(self, value: Any) -> dict[str, Any]:
        """``{child: its part of the value}``"""
        names = [name for name, _ in self.layers]
        return value if isinstance(value, dict) else dict(zip(names, value, strict=True))

    def wire(self, in_shape: Shape) -> tuple[dict[str, Shape], Shape]:
        names = [name for name, _ in self.layers]
        if isinstance(in_shape, dict):
            fits = set(in_shape) == set(names)
        else:
            fits = isinstance(in_shape, tuple) and len(in_shape) == len(names)
        if is_shape(in_shape) or not fits:
            raise ShapeError(
                f"expected {len(names)} inputs, a tuple or a dict of {', '.join(names)}, got {in_shape}; "
                "give one input for each layer",
                layer="Parallel",
            )
        shapes = self.items(in_shape)
        out = {name: out_shape_child(name, layer, shapes[name]) for name, layer in self.layers}
        return shapes, out if isinstance(in_shape, dict) else tuple(out.values())

    def in_kinds(self, in_shape: Shape) -> Any:
        shapes = self.items(in_shape)
        return like(in_shape, {name: layer.in_kinds(shapes[name]) for name, layer in self.layers})

    def out_range(self, given: Ranges) -> Ranges:
        parts = given if type(given) is tuple else (None,) * len(self.layers)
        return tuple(range_of(layer, part) for (_, layer), part in zip(self.layers, parts, strict=True))

    def apply(self, params: Params, state: State, x: Value, ctx: Context) -> tuple[Value, State, Any]:
        xs = self.items(x)
        outs = {name: apply_child(name, layer, params, state, xs[name], ctx) for name, layer in self.layers}
        ys = {name: out[0] for name, out in outs.items()}
        residuals = tuple(out[2] for out in outs.values())
        return like(x, ys), nest({name: out[1] for name, out in outs.items()}), residuals

    def vjp(self, params: Params, residuals: Any, dy: Value) -> tuple[Params, Value]:
        dys = self.items(dy)
        outs = {
            name: vjp_child(name, layer, params, residual, dys[name])
            for (name, layer), residual in zip(self.layers, residuals, strict=True)
        }
        return nest({name: out[0] for name, out in outs.items()}), like(
            dy, {name: out[1] for name, out in outs.items()}
        )


def like(model: Any, items: dict[str, Any]) -> Any:
    """Items as a dict in the model's order if the model is a dict, else as a tuple."""
    return {name: items[name] for name in model} if isinstance(model, dict) else tuple(items.values())


@register("sum")
@frozen
class Sum(Layer):
    """The sum of a tuple of inputs of one shape: ``y = x_1 + … + x_n``.

    VJP      dx_i = dy
    Raises   ShapeError when the shapes differ; nothing is broadcast
    """

    stepwise = True

    def out_shape(self, in_shape: Shape) -> Shape:
        shapes = tuple_shapes(self, in_shape)
        if any(shape != shapes[0] for shape in shapes):
            raise ShapeError(
                f"expected inputs of one shape, got {', '.join(map(str, shapes))}; project them to one first",
                layer="Sum",
            )
        return shapes[0]

    def out_range(self, given: Ranges) -> Ranges:
        return added(*given) if type(given) is tuple else None

    def apply(self, params: Params, state: State, x: Value, ctx: Context) -> tuple[Value, State, Any]:
        y = None  # tree.add takes None as zero
        for part in x:
            y = tree.add(y, tree.map(lambda leaf: floating(self, leaf), part))
        return y, state, len(x)

    def vjp(self, params: Params, residuals: Any, dy: Value) -> tuple[Params, Value]:
        return {}, (dy,) * residuals


@register("multiply")
@frozen
class Multiply(Layer):
    """The elementwise product of a tuple of inputs of one shape: ``y = x_1 · … · x_n``.

    VJP      dx_i = dy times all other inputs
    Raises   ShapeError when the shapes differ; nothing is broadcast
    """

    stepwise = True

    def out_shape(self, in_shape: Shape) -> Shape:
        shapes = tuple_shapes(self, in_shape)
        if any(shape != shapes[0] or not is_shape(shape) for shape in shapes):
            raise ShapeError(
                f"expected arrays of one shape, got {', '.join(map(str, shapes))}; project them to one first",
                layer="Multiply",
            )
        return shapes[0]

    def apply(self, params: Params, state: State, x: Value, ctx: Context) -> tuple[Value, State, Any]:
        y = floating(self, x[0])
        for part in x[1:]:
            y = y * floating(self, part)
        return y, state, x

    def vjp(self, params: Params, residuals: Any, dy: Value) -> tuple[Params, Value]:
        parts, dx = residuals, []
        for i in range(len(parts)):  # y / x_i would be shorter, but might divide by zero
            through = dy
            for j, other in enumerate(parts):
                through = through if i == j else through * other
            dx.append(through)
        return {}, tuple(dx)


@register("concat")
@frozen
class Concat(Layer):
    """A tuple of inputs joined along one axis, counted from the end: ``y = [x_1, …, x_n]``.

    VJP      dx_i = the part of dy at the place of x_i
    Raises   ShapeError when the shapes differ in another axis
    """

    axis: int = -1

    @property
    def stepwise(self) -> bool:  # type: ignore[override]
        """Whether it joins features; another axis may be time."""
        return self.axis == -1

    def validate(self) -> Iterator[Problem]:
        if self.axis >= 0:
            yield Problem(".axis", f"expected a negative axis, counted from the last, -1, got {self.axis}")

    def out_shape(self, in_shape: Shape) -> Shape:
        shapes = tuple_shapes(self, in_shape)
        if any(not is_shape(shape) or len(shape) < -self.axis for shape in shapes):
            raise ShapeError(f"expected inputs with an axis {self.axis}, got {in_shape}", layer="Concat")
        rests = [(*shape[: self.axis], *shape[len(shape) + self.axis + 1 :]) for shape in shapes]
        if any(rest != rests[0] for rest in rests):
            raise ShapeError(
                f"expected inputs that differ only in axis {self.axis}, got {', '.join(map(str, shapes))}; "
                "make the other axes equal",
                layer="Concat",
            )
        whole = list(shapes[0])
        whole[self.axis] = sum(shape[self.axis] for shape in shapes)
        return tuple(whole)

    def out_range(self, given: Ranges) -> Ranges:
        return joined(*given) if type(given) is tuple else None

    def apply(self, params: Params, state: State, x: Value, ctx: Context) -> tuple[Value, State, Any]:
        return (
            np.concatenate([floating(self, part) for part in x], axis=self.axis),
            state,
            tuple(part.shape[self.axis] for part in x),
        )

    def vjp(self, params: Params, residuals: Any, dy: Value) -> tuple[Params, Value]:
        ends = [sum(residuals[: i + 1]) for i in range(len(residuals))]
        return {}, tuple(np.split(dy, ends[:-1], axis=self.axis))


def branch(*layers: Layer | tuple[str, Layer], **named: Layer) -> Branch:
    """``branch(Dense(8), Identity())``: every layer on the same input."""
    return Branch((*layers, *named.items()))  # type: ignore[arg-type]


def parallel(*layers: Layer | tuple[str, Layer], **named: Layer) -> Parallel:
    """``parallel(image=…, text=…)``: each layer on a separate input."""
    return Parallel((*layers, *named.items()))  # type: ignore[arg-type]
