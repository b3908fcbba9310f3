"""The recorded program as one readable NumPy file: forward, loss, backward and update, one expression per line."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from funcnet import ops
from funcnet.codegen.planned import planned as planned_text
from funcnet.codegen.program import Program
from funcnet.codegen.readable import Readable
from funcnet.errors import FuncnetError
from funcnet.layers.base import Layer, check_size
from funcnet.losses.base import Loss
from funcnet.optim.base import Optimizer
from funcnet.shapes import ROWS, Shape


@ops.quiet()
def source(
    net: Layer,
    in_shape: Shape,
    batch: int = ROWS,
    loss: Loss | None = None,
    optimizer: Optimizer | None = None,
    *,
    dtype: npt.DTypeLike = np.float32,
    train: bool = True,
    target: Any = None,
    planned: bool = False,
    teach: bool = False,
    start: dict[str, Any] | None = None,
) -> str:
    """A network as one NumPy file to read and run: forward and backward, with loss and optimizer a training step.

    The file gives the library's numbers to the last bit. ``target`` is an example of the targets, by default
    labels for ``SoftmaxCrossEntropy`` and otherwise floats in the shape of the output. ``planned`` prints the
    program as it runs, with its memory. ``teach`` prints it for learners: it draws with NumPy's generator, and leaves
    out the rounding of subnormal numbers. ``start`` has the values that the file begins with when it runs as a script,
    ``params``, ``state``, ``x`` and ``y``; those of more than 40 numbers are drawn instead.
    Raises   ShapeError; FuncnetError for a program that cannot be printed, such as one with user code

    >>> "tanh_0 = np.tanh(dense_0)" in fn.source(fn.serial(fn.Dense(3), fn.Tanh()), (2,), batch=5)
    True
    """
    if optimizer is not None and loss is None:
        raise FuncnetError("expected a loss with the optimizer, got none; give loss=fn.losses.MeanSquaredError()")
    if planned and teach:
        raise FuncnetError("planned=True prints the program as it runs, which teach=True changes; give one of them")
    check_size(net, in_shape)
    program = Program(net, in_shape, batch, loss, optimizer, np.dtype(dtype), train, target)
    return planned_text(program) if planned else Readable(program, teach, start).text()
