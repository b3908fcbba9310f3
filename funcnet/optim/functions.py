"""Update rules and schedules from bare functions."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from funcnet import ops, tree
from funcnet.errors import FuncnetError
from funcnet.layers.base import Params
from funcnet.optim.base import Optimizer, OptState, Update
from funcnet.optim.schedules import Schedule
from funcnet.signatures import accepts, check_functions
from funcnet.spec.fields import frozen


@frozen
class FunctionRule(Optimizer):
    """A pair of functions as an optimizer; made by ``fn.optim.rule``.

    States of named tuples, tuples and lists are kept as dicts of arrays, and given back to the functions as they were.
    """

    init_function: Callable[..., Any]
    update_function: Callable[..., Any]

    def init(self, params: Params) -> OptState:
        return as_state(self.init_function(params))

    def update(self, grads: Params, opt_state: OptState, params: Params, value: float | None = None) -> Update:
        form = tuple((path, np.shape(leaf), str(leaf.dtype)) for path, leaf in tree.flatten(params).items())
        state = restored(structure(self.init_function, form), opt_state)
        args = (grads, state, params, value) if accepts(self.update_function, {4}) else (grads, state, params)
        updates, state = self.update_function(*args)
        return tree.map(as_array, updates), as_state(state)


def as_array(leaf: Any) -> Any:
    """An array of another library as one of NumPy's; anything else unchanged."""
    if isinstance(leaf, np.ndarray) or ops.recorder(leaf) is not None or not hasattr(leaf, "__array__"):
        return leaf
    return np.asarray(leaf)


def as_dict(state: Any) -> Any:
    """Nested dicts of the parts of named tuples, tuples, lists and dicts."""
    if isinstance(state, dict):
        return {name: as_dict(part) for name, part in state.items()}
    if isinstance(state, tuple | list):
        names = getattr(state, "_fields", None) or [str(i) for i in range(len(state))]
        return {name: as_dict(part) for name, part in zip(names, state, strict=True)}
    return {} if state is None else as_array(state)


def as_state(state: Any) -> OptState:
    """A state as a dict."""
    found = as_dict(state)
    return found if isinstance(found, dict) else {"state": found}


@lru_cache(16)
def structure(init: Callable[..., Any], form: tuple[Any, ...]) -> Any:
    """A state for params of these paths, shapes and dtypes."""
    return init(tree.unflatten({path: np.zeros(shape, dtype) for path, shape, dtype in form}))


def restored(like: Any, state: Any) -> Any:
    """The state in the structure that the functions use; the inverse of ``as_state``."""
    if isinstance(like, dict):
        return {name: restored(part, state.get(name, {})) for name, part in like.items()}
    if isinstance(like, tuple | list):
        names = getattr(like, "_fields", None) or [str(i) for i in range(len(like))]
        parts = [restored(part, state.get(name, {})) for name, part in zip(names, like, strict=True)]
        return type(like)(*parts) if hasattr(like, "_fields") else type(like)(parts)
    if like is None:
        return None
    return state["state"] if isinstance(state, dict) and "state" in state else state


def rule(init: Any, update: Callable[..., Any] | None = None) -> Optimizer:
    """A pair of pure functions as an optimizer. It composes like any other, but cannot be saved as JSON.

    ``init(params) -> opt_state`` and ``update(grads, opt_state, params) -> (updates, opt_state)``, with the loss as a
    fourth argument if it takes one; updates are added to the params. An object with both, such as a rule of optax, may
    be given alone: ``fn.optim.rule(optax.adam(1e-2))``.
    Raises   FuncnetError for functions with other parameters

    >>> def init(params):
    ...     return {}
    >>> def update(grads, opt_state, params):
    ...     return fn.tree.map(lambda g: -0.1 * np.sign(g), grads), opt_state
    >>> opt = fn.optim.chain(fn.optim.ClipByGlobalNorm(1.0), fn.optim.rule(init, update))
    >>> opt.update({"w": np.array([3.0])}, opt.init({"w": np.zeros(1)}), {"w": np.zeros(1)})[0]["w"].tolist()
    [-0.1]
    """
    if update is None:
        if not (callable(getattr(init, "init", None)) and callable(getattr(init, "update", None))):
            raise FuncnetError(f"expected rule(init, update), or one object with both, got {init!r:.60}")
        init, update = init.init, init.update
    if not callable(update) or not accepts(update, {3}):
        check_functions(Optimizer, {"init": init, "update": update})
    check_functions(Optimizer, {"init": init})
    return FunctionRule(init, update)


@frozen
class FunctionSchedule(Schedule):
    """A function of the step as a schedule; made by ``fn.optim.schedule``."""

    function: Callable[[int], float]

    def __call__(self, step: int) -> float:
        value = self.function(step)
        if not isinstance(value, int | float | np.number):
            raise FuncnetError(f"expected a schedule's function to return a number at step {step}, got {value!r:.60}")
        return float(value)


def schedule(function: Callable[[int], float]) -> Schedule:
    """A pure function of the step as a schedule. It takes the place of any other, but cannot be saved as JSON.

    Raises   FuncnetError for a function with other parameters

    >>> fn.optim.SGD(fn.optim.schedule(lambda step: 0.1 / (1 + step))).learning_rate(3)
    0.025
    """
    check_functions(Schedule, {"__call__": function})
    return FunctionSchedule(function)
