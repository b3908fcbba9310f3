"""Averages of the params during training, evaluated and saved in place of the last params."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar, Literal

import numpy as np
from attrs import field

from funcnet import ops, tree
from funcnet.errors import NotDefined, Problem
from funcnet.key import Array
from funcnet.layers.base import Params
from funcnet.optim.base import Optimizer, OptState, Update, after, age, checked, first_step, now, updated
from funcnet.optim.schedules import Number, value_at
from funcnet.optim.transforms.chain import Chain, Transform, place_of
from funcnet.spec.base import register
from funcnet.spec.fields import Range, fraction, frozen, non_negative, positive

share = Range("above 0 and at most 1", lambda value: 0 < value <= 1, exclusiveMinimum=0, maximum=1)


def copy(params: Params) -> Params:
    """The same values in new arrays."""
    copied: Params = tree.map(lambda p: ops.array(np.positive(p)), params)
    return copied


def toward(mean: Array, new: Array, weight: float, step: int) -> Array:
    """``(1 - weight) · mean + weight · new``: exactly ``mean`` for a weight of 0, and ``new`` for 1."""
    return ops.array(ops.settle((1.0 - weight) * mean + weight * new, step))


@frozen
class Averaging(Transform):
    """Base of transforms that do not change the updates, and average the params after each update.

    They come last in a chain. A subclass defines ``weight(step)``, the weight of the newest params.
    State    step; average, like params, and at first equal to them
    """

    place: ClassVar[Literal["last"]] = "last"

    def weight(self, step: int) -> float:
        """The weight of the params after update number ``step``, from 0."""
        raise NotDefined(f"{type(self).__name__} does not define weight(step)")

    def init(self, params: Params) -> OptState:
        return {"step": first_step(), "average": copy(params)}

    @checked
    def update(self, grads: Params, opt_state: OptState, params: Params, value: float | None = None) -> Update:
        step = age(opt_state)
        weight = self.weight(step)
        average = tree.map(lambda a, p, u: toward(a, p + u, weight, step), opt_state["average"], params, grads)
        return grads, after(opt_state, average=average)

    def eval_params(self, params: Params, opt_state: OptState) -> Params:
        average: Params = opt_state["average"]
        return average


def unbiased(decay: float, step: int) -> float:
    """The weight of the newest of step + 1 values in an average whose weights are proportional to ``decay^age``."""
    return (1.0 - decay) / (1.0 - decay ** (step + 1))


@register("ema")
@frozen
class EMA(Averaging):
    """``a ← decay · a + (1 - decay) · p``, without the bias of its start; a is evaluated and saved.

    The params of t updates ago have a weight proportional to ``decay^t``: after the first update a is p. Running
    statistics, such as those of BatchNorm, are those of the last params. Place it last in a chain.
    State    step; average, like params
    Source   as optax.ema(debias=True), applied to the params
    """

    decay: Number = field(default=0.999, validator=fraction)

    def weight(self, step: int) -> float:
        return ops.scalar(unbiased, value_at(self.decay, step), step)


def even(start: int, step: int) -> float:
    """The weight of the newest value in the mean of all values from update number ``start`` on."""
    return 1.0 / max(1, step + 1 - start)


@register("polyak_average")
@frozen
class PolyakAverage(Averaging):
    """The mean of the params since update number ``start``, before it the params; evaluated and saved.

    Running statistics, such as those of BatchNorm, are those of the last params. Place it last in a chain.
    State    step; average, like params
    Source   Polyak and Juditsky (1992); as PyTorch's AveragedModel
    """

    start: int = field(default=0, validator=non_negative)

    def weight(self, step: int) -> float:
        return ops.scalar(even, self.start, step)


def due(every: int, step: int) -> float:
    """1.0 on every n-th update, n being ``every``, else 0.0."""
    return 1.0 if (step + 1) % every == 0 else 0.0


@register("lookahead")
@frozen
class Lookahead(Optimizer):
    """After each ``every`` updates of a rule, slow params move part of the way, and the params are reset to them.

    ``s ← s + rate · (p - s)``, ``p ← s``; the slow params s are evaluated and saved.
    State    step; slow, like params; rule, the state of the rule
    Source   Zhang et al. (2019), whose k is ``every`` and whose α is ``rate``; as optax.lookahead
    """

    rule: Optimizer
    every: int = field(default=5, validator=positive)
    rate: Number = field(default=0.5, validator=share)

    def validate(self) -> Iterator[Problem]:
        if not self.rule.descends:
            yield Problem(".rule", f"expected a rule, or a chain with one, got {type(self.rule).__name__}")
        if any(map(averages, inside(self.rule))):
            yield Problem(".rule", "averages params that the slow ones replace; write chain(Lookahead(…), EMA())")

    @property
    def children(self) -> Mapping[str, Optimizer]:
        return {"rule": self.rule}

    def init(self, params: Params) -> OptState:
        return {"step": first_step(), "slow": copy(params), "rule": self.rule.init(params)}

    @checked
    def update(self, grads: Params, opt_state: OptState, params: Params, value: float | None = None) -> Update:
        step, rate = now(opt_state, self.rate)
        turn = ops.scalar(due, self.every, step)
        forth, back = turn * rate, turn * (1.0 - rate)
        updates, rule = updated(self.rule, grads, opt_state["rule"], params, value)
        slow = tree.map(lambda s, p, u: toward(s, p + u, forth, step), opt_state["slow"], params, updates)
        pulled = tree.map(lambda u, p, s: u - back * ((p + u) - s), updates, params, opt_state["slow"])
        return pulled, after(opt_state, slow=slow, rule=rule)

    def eval_params(self, params: Params, opt_state: OptState) -> Params:
        slow: Params = opt_state["slow"]
        return slow


def inside(optimizer: Optimizer) -> Iterator[Optimizer]:
    """An optimizer and all optimizers inside it."""
    yield optimizer
    for child in optimizer.children.values():
        yield from inside(child)


def averages(optimizer: Optimizer) -> bool:
    """Whether an optimizer evaluates other params than those it trains."""
    return isinstance(optimizer, Lookahead) or (place_of(optimizer) == "last" and not isinstance(optimizer, Chain))
