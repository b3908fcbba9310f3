"""The laws of layers."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np

from funcnet import tree
from funcnet.errors import KeyRequired, LawError, ShapeError
from funcnet.hints import explained
from funcnet.inputs import instance
from funcnet.key import Array, Key
from funcnet.laws.values import (
    LAYOUTS,
    check_bits,
    check_copies,
    expect,
    form,
    frozen_copy,
    guarded,
    inner,
    moved,
    one_leaf,
    random_input,
    random_like,
    same,
    shown,
    slope,
    slope_like,
    turned,
)
from funcnet.layers.base import EVAL, Context, Layer, Leaf, Lifted, Params, State, range_of, reach, vjp_child
from funcnet.layers.calls import Caller, listen_between
from funcnet.networks.decoding import stepper
from funcnet.ranges import Range
from funcnet.shapes import Shape, Value, shape_of
from funcnet.signatures import check_signatures, kinds, returned

DIRECTIONS = 3


@explained
def check_layer(layer: Layer, in_shape: Shape, *, x: Value = None, batch_coupled: bool = False) -> None:
    """Run every law on a layer, in training and evaluation mode.

    ``x`` is the batch for the checks, with at least two rows, random normal by default; its floats are taken as
    float64. ``batch_coupled`` declares that in training rows depend on one another or on their place in the batch, as
    with batch statistics and noise; this is checked too.
    Raises   LawError naming the broken law and, if any, the leaf

    >>> fn.check_layer(fn.serial(fn.Dense(3), fn.Tanh()), (4,))
    >>> fn.check_layer(fn.BatchNorm(), (4,), batch_coupled=True)
    """
    instance(layer, Layer, "a layer", "fn.Dense(3)")
    check_signatures(layer)
    reach("", layer, "out_shape", in_shape)
    key = Key(0).fold("laws")
    x = random_input(layer, in_shape, key.fold("x")) if x is None else x
    x = frozen_copy(
        tree.map(lambda leaf: np.asarray(leaf, np.float64 if np.asarray(leaf).dtype.kind == "f" else None), x)
    )
    contexts = {"eval": EVAL, "train": Context(True, key.fold("draws"))}
    params, state = (frozen_copy(part) for part in layer.init(key.fold("init"), in_shape, np.float64))
    params = frozen_copy(moved(params, random_like(params, key.fold("shake")), 0.1))  # so that no bias is exactly 0
    check_leaves(layer, in_shape)
    with guarded(layer):
        for mode, ctx in contexts.items():
            check_shapes(layer, in_shape, params, state, x, ctx)
            check_pure(layer, params, state, x, ctx, key.fold("pure", mode))
            check_adjoint(layer, params, state, x, ctx, key.fold("adjoint", mode))
            check_linear(layer, params, state, x, ctx, key.fold("linear", mode))
            check_precision(layer, params, state, x, ctx, key.fold("precision", mode))
            check_layouts(layer, params, state, x, ctx, key.fold("layouts", mode))
            check_rows(layer, params, state, x, ctx, key.fold("rows", mode), coupled=batch_coupled and mode == "train")
            check_order(layer, params, state, x, ctx, key.fold("order", mode))
        check_range(layer, params, state, x)
        check_passes(layer, params, state, x, contexts["train"], key.fold("compiled"))
        check_steps(layer, params, state, x)
        check_copies(layer, lambda copy: copy.apply(params, state, x, EVAL)[0])


def _forward(layer: Layer, params: Params, state: State, x: Value, ctx: Context) -> tuple[Value, State, Any]:
    result: Any = reach("", layer, "apply", params, state, x, ctx)
    fits = isinstance(result, tuple) and len(result) == 3 and isinstance(result[1], dict)
    expect(fits, "apply returns (y, state, residuals)", layer, f"got {kinds(result)}")
    return result


def _backward(layer: Layer, params: Params, residuals: Any, dy: Value) -> tuple[Params, Value]:
    if dy is None:
        return vjp_child("", layer, params, residuals, dy)
    result: Any = reach("", layer, "vjp", params, _frozen_residuals(residuals), dy)
    fits = isinstance(result, tuple) and len(result) == 2 and isinstance(result[0], dict)
    expect(fits, "vjp returns (dparams, dx)", layer, f"got {kinds(result)}")
    return result


def _frozen_residuals(residuals: Any) -> Any:
    """The residuals with read-only views of their arrays."""
    if isinstance(residuals, np.ndarray):
        view = residuals.view()
        view.flags.writeable = False
        return view
    if type(residuals) in (tuple, list):
        return type(residuals)(_frozen_residuals(part) for part in residuals)
    if isinstance(residuals, Lifted):
        return Lifted(*map(_frozen_residuals, residuals))
    if type(residuals) is dict:
        return {name: _frozen_residuals(part) for name, part in residuals.items()}
    return residuals


def check_leaves(layer: Layer, in_shape: Shape) -> None:
    """``init`` returns exactly the leaves, in every dtype, and the same values for the same key."""
    for dtype in (np.float32, np.float64):
        params, state = layer.init(Key(1), in_shape, dtype)
        expected = tree.flatten(layer.leaves(in_shape))
        for kind, part in (("param", params), ("state", state)):
            want = {path: leaf.shape for path, leaf in expected.items() if isinstance(leaf, Leaf) and leaf.kind == kind}
            got = {path: np.shape(leaf) for path, leaf in tree.flatten(part).items()}
            expect(got == want, "init follows leaves", layer, f"expected {kind}s {want}, got {got}")
            for path, leaf in tree.flatten(part).items():
                wrong = f"{path} is {leaf.dtype}, not {np.dtype(dtype)}"
                expect(leaf.dtype == dtype, "init follows dtype", layer, wrong)
        expect(same(layer.init(Key(1), in_shape, dtype), (params, state)), "init is a function of its key", layer)


def check_shapes(layer: Layer, in_shape: Shape, params: Params, state: State, x: Value, ctx: Context) -> None:
    """``out_shape`` agrees with ``apply``; state keeps its keys, shapes and dtypes; evaluation keeps its values."""
    try:
        y, new_state, residuals = _forward(layer, params, state, x, ctx)
    except KeyRequired:
        expect(ctx.train, "evaluation needs no key", layer)
        raise
    expect(
        shape_of(y) == layer.out_shape(in_shape),
        "out_shape agrees with apply",
        layer,
        f"out_shape returns {layer.out_shape(in_shape)}, apply gives {shape_of(y)}",
    )
    expect(form(new_state) == form(state), "state keeps keys, shapes and dtypes", layer)
    expect(ctx.train or same(new_state, state), "evaluation keeps the state", layer)
    dparams, dx = _backward(layer, params, residuals, random_like(y, Key(2)))
    expect(
        form(dparams) == form(params),
        "gradients have the params' tree, shapes and dtypes",
        layer,
        f"expected {form(params)}, got {form(dparams)}",
    )
    floats = tree.map(lambda leaf: leaf if leaf.dtype.kind == "f" else None, x)
    expect(
        _shapes(dx) == _shapes(floats),
        "the input's cotangent has its shape, and is None for integers",
        layer,
        f"expected {_shapes(floats)}, got {_shapes(dx)}",
    )


def _shapes(value: Value) -> Any:
    return tree.map(lambda leaf: None if leaf is None else np.shape(leaf), value)


def check_adjoint(layer: Layer, params: Params, state: State, x: Value, ctx: Context, key: Key) -> None:
    """``vjp`` is the adjoint of ``apply``'s derivative, for each parameter and the input."""
    y, _, residuals = _forward(layer, params, state, x, ctx)
    for i in range(DIRECTIONS):
        dy = random_like(y, key.fold("dy", i))
        dparams, dx = _backward(layer, params, residuals, dy)
        scale = inner(tree.map(lambda leaf: None if leaf is None else np.abs(leaf), dy), tree.map(np.abs, y))

        def loss(params: Params, x: Value, dy: Value = dy) -> float:
            return inner(dy, _forward(layer, params, state, x, ctx)[0])

        u = random_like(x, key.fold("x", i))
        analytic = inner(dx, u)
        numeric, right = slope_like(lambda t: loss(params, moved(x, u, t)), analytic, scale)  # noqa: B023
        expect(right, "adjoint", layer, f"input: differences give {shown(numeric)}, vjp {shown(analytic)}")
        directions = random_like(params, key.fold("params", i))
        for path in tree.flatten(params):
            u = one_leaf(directions, path)
            analytic = inner(tree.flatten(dparams)[path], tree.flatten(u)[path])
            numeric, right = slope_like(lambda t: loss(moved(params, u, t), x), analytic, scale)  # noqa: B023
            if not right:
                detail = f"{path}: differences give {shown(numeric)}, vjp {shown(analytic)}"
                worst = _worst(lambda p: loss(p, x), params, path, tree.flatten(dparams)[path])
                expect(False, "adjoint", layer, f"{detail}, along a random direction; {worst}")


