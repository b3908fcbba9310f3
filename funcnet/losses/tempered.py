"""A loss whose answers have a temperature."""

from __future__ import annotations

from typing import Any

import numpy as np
from attrs import field

from funcnet import ops
from funcnet.key import Array
from funcnet.losses.base import Loss, expected, on_values
from funcnet.losses.wrapped import Wrapped
from funcnet.spec.fields import frozen, positive
from funcnet.spec.rules import declares


@frozen
class Tempered(Wrapped):
    """A loss of probabilities whose answers are ``softmax(z / T)`` or ``σ(z / T)``, where T is the temperature.

    z are the logits of the network, or of its answer p, as for the mean of an ensemble: ``log p``, or
    ``log p - log(1 - p)`` for independent probabilities. So the order of the classes stays, but for probabilities that
    rounding makes equal. The value of the loss and its gradient, which are those of the outputs, have no temperature.
    Source   Guo et al. (2017)
    """

    temperature: float = field(validator=positive)

    @property
    def expects(self) -> Any:
        """What the loss expects."""
        return expected(self.loss)

    @property
    def additive(self) -> bool:  # type: ignore[override]
        """Whether the losses of a batch's parts add up."""
        return self.loss.additive

    @property
    def weighted(self) -> bool:  # type: ignore[override]
        """Whether the loss takes weights."""
        return self.loss.weighted

    def apply(self, prediction: Any, target: Any, weight: Array | None = None, divisor: Any = None) -> tuple[Any, Any]:
        return self.loss.apply(prediction, target, weight, divisor)

    def vjp(self, residuals: Any, dy: Any = 1.0) -> Any:
        return self.loss.vjp(residuals, dy)

    def link(self, prediction: Any) -> Any:
        def tempered(values: Array) -> Array:
            z = logits(self.loss, values) / self.temperature
            return ops.sigmoid(z) if is_logit(self.loss, z) else ops.softmax(z)

        return on_values(tempered, prediction)


def tempered(loss: Loss, temperature: float | None) -> Loss:
    """The loss with a temperature; itself without one."""
    return loss if temperature is None else Tempered(loss, temperature)


def logits(loss: Loss, prediction: Array) -> Array:
    """The logits of the answer to a prediction: the prediction, or the logarithms of its probabilities."""
    plain = declares(type(loss), "expects", "apply term log_probabilities link") and type(loss).answer is Loss.answer
    if plain and expected(loss) in ("logit", "class logits", "class log-probabilities"):
        return prediction
    p = loss.answer(prediction)
    least = float(np.finfo(p.dtype).tiny)
    log = np.log(np.maximum(p, least))
    return log - np.log(np.maximum(1.0 - p, least)) if is_logit(loss, p) else log


def is_logit(loss: Loss, values: Array) -> bool:
    """Whether each logit alone gives a probability, rather than a row of them over the classes."""
    return loss.independent or values.ndim < 2 or values.shape[-1] == 1
