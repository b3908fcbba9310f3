"""How the weights, outputs and gradients of each layer are distributed while a network learns, as JSON lines.

At up to 24 moments of a training, all layers run forward and backward on the same few rows, in training mode, and the
quantiles of what they make are written down. Nothing of it reaches the training.

A line is ``{"step": n, "weights": {path: […]}, "outputs": {path: […]}, "gradients": {path: […]}}``. Each list has the
quantiles of ``LEVELS``, of gradients those of their magnitudes; of outputs it ends with the share of units, entries of
the last axis, that are 0 in all rows. A number that is not finite is null.
"""

from __future__ import annotations

import logging
import math
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from funcnet import ops, tree
from funcnet.errors import FuncnetError
from funcnet.key import Array, Key
from funcnet.layers.base import EVAL, Context, Layer, Params, State
from funcnet.layers.calls import Call, listen
from funcnet.losses.base import Loss
from funcnet.training.callbacks import Event, is_count, write_line
from funcnet.training.evaluate import rows_of_answer
from funcnet.training.programs import gradients

log = logging.getLogger("funcnet")

LEVELS = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
MOST_MOMENTS, STEPS_A_MOMENT = 24, 100
"""The most moments of a training, and the steps that it has for each, so that a short one is not slowed down"""
ROWS = 64
SAMPLE = 2048
"""The most numbers of an array that quantiles are taken of, evenly spaced; the extremes are those of all"""
SILENT = ("funcnet.layers.shape", "funcnet.layers.noise", "funcnet.combinators")
"""Where layers are defined that compute nothing, or nothing but noise"""


class Distributions:
    """A watcher that writes a line at each of the moments of a training.

    One that fails is logged, and is the last.
    State    offset: the file's length, as of ``Lines``; steps: those of the lines; ended: whether one failed
    """

    def __init__(self, path: Path, net: Layer, loss: Loss, train: tuple[Any, ...]) -> None:
        self.path, self.net, self.loss, self.train = path, net, loss, train
        self.batch: tuple[Any, ...] | None = None

    def init(self) -> Any:
        """The state before the first step."""
        return {"offset": 0, "ended": False}

    def update(self, state: Any, event: Event) -> tuple[Any, bool]:
        """Write the initial values with the first step, and those after a step that is a moment."""
        first = event.step == 1 and event.before is not None
        if not first and event.step not in moments(event.total_steps):
            return state, False
        if not isinstance(state, dict) or not is_count(state.get("offset")) or state.get("ended"):
            return state, False
        try:
            if first and event.before is not None:
                state = self.written(state, event.before().train_state)
            if event.step in moments(event.total_steps):
                state = self.written(state, event.train_state)
        except Exception as error:
            said = str(error).partition("\n")[0]
            log.warning("%s: ends here (%s: %s); training goes on", self.path, type(error).__name__, said)
            return {**state, "ended": True}, False
        return state, False

    def written(self, state: Any, ts: Any) -> Any:
        """The state after a line."""
        if self.batch is None:
            self.batch = some_rows(self.net, self.train)
        line = {"step": ts.step, **moment(self.net, self.loss, ts.params, ts.state, self.batch)}
        return {**state, "offset": write_line(self.path, state["offset"], line)}


@cache
def moments(total: int) -> set[int]:
    """The steps of a training whose values are written, evenly spaced, the last among them."""
    count = min(MOST_MOMENTS, 1 + total // STEPS_A_MOMENT)
    return {round(total * (i + 1) / count) for i in range(count)}


def some_rows(net: Layer, train: tuple[Any, ...]) -> tuple[Any, ...]:
    """A few evenly spaced rows: fewer if they, or what layers make of them, are large."""
    x, y, weight = train
    count = len(y)
    rows = min(ROWS, count, rows_of_answer(net, x.shape[1:]))
    chosen = np.arange(rows) * count // rows
    return x[chosen], y[chosen], None if weight is None else weight[chosen]


def moment(net: Layer, loss: Loss, params: Params, state: State, batch: tuple[Any, ...]) -> dict[str, Any]:
    """The distributions at some params: of the params, of each layer's output, and of the gradients."""
    x, y, weight = batch
    outputs: dict[str, Array] = {}

    def notice(call: Call) -> None:
        if call.method == "apply" and not call.layer.children and not type(call.layer).__module__.startswith(SILENT):
            outputs[call.path] = call.result[0]

    program = gradients(net, loss)
    with ops.quiet(), listen(notice):
        try:
            grads = program(params, state, x, y, Context(True, Key(0)), weight, None)[2]
        except FuncnetError:  # such as one row in BatchNorm
            outputs.clear()
            grads = program(params, state, x, y, EVAL, weight, None)[2]
    with ops.quiet():
        return {
            "weights": {path: quantiles(leaf) for path, leaf in tree.flatten(params).items() if leaf.size},
            "outputs": {
                path or "network": [*quantiles(value), dead(value)] for path, value in outputs.items() if counts(value)
            },
            "gradients": {path: quantiles(np.abs(leaf)) for path, leaf in tree.flatten(grads).items() if leaf.size},
        }


def counts(value: Any) -> bool:
    """Whether an output is an array of float numbers."""
    return isinstance(value, np.ndarray) and value.dtype.kind == "f" and value.size > 0


def quantiles(values: Array) -> list[float | None]:
    """The quantiles of ``LEVELS``, of a sample of many numbers."""
    flat = values.reshape(-1)
    some = np.sort(flat[:: -(-len(flat) // SAMPLE)])
    last = len(some) - 1
    inner = [some[round(last * level)].item() for level in LEVELS[1:-1]]
    ends = (some[0], some[-1]) if len(some) == len(flat) else (flat.min(), flat.max())
    return [plain(number) for number in (ends[0].item(), *inner, ends[1].item())]


def dead(output: Array) -> float | None:
    """The share of units, entries of the last axis, that are 0 in all rows."""
    units = output.reshape(-1, output.shape[-1] if output.ndim > 1 else 1)
    return plain(np.mean(~units.any(axis=0)))


def plain(number: Any) -> float | None:
    """A number with four digits, as JSON can hold it."""
    return float(f"{number:.4g}") if math.isfinite(number) else None