def _worst(loss: Callable[[Params], float], params: Params, path: str, gradient: Array) -> str:
    """The entry of a leaf with the largest error of its derivative, among the first few hundred."""
    flat = tree.flatten(params)

    def numeric(entry: tuple[int, ...]) -> float:
        one = np.zeros_like(flat[path])
        one[entry] = 1.0
        return slope(lambda t: loss(tree.unflatten({**flat, path: flat[path] + t * one})))

    entries = list(np.ndindex(flat[path].shape))[:400]
    right = {entry: numeric(entry) for entry in entries}
    entry = max(entries, key=lambda entry: np.nan_to_num(abs(right[entry] - gradient[entry]), nan=np.inf))
    return f"worst at {[*entry]}: expected {right[entry]:.6g}, got {gradient[entry]:.6g}"


def check_linear(layer: Layer, params: Params, state: State, x: Value, ctx: Context, key: Key) -> None:
    """``vjp`` is linear in the cotangent, and a zero cotangent gives exact zeros."""
    y, _, residuals = _forward(layer, params, state, x, ctx)
    a, b = random_like(y, key.fold("a")), random_like(y, key.fold("b"))
    both = _backward(layer, params, residuals, moved(tree.map(lambda v: None if v is None else 2.0 * v, a), b, -3.0))
    each = [_backward(layer, params, residuals, v) for v in (a, b)]
    combined = moved(_none_to_zero(tree.map(lambda v: None if v is None else 2.0 * v, each[0])), each[1], -3.0)
    expect(same(_none_to_zero(both), combined, 1e-10), "linear in the cotangent", layer)
    zeros = _backward(layer, params, residuals, tree.map(lambda v: None if v is None else np.zeros_like(v), a))
    expect(not any(np.any(leaf) for leaf in tree.leaves(zeros)), "a zero cotangent gives exact zeros", layer)


