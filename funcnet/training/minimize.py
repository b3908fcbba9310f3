"""Full-batch training with the minimisers of ``scipy.optimize``, for data that fits into one batch."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from funcnet import ops, tree
from funcnet.data.lazy_array import Stream
from funcnet.errors import FuncnetError, KeyRequired, NonFiniteError, ShapeError, require
from funcnet.hints import did_you_mean, explained
from funcnet.inputs import all_finite, as_key, as_loss, as_metrics, cast, instance
from funcnet.key import Array, Key
from funcnet.layers.base import Context, Layer, State
from funcnet.losses.base import Loss
from funcnet.metrics import Metric
from funcnet.optim.sgd import SGD
from funcnet.read_only import read_only
from funcnet.shapes import shape_of
from funcnet.signatures import check_signatures
from funcnet.training.arguments import as_callbacks
from funcnet.training.callbacks import Callback, Event, Row, Watcher, monitors
from funcnet.training.evaluate import arrays, check_targets, scores
from funcnet.training.fit import Fit, final_state
from funcnet.training.outputs import doubts
from funcnet.training.start import Start, state_of, values_of
from funcnet.training.state import TrainState, train_state
from funcnet.training.step import train_step, value_and_grad
from funcnet.training.threads import limited_for

METHODS = {
    **dict.fromkeys(("CG", "BFGS", "L-BFGS-B", "TNC", "SLSQP", "trust-constr"), None),
    **dict.fromkeys(("Newton-CG", "trust-ncg"), "hessp"),
    **dict.fromkeys(("dogleg", "trust-exact"), "hess"),
}
"""The methods that use gradients, and the curvature that they also use: the Hessian, or its product with a vector"""

NOT_REPEATABLE = "trust-krylov"
"""SciPy 1.17 passes this method directions from uninitialised memory, where the Hessian is close to singular"""

log = logging.getLogger("funcnet")


class _Enough(Exception):
    """Ends a method from inside, when a callback stops training."""


@explained
def minimize(
    net: Layer,
    loss: Loss | str,
    data: tuple[Any, ...],
    method: str = "L-BFGS-B",
    *,
    key: Key | int,
    start: Start = None,
    options: Mapping[str, Any] | None = None,
    validation: tuple[Any, ...] | None = None,
    metrics: Sequence[Metric | str] = (),
    callbacks: Sequence[Watcher] = (),
) -> Fit:
    """Train a network on all rows at once by a method of ``scipy.optimize.minimize``, in float64.

    ``data`` is ``(x, y)`` or ``(x, y, weight)``. ``start`` is as in ``fit``, of any optimizer, whose state is
    left out; the default draws params and state from ``key`` as ``fit`` does. ``method`` uses a gradient: CG, BFGS,
    L-BFGS-B, TNC, SLSQP, trust-constr; Newton-CG, trust-ncg, dogleg and trust-exact use the Hessian too, from central
    differences of gradients. SciPy's trust-krylov is refused: its result changes from run to run. ``options`` are
    SciPy's for the method, such as ``{"maxiter": 500}``.
    The objective is the loss in training mode, so batch statistics are those of all rows; layers that draw random
    numbers are refused, because the loss would change at every evaluation.

    The history has a row per iteration: step, epoch, loss, gradient_norm (Euclidean), seconds, and the metrics.
    ``stopped`` is None if the method converged, else its message, the name of the callback that stopped it, or
    "interrupted" after Ctrl-C; the state is then that of the last iteration. The TrainState counts iterations and has
    no optimizer state: continue with ``minimize(start=…)``, or with fit from ``start=(ts.params, ts.state)``. It needs
    the extra ``scipy``.

    Raises   ExtraRequired without SciPy; ShapeError and DataError for bad data, before training; FuncnetError for an
             unknown method or option; NonFiniteError for an initial loss that is not finite, or for such an
             iteration, with ``.fit``, the last good state and the history
    """
    optimize = require("scipy.optimize", "scipy", "minimize")
    instance(net, Layer, "a network", "fn.serial(fn.Dense(10))")
    loss, metrics, key = as_loss(loss), as_metrics(metrics), as_key(key)
    callbacks = as_callbacks(callbacks, None)
    check_signatures(net, loss)
    chosen = _method(method)
    problem = _Problem(net, loss, data, key, start, validation, metrics, callbacks, dict(options or {}))
    curvature = METHODS[chosen]
    extra = {} if curvature is None else {curvature: getattr(problem, curvature)}
    stopped: str | None = None
    try:
        with warnings.catch_warnings(), limited_for(problem.ts.params, problem.data[0], problem.rows):
            warnings.filterwarnings("ignore", module=r"scipy\.")  # the result's message says what matters
            warnings.filterwarnings("error", message="Unknown solver options")
            done = optimize.minimize(
                problem.value_and_gradient,
                problem.vector,
                method=chosen,
                jac=True,
                callback=problem.iteration,
                options=dict(options or {}),
                **extra,
            )
        if not np.array_equal(problem.vector, done.x):
            problem.iteration(done.x)  # the method did not report its last iterate
        stopped = None if done.success else str(done.message)
        log.info("%s: %s", chosen, done.message)
    except _Enough as end:
        stopped = str(end)
    except KeyboardInterrupt:
        stopped = "interrupted"
    except optimize.OptimizeWarning as error:
        names = str(error).partition(": ")[2]
        raise FuncnetError(f"{chosen} has no option {names}; see scipy.optimize.show_options('minimize')") from None
    except Exception as error:
        what = "not finite" if isinstance(error, NonFiniteError) else "an error"
        error.fit = Fit(problem.final(), read_only(problem.history), what)  # type: ignore[attr-defined]
        raise
    return Fit(problem.final(), read_only(problem.history), stopped)


def _method(name: str) -> str:
    """The method with a name, ignoring case.

    Raises   FuncnetError for a method that is unknown, uses no gradient, or is not repeatable
    """
    known = {method.lower(): method for method in METHODS}
    if isinstance(name, str) and name.lower() == NOT_REPEATABLE:
        raise FuncnetError("SciPy's trust-krylov does not give the same result twice; use trust-ncg")
    if not isinstance(name, str) or name.lower() not in known:
        near = did_you_mean(str(name), METHODS)
        raise FuncnetError(f"unknown method {name!r}{near}; the methods that use a gradient are {', '.join(METHODS)}")
    return known[name.lower()]


class _Problem:
    """The loss of all rows as a function of a vector, and the progress of the params so far."""

    def __init__(
        self,
        net: Layer,
        loss: Loss,
        data: tuple[Any, ...],
        key: Key,
        start: Start,
        validation: tuple[Any, ...] | None,
        metrics: Sequence[Metric],
        callbacks: Sequence[Watcher],
        options: dict[str, Any],
    ) -> None:
        self.net, self.loss, self.metrics, self.callbacks = net, loss, metrics, callbacks
        x, y, weight = arrays(data, "", net)
        x = tree.map(lambda leaf: leaf[:] if isinstance(leaf, Stream) else leaf, x)
        self.data = cast(x, np.float64), cast(y, np.float64), weight
        self.rows = len(tree.leaves(x)[0])
        self.validation = None if validation is None else arrays(validation, "validation", net)
        before = state_of(start)
        params, state = values_of(net, shape_of(x), start)
        key = key if before is None else before.key
        ts = train_state(net, SGD(0.0), key, shape_of(x), np.float64, params, state)
        self.ts = TrainState(ts.params, ts.state, {}, ts.key, 0 if before is None else before.step)
        check_targets(net, loss, metrics, self.data)
        for sentence in doubts(net, loss, *self.data[:2]):
            log.warning("%s", sentence)
        if self.validation is not None:
            inputs, targets, weights = self.validation
            held_out = cast(inputs, np.float64), cast(targets, np.float64), weights
            check_targets(net, loss, metrics, held_out, "the validation part")
        ravel = tree.ravel(self.ts.params)
        self.vector: Array = ravel.vector
        self.unravel = ravel.unravel
        if not self.vector.size:
            raise ShapeError("expected a network with parameters to fit, got none; add a layer such as Dense")
        self.gradient = value_and_grad(net, loss)
        self.history: list[Row] = []
        known = [*monitors(metrics, self.validation is not None), "gradient_norm"]
        for callback in callbacks:
            if isinstance(callback, Callback):
                callback.check(known)
        self.states = [callback.init() for callback in callbacks]
        self.most = options.get("maxiter")
        self.began = time.perf_counter()
        self.latest: tuple[Array, float, Array, State] = self.evaluated(self.vector)
        if not self.is_finite():
            self.explain(self.ts)

    def evaluated(self, vector: Array) -> tuple[Array, float, Array, State]:
        """The vector, its value, its gradient and the state after one pass."""
        x, y, weight = self.data
        params = self.unravel(np.array(vector, np.float64))
        with ops.quiet():  # the method undoes too long a step
            try:
                value, state, grads = self.gradient(params, self.ts.state, x, y, Context(True), weight)
            except KeyRequired as error:
                error.message = (
                    "draws random numbers in training, so the loss would change at every evaluation; "
                    "take the layer out of the network, or train with fit"
                )
                raise
        return np.array(vector), value, tree.ravel(grads).vector, state

    def value_and_gradient(self, vector: Array) -> tuple[float, Array]:
        """The objective and its gradient for SciPy; the last point is cached."""
        if not np.array_equal(vector, self.latest[0]):
            self.latest = self.evaluated(vector)
        return self.latest[1], self.latest[2].copy()

    def hessp(self, vector: Array, direction: Array) -> Array:
        """The Hessian times a vector, by central differences of the gradient: ``(g(x + εd) - g(x - εd)) / 2ε``."""
        size = float(np.linalg.norm(direction))
        if size == 0.0:
            return np.zeros_like(direction)
        step = 6e-6 * max(1.0, float(np.linalg.norm(vector))) / size  # the cube root of the rounding unit
        ahead, behind = (self.evaluated(vector + sign * step * direction)[2] for sign in (1.0, -1.0))
        return (ahead - behind) / (2.0 * step)

    def hess(self, vector: Array) -> Array:
        """The Hessian, computed column by column and made symmetric."""
        columns = np.stack([self.hessp(vector, unit) for unit in np.eye(vector.size)])
        return 0.5 * (columns + columns.T)

    def iteration(self, vector: Array, *_: Any) -> None:
        """Record an iteration that ended at a vector: add its row to the history, and call the callbacks."""
        self.value_and_gradient(vector)
        value, gradient, state = self.latest[1:]
        if not self.is_finite():
            self.explain(TrainState(self.unravel(np.array(vector)), self.ts.state, {}, self.ts.key, self.ts.step))
        self.vector = np.array(vector)
        self.ts = TrainState(self.unravel(self.vector.copy()), state, {}, self.ts.key, self.ts.step + 1)
        step = self.ts.step
        row: Row = {
            "step": step,
            "epoch": step,
            "loss": value,
            "gradient_norm": float(np.linalg.norm(gradient)),
            "seconds": time.perf_counter() - self.began,
        }
        parts = self.data, self.validation
        row |= scores(self.net, self.loss, self.metrics, self.ts.params, self.ts.state, *parts)
        self.history.append(row)
        event = Event(
            step,
            max(step, self.most or 0),
            float(step),
            value,
            tree.map(read_only, self.ts),
            read_only(row),
            row["seconds"],
        )
        enough = None
        for i, callback in enumerate(self.callbacks):
            self.states[i], stop = callback.update(self.states[i], event)
            enough = type(callback).__name__ if stop else enough
        if enough is not None:
            raise _Enough(enough)

    def final(self) -> TrainState:
        """The result, after the ``final`` of each callback."""
        return final_state(self.callbacks, self.states, self.ts)

    def is_finite(self) -> bool:
        """Whether the latest value and gradient are finite."""
        return bool(np.isfinite(self.latest[1])) and all_finite(self.latest[2])

    def explain(self, ts: TrainState) -> None:
        """Name the layer where a NaN or infinity arose.

        Raises   NonFiniteError
        """
        rule = SGD(0.0)
        try:
            train_step(self.net, self.loss, rule, compile=False)(
                TrainState(ts.params, ts.state, rule.init(ts.params), ts.key, ts.step), self.data
            )
        except NonFiniteError as error:
            place = error.message.partition(". Lower")[0]
            raise NonFiniteError(f"{place}. Start from smaller params, or look at the data") from None
