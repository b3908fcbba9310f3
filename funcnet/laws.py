"""The laws that layers, losses and optimizers obey, as functions that anybody can run on their own.

A hand-written vjp is wrong until these pass. The central one is the projection check: for random
directions u of an input and a random cotangent v of the output, the slope of ``<v, f(x + t u)>`` at
t = 0, taken by central differences, must equal ``<vjp(v), u>``. Two forward passes tell, however many
parameters there are.
"""

from __future__ import annotations

import contextlib
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from funcnet import tree
from funcnet.codec import (
    from_json,
    to_json,
)
from funcnet.errors import LawError, SpecError
from funcnet.key import Array, Key
from funcnet.layer import (
    EVAL,
    Context,
    Event,
    Layer,
    Leaf,
    Params,
    Shape,
    State,
    Value,
    apply_child,
    batched,
    is_shape,
    listen,
    shape_of,
    vjp_child,
)
from funcnet.losses import Loss
from funcnet.optim.rules import Optimizer, apply_updates
from funcnet.spec import Spec

EPS = 1e-6
RTOL = 1e-6
BATCH = 4
DIRECTIONS = 3


def expect(holds: Any, law: str, subject: Any, detail: str = "") -> None:
    """Raise LawError naming the law unless it holds."""
    if not holds:
        raise LawError(f"breaks the law {law!r}{': ' + detail if detail else ''}", layer=type(subject).__name__)


# ----- values to try things on ---------------------------------------------------------------------


def random_like(value: Value, key: Key) -> Value:
    """Normal draws in the structure, shapes and dtypes of a value; ``None`` where it holds no floats."""
    counter = iter(range(10**6))

    def one(leaf: Any) -> Any:
        array = np.asarray(leaf)
        return key.fold(next(counter)).normal(array.shape, array.dtype) if array.dtype.kind == "f" else None

    return tree.map(one, value)


def random_input(in_shape: Shape, key: Key, batch: int = BATCH, dtype: Any = np.float64) -> Value:
    """A batch of normal draws for an input shape."""
    return random_like(_empty(batched(in_shape, batch), dtype), key)


def _empty(shapes: Any, dtype: Any) -> Value:
    if isinstance(shapes, dict):
        return {name: _empty(shape, dtype) for name, shape in shapes.items()}
    return np.zeros(shapes, dtype) if is_shape(shapes) else tuple(_empty(shape, dtype) for shape in shapes)


def frozen_copy(value: Value) -> Value:
    """A copy that nobody can write to."""

    def one(leaf: Any) -> Array:
        copy = np.array(leaf)
        copy.flags.writeable = False
        return copy

    return tree.map(one, value)


def inner(a: Value, b: Value) -> float:
    """The inner product of two values of one structure, over what both have."""
    pairs = zip(_parts(a), _parts(b), strict=True)
    return sum(float(np.vdot(x, y)) for x, y in pairs if x is not None and y is not None)


def _parts(value: Value) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for node in value.values() for leaf in _parts(node)]
    return [leaf for node in value for leaf in _parts(node)] if isinstance(value, tuple) else [value]


def moved(value: Value, direction: Value, by: float) -> Value:
    """``value + by · direction``; what has no direction stays."""
    if isinstance(value, dict):
        return {name: moved(leaf, direction[name], by) for name, leaf in value.items()}
    if isinstance(value, tuple):
        return tuple(moved(a, b, by) for a, b in zip(value, direction, strict=True))
    return value if direction is None else value + by * direction


def same(a: Value, b: Value, rtol: float = 0.0) -> bool:
    """Whether two values agree in structure, dtypes, and numbers: to the last bit, or to a tolerance."""
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same(a[name], b[name], rtol) for name in a)
    if isinstance(a, tuple):
        return isinstance(b, tuple) and len(a) == len(b) and all(same(x, y, rtol) for x, y in zip(a, b, strict=True))
    if a is None or b is None:
        return a is b
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    if rtol == 0.0:
        return bool(np.array_equal(a, b, equal_nan=a.dtype.kind == "f"))
    scale = float(np.max(np.abs(b), initial=0.0))
    return bool(np.all(np.abs(a - b) <= rtol * max(scale, 1.0)))


def slope(f: Callable[[float], float]) -> float:
    """The derivative of a function of one number at 0, by central differences."""
    return (f(EPS) - f(-EPS)) / (2.0 * EPS)


