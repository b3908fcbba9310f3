"""The base of losses that compute another loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from funcnet.key import Array
from funcnet.losses.base import Loss
from funcnet.spec.fields import frozen


@frozen
class Wrapped(Loss):
    """Base of losses that compute another ``loss``: targets, and what its link gives, are as that one has them."""

    loss: Loss

    @property
    def probabilities(self) -> bool:  # type: ignore[override]
        """Whether the link of the loss gives probabilities."""
        return self.loss.probabilities

    @property
    def independent(self) -> bool:  # type: ignore[override]
        """Whether the outputs are several labels."""
        return self.loss.independent

    @property
    def scores(self) -> bool:  # type: ignore[override]
        """Whether the link of the loss gives scores of classes."""
        return self.loss.scores

    @property
    def threshold(self) -> float:  # type: ignore[override]
        """The least score with which the answer is the positive class."""
        return self.loss.threshold

    @property
    def ignore_label(self) -> int | None:  # type: ignore[override]
        """The target whose terms have weight 0."""
        return self.loss.ignore_label

    def counted(self, target: Any, weight: Array | None = None) -> Array | None:
        return self.loss.counted(target, weight)

    def divisor(self, target: Any, weight: Array | None = None) -> float:
        return self.loss.divisor(target, weight)

    def outputs(self, targets: Sequence[str]) -> list[str]:
        return self.loss.outputs(targets)


def unwrapped(loss: Loss) -> Loss:
    """The loss that others compute, such as that of each member of an ensemble; else the loss itself."""
    while isinstance(loss, Wrapped):
        loss = loss.loss
    return loss
