"""The pure training step, and the functions ``value_and_grad`` and ``predict``.

Outside data meets a network here, so each of them checks it first (``inputs.py``).
"""

from __future__ import annotations

import functools
import math
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from funcnet import ops, tree
from funcnet.compiler.guard import MISS
from funcnet.errors import NonFiniteError, Problem, ShapeError, SpecError
from funcnet.hints import explained
from funcnet.inputs import (
    all_finite,
    as_loss,
    as_optimizer,
    cast,
    cast_weight,
    check_network,
    check_rows,
    dtype_of,
    finite,
    instance,
    signature,
    unpack,
    whole_number,
)
from funcnet.key import Array
from funcnet.layers.base import Context, Layer, Params, State
from funcnet.layers.calls import Call, listen
from funcnet.losses.base import Loss
from funcnet.optim.base import Optimizer, OptState
from funcnet.optim.hyperparameters import current
from funcnet.padding import padded, padded_targets, without_padding
from funcnet.shapes import Output, Value
from funcnet.signatures import check_signatures
from funcnet.training.programs import (
    compiled_gradients,
    compiled_prediction,
    compiled_step,
    gradients,
    training_step,
)
from funcnet.training.state import (
    TrainState as TrainState,
    check_opt_state as check_opt_state,
    forms as forms,
    train_state as train_state,
    wide_enough,
)
from funcnet.training.threads import obedient


class Made(functools.partial[Any]):
    """A function that another made of specs, as ``train_step`` does. It is pickled as the call that made it."""

    made: tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]

    def __new__(cls, function: Callable[..., Any], make: Callable[..., Any], *args: Any, **options: Any) -> Made:
        self = super().__new__(cls, function)
        self.made = make, args, options
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        make, args, options = self.made
        return functools.partial(make, **options), args


# ----- forward, backward -----------------------------------------------------------------------------------


@explained
def predict(net: Layer, params: Params, state: State, x: Value, batch_size: int | None = None) -> Output:
    """The network's output in evaluation mode, ``batch_size`` rows at a time, all at once by default.

    ``x`` has a batch axis; its floats are cast to the params' dtype. A stream is read batch by batch. A list of
    sequences of different lengths is padded for a network that takes masks.
    Raises   ShapeError when inputs, params or state do not fit the network

    >>> net = fn.serial(fn.Dense(8), fn.Relu(), fn.Dense(3))
    >>> params, state = net.init(fn.Key(0), (4,))
    >>> fn.predict(net, params, state, np.zeros((5, 4), np.float32)).shape
    (5, 3)
    """
    return _prediction_of(net)(params, state, x, batch_size, None)


def predicted(
    f: Callable[[Output], Any] | None, net: Layer, params: Params, state: State, x: Value, batch_size: int | None
) -> Any:
    """A function of the outputs, or the outputs; it acts on each row alone, and is called for each batch."""
    return _prediction_of(net)(params, state, x, batch_size, f)


def _predicting(net: Layer) -> Callable[..., Output]:
    """``predict`` for a network, with its compiled prediction."""
    run = compiled_prediction(net)

    def answer(
        params: Params, state: State, x: Value, batch_size: int | None, f: Callable[[Output], Any] | None
    ) -> Output:
        before = ops.silence()
        try:
            if batch_size is None:
                y = run.quickly(params, state, x)  # arguments that fit a plan were checked when it was made
                if y is not MISS:
                    return y if f is None else f(y)
            else:
                whole_number(batch_size, 1, "a batch size of 1 or more")
            dtype = dtype_of(params, state)
            x = cast(padded(net, x), dtype)
            check_network(net, params, state, x)
            rows = len(tree.leaves(x)[0])
            size = rows if batch_size is None else batch_size
            outputs = (
                run(params, state, cast(tree.map(lambda a: a[start : start + size], x), dtype))  # noqa: B023
                for start in range(0, max(rows, 1), max(size, 1))
            )
            parts = list(outputs if f is None else map(f, outputs))
        finally:
            ops.unsilence(before)
        return parts[0] if len(parts) == 1 else tree.map(lambda *pieces: np.concatenate(pieces), *parts)

    return obedient(answer)


_recent: list[tuple[weakref.ref[Layer], Callable[..., Output]]] = []


def _prediction_of(net: Layer) -> Callable[..., Output]:
    """The prediction of a network, compiled; hashing a spec takes longer than a small network."""
    for known, run in _recent:
        if known() is net:
            return run
    instance(net, Layer, "a network", "fn.serial(fn.Dense(10))")
    check_signatures(net, without=("vjp",))
    run = _predicting(net)
    _recent[:] = [(weakref.ref(net), run), *((known, run) for known, run in _recent[:3] if known() is not None)]
    return run


