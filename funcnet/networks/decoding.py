"""A network one time step at a time: recurrent layers with their carry, causal attention with its cache.

The network's ``apply`` runs on sequences of one step. Layers that are ``stepwise`` run as they are. A layer that looks
at earlier steps has a rule here, which keeps what it needs of them under the layer's path. All others are refused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import singledispatch
from typing import Any, NamedTuple

import numpy as np

from funcnet import ops, tree
from funcnet.combinators.branch import Concat
from funcnet.errors import ShapeError
from funcnet.inputs import as_key, cast, dtype_of, instance, whole_number
from funcnet.key import Array, Key
from funcnet.layers.attention import MultiHeadAttention
from funcnet.layers.attention_kernels import attend
from funcnet.layers.base import EVAL, Context, Layer, Params, State, apply_child
from funcnet.layers.calls import listen_with, path_of
from funcnet.layers.convolution import Conv1D
from funcnet.layers.embedding import Positions
from funcnet.layers.normalization import LayerNorm
from funcnet.layers.recurrent import Recurrent
from funcnet.layers.sequence import SequencePool
from funcnet.ops import softmax
from funcnet.shapes import Value
from funcnet.spec.rules import declares, rule_of

Carry = dict[str, Any]
Kept = Any
"""The values that one layer keeps from step to step; None before the first"""


class Stepper(NamedTuple):
    """Two pure functions: ``carry = start(batch, max_length)``, ``y_t, carry = step(params, state, carry, x_t)``."""

    start: Callable[..., Carry]
    step: Callable[[Params, State, Carry, Value], tuple[Value, Carry]]


def stepper(net: Layer) -> Stepper:
    """A network run step by step; its output at every step equals that for the whole sequence so far.

    ``x_t`` is one step of the input without its time axis: (batch, features), or indices (batch,). ``y_t`` likewise.
    ``max_length`` is the maximum number of steps, without limit by default. The carry is a plain dict: keep it, copy
    it, go back to it.
    Raises   ShapeError for a layer that needs later steps, or may need them
    """
    instance(net, Layer, "a network", "fn.serial(fn.Embedding(96, 32), fn.LSTM(64), fn.Dense(96))")

    def start(batch: int, max_length: int | None = None) -> Carry:
        whole_number(batch, 0, "a batch of 0 or more")
        if max_length is not None:
            whole_number(max_length, 1, "a length of 1 or more")
        return {"batch": batch, "position": 0, "max_length": max_length, "layers": {}}

    def step(params: Params, state: State, carry: Carry, x_t: Value) -> tuple[Value, Carry]:
        rows = {len(leaf) for leaf in tree.leaves(x_t)}
        if rows != {carry["batch"]}:
            got = ", ".join(map(str, sorted(rows)))
            raise ShapeError(f"expected a step of the {carry['batch']} rows that it started with, got {got}")
        if carry["position"] == carry["max_length"]:
            raise ShapeError(f"expected at most {carry['max_length']} steps; start anew, or with a larger max_length")
        x = tree.map(lambda leaf: np.expand_dims(leaf, 1), cast(x_t, dtype_of(params, state)))
        caller = _Stepping(carry["layers"], carry["position"])
        with listen_with(caller):
            y, _, _ = apply_child("", net, params, state, x, EVAL)
        return caller.output(y), {**carry, "position": carry["position"] + 1, "layers": caller.kept}

    return Stepper(start, step)


class _Stepping:
    """The caller of one step. A pooled value has no time axis and is complete: layers after it run as they are."""

    def __init__(self, before: dict[str, Kept], position: int) -> None:
        self.before, self.kept, self.position = before, dict(before), position
        self.names: list[str] = []
        self.calls: Counter[str] = Counter()  # by path
        self.known: dict[int, tuple[Array, bool]] = {}  # each output so far, by identity, and whether it is pooled
        self.inner: list[set[bool]] = [set()]  # for each open call, whether its children's outputs are pooled

    def call(self, name: str, layer: Layer, method: str, args: tuple[Any, ...]) -> Any:
        if method != "apply":
            return getattr(layer, method)(*args)
        self.names.append(name)
        self.inner.append(set())
        try:
            y = self.apply(layer, *args)
        finally:
            self.names.pop()
            self.inner.pop()
        self.inner[-1] |= self.are_pooled(y)
        self.note(y, pooled=False)
        return y, args[1], None

    def apply(self, layer: Layer, params: Params, state: State, x: Value, ctx: Context) -> Value:
        pooled = self.are_pooled(x)
        if len(pooled) == 2:
            raise ShapeError(_refused(layer, "it joins a sequence with a pooled value"))
        if pooled == {True}:
            return self.note(layer.apply(params, state, x, ctx)[0], pooled=True)
        rule = rule_for(layer)
        if rule is not None:
            path = path_of(self.names)
            self.calls[path] += 1
            place = f"{path}[{self.calls[path]}]"  # the copies of a Repeat share a path
            y, kept = rule(layer, params, state, x, self.before.get(place), self.position)
            if kept is not None:
                self.kept[place] = kept
            return self.note(y, pooled=_pools(layer))
        y = layer.apply(params, state, x, ctx)[0]
        self.note(y, pooled=self.inner[-1] == {True})  # what a combinator made of pooled values is pooled
        for leaf in tree.leaves(y):
            if not self.is_pooled(leaf) and np.shape(leaf)[1:2] != (1,):
                raise ShapeError(_refused(layer, f"for one step it gives the shape {np.shape(leaf)[1:]}"))
        return y

    def is_pooled(self, leaf: Array) -> bool:
        return id(leaf) in self.known and self.known[id(leaf)][1]

    def are_pooled(self, value: Value) -> set[bool]:
        return set(map(self.is_pooled, tree.leaves(value)))

    def note(self, value: Value, pooled: bool) -> Value:
        """The value; those of its arrays that no inner layer gave are noted."""
        for leaf in tree.leaves(value):
            self.known.setdefault(id(leaf), (leaf, pooled))
        return value

    def output(self, y: Value) -> Value:
        """The network's output without the time axis."""
        return tree.map(lambda leaf: leaf if self.is_pooled(leaf) else np.array(leaf[:, 0]), y)


