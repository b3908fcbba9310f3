"""Any function's gradient against central differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from funcnet import ops, tree
from funcnet.errors import LawError
from funcnet.hints import explained
from funcnet.key import Array, Key
from funcnet.laws.values import agree, inner, slope
from funcnet.layers.base import Params


@explained
@ops.quiet()
def check_gradient(f: Callable[[Params], Any], params: Params, grads: Params) -> None:
    """Check ``grads`` as the gradient of a scalar function of a dict of float64 arrays.

    Raises   LawError naming the wrong leaf and entry

    >>> params = {"w": np.array([1.0, -2.0])}
    >>> fn.check_gradient(lambda p: np.sum(p["w"] ** 2), params, {"w": 2 * params["w"]})
    """
    params = tree.map(lambda leaf: np.asarray(leaf, np.float64), params)
    flat, given = tree.flatten(params), tree.flatten(grads)
    if {path: np.shape(leaf) for path, leaf in flat.items()} != {path: np.shape(leaf) for path, leaf in given.items()}:
        raise LawError(
            f"expected gradients of the shapes { {path: np.shape(leaf) for path, leaf in flat.items()} }, "
            f"got { {path: np.shape(leaf) for path, leaf in given.items()} }"
        )
    scale = abs(float(f(params)))
    for path, leaf in flat.items():
        u = Key(0).fold(path).normal(leaf.shape)

        def along(t: float, direction: Array, path: str = path) -> float:
            return float(f(tree.unflatten({**flat, path: flat[path] + t * direction})))

        if agree(slope(lambda t: along(t, u)), inner(given[path], u), scale):  # noqa: B023
            continue
        for entry in np.ndindex(leaf.shape):  # at least one entry is wrong; find it
            e = np.zeros_like(leaf)
            e[entry] = 1.0
            numeric, analytic = slope(lambda t: along(t, e)), float(given[path][entry])  # noqa: B023
            if not agree(numeric, analytic, scale):
                raise LawError(f"the gradient of {path} is wrong at {entry}: expected {numeric}, got {analytic}")
        numeric, analytic = slope(lambda t: along(t, u)), inner(given[path], u)  # noqa: B023
        raise LawError(f"the gradient of {path} is wrong along a direction: expected {numeric}, got {analytic}")
