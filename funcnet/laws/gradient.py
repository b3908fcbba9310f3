"""Any function's gradient against central differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from funcnet import ops, tree
from funcnet.errors import LawError
from funcnet.hints import explained
from funcnet.key import Array, Key
from funcnet.laws.values import agree, inner, shown, slope
from funcnet.layers.base import Params


@explained
@ops.quiet()
def check_gradient(f: Callable[[Params], Any], params: Params, grads: Params) -> None:
    """Check ``grads`` as the gradient of a scalar function of a dict of float64 arrays.

    Raises   LawError naming the wrong leaf and entry; also if ``f`` gives no number or writes to its argument

    >>> params = {"w": np.array([1.0, -2.0])}
    >>> fn.check_gradient(lambda p: np.sum(p["w"] ** 2), params, {"w": 2 * params["w"]})
    """
    flat, given = _leaves(params, "params"), _leaves(grads, "gradients")
    if {path: np.shape(leaf) for path, leaf in flat.items()} != {path: np.shape(leaf) for path, leaf in given.items()}:
        raise LawError(
            f"expected gradients of the shapes { {path: np.shape(leaf) for path, leaf in flat.items()} }, "
            f"got { {path: np.shape(leaf) for path, leaf in given.items()} }"
        )
    nodes = tree.flatten(params, keep_empty=True)  # f may look for a dict that has no arrays
    scale = abs(_number(f, nodes, flat))
    if not np.isfinite(scale):
        raise LawError(f"expected f to be finite at the params, got {scale}")
    for path, leaf in flat.items():
        u = Key(0).fold(path).normal(leaf.shape)

        def along(t: float, direction: Array, path: str = path) -> float:
            return _number(f, nodes, {**flat, path: flat[path] + t * direction})

        numeric, analytic = slope(lambda t: along(t, u)), inner(given[path], u)  # noqa: B023
        if agree(numeric, analytic, scale):
            continue
        hint = "" if numeric else f"; f does not change with {path} at all: does it use its argument, in float64?"
        for entry in np.ndindex(leaf.shape):  # at least one entry is wrong; find it
            e = np.zeros_like(leaf)
            e[entry] = 1.0
            at_entry, claimed = slope(lambda t: along(t, e)), float(given[path][entry])  # noqa: B023
            if not agree(at_entry, claimed, scale):
                raise LawError(
                    f"the gradient of {path} is wrong at {entry}: "
                    f"expected {shown(at_entry)}, got {shown(claimed)}{hint}"
                )
        raise LawError(
            f"the gradient of {path} is wrong along a direction: expected {shown(numeric)}, got {shown(analytic)}{hint}"
        )


def _leaves(values: Any, what: str) -> dict[str, Array]:
    """The arrays of nested dicts in float64, read-only, since ``f`` gets them again and again."""
    if not isinstance(values, dict):
        raise LawError(f"expected {what} in a dict of arrays, such as {{'w': w}}, got {type(values).__name__}")
    leaves = {}
    for path, value in tree.flatten(values).items():
        try:
            leaves[path] = np.array(value, np.float64)
        except (TypeError, ValueError):
            raise LawError(f"expected {what} of numbers at {path!r}, got {type(value).__name__}") from None
        leaves[path].flags.writeable = False
    return leaves


def _number(f: Callable[[Params], Any], nodes: dict[str, Any], flat: dict[str, Array]) -> float:
    """The value of ``f`` at the arrays, among the empty dicts of ``nodes``."""
    try:
        value = f(tree.unflatten({**nodes, **flat}))
    except ValueError as error:
        if "read-only" not in str(error):
            raise
        raise LawError(f"expected f to leave its argument as it is, but it writes to it ({error})") from None
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.reshape(())  # a loss of the shape (1, 1) is one number too
    try:
        return float(value)
    except (TypeError, ValueError):
        got = f"the shape {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__
        said = f"expected f to return one number, got {got}; return a loss, or the sum of values times weights"
        raise LawError(said) from None