def _none_to_zero(value: Value) -> Value:
    return tree.map(lambda leaf: np.zeros(()) if leaf is None else leaf, value)


def check_pure(layer: Layer, params: Params, state: State, x: Value, ctx: Context, key: Key) -> None:
    """A layer does not write to its arguments or results and keeps no memory: the same call gives the same bits."""
    received = tree.map(np.array, (params, state, x))
    y, new_state, residuals = _forward(layer, params, state, x, ctx)
    kept = tree.map(np.array, (y, new_state))
    dy = frozen_copy(random_like(y, key))
    first = tree.map(lambda leaf: None if leaf is None else np.array(leaf), _backward(layer, params, residuals, dy))
    _forward(layer, params, state, random_like(x, key.fold("other")) if _all_floats(x) else x, ctx)
    second = _backward(layer, params, residuals, dy)
    expect(same(first, second), "vjp is a function of its arguments alone", layer, "a second call gives other bits")
    expect(same((y, new_state), kept), "pure", layer, "writes to the results of apply")
    expect(same((params, state, x), received), "pure", layer, "changes its arguments")
    again = _forward(layer, params, state, x, ctx)
    expect(same(again[:2], kept), "the same call gives the same bits", layer)


def _all_floats(x: Value) -> bool:
    return all(leaf.dtype.kind == "f" for leaf in tree.leaves(x))


def check_precision(layer: Layer, params: Params, state: State, x: Value, ctx: Context, key: Key) -> None:
    """float32 in gives float32 out, forward and backward, close to float64."""

    def to(dtype: Any, value: Value) -> Value:
        return tree.map(lambda a: a.astype(dtype) if a is not None and a.dtype.kind == "f" else a, value)

    def narrow(value: Value) -> Value:
        return to(np.float32, value)

    small = [narrow(value) for value in (params, state, x)]
    wide = [to(np.float64, value) for value in small]
    y, new_state, residuals = _forward(layer, small[0], small[1], small[2], ctx)
    y64, new_state64, residuals64 = _forward(layer, wide[0], wide[1], wide[2], ctx)
    dy = narrow(random_like(y64, key))
    back = _backward(layer, small[0], residuals, dy)
    back64 = _backward(layer, wide[0], residuals64, to(np.float64, dy))
    for name, got, exact in (("apply", (y, new_state), (y64, new_state64)), ("vjp", back, back64)):
        dtypes = {leaf.dtype for leaf in tree.leaves(got) if leaf.dtype.kind == "f"}
        expect(dtypes <= {np.dtype(np.float32)}, "float32 in gives float32 out", layer, f"{name} gives {dtypes}")
        expect(same(got, narrow(exact), 2e-4), "float32 agrees with float64", layer, f"in {name}")


