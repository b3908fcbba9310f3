"""The three pure functions that run a network: prediction, gradients, and the training step.

They take checked arrays and only call the layers; ``step.py`` runs them compiled or directly.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from funcnet import ops, tree
from funcnet.compiler.fallback import attempt, structs
from funcnet.compiler.function import Compiled, Plans
from funcnet.compiler.graph import Struct
from funcnet.compiler.hidden import Hidden
from funcnet.compiler.record import section
from funcnet.errors import PathError, ShapeError
from funcnet.inputs import owned
from funcnet.key import Array, Key
from funcnet.layers.base import EVAL, Context, Layer, Params, State, apply_child, vjp_child
from funcnet.losses.base import Loss, compared, cotangent
from funcnet.optim.base import Optimizer, OptState, apply_updates
from funcnet.optim.blanks import opened
from funcnet.padding import paired_targets, step_weights
from funcnet.shapes import Value
from funcnet.signatures import returned

MOST_PROGRAMS = 16


def prediction(net: Layer) -> Callable[[Params, State, Value], Value]:
    """``(params, state, x) -> y`` in evaluation mode."""

    def program(params: Params, state: State, x: Value) -> Value:
        y, _, _ = apply_child("", net, params, state, x, EVAL)
        return owned(y, x, params, state)

    return program


def gradients(net: Layer, loss: Loss) -> Callable[..., tuple[float, State, Params]]:
    """``(params, state, x, y, ctx, weight, divisor) -> (value, state, grads)``: forward, then backward."""

    def program(
        params: Params, state: State, x: Value, y: Value, ctx: Context, weight: Array | None, divisor: float | None
    ) -> tuple[float, State, Params]:
        outputs, new_state, residuals = apply_child("", net, params, state, x, ctx)
        with section("loss"):
            name = type(loss).__name__
            *given, masks = compared(loss, outputs, y, weight)
            scalar = Struct((), object), Struct((), object)
            result = attempt(loss.apply, (*given, divisor), lambda: scalar, f"apply of {name}")
            value, saved = returned(loss, "apply", result)
            number = ops.number(value)
        with section("backward"):
            dy = attempt(loss.vjp, (saved,), lambda: structs(given[0]), f"vjp of {name}")
            dy = dy if masks.mask is None else cotangent(dy, masks)
        grads, _ = vjp_child("", net, params, residuals, dy)
        grads, new_state = gradients_of(params, grads), tree.ordered(state, new_state)
        return number, owned(new_state, state, x, y), owned(grads, x, y, params, state)

    return program


def gradients_of(params: Params, grads: Params) -> Params:
    """The gradients in the params' order.

    Raises   PathError, ShapeError for gradients of another structure or shape than the params
    """

    def one(p: Any, g: Any) -> Any:
        if np.shape(p) != np.shape(g):
            raise ShapeError("")
        return g

    try:
        found: Params = tree.map(one, params, grads)
    except PathError as error:
        raise PathError(f"the gradients do not have the params' structure: {error.message}") from None
    except ShapeError:
        shapes, given = ({path: np.shape(leaf) for path, leaf in tree.flatten(t).items()} for t in (params, grads))
        wrong = [
            f"{path}: expected {shape}, got {given[path]}" for path, shape in shapes.items() if given[path] != shape
        ]
        raise ShapeError("the gradients do not have the params' shapes:\n  " + "\n  ".join(wrong)) from None
    return found


def training_step(net: Layer, loss: Loss, opt: Optimizer, shards: int = 1) -> Callable[..., Any]:
    """``(params, state, opt_state, key, step, x, y, weight, divisor) -> (value, params, state, opt_state, probes)``.

    The probes are finite only if gradients, new params and new state are.
    """
    gradient = gradients(net, loss)

    def program(
        params: Params,
        state: State,
        opt_state: OptState,
        key: Key,
        step: int,
        x: Value,
        y: Value,
        weight: Array | None,
        divisor: float | None = None,
    ) -> tuple[float, Params, State, OptState, list[float]]:
        value, new_state, grads = sharded(params, state, key.fold("step", step), x, y, weight, divisor)
        if held := opt.held(tuple(tree.flatten(state))):
            old = tree.flatten(state)
            new_state = tree.map_with_path(lambda path, leaf: old[path] if path in held else leaf, new_state)
        with section("update"):
            name = f"update of {type(opt).__name__}"
            like = structs(params), structs(opt_state)
            result = attempt(opt.update, (grads, opt_state, params, value), lambda: like, name)
            updates, new_opt = returned(opt, "update", result)
            new_params = apply_updates(params, updates)
            probes = tree.leaves(tree.map(ops.probe, new_params, grads))
            probes += [ops.probe(leaf, leaf) for leaf in tree.leaves(new_state) if leaf.dtype.kind == "f"]
        new_opt = owned(tree.ordered(opt_state, new_opt), grads, params)
        return value, owned(new_params, params), new_state, new_opt, probes

    def sharded(
        params: Params, state: State, key: Key, x: Value, y: Value, weight: Array | None, divisor: float | None
    ) -> tuple[float, State, Params]:
        rows = len(tree.leaves(x)[0])
        if shards == 1 or rows == 0:
            return gradient(params, state, x, y, Context(True, key.fold("shard", 0)), weight, divisor)
        y, weight = paired_targets(net, loss, x, y), step_weights(net, loss, x, y, weight)
        _, target, weights, _ = compared(loss, None, y, weight)
        divisor = loss.divisor(target, weights) if divisor is None else divisor
        numbers = sorted({-(-(row + 1) * shards // rows) - 1 for row in range(rows)})  # of the shards that have rows
        total: Any = None
        for shard in numbers:
            part = slice(shard * rows // shards, (shard + 1) * rows // shards)
            x_part, y_part = (tree.map(lambda a: a[part], value) for value in (x, y))  # noqa: B023
            w_part = None if weight is None else weight[part]
            ctx = Context(True, key.fold("shard", shard))
            found = gradient(params, state, x_part, y_part, ctx, w_part, divisor)
            if total is None:
                total, first_state = found, found[1]
                continue  # each gradient is added before the next is computed, so that two are held, not all
            total = total[0] + found[0], *(tree.map(np.add, *pair) for pair in zip(total[1:], found[1:], strict=True))
        value, new_state, grads = total
        share = 1.0 / len(numbers)
        mean = tree.map(
            lambda leaf, first: ops.array(leaf * share) if leaf.dtype.kind == "f" else first, new_state, first_state
        )
        return value, mean, tree.map(ops.array, grads)

    return program


# ----- compiled --------------------------------------------------------------------------------------------


def compiled_prediction(net: Layer) -> Compiled:
    """``prediction``, compiled."""
    return Compiled(prediction(net), plans=_plans(_prediction_plans, net))


def compiled_gradients(net: Layer, loss: Loss) -> Compiled:
    """``gradients``, compiled."""
    return Compiled(gradients(net, loss), plans=_plans(_gradients_plans, net, loss))


def compiled_step(net: Layer, loss: Loss, opt: Optimizer, shards: int) -> Compiled:
    """``training_step``, compiled; optimizers that differ in their numbers alone share plans."""
    blank, numbers = opened(opt)
    shared = _shared(_step_plans, net, loss, blank, shards)
    if shared is None:
        return Compiled(training_step(net, loss, opt, shards), plans=_step_plans.__wrapped__(net, loss, opt, shards))
    return Compiled(training_step(net, loss, opt, shards), plans=shared, given=numbers)


def _plans(make: Any, *parts: Any) -> Plans:
    """The plans of a program: equal specs of library classes share plans, user code does not."""
    plans: Plans = _shared(make, *parts) or make.__wrapped__(*parts)
    return plans


def _shared(make: Any, *parts: Any) -> Plans | None:
    """The plans that equal specs share; None for user code.

    Specs with equal values are equal, and 1 == 1.0 == True; their texts tell them apart.
    """
    return None if Hidden(*parts).foreign else make(*parts, text=repr(parts))


@lru_cache(MOST_PROGRAMS)
def _prediction_plans(net: Layer, text: str = "") -> Plans:
    return Plans(prediction(net), ("params", "state", "x"), patient=True, reads=(net,), name="the prediction")


@lru_cache(MOST_PROGRAMS)
def _gradients_plans(net: Layer, loss: Loss, text: str = "") -> Plans:
    names = ("params", "state", "x", "y", "ctx", "weight", "divisor")
    return Plans(gradients(net, loss), names, patient=True, reads=(net, loss), name="the gradient")


@lru_cache(MOST_PROGRAMS)
def _step_plans(net: Layer, loss: Loss, opt: Optimizer, shards: int, text: str = "") -> Plans:
    names = ("params", "state", "opt_state", "key", "step", "x", "y", "weight", "divisor")
    return Plans(training_step(net, loss, opt, shards), names, reads=(net, loss, opt), name="the training step")
