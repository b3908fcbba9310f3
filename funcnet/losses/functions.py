"""Losses from bare functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from funcnet.errors import FuncnetError
from funcnet.key import Array
from funcnet.losses.base import Loss
from funcnet.signatures import accepts, check_functions
from funcnet.spec.fields import frozen


@frozen
class FunctionLoss(Loss):
    """Bare functions as a loss; made by ``fn.loss``."""

    apply_function: Callable[..., Any]
    vjp_function: Callable[..., Any]
    divisor_function: Callable[..., Any] | None = None
    link_function: Callable[..., Any] | None = None

    @property
    def weighted(self) -> bool:  # type: ignore[override]
        """Whether the function takes weights."""
        return accepts(self.apply_function, {4})

    @property
    def additive(self) -> bool:  # type: ignore[override]
        """Whether parts of a batch can be weighted by the batch's divisor."""
        return self.divisor_function is not None and self.weighted

    def divisor(self, target: Any, weight: Array | None = None) -> float:
        return float(np.shape(target)[0]) if self.divisor_function is None else self.divisor_function(target, weight)

    def apply(
        self, prediction: Any, target: Any, weight: Array | None = None, divisor: float | None = None
    ) -> tuple[Any, Any]:
        pair: tuple[Any, Any]
        if self.weighted:
            pair = self.apply_function(prediction, target, weight, divisor)
        elif weight is not None:
            raise FuncnetError(
                "this loss takes no weights; give fn.loss a function apply(prediction, target, weight, divisor)"
            )
        elif divisor is not None:
            raise FuncnetError(
                "this loss takes no divisor; give fn.loss a function apply(prediction, target, weight, divisor)"
            )
        else:
            pair = self.apply_function(prediction, target)
        return pair

    def vjp(self, residuals: Any, dy: Any = 1.0) -> Any:
        return self.vjp_function(residuals, dy)

    def link(self, prediction: Any) -> Any:
        return prediction if self.link_function is None else self.link_function(prediction)


def loss(
    apply: Callable[..., tuple[Any, Any]],
    vjp: Callable[..., Any],
    divisor: Callable[..., float] | None = None,
    link: Callable[..., Any] | None = None,
) -> Loss:
    """Bare functions as a loss. It trains like any other, but cannot be saved as JSON.

    ``apply(prediction, target) -> (value, residuals)``, or with the arguments ``weight, divisor``, for sample weights;
    ``vjp(residuals, dy) -> dprediction``. ``divisor(target, weight)`` is the number, or the weight, of the terms, for
    batches in shards; ``link(prediction)`` gives probabilities from logits. A term of weight 0 must be absent, even if
    it is NaN: replace it first, as ``fn.losses.present`` does.
    Raises   FuncnetError for functions with other parameters

    >>> log_cosh = fn.loss(
    ...     apply=lambda p, t: (np.log(np.cosh(p - t)).mean(), np.tanh(p - t) / p.size),
    ...     vjp=lambda residuals, dy: dy * residuals,
    ... )
    >>> fn.check_loss(log_cosh, np.array([[0.5], [2.0]]), np.array([[0.0], [1.0]]))
    """
    functions = {"apply": apply, "vjp": vjp, "divisor": divisor, "link": link}
    given = {name: f for name, f in functions.items() if f is not None}
    if callable(apply) and accepts(apply, {2}):
        del given["apply"]
    check_functions(Loss, given)
    return FunctionLoss(apply, vjp, divisor, link)
