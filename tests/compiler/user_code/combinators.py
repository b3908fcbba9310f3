"""Combinators of users, and layers that run as they are inside of the library's own."""

from __future__ import annotations

import attrs
import numpy as np

import funcnet as fn
from funcnet.layers.base import Combinator, apply_child, vjp_child
from tests.compiler.user_code.layers import HardRelu
from tests.compiler.user_code.rows import FALLS_BACK, NO_LINE, RECORDED
from tests.compiler.user_code.trained import Setup, trained


@attrs.frozen
class Wrapped(Combinator):
    """Base of combinators of one layer."""

    layer: fn.Layer

    @property
    def children(self):
        return {"inner": self.layer}

    def wire(self, in_shape):
        return {"inner": in_shape}, in_shape


@attrs.frozen
class Gate(Wrapped):
    """``x · layer(x)``"""

    def apply(self, params, state, x, ctx):
        y, inner_state, residuals = apply_child("inner", self.layer, params, state, x, ctx)
        return x * y, {"inner": inner_state} if inner_state else {}, (x, y, residuals)

    def vjp(self, params, residuals, dy):
        x, y, inner = residuals
        dparams, dx = vjp_child("inner", self.layer, params, inner, dy * x)
        return {"inner": dparams} if dparams else {}, dx + dy * y


@attrs.frozen
class Twice(Wrapped):
    """``layer(layer(x))`` with the same params"""

    def apply(self, params, state, x, ctx):
        y, state, first = apply_child("inner", self.layer, params, state, x, ctx)
        y, state, second = apply_child("inner", self.layer, params, {}, y, ctx)
        return y, {}, (first, second)

    def vjp(self, params, residuals, dy):
        second, dy = vjp_child("inner", self.layer, params, residuals[1], dy)
        first, dy = vjp_child("inner", self.layer, params, residuals[0], dy)
        return {"inner": fn.tree.map(np.add, first, second)}, dy


@attrs.frozen
class Skipping(Wrapped):
    """Base of combinators that sometimes leave the layer out, without residuals then."""

    def vjp(self, params, residuals, dy):
        if residuals is None:
            return fn.tree.zeros_like(params), dy
        dparams, dx = vjp_child("inner", self.layer, params, residuals, dy)
        return {"inner": dparams}, dx


@attrs.frozen
class Router(Skipping):
    """The layer where the batch's mean is above zero, else nothing."""

    def apply(self, params, state, x, ctx):
        if x.mean() > 0:
            y, _, residuals = apply_child("inner", self.layer, params, state, x, ctx)
            return y, {}, residuals
        return x, {}, None


@attrs.frozen
class Sometimes(Skipping):
    """The layer in half of the steps, by the key."""

    def apply(self, params, state, x, ctx):
        if ctx.train and float(ctx.draw().uniform(())) < 0.5:
            return x, {}, None
        y, _, residuals = apply_child("inner", self.layer, params, state, x, ctx)
        return y, {}, residuals


@attrs.frozen
class Spectral(Wrapped):
    """The layer with its weight divided by its largest singular value."""

    def apply(self, params, state, x, ctx):
        scale = 1.0 / (1.0 + np.linalg.svd(params["inner"]["weight"])[1][0])
        y, _, residuals = apply_child("inner", self.layer, params, state, x * scale, ctx)
        return y, {}, (residuals, scale)

    def vjp(self, params, residuals, dy):
        dparams, dx = vjp_child("inner", self.layer, params, residuals[0], dy)
        return {"inner": dparams}, dx * residuals[1]


@trained(RECORDED)
def combinator_gate():
    return fn.serial(fn.Dense(6), Gate(fn.serial(fn.Dense(6), fn.Sigmoid())), fn.Dense(1))


@trained(RECORDED)
def combinator_gate_with_state():
    return fn.serial(fn.Dense(6), Gate(fn.serial(fn.Dense(6), fn.BatchNorm(), fn.Sigmoid())), fn.Dense(1))


@trained(RECORDED)
def combinator_twice():
    return fn.serial(fn.Dense(6), Twice(fn.serial(fn.Dense(6), fn.Tanh())), fn.Dense(1))


@trained(RECORDED)
def combinator_nested():
    return fn.serial(fn.Dense(6), Gate(Gate(Twice(fn.Dense(6)))), fn.Dense(1))


@trained(FALLS_BACK, "apply of Router", NO_LINE)
def combinator_router():
    return fn.serial(fn.Dense(6), Router(fn.serial(fn.Dense(6), fn.Tanh())), fn.Dense(1))


@trained(FALLS_BACK, "apply of Sometimes", NO_LINE)
def combinator_sometimes():
    return fn.serial(fn.Dense(6), Sometimes(fn.Dense(6)), fn.Relu(), fn.Dense(1))


@trained(FALLS_BACK, "apply of Spectral", NO_LINE)
def combinator_spectral():
    return fn.serial(fn.Dense(6), Spectral(fn.Dense(6)), fn.Dense(1))


@trained(FALLS_BACK, "apply of HardRelu", NO_LINE)
def combinator_around_a_fallback():
    return fn.serial(fn.Dense(6), Gate(HardRelu()), Gate(fn.serial(fn.Dense(6), HardRelu())), fn.Dense(1))


@trained(FALLS_BACK, "apply of HardRelu", NO_LINE)
def fallback_in_library_combinators():
    return fn.serial(
        fn.Dense(6),
        fn.Residual(fn.serial(HardRelu(), fn.Dense(6))),
        fn.branch(HardRelu(0.5), fn.Identity()),
        fn.Concat(),
        fn.Repeat(fn.serial(HardRelu(0.7), fn.Dense(12)), times=2),
        fn.Remat(HardRelu(0.3)),
        fn.Frozen(fn.Dense(5)),
        fn.Dense(1),
    )


@trained(FALLS_BACK, "apply of HardRelu", NO_LINE)
def fallback_first_and_last():
    return Setup(fn.serial(HardRelu(0.5), fn.Dense(1), HardRelu(1.5)))


@trained(FALLS_BACK, "apply of HardRelu", NO_LINE)
def fallback_with_dropout_and_norm():
    return fn.serial(fn.Dense(6), fn.BatchNorm(), HardRelu(), fn.Dropout(0.3), fn.LayerNorm(), fn.Dense(1))


@trained(FALLS_BACK, "apply of HardRelu", NO_LINE)
def fallback_in_shards():
    return Setup(fn.serial(fn.Dense(6), HardRelu(), fn.BatchNorm(), fn.Dense(1)), shards=2, weighted=True)


@trained(FALLS_BACK, "apply of HardRelu", NO_LINE)
def fallback_in_double_precision():
    return Setup(HardRelu(), dtype=np.float64)


@trained(FALLS_BACK, "apply of HardRelu", NO_LINE)
def fallback_after_a_transpose():
    return Setup(
        fn.serial(fn.Permute((1, 0)), HardRelu(), fn.Permute((1, 0)), fn.Flatten(), fn.Dense(1)), in_shape=(3, 4)
    )
