"""Checks, before training, that a network's last layer fits its loss and the targets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from funcnet.errors import DataError, ShapeError, listed
from funcnet.layers.base import Layer, range_of, reach
from funcnet.layers.convolution import Conv2D
from funcnet.losses.base import Loss, expected
from funcnet.losses.combined import Multi
from funcnet.losses.wrapped import unwrapped
from funcnet.padding import compared_shape
from funcnet.ranges import Range, Ranges
from funcnet.shapes import Shape, Value, is_shape, shape_of

SURE = 5.0
"""Logits must reach ±SURE for probabilities below 0.01 and above 0.99"""


TAKEN = {
    "logit": "logits", "class logits": "logits", "logits": "logits", "score": "scores", "class scores": "scores",
    "log mean": "the logarithm of the mean",
}  # fmt: skip
"""What losses of any numbers take, by their form"""


def check_outputs(net: Layer, loss: Loss) -> None:
    """Refuse outputs that are not what the loss takes, where it would not notice.

    Raises   DataError
    """
    for span, form, name in _pairs(range_of(net), expected(loss), loss):
        if form == "class log-probabilities" and span.high > 0.0:
            raise DataError(
                f"expected log-probabilities, 0 or less, but the last layer, {span.of}, gives {span}; "
                "end the network with LogSoftmax, or use SoftmaxCrossEntropy",
                layer=name,
            )


def check_units(loss: Loss, out_shape: Shape, classes: Sequence[str] | None) -> None:
    """Refuse a network with another number of outputs than the data has named classes.

    And a label to ignore that is no label, but the name of a class.

    Raises   ShapeError, DataError
    """
    ignored = loss.ignore_label
    if classes is not None and str(ignored) in classes and ignored not in (None, *range(len(classes))):
        label = classes.index(str(ignored))
        raise DataError(
            f"the label to ignore is {ignored}, but the data has a class of that name, whose label is {label}; give "
            f"ignore_label={label} to ignore this class",
            layer=type(loss).__name__,
        )
    form = expected(loss)
    if classes is None or not is_shape(out_shape) or not isinstance(form, str):
        return
    units = out_shape[-1] if out_shape else 1
    name, known = type(loss).__name__, f"{len(classes)} classes, {listed([repr(one) for one in classes])}"
    if form.startswith("class "):
        if units != len(classes):
            raise ShapeError(
                f"expected {len(classes)} units, one for each class, got {units}; the data has {known}: "
                "change the units of the last layer",
                layer=name,
            )
    elif units == 1 and len(classes) > 2:
        raise ShapeError(
            f"expected two classes for one unit, got {known}; use SoftmaxCrossEntropy and {len(classes)} units",
            layer=name,
        )


def check_kind(net: Layer, loss: Loss, preprocess: Mapping[str, Any]) -> None:
    """Refuse a loss that compares numbers for a target of texts, unless the output is a probability.

    The texts are the names of classes, or say for several targets whether a label is present.

    Raises   DataError
    """
    classes, targets = preprocess["classes"], preprocess.get("outputs", ())
    for span, form, name in _pairs(range_of(net) or Range(), expected(loss), loss):
        probability = span.within(0.0, 1.0) and (classes is None or len(classes) == 2)
        if form not in ("values", "log mean") or probability:
            continue
        if classes is None:
            what = f"targets {listed(targets)} are labels, each present or absent"
            advice = f"use SigmoidCrossEntropy and {len(targets)} units"
        else:
            what = f"target is texts, {len(classes)} classes, {listed([repr(name) for name in classes])}"
            one = ", or SigmoidCrossEntropy and one unit" if len(classes) == 2 else ""
            advice = f"for labels of classes use SoftmaxCrossEntropy and {len(classes)} units{one}"
        raise DataError(f"compares numbers, and the {what}; {advice}", layer=name)


def doubts(net: Layer, loss: Loss, x: Value, y: Value) -> Iterator[str]:
    """A sentence for images with their channels first, for each class that a loss ignores, and for each output that
    suits neither its loss nor its targets, though training would run."""
    in_shape = shape_of(x)
    first = net
    while first.children:
        first = next(iter(first.children.values()))
    if isinstance(first, Conv2D) and _channels_first(in_shape):
        yield (
            f"inputs of shape {in_shape} look like images with their channels first, and Conv2D takes (height, width, "
            "channels): move the first axis to the end, such as by a Permute before it"
        )
    yield from ignored_classes(loss, compared_shape(loss, reach("", net, "out_shape", shape_of(x))))
    targets = y if isinstance(y, tuple) else (y,)
    for i, (span, form, name) in enumerate(_pairs(range_of(net), expected(loss), loss)):
        last = f"the last layer, {span.of}, gives {span}"
        if form == "probability" and not span.within(0.0, 1.0):
            yield f"{last}, and {name} takes probabilities: end with Sigmoid, or use SigmoidCrossEntropy"
        elif form in TAKEN and _narrow(span, form):
            yield f"{last}, and {name} takes {TAKEN[form]}, any numbers: {_instead(span, form)}"
        elif form == "values" and len(targets) > i and isinstance(targets[i], np.ndarray) and targets[i].size:
            low, high = float(targets[i].min()), float(targets[i].max())
            if low < span.low or high > span.high:
                yield (
                    f"{last}, and the targets are numbers from {low:g} to {high:g}, which it cannot reach: "
                    f"leave {span.of} out, or scale the targets into it"
                )


def ignored_classes(loss: Loss, out_shape: Shape) -> Iterator[str]:
    """A sentence for each loss whose label to ignore is also a class."""
    if isinstance(loss, Multi):
        for one, shape in zip(loss.losses, out_shape, strict=True):
            yield from ignored_classes(one, shape)
        return
    loss = unwrapped(loss)
    classes = 2 if loss.independent else out_shape[-1] if is_shape(out_shape) and out_shape else 0
    if loss.ignore_label is not None and 0 <= loss.ignore_label < classes:
        yield (
            f"{type(loss).__name__} ignores the label {loss.ignore_label}, which is also one of the {classes} classes, "
            f"0 to {classes - 1}: that class counts in neither the loss nor the metrics; to keep it, set ignore_label "
            "to another number, such as -100"
        )


def _channels_first(shape: Shape) -> bool:
    """Whether a shape looks like the 1 or 3 channels of a square image, and then its height and width."""
    return is_shape(shape) and len(shape) == 3 and shape[0] in (1, 3) and shape[1] == shape[2] > 3


def _narrow(span: Range, form: str) -> bool:
    """Whether logits in a range cannot give every probability, or scores every margin, or logarithms small means."""
    if form in ("class logits", "logits") and span.form == "log-probabilities":
        return False  # their softmax is themselves
    if form == "class scores":
        return span.high - span.low <= 1.0
    if form == "score":
        return span.low > -1.0 or span.high < 1.0
    return span.low > -SURE or span.high < SURE


def _instead(span: Range, form: str) -> str:
    if form in ("class logits", "logits") and span.form == "probabilities":
        return f"leave {span.of} out, the loss applies a softmax; or use LogSoftmax and NegativeLogLikelihood"
    if form in ("logit", "logits") and span.within(0.0, 1.0):
        other = "; or use BinaryCrossEntropy" if form == "logit" else ""
        return f"leave {span.of} out, the loss applies a sigmoid{other}"
    return f"leave {span.of} out, or put a Dense layer after it"


def _pairs(ranges: Ranges, forms: Any, loss: Loss) -> Iterator[tuple[Range, str, str]]:
    """The range of each output with what its loss expects of it, where both are known."""
    if isinstance(forms, tuple):
        inner = getattr(loss, "losses", (loss,) * len(forms))
        if isinstance(ranges, tuple) and len(ranges) == len(forms) == len(inner):
            for span, form, one in zip(ranges, forms, inner, strict=True):
                yield from _pairs(span, form, one)
    elif isinstance(ranges, Range) and isinstance(forms, str):
        yield ranges, forms, type(unwrapped(loss)).__name__
