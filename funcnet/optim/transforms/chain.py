"""Transforms: optimizers that change the gradients or updates they are given, and chains of them with a rule."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal

from funcnet.errors import Problem
from funcnet.layers.base import Params, nest
from funcnet.optim.base import Optimizer, OptState, Update, checked, first_step, updated
from funcnet.spec.base import register
from funcnet.spec.fields import Named, frozen
from funcnet.spec.names import automatic_names


@frozen
class Transform(Optimizer):
    """Base of transforms, which change gradients or updates but are not rules by themselves.

    ``place`` is where in a chain it belongs: before the rule, to change gradients; after it, to change updates; or
    last, where no other step changes the updates.
    """

    place: ClassVar[Literal["anywhere", "before", "after", "last"]] = "anywhere"

    @property
    def descends(self) -> bool:
        return False

    def init(self, params: Params) -> OptState:
        return {"step": first_step()}


@register("chain")
@frozen
class Chain(Optimizer):
    """Optimizers in sequence: the updates of each step are the gradients of the next.

    State    the state of each step, under its name; steps without state are left out
    Raises   SpecError for two rules, or a transform on the wrong side of the rule
    """

    steps: Named[Optimizer]

    def validate(self) -> Iterator[Problem]:
        rules = [name for name, step in self.steps if step.descends]
        if len(rules) > 1:
            yield Problem(".steps", f"expected one rule, got {', '.join(rules)}; one would undo the other's sign")
            return
        whole = list(_flat(self))
        rule = next((i for i, (_, step) in enumerate(whole) if step.descends), None)
        for i, (name, step) in enumerate(whole):
            place = place_of(step)
            if rule is not None and place == "before" and i > rule:
                yield Problem(".steps", f"{name} changes gradients; put it before the rule, {whole[rule][0]}")
            elif rule is not None and place in ("after", "last") and i < rule:
                yield Problem(".steps", f"{name} changes or reads updates; put it after the rule, {whole[rule][0]}")
            elif place == "last" and any(place_of(later) != "last" for _, later in whole[i + 1 :]):
                yield Problem(".steps", f"{name} averages the updated params; put it last")

    @property
    def descends(self) -> bool:
        return any(step.descends for _, step in self.steps)

    @property
    def children(self) -> Mapping[str, Optimizer]:
        return dict(self.steps)

    def init(self, params: Params) -> OptState:
        return nest({name: step.init(params) for name, step in self.steps})

    @checked
    def update(self, grads: Params, opt_state: OptState, params: Params, value: float | None = None) -> Update:
        states = {}
        for name, step in self.steps:
            grads, states[name] = updated(step, grads, opt_state.get(name, {}), params, value)
        return grads, nest(states)

    def eval_params(self, params: Params, opt_state: OptState) -> Params:
        for name, step in self.steps:
            params = step.eval_params(params, opt_state.get(name, {}))
        return params


def chain(*steps: Optimizer | tuple[str, Optimizer], **named: Optimizer) -> Chain:
    """``chain(ClipByGlobalNorm(1.0), AdamW(1e-3))``: steps in the order in which gradients go through them.

    The steps of an unnamed chain among them become steps of this one, so ``chain`` is associative.

    >>> opt = fn.optim.chain(fn.optim.ClipByGlobalNorm(1.0), fn.optim.AdamW(1e-3))
    >>> list(opt.children)
    ['clip_by_global_norm_0', 'adamw_0']
    """
    items = [item for step in steps for item in _items(step)]
    return Chain((*items, *named.items()))


def _items(step: Any) -> list[Any]:
    """The steps of an unnamed chain with their given names, or the step itself."""
    if type(step) is not Chain:
        return [step]
    automatic = automatic_names(step.steps)
    return [
        (None if name == other else name, inner) for (name, inner), other in zip(step.steps, automatic, strict=True)
    ]


def _flat(steps: Chain) -> Iterator[tuple[str, Optimizer]]:
    """The steps of a chain and of the chains in it, by name, in order."""
    for name, step in steps.steps:
        if isinstance(step, Chain):
            yield from ((f"{name}/{inner}", each) for inner, each in _flat(step))
        else:
            yield name, step


def place_of(step: Optimizer) -> str:
    """Where in a chain an optimizer belongs; a wrapper of a transform belongs where the transform does."""
    inner = list(step.children.values())
    if not step.descends and len(inner) == 1 and not isinstance(step, Chain):
        return place_of(inner[0])
    return getattr(step, "place", "anywhere")