def _pools(layer: Layer) -> bool:
    return isinstance(layer, SequencePool) or (isinstance(layer, Recurrent) and not layer.return_sequences)


def _refused(layer: Layer, why: str) -> str:
    return f"{type(layer).__name__} cannot run step by step: {why}"


# ----- layers that look at earlier steps -----------------------------------------------------------------------


def rule_for(layer: Layer) -> Callable[..., tuple[Value, Kept]] | None:
    """The rule for a layer; None for a stepwise layer, whose ``apply`` is its rule.

    A class that overrides ``apply`` needs a declaration or a rule for it.
    Raises   ShapeError for a layer with neither
    """
    rule = rule_of(one_step.registry, type(layer), "apply")
    if rule is not None:
        return rule
    if layer.stepwise and declares(type(layer), "stepwise", "apply"):
        return None
    why = "it may look at other steps; if it never does, write stepwise = True in its class"
    raise ShapeError(_refused(layer, why))


def _unmasked(layer: Layer, x: Value) -> None:
    if isinstance(x, tuple):
        raise ShapeError(_refused(layer, "its input has a mask; give the real steps alone, without a mask"))


@singledispatch
def one_step(layer: Layer, params: Params, state: State, x: Value, kept: Kept, position: int) -> tuple[Value, Kept]:
    """``(y, kept)`` for x of one step, after ``position`` others."""
    raise TypeError(f"{type(layer).__name__} has no rule; rule_for(layer) tells")


@one_step.register
def _(layer: Concat, params: Params, state: State, x: Value, kept: Kept, position: int) -> tuple[Value, Kept]:
    if layer.axis != -1:
        raise ShapeError(f"Concat along axis {layer.axis} joins steps; join features, axis=-1, to run step by step")
    return layer.apply(params, state, x, EVAL)[0], None


@one_step.register
def _(layer: LayerNorm, params: Params, state: State, x: Value, kept: Kept, position: int) -> tuple[Value, Kept]:
    if layer.axes > 1 and x.ndim <= layer.axes + 1:
        raise ShapeError(f"LayerNorm over {layer.axes} axes normalizes over time; give axes=1 to run step by step")
    return layer.apply(params, state, x, EVAL)[0], None


@one_step.register
def _(layer: Positions, params: Params, state: State, x: Value, kept: Kept, position: int) -> tuple[Value, Kept]:
    _unmasked(layer, x)
    layer.check((position + 1, x.shape[-1]))
    return layer.marked(params, x, position), None


@one_step.register
def _(layer: Recurrent, params: Params, state: State, x: Value, kept: Kept, position: int) -> tuple[Value, Kept]:
    _unmasked(layer, x)
    if layer.reverse or layer.carry:
        what = "runs from the end" if layer.reverse else "takes its carry as an input"
        raise ShapeError(f"{type(layer).__name__} {what}, so it cannot run step by step")
    cell = layer.cell
    if kept is None:
        zeros = np.zeros((x.shape[0], layer.units), x.dtype)
        kept = (zeros, zeros) if cell.pair else zeros
    (y, kept), _, _ = cell.apply(params, state, (x[:, 0], kept), EVAL)
    return y[:, None] if layer.return_sequences else y, kept


