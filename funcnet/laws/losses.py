"""The laws of losses."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcnet import tree
from funcnet.codec import from_json, to_json
from funcnet.key import Array, Key
from funcnet.laws.values import agree, expect, frozen_copy, guarded, inner, same, slope
from funcnet.losses import Loss
from funcnet.spec import own_tag
from funcnet.training.checks import instance

DIRECTIONS = 3


def check_loss(loss: Loss, prediction: Array, target: Any) -> None:
    """Run every law on a loss, at a prediction (float64, two rows or more) where it is differentiable.

    Raises   LawError naming the law that breaks
    """
    instance(loss, Loss, "a loss", "fn.losses.MeanSquaredError()")
    key = Key(0).fold("laws")
    prediction, target = frozen_copy(np.asarray(prediction, np.float64)), frozen_copy(target)
    weight = frozen_copy(0.5 + key.fold("weight").uniform((len(prediction),)))
    with guarded(loss):
        for name, each in (("no weight", None), ("a weight", weight)):
            check_value(loss, prediction, target, each)
            check_adjoint(loss, prediction, target, each, key, name)
            check_parts(loss, prediction, target, each)
            check_precision(loss, prediction, target, each)
        check_weights(loss, prediction, target)
    if own_tag(type(loss)) is not None:
        expect(from_json(to_json(loss)) == loss, "a registered spec round-trips through JSON", loss)


def check_value(loss: Loss, prediction: Array, target: Array, weight: Array | None) -> None:
    """A scalar, the same for the same arguments; a cotangent of the prediction's shape."""
    received = tree.map(np.array, (prediction, target))
    value, residuals = loss.apply(prediction, target, weight)
    expect(np.shape(value) == (), "the value is a scalar", loss, f"its shape is {np.shape(value)}")
    expect(loss.apply(prediction, target, weight)[0] == value, "the same call gives the same bits", loss)
    slope_at = loss.vjp(residuals)
    expect(np.shape(slope_at) == prediction.shape, "the cotangent has the prediction's shape", loss)
    expect(same(loss.vjp(residuals), slope_at), "vjp may be called twice with the same result", loss)
    expect(same((prediction, target), received), "pure", loss, "changes what it was given")


def check_adjoint(loss: Loss, prediction: Array, target: Array, weight: Array | None, key: Key, name: str) -> None:
    """``vjp`` is the derivative of ``apply``, times dy."""
    value, residuals = loss.apply(prediction, target, weight)
    slope_at = loss.vjp(residuals)
    for i in range(DIRECTIONS):
        u = key.fold("u", i).normal(prediction.shape)
        numeric = slope(lambda t: float(loss.apply(prediction + t * u, target, weight)[0]))  # noqa: B023
        analytic = inner(slope_at, u)
        detail = f"with {name}: differences give {numeric}, vjp {analytic}"
        expect(agree(numeric, analytic, abs(float(value))), "adjoint", loss, detail)
    expect(same(loss.vjp(residuals, 3.0), 3.0 * slope_at, 1e-12), "linear in the cotangent", loss)
    expect(not np.any(loss.vjp(residuals, 0.0)), "a zero cotangent gives exact zeros", loss)


def check_parts(loss: Loss, prediction: Array, target: Array, weight: Array | None) -> None:
    """The losses and cotangents of a batch's parts, given the whole's divisor, make up the whole's."""
    if not loss.additive:
        return
    value, residuals = loss.apply(prediction, target, weight)
    divisor = loss.divisor(target, weight)
    rows = len(prediction)
    parts = [
        loss.apply(prediction[part], target[part], None if weight is None else weight[part], divisor)
        for part in (slice(0, rows // 2), slice(rows // 2, rows))
    ]
    law = "parts with the whole's divisor add up"
    expect(same(np.asarray(sum(float(part[0]) for part in parts)), np.asarray(float(value)), 1e-12), law, loss)
    expect(same(np.concatenate([loss.vjp(part[1]) for part in parts]), loss.vjp(residuals), 1e-12), law, loss)


def check_weights(loss: Loss, prediction: Array, target: Array) -> None:
    """Weights of 1 change nothing; rows of weight 0 might as well not be there."""
    rows = len(prediction)
    ones, whole = loss.divisor(target, np.ones(rows)), loss.divisor(target)
    expect(ones == whole, "weights of 1 change nothing", loss, f"divisor {ones}, not {whole}")
    half = rows // 2
    value, _ = loss.apply(prediction, target, frozen_copy((np.arange(rows) < half).astype(np.float64)))
    alone, _ = loss.apply(prediction[:half], target[:half])
    close = same(np.asarray(float(value)), np.asarray(float(alone)), 1e-12)
    expect(close, "rows of weight 0 might as well not be there", loss, f"{value}, not {alone}")


def check_precision(loss: Loss, prediction: Array, target: Array, weight: Array | None) -> None:
    """float32 in gives float32 out, close to float64."""

    def narrow(array: Array) -> Array:
        return array.astype(np.float32) if array.dtype.kind == "f" else array

    value, residuals = loss.apply(narrow(prediction), narrow(target), None if weight is None else narrow(weight))
    got = (np.asarray(value), loss.vjp(residuals))
    dtypes = {array.dtype for array in got}
    expect(dtypes == {np.dtype(np.float32)}, "float32 in gives float32 out", loss, f"got {dtypes}")
    value, residuals = loss.apply(prediction, target, weight)
    exact = (narrow(np.asarray(value)), narrow(loss.vjp(residuals)))
    expect(same(got, exact, 1e-4), "float32 agrees with float64", loss, f"{got[0]}, not {exact[0]}")
