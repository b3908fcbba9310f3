"""The laws of losses."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcnet.codec import from_json, to_json
from funcnet.key import Array, Key
from funcnet.laws.values import agree, expect, frozen_copy, inner, same, slope
from funcnet.losses import Loss

DIRECTIONS = 3


def check_loss(loss: Loss, prediction: Array, target: Any) -> None:
    """Run every law on a loss, at a prediction (float64) where it is differentiable.

    Raises   LawError naming the law that breaks
    """
    key = Key(0).fold("laws")
    prediction, target = frozen_copy(np.asarray(prediction, np.float64)), frozen_copy(target)
    rows = len(prediction)
    whole = loss.divisor(target)
    weights = {"no weight": None, "a weight": 0.5 + key.fold("weight").uniform((rows,))}
    for name, weight in weights.items():
        value, residuals = loss.apply(prediction, target, weight)
        expect(np.shape(value) == (), "the value is a scalar", loss, f"its shape is {np.shape(value)}")
        slope_at = loss.vjp(residuals)
        expect(np.shape(slope_at) == prediction.shape, "the cotangent has the prediction's shape", loss)
        for i in range(DIRECTIONS):
            u = key.fold("u", i).normal(prediction.shape)
            numeric = slope(lambda t: float(loss.apply(prediction + t * u, target, weight)[0]))  # noqa: B023
            analytic = inner(slope_at, u)
            expect(
                agree(numeric, analytic, abs(float(value))),
                "adjoint",
                loss,
                f"with {name}: differences give {numeric}, vjp {analytic}",
            )
        expect(same(loss.vjp(residuals, 3.0), 3.0 * slope_at, 1e-12), "linear in the cotangent", loss)
        expect(not np.any(loss.vjp(residuals, 0.0)), "a zero cotangent gives exact zeros", loss)
        expect(same(loss.vjp(residuals), slope_at), "vjp may be called twice with the same result", loss)
        if loss.additive:
            divisor = loss.divisor(target, weight)
            halves = [slice(0, rows // 2), slice(rows // 2, rows)]
            pieces = [
                loss.apply(prediction[h], target[h], None if weight is None else weight[h], divisor) for h in halves
            ]
            expect(
                same(np.asarray(sum(float(part[0]) for part in pieces)), np.asarray(float(value)), 1e-12),
                "parts with the whole's divisor add up",
                loss,
            )
            expect(
                same(np.concatenate([loss.vjp(part[1]) for part in pieces]), slope_at, 1e-12),
                "parts with the whole's divisor add up",
                loss,
            )
    ones = loss.divisor(target, np.ones(rows))
    expect(ones == whole, "weights of 1 change nothing", loss, f"divisor {ones}, not {whole}")
    narrow = prediction.astype(np.float32)
    narrow_target = target.astype(np.float32) if target.dtype.kind == "f" else target
    value, residuals = loss.apply(narrow, narrow_target)
    dtypes = {np.asarray(value).dtype, loss.vjp(residuals).dtype}
    expect(dtypes == {np.dtype(np.float32)}, "float32 in gives float32 out", loss, f"got {dtypes}")
    if loss.tag is not None:
        expect(from_json(to_json(loss)) == loss, "a registered spec round-trips through JSON", loss)