def agree(numeric: float, analytic: float, scale: float) -> bool:
    """Whether two slopes are equal to RTOL, beyond the rounding that differences of size ``scale`` suffer."""
    rounding = 1e-15 * scale / EPS
    return abs(numeric - analytic) <= RTOL * max(abs(numeric), abs(analytic)) + 8.0 * rounding + 1e-10


def one_leaf(values: Value, path: str) -> Value:
    """A tree of values with zeros everywhere but at one leaf."""
    flat = tree.flatten(values)
    return tree.unflatten({name: leaf if name == path else np.zeros_like(leaf) for name, leaf in flat.items()})


# ----- layers --------------------------------------------------------------------------------------------


def check_layer(layer: Layer, in_shape: Shape, *, x: Value = None, batch_coupled: bool = False) -> None:
    """Run every law on a layer, in training and evaluation mode.

    ``x`` is a batch to try it on (float64, or integers where the layer takes them), at least two rows;
    random normal by default. ``batch_coupled`` says that in training rows depend on one another or on
    their place in the batch, as with batch statistics and noise, which is then checked to be so.
    Raises   LawError naming the law, and where there is one the leaf, that breaks it
    """
    key = Key(0).fold("laws")
    x = frozen_copy(random_input(in_shape, key.fold("x")) if x is None else x)
    contexts = {"eval": EVAL, "train": Context(True, key.fold("draws"))}
    params, state = (frozen_copy(part) for part in layer.init(key.fold("init"), in_shape, np.float64))
    params = frozen_copy(moved(params, random_like(params, key.fold("shake")), 0.1))  # no bias stays exactly 0
    check_leaves(layer, in_shape)
    for mode, ctx in contexts.items():
        check_shapes(layer, in_shape, params, state, x, ctx)
        check_adjoint(layer, params, state, x, ctx, key.fold("adjoint", mode))
        check_linear(layer, params, state, x, ctx, key.fold("linear", mode))
        check_pure(layer, params, state, x, ctx, key.fold("pure", mode))
        check_precision(layer, params, state, x, ctx, key.fold("precision", mode))
        check_layouts(layer, params, state, x, ctx, key.fold("layouts", mode))
        check_rows(layer, params, state, x, ctx, key.fold("rows", mode), coupled=batch_coupled and mode == "train")
    check_spec(layer, params, state, x)


def _forward(layer: Layer, params: Params, state: State, x: Value, ctx: Context) -> tuple[Value, State, Any]:
    return apply_child("", layer, params, state, x, ctx)


def _backward(layer: Layer, params: Params, residuals: Any, dy: Value) -> tuple[Params, Value]:
    return vjp_child("", layer, params, residuals, dy)


def check_leaves(layer: Layer, in_shape: Shape) -> None:
    """``init`` gives exactly the leaves, in every dtype, and the same ones for the same key."""
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
    y, new_state, residuals = _forward(layer, params, state, x, ctx)
    expect(
        shape_of(y) == layer.out_shape(in_shape),
        "out_shape agrees with apply",
        layer,
        f"out_shape says {layer.out_shape(in_shape)}, apply gives {shape_of(y)}",
    )
    expect(_form(new_state) == _form(state), "state keeps keys, shapes and dtypes", layer)
    expect(ctx.train or same(new_state, state), "evaluation keeps the state", layer)
    dparams, dx = _backward(layer, params, residuals, random_like(y, Key(2)))
    expect(
        _form(dparams) == _form(params),
        "gradients have the params' tree, shapes and dtypes",
        layer,
        f"expected {_form(params)}, got {_form(dparams)}",
    )
    floats = tree.map(lambda leaf: leaf if leaf.dtype.kind == "f" else None, x)
    expect(
        _shapes(dx) == _shapes(floats),
        "the input's cotangent has its shape, and is None for integers",
        layer,
        f"expected {_shapes(floats)}, got {_shapes(dx)}",
    )


def _form(values: Any) -> dict[str, Any]:
    return {path: (np.shape(leaf), np.asarray(leaf).dtype.name) for path, leaf in tree.flatten(values).items()}


def _shapes(value: Value) -> Any:
    return tree.map(lambda leaf: None if leaf is None else np.shape(leaf), value)


