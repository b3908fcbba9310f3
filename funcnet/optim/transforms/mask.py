"""Optimizers for some of the leaves, chosen by glob patterns over whole paths; ``*`` also matches ``/``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from funcnet import tree
from funcnet.errors import NotDefined, PathError, Problem
from funcnet.layers.base import Params, nest
from funcnet.optim.base import Optimizer, OptState, Update, checked, updated
from funcnet.optim.sgd import SGD
from funcnet.spec.base import register
from funcnet.spec.fields import Words, frozen

NOTHING = SGD(0.0)
"""The rule of a Freeze without one"""


def only(values: Params, paths: frozenset[str]) -> Params:
    """The subtree with some paths."""
    return tree.unflatten({path: leaf for path, leaf in tree.flatten(values).items() if path in paths})


def together(like: Params, parts: Sequence[Params]) -> Params:
    """One tree from parts that each have some of its leaves, in the order of ``like``."""
    flat = {path: leaf for part in parts for path, leaf in tree.flatten(part).items()}
    return tree.unflatten({path: flat[path] for path in tree.flatten(like)})


def some_patterns(patterns: tuple[str, ...], where: str) -> Iterator[Problem]:
    """A problem if there are no patterns."""
    if not patterns:
        yield Problem(where, "expected at least one pattern, such as '*/bias'")


@frozen
class Chosen(Optimizer):
    """Base of wrappers that apply an optimizer to some of the leaves; a subclass defines ``chosen``."""

    rule: Optimizer
    patterns: Words

    def chosen(self, params: Params) -> frozenset[str]:
        """The paths of the leaves that the optimizer sees."""
        raise NotDefined(f"{type(self).__name__} does not define chosen(params)")

    def validate(self) -> Iterator[Problem]:
        yield from some_patterns(self.patterns, ".patterns")

    @property
    def descends(self) -> bool:
        return self.rule.descends

    @property
    def children(self) -> Mapping[str, Optimizer]:
        return {"rule": self.rule}

    def untouched(self, params: Params) -> frozenset[str]:
        chosen = self.chosen(params)
        rest = frozenset(tree.flatten(params)) - chosen if self.descends else frozenset()
        return rest | self.rule.untouched(only(params, chosen))

    def init(self, params: Params) -> OptState:
        name = type(self).__name__
        tree.matched(self.patterns, tree.flatten(params), name)
        chosen = self.chosen(params)
        if not chosen and self.rule != NOTHING:
            raise PathError(f"the patterns {', '.join(self.patterns)} leave nothing to train", layer=name)
        return nest({"rule": self.rule.init(only(params, chosen))})

    @checked
    def update(self, grads: Params, opt_state: OptState, params: Params, value: float | None = None) -> Update:
        chosen = self.chosen(params)
        inner, state = updated(self.rule, only(grads, chosen), opt_state.get("rule", {}), only(params, chosen), value)
        rest = only(grads, frozenset(tree.flatten(params)) - chosen)
        if self.descends:
            rest = tree.zeros_like(rest)
        return together(params, [inner, rest]), nest({"rule": state})

    def eval_params(self, params: Params, opt_state: OptState) -> Params:
        chosen = self.chosen(params)
        inner = self.rule.eval_params(only(params, chosen), opt_state.get("rule", {}))
        return together(params, [inner, only(params, frozenset(tree.flatten(params)) - chosen)])


@register("masked")
@frozen
class Masked(Chosen):
    """``rule``, which may be a transform, for only the leaves that some pattern matches.

    A transform does not change the gradients of the other leaves; a rule gives them update 0.
    State    rule: its state for the matched leaves
    Raises   PathError from ``init`` for a pattern that matches nothing
    """

    def chosen(self, params: Params) -> frozenset[str]:
        return tree.matching(self.patterns, tuple(tree.flatten(params)))


@register("freeze")
@frozen
class Freeze(Chosen):
    """``rule`` for all leaves but those that some pattern matches, which get update 0 and have no state.

    The network's state of those paths, such as the running statistics of a BatchNorm, keeps its values too; in
    training, layers still use the statistics of the batch. ``Freeze()`` alone, in a partition, freezes its whole part.
    State    rule: its state for the other leaves
    Raises   SpecError for a transform, or patterns without a rule; PathError from ``init`` for a pattern that matches
             nothing, or patterns that leave nothing to train
    """

    rule: Optimizer = NOTHING
    patterns: Words = ("*",)

    def validate(self) -> Iterator[Problem]:
        yield from super().validate()
        if self.rule == NOTHING and self.patterns != ("*",):
            yield Problem(".rule", "missing; give the rule for all other leaves, such as Freeze(Adam(), 'encoder/*')")
        if not self.rule.descends:
            yield Problem(".rule", f"expected a rule, or a chain with one, got {type(self.rule).__name__}")

    def chosen(self, params: Params) -> frozenset[str]:
        paths = tuple(tree.flatten(params))
        return frozenset(paths) - tree.matching(self.patterns, paths)

    def held(self, paths: Sequence[str]) -> frozenset[str]:
        return tree.matching(self.patterns, tuple(paths)) | self.rule.held(paths)


@register("partition")
@frozen
class Partition(Optimizer):
    """A separate rule for each part of the leaves: ``parts`` are pairs of patterns and a rule.

    A leaf belongs to the first part with a pattern that matches it; a last pattern ``"*"`` takes the rest. What a
    rule computes over all leaves, such as a global norm, is then over the leaves of its part.

        Partition((("*bias", SGD(0.1)), ("head/*", AdamW(1e-2)), ("*", AdamW(1e-3))))

    State    part_0, part_1, …: the state of each rule for its leaves
    Raises   SpecError for rules mixed with bare transforms; PathError from ``init`` for a leaf that no pattern
             matches, a pattern that matches nothing, and a part whose leaves all belong to earlier parts
    """

    parts: tuple[tuple[Words, Optimizer], ...]

    def validate(self) -> Iterator[Problem]:
        if not self.parts:
            yield Problem(".parts", "expected at least one part, such as (('*', Adam()),)")
        for i, (patterns, _) in enumerate(self.parts):
            yield from some_patterns(patterns, f".parts[{i}][0]")
        bare = [type(rule).__name__ for _, rule in self.parts if not rule.descends]
        if 0 < len(bare) < len(self.parts):
            text = (
                f"expected rules in all parts, got {', '.join(bare)}, which changes gradients; write chain(…, SGD(0.1))"
            )
            yield Problem(".parts", text)

    @property
    def descends(self) -> bool:
        return all(rule.descends for _, rule in self.parts)

    @property
    def children(self) -> Mapping[str, Optimizer]:
        return {f"part_{i}": rule for i, (_, rule) in enumerate(self.parts)}

    def untouched(self, params: Params) -> frozenset[str]:
        parts = self._shared_out(tree.flatten(params))
        return frozenset().union(*(rule.untouched(only(params, mine)) for _, rule, mine in parts))

    def held(self, paths: Sequence[str]) -> frozenset[str]:
        return frozenset().union(*(rule.held(tuple(mine)) for _, rule, mine in self._shared_out(paths)))

    def _shared_out(self, paths: Iterable[str]) -> Iterator[tuple[str, Optimizer, frozenset[str]]]:
        """The name, the rule and the paths of each part."""
        left = tuple(paths)
        for (patterns, _), (name, rule) in zip(self.parts, self.children.items(), strict=True):
            mine = tree.matching(patterns, left)
            left = tuple(path for path in left if path not in mine)
            yield name, rule, mine

    def init(self, params: Params) -> OptState:
        for i, (patterns, _) in enumerate(self.parts):
            tree.matched(patterns, tree.flatten(params), f"Partition.parts[{i}]")
        left, states = dict.fromkeys(tree.flatten(params)), {}
        for i, (name, rule, mine) in enumerate(self._shared_out(tree.flatten(params))):
            if not mine:
                taken = ", ".join(self.parts[i][0])
                raise PathError(
                    f"earlier parts take all that {taken} matches; put this one before them",
                    layer=f"Partition.parts[{i}]",
                )
            left = {path: None for path in left if path not in mine}
            states[name] = rule.init(only(params, mine))
        if left:
            raise PathError(
                f"no pattern matches {', '.join(left)}; add a last part such as ('*', Adam())", layer="Partition"
            )
        return nest(states)

    @checked
    def update(self, grads: Params, opt_state: OptState, params: Params, value: float | None = None) -> Update:
        updates, states = [], {}
        for name, rule, mine in self._shared_out(tree.flatten(params)):
            state = opt_state.get(name, {})
            part, states[name] = updated(rule, only(grads, mine), state, only(params, mine), value)
            updates.append(part)
        return together(params, updates), nest(states)

    def eval_params(self, params: Params, opt_state: OptState) -> Params:
        return together(
            params,
            [
                rule.eval_params(only(params, mine), opt_state.get(name, {}))
                for name, rule, mine in self._shared_out(tree.flatten(params))
            ],
        )


def partition(parts: Mapping[str, Optimizer]) -> Partition:
    """``partition({"*bias": SGD(0.1), "*": AdamW(1e-3)})``: in the order given, the first match counts."""
    return Partition(tuple((pattern, rule) for pattern, rule in parts.items()))  # type: ignore[misc]
