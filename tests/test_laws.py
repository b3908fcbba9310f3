"""The laws over the whole table, and proof that they catch what they are for: mutants of every row, planted bugs."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import attrs
import numpy as np
import pytest

import funcnet as fn
from funcnet import losses, ops, optim, tree
from funcnet.layers.base import vjp_child
from funcnet.spec import base as spec
from tests import rows
from tests.row import Row, random_like
from tests.rows.core import GAIN
from tests.table import (
    IGNORING,
    KINDS,
    LAYERS,
    LOSSES,
    OPTIMIZERS,
    RULES,
    SCHEDULES,
    SEVERAL,
    TRANSFORMS,
    of_those,
    same,
)

KEY = fn.Key(5)

# ----- what is set matters ------------------------------------------------------------------------------


def specs_in(value: Any) -> Iterator[spec.Spec]:
    """A spec and every spec inside it."""
    if isinstance(value, spec.Spec):
        yield value
        for field in spec.fields(type(value)):
            yield from specs_in(getattr(value, field.name))
    elif isinstance(value, tuple):
        for item in value:
            yield from specs_in(item)
    elif isinstance(value, spec.FrozenDict):
        yield from specs_in(tuple(value.values()))


def test_every_file_of_rows_is_in_the_table() -> None:
    files = {path.stem for path in Path(rows.__file__).parent.glob("[!_]*.py")}
    assert files == set(rows.FAMILIES), f"tests/rows/__init__.py lists {rows.FAMILIES}, there are {sorted(files)}"


def behaviour(subject: Any, row: Row | None = None, case: Any = None) -> dict[str, Any]:
    """Numbers that tell one configuration from another."""
    if isinstance(subject, fn.Layer):
        assert row is not None
        return layer_behaviour(subject, row)
    if isinstance(subject, losses.Loss):
        try:
            value, residuals = subject.apply(case.prediction, case.target)
        except fn.DataError as error:  # a target that only a loss with a label to ignore takes
            return {"error": str(error)}
        return {"value": value, "slope": subject.vjp(residuals)}
    if isinstance(subject, optim.Schedule):
        return {"values": np.array([subject(step) for step in range(8)])}
    try:
        return {"params": trajectory(subject)}
    except fn.PathError as error:
        return {"error": str(error)}


def layer_behaviour(layer: fn.Layer, row: Row) -> dict[str, Any]:
    try:
        params, state = layer.init(KEY, row.in_shape, np.float64)
    except fn.ShapeError as error:
        return {"error": str(error)}
    x = row.input(KEY.fold("x"))
    out: dict[str, Any] = {"params": params, "state": state}
    for mode, ctx in (("eval", fn.EVAL), ("train", fn.Context(True, KEY))):
        y, new_state, residuals = layer.apply(params, state, x, ctx)
        back = layer.vjp(params, residuals, random_like(y, KEY.fold("dy")))
        out[mode] = {"y": y, "state": new_state, "back": back}
    return out


def trajectory(opt: optim.Optimizer, steps: int = 8) -> Any:
    """The params, the state and the updates of a few steps on noisy gradients."""
    params = {"a": {"weight": KEY.fold("w").normal((3, 2))}, "bias": KEY.fold("b").normal((2,))}
    state, out = opt.init(params), []
    for step in range(steps):
        grads = random_like(params, KEY.fold("g", step))
        value = 1.0 - 0.1 * step
        updates, state = opt.update(grads, state, params, value)
        params = fn.apply_updates(params, updates)
        state = opt.observe(state, {"loss": value, "validation/loss": value, "validation/accuracy": value})
        out.append((params, updates, state))
    return tuple(out)


def fields_set(subject: spec.Spec) -> list[Any]:
    """The fields that have a default and another value."""
    fields = spec.fields(type(subject))
    return [f for f in fields if f.default is not attrs.NOTHING and getattr(subject, f.name) != f.default]


CONFIGURED: list[tuple[str, Any, Any, Any]] = [
    *[(name, row.layer, row, None) for name, row in LAYERS.items()],
    *[(name, case.loss, None, case) for name, case in (LOSSES | SEVERAL | IGNORING).items()],
    *[(name, opt, None, None) for name, opt in OPTIMIZERS.items()],
    *[(f"schedule_{name}", schedule, None, None) for name, schedule in SCHEDULES.items() if "of_the_run" not in name],
]
UNFIT = [("each_member_of_steps", "axis"), ("quantile_levels", "levels"), ("quantile_of_targets", "levels")]
"""Fields with whose default the targets do not even fit"""
WITH_OPTIONS = [entry for entry in CONFIGURED if fields_set(entry[1])]


@pytest.mark.parametrize(("name", "subject", "row", "case"), WITH_OPTIONS, ids=[entry[0] for entry in WITH_OPTIONS])
def test_every_value_that_is_set_matters(name: str, subject: Any, row: Any, case: Any) -> None:
    whole = behaviour(subject, row, case)
    for field in fields_set(subject):
        if field.name == "total_steps":  # its default is the length of the run, which only fit knows
            continue
        try:
            default = spec.evolve(subject, **{field.name: field.default})
        except fn.SpecError:  # it may not even be left out: SGD's momentum beside nesterov
            continue
        if (name, field.name) in UNFIT:
            with pytest.raises(fn.ShapeError):
                behaviour(default, row, case)
            continue
        assert not same(behaviour(default, row, case), whole), f"{field.name} changes nothing"


STARTS = [(optim.Adagrad, "initial")]
"""Numbers that ``init`` reads, when there is no step yet"""


def numeric_fields() -> Iterator[tuple[str, str]]:
    for name, opt in OPTIMIZERS.items():
        for field in spec.fields(type(opt)):
            if type(getattr(opt, field.name)) is float and (type(opt), field.name) not in STARTS:
                yield name, field.name


@pytest.mark.parametrize(("name", "field"), list(numeric_fields()))
def test_a_constant_schedule_is_its_number(name: str, field: str) -> None:
    """Every numeric hyperparameter takes a schedule, and reads it."""
    opt = OPTIMIZERS[name]
    scheduled = spec.evolve(opt, **{field: optim.ConstantRate(getattr(opt, field))})
    numbers = [[step[0] for step in trajectory(each)] for each in (scheduled, opt)]
    assert same(tuple(numbers[0]), tuple(numbers[1]))


# ----- the laws hold ------------------------------------------------------------------------------------


def given(row: Row) -> Any:
    """The batch that a row asks for; None where any will do."""
    return None if row.x is None else row.input(KEY)


@pytest.mark.parametrize("name", LAYERS)
def test_layer_obeys_the_laws(name: str) -> None:
    row = LAYERS[name]
    fn.check_layer(row.layer, row.in_shape, x=given(row), batch_coupled=row.coupled)


def with_padding(value: Any, fill: Any) -> Any:
    """A value whose padded entries hold ``fill``, or -7 where they are integers; None stays None.

    A mask belongs to the arrays beside it that have its steps.
    """
    if not isinstance(value, tuple):
        return value
    masks = [part for part in value if isinstance(part, np.ndarray) and part.dtype == bool and part.ndim == 2]

    def filled(part: Any) -> Any:
        if isinstance(part, np.ndarray) and masks and part.dtype != bool and part.shape[:2] == masks[0].shape:
            here = masks[0].reshape(*masks[0].shape, *(1,) * (part.ndim - 2))
            return np.where(here, part, part.dtype.type(fill if part.dtype.kind == "f" else -7))
        return with_padding(part, fill)

    return tuple(map(filled, value))


def paired(dy: Any, y: Any) -> Any:
    """A cotangent with the masks of the output it belongs to."""
    if isinstance(y, tuple):
        return tuple(map(paired, dy, y))
    return y if dy is None and y.dtype == bool else dy


def unpaired(value: Any) -> Any:
    """A cotangent without masks."""
    return fn.tree.map(lambda leaf: None if leaf is None or leaf.dtype == bool else leaf, value)


MASKED = [name for name, row in LAYERS.items() if any(leaf.dtype == bool for leaf in tree.leaves(row.input(KEY)))]


@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("name", MASKED)
def test_what_padding_holds_changes_nothing(name: str, train: bool) -> None:
    """Outputs, gradients and state for padding of NaN and infinity, in the input and in the cotangent; compiled too."""
    row, ctx = LAYERS[name], fn.Context(train, KEY)
    params, state = row.layer.init(KEY, row.in_shape, np.float64)
    x = row.input(KEY)

    def both(params: Any, state: Any, x: Any, dy: Any) -> Any:
        y, new_state, residuals = row.layer.apply(params, state, x, ctx)
        return y, new_state, *row.layer.vjp(params, residuals, dy)

    y = row.layer.apply(params, state, with_padding(x, 0.0), ctx)[0]
    dy = paired(random_like(y, KEY.fold("dy")), y)
    expected = both(params, state, with_padding(x, 0.0), unpaired(with_padding(dy, 0.0)))
    assert all(np.isfinite(leaf).all() for leaf in tree.leaves(expected))
    assert same(y, with_padding(y, 0.0)), "outputs at masked steps are not 0"
    dx = paired(expected[3], x)
    assert same(dx, with_padding(dx, 0.0)), "cotangents at masked steps are not 0"
    for fill in (1e3, np.nan, np.inf, -np.inf):
        for run in (both, fn.compile(both)):
            assert same(run(params, state, with_padding(x, fill), unpaired(with_padding(dy, fill))), expected), fill


@pytest.mark.parametrize("name", LOSSES | SEVERAL | IGNORING)
def test_loss_obeys_the_laws(name: str) -> None:
    fn.check_loss(*(LOSSES | SEVERAL | IGNORING)[name])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer_obeys_the_laws(name: str) -> None:
    fn.check_optimizer(OPTIMIZERS[name])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer_obeys_the_laws_for_a_leaf_of_shape_nothing(name: str) -> None:
    opt, params = OPTIMIZERS[name], {part: np.asarray(2.0, np.float32) for part in ("weight", "bias")}
    state, grads = opt.init(params), {part: np.asarray(0.5, np.float32) for part in params}
    for _ in range(3):
        updates, state = opt.update(grads, state, params, 1.0)
        params = fn.apply_updates(params, updates)
        for leaf in params.values():
            assert leaf.dtype == np.float32
            assert leaf.shape == ()
    assert params["weight"] > 2.0 if name in TRANSFORMS else params["weight"] < 2.0


def derives_leaves(layer: fn.Layer) -> bool:
    """Whether some leaf is not drawn by itself: stacked from several draws, or computed from another."""
    return any(isinstance(inner, fn.Repeat | fn.Ensemble | fn.WeightNorm) for inner in specs_in(layer))


@pytest.mark.parametrize(
    "name", [n for n, row in LAYERS.items() if not n.startswith("function") and not derives_leaves(row.layer)]
)
def test_each_leaf_draws_from_the_key_folded_by_its_path(name: str) -> None:
    layer, in_shape, *_ = LAYERS[name]
    params, state = layer.init(KEY, in_shape, np.float64)
    given = {"param": tree.flatten(params), "state": tree.flatten(state)}
    for path, leaf in tree.flatten(layer.leaves(in_shape)).items():
        expected = leaf.initializer(KEY.fold(*path.split("/")), leaf.shape, np.float64)
        np.testing.assert_array_equal(given[leaf.kind].pop(path), expected, err_msg=path)
    assert given == {"param": {}, "state": {}}


@pytest.mark.parametrize("name", of_those([name for name, row in LAYERS.items() if not row.coupled], KINDS))
def test_a_layer_that_is_not_coupled_is_not_called_so(name: str) -> None:
    layer, in_shape, *_ = LAYERS[name]
    with pytest.raises(fn.LawError) as caught:
        fn.check_layer(layer, in_shape, x=given(LAYERS[name]), batch_coupled=True)
    assert str(caught.value) == (
        f"{type(layer).__name__}: breaks the law 'batch_coupled: splitting a training batch changes it'"
    )


@pytest.mark.parametrize("name", [name for name, row in LAYERS.items() if row.coupled])
def test_a_coupled_layer_must_be_declared(name: str) -> None:
    layer, in_shape, *_ = LAYERS[name]
    with pytest.raises(fn.LawError) as caught:
        fn.check_layer(layer, in_shape, x=given(LAYERS[name]))
    assert str(caught.value) == (
        f"{type(layer).__name__}: breaks the law 'splitting a batch changes nothing': "
        "if batch statistics or noise are intended, pass batch_coupled=True"
    )


# ----- mutants of every row -----------------------------------------------------------------------------


@attrs.frozen
class Mutant(fn.Layer):
    """A layer with something between it and the world; unchanged as it stands."""

    layer: fn.Layer
    forward: Callable[..., Any] = lambda layer, *args: layer.apply(*args)
    backward: Callable[..., Any] = lambda layer, *args: layer.vjp(*args)
    shape: Callable[..., Any] = lambda shape: shape

    def leaves(self, in_shape: Any) -> Any:
        return self.layer.leaves(in_shape)

    def out_shape(self, in_shape: Any) -> Any:
        return self.shape(self.layer.out_shape(in_shape))

    def in_kinds(self, in_shape: Any) -> Any:
        return self.layer.in_kinds(in_shape)

    def init(self, key: Any, in_shape: Any, dtype: Any = np.float32) -> Any:
        return self.layer.init(key, in_shape, dtype)

    def apply(self, params: Any, state: Any, x: Any, ctx: Any) -> Any:
        return self.forward(self.layer, params, state, x, ctx)

    def vjp(self, params: Any, residuals: Any, dy: Any) -> Any:
        return self.backward(self.layer, params, residuals, dy)


def verdict(mutant: fn.Layer, row: Row) -> str:
    """What the laws say about a mutant; anything but a LawError is what a user should never see."""
    try:
        fn.check_layer(mutant, row.in_shape, x=given(row), batch_coupled=row.coupled)
    except fn.LawError as error:
        return str(error)
    except Exception as error:
        return f"{type(error).__name__}, not a LawError: {error}"
    return "the laws hold"


def numbered(value: Any) -> list[Any]:
    return tree.leaves(value)


def change_leaf(value: Any, index: int, change: Callable[[Any], Any]) -> Any:
    """A value with one of its leaves changed."""
    counter = iter(range(10**6))
    return tree.map(lambda leaf: change(leaf) if leaf is not None and next(counter) == index else leaf, value)


WRONG_VALUES: dict[str, Callable[[Any], Any]] = {
    "negated": lambda leaf: -leaf,
    "scaled": lambda leaf: leaf * (1.0 + 1e-4),
    "zeroed": lambda leaf: leaf * 0.0,
    "one entry off": lambda leaf: leaf + 1e-3 * (np.arange(leaf.size).reshape(leaf.shape) == leaf.size // 2),
}


@pytest.mark.parametrize("name", of_those(LAYERS, KINDS))
def test_the_wrapper_itself_obeys_the_laws(name: str) -> None:
    """Without this, mutants might be caught for being mutants."""
    assert verdict(Mutant(LAYERS[name].layer), LAYERS[name]) == "the laws hold"


@pytest.mark.parametrize("name", of_those(LAYERS, KINDS))
def test_a_wrong_cotangent_of_the_input_is_caught(name: str) -> None:
    row = LAYERS[name]
    leaves = [leaf.dtype.kind for leaf in numbered(row.input(KEY))].count("f")
    for index in range(leaves):
        for what, change in WRONG_VALUES.items():

            def backward(layer: Any, *args: Any, index: int = index, change: Any = change) -> Any:
                dparams, dx = layer.vjp(*args)
                return dparams, change_leaf(dx, index, change)

            said = verdict(Mutant(row.layer, backward=backward), row)
            assert said.startswith("Mutant: breaks the law 'adjoint': input: differences give "), (what, index, said)


def without_effect(row: Row) -> set[str]:
    """The params whose gradient is zero whatever they are, such as the bias of attention's keys."""
    params, state = row.layer.init(KEY, row.in_shape, np.float64)
    y, _, residuals = row.layer.apply(params, state, row.input(KEY), fn.Context(True, KEY))
    gradients, _ = row.layer.vjp(params, residuals, random_like(y, KEY.fold("dy")))
    return {path for path, leaf in tree.flatten(gradients).items() if np.max(np.abs(leaf), initial=0.0) < 1e-14}