def check_adjoint(layer: Layer, params: Params, state: State, x: Value, ctx: Context, key: Key) -> None:
    """``vjp`` is the adjoint of ``apply``'s derivative, for each parameter and the input."""
    y, _, residuals = _forward(layer, params, state, x, ctx)
    for i in range(DIRECTIONS):
        dy = random_like(y, key.fold("dy", i))
        dparams, dx = _backward(layer, params, residuals, dy)
        scale = sum(float(np.sum(np.abs(a * b))) for a, b in zip(_parts(dy), _parts(y), strict=True) if a is not None)

        def loss(params: Params, x: Value, dy: Value = dy) -> float:
            return inner(dy, _forward(layer, params, state, x, ctx)[0])

        u = random_like(x, key.fold("x", i))
        numeric, analytic = slope(lambda t: loss(params, moved(x, u, t))), inner(dx, u)  # noqa: B023
        expect(agree(numeric, analytic, scale), "adjoint", layer, f"input: differences give {numeric}, vjp {analytic}")
        directions = random_like(params, key.fold("params", i))
        for path in tree.flatten(params):
            u = one_leaf(directions, path)
            numeric, analytic = slope(lambda t: loss(moved(params, u, t), x)), inner(dparams, u)  # noqa: B023
            expect(
                agree(numeric, analytic, scale), "adjoint", layer, f"{path}: differences give {numeric}, vjp {analytic}"
            )


def check_linear(layer: Layer, params: Params, state: State, x: Value, ctx: Context, key: Key) -> None:
    """``vjp`` is linear in the cotangent, and gives exact zeros for zeros."""
    y, _, residuals = _forward(layer, params, state, x, ctx)
    a, b = random_like(y, key.fold("a")), random_like(y, key.fold("b"))
    both = _backward(layer, params, residuals, moved(tree.map(lambda v: 2.0 * v, a), b, -3.0))
    each = [_backward(layer, params, residuals, v) for v in (a, b)]
    combined = moved(_none_to_zero(tree.map(lambda v: None if v is None else 2.0 * v, each[0])), each[1], -3.0)
    expect(same(_none_to_zero(both), combined, 1e-10), "linear in the cotangent", layer)
    zeros = _backward(layer, params, residuals, tree.zeros_like(a))
    expect(not any(np.any(leaf) for leaf in tree.leaves(zeros)), "a zero cotangent gives exact zeros", layer)


def _none_to_zero(value: Value) -> Value:
    return tree.map(lambda leaf: np.zeros(()) if leaf is None else leaf, value)


def check_pure(layer: Layer, params: Params, state: State, x: Value, ctx: Context, key: Key) -> None:
    """Nothing received or returned is written to; the same call gives the same bits; ``vjp`` may run twice."""
    try:
        y, new_state, residuals = _forward(layer, params, state, x, ctx)
        kept = tree.map(np.array, (y, new_state))
        dy = frozen_copy(random_like(y, key))
        first = tree.map(lambda leaf: None if leaf is None else np.array(leaf), _backward(layer, params, residuals, dy))
        second = _backward(layer, params, residuals, dy)
    except ValueError as error:
        if "read-only" not in str(error) and "readonly" not in str(error):
            raise
        message = f"breaks the law 'pure': writes to what it was given ({error})"
        raise LawError(message, layer=type(layer).__name__) from None
    expect(same(first, second), "vjp may be called twice with the same result", layer)
    expect(same((y, new_state), kept), "pure", layer, "vjp writes to what apply returned")
    again = _forward(layer, params, state, x, ctx)
    expect(same(again[:2], kept), "the same call gives the same bits", layer)


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
    """Arrays that are transposed, strided or reversed in memory give the same values."""
    y, _, residuals = _forward(layer, params, state, x, ctx)
    dy = random_like(y, key)
    expected = (y, _backward(layer, params, residuals, dy))
    for name, layout in (("Fortran order", np.asfortranarray), ("strided", _strided), ("reversed", _reversed)):

        def lay(value: Value, layout: Callable[[Array], Array] = layout) -> Value:
            return tree.map(lambda leaf: None if leaf is None else layout(leaf), value)

        y, _, residuals = _forward(layer, lay(params), lay(state), lay(x), ctx)
        got = (y, _backward(layer, lay(params), residuals, lay(dy)))
        expect(same(got, expected, 1e-12), "any memory layout gives the same values", layer, name)


def _strided(array: Array) -> Array:
    return np.repeat(array, 2, axis=-1)[..., ::2] if array.ndim else array


def _reversed(array: Array) -> Array:
    return np.ascontiguousarray(array[::-1])[::-1] if array.ndim else array