@explained
def value_and_grad(net: Layer, loss: Loss | str) -> Callable[..., tuple[float, State, Params]]:
    """``f(params, state, x, y, ctx, weight=None, divisor=None) -> (value, state, grads)``.

    It runs forward through the network and the loss, then backward through both: grads has the params' tree,
    shapes and dtypes. ``divisor`` overrides the loss's own, for a part of a larger batch.
    Raises   ShapeError, DataError for arguments that do not fit; KeyRequired; no errors from NumPy itself

    >>> net = fn.Dense(1, use_bias=False)
    >>> f = fn.value_and_grad(net, fn.losses.MeanSquaredError())
    >>> params, x, y = {"weight": np.array([[3.0]])}, np.array([[1.0], [2.0]]), np.array([[2.0], [4.0]])
    >>> value, state, grads = f(params, {}, x, y, fn.EVAL)
    >>> float(value), grads["weight"].tolist()
    (2.5, [[5.0]])
    """
    instance(net, Layer, "a network", "fn.serial(fn.Dense(10))")
    loss = as_loss(loss)
    check_signatures(net, loss)
    run = compiled_gradients(net, loss)

    def f(
        params: Params,
        state: State,
        x: Value,
        y: Value,
        ctx: Context,
        weight: Array | None = None,
        divisor: float | None = None,
    ) -> tuple[float, State, Params]:
        before = ops.silence()
        try:
            result: tuple[float, State, Params] = run.quickly(params, state, x, y, ctx, weight, divisor)
            if result is not MISS:
                return result
            x, y, weight = fitted(net, params, state, x, y, weight)
            return run(params, state, x, y, ctx, weight, divisor)
        finally:
            ops.unsilence(before)

    return Made(explained(obedient(f)), value_and_grad, net, loss)


def fitted(
    net: Layer, params: Params, state: State, x: Value, y: Value, weight: Array | None
) -> tuple[Value, Value, Array | None]:
    """A batch cast to the params' dtype and checked against the network."""
    dtype = dtype_of(params, state)
    wide_enough(dtype)
    x = cast(padded(net, x), dtype, "x")
    y = cast(padded_targets(net, x, y), dtype, "y")
    weight = None if weight is None else cast_weight(weight, dtype or np.float64)
    form = id(net), signature(x, params, state)
    if form not in _checked or _checked[form] is not net:
        check_network(net, params, state, x)
        if len(_checked) > 256:
            _checked.clear()
        _checked[form] = net
    check_rows(x, y, weight)
    return x, y, weight


_checked: dict[Any, Layer] = {}


# ----- the step --------------------------------------------------------------------------------------------


Batch = tuple[Any, ...]
Step = Callable[..., tuple[TrainState, dict[str, float]]]


