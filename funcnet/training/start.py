"""Where training starts: from the network's own draws, from given params and state, or from another training."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from funcnet import tree
from funcnet.errors import FuncnetError, ShapeError
from funcnet.inputs import dtype_of
from funcnet.key import Key
from funcnet.layers.base import Layer, Leaf, Params, State
from funcnet.optim.base import Optimizer
from funcnet.shapes import Shape
from funcnet.training.state import TrainState, check_opt_state, swap, train_state

Start = Any
"""A TrainState, or a Fit or Run that has one; the pair (params, state); params of a network without state; or None"""


def state_of(start: Start) -> TrainState | None:
    """The train state of a start, if it has one."""
    found = start if isinstance(start, TrainState) else getattr(start, "train_state", None)
    return found if isinstance(found, TrainState) else None


def values_of(net: Layer, in_shape: Shape, start: Start) -> tuple[Params | None, State | None]:
    """The params and the state of a start; None for those to draw. It never takes one of them without the other.

    Raises   FuncnetError for anything that is no start; ShapeError for params alone of a network that keeps a state
    """
    if start is None:
        return None, None
    ts = state_of(start)
    if ts is not None:
        return ts.params, ts.state
    if isinstance(start, tuple) and len(start) == 2 and all(isinstance(part, dict) for part in start):
        return start
    if not isinstance(start, dict):
        raise FuncnetError(
            "expected start as a Fit, a Run, a TrainState, (params, state), or the params of a network without state, "
            f"got {start!r:.60}"
        )
    kept = [path for path, leaf in tree.flatten(net.leaves(in_shape)).items() if _is_state(leaf)]
    if kept:
        raise ShapeError(
            f"start has params alone, and the network keeps a state too ({', '.join(kept[:3])}"
            f"{', …' if len(kept) > 3 else ''}), which would start over; give start=(params, state), a Fit or a Run"
        )
    return start, {}


def _is_state(leaf: Any) -> bool:
    return isinstance(leaf, Leaf) and leaf.kind == "state"


def starting(
    net: Layer, opt: Optimizer, key: Key, in_shape: Shape, start: Start, dtype: npt.DTypeLike | None = None
) -> TrainState:
    """The train state that training starts from. ``dtype`` defaults to that of the given values, or float32.

    Raises   ShapeError for values that do not fit the network, or the state of another optimizer
    """
    ts = state_of(start)
    if ts is not None:
        if not ts.opt_state and not isinstance(start, TrainState):
            return swap(ts, opt)  # a Run that was loaded, or the Fit of fn.minimize, has none
        check_opt_state(opt, ts.params, ts.opt_state)
        return ts
    params, state = values_of(net, in_shape, start)
    own = None if params is None else dtype_of(params, state)
    return train_state(net, opt, key, in_shape, dtype or own or np.float32, params, state)
