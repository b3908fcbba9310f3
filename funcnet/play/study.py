"""An experiment taken apart into steps, each with every value that the library computes in it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from attrs import frozen

from funcnet import ops, tree
from funcnet.data.preparation import Dataset, Prepared, prepare
from funcnet.data.scaling import restore_targets
from funcnet.errors import NonFiniteError, Problem, SpecError
from funcnet.experiments.checks import check_parts, check_shapes
from funcnet.experiments.experiment import Experiment
from funcnet.experiments.run import starting_state
from funcnet.experiments.units import class_weights, in_units
from funcnet.inputs import cast
from funcnet.key import Array, Key
from funcnet.layers.base import Context
from funcnet.layers.calls import Call, listen
from funcnet.optim.base import Optimizer
from funcnet.optim.hyperparameters import learning_rate, monitored
from funcnet.optim.schedules import bind
from funcnet.play.numbers import packed
from funcnet.play.program import Program, program
from funcnet.play.stages import Stage, stages
from funcnet.play.surface import Surface, surface
from funcnet.training.batches import batches, class_weights as weights_of
from funcnet.training.evaluate import evaluate
from funcnet.training.programs import gradients
from funcnet.training.state import TrainState
from funcnet.training.step import Batch, Step, train_step

MOST_ROWS = 512
"""Rows of a batch, each of which the page has every value of"""
MOST_POINTS = 1000
PLAIN = {"augment": (), "shards": 1}
"""Fields of a training that a page leaves at their defaults"""


@frozen(eq=False, slots=False)
class Study:
    """An experiment prepared for a page. It holds no state: a step goes from one TrainState to the next."""

    experiment: Experiment
    data: Prepared
    start: TrainState
    stages: tuple[Stage, ...]
    optimizer: Optimizer
    size: int
    total: int
    weight: Array | None = None
    """Of each row to train on: its own, times that of its class"""

    @cached_property
    def step(self) -> Step:
        """The compiled step, as ``fit`` takes it."""
        return train_step(self.experiment.model, self.experiment.loss, self.optimizer)

    @property
    def rows(self) -> int:
        """Rows to train on."""
        return len(self.data.train.y)

    @property
    def per_epoch(self) -> int:
        """Steps of an epoch."""
        whole = self.rows // self.size
        return whole if self.experiment.training.remainder == "drop" else -(-self.rows // self.size)

    @cached_property
    def surface(self) -> Surface:
        """The points at which the network is drawn, if no others are asked for."""
        return surface(self.data)

    @cached_property
    def program(self) -> Program:
        """The printed program of a step."""
        in_shape = self.data.train.x.shape[1:]
        return program(self.experiment, self.optimizer, self.size, self.start.params, in_shape)

    @cached_property
    def rows_of(self) -> Callable[[int], list[Array]]:
        """By the number of an epoch, the rows of its batches; the last epochs are kept."""
        return lru_cache(4)(self._rows_of)

    def _rows_of(self, epoch: int) -> list[Array]:
        """The rows of each batch of an epoch, in the order in which ``fit`` takes them."""
        index, drop = np.arange(self.rows), self.experiment.training.remainder == "drop"
        key = self.start.key.fold("epoch", epoch)
        return [rows for rows, _, _ in batches(index, index, None, self.size, key, 0, drop, self.data.block)]

    def batch(self, step: int) -> tuple[Array, Batch]:
        """The rows of the batch of a step, and the batch."""
        epoch, number = divmod(step, self.per_epoch)
        rows = self.rows_of(epoch)[number]
        x, y, _ = self.data.train
        return rows, (x[rows], y[rows]) if self.weight is None else (x[rows], y[rows], self.weight[rows])

    def after(self, ts: TrainState) -> tuple[TrainState, float]:
        """The next state, and the loss of the step to it."""
        ts, found = self.step(ts, self.batch(ts.step)[1])
        return ts, found["loss"]

    def frame(self, ts: TrainState, drawn: Surface | None = None) -> dict[str, Any]:
        """Every value of the step from a state, how the network does at it, and its answers on a surface, as JSON."""
        rows, batch = self.batch(ts.step)
        values, cotangents, grads, loss = self.trace(ts, batch)
        try:
            after, problem = self.after(ts)[0].params, None
        except NonFiniteError as error:
            after, problem = None, str(error)
        params = self.optimizer.eval_params(ts.params, ts.opt_state)
        return {
            "step": ts.step,
            "epoch": ts.step / self.per_epoch,
            "rate": learning_rate(self.optimizer, ts.opt_state, ts.step),
            "rows": packed(rows),
            "x": packed(batch[0]),
            "y": packed(batch[1]),
            "loss": loss,
            "params": _packed(ts.params),
            "after": after and _packed(after),
            "problem": problem,
            "grads": _packed(grads),
            "values": {path: packed(value) for path, value in values.items()},
            "cotangents": {path: packed(value) for path, value in cotangents.items()},
            "scores": self.scores(params, ts),
            **self.answers(values, batch[1]),
            **(drawn or self.surface).drawn(self.experiment, self.stages, params, ts.state, self.data),
        }

    def trace(self, ts: TrainState, batch: Batch) -> tuple[dict[str, Array], dict[str, Array], Any, float]:
        """The output of each layer, its cotangent, the gradients, and the loss, of the step from a state."""
        values: dict[str, Array] = {}
        cotangents: dict[str, Array] = {}

        def notice(call: Call) -> None:
            if not call.path:
                return
            if call.method == "apply":
                values[call.path] = call.result[0]
            elif call.method == "vjp":
                cotangents[call.path] = call.args[2]

        x, y, weight = (*batch, None)[:3]
        dtype = np.dtype(self.experiment.dtype)
        context = Context(True, ts.key.fold("step", ts.step, "shard", 0))
        with listen(notice), ops.quiet():
            loss, _, grads = gradients(self.experiment.model, self.experiment.loss)(
                ts.params, ts.state, cast(x, dtype), cast(y, dtype), context, weight, None
            )
        return values, cotangents, grads, float(loss)

    def answers(self, values: dict[str, Array], y: Array) -> dict[str, Any]:
        """What the network says for each row of a batch, as metrics take it; of scaled targets in their units too."""
        with ops.quiet():
            found = np.asarray(self.experiment.loss.answer(values[next(reversed(self.stages[-1].layers))]))
            scaled = self.data.preprocess.get("targets") is not None
            both = {"answers": found, "y": y} if scaled else {}
            restored = {name: packed(restore_targets(self.data.preprocess, part)) for name, part in both.items()}
        return {"answers": packed(found), "restored": restored or None}

    def scores(self, params: Any, ts: TrainState) -> dict[str, dict[str, float]]:
        """The loss and the metrics of each part."""
        model, loss = self.experiment.model, self.experiment.loss
        metrics = in_units(self.experiment.metrics, self.data.preprocess)
        return {
            name: evaluate(model, loss, params, ts.state, part, metrics)
            for name, part in self.data.parts_by_name().items()
        }

    def about(self, drawn: Surface | None = None) -> dict[str, Any]:
        """Everything that is the same at each step, as JSON."""
        found, texts = self.data.preprocess, self.program
        held = self.data.test or self.data.validation
        return {
            "stages": [stage.about() for stage in self.stages],
            "inputs": _names(self.experiment, self.data),
            "classes": found.get("classes"),
            "certain": "probability" if self.experiment.loss.probabilities else "score",
            "scaled": self.experiment.data.scale is not None,
            "weighted": self.weight is not None,
            "points": _sample(self.data.train),
            "held": held and _sample(held),
            "surface": (drawn or self.surface).about(),
            "rows": self.rows,
            "size": self.size,
            "total": self.total,
            "per_epoch": self.per_epoch,
            "program": [line._asdict() for line in texts.lines],
            "equations": texts.equations,
            "loss": type(self.experiment.loss).__name__,
            "optimizer": type(self.experiment.optimizer).__name__,
        }


def study(experiment: Experiment, base: Path) -> Study:
    """Prepare an experiment to be looked at.

    Raises   SpecError for one that a page does not show, and whatever makes it impossible to train
    """
    training, problems = experiment.training, []
    for name, usual in PLAIN.items():
        if getattr(training, name) != usual:
            problems.append(Problem(f".training.{name}", f"play shows a training without it; leave {name} out"))
    for owner, _ in monitored(experiment.optimizer):
        problems.append(Problem(".optimizer", f"play has no history that {type(owner).__name__} can follow"))
    if problems:
        raise SpecError(problems)
    check_shapes(experiment, base)
    in_shape = experiment.data.in_shape(base)
    if in_shape is not None:
        stages(experiment.model, in_shape)  # before any data is read
    key = Key(experiment.seed)
    data = prepare(experiment.data, key, base, experiment.dtype)
    x, y, weight = data.train
    columns = stages(experiment.model, x.shape[1:])
    if not isinstance(x, np.ndarray) or x.dtype.kind != "f" or y.ndim > 1 + (y.shape[-1] == 1):
        raise SpecError([Problem(".data", "play draws numbers for each row and one target")])
    check_parts(experiment, data, experiment.metrics)
    size = len(y) if training.batch_size == "full" else min(training.batch_size, len(y))
    if size > MOST_ROWS:
        what = f"play shows every row of a batch, at most {MOST_ROWS}, got {size}"
        raise SpecError([Problem(".training.batch_size", what)])
    by_class = class_weights(experiment, data.preprocess)
    if by_class is not None:
        weight = weights_of(y, weight, by_class, experiment.loss)
    per_epoch = len(y) // size if training.remainder == "drop" else -(-len(y) // size)
    total = training.steps or per_epoch * (training.epochs or 1)
    start = starting_state(experiment, key, data, base)
    return Study(experiment, data, start, columns, bind(experiment.optimizer, total), size, total, weight)


def _sample(part: Dataset) -> dict[str, Any]:
    """The points of a part; of very many only some, drawn at random."""
    shown = np.sort(Key(0).permutation(len(part.y))[:MOST_POINTS])
    return {"x": packed(part.x[shown]), "y": packed(part.y[shown])}


def _packed(params: Any) -> dict[str, Any]:
    return {path: packed(leaf) for path, leaf in tree.flatten(params).items()}


def _names(experiment: Experiment, data: Prepared) -> list[str]:
    """The names of the inputs: those of the columns, or x1 and x2."""
    known = data.preprocess.get("columns") or experiment.data.feature_names
    names = [str(column["name"]) if isinstance(column, dict) and "name" in column else str(column) for column in known]
    count = data.train.x.shape[1]
    return names if len(names) == count else [f"x{i + 1}" if count > 1 else "x" for i in range(count)]
