"""The laws of losses."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcnet import tree
from funcnet.errors import FuncnetError
from funcnet.hints import explained
from funcnet.inputs import instance
from funcnet.key import Array, Key
from funcnet.laws.values import (
    LAYOUTS,
    agree,
    check_bits,
    check_copies,
    expect,
    frozen_copy,
    guarded,
    inner,
    moved,
    random_like,
    same,
    shown,
    slope,
)
from funcnet.losses.base import Loss
from funcnet.shapes import Value, shape_of
from funcnet.signatures import check_signatures

DIRECTIONS = 3


@explained
def check_loss(loss: Loss, prediction: Array, target: Any) -> None:
    """Run every law on a loss, at a prediction (float64, two rows or more) where it is differentiable.

    Raises   LawError naming the broken law
    """
    instance(loss, Loss, "a loss", "fn.losses.MeanSquaredError()")
    check_signatures(loss)
    key = Key(0).fold("laws")
    prediction = frozen_copy(tree.map(lambda leaf: np.asarray(leaf, np.float64), prediction))
    target = frozen_copy(target)
    weight = frozen_copy(0.5 + key.fold("weight").uniform((rows_of(prediction),)))
    with guarded(loss):
        for name, each in (("no weight", None), ("a weight", weight))[: 2 if loss.weighted else 1]:
            check_value(loss, prediction, target, each)
            check_adjoint(loss, prediction, target, each, key, name)
            check_parts(loss, prediction, target, each)
            check_precision(loss, prediction, target, each)
        if loss.weighted:
            check_weights(loss, prediction, target)
            check_ignored(loss, prediction, target)
        check_layouts(loss, prediction, target)
        check_link(loss, prediction)
        check_bits(lambda p, t: value_and_slope(loss, p, t), (prediction, target), loss)
    check_copies(loss, lambda copy: value_and_slope(copy, prediction, target))


def rows_of(value: Value) -> int:
    """The number of rows of a value."""
    return len(tree.leaves(value)[0])


def part_of(value: Value, rows: slice) -> Value:
    """Some rows of a value."""
    return tree.map(lambda leaf: leaf[rows], value)


def check_value(loss: Loss, prediction: Array, target: Array, weight: Array | None) -> None:
    """A scalar, the same for the same arguments; a cotangent of the prediction's shape."""
    received = tree.map(np.array, (prediction, target))
    value, residuals = loss.apply(prediction, target, weight)
    expect(np.shape(value) == (), "the value is a scalar", loss, f"its shape is {np.shape(value)}")
    expect(loss.apply(prediction, target, weight)[0] == value, "the same call gives the same bits", loss)
    slope_at = loss.vjp(residuals)
    fits = shape_of(slope_at) == shape_of(prediction) and rows_of(slope_at) == rows_of(prediction)
    expect(fits, "the cotangent has the prediction's shape", loss)
    expect(same(loss.vjp(residuals), slope_at), "vjp may be called twice with the same result", loss)
    expect(same((prediction, target), received), "pure", loss, "changes its arguments")


def check_adjoint(loss: Loss, prediction: Array, target: Array, weight: Array | None, key: Key, name: str) -> None:
    """``vjp`` is the derivative of ``apply``, times dy."""
    value, residuals = loss.apply(prediction, target, weight)
    slope_at = loss.vjp(residuals)
    for i in range(DIRECTIONS):
        u = random_like(prediction, key.fold("u", i))
        numeric = slope(lambda t: float(loss.apply(moved(prediction, u, t), target, weight)[0]))  # noqa: B023
        analytic = inner(slope_at, u)
        detail = f"with {name}: differences give {shown(numeric)}, vjp {shown(analytic)}"
        expect(agree(numeric, analytic, abs(float(value))), "adjoint", loss, detail)
    thrice = tree.map(lambda leaf: 3.0 * leaf, slope_at)
    expect(same(loss.vjp(residuals, 3.0), thrice, 1e-12), "linear in the cotangent", loss)
    zeros = tree.leaves(loss.vjp(residuals, 0.0))
    expect(not any(map(np.any, zeros)), "a zero cotangent gives exact zeros", loss)


