"""Pictures of how a trained classifier answers: those of ``funcnet evaluate --pictures``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from attrs import frozen

from funcnet.key import Array
from funcnet.losses.base import Loss
from funcnet.metrics import CalibrationError, Metric
from funcnet.views.reliability import reliability_svg


@frozen(eq=False)
class Scored:
    """The answers of a network to the rows of one part, with what is known of them."""

    part: str
    loss: Loss
    metrics: Sequence[Metric]
    classes: Sequence[str] | None
    targets: Any
    answers: Callable[[], Iterator[tuple[Any, Any, Array | None]]]
    """The answers of blocks of rows with their targets and weights"""

    @property
    def classifies(self) -> bool:
        """Whether an answer is the probabilities of classes, or of labels."""
        labels = isinstance(self.targets, np.ndarray) and (self.loss.independent or self.targets.dtype.kind in "iub")
        return self.loss.probabilities and labels


def reliability(scored: Scored) -> str | None:
    """The reliability diagram of a classifier, with the bins of its expected calibration error."""
    if not scored.classifies:
        return None
    found = (metric for metric in scored.metrics if isinstance(metric, CalibrationError))
    metric, tally = next(found, CalibrationError()), None
    for answer, target, weight in scored.answers():
        more = metric.tally(answer, target, weight, scored.loss.independent)
        tally = more if tally is None else metric.joined(tally, more)
    if tally is None or tally[0]:  # no rows, or a NaN
        return None
    _, weight, confidence, right = tally
    return reliability_svg(weight, confidence, right, f"reliability of {scored.part}")


PICTURES: dict[str, Callable[[Scored], str | None]] = {"reliability.svg": reliability}
"""The name of each picture, and the function that draws it, or gives None where it makes no sense"""


def pictures(scored: Scored) -> dict[str, str]:
    """The pictures of a part by name."""
    drawn = {name: draw(scored) for name, draw in PICTURES.items()}
    return {name: picture for name, picture in drawn.items() if picture is not None}
