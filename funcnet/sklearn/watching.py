"""Watchers of an estimator's training: scores on its validation part, and the callbacks of scikit-learn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from funcnet.training.callbacks import Event
from funcnet.training.state import TrainState


@attrs.frozen(eq=False)
class Scores:
    """The score of the validation part after each epoch, from ``score(train_state)``, in the list ``scores``."""

    score: Callable[[TrainState], float]
    scores: list[float]

    def init(self) -> None:
        """No state."""

    def update(self, state: None, event: Event) -> tuple[None, bool]:
        """Add the score of an epoch."""
        if event.row is not None:
            self.scores.append(self.score(event.train_state))
        return None, False


@attrs.define(eq=False)
class Hooks:
    """Calls ``on_fit_task_begin`` and ``on_fit_task_end`` of scikit-learn's callbacks around each epoch.

    A hook that returns True stops the training. ``fitted(train_state)`` gives the attributes of the estimator as if
    training had ended there; it is only called for callbacks that ask for a fitted estimator.
    """

    context: Any
    data: dict[str, Any]
    """The estimator, its X and its y"""
    fitted: Callable[[TrainState], dict[str, Any]]
    epoch: Any = None

    def init(self) -> None:
        """Begin the first epoch."""
        self.begin()

    def begin(self) -> None:
        """Begin an epoch."""
        self.epoch = self.context.subcontext(task_name="epoch")
        self.epoch.call_on_fit_task_begin(**self.data)

    def update(self, state: None, event: Event) -> tuple[None, bool]:
        """End an epoch, and begin the next one."""
        if event.row is None:
            return None, False
        ts = event.train_state
        stop = self.epoch.call_on_fit_task_end(**self.data, reconstruction_attributes=lambda: self.fitted(ts))
        if not stop and event.step < event.total_steps:
            self.begin()
        return None, bool(stop)
