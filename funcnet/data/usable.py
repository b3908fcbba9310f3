"""Values that cannot be used are refused: NaN and infinity, damaged texts, unusable weights, too large numbers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from funcnet.errors import DataError, place
from funcnet.key import Array


def check_finite(array: Array, what: str, name: str = "") -> None:
    """Refuse NaN and infinity; the message gives the place of the first.

    Raises   DataError
    """
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        at = tuple(np.argwhere(~np.isfinite(array))[0].tolist())
        raise DataError(f"expected finite {what}, got {array[at]} in {place(at)}; remove or fill it", layer=name)


def check_texts(array: Array, what: str, name: str = "") -> None:
    """Refuse texts with codes that are no characters, as a damaged file may hold.

    Raises   DataError
    """
    if array.dtype.kind != "U" or array.dtype.itemsize == 0:
        return
    codes = np.ascontiguousarray(array, array.dtype.newbyteorder("=")).reshape(-1).view(np.uint32)
    wrong = codes[(codes > 0x10FFFF) | ((codes >= 0xD800) & (codes <= 0xDFFF))]
    if len(wrong):
        raise DataError(
            f"expected {what} as Unicode text, got the code {wrong[0]:#x}; write the file again", layer=name
        )


def check_weights(weight: Array, name: str = "", batch: bool = False) -> None:
    """Refuse weights that are negative, not finite, or so large that their sum is not, and a split of all 0.

    Those of a ``batch`` of a larger data set may all be 0.

    Raises   DataError
    """
    check_finite(weight, "weights", name)
    if np.any(weight < 0) or not (batch or np.any(weight > 0)):
        raise DataError(
            f"expected weights of 0 or more, at least one above 0, got a minimum of {weight.min()}", layer=name
        )
    most = float(np.finfo(np.float32).max)
    if np.sum(weight.astype(np.float64) / most) > 1.0:
        raise DataError(
            f"expected weights with a sum of at most {most:.3g}, got a maximum of {weight.max()}; divide them by their "
            "mean",
            layer=name,
        )


def narrow(
    x: Array, dtype: npt.DTypeLike, name: str, what: str = "inputs", where: Callable[[tuple[int, ...]], str] = place
) -> Array:
    """Inputs or targets in another float type; ``where`` says in messages where an entry is.

    Raises   DataError for a number that it cannot hold
    """
    with np.errstate(over="ignore"):
        y = x.astype(dtype)
    if not np.isfinite(y).all():
        at = tuple(np.argwhere(~np.isfinite(y))[0].tolist())
        raise DataError(
            f"expected {what} that {np.dtype(dtype)} can hold, got {x[at]} in {where(at)}; scale them", layer=name
        )
    return y


def as_targets(y: Array, dtype: npt.DTypeLike, name: str) -> Array:
    """Targets as a network takes them: numbers in a float type, and whole numbers, such as labels, as int64.

    Raises   DataError for a number that the float type cannot hold
    """
    if y.dtype.kind == "u" and y.max(initial=0) > np.iinfo(np.int64).max:
        y = y.astype(np.float64)
    return narrow(y, dtype, name, "targets") if y.dtype.kind == "f" else y.astype(np.int64)


def check_size(targets: Array, dtype: npt.DTypeLike, name: str) -> None:
    """Refuse targets (rows,) or (rows, outputs) that are all too large or too small for a float type.

    Scaled ones may be learnt in it, but are predicted in their units.
    Raises   DataError
    """
    limits = np.finfo(np.dtype(dtype))
    low, high = float(limits.tiny), float(limits.max)
    largest = np.abs(targets.astype(np.float64)).max(axis=0, initial=0.0)
    wrong = (largest > high) | ((largest > 0.0) & (largest < low))
    if wrong.any():
        wider = "" if limits.dtype == np.float64 else ", or set dtype to float64"
        raise DataError(
            f"expected targets that {limits.dtype} can hold, {low:.0e} to {high:.0e}, got {largest[wrong][0]:.3g} as "
            f"the largest; give them in another unit{wider}",
            layer=name,
        )
