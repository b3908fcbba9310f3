"""Callbacks watch training and may stop it: pairs of pure functions, ``init()`` and ``update(state, event)``.

A callback's state is a plain value (dicts, lists, numbers, texts, arrays), so that a checkpoint can hold it and a
resumed run restores it. The optional ``final(state, train_state)`` decides the result.
"""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol

import attrs
import numpy as np
from attrs import field

from funcnet import tree
from funcnet.errors import FuncnetError, NotDefined, Problem
from funcnet.files import is_inside, read_bytes, reason, write_bytes
from funcnet.hints import did_you_mean
from funcnet.layers.base import Params
from funcnet.metrics import Metric
from funcnet.read_only import read_only
from funcnet.spec.base import Spec, evolve, register
from funcnet.spec.fields import frozen, non_negative, positive
from funcnet.spec.monitors import Mode, is_better
from funcnet.training.state import TrainState

Row = dict[str, Any]
log = logging.getLogger("funcnet")


@attrs.frozen(eq=False)
class Snapshot:
    """Everything that the rest of a training run depends on, at one moment."""

    train_state: TrainState
    history: list[Row]
    callbacks: list[tuple[str, Any]]
    """The name of each callback's class, and its state"""
    recent: tuple[float, float]
    """The sum of the losses since the last row of the history, and of their weights"""
    seconds: float


@attrs.frozen(eq=False)
class Event:
    """The argument of a callback after each step; ``row`` is the new row of the history, if there is one."""

    step: int
    total_steps: int
    epoch: float
    loss: float
    train_state: TrainState
    row: Row | None = None
    seconds: float = 0.0
    """Seconds since training began, including time before an interruption"""
    gradients: Callable[[], Params] = dict
    """Computes the gradients of the step once more"""
    snapshot: Callable[[], Snapshot] | None = None
    """The content of a checkpoint, with the states of the callbacks before this one"""
    before: Callable[[], Snapshot] | None = None
    """The same as it was before the step: ``loss``, and the row's, is of the params before their update"""

    def state_of(self, monitor: str) -> TrainState:
        """The train state to which a value of the row belongs: for the training loss, the one before the update."""
        if monitor == "loss" and self.before is not None:
            earlier: TrainState = tree.map(read_only, self.before().train_state)
            return earlier
        return self.train_state


def is_count(value: Any) -> bool:
    """Whether a value is an integer that counts something, of at most 63 bits."""
    return type(value) is int and 0 <= value < 2**63


class Watcher(Protocol):
    """Any object with the pair of pure functions that watches training and may stop it."""

    def init(self) -> Any:
        """The state before the first step."""

    def update(self, state: Any, event: Event) -> tuple[Any, bool]:
        """``(state, stop)`` after a step."""


@frozen
class Callback(Spec):
    """Base of the callbacks that a spec may name."""

    kind: ClassVar[str] = "callback"

    def init(self) -> Any:
        """The state before the first step."""
        return {}

    def update(self, state: Any, event: Event) -> tuple[Any, bool]:
        """``(state, stop)`` after a step."""
        raise NotDefined(f"{type(self).__name__} does not define update(state, event)")

    def final(self, state: Any, ts: TrainState) -> TrainState:
        """The result of training, however it ended."""
        return ts

    def fits(self, state: Any, ts: TrainState) -> bool:
        """Whether a state from a checkpoint, of a training with this train state, is one that ``update`` made."""
        return isinstance(state, dict)

    def check(self, monitors: Sequence[str]) -> None:
        """Refuse, before training, a monitor that no row of the history will have."""

    def at(self, folder: Path) -> Callback:
        """The callback of a run in a folder."""
        return self


def check_monitor(owner: Spec, monitor: str, monitors: Sequence[str]) -> None:
    """Refuse a name that no row of the history will have.

    Raises   FuncnetError with the nearest name
    """
    if monitor in monitors:
        return
    what = f"{type(owner).__name__}: "
    if monitor.startswith("validation/") and "validation/loss" not in monitors:
        raise FuncnetError(
            f"{what}monitors {monitor!r}, but there is no validation part; give one: split.validation, or validation=…"
        )
    raise FuncnetError(
        f"{what}there is no {monitor!r} to monitor{did_you_mean(monitor, monitors)}; there are {', '.join(monitors)}"
    )


