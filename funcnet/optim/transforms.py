"""Transforms: optimizers that change what passes through them, and the chain that joins them to a rule."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import field

from funcnet import ops, tree
from funcnet.errors import Problem
from funcnet.layer import Params, nest
from funcnet.optim.rules import Optimizer, OptState, after, count, first_step
from funcnet.optim.schedules import Number, value_at
from funcnet.spec import Named, frozen, positive, register


@register("chain")
@frozen
class Chain(Optimizer):
    """Each step's updates are the next one's gradients.

    State    that of each step, under its name; steps without state are left out
    """

    steps: Named[Optimizer]

    def validate(self) -> Iterator[Problem]:
        rules = [name for name, step in self.steps if step.descends]
        if len(rules) > 1:
            yield Problem(".steps", f"expected one rule, got {', '.join(rules)}; one would undo the other's sign")

    @property
    def descends(self) -> bool:
        return any(step.descends for _, step in self.steps)

    def init(self, params: Params) -> OptState:
        return nest({name: step.init(params) for name, step in self.steps})

    def update(
        self, grads: Params, opt_state: OptState, params: Params, value: float | None = None
    ) -> tuple[Params, OptState]:
        states = {}
        for name, step in self.steps:
            grads, states[name] = step.update(grads, opt_state.get(name, {}), params, value)
        return grads, nest(states)

    def eval_params(self, params: Params, opt_state: OptState) -> Params:
        for name, step in self.steps:
            params = step.eval_params(params, opt_state.get(name, {}))
        return params


def chain(*steps: Optimizer | tuple[str, Optimizer], **named: Optimizer) -> Chain:
    """``chain(ClipByGlobalNorm(1.0), AdamW(1e-3))``: in the order in which gradients pass."""
    return Chain((*steps, *named.items()))  # type: ignore[arg-type]


def clip_factor(limit: float, norm: float) -> float:
    """What brings a vector of this norm down to the limit, and leaves a shorter one as it is."""
    return limit / norm if norm > limit else 1.0


@register("clip_by_global_norm")
@frozen
class ClipByGlobalNorm(Optimizer):
    """``g ← g · min(1, max_norm / ‖g‖)``, with one norm over all leaves.

    Source   Pascanu et al. (2013), as optax: exactly ``max_norm`` afterwards, no epsilon
    State    step
    """

    max_norm: Number = field(validator=positive)

    @property
    def descends(self) -> bool:
        return False

    def init(self, params: Params) -> OptState:
        return {"step": first_step()}

    def update(
        self, grads: Params, opt_state: OptState, params: Params, value: float | None = None
    ) -> tuple[Params, OptState]:
        limit = value_at(self.max_norm, count(opt_state))
        factor = ops.scalar(clip_factor, limit, ops.norm(*tree.leaves(grads)))
        return tree.map(lambda g: factor * g, grads), {"step": after(opt_state)}
