"""The state of a training run: made, taken over by another optimizer, and checked."""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from funcnet import ops, tree
from funcnet.errors import FuncnetError, ShapeError
from funcnet.hints import explained
from funcnet.inputs import (
    as_key,
    as_optimizer,
    cast,
    instance,
    owned,
)
from funcnet.key import Key
from funcnet.layers.base import Layer, Params, State, init_child, reach
from funcnet.layers.misfit import mismatches
from funcnet.optim.base import Optimizer, OptState, misfits, started_at
from funcnet.shapes import Shape, numeric
from funcnet.signatures import check_signatures, kinds


@attrs.frozen(eq=False, repr=False)
class TrainState:
    """The whole state of a training run at one moment; ``step`` counts the updates made.

    It is a tree, whose leaves are the arrays: ``fn.tree.map(f, ts)`` keeps key and step. Two are equal if all their
    parts are.
    """

    __parts__ = ("params", "state", "opt_state", "key", "step")

    params: Params
    state: State
    opt_state: OptState
    key: Key
    step: int = 0

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TrainState):
            return NotImplemented
        return self.key == other.key and self.step == other.step and tree.equal(self, other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        parts = {"params": self.params, "state": self.state, "opt_state": self.opt_state}
        texts = [f"step={self.step}", *(f"{name}: {tree.brief(part)}" for name, part in parts.items())]
        return f"TrainState({'; '.join(texts)}; {self.key!r})"


@explained
@ops.quiet()
def train_state(
    net: Layer,
    opt: Optimizer | str,
    key: Key | int,
    in_shape: Shape,
    dtype: npt.DTypeLike = np.float32,
    params: Params | None = None,
    state: State | None = None,
) -> TrainState:
    """The initial state of a run: params and state drawn from ``key.fold("init")``, or the given ones as ``dtype``.

    Raises   ShapeError if given params or state do not fit the network at ``in_shape``

    >>> ts = fn.train_state(fn.Dense(1), fn.optim.Adam(), fn.Key(0), in_shape=(2,))
    >>> ts.step, ts.params["weight"].shape, sorted(ts.opt_state)
    (0, (2, 1), ['mean', 'square', 'step'])
    """
    instance(net, Layer, "a network", "fn.serial(fn.Dense(10))")
    opt = as_optimizer(opt)
    key = as_key(key)
    check_signatures(net, opt)
    if np.dtype(dtype).kind != "f":
        raise ShapeError(f"expected a float dtype, such as np.float32, got {np.dtype(dtype)}")
    wide_enough(np.dtype(dtype))
    drawn_params, drawn_state = init_child("", net, key.fold("init"), in_shape, dtype)
    params, state = drawn_params if params is None else params, drawn_state if state is None else state
    problems = mismatches(reach("", net, "leaves", in_shape), params, state)
    if problems:
        raise ShapeError(
            f"the starting values do not fit the network for inputs of shape {in_shape}:\n  "
            + "\n  ".join(problems)
            + "\ngive the params and state of this network"
        )
    params = owned(tree.map(lambda leaf: numeric(leaf).astype(dtype), params), params)
    state = owned(cast(state, dtype), state)
    opt_state = opt.init(params)
    if not isinstance(opt_state, dict):
        raise FuncnetError(
            f"expected init to return opt_state, a dict of arrays, got {kinds(opt_state)}; "
            "return {} for a rule without state",
            layer=type(opt).__name__,
        )
    return TrainState(params, state, opt_state, key, 0)


@explained
def swap(train_state: TrainState, opt: Optimizer | str, keep_step: bool = True) -> TrainState:
    """The state to continue with under another optimizer, whose ``opt_state`` starts again.

    Schedules and the count of steps go on; with ``keep_step=False`` they begin again. Averages are corrected for their
    start at 0 either way.

    >>> net, loss = fn.Dense(1), fn.losses.MeanSquaredError()
    >>> x, y = np.ones((4, 2), np.float32), np.zeros((4, 1), np.float32)
    >>> sgd, adam = fn.optim.SGD(0.1), fn.optim.Adam(0.01)
    >>> ts, _ = fn.train_step(net, loss, sgd)(fn.train_state(net, sgd, fn.Key(0), (2,)), (x, y))
    >>> ts, _ = fn.train_step(net, loss, adam)(fn.swap(ts, adam), (x, y))
    >>> ts.step, int(ts.opt_state["step"])
    (2, 2)
    """
    instance(train_state, TrainState, "a train state", "fn.train_state(net, opt, key, in_shape)")
    opt = as_optimizer(opt)
    check_signatures(opt)
    opt_state, step = opt.init(train_state.params), 0
    if keep_step:
        opt_state, step = started_at(opt_state, train_state.step), train_state.step
    return TrainState(train_state.params, train_state.state, opt_state, train_state.key, step)


def check_opt_state(opt: Optimizer, params: Params, opt_state: OptState) -> None:
    """Refuse a state that is not this optimizer's.

    Raises   ShapeError naming every part that does not fit
    """
    problems = misfits(opt, params, opt_state)
    if problems:
        raise ShapeError(
            f"opt_state is not a state of {type(opt).__name__} for these params:\n  "
            + "\n  ".join(problems)
            + "\ncontinue with the optimizer that made it, or take over with fn.swap(train_state, opt)"
        )


def forms(opt_state: Any) -> tuple[Any, ...]:
    """Paths, shapes and dtypes of a state, to recognise one that was checked; anything else by its type."""
    if not isinstance(opt_state, dict):
        return (type(opt_state),)
    flat = tree.flatten(opt_state).items()
    return tuple((path, np.shape(leaf), getattr(leaf, "dtype", type(leaf))) for path, leaf in flat)


def wide_enough(dtype: np.dtype[Any] | None) -> None:
    """Refuse to train in a float type whose rounding stops training.

    Raises   ShapeError
    """
    if dtype is not None and dtype.itemsize < 4:
        raise ShapeError(
            f"expected params of float32 or float64 to train, got {dtype}: steps below a thousandth of a param round "
            "to none; train in float32, and convert the params afterwards: "
            f"fn.tree.map(lambda leaf: leaf.astype(np.{dtype}), params)"
        )
