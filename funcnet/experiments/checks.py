"""Checks of an experiment before its training: shapes before data is read, then its data, losses and metrics."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from funcnet.data.labels import check_classes
from funcnet.data.preparation import Prepared, input_shape
from funcnet.errors import DataError
from funcnet.experiments.experiment import Experiment
from funcnet.key import Array, Key
from funcnet.layers.base import check_size, reach
from funcnet.losses.base import Loss, classifies
from funcnet.losses.rows import check_distributions
from funcnet.metrics import Metric
from funcnet.shapes import Shape
from funcnet.training.callbacks import check_monitor, monitors
from funcnet.training.evaluate import check_targets
from funcnet.training.outputs import check_kind, check_units


def check_shapes(experiment: Experiment, base: Path) -> None:
    """Refuse a model that does not fit its data, or is too large, before any data is read."""
    if experiment.data.in_shape(base) is not None:
        fit_model(experiment, input_shape(experiment.data, Key(experiment.seed), base))


def fit_model(experiment: Experiment, in_shape: Shape) -> None:
    """Refuse a model that does not fit its inputs, or is too large.

    Raises   ShapeError
    """
    reach("", experiment.model, "out_shape", in_shape)
    check_size(experiment.model, in_shape)


def check_parts(experiment: Experiment, data: Prepared, metrics: Sequence[Metric]) -> None:
    """Refuse targets of any part that the loss or a metric cannot take, and classes that the training part lacks.

    There must be a unit for each named class, and a validation part to calibrate on.

    Raises   ShapeError, DataError
    """
    if experiment.training.calibrate and data.validation is None:
        raise DataError(
            "training.calibrate: expected a validation part, on which the temperature is fitted; give one with "
            "data.split.validation=0.2, or leave calibrate out"
        )
    out_shape = reach("", experiment.model, "out_shape", data.train.x.shape[1:])
    check_units(experiment.loss, out_shape, data.preprocess["classes"])
    if data.texts:
        check_kind(experiment.model, experiment.loss, data.preprocess)
    if len(data.preprocess.get("outputs", ())) > 1 and classifies(experiment.loss) and not experiment.loss.independent:
        for part in data.parts_by_name().values():
            check_distributions(part.y, experiment.loss)
    if classifies(experiment.loss) and not experiment.data.integers:  # integers are classes, with or without names
        targets = {name: known(experiment.loss, part.y) for name, part in data.parts_by_name().items()}
        check_classes(targets, data.preprocess["classes"], type(experiment.data).__name__)
    for name, part in data.parts_by_name().items():
        named = f"the {'training' if name == 'train' else name} part"
        check_targets(experiment.model, experiment.loss, metrics, part, named)


def known(loss: Loss, y: Array) -> Array:
    """Targets without the rows of a label that the loss ignores."""
    counts = loss.counted(y) if y.ndim == 1 else None
    return y if counts is None else y[counts]


def check_monitors(experiment: Experiment, validation: bool) -> None:
    """Refuse, before training, a checkpoint's monitor that no row of the history will have."""
    policy = experiment.training.checkpoint
    if policy is not None and policy.keep_best:
        check_monitor(policy, policy.monitor, monitors(experiment.metrics, validation))
