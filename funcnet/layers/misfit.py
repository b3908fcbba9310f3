"""Plain errors for arguments that do not fit a layer, found only after its own code has failed on them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from funcnet import ops, tree
from funcnet.errors import FuncnetError, ShapeError
from funcnet.shapes import shape_of

RAW = (TypeError, ValueError, AttributeError, KeyError, IndexError)
"""What NumPy and Python raise for arguments of a wrong kind or shape"""


def mismatches(leaves: dict[str, Any], params: dict[str, Any], state: dict[str, Any]) -> list[str]:
    """The differences of params and state from a network's leaves."""
    expected = tree.flatten(leaves)
    found = []
    for kind, given in (("param", params), ("state", state)):
        flat = tree.flatten(given)
        wanted = {path: leaf.shape for path, leaf in expected.items() if leaf.kind == kind}
        for path, shape in wanted.items():
            if path not in flat:
                found.append(f"{path}: expected {kind} of shape {shape}, got none")
            elif np.shape(flat[path]) != shape:
                found.append(f"{path}: expected {kind} of shape {shape}, got {np.shape(flat[path])}")
        surplus = [path for path in flat if path not in wanted]
        found += [f"{path}: expected no such {kind}, got shape {np.shape(flat[path])}" for path in surplus]
    return found


def misfit_of_vjp() -> FuncnetError:
    """The mistake in the residuals or the cotangent of a layer of the library, whose own code is right."""
    return ShapeError(
        "the residuals and the cotangent do not fit this layer; give the residuals that its apply returned, and "
        "dy in the shape of its output"
    )


def misfit_of_apply(leaves: Callable[[Any], dict[str, Any]], params: Any, state: Any, x: Any) -> FuncnetError | None:
    """The mistake in the arguments of apply; None if they fit, so that the layer's own code is at fault."""
    for what, part in (("params", params), ("state", state)):
        if not isinstance(part, dict):
            return FuncnetError(f"expected {what} as a dict by name, as init gives them, got a {type(part).__name__}")
    if not isinstance(x, tuple | dict) and not tree.leaves(x):
        return FuncnetError(f"expected an array of inputs, got {x!r:.60}")
    values = tree.leaves((params, state, x))
    if ops.recorder(*values) is not None or ops.vectorizer(*values) is not None:
        return None
    for leaf in tree.leaves(x):
        if not isinstance(leaf, np.ndarray | np.generic):
            return FuncnetError(
                f"expected an array of inputs, got a {type(leaf).__name__}; fn.predict takes anything like an array"
            )
    if any(leaf.ndim == 0 for leaf in tree.leaves(x)):
        return ShapeError("expected a batch of samples, got a single number")
    try:
        problems = mismatches(leaves(shape_of(x)), params, state)
    except FuncnetError as error:
        return error
    except RAW:
        return None
    if not problems:
        return None
    return ShapeError(
        f"params and state do not fit inputs of shape {shape_of(x)}: {'; '.join(problems)}; "
        "give inputs of the shape that the params were made for"
    )
