"""The pure training step, and the two functions it is made of: ``value_and_grad`` and ``predict``.

Here data from outside meets a network, so here it is checked, once per shape, and cast to the dtype of
the parameters; past this point no raw NumPy message should ever arise.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from funcnet import tree
from funcnet.errors import DataError, FuncnetError, NonFiniteError, Problem, ShapeError, SpecError
from funcnet.key import Array, Key
from funcnet.layer import (
    EVAL,
    Call,
    Context,
    Layer,
    Params,
    Shape,
    State,
    Value,
    apply_child,
    is_shape,
    listen,
    reach,
    shape_of,
    vjp_child,
)
from funcnet.losses import Loss
from funcnet.optim.rules import Optimizer, OptState, apply_updates


@attrs.frozen(eq=False)
class TrainState:
    """Everything that a training run is at one moment; ``step`` counts the updates made."""

    params: Params
    state: State
    opt_state: OptState
    key: Key
    step: int = 0


# ----- what comes in -----------------------------------------------------------------------------------


def dtype_of(params: Params, state: State | None = None) -> np.dtype[Any] | None:
    """The one float type of params and state; None for a network without floats, which takes inputs as they are.

    Raises   ShapeError for a mixture, or for params that are not floats
    """
    flat = tree.flatten(params)
    floats = {path: np.asarray(leaf).dtype for path, leaf in flat.items()}
    wide = {path: np.asarray(leaf).dtype for path, leaf in tree.flatten(state or {}).items()}
    floats |= {path: dtype for path, dtype in wide.items() if dtype.kind == "f"}
    if len(set(floats.values())) > 1 or any(dtype.kind != "f" for dtype in floats.values()):
        what = "params" if set(floats) <= set(flat) else "params and state"
        found = ", ".join(sorted(f"{path} {dtype}" for path, dtype in floats.items()))
        raise ShapeError(f"expected {what} of one float type, got {found}; convert them with tree.map")
    return next(iter(floats.values()), None)


def cast(value: Value, dtype: npt.DTypeLike | None) -> Value:
    """Arrays of a value, its floats in the params' dtype; integers and booleans stay what they are.

    Raises   DataError for what is not an array of real numbers
    """

    def one(leaf: Any) -> Array:
        array = numeric(leaf)
        return array if dtype is None or array.dtype.kind != "f" else array.astype(dtype, copy=False)

    return tree.map(one, value)


def numeric(data: Any) -> Array:
    """An array of real numbers from anything array-like.

    Raises   DataError for ragged rows, text, objects and complex numbers
    """
    try:
        array = np.asarray(data)
    except ValueError:
        raise DataError("expected rows of one length, got rows that differ; pad or cut them first") from None
    if array.dtype.kind not in "fiub":
        raise DataError(f"expected an array of real numbers, got {array.dtype}; encode or convert it first")
    return array


def mismatches(net: Layer, in_shape: Shape, params: Params, state: State) -> list[str]:
    """How params and state differ from the leaves that the network has at an input shape."""
    expected = tree.flatten(net.leaves(in_shape))
    found = []
    for kind, given in (("param", params), ("state", state)):
        flat = tree.flatten(given)
        wanted = {path: leaf.shape for path, leaf in expected.items() if leaf.kind == kind}
        for path, shape in wanted.items():
            if path not in flat:
                found.append(f"{path}: expected {kind} of shape {shape}, got none")
            elif np.shape(flat[path]) != shape:
                found.append(f"{path}: expected {kind} of shape {shape}, got {np.shape(flat[path])}")
        surplus = [path for path in flat if path not in wanted]
        found += [f"{path}: expected no such {kind}, got shape {np.shape(flat[path])}" for path in surplus]
    return found


def check_network(net: Layer, params: Params, state: State, x: Value) -> None:
    """Check that params, state and a batch of inputs fit the network and one another.

    Raises   ShapeError naming every leaf that does not
    """
    in_shape = shape_of(x)
    unbatched = tree.map(np.shape, x)
    try:
        if any(leaf.ndim == 0 for leaf in tree.leaves(x)):
            raise ShapeError(f"expected a batch of samples, got a single number; wrap it: np.array([[{x}]])")
        if len({len(leaf) for leaf in tree.leaves(x)}) != 1:
            counts = ", ".join(str(len(leaf)) for leaf in tree.leaves(x)) or "none"
            raise ShapeError(f"expected inputs with as many rows each, got {counts}; give every input the whole batch")
        reach("", net, "out_shape", in_shape)
        problems = mismatches(net, in_shape, params, state)
    except FuncnetError:
        _explain_input(net, params, state, in_shape, unbatched)
        raise
    if problems:
        _explain_input(net, params, state, in_shape, unbatched)
        raise ShapeError(
            f"params and state do not fit the network for inputs of shape {in_shape}:\n  "
            + "\n  ".join(problems)
            + "\ngive inputs of the shape that the params were initialised for, or the params of this network"
        )


def _fits(net: Layer, params: Params, state: State, in_shape: Shape) -> bool:
    try:
        net.out_shape(in_shape)
        return not mismatches(net, in_shape, params, state)
    except FuncnetError:
        return False


def _explain_input(net: Layer, params: Params, state: State, in_shape: Shape, unbatched: Shape) -> None:
    """Raise a plainer error where the input alone is at fault: one sample without a batch, or another width."""
    if _fits(net, params, state, unbatched):
        raise ShapeError(
            f"expected a batch of samples, got one sample of shape {unbatched}; "
            "give it a batch axis: x[None] (and y[None])"
        ) from None
    if is_shape(in_shape) and in_shape:
        for width in sorted({length for leaf in tree.leaves(params) for length in np.shape(leaf)}):
            fitting = (*in_shape[:-1], width)
            if _fits(net, params, state, fitting):
                raise ShapeError(
                    f"expected inputs of shape {fitting}, which the params were made for, got {in_shape}; "
                    "give the same features as in training"
                ) from None


def signature(*values: Any) -> tuple[Any, ...]:
    """Structure, shapes (without the batch axis for the first value) and dtypes, to recognise what was checked."""
    x, *rest = values
    return (_form(x, 1), *(_form(value, 0) for value in rest))


def _form(value: Any, skip: int) -> Any:
    if isinstance(value, dict):
        return tuple((name, _form(inner, skip)) for name, inner in value.items())
    if isinstance(value, tuple):
        return tuple(_form(inner, skip) for inner in value)
    return value.ndim, value.shape[skip:], value.dtype.char


def owned(value: Value, *others: Value) -> Value:
    """A value whose arrays nobody else holds: views, repetitions and arrays from outside are copied."""
    held = {id(leaf) for other in others for leaf in tree.leaves(other)}

    def one(leaf: Any) -> Any:
        if not isinstance(leaf, np.ndarray):
            return leaf
        if leaf.base is not None or id(leaf) in held:
            leaf = leaf.copy()
        held.add(id(leaf))
        return leaf

    return tree.map(one, value)


# ----- forward, backward -----------------------------------------------------------------------------------


def predict(net: Layer, params: Params, state: State, x: Value, batch_size: int | None = None) -> Value:
    """The network's output in evaluation mode, ``batch_size`` rows at a time, all at once by default.

    ``x`` has a batch axis; its floats are cast to the params' dtype.
    Raises   ShapeError when inputs, params or state do not fit the network
    """
    instance(net, Layer, "a network", "fn.serial(fn.Dense(10))")
    if batch_size is not None:
        check_batch_size(batch_size)
    x = cast(x, dtype_of(params, state))
    check_network(net, params, state, x)
    rows = len(tree.leaves(x)[0])
    size = rows if batch_size is None else batch_size
    parts = [
        apply_child("", net, params, state, tree.map(lambda a: a[start : start + size], x), EVAL)[0]  # noqa: B023
        for start in range(0, max(rows, 1), max(size, 1))
    ]
    if len(parts) > 1:
        return tree.map(lambda *pieces: np.concatenate(pieces), *parts)
    return owned(parts[0], x, params, state)


def instance(value: Any, kind: type, what: str, example: str) -> None:
    """Refuse an argument of the wrong kind, a class in place of its instance, or a name in place of a spec.

    Raises   FuncnetError with an example of the right one
    """
    if not isinstance(value, kind):
        got = f"the class {value.__name__}" if isinstance(value, type) else f"{value!r:.60}"
        raise FuncnetError(f"expected {what}, such as {example}, got {got}")


def check_batch_size(size: Any) -> None:
    """Refuse a batch size that is not an integer of 1 or more."""
    if not isinstance(size, int | np.integer) or isinstance(size, bool) or size < 1:
        raise DataError(f"expected a batch size of 1 or more, got {size!r}")


def value_and_grad(net: Layer, loss: Loss) -> Callable[..., tuple[float, State, Params]]:
    """``f(params, state, x, y, ctx, weight=None, divisor=None) -> (value, state, grads)``.

    Forward through the network and the loss, then backward through both: grads has the params' tree,
    shapes and dtypes. ``divisor`` overrides the loss's own, for a part of a larger batch.
    Raises   ShapeError, DataError for what does not fit; KeyRequired; nothing from NumPy itself
    """
    checked: set[Any] = set()

    def f(
        params: Params,
        state: State,
        x: Value,
        y: Value,
        ctx: Context,
        weight: Array | None = None,
        divisor: float | None = None,
    ) -> tuple[float, State, Params]:
        dtype = dtype_of(params, state)
        x, y = cast(x, dtype), cast(y, dtype)
        weight = None if weight is None else numeric(weight).astype(dtype or np.float64, copy=False)
        form = signature(x, params, state)
        if form not in checked:
            check_network(net, params, state, x)
            if len(checked) > 256:
                checked.clear()
            checked.add(form)
        _check_rows(x, y, weight)
        prediction, new_state, residuals = apply_child("", net, params, state, x, ctx)
        value, loss_residuals = loss.apply(prediction, y, weight, divisor)
        grads, _ = vjp_child("", net, params, residuals, loss.vjp(loss_residuals))
        return float(value), owned(new_state, state, x, y), owned(grads, x, y, params, state)

    instance(net, Layer, "a network", "fn.serial(fn.Dense(10))")
    instance(loss, Loss, "a loss", "fn.losses.MeanSquaredError()")
    return f


def _check_rows(x: Value, y: Value, weight: Array | None) -> None:
    counts = {len(leaf) if leaf.ndim else 0 for value in (x, y, weight) for leaf in tree.leaves(value)}
    if len(counts) > 1:
        raise ShapeError(
            f"expected as many targets (and weights) as inputs, got {len(tree.leaves(x)[0])} inputs "
            f"and {', '.join(str(np.shape(leaf)) for leaf in tree.leaves((y, weight)))}; pair them row by row"
        )


# ----- the step --------------------------------------------------------------------------------------------


def train_state(
    net: Layer,
    opt: Optimizer,
    key: Key,
    in_shape: Shape,
    dtype: npt.DTypeLike = np.float32,
    params: Params | None = None,
    state: State | None = None,
) -> TrainState:
    """The start of a run: params and state drawn from ``key.fold("init")``, or those given, cast to ``dtype``.

    Raises   ShapeError when given params or state do not fit the network at ``in_shape``
    """
    instance(net, Layer, "a network", "fn.serial(fn.Dense(10))")
    instance(opt, Optimizer, "an optimizer", "fn.optim.Adam()")
    instance(key, Key, "a key", "fn.Key(0)")
    if np.dtype(dtype).kind != "f":
        raise ShapeError(f"expected a float dtype, such as np.float32, got {np.dtype(dtype)}")
    drawn_params, drawn_state = reach("", net, "init", key.fold("init"), in_shape, dtype)
    params, state = drawn_params if params is None else params, drawn_state if state is None else state
    problems = mismatches(net, in_shape, params, state)
    if problems:
        raise ShapeError(
            f"the starting values do not fit the network for inputs of shape {in_shape}:\n  "
            + "\n  ".join(problems)
            + "\ngive the params and state of this network"
        )
    params = owned(tree.map(lambda leaf: numeric(leaf).astype(dtype), params), params)
    state = owned(cast(state, dtype), state)
    return TrainState(params, state, opt.init(params), key, 0)


Batch = tuple[Any, ...]
Step = Callable[[TrainState, Batch], tuple[TrainState, dict[str, float]]]


def train_step(net: Layer, loss: Loss, opt: Optimizer, *, shards: int = 1) -> Step:
    """``step(train_state, (x, y[, weight])) -> (train_state, {"loss": …})``, a pure function.

    The batch is cut into ``shards`` contiguous parts, each with the whole batch's divisor and the key
    ``key.fold("step", step, "shard", s)``; gradients are added in shard order, state is their mean.
    Raises   NonFiniteError for a loss or gradient that is not finite, naming the layer it came out of;
             SpecError for an optimizer that is a transform without a rule
    """
    instance(opt, Optimizer, "an optimizer", "fn.optim.Adam()")
    if not opt.descends:
        message = "gives gradients still, which lead uphill; put a rule after it, such as chain(…, SGD(0.1))"
        raise SpecError([Problem("", message)], root=type(opt).__name__)
    if not isinstance(shards, int) or shards < 1:
        raise ShapeError(f"expected shards of 1 or more, got {shards!r}")
    if shards > 1 and not loss.additive:
        raise ShapeError(
            f"{type(loss).__name__} of a batch is not a sum over its parts, so shards must be 1, got {shards}; "
            "use MeanSquaredError(), whose minimum is the same"
        )
    gradient = value_and_grad(net, loss)

    def step(ts: TrainState, batch: Batch) -> tuple[TrainState, dict[str, float]]:
        x, y, weight = unpack(batch)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # their results are looked at below
            value, state, grads = whole(ts, x, y, weight)
            if not (math.isfinite(value) and all_finite(grads)):
                raise explain(ts, x, y, weight)
            updates, opt_state = opt.update(grads, ts.opt_state, ts.params, value)
            params = apply_updates(ts.params, updates)
        for path, leaf in tree.flatten(params).items():
            if not finite(leaf):
                raise not_finite(ts.step, "an update", f"the step of params {path} by {type(opt).__name__}")
        for path, leaf in tree.flatten(state).items():
            if not finite(leaf):
                raise not_finite(ts.step, "a running statistic", f"state {path}")
        return TrainState(params, state, opt_state, ts.key, ts.step + 1), {"loss": value}

    def context(ts: TrainState, shard: int) -> Context:
        return Context(True, ts.key.fold("step", ts.step, "shard", shard))

    def whole(ts: TrainState, x: Value, y: Value, weight: Array | None) -> tuple[float, State, Params]:
        x, y = tree.map(numeric, x), tree.map(numeric, y)
        weight = None if weight is None else numeric(weight)
        rows = min((len(leaf) if leaf.ndim else 0 for leaf in tree.leaves(x)), default=0)
        if shards == 1 or rows == 0:
            return gradient(ts.params, ts.state, x, y, context(ts, 0), weight)
        _check_rows(x, y, weight)
        divisor = loss.divisor(cast(y, dtype_of(ts.params)), weight)
        parts = []
        for shard in range(shards):
            part = slice(shard * rows // shards, (shard + 1) * rows // shards)
            if part.start < part.stop:
                x_part, y_part = (tree.map(lambda a: a[part], value) for value in (x, y))  # noqa: B023
                w_part = None if weight is None else weight[part]
                parts.append(gradient(ts.params, ts.state, x_part, y_part, context(ts, shard), w_part, divisor))
        value, state, grads = parts[0]
        for other_value, other_state, other_grads in parts[1:]:
            value = value + other_value
            state, grads = (tree.map(np.add, *pair) for pair in ((state, other_state), (grads, other_grads)))
        share = 1.0 / len(parts)
        return (
            value,
            tree.map(lambda leaf, first: leaf * share if leaf.dtype.kind == "f" else first, state, parts[0][1]),
            grads,
        )

    def explain(ts: TrainState, x: Value, y: Value, weight: Array | None) -> NonFiniteError:
        """Run the step again with a listener, which hears of inner layers before those around them."""
        found: list[str] = []
        passes: list[str] = []

        def notice(event: Call) -> None:
            if found or event.method not in ("apply", "vjp"):
                return
            layer = f"{event.path or 'the network'} ({type(event.layer).__name__})"
            if event.method == "vjp" and "vjp" not in passes and not all_finite(event.args[2]):
                found.append(blame)  # the first cotangent of all comes from the loss
            elif not all_finite(event.result[0] if event.method == "apply" else event.result):
                found.append(f"the {'forward' if event.method == 'apply' else 'backward'} pass of {layer}")
            passes.append(event.method)

        blame = f"the loss itself ({type(loss).__name__})"
        for name, leaf in (("the input batch", x), ("the targets", y), ("the weights", weight)):
            if leaf is not None and not all_finite(cast(leaf, np.float64)):
                found.append(name)
        found += [f"params {path}" for path, leaf in tree.flatten(ts.params).items() if not finite(leaf)][:1]
        if not found:
            with listen(notice):
                value, _, _ = whole(ts, x, y, weight)
            if not math.isfinite(value) and found and "backward" in found[0]:
                found.clear()  # the loss came before
        return not_finite(ts.step, "a loss or gradient", found[0] if found else blame)

    return step


def not_finite(step: int, what: str, where: str) -> NonFiniteError:
    """The error of a step that gave a NaN or infinity, with the place it came out of."""
    return NonFiniteError(
        f"step {step}: {what} is not finite; it arose first in {where}. "
        "Lower the learning rate, clip gradients (ClipByGlobalNorm), or look at the data"
    )


def unpack(batch: Batch) -> tuple[Value, Value, Array | None]:
    """``(x, y, weight)`` of a batch or data set given as ``(x, y)`` or ``(x, y, weight)``.

    Raises   ShapeError for anything else
    """
    if not isinstance(batch, tuple) or len(batch) not in (2, 3):
        size = f" of {len(batch)}" if isinstance(batch, tuple) else ""
        raise ShapeError(f"expected data as a tuple (x, y) or (x, y, weight), got a {type(batch).__name__}{size}")
    x, y, weight = batch if len(batch) == 3 else (*batch, None)
    return x, y, weight


def finite(array: Array) -> bool:
    """Whether every entry is finite; integers always are."""
    array = np.asarray(array)
    if array.dtype.kind != "f" or math.isfinite(float(np.vdot(array, array))):
        return True
    return bool(np.isfinite(array).all())  # the sum of squares may overflow while every entry is finite


def all_finite(value: Value) -> bool:
    """Whether every entry of every array is finite."""
    return all(map(finite, tree.leaves(value)))
