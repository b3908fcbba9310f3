"""Compare a plan's results with its function's, and find the user code whose recording differs."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcnet.compiler import structure
from funcnet.compiler.foreign import from_signal
from funcnet.compiler.graph import Node
from funcnet.compiler.kinds import PROBE
from funcnet.compiler.record import Recording
from funcnet.compiler.standins import CLASSES
from funcnet.compiler.watched import same


def alike(a: Any, b: Any, made: Any = None) -> bool:
    """Whether two results have the same structure, shapes, dtypes and bits; all NaNs are equal.

    ``made`` has the nodes that ``a`` was recorded as. Probes always agree: only their sum has a meaning.
    """
    if type(made) is Node and made.kind is PROBE:
        return True
    if isinstance(b, np.ndarray | np.generic):
        if not isinstance(a, np.ndarray | np.generic) or a.shape != b.shape or a.dtype != b.dtype:
            return False
        if np.asarray(a).tobytes() == np.asarray(b).tobytes():
            return True
        if b.dtype.kind == "c":
            return alike(a.real, b.real) and alike(a.imag, b.imag)
        signs = b.dtype.kind == "f" and np.any((np.signbit(a) != np.signbit(b)) & (a == a))
        return b.dtype.kind == "f" and not signs and np.array_equal(a, b, equal_nan=True)
    inner, other = structure.parts(b), structure.parts(a)
    if inner is None or other is None:
        return same(a, b) or (type(a) is type(b) is not float and bool(a == b))
    nodes = dict(structure.parts(made) or ())
    left, right = dict(other), dict(inner)
    return (
        type(a) is type(b)
        and left.keys() == right.keys()
        and all(alike(left[step], part, nodes.get(step)) for step, part in inner)
    )


def culprits(recording: Recording, flat: tuple[Any, ...]) -> str:
    """The names of user-defined layers, losses and optimizers whose recorded results differ from their own."""
    given = [np.array(value) if isinstance(value, np.ndarray) else value for value in flat]
    values: dict[Node, Any] = dict(zip(recording.graph.inputs, given, strict=True))
    found = []
    try:
        with np.errstate(all="ignore"):
            for node in recording.graph.nodes:
                if node not in values:
                    values[node] = node.kind.evaluate(node, [values[arg] for arg in node.args])
            for what, f, args, result in recording.tracer.checked:
                taken, expected = (
                    structure.replaced(lambda leaf: values[leaf.node] if type(leaf) in CLASSES else leaf, part)
                    for part in (args, result)
                )
                if not _near(f(*taken), expected):
                    found.append(what)
    except Exception as error:
        if from_signal(error):
            raise
        return ""
    return ", ".join(dict.fromkeys(found))


def _near(a: Any, b: Any) -> bool:
    inner, other = structure.parts(b), structure.parts(a)
    if inner is None or other is None:
        try:
            return bool(np.shape(a) == np.shape(b) and np.allclose(a, b, equal_nan=True))
        except TypeError:
            return True
    return len(inner) == len(other) and all(_near(x, y) for (_, x), (_, y) in zip(other, inner, strict=True))