def not_a_number(owner: Spec, monitor: str, step: int) -> str:
    """What to say of a monitored value that is NaN."""
    return (
        f"{type(owner).__name__}: {monitor} is not a number at step {step}, which counts as no improvement; "
        "a metric is not defined where its part lacks a class, for example"
    )


def kept_state(state: Any, ts: TrainState) -> TrainState:
    """The train state that a callback kept, or else the last."""
    if "params" not in state:
        return ts
    kept: TrainState = TrainState(state["params"], state["state"], state["opt_state"], ts.key, ts.step)
    return tree.map(np.array, kept)  # what was kept is read-only


def fits_kept(state: Any, ts: TrainState) -> bool:
    """Whether a callback kept no train state, or one of the same form as the last."""

    def form(part: Any) -> Any:
        return {path: (leaf.shape, leaf.dtype) for path, leaf in tree.flatten(part).items()}

    if not isinstance(state, dict) or "params" not in state:
        return isinstance(state, dict)
    parts = {"params": ts.params, "state": ts.state, "opt_state": ts.opt_state}
    try:
        return all(form(state[name]) == form(part) for name, part in parts.items())
    except (AttributeError, KeyError, FuncnetError):  # a part is missing, or no tree of arrays
        return False


@register("early_stopping")
@frozen
class EarlyStopping(Callback):
    """Stop when ``monitor`` has not improved by more than ``min_delta`` in ``patience`` rows that have it.

    With ``restore_best`` the result is the state at the best row, however training ended; for the training loss, which
    is measured before the update, the one before it. A value that is not a number is no improvement. ``mode`` "auto"
    minimises losses and errors, and maximises all other metrics.
    State    best, since, step; and the train state at the best row
    Source   Prechelt (1998)
    """

    monitor: str = "validation/loss"
    patience: int = field(default=10, validator=positive)
    min_delta: float = field(default=0.0, validator=non_negative)
    mode: Mode = "auto"
    restore_best: bool = True

    def init(self) -> Any:
        return {"best": None, "since": 0, "step": 0}

    def check(self, monitors: Sequence[str]) -> None:
        check_monitor(self, self.monitor, monitors)

    def update(self, state: Any, event: Event) -> tuple[Any, bool]:
        value = None if event.row is None else event.row.get(self.monitor)
        if value is None:
            return state, False
        if math.isnan(value) and state["since"] == 0:
            log.warning("%s", not_a_number(self, self.monitor, event.step))
        best = state["best"]
        if not math.isnan(value) and (best is None or is_better(self.monitor, self.mode, value, best, self.min_delta)):
            ts = event.state_of(self.monitor)
            kept = {"params": ts.params, "state": ts.state, "opt_state": ts.opt_state} if self.restore_best else {}
            return {"best": float(value), "since": 0, "step": event.step, **kept}, False
        since = state["since"] + 1
        return {**state, "since": since}, since >= self.patience

    def fits(self, state: Any, ts: TrainState) -> bool:
        counts = fits_kept(state, ts) and is_count(state.get("since")) and is_count(state.get("step"))
        return counts and (state.get("best", "") is None or type(state.get("best")) is float)

    def final(self, state: Any, ts: TrainState) -> TrainState:
        return kept_state(state, ts)


@register("target_reached")
@frozen
class TargetReached(Callback):
    """Stop when ``monitor`` is as good as ``value``, or better.

    For the training loss, which is measured before the update, the result is the state before it.
    State    warned: whether a value was not a number; and the train state that reached the value
    """

    value: float
    monitor: str = "validation/loss"
    mode: Mode = "auto"

    def check(self, monitors: Sequence[str]) -> None:
        check_monitor(self, self.monitor, monitors)

    def update(self, state: Any, event: Event) -> tuple[Any, bool]:
        found = None if event.row is None else event.row.get(self.monitor)
        if found is None:
            return state, False
        if math.isnan(found):
            if "warned" not in state:
                log.warning("%s", not_a_number(self, self.monitor, event.step))
            return {**state, "warned": True}, False
        if found == self.value or is_better(self.monitor, self.mode, found, self.value):
            ts = event.state_of(self.monitor)
            return {**state, "params": ts.params, "state": ts.state, "opt_state": ts.opt_state}, True
        return state, False

    def fits(self, state: Any, ts: TrainState) -> bool:
        return fits_kept(state, ts)

    def final(self, state: Any, ts: TrainState) -> TrainState:
        return kept_state(state, ts)


