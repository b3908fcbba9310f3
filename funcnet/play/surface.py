"""The answers of a network on a plane of two inputs or along a line of one, and the value of each unit there.

Further inputs are at their means over the rows to train on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from attrs import frozen

from funcnet import ops
from funcnet.data.preparation import Prepared
from funcnet.experiments.experiment import Experiment
from funcnet.key import Array
from funcnet.layers.base import EVAL, Params, State, apply_child
from funcnet.layers.calls import Call, listen
from funcnet.losses.base import Loss
from funcnet.play.numbers import packed, picture, signed
from funcnet.play.stages import Stage
from funcnet.training.probabilities import label_of
from funcnet.views.boundary import Plane, plane

CELLS = 50
POINTS = 121
"""Points of a curve"""
EVERY = 2
"""A unit's picture has every second cell, and its curve every second point"""


@frozen(eq=False)
class Surface:
    """The points at which a network is drawn, ``points`` (n, inputs) as floats of the data's dtype.

    ``rows`` and ``columns`` are those of the cells, row by row from the bottom; a line of one input has one row.
    ``limits`` are left, right, bottom and top; of a line, bottom and top are those of the targets. ``axes`` are the
    inputs that vary.
    """

    points: Array
    rows: int
    columns: int
    limits: tuple[float, float, float, float]
    axes: tuple[int, ...]

    def about(self) -> dict[str, Any]:
        """The form of the pictures as JSON."""
        small = [-(-self.rows // EVERY), -(-self.columns // EVERY)]
        x = packed(self.points) if self.rows == 1 else None
        limits, axes = list(self.limits), list(self.axes)
        return {"rows": self.rows, "columns": self.columns, "limits": limits, "axes": axes, "small": small, "x": x}

    def drawn(
        self, experiment: Experiment, stages: Sequence[Stage], params: Params, state: State, data: Prepared
    ) -> dict[str, Any]:
        """``{"picture": of the answers, "units": {stage: {scale, pictures}}}`` for some params, as JSON."""
        outputs: dict[str, Array] = {"": self.points}

        def notice(call: Call) -> None:
            if call.method == "apply" and call.path:
                outputs[call.path] = call.result[0]

        with listen(notice), ops.quiet():
            y, _, _ = apply_child("", experiment.model, params, state, self.points, EVAL)
        units = []
        for stage in stages:
            values = outputs[next(reversed(stage.layers), "")]
            small = values.reshape(self.rows, self.columns, -1)[::EVERY, ::EVERY]
            scale = max(float(np.max(np.abs(small), initial=0.0, where=np.isfinite(small))), 1e-30)
            units.append({"scale": scale, "pictures": [signed(small[..., k], scale) for k in range(stage.units)]})
        return {"picture": self.answers(experiment.loss, y, data), "units": units}

    def answers(self, loss: Loss, y: Array, data: Prepared) -> dict[str, Any]:
        """The answers at all points: curves of one input; classes with their certainty, or values, of two."""
        answer = np.asarray(loss.answer(y))
        answer = answer.reshape(len(self.points), -1)
        if self.rows == 1:
            return {"kind": "curves", "y": packed(answer)}
        if data.preprocess.get("classes") is None:
            low, high = target_limits(data)
            values = np.where(np.isnan(answer[:, 0]), 0.5 * (low + high), answer[:, 0])  # neither low nor high
            return {"kind": "values", "low": low, "high": high, "cells": picture(values, low, high)}
        labels = label_of(loss, answer)
        count = answer.shape[1]
        if count == 1:
            sure = 2.0 * np.abs(answer[:, 0] - loss.threshold)
        elif loss.probabilities:
            sure = (np.max(answer, axis=1) - 1.0 / count) / (1.0 - 1.0 / count)
        else:
            best = np.sort(answer, axis=1)
            sure = best[:, -1] - best[:, -2]
        return {"kind": "classes", "labels": picture(labels, 0.0, 255.0), "sure": picture(sure, 0.0, 1.0)}


def surface(data: Prepared, axes: tuple[int, int] | None = None) -> Surface:
    """The line around the inputs of a data set, or the plane of two of them, by default of the most telling."""
    x = data.train.x
    if x.shape[1] == 1:
        low, high = float(x.min()), float(x.max())
        margin = 0.08 * (high - low) or 1.0
        line = np.linspace(low - margin, high + margin, POINTS).astype(x.dtype)[:, None]
        return Surface(line, 1, POINTS, (float(line[0, 0]), float(line[-1, 0]), *target_limits(data)), (0,))
    axes = axes or most_telling(data)
    found: Plane = plane(x[:, axes], CELLS)
    limits = found.left, found.right, found.bottom, found.top
    points = np.repeat(np.mean(x, axis=0, keepdims=True), len(found.points), axis=0)
    points[:, axes] = found.points
    return Surface(points.astype(x.dtype), found.rows, found.columns, limits, axes)


def most_telling(data: Prepared) -> tuple[int, int]:
    """The two inputs whose variance a straight line in the target, or its classes, explain most of; in their order."""
    x, y = data.train.x.astype(np.float64), data.train.y.reshape(len(data.train.y))
    if data.preprocess.get("classes") is None:
        known = (y - np.mean(y))[:, None]
    else:
        known = (y[:, None] == np.unique(y)).astype(np.float64)
    centred = x - np.mean(x, axis=0)
    fitted = known @ np.linalg.lstsq(known, centred, rcond=None)[0]
    total = np.sum(centred * centred, axis=0)
    share = np.sum(fitted * fitted, axis=0) / np.where(total == 0.0, 1.0, total)
    first, second = sorted(np.argsort(-share, kind="stable")[:2].tolist())
    return first, second


def target_limits(data: Prepared) -> tuple[float, float]:
    """The smallest and largest target with a margin; of classes a little more than 0 and 1."""
    if data.preprocess.get("classes") is not None:
        return -0.15, 1.15
    low, high = float(np.min(data.train.y)), float(np.max(data.train.y))
    margin = 0.12 * (high - low) or 1.0
    return low - margin, high + margin
