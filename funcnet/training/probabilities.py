"""Probabilities and labels from a network's output."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from funcnet.errors import ShapeError
from funcnet.hints import explained
from funcnet.inputs import instance
from funcnet.key import Array
from funcnet.layers.base import Layer, Params, State
from funcnet.losses.base import Loss, on_values
from funcnet.shapes import Value
from funcnet.training.step import predicted


@explained
def predict_proba(
    net: Layer, loss: Loss, params: Params, state: State, x: Value, batch_size: int | None = None
) -> Array:
    """The probability of each class, ``(rows, …, classes)``, from the loss's link.

    One probability p per sample, as from a sigmoid, becomes the two columns 1 - p and p. Several of them are the
    probabilities of several labels, which do not exclude each other. A network with padded sequences gives the pair of
    probabilities and mask, and of labels and mask. ``batch_size`` rows are computed at a time, all at once by default.
    Raises   ShapeError for a loss without probabilities

    >>> params, state = fn.Dense(3).init(fn.Key(0), (4,))
    >>> x, loss = np.zeros((1, 4), np.float32), fn.losses.SoftmaxCrossEntropy()
    >>> fn.predict_proba(fn.Dense(3), loss, params, state, x).shape
    (1, 3)
    """
    loss, params, state, x = in_order(loss, params, state, x)

    def proba(y: Any) -> Any:
        return on_values(partial(proba_of, loss), on_values(loss.answer, y))

    answer: Array = predicted(proba, net, params, state, x, batch_size)
    return answer


@explained
def predict_label(
    net: Layer, loss: Loss, params: Params, state: State, x: Value, batch_size: int | None = None
) -> Array:
    """The likeliest class of each sample, ``(rows, …)`` integers; ties go to the first, one number is 1 from 0.5 up.

    If several outputs are several labels (``loss.independent``), each is 0, or 1 from 0.5 up: ``(rows, …, labels)``.
    For scores, as of ``Hinge``, it is the class of the highest, and one number is 1 from 0 up (``loss.threshold``).
    ``batch_size`` rows are computed at a time, so that no more outputs are held; all at once by default.
    """
    loss, params, state, x = in_order(loss, params, state, x)

    def label(y: Any) -> Any:
        return on_values(partial(label_of, loss), on_values(loss.answer, y))

    labels: Array = predicted(label, net, params, state, x, batch_size)
    return labels


def in_order(*given: Any) -> tuple[Loss, Params, State, Value]:
    """The loss, params, state and input; a loss at the end, its place in funcnet 0.1.0, comes first.

    Raises   FuncnetError without a loss
    """
    loss, params, state, x = (given[-1], *given[:-1]) if isinstance(given[-1], Loss) else given
    instance(loss, Loss, "a loss after the network: (net, loss, params, state, x)", "fn.losses.SoftmaxCrossEntropy()")
    return loss, params, state, x


def proba_of(loss: Loss, answer: Any) -> Array:
    """The probabilities of classes from the output of a loss's link."""
    if not loss.probabilities:
        raise ShapeError(
            f"{type(loss).__name__} gives {'scores, and ' if loss.scores else ''}no probabilities; train with "
            "SoftmaxCrossEntropy, SigmoidCrossEntropy or BinaryCrossEntropy, or use the values of predict"
        )
    return np.concatenate([1.0 - column(answer), column(answer)], axis=-1) if is_one(answer) else answer


def label_of(loss: Loss, answer: Any) -> Array:
    """The likeliest class from the output of a loss's link, or each label as 0 or 1."""
    if is_one(answer):
        answer = column(answer)[..., 0]
    elif not loss.independent:
        likeliest: Array = np.argmax(answer, axis=-1)
        return likeliest
    labels: Array = (answer >= loss.threshold).astype(np.int64)
    return labels


def is_multilabel(loss: Loss, answer: Any) -> bool:
    """Whether the outputs are several labels, each present or absent."""
    return loss.independent and isinstance(answer, np.ndarray) and not is_one(answer)


def is_one(answer: Any) -> bool:
    """Whether an answer has one number per sample, rather than one per class."""
    if not isinstance(answer, np.ndarray):
        raise ShapeError("expected one output, got several; use predict and take the output with classes")
    return answer.ndim == 1 or answer.shape[-1] == 1


def column(answer: Array) -> Array:
    """One number per sample, as (rows, 1)."""
    return answer[:, None] if answer.ndim == 1 else answer