def check_parts(loss: Loss, prediction: Array, target: Array, weight: Array | None) -> None:
    """The losses of a batch's parts, with the whole's divisor, add up to the whole's; the cotangents join to it."""
    if not loss.additive:
        return
    value, residuals = loss.apply(prediction, target, weight)
    divisor = loss.divisor(target, weight)
    rows = rows_of(prediction)
    parts = [
        loss.apply(part_of(prediction, part), part_of(target, part), None if weight is None else weight[part], divisor)
        for part in (slice(0, rows // 2), slice(rows // 2, rows))
    ]
    law = "parts with the whole's divisor add up"
    expect(same(np.asarray(sum(float(part[0]) for part in parts)), np.asarray(float(value)), 1e-12), law, loss)
    joined = tree.map(lambda a, b: np.concatenate([a, b]), *(loss.vjp(part[1]) for part in parts))
    expect(same(joined, loss.vjp(residuals), 1e-12), law, loss)


def check_weights(loss: Loss, prediction: Array, target: Array) -> None:
    """Weights of 1 change nothing; rows of weight 0 count as absent."""
    rows = rows_of(prediction)
    ones, whole = loss.divisor(target, np.ones(rows)), loss.divisor(target)
    expect(ones == whole, "weights of 1 change nothing", loss, f"divisor {ones}, not {whole}")
    half = rows // 2
    value, _ = loss.apply(prediction, target, frozen_copy((np.arange(rows) < half).astype(np.float64)))
    alone, _ = loss.apply(part_of(prediction, slice(half)), part_of(target, slice(half)))
    close = same(np.asarray(float(value)), np.asarray(float(alone)), 1e-12)
    expect(close, "rows of weight 0 count as absent", loss, f"{value}, not {alone}")
    check_absent(loss, prediction, target, half)


def check_absent(loss: Loss, prediction: Array, target: Array, half: int) -> None:
    """Rows of weight 0 change neither the value nor the gradient, whatever numbers they hold."""
    law = "rows of weight 0 are absent, also if they are NaN or infinite"
    advice = "replace them first, as fn.losses.present does"
    weight = frozen_copy((np.arange(rows_of(prediction)) < half).astype(np.float64))
    value, residuals = loss.apply(prediction, target, weight)
    expected = loss.vjp(residuals)

    def spoilt(leaf: Array, number: float) -> Array:
        changed = np.array(leaf)
        changed[half:] = number if leaf.dtype.kind == "f" else -1 if leaf.dtype.kind == "i" else changed[half:]
        return changed

    for number in (np.nan, np.inf, -np.inf):
        p, t = frozen_copy(tree.map(lambda leaf: spoilt(leaf, number), (prediction, target)))  # noqa: B023
        try:
            with np.errstate(all="ignore"):
                got, residuals = loss.apply(p, t, weight)
                slope_at = loss.vjp(residuals)
        except FuncnetError as error:
            expect(False, law, loss, f"with {number}: {error}; {advice}")
        expect(same(np.asarray(got), np.asarray(value)), law, loss, f"with {number} the value is {got}; {advice}")
        expect(same(slope_at, expected), law, loss, f"with {number} the cotangent changes; {advice}")
        rest = tree.leaves(part_of(slope_at, slice(half, None)))
        expect(not any(map(np.any, rest)), law, loss, f"with {number} their cotangent is not 0; {advice}")


def check_ignored(loss: Loss, prediction: Array, target: Array) -> None:
    """Terms whose target is the label to ignore are those of weight 0 by ``counted``, whatever is predicted there."""
    counts = loss.counted(target)
    if counts is None:
        return
    law = "terms with the label to ignore have weight 0"
    named = np.where(counts.reshape(target.shape), target, target[counts].flat[0] if counts.any() else 0)
    expected, given = loss.divisor(named, counts), loss.divisor(target)
    expect(given == expected, law, loss, f"the divisor is {given}, not {expected}")
    value, residuals = loss.apply(prediction, named, counts)
    slope_at = loss.vjp(residuals)
    where = counts.reshape(*counts.shape, *(1,) * (prediction.ndim - counts.ndim))
    fits = prediction.shape[: counts.ndim] == counts.shape
    for number in (None, np.nan, np.inf, -np.inf) if fits else (None,):
        p = prediction if number is None else frozen_copy(np.where(where, prediction, number))
        with np.errstate(all="ignore"):
            got, residuals = loss.apply(p, target)
            slope_got = loss.vjp(residuals)
        detail = f"with {number} predicted there " if number is not None else ""
        expect(same(np.asarray(got), np.asarray(value)), law, loss, f"{detail}the value is {got}, not {value}")
        expect(same(slope_got, slope_at), law, loss, f"{detail}the cotangent changes")


def check_precision(loss: Loss, prediction: Array, target: Array, weight: Array | None) -> None:
    """float32 in gives float32 out, close to float64."""

    def narrow(value: Value) -> Value:
        return tree.map(lambda leaf: leaf.astype(np.float32) if leaf.dtype.kind == "f" else leaf, value)

    value, residuals = loss.apply(narrow(prediction), narrow(target), None if weight is None else narrow(weight))
    got = (np.asarray(value), loss.vjp(residuals))
    dtypes = {array.dtype for array in tree.leaves(got)}
    expect(dtypes == {np.dtype(np.float32)}, "float32 in gives float32 out", loss, f"got {dtypes}")
    value, residuals = loss.apply(prediction, target, weight)
    exact = (narrow(np.asarray(value)), narrow(loss.vjp(residuals)))
    expect(same(got, exact, 1e-4), "float32 agrees with float64", loss, f"{got[0]}, not {exact[0]}")


def value_and_slope(loss: Loss, prediction: Array, target: Array) -> tuple[Any, Value]:
    """The loss and the cotangent of the prediction."""
    value, residuals = loss.apply(prediction, target)
    return value, loss.vjp(residuals)


def check_layouts(loss: Loss, prediction: Array, target: Array) -> None:
    """Arrays in Fortran's order, or strided, give the same values."""
    expected = value_and_slope(loss, prediction, target)
    for name, layout in LAYOUTS.items():
        got = value_and_slope(loss, *(tree.map(layout, value) for value in (prediction, target)))
        expect(same(got, expected, 1e-12), "any memory layout gives the same values", loss, name)


def check_link(loss: Loss, prediction: Array) -> None:
    """``link`` keeps the prediction's shape."""
    answer = loss.link(prediction)
    expect(shape_of(answer) == shape_of(prediction), "link keeps the shape", loss, f"it gives {shape_of(answer)}")