WITH_PARAMS = [name for name, row in LAYERS.items() if row.layer.init(KEY, row.in_shape)[0]]


@pytest.mark.parametrize("name", of_those(WITH_PARAMS, KINDS))
def test_a_wrong_gradient_of_any_parameter_is_caught_and_named(name: str) -> None:
    row = LAYERS[name]
    unused = without_effect(row)
    for path in tree.flatten(row.layer.init(KEY, row.in_shape)[0]):
        for what, change in WRONG_VALUES.items():

            def backward(layer: Any, *args: Any, path: str = path, change: Any = change) -> Any:
                dparams, dx = layer.vjp(*args)
                return tree.at(dparams, path).apply(change), dx

            if what != "one entry off" and path in unused:
                continue
            said = verdict(Mutant(row.layer, backward=backward), row)
            assert said.startswith(f"Mutant: breaks the law 'adjoint': {path}: differences give "), (what, said)


@pytest.mark.parametrize("path", ["weight", "bias"])
def test_a_gradient_that_is_not_a_number_is_named(path: str) -> None:
    def backward(layer: Any, *args: Any) -> Any:
        dparams, dx = layer.vjp(*args)
        return {**dparams, path: dparams[path] * np.nan}, dx

    said = verdict(Mutant(fn.Dense(3), backward=backward), LAYERS["dense"])
    assert re.fullmatch(
        rf"Mutant: breaks the law 'adjoint': {path}: differences give \S+, vjp nan, along .*worst at .* got nan", said
    )


def test_a_cotangent_that_is_not_a_number_is_caught() -> None:
    def backward(layer: Any, *args: Any) -> Any:
        dparams, dx = layer.vjp(*args)
        return dparams, dx * np.nan

    said = verdict(Mutant(fn.Dense(3), backward=backward), LAYERS["dense"])
    assert re.fullmatch(r"Mutant: breaks the law 'adjoint': input: differences give \S+, vjp nan", said)


@pytest.mark.parametrize("name", of_those(WITH_PARAMS, KINDS))
def test_a_missing_gradient_is_caught(name: str) -> None:
    row = LAYERS[name]
    for path in tree.flatten(row.layer.init(KEY, row.in_shape)[0]):

        def backward(layer: Any, *args: Any, path: str = path) -> Any:
            dparams, dx = layer.vjp(*args)
            flat = tree.flatten(dparams)
            return tree.unflatten({other: leaf for other, leaf in flat.items() if other != path}), dx

        said = verdict(Mutant(row.layer, backward=backward), row)
        assert said.startswith("""Mutant: breaks the law "gradients have the params' tree, shapes and dtypes": """), (
            said
        )


def widen(value: Any) -> Any:
    return tree.map(lambda leaf: np.asarray(leaf).astype(np.float64), value)


def add_axis(value: Any) -> Any:
    return tree.map(lambda leaf: None if leaf is None else leaf[..., None], value)


def longer(shape: Any) -> Any:
    if isinstance(shape, dict):
        return {name: longer(inner) for name, inner in shape.items()}
    if shape and not isinstance(shape[0], int):
        return tuple(longer(inner) for inner in shape)
    return (*shape, 1)


def write(value: Any) -> None:
    """Write to every array of a value, in place."""
    for leaf in tree.leaves(value):
        leaf += 1.0


def wide_output(layer: Any, *args: Any) -> Any:
    y, state, residuals = layer.apply(*args)
    return widen(y), state, residuals


def wide_input_cotangent(layer: Any, *args: Any) -> Any:
    dparams, dx = layer.vjp(*args)
    return dparams, widen(dx)


def wide_gradients(layer: Any, *args: Any) -> Any:
    dparams, dx = layer.vjp(*args)
    return widen(dparams), dx


def wide_state(layer: Any, *args: Any) -> Any:
    y, state, residuals = layer.apply(*args)
    return y, widen(state), residuals


def output_with_another_axis(layer: Any, *args: Any) -> Any:
    y, state, residuals = layer.apply(*args)
    return add_axis(y), state, residuals


def cotangent_with_another_axis(layer: Any, *args: Any) -> Any:
    dparams, dx = layer.vjp(*args)
    return dparams, add_axis(dx)


def rows_reversed(layer: Any, *args: Any) -> Any:
    y, state, residuals = layer.apply(*args)
    return tree.map(lambda leaf: leaf[::-1], y), state, residuals


def rows_reversed_back(layer: Any, params: Any, residuals: Any, dy: Any) -> Any:
    return layer.vjp(params, residuals, tree.map(lambda leaf: None if leaf is None else leaf[::-1], dy))


def constant_added(layer: Any, *args: Any) -> Any:
    dparams, dx = layer.vjp(*args)
    return dparams, tree.map(lambda leaf: None if leaf is None else leaf + 1e-9, dx)


def never_the_same(layer: Any, *args: Any) -> Any:
    y, state, residuals = layer.apply(*args)
    return tree.map(lambda leaf: leaf + 1e-13 * next(COUNT), y), state, residuals


def state_in_evaluation(layer: Any, params: Any, state: Any, x: Any, ctx: Any) -> Any:
    y, new, residuals = layer.apply(params, state, x, ctx)
    return y, new if ctx.train else tree.map(lambda leaf: leaf + 1.0, new), residuals


def state_lost(layer: Any, *args: Any) -> Any:
    y, _, residuals = layer.apply(*args)
    return y, {}, residuals


