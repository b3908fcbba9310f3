"""The base of update rules, pairs of pure functions ``init(params)`` and ``update(grads, opt_state, params)``.

``opt_state`` is a nested plain dict of arrays. Updates are added to the params. Every hyperparameter is a
number or a schedule, evaluated at the number of updates so far, ``opt_state["step"]``. A state that ``fn.swap`` made in
the middle of a training has ``start`` beside it, the number of updates before it, from which averages count.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, TypeVar

import numpy as np

from funcnet import ops, tree
from funcnet.errors import NotDefined, PathError, Problem, ShapeError
from funcnet.hints import explained
from funcnet.key import Array
from funcnet.layers.base import Params
from funcnet.optim.schedules import Number, value_at
from funcnet.shapes import numeric
from funcnet.signatures import returned
from funcnet.spec.base import Spec
from funcnet.spec.fields import frozen

OptState = dict[str, Any]
Update = tuple[Params, OptState]
"""The updates to add to the params, and the next state"""


@frozen
class Optimizer(Spec):
    """Base of update rules and of the transforms around them."""

    kind: ClassVar[str] = "optimizer"

    @property
    def descends(self) -> bool:
        """Whether the updates descend, as a rule's do; those of a bare transform are still gradients."""
        return True

    @property
    def children(self) -> Mapping[str, Optimizer]:
        """The inner optimizers, by the names of their states in this optimizer's state."""
        return {}

    def untouched(self, params: Params) -> frozenset[str]:
        """The paths that are left unchanged on purpose, such as those that Freeze names."""
        return frozenset().union(*(child.untouched(params) for child in self.children.values()))

    def held(self, paths: Sequence[str]) -> frozenset[str]:
        """Of the paths of a network's state, those whose values stay, such as running statistics under Freeze."""
        return frozenset().union(*(child.held(paths) for child in self.children.values()))

    def init(self, params: Params) -> OptState:
        """The state before the first update; {} for a rule without one."""
        return {}

    def update(self, grads: Params, opt_state: OptState, params: Params, value: float | None = None) -> Update:
        """``(updates, opt_state)``; ``value`` is the loss, for rules that use it."""
        raise NotDefined(f"{type(self).__name__} does not define update(grads, opt_state, params, value)")

    def observe(self, opt_state: OptState, row: Mapping[str, Any]) -> OptState:
        """The state after an epoch with this row of figures, such as ``{"loss": 0.4, "validation/loss": 0.5}``.

        It is for optimizers that follow a figure, whose name is their field ``monitor``. ``fit`` calls it at the end of
        every epoch with the new row of the history. The default passes the row on to the ``children``.
        """
        inner = {
            name: child.observe(opt_state[name], row) for name, child in self.children.items() if name in opt_state
        }
        return {**opt_state, **inner} if inner else opt_state

    def eval_params(self, params: Params, opt_state: OptState) -> Params:
        """The params to evaluate and save; for a rule that averages them, the average."""
        return params


@explained
def apply_updates(params: Params, updates: Params) -> Params:
    """``params + updates``, leaf by leaf, in the params' dtypes.

    Raises   ShapeError for updates of other shapes than the params, which NumPy might broadcast, and for params of
             integers, which would round updates to none; DataError for params that are no arrays of real numbers
    """
    updates = fitting(updates, params, "the updates")
    summed: Params = tree.map_with_path(lambda path, p, u: ops.array(_trained(path, p) + u), params, updates)
    return summed


def _trained(path: str, param: Any) -> Any:
    """A param as a plain array of floats."""
    if ops.recorder(param) is None and ops.vectorizer(param) is None:
        param = numeric(param)
    if param.dtype.kind != "f":
        raise ShapeError(f"expected params of floats, got {path} {param.dtype}; convert them with tree.map")
    return param


Method = TypeVar("Method", bound=Callable[..., Update])


def checked(update: Method) -> Method:
    """An ``update`` that takes gradients only in the params' structure and shapes, and casts them to their dtypes."""

    @functools.wraps(update)
    def call(self: Any, grads: Params, opt_state: OptState, params: Params, value: float | None = None) -> Update:
        return update(self, fitting(grads, params, "the gradients"), opt_state, params, value)

    return call  # type: ignore[return-value]


def fitting(values: Params, params: Params, what: str) -> Params:
    """Gradients or updates as plain arrays in the params' dtypes.

    Raises   PathError, ShapeError for another structure or other shapes than the params
    """
    if _fits(values, params):
        return values
    wrong: list[str] = []

    def one(path: str, p: Any, v: Any) -> Any:
        p, v = numeric(p), numeric(v)
        if p.shape != v.shape:
            wrong.append(f"{path}: expected {p.shape}, got {v.shape}")
        return v.astype(p.dtype, copy=False)

    try:
        found: Params = tree.map_with_path(one, params, values)
    except PathError as error:
        raise PathError(f"{what} do not have the params' structure: {error.message}") from None
    if wrong:
        raise ShapeError(f"{what} do not have the params' shapes:\n  " + "\n  ".join(wrong))
    return found


def _fits(value: Any, like: Any) -> bool:
    """Whether a value is made of plain arrays, or what stands for them, with the shapes and dtypes of another."""
    if type(like) is dict:
        return type(value) is dict and value.keys() == like.keys() and all(_fits(value[k], like[k]) for k in like)
    if type(value) is np.ndarray or ops.recorder(value) is not None or ops.vectorizer(value) is not None:
        return bool(value.shape == like.shape and value.dtype == like.dtype)
    return False


def updated(rule: Optimizer, grads: Params, opt_state: OptState, params: Params, value: float | None) -> Update:
    """``update`` of an optimizer inside another.

    Raises   FuncnetError for a result that is not a pair
    """
    pair: Update = returned(rule, "update", rule.update(grads, opt_state, params, value))
    return pair


