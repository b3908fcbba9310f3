"""Layers that read what changes between steps, change it themselves, or draw."""

# Code as users write it, which linters would write otherwise.
# ruff: noqa: NPY002

from __future__ import annotations

import random
import time
import types
from typing import ClassVar

import attrs
import numpy as np

import funcnet as fn
from tests.compiler.user_code.rows import EITHER, FALLS_BACK, NO_LINE
from tests.compiler.user_code.trained import APPLY, VJP, Setup, elementwise, own, trained

ALPHA = 1.0


def set_alpha(value: float) -> None:
    global ALPHA
    ALPHA = value


@trained(EITHER)
def layer_reads_a_global():
    set_alpha(1.0)
    return Setup(elementwise(lambda x: np.tanh(ALPHA * x), lambda x: ALPHA), change=lambda i: set_alpha(1.0 + i))


@trained(EITHER)
def layer_reads_a_closure_array():
    table = np.ones(6, np.float32)
    return Setup(elementwise(lambda x: x * table, lambda x: table), change=lambda i: table.fill(1.0 + i))


@trained(EITHER)
def layer_reads_an_attribute():
    config = types.SimpleNamespace(scale=1.0, on=True)

    def change(i):
        config.scale, config.on = 1.0 + i, i % 2 == 0

    return Setup(elementwise(lambda x: x * config.scale if config.on else x, lambda x: config.scale), change=change)


@trained(EITHER)
def layer_has_a_class_attribute():
    @attrs.frozen
    class Scaled(fn.Layer):
        factor: ClassVar[float] = 1.0

        def out_shape(self, in_shape):
            return in_shape

        def apply(self, params, state, x, ctx):
            return x * self.factor, state, None

        def vjp(self, params, residuals, dy):
            return {}, dy * self.factor

    return Setup(Scaled(), change=lambda i: setattr(Scaled, "factor", 1.0 + i))


@attrs.frozen
class TimesAlpha(fn.Layer):
    """``αx`` by a global α, which is no field"""

    def out_shape(self, in_shape):
        return in_shape

    def apply(self, params, state, x, ctx):
        return ALPHA * x, state, None

    def vjp(self, params, residuals, dy):
        return {}, ALPHA * dy


@trained(EITHER)
def registered_layer_of_a_global():
    set_alpha(1.0)
    return Setup(TimesAlpha(), change=lambda i: set_alpha(1.0 + i))


@trained(EITHER)
def annealed_temperature():
    temperature = {"value": 2.0}

    def anneal(i):
        temperature["value"] *= 0.5

    return Setup(
        elementwise(
            lambda x: np.tanh(x / temperature["value"]),
            lambda x: (1.0 - np.tanh(x / temperature["value"]) ** 2) / temperature["value"],
        ),
        change=anneal,
    )


@trained(FALLS_BACK, APPLY, NO_LINE)
def noise_of_numpy():
    def apply(params, state, x, ctx):
        return x + np.random.normal(size=x.shape).astype(x.dtype), state, None

    return own(apply, lambda p, _, dy: ({}, dy * 1.0))


@trained(FALLS_BACK, APPLY, NO_LINE)
def dropout_of_a_generator():
    rng = np.random.default_rng(0)

    def apply(params, state, x, ctx):
        mask = (rng.random(x.shape) < 0.7).astype(x.dtype)
        return x * mask, state, mask

    return own(apply, lambda p, mask, dy: ({}, dy * mask))


@trained(FALLS_BACK, APPLY, NO_LINE)
def noise_of_random():
    return own(lambda p, s, x, c: (x * random.uniform(0.5, 1.5), s, None), lambda p, _, dy: ({}, dy * 1.0))


@trained(FALLS_BACK, APPLY, NO_LINE)
def layer_counts_its_calls():
    calls = []

    def apply(params, state, x, ctx):
        calls.append(len(calls))
        return x * (1.0 + 0.1 * len(calls)), state, None

    return own(apply, lambda p, _, dy: ({}, dy * 1.0))


@trained(FALLS_BACK, APPLY, NO_LINE)
def layer_keeps_its_first_batch():
    cache = {}

    def apply(params, state, x, ctx):
        if "mean" not in cache:
            cache["mean"] = x.mean(axis=0) * 1.0
        return x - cache["mean"], state, None

    return own(apply, lambda p, _, dy: ({}, dy * 1.0))


@trained(FALLS_BACK, APPLY, NO_LINE)
def residual_left_in_a_closure():
    kept = {}

    def apply(params, state, x, ctx):
        kept["x"] = x
        return np.tanh(x), state, None

    return own(apply, lambda p, _, dy: ({}, dy * (1.0 - np.tanh(kept["x"]) ** 2)))


@trained(FALLS_BACK, APPLY, NO_LINE)
def residual_left_on_an_object():
    class Module:
        def forward(self, params, state, x, ctx):
            self.x = x
            return np.tanh(x), state, None

        def backward(self, params, _, dy):
            return {}, dy * (1.0 - np.tanh(self.x) ** 2)

    module = Module()
    return own(module.forward, module.backward)


@trained(FALLS_BACK, VJP, NO_LINE)
def gradient_noise_of_numpy():
    return own(
        lambda p, s, x, c: (x * 2.0, s, None),
        lambda p, _, dy: ({}, dy * 2.0 + np.random.normal(0.0, 0.01, dy.shape).astype(dy.dtype)),
    )


@trained(FALLS_BACK, APPLY, NO_LINE)
def layer_reads_the_clock():
    return own(lambda p, s, x, c: (x * (1.0 if time.time() > 0 else 0.0), s, None), lambda p, _, dy: ({}, dy * 1.0))