def check_rows(layer: Layer, params: Params, state: State, x: Value, ctx: Context, key: Key, *, coupled: bool) -> None:
    """Each row is treated by itself, so that halves of a batch give the whole's results; or, coupled, not."""
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

    split = (joined(0), tree.map(np.add, outs[0][1], outs[1][1]), joined(2))
    if coupled:
        expect(not same(split, (y, dparams, dx), 1e-9), "batch_coupled: splitting a training batch changes it", layer)
    else:
        expect(same(split, (y, dparams, dx), 1e-9), "splitting a batch changes nothing", layer)


def check_spec(layer: Layer, params: Params, state: State, x: Value) -> None:
    """A spec equals its copies by pickle and, if it is registered, by JSON, which compute the same."""
    copies = []
    try:
        copies.append(from_json(to_json(layer)))
    except SpecError:
        expect(not all(cls.tag for cls in _classes(layer)), "a registered spec round-trips through JSON", layer)
    else:
        with contextlib.suppress(pickle.PicklingError, AttributeError):  # a class inside a function has no address
            copies.append(pickle.loads(pickle.dumps(layer)))
    for copy in copies:
        expect(copy == layer and hash(copy) == hash(layer), "a copy is equal", layer)
        outs = [spec.apply(params, state, x, EVAL)[0] for spec in (copy, layer)]
        expect(same(*outs), "a copy computes the same", layer)


def _classes(layer: Layer) -> Iterator[type[Spec]]:
    yield type(layer)
    for child in layer.children.values():
        yield from _classes(child)


# ----- losses ---------------------------------------------------------------------------------------------


