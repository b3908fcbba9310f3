"""Optimizers and schedules of users."""

# Code as users write it, which linters would write otherwise.
# ruff: noqa: NPY002

from __future__ import annotations

import functools
import math
import random
import types
from collections.abc import Callable
from typing import Any

import attrs
import numpy as np

import funcnet as fn
from funcnet.optim import Optimizer, Schedule
from tests.compiler.user_code import hidden_in_layers as settings
from tests.compiler.user_code.rows import EITHER, FALLS_BACK, NO_LINE, RECORDED
from tests.compiler.user_code.trained import Setup, trained


class Rule(Optimizer):
    """Base of rules with a count of steps."""

    def init(self, params):
        return {"step": np.zeros((), np.int64), "m": fn.tree.zeros_like(params)}

    def after(self, opt_state):
        return fn.ops.array(opt_state["step"] + 1)


def rule(what: Callable[..., Any]) -> Optimizer:
    """An optimizer of a function ``(g, m, p, step, value) -> (update, m)`` of one leaf."""

    @attrs.frozen
    class Own(Rule):
        def update(self, grads, opt_state, params, value=None):
            step = fn.ops.number(opt_state["step"])
            g, m, p = (fn.tree.flatten(tree) for tree in (grads, opt_state["m"], params))
            pairs = {path: what(g[path], m[path], p[path], step, value) for path in g}
            updates, new = (fn.tree.unflatten({path: pair[i] for path, pair in pairs.items()}) for i in (0, 1))
            return updates, {"step": self.after(opt_state), "m": new}

    return Own()


@trained(RECORDED)
def rule_momentum():
    return rule(lambda g, m, p, step, value: (-0.1 * (0.9 * m + g), 0.9 * m + g))


@trained(RECORDED)
def rule_of_a_decorated_rate():
    def rate(step):
        return 0.1

    @functools.wraps(rate)
    def slower(step):
        return rate(step) * (0.5 if step > 2 else 1.0)

    return rule(lambda g, m, p, step, value: (-fn.ops.scalar(slower, step) * g, m))


@trained(RECORDED)
def rule_sign():
    return rule(lambda g, m, p, step, value: (-0.01 * np.sign(g + m), 0.5 * m + g))


@trained(RECORDED)
def rule_decaying_rate():
    return rule(lambda g, m, p, step, value: (-0.1 / (1.0 + 0.5 * step) * g, m))


@trained(RECORDED)
def rule_bias_corrected():
    return rule(
        lambda g, m, p, step, value: (-0.1 * (0.9 * m + 0.1 * g) / (1.0 - 0.9 ** (step + 1)), 0.9 * m + 0.1 * g)
    )


