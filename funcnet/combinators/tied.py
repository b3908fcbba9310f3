"""Tied params: one array in several places."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from funcnet import tree
from funcnet.combinators.wrapper import Wrapper
from funcnet.errors import PathError, Problem, ShapeError
from funcnet.hints import did_you_mean
from funcnet.key import Array, Key
from funcnet.layers.base import Context, Leaf, Params, State, apply_child, vjp_child
from funcnet.shapes import Shape, Value
from funcnet.spec.base import register
from funcnet.spec.fields import frozen

TURNED = ".T"


@register("tied")
@frozen
class Tied(Wrapper):
    """A layer with tied params: ``{"head/weight": "embed/weight.T"}``.

    The leaf on the left no longer exists; in its place the layer gets the leaf on the right, transposed with ``.T``.
    Paths are relative to the layer.
    VJP      the gradients of both places add up
    Raises   SpecError for ties in a chain; PathError for a path that is not a trained leaf; ShapeError for leaves
             whose shapes differ
    Source   Press and Wolf (2016)
    """

    stepwise = True
    out_range = Wrapper.out_range

    ties: Mapping[str, str]

    def validate(self) -> Iterator[Problem]:
        for target, source in self.sources().items():
            if target == source[0]:
                yield Problem(f".ties[{target!r}]", "ties a leaf to itself; leave it out")
            elif source[0] in self.ties:
                yield Problem(f".ties[{target!r}]", f"ties to {source[0]!r}, which is tied too; tie both to one leaf")

    def sources(self) -> dict[str, tuple[str, bool]]:
        """``{target: (source, whether it is transposed)}``"""
        return {target: (source.removesuffix(TURNED), source.endswith(TURNED)) for target, source in self.ties.items()}

    def leaves(self, in_shape: Shape) -> dict[str, Any]:
        flat: dict[str, Leaf] = tree.flatten(super().leaves(in_shape))
        trained = [path for path, leaf in flat.items() if leaf.kind == "param"]
        for target, (source, turned) in self.sources().items():
            for path in (target, source):
                if path not in trained:
                    kind = "is in state, which is not trained" if path in flat else "does not exist"
                    raise PathError(
                        f"Tied: expected the path of a trained leaf, {path!r} {kind}{did_you_mean(path, trained)}; "
                        f"there are {', '.join(trained)}"
                    )
            shape = flat[source].shape[::-1] if turned else flat[source].shape
            if shape != flat[target].shape:
                hint = "" if turned or len(shape) != 2 else f"; did you mean {source + TURNED!r}?"
                raise ShapeError(
                    f"expected {target!r} of shape {flat[target].shape}, got {self.ties[target]!r} of {shape}{hint}",
                    layer="Tied",
                )
        return tree.unflatten({path: leaf for path, leaf in flat.items() if path not in self.ties})

    def init(self, key: Key, in_shape: Shape, dtype: npt.DTypeLike = np.float32) -> tuple[Params, State]:
        self.leaves(in_shape)
        params, state = super().init(key, in_shape, dtype)
        return self.without(params), state

    def out_shape(self, in_shape: Shape) -> Shape:
        shape = super().out_shape(in_shape)
        self.leaves(in_shape)
        return shape

    def without(self, params: Params) -> Params:
        """Params without the tied ones."""
        return tree.unflatten({path: leaf for path, leaf in tree.flatten(params).items() if path not in self.ties})

    def whole(self, params: Params) -> Params:
        """Params as the layer expects them."""
        flat = tree.flatten(params)
        found = {t: turned_if(flat[source], turned) for t, (source, turned) in self.sources().items()}
        return tree.unflatten(flat | found)

    def apply(self, params: Params, state: State, x: Value, ctx: Context) -> tuple[Value, State, Any]:
        return apply_child("", self.layer, self.whole(params), state, x, ctx)

    def vjp(self, params: Params, residuals: Any, dy: Value) -> tuple[Params, Value]:
        dparams, dx = vjp_child("", self.layer, self.whole(params), residuals, dy)
        flat = tree.flatten(dparams)
        for target, (source, turned) in self.sources().items():
            flat[source] = flat[source] + turned_if(flat[target], turned)
        return tree.unflatten({path: flat[path] for path in tree.flatten(params)}), dx


def turned_if(array: Array, turned: bool) -> Array:
    """An array, or its transpose."""
    return array.T if turned else array
