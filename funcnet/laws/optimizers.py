"""The laws of optimizers."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcnet import ops, tree
from funcnet.errors import LawError
from funcnet.inputs import instance
from funcnet.key import Key
from funcnet.laws.values import (
    LAYOUTS,
    check_bits,
    check_copies,
    expect,
    form,
    frozen_copy,
    guarded,
    random_like,
    same,
    turned,
)
from funcnet.layers.base import Params
from funcnet.optim.base import Optimizer, OptState, apply_updates
from funcnet.optim.hyperparameters import monitored, reaches
from funcnet.optim.schedules import bind
from funcnet.read_only import read_only
from funcnet.signatures import check_signatures

STEPS = 40


def check_optimizer(opt: Optimizer) -> None:
    """Run every law on an optimizer; if it ``descends``, as all but bare transforms do, it must lower a loss.

    Raises   LawError naming the broken law
    """
    instance(opt, Optimizer, "an optimizer", "fn.optim.Adam()")
    check_signatures(opt)
    bound = bind(opt, STEPS)
    with guarded(opt):
        for dtype in (np.float32, np.float64):
            check_updates(bound, opt, dtype)
            check_observed(bound, opt, dtype)
        if opt.descends:
            check_descent(bound, opt)
        for dtype in (np.float32, np.float64):
            check_decay(bound, opt, dtype)
        for dtype in (np.float32, np.float64):  # the slowest law, so it comes last
            check_recorded(bound, opt, dtype)
    check_copies(opt, lambda copy: first_update(bind(copy, STEPS)))


def check_updates(bound: Optimizer, opt: Optimizer, dtype: Any) -> None:
    """Updates match the params, the state keeps its form and counts steps, and the arguments are not changed."""
    key = Key(0).fold("laws")
    params = frozen_copy(some_params(dtype))
    opt_state = frozen_copy(bound.init(params))
    expected = form(opt_state)
    for step in range(3):
        for path, leaf in tree.flatten(opt_state).items():
            if path.rpartition("/")[2] == "step":
                law = "step counts the updates in int64"
                expect(leaf.dtype == np.int64 and leaf == step, law, opt, f"{leaf} after {step} updates")
        grads = frozen_copy(random_like(params, key.fold("g", step)))
        received = tree.map(np.array, (grads, opt_state, params))
        updates, new_state = bound.update(grads, opt_state, params, 1.0)
        detail = f"expected {form(params)}, got {form(updates)}"
        expect(form(updates) == form(params), "updates have the params' tree, shapes and dtypes", opt, detail)
        expect(form(new_state) == expected, "the state keeps keys, shapes and dtypes", opt)
        again = bound.update(grads, opt_state, params, 1.0)
        expect(same(again, (updates, new_state)), "the same call gives the same bits", opt)
        expect(same((grads, opt_state, params), received), "pure", opt, "changes its arguments")
        check_order(bound, opt, grads, opt_state, params, (updates, new_state))
        if step == 1:
            for name, layout in LAYOUTS.items():
                g, s, p = (tree.map(layout, part) for part in (grads, opt_state, params))
                got, rounding = bound.update(g, s, p, 1.0), 4.0 * float(np.finfo(dtype).eps)
                expect(same(got, (updates, new_state), rounding), "any memory layout gives the same values", opt, name)
        opt_state, params = frozen_copy(new_state), frozen_copy(apply_updates(params, updates))
    evaluated = bound.eval_params(params, opt_state)
    expect(form(evaluated) == form(params), "eval_params has the params' tree, shapes and dtypes", opt)


def check_recorded(bound: Optimizer, opt: Optimizer, dtype: Any) -> None:
    """The second update, recorded and compiled, gives the bits of the plain one."""
    key = Key(0).fold("laws")
    params = some_params(dtype)
    grads, later = (random_like(params, key.fold("g", step)) for step in range(2))
    updates, opt_state = bound.update(grads, bound.init(params), params, 1.0)
    arguments = frozen_copy((later, opt_state, apply_updates(params, updates)))
    check_bits(lambda g, s, p: bound.update(g, s, p, 1.0), arguments, opt)


def check_observed(bound: Optimizer, opt: Optimizer, dtype: Any) -> None:
    """A row of figures leaves the state's form and its steps as they are, and reaches every inner optimizer.

    The row has whatever a ``monitor`` in the optimizer names.
    """
    params = frozen_copy(some_params(dtype))
    _, opt_state = bound.update(params, bound.init(params), params, 1.0)
    opt_state = frozen_copy(opt_state)
    names = {name for _, name in monitored(bound)}
    row = {"step": 1, "epoch": 1, **dict.fromkeys(sorted({"loss", "validation/loss", *names}), 0.5)}
    received = tree.map(np.array, opt_state)
    new_state = bound.observe(opt_state, read_only(row))
    law = "observe keeps the state's keys, shapes and dtypes"
    expect(isinstance(new_state, dict) and form(new_state) == form(opt_state), law, opt, f"got {new_state!r:.60}")
    expect(same(opt_state, received), "pure", opt, "observe changes its arguments")
    expect(same(bound.observe(opt_state, row), new_state), "the same call gives the same bits", opt, "of observe")
    flat = tree.flatten(opt_state)
    for path, leaf in tree.flatten(new_state).items():
        if path.rpartition("/")[2] in ("step", "start"):
            expect(leaf == flat[path], "observe counts no step", opt, path)
    law, turned_state = "the order of keys changes nothing", turned(opt_state)
    expect(same(bound.observe(turned_state, row), new_state), law, opt, "that of opt_state does, in observe")
    law, detail = f"observe reaches {', '.join(sorted(names))}", "give it children, by the names of their states"
    expect(reaches(bound, params), law, opt, detail)


def check_order(
    bound: Optimizer, opt: Optimizer, grads: Params, opt_state: OptState, params: Params, expected: Any
) -> None:
    """Leaves are paired by path: the order of keys in gradients, state or params changes nothing.

    One is reversed at a time, since two reversed dicts would still pair by place.
    """
    law, rounding = "the order of keys changes nothing", 4.0 * float(np.finfo(tree.leaves(params)[0].dtype).eps)
    given = {"grads": grads, "opt_state": opt_state, "params": params}
    for what in given:
        try:
            g, s, p = (turned(part) if name == what else part for name, part in given.items())
            got = bound.update(g, s, p, 1.0)
        except Exception as error:  # arrays of different shapes are combined
            message = f"breaks the law {law!r}: with {what} in reverse order: {error}"
            raise LawError(message, layer=type(opt).__name__) from error
        expect(
            same(got, expected, rounding), law, opt, f"that of {what} does; pair leaves by path, as fn.tree.map does"
        )
    expect(same(bound.init(turned(params)), bound.init(params)), law, opt, "that of params does, in init")


def check_descent(bound: Optimizer, opt: Optimizer) -> None:
    """Steps down the bowl ``½ ‖p‖²``, whose gradient is p, lower the loss of every leaf."""
    key = Key(0).fold("bowl")
    start = params = {"weight": 1.0 + key.fold("w").uniform((3, 2)), "bias": 1.0 + key.fold("b").uniform((2,))}
    opt_state = bound.init(params)
    for _ in range(STEPS // 2):
        updates, opt_state = bound.update(params, opt_state, params, 1.0)
        params = apply_updates(params, updates)
    still = bound.untouched(start)
    for path in still:
        expect(same(params[path], start[path]), "untouched leaves do not change", opt, path)
    expect(len(still) < len(start), "descends", opt, f"leaves {', '.join(sorted(still))} untouched")
    for path in start.keys() - still:
        before, after = (0.5 * float(np.sum(p[path] ** 2)) for p in (start, params))
        detail = f"{STEPS // 2} steps down a bowl lead {path} from {before} to {after}; updates are added to params"
        expect(after < before, "descends", opt, detail)


def check_decay(bound: Optimizer, opt: Optimizer, dtype: Any) -> None:
    """After gradients of zero, no entry of the state is a smaller number than before and subnormal.

    The earlier gradients and the params have every magnitude from 1 to the smallest normal number, and so does the
    state. Whatever its decay factor, some entries are soon subnormal. The state is checked after a step in which
    ``ops.settle`` flushes.
    """
    ladder = np.geomspace(np.finfo(dtype).tiny, 1.0, 512, dtype=dtype)
    values = frozen_copy({"a": {"weight": np.stack([ladder, -ladder], axis=1)}, "bias": ladder})
    zeros = frozen_copy(tree.zeros_like(values))
    opt_state = bound.init(values)
    for _ in range(3):
        _, opt_state = bound.update(values, opt_state, values, 1.0)
    before = tree.flatten(opt_state)
    for _ in range(3, ops.SETTLE_EVERY + 1):
        _, opt_state = bound.update(zeros, opt_state, zeros, 1.0)
    for path, leaf in tree.flatten(opt_state).items():
        if leaf.dtype.kind == "f":
            size, limit = np.abs(leaf), np.finfo(leaf.dtype).tiny
            count = np.count_nonzero((size > 0.0) & (size < limit) & (size < np.abs(before[path])))
            detail = f"{count} entries of {path} do, which slows processors down; wrap it in fn.ops.settle(..., step)"
            expect(count == 0, "no state decays into subnormal numbers", opt, detail)


def some_params(dtype: Any = np.float32) -> Params:
    """Params of two leaves, one of them nested."""
    key = Key(0).fold("laws")
    return {"a": {"weight": key.fold("w").normal((3, 2), dtype)}, "bias": key.fold("b").normal((2,), dtype)}


def first_update(opt: Optimizer) -> Any:
    """The update of a gradient equal to the params, and the state after it."""
    params = some_params()
    return opt.update(params, opt.init(params), params, 1.0)
