"""Baselines of an experiment: the scores of a constant answer and of a linear model, on the same parts."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypedDict

import numpy as np

from funcnet import ops
from funcnet.combinators.serial import serial
from funcnet.data.lazy_array import Stream
from funcnet.data.preparation import Dataset, Prepared
from funcnet.experiments.experiment import Experiment
from funcnet.experiments.units import class_weights, in_units
from funcnet.key import Array
from funcnet.layers.activations import LogSoftmax, Sigmoid
from funcnet.layers.base import Layer
from funcnet.layers.dense import Dense
from funcnet.layers.shape import Reshape
from funcnet.losses.base import Loss, classifies, expected
from funcnet.losses.combined import EachMember
from funcnet.shapes import is_shape
from funcnet.training.batches import class_weights as weights_of
from funcnet.training.evaluate import evaluate
from funcnet.training.linear import fit_linear
from funcnet.training.progress import number
from funcnet.training.threads import limited

WIDEST = 2048
"""The most features of a row for which there is a baseline"""
NUMBERS, PRODUCTS = 2**21, 2**31
"""The most numbers, and the most products of their covariance, that a linear model is fitted on"""
HEADS: dict[str, Layer | None] = {
    "values": None,
    "logit": None,
    "class logits": None,
    "probability": Sigmoid(),
    "class log-probabilities": LogSoftmax(),
}
"""The layer that turns the outputs of a linear model into what a loss expects"""

log = logging.getLogger("funcnet")


class Baseline(TypedDict):
    """What a network should beat; the file ``baseline.json``."""

    rows: int
    """The training rows that both are fitted on"""
    of: int
    """All training rows, among which these are evenly spaced"""
    constant: dict[str, dict[str, float | None]]
    """The scores of the best answer that is the same for every row, by part"""
    linear: dict[str, dict[str, float | None]]
    """Those of a linear model, by part"""


def baseline(experiment: Experiment, data: Prepared) -> Baseline | None:
    """The baselines of prepared data, on its validation and test part, or on the training part if there is no other.

    Both minimise the experiment's own loss, as ``fit_linear`` does: so the constant answer is the share of each class,
    whose likeliest is the majority class, the mean of the targets, or their median. The linear model has the class
    weights of the network. None where a row is not a vector of at most 2048 numbers with one label or with numbers to
    predict. A baseline that fails is logged, and costs nothing but itself.
    """
    out_shape = experiment.model.out_shape(data.train.x.shape[1:])
    if not has_baseline(experiment.loss, data.train, out_shape):
        return None
    try:
        with limited(experiment.training.threads, small=True), ops.quiet():
            return _baseline(experiment, data, out_shape)
    except Exception as error:
        log.warning("the baseline is left out (%s: %s); the run is whole", type(error).__name__, error)
        return None


def has_baseline(loss: Loss, train: Dataset, out_shape: Any) -> bool:
    """Whether a linear model makes sense: for rows that are vectors, and outputs that are one vector each."""
    x, members = train.x, isinstance(loss, EachMember)
    vectors = isinstance(x, np.ndarray | Stream) and x.ndim == 2 and x.dtype.kind == "f" and x.shape[1] <= WIDEST
    known = expected(loss) in HEADS and isinstance(train.y, np.ndarray)
    return vectors and known and is_shape(out_shape) and len(out_shape) <= 1 + members


def _baseline(experiment: Experiment, data: Prepared, out_shape: tuple[int, ...]) -> Baseline:
    loss, members = experiment.loss, 1
    if isinstance(loss, EachMember):
        loss, members = loss.loss, out_shape[0]
    units, head = math.prod(out_shape) // members, HEADS[expected(loss)]
    rows = some_rows(len(data.train.y), data.train.x.shape[1], units)
    x, y, weight = data.train
    given = class_weights(experiment, data.preprocess)
    trained = weight if given is None else weights_of(y, weight, given, loss)
    x, y, weight, trained = x[rows], y[rows], *(None if one is None else one[rows] for one in (weight, trained))
    shown = {name: part for name, part in data.parts_by_name().items() if name != "train"} or {"train": data.train}
    layers = [Dense(units * members), *([Reshape(out_shape)] if len(out_shape) > 1 else []), *([head] if head else [])]
    metrics = in_units(experiment.metrics, data.preprocess)

    def scores(features: int) -> dict[str, dict[str, float | None]]:
        found, bias = fit_linear(x[:, :features], y, trained if features else weight, loss, units, head)
        if not features and classifies(loss):
            bias = np.round(bias, 9)  # the first of classes with equally many rows, whatever the last bit
        whole = np.concatenate([found, np.zeros((x.shape[1] - features, units))])
        params = {"dense_0": {"weight": np.tile(whole, members), "bias": np.tile(bias, members)}}
        net = serial(*layers)
        return {name: dict(evaluate(net, experiment.loss, params, {}, p, metrics)) for name, p in shown.items()}

    return {"rows": len(rows), "of": len(data.train.y), "constant": scores(0), "linear": scores(x.shape[1])}


def some_rows(count: int, features: int, units: int) -> Array:
    """All rows, or as many, evenly spaced, as can be fitted in about a second."""
    most = max(1, min(NUMBERS // (features + units), PRODUCTS // features**2 if features else count))
    return np.arange(min(count, most)) * count // min(count, most)


# ----- in words ------------------------------------------------------------------------------------------------------


def baseline_rows(found: Baseline | None, names: Sequence[str], parts: Sequence[str] | None = None) -> list[list[str]]:
    """The rows of a table of scores for baselines, of some parts or of all."""
    if found is None:
        return []
    kinds: dict[str, Mapping[str, Any]] = {"constant answer": found["constant"], "linear model": found["linear"]}
    return [
        [f"{part}, {kind}", *(number(scores[part][name]) for name in names)]
        for part in found["linear"]
        if parts is None or part in parts
        for kind, scores in kinds.items()
    ]


def remarks(found: Baseline | None, experiment: Experiment, metrics: Mapping[str, Any] | None = None) -> Iterator[str]:
    """A sentence if the baselines saw only some of the training rows, and one if the linear model beats the network.

    The network's ``metrics`` are by part; the last part that the baselines are scored on is compared. The loss of
    members, which is not that of their mean answer, is left out.
    """
    if found is None:
        return
    if found["rows"] < found["of"]:
        yield f"the baselines are fitted on {found['rows']:,} of {found['of']:,} training rows"
    part = list(found["linear"])[-1]
    if part == "train" or part not in (metrics or {}):
        return
    assert metrics is not None
    linear, network = found["linear"][part], metrics[part]
    higher = {metric.name: metric.higher_is_better for metric in experiment.metrics}
    better, compared = [], 0
    for name, score in linear.items():
        own = network.get(name)
        if score is None or own is None or (name == "loss" and isinstance(experiment.loss, EachMember)):
            continue
        compared += 1
        if score > own if higher.get(name, False) else score < own:
            better.append(f"{name} {number(score)} against {number(own)}")
    if better:
        scores = f"{len(better)} of {compared} scores" if compared > 1 else "the score"
        yield f"the linear model is better than the network in {scores} of the {part} part: {', '.join(better)}"


def of_members(experiment: Experiment) -> list[str]:
    """A sentence about the loss of a network with members, which is larger than that of one network."""
    if not isinstance(experiment.loss, EachMember):
        return []
    return ["the loss is the sum of the members' losses; the other scores are of their mean answer"]
