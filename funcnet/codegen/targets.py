"""Targets for the demonstration of a printed file: the first draws that the loss takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from funcnet import ops, tree
from funcnet.codegen.program import Program
from funcnet.compiler.kinds import dtype_text
from funcnet.losses.base import Loss
from funcnet.losses.classification import SoftmaxCrossEntropy
from funcnet.losses.combined import Multi
from funcnet.losses.wrapped import unwrapped
from funcnet.padding import compared_shape
from funcnet.shapes import batched, zeros_of


def drawn_targets(program: Program, like: Any) -> Any:
    """The code of targets, in their structure; ``like`` gives that of draws like any array."""
    assert program.loss is not None
    shape = compared_shape(program.loss, program.net.out_shape(program.in_shape))
    prediction = tree.map(lambda x: x + x.dtype.type(0.5), zeros_of(batched(shape, program.batch), program.dtype))
    return _drawn(program.loss, prediction, program.args["y"], like)


def _drawn(loss: Loss, prediction: Any, target: Any, like: Any) -> Any:
    if isinstance(loss, Multi):
        return tuple(_drawn(*part, like) for part in zip(loss.losses, prediction, target, strict=True))
    if not isinstance(target, np.ndarray):
        values, *masks = target if isinstance(target, tuple) else (target,)
        if not isinstance(values, np.ndarray):
            return tree.map(like, target)
        values = _drawn(loss, prediction[0] if isinstance(prediction, tuple) else prediction, values, like)
        return (values, *map(like, masks))
    every = list(_draws(loss, prediction, target, like))
    return next((text for text in every if _takes(loss, prediction, text)), every[0])


def _draws(loss: Loss, prediction: Any, x: Any, like: Any) -> Iterator[str]:
    """The code of draws to try: classes, or normal numbers, 0 and 1, positive numbers, probabilities."""
    if x.dtype.kind != "f":
        labels = isinstance(unwrapped(loss), SoftmaxCrossEntropy) and isinstance(prediction, np.ndarray)
        kind = "" if x.dtype == np.int64 else f".astype({dtype_text(x.dtype)})"
        yield f"rng.integers({prediction.shape[-1] if labels else 2}, size={x.shape}){kind}"
        return
    kind = dtype_text(x.dtype)
    yield like(x)
    yield f"rng.integers(2, size={x.shape}).astype({kind})"
    yield f"np.exp({like(x)})"
    if x.ndim > 1:
        yield f"rng.dirichlet(np.ones({x.shape[-1]}), {x.shape[:-1]}).astype({kind})"


@ops.quiet()
def _takes(loss: Loss, prediction: Any, text: str) -> bool:
    """Whether a loss takes the targets that a text draws."""
    try:
        value, _ = loss.apply(prediction, eval(text, {"np": np, "rng": np.random.default_rng(0)}))  # its own text
    except Exception:  # the loss may be somebody else's
        return False
    return bool(np.isfinite(value))