def evaluation_trains(layer: Any, params: Any, state: Any, x: Any, ctx: Any) -> Any:
    y, new, residuals = layer.apply(params, state, x, fn.Context(True, ctx.key or KEY))
    return y, new if ctx.train else state, residuals


def never_trains(layer: Any, params: Any, state: Any, x: Any, ctx: Any) -> Any:
    return layer.apply(params, state, x, fn.EVAL)


def needs_a_key(layer: Any, params: Any, state: Any, x: Any, ctx: Any) -> Any:
    ctx.draw()
    return layer.apply(params, state, x, ctx)


def ignores_the_key(layer: Any, params: Any, state: Any, x: Any, ctx: Any) -> Any:
    return layer.apply(params, state, x, fn.Context(ctx.train, KEY))


def writes_the_input(layer: Any, params: Any, state: Any, x: Any, ctx: Any) -> Any:
    out = layer.apply(params, state, x, ctx)
    write(x)
    return out


def writes_the_params(layer: Any, params: Any, state: Any, x: Any, ctx: Any) -> Any:
    out = layer.apply(params, state, x, ctx)
    write(params)
    return out


def writes_the_state(layer: Any, params: Any, state: Any, x: Any, ctx: Any) -> Any:
    out = layer.apply(params, state, x, ctx)
    write(state)
    return out


def writes_the_params_going_back(layer: Any, params: Any, residuals: Any, dy: Any) -> Any:
    out = layer.vjp(params, residuals, dy)
    write(params)
    return out


def writes_the_cotangent(layer: Any, params: Any, residuals: Any, dy: Any) -> Any:
    dparams, dx = tree.map(np.array, layer.vjp(params, residuals, dy))
    write(dy)
    return dparams, dx


def enters_gradients_in_the_params(layer: Any, params: Any, residuals: Any, dy: Any) -> Any:
    dparams, dx = layer.vjp(params, residuals, dy)
    params["gradients"] = np.zeros(3)
    return dparams, dx


def keeps_its_output(layer: Any, params: Any, state: Any, x: Any, ctx: Any) -> Any:
    y, state, residuals = layer.apply(params, state, x, ctx)
    return y, state, (y, residuals)


def writes_the_output_going_back(layer: Any, params: Any, residuals: Any, dy: Any) -> Any:
    y, residuals = residuals
    out = layer.vjp(params, residuals, dy)
    write(y)
    return out


def residuals_outside(layer: Any, params: Any, state: Any, x: Any, ctx: Any) -> Any:
    y, state, residuals = layer.apply(params, state, x, ctx)
    OUTSIDE["residuals"] = residuals
    return y, state, None


def residuals_from_outside(layer: Any, params: Any, residuals: Any, dy: Any) -> Any:
    return layer.vjp(params, OUTSIDE["residuals"], dy)


COUNT = iter(range(10**9))
OUTSIDE: dict[str, Any] = {}

ANY, SOME_PARAMS, SOME_STATE, SOME_NOISE, COUPLED = "any", "params", "state", "noise", "coupled"
BEHAVIOURS: dict[str, tuple[str, dict[str, Any]]] = {
    "float64 leaks into the output": (ANY, {"forward": wide_output}),
    "float64 leaks into dx": (ANY, {"backward": wide_input_cotangent}),
    "float64 leaks into the gradients": (SOME_PARAMS, {"backward": wide_gradients}),
    "float64 leaks into the state": (SOME_STATE, {"forward": wide_state}),
    "out_shape has another axis": (ANY, {"shape": longer}),
    "y has another axis": (ANY, {"forward": output_with_another_axis}),
    "dx has another axis": (ANY, {"backward": cotangent_with_another_axis}),
    "rows in another order": (ANY, {"forward": rows_reversed, "backward": rows_reversed_back}),
    "dx not linear": (ANY, {"backward": constant_added}),
    "another result every time": (ANY, {"forward": never_the_same}),
    "state changes in evaluation": (SOME_STATE, {"forward": state_in_evaluation}),
    "state is lost": (SOME_STATE, {"forward": state_lost}),
    "trains in evaluation": (COUPLED, {"forward": evaluation_trains}),
    "never trains": (COUPLED, {"forward": never_trains}),
    "needs a key in evaluation": (ANY, {"forward": needs_a_key}),
    "ignores the key": (SOME_NOISE, {"forward": ignores_the_key}),
    "writes x": (ANY, {"forward": writes_the_input}),
    "writes the params": (SOME_PARAMS, {"forward": writes_the_params}),
    "writes the state": (SOME_STATE, {"forward": writes_the_state}),
    "writes the params going back": (SOME_PARAMS, {"backward": writes_the_params_going_back}),
    "writes dy": (ANY, {"backward": writes_the_cotangent}),
    "enters gradients in the params": (ANY, {"backward": enters_gradients_in_the_params}),
    "writes y going back": (ANY, {"forward": keeps_its_output, "backward": writes_the_output_going_back}),
    "residuals kept outside": (ANY, {"forward": residuals_outside, "backward": residuals_from_outside}),
}


def depends_on_x(row: Row) -> bool:
    """Whether the vjp of a row needs more of x than its shape."""
    params, state = row.layer.init(KEY, row.in_shape, np.float64)
    backs = []
    for i in range(2):
        x = row.input(KEY.fold(i))
        y, _, residuals = row.layer.apply(params, state, x, fn.EVAL)
        backs.append(row.layer.vjp(params, residuals, random_like(y, KEY.fold("dy"))))
    return not same(*backs)


def noisy(row: Row) -> bool:
    """Whether a row draws random numbers in training."""
    params, state = row.layer.init(KEY, row.in_shape, np.float64)
    try:
        row.layer.apply(params, state, row.input(KEY), fn.Context(train=True))
    except fn.KeyRequired:
        return True
    return False


@functools.cache
def concerned(name: str) -> frozenset[str]:
    """The kinds of misbehaviour that a row is capable of."""
    row = LAYERS[name]
    params, state = row.layer.init(KEY, row.in_shape)
    holds = {ANY: True, SOME_PARAMS: params, SOME_STATE: state, SOME_NOISE: noisy(row), COUPLED: row.coupled}
    return frozenset(kind for kind, held in holds.items() if held)


