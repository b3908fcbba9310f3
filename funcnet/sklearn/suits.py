"""The model and the loss of an estimator: the head that a model needs, and the losses that suit a task."""

from __future__ import annotations

from typing import Any

from funcnet.combinators.serial import serial
from funcnet.data.sources.base import Scale, TargetScale
from funcnet.inputs import as_loss
from funcnet.key import Array
from funcnet.layers.base import Layer, reach
from funcnet.layers.dense import Dense
from funcnet.losses.base import Loss, classifies, expected
from funcnet.losses.wrapped import unwrapped
from funcnet.shapes import Shape


def with_head(model: Layer, in_shape: Shape, outputs: int) -> Layer:
    """The model itself if it, or each member of it, has the outputs; else the model with a Dense layer as its head."""
    shape = reach("", model, "out_shape", in_shape)
    ready = shape == (outputs,) or (len(shape) == 2 and shape[1] == outputs)
    return model if ready else serial(model, head=Dense(outputs))


def is_plain(loss: Any) -> bool:
    """Whether a loss compares numbers as they are, so that they may be shifted and scaled."""
    if loss is None:
        return True
    form = expected(as_loss(loss))
    return form == "values" or (form is None and type(as_loss(loss)).link is Loss.link)


def target_scale(loss: Any, scale: Scale | None, y: Array) -> TargetScale | None:
    """How targets are scaled: as the inputs for a loss on numbers as they are, by the mean for counts and amounts.

    Other losses, and those of counts with targets that they refuse, have them as they are.
    """
    if scale is None or is_plain(loss):
        return scale
    return "mean" if expected(as_loss(loss)) == "log mean" and float(y.min()) >= 0.0 else None


def check_loss(loss: Loss, estimator: Any, outputs: int, several: bool) -> None:
    """Refuse a loss that does not suit the targets: ``outputs`` numbers, classes, or ``several`` labels.

    Raises   ValueError for a loss of labels in a regression and of numbers in a classification; for one of classes
             where each row has several labels; and for one of two classes where there are more
    """
    name, labels = type(unwrapped(loss)).__name__, estimator.task == "classification"
    if labels and expected(loss) in ("values", "log mean"):
        raise ValueError(
            f"{name} compares numbers, and {type(estimator).__name__} has labels; use SoftmaxCrossEntropy, or "
            "FuncnetRegressor for numbers"
        )
    if labels and several and classifies(loss) and not loss.independent:
        raise ValueError(f"{name} gives each row one class, and y has several labels; use SigmoidCrossEntropy")
    if labels and not several and outputs > 2 and loss.independent:
        other = "CategoricalHinge" if loss.scores else "SoftmaxCrossEntropy"
        raise ValueError(f"{name} decides between two classes, and y has {outputs}; use {other}")
    if not labels and loss.scores:
        raise ValueError(f"{name} decides between labels, and the targets are numbers; use FuncnetClassifier")
