"""The laws of combinators: how they reach the layers that they are made of."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

from funcnet import tree
from funcnet.combinators.serial import serial
from funcnet.errors import FuncnetError, PathError, ShapeError
from funcnet.key import Key
from funcnet.laws.layers import check_layer
from funcnet.laws.values import expect, form, random_input, random_like, same
from funcnet.layers.activations import Relu, Tanh
from funcnet.layers.base import EVAL, Combinator, Context, Layer, Params, State, reach
from funcnet.layers.calls import Call, listen
from funcnet.layers.dense import Scale
from funcnet.layers.noise import Dropout
from funcnet.layers.normalization import BatchNorm
from funcnet.layers.recurrent import GRU
from funcnet.networks.decoding import rule_for
from funcnet.networks.surgery import replace, select
from funcnet.shapes import Shape, Value, shape_of
from funcnet.spec.fields import frozen

REACHED = "every layer is called through fn.apply_child, in evaluation or training"

STEPS = 5
"""The length of the sequences on which a combinator that runs step by step is tried"""


def check_combinator(make: Callable[..., Layer], in_shape: Shape = (4,), *, batch_coupled: bool = False) -> None:
    """Run every law on a combinator of your own: those of ``check_layer``, and how it reaches its layers.

    ``make`` builds it from as many layers as it has parameters, such as the class itself or
    ``lambda layer: Gated(layer, fn.Sigmoid())``. It is tried with layers that have params, keep a state, draw random
    numbers or fail, which give outputs of ``in_shape``, their input's shape; if its class says ``stepwise``, with
    sequences too. ``batch_coupled`` as in ``check_layer``.
    Raises   LawError naming the broken law and, if any, the layer

    >>> fn.check_combinator(fn.Residual)
    >>> fn.check_combinator(lambda first, second: fn.serial(first, fn.Tanh(), last=second), (3,))
    """
    if not callable(make):
        raise FuncnetError(f"expected a function that makes a combinator from layers, got {make!r:.60}")
    plain = made(make, serial(Scale(), Tanh()))
    noisy, keeping = made(make, Dropout(0.5)), made(make, BatchNorm())
    for net in (plain, noisy, keeping):
        check_children(net, in_shape)
    check_layer(plain, in_shape, batch_coupled=batch_coupled)
    check_layer(noisy, in_shape, batch_coupled=True)
    check_paths(made(make, _Failing()), in_shape)
    check_edits(plain)
    if runs_by_steps(plain) and isinstance(in_shape, tuple) and len(in_shape) == 1:
        check_layer(made(make, GRU(in_shape[0])), (STEPS, *in_shape), batch_coupled=batch_coupled)


def made(make: Callable[..., Layer], layer: Layer) -> Combinator:
    """The combinator of copies of a layer, as many as ``make`` has required parameters."""
    kinds = inspect.Parameter
    given = inspect.signature(make).parameters.values()
    by_place = [one for one in given if one.kind in (kinds.POSITIONAL_ONLY, kinds.POSITIONAL_OR_KEYWORD)]
    count = sum(one.default is one.empty for one in by_place)
    count += 2 * any(one.kind == kinds.VAR_POSITIONAL for one in given)
    net: Any = make(*[layer] * count)
    if not isinstance(net, Combinator):
        raise FuncnetError(f"expected make to return a fn.Combinator, got {net!r:.60}")
    return net


def runs_by_steps(net: Combinator) -> bool:
    """Whether a combinator says of itself that it is ``stepwise``."""
    try:
        rule_for(net)
    except ShapeError:
        return False
    return True


@frozen
class _Failing(Layer):
    """Refuses every input."""

    def out_shape(self, in_shape: Shape) -> Shape:
        return in_shape

    def apply(self, params: Params, state: State, x: Value, ctx: Context) -> tuple[Value, State, Any]:
        raise FuncnetError("fails")

    def vjp(self, params: Params, residuals: Any, dy: Value) -> tuple[Params, Value]:
        raise FuncnetError("fails")


def check_children(net: Combinator, in_shape: Shape) -> None:
    """Each layer gets its own shape, params, state and key, forward and backward, and its results are returned."""
    key = Key(0).fold("laws")
    params, state = net.init(key, in_shape)
    shapes = net.in_shapes(in_shape)
    for name, layer in net.children.items():
        leaves = tree.flatten(reach(name, layer, "leaves", shapes[name]))
        wrong = set(leaves) - {path.removeprefix(f"{name}/") for path in (*tree.flatten(params), *tree.flatten(state))}
        expect(not wrong, "params and state of a layer are under its name", net, f"{name!r} lacks {sorted(wrong)}")
    x = random_input(net, in_shape, key.fold("x"))
    reached: set[str] = set()
    for ctx in (EVAL, *(Context(True, key.fold("draws", i)) for i in range(3))):
        reached |= check_calls(net, params, state, x, ctx, shapes)
    missing = [repr(name) for name in net.children if name not in reached]
    expect(not missing, REACHED, net, f"{', '.join(missing)} not")


class _Seen(NamedTuple):
    """What a layer got and gave in one call of ``apply``."""

    name: str
    shape: Shape
    params: dict[str, Any]
    expected: dict[str, Any]
    key: Key | None
    state: State


def check_calls(net: Combinator, params: Params, state: State, x: Value, ctx: Context, shapes: Any) -> set[str]:
    """The layers that a forward pass calls, with what they get and give; backward the same are called."""
    seen: list[_Seen] = []

    def forward(call: Call) -> None:
        if call.method == "apply" and call.depth == 1:
            own_params, _, value, own_ctx = call.args
            leaves = tree.flatten(call.layer.leaves(shape_of(value)))
            expected = {path: leaf.shape for path, leaf in leaves.items() if leaf.kind == "param"}
            got = {path: shape for path, (shape, _) in form(own_params).items()}
            seen.append(_Seen(call.path, shape_of(value), got, expected, own_ctx.key, tree.flatten(call.result[1])))

    with listen(forward):
        y, new_state, residuals = reach("", net, "apply", params, state, x, ctx)
    keys: dict[Any, str] = {}
    after = tree.flatten(new_state)
    for i, one in enumerate(seen):
        expect(one.name in shapes, REACHED, net, f"the layers inside {one.name!r} are reached past their combinator")
        detail = f"{one.name!r} receives {one.shape}, wire says {shapes[one.name]}"
        expect(one.shape == shapes[one.name], "wire gives the shape that a layer receives", net, detail)
        detail = f"{one.name!r} receives {one.params}, not {one.expected}"
        expect(one.params == one.expected, "a layer receives its own params", net, detail)
        if one.key is not None:
            owner = keys.setdefault(one.key, one.name)
            law = "layers draw from keys of their own"
            expect(owner == one.name, law, net, f"{owner!r} and {one.name!r} have the same")
            expect(not one.name or one.key != ctx.key, law, net, f"{one.name!r} has the combinator's")
        if all(other.name != one.name for other in seen[i + 1 :]):
            for path, leaf in one.state.items():
                got = after.get("/".join(filter(None, (one.name, path))))
                right = got is not None and (got.shape != leaf.shape or same(got, leaf))  # copies may be stacked
                expect(right, "the state that a layer returns is kept under its name", net, f"{one.name!r}: {path}")
    back: set[str] = set()
    with listen(lambda call: back.add(call.path) if call.depth == 1 and call.method == "vjp" else None):
        reach("", net, "vjp", params, residuals, random_like(y, Key(1)))
    names = {one.name for one in seen}
    law = "vjp calls through fn.vjp_child what apply called"
    expect(back >= names, law, net, f"not {sorted(names - back)}")
    return names


def check_paths(net: Combinator, in_shape: Shape) -> None:
    """An error in a layer names the layer by its path."""
    params, state = net.init(Key(0), in_shape)
    x = random_input(net, in_shape, Key(1))
    law = "an error in a layer starts with its path"
    try:
        reach("", net, "apply", params, state, x, Context(True, Key(2)))
    except FuncnetError as error:
        expect("" in net.children or error.path[:1] in {(name,) for name in net.children}, law, net, f"it says {error}")
    else:
        expect(False, law, net, "none is raised")


def check_edits(net: Combinator) -> None:
    """A layer that is selected, replaced and put back gives the same combinator."""
    for name, layer in net.children.items():
        if name:
            try:
                changed = replace(net, name, Relu())
            except PathError:  # it makes the layer from another, as Bidirectional does
                continue
            law = "a replaced layer is the one that is selected"
            expect(select(changed, name)[name] == Relu(), law, net, repr(name))
            expect(replace(changed, name, layer) == net, "a layer that is put back gives the same network", net, name)
