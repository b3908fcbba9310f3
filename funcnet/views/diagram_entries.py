"""What a diagram shows of a network: its layers, with their shapes, settings and parameters, and their arrangement."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from functools import singledispatch
from typing import Any, NamedTuple

from funcnet.combinators.bidirectional import Bidirectional
from funcnet.combinators.branch import Branch, Parallel
from funcnet.combinators.graph import Graph
from funcnet.combinators.residual import Residual
from funcnet.layers.base import Layer, count_parameters, reach
from funcnet.layers.calls import Call, listen, path_of
from funcnet.shapes import Shape, shape_text
from funcnet.spec.base import Spec
from funcnet.spec.class_fields import fields
from funcnet.spec.rules import rule_of

LONGEST = 44
"""Maximum letters of a line in a box"""


class Form(NamedTuple):
    """How the children of a layer are arranged: in a ``stack``, a ``row``, a ``shortcut``, or as a ``graph``."""

    kind: str
    sources: dict[str, tuple[str, ...]] = {}
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()


def form(layer: Layer) -> Form:
    """How to draw a combinator; by default its children one after another."""
    rule = rule_of(_form.registry, type(layer), "apply wire")
    return Form("stack") if rule is None else rule(layer)


@singledispatch
def _form(layer: Layer) -> Form:
    raise TypeError(f"{type(layer).__name__} has no rule")


@_form.register
def _(layer: Branch | Parallel | Bidirectional) -> Form:
    return Form("row")


@_form.register
def _(layer: Residual) -> Form:
    return Form("shortcut")


@_form.register
def _(layer: Graph) -> Form:
    sources = {name: layer.nodes[name][1] for name in layer.order}
    return Form("graph", sources, layer.inputs, layer.outputs)


class Entry(NamedTuple):
    """A layer in the diagram, with its output shape, the number of its parameters, and the layers inside it."""

    name: str
    path: str
    layer: Layer
    out_shape: Shape
    parameters: int
    children: dict[str, Entry]

    @property
    def kind(self) -> str:
        """Its name and its class."""
        kind = type(self.layer).__name__
        return f"{self.name}: {kind}" if self.name else kind

    @property
    def settings(self) -> list[str]:
        """The fields that differ from their defaults, except layers, wiring and initializers."""
        own = [f for f in fields(type(self.layer)) if not f.name.endswith("_init")]
        values = {f.name: getattr(self.layer, f.name) for f in own if getattr(self.layer, f.name) != f.default}
        shown = {name: value for name, value in values.items() if not (self.children and _holds_names(value))}
        return [f"{name}={value}".replace("'", "") for name, value in shown.items() if not _holds_specs(value)]

    @property
    def title(self) -> str:
        """The line above its frame."""
        return f"{self.kind}({', '.join(self.settings)})" if self.settings else self.kind

    def label(self) -> list[str]:
        """The lines of its box."""
        count = f", {self.parameters:,} params" if self.parameters else ""
        whole = f"{self.kind}({', '.join(self.settings)})"
        lines = [whole] if len(whole) <= LONGEST else [self.kind, *textwrap.wrap(", ".join(self.settings), LONGEST)]
        return [*lines, shape_text(self.out_shape) + count]


def _holds_specs(value: Any) -> bool:
    if isinstance(value, Mapping):
        value = tuple(value.values())
    return isinstance(value, Spec) or (isinstance(value, tuple) and any(map(_holds_specs, value)))


def _holds_names(value: Any) -> bool:
    """Whether a combinator's field describes its wiring, which the diagram shows anyway."""
    return isinstance(value, Mapping) or (isinstance(value, tuple) and any(isinstance(one, str) for one in value))


def entries(net: Layer, in_shape: Shape) -> Entry:
    """The network with the shapes that its layers report while ``out_shape`` runs."""
    heard: dict[tuple[str, int], tuple[Shape, Shape]] = {}

    def notify(call: Call) -> None:
        if call.method == "out_shape":
            heard[call.path, call.depth] = call.args[0], call.result

    with listen(notify):
        reach("", net, "out_shape", in_shape)

    def entry(name: str, path: str, layer: Layer, depth: int) -> Entry:
        given, out = heard.get((path, depth), (None, ()))
        children = {
            child: entry(child, path_of((path, child)), inner, depth + 1) for child, inner in layer.children.items()
        }
        return Entry(
            name,
            path,
            layer,
            out,
            count_parameters(reach("", layer, "leaves", given)) if given is not None else 0,
            children,
        )

    return entry("", "", net, 0)