def check_layouts(layer: Layer, params: Params, state: State, x: Value, ctx: Context, key: Key) -> None:
    """Transposed, strided or reversed memory layouts give the same values."""
    y, _, residuals = _forward(layer, params, state, x, ctx)
    dy = random_like(y, key)
    expected = (y, _backward(layer, params, residuals, dy))
    for name, layout in LAYOUTS.items():

        def lay(value: Value, layout: Callable[[Array], Array] = layout) -> Value:
            return tree.map(lambda leaf: None if leaf is None else layout(leaf), value)

        y, _, residuals = _forward(layer, lay(params), lay(state), lay(x), ctx)
        got = (y, _backward(layer, lay(params), residuals, lay(dy)))
        expect(same(got, expected, 1e-12), "any memory layout gives the same values", layer, name)


def check_rows(layer: Layer, params: Params, state: State, x: Value, ctx: Context, key: Key, *, coupled: bool) -> None:
    """Rows are independent, so halves of a batch give the results of the whole; if ``coupled``, they must not."""
    if not coupled:
        hint = "if batch statistics or noise are intended, pass batch_coupled=True" if ctx.train else ""
        split, whole = _halves(layer, params, state, x, ctx, key)
        expect(same(split, whole, 1e-9), "splitting a batch changes nothing", layer, hint)
        return
    draws = [ctx, *(Context(True, ctx.key.fold("again", i)) for i in range(TRIES) if ctx.key is not None)]
    changes = any(not same(*_halves(layer, params, state, x, each, key), 1e-9) for each in draws)
    changes = changes or _draws(layer, params, state, x)  # all masks of few entries may be alike
    expect(changes, "batch_coupled: splitting a training batch changes it", layer)
    y = _forward(layer, params, state, x, ctx)[0]
    backwards = _forward(layer, params, state, tree.map(lambda a: a[::-1], x), ctx)[0]
    if ctx.key is not None and not same(tree.map(lambda a: a[::-1], backwards), y, 1e-9):
        others = (_forward(layer, params, state, x, each)[0] for each in draws[1:])
        expect(any(not same(other, y) for other in others), "noise depends on the key", layer)


TRIES = 24
"""Keys that are tried before two draws count as always alike"""