def first_step() -> Array:
    """The count of updates before the first, 0."""
    return np.zeros((), np.int64)


def count(opt_state: OptState) -> int:
    """The number of updates made so far."""
    step: int = ops.number(opt_state["step"])
    return step


def age(opt_state: OptState) -> int:
    """The number of updates that this state has seen, by which averages that began at 0 are corrected."""
    started = ops.number(opt_state["start"]) if "start" in opt_state else 0
    return count(opt_state) - started


def now(opt_state: OptState, *numbers: Number) -> tuple[Any, ...]:
    """The state's age, and the values of some hyperparameters at the number of updates made so far."""
    step = count(opt_state)
    return age(opt_state), *(value_at(number, step) for number in numbers)


def after(opt_state: OptState, **parts: Any) -> OptState:
    """The state after one more update: the new count, and the other parts."""
    started = {"start": opt_state["start"]} if "start" in opt_state else {}
    return {"step": ops.array(opt_state["step"] + 1), **started, **parts}


def started_at(opt_state: OptState, step: int) -> OptState:
    """A new state as that of an optimizer that takes over after ``step`` updates."""
    moved = {name: started_at(part, step) if isinstance(part, dict) else part for name, part in opt_state.items()}
    clock: Any = moved.get("step")
    if step and isinstance(clock, np.ndarray) and clock.shape == () and clock.dtype == np.int64:
        moved |= {"step": np.asarray(step, np.int64), "start": np.asarray(step, np.int64)}
    return moved


COUNTS = ("step", "start", "seen", "bad", "pause")
"""The names of the integers in the states of the library's rules"""


def misfits(opt: Optimizer, params: Params, opt_state: Any) -> list[str]:
    """The differences of an optimizer's state from the state that ``init`` gives for such params."""
    if not isinstance(opt_state, dict):
        return [f"expected a dict of arrays, got a {type(opt_state).__name__}"]
    like = tree.map(lambda leaf: np.zeros(np.shape(leaf), leaf.dtype), params)
    expected, given = tree.flatten(opt.init(like)), tree.flatten(opt_state)
    starts = [path.removesuffix("step") + "start" for path in expected if path.rpartition("/")[2] == "step"]
    expected |= {path: first_step() for path in starts if path in given}
    found = []
    for path, leaf in expected.items():
        wanted = f"{np.shape(leaf)} {leaf.dtype}" if hasattr(leaf, "dtype") else f"a {type(leaf).__name__}"
        if path not in given:
            found.append(f"{path}: expected {wanted}, got none")
        elif not hasattr(leaf, "dtype"):
            continue  # a user's rule that keeps plain numbers
        elif not hasattr(given[path], "dtype"):
            found.append(f"{path}: expected {wanted}, got a {type(given[path]).__name__}")
        elif (np.shape(given[path]), given[path].dtype) != (np.shape(leaf), leaf.dtype):
            found.append(f"{path}: expected {wanted}, got {np.shape(given[path])} {given[path].dtype}")
        elif path.rpartition("/")[2] in COUNTS and not _counts(path, given):
            found.append(f"{path}: expected a count from 0, a start up to its step, got {given[path]}")
    return found + [f"{path}: expected no such part" for path in given if path not in expected]


def _counts(path: str, given: dict[str, Any]) -> bool:
    """Whether an integer of a state is a count with room for more; a traced one is not known."""
    count, above = given[path], given.get(path.removesuffix("start") + "step")
    if ops.recorder(count, above) is not None or ops.vectorizer(count, above) is not None:
        return True
    if not isinstance(count, np.ndarray) or count.dtype != np.int64 or count.shape != ():
        return True
    most = above if path.endswith("start") and isinstance(above, np.ndarray) else 2**62
    return bool(0 <= count <= most)


def zeros_for(params: Params, *names: str) -> OptState:
    """The state before the first update: the count, and zeros like the params under each name."""
    return {"step": first_step(), **{name: tree.zeros_like(params) for name in names}}


def average(decay: float, mean: Params, new: Params, step: int) -> Params:
    """Exponential moving average, ``decay · m + (1 - decay) · g``, leaf by leaf."""
    averaged: Params = tree.map(lambda m, g: ops.settle(decay * m + (1.0 - decay) * g, step), mean, new)
    return averaged


def average_square(decay: float, square: Params, new: Params, step: int) -> Params:
    """Exponential moving average of squares, ``decay · v + (1 - decay) · g²``, leaf by leaf."""
    averaged: Params = tree.map(lambda v, g: ops.settle(decay * v + (1.0 - decay) * (g * g), step), square, new)
    return averaged


def accelerated(m: float, velocity: Params, new: Params, step: int, nesterov: bool = False) -> tuple[Params, Params]:
    """Momentum, ``v ← m v + d``, and the step along it, v or with ``nesterov`` ``d + m v``, leaf by leaf."""
    velocity = tree.map(lambda v, d: ops.settle(m * v + d, step), velocity, new)
    return velocity, tree.map(lambda d, v: d + m * v, new, velocity) if nesterov else velocity


def needs_momentum(nesterov: bool, momentum: Number) -> Iterator[Problem]:
    """A problem if ``nesterov`` is set without momentum."""
    if nesterov and momentum == 0.0:
        yield Problem(".nesterov", "needs a momentum above 0; give momentum=0.9, or leave nesterov out")


def decayed(change: Params, params: Params, decay: Number, step: int, rate: float = 1.0) -> Params:
    """``change + rate · decay · p``, leaf by leaf; just the change for a weight decay of 0."""
    if decay == 0.0:
        return change
    factor = rate * value_at(decay, step)
    moved: Params = tree.map(lambda d, p: d + factor * p, change, params)
    return moved