@one_step.register
def _(
    layer: MultiHeadAttention, params: Params, state: State, x: Value, kept: Kept, position: int
) -> tuple[Value, Kept]:
    _unmasked(layer, x)
    if not layer.causal or layer.additive_bias:
        raise ShapeError(
            "MultiHeadAttention looks at steps to come; make it causal, without additive_bias, to run step by step"
        )
    q = layer.turned(layer.project(params, "query", x, layer.heads), position)
    k = layer.turned(layer.project(params, "key", x, layer.shared_heads), position)
    v = layer.project(params, "value", x, layer.shared_heads)
    if kept is not None:
        k, v = np.concatenate([kept[0], k], axis=1), np.concatenate([kept[1], v], axis=1)
    y, _ = attend(q, k, v, None, None, None, 1.0 / float(np.sqrt(q.shape[-1])), False, 1.0)
    return layer.combine(params, y), (k, v)


@one_step.register
def _(layer: Conv1D, params: Params, state: State, x: Value, kept: Kept, position: int) -> tuple[Value, Kept]:
    _unmasked(layer, x)
    if layer.padding != "causal" or layer.windows((1,))[0].stride != 1:
        raise ShapeError("Conv1D sees steps to come; give padding='causal' and strides=1 to run step by step")
    extent = layer.windows((1,))[0].extent
    seen = x if kept is None else np.concatenate([kept, x], axis=1)[:, -extent:]
    return layer.apply(params, state, seen, EVAL)[0][:, -1:], seen


@one_step.register
def _(layer: SequencePool, params: Params, state: State, x: Value, kept: Kept, position: int) -> tuple[Value, Kept]:
    _unmasked(layer, x)
    now = x[:, 0]
    if kept is None or layer.by == "last":
        return now, now
    if layer.by == "max":
        return (largest := np.maximum(kept, now)), largest
    mean = kept + (now - kept) * (1.0 / (position + 1))
    return mean, mean


# ----- sampling ------------------------------------------------------------------------------------------------


@ops.quiet()
def generate(
    net: Layer,
    params: Params,
    state: State,
    prompt: Array,
    length: int,
    key: Key | int,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    context: int | None = None,
) -> Array:
    """Indices (batch, length) that continue a prompt (batch, time), drawn from the network one after the other.

    The network gives logits (batch, time, size) for indices (batch, time). An index is drawn from
    ``softmax(logits / temperature)``, of only the ``top_k`` largest if given; a temperature of 0 takes the largest.
    After ``context`` steps it restarts from the last half of them, for networks with a limited number of positions.
    Raises   ShapeError, DataError for an empty prompt, a prompt that is not indices, or values out of range
    """
    key = as_key(key)
    prompt = np.asarray(prompt)
    if prompt.ndim != 2 or prompt.shape[1] == 0 or prompt.dtype.kind not in "iu":
        raise ShapeError(
            f"expected a prompt of indices (batch, time), time at least 1, got {prompt.dtype} of shape {prompt.shape}"
        )
    whole_number(length, 0, "a length of 0 or more")
    if top_k is not None:
        whole_number(top_k, 1, "top_k of 1 or more")
    if context is not None:
        whole_number(context, 2, "a context of 2 steps or more")
    if not temperature >= 0.0:
        raise ShapeError(f"expected a temperature of 0 or more, got {temperature}")
    start, step = stepper(net)
    known = prompt if context is None else prompt[:, -context:]
    carry, fed = start(len(prompt), context), 0
    for i in range(length):
        if context is not None and known.shape[1] > context:
            known = known[:, -(context // 2) :]
            carry, fed = start(len(prompt), context), 0
        for t in range(fed, known.shape[1]):
            logits, carry = step(params, state, carry, known[:, t])
        fed = known.shape[1]
        drawn = draw(logits, key.fold("step", i), temperature, top_k)
        known = np.concatenate([known, drawn[:, None]], axis=1)
        prompt = np.concatenate([prompt, drawn[:, None]], axis=1)
    return prompt[:, prompt.shape[1] - length :]


def draw(logits: Array, key: Key, temperature: float, top_k: int | None) -> Array:
    """One index for each row of logits."""
    if temperature == 0.0:
        return np.argmax(logits, axis=-1)
    wide = np.asarray(logits, np.float64)
    with np.errstate(over="ignore"):
        scaled = wide / temperature
        if not np.isfinite(
            np.max(scaled, axis=-1)
        ).all():  # a temperature near 0: only differences to the largest count
            scaled = (wide - np.max(wide, axis=-1, keepdims=True)) / temperature
    if top_k is not None and top_k < scaled.shape[-1]:
        least = np.sort(scaled, axis=-1)[:, -top_k][:, None]
        scaled = np.where(scaled >= least, scaled, -np.inf)
    ends = np.cumsum(softmax(scaled), axis=-1)
    at = key.uniform((len(ends), 1)) * ends[:, -1:]
    return np.argmax(ends > at, axis=-1)
