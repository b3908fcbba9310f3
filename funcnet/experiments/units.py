"""Metrics in the units of the data, and class weights by its labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from funcnet.data.scaling import shift_and_factor
from funcnet.errors import DataError, one_line
from funcnet.experiments.experiment import Experiment
from funcnet.hints import did_you_mean
from funcnet.metrics import InUnits, Metric


def in_units(metrics: Sequence[Metric], preprocess: dict[str, Any]) -> list[Metric]:
    """Metrics of scaled targets in the units of the data."""
    scaler = preprocess.get("targets")
    if scaler is None:
        return list(metrics)
    shift, factor = (tuple(np.atleast_1d(part).tolist()) for part in shift_and_factor(scaler))
    return [InUnits(metric, shift, factor) for metric in metrics]


def class_weights(experiment: Experiment, preprocess: dict[str, Any]) -> dict[int, float] | Literal["balanced"] | None:
    """The class weights of a spec by label.

    Raises   DataError for an unknown class name
    """
    given = experiment.training.class_weight
    if given is None or given == "balanced":
        return given
    classes = preprocess["classes"]
    found = {}
    for name, weight in given.items():
        label = classes.index(name) if name in (classes or ()) else int(name) if name.isdecimal() else None
        if label is None:
            known = ", ".join(map(one_line, classes)) if classes else "labels such as '0'"
            near = did_you_mean(name, classes or ())
            raise DataError(f"training.class_weight: there is no class {name!r}{near}; there are {known}")
        found[label] = weight
    return found