@explained
def train_step(net: Layer, loss: Loss | str, opt: Optimizer | str, *, shards: int = 1, compile: bool = True) -> Step:
    """``step(train_state, (x, y[, weight]), divisor=None) -> (train_state, {"loss": …})``, a pure function.

    Specs may be given by their tags: ``fn.train_step(net, "mean_squared_error", "adam")``.
    The batch is cut into ``shards`` contiguous parts, each with the whole batch's divisor and the key
    ``key.fold("step", step, "shard", s)``; gradients are added in shard order, states are averaged.
    ``compile`` records the step at its first call, and again for each new batch shape, and runs it as
    a straight line of NumPy calls: the same numbers, faster. Optimizers of the library that differ in their numbers
    and schedules alone share the recording. ``divisor`` overrides the loss's own, which is the sum of
    the weights, and allows weights below 0, such as the advantages of policy gradients.
    Raises   NonFiniteError for a loss or gradient that is not finite, naming the layer where it arose;
             SpecError for an optimizer that is only a transform, without a rule

    >>> net, loss, opt = fn.Dense(1), fn.losses.MeanSquaredError(), fn.optim.SGD(0.1)
    >>> step = fn.train_step(net, loss, opt)
    >>> ts = fn.train_state(net, opt, fn.Key(0), in_shape=(2,))
    >>> x, y = np.ones((4, 2), np.float32), np.zeros((4, 1), np.float32)
    >>> ts, metrics = step(ts, (x, y))
    >>> ts.step, sorted(metrics)
    (1, ['loss'])
    """
    instance(net, Layer, "a network", "fn.serial(fn.Dense(10))")
    loss = as_loss(loss)
    opt = as_optimizer(opt)
    check_signatures(net, loss, opt)
    if not opt.descends:
        message = "is a transform, and its gradients point uphill; put a rule after it, such as chain(…, SGD(0.1))"
        raise SpecError([Problem("", message)], root=type(opt).__name__)
    whole_number(shards, 1, "shards of 1 or more")
    if shards > 1 and not loss.additive:
        raise ShapeError(
            f"{type(loss).__name__} of a batch is not a sum over its parts, so shards must be 1, got {shards}; "
            "use MeanSquaredError, whose minimum is the same"
        )
    plain = training_step(net, loss, opt, shards)
    run = compiled_step(net, loss, opt, shards) if compile else None
    checked: set[Any] = set()

    def step(ts: TrainState, batch: Batch, divisor: float | None = None) -> tuple[TrainState, dict[str, float]]:
        if type(ts) is not TrainState:
            instance(ts, TrainState, "a train state", "fn.train_state(net, opt, key, in_shape)")
        x, y, weight = (*batch, None) if type(batch) is tuple and len(batch) == 2 else unpack(batch)
        try:
            with ops.quiet():  # the results are checked below
                args = (ts.params, ts.state, ts.opt_state, ts.key, ts.step)
                result = MISS if run is None else run.quickly(*args, x, y, weight, divisor)
                if result is MISS:
                    batch = fitted(net, ts.params, ts.state, x, y, weight)
                    form = signature(ts.params) + forms(ts.opt_state)
                    if form not in checked:
                        check_opt_state(opt, ts.params, ts.opt_state)
                        checked.add(form)
                    result = (run or plain)(*args, *batch, divisor)
                value, params, state, opt_state, probes = result
                total = sum(probes, value)
                if ops.recorder(total) is not None:  # called inside a function that is recorded
                    ops.check(
                        np.isfinite(total), lambda: not_finite(0, "a loss or gradient", "a step of a larger function")
                    )
                elif not math.isfinite(total):
                    check(ts, (x, y, weight), value, params, state, divisor)
        except ArithmeticError as error:  # Python's numbers are those of the schedules
            numbers = given_by_schedules(opt, ts.opt_state)
            if not numbers:
                raise
            where = f"{type(opt).__name__} with {numbers} ({error})"
            raise not_finite(ts.step, "an update", where) from error
        return TrainState(params, state, opt_state, ts.key, ts.step + 1), {"loss": value}

    def check(ts: TrainState, batch: Batch, value: float, params: Params, state: State, divisor: float | None) -> None:
        """Raise if a value is not finite. The probes also overflow for a sum of finite numbers."""
        batch = fitted(net, ts.params, ts.state, *batch)
        context = Context(True, ts.key.fold("step", ts.step, "shard", 0))
        _, _, grads = gradients(net, loss)(ts.params, ts.state, batch[0], batch[1], context, batch[2], divisor)
        if not (math.isfinite(value) and all_finite(grads)):
            raise explain(ts, *batch, divisor)
        for path, leaf in tree.flatten(params).items():
            if not finite(leaf):
                raise not_finite(ts.step, "an update", f"the step of params {path} by {type(opt).__name__}")
        for path, leaf in tree.flatten(state).items():
            if not finite(leaf):
                raise not_finite(ts.step, "a running statistic", f"state {path}")

    def explain(ts: TrainState, x: Value, y: Value, weight: Array | None, divisor: float | None) -> NonFiniteError:
        """Run the step again with a listener, which is called for inner layers before the layers around them."""
        found: list[str] = []
        passes: list[str] = []

        def notice(event: Call) -> None:
            if found or event.method not in ("apply", "vjp"):
                return
            layer = f"{event.path or 'the network'} ({type(event.layer).__name__})"
            if event.method == "vjp" and "vjp" not in passes and not all_finite(event.args[2]):
                found.append(blame)  # the first cotangent comes from the loss
            elif not all_finite(without_padding(event.result[0]) if event.method == "apply" else event.result):
                found.append(f"the {'forward' if event.method == 'apply' else 'backward'} pass of {layer}")
            passes.append(event.method)

        blame = f"the loss itself ({type(loss).__name__})"
        for name, leaf in (("the input batch", x), ("the targets", y), ("the weights", weight)):
            if leaf is not None and not all_finite(without_padding(cast(leaf, np.float64))):
                found.append(name)
        found += [f"params {path}" for path, leaf in tree.flatten(ts.params).items() if not finite(leaf)][:1]
        if not found:
            with listen(notice):
                value = plain(ts.params, ts.state, ts.opt_state, ts.key, ts.step, x, y, weight, divisor)[0]
            if not math.isfinite(value) and found and "backward" in found[0]:
                found.clear()  # the loss was not finite before it
        return not_finite(ts.step, "a loss or gradient", found[0] if found else blame)

    return Made(explained(obedient(step)), train_step, net, loss, opt, shards=shards, compile=compile)


def given_by_schedules(opt: Optimizer, opt_state: OptState) -> str:
    """``b1 = 1``: the values of an optimizer's schedules at the next update; empty without schedules."""
    try:
        return ", ".join(f"{name} = {number:g}" for name, number in current(opt, opt_state).items())
    except ArithmeticError:
        return "a schedule too large"


def not_finite(step: int, what: str, where: str) -> NonFiniteError:
    """The error for a NaN or infinity in a step, with the place where it arose."""
    return NonFiniteError(
        f"step {step}: {what} is not finite; it arose first in {where}. "
        "Lower the learning rate, clip gradients (ClipByGlobalNorm), or look at the data"
    )