def check_loss(loss: Loss, prediction: Array, target: Any) -> None:
    """Run every law on a loss, at a prediction (float64) where it is differentiable.

    Raises   LawError naming the law that breaks
    """
    key = Key(0).fold("laws")
    prediction, target = frozen_copy(np.asarray(prediction, np.float64)), frozen_copy(target)
    rows = len(prediction)
    whole = loss.divisor(target)
    weights = {"no weight": None, "a weight": 0.5 + key.fold("weight").uniform((rows,))}
    for name, weight in weights.items():
        value, residuals = loss.apply(prediction, target, weight)
        expect(np.shape(value) == (), "the value is a scalar", loss, f"its shape is {np.shape(value)}")
        slope_at = loss.vjp(residuals)
        expect(np.shape(slope_at) == prediction.shape, "the cotangent has the prediction's shape", loss)
        for i in range(DIRECTIONS):
            u = key.fold("u", i).normal(prediction.shape)
            numeric = slope(lambda t: float(loss.apply(prediction + t * u, target, weight)[0]))  # noqa: B023
            analytic = inner(slope_at, u)
            expect(
                agree(numeric, analytic, abs(float(value))),
                "adjoint",
                loss,
                f"with {name}: differences give {numeric}, vjp {analytic}",
            )
        expect(same(loss.vjp(residuals, 3.0), 3.0 * slope_at, 1e-12), "linear in the cotangent", loss)
        expect(not np.any(loss.vjp(residuals, 0.0)), "a zero cotangent gives exact zeros", loss)
        expect(same(loss.vjp(residuals), slope_at), "vjp may be called twice with the same result", loss)
        if loss.additive:
            divisor = loss.divisor(target, weight)
            halves = [slice(0, rows // 2), slice(rows // 2, rows)]
            parts = [
                loss.apply(prediction[h], target[h], None if weight is None else weight[h], divisor) for h in halves
            ]
            expect(
                same(np.asarray(sum(float(part[0]) for part in parts)), np.asarray(float(value)), 1e-12),
                "parts with the whole's divisor add up",
                loss,
            )
            expect(
                same(np.concatenate([loss.vjp(part[1]) for part in parts]), slope_at, 1e-12),
                "parts with the whole's divisor add up",
                loss,
            )
    ones = loss.divisor(target, np.ones(rows))
    expect(ones == whole, "weights of 1 change nothing", loss, f"divisor {ones}, not {whole}")
    narrow = prediction.astype(np.float32)
    narrow_target = target.astype(np.float32) if target.dtype.kind == "f" else target
    value, residuals = loss.apply(narrow, narrow_target)
    dtypes = {np.asarray(value).dtype, loss.vjp(residuals).dtype}
    expect(dtypes == {np.dtype(np.float32)}, "float32 in gives float32 out", loss, f"got {dtypes}")
    if loss.tag is not None:
        expect(from_json(to_json(loss)) == loss, "a registered spec round-trips through JSON", loss)


# ----- optimizers -------------------------------------------------------------------------------------------


def check_optimizer(opt: Optimizer) -> None:
    """Run every law on an optimizer; a rule, as against a transform alone, must also descend.

    Raises   LawError naming the law that breaks
    """
    key = Key(0).fold("laws")
    for dtype in (np.float32, np.float64):
        weight, bias = key.fold("w").normal((3, 2), dtype), key.fold("b").normal((2,), dtype)
        params = frozen_copy({"a": {"weight": weight}, "bias": bias})
        opt_state = frozen_copy(opt.init(params))
        form = _form(opt_state)
        for step in range(3):
            grads = frozen_copy(random_like(params, key.fold("g", step)))
            try:
                updates, new_state = opt.update(grads, opt_state, params, 1.0)
            except ValueError as error:
                if "read-only" not in str(error):
                    raise
                raise LawError(f"breaks the law 'pure': {error}", layer=type(opt).__name__) from None
            expect(
                _form(updates) == _form(params),
                "updates have the params' tree, shapes and dtypes",
                opt,
                f"expected {_form(params)}, got {_form(updates)}",
            )
            expect(_form(new_state) == form, "the state keeps keys, shapes and dtypes", opt)
            again = opt.update(grads, opt_state, params, 1.0)
            expect(same(again, (updates, new_state)), "the same call gives the same bits", opt)
            for path, leaf in tree.flatten(new_state).items():
                if path.endswith("step"):
                    expect(leaf.dtype == np.int64 and leaf == step + 1, "step counts the updates in int64", opt)
            opt_state, params = frozen_copy(new_state), frozen_copy(apply_updates(params, updates))
        evaluated = opt.eval_params(params, opt_state)
        expect(_form(evaluated) == _form(params), "eval_params has the params' tree, shapes and dtypes", opt)
    if opt.tag is not None:
        expect(from_json(to_json(opt)) == opt, "a registered spec round-trips through JSON", opt)


# ----- gradients, and watching them -------------------------------------------------------------------------


def check_gradient(f: Callable[[Params], Any], params: Params, grads: Params) -> None:
    """Check ``grads`` as the gradient of a scalar function of a dict of float64 arrays.

    Raises   LawError naming the leaf and the entry that are wrong
    """
    params = tree.map(lambda leaf: np.asarray(leaf, np.float64), params)
    flat, given = tree.flatten(params), tree.flatten(grads)
    if {path: np.shape(leaf) for path, leaf in flat.items()} != {path: np.shape(leaf) for path, leaf in given.items()}:
        raise LawError(
            f"expected gradients of the shapes { {path: np.shape(leaf) for path, leaf in flat.items()} }, "
            f"got { {path: np.shape(leaf) for path, leaf in given.items()} }"
        )
    scale = abs(float(f(params)))
    for path, leaf in flat.items():
        u = Key(0).fold(path).normal(leaf.shape)

        def along(t: float, direction: Array, path: str = path) -> float:
            return float(f(tree.unflatten({**flat, path: flat[path] + t * direction})))

        if agree(slope(lambda t: along(t, u)), inner(given[path], u), scale):  # noqa: B023
            continue
        for entry in np.ndindex(leaf.shape):  # one by one, now that one of them is known to be wrong
            e = np.zeros_like(leaf)
            e[entry] = 1.0
            numeric, analytic = slope(lambda t: along(t, e)), float(given[path][entry])  # noqa: B023
            if not agree(numeric, analytic, scale):
                raise LawError(f"the gradient of {path} is wrong at {entry}: expected {numeric}, got {analytic}")


def backprop_trace(
    net: Layer, params: Params, state: State, x: Value, dy: Value, ctx: Context = EVAL
) -> dict[str, tuple[Value, Value, Params]]:
    """Watch backpropagation flow: ``{path: (output, cotangent of the output, dparams)}`` in forward order.

    A network of one layer stands under the empty path, a wrapper's inner layer under the wrapper's.
    """
    outputs: dict[str, Value] = {}
    backward: dict[str, tuple[Value, Params]] = {}

    def notice(event: Event) -> None:
        if event.path or not net.children:
            if event.method == "apply":
                outputs.pop(event.path, None)
                outputs[event.path] = event.result[0]
            elif event.method == "vjp":
                backward[event.path] = (event.args[2], event.result[0])

    with listen(notice):
        _, _, residuals = _forward(net, params, state, x, ctx)
        _backward(net, params, residuals, dy)
    return {path: (output, *backward.get(path, (None, {}))) for path, output in outputs.items()}