@trained(RECORDED)
def rule_every_other_by_arithmetic():
    return rule(lambda g, m, p, step, value: (-0.1 * (step % 2) * g - 0.01 * (step // 2) * g, m))


@trained(RECORDED)
def rule_layerwise():
    return rule(lambda g, m, p, step, value: (-0.1 * g * np.sqrt(np.sum(p * p)) / (np.sqrt(np.sum(g * g)) + 1e-6), m))


@trained(RECORDED)
def rule_weight_decay_of_matrices():
    return rule(lambda g, m, p, step, value: (-0.1 * (g + 0.01 * p if p.ndim == 2 else g), m))


@trained(RECORDED)
def rule_scaled_by_the_loss():
    return rule(lambda g, m, p, step, value: (-0.1 * value / (1.0 + value) * g, m))


UPDATE = "update of Own"


@trained(FALLS_BACK, UPDATE)
def rule_first_step():
    return rule(lambda g, m, p, step, value: (-0.5 * g if step == 0 else -0.1 * g, m))


@trained(FALLS_BACK, UPDATE)
def rule_later_steps():
    return rule(lambda g, m, p, step, value: (-0.1 * g if step != 0 else -0.5 * g, m))


@trained(FALLS_BACK, UPDATE)
def rule_every_other_step():
    return rule(lambda g, m, p, step, value: (-0.1 * g if step % 2 == 0 else 0.0 * g, m))


@trained(FALLS_BACK, UPDATE)
def rule_by_a_set():
    return rule(lambda g, m, p, step, value: (-0.1 * g if step in {0, 3} else -0.3 * g, m))


@trained(FALLS_BACK, UPDATE)
def rule_by_a_table():
    return rule(lambda g, m, p, step, value: (-{0: 0.5, 1: 0.3}.get(step, 0.1) * g, m))


@trained(FALLS_BACK, UPDATE)
def rule_warmup():
    return rule(lambda g, m, p, step, value: (-0.1 * min(1.0, (step + 1) / 3) * g, m))


@trained(FALLS_BACK, UPDATE)
def rule_cosine():
    return rule(lambda g, m, p, step, value: (-0.1 * 0.5 * (1.0 + math.cos(step / 5)) * g, m))


@trained(FALLS_BACK, UPDATE)
def rule_by_the_loss():
    return rule(lambda g, m, p, step, value: (-0.1 * g if value < 1.0 else -0.3 * g, m))


@trained(FALLS_BACK, UPDATE)
def rule_clips_by_norm():
    return rule(lambda g, m, p, step, value: (-0.1 * g / max(1.0, float(np.sqrt((g * g).sum()))), m))


@trained(FALLS_BACK, UPDATE)
def rule_branches_on_a_gradient():
    return rule(lambda g, m, p, step, value: (-0.1 * g if np.abs(g).max() < 0.5 else -0.05 * g, m))


@trained(FALLS_BACK, UPDATE, NO_LINE)
def rule_langevin():
    return rule(lambda g, m, p, step, value: (-0.1 * g + 0.01 * np.random.normal(size=g.shape).astype(g.dtype), m))


@trained(FALLS_BACK, UPDATE, NO_LINE)
def rule_counts_its_calls():
    calls = []
    return rule(lambda g, m, p, step, value: (calls.append(1), (-0.01 * len(calls) * g, m))[1])


@trained(EITHER)
def rule_gives_a_kind_of_dict():
    @attrs.frozen
    class Own(Rule):
        def update(self, grads, opt_state, params, value=None):
            kept = types.SimpleNamespace(grads=fn.tree.map(lambda g: -0.1 * g, grads))
            return kept.grads, {"step": self.after(opt_state), "m": Box(opt_state["m"])}

    class Box(dict):
        def __init__(self, values):
            super().__init__(values)
            self.kept = values

    return Own()


@trained(EITHER)
def rule_of_a_global():
    settings.set_alpha(1.0)
    return Setup(
        optimizer=rule(lambda g, m, p, step, value: (-0.1 * settings.ALPHA * g, m)),
        change=lambda i: settings.set_alpha(1.0 + i),
    )


@trained(EITHER)
def rule_writes_its_state():
    def what(g, m, p, step, value):
        m *= 0.9
        m += g
        return -0.1 * m, m

    return rule(what)


@trained(EITHER)
def rule_writes_gradients():
    def what(g, m, p, step, value):
        g *= -0.1
        return g, m

    return rule(what)


@trained(EITHER)
def rule_gives_the_gradients_as_state():
    return rule(lambda g, m, p, step, value: (-0.1 * (g - 0.5 * m), g))


@trained(EITHER)
def rule_gives_params_as_state():
    return rule(lambda g, m, p, step, value: (-0.1 * g + 0.01 * (p - m), p))


@trained(EITHER)
def rule_swaps_its_state():
    @attrs.frozen
    class Own(Optimizer):
        def init(self, params):
            return {"a": fn.tree.zeros_like(params), "b": fn.tree.zeros_like(params)}

        def update(self, grads, opt_state, params, value=None):
            updates = fn.tree.map(
                lambda g, a, b: -0.1 * (g + 0.5 * a + 0.25 * b), grads, opt_state["a"], opt_state["b"]
            )
            return updates, {"a": opt_state["b"], "b": grads}

    return Own()


@trained(EITHER)
def rule_gives_doubles():
    return rule(lambda g, m, p, step, value: (-0.1 * g.astype(np.float64), m))


@trained(EITHER)
def rule_doubles_as_it_is():
    return rule(lambda g, m, p, step, value: (-0.1 * g * np.float64(1.0 if step == 0 else 0.5), m))


@trained(EITHER)
def rule_raises_at_a_step():
    def what(g, m, p, step, value):
        if step == 3:
            raise ArithmeticError("step 3")
        return -0.1 * g, m

    return rule(what)


@trained(EITHER)
def rule_without_a_step():
    @attrs.frozen
    class Own(Optimizer):
        def update(self, grads, opt_state, params, value=None):
            return fn.tree.map(lambda g: -0.1 * g, grads), opt_state

    return Own()


@trained(EITHER)
def rule_inside_a_chain():
    own_rule = rule(lambda g, m, p, step, value: (-0.5 * g if step == 0 else -0.1 * g, m))
    return fn.optim.chain(fn.optim.ClipByGlobalNorm(0.5), own_rule)


# Schedules: they are called with the number, so they may do anything with it.


def schedule(f: Callable[[Any], float]) -> Schedule:
    """A schedule of a function of the step."""

    @attrs.frozen
    class Own(Schedule):
        def __call__(self, step):
            return f(step)

    return Own()


@trained(RECORDED)
def schedule_branches():
    return schedule(lambda step: 0.5 if step == 0 else 0.1 if step < 3 else 0.01)


@trained(RECORDED)
def schedule_table():
    return schedule(lambda step: {0: 0.5, 1: 0.2}.get(step, 0.1))


@trained(RECORDED)
def schedule_cosine():
    return schedule(lambda step: 0.1 * (1.0 + math.cos(math.pi * step / 5)))


@trained(RECORDED)
def schedule_numpy():
    return schedule(lambda step: float(np.interp(step, [0, 2, 4], [0.5, 0.1, 0.0])))


@trained(RECORDED)
def schedule_by_text():
    return schedule(lambda step: 0.1 * len(f"{step:b}") + 0.01 * int(str(step)))


@trained(RECORDED)
def schedule_in_adam():
    return fn.optim.Adam(schedule(lambda step: 0.1 / max(step, 1)))


@trained(RECORDED)
def schedule_gives_an_integer():
    return schedule(lambda step: int(step > 1))


@trained(EITHER)
def schedule_gives_a_numpy_number():
    return schedule(lambda step: np.float64(0.1) / (step + 1))


@trained(EITHER)
def schedule_raises_at_a_step():
    return schedule(lambda step: 0.1 / (3 - step))


@trained(EITHER)
def schedule_of_a_global():
    settings.set_alpha(1.0)
    return Setup(
        optimizer=fn.optim.SGD(schedule(lambda step: 0.1 * settings.ALPHA)),
        change=lambda i: settings.set_alpha(1.0 + i),
    )


@trained(EITHER)
def schedule_of_chance():
    return schedule(lambda step: random.uniform(0.0, 0.1))


@trained(EITHER)
def schedule_that_counts():
    calls = []
    return schedule(lambda step: (calls.append(1), 0.01 * len(calls))[1])