def _halves(layer: Layer, params: Params, state: State, x: Value, ctx: Context, key: Key) -> tuple[Value, Value]:
    """Output, gradients and cotangent of two halves of a batch together, and those of the whole."""
    y, _, residuals = _forward(layer, params, state, x, ctx)
    dy = random_like(y, key)
    dparams, dx = _backward(layer, params, residuals, dy)
    rows = len(tree.leaves(x)[0])
    outs = []
    for half in (slice(0, rows // 2), slice(rows // 2, rows)):
        part_y, _, part_residuals = _forward(layer, params, state, tree.map(lambda a: a[half], x), ctx)  # noqa: B023
        part_dy = tree.map(lambda a: None if a is None else a[half], dy)  # noqa: B023
        outs.append((part_y, *_backward(layer, params, part_residuals, part_dy)))

    def joined(i: int) -> Value:
        return tree.map(lambda a, b: None if a is None else np.concatenate([a, b]), outs[0][i], outs[1][i])

    return (joined(0), tree.map(np.add, outs[0][1], outs[1][1]), joined(2)), (y, dparams, dx)


def _draws(layer: Layer, params: Params, state: State, x: Value) -> bool:
    """Whether a layer draws random numbers in training."""
    try:
        _forward(layer, params, state, x, Context(True))
    except KeyRequired:
        return True
    return False


class _Turning:
    """Calls every layer, inner ones included, and reverses the order of keys in its results."""

    outer: Caller | None = None

    def call(self, name: str, layer: Layer, method: str, args: tuple[Any, ...]) -> Any:
        result = getattr(layer, method)(*args) if self.outer is None else self.outer.call(name, layer, method, args)
        if method == "apply":
            y, state, residuals = returned(layer, method, result)
            return turned(y), turned(state), residuals
        return turned(result) if method == "vjp" else result


def check_order(layer: Layer, params: Params, state: State, x: Value, ctx: Context, key: Key) -> None:
    """Dicts are read by key: their order changes nothing, in a layer's arguments or in its children's results.

    One is reversed at a time, since two reversed dicts would still pair by place.
    """
    y, new_state, residuals = _forward(layer, params, state, x, ctx)
    dy = random_like(y, key)
    expected = (y, new_state, *_backward(layer, params, residuals, dy))
    law = "the order of keys changes nothing"
    for what, p, s, a, b, caller in (
        ("params", turned(params), state, x, dy, None),
        ("state", params, turned(state), x, dy, None),
        ("inputs and cotangents", params, state, turned(x), turned(dy), None),
        ("what its layers return", params, state, x, dy, _Turning()),
    ):
        try:
            with listen_between(caller) if caller else contextlib.nullcontext():
                y, new_state, residuals = _forward(layer, p, s, a, ctx)
                got = (y, new_state, *_backward(layer, p, residuals, b))
        except Exception as error:  # arrays of different shapes are combined
            message = f"breaks the law {law!r}: with {what} in reverse order: {error}"
            raise LawError(message, layer=type(layer).__name__) from error
        expect(same(got, expected, 1e-12), law, layer, f"that of {what} does; pair leaves and values by name")


def check_steps(layer: Layer, params: Params, state: State, x: Value) -> None:
    """If ``fn.stepper`` accepts a layer of sequences, each step equals that of the whole sequence."""
    if not all(leaf.ndim > 2 or (leaf.ndim == 2 and leaf.dtype.kind != "f") for leaf in tree.leaves(x)):
        return
    start, step = stepper(layer)
    length = tree.leaves(x)[0].shape[1]
    ys: list[Value] = []
    carry = start(len(tree.leaves(x)[0]))
    for t in range(length):
        try:
            y, carry = step(params, state, carry, tree.map(lambda leaf: leaf[:, t], x))  # noqa: B023
        except ShapeError:
            if t == 0:
                return  # it does not claim to run step by step
            raise
        ys.append(y)
    whole = tree.leaves(_forward(layer, params, state, x, EVAL)[0])
    for i, leaf in enumerate(whole):
        steps = [tree.leaves(y)[i] for y in ys]
        got = steps[-1] if steps[-1].shape == leaf.shape else np.stack(steps, 1)
        expect(same(got, leaf, 1e-9), "a step equals that of the whole sequence", layer, "stepwise is not true of it")


def check_passes(layer: Layer, params: Params, state: State, x: Value, ctx: Context, key: Key) -> None:
    """Compiled, the forward and the backward pass have the same bits."""
    dy = random_like(_forward(layer, params, state, x, ctx)[0], key)

    def both(params: Params, state: State, x: Value, dy: Value) -> Any:
        y, new_state, residuals = layer.apply(params, state, x, ctx)
        return y, new_state, layer.vjp(params, residuals, dy)

    check_bits(both, (params, state, x, dy), layer)


def check_range(layer: Layer, params: Params, state: State, x: Value) -> None:
    """Outputs in evaluation lie in the range that ``out_range`` gives for the range of the inputs."""
    given = Range(float(np.min(x)), float(np.max(x))) if isinstance(x, np.ndarray) and x.size else None
    found = range_of(layer, given)
    y = _forward(layer, params, state, x, EVAL)[0]
    for one, leaf in zip(found, y, strict=True) if type(found) is tuple and type(y) is tuple else [(found, y)]:
        if isinstance(one, Range) and isinstance(leaf, np.ndarray) and leaf.size:
            low, high = float(leaf.min()), float(leaf.max())
            room = 1e-9 * max(1.0, abs(low), abs(high))
            inside = one.low - room <= low and high <= one.high + room
            detail = f"out_range gives {one}, apply numbers from {low:g} to {high:g}"
            expect(inside, "outputs lie in out_range", layer, detail)
