"""Layers from bare functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from funcnet import tree
from funcnet.initializers import Initializer
from funcnet.key import Key
from funcnet.layers.base import Context, Layer, Leaf, Params, State
from funcnet.shapes import Shape, Value
from funcnet.signatures import check_functions, returned
from funcnet.spec.fields import frozen


@frozen
class FunctionLayer(Layer):
    """Three functions as a layer; made by ``fn.layer``."""

    init_function: Callable[..., Any]
    apply_function: Callable[..., Any]
    vjp_function: Callable[..., Any]
    out_shape_function: Callable[..., Any]
    in_kinds_function: Callable[..., Any] | None = None

    def leaves(self, in_shape: Shape) -> dict[str, Any]:
        def described(kind: Literal["param", "state"], values: Any) -> dict[str, Any]:
            return {
                name: described(kind, node) if isinstance(node, dict) else Leaf(np.shape(node), Initializer(), kind)
                for name, node in values.items()
            }

        params, state = self.init(Key(0), in_shape)
        leaves = tree.flatten(described("param", params)) | tree.flatten(described("state", state))
        return tree.unflatten(leaves)

    def out_shape(self, in_shape: Shape) -> Shape:
        return self.out_shape_function(in_shape)

    def in_kinds(self, in_shape: Shape) -> Any:
        return super().in_kinds(in_shape) if self.in_kinds_function is None else self.in_kinds_function(in_shape)

    def init(self, key: Key, in_shape: Shape, dtype: npt.DTypeLike = np.float32) -> tuple[Params, State]:
        made: tuple[Params, State] = returned(self, "init", self.init_function(key, in_shape, dtype))
        return made

    def apply(self, params: Params, state: State, x: Value, ctx: Context) -> tuple[Value, State, Any]:
        result: tuple[Value, State, Any] = self.apply_function(params, state, x, ctx)
        return result

    def vjp(self, params: Params, residuals: Any, dy: Value) -> tuple[Params, Value]:
        result: tuple[Params, Value] = self.vjp_function(params, residuals, dy)
        return result


def layer(
    init: Callable[..., tuple[Params, State]],
    apply: Callable[..., tuple[Value, State, Any]],
    vjp: Callable[..., tuple[Params, Value]],
    out_shape: Callable[[Shape], Shape],
    in_kinds: Callable[[Shape], Any] | None = None,
) -> Layer:
    """Three bare functions as a layer. It composes like any other, but cannot be saved as JSON.

    ``init(key, in_shape, dtype) -> (params, state)``, ``apply(params, state, x, ctx) -> (y, state,
    residuals)``, ``vjp(params, residuals, dy) -> (dparams, dx)``, ``out_shape(in_shape) -> shape``.
    ``in_kinds(in_shape)`` says which inputs are not floats: "i" for integers, "b" for booleans.
    Raises   FuncnetError for functions with other parameters

    >>> double = fn.layer(
    ...     init=lambda key, in_shape, dtype: ({}, {}),
    ...     apply=lambda params, state, x, ctx: (2 * x, state, None),
    ...     vjp=lambda params, residuals, dy: ({}, 2 * dy),
    ...     out_shape=lambda in_shape: in_shape,
    ... )
    >>> fn.predict(double, {}, {}, np.ones((1, 2))).tolist()
    [[2.0, 2.0]]
    """
    functions = {"init": init, "apply": apply, "vjp": vjp, "out_shape": out_shape}
    check_functions(Layer, functions if in_kinds is None else functions | {"in_kinds": in_kinds})
    return FunctionLayer(init, apply, vjp, out_shape, in_kinds)
