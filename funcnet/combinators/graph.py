"""Layers connected by name into an acyclic graph."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from funcnet import tree
from funcnet.errors import Problem, ShapeError, listed
from funcnet.hints import did_you_mean
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
from funcnet.ranges import Ranges
from funcnet.shapes import Shape, Value, is_shape, kinds_like, merged_kinds
from funcnet.spec.base import register
from funcnet.spec.decode import HINTS
from funcnet.spec.fields import Words, frozen


@register("graph")
@frozen
class Graph(Combinator):
    """``Graph(inputs="x", nodes={"a": (Dense(8), "x"), "b": (Sum(), ("a", "x"))}, outputs="b")``.

    A node's layer takes the value of its one source, or the tuple of several. One input is the value
    itself; several are a tuple in the order of ``inputs``, or a dict by name. One output is the value
    itself, several are a tuple. The order of the nodes does not matter.
    VJP      nodes in reverse order; a value's cotangent is the sum over all its uses
    Raises   SpecError for unknown sources, cycles, and unused inputs or nodes
    """

    stepwise = True

    inputs: Words
    nodes: Mapping[str, tuple[Layer, Words]]
    outputs: Words

    def validate(self) -> Iterator[Problem]:
        every = [*self.inputs, *self.nodes]
        known = Counter(every)
        for name in every:
            if not (name.isidentifier() and name.isascii()):
                yield Problem(".nodes", f"expected names of letters, digits and _, got {name!r}")
        for name in sorted(name for name, times in known.items() if times > 1):
            yield Problem(".inputs", f"two values have the name {name!r}; names must differ")
        used = dict.fromkeys(self.outputs, (".outputs", self.outputs))
        for node, (_, sources) in self.nodes.items():
            used |= dict.fromkeys(sources, (f".nodes.{node}[1]", sources))
            if not sources:
                yield Problem(f".nodes.{node}[1]", "expected at least one source")
        unknown, names = [name for name in used if name not in known], listed(every)
        for i, name in enumerate(unknown):
            near = did_you_mean(name, every) if i < HINTS else ""
            yield Problem(used[name][0], f"nothing is called {name!r}{near}; there are {names}")
        for name in every:
            if name not in used:
                path = f".nodes.{name}" if name in self.nodes else ".inputs"
                yield Problem(path, f"nothing uses {name!r}; connect it or leave it out")
        if not self.outputs or not self.inputs:
            yield Problem(".outputs" if self.inputs else ".inputs", "expected at least one name")
        stuck = sorted(set(self.nodes) - set(self.order))
        if stuck and not unknown:
            yield Problem(".nodes", f"the nodes {listed(stuck)} wait for one another in a cycle")

    @cached_property
    def order(self) -> tuple[str, ...]:
        """The nodes in topological order; of those that are ready, the first by name."""
        missing = {name: set(sources).difference(self.inputs) for name, (_, sources) in self.nodes.items()}
        users: dict[str, list[str]] = {}
        for name, sources in missing.items():
            for source in sources:
                users.setdefault(source, []).append(name)
        ready, order = sorted(name for name, sources in missing.items() if not sources), []
        while ready:
            order.append(heapq.heappop(ready))
            for user in users.get(order[-1], ()):
                missing[user].remove(order[-1])
                if not missing[user]:
                    heapq.heappush(ready, user)
        return tuple(order)

    @property
    def children(self) -> Mapping[str, Layer]:
        return {name: self.nodes[name][0] for name in self.order}

    def bind(self, value: Any) -> dict[str, Any]:
        """``{input: value}`` for the graph's input."""
        if len(self.inputs) == 1 and not isinstance(value, dict):
            return {self.inputs[0]: value}
        return dict(value) if isinstance(value, dict) else dict(zip(self.inputs, value, strict=True))

    def wire(self, in_shape: Shape) -> tuple[dict[str, Shape], Shape]:
        several = len(self.inputs) > 1 or isinstance(in_shape, dict)
        if isinstance(in_shape, dict):
            fits = set(in_shape) == set(self.inputs)
        else:
            fits = isinstance(in_shape, tuple) and len(in_shape) == len(self.inputs)
        if several and (is_shape(in_shape) or not fits):
            raise ShapeError(
                f"expected the inputs {', '.join(self.inputs)}, as a tuple in this order or a dict, got {in_shape}",
                layer="Graph",
            )
        shapes, ins = self.bind(in_shape), {}
        for name in self.order:
            layer, sources = self.nodes[name]
            ins[name] = gather(shapes, sources)
            shapes[name] = out_shape_child(name, layer, ins[name])
        return ins, gather(shapes, self.outputs)

    def in_kinds(self, in_shape: Shape) -> Any:
        shapes, _ = self.wire(in_shape)
        kinds = self.bind(kinds_like(in_shape, "f"))
        for node, (layer, sources) in self.nodes.items():
            taken = layer.in_kinds(shapes[node])
            for source, kind in zip(sources, (taken,) if len(sources) == 1 else taken, strict=True):
                if source in kinds:
                    kinds[source] = merged_kinds(kinds[source], kind)
        if isinstance(in_shape, dict):
            return {name: kinds[name] for name in in_shape}
        return kinds[self.inputs[0]] if len(self.inputs) == 1 else tuple(kinds[name] for name in self.inputs)

    def out_range(self, given: Ranges) -> Ranges:
        several = type(given) is tuple and len(self.inputs) > 1
        known = dict(zip(self.inputs, given, strict=True)) if several else dict.fromkeys(self.inputs, given)
        for name in self.order:
            layer, sources = self.nodes[name]
            known[name] = range_of(layer, gather(known, sources))
        return gather(known, self.outputs)

    def apply(self, params: Params, state: State, x: Value, ctx: Context) -> tuple[Value, State, Any]:
        values, states, residuals = self.bind(x), {}, {}
        for name in self.order:
            layer, sources = self.nodes[name]
            values[name], states[name], residuals[name] = apply_child(
                name, layer, params, state, gather(values, sources), ctx
            )
        form = tuple(x) if isinstance(x, dict) else isinstance(x, tuple) and len(self.inputs) > 1
        return gather(values, self.outputs), nest(states), (residuals, form)

    def vjp(self, params: Params, residuals: Any, dy: Value) -> tuple[Params, Value]:
        residuals, form = residuals
        cotangents: dict[str, Any] = dict.fromkeys([*self.inputs, *self.order])
        scatter(cotangents, self.outputs, dy)
        dparams = {}
        for name in reversed(self.order):
            layer, sources = self.nodes[name]
            dparams[name], dx = vjp_child(name, layer, params, residuals[name], cotangents[name])
            scatter(cotangents, sources, dx)
        dparams = nest({name: dparams[name] for name in self.order})
        if isinstance(form, tuple):
            return dparams, {name: cotangents[name] for name in form}
        return dparams, tuple(cotangents[name] for name in self.inputs) if form else cotangents[self.inputs[0]]


def gather(values: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    """The value of one name, or the tuple of several."""
    return values[names[0]] if len(names) == 1 else tuple(values[name] for name in names)


def scatter(cotangents: dict[str, Any], names: tuple[str, ...], dy: Any) -> None:
    """Add a cotangent, or the parts of a tuple of them, to the cotangents of some names."""
    parts = (dy,) if len(names) == 1 else (dy if dy is not None else (None,) * len(names))
    for name, part in zip(names, parts, strict=True):
        cotangents[name] = tree.add(cotangents[name], part)