@register("time_budget")
@frozen
class TimeBudget(Callback):
    """Stop after ``seconds`` of training, including the time before an interruption."""

    seconds: float = field(validator=positive)

    def update(self, state: Any, event: Event) -> tuple[Any, bool]:
        return state, event.seconds >= self.seconds


@frozen
class Lines(Callback):
    """Base of callbacks that write JSON lines to a file during training.

    The state holds the file's length: a run resumed from a checkpoint truncates lines written after it.
    State    offset
    """

    path: str = "lines.jsonl"

    def at(self, folder: Path) -> Callback:
        """Raises FuncnetError for a path that leaves the folder, be it through a link."""
        whole = folder / self.path
        if not is_inside(folder, whole):
            raise FuncnetError(f"{type(self).__name__}: path: expected a file in the run folder, got {self.path!r}")
        return evolve(self, path=str(whole))

    def init(self) -> Any:
        return {"offset": 0}

    def fits(self, state: Any, ts: TrainState) -> bool:
        return isinstance(state, dict) and is_count(state.get("offset"))

    def line(self, event: Event) -> Any:
        """The value to write after a step, or None."""
        raise NotDefined(f"{type(self).__name__} does not define line(event)")

    def update(self, state: Any, event: Event) -> tuple[Any, bool]:
        value = self.line(event)
        if value is None:
            return state, False
        return {"offset": write_line(Path(self.path), state["offset"], value)}, False


def write_line(path: Path, offset: int, value: Any) -> int:
    """Write a JSON line at an offset of a file, in place of what follows there, and return the file's new length.

    Raises   FuncnetError for a file that cannot be written
    """
    text = (json.dumps(value, ensure_ascii=False) + "\n").encode()
    try:
        there = os.path.exists(path)
        if there and os.stat(path).st_nlink > 1:  # a copy by hard links, such as cp -al, keeps its lines
            write_bytes(path, read_bytes(path))
        with open(path, "r+b" if there else "w+b") as file:
            file.seek(0, os.SEEK_END)
            offset = min(offset, file.tell())
            file.truncate(offset)
            file.seek(offset)
            file.write(text)
    except OSError as error:
        raise FuncnetError(f"{path}: cannot be written ({reason(error)})") from None
    return offset + len(text)


@register("json_lines")
@frozen
class JsonLines(Lines):
    """The rows of the history as JSON lines, written during training, for other programs to follow."""

    path: str = "history.jsonl"

    def line(self, event: Event) -> Any:
        if event.row is None:
            return None
        return {k: v if v is None or math.isfinite(v) else None for k, v in event.row.items()}


@register("norms")
@frozen
class Norms(Lines):
    """The Euclidean norms of every weight and its gradient as JSON lines, every ``every`` steps.

    The gradients are computed once more for this, at the cost of a step.
    """

    every: int = field(default=100, validator=positive)
    path: str = "norms.jsonl"

    def line(self, event: Event) -> Any:
        if event.step % self.every:
            return None
        of = {"gradient": event.gradients(), "weight": event.train_state.params}
        norms = {
            what: {path: float(np.linalg.norm(leaf)) for path, leaf in tree.flatten(part).items()}
            for what, part in of.items()
        }
        return {"step": event.step, **norms}


@register("checkpoint")
@frozen
class Checkpoint(Spec):
    """When a run writes checkpoints, and which it keeps: the last ones, and the best by ``monitor``.

    It writes one every ``every_epochs`` epochs or ``every_steps`` steps, and at SIGTERM.
    """

    kind: ClassVar[str] = "checkpoint"

    every_epochs: int | None = field(default=None, validator=positive)
    every_steps: int | None = field(default=None, validator=positive)
    keep_last: int = field(default=2, validator=positive)
    keep_best: int = field(default=0, validator=non_negative)
    monitor: str = "validation/loss"
    mode: Mode = "auto"

    def validate(self) -> Iterator[Problem]:
        if (self.every_epochs is None) == (self.every_steps is None):
            got = "none" if self.every_epochs is None else "both"
            yield Problem("", f"expected either every_epochs or every_steps, got {got}")


def monitors(metrics: Sequence[Metric], validation: bool, training: bool = True) -> list[str]:
    """The names of losses and metrics in the rows of a history; ``training`` if it has metrics of the training part."""
    names = ["loss", *(metric.name for metric in metrics)]
    own = names if training else names[:1]
    return [*own, *(f"validation/{name}" for name in names)] if validation else own