@pytest.mark.parametrize(
    "rows", [pytest.param(KINDS, id="kinds"), pytest.param(LAYERS, id="all", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("what", BEHAVIOURS)
def test_misbehaviour_is_caught_in_every_row(what: str, rows: Any) -> None:
    kind, changes = BEHAVIOURS[what]
    rows = {name: LAYERS[name] for name in rows if kind in concerned(name)}
    if what == "residuals kept outside":
        rows = {name: row for name, row in rows.items() if depends_on_x(row)}
    if what == "residuals kept outside" or what.startswith("dx "):  # indices have no cotangent, and no other draw
        rows = {name: row for name, row in rows.items() if "f" in {a.dtype.kind for a in numbered(row.input(KEY))}}
    assert len(rows) >= 3
    said = {name: verdict(Mutant(row.layer, **changes), row) for name, row in rows.items()}
    assert {name: text for name, text in said.items() if not text.startswith("Mutant: breaks the law ")} == {}


# ----- planted bugs ---------------------------------------------------------------------------------------


@attrs.frozen
class DenseTransposed(fn.Dense):
    tag: ClassVar[None] = None

    def vjp(self, params: Any, residuals: Any, dy: Any) -> Any:
        return {"weight": dy.T @ residuals, "bias": dy.sum(axis=0)}, dy @ params["weight"].T


@attrs.frozen
class DenseNotTransposed(fn.Dense):
    tag: ClassVar[None] = None

    def vjp(self, params: Any, residuals: Any, dy: Any) -> Any:
        return {"weight": residuals.T @ dy, "bias": dy.sum(axis=0)}, dy @ params["weight"]


@attrs.frozen
class DenseBiasOverTheWrongAxis(fn.Dense):
    tag: ClassVar[None] = None

    def vjp(self, params: Any, residuals: Any, dy: Any) -> Any:
        return {"weight": residuals.T @ dy, "bias": dy.sum(axis=1)}, dy @ params["weight"].T


@attrs.frozen
class DenseBiasMean(fn.Dense):
    tag: ClassVar[None] = None

    def vjp(self, params: Any, residuals: Any, dy: Any) -> Any:
        return {"weight": residuals.T @ dy, "bias": dy.mean(axis=0)}, dy @ params["weight"].T


@attrs.frozen
class DenseFirstStepOnly(fn.Dense):
    tag: ClassVar[None] = None

    def vjp(self, params: Any, residuals: Any, dy: Any) -> Any:
        dparams = {"weight": residuals[:, 0].T @ dy[:, 0], "bias": dy.sum(axis=(0, 1))}
        return dparams, dy @ params["weight"].T


@attrs.frozen
class ReluOpen(fn.Relu):
    tag: ClassVar[None] = None

    def derivative(self, x: Any, y: Any) -> Any:
        return np.ones_like(x)


@attrs.frozen
class LeakyReluClosed(fn.LeakyRelu):
    tag: ClassVar[None] = None

    def derivative(self, x: Any, y: Any) -> Any:
        return np.greater(x, 0.0)


@attrs.frozen
class LeakyReluWrongSide(fn.LeakyRelu):
    tag: ClassVar[None] = None

    def derivative(self, x: Any, y: Any) -> Any:
        return np.where(x < 0.0, np.ones_like(x), self.slope)


@attrs.frozen
class SigmoidHalf(fn.Sigmoid):
    tag: ClassVar[None] = None

    def derivative(self, x: Any, y: Any) -> Any:
        return 1.0 - y


@attrs.frozen
class TanhNotSquared(fn.Tanh):
    tag: ClassVar[None] = None

    def derivative(self, x: Any, y: Any) -> Any:
        return 1.0 - y


@attrs.frozen
class TanhOfTheInput(fn.Tanh):
    tag: ClassVar[None] = None

    def derivative(self, x: Any, y: Any) -> Any:
        return 1.0 - x * x


@attrs.frozen
class GeluWithoutDensity(fn.Gelu):
    tag: ClassVar[None] = None

    def derivative(self, x: Any, y: Any) -> Any:
        return self.phi(x)


@attrs.frozen
class GeluOtherForm(fn.Gelu):
    tag: ClassVar[None] = None

    def derivative(self, x: Any, y: Any) -> Any:
        return fn.Gelu(not self.approximate).derivative(x, y)


@attrs.frozen
class SoftmaxWithoutSum(fn.Softmax):
    tag: ClassVar[None] = None

    def vjp(self, params: Any, residuals: Any, dy: Any) -> Any:
        return {}, residuals * dy


@attrs.frozen
class SoftmaxDiagonal(fn.Softmax):
    tag: ClassVar[None] = None

    def vjp(self, params: Any, residuals: Any, dy: Any) -> Any:
        return {}, residuals * (1.0 - residuals) * dy


@attrs.frozen
class SoftmaxWrongAxis(fn.Softmax):
    tag: ClassVar[None] = None

    def vjp(self, params: Any, residuals: Any, dy: Any) -> Any:
        return {}, residuals * (dy - np.sum(residuals * dy, axis=1, keepdims=True))


@attrs.frozen
class LogSoftmaxWithoutExp(fn.LogSoftmax):
    tag: ClassVar[None] = None

    def vjp(self, params: Any, residuals: Any, dy: Any) -> Any:
        return {}, dy - residuals * np.sum(dy, axis=-1, keepdims=True)


@attrs.frozen
class LogSoftmaxMean(fn.LogSoftmax):
    tag: ClassVar[None] = None

    def vjp(self, params: Any, residuals: Any, dy: Any) -> Any:
        return {}, dy - np.exp(residuals) * np.mean(dy, axis=-1, keepdims=True)


@attrs.frozen
class FlattenColumnMajor(fn.Flatten):
    tag: ClassVar[None] = None

    def vjp(self, params: Any, residuals: Any, dy: Any) -> Any:
        return {}, dy.reshape(residuals, order="F")


@attrs.frozen
class FlattenAsInMemory(fn.Flatten):
    tag: ClassVar[None] = None

    def apply(self, params: Any, state: Any, x: Any, ctx: Any) -> Any:
        return x.reshape(len(x), -1, order="A"), state, x.shape


@attrs.frozen
class ReshapeColumnMajor(fn.Reshape):
    tag: ClassVar[None] = None

    def vjp(self, params: Any, residuals: Any, dy: Any) -> Any:
        return {}, dy.reshape(residuals, order="F")


@attrs.frozen
class DropoutMaskIgnored(fn.Dropout):
    tag: ClassVar[None] = None

    def vjp(self, params: Any, residuals: Any, dy: Any) -> Any:
        return {}, dy if residuals is None else dy / (1.0 - self.rate)


@attrs.frozen
class DropoutScaleForgotten(fn.Dropout):
    tag: ClassVar[None] = None

    def vjp(self, params: Any, residuals: Any, dy: Any) -> Any:
        return {}, dy if residuals is None else np.where(residuals, dy, 0.0)


@attrs.frozen
class DropoutAnotherMask(fn.Dropout):
    tag: ClassVar[None] = None

    def vjp(self, params: Any, residuals: Any, dy: Any) -> Any:
        return {}, dy if residuals is None else self.masked(dy, ops.bernoulli(KEY, 1.0 - self.rate, dy.shape))


@attrs.frozen
class DropoutInEvaluation(fn.Dropout):
    tag: ClassVar[None] = None

    def apply(self, params: Any, state: Any, x: Any, ctx: Any) -> Any:
        return super().apply(params, state, x, fn.Context(True, KEY))


@attrs.frozen
class DropoutKeyIgnored(fn.Dropout):
    tag: ClassVar[None] = None

    def apply(self, params: Any, state: Any, x: Any, ctx: Any) -> Any:
        return super().apply(params, state, x, fn.Context(ctx.train, KEY))


def batch_norm_vjp(layer: fn.BatchNorm, params: Any, residuals: Any, dy: Any, *, without: str) -> Any:
    """BatchNorm's vjp with one thing left out."""
    x_hat, r, train, *_ = residuals
    axes = tuple(range(dy.ndim - 1))
    if without == "eps":
        r = 1.0 / np.sqrt(1.0 / r**2 - layer.eps)
    g = dy if without == "scale" else params["scale"] * dy
    mean, projection = np.mean(g, axis=axes), x_hat * np.mean(x_hat * g, axis=axes)
    if train and without != "batch statistics":
        g = g - (0.0 if without == "mean" else mean) - (0.0 if without == "projection" else projection)
    if not train and without == "mode":
        g = g - mean - projection
    dscale = (x_hat / r if without == "normalization" else x_hat) * dy
    return {"scale": np.sum(dscale, axis=axes), "bias": np.sum(dy, axis=axes)}, r * g


@attrs.frozen
class BatchNormWithout(fn.BatchNorm):
    tag: ClassVar[None] = None
    without: str = "nothing"

    def vjp(self, params: Any, residuals: Any, dy: Any) -> Any:
        return batch_norm_vjp(self, params, residuals, dy, without=self.without)


@attrs.frozen
class BatchNormUnbiased(fn.BatchNorm):
    """Normalises by the unbiased variance, which the vjp does not know."""

    tag: ClassVar[None] = None

    def apply(self, params: Any, state: Any, x: Any, ctx: Any) -> Any:
        y, new, (x_hat, r, train, *rest) = super().apply(params, state, x, ctx)
        if ctx.train:
            count = x.size // x.shape[-1]
            r = r * np.sqrt((count - 1) / count)
            x_hat = (x - x.mean(axis=tuple(range(x.ndim - 1)))) * r
            y = x_hat * params["scale"] + params["bias"]
        return y, new, (x_hat, r, train, *rest)


@attrs.frozen
class SumMean(fn.Sum):
    tag: ClassVar[None] = None

    def vjp(self, params: Any, residuals: Any, dy: Any) -> Any:
        return {}, (dy / residuals,) * residuals


@attrs.frozen
class SumFirstOnly(fn.Sum):
    tag: ClassVar[None] = None

    def vjp(self, params: Any, residuals: Any, dy: Any) -> Any:
        return {}, (dy, *(np.zeros_like(dy),) * (residuals - 1))


@attrs.frozen
class ConcatReversed(fn.Concat):
    tag: ClassVar[None] = None

    def vjp(self, params: Any, residuals: Any, dy: Any) -> Any:
        return {}, super().vjp(params, residuals, dy)[1][::-1]


@attrs.frozen
class SerialSkipsOne(fn.Serial):
    tag: ClassVar[None] = None

    def vjp(self, params: Any, residuals: Any, dy: Any) -> Any:
        dparams = {}
        for (name, layer), residual in zip(reversed(self.layers), reversed(residuals), strict=True):
            gradients, dx = vjp_child(name, layer, params, residual, dy)
            dy = dy if isinstance(layer, fn.Relu) else dx
            if gradients:
                dparams[name] = gradients
        return dict(reversed(dparams.items())), dy


@attrs.frozen
class SerialReversedGradients(fn.Serial):
    """The right gradients in an order of entries that nobody may rely on; no bug."""

    tag: ClassVar[None] = None

    def vjp(self, params: Any, residuals: Any, dy: Any) -> Any:
        dparams, dx = super().vjp(params, residuals, dy)
        return dict(reversed(dparams.items())), dx


@attrs.frozen
class ResidualWithoutShortcut(fn.Residual):
    tag: ClassVar[None] = None

    def vjp(self, params: Any, residuals: Any, dy: Any) -> Any:
        return vjp_child("", self.layer, params, residuals[0], dy)


@attrs.frozen
class ResidualInPlace(fn.Residual):
    tag: ClassVar[None] = None

    def vjp(self, params: Any, residuals: Any, dy: Any) -> Any:
        dparams, dx = vjp_child("", self.layer, params, residuals[0], dy)
        dx += dy
        return dparams, dx


@attrs.frozen
class ResidualShortcutOfProjection(fn.Residual):
    """Adds dy itself although a projection stands in the shortcut."""

    tag: ClassVar[None] = None

    def vjp(self, params: Any, residuals: Any, dy: Any) -> Any:
        dparams, dx = super().vjp(params, residuals, dy)
        inner = vjp_child("", self.layer, params, residuals[0], dy)[1]
        return dparams, inner + dy if dy.shape == inner.shape else dx


@attrs.frozen
class BranchLastOnly(fn.Branch):
    tag: ClassVar[None] = None

    def vjp(self, params: Any, residuals: Any, dy: Any) -> Any:
        name, layer = self.layers[-1]
        dparams, _ = super().vjp(params, residuals, dy)
        return dparams, vjp_child(name, layer, params, residuals[-1], dy[-1])[1]


@attrs.frozen
class BranchInPlace(fn.Branch):
    tag: ClassVar[None] = None

    def vjp(self, params: Any, residuals: Any, dy: Any) -> Any:
        outs = {
            name: vjp_child(name, layer, params, residual, cotangent)
            for (name, layer), residual, cotangent in zip(self.layers, residuals, dy, strict=True)
        }
        dx, *others = [out[1] for out in outs.values()]
        for other in others:
            dx += other
        return {name: out[0] for name, out in outs.items() if out[0]}, dx


@attrs.frozen
class ParallelSwapped(fn.Parallel):
    tag: ClassVar[None] = None

    def vjp(self, params: Any, residuals: Any, dy: Any) -> Any:
        dparams, dx = super().vjp(params, residuals, dy[::-1])
        return dparams, dx[::-1]


@attrs.frozen
class GraphOverwrites(fn.Graph):
    """A value used twice gets the cotangent of one use alone."""

    tag: ClassVar[None] = None

    def vjp(self, params: Any, residuals: Any, dy: Any) -> Any:
        residuals, _ = residuals
        cotangents = dict(zip(self.outputs, dy if len(self.outputs) > 1 else (dy,), strict=True))
        dparams = {}
        for name in reversed(self.order):
            layer, sources = self.nodes[name]
            gradients, dx = vjp_child(name, layer, params, residuals[name], cotangents[name])
            dparams |= {name: gradients} if gradients else {}
            cotangents |= dict(zip(sources, dx if len(sources) > 1 else (dx,), strict=True))
        return {name: dparams[name] for name in self.order if name in dparams}, cotangents[self.inputs[0]]


@attrs.frozen
class GraphInPlace(fn.Graph):
    tag: ClassVar[None] = None

    def vjp(self, params: Any, residuals: Any, dy: Any) -> Any:
        residuals, _ = residuals
        cotangents = dict(zip(self.outputs, dy if len(self.outputs) > 1 else (dy,), strict=True))
        dparams = {}
        for name in reversed(self.order):
            layer, sources = self.nodes[name]
            gradients, dx = vjp_child(name, layer, params, residuals[name], cotangents[name])
            dparams |= {name: gradients} if gradients else {}
            for source, part in zip(sources, dx if len(sources) > 1 else (dx,), strict=True):
                if source in cotangents:
                    cotangents[source] += part
                else:
                    cotangents[source] = part
        return {name: dparams[name] for name in self.order if name in dparams}, cotangents[self.inputs[0]]


DIAMOND, TWICE = LAYERS["graph_diamond"], LAYERS["graph_same_source_twice"]
ADJOINT_X, ADJOINT = "'adjoint': input: ", "'adjoint': "
WRONG_ROWS = "'splitting a batch changes nothing'"
READ_ONLY = "'pure': writes to its arguments"

PLANTED: dict[str, tuple[Row, str]] = {
    "dense: weight gradient transposed": (Row(DenseTransposed(3), (3,)), ADJOINT + "weight: "),
    "dense: dx without transposing": (Row(DenseNotTransposed(3), (3,)), ADJOINT_X),
    "dense: bias summed over the wrong axis": (Row(DenseBiasOverTheWrongAxis(4), (3,)), ADJOINT + "bias: "),
    "dense: bias gradient a mean": (Row(DenseBiasMean(3), (2,)), ADJOINT + "bias: "),
    "dense: first time step only": (Row(DenseFirstStepOnly(3), (5, 2)), ADJOINT + "weight: "),
    "relu: always open": (Row(ReluOpen(), (4,)), ADJOINT_X),
    "leaky relu: slope forgotten": (Row(LeakyReluClosed(0.1), (4,)), ADJOINT_X),
    "leaky relu: slope on the wrong side": (Row(LeakyReluWrongSide(0.1), (4,)), ADJOINT_X),
    "sigmoid: factor y forgotten": (Row(SigmoidHalf(), (4,)), ADJOINT_X),
    "tanh: not squared": (Row(TanhNotSquared(), (4,)), ADJOINT_X),
    "tanh: of x in place of y": (Row(TanhOfTheInput(), (4,)), ADJOINT_X),
    "gelu: density term dropped": (Row(GeluWithoutDensity(), (4,)), ADJOINT_X),
    "gelu: approximate derivative of the exact form": (Row(GeluOtherForm(), (4,)), ADJOINT_X),
    "gelu: exact derivative of the approximate form": (Row(GeluOtherForm(approximate=True), (4,)), ADJOINT_X),
    "softmax: inner sum dropped": (Row(SoftmaxWithoutSum(), (5,)), ADJOINT_X),
    "softmax: diagonal only": (Row(SoftmaxDiagonal(), (5,)), ADJOINT_X),
    "softmax: sum over the wrong axis": (Row(SoftmaxWrongAxis(), (3, 3)), ADJOINT_X),
    "log softmax: exp forgotten": (Row(LogSoftmaxWithoutExp(), (5,)), ADJOINT_X),
    "log softmax: mean for a sum": (Row(LogSoftmaxMean(), (5,)), ADJOINT_X),
    "flatten: back in column-major order": (Row(FlattenColumnMajor(), (2, 3)), ADJOINT_X),
    "flatten: in the order of memory": (Row(FlattenAsInMemory(), (2, 3)), "'any memory layout gives the same values'"),
    "reshape: back in column-major order": (Row(ReshapeColumnMajor((3, 2)), (2, 3)), ADJOINT_X),
    "dropout: mask ignored going back": (Row(DropoutMaskIgnored(0.5), (6,), True), ADJOINT_X),
    "dropout: scale forgotten going back": (Row(DropoutScaleForgotten(0.5), (6,), True), ADJOINT_X),
    "dropout: another mask going back": (Row(DropoutAnotherMask(0.5), (6,), True), ADJOINT_X),
    "dropout: in evaluation too": (Row(DropoutInEvaluation(0.5), (6,), True), WRONG_ROWS),
    "dropout: key ignored": (Row(DropoutKeyIgnored(0.5), (6,), True), ""),
    **{
        f"batch norm: without {without}": (Row(BatchNormWithout(eps=0.1, without=without), shape, True), law)
        for shape in ((3,), (2, 3))
        for without, law in (
            ("mean", ADJOINT_X),
            ("projection", ADJOINT_X),
            ("batch statistics", ADJOINT_X),
            ("mode", ADJOINT_X),
            ("eps", ADJOINT_X),
            ("scale", ADJOINT_X),
            ("normalization", ADJOINT + "scale: "),
        )
    },
    "batch norm: unbiased variance": (Row(BatchNormUnbiased(), (3,), True), ADJOINT_X),
    "sum: a mean going back": (Row(SumMean(), ((3,), (3,))), ADJOINT_X),
    "sum: first input only": (Row(SumFirstOnly(), ((3,), (3,))), ADJOINT_X),
    "concat: parts in reverse": (Row(ConcatReversed(), ((3,), (3,))), ADJOINT_X),
    "serial: a layer skipped going back": (
        Row(SerialSkipsOne((fn.Dense(3), fn.Relu(), fn.Dense(2))), (4,)),
        ADJOINT_X,
    ),
    "residual: shortcut forgotten": (Row(ResidualWithoutShortcut(fn.Dense(4)), (4,)), ADJOINT_X),
    "residual: += on the layer's cotangent": (Row(ResidualInPlace(fn.Identity()), (4,)), ""),
    "residual: shortcut in place of the projection": (
        Row(ResidualShortcutOfProjection(fn.Tanh(), fn.Dense(4)), (4,)),
        ADJOINT_X,
    ),
    "branch: last branch only": (Row(BranchLastOnly((fn.Dense(4), fn.Tanh())), (4,)), ADJOINT_X),
    "branch: += on a branch's cotangent": (Row(BranchInPlace((fn.Identity(), fn.Dense(4))), (4,)), ""),
    "parallel: cotangents swapped": (Row(ParallelSwapped((fn.Sigmoid(), fn.Tanh())), ((3,), (3,))), ADJOINT_X),
    "graph: uses overwritten": (Row(GraphOverwrites("x", DIAMOND.layer.nodes, "join"), (4,)), ADJOINT_X),
    "graph: += on a node's cotangent": (Row(GraphInPlace("x", DIAMOND.layer.nodes, "join"), (4,)), ""),
    "graph: += on the caller's cotangent": (Row(GraphInPlace("x", TWICE.layer.nodes, ("twice", "x")), (3,)), ""),
}


@attrs.frozen
class DenseByPlace(fn.Dense):
    tag: ClassVar[None] = None

    def apply(self, params: Any, state: Any, x: Any, ctx: Any) -> Any:
        weight, bias = params.values()
        return x @ weight + bias, state, x


@attrs.frozen
class SerialByPlace(fn.Serial):
    """Gives the gradients of a layer the names of its params one after the other."""

    tag: ClassVar[None] = None

    def vjp(self, params: Any, residuals: Any, dy: Any) -> Any:
        dparams, dx = super().vjp(params, residuals, dy)
        named = {name: dict(zip(params[name], leaves.values(), strict=True)) for name, leaves in dparams.items()}
        return named, dx


@attrs.frozen
class BatchNormByPlace(fn.BatchNorm):
    tag: ClassVar[None] = None

    def apply(self, params: Any, state: Any, x: Any, ctx: Any) -> Any:
        return super().apply(params, dict(zip(("running_mean", "running_var"), state.values(), strict=True)), x, ctx)


@attrs.frozen
class ParallelByPlace(fn.Parallel):
    tag: ClassVar[None] = None

    def apply(self, params: Any, state: Any, x: Any, ctx: Any) -> Any:
        names = [name for name, _ in self.layers]
        y, state, residuals = super().apply(params, state, dict(zip(names, x.values(), strict=True)), ctx)
        return y, state, residuals


ORDER = "the order of keys changes nothing"
BY_PLACE = {
    "params": Row(DenseByPlace(2), (2,)),
    "a child's gradients": Row(SerialByPlace((fn.Dense(2), fn.LayerNorm())), (2,)),
    "gradients of other shapes": Row(SerialByPlace((fn.GRU(2, return_sequences=False),)), (3, 2)),
    "state": Row(BatchNormByPlace(), (3,), True),
    "inputs": Row(ParallelByPlace((("a", fn.Dense(2)), ("b", fn.Tanh()))), {"a": (2,), "b": (2,)}),
}


@pytest.mark.parametrize("what", BY_PLACE)
def test_what_pairs_by_place_is_caught(what: str) -> None:
    row = BY_PLACE[what]
    said = verdict(row.layer, row)
    assert said.startswith(f"{type(row.layer).__name__}: breaks the law {ORDER!r}: "), said


@attrs.frozen
class SGDByPlace(optim.SGD):
    tag: ClassVar[None] = None

    def update(self, grads: Any, opt_state: Any, params: Any, value: Any = None) -> Any:
        named = dict(zip(tree.flatten(params), tree.leaves(opt_state["momentum"]), strict=True))
        return super().update(grads, opt_state | {"momentum": tree.unflatten(named)}, params, value)


@attrs.frozen
class SGDFirst(optim.SGD):
    """Moves the first leaf twice as far."""

    tag: ClassVar[None] = None

    def update(self, grads: Any, opt_state: Any, params: Any, value: Any = None) -> Any:
        updates, opt_state = super().update(grads, opt_state, params, value)
        first = next(iter(tree.flatten(params)))
        return tree.at(updates, first).apply(lambda leaf: 2.0 * leaf), opt_state


def test_an_optimizer_that_pairs_by_place_is_caught() -> None:
    law = f"breaks the law {ORDER!r}: "
    assert optimizer_verdict(SGDByPlace(0.1, 0.9)).startswith(f"SGDByPlace: {law}")
    said = optimizer_verdict(SGDFirst(0.1))
    assert said == f"SGDFirst: {law}that of params does; pair leaves by path, as fn.tree.map does"


@pytest.mark.parametrize("bug", PLANTED)
def test_a_planted_bug_is_caught_by_its_law(bug: str) -> None:
    row, law = PLANTED[bug]
    said = verdict(row.layer, row)
    assert said.startswith(f"{type(row.layer).__name__}: breaks the law {law}"), said


@pytest.mark.parametrize(
    "row",
    [
        Row(BatchNormWithout(eps=0.1), (2, 3), True),
        Row(SerialReversedGradients((fn.Dense(3), fn.Dense(2))), (4,)),
        Row(GraphInPlace("x", LAYERS["graph_chain"].layer.nodes, "b"), (4,)),
    ],
)
def test_what_is_no_bug_is_not_called_one(row: Row) -> None:
    assert verdict(row.layer, row) == "the laws hold"


def test_an_unregistered_subclass_is_not_written_as_its_base() -> None:
    """It would come back as another layer."""

    @attrs.frozen
    class Doubled(fn.Dense):
        def apply(self, params: Any, state: Any, x: Any, ctx: Any) -> Any:
            return super().apply(params, state, 2.0 * x, ctx)

    with pytest.raises(fn.SpecError, match="Doubled has no tag"):
        fn.to_json(Doubled(3))


# ----- what laws do not see: noise by path ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("net", "x", "paths"),
    [
        (fn.branch(fn.Dropout(0.5), fn.Dropout(0.5)), 1, ("dropout_0", "dropout_1")),
        (fn.branch(fn.serial(a=fn.Dropout(0.5)), fn.Residual(fn.Dropout(0.5))), 1, ("serial_0/a", "residual_0")),
        (fn.parallel(left=fn.Dropout(0.5), right=fn.Dropout(0.5)), 2, ("left", "right")),
        (
            fn.Graph("x", {"a": (fn.Dropout(0.5), "x"), "b": (fn.Dropout(0.5), "x")}, ("a", "b")),
            1,
            ("a", "b"),
        ),
    ],
)
def test_children_draw_from_the_key_folded_by_their_path(net: fn.Layer, x: int, paths: tuple[str, str]) -> None:
    ones = np.ones((4, 50))
    ys, _, _ = net.apply({}, {}, ones if x == 1 else (ones, ones), fn.Context(True, KEY))
    masks = []
    for y, path in zip(ys, paths, strict=True):
        alone, _, _ = fn.Dropout(0.5).apply({}, {}, ones, fn.Context(True, KEY.fold(*path.split("/"))))
        np.testing.assert_array_equal(y, alone + 1.0 if "residual" in path else alone)
        masks.append(alone)
    assert np.any(masks[0] != masks[1])


# ----- losses ---------------------------------------------------------------------------------------------


@attrs.frozen
class LossMutant(losses.Loss):
    loss: losses.Loss
    forward: Callable[..., Any] = lambda loss, *args: loss.apply(*args)
    backward: Callable[..., Any] = lambda loss, *args: loss.vjp(*args)
    total: Callable[..., Any] = lambda loss, *args: loss.divisor(*args)

    @property
    def additive(self) -> bool:  # type: ignore[override]
        return self.loss.additive

    def divisor(self, target: Any, weight: Any = None) -> Any:
        return self.total(self.loss, target, weight)

    def apply(self, prediction: Any, target: Any, weight: Any = None, divisor: Any = None) -> Any:
        return self.forward(self.loss, prediction, target, weight, divisor)

    def vjp(self, residuals: Any, dy: Any = 1.0) -> Any:
        return self.backward(self.loss, residuals, dy)


def loss_verdict(loss: losses.Loss, name: str) -> str:
    try:
        fn.check_loss(loss, LOSSES[name].prediction, LOSSES[name].target)
    except fn.LawError as error:
        return str(error)
    except Exception as error:
        return f"{type(error).__name__}, not a LawError: {error}"
    return "the laws hold"


@pytest.mark.parametrize("name", LOSSES)
def test_the_wrapper_of_losses_obeys_the_laws(name: str) -> None:
    assert loss_verdict(LossMutant(LOSSES[name].loss), name) == "the laws hold"


@pytest.mark.parametrize("name", LOSSES)
def test_a_wrong_cotangent_of_the_prediction_is_caught(name: str) -> None:
    for what, change in WRONG_VALUES.items():

        def backward(loss: Any, *args: Any, change: Any = change) -> Any:
            return change(loss.vjp(*args))

        said = loss_verdict(LossMutant(LOSSES[name].loss, backward=backward), name)
        assert said.startswith("LossMutant: breaks the law 'adjoint': with no weight: differences give "), (what, said)


def weight_ignored(loss: Any, prediction: Any, target: Any, weight: Any, divisor: Any) -> Any:
    return loss.apply(prediction, target, None, divisor)


def weight_ignored_in_the_divisor(loss: Any, prediction: Any, target: Any, weight: Any, divisor: Any) -> Any:
    return loss.apply(prediction, target, weight, loss.divisor(target) if divisor is None else divisor)


def divisor_ignored(loss: Any, prediction: Any, target: Any, weight: Any, divisor: Any) -> Any:
    return loss.apply(prediction, target, weight)


def wide_value(loss: Any, *args: Any) -> Any:
    value, residuals = loss.apply(*args)
    return np.float64(value), residuals


def wide_value_with_weight(loss: Any, prediction: Any, target: Any, weight: Any, divisor: Any) -> Any:
    value, residuals = loss.apply(prediction, target, weight, divisor)
    return value if weight is None else np.float64(value), (residuals, weight is not None)


def wide_cotangent_with_weight(loss: Any, residuals: Any, dy: Any) -> Any:
    residuals, weighted = residuals
    cotangent = loss.vjp(residuals, dy)
    return cotangent.astype(np.float64) if weighted else cotangent


def told_whether_weighted(loss: Any, prediction: Any, target: Any, weight: Any, divisor: Any) -> Any:
    value, residuals = loss.apply(prediction, target, weight, divisor)
    return value, (residuals, weight is not None)


def absent_rows_in_the_value(loss: Any, prediction: Any, *args: Any) -> Any:
    value, residuals = loss.apply(prediction, *args)
    return value + np.sum(0.0 * prediction), residuals


def absent_rows_kept(loss: Any, prediction: Any, *args: Any) -> Any:
    value, residuals = loss.apply(prediction, *args)
    return value, (residuals, prediction)


def wrong_in_float32(loss: Any, prediction: Any, *args: Any) -> Any:
    value, residuals = loss.apply(prediction, *args)
    return value * 1.5 if prediction.dtype == np.float32 else value, residuals


def writes_the_prediction(loss: Any, prediction: Any, *args: Any) -> Any:
    out = loss.apply(prediction, *args)
    prediction *= 1.0
    return out


def writes_the_target(loss: Any, prediction: Any, target: Any, *args: Any) -> Any:
    out = loss.apply(prediction, target, *args)
    target *= 1
    return out


def writes_the_weight(loss: Any, prediction: Any, target: Any, weight: Any, divisor: Any) -> Any:
    if weight is not None and divisor is None:
        weight /= weight.sum()
    return loss.apply(prediction, target, weight, divisor)


def another_value_every_time(loss: Any, *args: Any) -> Any:
    value, residuals = loss.apply(*args)
    return value + 1e-13 * next(COUNT), residuals


def first_in_memory(loss: Any, prediction: Any, *args: Any) -> Any:
    """Entries are taken as they lie in memory."""
    rows = prediction.ndim > 1 and not prediction.flags.c_contiguous
    return loss.apply(prediction.ravel(order="K").reshape(prediction.shape) if rows else prediction, *args)


LOSS_BUGS: dict[str, dict[str, Any]] = {
    "dy ignored": {"backward": lambda loss, residuals, dy: loss.vjp(residuals)},
    "dy squared": {"backward": lambda loss, residuals, dy: loss.vjp(residuals, dy * dy)},
    "a constant for every dy": {"backward": lambda loss, residuals, dy: loss.vjp(residuals, dy) + 1e-9},
    "the value in float64": {"forward": wide_value},
    "the value of a weighted loss in float64": {
        "forward": wide_value_with_weight,
        "backward": lambda loss, r, dy: loss.vjp(r[0], dy),
    },
    "the cotangent of a weighted loss in float64": {
        "forward": told_whether_weighted,
        "backward": wide_cotangent_with_weight,
    },
    "the cotangent in float64": {"backward": lambda loss, *args: loss.vjp(*args).astype(np.float64)},
    "the value an array": {"forward": lambda loss, *args: (loss.apply(*args)[0][None], loss.apply(*args)[1])},
    "the cotangent flattened": {"backward": lambda loss, *args: loss.vjp(*args)[:, None]},
    "another value in float32": {"forward": wrong_in_float32},
    "another value every time": {"forward": another_value_every_time},
    "the prediction written to": {"forward": writes_the_prediction},
    "the target written to": {"forward": writes_the_target},
    "the weight written to": {"forward": writes_the_weight},
    "the weight ignored": {"forward": weight_ignored, "total": lambda loss, target, weight: loss.divisor(target)},
    "the divisor of a part its own": {"forward": divisor_ignored},
    "NaN times 0 in the value": {"forward": absent_rows_in_the_value},
    "NaN times 0 in the cotangent": {
        "forward": absent_rows_kept,
        "backward": lambda loss, residuals, dy: loss.vjp(residuals[0], dy) + 0.0 * residuals[1],
    },
}
MEANS_ONLY = ("the divisor of a part its own",)
"""Bugs that a sum cannot have, and a root no more"""


def test_a_loss_that_depends_on_the_memory_layout_is_caught() -> None:
    name = "softmax_cross_entropy_labels"
    verdict = loss_verdict(LossMutant(LOSSES[name][0], forward=first_in_memory), name)
    assert "any memory layout gives the same values" in verdict


@pytest.mark.parametrize("what", LOSS_BUGS)
def test_a_bug_in_any_loss_is_caught(what: str) -> None:
    said = {}
    for name, (loss, _, target) in LOSSES.items():
        if what not in MEANS_ONLY or (loss.additive and loss.divisor(target) != 1.0):
            said[name] = loss_verdict(LossMutant(loss, **LOSS_BUGS[what]), name)
    assert len(said) > 20
    assert {name: text for name, text in said.items() if not text.startswith("LossMutant: breaks the law ")} == {}


def test_a_divisor_that_ignores_weights_is_caught() -> None:
    mutant = LossMutant(
        losses.MeanSquaredError(),
        forward=weight_ignored_in_the_divisor,
        total=lambda loss, target, weight: loss.divisor(target),
    )
    assert loss_verdict(mutant, "mean_squared_error").startswith("LossMutant: breaks the law ")


def slope_of(base: type[losses.ElementwiseLoss], slope: Callable[..., Any]) -> losses.Loss:
    """A loss with another derivative of its terms."""

    @attrs.frozen
    class Planted(base):  # type: ignore[valid-type,misc]
        tag: ClassVar[None] = None

    Planted.slope = lambda self, prediction, target: slope(prediction, target)
    return Planted()


@attrs.frozen
class SoftmaxPlanted(losses.SoftmaxCrossEntropy):
    tag: ClassVar[None] = None
    bug: str = "none"

    def vjp(self, residuals: Any, dy: Any = 1.0) -> Any:
        log_p, q, _, weight, divisor, _ = residuals
        p = np.exp(log_p)
        if self.bug == "probabilities not summed":
            slope = p - q
        elif self.bug == "smoothing forgotten":
            hard = (q == q.max(axis=-1, keepdims=True)).astype(q.dtype)
            slope = p * hard.sum(axis=-1, keepdims=True) - hard
        elif self.bug == "target minus prediction":
            slope = q - p * q.sum(axis=-1, keepdims=True)
        else:
            slope = p * q.sum(axis=-1, keepdims=True) - q
        slope = slope * dy if self.bug == "divisor forgotten" else slope * (dy / divisor)
        return slope if weight is None or self.bug == "weight forgotten" else weight[..., None] * slope


@attrs.frozen
class RootPlanted(losses.RootMeanSquaredError):
    """The root's own derivative forgotten."""

    tag: ClassVar[None] = None

    def vjp(self, residuals: Any, dy: Any = 1.0) -> Any:
        *_, value, _ = residuals
        return super().vjp(residuals, dy) * 2.0 * value


def sigmoid(x: Any) -> Any:
    return 1.0 / (1.0 + np.exp(-x))


LOSSES_PLANTED: dict[str, tuple[losses.Loss, str, str]] = {
    "factor 2 forgotten": (slope_of(losses.MeanSquaredError, lambda p, t: p - t), "mean_squared_error", "no"),
    "factor 2 too many": (
        slope_of(losses.HalfMeanSquaredError, lambda p, t: 2.0 * (p - t)),
        "half_mean_squared_error",
        "no",
    ),
    "target minus prediction": (
        slope_of(losses.SumSquaredError, lambda p, t: 2.0 * (t - p)),
        "sum_squared_error",
        "no",
    ),
    "half forgotten": (
        slope_of(losses.HalfSumSquaredError, lambda p, t: 2.0 * (p - t)),
        "half_sum_squared_error",
        "no",
    ),
    "root's derivative forgotten": (RootPlanted(), "root_mean_squared_error", "no"),
    "sign forgotten": (slope_of(losses.MeanAbsoluteError, lambda p, t: p - t), "mean_absolute_error", "no"),
    "not clipped": (slope_of(losses.Huber, lambda p, t: p - t), "huber", "no"),
    "clipped at 1 for any delta": (slope_of(losses.Huber, lambda p, t: np.sign(p - t)), "huber", "no"),
    "1 - p forgotten": (slope_of(losses.BinaryCrossEntropy, lambda p, t: (p - t) / p), "binary_cross_entropy", "no"),
    "derivative on logits": (slope_of(losses.BinaryCrossEntropy, lambda p, t: p - t), "binary_cross_entropy", "no"),
    "sigmoid twice": (
        slope_of(losses.SigmoidCrossEntropy, lambda p, t: (sigmoid(p) - t) * sigmoid(p)),
        "sigmoid_cross_entropy",
        "no",
    ),
    "sigmoid forgotten": (slope_of(losses.SigmoidCrossEntropy, lambda p, t: p - t), "sigmoid_cross_entropy", "no"),
    "probabilities not summed": (
        SoftmaxPlanted(bug="probabilities not summed"),
        "softmax_cross_entropy_not_normalized",
        "no",
    ),
    "smoothing forgotten": (
        SoftmaxPlanted(0.2, bug="smoothing forgotten"),
        "softmax_cross_entropy_smoothing_labels",
        "no",
    ),
    "softmax: target minus prediction": (
        SoftmaxPlanted(bug="target minus prediction"),
        "softmax_cross_entropy_labels",
        "no",
    ),
    "softmax: divisor forgotten": (SoftmaxPlanted(bug="divisor forgotten"), "softmax_cross_entropy_labels", "no"),
    "softmax: weight forgotten": (SoftmaxPlanted(bug="weight forgotten"), "softmax_cross_entropy_labels", "a"),
}


@pytest.mark.parametrize("bug", LOSSES_PLANTED)
def test_a_planted_bug_in_a_loss_is_caught(bug: str) -> None:
    loss, name, weight = LOSSES_PLANTED[bug]
    said = loss_verdict(loss, name)
    assert said.startswith(f"{type(loss).__name__}: breaks the law 'adjoint': with {weight} weight: "), said


def test_a_loss_planted_with_nothing_obeys_the_laws() -> None:
    assert loss_verdict(SoftmaxPlanted(), "softmax_cross_entropy_labels") == "the laws hold"
    assert loss_verdict(slope_of(losses.HalfMeanSquaredError, lambda p, t: p - t), "huber") == "the laws hold"


@attrs.frozen
class IgnoringPlanted(losses.SoftmaxCrossEntropy):
    """A loss that forgets the label to ignore somewhere."""

    tag: ClassVar[None] = None
    bug: str = "none"

    def divisor(self, target: Any, weight: Any = None) -> float:
        return losses.total_weight(target.shape, weight if "divisor" in self.bug else self.counted(target, weight))

    def apply(self, prediction: Any, target: Any, weight: Any = None, divisor: Any = None) -> Any:
        divisor = self.divisor(target, weight) if divisor is None else divisor
        ignored = target == self.ignore_label
        if self.bug == "value":  # the terms count as class 0
            target = np.where(ignored, 0, target)
        value, residuals = super().apply(prediction, target, weight, divisor)
        if self.bug == "cotangent":
            log_p, q, mass, _, divisor, masks = residuals
            residuals = log_p, q, mass, weight, divisor, masks
        return value, (residuals, ignored)

    def vjp(self, residuals: Any, dy: Any = 1.0) -> Any:
        residuals, ignored = residuals
        slope = super().vjp(residuals, dy)
        return np.where(ignored[..., None], slope.dtype.type(1e-20 * dy), slope) if self.bug == "zeros" else slope


FORGETTING = {
    "divisor": "breaks the law 'terms with the label to ignore have weight 0': the divisor is 6.0, not 4.0",
    "value": "breaks the law 'terms with the label to ignore have weight 0': the value is ",
    "cotangent": "breaks the law 'adjoint': with no weight: ",
    "zeros": "breaks the law 'terms with the label to ignore have weight 0': the cotangent changes",
}


@pytest.mark.parametrize("bug", ["none", *FORGETTING])
def test_a_loss_that_forgets_the_label_to_ignore_is_caught(bug: str) -> None:
    target = np.array([0, -100, -100, 1, 2, 0])
    prediction = LOSSES["softmax_cross_entropy_labels"].prediction
    loss = IgnoringPlanted(ignore_label=-100, bug=bug)
    if bug == "none":
        fn.check_loss(loss, prediction, target)
        return
    with pytest.raises(fn.LawError) as caught:
        fn.check_loss(loss, prediction, target)
    assert FORGETTING[bug] in str(caught.value)


# ----- optimizers -----------------------------------------------------------------------------------------


@attrs.frozen
class OptimizerMutant(optim.Optimizer):
    rule: optim.Optimizer
    change: Callable[..., Any] = lambda rule, *args: rule.update(*args)
    begin: Callable[..., Any] = lambda rule, params: rule.init(params)
    final: Callable[..., Any] = lambda rule, *args: rule.eval_params(*args)
    report: Callable[..., Any] = lambda rule, *args: rule.observe(*args)

    @property
    def descends(self) -> bool:
        return self.rule.descends

    def untouched(self, params: Any) -> Any:
        return self.rule.untouched(params)

    def init(self, params: Any) -> Any:
        return self.begin(self.rule, params)

    def update(self, grads: Any, opt_state: Any, params: Any, value: Any = None) -> Any:
        return self.change(self.rule, grads, opt_state, params, value)

    def observe(self, opt_state: Any, row: Any) -> Any:
        return self.report(self.rule, opt_state, row)

    def eval_params(self, params: Any, opt_state: Any) -> Any:
        return self.final(self.rule, params, opt_state)


def optimizer_verdict(opt: optim.Optimizer) -> str:
    try:
        fn.check_optimizer(opt)
    except fn.LawError as error:
        return str(error)
    except Exception as error:
        return f"{type(error).__name__}, not a LawError: {error}"
    return "the laws hold"


def on_updates(change: Callable[..., Any]) -> Callable[..., Any]:
    def update(rule: Any, grads: Any, opt_state: Any, params: Any, value: Any) -> Any:
        updates, opt_state = rule.update(grads, opt_state, params, value)
        return change(updates, params), opt_state

    return update


def on_state(change: Callable[..., Any]) -> Callable[..., Any]:
    def update(rule: Any, grads: Any, opt_state: Any, params: Any, value: Any) -> Any:
        updates, new = rule.update(grads, opt_state, params, value)
        return updates, change(new, opt_state)

    return update


def writing(which: int) -> Callable[..., Any]:
    def update(rule: Any, *args: Any) -> Any:
        out = rule.update(*args)
        for leaf in tree.leaves(args[which]):
            leaf *= 1
        return out

    return update


def narrowed(value: Any) -> Any:
    return tree.map(lambda leaf: leaf.astype(np.float32) if leaf.dtype == np.float64 else leaf, value)


def first_of_several_negated(value: Any) -> Any:
    first, *others = tree.flatten(value)
    return tree.at(value, first).apply(np.negative) if others else value


def without_first_leaf(value: Any) -> Any:
    flat = tree.flatten(value)
    return tree.unflatten(dict(list(flat.items())[1:]))


RULES_ONLY = ("goes uphill", "does not move", "gives the new params", "goes uphill in its first leaf of several")
"""Bugs against which a bare transform, whose updates are gradients still, has no law"""


def in_memory_order(leaf: Any) -> Any:
    """A leaf whose entries are taken as they lie in memory."""
    return leaf.ravel(order="K").reshape(leaf.shape) if leaf.ndim == 2 and leaf.flags.f_contiguous else leaf


OPTIMIZER_BUGS: dict[str, dict[str, Any]] = {
    "goes uphill": {"change": on_updates(lambda updates, params: tree.map(np.negative, updates))},
    "does not move": {"change": on_updates(lambda updates, params: tree.map(np.zeros_like, updates))},
    "gives the new params": {"change": on_updates(lambda updates, params: tree.map(np.add, params, updates))},
    "goes uphill in its first leaf of several": {
        "change": on_updates(lambda updates, params: first_of_several_negated(updates))
    },
    "another update every time": {
        "change": on_updates(lambda updates, params: tree.map(lambda u: u * (1.0 + 1e-4 * (next(COUNT) % 7)), updates))
    },
    "updates in float64": {"change": on_updates(lambda updates, params: widen(updates))},
    "updates in float32": {"change": on_updates(lambda updates, params: narrowed(updates))},
    "an update missing": {"change": on_updates(lambda updates, params: without_first_leaf(updates))},
    "an axis too many": {"change": on_updates(lambda updates, params: add_axis(updates))},
    "state lost": {"change": on_state(lambda new, old: {})},
    "state not advanced": {"change": on_state(lambda new, old: old)},
    "state in float32": {"change": on_state(lambda new, old: tree.map(lambda leaf: leaf.astype(np.float32), new))},
    "grads written to": {"change": writing(0)},
    "state written to": {"change": writing(1)},
    "params written to": {"change": writing(2)},
    "step counts from 1": {"begin": lambda rule, params: tree.at(rule.init(params), "*step").apply(lambda s: s + 1)},
    "eval_params in float64": {"final": lambda rule, params, opt_state: widen(params)},
    "eval_params misses a leaf": {"final": lambda rule, params, opt_state: without_first_leaf(params)},
    "observe gives nothing": {"report": lambda rule, opt_state, row: None},
    "observe loses the state": {"report": lambda rule, opt_state, row: {}},
    "observe in float32": {
        "report": lambda rule, opt_state, row: tree.map(lambda leaf: leaf.astype(np.float32), opt_state)
    },
    "observe counts a step": {
        "report": lambda rule, opt_state, row: tree.at(opt_state, "*step").apply(lambda step: step + 1)
    },
    "observe of another value every time": {
        "report": lambda rule, opt_state, row: tree.at(opt_state, "*step").set(np.asarray(next(COUNT), np.int64))
    },
}


def test_a_figure_that_does_not_reach_the_inner_optimizer_is_caught() -> None:
    wrapped = optim.chain(optim.SGD(0.1), optim.ReduceOnPlateau(monitor="validation/loss"))
    assert optimizer_verdict(OptimizerMutant(wrapped)) == "the laws hold"
    assert optimizer_verdict(OptimizerMutant(wrapped, report=lambda rule, opt_state, row: opt_state)) == (
        "OptimizerMutant: breaks the law 'observe reaches validation/loss': "
        "give it children, by the names of their states"
    )


def test_an_optimizer_that_depends_on_the_memory_layout_is_caught() -> None:
    change = on_updates(lambda updates, params: tree.map(in_memory_order, updates))
    verdict = optimizer_verdict(OptimizerMutant(optim.SGD(0.1), change=change))
    assert "any memory layout gives the same values" in verdict


@pytest.mark.parametrize(
    "rows", [pytest.param(RULES, id="kinds"), pytest.param(OPTIMIZERS, id="all", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("what", OPTIMIZER_BUGS)
def test_a_bug_in_any_optimizer_is_caught(what: str, rows: Any) -> None:
    names = [name for name in rows if what not in RULES_ONLY or name not in TRANSFORMS]
    said = {name: optimizer_verdict(OptimizerMutant(OPTIMIZERS[name], **OPTIMIZER_BUGS[what])) for name in names}
    wrong = {name: text for name, text in said.items() if not text.startswith("OptimizerMutant: breaks the law ")}
    assert wrong == {}


@pytest.mark.parametrize("name", of_those(OPTIMIZERS, RULES))
def test_the_wrapper_of_optimizers_obeys_the_laws(name: str) -> None:
    assert optimizer_verdict(OptimizerMutant(OPTIMIZERS[name])) == "the laws hold"


@attrs.frozen
class Decaying(optim.Optimizer):
    """A rule with an average of a power of its gradients, settled or not."""

    tag: ClassVar[None] = None
    decay: float = 0.9
    power: int = 1
    settled: bool = False

    def init(self, params: Any) -> Any:
        return {"step": np.int64(0), "average": tree.zeros_like(params)}

    def update(self, grads: Any, opt_state: Any, params: Any, value: Any = None) -> Any:
        step = int(opt_state["step"])

        def average(mean: Any, g: Any) -> Any:
            new = self.decay * mean + (1.0 - self.decay) * g**self.power
            return ops.settle(new, step) if self.settled else new

        averaged = tree.map(average, opt_state["average"], grads)
        updates = tree.map(lambda g: -0.1 * g, grads)
        return updates, {"step": opt_state["step"] + 1, "average": averaged}


SUBNORMAL = re.compile(
    r"\w+: breaks the law 'no state decays into subnormal numbers': \d+ entries of [a-z_]\S+ do, "
    r"which slows processors down; wrap it in fn\.ops\.settle\(\.\.\., step\)"
)


@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("decay", [0.1, 0.5, 0.9, 0.999, 0.9999])
def test_an_average_that_is_not_settled_is_caught(decay: float, power: int) -> None:
    assert SUBNORMAL.fullmatch(optimizer_verdict(Decaying(decay, power)))
    assert optimizer_verdict(Decaying(decay, power, settled=True)) == "the laws hold"


BOUNDED = ("adagrad", "adafactor", "lars_no_momentum")
"""Rows whose state does not decay: a sum of squares, averages of what is at least eps, zeros"""


def holds_arrays(opt: optim.Optimizer) -> bool:
    """Whether the state has arrays, like the params."""
    state = opt.init({"a": {"weight": np.ones((3, 2))}, "bias": np.ones(2)})
    return any(np.ndim(leaf) > 0 for leaf in tree.leaves(state))


@pytest.mark.parametrize(
    "name", [name for name, opt in OPTIMIZERS.items() if holds_arrays(opt) and not name.startswith(BOUNDED)]
)
def test_a_rule_whose_state_is_not_settled_any_more_is_caught(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ops, "settle", lambda x, step: x)
    assert SUBNORMAL.fullmatch(optimizer_verdict(OPTIMIZERS[name]))


# ----- watching backpropagation ---------------------------------------------------------------------------


def test_backprop_trace_by_hand() -> None:
    net = fn.serial(stem=fn.Dense(2), relu=fn.Relu(), head=fn.Dense(1))
    w1, b1 = np.array([[1.0, -1.0], [2.0, 0.5], [0.0, 1.0]]), np.array([0.5, -0.5])
    w2, b2 = np.array([[2.0], [-3.0]]), np.array([1.0])
    params = {"stem": {"weight": w1, "bias": b1}, "head": {"weight": w2, "bias": b2}}
    x, dy = np.array([[1.0, 2.0, 3.0], [-1.0, 0.0, 2.0]]), np.array([[1.0], [10.0]])

    h = np.array([[5.5, 2.5], [-0.5, 2.5]])
    r = np.array([[5.5, 2.5], [0.0, 2.5]])
    dr = np.array([[2.0, -3.0], [20.0, -30.0]])
    dh = np.array([[2.0, -3.0], [0.0, -30.0]])
    expected = {
        "stem": (h, dh, {"weight": np.array([[2.0, 27.0], [4.0, -6.0], [6.0, -69.0]]), "bias": np.array([2.0, -33.0])}),
        "relu": (r, dr, {}),
        "head": (np.array([[4.5], [-6.5]]), dy, {"weight": np.array([[5.5], [27.5]]), "bias": np.array([11.0])}),
    }
    trace = fn.backprop_trace(net, params, {}, x, dy)
    assert list(trace) == ["stem", "relu", "head"]
    for path, (output, cotangent, dparams) in expected.items():
        assert same(trace[path], (output, cotangent, dparams)), path


def test_backprop_trace_names_combinators_wrappers_and_their_children() -> None:
    net = fn.serial(fn.Residual(fn.serial(fn.Dense(3), fn.Tanh())), out=fn.branch(fn.Dense(2), fn.Identity()))
    params, state = net.init(KEY, (3,), np.float64)
    x, dy = KEY.fold("x").normal((4, 3)), (KEY.fold("a").normal((4, 2)), KEY.fold("b").normal((4, 3)))
    trace = fn.backprop_trace(net, params, state, x, dy)
    paths = ["residual_0/dense_0", "residual_0/tanh_0", "residual_0", "out/dense_0", "out/identity_0", "out"]
    assert list(trace) == paths
    assert same(trace["out"][1], dy)
    dparams, _ = net.vjp(params, net.apply(params, state, x, fn.EVAL)[2], dy)
    assert same(trace["residual_0/dense_0"][2], dparams["residual_0"]["dense_0"])
    assert same(trace["residual_0"][2], dparams["residual_0"])
    y = trace["residual_0/tanh_0"][0] + x
    np.testing.assert_array_equal(trace["residual_0"][0], y)
    np.testing.assert_array_equal(trace["out/identity_0"][0], y)
    slope = (1.0 - trace["residual_0/tanh_0"][0] ** 2) * trace["residual_0"][1]
    np.testing.assert_allclose(trace["residual_0/dense_0"][1], slope, rtol=1e-15)


@pytest.mark.parametrize("net", [fn.Dense(3), fn.Residual(fn.Dense(3)), GAIN])
def test_backprop_trace_of_a_network_of_one_layer_stands_under_the_empty_path(net: fn.Layer) -> None:
    params, state = net.init(KEY, (3,), np.float64)
    x, dy = KEY.fold("x").normal((4, 3)), KEY.fold("dy").normal((4, 3))
    trace = fn.backprop_trace(net, params, state, x, dy)
    y, _, residuals = net.apply(params, state, x, fn.EVAL)
    assert same(trace, {"": (y, dy, net.vjp(params, residuals, dy)[0])})


def test_backprop_trace_in_training_draws_from_the_context() -> None:
    net = fn.serial(fn.Dropout(0.5), fn.Dense(2))
    params, state = net.init(KEY, (6,), np.float64)
    x, dy = np.ones((4, 6)), np.ones((4, 2))
    trace = fn.backprop_trace(net, params, state, x, dy, fn.Context(True, KEY))
    mask = ops.bernoulli(KEY.fold("dropout_0"), 0.5, (4, 6))
    np.testing.assert_array_equal(trace["dropout_0"][0], np.where(mask, 2.0, 0.0))
    np.testing.assert_array_equal(trace["dense_0"][2]["weight"], np.where(mask, 2.0, 0.0).T @ dy)


# ----- what is not registered, and what is no instance --------------------------------------------------------


@attrs.frozen
class PlainDense(fn.Dense):
    """Its tag is its base's."""


@attrs.frozen
class PlainAdam(optim.Adam):
    """Likewise."""


@attrs.frozen
class PlainError(losses.MeanSquaredError):
    """Likewise."""


def test_unregistered_subclasses_obey_the_laws() -> None:
    fn.check_layer(PlainDense(2), (3,))
    fn.check_optimizer(PlainAdam())
    fn.check_loss(PlainError(), KEY.normal((4, 2)), KEY.fold("t").normal((4, 2)))


@pytest.mark.parametrize(
    ("check", "message"),
    [
        (lambda: fn.check_layer(fn.Dense, (3,)), "expected a layer, such as fn.Dense(3), got the class Dense"),
        (
            lambda: fn.check_optimizer("adam"),
            "expected an optimizer, such as fn.optim.Adam(), got 'adam'",
        ),
        (
            lambda: fn.check_loss(losses.Huber, np.zeros(2), np.zeros(2)),
            "expected a loss, such as fn.losses.MeanSquaredError(), got the class Huber",
        ),
    ],
)
def test_a_class_or_a_name_is_no_spec(check: Any, message: str) -> None:
    with pytest.raises(fn.FuncnetError) as caught:
        check()
    assert str(caught.value) == message


# ----- no right layer is accused ---------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99])
@pytest.mark.parametrize("in_shape", [(1,), (2,), (4,), (3, 2), (2, 2, 1)])
def test_dropout_of_any_rate_and_size_is_coupled(rate: float, in_shape: tuple[int, ...]) -> None:
    """With few entries two masks are often alike, which is no fault of the layer."""
    for layer in (fn.Dropout(rate), fn.serial(fn.Dense(2), fn.Dropout(rate)), fn.GaussianNoise(rate)):
        fn.check_layer(layer, in_shape, batch_coupled=True)


@pytest.mark.parametrize("name", KINDS)
def test_floats_of_any_width_are_taken(name: str) -> None:
    row = LAYERS[name]
    x = row.input(fn.Key(9), 4, np.float64) if given(row) is None else given(row)
    x = tree.map(lambda leaf: leaf.astype(np.float32) if leaf.dtype.kind == "f" else leaf, x)
    fn.check_layer(row.layer, row.in_shape, x=x, batch_coupled=row.coupled)


def test_differences_that_cross_a_kink_do_not_accuse_a_network() -> None:
    """Some ReLU of this network changes its sign within a millionth along a direction of the check."""
    spec = fn.load_spec(Path(__file__).parents[1] / "specs" / "digits_denoise_unet.json")
    fn.check_layer(spec.model, (8, 8, 1), batch_coupled=True)
